//! What was verified of a node, or why it was not: facts, and the chain of reasons.
//!
//! Decides: how the appraisal's reasons are kept for people and programs (`verify --explain`, `--json`). Holds no secret.
//! Trusts: the appraised peer or the refusal it is made from. Out of scope: the judging (`attest`). Protocol sections 2.2 and 3.

use crate::recovered::Recovery;
use ringwall_attest::release::Released;
use ringwall_attest::{AppraisedPeer, SessionError, Step, Trace};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, PolicyVersion, TrustDomain, Vendor};
use ringwall_wire::policy::{PlatformUnseal, PolicyDoc};
use std::sync::Arc;

/// Why a node was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Where it answers.
    pub address: String,
    /// The cluster it proved to serve: the pinned one.
    pub cluster_id: ClusterId,
    /// Epoch of the cluster.
    pub epoch: Epoch,
    /// Which life of the node.
    pub incarnation: Incarnation,
    /// Whose roots the cluster lives under.
    pub trust_domain: TrustDomain,
    /// Maker of its CPU.
    pub vendor: Vendor,
    /// SHA-256 of its chip or platform id.
    pub chip: Digest,
    /// Name of the measured release.
    pub measurement: String,
    /// Security version of the release.
    pub svn: u32,
    /// Version of the policy it was judged by.
    pub policy_version: PolicyVersion,
    /// That policy: the founding one, or what verified changes made of it.
    pub policy: Arc<PolicyDoc>,
    /// Whether that policy lets the cluster's own chips open its keys after a total outage, without custodians.
    pub platform_unseal: PlatformUnseal,
    /// Whether the policy names another release log than before, so that what was remembered of a log begins anew.
    pub log_began_anew: bool,
    /// The recoveries the node told of in a session, the newest last; empty where none was, and where no session was opened.
    pub recovered: Vec<Recovery>,
    /// The chain of reasons, for people, in the order of the stages.
    pub steps: Vec<Step>,
}

impl Verification {
    /// What the judged peer proved; `address` is where it answers, or what to call it.
    pub fn of(peer: &AppraisedPeer, address: &str) -> Self {
        let appraised = peer.appraised();
        Verification {
            address: address.into(),
            cluster_id: peer.cluster_id(),
            epoch: peer.epoch(),
            incarnation: peer.incarnation(),
            trust_domain: peer.policy().trust_domain,
            vendor: appraised.vendor(),
            chip: appraised.chip(),
            measurement: appraised.measurement().into(),
            svn: appraised.svn(),
            policy_version: peer.policy().version,
            policy: Arc::new(peer.policy().clone()),
            platform_unseal: peer.policy().platform_unseal,
            log_began_anew: peer.released().is_some_and(Released::begins_anew),
            recovered: Vec::new(),
            steps: appraised.steps().to_vec(),
        }
    }
}

/// One judgement with everything that led to it, whichever way it ended.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Address of the node, or the file the exchange came from.
    pub place: String,
    /// As of when it was judged, Unix seconds.
    pub at_s: u64,
    /// What was verified, or the refusal.
    pub verdict: Result<Verification, Arc<SessionError>>,
    /// What was established, up to the refusal if there is one.
    pub trace: Trace,
}
