//! A watch, as its reader holds it: events in order of revision, none missed, none twice, across changes of node.
//!
//! Decides: what a reader was told so far and when a watch ends. Dropping it ends it at the node too. Trusts: the client's task for order, the core for what
//! an event says. Out of scope: resuming (`ringwall_session::watches`). Protocol section 3, step 7.

use crate::client::Client;
use crate::error::WatchError;
use crate::waiting::Told;
pub use ringwall_session::ops::Change;
use ringwall_session::ops::Following;
use ringwall_wire::ids::Revision;
use ringwall_wire::request::Events;
use std::collections::VecDeque;

/// Changes under a prefix.
#[derive(Debug)]
pub struct Watch {
    told: Told,
    ready: VecDeque<Change>,
    through: Revision,
    told_through: Revision,
    /// Keeps the session alive while somebody reads.
    _client: Client,
    following: Following,
}

impl Watch {
    pub(crate) fn new(told: Told, after: Revision, client: Client, following: Following) -> Self {
        Watch { told, ready: VecDeque::new(), through: after, told_through: after, _client: client, following }
    }

    /// The next change; waits for it. None after the client was closed. After an error the watch is over. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Result<Change, WatchError>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.through = self.told_through;
                }
                return Some(Ok(change));
            }
            let told = self.told.recv().await?;
            if let Err(fault) = told.and_then(|events| self.take(events)) {
                self.told.close();
                return Some(Err(fault));
            }
        }
    }

    /// Everything up to this revision has been returned by [`Watch::next`]: where to go on after a restart of the program.
    pub fn through(&self) -> Revision {
        self.through
    }

    /// Takes one message of events, all or none: a reader is told all of a write at once.
    fn take(&mut self, events: Events) -> Result<(), WatchError> {
        let through = events.through;
        self.ready.extend(self.following.changes(events)?);
        self.told_through = through;
        if self.ready.is_empty() {
            self.through = through;
        }
        Ok(())
    }
}
