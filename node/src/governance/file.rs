//! The steps of the policy as a file in the data folder, so that a node that starts again does not go back to an older one.
//!
//! Decides: the file is replaced whole. What it holds is public and proves itself: it is judged when it is read, and one that is not this cluster's,
//! does not hold or is older than what the card says is left aside. An operator who takes it away brings a node back to the card's policy until a member
//! tells it the newer one, which it does before it admits; clients and members go by what they know themselves.
//! Trusts: nothing in it. Out of scope: judging (`judges`). Protocol section 8, "Changes"; layout: docs/formats.md.

use crate::folders;
use crate::governance::PolicyCell;
use crate::governance::judges::{self, NotJudged};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{PolicyChain, PolicyRow};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::limits::{POLICY_BYTES, POLICY_ROW_BYTES};
use ringwall_wire::policy::PolicyDoc;
use std::io::{self, Read as _};
use std::path::Path;
use tracing::{info, warn};

/// Its name in the data folder.
pub const POLICY_FILE: &str = "policy.steps";
/// The next one while it is written.
const BESIDE: &str = "policy.steps.new";
/// Bytes of the file at most: the steps with their frame.
const FILE_BYTES: u64 = POLICY_ROW_BYTES as u64 + 4_096;

/// Writes the steps down.
pub fn write(data: &Path, cluster_id: ClusterId, steps: PolicyRow) -> io::Result<()> {
    let chain = PolicyChain { cluster_id, steps };
    folders::replace(&folders::anew(), &data.join(BESIDE), &data.join(POLICY_FILE), &chain.encode())
}

/// What a node starts with: the newest of what the card says and what its folder holds. Fails only where the card itself does not hold.
pub fn at_start(data: &Path, cluster_id: ClusterId, founding: &PolicyDoc, card: &PolicyRow) -> Result<PolicyCell, NotJudged> {
    let bytes = founding.encode().len();
    if bytes > POLICY_BYTES {
        return Err(NotJudged::TooLarge { bytes, max: POLICY_BYTES });
    }
    let cell = PolicyCell::new(judges::walk(&cluster_id, founding, card.clone())?);
    match read(data) {
        Ok(None) => {}
        Ok(Some(chain)) if chain.cluster_id == cluster_id => match judges::walk(&cluster_id, founding, chain.steps) {
            Ok(found) if !found.is_of_one_row_with(&cell.now()) => {
                warn!(file = POLICY_FILE, "the policy in this node's folder is of another row than the card's and is left aside");
            }
            Ok(found) => {
                if cell.go_on(found) {
                    info!(version = %cell.now().policy().version, "the policy in this node's folder is newer than the card's");
                }
            }
            Err(fault) => warn!(file = POLICY_FILE, %fault, "the policy in this node's folder does not hold and is left aside"),
        },
        Ok(Some(_)) => warn!(file = POLICY_FILE, "the policy in this node's folder is another cluster's and is left aside"),
        Err(fault) => warn!(file = POLICY_FILE, %fault, "the policy in this node's folder cannot be read and is left aside"),
    }
    Ok(cell)
}

fn read(data: &Path) -> io::Result<Option<PolicyChain>> {
    let file = match std::fs::File::open(data.join(POLICY_FILE)) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::Error::other("it is larger than any such file"));
    }
    PolicyChain::decode(&bytes).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::bounded::{Blob, List};
    use ringwall_wire::governance::PolicyStep;
    use ringwall_wire::ids::Digest;
    use ringwall_wire::policy::{MeasurementRegister, SignedPolicy, TdxTuple};

    #[test]
    fn a_founding_policy_that_nobody_could_be_shown_is_refused() {
        let mut policy = ringwall_sim::world::policy();
        let register = MeasurementRegister([7; 48]);
        let tuple = TdxTuple { mrtd: register, rtmr0: register, rtmr1: register, rtmr2: register };
        let mut build = policy.measurements[0].clone();
        build.tdx = List::new(vec![tuple; 32]).unwrap();
        policy.measurements = List::new(vec![build; 64]).unwrap();
        let data = tempfile::tempdir().unwrap();
        let refused = at_start(data.path(), ClusterId([3; 32]), &policy, &List::default()).map(|_| ());
        assert_eq!(refused, Err(NotJudged::TooLarge { bytes: policy.encode().len(), max: POLICY_BYTES }));
    }

    #[test]
    fn what_does_not_hold_is_left_aside_and_the_card_stays() {
        let data = tempfile::tempdir().unwrap();
        let (cluster, policy) = (ClusterId([3; 32]), ringwall_sim::world::policy());
        let start = || at_start(data.path(), cluster, &policy, &List::default()).unwrap().now();
        assert_eq!(start().steps().len(), 0, "no file");
        let mut next = policy.clone();
        next.version.0 += 1;
        let signed = SignedPolicy {
            replaces: Some(Digest(policy.digest())),
            policy: Blob::new(next.encode()).unwrap(),
            signatures: List::default(),
        };
        let unsigned = List::new(vec![PolicyStep { signed, notice: None }]).unwrap();
        write(data.path(), cluster, unsigned.clone()).unwrap();
        assert_eq!(read(data.path()).unwrap().unwrap().steps, unsigned, "what is written is read");
        assert_eq!(start().policy().version, policy.version, "nobody approved it");
        assert!(at_start(data.path(), cluster, &policy, &unsigned).is_err(), "a card must hold");
        std::fs::write(data.path().join(POLICY_FILE), vec![0; FILE_BYTES as usize + 1]).unwrap();
        assert!(read(data.path()).is_err());
        assert_eq!(start().policy().version, policy.version);
    }
}
