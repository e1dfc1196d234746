//! The proof that recoveries are public, which a node hands out with its word that the epoch began with one.
//!
//! Decides: it is read from `release.published` in the data folder, where an operator puts it (`ringwall release publish-epochs`), judged by the policy in force,
//! and looked at again when file or policy change. What does not hold is not handed out: the log says why. No session waits for it or fails without it: a cluster
//! whose log is down must be recoverable, so that a start that is not public is shown to clients and custodians, and refused by nobody (decision 0049).
//! Trusts: nobody with the file: whoever is shown a proof judges it anew. Out of scope: publishing. Protocol sections 6.2 and 8; layout: docs/formats.md.

use crate::context::Site;
use crate::folders;
use crate::watched::{JudgedFile, LOOK};
use ringwall_attest::release::verify_published;
use ringwall_consensus::{ReadError, View};
use ringwall_wire::bounded::Blob;
use ringwall_wire::ids::{Digest, Epoch};
use ringwall_wire::limits::PUBLISHED_BYTES;
use ringwall_wire::policy::{PolicyDoc, ReleaseRule};
use ringwall_wire::receipt::Recovered;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{info, warn};

/// Its name in the data folder.
pub const PUBLISHED_FILE: &str = "release.published";

/// The proof that is handed out; empty where there is none.
#[derive(Debug, Default)]
pub struct PublicationCell(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    proof: Blob<PUBLISHED_BYTES>,
    looked: Option<JudgedFile>,
}

impl PublicationCell {
    /// Looks at the file of this data folder, if it is another one than before or is to be judged by another policy.
    pub fn look(&self, data: &Path, policy: &PolicyDoc, in_force: Digest) {
        let path = data.join(PUBLISHED_FILE);
        let looked = Some(JudgedFile::now(&path, in_force));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.looked == looked {
            return;
        }
        held.looked = looked;
        held.proof = match read(&path, policy) {
            Ok(None) => Blob::default(),
            Ok(Some((proof, entries))) => {
                info!(entries, "a proof of what was published in the release log is handed out");
                proof
            }
            Err(why) => {
                warn!(file = PUBLISHED_FILE, why, "this is no proof of what was published, and is not handed out");
                Blob::default()
            }
        };
    }

    /// What clients and custodians are told of how the epoch began; none in a cluster's first.
    pub(crate) fn told(&self, view: &View) -> Result<Option<Recovered>, ReadError> {
        let Some(start) = view.epochs_after(Epoch(0)).pop() else { return Ok(None) };
        let published = self.0.lock().unwrap_or_else(PoisonError::into_inner).proof.clone();
        Ok(Some(Recovered { start, began_s: view.recovered_ms()? / 1_000, published }))
    }
}

fn read(path: &Path, policy: &PolicyDoc) -> Result<Option<(Blob<PUBLISHED_BYTES>, usize)>, String> {
    let Some(bytes) = folders::read_most(path, PUBLISHED_BYTES).map_err(|fault| fault.to_string())? else { return Ok(None) };
    let ReleaseRule::Demanded(rule) = &policy.release else {
        return Err("the policy names no release log".into());
    };
    let published = verify_published(&bytes, rule).map_err(|fault| fault.to_string())?;
    let proof = Blob::new(bytes).map_err(|_| format!("it has more than {PUBLISHED_BYTES} bytes"))?;
    Ok(Some((proof, published.entries().len())))
}

/// Looks at the file again and again.
pub(crate) async fn follow(site: Arc<Site>) {
    loop {
        let looking = Arc::clone(&site);
        let look = move || {
            let in_force = looking.policies.now();
            looking.published.look(&looking.config.data, in_force.policy(), in_force.digest());
        };
        // A look that failed is made again.
        let _ = tokio::task::spawn_blocking(look).await;
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_sim::release::Publisher;
    use ringwall_wire::codec::Message as _;
    use ringwall_wire::ids::ClusterId;
    use ringwall_wire::release::{LogEntry, Published, PublishedEntry};

    fn handed_out(cell: &PublicationCell) -> Vec<u8> {
        cell.0.lock().unwrap().proof.to_vec()
    }

    #[test]
    fn what_does_not_hold_is_not_handed_out_and_is_looked_at_again_when_it_changes() {
        let mut publisher = Publisher::default();
        let mut policy = ringwall_sim::world::policy();
        let entry = LogEntry::custody(ClusterId([7; 32]), Digest([8; 32]));
        let index = publisher.log.append(&entry);
        let proof = publisher.log.inclusion(index, publisher.log.size());
        let checkpoint = publisher.log.head(&publisher.witnesses, 5);
        let entries = ringwall_wire::bounded::List::new(vec![PublishedEntry { entry, proof }]).unwrap();
        let good = Published { checkpoint, entries }.encode();
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join(PUBLISHED_FILE);
        let (cell, one, two) = (PublicationCell::default(), Digest([1; 32]), Digest([2; 32]));
        cell.look(data.path(), &policy, one);
        assert!(handed_out(&cell).is_empty());
        std::fs::write(&file, &good).unwrap();
        cell.look(data.path(), &policy, one);
        assert!(handed_out(&cell).is_empty(), "this policy names no log");
        policy.release = publisher.demanded();
        cell.look(data.path(), &policy, two);
        assert_eq!(handed_out(&cell), good);
        for damaged in [good[..good.len() - 1].to_vec(), vec![0; PUBLISHED_BYTES + 1], Vec::new()] {
            std::fs::write(&file, &damaged).unwrap();
            cell.look(data.path(), &policy, two);
            assert!(handed_out(&cell).is_empty(), "{} bytes", damaged.len());
        }
        std::fs::write(&file, &good).unwrap();
        cell.look(data.path(), &policy, two);
        assert_eq!(handed_out(&cell), good);
        std::fs::remove_file(&file).unwrap();
        cell.look(data.path(), &policy, two);
        assert!(handed_out(&cell).is_empty());
    }
}
