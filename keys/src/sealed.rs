//! AES-256-GCM under keys that seal one plaintext each.
//!
//! Decides: because a key made by [`crate::derive`] from a 24-byte iv is used for one plaintext, GCM's own 12-byte iv is all zeros
//! (the construction of XAES-256-GCM, with HKDF in place of CMAC). Trusts: the caller never to reuse a key for another plaintext.
//! Out of scope: the derivation and the commitment (`space.rs`, `ring.rs`). Protocol section 7.

use aes_gcm::aead::consts::U12;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use alloc::vec::Vec;
use ringwall_wire::counted::{Primitive, count};

/// Bytes of a GCM tag.
pub(crate) const TAG_BYTES: usize = 16;

/// Seals `text` in place and appends the tag.
pub(crate) fn seal_in_place(key: &[u8; 32], aad: &[u8], text: &mut Vec<u8>) {
    let cipher = Aes256Gcm::new(key.into());
    count(Primitive::Seal);
    let tag = cipher.encrypt_inout_detached(&zero_iv(), aad, text.as_mut_slice().into()).expect("a record is below GCM's 64 GiB");
    text.extend_from_slice(&tag);
}

/// Opens `text` in place and removes the tag; `false` (and `text` untouched) when the tag does not fit.
#[must_use]
pub(crate) fn open_in_place(key: &[u8; 32], aad: &[u8], text: &mut Vec<u8>) -> bool {
    let Some(body) = text.len().checked_sub(TAG_BYTES) else { return false };
    let (sealed, tag) = text.split_at_mut(body);
    let Ok(tag) = <&Tag>::try_from(&*tag) else { return false };
    let cipher = Aes256Gcm::new(key.into());
    count(Primitive::Open);
    if cipher.decrypt_inout_detached(&zero_iv(), aad, sealed.into(), tag).is_err() {
        return false;
    }
    text.truncate(body);
    true
}

fn zero_iv() -> Nonce<U12> {
    Nonce::default()
}
