//! The certificates that pages are shown: which one when, and that a card with their hashes lasts.
//!
//! Decides: browsers take a certificate by its hash if it is good for at most 14 days. So time is cut into periods, the same for every node; each has its
//! certificate, which is good two days longer on both sides, and the one of the next period is announced beside it: a card lasts nine days at least. All of
//! them follow from one seed in a file, so a restart changes nothing, and nothing is written when one takes the place of another.
//! Trusts: the clock, for hygiene alone: where it is wrong by more than two days, browsers refuse, and native clients notice nothing. The seed protects
//! nothing a session is worth: whoever reads it may stand in the middle and see sealed records pass. Out of scope: sessions. Protocol section 3.5.

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::folders;
use crate::signer::Signer;
use p256::ecdsa::SigningKey;
use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, SerialNumber};
use ringwall_quic::{PageCertificate, PipeError, server_config_with_pages};
use ringwall_wire::codec::enc_digest;
use ringwall_wire::ids::Digest;
use ringwall_wire::label::Label;
use sha2::{Digest as _, Sha256};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// The file of the seed.
pub const SEED_FILE: &str = "pages.seed";
/// Its bytes.
const SEED_BYTES: usize = 32;
/// Days a certificate is shown.
pub const PERIOD_DAYS: u64 = 9;
/// Days it is good before and after, for clocks that differ: 13 days in all, of 14 that browsers allow.
pub const MARGIN_DAYS: u64 = 2;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Days since 1970 a clock may show: 2024 to 2199. Before and after it is not set, and no browser would agree.
const PLAUSIBLE_DAYS: std::ops::Range<u64> = 19_723..83_640;

/// Why there is no certificate now.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The clock shows no time browsers would agree with.
    #[error("this machine's clock shows day {day} after 1970: set it, or no browser takes a certificate that is good then")]
    Clock {
        /// What it shows.
        day: u64,
    },
    /// It could not be made.
    #[error("no certificate for pages: {0}")]
    NotMade(String),
    /// TLS refuses it.
    #[error("no certificate for pages: {0}")]
    Refused(#[from] PipeError),
}

/// What is shown in one period.
#[derive(Debug)]
pub struct Shown {
    /// How connections are taken meanwhile.
    pub config: Arc<quinn::ServerConfig>,
    /// SHA-256 of the certificate.
    pub now: Digest,
    /// And of the next.
    pub next: Digest,
}

/// What was found at the last look, and in which period.
type Looked = (u64, Option<Arc<Shown>>);

/// The certificates of one node.
pub struct Certificates {
    seed: Zeroizing<[u8; SEED_BYTES]>,
    clock: Clock,
    looked: Mutex<Option<Looked>>,
}

impl core::fmt::Debug for Certificates {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("Certificates")
    }
}

impl Certificates {
    /// Those that follow from the seed in `folder`. Where there is none yet, or none that can be used, one is made; where it cannot be kept, a warning
    /// says what that costs: nothing a node needs to serve.
    pub fn of(folder: &Path, clock: Clock, entropy: &Entropy) -> Self {
        let path = folder.join(SEED_FILE);
        let found = std::fs::create_dir_all(folder).and_then(|()| folders::read_most(&path, SEED_BYTES));
        let seed = match found.map(|found| found.map(|bytes| <[u8; SEED_BYTES]>::try_from(bytes.as_slice()))) {
            Ok(Some(Ok(seed))) => Zeroizing::new(seed),
            outcome => {
                if matches!(outcome, Ok(Some(Err(_)))) {
                    tracing::warn!(file = %path.display(), "the seed of the certificates for pages is damaged: a new one takes its place, and cards made before are stale for pages");
                }
                let mut seed = Zeroizing::new([0; SEED_BYTES]);
                (entropy)().fill_bytes(&mut *seed);
                if let Err(fault) = outcome.and_then(|_| keep(&path, &*seed)) {
                    tracing::warn!(file = %path.display(), %fault, "the seed of the certificates for pages is not kept: after a restart, cards made before are stale for pages");
                }
                seed
            }
        };
        Certificates { seed, clock, looked: Mutex::default() }
    }

    /// What is shown now; none while the clock is beyond reason.
    pub fn now(&self) -> Option<Arc<Shown>> {
        let day = (self.clock)() / DAY_MS;
        let period = day / PERIOD_DAYS;
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, shown)) = &*looked
            && *of == period
        {
            return shown.clone();
        }
        let shown = match self.shown(day) {
            Ok(shown) => {
                tracing::info!(sha256 = %shown.now, next = %shown.next, "certificate for pages");
                Some(Arc::new(shown))
            }
            Err(fault) => {
                tracing::warn!(%fault, "pages are not let in over WebTransport");
                None
            }
        };
        *looked = Some((period, shown.clone()));
        shown
    }

    fn shown(&self, day: u64) -> Result<Shown, CertificateError> {
        if !PLAUSIBLE_DAYS.contains(&day) {
            return Err(CertificateError::Clock { day });
        }
        let period = day / PERIOD_DAYS;
        let (now, next) = (certificate(&self.seed, period)?, certificate(&self.seed, period.saturating_add(1))?);
        let hash = |shown: &PageCertificate| Digest(Sha256::digest(&shown.certificate).into());
        Ok(Shown { config: Arc::new(server_config_with_pages(&now)?), now: hash(&now), next: hash(&next) })
    }
}

fn keep(path: &Path, seed: &[u8]) -> io::Result<()> {
    let mut options = folders::anew();
    options.mode(0o600);
    folders::replace(&options, &path.with_extension("seed.new"), path, seed)
}

/// The certificate of a period: equal seeds give equal bytes.
fn certificate(seed: &[u8; SEED_BYTES], period: u64) -> Result<PageCertificate, CertificateError> {
    let not_made = |fault: rcgen::Error| CertificateError::NotMade(fault.to_string());
    let scalar = |at: u8| Zeroizing::new(enc_digest(Label::WebCertificate, &[seed, &period.to_be_bytes(), &[at]]));
    // A scalar above the group's order is as likely as a collision in 32 bits: the next one is tried.
    let key = (0..=u8::MAX).find_map(|at| SigningKey::from_slice(&*scalar(at)).ok());
    let signer = Signer::new(key.ok_or_else(|| CertificateError::NotMade("no key could be derived".into()))?);
    let first = period.saturating_mul(PERIOD_DAYS);
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Ringwall");
    params.distinguished_name = subject;
    let (year, month, of) = date(first.saturating_sub(MARGIN_DAYS))?;
    params.not_before = rcgen::date_time_ymd(year, month, of);
    let (year, month, of) = date(first.saturating_add(PERIOD_DAYS).saturating_add(MARGIN_DAYS))?;
    params.not_after = rcgen::date_time_ymd(year, month, of);
    params.serial_number = Some(SerialNumber::from_slice(signer.point().get(1..17).unwrap_or_default()));
    // Said, not left out: Chromium reads no certificate without extensions.
    params.is_ca = IsCa::ExplicitNoCa;
    let certificate = params.self_signed(&signer).map_err(not_made)?;
    Ok(PageCertificate { certificate: certificate.der().clone(), key: Arc::new(signer.private_key()) })
}

/// Year, month and day of a day after 1970.
fn date(day: u64) -> Result<(i32, u8, u8), CertificateError> {
    let date = der::DateTime::from_unix_duration(Duration::from_millis(day.saturating_mul(DAY_MS)));
    let date = date.map_err(|_| CertificateError::Clock { day })?;
    Ok((i32::from(date.year()), date.month(), date.day()))
}

#[cfg(test)]
mod tests;
