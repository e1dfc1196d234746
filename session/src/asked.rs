//! What somebody asks of a cluster, and how they are told what came of it.
//!
//! Decides: the shape of a question before it has a number, and the three ways it can come to nothing. Who waits is a trait, so that a native
//! client waits on a channel and nothing is paid for names of waiters, while a page keeps them.
//! Trusts: whoever implements the traits to return at once. Out of scope: numbers and retries (`lane.rs`). Protocol section 3, step 7.

use crate::error::{ConnectError, WatchError};
use ringwall_wire::bounded::List;
use ringwall_wire::limits::BATCH_MUTATIONS;
use ringwall_wire::request::{Answer, Events, Mutation, Namespace, Op};
use ringwall_wire::session::Refusal;

/// What an operation asks, before it has a number.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A write: numbered for exactly-once.
    Write(Namespace, List<Mutation, BATCH_MUTATIONS>),
    /// Anything that may be asked twice.
    Read(Op),
}

/// An operation on its way.
#[derive(Debug)]
pub struct Submission<A> {
    /// What is asked.
    pub ask: Ask,
    /// When its asker stops waiting, milliseconds.
    pub deadline_ms: u64,
    /// Who waits.
    pub asker: A,
}

/// Why an operation got no answer that counts.
#[derive(Clone, Debug)]
pub enum Failure {
    /// A definite refusal: nothing was changed.
    Refused(Refusal),
    /// A write was sent and its outcome is not known.
    OutcomeUnknown {
        /// How often it was sent.
        submissions: u32,
        /// Why no answer counts.
        cause: String,
    },
    /// It was never sent, or may be asked again without harm.
    Session(ConnectError),
}

/// Who waits for one answer.
pub trait Asker {
    /// Whether nobody waits any more: what was not sent yet is not sent.
    fn is_gone(&self) -> bool;
    /// Takes the outcome, which comes once. An asker who stopped waiting is no error.
    fn tell(self, outcome: Result<Answer, Failure>);
}

/// What became of events that were handed to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The reader has them.
    Taken,
    /// The reader fell behind and was told nothing: the watch is asked again from here once there is room.
    Full,
    /// Nobody reads any more.
    Gone,
}

/// Who follows a watch.
pub trait Reader {
    /// Whether nobody reads any more.
    fn is_gone(&self) -> bool;
    /// Whether a reader that fell behind has caught up far enough to be told more.
    fn has_room(&self) -> bool;
    /// Hands over the changes of one message, all or none.
    fn tell(&mut self, events: Events) -> Handed;
    /// Ends the watch. A reader that has no room hears it when it has.
    fn last_word(self, fault: WatchError);
}
