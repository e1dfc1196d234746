//! Operations on one namespace: put, get, delete, list, compare-and-set, watch.
//!
//! Decides: what is refused before anything is sent (sizes), and how answers become typed results. Reads are linearizable.
//! Trusts: the client's task for delivery. Out of scope: batches (`batch.rs`), exactly-once (`ringwall_session`). Protocol section 3, step 7.

use crate::batch::Batch;
use crate::client::{Client, answer_name, read_error};
use crate::error::{ReadError, WatchError, WriteError};
use crate::listing::Listing;
use crate::user_mode::{self, UserMode};
use crate::watch::Watch;
use ringwall_keys::OpenError;
use ringwall_session::asked::{Ask, Failure};
use ringwall_wire::bounded::List;
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::{BATCH_MUTATIONS, KEY_BYTES, VALUE_BYTES};
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
    /// Revision that wrote it: what [`NamespaceHandle::compare_and_set`] expects.
    pub version: Revision,
}

/// A namespace of the client's user. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NamespaceHandle {
    client: Client,
    name: Namespace,
    /// In user mode, what seals and opens.
    user_mode: Option<Arc<UserMode>>,
}

impl NamespaceHandle {
    pub(crate) fn new(client: Client, name: Namespace, user_mode: Option<Arc<UserMode>>) -> Self {
        NamespaceHandle { client, name, user_mode }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client it belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn wire_name(&self) -> &Namespace {
        &self.name
    }

    /// Destroys the key of this namespace, and with it what it holds: at once for everybody who asks, and within the cluster's `custody.erase_s` for
    /// whoever holds old disks. It cannot be undone; the name is not used again.
    pub async fn erase(&self) -> Result<(), ReadError> {
        self.client.erase(Some(self.name.clone())).await
    }

    pub(crate) fn user_mode(&self) -> Option<&Arc<UserMode>> {
        self.user_mode.as_ref()
    }

    /// The name the cluster knows a key by.
    pub(crate) fn write_key(&self, key: &[u8]) -> Result<KeyName, WriteError> {
        match &self.user_mode {
            Some(user) => user.seal_name(key).map_err(user_mode::write_error),
            None => KeyName::new(key).map_err(|_| WriteError::KeyTooLong { bytes: key.len(), most: KEY_BYTES }),
        }
    }

    /// A change that stores a value.
    pub(crate) fn put_mutation(&self, key: &[u8], value: Vec<u8>, options: PutOptions) -> Result<Mutation, WriteError> {
        let (bytes, key) = (value.len(), self.write_key(key)?);
        let value = match &self.user_mode {
            Some(user) => user.seal_value(&key, &value).map_err(user_mode::write_error)?,
            None => Value::new(value).map_err(|_| WriteError::ValueTooLarge { bytes, most: VALUE_BYTES })?,
        };
        Ok(Mutation { key, expect: options.expect, change: Change::Put(PutValue { value, ttl_s: options.ttl_s }) })
    }

    /// Stores a value of at most 1 MiB (512 KiB in user mode) and returns its version once it is durable on a majority.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) -> Result<Revision, WriteError> {
        self.put_with(key, value, PutOptions::default()).await
    }

    /// Stores a value with a time to live or a precondition.
    pub async fn put_with(&self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>, options: PutOptions) -> Result<Revision, WriteError> {
        let mutation = self.put_mutation(key.as_ref(), value.into(), options)?;
        self.write(vec![mutation]).await
    }

    /// Stores a value if the key has version `expected` ([`Revision`] 0: if it does not exist); else [`WriteError::Conflict`] names the
    /// version it has.
    pub async fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: Revision,
        value: impl Into<Vec<u8>>,
    ) -> Result<Revision, WriteError> {
        self.put_with(key, value, PutOptions { ttl_s: 0, expect: expect_version(expected) }).await
    }

    /// Removes a key; removing one that does not exist is no error.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<Revision, WriteError> {
        self.delete_with(key, Expect::Any).await
    }

    /// Removes a key under a precondition.
    pub async fn delete_with(&self, key: impl AsRef<[u8]>, expect: Expect) -> Result<Revision, WriteError> {
        let key = self.write_key(key.as_ref())?;
        self.write(vec![Mutation { key, expect, change: Change::Delete }]).await
    }

    /// Changes that are applied all or none.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// Reads a key, as of a moment after this call.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Found>, ReadError> {
        let wanted = match &self.user_mode {
            Some(user) => user.seal_name(key.as_ref()).map_err(user_mode::read_error)?,
            None => read_key(key.as_ref())?,
        };
        self.get_named(wanted).await
    }

    /// Reads a key by the name the cluster knows it by.
    pub(crate) async fn get_named(&self, wanted: KeyName) -> Result<Option<Found>, ReadError> {
        let op = Op::Get(Get { namespace: self.name.clone(), key: wanted.clone() });
        match self.client.ask(Ask::Read(op)).await {
            Ok(Answer::Found(entry)) if entry.key == wanted => {
                let value = match &self.user_mode {
                    Some(user) => user.open_value(&wanted, &entry.value).map_err(|fault| not_authentic("value", &fault))?,
                    None => entry.value.into_vec(),
                };
                Ok(Some(Found { value, version: entry.version }))
            }
            Ok(Answer::Found(_)) => Err(ReadError::Nonsense("the value of another key".into())),
            Ok(Answer::Absent(_)) => Ok(None),
            other => Err(read_error(other)),
        }
    }

    /// Keys that start with `prefix`, in order of their bytes, page by page. Each page is current when it is read; the pages together are
    /// no snapshot. In user mode nobody else can put names in order: the first page reads all names of the namespace.
    pub fn list(&self, prefix: impl AsRef<[u8]>) -> Listing {
        Listing::new(self.clone(), prefix.as_ref().to_vec())
    }

    /// Changes of keys that start with `prefix`, after a revision. The watch survives changes of node; it ends with
    /// [`WatchError::Compacted`] when changes it was not told are no longer kept.
    pub async fn watch(&self, prefix: impl AsRef<[u8]>, after: Revision) -> Result<Watch, WatchError> {
        let (bytes, most) = (prefix.as_ref().len(), KEY_BYTES);
        let wanted = KeyName::new(prefix.as_ref()).map_err(|_| WatchError::KeyTooLong { bytes, most })?;
        let asked = if self.user_mode.is_some() { KeyName::default() } else { wanted.clone() };
        let told = self.client.follow(self.name.clone(), asked, after).await?;
        Ok(Watch::new(told, after, self.clone(), wanted))
    }

    pub(crate) async fn write(&self, mutations: Vec<Mutation>) -> Result<Revision, WriteError> {
        let bytes = mutations.iter().map(mutation_bytes).sum();
        let count = mutations.len();
        let too_many = |_| WriteError::BatchTooLarge {
            mutations: count,
            bytes,
            most_mutations: BATCH_MUTATIONS,
            most_bytes: crate::batch::BATCH_BYTES,
        };
        let mutations = List::new(mutations).map_err(too_many)?;
        match self.client.ask(Ask::Write(self.name.clone(), mutations)).await {
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
}

/// The precondition "has this version", where 0 means "does not exist".
pub(crate) fn expect_version(version: Revision) -> Expect {
    match version.0 {
        0 => Expect::Absent,
        _ => Expect::Version(version),
    }
}

/// What the cluster gave is not what the user's client sealed.
pub(crate) fn not_authentic(what: &'static str, fault: &OpenError) -> ReadError {
    ReadError::NotAuthentic { what, cause: fault.to_string() }
}

pub(crate) fn read_key(key: &[u8]) -> Result<KeyName, ReadError> {
    KeyName::new(key).map_err(|_| ReadError::KeyTooLong { bytes: key.len(), most: KEY_BYTES })
}

/// Encoded bytes of a change, with its tags and lengths.
pub(crate) fn mutation_bytes(mutation: &Mutation) -> usize {
    let value = match &mutation.change {
        Change::Put(put) => put.value.len(),
        Change::Delete | Change::Keep => 0,
    };
    mutation.key.len().saturating_add(value).saturating_add(32)
}
