//! The release the demo's nodes run, and the proof of it that they hand out.
//!
//! Decides: that the policy demands two signers and two of three witnesses; how many witnesses have cosigned the proof that lies there. Trusts: nothing; every
//! key is public. Out of scope: judging it (`ringwall_attest::release`), real logs. Protocol section 8, "Releases".

use crate::release::Publisher;
use crate::world;
use ringwall_wire::policy::PolicyDoc;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Who publishes, and where the proof lies.
pub(super) struct Releases {
    path: PathBuf,
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Releases {
    /// Nothing lies there yet.
    pub(super) fn new(path: &Path) -> Self {
        Releases { path: path.to_owned() }
    }

    /// Where the proof lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The standard world's policy, which demands a proof besides.
    pub(super) fn policy(&self) -> PolicyDoc {
        PolicyDoc { release: Publisher::default().demanded(), ..world::policy() }
    }

    /// Puts a proof there that so many witnesses cosigned now. The log is always the same one: only the number of witnesses and the time differ.
    pub(super) fn staple(&mut self, cosigning: usize) -> std::io::Result<()> {
        let mut publisher = Publisher { cosigning, ..Publisher::default() };
        let proof = publisher.release(&world::build().measurement(), now_s());
        let beside = self.path.with_extension("part");
        std::fs::write(&beside, proof)?;
        std::fs::rename(beside, &self.path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::codec::Message as _;
    use ringwall_wire::release::ReleaseProof;

    #[test]
    fn a_proof_is_replaced_whole_and_differs_by_its_witnesses() {
        let folder = tempfile::tempdir().unwrap();
        let mut releases = Releases::new(&folder.path().join("proof"));
        let mut read = |cosigning| {
            releases.staple(cosigning).unwrap();
            ReleaseProof::decode(&std::fs::read(releases.path()).unwrap()).unwrap()
        };
        let (full, few) = (read(3), read(1));
        assert_eq!((full.entry.clone(), full.inclusion.clone()), (few.entry.clone(), few.inclusion.clone()));
        assert!(few.head.len() < full.head.len());
    }
}
