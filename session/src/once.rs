//! The window of numbered writes that makes retries exactly-once.
//!
//! Decides: which sequence number the next write of a client process gets, which writes are still unanswered, and that at most
//! [`SESSION_IN_FLIGHT`] of them are outstanding: the cluster keeps that many outcomes of a client, so a retry always finds its own.
//! Trusts: nothing. Out of scope: sending (`lane.rs`). Protocol section 3, step 7; `wire/src/request.rs`, `Once`.

use ringwall_wire::ids::Revision;
use ringwall_wire::limits::SESSION_IN_FLIGHT;
use ringwall_wire::request::Once;
use std::collections::BTreeSet;

/// Sequence numbers of one client name.
#[derive(Debug)]
pub(crate) struct Window {
    next: u64,
    open: BTreeSet<u64>,
}

impl Window {
    /// A window nothing was taken from.
    pub(crate) fn new() -> Self {
        Window { next: 1, open: BTreeSet::new() }
    }

    /// Every write below this has been answered (or given up, which tells the cluster never to apply it any more).
    pub(crate) fn acked(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// Whether another write may be numbered now.
    pub(crate) fn has_room(&self) -> bool {
        self.next.saturating_sub(self.acked()) < SESSION_IN_FLIGHT as u64
    }

    /// Numbers the next write, or nothing while the window is full.
    pub(crate) fn take(&mut self, since: Revision) -> Option<Once> {
        if !self.has_room() {
            return None;
        }
        let seq = self.next;
        self.next = self.next.saturating_add(1);
        self.open.insert(seq);
        Some(Once { seq, acked: self.acked(), since })
    }

    /// Notes that the write `seq` was answered or given up.
    pub(crate) fn close(&mut self, seq: u64) {
        self.open.remove(&seq);
    }

    /// Whether no write is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_one_and_acked_follows_the_lowest_open_write() {
        let mut window = Window::new();
        let first = window.take(Revision(7)).unwrap();
        assert_eq!(first, Once { seq: 1, acked: 1, since: Revision(7) });
        assert_eq!(window.take(Revision(8)).unwrap(), Once { seq: 2, acked: 1, since: Revision(8) });
        window.close(2);
        assert_eq!(window.acked(), 1, "an answer above an open write moves nothing");
        window.close(1);
        assert_eq!(window.acked(), 3);
        assert!(window.is_idle());
    }

    #[test]
    fn one_open_write_holds_the_window_whatever_else_was_answered() {
        let mut window = Window::new();
        for seq in 1..=SESSION_IN_FLIGHT as u64 {
            assert_eq!(window.take(Revision(0)).unwrap().seq, seq);
            if seq > 1 {
                window.close(seq);
            }
        }
        assert!(window.take(Revision(0)).is_none(), "write 1 is open: 257 would leave the cluster's memory");
        window.close(1);
        assert_eq!(window.take(Revision(0)).unwrap().acked, SESSION_IN_FLIGHT as u64 + 1);
    }
}
