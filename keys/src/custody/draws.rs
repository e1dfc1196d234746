//! Randomness of dealings and envelopes: the generator's, mixed with a master key and a counter.
//!
//! Decides: each draw is `expand(extract(seed, fresh 32 bytes), "custody-draw", counter)`, where the seed itself is fresh randomness extracted with a
//! secret of the caller's. A generator that stands still (AMD-SB-7055) or repeats after its memory was restored gives different draws all
//! the same, and nobody who lacks the secret can compute one. Draws are uniform bytes: no value is left out.
//! Trusts: HKDF to be a PRF. Out of scope: whether the generator is healthy (`node`). Protocol sections 6.1 and 7.3, T-R11.

use crate::derive::{Purpose, expand, extract};
use core::convert::Infallible;
use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use ringwall_wire::secret::Secret;

/// A generator over another one.
pub struct Draws<'a> {
    rng: &'a mut dyn CryptoRng,
    seed: Secret<32>,
    counter: u64,
}

impl core::fmt::Debug for Draws<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Draws({} so far)", self.counter)
    }
}

impl<'a> Draws<'a> {
    /// Mixes `rng` with `salt`, a secret of the caller's.
    pub fn new(rng: &'a mut dyn CryptoRng, salt: &Secret<32>) -> Self {
        let seed = extract(salt, fresh(rng).expose());
        Draws { rng, seed, counter: 0 }
    }

    /// 32 bytes.
    pub fn next_secret(&mut self) -> Secret<32> {
        self.next_draw()
    }

    fn next_draw<const N: usize>(&mut self) -> Secret<N> {
        let parent = extract(&self.seed, fresh(self.rng).expose());
        let counter = self.counter.to_be_bytes();
        self.counter = self.counter.checked_add(1).expect("2^64 draws are never made");
        expand(&parent, Purpose::CustodyDraw, &[&counter])
    }
}

fn fresh(rng: &mut dyn CryptoRng) -> Secret<32> {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    Secret::from_mut(&mut bytes)
}

impl TryRng for Draws<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes(*self.next_draw().expose()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes(*self.next_draw().expose()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(32) {
            let draw = self.next_secret();
            for (byte, drawn) in part.iter_mut().zip(draw.expose()) {
                *byte = *drawn;
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for Draws<'_> {}
