//! All chance of a world, from one seed.
//!
//! Decides: every part that draws has a stream of its own, named by its purpose, so that one more draw in one place moves nothing in
//! another. Trusts: nothing. Out of scope: what is drawn. ChaCha with eight rounds: speed matters, secrecy does not.

use core::convert::Infallible;
use rand_chacha::ChaCha8Rng;
use rand_core::{CryptoRng, Rng, SeedableRng, TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};

/// A seeded stream; clones draw from the same stream.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<Stream>>);

struct Stream {
    dice: ChaCha8Rng,
    /// While set, every draw gives the same bytes: a generator that repeats itself (register R11).
    stuck: Option<u64>,
}

impl Dice {
    /// The stream of `purpose`, the `number`th of its kind, in the world of `seed`.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        // Numbers are of fixed width, so no two names run into each other.
        let mixed = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(number.to_be_bytes()).chain_update(purpose).finalize();
        Dice(Arc::new(Mutex::new(Stream { dice: ChaCha8Rng::from_seed(mixed.into()), stuck: None })))
    }

    /// A number below `most`; 0 when `most` is 0.
    pub fn below(&self, most: u64) -> u64 {
        let drawn = self.word();
        if most == 0 { 0 } else { drawn % most }
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// True `of` times in a thousand.
    pub fn chance(&self, of: u64) -> bool {
        self.below(1_000) < of
    }

    /// One of `items`; none when there is none.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// Eight bytes as a number.
    pub fn word(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        let mut stream = self.0.lock().expect("nobody panics with the lock held");
        match stream.stuck {
            None => stream.dice.fill_bytes(bytes),
            Some(seed) => ChaCha8Rng::seed_from_u64(seed).fill_bytes(bytes),
        }
    }

    /// From now on every draw gives the same bytes, or again fresh ones.
    pub fn stick(&self, stuck: bool) {
        let mut stream = self.0.lock().expect("nobody panics with the lock held");
        stream.stuck = stuck.then(|| stream.dice.next_u64());
    }

    /// As a generator of keys and nonces.
    pub fn generator(&self) -> Box<dyn CryptoRng + Send> {
        Box::new(self.clone())
    }
}

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.word())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Dice {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_number_and_by_nothing_else() {
        let first = |seed, purpose, number| Dice::new(seed, purpose, number).word();
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
        let drawn = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        let distinct: std::collections::BTreeSet<u64> = drawn.into_iter().collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn a_stuck_stream_repeats_until_it_is_let_go() {
        let dice = Dice::new(7, "keys", 0);
        dice.stick(true);
        assert_eq!(dice.word(), dice.word());
        dice.stick(false);
        assert_ne!(dice.word(), dice.word());
    }
}
