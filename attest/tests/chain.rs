//! Certificates that are signed as they should be and say what they must not: names, constraints, algorithms, extensions.
//!
//! Decides: that each rule of AMD's chain bites on a certificate whose signature verifies, so that no rule hides behind the signature check.
//! Each case edits the bytes of an honest simulated certificate and signs it again with the simulated authority's (public) private key.
//! Trusts: the keys of sim/keys. Out of scope: damaged signatures (`fields.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use ringwall_attest::{CertName, VerifyError as V, verify};
use ringwall_sim::{Lie, SimTee, anchors, world};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, SnpEndorsements};
use ringwall_wire::ids::{ClusterId, Slot};
use ringwall_wire::policy::SnpProduct;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
use sha2::Sha384;

/// 2026-11-24 12:00:00 UTC.
const NOW_S: u64 = 1_795_521_600;
const ARK: &[u8] = include_bytes!("../../sim/keys/ark.pk8.der");
const ASK: &[u8] = include_bytes!("../../sim/keys/ask.pk8.der");
/// `BIT STRING` header and 512 bytes of signature end a certificate; before it stands the outer algorithm.
const SIGNATURE_BYTES: usize = 512;
const SIGNATURE_HEADER_BYTES: usize = 5;
const ALGORITHM_BYTES: usize = 67;
/// Header of the outer SEQUENCE.
const OUTER_HEADER_BYTES: usize = 4;

fn machine() -> SimTee {
    SimTee::new(world::machine("turin-1", world::joining_config(ClusterId([7; 32]), Slot(1))).unwrap(), NOW_S)
}

fn honest(tee: &SimTee) -> SnpEndorsements {
    match tee.endorse() {
        Endorsements::Snp(endorsements) => endorsements,
        Endorsements::Tdx(_) => panic!("not AMD"),
    }
}

/// Signs the certificate again, with this salt.
fn sign_again(der: &mut [u8], pkcs8: &[u8], salt_bytes: usize) {
    let key = rsa::PrivateKey::from_pkcs8_der(pkcs8).unwrap();
    let signing = rsa::pss::SigningKey::<Sha384>::new_with_salt_len(key, salt_bytes);
    let end = der.len() - SIGNATURE_BYTES - SIGNATURE_HEADER_BYTES - ALGORITHM_BYTES;
    let signature = signing.sign_with_rng(&mut ChaCha20Rng::from_seed([1; 32]), &der[OUTER_HEADER_BYTES..end]).to_vec();
    let at = der.len() - SIGNATURE_BYTES;
    der[at..].copy_from_slice(&signature);
}

/// Replaces the first (or every) place where `old` stands.
fn replace(der: &mut [u8], old: &[u8], new: &[u8], every: bool) {
    assert_eq!(old.len(), new.len());
    let limit = der.len() - SIGNATURE_BYTES;
    let places: Vec<_> = (0..limit - old.len()).filter(|at| der[*at..].starts_with(old)).collect();
    assert!(!places.is_empty(), "{old:?} is not in the certificate");
    for at in places.into_iter().take(if every { usize::MAX } else { 1 }) {
        der[at..at + new.len()].copy_from_slice(new);
    }
}

#[derive(Clone, Copy)]
enum Edit {
    First(&'static [u8], &'static [u8]),
    Every(&'static [u8], &'static [u8]),
    Last(&'static [u8], &'static [u8]),
}

fn edited<const MAX: usize>(cert: &Blob<MAX>, edit: Edit, key: &[u8], salt_bytes: usize) -> Blob<MAX> {
    let mut der = cert.to_vec();
    match edit {
        Edit::First(old, new) => replace(&mut der, old, new, false),
        Edit::Every(old, new) => replace(&mut der, old, new, true),
        Edit::Last(old, new) => {
            let limit = der.len() - SIGNATURE_BYTES;
            let at = (0..limit - old.len()).rev().find(|at| der[*at..].starts_with(old)).unwrap();
            der[at..at + new.len()].copy_from_slice(new);
        }
    }
    sign_again(&mut der, key, salt_bytes);
    Blob::new(der).unwrap()
}

fn judge(tee: &SimTee, endorsements: SnpEndorsements) -> Option<V> {
    verify(&tee.mint(&[9; 64]), &Endorsements::Snp(endorsements), &anchors(), NOW_S).err()
}

fn with_vek(edit: Edit) -> Option<V> {
    let (tee, honest) = (machine(), honest(&machine()));
    judge(&tee, SnpEndorsements { vek: edited(&honest.vek, edit, ASK, 48), ..honest })
}

fn with_ask(edit: Edit) -> Option<V> {
    let (tee, honest) = (machine(), honest(&machine()));
    judge(&tee, SnpEndorsements { ask: edited(&honest.ask, edit, ARK, 48), ..honest })
}

/// Object identifiers under 1.3.6.1.4.1.3704.1, with the tag and length before them.
macro_rules! amd {
    ($len:literal, $($tail:literal),*) => { &[0x06, $len, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, $($tail),*] };
}

#[test]
fn signing_again_without_an_edit_is_accepted() {
    assert_eq!(with_vek(Edit::First(b"SEV-VCEK", b"SEV-VCEK")), None);
    assert_eq!(with_ask(Edit::First(b"SEV-Turin", b"SEV-Turin")), None);
}

#[test]
fn names_must_chain() {
    // in a VCEK the issuer stands first, then the subject
    assert_eq!(with_vek(Edit::First(b"SEV-Turin", b"SEV-Tvrin")), Some(V::CertIssuer { which: CertName::Vek }));
    assert_eq!(with_vek(Edit::First(b"Santa Clara", b"Santa Klara")), Some(V::CertIssuer { which: CertName::Vek }));
    assert!(matches!(with_vek(Edit::First(b"SEV-VCEK", b"SEV-VCEX")), Some(V::CertNamed { which: CertName::Vek, .. })));
    assert!(matches!(with_vek(Edit::First(b"SEV-VCEK", b"SEV-VLEK")), Some(V::CertNamed { which: CertName::Vek, .. })));
    assert_eq!(with_ask(Edit::First(b"ARK-Turin", b"ARK-Tvrin")), Some(V::CertIssuer { which: CertName::Ask }));
    assert!(matches!(with_ask(Edit::First(b"SEV-Turin", b"SEV-Genoa")), Some(V::CertNamed { which: CertName::Ask, .. })));
}

#[test]
fn an_intermediate_must_be_allowed_to_sign() {
    // BasicConstraints { cA TRUE, pathLen 0 }: the extension becomes one nobody knows, then one that is not critical
    const CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
    let unknown = with_ask(Edit::First(CONSTRAINTS, &[0x06, 0x03, 0x55, 0x1d, 0x7f]));
    assert!(matches!(
        unknown,
        Some(V::CertMalformed { which: CertName::Ask, what: "it has a critical extension this program does not know" })
    ));
    let usage_only = with_ask(Edit::First(CONSTRAINTS, &[0x06, 0x03, 0x55, 0x1d, 0x0f]));
    assert!(matches!(usage_only, Some(V::CertMalformed { what: "an extension appears twice", .. })), "{usage_only:?}");
    // a CA of FALSE spelled out is no DER, and no permission
    let not_ca =
        with_ask(Edit::First(&[0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00], &[0x30, 0x06, 0x01, 0x01, 0x00, 0x02, 0x01, 0x00]));
    assert_eq!(not_ca, Some(V::CertConstraints { which: CertName::Ask }));
    // a chip key that may sign others: its structVersion extension becomes BasicConstraints of a CA
    let (tee, honest) = (machine(), honest(&machine()));
    let mut der = honest.vek.to_vec();
    // structVersion is { OID of 9 bytes, OCTET STRING { INTEGER 0 } }: 16 bytes, as are the constraints { cA TRUE, pathLen 128 }
    let at = der.windows(11).position(|window| *window == *amd!(9, 0x01)).unwrap();
    der[at..at + 16].copy_from_slice(&[0x06, 0x03, 0x55, 0x1d, 0x13, 0x04, 0x09, 0x30, 0x07, 0x01, 0x01, 0xff, 0x02, 0x02, 0x00, 0x80]);
    sign_again(&mut der, ASK, 48);
    let signs = judge(&tee, SnpEndorsements { vek: Blob::new(der).unwrap(), ..honest });
    assert_eq!(signs, Some(V::CertConstraints { which: CertName::Vek }));
}

#[test]
fn a_pinned_root_must_be_allowed_to_sign() {
    let tee = machine();
    let pinned = |edit: Option<Edit>| {
        let mut anchors = anchors();
        let root = anchors.amd.iter_mut().find(|(product, _)| *product == SnpProduct::Turin).map(|(_, root)| root).unwrap();
        if let Some(edit) = edit {
            let cert = Blob::<8192>::new(root.to_vec()).unwrap();
            *root = edited(&cert, edit, ARK, 48).to_vec();
        }
        verify(&tee.mint(&[9; 64]), &Endorsements::Snp(honest(&tee)), &anchors, NOW_S).err()
    };
    assert_eq!(pinned(None), None);
    let no_authority = Edit::First(
        &[0x01, 0x01, 0xff, 0x04, 0x05, 0x30, 0x03, 0x01, 0x01, 0xff],
        &[0x01, 0x01, 0xff, 0x04, 0x05, 0x30, 0x03, 0x01, 0x01, 0x00],
    );
    assert_eq!(pinned(Some(no_authority)), Some(V::CertConstraints { which: CertName::Ark }));
}

#[test]
fn only_one_signature_algorithm_counts() {
    const SALT: &[u8] = &[0xa2, 0x03, 0x02, 0x01, 0x30];
    const SHORT_SALT: &[u8] = &[0xa2, 0x03, 0x02, 0x01, 0x20];
    const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
    const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    const PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
    const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
    let (tee, honest) = (machine(), honest(&machine()));
    let short = edited(&honest.vek, Edit::Every(SALT, SHORT_SALT), ASK, 32);
    let error = judge(&tee, SnpEndorsements { vek: short, ..honest.clone() });
    assert_eq!(error, Some(V::CertAlgorithm { which: CertName::Vek }));
    for edit in [Edit::Every(SALT, SHORT_SALT), Edit::Every(SHA384, SHA256), Edit::Every(PSS, PKCS1)] {
        assert_eq!(with_vek(edit), Some(V::CertAlgorithm { which: CertName::Vek }));
        assert_eq!(with_ask(edit), Some(V::CertAlgorithm { which: CertName::Ask }));
    }
    // said inside, not outside; said outside, not inside
    for edit in [Edit::First(SHA384, SHA256), Edit::Last(SHA384, SHA256)] {
        assert!(matches!(with_vek(edit), Some(V::CertMalformed { what: "it names two signature algorithms", .. })));
    }
    // right words, another salt under them
    let other_salt = edited(&honest.vek, Edit::First(b"SEV-VCEK", b"SEV-VCEK"), ASK, 32);
    let error = judge(&tee, SnpEndorsements { vek: other_salt, ..honest });
    assert_eq!(error, Some(V::CertSignature { which: CertName::Vek }));
}

#[test]
fn extensions_must_be_there_once_and_readable() {
    let unknown: &[u8] = amd!(9, 0x63);
    for (oid, what) in [(amd!(9, 0x02), "productName"), (amd!(9, 0x04), "hwID or csp_id")] {
        assert_eq!(with_vek(Edit::First(oid, unknown)), Some(V::CertExtension { what }));
    }
    let part_unknown: &[u8] = amd!(10, 0x03, 0x63);
    let parts: [(&'static [u8], &str); 5] = [
        (amd!(10, 0x03, 0x01), "blSPL"),
        (amd!(10, 0x03, 0x02), "teeSPL"),
        (amd!(10, 0x03, 0x03), "snpSPL"),
        (amd!(10, 0x03, 0x08), "ucodeSPL"),
        (amd!(10, 0x03, 0x09), "fmcSPL"),
    ];
    for (oid, what) in parts {
        assert_eq!(with_vek(Edit::First(oid, part_unknown)), Some(V::CertExtension { what }));
    }
    let twice = with_vek(Edit::First(amd!(10, 0x03, 0x01), amd!(10, 0x03, 0x02)));
    assert!(matches!(twice, Some(V::CertMalformed { what: "an extension appears twice", .. })));
    // a chip key that names a provider instead of its chip is a provider's key, which another intermediate signs
    let provider = with_vek(Edit::First(amd!(9, 0x04), amd!(9, 0x05)));
    assert!(matches!(provider, Some(V::CertNamed { which: CertName::Ask, .. })), "{provider:?}");
    let product = with_vek(Edit::First(b"\x16\x05Turin", b"\x16\x05Venus"));
    assert_eq!(product, Some(V::ProductName { name: "Venus".into() }));
    let product = with_vek(Edit::First(b"\x16\x05Turin", b"\x16\x05Genoa"));
    assert!(matches!(product, Some(V::ProductMismatch { .. })));
}

#[test]
fn the_keys_must_be_of_the_known_kinds() {
    // secp384r1 becomes another curve
    let curve = with_vek(Edit::First(&[0x2b, 0x81, 0x04, 0x00, 0x22], &[0x2b, 0x81, 0x04, 0x00, 0x23]));
    assert_eq!(curve, Some(V::CertMalformed { which: CertName::Vek, what: "its key is not on P-384" }));
    // rsaEncryption becomes something else
    let rsa = with_ask(Edit::First(
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x02],
    ));
    let not_rsa = Some(V::CertMalformed { which: CertName::Ask, what: "its key is not RSA with 4,096 bits" });
    assert_eq!(rsa, not_rsa);
    // the modulus gives two bytes to the exponent: a key of 511 bytes, as well-formed as before
    let (tee, honest) = (machine(), honest(&machine()));
    let mut der = honest.ask.to_vec();
    let at = der.windows(5).position(|window| window == [0x02, 0x82, 0x02, 0x01, 0x00]).unwrap();
    let modulus = der[at + 6..at + 517].to_vec();
    der[at..at + 4].copy_from_slice(&[0x02, 0x82, 0x01, 0xff]);
    der[at + 4..at + 515].copy_from_slice(&modulus);
    der[at + 4] = 0x7f;
    der[at + 515..at + 522].copy_from_slice(&[0x02, 0x05, 0x01, 0x00, 0x00, 0x00, 0x01]);
    sign_again(&mut der, ARK, 48);
    assert_eq!(judge(&tee, SnpEndorsements { ask: Blob::new(der).unwrap(), ..honest }), not_rsa);
}

#[test]
fn certificate_and_report_must_agree() {
    let tee = machine();
    let telling = |lie| {
        let liar = tee.clone().telling(&[lie]);
        judge(&liar, honest(&liar))
    };
    assert!(matches!(telling(Lie::SnpClonedChip), Some(V::ChipMismatch { .. })));
    assert!(matches!(telling(Lie::SnpZeroChip), Some(V::ChipMismatch { .. })));
    assert!(matches!(telling(Lie::SnpVekOtherTcb), Some(V::CertTcb { .. })));
    assert_eq!(telling(Lie::SnpVekSelfSigned), Some(V::CertAlgorithm { which: CertName::Vek }));
    assert_eq!(telling(Lie::SnpAskRevoked), Some(V::CertRevoked { which: CertName::Ask }));
    assert_eq!(telling(Lie::SnpCrlForged), Some(V::CrlSignature));
    // a genuine provider's key and its intermediate beside a report that says a chip's key signed it
    let provider = honest(&tee.clone().telling(&[Lie::SnpVlek]));
    assert!(matches!(judge(&tee, provider), Some(V::SignerMismatch { .. })));
}
