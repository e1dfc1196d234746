//! One judgement of one simulated machine, as a peer would make it.
//!
//! Decides: nothing; `verify`, then `appraise`. Trusts: nothing.
//! Out of scope: expectations (the tests that use it).
#![allow(clippy::result_large_err, dead_code, unreachable_pub, reason = "each test binary uses a part")]

use ringwall_attest::{Anchors, Appraised, Expected, Rejection, VerifyError, appraise, report_data, verify};
use ringwall_sim::SimTee;
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, SigPublic};
use ringwall_wire::policy::PolicyDoc;

/// 2026-11-24 12:00:00 UTC.
pub const NOW_S: u64 = 1_795_521_600;

/// Which half refused.
#[derive(Debug)]
pub enum Refused {
    NotGenuine(VerifyError),
    Rejected(Rejection),
}

/// What a peer asks the machine to bind.
pub fn binding(tee: &SimTee, policy: &PolicyDoc) -> Binding {
    Binding {
        cluster_id: ClusterId([7; 32]),
        epoch: Epoch(1),
        role: Role::PeerResp,
        incarnation: Incarnation(3),
        keys: BootKeys { noise: NoisePublic([1; 32]), sig: SigPublic([2; 32]), kem: KemPublic([3; 1184]) },
        boot_config: tee.profile().boot_config.host_data(),
        policy: Digest(policy.digest()),
        batch_root: Digest([4; 32]),
    }
}

/// Asks the machine for evidence and judges it at `NOW_S`.
pub fn judge_under(tee: &SimTee, policy: &PolicyDoc, anchors: &Anchors) -> Result<Appraised, Refused> {
    let binding = binding(tee, policy);
    let evidence = tee.mint(&report_data(&binding));
    let verified = verify(&evidence, &tee.endorse(), anchors, NOW_S).map_err(Refused::NotGenuine)?;
    let expected = Expected { binding: &binding, boot_config: &tee.profile().boot_config, release_proof: &[], now_s: 0, last_head: None };
    appraise(verified, policy, &expected).map_err(Refused::Rejected)
}
