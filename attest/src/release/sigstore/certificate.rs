//! Certificates of Sigstore's authority: a key that an identity provider's token stood for, for ten minutes.
//!
//! Decides: a certificate is genuine when an authority of the trusted root signed it at that time and a certificate transparency log of the root
//! promised to publish it; its identity is its one alternative name, its issuer what the authority wrote down of the token.
//! Trusts: the trusted root. Out of scope: whether that identity may sign (`proof.rs`).
//! RFC 5280 and 6962 as far as Fulcio uses them.

use super::der::{BOOLEAN, CONTEXT, INTEGER, OBJECT, OCTET_STRING, Part, SEQUENCE, UTF8_STRING, element, one, time};
use super::key::{PublicKey, Scheme};
use super::root::{Authority, LogKey};
use crate::release::bundle::BundleError;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
const SCT_LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
/// 1.3.6.1.4.1.57264.1.1: the issuer as raw text.
const ISSUER_RAW: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x01];
/// 1.3.6.1.4.1.57264.1.8: the issuer as a string.
const ISSUER: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x08];
const NAME_EMAIL: u8 = 0x81;
const NAME_URI: u8 = 0x86;

/// One extension.
struct Extension<'a> {
    object: &'a [u8],
    critical: bool,
    value: &'a [u8],
    whole: &'a [u8],
}

/// A certificate, well-formed and not yet trusted.
pub(crate) struct Certificate<'a> {
    body: &'a [u8],
    scheme: Scheme,
    signature: &'a [u8],
    /// What stands before the extensions in the signed part, element by element.
    before: Vec<Part<'a>>,
    extensions: Vec<Extension<'a>>,
    issuer: &'a [u8],
    subject: &'a [u8],
    from_s: u64,
    until_s: u64,
    pub(crate) key: PublicKey,
}

impl<'a> Certificate<'a> {
    /// Reads exact DER.
    pub(crate) fn read(der: &'a [u8]) -> Option<Certificate<'a>> {
        let whole = one(der)?.inside(SEQUENCE)?;
        let [body, algorithm, signature] = whole.as_slice() else { return None };
        let fields = body.inside(SEQUENCE)?;
        let [version, serial, inner, issuer, validity, subject, key, rest @ ..] = fields.as_slice() else { return None };
        let v3 = version.inside(CONTEXT)?;
        let [v3] = v3.as_slice() else { return None };
        if v3.expect(INTEGER)? != [2] || serial.tag != INTEGER || inner.whole != algorithm.whole {
            return None;
        }
        let [extensions] = rest else { return None };
        let list = one(extensions.expect(CONTEXT | 3)?)?.inside(SEQUENCE)?;
        let extensions: Vec<Extension<'a>> = list.iter().map(extension).collect::<Option<_>>()?;
        let twice = |at: usize, one: &Extension<'_>| extensions.iter().take(at).any(|other| other.object == one.object);
        if extensions.iter().enumerate().any(|(at, one)| twice(at, one)) {
            return None;
        }
        let validity = validity.inside(SEQUENCE)?;
        let [from, until] = validity.as_slice() else { return None };
        Some(Certificate {
            body: body.whole,
            scheme: Scheme::named(algorithm.whole)?,
            signature: signature.bits()?,
            extensions,
            issuer: issuer.whole,
            subject: subject.whole,
            from_s: time(from)?,
            until_s: time(until)?,
            key: PublicKey::read(key.whole)?,
            before: fields.split_last()?.1.to_vec(),
        })
    }

    fn extension(&self, object: &[u8]) -> Option<&[u8]> {
        self.extensions.iter().find(|one| one.object == object).map(|one| one.value)
    }

    fn is_authority(&self) -> bool {
        let constraints = self.extension(BASIC_CONSTRAINTS).and_then(|value| one(value)?.inside(SEQUENCE));
        constraints.and_then(|parts| Some(parts.first()?.expect(BOOLEAN)? == [0xff])).unwrap_or(false)
    }

    fn serves(&self, purpose: &[u8]) -> bool {
        let purposes = self.extension(EXTENDED_KEY_USAGE).and_then(|value| one(value)?.inside(SEQUENCE));
        purposes.is_some_and(|all| all.iter().any(|one| one.expect(OBJECT) == Some(purpose)))
    }

    /// For code signing, and nothing critical that is not understood.
    pub(crate) fn is_for_code(&self) -> bool {
        let known = [SUBJECT_ALT_NAME, BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE];
        self.serves(CODE_SIGNING) && !self.is_authority() && self.extensions.iter().all(|one| !one.critical || known.contains(&one.object))
    }

    /// For timestamps.
    pub(crate) fn is_for_time(&self) -> bool {
        self.serves(TIME_STAMPING) && !self.is_authority()
    }

    /// Whether it is valid at this time.
    pub(crate) fn covers(&self, at_s: u64) -> bool {
        (self.from_s..=self.until_s).contains(&at_s)
    }

    /// Whether `above` signed it, in name and in fact.
    fn is_signed_by(&self, above: &Certificate<'_>) -> bool {
        self.issuer == above.subject && above.key.verified(self.scheme, self.body, self.signature).is_some()
    }

    /// Whether `above`, lowest first, lead from this certificate to the root's own, all valid at this time. The last is trusted for itself.
    pub(crate) fn leads_to(&self, above: &[Certificate<'_>], at_s: u64) -> bool {
        let mut below = self;
        for one in above {
            if !below.is_signed_by(one) || !one.is_authority() || !one.covers(at_s) {
                return false;
            }
            below = one;
        }
        !above.is_empty() && self.covers(at_s)
    }

    /// Its one alternative name: a URI or an address. Nothing else of the certificate says who signed: Fulcio's other extensions (repository, reference, runner)
    /// are not looked at. The name of a reusable workflow is that of the file that was called: whoever may call it gets a certificate with this name.
    pub(crate) fn identity(&self) -> Option<String> {
        let names = one(self.extension(SUBJECT_ALT_NAME)?)?.inside(SEQUENCE)?;
        let [name] = names.as_slice() else { return None };
        matches!(name.tag, NAME_EMAIL | NAME_URI).then(|| core::str::from_utf8(name.value).ok().map(str::to_string)).flatten()
    }

    /// Who identified the holder.
    pub(crate) fn token_issuer(&self) -> Option<String> {
        let text = match self.extension(ISSUER) {
            Some(value) => one(value)?.expect(UTF8_STRING)?,
            None => self.extension(ISSUER_RAW)?,
        };
        core::str::from_utf8(text).ok().map(str::to_string)
    }

    /// The signed part as its authority showed it to the logs: without the logs' promises.
    fn body_before_logs(&self) -> Option<Vec<u8>> {
        let kept = self.extensions.iter().filter(|one| one.object != SCT_LIST).map(|one| one.whole);
        let list = element(SEQUENCE, &kept.collect::<Vec<_>>().concat());
        let mut body = self.before.iter().map(|part| part.whole).collect::<Vec<_>>().concat();
        body.extend_from_slice(&element(CONTEXT | 3, &list));
        Some(element(SEQUENCE, &body))
    }

    /// Whether a log of the root promised to publish it. A promise in a known log's name that does not verify refuses.
    pub(crate) fn is_promised(&self, issuer: &Certificate<'_>, logs: &[LogKey]) -> Result<(), BundleError> {
        let list = self.extension(SCT_LIST).and_then(|value| one(value)?.expect(OCTET_STRING));
        let promises =
            list.and_then(promises).ok_or(BundleError::Certificate { what: "it brings no readable promise of a certificate log" })?;
        let body = self.body_before_logs().ok_or(BundleError::Certificate { what: "it cannot be taken apart" })?;
        let issuer: [u8; 32] = Sha256::digest(issuer.key.der()).into();
        let mut known = 0_usize;
        for promise in promises {
            let Some(log) = logs.iter().find(|log| log.id == promise.log && log.valid.covers(promise.at_ms / 1_000)) else { continue };
            let words = promise.words(&issuer, &body).ok_or(BundleError::Certificate { what: "it is too long" })?;
            let good = log.key.as_ref().and_then(|key| key.verified(promise.scheme, &words, promise.signature));
            good.ok_or(BundleError::Certificate { what: "a certificate log's promise does not verify" })?;
            known = known.saturating_add(1);
        }
        match known {
            0 => Err(BundleError::Certificate { what: "no certificate log of the trusted root promised to publish it" }),
            _ => Ok(()),
        }
    }
}

/// The authority of the root that issued `leaf` at every one of these times; its lowest certificate.
pub(crate) fn issued<'a>(leaf: &Certificate<'_>, authorities: &'a [Authority], times: &[u64]) -> Result<&'a Authority, BundleError> {
    let fits = |authority: &&Authority| {
        authority.chain().is_some_and(|chain| times.iter().all(|at_s| authority.valid.covers(*at_s) && leaf.leads_to(&chain, *at_s)))
    };
    authorities
        .iter()
        .find(fits)
        .ok_or(BundleError::Certificate { what: "no authority of the trusted root issued it for the time of signing" })
}

fn extension<'a>(part: &Part<'a>) -> Option<Extension<'a>> {
    let fields = part.inside(SEQUENCE)?;
    let (object, critical, value) = match fields.as_slice() {
        [object, value] => (object, false, value),
        [object, critical, value] => (object, critical.expect(BOOLEAN)? == [0xff], value),
        _ => return None,
    };
    Some(Extension { object: object.expect(OBJECT)?, critical, value: value.expect(OCTET_STRING)?, whole: part.whole })
}

/// A signed certificate timestamp.
struct Promise<'a> {
    log: [u8; 32],
    at_ms: u64,
    extensions: &'a [u8],
    scheme: Scheme,
    signature: &'a [u8],
}

impl Promise<'_> {
    /// RFC 6962, 3.2: what the log signed, for an entry of type `precert_entry`.
    fn words(&self, issuer: &[u8; 32], body: &[u8]) -> Option<Vec<u8>> {
        let mut words = alloc::vec![0, 0];
        words.extend_from_slice(&self.at_ms.to_be_bytes());
        words.extend_from_slice(&[0, 1]);
        words.extend_from_slice(issuer);
        let [0, len @ ..] = u32::try_from(body.len()).ok()?.to_be_bytes() else { return None };
        words.extend_from_slice(&len);
        words.extend_from_slice(body);
        words.extend_from_slice(&u16::try_from(self.extensions.len()).ok()?.to_be_bytes());
        words.extend_from_slice(self.extensions);
        Some(words)
    }
}

/// RFC 6962, 3.3: a list in TLS's encoding.
fn promises(list: &[u8]) -> Option<Vec<Promise<'_>>> {
    let (mut list, rest) = sized(list)?;
    let mut promises = Vec::new();
    while !list.is_empty() {
        if promises.len() >= ringwall_wire::limits::SIGSTORE_PARTS {
            return None;
        }
        let (one, after) = sized(list)?;
        promises.push(promise(one)?);
        list = after;
    }
    rest.is_empty().then_some(promises)
}

fn promise(bytes: &[u8]) -> Option<Promise<'_>> {
    let bytes = bytes.strip_prefix(&[0])?;
    let (log, bytes) = bytes.split_first_chunk::<32>()?;
    let (at_ms, bytes) = bytes.split_first_chunk::<8>()?;
    let (extensions, bytes) = sized(bytes)?;
    let (algorithm, bytes) = bytes.split_first_chunk::<2>()?;
    let scheme = match algorithm {
        [4, 3] => Scheme::Ecdsa(super::key::Hash::Sha256),
        [8, 7] => Scheme::Ed25519,
        _ => return None,
    };
    let (signature, rest) = sized(bytes)?;
    rest.is_empty().then_some(Promise { log: *log, at_ms: u64::from_be_bytes(*at_ms), extensions, scheme, signature })
}

/// What a length of two bytes announces, and the rest.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// All elements of several certificates, each exact DER.
pub(crate) fn chain(ders: &[Vec<u8>]) -> Option<Vec<Certificate<'_>>> {
    ders.iter().map(|der| Certificate::read(der)).collect()
}
