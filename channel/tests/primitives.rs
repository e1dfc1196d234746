//! X25519, Ed25519 and ML-KEM-768 as the channel uses them, against Wycheproof.
//!
//! Decides: low-order X25519 keys are found (SB4), signatures are verified strictly, malformed ML-KEM keys are refused and malformed
//! ciphertexts give another secret, never an error a stranger could tell apart.
#![allow(clippy::unwrap_used, clippy::panic)]

use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{DecapsulationKey768, EncapsulationKey768};
use wycheproof::{TestResult, eddsa, mlkem, xdh};
use x25519_dalek::{PublicKey, StaticSecret};

#[test]
fn x25519_wycheproof() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut shared_keys, mut low_order) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(public) = <[u8; 32]>::try_from(test.public_key.as_ref()) else { continue };
        let secret: [u8; 32] = test.private_key.as_ref().try_into().unwrap();
        let shared = StaticSecret::from(secret).diffie_hellman(&PublicKey::from(public));
        let zero = test.flags.contains(&xdh::TestFlag::ZeroSharedSecret);
        assert_eq!(shared.was_contributory(), !zero, "case {}: low-order keys are found", test.tc_id);
        if zero {
            low_order += 1;
        } else if test.result != TestResult::Invalid {
            assert_eq!(shared.as_bytes().as_slice(), test.shared_secret.as_ref(), "case {}", test.tc_id);
            shared_keys += 1;
        }
    }
    assert!(shared_keys >= 400 && low_order >= 20, "vectors ran: {shared_keys} shared keys, {low_order} of low order");
}

#[test]
fn ed25519_wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
        for test in &group.tests {
            let verified = <[u8; 64]>::try_from(test.sig.as_ref())
                .is_ok_and(|bytes| key.verify_strict(&test.msg, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok());
            assert_eq!(verified, test.result == TestResult::Valid, "case {}", test.tc_id);
            if verified {
                valid += 1;
            } else {
                invalid += 1;
            }
        }
    }
    assert!(valid >= 50 && invalid >= 50, "vectors ran: {valid} valid, {invalid} invalid");
}

#[test]
fn ml_kem_768_wycheproof_decapsulation() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768).unwrap();
    let mut ran = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(seed), Some(ct)) = (&test.seed, &test.ct) else { continue };
        let Ok(seed) = <[u8; 64]>::try_from(seed.as_ref()) else { continue };
        let key = DecapsulationKey768::from_seed(seed.into());
        let Ok(ct) = <[u8; 1088]>::try_from(ct.as_ref()) else {
            assert_eq!(test.result, TestResult::Invalid, "case {}", test.tc_id);
            continue;
        };
        if let Some(ek) = &test.encaps_key {
            assert_eq!(key.encapsulation_key().to_bytes().as_slice(), ek.as_ref(), "case {}", test.tc_id);
        }
        let shared = key.decapsulate(&ct.into());
        let fits = test.shared_secret.as_ref().is_some_and(|want| shared.as_slice() == want.as_ref());
        assert_eq!(fits, test.result == TestResult::Valid, "case {}", test.tc_id);
        ran += 1;
    }
    assert!(ran >= 20, "vectors ran: {ran}");
}

#[test]
fn ml_kem_768_wycheproof_encapsulation() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(ek), Some(message)) = (&test.encaps_key, &test.msg) else { continue };
        let key = <[u8; 1184]>::try_from(ek.as_ref()).ok().and_then(|ek| EncapsulationKey768::new(&ek.into()).ok());
        let Some(key) = key else {
            assert_eq!(test.result, TestResult::Invalid, "case {}", test.tc_id);
            invalid += 1;
            continue;
        };
        assert_ne!(test.result, TestResult::Invalid, "case {}: a malformed key was taken", test.tc_id);
        let message: [u8; 32] = message.as_ref().try_into().unwrap();
        let (ct, shared) = key.encapsulate_deterministic(&message.into());
        assert_eq!(ct.as_slice(), test.ct.as_ref().unwrap().as_ref(), "case {}", test.tc_id);
        assert_eq!(shared.as_slice(), test.shared_secret.as_ref().unwrap().as_ref(), "case {}", test.tc_id);
        valid += 1;
    }
    assert!(valid >= 10 && invalid >= 10, "vectors ran: {valid} valid, {invalid} invalid");
}
