//! How the policy of a running cluster changes: steps from one policy to the next, what the group replicates of them, what clients are shown.
//!
//! Decides: the words governors sign to withdraw a change and to renew a lease; what a step is: the signed change, and for one that loosens under a
//! policy with witnesses the proof that it was public for as long as that policy says. A chain of steps proves itself: it needs no session.
//! Trusts: nothing; a decoded step is well-formed, not approved. Out of scope: judging steps (`attest`), where they are in force (`consensus`).
//! Protocol section 8.

use crate::bounded::{Blob, List};
use crate::codec::{DecodeError, Field as _, Message as _, enc};
use crate::genesis::GenesisRecord;
use crate::ids::{ClusterId, Digest, PolicyVersion};
use crate::label::Label;
use crate::limits::{EXCHANGE_BYTES, GOVERNORS, POLICY_PENDING, POLICY_ROW_STEPS, POLICY_STEPS};
use crate::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use crate::release::PolicyNotice;
use crate::{choice, message, record};
use alloc::boxed::Box;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

record! {
    /// One change that came into force, with everything a stranger needs to judge it.
    pub struct PolicyStep {
        /// The change and who approved it.
        pub signed: SignedPolicy,
        /// That it was public for the delay; only where it loosens and the policy it replaces names witnesses.
        pub notice: Option<PolicyNotice>,
    }
}

/// Changes in their order, as many as one answer carries: each replaces the policy the one before it made. Before all changes since the founding the
/// founding policy itself may stand ([`PolicyStep::founding`]), so that whoever holds no more than the cluster id can judge them.
pub type PolicySteps = List<PolicyStep, { POLICY_STEPS + 1 }>;

/// Changes since the founding in their order, as many as a cluster's record has at most; the founding policy may stand before them here as well.
pub type PolicyRow = List<PolicyStep, { POLICY_ROW_STEPS + 1 }>;

record! {
    /// Where a row of changes begins.
    pub struct Founded {
        /// The founding record: it hashes to the cluster id and names the policy.
        pub genesis: GenesisRecord,
        /// The founding policy.
        pub policy: PolicyDoc,
    }
}

message! {
    /// In place of an attestation answer, for whoever is behind by more changes than an answer carries: the next of them. It proves itself and says nothing of
    /// who sends it. Whoever asked judges it and asks again, from where it ends.
    pub struct PolicyPage = PolicyPage {
        /// Where the row begins; for whoever knows no policy, and with the first page alone.
        pub founded: Option<Founded>,
        /// The changes after the policy the asker named.
        pub steps: List<PolicyStep, POLICY_STEPS>,
        /// How many follow those.
        pub left: u16,
    }
}

message! {
    /// An attestation exchange as a file, where its answer carries only the last changes of the policy: those before them, so that its reader needs no more
    /// than the cluster id.
    pub struct ExchangeRow = ExchangeRow {
        /// An encoded [`crate::session::SavedExchange`].
        pub exchange: Blob<EXCHANGE_BYTES>,
        /// The founding policy, and the changes whoever asked knew before the answer.
        pub row: PolicyRow,
    }
}

message! {
    /// Every change of a cluster's policy since it was founded, as nodes and clients keep it in a file.
    pub struct PolicyChain = PolicyChain {
        /// Whose.
        pub cluster_id: ClusterId,
        /// The changes.
        pub steps: PolicyRow,
    }
}

message! {
    /// The governors' word that a change they approved shall not come into force; made and read by `ringwall policy`.
    pub struct PolicyWithdrawal = PolicyWithdrawal {
        /// In which cluster.
        pub cluster_id: ClusterId,
        /// Which change: [`SignedPolicy::change`].
        pub change: Digest,
        /// Signatures of governors of the policy in force, in no particular order.
        pub signatures: List<Approval, GOVERNORS>,
    }
}

message! {
    /// The governors' word that a policy is still the one they want; made and read by `ringwall policy`.
    pub struct PolicyLease = PolicyLease {
        /// In which cluster.
        pub cluster_id: ClusterId,
        /// SHA-256 of the policy in force.
        pub policy: Digest,
        /// Until when, Unix seconds by the time of the group.
        pub until_s: u64,
        /// Signatures of governors of that policy, in no particular order.
        pub signatures: List<Approval, GOVERNORS>,
    }
}

record! {
    /// A notice for a change that waits.
    pub struct NoticeFor {
        /// Which change: [`SignedPolicy::change`].
        pub change: Digest,
        /// That it is public, and since when.
        pub notice: PolicyNotice,
    }
}

record! {
    /// A change governors approved, on its way into the log.
    pub struct PolicyProposal {
        /// Number of the rules by which whoever proposes it tells what tightens from what loosens; 0 until it is proposed. A replica whose build has other
        /// rules does not apply it.
        pub rules: u16,
        /// The change.
        pub signed: SignedPolicy,
    }
}

choice! {
    /// A step of governance, as the group replicates it. Each proves itself, so it matters to nobody who brought it.
    pub enum PolicyCommand {
        /// A change governors approved: in force at once if it only tightens, else it waits.
        1 => Propose(Box<PolicyProposal>),
        /// The proof that a waiting change was public.
        2 => Notice(Box<NoticeFor>),
        /// A waiting change comes into force: [`SignedPolicy::change`].
        3 => Enact(Digest),
        /// A change shall never come into force, whether it waits or was not proposed yet.
        4 => Withdraw(PolicyWithdrawal),
        /// The policy in force stays wanted.
        5 => Lease(PolicyLease),
    }
}

choice! {
    /// What a step of governance gave.
    #[derive(Copy)]
    pub enum PolicyOutcome {
        /// The change waits until this time of the group, Unix milliseconds, and for its notice if it needs one.
        1 => Pending(u64),
        /// The policy of this version is in force.
        2 => InForce(PolicyVersion),
        /// The notice is on record.
        3 => Noticed,
        /// The change will not come into force.
        4 => Withdrawn,
        /// The lease runs until this time of the group, Unix seconds.
        5 => Leased(u64),
        /// Refused: nothing changed.
        6 => Refused(PolicyFault),
    }
}

choice! {
    /// Why a step of governance is refused. Every replica comes to the same answer.
    #[derive(Copy)]
    pub enum PolicyFault {
        /// The policy in force names no governors, or fewer than must sign.
        1 => NoGovernors,
        /// A key signed that is no governor's.
        2 => Stranger,
        /// A signature does not verify.
        3 => BadSignature,
        /// Too few governors signed; one that signed twice counts once.
        4 => TooFew,
        /// It replaces another policy than the one in force.
        5 => OtherStep,
        /// What was signed is no policy document.
        6 => NoPolicy,
        /// The version does not rise.
        7 => VersionNotHigher,
        /// The trust domain is another one.
        8 => OtherTrustDomain,
        /// The slots are others.
        9 => SlotsChanged,
        /// The least security version falls.
        10 => SvnFell,
        /// A firmware floor falls.
        11 => FloorFell,
        /// A build below the least security version is added.
        12 => BuildBelowSvn,
        /// Too many changes wait.
        13 => TooManyPending,
        /// This change waits already.
        14 => AlreadyPending,
        /// No such change waits.
        15 => NotPending,
        /// It was withdrawn.
        16 => Withdrawn,
        /// Its time has not come.
        17 => TooEarly,
        /// It needs a notice and has none.
        18 => NoticeMissing,
        /// It has a notice and needs none.
        19 => NoticeNotNeeded,
        /// The notice is not about this change, or does not hold.
        20 => NoticeBad,
        /// Too few witnesses stand behind the notice.
        21 => NoticeWitnesses,
        /// The notice does not show that the delay is over.
        22 => NoticeEarly,
        /// No further change fits the chain of changes, or no further withdrawal the list of them.
        23 => NoRoom,
        /// It is for another cluster.
        24 => OtherCluster,
        /// The policy in force demands no lease.
        25 => NoLease,
        /// The lease is for another policy.
        26 => OtherPolicy,
        /// The lease does not run longer than the one on record.
        27 => LeaseNotLonger,
        /// The lease runs longer than the policy allows.
        28 => LeaseTooLong,
        /// The version rises further than one change may raise it.
        29 => VersionJump,
        /// A governor's signature stands in it twice.
        30 => SignedTwice,
        /// Under it nothing could ever be changed: its governors cannot reach their threshold.
        31 => Ungovernable,
        /// Its rule about releases cannot be met by any proof.
        32 => NothingProven,
    }
}

impl PolicyFault {
    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        use PolicyFault as F;
        match self {
            F::NoGovernors => "the policy in force names no governors, or fewer than must sign: it can never be changed",
            F::Stranger => "a key signed that is none of the governors of the policy in force; sign again without it",
            F::BadSignature => "a governor's signature does not verify over this: it is over something else, or the file was changed",
            F::TooFew => "too few governors signed; one that signed twice counts once",
            F::OtherStep => {
                "it replaces another policy than the one in force; make the change anew from the one in force and sign it again"
            }
            F::NoPolicy => "what was signed is no policy document; sign the canonical bytes of one",
            F::VersionNotHigher => "the version does not rise; give the change a higher version than the policy in force has",
            F::OtherTrustDomain => "the change names another trust domain: that is another cluster",
            F::SlotsChanged => "the change names other slots: places are part of what the cluster was founded as; found another cluster",
            F::SvnFell => "the least security version falls: it only rises, so that an old build cannot come back",
            F::FloorFell => "a least version of firmware falls: floors only rise, so that known holes stay closed",
            F::BuildBelowSvn => "a build below the least security version is added; leave it out",
            F::TooManyPending => "too many changes wait; withdraw one, or wait until one is in force",
            F::AlreadyPending => "this change waits already; nothing has to be done",
            F::NotPending => "no such change waits: it is in force, was dropped when another came into force, or was never proposed",
            F::Withdrawn => "the governors withdrew this change; make another one, with other bytes",
            F::TooEarly => "the delay of the policy in force is not over; wait",
            F::NoticeMissing => "it loosens, and nothing shows that it was public; publish it in the log and bring the notice",
            F::NoticeNotNeeded => "it has a notice where none is needed; leave it out",
            F::NoticeBad => "the notice is not about this change, or its proofs do not hold; make it again from the log",
            F::NoticeWitnesses => "too few witnesses cosigned a checkpoint of the notice; ask more of them",
            F::NoticeEarly => "the later checkpoint of the notice is not a full delay after the first; wait, and bring a newer one",
            F::NoRoom => "the record is full: nothing more of this kind fits, the last is left to what does not loosen; see docs/limits.md",
            F::OtherCluster => "it is for another cluster; have one made from this cluster's card",
            F::NoLease => "the policy in force demands no lease; nothing has to be done",
            F::OtherPolicy => "the lease is for another policy than the one in force; have one made for that",
            F::LeaseNotLonger => "a lease that runs as long is on record; nothing has to be done",
            F::LeaseTooLong => "the lease runs longer than the policy allows; have a shorter one made",
            F::VersionJump => "the version rises further than one change may raise it; give the change the next one",
            F::SignedTwice => "a governor's signature stands in it twice; leave the second one out",
            F::Ungovernable => {
                "under it nothing could ever be changed: `governance.threshold` is 0 or more than its distinct keys; correct it and sign it again"
            }
            F::NothingProven => {
                "its rule about releases cannot be met by any proof: a key or a threshold is wrong; correct it and sign it again"
            }
        }
    }
}

choice! {
    /// What a user asks about governance.
    pub enum GovernanceAsk {
        /// What is in force and what waits.
        1 => View,
        /// Bring a step. It proves itself: the asker's own rights do not matter.
        2 => Submit(Box<PolicyCommand>),
    }
}

record! {
    /// Governance as one member sees it: all of it public.
    pub struct GovernanceView {
        /// SHA-256 of the policy in force.
        pub in_force: Digest,
        /// Its version.
        pub version: PolicyVersion,
        /// Since when, Unix milliseconds by the time of the group.
        pub since_ms: u64,
        /// Changes since the cluster was founded.
        pub steps: u16,
        /// Changes that wait, oldest first.
        pub pending: List<PendingPolicy, POLICY_PENDING>,
        /// Until when members grant keys, Unix seconds by the time of the group; none where no lease is demanded.
        pub lease_until_s: Option<u64>,
        /// The time of the group, Unix milliseconds.
        pub now_ms: u64,
    }
}

record! {
    /// A change that waits.
    pub struct PendingPolicy {
        /// The change itself: whoever is shown it can judge it.
        pub signed: SignedPolicy,
        /// When it was proposed, Unix milliseconds by the time of the group.
        pub proposed_ms: u64,
        /// Not in force before this time of the group, Unix milliseconds.
        pub ready_ms: u64,
        /// Whether it has been shown to be public.
        pub notice: PendingNotice,
    }
}

choice! {
    /// Whether a waiting change has been shown to be public.
    #[derive(Copy)]
    pub enum PendingNotice {
        /// The policy in force names no witnesses: the group's own delay is all there is.
        1 => NotDemanded,
        /// Not yet.
        2 => Missing,
        /// Yes.
        3 => There,
    }
}

impl PolicyStep {
    /// Not a change: the founding policy, to stand before the changes. It replaces none and nobody signs it; the founding record names it.
    pub fn founding(policy: &PolicyDoc) -> Result<Self, DecodeError> {
        let signed = SignedPolicy { replaces: None, policy: Blob::new(policy.encode())?, signatures: List::default() };
        Ok(PolicyStep { signed, notice: None })
    }

    /// The founding policy, where that is what this is.
    pub fn as_founding(&self) -> Option<PolicyDoc> {
        let bare = self.signed.replaces.is_none() && self.signed.signatures.is_empty() && self.notice.is_none();
        bare.then(|| PolicyDoc::decode(&self.signed.policy).ok()).flatten()
    }
}

impl PolicyCommand {
    /// To propose this change; by which rules, whoever proposes it says.
    pub fn propose(signed: SignedPolicy) -> Self {
        PolicyCommand::Propose(Box::new(PolicyProposal { rules: 0, signed }))
    }
}

impl SignedPolicy {
    /// Names the change, in the log and in the group: SHA-256 of what its governors sign.
    pub fn change(&self) -> Digest {
        Digest(Sha256::digest(self.signed_words()).into())
    }
}

impl PolicyWithdrawal {
    /// What every governor signs: all of it but the signatures.
    pub fn signed_words(&self) -> Vec<u8> {
        enc(Label::PolicyWithdrawalSigned, &[&self.cluster_id.0, &self.change.0])
    }
}

impl PolicyLease {
    /// What every governor signs: all of it but the signatures.
    pub fn signed_words(&self) -> Vec<u8> {
        enc(Label::PolicyLeaseSigned, &[&self.cluster_id.0, &self.policy.0, &self.until_s.to_bytes()])
    }
}

impl Governance {
    /// Until when members grant keys, Unix seconds by the time of the group: a policy is wanted for the length of a lease from when it came into
    /// force, and for as long as the lease on record says. None where no lease is demanded.
    pub fn lease_until_s(&self, since_ms: u64, renewed_until_s: Option<u64>) -> Option<u64> {
        let first = (since_ms / 1_000).saturating_add(u64::from(self.lease_s));
        (self.lease_s != 0).then(|| first.max(renewed_until_s.unwrap_or(0)))
    }
}

/// Bytes of these steps as they are encoded: what [`crate::limits::POLICY_STEPS_BYTES`] and [`crate::limits::POLICY_ROW_BYTES`] bound.
pub fn steps_bytes(steps: &[PolicyStep]) -> usize {
    steps.iter().map(|step| step.to_bytes().len()).fold(0, usize::saturating_add)
}
