//! ML-DSA-44 signatures of witnesses.
//!
//! Decides: whether these bytes are a key, and whether a signature over these words, with an empty context, is that key's.
//! Trusts: the `ml-dsa` crate. Out of scope: what the words are (`note.rs`). FIPS 204; C2SP tlog-cosignature.

use alloc::vec::Vec;
use ml_dsa::{EncodedVerifyingKey, MlDsa44, Signature, VerifyingKey};

/// The bytes of a key, when they can be one: FIPS 204 gives every string of this length a meaning.
pub(crate) fn key(bytes: &[u8]) -> Option<Vec<u8>> {
    EncodedVerifyingKey::<MlDsa44>::try_from(bytes).ok().map(|_| bytes.to_vec())
}

/// Whether `signature` is that of `key` over `words`.
pub(crate) fn verified(key: &[u8], words: &[u8], signature: &[u8]) -> Option<()> {
    let key = VerifyingKey::<MlDsa44>::decode(&EncodedVerifyingKey::<MlDsa44>::try_from(key).ok()?);
    let signature = Signature::<MlDsa44>::try_from(signature).ok()?;
    key.verify_with_context(words, &[], &signature).then_some(())
}
