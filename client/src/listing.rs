//! A list, page by page.
//!
//! Decides: how pages are asked for one after the other, and that a page which is out of order, outside the prefix, or empty with more
//! to follow is nonsense (it would loop or mislead). Trusts: nothing. Out of scope: order at the node. Protocol section 3, step 7.

use crate::client::read_error;
use crate::error::ReadError;
use crate::lane::Ask;
use crate::namespace::{NamespaceHandle, read_key};
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::PAGE_ENTRIES;
use ringwall_wire::request::{Answer, Entry, KeyName, ListKeys, Op, Page};
use std::collections::VecDeque;

/// One key of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Vec<u8>,
    /// Its version.
    pub version: Revision,
    /// Its value; empty unless [`Listing::with_values`] was asked.
    pub value: Vec<u8>,
}

/// A list under way.
#[derive(Debug)]
pub struct Listing {
    namespace: NamespaceHandle,
    prefix: Vec<u8>,
    after: Option<KeyName>,
    limit: u16,
    values: bool,
    ready: VecDeque<Item>,
    more: bool,
    revision: Revision,
}

impl Listing {
    pub(crate) fn new(namespace: NamespaceHandle, prefix: Vec<u8>) -> Self {
        let limit = PAGE_ENTRIES as u16;
        Listing { namespace, prefix, after: None, limit, values: false, ready: VecDeque::new(), more: true, revision: Revision(0) }
    }

    /// Reads values too.
    pub fn with_values(mut self) -> Self {
        self.values = true;
        self
    }

    /// At most this many entries a page (1 to 1,000).
    pub fn page_entries(mut self, entries: usize) -> Self {
        self.limit = entries.clamp(1, PAGE_ENTRIES) as u16;
        self
    }

    /// Starts after this key.
    pub fn after(mut self, key: impl AsRef<[u8]>) -> Result<Self, ReadError> {
        self.after = Some(read_key(key.as_ref())?);
        Ok(self)
    }

    /// Revision of the page read last: where a watch goes on from after the last page, if all pages showed the same one.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The next key, reading pages as needed; none at the end.
    pub async fn next(&mut self) -> Result<Option<Item>, ReadError> {
        while self.ready.is_empty() && self.more {
            let page = self.read_page().await?;
            self.ready.extend(page);
        }
        Ok(self.ready.pop_front())
    }

    /// The next page; empty at the end.
    pub async fn next_page(&mut self) -> Result<Vec<Item>, ReadError> {
        match self.ready.is_empty() {
            false => Ok(std::mem::take(&mut self.ready).into()),
            true if self.more => self.read_page().await,
            true => Ok(Vec::new()),
        }
    }

    /// Everything that is left.
    pub async fn all(mut self) -> Result<Vec<Item>, ReadError> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await? {
            items.push(item);
        }
        Ok(items)
    }

    async fn read_page(&mut self) -> Result<Vec<Item>, ReadError> {
        let op = Op::List(ListKeys {
            namespace: self.namespace.wire_name().clone(),
            prefix: read_key(&self.prefix)?,
            after: self.after.clone(),
            limit: self.limit,
            values: self.values,
        });
        let page = match self.namespace.client().ask(Ask::Read(op)).await {
            Ok(Answer::Page(page)) => page,
            other => return Err(read_error(other)),
        };
        self.take(page)
    }

    fn take(&mut self, page: Page) -> Result<Vec<Item>, ReadError> {
        let Page { entries, more, revision } = page;
        if more && entries.is_empty() {
            return Err(ReadError::Nonsense("an empty page with more to follow".into()));
        }
        let mut items = Vec::with_capacity(entries.len());
        for Entry { key, value, version } in entries.into_vec() {
            let in_order = self.after.as_ref().is_none_or(|after| **after < *key);
            if !in_order || !key.starts_with(&self.prefix) {
                return Err(ReadError::Nonsense("a page that is out of order or outside the prefix".into()));
            }
            items.push(Item { key: key.to_vec(), version, value: value.into_vec() });
            self.after = Some(key);
        }
        self.more = more;
        self.revision = revision;
        Ok(items)
    }
}
