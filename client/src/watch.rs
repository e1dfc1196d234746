//! A watch, as its reader holds it: events in order of revision, none missed, none twice, across changes of node.
//!
//! Decides: what a reader sees and when a watch ends. Dropping it ends it at the node too. Trusts: the client's task for order.
//! Out of scope: resuming (`watches.rs`). Protocol section 3, step 7.

use crate::client::Client;
use crate::error::WatchError;
use ringwall_wire::ids::Revision;
use ringwall_wire::request::{Event, Events};
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// One change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// Revision that changed it; changes of one batch share it.
    pub revision: Revision,
    /// The new value; none when the key was removed or has expired.
    pub value: Option<Vec<u8>>,
}

/// Changes under a prefix.
#[derive(Debug)]
pub struct Watch {
    told: mpsc::Receiver<Result<Events, WatchError>>,
    ready: VecDeque<Event>,
    through: Revision,
    told_through: Revision,
    /// Keeps the session alive while somebody reads.
    _client: Client,
}

impl Watch {
    pub(crate) fn new(told: mpsc::Receiver<Result<Events, WatchError>>, after: Revision, client: Client) -> Self {
        Watch { told, ready: VecDeque::new(), through: after, told_through: after, _client: client }
    }

    /// The next change; waits for it. None after the client was closed. After an error the watch is over. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Result<Change, WatchError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.through = self.told_through;
                }
                let Event { key, revision, value } = event;
                return Some(Ok(Change { key: key.into_vec(), revision, value: value.map(|value| value.into_vec()) }));
            }
            match self.told.recv().await? {
                Ok(events) => self.take(events),
                Err(fault) => {
                    self.told.close();
                    return Some(Err(fault));
                }
            }
        }
    }

    /// Everything up to this revision has been returned by [`Watch::next`]: where to go on after a restart of the program.
    pub fn through(&self) -> Revision {
        self.through
    }

    fn take(&mut self, events: Events) {
        self.told_through = events.through;
        self.ready.extend(events.events.into_vec());
        if self.ready.is_empty() {
            self.through = events.through;
        }
    }
}
