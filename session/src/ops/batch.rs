//! Batches: changes that are applied all or none, refused before anything is sent where they never could be.
//!
//! Decides: a key appears once, the whole fits one request, and an empty batch is a mistake. Trusts: nothing. Out of scope: sending. Protocol section 3, step 7.

use super::space::{PutOptions, Space, mutation_bytes};
use crate::asked::Ask;
use crate::error::WriteError;
use ringwall_wire::limits::{BATCH_MUTATIONS, REQUEST_BYTES};
use ringwall_wire::request::{Expect, Mutation};
use std::collections::BTreeSet;

/// Encoded bytes of all changes of a batch: a request, less its own framing.
pub const BATCH_BYTES: usize = REQUEST_BYTES - 1024;

/// Changes of one namespace.
#[derive(Debug)]
pub struct Mutations {
    space: Space,
    mutations: Vec<Mutation>,
    keys: BTreeSet<Vec<u8>>,
    bytes: usize,
}

impl Mutations {
    /// No changes of `space` yet.
    pub fn new(space: Space) -> Self {
        Mutations { space, mutations: Vec::new(), keys: BTreeSet::new(), bytes: 0 }
    }

    /// Stores a value.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>, options: PutOptions) -> Result<(), WriteError> {
        let mutation = self.space.put(key, value, options)?;
        self.add(mutation)
    }

    /// Removes a key.
    pub fn delete(&mut self, key: &[u8], expect: Expect) -> Result<(), WriteError> {
        let mutation = self.space.delete(key, expect)?;
        self.add(mutation)
    }

    /// Changes nothing at this key, and demands that `expect` holds.
    pub fn require(&mut self, key: &[u8], expect: Expect) -> Result<(), WriteError> {
        let mutation = self.space.require(key, expect)?;
        self.add(mutation)
    }

    /// Changes so far.
    pub fn len(&self) -> usize {
        self.mutations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.mutations.is_empty()
    }

    /// What is asked to have them made.
    pub fn ask(self) -> Result<Ask, WriteError> {
        if self.is_empty() {
            return Err(WriteError::BatchShape { why: "is empty" });
        }
        self.space.write(self.mutations)
    }

    fn add(&mut self, mutation: Mutation) -> Result<(), WriteError> {
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
        Ok(())
    }
}
