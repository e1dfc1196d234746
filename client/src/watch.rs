//! A watch, as its reader holds it: events in order of revision, none missed, none twice, across changes of node.
//!
//! Decides: what a reader sees and when a watch ends. Dropping it ends it at the node too. Trusts: the client's task for order.
//! Out of scope: resuming (`ringwall_session::watches`). Protocol section 3, step 7.

use crate::error::WatchError;
use crate::namespace::NamespaceHandle;
use crate::waiting::Told;
use ringwall_keys::OpenError;
use ringwall_wire::ids::Revision;
use ringwall_wire::request::{Event, Events, KeyName};
use std::collections::VecDeque;

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
    told: Told,
    ready: VecDeque<Change>,
    through: Revision,
    told_through: Revision,
    /// Keeps the session alive while somebody reads; opens what its user sealed.
    namespace: NamespaceHandle,
    prefix: KeyName,
}

impl Watch {
    pub(crate) fn new(told: Told, after: Revision, namespace: NamespaceHandle, prefix: KeyName) -> Self {
        Watch { told, ready: VecDeque::new(), through: after, told_through: after, namespace, prefix }
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
        let opened = events.events.into_vec().into_iter().map(|event| self.open(event)).collect::<Result<Vec<_>, _>>()?;
        self.told_through = events.through;
        self.ready.extend(opened.into_iter().flatten());
        if self.ready.is_empty() {
            self.through = events.through;
        }
        Ok(())
    }

    /// The change of an event; none when its key, which only the user can read, has another prefix.
    fn open(&self, event: Event) -> Result<Option<Change>, WatchError> {
        let Event { key, revision, value } = event;
        let Some(user) = self.namespace.user_mode() else {
            return Ok(Some(Change { key: key.into_vec(), revision, value: value.map(|value| value.into_vec()) }));
        };
        let refused = |what, fault: OpenError| WatchError::NotAuthentic { what, cause: fault.to_string() };
        let name = user.open_name(&key).map_err(|fault| refused("name", fault))?;
        if !name.starts_with(&self.prefix) {
            return Ok(None);
        }
        let value = value.map(|value| user.open_value(&key, &value)).transpose().map_err(|fault| refused("value", fault))?;
        Ok(Some(Change { key: name, revision, value }))
    }
}
