//! Everything a simulated machine is made of, derived from names.
//!
//! Decides: keys, chip ids and measurements are HKDF outputs of a name, so that every process mints the same machine and the same
//! chain without sharing files.
//! Trusts: nothing, and nobody may trust these keys: the seed is in this file. Out of scope: the RSA keys (`keys/`).

use crate::minted::Minted;
use hkdf::Hkdf;
use sha2::Sha256;

/// The public seed of the simulated world. Changing it changes every simulated root.
const WORLD: &[u8] = b"ringwall simulated TEE world 1: public, protects nothing";

/// `N` bytes named by `path`; parts are length-prefixed so that no two paths collide.
pub(crate) fn bytes<const N: usize>(path: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha256>::new(None, WORLD).expand(&framed(path), &mut out).expect("N is at most 64");
    out
}

fn framed(path: &[&[u8]]) -> Vec<u8> {
    let mut info = Vec::new();
    for part in path {
        info.extend_from_slice(&u32::try_from(part.len()).expect("a name is short").to_be_bytes());
        info.extend_from_slice(part);
    }
    info
}

/// The P-256 key named by `path`.
pub(crate) fn p256(path: &[&[u8]]) -> p256::ecdsa::SigningKey {
    static KEYS: Minted<Vec<u8>, p256::ecdsa::SigningKey> = Minted::new();
    KEYS.once(framed(path), || {
        let key = |tries: u8| {
            let material: [u8; 32] = bytes(&[path, &[b"p256", &[tries]]].concat());
            p256::ecdsa::SigningKey::from_slice(&material).ok()
        };
        (0u8..=255).find_map(key).expect("one of 256 derived scalars is in range")
    })
}

/// The P-384 key named by `path`.
pub(crate) fn p384(path: &[&[u8]]) -> p384::ecdsa::SigningKey {
    static KEYS: Minted<Vec<u8>, p384::ecdsa::SigningKey> = Minted::new();
    KEYS.once(framed(path), || {
        let key = |tries: u8| {
            let material: [u8; 48] = bytes(&[path, &[b"p384", &[tries]]].concat());
            p384::ecdsa::SigningKey::from_slice(&material).ok()
        };
        (0u8..=255).find_map(key).expect("one of 256 derived scalars is in range")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_do_not_collide() {
        let joined: [u8; 32] = bytes(&[b"ab", b"c"]);
        assert_ne!(joined, bytes(&[b"a", b"bc"]));
        assert_ne!(joined, bytes(&[b"abc"]));
        assert_eq!(joined, bytes(&[b"ab", b"c"]));
    }
}
