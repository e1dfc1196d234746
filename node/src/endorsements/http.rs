//! One bounded GET: what every service of a vendor is asked with.
//!
//! Decides: one request, one answer with status 200, within a size and a time that are set before it is sent. Nothing is followed, unpacked,
//! cached or sent along: no redirect, no proxy out of the environment, no cookie, no compressed body. The settings stand in `client/src/release/http.rs`
//! as well, which says why: who changes them here changes them there.
//! Trusts: nothing of the answer. TLS is verified against Mozilla's roots, which are compiled in; that keeps others from reading along, and no
//! verdict rests on it. Out of scope: what the answer says (`kds`, `pcs`). Source: RFC 9110, RFC 9112.

use super::limits::{CONNECT_TIME, FETCH_TIME, REPLY_BUFFER_BYTES, REPLY_HEAD_BYTES, RETRY_AFTER_MOST};
use super::source::FetchError;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// Characters of a foreign error that are repeated to people.
const REASON_CHARS: usize = 160;

/// An answer with status 200.
#[derive(Debug)]
pub(crate) struct Answer {
    headers: HeaderMap,
    /// The body, within the limit that was given.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header that is there once and is printable.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}

/// Asks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    agent: ureq::Agent,
    limit: Duration,
}

impl Http {
    /// With the limits of this program.
    pub fn new() -> Self {
        Http::within(FETCH_TIME)
    }

    /// With another longest time for a request; for tests that wait for it.
    pub fn within(limit: Duration) -> Self {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::WebPki)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("ringwalld/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .max_response_header_size(REPLY_HEAD_BYTES)
            .input_buffer_size(REPLY_BUFFER_BYTES)
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .timeout_connect(Some(CONNECT_TIME.min(limit)))
            .timeout_global(Some(limit))
            .build();
        Http { agent: config.into(), limit }
    }

    /// Asks for `url`; a body longer than `max` bytes is refused before it is read, or while.
    pub(crate) fn get(&self, url: &str, max: usize) -> Result<Answer, FetchError> {
        let response = self.agent.get(url).call().map_err(|error| self.fault(url, REPLY_HEAD_BYTES, error))?;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        match status {
            200 => {}
            300..=399 => return Err(FetchError::Redirect { url: url.to_owned(), status }),
            _ => return Err(FetchError::Status { url: url.to_owned(), status, retry_after: retry_after(&head.headers) }),
        }
        acceptable(&head.headers).map_err(|what| FetchError::Protocol { url: url.to_owned(), what })?;
        if body.content_length().is_some_and(|announced| announced > max as u64) {
            return Err(FetchError::TooLarge { url: url.to_owned(), max });
        }
        let body = body.into_with_config().limit(max as u64).read_to_vec().map_err(|error| self.fault(url, max, error))?;
        Ok(Answer { headers: head.headers, body })
    }

    fn fault(&self, url: &str, max: usize, error: ureq::Error) -> FetchError {
        let url = url.to_owned();
        let words = |error: &ureq::Error| error.to_string().chars().take(REASON_CHARS).collect::<String>();
        match &error {
            ureq::Error::Timeout(_) => FetchError::Slow { url, limit: self.limit },
            ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::TimedOut => FetchError::Slow { url, limit: self.limit },
            ureq::Error::BodyExceedsLimit(_) | ureq::Error::LargeResponseHeader(..) => FetchError::TooLarge { url, max },
            ureq::Error::Io(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_) => FetchError::Unreachable { url, reason: words(&error) },
            _ => FetchError::Protocol { url, what: words(&error) },
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http::new()
    }
}

/// A web page, a picture or a packed body is no document of a vendor: a sign-in page of some network, mostly.
fn acceptable(headers: &HeaderMap) -> Result<(), String> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        return Err("the answer is packed although nobody asked for that".to_owned());
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or("?").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.starts_with("application/") || kind == "text/plain" {
        true => Ok(()),
        false => Err(format!("the answer is of type {:?}", kind.chars().take(64).collect::<String>())),
    }
}

/// Seconds a service asks to wait, at most [`RETRY_AFTER_MOST`]; the form with a date is left to our own waits.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let digits = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MOST))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ureq::http::HeaderValue;

    fn headers(name: ureq::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn waits_are_read_and_capped() {
        let wait = |value: &str| retry_after(&headers(RETRY_AFTER, value));
        assert_eq!(wait("10"), Some(Duration::from_secs(10)));
        assert_eq!(wait("0"), Some(Duration::ZERO));
        assert_eq!(wait("99999999"), Some(RETRY_AFTER_MOST));
        assert_eq!(wait("99999999999999999999999999"), Some(RETRY_AFTER_MOST));
        for none in ["", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(wait(none), None);
        }
    }

    #[test]
    fn web_pages_and_packed_bodies_are_refused() {
        for good in ["application/json", "application/pkix-crl", "Application/X-Pem-File; charset=utf-8", "text/plain"] {
            assert_eq!(acceptable(&headers(CONTENT_TYPE, good)), Ok(()));
        }
        for bad in ["text/html", "image/png", "multipart/mixed", ""] {
            assert!(acceptable(&headers(CONTENT_TYPE, bad)).is_err());
        }
        assert!(acceptable(&headers(CONTENT_ENCODING, "gzip")).is_err());
        assert!(acceptable(&HeaderMap::new()).is_ok());
    }
}
