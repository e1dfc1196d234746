//! The four streams of calls in a session between members, and what both ends agree on about them.
//!
//! Decides: which stream carries which class, its priority, and how many calls wait on it at once. Each stream begins with its number,
//! plain, and goes on with records whose keys belong to that number alone.
//! Trusts: nothing. Out of scope: what the calls mean. Protocol section 4.

use ringwall_consensus::Class;
use ringwall_wire::peer::PeerCall;
use zeroize::Zeroize;

/// The classes, in the order of their stream numbers from 1.
pub(crate) const CLASSES: [Class; 4] = [Class::Append, Class::Control, Class::Bulk, Class::Forward];
/// Calls that may wait for an answer on one stream: pipelined appends of a busy leader stay far below.
pub(crate) const IN_FLIGHT: usize = 1_024;
/// Bytes of calls that may wait to be sent to one member: a few appends of the full size.
pub(crate) const QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of calls of one stream that the answering side works on at once: beyond it the stream is not read.
pub(crate) const WORKING_BYTES: usize = 32 * 1024 * 1024;
/// Messages taken together for one flush.
pub(crate) const FLUSH_MESSAGES: usize = 64;
/// Bytes taken from a stream at once.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of a message that may carry a key: far more than any of them has, far less than would be felt when it is wiped.
const KEY_MESSAGE_BYTES: usize = 1024;

/// Wipes messages that may carry keys, once they were sealed.
pub(crate) fn wipe<'a>(messages: impl IntoIterator<Item = &'a mut Vec<u8>>) {
    messages.into_iter().filter(|message| message.len() <= KEY_MESSAGE_BYTES).for_each(Zeroize::zeroize);
}

/// The stream number of a class.
pub(crate) fn number(class: Class) -> u32 {
    match class {
        Class::Append => 1,
        Class::Control => 2,
        Class::Bulk => 3,
        Class::Forward => 4,
    }
}

/// The class of a stream number.
pub(crate) fn class(number: u32) -> Option<Class> {
    CLASSES.into_iter().find(|class| self::number(*class) == number)
}

/// Priority of a stream: votes and read indexes before heartbeats and entries, snapshots last.
pub(crate) fn priority(class: Class) -> i32 {
    match class {
        Class::Control => 3,
        Class::Append => 2,
        Class::Forward => 1,
        Class::Bulk => 0,
    }
}

/// Whether a call may travel on a stream of this class: so that a snapshot cannot delay votes, whoever sends it.
pub(crate) fn carries(class: Class, call: &PeerCall) -> bool {
    match call {
        // A heartbeat may overtake megabytes of entries.
        PeerCall::Append(append) => class == Class::Append || (class == Class::Control && append.entries.is_empty()),
        PeerCall::SnapshotBegin(_) | PeerCall::SnapshotPart(_) => class == Class::Bulk,
        PeerCall::Forward(_) => class == Class::Forward,
        PeerCall::Vote(_)
        | PeerCall::PreVote(_)
        | PeerCall::Transfer(_)
        | PeerCall::ReadIndex
        | PeerCall::Endorse(_)
        | PeerCall::CatchUp(_)
        | PeerCall::OfferKey(_)
        | PeerCall::AskKey(_)
        | PeerCall::Custody(_)
        | PeerCall::Drill(_)
        | PeerCall::Policy(_)
        | PeerCall::Leaving
        | PeerCall::Alive => class == Class::Control,
        // Before any stream: `introduction`.
        PeerCall::ShowSuccessor(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_classes_are_one_to_one() {
        for class in CLASSES {
            assert_eq!(self::class(number(class)), Some(class));
        }
        assert_eq!(class(0), None);
        assert_eq!(class(5), None);
    }

    #[test]
    fn entries_and_snapshots_never_travel_where_votes_do() {
        use ringwall_wire::bounded::List;
        use ringwall_wire::sample::{Sample, Source};
        let mut source = Source::new(5);
        let mut append = ringwall_wire::peer::AppendCall::sample(&mut source);
        append.entries = List::default();
        assert!(carries(Class::Control, &PeerCall::Append(append.clone())));
        append.entries.push(ringwall_wire::peer::LogEntry::sample(&mut source)).expect("there is room");
        assert!(!carries(Class::Control, &PeerCall::Append(append.clone())));
        assert!(carries(Class::Append, &PeerCall::Append(append)));
        assert!(!carries(Class::Control, &PeerCall::SnapshotPart(Sample::sample(&mut source))));
        assert!(carries(Class::Control, &PeerCall::ReadIndex) && !carries(Class::Bulk, &PeerCall::ReadIndex));
        assert!(CLASSES.iter().all(|class| !carries(*class, &PeerCall::ShowSuccessor(1))));
    }
}
