//! Workload keys: what a program in its own TEE may be granted, who says so, and what is written down about it.
//!
//! Decides: the policy under which a key is granted, the order by which governors make it and change it, what a workload and a node say to each
//! other once the node is attested, and the entries of the audit chain. A refusal has a code of a closed table; codes are stable.
//! Trusts: nothing. Out of scope: judging evidence (`attest`), counting and chaining (`consensus`), wrapping (`keys`). Protocol section 10.

mod faults;

pub use faults::{GrantFault, SetFault};

use crate::bounded::{Blob, List, Text};
use crate::codec::{Field as _, enc, enc_digest};
use crate::command::WrappedKey;
use crate::evidence::{Endorsements, Evidence};
use crate::ids::{ClusterId, Digest, Epoch, Incarnation, KeyEpoch, Nonce, TrustDomain, UserId, Vendor};
use crate::label::Label;
use crate::limits::{AUDIT_PAGE, CERT_BYTES, GOVERNORS, POLICY_BYTES, POLICY_MEASUREMENTS, WORKLOAD_CONFIGS, WORKLOAD_NAME_BYTES};
use crate::policy::{Approval, Measurement, MeasurementRegister, SnpRules, TdxRules};
use crate::secret::Secret;
use crate::session::Refusal;
use crate::{byte_name, choice, message, record};
use alloc::boxed::Box;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256, Sha512};

/// Name of a workload key.
pub type WorkloadName = Text<WORKLOAD_NAME_BYTES>;

byte_name!(/// Keyed tag of the user a per-user key was granted for: the audit chain holds no user id.
    SubjectTag, 16);

/// Whether a name may name a key: parts of small letters, digits, `.`, `_` and `-`, with a slash between two of them. No part is empty or begins
/// with a dot, so that a name is also the path of a resource.
pub fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= WORKLOAD_NAME_BYTES && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(legal))
}

message! {
    /// Which workloads are granted a key; canonical bytes are hashed and signed. No field is optional and nothing has a default.
    pub struct GrantPolicy = GrantPolicy {
        /// The key.
        pub name: WorkloadName,
        /// 1 at first, then one more with every change.
        pub version: u64,
        /// Which roots apply; the cluster's.
        pub trust_domain: TrustDomain,
        /// Builds of the workload.
        pub measurements: List<Measurement, POLICY_MEASUREMENTS>,
        /// Least security version of a build.
        pub min_svn: u32,
        /// Rules for AMD evidence: families, firmware, chips, settings.
        pub snp: SnpRules,
        /// Rules for Intel evidence.
        pub tdx: TdxRules,
        /// What the workload must have been started with.
        pub config: ConfigRule,
        /// Grants in one minute of the group's time, over all nodes; 0 grants nothing.
        pub grants_per_minute: u32,
    }
}

choice! {
    /// What a workload must have been started with.
    pub enum ConfigRule {
        /// Anything: the measured build alone decides.
        1 => Any,
        /// One of these.
        2 => Listed(ConfigList),
    }
}

record! {
    /// Accepted configurations; none means none.
    pub struct ConfigList {
        /// AMD: HOST_DATA.
        pub host_data: List<Digest, WORKLOAD_CONFIGS>,
        /// Intel: MRCONFIGID.
        pub mr_config_id: List<MeasurementRegister, WORKLOAD_CONFIGS>,
    }
}

message! {
    /// A grant policy and the governors who sign it; made by `ringwall workload-key order`. The first one makes the key.
    pub struct GrantOrder = GrantOrder {
        /// In which cluster.
        pub cluster_id: ClusterId,
        /// SHA-256 of the grant policy it replaces; none makes the key.
        pub replaces: Option<Digest>,
        /// The canonical bytes of the [`GrantPolicy`].
        pub policy: Blob<POLICY_BYTES>,
        /// Signatures, in no particular order.
        pub signatures: List<Approval, GOVERNORS>,
    }
}

impl GrantOrder {
    /// What every governor signs: all of the order but the signatures.
    pub fn signed_words(&self) -> Vec<u8> {
        enc(Label::GrantOrderSigned, &[&self.cluster_id.0, &self.replaces.to_bytes(), &self.policy])
    }

    /// SHA-256 of the policy.
    pub fn policy_digest(&self) -> Digest {
        Digest(Sha256::digest(&*self.policy).into())
    }
}

record! {
    /// What is known of the machine a workload runs on.
    #[derive(Copy)]
    pub struct Subject {
        /// Maker of the CPU.
        pub vendor: Vendor,
        /// SHA-256 of chip or platform id.
        pub chip: Digest,
        /// Launch digest, or MRTD.
        pub measurement: MeasurementRegister,
    }
}

choice! {
    /// What an audit entry tells.
    #[derive(Copy)]
    pub enum AuditEvent {
        /// The key was made under this policy.
        1 => Created(Digest),
        /// The policy was replaced by this one.
        2 => PolicySet(Digest),
        /// The key was granted.
        3 => Granted,
        /// The key was not granted.
        4 => Refused(GrantFault),
    }
}

record! {
    /// One entry of the audit chain.
    pub struct AuditEntry {
        /// Its number, from 1.
        pub seq: u64,
        /// Group time, Unix milliseconds.
        pub at_ms: u64,
        /// The key, as it was asked for.
        pub name: WorkloadName,
        /// Version of the grant policy in force; 0 where there is no key.
        pub policy_version: u64,
        /// What happened.
        pub event: AuditEvent,
        /// The machine; none where the evidence was not genuine, and where nobody asked for a key.
        pub subject: Option<Subject>,
        /// Tag of the user the key was granted for; none for the key itself.
        pub user: Option<SubjectTag>,
        /// The request: equal requests have one entry.
        pub request: Digest,
        /// The member that judged.
        pub by: Incarnation,
        /// Refusals of this key since its last entry that were too many to be written down one by one.
        pub unrecorded: u64,
    }
}

/// The audit chain after one more entry: `enc_digest("workload-audit", previous, entry)`.
pub fn audit_chain(previous: &Digest, entry: &AuditEntry) -> Digest {
    Digest(enc_digest(Label::WorkloadAudit, &[&previous.0, &entry.to_bytes()]))
}

record! {
    /// A stretch of the audit chain. Whoever has it can chain it from `before` to `head` by themselves.
    pub struct AuditPage {
        /// Digest of the chain before the first entry of this page.
        pub before: Digest,
        /// Entries in order.
        pub entries: List<AuditEntry, AUDIT_PAGE>,
        /// Entries the chain has seen in all.
        pub count: u64,
        /// Its digest now.
        pub head: Digest,
        /// Number of the oldest entry that is kept.
        pub first_kept: u64,
    }
}

// What is replicated.

choice! {
    /// A change of the state of workload keys.
    pub enum WorkloadWrite {
        /// The governors make a key, or change its policy.
        1 => Set(WorkloadSet),
        /// A member judged a workload.
        2 => Attempt(GrantAttempt),
    }
}

record! {
    /// A grant policy with the key, wrapped for it.
    pub struct WorkloadSet {
        /// The order.
        pub order: GrantOrder,
        /// The key, wrapped with this policy in its associated data.
        pub key: WrappedKey,
        /// The member that wrapped it.
        pub by: Incarnation,
    }
}

record! {
    /// A member's word about one request. Whether it is granted is decided where it is applied.
    pub struct GrantAttempt {
        /// Names the request: SHA-256 over its session and number.
        pub request: Digest,
        /// The key.
        pub name: WorkloadName,
        /// The policy it was judged by; none where there was no key.
        pub policy: Option<Digest>,
        /// Why the evidence is not accepted; none when it is.
        pub fault: Option<GrantFault>,
        /// The machine.
        pub subject: Option<Subject>,
        /// Tag of the user.
        pub user: Option<SubjectTag>,
        /// The member.
        pub by: Incarnation,
    }
}

choice! {
    /// What applying a [`WorkloadWrite`] gave.
    #[derive(Copy)]
    pub enum WorkloadOutcome {
        /// The policy of this version is in force.
        1 => Set(u64),
        /// It is not.
        2 => NotSet(SetFault),
        /// Granted, by the entry of this number.
        3 => Granted(u64),
        /// Refused.
        4 => Refused(GrantFault),
    }
}

// What a workload, or a governor, and a node say to each other. The node has attested to the session before.

choice! {
    /// As what somebody comes.
    #[derive(Copy)]
    pub enum WorkloadPurpose {
        /// A workload that asks for keys.
        1 => Workload,
        /// Somebody who carries the governors' orders, or a governor who reads the audit chain.
        2 => Governor,
    }
}

message! {
    /// First message of stream 0 in place of a user's word.
    pub struct WorkloadHello = WorkloadHello {
        /// As what.
        pub purpose: WorkloadPurpose,
    }
}

message! {
    /// The node's answer: what the workload binds its evidence to, with the handshake.
    pub struct WorkloadChallenge = WorkloadChallenge {
        /// Fresh randomness of the node.
        pub nonce: Nonce,
    }
}

/// The 64 bytes a workload has its TEE sign: SHA-512 over `enc("workload-report", cluster, epoch, node, handshake, nonce)`. The label is the role:
/// evidence made for it counts in no other part of the protocol, and other evidence not here.
pub fn workload_report_data(cluster_id: &ClusterId, epoch: Epoch, node: Incarnation, handshake: &Digest, nonce: &Nonce) -> [u8; 64] {
    let (epoch, node) = (epoch.to_bytes(), node.to_bytes());
    Sha512::digest(enc(Label::WorkloadReport, &[&cluster_id.0, &epoch, &node, &handshake.0, &nonce.0])).into()
}

message! {
    /// One question.
    pub struct WorkloadAsk = WorkloadAsk {
        /// Rises in a session; the reply repeats it.
        pub number: u64,
        /// What is asked.
        pub op: WorkloadOp,
    }
}

choice! {
    /// What is asked.
    pub enum WorkloadOp {
        /// Shows evidence; it counts for the rest of the session.
        1 => Attest(Box<WorkloadEvidence>),
        /// Asks for a key.
        2 => Grant(GrantAsk),
        /// Brings an order of the governors.
        3 => Order(Box<GrantOrder>),
        /// Reads the audit chain.
        4 => Audit(AuditAsk),
        /// Asks for the certificate under which the key broker protocol is offered.
        5 => Certificate,
    }
}

record! {
    /// Evidence of a workload and what its vendor says of it.
    pub struct WorkloadEvidence {
        /// Evidence, bound to [`workload_report_data`].
        pub evidence: Evidence,
        /// Endorsements, stapled.
        pub endorsements: Endorsements,
    }
}

record! {
    /// Which key.
    pub struct GrantAsk {
        /// Its name.
        pub name: WorkloadName,
        /// The user whose own key is wanted, derived from it; none for the key itself.
        pub user: Option<UserId>,
    }
}

record! {
    /// Which stretch of the audit chain, and the governor who reads it.
    pub struct AuditAsk {
        /// Entries after this number; 0 for the oldest that is kept.
        pub after: u64,
        /// Signature over [`audit_words`] of this session.
        pub governor: Approval,
    }
}

/// What a governor signs to read the audit chain in one session.
pub fn audit_words(cluster_id: &ClusterId, handshake: &Digest, nonce: &Nonce) -> Vec<u8> {
    enc(Label::WorkloadAuditSigned, &[&cluster_id.0, &handshake.0, &nonce.0])
}

message! {
    /// One answer.
    pub struct WorkloadReply = WorkloadReply {
        /// Number of the question.
        pub number: u64,
        /// The answer.
        pub body: WorkloadAnswer,
    }
}

choice! {
    /// An answer.
    pub enum WorkloadAnswer {
        /// The node could not do it.
        1 => Refused(Refusal),
        /// The evidence was taken; what it is worth, each key's policy decides.
        2 => Heard,
        /// The workload is not granted the key.
        3 => NotGranted(NotGranted),
        /// The key.
        4 => Granted(Granted),
        /// The grant policy of this version is in force.
        5 => Set(u64),
        /// The order is not taken.
        6 => NotSet(SetFault),
        /// A stretch of the audit chain.
        7 => Audit(Box<AuditPage>),
        /// The certificate, DER.
        8 => Certificate(Blob<CERT_BYTES>),
    }
}

record! {
    /// Why a workload is not granted a key.
    pub struct NotGranted {
        /// Stable code.
        pub fault: GrantFault,
        /// For people: which rule, what was found. About the asker's own evidence alone.
        pub detail: Text<512>,
    }
}

record! {
    /// A granted key.
    pub struct Granted {
        /// The key, or the user's own.
        pub key: Secret<32>,
        /// Version of the policy it was granted under.
        pub policy_version: u64,
        /// Generation of the master key it was stored under.
        pub key_epoch: KeyEpoch,
        /// Number of the audit entry.
        pub seq: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_are_paths_of_plain_parts() {
        for good in ["a", "db", "default/key/1", "team-a/disk_key/v1.2", "0"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(WORKLOAD_NAME_BYTES + 1);
        for bad in ["", "/", "a/", "/a", "a//b", "A", "a b", ".", "..", "a/../b", ".hidden", "a%2fb", "ä", long.as_str()] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn every_fault_has_a_code_and_words_of_its_own() {
        let codes: BTreeSet<&str> = GrantFault::ALL.iter().map(|fault| fault.code()).collect();
        let words: BTreeSet<&str> = GrantFault::ALL.iter().map(|fault| fault.words()).collect();
        assert_eq!((codes.len(), words.len()), (GrantFault::ALL.len(), GrantFault::ALL.len()));
    }

    #[test]
    fn each_part_of_the_binding_counts() {
        let (cluster, epoch, node) = (ClusterId([1; 32]), Epoch(1), Incarnation(2));
        let (handshake, nonce) = (Digest([3; 32]), Nonce([4; 32]));
        let base = workload_report_data(&cluster, epoch, node, &handshake, &nonce);
        let others = [
            workload_report_data(&ClusterId([9; 32]), epoch, node, &handshake, &nonce),
            workload_report_data(&cluster, Epoch(9), node, &handshake, &nonce),
            workload_report_data(&cluster, epoch, Incarnation(9), &handshake, &nonce),
            workload_report_data(&cluster, epoch, node, &Digest([9; 32]), &nonce),
            workload_report_data(&cluster, epoch, node, &handshake, &Nonce([9; 32])),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
