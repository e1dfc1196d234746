//! How a call across the boundary ends: one number for each way, with words.
//!
//! Decides: the numbers, which never change their meaning, and for each a code, what happened and what to do. What the core itself refuses is [`Status::Refused`], and the
//! answer says why in the core's own words. Trusts: nothing. Out of scope: the codes of the core (docs/core.md).

use std::ffi::CStr;

/// How a call ended. Every function that returns `int32_t` returns one of these.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// The core refused: the answer is one frame that says why, with a code and words.
    Refused = 1,
    /// A pointer that must point somewhere is null.
    Null = 2,
    /// A length is above its limit.
    TooLarge = 3,
    /// No such handle: it was never given out, or was closed.
    Handle = 4,
    /// Another call on this handle is running, or too many questions wait.
    Busy = 5,
    /// Called from inside a callback.
    Reentrant = 6,
    /// This call met a bug of this library; a handle it was made on is poisoned.
    Panicked = 7,
    /// An earlier call on this handle met a bug of this library.
    Poisoned = 8,
    /// As many handles as there may be.
    TooManyHandles = 9,
    /// The handle is of the other kind: of `ringwall_open`, or of `ringwall_connect`.
    Kind = 10,
    /// The time is over. A write may have been applied, or may be later.
    Deadline = 11,
    /// The client is over; the answer is the frame that says why.
    Ended = 12,
    /// Not an allocation of this library with this length, or freed before.
    Free = 13,
    /// No thread could be started.
    Thread = 14,
    /// The callback for randomness failed.
    Random = 15,
    /// The host is of another version of this interface: its `size` is another one.
    Host = 16,
}

impl Status {
    /// All of them, by their numbers.
    pub const ALL: [Status; 17] = [
        Status::Ok,
        Status::Refused,
        Status::Null,
        Status::TooLarge,
        Status::Handle,
        Status::Busy,
        Status::Reentrant,
        Status::Panicked,
        Status::Poisoned,
        Status::TooManyHandles,
        Status::Kind,
        Status::Deadline,
        Status::Ended,
        Status::Free,
        Status::Thread,
        Status::Random,
        Status::Host,
    ];

    /// The status of this number.
    pub fn of(number: i32) -> Option<Status> {
        Status::ALL.into_iter().find(|status| *status as i32 == number)
    }

    /// Code, what happened, what to do.
    pub fn words(self) -> &'static CStr {
        match self {
            Status::Ok => c"done",
            Status::Refused => c"RW-C-CALL-REFUSED: the core refused the call; the answer holds its code and words",
            Status::Null => c"RW-C-CALL-NULL: a pointer is null that must not be; pass one for every answer, and for every length above 0",
            Status::TooLarge => c"RW-C-CALL-TOO-LARGE: a length is above its limit (docs/c-interface.md); pass less",
            Status::Handle => c"RW-C-CALL-HANDLE: no such handle; it was never given out, or was closed",
            Status::Busy => {
                c"RW-C-CALL-BUSY: another call on this handle is running, or too many questions wait; make calls on one handle one at a time"
            }
            Status::Reentrant => c"RW-C-CALL-REENTRANT: called from inside a callback; return from it first",
            Status::Panicked => c"RW-C-CALL-PANICKED: a bug of this library; close the handle, open another one, and report what was printed",
            Status::Poisoned => c"RW-C-CALL-POISONED: an earlier call on this handle met a bug; close it and open another one",
            Status::TooManyHandles => c"RW-C-CALL-TOO-MANY-HANDLES: as many handles as there may be; close some",
            Status::Kind => c"RW-C-CALL-KIND: the handle is of the other kind; ringwall_handle wants one of ringwall_open, and ringwall_ask, _put and _get one of ringwall_connect",
            Status::Deadline => c"RW-C-CALL-DEADLINE: no answer in time; a write may have been applied, or may be later: read before writing again",
            Status::Ended => c"RW-C-CALL-ENDED: the client is over, and the answer says why; close the handle and connect again",
            Status::Free => c"RW-C-CALL-FREE: not an allocation of this library with this length, or freed before; nothing was freed",
            Status::Thread => c"RW-C-CALL-THREAD: the system gave no thread; end some",
            Status::Random => c"RW-C-CALL-RANDOM: the callback for randomness failed; nothing was sent",
            Status::Host => c"RW-C-CALL-HOST: the host's size is not the one of this library; compile with the header of this version",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_has_one_status_and_its_own_words() {
        for (number, status) in (0..).zip(Status::ALL) {
            assert_eq!(Status::of(number), Some(status));
        }
        assert_eq!(Status::of(-1), None);
        assert_eq!(Status::of(Status::ALL.len() as i32), None);
        let words: BTreeSet<_> = Status::ALL.map(Status::words).into();
        assert_eq!(words.len(), Status::ALL.len());
        let coded = Status::ALL.iter().skip(1).all(|status| status.words().to_str().unwrap().starts_with("RW-C-CALL-"));
        assert!(coded);
    }
}
