//! T-K6: a blob that is authentic under two AES-GCM keys ("invisible salamander", Dodis et al. 2018), and why ours refuses it.
//!
//! Decides nothing; compiled for tests only. It forges a value whose GCM tag verifies under the record keys of two data keys, shows that
//! GCM alone accepts it under both, and that the commitment refuses it. Protocol section 7.

use crate::sealed::open_in_place;
use crate::space::{OpenError, SpaceKeys};
use aes_gcm::KeyInit;
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use alloc::vec::Vec;
use ringwall_wire::bounded::Blob;
use ringwall_wire::command::SealedRecord;
use ringwall_wire::ids::{ClientTag, ClusterId, KeyTag, SpaceTag};
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;

/// Product in GCM's field; bit 127 of the number is the coefficient of x^0.
fn times(left: u128, right: u128) -> u128 {
    let (mut product, mut shifted) = (0, right);
    for bit in (0..128).rev() {
        if left >> bit & 1 == 1 {
            product ^= shifted;
        }
        let carry = shifted & 1;
        shifted >>= 1;
        if carry == 1 {
            shifted ^= 0xe1 << 120;
        }
    }
    product
}

/// The inverse: `x^(2^128 - 2)`.
fn inverse(value: u128) -> u128 {
    let mut power = value;
    let mut product = 1 << 127;
    for _ in 1..128 {
        power = times(power, power);
        product = times(product, power);
    }
    product
}

fn encrypt_block(key: &[u8; 32], block: u128) -> u128 {
    let mut bytes = block.to_be_bytes().into();
    Aes256::new(key.into()).encrypt_block(&mut bytes);
    u128::from_be_bytes(bytes.into())
}

fn blocks(bytes: &[u8]) -> impl Iterator<Item = u128> {
    bytes.chunks(16).map(|chunk| {
        let mut block = [0; 16];
        block.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        u128::from_be_bytes(block)
    })
}

/// GCM's tag with the all-zero iv, computed from the definition.
fn tag(key: &[u8; 32], aad: &[u8], ciphertext: &[u8]) -> u128 {
    let h = encrypt_block(key, 0);
    let lengths = ((aad.len() as u128 * 8) << 64) | (ciphertext.len() as u128 * 8);
    let sum = blocks(aad).chain(blocks(ciphertext)).chain([lengths]).fold(0, |sum, block| times(sum ^ block, h));
    sum ^ encrypt_block(key, 1)
}

/// Two blocks of ciphertext, the second chosen so that both keys give the same tag: `x (h1^2 + h2^2) = tag1 + tag2` without it.
fn forged(first: &[u8; 32], second: &[u8; 32], aad: &[u8]) -> Vec<u8> {
    let mut text = [0x5a; 32];
    text.split_at_mut(16).1.fill(0);
    let squares = [first, second].map(|key| times(encrypt_block(key, 0), encrypt_block(key, 0)));
    let apart = tag(first, aad, &text) ^ tag(second, aad, &text);
    let free = times(apart, inverse(squares[0] ^ squares[1]));
    text.split_at_mut(16).1.copy_from_slice(&free.to_be_bytes());
    let mut out = text.to_vec();
    out.extend_from_slice(&tag(first, aad, &text).to_be_bytes());
    out
}

#[test]
fn a_value_authentic_under_two_keys_is_refused_by_the_commitment() {
    let (cluster, space, key, client, iv) = (ClusterId([1; 32]), SpaceTag([2; 16]), KeyTag([3; 16]), ClientTag([4; 16]), [5; 24]);
    let one = SpaceKeys::derive(cluster, space, KeyMode::Cluster, &Secret::new([6; 32]));
    let two = SpaceKeys::derive(cluster, space, KeyMode::Cluster, &Secret::new([7; 32]));
    let (one_keys, two_keys) = (one.record_keys(&iv), two.record_keys(&iv));
    let aad = one.aad(&key, &client, 1);
    assert_eq!(aad, two.aad(&key, &client, 1), "nothing but the data key differs");

    let value = forged(one_keys.parts().1, two_keys.parts().1, &aad);
    let name = forged(one_keys.parts().0, two_keys.parts().0, &aad);
    for keys in [&one_keys, &two_keys] {
        assert!(open_in_place(keys.parts().1, &aad, &mut value.clone()), "AES-GCM alone accepts the forgery under both keys");
        assert!(open_in_place(keys.parts().0, &aad, &mut name.clone()), "AES-GCM alone accepts the forgery under both keys");
    }
    for (committed, refuses) in [(&one_keys, &two), (&two_keys, &one)] {
        let commit = *committed.parts().2;
        let record = SealedRecord {
            client,
            seq: 1,
            iv,
            commit,
            name: Blob::new(name.clone()).expect("short"),
            value: Blob::new(value.clone()).expect("short"),
        };
        assert_eq!(refuses.open(&key, &record), Err(OpenError::OtherKey));
        assert_eq!(refuses.open_name(&key, &record), Err(OpenError::OtherKey));
    }
}
