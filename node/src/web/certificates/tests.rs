//! What browsers ask of a certificate, and that cards last, over years of a clock that is a number.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: a browser's own judgement (`.ci/web.py`).
#![allow(clippy::unwrap_used)]
use super::*;
use der::Decode as _;
use std::sync::atomic::{AtomicU64, Ordering};
use x509_cert::Certificate;

/// The first of January 2027.
const NEW_YEAR: u64 = 20_819;

struct Hand(Arc<AtomicU64>);

impl Hand {
    fn at(day: u64) -> Self {
        Hand(Arc::new(AtomicU64::new(day * DAY_MS + 3_600_000)))
    }

    fn set(&self, day: u64) {
        self.0.store(day * DAY_MS + 3_600_000, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let hand = Arc::clone(&self.0);
        Arc::new(move || hand.load(Ordering::Relaxed))
    }
}

fn certificates(folder: &Path, hand: &Hand) -> Certificates {
    Certificates::of(folder, hand.clock(), &crate::entropy::system().unwrap())
}

#[test]
fn a_certificate_is_what_browsers_take_by_its_hash() {
    for period in [NEW_YEAR / PERIOD_DAYS, NEW_YEAR / PERIOD_DAYS + 1, 83_000 / PERIOD_DAYS] {
        let made = certificate(&[7; SEED_BYTES], period).unwrap();
        let parsed = Certificate::from_der(&made.certificate).unwrap();
        let inside = parsed.tbs_certificate();
        let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
        let (from, to) = (seconds(&inside.validity().not_before), seconds(&inside.validity().not_after));
        assert!(to - from <= 14 * 86_400, "{} days", (to - from) / 86_400);
        let (begins, ends) = (period * PERIOD_DAYS * 86_400, (period + 1) * PERIOD_DAYS * 86_400);
        assert!(from + 86_400 <= begins && ends + 86_400 <= to, "a clock that differs by a day finds it in date");
        let key = inside.subject_public_key_info();
        assert_eq!(key.algorithm.oid.to_string(), "1.2.840.10045.2.1", "an elliptic curve");
        assert_eq!(
            key.algorithm.parameters.as_ref().unwrap().decode_as::<der::asn1::ObjectIdentifier>().unwrap().to_string(),
            "1.2.840.10045.3.1.7"
        );
        assert_eq!(inside.issuer(), inside.subject(), "self-signed");
        assert!(inside.extensions().is_some_and(|all| !all.is_empty()), "Chromium reads none without extensions");
        assert_eq!(made.certificate, certificate(&[7; SEED_BYTES], period).unwrap().certificate, "equal bytes every time");
        assert_ne!(made.certificate, certificate(&[8; SEED_BYTES], period).unwrap().certificate);
    }
}

#[test]
fn what_is_shown_was_announced_before_and_a_card_lasts_a_week_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::at(NEW_YEAR);
    let mut node = certificates(folder.path(), &hand);
    let mut announced: Vec<(u64, [Digest; 2])> = Vec::new();
    let mut different = 0;
    for day in NEW_YEAR..NEW_YEAR + 60 {
        hand.set(day);
        if day % 5 == 0 {
            // Another process over the same folder.
            node = certificates(folder.path(), &hand);
        }
        let shown = node.now().unwrap();
        for (made, card) in &announced {
            assert!(day - made > 8 || card.contains(&shown.now), "a card of day {made} is stale on day {day}");
        }
        if announced.last().is_some_and(|(_, card)| card[0] != shown.now) {
            assert_eq!(announced.last().unwrap().1[1], shown.now, "what comes next was announced");
            different += 1;
        }
        announced.push((day, [shown.now, shown.next]));
    }
    assert!((6..=7).contains(&different), "{different} certificates in sixty days");
}

#[test]
fn a_clock_beyond_reason_shows_nothing_and_one_that_is_set_right_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::at(0);
    let node = certificates(folder.path(), &hand);
    assert!(node.now().is_none(), "1970");
    assert!(matches!(node.shown(0), Err(CertificateError::Clock { day: 0 })));
    for day in [19_722, 83_640, u64::MAX / DAY_MS] {
        assert!(matches!(node.shown(day), Err(CertificateError::Clock { .. })), "{day}");
    }
    hand.set(NEW_YEAR);
    let right = node.now().unwrap();
    hand.set(NEW_YEAR + 400);
    assert_ne!(node.now().unwrap().now, right.now);
    hand.set(NEW_YEAR);
    assert_eq!(node.now().unwrap().now, right.now, "set back, it shows again what cards of that time name");
}

#[test]
fn a_damaged_seed_is_replaced_and_one_that_cannot_be_kept_stops_nobody() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let hand = Hand::at(NEW_YEAR);
    let first = certificates(folder.path(), &hand).now().unwrap();
    let file = folder.path().join(SEED_FILE);
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    for damaged in [&b""[..], &[1; SEED_BYTES - 1], &[1; SEED_BYTES + 1]] {
        std::fs::write(&file, damaged).unwrap();
        let other = certificates(folder.path(), &hand).now().unwrap();
        assert_ne!(other.now, first.now);
        assert_eq!(certificates(folder.path(), &hand).now().unwrap().now, other.now, "the new seed is kept");
    }
    let nowhere = file.join("no-folder");
    assert!(certificates(&nowhere, &hand).now().is_some());
}
