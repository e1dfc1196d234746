//! Atomic batches: a builder that refuses what could never be applied before anything is sent.
//!
//! Decides: a key appears once, the whole fits one request, and an empty batch is a mistake. Trusts: nothing.
//! Out of scope: sending (`namespace.rs`). Protocol section 3, step 7.

use crate::error::WriteError;
use crate::namespace::{NamespaceHandle, PutOptions, mutation_bytes};
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::{BATCH_MUTATIONS, REQUEST_BYTES};
use ringwall_wire::request::{Change, Expect, Mutation};
use std::collections::BTreeSet;

/// Encoded bytes of all changes of a batch: a request, less its own framing.
pub(crate) const BATCH_BYTES: usize = REQUEST_BYTES - 1024;

/// Changes of one namespace that are applied all or none, at one revision.
#[derive(Debug)]
pub struct Batch {
    namespace: NamespaceHandle,
    mutations: Vec<Mutation>,
    keys: BTreeSet<Vec<u8>>,
    bytes: usize,
}

impl Batch {
    pub(crate) fn new(namespace: NamespaceHandle) -> Self {
        Batch { namespace, mutations: Vec::new(), keys: BTreeSet::new(), bytes: 0 }
    }

    /// Stores a value.
    pub fn put(self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) -> Result<Self, WriteError> {
        self.put_with(key, value, PutOptions::default())
    }

    /// Stores a value with a time to live or a precondition.
    pub fn put_with(self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>, options: PutOptions) -> Result<Self, WriteError> {
        let mutation = self.namespace.put_mutation(key.as_ref(), value.into(), options)?;
        self.add(mutation)
    }

    /// Removes a key.
    pub fn delete(self, key: impl AsRef<[u8]>, expect: Expect) -> Result<Self, WriteError> {
        let key = self.namespace.write_key(key.as_ref())?;
        self.add(Mutation { key, expect, change: Change::Delete })
    }

    /// Changes nothing at this key, and demands that `expect` holds.
    pub fn require(self, key: impl AsRef<[u8]>, expect: Expect) -> Result<Self, WriteError> {
        let key = self.namespace.write_key(key.as_ref())?;
        self.add(Mutation { key, expect, change: Change::Keep })
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
        if self.is_empty() {
            return Err(WriteError::BatchShape { why: "is empty" });
        }
        self.namespace.write(self.mutations).await
    }

    fn add(mut self, mutation: Mutation) -> Result<Self, WriteError> {
        let bytes = self.bytes.saturating_add(mutation_bytes(&mutation));
        let mutations = self.mutations.len().saturating_add(1);
        if mutations > BATCH_MUTATIONS || bytes > BATCH_BYTES {
            return Err(WriteError::BatchTooLarge { mutations, bytes, most_mutations: BATCH_MUTATIONS, most_bytes: BATCH_BYTES });
        }
        if !self.keys.insert(mutation.key.to_vec()) {
            return Err(WriteError::BatchShape { why: "names a key twice" });
        }
        self.bytes = bytes;
        self.mutations.push(mutation);
        Ok(self)
    }
}
