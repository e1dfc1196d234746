//! A watch, as its reader sees it: which prefix is asked for, and which changes a message of events holds.
//!
//! Decides: a reader is told all of a write at once; in user mode the cluster cannot tell prefixes apart, so everything is asked for and what has another prefix is
//! left out here. Trusts: whoever keeps the order (`watches.rs`). Out of scope: resuming. Protocol section 3, step 7.

use super::space::Space;
use crate::error::WatchError;
use ringwall_keys::OpenError;
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::KEY_BYTES;
use ringwall_wire::request::{Event, Events, KeyName};

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

/// What is followed.
#[derive(Debug)]
pub struct Following {
    space: Space,
    prefix: KeyName,
}

impl Following {
    /// Follows keys of `space` that start with `prefix`.
    pub fn new(space: Space, prefix: &[u8]) -> Result<Self, WatchError> {
        let (bytes, most) = (prefix.len(), KEY_BYTES);
        let prefix = KeyName::new(prefix).map_err(|_| WatchError::KeyTooLong { bytes, most })?;
        Ok(Following { space, prefix })
    }

    /// The namespace.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The prefix the cluster is asked for.
    pub fn asked(&self) -> KeyName {
        match self.space.user_mode() {
            Some(_) => KeyName::default(),
            None => self.prefix.clone(),
        }
    }

    /// The changes of one message of events, all or none.
    pub fn changes(&self, events: Events) -> Result<Vec<Change>, WatchError> {
        let opened = events.events.into_vec().into_iter().filter_map(|event| self.open(event).transpose());
        opened.collect()
    }

    /// The change of an event; none when its key, which only the user can read, has another prefix.
    fn open(&self, event: Event) -> Result<Option<Change>, WatchError> {
        let Event { key, revision, value } = event;
        let Some(user) = self.space.user_mode() else {
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
