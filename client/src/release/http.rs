//! The tools' way to logs, witnesses and Sigstore's services: one request, one answer, nothing kept.
//!
//! Decides: every request has a limit of time, every answer a limit of bytes, both before anything is read; redirects are not followed, no proxy is asked,
//! and what gives somebody a name (an identity token) leaves over TLS or to this machine alone.
//! `node/src/endorsements/http.rs` has the same strict settings a second time, on purpose: of the crates both may use some are `no_std`, and the pipe would carry an
//! HTTP client into all that speaks QUIC; and what counts as an answer differs (there one document with status 200, here any status, told in words).
//! Trusts: nothing that comes back; whoever asks judges it. Out of scope: sessions with nodes, which need none of this.

use std::sync::Arc;
use std::time::Duration;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// Longest time for a request and its answer: a witness answers when it has written, a log when it has asked its witnesses.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Longest time for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes of a buffer for bodies.
const BUFFER_BYTES: usize = 16 * 1024;
/// Characters of foreign words that are repeated to people.
const WORDS: usize = 200;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// It cannot be asked.
    #[error("{url}: cannot be reached: {reason}; check the address and that somebody serves there")]
    Unreachable {
        /// Which.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// It took too long.
    #[error("{url}: no whole answer within {} s; try again", .limit.as_secs())]
    Slow {
        /// Which.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The answer is longer than any of its kind.
    #[error("{url}: the answer is longer than {most} bytes, which is the most it can be")]
    TooLarge {
        /// Which.
        url: String,
        /// The limit.
        most: usize,
    },
    /// It answered, and not with what was asked for.
    #[error("{url}: status {status}: {words}")]
    Status {
        /// Which.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of what it said.
        words: String,
    },
    /// A secret would have left in the clear.
    #[error("{url}: an identity token leaves over https alone (or to this machine); name an https address")]
    InTheClear {
        /// Which.
        url: String,
    },
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status, whichever.
    pub status: u16,
    /// The type of its body.
    pub kind: String,
    /// Its body, within the limit that was given.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body when it was what was asked for.
    pub fn expect(self, url: &str, wanted: &[u16]) -> Result<Vec<u8>, HttpFault> {
        match wanted.contains(&self.status) {
            true => Ok(self.body),
            false => Err(HttpFault::Status { url: url.to_owned(), status: self.status, words: words(&self.body) }),
        }
    }
}

/// The beginning of foreign words, printable.
pub(crate) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(WORDS).collect::<String>().trim().to_owned()
}

/// Asks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    agent: ureq::Agent,
    limit: Duration,
}

impl Http {
    /// With the limits of the tools.
    pub fn new() -> Self {
        Http::within(REQUEST_TIME)
    }

    /// With another longest time for a request.
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
            .user_agent(concat!("ringwall/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .max_response_header_size(HEAD_BYTES)
            .input_buffer_size(BUFFER_BYTES)
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .timeout_connect(Some(CONNECT_TIME.min(limit)))
            .timeout_global(Some(limit))
            .build();
        Http { agent: config.into(), limit }
    }

    /// Asks for `url`; at most `most` bytes.
    pub fn get(&self, url: &str, most: usize) -> Result<Vec<u8>, HttpFault> {
        let response = self.agent.get(url).call().map_err(|fault| self.fault(url, most, fault))?;
        self.read(url, most, response)?.expect(url, &[200])
    }

    /// Asks for `url` with a secret that says who asks.
    pub fn get_as(&self, url: &str, bearer: &str, most: usize) -> Result<Vec<u8>, HttpFault> {
        private(url)?;
        let request = self.agent.get(url).header(AUTHORIZATION, format!("Bearer {bearer}"));
        let response = request.call().map_err(|fault| self.fault(url, most, fault))?;
        self.read(url, most, response)?.expect(url, &[200])
    }

    /// Hands in `body`; whatever the status is, the answer is given.
    pub fn post(&self, url: &str, kind: &str, body: &[u8], most: usize) -> Result<Answer, HttpFault> {
        let response = self.agent.post(url).header(CONTENT_TYPE, kind).send(body).map_err(|fault| self.fault(url, most, fault))?;
        self.read(url, most, response)
    }

    /// Hands in a body that holds a secret.
    pub fn post_secret(&self, url: &str, kind: &str, body: &[u8], most: usize) -> Result<Answer, HttpFault> {
        private(url)?;
        self.post(url, kind, body, most)
    }

    fn read(&self, url: &str, most: usize, response: ureq::http::Response<ureq::Body>) -> Result<Answer, HttpFault> {
        let (head, body) = response.into_parts();
        if body.content_length().is_some_and(|announced| announced > most as u64) {
            return Err(HttpFault::TooLarge { url: url.to_owned(), most });
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let body = body.into_with_config().limit(most as u64).read_to_vec().map_err(|fault| self.fault(url, most, fault))?;
        Ok(Answer { status: head.status.as_u16(), kind, body })
    }

    fn fault(&self, url: &str, most: usize, fault: ureq::Error) -> HttpFault {
        let url = url.to_owned();
        match &fault {
            ureq::Error::Timeout(_) => HttpFault::Slow { url, limit: self.limit },
            ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::TimedOut => HttpFault::Slow { url, limit: self.limit },
            ureq::Error::BodyExceedsLimit(_) => HttpFault::TooLarge { url, most },
            // It may hold words of whoever answered.
            _ => HttpFault::Unreachable { url, reason: words(fault.to_string().as_bytes()) },
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http::new()
    }
}

/// Whether nobody on the way can read what is sent there.
fn private(url: &str) -> Result<(), HttpFault> {
    let own = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
    // What follows the host is a port, a path or nothing: `http://127.0.0.1.example.org` is somebody else.
    let to_self = own.iter().any(|host| url.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
    match url.starts_with("https://") || (to_self && !url.contains('@')) {
        true => Ok(()),
        false => Err(HttpFault::InTheClear { url: url.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_leave_over_tls_or_to_this_machine_alone() {
        for good in ["https://fulcio.example/api", "http://127.0.0.1:5000/x", "http://localhost/x", "http://[::1]:1"] {
            assert_eq!(private(good), Ok(()), "{good}");
        }
        for bad in [
            "http://fulcio.example",
            "http://127.0.0.1.example.org/",
            "http://localhost.example.org",
            "http://127.0.0.1:x@example.org/",
            "ftp://127.0.0.1",
        ] {
            assert!(matches!(private(bad), Err(HttpFault::InTheClear { .. })), "{bad}");
        }
    }

    #[test]
    fn foreign_words_are_short_and_printable() {
        assert_eq!(words(b"a\nb\x1b[31m"), "a b [31m");
        assert_eq!(words("x".repeat(999).as_bytes()).len(), WORDS);
    }
}
