//! Atomic batches: a builder that refuses what could never be applied before anything is sent.
//!
//! Decides: nothing; the core says what a batch may hold (`ringwall_session::ops`). Trusts: nothing. Out of scope: sending (`namespace.rs`). Protocol section 3, step 7.

use crate::error::WriteError;
use crate::namespace::{NamespaceHandle, PutOptions};
use ringwall_session::ops::Mutations;
use ringwall_wire::ids::Revision;
use ringwall_wire::request::Expect;

/// Changes of one namespace that are applied all or none, at one revision.
#[derive(Debug)]
pub struct Batch {
    namespace: NamespaceHandle,
    mutations: Mutations,
}

impl Batch {
    pub(crate) fn new(namespace: NamespaceHandle) -> Self {
        let mutations = Mutations::new(namespace.space().clone());
        Batch { namespace, mutations }
    }

    /// Stores a value.
    pub fn put(self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) -> Result<Self, WriteError> {
        self.put_with(key, value, PutOptions::default())
    }

    /// Stores a value with a time to live or a precondition.
    pub fn put_with(mut self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>, options: PutOptions) -> Result<Self, WriteError> {
        self.mutations.put(key.as_ref(), value.into(), options)?;
        Ok(self)
    }

    /// Removes a key.
    pub fn delete(mut self, key: impl AsRef<[u8]>, expect: Expect) -> Result<Self, WriteError> {
        self.mutations.delete(key.as_ref(), expect)?;
        Ok(self)
    }

    /// Changes nothing at this key, and demands that `expect` holds.
    pub fn require(mut self, key: impl AsRef<[u8]>, expect: Expect) -> Result<Self, WriteError> {
        self.mutations.require(key.as_ref(), expect)?;
        Ok(self)
    }

    /// Changes so far.
    pub fn len(&self) -> usize {
        self.mutations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mutations.is_empty()
    }

    /// Sends the batch and returns the revision it was applied at, once it is durable on a majority.
    pub async fn commit(self) -> Result<Revision, WriteError> {
        let ask = self.mutations.ask()?;
        self.namespace.write(ask).await
    }
}
