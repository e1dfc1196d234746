//! The release the demo's nodes run, and the proof of it that they hand out.
//!
//! Decides: that the policy demands two signers and two of three witnesses, and that all of them have given their word now. Trusts: nothing; every key is public.
//! Out of scope: judging it (`ringwall_attest::release`), real logs, proofs that lack something: no node hands one out (`papers.rs`). Protocol section 8, "Releases".

use crate::release::Publisher;
use crate::world;
use ringwall_wire::policy::PolicyDoc;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The standard world's policy, which demands a proof besides.
pub(super) fn policy() -> PolicyDoc {
    PolicyDoc { release: Publisher::default().demanded(), ..world::policy() }
}

/// Puts a proof there.
pub(super) fn staple(path: &Path) -> std::io::Result<()> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    std::fs::write(path, Publisher::default().release(&world::build().measurement(), now_s))
}
