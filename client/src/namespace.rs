//! Operations on one namespace: put, get, delete, list, compare-and-set, watch.
//!
//! Decides: nothing; the core says what is asked and what an answer means (`ringwall_session::ops`). Reads are linearizable.
//! Trusts: the client's task for delivery. Out of scope: batches (`batch.rs`). Protocol section 3, step 7.

use crate::batch::Batch;
use crate::client::Client;
use crate::error::{ReadError, WatchError, WriteError};
use crate::listing::Listing;
use crate::watch::Watch;
use ringwall_session::asked::Ask;
pub(crate) use ringwall_session::ops::expect_version;
use ringwall_session::ops::{Following, Pages, Space, written};
pub use ringwall_session::ops::{Found, PutOptions};
use ringwall_wire::ids::Revision;
use ringwall_wire::request::Expect;

/// A namespace of the client's user. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NamespaceHandle {
    client: Client,
    space: Space,
}

impl NamespaceHandle {
    pub(crate) fn new(client: Client, space: Space) -> Self {
        NamespaceHandle { client, space }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.space.name()
    }

    /// The client it belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Destroys the key of this namespace, and with it what it holds: at once for everybody who asks, and within the cluster's `custody.erase_s` for
    /// whoever holds old disks. It cannot be undone; the name is not used again.
    pub async fn erase(&self) -> Result<(), ReadError> {
        self.client.erase(Some(self.space.name().clone())).await
    }

    /// Stores a value of at most 1 MiB (512 KiB in user mode) and returns its version once it is durable on a majority.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) -> Result<Revision, WriteError> {
        self.put_with(key, value, PutOptions::default()).await
    }

    /// Stores a value with a time to live or a precondition.
    pub async fn put_with(&self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>, options: PutOptions) -> Result<Revision, WriteError> {
        let mutation = self.space.put(key.as_ref(), value.into(), options)?;
        self.write(self.space.write(vec![mutation])?).await
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
        let mutation = self.space.delete(key.as_ref(), expect)?;
        self.write(self.space.write(vec![mutation])?).await
    }

    /// Changes that are applied all or none.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// Reads a key, as of a moment after this call.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Found>, ReadError> {
        let wanted = self.space.wanted(key.as_ref())?;
        let outcome = self.client.ask(self.space.get(&wanted)).await;
        self.space.found(&wanted, outcome)
    }

    /// Keys that start with `prefix`, in order of their bytes, page by page. Each page is current when it is read; the pages together are
    /// no snapshot. In user mode nobody else can put names in order: the first page reads all names of the namespace.
    pub fn list(&self, prefix: impl AsRef<[u8]>) -> Listing {
        Listing::new(self.client.clone(), Pages::new(self.space.clone(), prefix.as_ref().to_vec()))
    }

    /// Changes of keys that start with `prefix`, after a revision. The watch survives changes of node; it ends with
    /// [`WatchError::Compacted`] when changes it was not told are no longer kept.
    pub async fn watch(&self, prefix: impl AsRef<[u8]>, after: Revision) -> Result<Watch, WatchError> {
        let following = Following::new(self.space.clone(), prefix.as_ref())?;
        let told = self.client.follow(self.space.name().clone(), following.asked(), after).await?;
        Ok(Watch::new(told, after, self.client.clone(), following))
    }

    pub(crate) async fn write(&self, ask: Ask) -> Result<Revision, WriteError> {
        written(self.client.ask(ask).await)
    }
}
