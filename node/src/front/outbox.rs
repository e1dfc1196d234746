//! The replies of one session on their way out, and the accounting that bounds what a session holds.
//!
//! Decides: when a session may hand in another request (count and bytes), and the order of replies: as they become ready. Reads of
//! single keys are put in here unanswered and answered when they are sent, so that unread values hold no memory.
//! Trusts: nothing. Out of scope: sealing and sending (`sender.rs`).

use crate::front::limits::SESSION_BYTES;
use crate::front::receipts::Touched;
use crate::front::spaces::Space;
use ringwall_wire::ids::KeyTag;
use ringwall_wire::limits::SESSION_IN_FLIGHT;
use ringwall_wire::request::{Answer, Reply};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// Something to send.
#[derive(Debug)]
pub(crate) enum Item {
    /// A finished reply.
    Ready(Reply),
    /// A key to read as of now: its read round is over.
    Read(ReadKey),
}

/// A key to read.
#[derive(Clone, Debug)]
pub(crate) struct ReadKey {
    /// Number of the request.
    pub(crate) number: u64,
    /// Namespace.
    pub(crate) space: Arc<Space>,
    /// Key.
    pub(crate) key: KeyTag,
}

/// What an item gives back when it was sent, and what its receipt must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Requests: 1, or 0 for what was not asked for just now (events).
    pub(crate) requests: usize,
    /// Bytes.
    pub(crate) bytes: usize,
    /// The namespace it is about: its receipt names it.
    pub(crate) about: Option<Touched>,
    /// Index its receipt must reach.
    pub(crate) index: u64,
}

impl Charge {
    /// One request of this many bytes.
    pub(crate) fn request(bytes: usize) -> Self {
        Charge { requests: 1, bytes, ..Charge::default() }
    }

    /// No request: bytes that were not asked for just now.
    pub(crate) fn bytes(bytes: usize) -> Self {
        Charge { bytes, ..Charge::default() }
    }

    /// The same, about a namespace.
    pub(crate) fn about(self, about: Touched) -> Self {
        Charge { about: Some(about), ..self }
    }
}

#[derive(Debug, Default)]
struct Inner {
    items: Vec<(Item, Charge)>,
    held: Charge,
    room_wanted: bool,
    /// The session's own last word; nothing is taken in after it.
    last: Option<Reply>,
    over: bool,
}

/// Replies of one session.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    wake: Notify,
    room: Notify,
}

/// What the sender gets.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Items in order.
    pub(crate) items: Vec<(Item, Charge)>,
    /// The session's last word: send it, then end the stream.
    pub(crate) last: Option<Reply>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes one request in if the session is within its bounds. A session that holds nothing may always hand one in.
    pub(crate) fn admit(&self, charge: Charge) -> bool {
        let mut inner = self.lock();
        let fits = inner.held.requests.saturating_add(charge.requests) <= SESSION_IN_FLIGHT
            && inner.held.bytes.saturating_add(charge.bytes) <= SESSION_BYTES;
        let fits = fits || inner.held == Charge::default();
        match fits {
            true => inner.held = sum(inner.held, charge),
            false => inner.room_wanted = true,
        }
        fits
    }

    /// Waits until `charge` fits, then takes it in. False when the session is over.
    pub(crate) async fn admitted(&self, charge: Charge) -> bool {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the look, so that room made in between is not missed.
            room.as_mut().enable();
            if self.is_over() {
                return false;
            }
            if self.admit(charge) {
                return true;
            }
            room.await;
        }
    }

    /// Queues an answer and wakes the sender.
    pub(crate) fn answer(&self, number: u64, body: Answer, charge: Charge) {
        if self.push(Item::Ready(Reply { number, body }), charge) {
            self.wake.notify_one();
        }
    }

    /// Queues an item without waking the sender; true when the caller must call [`Outbox::wake`] (nothing was waiting before).
    pub(crate) fn push(&self, item: Item, charge: Charge) -> bool {
        let mut inner = self.lock();
        if inner.over {
            return false;
        }
        inner.items.push((item, charge));
        inner.items.len() == 1
    }

    /// Wakes the sender.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Everything that is ready, waiting for the first. None when the session is over and everything was taken.
    pub(crate) async fn take(&self) -> Option<Taken> {
        loop {
            {
                let mut inner = self.lock();
                if !inner.items.is_empty() || inner.last.is_some() {
                    return Some(Taken { items: std::mem::take(&mut inner.items), last: inner.last.take() });
                }
                if inner.over {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Gives back what sent items held.
    pub(crate) fn sent(&self, charge: Charge) {
        let wanted = {
            let mut inner = self.lock();
            inner.held.requests = inner.held.requests.saturating_sub(charge.requests);
            inner.held.bytes = inner.held.bytes.saturating_sub(charge.bytes);
            std::mem::take(&mut inner.room_wanted)
        };
        if wanted {
            self.room.notify_waiters();
        }
    }

    /// Ends the session with a last word (number 0): what waits is still sent, nothing new is taken in.
    pub(crate) fn finish(&self, last: Option<Answer>) {
        {
            let mut inner = self.lock();
            if inner.over {
                return;
            }
            inner.over = true;
            inner.last = last.map(|body| Reply { number: 0, body });
        }
        self.wake.notify_one();
        self.room.notify_waiters();
    }

    /// Whether the session takes nothing in any more.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Whether every request was answered and sent.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.lock();
        inner.held.requests == 0 && inner.items.is_empty()
    }
}

/// Both together, about what `left` is about.
pub(crate) fn sum(left: Charge, right: Charge) -> Charge {
    Charge {
        requests: left.requests.saturating_add(right.requests),
        bytes: left.bytes.saturating_add(right.bytes),
        about: left.about,
        index: left.index,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn requests_above_the_count_or_the_bytes_wait() {
        let outbox = Outbox::default();
        for _ in 0..SESSION_IN_FLIGHT {
            assert!(outbox.admit(Charge::request(1)));
        }
        assert!(!outbox.admit(Charge::request(1)));
        outbox.sent(Charge::request(1));
        assert!(outbox.admit(Charge::request(1)));
        let outbox = Outbox::default();
        assert!(outbox.admit(Charge::request(SESSION_BYTES)));
        assert!(!outbox.admit(Charge::request(1)));
    }

    #[test]
    fn an_idle_session_may_always_hand_one_in() {
        assert!(Outbox::default().admit(Charge::request(SESSION_BYTES * 2)));
    }

    #[tokio::test]
    async fn the_last_word_comes_after_what_waited_and_nothing_after_it() {
        let outbox = Outbox::default();
        outbox.answer(7, Answer::Done, Charge::default());
        outbox.finish(Some(Answer::Done));
        outbox.answer(8, Answer::Done, Charge::default());
        let taken = outbox.take().await.unwrap();
        assert_eq!(taken.items.len(), 1);
        assert_eq!(taken.last.unwrap().number, 0);
        assert!(outbox.take().await.is_none());
    }

    #[tokio::test]
    async fn room_wakes_the_waiting_reader() {
        let outbox = Arc::new(Outbox::default());
        assert!(outbox.admit(Charge::request(SESSION_BYTES)));
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.admitted(Charge::request(5)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        outbox.sent(Charge::request(SESSION_BYTES));
        assert!(waiting.await.unwrap());
    }
}
