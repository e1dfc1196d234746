//! Signatures that were found good before: the slow arithmetic of a vendor's chain is done once, not for every session.
//!
//! Decides: nothing about trust. Whether a signature verifies depends on the key, the signed bytes and the signature alone; a good one is
//! remembered under the SHA-256 of exactly these, and found again instead of computed again. Names, dates, constraints, revocation, and
//! which key counts are looked at anew each time, so neither time nor another root can make a remembered answer wrong. A bad signature is
//! never remembered. Changes of a policy that were found to hold are remembered in the same way: whether one holds depends on the cluster, the policy it replaces
//! and its own bytes alone.
//! Trusts: SHA-256 to have no collisions. Bounded: whoever presents many good signatures of his own only makes others slower.
//! Out of scope: signatures over AMD's reports, each of which is seen once. Those over quotes pass through here, as `dcap-qvl` knows one verifier
//! for all signatures.

use ringwall_wire::counted::{Primitive, count};
use sha2::{Digest as _, Sha256};

const SETS: usize = 256;

type Seen<const WAYS: usize> = [[[u8; 32]; WAYS]; SETS];

/// A bounded set of digests; the oldest of a set makes room.
pub(crate) struct Memo<const WAYS: usize>(spin::Mutex<Seen<WAYS>>);

/// Signatures of vendors' chains: 32 KiB.
pub(crate) static CHAINS: Memo<4> = Memo::new();
/// Changes of policies that hold: room for all of one cluster's, 128 KiB.
pub(crate) static STEPS: Memo<16> = Memo::new();

/// What a signature is: nothing else enters whether it verifies.
pub(crate) struct Claimed<'a> {
    /// Name of the algorithm with its parameters.
    pub(crate) algorithm: &'static str,
    /// The public key, encoded.
    pub(crate) key: &'a [u8],
    /// The signed bytes.
    pub(crate) message: &'a [u8],
    /// The signature.
    pub(crate) signature: &'a [u8],
}

impl Claimed<'_> {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"ringwall remembered signature");
        for part in [self.algorithm.as_bytes(), self.key, self.signature, self.message] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl<const WAYS: usize> Memo<WAYS> {
    const fn new() -> Self {
        Memo(spin::Mutex::new([[[0; 32]; WAYS]; SETS]))
    }

    /// `Ok` when the signature was found good before; else what `verify` says, remembered when good. Never waits: while another thread is
    /// in here, the signature is verified as if nothing were remembered.
    pub(crate) fn verified<E>(&self, claimed: &Claimed<'_>, verify: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let digest = claimed.digest();
        if self.0.try_lock().is_some_and(|seen| set(&seen, &digest).contains(&digest)) {
            return Ok(());
        }
        count(Primitive::Verify);
        verify()?;
        if let Some(mut seen) = self.0.try_lock()
            && let Some(ways) = seen.get_mut(usize::from(digest[0]))
            && !ways.contains(&digest)
        {
            ways.rotate_right(1);
            ways[0] = digest;
        }
        Ok(())
    }

    /// Forgets everything.
    pub(crate) fn forget(&self) {
        *self.0.lock() = [[[0; 32]; WAYS]; SETS];
    }
}

fn set<'a, const WAYS: usize>(seen: &'a Seen<WAYS>, digest: &[u8; 32]) -> &'a [[u8; 32]] {
    seen.get(usize::from(digest[0])).map_or(&[], |ways| ways.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::cell::Cell;

    const WAYS: usize = 4;

    fn claimed<'a>(key: &'a [u8], message: &'a [u8], signature: &'a [u8]) -> Claimed<'a> {
        Claimed { algorithm: "toy", key, message, signature }
    }

    #[test]
    fn a_good_signature_is_computed_once_and_a_bad_one_each_time() {
        let memo = Memo::<WAYS>::new();
        let computed = Cell::new(0);
        let good = || -> Result<(), ()> {
            computed.set(computed.get() + 1);
            Ok(())
        };
        for _ in 0..3 {
            assert_eq!(memo.verified(&claimed(b"key", b"message", b"good"), good), Ok(()));
        }
        assert_eq!(computed.get(), 1);
        for _ in 0..3 {
            let bad = || {
                computed.set(computed.get() + 1);
                Err("bad")
            };
            assert_eq!(memo.verified(&claimed(b"key", b"message", b"bad"), bad), Err("bad"));
        }
        assert_eq!(computed.get(), 4);
        memo.forget();
        assert_eq!(memo.verified(&claimed(b"key", b"message", b"good"), good), Ok(()));
        assert_eq!(computed.get(), 5);
    }

    #[test]
    fn every_part_counts_and_parts_do_not_run_together() {
        let memo = Memo::<WAYS>::new();
        assert_eq!(memo.verified(&claimed(b"key", b"message", b"sig"), || Ok::<(), ()>(())), Ok(()));
        let others = [
            claimed(b"kez", b"message", b"sig"),
            claimed(b"key", b"messagf", b"sig"),
            claimed(b"key", b"message", b"sih"),
            claimed(b"ke", b"message", b"ysig"),
            claimed(b"key", b"gmessage", b"si"),
            Claimed { algorithm: "toy2", ..claimed(b"key", b"message", b"sig") },
        ];
        for other in others {
            assert_eq!(memo.verified(&other, || Err("asked")), Err("asked"));
        }
    }

    #[test]
    fn many_signatures_push_out_old_ones_and_nothing_grows() {
        let memo = Memo::<WAYS>::new();
        let keys: Vec<_> = (0..(SETS * WAYS * 8) as u32).map(u32::to_be_bytes).collect();
        for key in &keys {
            assert_eq!(memo.verified(&claimed(key, b"m", b"s"), || Ok::<(), ()>(())), Ok(()));
        }
        let kept = keys.iter().filter(|key| memo.verified(&claimed(*key, b"m", b"s"), || Err(())).is_ok()).count();
        assert!(kept > SETS && kept <= SETS * WAYS, "{kept}");
        assert!(memo.verified(&claimed(keys.last().unwrap(), b"m", b"s"), || Err(())).is_ok(), "the newest is kept");
    }

    #[test]
    fn a_thread_inside_makes_nobody_wait_and_nobody_wrong() {
        let memo = Memo::<WAYS>::new();
        assert_eq!(memo.verified(&claimed(b"k", b"m", b"s"), || Ok::<(), ()>(())), Ok(()));
        let held = memo.0.lock();
        assert_eq!(memo.verified(&claimed(b"k", b"m", b"s"), || Err("computed")), Err("computed"));
        assert_eq!(memo.verified(&claimed(b"k", b"m", b"t"), || Ok::<(), ()>(())), Ok(()));
        drop(held);
        assert_eq!(memo.verified(&claimed(b"k", b"m", b"t"), || Err("not remembered")), Err("not remembered"));
    }
}
