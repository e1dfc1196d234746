//! A key on its way to a guest: JSON Web Encryption to the key pair its hardware vouched for.
//!
//! Decides: ECDH-ES+A256KW over P-256 (what guests make today) and RSA-OAEP-256 (what older ones made), content under A256GCM; the flattened form,
//! with members and header in the order and spelling current clients expect, since they hash the header as they would write it. RSA1_5 is refused.
//! Trusts: the public key, which is bound into the evidence. Out of scope: P-521. Source: RFC 7516, RFC 7518 sections 4.3, 4.6 and C, RFC 3394.

use super::protocol::{TeeKey, base64url, from_base64url};
use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use aes_gcm::{AeadInOut as _, Aes256Gcm, Nonce};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use rand_core::CryptoRng;
use ringwall_wire::secret::{Secret, wash_stack};
use rsa::{BoxedUint, Oaep};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const ECDH: &str = "ECDH-ES+A256KW";
const RSA: &str = "RSA-OAEP-256";
/// Bytes of the largest RSA modulus: 4096 bits.
const MODULUS_BYTES: usize = 512;
/// Bits a modulus may have.
const MODULUS_BITS: core::ops::RangeInclusive<usize> = 2_048..=4_096;
/// Initial value of the key wrap (RFC 3394, 2.2.3.1).
const WRAP_IV: [u8; 8] = [0xa6; 8];

/// Why nothing can be sealed to a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    #[error("keys of algorithm {0:?} are not sealed to here; use ECDH-ES+A256KW on P-256, or RSA-OAEP-256")]
    Algorithm(String),
    #[error("the public key is none of its kind")]
    NoKey,
}

/// Seals `secret` to the guest's key; gives the JSON of the answer.
pub(super) fn seal(secret: &Secret<32>, key: &TeeKey, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, KeyError> {
    let mut content_key = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *content_key);
    let mut iv = [0; 12];
    rng.fill_bytes(&mut iv);
    let (header, wrapped) = match key {
        TeeKey::Ec { alg, crv, kty, x, y } if (&**alg, &**crv, &**kty) == (ECDH, "P-256", "EC") => ecdh(&content_key, x, y, rng)?,
        TeeKey::Rsa { alg, e, kty, n } if (&**alg, &**kty) == (RSA, "RSA") => oaep(&content_key, n, e, rng)?,
        TeeKey::Ec { alg, .. } | TeeKey::Rsa { alg, .. } => {
            return Err(KeyError::Algorithm(alg.chars().take(32).filter(|letter| !letter.is_control()).collect()));
        }
    };
    let protected = base64url(header.as_bytes());
    let mut text = Zeroizing::new(secret.expose().to_vec());
    let cipher = Aes256Gcm::new((&*content_key).into());
    let tag = cipher.encrypt_inout_detached(&Nonce::from(iv), protected.as_bytes(), text.as_mut_slice().into());
    let tag = tag.expect("32 bytes are below GCM's 64 GiB");
    wash_stack();
    let members = [
        ("protected", protected),
        ("encrypted_key", base64url(&wrapped)),
        ("iv", base64url(&iv)),
        ("ciphertext", base64url(&text)),
        ("tag", base64url(&tag)),
    ];
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    Ok(format!("{{{}}}", members.join(",")).into_bytes())
}

/// Header and wrapped key for a guest's point.
fn ecdh(content_key: &[u8; 32], x: &str, y: &str, rng: &mut dyn CryptoRng) -> Result<(String, Vec<u8>), KeyError> {
    let coordinate = |text: &str| from_base64url(text, 32).filter(|bytes| bytes.len() == 32).ok_or(KeyError::NoKey);
    let point = [&[4][..], &coordinate(x)?, &coordinate(y)?].concat();
    let theirs = PublicKey::from_sec1_bytes(&point).map_err(|_| KeyError::NoKey)?;
    let ours = ephemeral(rng)?;
    let shared = p256::ecdh::diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
    let wrapping = concat_kdf(shared.raw_secret_bytes());
    let shown = ours.public_key().to_sec1_point(false);
    let (Some(x), Some(y)) = (shown.x(), shown.y()) else { return Err(KeyError::NoKey) };
    let epk = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{}\",\"y\":\"{}\"}}", base64url(x), base64url(y));
    Ok((format!("{{\"alg\":\"{ECDH}\",\"enc\":\"A256GCM\",\"epk\":{epk}}}"), wrap(&wrapping, content_key)))
}

/// A key for one message. Random bytes are a scalar but for one case in 2^32.
fn ephemeral(rng: &mut dyn CryptoRng) -> Result<SecretKey, KeyError> {
    for _ in 0..16 {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        if let Ok(key) = SecretKey::from_slice(&*bytes) {
            return Ok(key);
        }
    }
    Err(KeyError::NoKey)
}

/// Concat KDF for one block of SHA-256, without party info (RFC 7518, 4.6.2).
fn concat_kdf(shared: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    hash.update((ECDH.len() as u32).to_be_bytes());
    hash.update(ECDH);
    hash.update([0; 8]);
    hash.update(256_u32.to_be_bytes());
    Zeroizing::new(hash.finalize().into())
}

/// AES key wrap of 32 bytes (RFC 3394, 2.2.1).
fn wrap(wrapping: &[u8; 32], key: &[u8; 32]) -> Vec<u8> {
    let cipher = Aes256::new(wrapping.into());
    let mut first = WRAP_IV;
    let mut parts: Vec<[u8; 8]> = key.as_chunks::<8>().0.to_vec();
    let mut step: u64 = 0;
    for _ in 0..6 {
        for part in &mut parts {
            step = step.saturating_add(1);
            let mut block = [0; 16];
            block.iter_mut().zip(first.iter().chain(part.iter())).for_each(|(to, from)| *to = *from);
            let mut block = block.into();
            cipher.encrypt_block(&mut block);
            let (head, tail) = block.split_at(8);
            first.copy_from_slice(head);
            part.copy_from_slice(tail);
            first.iter_mut().zip(step.to_be_bytes()).for_each(|(byte, count)| *byte ^= count);
        }
    }
    [&first[..], parts.as_flattened()].concat()
}

/// Header and wrapped key for a guest's modulus.
fn oaep(content_key: &[u8; 32], n: &str, e: &str, rng: &mut dyn CryptoRng) -> Result<(String, Vec<u8>), KeyError> {
    let number = |text: &str, most: usize| {
        let bytes = from_base64url(text, most).ok_or(KeyError::NoKey)?;
        let bits = u32::try_from(bytes.len().max(1).saturating_mul(8)).map_err(|_| KeyError::NoKey)?;
        BoxedUint::from_be_slice(&bytes, bits).map_err(|_| KeyError::NoKey)
    };
    let key = rsa::PublicKey::new_with_size_limits(number(n, MODULUS_BYTES)?, number(e, 8)?, MODULUS_BITS).map_err(|_| KeyError::NoKey)?;
    let wrapped = key.encrypt(rng, Oaep::<Sha256>::new(), content_key).map_err(|_| KeyError::NoKey)?;
    Ok((format!("{{\"alg\":\"{RSA}\",\"enc\":\"A256GCM\"}}"), wrapped))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::testing::rng;
    use ringwall_wire::text::{hex, read_hex, read_hex_vec};

    #[test]
    fn keys_are_wrapped_as_rfc_3394_says() {
        // Section 4.6: 256 bits of key data with a 256-bit KEK.
        let kek = read_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").unwrap();
        let key = read_hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f").unwrap();
        assert_eq!(hex(&wrap(&kek, &key)), "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
    }

    #[test]
    fn header_and_members_stand_as_clients_write_them() {
        let guest = SecretKey::from_slice(&[7; 32]).unwrap();
        let point = guest.public_key().to_sec1_point(false);
        let coordinate = |bytes: &[u8]| base64url(bytes);
        let (x, y) = (coordinate(point.x().unwrap()), coordinate(point.y().unwrap()));
        let key = TeeKey::Ec { alg: ECDH.into(), crv: "P-256".into(), kty: "EC".into(), x: x.clone(), y: y.clone() };
        let sealed = String::from_utf8(seal(&Secret::new([9; 32]), &key, &mut *rng()).unwrap()).unwrap();
        let names: Vec<&str> = sealed.trim_matches(['{', '}']).split(',').map(|member| member.split(':').next().unwrap()).collect();
        assert_eq!(names, ["\"protected\"", "\"encrypted_key\"", "\"iv\"", "\"ciphertext\"", "\"tag\""]);
        let value: serde_json::Value = serde_json::from_str(&sealed).unwrap();
        let header = from_base64url(value["protected"].as_str().unwrap(), 1_024).unwrap();
        let header = String::from_utf8(header).unwrap();
        assert!(header.starts_with(r#"{"alg":"ECDH-ES+A256KW","enc":"A256GCM","epk":{"crv":"P-256","kty":"EC","x":""#), "{header}");
        for wrong in [
            TeeKey::Ec { alg: ECDH.into(), crv: "P-521".into(), kty: "EC".into(), x: x.clone(), y: y.clone() },
            TeeKey::Ec { alg: "ECDH-ES".into(), crv: "P-256".into(), kty: "EC".into(), x: x.clone(), y: y.clone() },
            TeeKey::Rsa { alg: "RSA1_5".into(), e: "AQAB".into(), kty: "RSA".into(), n: "bg".into() },
        ] {
            assert!(matches!(seal(&Secret::new([9; 32]), &wrong, &mut *rng()), Err(KeyError::Algorithm(_))), "{wrong:?}");
        }
        for (x, y) in [("", ""), (x.as_str(), x.as_str()), ("!!", y.as_str())] {
            let wrong = TeeKey::Ec { alg: ECDH.into(), crv: "P-256".into(), kty: "EC".into(), x: x.into(), y: y.into() };
            assert_eq!(seal(&Secret::new([9; 32]), &wrong, &mut *rng()), Err(KeyError::NoKey));
        }
        let empty = TeeKey::Rsa { alg: RSA.into(), e: "AQAB".into(), kty: "RSA".into(), n: String::new() };
        assert_eq!(seal(&Secret::new([9; 32]), &empty, &mut *rng()), Err(KeyError::NoKey));
    }

    #[test]
    fn the_derivation_is_the_one_of_rfc_7518_appendix_c_with_this_algorithm() {
        // Computed with Python's hashlib over the same fields.
        let shared = read_hex_vec("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4").unwrap();
        assert_eq!(hex(&*concat_kdf(&shared)), KDF_ANSWER);
    }

    const KDF_ANSWER: &str = "89ab838633757805bd678cb164f2427776824e8f784152f23747096449921f46";
}
