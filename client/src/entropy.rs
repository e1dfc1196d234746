//! The one file of the client that reads the operating system's generator.
//!
//! Decides: credentials, client names, nonces, handshake keys and backoff jitter all come from here.
//! Trusts: the operating system's generator. Out of scope: everything else.

use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};
use std::time::Duration;

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

/// A random duration between half of `most` and `most`, so that clients which lost one node do not return in step.
pub(crate) fn jitter(most: Duration) -> Duration {
    let half = most / 2;
    half.saturating_add(half.mul_f64(f64::from(u16::from_ne_bytes(bytes())) / f64::from(u16::MAX)))
}

/// A random index below `limit` (0 when `limit` is 0), for spreading clients over nodes.
pub(crate) fn index(limit: usize) -> usize {
    match limit {
        0 => 0,
        _ => usize::from_ne_bytes(bytes()) % limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_half_and_all_of_the_delay() {
        let most = Duration::from_millis(80);
        let drawn: Vec<Duration> = (0..200).map(|_| jitter(most)).collect();
        assert!(drawn.iter().all(|delay| *delay >= most / 2 && *delay <= most));
        assert!(drawn.iter().any(|delay| *delay != drawn[0]), "jitter that never varies is no jitter");
    }

    #[test]
    fn index_stays_below_its_limit() {
        assert_eq!(index(0), 0);
        assert!((0..100).all(|_| index(3) < 3));
    }
}
