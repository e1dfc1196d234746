//! What chance decides: pauses that differ between clients, and where each one begins.
//!
//! Decides: a pause is between half of what it may be and all of it, so that clients which lost one node do not return in step.
//! Trusts: the generator it is given. Out of scope: keys and nonces, which are made where they are used. Protocol section 3.

use rand_core::CryptoRng;

/// A random time between half of `most_ms` and `most_ms`.
pub(crate) fn jitter(most_ms: u64, rng: &mut dyn CryptoRng) -> u64 {
    let half = most_ms / 2;
    let drawn = u64::from(rng.next_u32() & 0xffff);
    half.saturating_add(most_ms.saturating_sub(half).saturating_mul(drawn) / 0xffff)
}

/// A random index below `limit` (0 when `limit` is 0), for spreading clients over nodes.
pub(crate) fn index(limit: usize, rng: &mut dyn CryptoRng) -> usize {
    match u64::try_from(limit) {
        Ok(limit @ 1..) => usize::try_from(rng.next_u64() % limit).unwrap_or(0),
        _ => 0,
    }
}

/// Fresh random bytes.
pub(crate) fn bytes<const N: usize>(rng: &mut dyn CryptoRng) -> [u8; N] {
    let mut out = [0; N];
    rng.fill_bytes(&mut out);
    out
}

/// A generator for tests: of one seed always the same.
#[cfg(test)]
pub(crate) struct Dice(pub(crate) u64);

#[cfg(test)]
impl rand_core::TryRng for Dice {
    type Error = core::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|drawn| (drawn >> 32) as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for byte in out {
            *byte = self.try_next_u32()? as u8;
        }
        Ok(())
    }
}

#[cfg(test)]
impl rand_core::TryCryptoRng for Dice {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_half_and_all_of_the_delay() {
        let mut dice = Dice(1);
        for most in [0, 1, 2, 81, 2_000] {
            let drawn: Vec<u64> = (0..200).map(|_| jitter(most, &mut dice)).collect();
            assert!(drawn.iter().all(|delay| *delay >= most / 2 && *delay <= most), "{most}");
            assert!(most < 81 || drawn.iter().any(|delay| *delay != drawn[0]), "jitter that never varies is no jitter");
        }
    }

    #[test]
    fn index_stays_below_its_limit() {
        let mut dice = Dice(2);
        assert_eq!(index(0, &mut dice), 0);
        let drawn: std::collections::BTreeSet<usize> = (0..100).map(|_| index(3, &mut dice)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
