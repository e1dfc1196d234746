//! How often the primitives of cryptography were called, for tests that compare counts with a table. No shipped program contains this (feature `counts`):
//! without it the call below is empty and nothing is left of the rest.
//!
//! Decides: the closed list. A call is counted where our own code makes it; what a library calls inside is the library's. One count for the whole process:
//! whoever counts runs alone. Trusts: the places that call [`count`]. Out of scope: what a call costs, and which counts are right
//! (`tests/tests/counts`, docs/performance).

/// A primitive that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// AES-256-GCM, sealing one plaintext.
    Seal,
    /// AES-256-GCM, opening one ciphertext.
    Open,
    /// One output of HKDF-SHA-256, of any length, or one extraction.
    Derive,
    /// SHA-256 over one input: digests, leaves and nodes of trees, chains, the handshake's hash.
    Hash,
    /// One multiplication on X25519.
    Exchange,
    /// One signature of a boot key or of a user.
    Sign,
    /// One verification of a signature: of a user, or in evidence where it was not found good before.
    Verify,
}

impl Primitive {
    /// All of them, in the order of [`counted`].
    pub const ALL: [Self; 7] = [Self::Seal, Self::Open, Self::Derive, Self::Hash, Self::Exchange, Self::Sign, Self::Verify];

    /// How a table names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "aead seals",
            Self::Open => "aead opens",
            Self::Derive => "derivations",
            Self::Hash => "hashes",
            Self::Exchange => "x25519",
            Self::Sign => "signatures",
            Self::Verify => "verifications",
        }
    }
}

#[cfg(feature = "counts")]
static COUNTED: [core::sync::atomic::AtomicU64; Primitive::ALL.len()] =
    [const { core::sync::atomic::AtomicU64::new(0) }; Primitive::ALL.len()];

/// Counts one call.
#[cfg(feature = "counts")]
#[inline]
pub fn count(primitive: Primitive) {
    if let Some(counter) = COUNTED.get(primitive as usize) {
        counter.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    }
}

/// Nothing.
#[cfg(not(feature = "counts"))]
#[inline(always)]
pub const fn count(_: Primitive) {}

/// Calls since the process began, in the order of [`Primitive::ALL`].
#[cfg(feature = "counts")]
pub fn counted() -> [u64; Primitive::ALL.len()] {
    core::array::from_fn(|at| COUNTED.get(at).map_or(0, |counter| counter.load(core::sync::atomic::Ordering::Relaxed)))
}
