//! The one file of the client that reads the operating system's generator.
//!
//! Decides: credentials, client names, nonces, handshake keys and what chance decides of pauses all come from here.
//! Trusts: the operating system's generator. Out of scope: everything else.

use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};

/// The operating system's generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entropy;

impl TryRng for Entropy {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(bytes()))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(bytes()))
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        // A client without randomness must not go on: there is no key it could use instead.
        getrandom::fill(dst).expect("the operating system has a working generator");
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

/// `N` fresh random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    let Ok(()) = Entropy.try_fill_bytes(&mut out);
    out
}
