//! The randomness of a client whose host has none to share at will: a generator that every call's fresh bytes are mixed into.
//!
//! Decides: the generator is ChaCha20, seeded anew in every call with the hash of what it drew itself, a counter and the host's 32 bytes. Whoever knows one of the two, state or
//! fresh bytes, knows nothing of what is drawn; whoever sees the state later knows nothing of what was drawn before.
//! Trusts: that the bytes of the first call, or of some call since, came from the platform's generator. Out of scope: what is drawn. docs/core.md, "Randomness".

use core::convert::Infallible;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _, TryCryptoRng, TryRng};
use ringwall_wire::codec::enc_digest;
use ringwall_wire::label::Label;
use ringwall_wire::secret::Secret;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize as _;

/// The generator. Clones share it.
#[derive(Clone)]
pub(super) struct Chance(Arc<Mutex<Inner>>);

struct Inner {
    generator: ChaCha20Rng,
    calls: u64,
}

impl Chance {
    /// A generator that nothing but these bytes went into.
    pub(super) fn new(fresh: &Secret<32>) -> Self {
        let chance = Chance(Arc::new(Mutex::new(Inner { generator: ChaCha20Rng::from_seed([0; 32]), calls: 0 })));
        chance.mix(fresh);
        chance
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mixes fresh bytes in.
    pub(super) fn mix(&self, fresh: &Secret<32>) {
        let mut inner = self.lock();
        let mut own = [0; 32];
        inner.generator.fill_bytes(&mut own);
        let calls = inner.calls.to_be_bytes();
        inner.calls = inner.calls.saturating_add(1);
        let mut seed = enc_digest(Label::HostRandomness, &[&own, &calls, fresh.expose()]);
        inner.generator = ChaCha20Rng::from_seed(seed);
        own.zeroize();
        seed.zeroize();
    }
}

impl TryRng for Chance {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.lock().generator.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.lock().generator.next_u64())
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.lock().generator.fill_bytes(out);
        Ok(())
    }
}

impl TryCryptoRng for Chance {}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(calls: &[u8]) -> Vec<u64> {
        let mut chance = Chance::new(&Secret::new([calls[0]; 32]));
        let mut drawn = vec![chance.next_u64()];
        for call in &calls[1..] {
            chance.mix(&Secret::new([*call; 32]));
            drawn.push(chance.next_u64());
        }
        drawn
    }

    #[test]
    fn bytes_that_repeat_repeat_nothing_and_one_good_call_mends_the_rest() {
        let stuck = drawn(&[1, 1, 1]);
        assert!(stuck[0] != stuck[1] && stuck[1] != stuck[2]);
        assert_eq!(stuck, drawn(&[1, 1, 1]), "the same calls, the same draws");
        let (one, other) = (drawn(&[1, 2, 7]), drawn(&[1, 3, 7]));
        assert_eq!(one[0], other[0]);
        assert!(one[1] != other[1] && one[2] != other[2], "the seven does not bring them together again");
    }
}
