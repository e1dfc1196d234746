//! "Invisible salamanders" (Dodis et al. 2018): a ciphertext whose AES-GCM tag fits under two keys, computed from the definition of GCM.
//!
//! Decides: two blocks of ciphertext, the second of which makes both tags equal; the initialization vector is all zero, as under keys that seal one
//! plaintext each. Trusts: nothing. Out of scope: what refuses it (`keys`). Protocol section 7.2; register row K6.

use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce};

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
pub fn forged(first: &[u8; 32], second: &[u8; 32], aad: &[u8]) -> Vec<u8> {
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

/// Seals a text as the definition has it: the tag behind the ciphertext.
pub fn sealed(key: &[u8; 32], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let cipher = Aes256Gcm::new(key.into());
    let tag = cipher.encrypt_inout_detached(&Nonce::<U12>::default(), aad, out.as_mut_slice().into()).expect("a short text can be sealed");
    out.extend_from_slice(&tag);
    out
}

/// Whether AES-GCM alone accepts the blob under this key.
pub fn opens(key: &[u8; 32], aad: &[u8], blob: &[u8]) -> bool {
    let Some((text, given)) = blob.split_last_chunk::<16>() else { return false };
    tag(key, aad, text).to_be_bytes() == *given
}
