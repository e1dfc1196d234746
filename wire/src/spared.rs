//! Parts of the work of a put that a benchmark can leave out, so that their cost is measured in one program. No shipped program contains this (feature
//! `without`, see `without.rs`: whatever can leave a part out holds that mark, too).
//!
//! Decides: the closed list and its names. A part is left out for the whole process, and by members and clients alike: without receipts neither makes any.
//! Trusts: nothing. Out of scope: attacks (`without.rs`), the benchmark (`cargo bench-cost`).

/// A part that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Receipts: log tree, digests of namespaces, signatures, what clients verify and keep. Protocol section 5.2.
    Receipts,
    /// Tags of blocks and seals of the log. Protocol section 5.1.
    AuthenticatedDisks,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Receipts, Self::AuthenticatedDisks];

    /// How it is named on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receipts => "receipts",
            Self::AuthenticatedDisks => "authenticated-disks",
        }
    }

    /// The part of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

#[cfg(feature = "without")]
static SPARED: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Whether the part is left out in this process.
#[cfg(feature = "without")]
pub fn spared(part: Part) -> bool {
    SPARED.load(core::sync::atomic::Ordering::Relaxed) & (1 << part as u32) != 0
}

/// Never.
#[cfg(not(feature = "without"))]
pub const fn spared(_: Part) -> bool {
    false
}

/// Leaves the part out from now on, in this whole process. False: this build cannot.
#[cfg(feature = "without")]
pub fn spare(part: Part) -> bool {
    SPARED.fetch_or(1 << part as u32, core::sync::atomic::Ordering::Relaxed);
    true
}

/// False: this build cannot.
#[cfg(not(feature = "without"))]
pub const fn spare(_: Part) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_an_ordinary_build_leaves_none_out() {
        for part in Part::ALL {
            assert_eq!(Part::named(part.name()), Some(part));
            assert!(!spared(part));
        }
        assert_eq!(Part::named("nothing"), None);
    }
}
