//! One namespace: what is asked of it, and what is answered.
//!
//! Decides: what is refused before anything is sent (sizes, in either mode), and how answers become typed results. What is asked is asked by the name the cluster
//! knows a key by; the value of another key is nonsense. Trusts: nothing. Out of scope: waiting, numbers (`lane.rs`). Protocol section 3, step 7.

use super::batch::BATCH_BYTES;
use super::user_mode::{self, UserMode};
use super::{answer_name, read_error};
use crate::asked::{Ask, Failure};
use crate::error::{NamespaceError, ReadError, WriteError};
use ringwall_keys::OpenError;
use ringwall_wire::bounded::List;
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::{BATCH_MUTATIONS, KEY_BYTES, NAMESPACE_BYTES, VALUE_BYTES};
use ringwall_wire::request::{Answer, Change, Expect, Get, KeyName, Mutation, Namespace, Op, PutValue, Value};
use ringwall_wire::session::RefusalCode;
use std::sync::Arc;

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// Seconds the value lives by the cluster's time; 0 = for ever.
    pub ttl_s: u32,
    /// What must hold of the key before.
    pub expect: Expect,
}

impl Default for PutOptions {
    fn default() -> Self {
        PutOptions { ttl_s: 0, expect: Expect::Any }
    }
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: Vec<u8>,
    /// Revision that wrote it: what a write that compares expects.
    pub version: Revision,
}

/// A namespace, and in user mode what seals and opens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Space {
    name: Namespace,
    user_mode: Option<Arc<UserMode>>,
}

/// The question for one key.
#[derive(Clone, Debug)]
pub struct Wanted(KeyName);

impl Space {
    /// A namespace; with what seals and opens in user mode.
    pub fn new(name: Namespace, user_mode: Option<Arc<UserMode>>) -> Self {
        Space { name, user_mode }
    }

    /// Its name.
    pub fn name(&self) -> &Namespace {
        &self.name
    }

    /// What seals and opens in user mode; none in the others.
    pub fn user_mode(&self) -> Option<&UserMode> {
        self.user_mode.as_deref()
    }

    /// The name the cluster knows a key by.
    fn key(&self, key: &[u8]) -> Result<KeyName, WriteError> {
        match &self.user_mode {
            Some(user) => user.seal_name(key).map_err(user_mode::write_error),
            None => KeyName::new(key).map_err(|_| WriteError::KeyTooLong { bytes: key.len(), most: KEY_BYTES }),
        }
    }

    /// A change that stores a value of at most 1 MiB (512 KiB in user mode).
    pub fn put(&self, key: &[u8], value: Vec<u8>, options: PutOptions) -> Result<Mutation, WriteError> {
        let (bytes, key) = (value.len(), self.key(key)?);
        let value = match &self.user_mode {
            Some(user) => user.seal_value(&key, &value).map_err(user_mode::write_error)?,
            None => Value::new(value).map_err(|_| WriteError::ValueTooLarge { bytes, most: VALUE_BYTES })?,
        };
        Ok(Mutation { key, expect: options.expect, change: Change::Put(PutValue { value, ttl_s: options.ttl_s }) })
    }

    /// A change that removes a key.
    pub fn delete(&self, key: &[u8], expect: Expect) -> Result<Mutation, WriteError> {
        Ok(Mutation { key: self.key(key)?, expect, change: Change::Delete })
    }

    /// A change that changes nothing and demands that `expect` holds.
    pub fn require(&self, key: &[u8], expect: Expect) -> Result<Mutation, WriteError> {
        Ok(Mutation { key: self.key(key)?, expect, change: Change::Keep })
    }

    /// What is asked to have these changes made, all or none.
    pub fn write(&self, mutations: Vec<Mutation>) -> Result<Ask, WriteError> {
        let bytes = mutations.iter().map(mutation_bytes).sum();
        let count = mutations.len();
        let too_many = |_| WriteError::BatchTooLarge { mutations: count, bytes, most_mutations: BATCH_MUTATIONS, most_bytes: BATCH_BYTES };
        Ok(Ask::Write(self.name.clone(), List::new(mutations).map_err(too_many)?))
    }

    /// The question for a key.
    pub fn wanted(&self, key: &[u8]) -> Result<Wanted, ReadError> {
        Ok(Wanted(match &self.user_mode {
            Some(user) => user.seal_name(key).map_err(user_mode::read_error)?,
            None => read_key(key)?,
        }))
    }

    /// The question for a key by the name the cluster knows it by.
    pub(super) fn wanted_by(name: KeyName) -> Wanted {
        Wanted(name)
    }

    /// What is asked for a key.
    pub fn get(&self, wanted: &Wanted) -> Ask {
        Ask::Read(Op::Get(Get { namespace: self.name.clone(), key: wanted.0.clone() }))
    }

    /// What was found under a key.
    pub fn found(&self, wanted: &Wanted, outcome: Result<Answer, Failure>) -> Result<Option<Found>, ReadError> {
        match outcome {
            Ok(Answer::Found(entry)) if entry.key == wanted.0 => {
                let value = match &self.user_mode {
                    Some(user) => user.open_value(&wanted.0, &entry.value).map_err(|fault| not_authentic("value", &fault))?,
                    None => entry.value.into_vec(),
                };
                Ok(Some(Found { value, version: entry.version }))
            }
            Ok(Answer::Found(_)) => Err(ReadError::Nonsense("the value of another key".into())),
            Ok(Answer::Absent(_)) => Ok(None),
            other => Err(read_error(other)),
        }
    }
}

/// The revision a write was applied at.
pub fn written(outcome: Result<Answer, Failure>) -> Result<Revision, WriteError> {
    match outcome {
        Ok(Answer::Written(revision)) => Ok(revision),
        Ok(Answer::Conflict(conflict)) => Err(WriteError::Conflict { mutation: conflict.mutation, current: conflict.current }),
        Ok(other) => Err(WriteError::Nonsense(answer_name(&other).into())),
        Err(Failure::OutcomeUnknown { submissions, cause }) => Err(WriteError::OutcomeUnknown { submissions, cause }),
        Err(Failure::Refused(refusal)) if refusal.code == RefusalCode::NoNamespace => {
            Err(WriteError::NoNamespace { detail: refusal.detail.to_string() })
        }
        Err(Failure::Refused(refusal)) => Err(WriteError::Refused(refusal)),
        Err(Failure::Session(fault)) => Err(WriteError::Session(fault)),
    }
}

/// A namespace's name.
pub fn namespace_name(name: &str) -> Result<Namespace, NamespaceError> {
    match Namespace::new(name) {
        Ok(namespace) if !namespace.is_empty() => Ok(namespace),
        _ => Err(NamespaceError::Name { name: name.into(), most: NAMESPACE_BYTES }),
    }
}

/// The precondition "has this version", where 0 means "does not exist".
pub fn expect_version(version: Revision) -> Expect {
    match version.0 {
        0 => Expect::Absent,
        _ => Expect::Version(version),
    }
}

/// A name as it is, to read by.
pub fn read_key(key: &[u8]) -> Result<KeyName, ReadError> {
    KeyName::new(key).map_err(|_| ReadError::KeyTooLong { bytes: key.len(), most: KEY_BYTES })
}

/// What the cluster gave is not what the user's client sealed.
pub(super) fn not_authentic(what: &'static str, fault: &OpenError) -> ReadError {
    ReadError::NotAuthentic { what, cause: fault.to_string() }
}

/// Encoded bytes of a change, with its tags and lengths.
pub(super) fn mutation_bytes(mutation: &Mutation) -> usize {
    let value = match &mutation.change {
        Change::Put(put) => put.value.len(),
        Change::Delete | Change::Keep => 0,
    };
    mutation.key.len().saturating_add(value).saturating_add(32)
}
