//! Whether a world kept its promises: what is watched while it runs, and what is asked of its history at the end.
//!
//! Decides: the closed list of rules, and that one broken rule ends the world. Trusts: nothing the nodes say of themselves that is not
//! compared with what others saw. Out of scope: why a rule was broken; the trace says what happened.
//!
//! | file | asks |
//! |---|---|
//! | `watch` | after every message and every step of a life: one vote a term, one leader a term, logs that match, committed prefixes that stay, leaders that have what was committed, one life an incarnation, admissions that were endorsed, grants to honest machines alone, fenced nodes that are silent |
//! | `order` | of every answered operation: one order, by revision, that respects real time; each write applied once |
//! | `linear` | of a sample of keys: a Wing-Gong-Lowe search that trusts no number a server gave |
//! | `replicas` | equal index, equal state, byte for byte |

pub mod linear;
pub mod order;
pub mod replicas;
pub mod watch;

/// One rule. IN1 to IN10 are the invariants of protocol section 4.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// IN1: one vote for each epoch, term and incarnation.
    OneVote,
    /// IN2: no two live processes hold the same incarnation's keys.
    OneLife,
    /// IN3: a committed prefix never changes within an epoch.
    CommittedPrefix,
    /// IN4: what was acknowledged is in the log of every later leader.
    LeaderComplete,
    /// IN5: equal index, equal state, byte for byte.
    EqualState,
    /// IN6: master keys in memory imply an applied admission.
    KeysAfterAdmission,
    /// IN7: every admission has the endorsements its rule wants.
    Endorsed,
    /// IN8: a fenced node answers nothing.
    FencedSilence,
    /// IN9: a read that began after a write was acknowledged shows it.
    ReadsAcknowledged,
    /// IN10: the key epoch never decreases; in one life neither do applied index, revision, time, epoch, custody epochs, policy version and least security version.
    NeverBack,
    /// V1, V2: entries and requests for votes are heeded of an incarnation that was admitted, and of nobody else.
    FollowsMembers,
    /// Raft: one leader a term.
    OneLeader,
    /// Raft: equal index and term, equal entry and equal predecessor.
    LogMatching,
    /// Raft: a leader's commit position does not go back.
    CommitForward,
    /// Raft: an append is sent under a ballot that names its sender.
    OwnBallot,
    /// Raft: entries of an append follow each other.
    Consecutive,
    /// Raft: nobody commits an entry of a term that is later than its leader's.
    CommitTerm,
    /// Raft: a voter's ballots do not go back to a lower term.
    TermForward,
    /// No disk holds a key of the cluster in the clear.
    KeysStayInside,
    /// Only honest machines get the cluster's keys.
    HonestOnly,
    /// A slot whose incumbent answers is not given away: judged in worlds whose only fault are second copies.
    OccupiedSlot,
    /// A client speaks to members alone.
    GenuineServer,
    /// The log a client is shown continues the one it was shown before.
    NeverForgets,
    /// A write takes effect once.
    Once,
    /// One order explains what all clients saw.
    OneOrder,
    /// Sampled histories are linearizable.
    Linearizable,
    /// After the faults end, writes succeed again and three voters hold equal states.
    Recovers,
    /// No task of a node panics, except where a panic was planted.
    NoPanic,
    /// What a member said is on its disk is there after a crash.
    Durable,
    /// An initialization vector is used once.
    FreshIv,
    /// DR1, DR2: what counts is the share that was dealt to its custodian, for the session it was given to, and fewer than the threshold open nothing.
    SharesAsDealt,
    /// A policy is in force when enough governors approved it, and not before its time.
    PolicyInTime,
    /// PC9, PC10: no session is judged by an older policy than its judge knew, or the node that answers went by, when it was asked; and all that is shown is one row.
    NewestPolicy,
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When, simulated milliseconds.
    pub at_ms: u64,
    /// What was seen.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?} at {} ms: {}", self.rule, self.at_ms, self.what)
    }
}
