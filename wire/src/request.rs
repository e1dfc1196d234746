//! What an authenticated client asks and what it is answered.
//!
//! Decides: the operations on a namespace. A write names its client and sequence number, so that a retry on any node is applied
//! once. Trusts: nothing. Out of scope: sealing (`keys`), order (`consensus`). Protocol section 3, step 7.

use crate::backup::{BackupAsk, BackupTold, EscrowAsk, EscrowedKeys};
use crate::bounded::{Blob, List, Text};
use crate::codec::{Message as _, open_enc};
use crate::governance::{GovernanceAsk, GovernanceView, PolicyOutcome};
use crate::ids::{Digest, Revision};
use crate::limits::{BATCH_MUTATIONS, KEY_BYTES, NAMESPACE_BYTES, PAGE_ENTRIES, VALUE_BYTES, WATCH_EVENTS};
use crate::receipt::Receipted;
use crate::secret::Secret;
use crate::session::{MemberHint, Refusal};
use crate::user::{UserAsk, UserFault, UserShown};
use crate::{choice, message, record};
use alloc::boxed::Box;

/// Name of a namespace.
pub type Namespace = Text<NAMESPACE_BYTES>;
/// Name of a key: bytes, not text.
pub type KeyName = Blob<KEY_BYTES>;
/// A value.
pub type Value = Blob<VALUE_BYTES>;

message! {
    /// One request.
    pub struct Request = Request {
        /// Chosen by the client; the reply repeats it.
        pub number: u64,
        /// What is asked.
        pub op: Op,
    }
}

choice! {
    /// An operation.
    pub enum Op {
        /// Make a namespace, or find that it exists.
        1 => OpenNamespace(OpenNamespace),
        /// Change keys, all or none.
        2 => Write(Write),
        /// Read one key.
        3 => Get(Get),
        /// Read a page of keys in order.
        4 => List(ListKeys),
        /// Follow changes.
        5 => Watch(Watch),
        /// Stop following.
        6 => CancelWatch(u64),
        /// Ask how the cluster is.
        7 => Status,
        /// Destroy the key of a namespace, or of all the user has, and so all it opens. It cannot be undone, and the names are not used again.
        8 => Erase(Option<Namespace>),
        /// Find a namespace; never makes one.
        9 => FindNamespace(OpenNamespace),
        /// Let this session work on a namespace in dual mode.
        10 => Unlock(Unlock),
        /// Look at the user's record, or change it.
        11 => User(Box<UserAsk>),
        /// Make or fetch a snapshot of the whole state, sealed as it is.
        12 => Backup(BackupAsk),
        /// Have the data keys of the user's namespaces sealed to a key of their recovery phrase.
        13 => EscrowKeys(Box<EscrowAsk>),
        /// Look at what governs the cluster, or bring a step of it.
        14 => Governance(GovernanceAsk),
    }
}

choice! {
    /// Whose keys open a namespace; fixed when it is made.
    #[derive(Copy)]
    pub enum KeyMode {
        /// The cluster's.
        1 => Cluster,
        /// The cluster's and the user's, both.
        2 => Dual,
        /// The user's alone.
        3 => User,
    }
}

record! {
    /// Makes a namespace.
    pub struct OpenNamespace {
        /// Which.
        pub namespace: Namespace,
        /// Key mode.
        pub mode: KeyMode,
        /// Commitment to what the user's key gives for it: in the modes that need the user's key, and in no other.
        pub commit: Option<Digest>,
    }
}

record! {
    /// Lets a session work on a namespace in dual mode, for as long as the session lasts.
    pub struct Unlock {
        /// Which.
        pub namespace: Namespace,
        /// The user's part of its keys: of this namespace of this cluster alone.
        pub part: Secret<32>,
    }
}

record! {
    /// Exactly-once bookkeeping of a write.
    #[derive(Copy)]
    pub struct Once {
        /// Position of the write in its client's sequence, from 1.
        pub seq: u64,
        /// Every write of the client below this has been answered.
        pub acked: u64,
        /// Revision the client knew when it first sent the write.
        pub since: Revision,
    }
}

record! {
    /// Changes keys of one namespace, all or none.
    pub struct Write {
        /// Where.
        pub namespace: Namespace,
        /// Which write of this client.
        pub once: Once,
        /// The changes, in order; a key appears once.
        pub mutations: List<Mutation, BATCH_MUTATIONS>,
    }
}

record! {
    /// One change.
    pub struct Mutation {
        /// Key.
        pub key: KeyName,
        /// What must hold before.
        pub expect: Expect,
        /// What happens.
        pub change: Change,
    }
}

choice! {
    /// A precondition on a key.
    #[derive(Copy)]
    pub enum Expect {
        /// None.
        1 => Any,
        /// The key does not exist.
        2 => Absent,
        /// The key has this version.
        3 => Version(Revision),
        /// The key exists.
        4 => Present,
    }
}

choice! {
    /// A change of a key.
    pub enum Change {
        /// Store a value.
        1 => Put(PutValue),
        /// Remove it.
        2 => Delete,
        /// Only check the precondition.
        3 => Keep,
    }
}

record! {
    /// A value to store.
    pub struct PutValue {
        /// Value.
        pub value: Value,
        /// Seconds it lives; 0 = for ever.
        pub ttl_s: u32,
    }
}

record! {
    /// Reads one key, linearizably.
    pub struct Get {
        /// Where.
        pub namespace: Namespace,
        /// Key.
        pub key: KeyName,
    }
}

record! {
    /// Reads keys in order, linearizably.
    pub struct ListKeys {
        /// Where.
        pub namespace: Namespace,
        /// Only keys that start so.
        pub prefix: KeyName,
        /// Only keys after this one.
        pub after: Option<KeyName>,
        /// Most entries.
        pub limit: u16,
        /// Whether values are wanted too.
        pub values: bool,
    }
}

record! {
    /// Follows changes after a revision.
    pub struct Watch {
        /// Where.
        pub namespace: Namespace,
        /// Only keys that start so.
        pub prefix: KeyName,
        /// Changes after this revision.
        pub after: Revision,
    }
}

message! {
    /// One reply; a watch is answered many times.
    pub struct Reply = Reply {
        /// Number of the request.
        pub number: u64,
        /// The answer.
        pub body: Answer,
    }
}

choice! {
    /// An answer.
    pub enum Answer {
        /// Refused.
        1 => Refused(Refusal),
        /// The namespace is there; made now or before.
        2 => Opened(Revision),
        /// The write is committed and durable on a quorum.
        3 => Written(Revision),
        /// A precondition did not hold; nothing was changed.
        4 => Conflict(Conflict),
        /// The key's value.
        5 => Found(Entry),
        /// The key does not exist, as of this revision.
        6 => Absent(Revision),
        /// A page.
        7 => Page(Page),
        /// Changes since the last answer of this watch.
        8 => Events(Events),
        /// State of the cluster.
        9 => Status(ClusterStatus),
        /// Done, nothing to say.
        10 => Done,
        /// Where the log stood for the replies that follow; number 0.
        11 => Receipt(Box<Receipted>),
        /// The user's record.
        12 => User(Box<UserShown>),
        /// A change of the user's record was refused.
        13 => UserRefused(UserFault),
        /// About a backup.
        14 => Backup(Box<BackupTold>),
        /// Data keys, sealed.
        15 => EscrowKeys(Box<EscrowedKeys>),
        /// What is in force and what waits.
        16 => Governance(Box<GovernanceView>),
        /// What a step of governance gave.
        17 => Policy(PolicyOutcome),
    }
}

impl Reply {
    /// Tag of a refusal in [`Reply::peek`].
    pub const REFUSED: u8 = 1;
    /// Tag of a receipt in [`Reply::peek`].
    pub const RECEIPT: u8 = 11;

    /// Number and answer tag of an encoded reply, read where they stand, without decoding the answer; none for what cannot be a reply.
    pub fn peek(bytes: &[u8]) -> Option<(u64, u8)> {
        let opening = open_enc(Self::LABEL, 2, 0);
        let rest = bytes.strip_prefix(opening.as_slice())?.strip_prefix(&8_u32.to_be_bytes())?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*number), *rest.get(4)?))
    }
}

record! {
    /// Which precondition failed.
    #[derive(Copy)]
    pub struct Conflict {
        /// Index of the mutation.
        pub mutation: u16,
        /// Version the key has; 0 = absent.
        pub current: Revision,
    }
}

record! {
    /// A key with its value.
    pub struct Entry {
        /// Key.
        pub key: KeyName,
        /// Value; empty where values were not asked for.
        pub value: Value,
        /// Version.
        pub version: Revision,
    }
}

record! {
    /// A page of a list.
    pub struct Page {
        /// Entries in key order.
        pub entries: List<Entry, PAGE_ENTRIES>,
        /// Whether more follow after the last.
        pub more: bool,
        /// Revision the page shows.
        pub revision: Revision,
    }
}

record! {
    /// Changes of one watch.
    pub struct Events {
        /// In order of revision.
        pub events: List<Event, WATCH_EVENTS>,
        /// Everything up to this revision has been told.
        pub through: Revision,
    }
}

record! {
    /// One change.
    pub struct Event {
        /// Key.
        pub key: KeyName,
        /// Revision.
        pub revision: Revision,
        /// The new value; none when the key was removed or has expired.
        pub value: Option<Value>,
    }
}

record! {
    /// How the cluster is, as one member sees it.
    pub struct ClusterStatus {
        /// Slot of the member that answers.
        pub slot: crate::ids::Slot,
        /// Its incarnation.
        pub incarnation: crate::ids::Incarnation,
        /// The leader's incarnation; 0 = none known.
        pub leader: crate::ids::Incarnation,
        /// Raft term.
        pub term: u64,
        /// Applied log index.
        pub applied: u64,
        /// Newest revision.
        pub revision: Revision,
        /// Voters.
        pub voters: List<MemberHint, { crate::limits::SLOTS }>,
        /// Learners.
        pub learners: List<MemberHint, { crate::limits::SLOTS }>,
    }
}
