//! A list, page by page.
//!
//! Decides: how pages are asked for one after the other, and that a page which is out of order, outside the prefix, or empty with more
//! to follow is nonsense (it would loop or mislead). In user mode only the user can read names: all of them are read and opened first, then put
//! in order here, and values are read as pages are wanted. Trusts: nothing. Out of scope: order at the node. Protocol sections 3 (step 7) and 7.4.

use crate::client::read_error;
use crate::error::ReadError;
use crate::namespace::{NamespaceHandle, not_authentic, read_key};
use crate::user_mode::UserMode;
use ringwall_session::asked::Ask;
use ringwall_wire::ids::Revision;
use ringwall_wire::limits::{PAGE_ENTRIES, USER_LIST_NAMES};
use ringwall_wire::request::{Answer, Entry, KeyName, ListKeys, Op, Page};
use std::collections::{BTreeMap, VecDeque};

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
    /// In user mode, what is left of the names, in order, with the names the cluster knows them by.
    opened: Option<VecDeque<(Vec<u8>, KeyName, Revision)>>,
}

impl Listing {
    pub(crate) fn new(namespace: NamespaceHandle, prefix: Vec<u8>) -> Self {
        let limit = PAGE_ENTRIES as u16;
        Listing {
            namespace,
            prefix,
            after: None,
            limit,
            values: false,
            ready: VecDeque::new(),
            more: true,
            revision: Revision(0),
            opened: None,
        }
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
        match self.namespace.user_mode().cloned() {
            Some(user) => self.read_opened(&user).await,
            None => {
                let ask = self.ask(read_key(&self.prefix)?, self.after.clone(), self.values, self.limit);
                let entries = self.read_entries(ask).await?;
                let items =
                    entries.into_iter().map(|Entry { key, value, version }| Item { key: key.into_vec(), version, value: value.into_vec() });
                Ok(items.collect())
            }
        }
    }

    fn ask(&self, prefix: KeyName, after: Option<KeyName>, values: bool, limit: u16) -> ListKeys {
        ListKeys { namespace: self.namespace.wire_name().clone(), prefix, after, limit, values }
    }

    /// One page as the node gives it.
    async fn read_entries(&mut self, ask: ListKeys) -> Result<Vec<Entry>, ReadError> {
        let (prefix, mut last) = (ask.prefix.clone(), ask.after.clone());
        let page = match self.namespace.client().ask(Ask::Read(Op::List(ask))).await {
            Ok(Answer::Page(page)) => page,
            other => return Err(read_error(other)),
        };
        let Page { entries, more, revision } = page;
        if more && entries.is_empty() {
            return Err(ReadError::Nonsense("an empty page with more to follow".into()));
        }
        for Entry { key, .. } in entries.iter() {
            let in_order = last.as_ref().is_none_or(|last| **last < **key);
            if !in_order || !key.starts_with(&prefix) {
                return Err(ReadError::Nonsense("a page that is out of order or outside the prefix".into()));
            }
            last = Some(key.clone());
        }
        self.more = more;
        self.revision = revision;
        self.after = last;
        Ok(entries.into_vec())
    }

    /// The next page in user mode: names in the order that the user sees.
    async fn read_opened(&mut self, user: &UserMode) -> Result<Vec<Item>, ReadError> {
        let mut names = match self.opened.take() {
            Some(names) => names,
            None => self.open_names(user).await?,
        };
        let mut items = Vec::new();
        while items.len() < usize::from(self.limit) {
            let Some((key, sealed, version)) = names.pop_front() else { break };
            if !self.values {
                items.push(Item { key, version, value: Vec::new() });
            } else if let Some(found) = self.namespace.get_named(sealed).await? {
                items.push(Item { key, version: found.version, value: found.value });
            }
        }
        self.more = !names.is_empty();
        self.opened = Some(names);
        Ok(items)
    }

    /// Reads and opens every name, and puts those that are wanted in order.
    async fn open_names(&mut self, user: &UserMode) -> Result<VecDeque<(Vec<u8>, KeyName, Revision)>, ReadError> {
        let start = self.after.take();
        let mut names = BTreeMap::new();
        let mut read: usize = 0;
        loop {
            let ask = self.ask(KeyName::default(), self.after.clone(), false, PAGE_ENTRIES as u16);
            for Entry { key, version, .. } in self.read_entries(ask).await? {
                let name = user.open_name(&key).map_err(|fault| not_authentic("name", &fault))?;
                read = read.saturating_add(1);
                if name.starts_with(&self.prefix) && start.as_ref().is_none_or(|start| name.as_slice() > &**start) {
                    names.insert(name, (key, version));
                }
            }
            if read > USER_LIST_NAMES {
                return Err(ReadError::TooManyNames { most: USER_LIST_NAMES });
            }
            if !self.more {
                return Ok(names.into_iter().map(|(name, (sealed, version))| (name, sealed, version)).collect());
            }
        }
    }
}
