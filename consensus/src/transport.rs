//! How a replica reaches the others: one call, one answer, in four classes that do not block each other.
//!
//! Decides: the interface and the order it promises. Trusts: the implementation to deliver a call only to the member whose
//! attested key is in `Member`. Out of scope: sessions and framing (`node`, `channel`, `quic`). Protocol section 4.

use ringwall_wire::ids::Incarnation;
use ringwall_wire::peer::{Member, PeerAnswer, PeerCall};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Which stream of the session a call travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Appends and heartbeats, in order.
    Append,
    /// Votes, transfers, read indexes, endorsements, catch-up proofs.
    Control,
    /// Snapshots.
    Bulk,
    /// Forwarded writes.
    Forward,
}

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No session with the member, and none could be made.
    #[error("member {to} cannot be reached: {why}")]
    Unreachable {
        /// Whom.
        to: Incarnation,
        /// For people.
        why: String,
    },
    /// The answer did not come in time; the call may have been carried out.
    #[error("member {to} did not answer within {after_ms} ms")]
    Timeout {
        /// Whom.
        to: Incarnation,
        /// Milliseconds.
        after_ms: u64,
    },
}

/// Calls to other members.
///
/// The call is queued for sending before `call` returns, not when the future is first polled: calls of one class to one member are
/// sent, and handed to [`crate::Replica::answer`] there, in the order in which `call` was called. Answers may be awaited in any
/// order, and many calls may wait at once. Dropping the future does not unsend the call.
pub trait Transport: Send + Sync + 'static {
    /// Sends `call` to `to` on the stream of `class` and waits at most `timeout` for its answer.
    fn call(
        &self,
        to: Incarnation,
        member: &Member,
        class: Class,
        call: PeerCall,
        timeout: Duration,
    ) -> BoxFuture<Result<PeerAnswer, TransportError>>;
}
