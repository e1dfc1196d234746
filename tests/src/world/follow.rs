//! What a member of a world does when another policy is in force.
//!
//! Decides: nothing of its own: these are the steps of `node/src/governance/follow.rs` over a process of the world: what the record has in force is what it goes by,
//! sessions that were opened before end at their next word, and its own evidence is judged by it; one that is refused ends. Not run here: the file of steps.
//! Trusts: the record. Out of scope: what is brought (`governors`), the cell (`node`). Protocol section 8, PC8 to PC10.

use crate::world::process::Process;
use crate::world::site::{Claim, Wanted};
use ringwall_consensus::Governed;
use ringwall_node::governance::InForce;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::Digest;

impl Process {
    /// Goes by what the record has in force, as `catch_up` of node's `governance/follow.rs`.
    pub fn catch_up(&self) {
        if let Ok(view) = self.replica.view() {
            // One that is of another row ends at its next look.
            let _ = self.follow(&view.governance());
        }
    }

    /// The same, with what the record has; false where that is another row than this process was shown.
    pub(super) fn follow(&self, governed: &Governed) -> bool {
        let (common, now) = (&self.site.common, self.site.policies.now());
        if governed.count() <= now.steps().len() {
            return true;
        }
        common.docket.judge(&common.watch, governed);
        match InForce::by(&common.cluster.policy, governed.steps().iter().cloned()) {
            Ok(next) if next.is_of_one_row_with(&now) => {
                self.site.go_on(next);
                true
            }
            _ => false,
        }
    }

    /// Whether its own evidence satisfies the policy it goes by, as others judge it.
    pub(super) fn fits(&self) -> Result<(), String> {
        let (site, keys) = (&self.site, self.secrets.public());
        let (handshake, nonce) = (Digest(site.nonce().0), site.nonce());
        let claim = Claim { role: Role::PeerResp, incarnation: self.incarnation, keys, handshake: &handshake, nonce: &nonce };
        let wanted = Wanted { role: Role::PeerResp, handshake: &handshake, nonce: &nonce, noise: &keys.noise };
        site.judge(&site.collect(&claim), &wanted).map(drop).map_err(|fault| fault.to_string())
    }
}
