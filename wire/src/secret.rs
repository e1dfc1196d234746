//! The one type secrets live in.
//!
//! Decides: secret bytes stand at one place in memory, are wiped there when dropped, never printed, and compared in constant time. A secret that is moved
//! moves a pointer; an array would leave a copy wherever it had been.
//! Trusts: the compiler not to remove `zeroize`'s volatile writes. Out of scope: locking pages (the guest image has no swap).

use crate::codec::{DecodeError, Field, Reader};
use alloc::boxed::Box;
use alloc::vec::Vec;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Bytes a buffer that has no room for a secret is given behind it: all that can follow one in a message, so that the buffer does not move and leave the
/// secret behind. A buffer that was made for a whole encoding has room for it.
const ROOM_BEHIND: usize = 16 * 1024;
/// Bytes of stack that [`wash_stack`] overwrites: more than any primitive here uses.
const STACK_WASHED: usize = 96 * 1024;

/// Overwrites what calls that have returned left on the stack. Primitives keep copies of keys in variables that nobody can wipe; whoever has called
/// them for a key that lives on calls this next.
#[inline(never)]
pub fn wash_stack() {
    let mut space = [0_u8; STACK_WASHED];
    core::hint::black_box(&mut space);
}

/// `N` secret bytes. No `Display`, no ordering, no serializer; `Debug` prints the size alone.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes ownership of secret bytes and wipes the caller's copy.
    pub fn from_mut(bytes: &mut [u8; N]) -> Self {
        let mut secret = Secret(Box::new([0; N]));
        secret.0.copy_from_slice(bytes);
        bytes.zeroize();
        secret
    }

    /// Takes ownership of secret bytes.
    pub fn new(mut bytes: [u8; N]) -> Self {
        Secret::from_mut(&mut bytes)
    }

    /// The bytes, for the primitive that needs them. Named so that every use is found by a search.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Constant-time comparison.
    pub fn same(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> Clone for Secret<N> {
    fn clone(&self) -> Self {
        let mut copy = Secret(Box::new([0; N]));
        copy.0.copy_from_slice(self.0.as_slice());
        copy
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
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
    /// A buffer with room for the secret is taken to have room for the whole encoding, as `encode` and `to_bytes` make it: one that moves later leaves the secret behind.
    fn put(&self, out: &mut Vec<u8>) {
        if out.capacity().saturating_sub(out.len()) < N {
            out.reserve(N.saturating_add(ROOM_BEHIND));
        }
        out.extend_from_slice(self.0.as_slice());
    }
    fn size(&self) -> usize {
        N
    }
    fn take(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut bytes = input.array()?;
        Ok(Secret::from_mut(&mut bytes))
    }
}

#[cfg(any(test, feature = "sample"))]
impl<const N: usize> crate::sample::Sample for Secret<N> {
    fn sample(source: &mut crate::sample::Source) -> Self {
        Secret::new(crate::sample::Sample::sample(source))
    }
}
