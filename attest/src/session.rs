//! Judging a whole attestation answer for one session.
//!
//! Decides: whether the other side of this handshake is a node of the pinned cluster: the founding record hashes to the pinned identity, the policy is
//! the newest one held or follows from it (`session/pin.rs`), the answer is for the role and Noise key of this session, the session's leaf leads to the root the evidence is bound to, the boot
//! configuration names this cluster and a slot this vendor may fill; then the evidence itself. The answer's own words are never believed before
//! they are hashed into the binding the hardware signed.
//! Trusts: what the caller pinned and asked. Out of scope: the handshake (`channel`), membership (`node`). Protocol section 3.

mod pin;

pub use pin::PolicyPin;

use crate::account::Finding;
use crate::anchors::Anchors;
use crate::appraise::{Expected, appraise_bound};
use crate::batch::{fold, leaf, session_words, standing_leaf};
use crate::error::{Layer, VerifyError};
use crate::governance::StepError;
use crate::rejection::Rejection;
use crate::release::Released;
use crate::step::{Stage, Trace};
use crate::{Appraised, verify_traced};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use ed25519_dalek::{Signature, VerifyingKey};
use pin::{Followed, followed};
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::evidence::{Binding, Evidence, Role};
use ringwall_wire::genesis::{BootCluster, BootConfig, GenesisRecord};
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, NoisePublic, Nonce, PolicyVersion, Slot, TrustDomain, Vendor};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::release::LogHead;
use ringwall_wire::session::{AttestMode, AttestResp, SessionProof, StandingProof};
use ringwall_wire::without::{Defence, left_out};

/// Seconds a standing period may seem to start in the future: clocks of client and cluster differ a little.
pub const CLOCK_TOLERANCE_S: u64 = 30;

/// What the judging side holds about the cluster before it dials.
#[derive(Clone, Copy, Debug)]
pub struct Pinned<'a> {
    /// The cluster's identity.
    pub cluster_id: ClusterId,
    /// The newest policy it knows.
    pub policy: PolicyPin<'a>,
    /// Roots of trust.
    pub anchors: &'a Anchors,
    /// Now, Unix seconds.
    pub now_s: u64,
    /// The newest head of the release log that was verified before; none when none was. Never go back behind it.
    pub last_head: Option<&'a LogHead>,
}

/// What the judging side knows about this session.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Handshake hash.
    pub handshake: &'a Digest,
    /// The nonce it sent.
    pub nonce: &'a Nonce,
    /// The part the other side must attest for.
    pub role: Role,
    /// The static key the handshake authenticated.
    pub noise: &'a NoisePublic,
    /// The weakest way to bind the session to evidence that is accepted; members ask for `Single`.
    pub mode: AttestMode,
}

/// Why an answer does not make the other side a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum SessionError {
    /// The founding record is another cluster's.
    #[error("the node serves cluster {got}, pinned is {pinned}: is the address right?")]
    OtherCluster { got: ClusterId, pinned: ClusterId },
    /// The policy is not the one the founding record names.
    #[error("the node follows policy {got}, its founding record names {named}")]
    OtherPolicy { got: Digest, named: Digest },
    /// The policy is older than one already seen.
    #[error("the node follows policy version {got}, required at least {required}: it was rolled back or has not caught up")]
    PolicyTooOld { got: PolicyVersion, required: PolicyVersion },
    /// The policy is another one than the newest held, and nothing leads from that to it.
    #[error(
        "the node follows policy {got}, and nothing it shows leads there from {held}, the newest one this side holds: two policies replaced one, or it is forged"
    )]
    PolicyUnrelated { got: Digest, held: Digest },
    /// The policy was changed, and the one to begin with is not there.
    #[error("the node shows {changes} changes of the policy without the founding policy they begin with: judge it with the cluster card")]
    FoundingPolicyMissing { changes: usize },
    /// The changes of the policy do not hold.
    #[error("the changes of the policy the node shows do not hold: {0}")]
    Steps(StepError),
    /// The changes lead to another policy.
    #[error("the changes the node shows lead to policy {lead}, it follows {got}")]
    StepsLeadElsewhere { lead: Digest, got: Digest },
    /// Founding record and policy contradict each other.
    #[error("founding record and policy name different {what}")]
    PolicyContradicts { what: &'static str },
    /// The boot configuration is for another trust domain than the cluster.
    #[error("the node was started for trust domain {got:?}, the cluster lives in {required:?}")]
    OtherTrustDomain { got: TrustDomain, required: TrustDomain },
    /// The evidence is for another part in the protocol.
    #[error("the node attests as {got:?}, this session needs {required:?}")]
    OtherRole { got: Role, required: Role },
    /// The evidence is for another Noise key than the handshake's.
    #[error("the node attests Noise key {got}, the handshake authenticated {required}: someone stands between")]
    OtherNoiseKey { got: NoisePublic, required: NoisePublic },
    /// A member without an incarnation, or a stranger with one.
    #[error("incarnation {got} does not fit role {role:?} in epoch {epoch}")]
    IncarnationUnfit { got: Incarnation, role: Role, epoch: Epoch },
    /// The path does not fit its own index and leaf count.
    #[error("the batch path is malformed: leaf {index} of {leaves} with {hashes} hashes")]
    BatchPath { index: u32, leaves: u32, hashes: usize },
    /// The session is bound more weakly than was asked.
    #[error("the session is proved in mode {got:?}, asked was {asked:?}: the node must answer as it was asked, or refuse")]
    WeakerMode { asked: AttestMode, got: AttestMode },
    /// The policy does not offer standing keys.
    #[error("the node proves its session by a standing key, which the policy does not offer")]
    StandingNotOffered,
    /// Standing keys are for clients only.
    #[error("a standing key does not serve role {role:?}: this session needs evidence of its own")]
    StandingForRole { role: Role },
    /// The period is over, or has not begun.
    #[error("the standing key's period began at {start_s}, it is {now_s} (Unix seconds), a period is {period_s} s")]
    StandingPeriod { start_s: u64, now_s: u64, period_s: u64 },
    /// The period key did not sign this session.
    #[error("the standing key did not sign this session")]
    StandingSignature,
    /// The boot configuration cannot be read.
    #[error("the boot configuration cannot be read: {0}")]
    BootConfig(DecodeError),
    /// The node was started for another cluster.
    #[error("the node was started for another cluster ({got:?})")]
    BootCluster { got: BootCluster },
    /// The node was started for a slot the cluster does not have.
    #[error("the policy has no slot {got}")]
    SlotUnknown { got: Slot },
    /// The slot is not for this vendor.
    #[error("slot {slot} is not for {got}")]
    SlotVendor { slot: Slot, got: Vendor },
    /// The evidence is not genuine.
    #[error("{opening}: {0}", opening = opening(.0.finding(), "not genuine", "nobody can tell whether it is genuine"))]
    Verify(VerifyError),
    /// The evidence is not acceptable.
    #[error("{opening}: {0}", opening = opening(.0.finding(), "not acceptable", "nobody can tell whether it is acceptable"))]
    Rejected(Rejection),
}

fn opening(finding: Finding, bad: &'static str, unknown: &'static str) -> &'static str {
    match finding {
        Finding::Bad => bad,
        Finding::CannotTell => unknown,
    }
}

impl SessionError {
    /// The layer that refused.
    pub fn layer(&self) -> Layer {
        match self {
            SessionError::Verify(error) => error.layer(),
            SessionError::Rejected(rejection) => rejection.layer(),
            SessionError::BootConfig(_) | SessionError::BatchPath { .. } => Layer::Parse,
            SessionError::StandingSignature => Layer::Signature,
            SessionError::StandingPeriod { .. } => Layer::Time,
            SessionError::PolicyTooOld { .. } | SessionError::PolicyContradicts { .. } | SessionError::StandingNotOffered => Layer::Policy,
            SessionError::PolicyUnrelated { .. } | SessionError::FoundingPolicyMissing { .. } => Layer::Policy,
            SessionError::Steps(_) | SessionError::StepsLeadElsewhere { .. } => Layer::Policy,
            SessionError::SlotUnknown { .. } | SessionError::SlotVendor { .. } | SessionError::StandingForRole { .. } => Layer::Policy,
            _ => Layer::Binding,
        }
    }
}

/// The other side of one handshake, judged: what opens a session. It cannot be copied, and names the handshake it is for.
#[derive(Debug)]
#[must_use = "a judged peer opens a session"]
pub struct AppraisedPeer {
    handshake: Digest,
    appraised: Appraised,
    cluster_id: ClusterId,
    epoch: Epoch,
    role: Role,
    incarnation: Incarnation,
    keys: BootKeys,
    boot_config: BootConfig,
    policy: PolicyDoc,
    policy_bound: Digest,
    steps: Vec<PolicyStep>,
    genesis: GenesisRecord,
}

impl AppraisedPeer {
    /// Hash of the handshake it was judged for.
    pub fn handshake(&self) -> &Digest {
        &self.handshake
    }

    /// The verdict over its evidence.
    pub fn appraised(&self) -> &Appraised {
        &self.appraised
    }

    /// The cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The part it attested for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its incarnation; 0 before admission.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Its boot keys, bound into its evidence.
    pub fn keys(&self) -> &BootKeys {
        &self.keys
    }

    /// Its boot configuration, bound into its evidence.
    pub fn boot_config(&self) -> &BootConfig {
        &self.boot_config
    }

    /// The policy it was judged by.
    pub fn policy(&self) -> &PolicyDoc {
        &self.policy
    }

    /// SHA-256 of the policy its evidence is bound to: of [`Self::policy`], or for a peer that lags of one that was in force before.
    pub fn policy_bound(&self) -> &Digest {
        &self.policy_bound
    }

    /// The changes of the policy it showed and that hold: from the one the judging side held, or from the founding one, to [`Self::policy`].
    pub fn steps(&self) -> &[PolicyStep] {
        &self.steps
    }

    /// What its proof of release proved, with the log's head to remember; none where the policy demands no proof.
    pub fn released(&self) -> Option<&Released> {
        self.appraised.released()
    }

    /// The cluster's founding record.
    pub fn genesis(&self) -> &GenesisRecord {
        &self.genesis
    }
}

/// Judges `answer` for the session described by `asked`, on behalf of someone who holds `pinned`.
pub fn appraise_session(answer: &AttestResp, asked: &Asked<'_>, pinned: &Pinned<'_>) -> Result<AppraisedPeer, SessionError> {
    appraise_session_traced(answer, asked, pinned, &mut Trace::new())
}

/// [`appraise_session`], which also writes what it establishes to `trace`, up to the refusal if there is one.
pub fn appraise_session_traced(
    answer: &AttestResp,
    asked: &Asked<'_>,
    pinned: &Pinned<'_>,
    trace: &mut Trace,
) -> Result<AppraisedPeer, SessionError> {
    let mut own = Trace::new();
    let judged = judge(answer, asked, pinned, &mut own);
    trace.absorb(&own);
    let mut peer = judged?;
    peer.appraised.trace = own;
    Ok(peer)
}

fn judge(answer: &AttestResp, asked: &Asked<'_>, pinned: &Pinned<'_>, trace: &mut Trace) -> Result<AppraisedPeer, SessionError> {
    same_cluster(answer, pinned)?;
    let cluster_id = answer.cluster_id; // The pinned one, as was just compared.
    let Followed { by: policy, bound: policy_bound, steps } = followed(answer, asked.role, pinned)?;
    let words = policy_words(&policy, &policy_bound, answer, steps.len());
    trace.note(Stage::Cluster, format!("the founding record hashes to cluster {cluster_id}, which is pinned, {words}"));
    same_session(answer, asked)?;
    let boot_config = BootConfig::decode(&answer.boot_config).map_err(SessionError::BootConfig)?;
    boots_here(answer, &boot_config)?;
    slot_fits(answer, &policy, boot_config.slot)?;
    mode_fits(&answer.proof, asked.mode)?;
    let batch_root = session_root(answer, &policy, asked, pinned.now_s)?;
    let binding = Binding {
        cluster_id,
        epoch: answer.epoch,
        role: asked.role,
        incarnation: answer.incarnation,
        keys: answer.keys.clone(),
        boot_config: boot_config.host_data(),
        policy: policy_bound,
        batch_root,
    };
    let verified =
        verify_traced(&answer.evidence, &answer.endorsements, pinned.anchors, pinned.now_s, trace).map_err(SessionError::Verify)?;
    let expected = Expected {
        binding: &binding,
        boot_config: &boot_config,
        release_proof: &answer.release_proof,
        now_s: pinned.now_s,
        last_head: pinned.last_head,
    };
    let appraised = appraise_bound(verified, &policy, policy_bound, &expected, trace).map_err(SessionError::Rejected)?;
    explain(trace, answer, &boot_config);
    Ok(AppraisedPeer {
        handshake: *asked.handshake,
        appraised,
        cluster_id,
        epoch: answer.epoch,
        role: asked.role,
        incarnation: answer.incarnation,
        keys: answer.keys.clone(),
        boot_config,
        policy: policy.into_owned(),
        policy_bound,
        steps,
        genesis: answer.genesis.clone(),
    })
}

/// The founding record is the pinned cluster's.
fn same_cluster(answer: &AttestResp, pinned: &Pinned<'_>) -> Result<(), SessionError> {
    for got in [answer.genesis.cluster_id(), answer.cluster_id] {
        if got != pinned.cluster_id && !left_out(Defence::ClusterPin) {
            return Err(SessionError::OtherCluster { got, pinned: pinned.cluster_id });
        }
    }
    Ok(())
}

/// How the policy came to be the one to judge by, for people.
fn policy_words(policy: &PolicyDoc, bound: &Digest, answer: &AttestResp, steps: usize) -> String {
    let version = policy.version;
    if *bound != Digest(policy.digest()) {
        return format!(
            "and the node is bound to a policy that was in force before; version {version} judges it, the newest one held here"
        );
    }
    if *bound == answer.genesis.template.policy {
        return "and names the node's policy".into();
    }
    match steps {
        0 => format!("and the node's policy is version {version}, the newest one held here"),
        1 => format!("and one change the governors approved leads to the node's policy, version {version}"),
        steps => format!("and {steps} changes the governors approved lead to the node's policy, version {version}"),
    }
}

/// The answer is for the part and the key of this handshake.
fn same_session(answer: &AttestResp, asked: &Asked<'_>) -> Result<(), SessionError> {
    if answer.role != asked.role {
        return Err(SessionError::OtherRole { got: answer.role, required: asked.role });
    }
    if answer.keys.noise != *asked.noise {
        return Err(SessionError::OtherNoiseKey { got: answer.keys.noise, required: *asked.noise });
    }
    let fits = match asked.role {
        Role::ClientServer | Role::PeerInit | Role::PeerResp | Role::JoinResp | Role::Dealing => {
            answer.incarnation != Incarnation(0) && answer.incarnation.epoch() == answer.epoch
        }
        Role::JoinInit | Role::Recovery | Role::Genesis | Role::Assisted | Role::Assisting => answer.incarnation == Incarnation(0),
    };
    match fits {
        true => Ok(()),
        false => Err(SessionError::IncarnationUnfit { got: answer.incarnation, role: asked.role, epoch: answer.epoch }),
    }
}

/// The boot configuration names this cluster, or the template it was founded from.
fn boots_here(answer: &AttestResp, boot: &BootConfig) -> Result<(), SessionError> {
    let template = &answer.genesis.template;
    if boot.trust_domain != template.trust_domain {
        return Err(SessionError::OtherTrustDomain { got: boot.trust_domain, required: template.trust_domain });
    }
    let here = match boot.cluster {
        BootCluster::Found(digest) => digest == Digest(template.digest()),
        BootCluster::Join(cluster_id) => cluster_id == answer.cluster_id,
    };
    match here {
        true => Ok(()),
        false => Err(SessionError::BootCluster { got: boot.cluster.clone() }),
    }
}

/// The slot exists and is for the vendor of the evidence.
fn slot_fits(answer: &AttestResp, policy: &PolicyDoc, slot: Slot) -> Result<(), SessionError> {
    let vendor = match answer.evidence {
        Evidence::Snp(_) => Vendor::Amd,
        Evidence::Tdx(_) => Vendor::Intel,
    };
    let rule = policy.slots.iter().find(|rule| rule.slot == slot).ok_or(SessionError::SlotUnknown { got: slot })?;
    match rule.vendors.contains(&vendor) {
        true => Ok(()),
        false => Err(SessionError::SlotVendor { slot, got: vendor }),
    }
}

/// The proof is no weaker than the mode that was asked: evidence for this session alone, for the sessions of a window, or a standing key.
fn mode_fits(proof: &SessionProof, asked: AttestMode) -> Result<(), SessionError> {
    let got = match proof {
        SessionProof::Batched(path) if path.leaves == 1 => AttestMode::Single,
        SessionProof::Batched(_) => AttestMode::Batched,
        SessionProof::Standing(_) => AttestMode::Standing,
    };
    let fits = match asked {
        AttestMode::Single => got == AttestMode::Single,
        AttestMode::Batched => got != AttestMode::Standing,
        AttestMode::Standing => true,
    };
    match fits {
        true => Ok(()),
        false => Err(SessionError::WeakerMode { asked, got }),
    }
}

/// The root this session leads to: through its own leaf, or through a period key that signed it.
fn session_root(answer: &AttestResp, policy: &PolicyDoc, asked: &Asked<'_>, now_s: u64) -> Result<Digest, SessionError> {
    let (leaf, path) = match &answer.proof {
        SessionProof::Batched(path) => (leaf(asked.handshake, asked.nonce), path),
        SessionProof::Standing(proof) => {
            standing(proof, policy, asked, now_s)?;
            (standing_leaf(&proof.key, proof.period_start_s), &proof.path)
        }
    };
    fold(&leaf, path).ok_or(SessionError::BatchPath { index: path.index, leaves: path.leaves, hashes: path.siblings.len() })
}

/// The period key may serve this role, its period runs, and it signed this session.
fn standing(proof: &StandingProof, policy: &PolicyDoc, asked: &Asked<'_>, now_s: u64) -> Result<(), SessionError> {
    let period_s = u64::from(policy.session.standing_period_s);
    if period_s == 0 {
        return Err(SessionError::StandingNotOffered);
    }
    if asked.role != Role::ClientServer {
        return Err(SessionError::StandingForRole { role: asked.role });
    }
    let start_s = proof.period_start_s;
    if start_s > now_s.saturating_add(CLOCK_TOLERANCE_S) || now_s.saturating_sub(start_s) > period_s {
        return Err(SessionError::StandingPeriod { start_s, now_s, period_s });
    }
    let words = session_words(asked.handshake, asked.nonce);
    let signature = Signature::from_bytes(&proof.signature.0);
    let signed = VerifyingKey::from_bytes(&proof.key.0).and_then(|key| key.verify_strict(&words, &signature));
    signed.map_err(|_| SessionError::StandingSignature)
}

fn explain(trace: &mut Trace, answer: &AttestResp, boot: &BootConfig) {
    let how = match &answer.proof {
        SessionProof::Batched(path) if path.leaves <= 1 => "this evidence was made for this session alone",
        SessionProof::Batched(_) => "this session is one of those this evidence was made for",
        SessionProof::Standing(_) => {
            "a key of at most one period, named in the evidence, signed this session (weaker: a leaked period key serves until the period ends)"
        }
    };
    trace.note(Stage::Binding, how);
    trace.finish(
        Stage::Cluster,
        format!("the node stands in slot {} as incarnation {}, both bound into its evidence", boot.slot, answer.incarnation),
    );
}
