//! The one file of the node that reads the operating system's generator.
//!
//! Decides: every key, nonce and iv draws from the generator given here; a generator that fails, repeats itself or returns zeroes is
//! refused at boot, before a key is made (AMD's RDSEED fault, register R11). Initialization vectors are hedged besides (`keys`).
//! Trusts: the guest kernel's generator once it passed. Out of scope: hedging. Protocol section 1.2, R11.

use core::convert::Infallible;
use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use ringwall_wire::ids::Nonce;
use std::sync::Arc;

/// Makes generators; a value, so that tests and simulations bring their own.
pub type Entropy = Arc<dyn Fn() -> Box<dyn CryptoRng + Send> + Send + Sync>;

/// Why a generator is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntropyError {
    /// The system gave nothing.
    #[error("the operating system's generator does not work; a node makes no keys without it")]
    Unavailable,
    /// Two draws were equal, or all zero.
    #[error("the generator repeats itself or returns zeroes; a node makes no keys with it (restart the machine, update its firmware)")]
    Stuck,
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug)]
struct System;

impl TryRng for System {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        // It worked at boot; a kernel whose generator stops afterwards cannot be served from.
        getrandom::fill(dst).expect("the operating system's generator works once it has started");
        Ok(())
    }
}

impl TryCryptoRng for System {}

/// The operating system's generator, after it was tried once.
pub fn system() -> Result<Entropy, EntropyError> {
    getrandom::fill(&mut [0; 32]).map_err(|_| EntropyError::Unavailable)?;
    let entropy: Entropy = Arc::new(|| Box::new(System));
    try_out(&entropy)?;
    Ok(entropy)
}

/// Refuses a generator that is plainly stuck.
pub fn try_out(entropy: &Entropy) -> Result<(), EntropyError> {
    let (first, second, other) = (nonce(entropy), nonce(entropy), nonce(entropy));
    let zero = Nonce([0; 32]);
    match first == second || second == other || first == other || [first, second, other].contains(&zero) {
        true => Err(EntropyError::Stuck),
        false => Ok(()),
    }
}

/// A fresh nonce.
pub fn nonce(entropy: &Entropy) -> Nonce {
    let mut bytes = [0; 32];
    entropy().fill_bytes(&mut bytes);
    Nonce(bytes)
}

/// A number in `0..limit`, for jitter; 0 when `limit` is 0.
pub(crate) fn below(entropy: &Entropy, limit: u64) -> u64 {
    match limit {
        0 => 0,
        _ => entropy().next_u64() % limit,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Constant(u8);

    impl TryRng for Constant {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(u32::from(self.0))
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(u64::from(self.0))
        }
        fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
            dst.fill(self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Constant {}

    #[test]
    fn a_stuck_generator_is_refused_and_the_systems_is_not() {
        assert!(system().is_ok());
        for stuck in [0, 7, 255] {
            let entropy: Entropy = Arc::new(move || Box::new(Constant(stuck)));
            assert_eq!(try_out(&entropy), Err(EntropyError::Stuck));
        }
    }
}
