//! How refusals are worded: one short constant sentence for each, never a byte a user or a peer sent.
//!
//! Decides: which code and which words an internal fault becomes. Trusts: nothing.
//! Out of scope: the codes themselves (`wire`), how they travel (`session.rs`, `outbox.rs`).

use ringwall_wire::bounded::Text;
use ringwall_wire::command::{Denial, Outcome};
use ringwall_wire::request::Answer;
use ringwall_wire::rotation::RotationFault;
use ringwall_wire::session::{Refusal, RefusalCode};

/// A refusal with constant words.
pub(crate) fn refusal(code: RefusalCode, detail: &'static str) -> Refusal {
    Refusal { code, detail: Text::new(detail).unwrap_or_default() }
}

/// The same as an answer to a request.
pub(crate) fn refused(code: RefusalCode, detail: &'static str) -> Answer {
    Answer::Refused(refusal(code, detail))
}

/// Not a legal message here.
pub(crate) fn malformed() -> Refusal {
    refusal(RefusalCode::Malformed, "the bytes are not a message that is legal at this point; update the client")
}

/// The outcome of a write is not known.
pub(crate) fn unavailable() -> Refusal {
    refusal(RefusalCode::Unavailable, "no quorum answered in time; try again here or on another member, with the same write number")
}

/// The disk reserve is reached; nothing was proposed.
pub(crate) fn no_room() -> Refusal {
    refusal(
        RefusalCode::NoRoom,
        "the disk reserve of this node or of the leader is reached: not applied; delete keys, or the operator must free or add disk space",
    )
}

/// The client has seen more than this member, which could not ask a quorum whether anybody has.
pub(crate) fn behind() -> Refusal {
    refusal(
        RefusalCode::Behind,
        "this member has not applied what you have seen and no quorum answered in time; try again or ask another one",
    )
}

/// One change more came into force than an answer to this question carries.
pub(crate) fn changed_meanwhile() -> Refusal {
    refusal(RefusalCode::Unavailable, "another policy came into force meanwhile; ask again, here or another member")
}

/// The node leaves.
pub(crate) fn leaving() -> Refusal {
    refusal(RefusalCode::ShuttingDown, "this member is shutting down; go on with another one, with the same write number")
}

/// The node may not serve any more.
pub(crate) fn fenced() -> Refusal {
    refusal(RefusalCode::Fenced, "this member stopped serving; go on with another one")
}

/// The namespace was never opened.
pub(crate) fn no_namespace() -> Refusal {
    refusal(RefusalCode::NoNamespace, "the namespace does not exist; open it first")
}

/// A key is in use that this member does not hold yet.
pub(crate) fn awaiting_key() -> Refusal {
    refusal(RefusalCode::Unavailable, "this member waits for a new master key from another one; try again here or ask another member")
}

/// The namespace is in dual mode and the session brought no part of its keys.
pub(crate) fn user_key_needed() -> Refusal {
    refusal(RefusalCode::UserKeyNeeded, "the namespace is in dual mode: open it with that mode and the user's key")
}

/// The device was revoked.
pub(crate) fn device_revoked() -> Refusal {
    refusal(RefusalCode::DeviceRevoked, "this device was revoked by its user; make a new credential and have it added from another device")
}

/// A sealed record did not open: our storage or our keys are wrong, not the client.
pub(crate) fn unreadable() -> Refusal {
    refusal(RefusalCode::Unavailable, "a stored record did not open on this member; ask another one and tell its operator")
}

/// What a client is told of an applied write. `opens`: the write made a namespace. `first`: no earlier attempt of this node to get it
/// applied ended without an outcome, so that what was not applied now was not applied by this node at all.
pub(crate) fn told(outcome: Outcome, opens: bool, first: bool) -> Answer {
    match outcome {
        Outcome::Applied(revision) if opens => Answer::Opened(revision),
        Outcome::Applied(revision) => Answer::Written(revision),
        Outcome::Conflict(conflict) => Answer::Conflict(conflict),
        // Namespaces were erased.
        Outcome::Done => Answer::Done,
        Outcome::NoSpace => Answer::Refused(no_namespace()),
        Outcome::OtherMode => refused(RefusalCode::OtherMode, "the namespace exists with another key mode"),
        Outcome::OtherUserKey => refused(RefusalCode::OtherUserKey, "the namespace was made under another key of its user"),
        Outcome::ClientForgotten if first => {
            refused(RefusalCode::ClientForgotten, "the cluster no longer remembers this client: not applied; go on with a new client name")
        }
        Outcome::ClientForgotten => {
            refused(RefusalCode::OutcomeUnknown, "this client was silent for too long: not applied now, an earlier try may have been")
        }
        Outcome::Denied(Denial::Keys(RotationFault::Erased)) => {
            refused(RefusalCode::NoNamespace, "the namespace was erased and its name is not used again; choose another name")
        }
        // The master key it was made under is over, or not known yet.
        Outcome::Denied(Denial::Keys(_)) => Answer::Refused(awaiting_key()),
        // Outcomes of commands that are no client's write.
        Outcome::Admitted(_)
        | Outcome::Denied(_)
        | Outcome::Workload(_)
        | Outcome::UserChanged(_)
        | Outcome::UserRefused(_)
        | Outcome::Policy(_) => Answer::Refused(unavailable()),
        Outcome::OutOfWindow => refused(RefusalCode::TooLarge, "the write number is outside the client's window: not applied"),
    }
}
