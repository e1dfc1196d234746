//! What was verified of the node in use, in plain words.
//!
//! Decides: how the appraisal's chain of reasons is kept for people (`verify --explain`, `--json`). Holds no secret.
//! Trusts: the appraised peer it is made from. Out of scope: the judging (`attest`). Protocol sections 2.2 and 3.

use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, PolicyVersion, TrustDomain, Vendor};

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
    /// The chain of reasons, for people.
    pub steps: Vec<String>,
}
