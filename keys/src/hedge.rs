//! Initialization vectors that do not repeat for different inputs, even when the generator does.
//!
//! Decides: `iv = HKDF-Expand(K_hedge, rng32, incarnation, counter, SHA-256(input))`, 24 bytes. A generator stuck at one value (AMD-SB-7055),
//! or a memory image that was restored, repeats randomness and counter, but then the digest of the input differs or the whole
//! input is the same; sealing the same input twice under the same iv gives the same bytes and tells nothing new.
//! Trusts: the caller to put everything that is sealed under the iv into the digest.
//! Out of scope: whether the generator is secret: a node does not boot without healthy entropy. Protocol section 7, T-R11.

use crate::derive::{Purpose, expand};
use alloc::boxed::Box;
use rand_core::CryptoRng;
use ringwall_wire::counted::{Primitive, count};
use ringwall_wire::ids::Incarnation;
use ringwall_wire::secret::Secret;
use ringwall_wire::without::{Defence, left_out};
use sha2::{Digest as _, Sha256};

/// A source of initialization vectors, and of the randomness of new data keys. One per process or per thread; never copied.
pub struct HedgedIvs {
    rng: Box<dyn CryptoRng + Send>,
    key: Secret<32>,
    incarnation: Incarnation,
    counter: u64,
}

impl core::fmt::Debug for HedgedIvs {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "HedgedIvs({} so far)", self.counter)
    }
}

impl HedgedIvs {
    /// Takes the generator and draws the hedge key from it.
    pub fn new(mut rng: Box<dyn CryptoRng + Send>, incarnation: Incarnation) -> Self {
        let key = random(&mut *rng);
        HedgedIvs { rng, key, incarnation, counter: 0 }
    }

    /// The next iv, for an input that consists of exactly `parts` (framed, so that no two lists of parts digest alike).
    pub(crate) fn next(&mut self, parts: &[&[u8]]) -> [u8; 24] {
        let fresh: Secret<32> = random(&mut *self.rng);
        if left_out(Defence::HedgedIvs) {
            let (iv, _) = fresh.expose().split_first_chunk().expect("32 bytes have 24 in front");
            return *iv;
        }
        let digest = digest(parts);
        let incarnation = self.incarnation.0.to_be_bytes();
        let counter = self.counter.to_be_bytes();
        self.counter = self.counter.checked_add(1).expect("2^64 records are never sealed");
        *expand::<24>(&self.key, Purpose::HedgedIv, &[fresh.expose(), &incarnation, &counter, &digest]).expose()
    }

    /// Fresh random bytes.
    pub(crate) fn random(&mut self) -> Secret<32> {
        random(&mut *self.rng)
    }
}

/// 32 random bytes.
pub(crate) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Secret<32> {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    Secret::from_mut(&mut bytes)
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    count(Primitive::Hash);
    let mut hash = Sha256::new();
    hash.update((parts.len() as u64).to_be_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
