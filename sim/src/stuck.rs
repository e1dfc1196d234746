//! A generator that stands still, as a processor's can on affected parts and a restored memory's does.
//!
//! Decides: nothing. Trusts: nothing. Out of scope: what hedges against it (`keys`), what notices it at boot (`node`). Protocol section 1.2 (R11).

use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};

/// Gives the same byte for ever.
pub struct Stuck(pub u8);

impl TryRng for Stuck {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}
