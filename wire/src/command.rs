//! What a Raft entry holds: sealed writes and decisions about membership.
//!
//! Decides: the replicated commands. Values and names are sealed before they are proposed; what replicas see in the clear are
//! keyed tags, preconditions, sizes and times. `apply` must be total over these types.
//! Trusts: nothing. Out of scope: their meaning (`consensus`), sealing (`keys`). Protocol sections 4, 5 and 7.

use crate::admission::{AdmitCommit, AdmitPropose, Endorse, IncarnationCert};
use crate::bounded::{Blob, List};
use crate::custody::{CustodyCommand, CustodyFault};
use crate::governance::{PolicyCommand, PolicyOutcome};
use crate::ids::{ClientTag, Digest, Incarnation, KeyEpoch, KeyTag, OwnerMark, Revision, SpaceTag};
use crate::limits::{BATCH_MUTATIONS, ENTRY_WRITES, ERASE_SPACES, SEALED_NAME_BYTES, SEALED_VALUE_BYTES};
use crate::order::OrderFault;
use crate::recovery::EpochBegun;
use crate::request::{Conflict, Expect, KeyMode, Once};
use crate::rotation::{KeyCommand, RotationFault};
use crate::user::{UserChange, UserFault};
use crate::workload::{WorkloadOutcome, WorkloadWrite};
use crate::{choice, message, record};
use alloc::boxed::Box;
use alloc::sync::Arc;

message! {
    /// One Raft entry.
    pub struct Command = Command {
        /// Clock of the proposer, Unix milliseconds; the state machine's time never goes back and nothing safe rests on it.
        pub at_ms: u64,
        /// What to do.
        pub body: CommandBody,
    }
}

/// Sealed writes on their way into the log. Whoever may have to try again keeps them, and hands on no copy.
pub type SharedWrites = Arc<List<SealedWrite, ENTRY_WRITES>>;

choice! {
    /// What to do.
    pub enum CommandBody {
        /// Sealed client writes, each applied or refused on its own, in order.
        1 => Writes(SharedWrites),
        /// Remove records whose time has come.
        2 => Expire,
        /// A joiner is proposed.
        3 => AdmitPropose(Box<AdmitPropose>),
        /// A voter's verdict.
        4 => Endorse(Endorse),
        /// A joiner is admitted.
        5 => AdmitCommit(AdmitCommit),
        /// An incarnation is out for good.
        6 => Retire(Incarnation),
        /// The founding member enters itself.
        7 => Found(Box<Founding>),
        /// Every replica remembers the digest of its state after this entry, so that a learner can be compared with the leader.
        8 => Mark,
        /// A step of custody.
        9 => Custody(Box<CustodyCommand>),
        /// A step of a rotation of the master key.
        10 => Keys(Box<KeyCommand>),
        /// A new epoch begins with the log as far as it was recovered.
        11 => Begin(Box<EpochBegun>),
        /// A step of governance.
        12 => Policy(Box<PolicyCommand>),
    }
}

record! {
    /// The first member of a group.
    pub struct Founding {
        /// Who it is; its epoch is the group's.
        pub incarnation: Incarnation,
        /// What it is.
        pub cert: IncarnationCert,
    }
}

choice! {
    /// A client's write after sealing.
    pub enum SealedWrite {
        /// Make a namespace.
        1 => OpenSpace(OpenSpace),
        /// Change keys.
        2 => Change(SpaceChange),
        /// The data keys of these namespaces are gone for good, and in bounded steps what they opened; their names are not used again.
        3 => Erase(List<SpaceTag, ERASE_SPACES>),
        /// Change a user's record.
        4 => User(UserChange),
        /// Make, change or grant a workload key.
        5 => Workload(Box<WorkloadWrite>),
    }
}

record! {
    /// Makes a namespace: first one wins, later ones find it.
    pub struct OpenSpace {
        /// Which.
        pub space: SpaceTag,
        /// Key mode.
        pub mode: KeyMode,
        /// Commitment to the user's part of its keys; none in cluster mode.
        pub commit: Option<Digest>,
        /// Its data key, wrapped.
        pub dek: WrappedKey,
        /// Whose it is.
        pub owner: OwnerMark,
    }
}

record! {
    /// A key under a key.
    pub struct WrappedKey {
        /// Generation of the wrapping key.
        pub key_epoch: KeyEpoch,
        /// Initialization vector.
        pub iv: [u8; 24],
        /// Commitment to the wrapping key.
        pub commit: [u8; 32],
        /// 32 bytes and a tag.
        pub ciphertext: [u8; 48],
    }
}

record! {
    /// Changes keys of one namespace, all or none.
    pub struct SpaceChange {
        /// Where.
        pub space: SpaceTag,
        /// Which client.
        pub client: ClientTag,
        /// Which of its writes.
        pub once: Once,
        /// The changes.
        pub mutations: List<SealedMutation, BATCH_MUTATIONS>,
    }
}

record! {
    /// One change.
    pub struct SealedMutation {
        /// Key.
        pub key: KeyTag,
        /// What must hold before.
        pub expect: Expect,
        /// What happens.
        pub change: SealedChange,
    }
}

choice! {
    /// A change of a key.
    pub enum SealedChange {
        /// Store a record.
        1 => Put(SealedPut),
        /// Remove it; the sealed name lets watchers be told.
        2 => Delete,
        /// Only check.
        3 => Keep,
    }
}

record! {
    /// A record to store.
    pub struct SealedPut {
        /// The record.
        pub record: SealedRecord,
        /// Seconds it lives; 0 = for ever.
        pub ttl_s: u32,
    }
}

record! {
    /// A sealed name and value. AAD: `enc("rec", cluster_id, space, key, write id)`.
    pub struct SealedRecord {
        /// Client that wrote it: part of the AAD, with `seq`.
        pub client: ClientTag,
        /// Its write.
        pub seq: u64,
        /// Initialization vector the record keys derive from.
        pub iv: [u8; 24],
        /// Commitment to the record key.
        pub commit: [u8; 32],
        /// Sealed, padded name.
        pub name: Blob<SEALED_NAME_BYTES>,
        /// Sealed, padded value.
        pub value: Blob<SEALED_VALUE_BYTES>,
    }
}

choice! {
    /// What applying one write gave.
    #[derive(Copy)]
    pub enum Outcome {
        /// Applied at this revision (now, or by the first try of the same write).
        1 => Applied(Revision),
        /// A precondition failed.
        2 => Conflict(Conflict),
        /// The namespace does not exist.
        3 => NoSpace,
        /// The namespace exists with another key mode.
        4 => OtherMode,
        /// The client's bookkeeping is gone: not applied now; an earlier try may have been.
        5 => ClientForgotten,
        /// The sequence number is outside the client's window: not applied.
        6 => OutOfWindow,
        /// Done: records expired, a joiner proposed (its admit index is the entry's), a verdict recorded, an incarnation retired, namespaces erased.
        7 => Done,
        /// The joiner is this incarnation from now on.
        8 => Admitted(Incarnation),
        /// A decision about members was refused.
        9 => Denied(Denial),
        /// The namespace exists under another key of its user.
        10 => OtherUserKey,
        /// The user's record was changed; the number of the change.
        11 => UserChanged(u64),
        /// A change of a user's record was refused.
        12 => UserRefused(UserFault),
        /// About a workload key.
        13 => Workload(WorkloadOutcome),
        /// About a step of governance.
        14 => Policy(PolicyOutcome),
    }
}

choice! {
    /// Why a decision about members was refused.
    #[derive(Copy)]
    pub enum Denial {
        /// No such proposal, or its time is over.
        1 => NoProposal,
        /// Not a member that may say this.
        2 => NotVoter,
        /// This voter has given its verdict already.
        3 => AlreadyEndorsed,
        /// A voter refused the joiner.
        4 => Rejected,
        /// Verdicts are missing.
        5 => NotEndorsed,
        /// The slot has another live incarnation than the proposal replaces.
        6 => SlotOccupied,
        /// No such incarnation, or it is out already.
        7 => NoMember,
        /// The group is founded already.
        8 => AlreadyFounded,
        /// Too many proposals wait.
        9 => TooManyProposals,
        /// The keys belong to an incarnation on record.
        10 => KeysKnown,
        /// The verdict's signature is not the voter's, or not over this proposal.
        11 => BadSignature,
        /// The governors' order it was proposed with does not hold.
        12 => Order(OrderFault),
        /// A step of custody does not fit.
        13 => Custody(CustodyFault),
        /// A step of a rotation does not fit.
        14 => Keys(RotationFault),
        /// It is not the beginning of the next epoch.
        15 => NotNextEpoch,
        /// The lease of the policy in force is over: nobody is admitted until governors renew it.
        16 => LeaseOver,
    }
}

message! {
    /// What applying one entry gave: one outcome a write.
    pub struct Outcomes = Outcomes {
        /// Log index of the entry.
        pub index: u64,
        /// In the order of the writes.
        pub outcomes: List<Outcome, ENTRY_WRITES>,
    }
}
