//! What can go wrong, one enum per family of operations, each with a stable code.
//!
//! Decides: how failures are told apart by programs (`code()`, fields) and by people (Display: what failed, expected and actual
//! where there are two, and what to do). Codes never change their meaning; the full list is pinned by a test.
//! Trusts: nothing. `detail` texts of nodes are shown, never parsed. Out of scope: exit codes (`client`).

mod connect;

pub use connect::went_back;
pub use connect::{Attempt, ConnectError};

use ringwall_wire::ids::Revision;
use ringwall_wire::request::KeyMode;
use ringwall_wire::session::{Refusal, RefusalCode};

/// Why a namespace was not opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The name is not legal.
    #[error("{name:?} is no namespace name: at most {most} bytes of text without control characters, and not empty; choose another name")]
    Name {
        /// What was asked.
        name: String,
        /// Most bytes.
        most: usize,
    },
    /// A client that has the user's key did not enter it: whether that key takes part there is not known.
    #[error(
        "the namespace {name:?} was not entered, and this client has the user's key: whether that key seals what is there is not known. Nothing was sent; enter the namespace in its key mode first, and wait for the answer"
    )]
    NotEntered {
        /// What was asked.
        name: String,
    },
    /// It exists with another key mode.
    #[error("the namespace exists with another key mode: {detail}; open it with the mode it was made with")]
    OtherMode {
        /// The node's words.
        detail: String,
    },
    /// It does not exist, and was not to be made.
    #[error("no such namespace: {detail}")]
    NoNamespace {
        /// The node's words.
        detail: String,
    },
    /// It was made under another key of the user.
    #[error("{detail}; bring the user key file the namespace was made with. Nothing was read or written")]
    OtherUserKey {
        /// The node's words.
        detail: String,
    },
    /// The mode needs the user's key, and the client was given none.
    #[error(
        "a namespace in {mode:?} mode needs the user's key, and there is none beside the credential; `ringwall user init` makes one, a copy from another device of the user opens what is there"
    )]
    NoUserKey {
        /// The mode.
        mode: KeyMode,
    },
    /// The client works on as many namespaces in dual mode as a session may.
    #[error("this client works on {most} namespaces in dual mode, which is the most; make another client")]
    TooManyUnlocked {
        /// Most namespaces.
        most: usize,
    },
    /// No session.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The node refused for another reason.
    #[error("the node refused with {}: {}", code_name(.0.code), &*.0.detail)]
    Refused(Refusal),
    /// The node answered something that is no answer to this.
    #[error("the node's answer makes no sense here: {0}; client and node may be of different releases")]
    Nonsense(String),
}

impl NamespaceError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            NamespaceError::Name { .. } => "RW-C-NAMESPACE-NAME",
            NamespaceError::NotEntered { .. } => "RW-C-NAMESPACE-NOT-ENTERED",
            NamespaceError::OtherMode { .. } => "RW-C-OTHER-MODE",
            NamespaceError::NoNamespace { .. } => "RW-C-NO-NAMESPACE",
            NamespaceError::OtherUserKey { .. } => "RW-C-OTHER-USER-KEY",
            NamespaceError::NoUserKey { .. } => "RW-C-NO-USER-KEY",
            NamespaceError::TooManyUnlocked { .. } => "RW-C-TOO-MANY-UNLOCKED",
            NamespaceError::Session(fault) => fault.code(),
            NamespaceError::Refused(refusal) => refusal_code(refusal.code),
            NamespaceError::Nonsense(_) => "RW-C-NONSENSE",
        }
    }
}

/// Why something was not read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The key or prefix is too long; nothing was sent.
    #[error("a key of {bytes} bytes, at most {most} are possible; nothing was sent. Use shorter keys, for example a hash")]
    KeyTooLong {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
    /// The namespace does not exist.
    #[error("no such namespace: {detail}")]
    NoNamespace {
        /// The node's words.
        detail: String,
    },
    /// What is stored does not open under the user's key: it was altered or moved, by whoever can write what the cluster stores.
    #[error(
        "a {what} in user mode does not open under the user's key: {cause}; it was altered or moved. Keep this message and tell the operators"
    )]
    NotAuthentic {
        /// Name or value.
        what: &'static str,
        /// What was found.
        cause: String,
    },
    /// A namespace in user mode has more names than a client puts in order.
    #[error(
        "the namespace has more than {most} names, which is the most a client opens to put them in order; read keys by name, or use several namespaces"
    )]
    TooManyNames {
        /// Most names.
        most: usize,
    },
    /// No session.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The node refused for another reason.
    #[error("the node refused with {}: {}", code_name(.0.code), &*.0.detail)]
    Refused(Refusal),
    /// The node answered something that is no answer to this.
    #[error("the node's answer makes no sense here: {0}; client and node may be of different releases")]
    Nonsense(String),
}

impl ReadError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ReadError::KeyTooLong { .. } => "RW-C-KEY-TOO-LONG",
            ReadError::NoNamespace { .. } => "RW-C-NO-NAMESPACE",
            ReadError::NotAuthentic { .. } => "RW-C-NOT-AUTHENTIC",
            ReadError::TooManyNames { .. } => "RW-C-TOO-MANY-NAMES",
            ReadError::Session(fault) => fault.code(),
            ReadError::Refused(refusal) => refusal_code(refusal.code),
            ReadError::Nonsense(_) => "RW-C-NONSENSE",
        }
    }
}

/// Why a write was not confirmed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The value is too large; nothing was sent.
    #[error("a value of {bytes} bytes, at most {most} are possible; nothing was sent. Split it over several keys")]
    ValueTooLarge {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
    /// The key is too long; nothing was sent.
    #[error("a key of {bytes} bytes, at most {most} are possible; nothing was sent. Use shorter keys, for example a hash")]
    KeyTooLong {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
    /// The batch as a whole is too large; nothing was sent.
    #[error(
        "a batch of {mutations} changes and {bytes} bytes, at most {most_mutations} and {most_bytes} are possible; nothing was sent. Split it"
    )]
    BatchTooLarge {
        /// Its changes.
        mutations: usize,
        /// Its bytes, encoded.
        bytes: usize,
        /// Most changes.
        most_mutations: usize,
        /// Most bytes.
        most_bytes: usize,
    },
    /// The batch is empty or names a key twice; nothing was sent.
    #[error("the batch {why}; nothing was sent")]
    BatchShape {
        /// What is wrong.
        why: &'static str,
    },
    /// A precondition did not hold; nothing was changed.
    #[error("the precondition of change {mutation} does not hold: the key {}; nothing was changed. Read it again and decide anew", version_words(.current))]
    Conflict {
        /// Index of the change in its batch; 0 for a single write.
        mutation: u16,
        /// Version the key has; 0 when it does not exist.
        current: Revision,
    },
    /// The namespace does not exist.
    #[error("no such namespace: {detail}")]
    NoNamespace {
        /// The node's words.
        detail: String,
    },
    /// The write was sent and may or may not have been applied.
    #[error(
        "the write was sent {submissions} time(s) and it is not known whether it was applied: {cause}. Read the key and decide; if it was \
         not applied yet, the client's next write keeps it from being applied later"
    )]
    OutcomeUnknown {
        /// How often it was sent.
        submissions: u32,
        /// Why no answer counts.
        cause: String,
    },
    /// No session; the write was never sent.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The node refused for another reason; nothing was changed.
    #[error("the node refused with {}: {}", code_name(.0.code), &*.0.detail)]
    Refused(Refusal),
    /// The node answered something that is no answer to this.
    #[error("the node's answer makes no sense here: {0}; client and node may be of different releases")]
    Nonsense(String),
}

impl WriteError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            WriteError::ValueTooLarge { .. } => "RW-C-VALUE-TOO-LARGE",
            WriteError::KeyTooLong { .. } => "RW-C-KEY-TOO-LONG",
            WriteError::BatchTooLarge { .. } => "RW-C-BATCH-TOO-LARGE",
            WriteError::BatchShape { .. } => "RW-C-BATCH-SHAPE",
            WriteError::Conflict { .. } => "RW-C-CONFLICT",
            WriteError::NoNamespace { .. } => "RW-C-NO-NAMESPACE",
            WriteError::OutcomeUnknown { .. } => "RW-C-OUTCOME-UNKNOWN",
            WriteError::Session(fault) => fault.code(),
            WriteError::Refused(refusal) => refusal_code(refusal.code),
            WriteError::Nonsense(_) => "RW-C-NONSENSE",
        }
    }
}

/// Why a watch did not start, or ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WatchError {
    /// The prefix is too long; nothing was sent.
    #[error("a prefix of {bytes} bytes, at most {most} are possible; nothing was sent")]
    KeyTooLong {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
    /// The session carries as many watches as it may.
    #[error("this client has {most} watches already, which is the most; end one, or make another client")]
    TooMany {
        /// Most watches.
        most: usize,
    },
    /// Changes after the asked revision are gone.
    #[error("changes after revision {after} are no longer kept: {detail}; list the prefix again and watch from the revision it shows")]
    Compacted {
        /// The revision.
        after: Revision,
        /// The node's words.
        detail: String,
    },
    /// The namespace does not exist.
    #[error("no such namespace: {detail}")]
    NoNamespace {
        /// The node's words.
        detail: String,
    },
    /// What is stored does not open under the user's key: it was altered or moved, by whoever can write what the cluster stores.
    #[error(
        "a {what} in user mode does not open under the user's key: {cause}; it was altered or moved. Keep this message and tell the operators"
    )]
    NotAuthentic {
        /// Name or value.
        what: &'static str,
        /// What was found.
        cause: String,
    },
    /// No session.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The node refused for another reason.
    #[error("the node refused with {}: {}", code_name(.0.code), &*.0.detail)]
    Refused(Refusal),
    /// The node answered something that is no answer to this.
    #[error("the node's answer makes no sense here: {0}; client and node may be of different releases")]
    Nonsense(String),
}

impl WatchError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            WatchError::KeyTooLong { .. } => "RW-C-KEY-TOO-LONG",
            WatchError::TooMany { .. } => "RW-C-TOO-MANY-WATCHES",
            WatchError::Compacted { .. } => "RW-C-COMPACTED",
            WatchError::NoNamespace { .. } => "RW-C-NO-NAMESPACE",
            WatchError::NotAuthentic { .. } => "RW-C-NOT-AUTHENTIC",
            WatchError::Session(fault) => fault.code(),
            WatchError::Refused(refusal) => refusal_code(refusal.code),
            WatchError::Nonsense(_) => "RW-C-NONSENSE",
        }
    }
}

fn version_words(current: &Revision) -> String {
    match current.0 {
        0 => "does not exist".into(),
        version => format!("has version {version}"),
    }
}

macro_rules! refusal_names {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// Stable code of a node's refusal.
        pub fn refusal_code(code: RefusalCode) -> &'static str {
            match code { $(RefusalCode::$variant => concat!("RW-C-NODE-", $text)),* }
        }

        /// Name of a refusal, for messages.
        pub fn code_name(code: RefusalCode) -> &'static str {
            match code { $(RefusalCode::$variant => $text),* }
        }

    };
}

refusal_names! {
    UnsupportedVersion = "UNSUPPORTED-VERSION",
    Malformed = "MALFORMED",
    TooLarge = "TOO-LARGE",
    NoRoom = "NO-ROOM",
    NotMember = "NOT-MEMBER",
    Unavailable = "UNAVAILABLE",
    Busy = "BUSY",
    EvidenceRefused = "EVIDENCE-REFUSED",
    NotAuthorized = "NOT-AUTHORIZED",
    NoNamespace = "NO-NAMESPACE",
    OtherMode = "OTHER-MODE",
    OutcomeUnknown = "OUTCOME-UNKNOWN",
    Compacted = "COMPACTED",
    SlotOccupied = "SLOT-OCCUPIED",
    ShuttingDown = "SHUTTING-DOWN",
    Fenced = "FENCED",
    ModeNotOffered = "MODE-NOT-OFFERED",
    OtherCluster = "OTHER-CLUSTER",
    Behind = "BEHIND",
    OtherHistory = "OTHER-HISTORY",
    OrderRefused = "ORDER-REFUSED",
    ClientForgotten = "CLIENT-FORGOTTEN",
    OtherUserKey = "OTHER-USER-KEY",
    UserKeyNeeded = "USER-KEY-NEEDED",
    DeviceRevoked = "DEVICE-REVOKED",
    NotRestored = "NOT-RESTORED",
    LeaseOver = "LEASE-OVER",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_nodes_keep_their_names() {
        assert_eq!(refusal_code(RefusalCode::TooLarge), "RW-C-NODE-TOO-LARGE");
        assert_eq!(refusal_code(RefusalCode::ModeNotOffered), "RW-C-NODE-MODE-NOT-OFFERED");
        assert_eq!(code_name(RefusalCode::Fenced), "FENCED");
    }

    #[test]
    fn messages_say_what_failed_with_facts_and_what_to_do() {
        let conflict = WriteError::Conflict { mutation: 2, current: Revision(9) };
        assert!(conflict.to_string().contains("change 2") && conflict.to_string().contains("version 9"), "{conflict}");
        let tried = vec![Attempt { address: "a:1".into(), cause: "no answer".into(), refused: false }];
        let late = ConnectError::Unavailable { waited_ms: 30_000, tried };
        assert!(late.to_string().contains("30000 ms") && late.to_string().contains("a:1: no answer"), "{late}");
        assert!(late.to_string().contains("majority"), "{late}");
    }
}
