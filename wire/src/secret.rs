//! The one type secrets live in.
//!
//! Decides: secret bytes are wiped when dropped, never printed, and compared in constant time.
//! Trusts: the compiler not to remove `zeroize`'s volatile writes. Out of scope: locking pages (the guest image has no swap).

use crate::codec::{DecodeError, Field, Reader};
use alloc::vec::Vec;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `N` secret bytes. No `Display`, no ordering, no serializer; `Debug` prints the size alone.
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes ownership of secret bytes and wipes the caller's copy.
    pub fn from_mut(bytes: &mut [u8; N]) -> Self {
        let secret = Secret(*bytes);
        bytes.zeroize();
        secret
    }

    /// Takes ownership of secret bytes.
    pub fn new(bytes: [u8; N]) -> Self {
        Secret(bytes)
    }

    /// The bytes, for the primitive that needs them. Named so that every use is found by a search.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Constant-time comparison.
    pub fn same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Clone for Secret<N> {
    fn clone(&self) -> Self {
        Secret(self.0)
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> core::fmt::Debug for Secret<N> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Secret<{N}>")
    }
}

/// Only so that messages carrying a secret can be compared in tests; constant-time.
impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
    }
}
impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> Field for Secret<N> {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut bytes = input.array()?;
        Ok(Secret::from_mut(&mut bytes))
    }
}

#[cfg(any(test, feature = "sample"))]
impl<const N: usize> crate::sample::Sample for Secret<N> {
    fn sample(source: &mut crate::sample::Source) -> Self {
        Secret(crate::sample::Sample::sample(source))
    }
}
