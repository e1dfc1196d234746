//! Who waits, on channels: askers for one answer, readers of watches.
//!
//! Decides: how many messages of a watch wait for its reader, and when one that fell behind has caught up. Trusts: nothing.
//! Out of scope: what is told (`ringwall_session::core`). Protocol section 3, step 7.

use crate::error::WatchError;
use ringwall_session::asked::{Asker, Failure, Handed, Reader};
use ringwall_wire::request::{Answer, Events};
use tokio::sync::{mpsc, oneshot};

/// Messages of one watch that wait for its reader: each is at most one reply, so at most about 10 MiB a watch.
pub(crate) const WATCH_BUFFER: usize = 8;

/// Whoever asked, and waits.
#[derive(Debug)]
pub(crate) struct Waiter(pub(crate) oneshot::Sender<Result<Answer, Failure>>);

impl Asker for Waiter {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    fn tell(self, outcome: Result<Answer, Failure>) {
        // An asker who stopped waiting is no error.
        let _ = self.0.send(outcome);
    }
}

/// What a reader of a watch receives.
pub(crate) type Told = mpsc::Receiver<Result<Events, WatchError>>;

/// Whoever follows a watch.
#[derive(Debug)]
pub(crate) struct Follower(mpsc::Sender<Result<Events, WatchError>>);

impl Follower {
    /// Both ends of a new watch.
    pub(crate) fn new() -> (Self, Told) {
        let (reader, told) = mpsc::channel(WATCH_BUFFER);
        (Follower(reader), told)
    }
}

impl Reader for Follower {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    fn has_room(&self) -> bool {
        self.0.capacity() >= WATCH_BUFFER / 2
    }

    fn tell(&mut self, events: Events) -> Handed {
        match self.0.try_send(Ok(events)) {
            Ok(()) => Handed::Taken,
            Err(mpsc::error::TrySendError::Full(_)) => Handed::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => Handed::Gone,
        }
    }

    fn last_word(self, fault: WatchError) {
        if let Err(mpsc::error::TrySendError::Full(fault)) = self.0.try_send(Err(fault)) {
            tokio::spawn(async move {
                // Fails only when nobody reads any more.
                let _ = self.0.send(fault).await;
            });
        }
    }
}
