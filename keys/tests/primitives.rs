//! The primitives as this crate uses them, against published vectors: Wycheproof, RFC 4231, RFC 5869.
//!
//! Decides: a swapped or broken AES-256-GCM, HMAC-SHA-256 or HKDF-SHA-256 is noticed before anything is sealed with it.
#![allow(clippy::unwrap_used, clippy::panic)]

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Tag};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use ringwall_wire::text::{hex, read_hex_vec};
use sha2::Sha256;
use wycheproof::{TestResult, aead, hkdf as hkdf_vectors, mac};

#[test]
fn aes_256_gcm_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups.iter().filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128)) {
        for test in &group.tests {
            let cipher = Aes256Gcm::new_from_slice(&test.key).unwrap();
            let iv: [u8; 12] = test.nonce.as_ref().try_into().unwrap();
            let tag: [u8; 16] = test.tag.as_ref().try_into().unwrap();
            let mut sealed = test.pt.to_vec();
            let made = cipher.encrypt_inout_detached(&iv.into(), &test.aad, sealed.as_mut_slice().into()).unwrap();
            let mut opened = test.ct.to_vec();
            let open = cipher.decrypt_inout_detached(&iv.into(), &test.aad, opened.as_mut_slice().into(), &Tag::from(tag));
            match test.result {
                TestResult::Valid => {
                    assert_eq!((sealed.as_slice(), made.as_slice()), (test.ct.as_ref(), test.tag.as_ref()), "seal, case {}", test.tc_id);
                    assert!(open.is_ok(), "open, case {}", test.tc_id);
                    assert_eq!(opened, test.pt.to_vec(), "open, case {}", test.tc_id);
                    valid += 1;
                }
                _ => {
                    assert!(open.is_err(), "case {} must be refused", test.tc_id);
                    invalid += 1;
                }
            }
        }
    }
    assert!(valid >= 30 && invalid >= 20, "vectors ran: {valid} valid, {invalid} invalid");
}

#[test]
fn hkdf_sha_256_wycheproof() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let result = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        match test.result {
            TestResult::Valid => {
                assert!(result.is_ok());
                assert_eq!(okm, test.okm.to_vec(), "case {}", test.tc_id);
                valid += 1;
            }
            _ => {
                assert!(result.is_err(), "case {} must be refused", test.tc_id);
                invalid += 1;
            }
        }
    }
    assert!(valid >= 50 && invalid >= 1, "vectors ran: {valid} valid, {invalid} invalid");
}

#[test]
fn hmac_sha_256_wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut ran = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&test.key).unwrap();
            mac.update(&test.msg);
            let full = mac.finalize().into_bytes();
            let fits = full.get(..group.tag_size / 8).unwrap() == test.tag.as_ref();
            assert_eq!(fits, test.result != TestResult::Invalid, "case {}", test.tc_id);
            ran += 1;
        }
    }
    assert!(ran >= 100, "vectors ran: {ran}");
}

fn bytes(text: &str) -> Vec<u8> {
    read_hex_vec(text).unwrap()
}

/// RFC 5869 appendix A.1 to A.3: salt, input, info, PRK, output. The PRK step is how `derive.rs` starts.
#[test]
fn hkdf_rfc_5869() {
    let long = |from: u8, to: u8| hex(&(from..=to).collect::<Vec<u8>>());
    let cases: [(String, String, String, &str, &str); 3] = [
        (
            long(0x00, 0x0c),
            "0b".repeat(22),
            long(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            long(0x60, 0xaf),
            long(0x00, 0x4f),
            long(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
             cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            String::new(),
            "0b".repeat(22),
            String::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (salt, ikm, info, prk, okm) in cases {
        let (got_prk, _) = Hkdf::<Sha256>::extract(Some(&bytes(&salt)), &bytes(&ikm));
        assert_eq!(hex(&got_prk), prk);
        let mut out = vec![0; okm.len() / 2];
        Hkdf::<Sha256>::from_prk(&bytes(prk)).unwrap().expand(&bytes(&info), &mut out).unwrap();
        assert_eq!(hex(&out), okm);
    }
}

/// RFC 4231 sections 4.2 to 4.8 (4.6 is truncated to 128 bits there).
#[test]
fn hmac_rfc_4231() {
    let cases: [(Vec<u8>, Vec<u8>, &str); 7] = [
        (vec![0x0b; 20], b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe".to_vec(), b"what do ya want for nothing?".to_vec(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (vec![0xaa; 20], vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        ((1..=25).collect(), vec![0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (vec![0x0c; 20], b"Test With Truncation".to_vec(), "a3b6167473100ee06e0c796c2955552b"),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before \
              being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, message, want) in cases {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap();
        mac.update(&message);
        assert!(hex(&mac.finalize().into_bytes()).starts_with(want));
    }
}
