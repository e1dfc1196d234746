//! A list, page by page.
//!
//! Decides: how pages are asked for one after the other, and that a page which is out of order, outside the prefix, or empty with more
//! to follow is nonsense (it would loop or mislead). In user mode only the user can read names: all of them are read and opened first, then put
//! in order here, and values are read as pages are wanted. Trusts: nothing. Out of scope: order at the node. Protocol sections 3 (step 7) and 7.4.

use super::read_error;
use super::space::{Space, Wanted, not_authentic, read_key};
use super::user_mode::UserMode;
use crate::asked::{Ask, Failure};
use crate::error::ReadError;
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
    /// Its value; empty unless values were asked for.
    pub value: Vec<u8>,
}

/// What a list wants next.
#[derive(Debug)]
pub enum Want {
    /// This asked, and [`Pages::take`] told what came of it.
    Ask(Ask),
    /// Nothing: here is the next page.
    Page(Vec<Item>),
    /// Nothing: it has ended.
    End,
}

/// A name of user mode: as the user sees it, as the cluster knows it, its version.
type Opened = (Vec<u8>, KeyName, Revision);

/// A list under way.
#[derive(Debug)]
pub struct Pages {
    space: Space,
    prefix: Vec<u8>,
    after: Option<KeyName>,
    limit: u16,
    values: bool,
    more: bool,
    revision: Revision,
    /// The page that is told next; in user mode, what there is of it.
    page: Vec<Item>,
    names: Names,
}

/// How far the names of user mode are.
#[derive(Debug)]
enum Names {
    /// The cluster's order is the user's, and a page is there or not.
    Plain { is_whole: bool },
    /// They are being read; `at` is the name the cluster gave last.
    Reading { found: BTreeMap<Vec<u8>, (KeyName, Revision)>, read: usize, at: Option<KeyName> },
    /// They are in order; the value of `wanted` is asked for.
    InOrder { left: VecDeque<Opened>, wanted: Option<(Vec<u8>, Wanted)> },
}

impl Pages {
    /// Keys of `space` that start with `prefix`.
    pub fn new(space: Space, prefix: Vec<u8>) -> Self {
        let names = match space.user_mode() {
            None => Names::Plain { is_whole: false },
            Some(_) => Names::Reading { found: BTreeMap::new(), read: 0, at: None },
        };
        let limit = PAGE_ENTRIES as u16;
        Pages { space, prefix, after: None, limit, values: false, more: true, revision: Revision(0), page: Vec::new(), names }
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
    pub fn after(mut self, key: &[u8]) -> Result<Self, ReadError> {
        self.after = Some(read_key(key)?);
        Ok(self)
    }

    /// Revision of the page read last.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether more pages follow those that were told.
    pub fn more(&self) -> bool {
        self.more
    }

    /// What is wanted now. The same until it was told of, or the page taken.
    pub fn want(&mut self) -> Result<Want, ReadError> {
        let limit = usize::from(self.limit);
        match &mut self.names {
            Names::Plain { is_whole } if *is_whole => {
                *is_whole = false;
                Ok(Want::Page(std::mem::take(&mut self.page)))
            }
            _ if !self.more => Ok(Want::End),
            Names::Plain { .. } => {
                let prefix = read_key(&self.prefix)?;
                Ok(Want::Ask(self.ask(prefix, self.after.clone(), self.values, self.limit)))
            }
            Names::Reading { at, .. } => {
                let at = at.clone();
                Ok(Want::Ask(self.ask(KeyName::default(), at, false, PAGE_ENTRIES as u16)))
            }
            Names::InOrder { left, wanted } => {
                while wanted.is_none() && self.page.len() < limit {
                    let Some((key, sealed, version)) = left.pop_front() else { break };
                    match self.values {
                        true => *wanted = Some((key, Space::wanted_by(sealed))),
                        false => self.page.push(Item { key, version, value: Vec::new() }),
                    }
                }
                if let Some((_, wanted)) = wanted {
                    return Ok(Want::Ask(self.space.get(wanted)));
                }
                self.more = !left.is_empty();
                Ok(Want::Page(std::mem::take(&mut self.page)))
            }
        }
    }

    fn ask(&self, prefix: KeyName, after: Option<KeyName>, values: bool, limit: u16) -> Ask {
        Ask::Read(Op::List(ListKeys { namespace: self.space.name().clone(), prefix, after, limit, values }))
    }

    /// Takes what came of the question that was wanted.
    pub fn take(&mut self, outcome: Result<Answer, Failure>) -> Result<(), ReadError> {
        match &mut self.names {
            Names::Plain { .. } => self.take_page(outcome),
            Names::Reading { .. } => self.take_names(outcome),
            Names::InOrder { wanted, .. } => {
                let Some((key, asked)) = wanted.take() else { return Ok(()) };
                if let Some(found) = self.space.found(&asked, outcome)? {
                    self.page.push(Item { key, version: found.version, value: found.value });
                }
                Ok(())
            }
        }
    }

    fn take_page(&mut self, outcome: Result<Answer, Failure>) -> Result<(), ReadError> {
        let prefix = read_key(&self.prefix)?;
        let (page, last) = read_page(outcome, &prefix, self.after.clone())?;
        (self.more, self.revision, self.after) = (page.more, page.revision, last);
        let item = |Entry { key, value, version }| Item { key: key.into_vec(), version, value: value.into_vec() };
        self.page = page.entries.into_vec().into_iter().map(item).collect();
        self.names = Names::Plain { is_whole: true };
        Ok(())
    }

    /// Opens every name, and puts those that are wanted in order.
    fn take_names(&mut self, outcome: Result<Answer, Failure>) -> Result<(), ReadError> {
        let (Names::Reading { found, read, at }, Some(user)) = (&mut self.names, self.space.user_mode()) else { return Ok(()) };
        let (page, last) = read_page(outcome, &KeyName::default(), at.clone())?;
        (self.revision, *at) = (page.revision, last);
        *read = read.saturating_add(page.entries.len());
        if *read > USER_LIST_NAMES {
            return Err(ReadError::TooManyNames { most: USER_LIST_NAMES });
        }
        for Entry { key, version, .. } in page.entries.into_vec() {
            let name = open_name(user, &key)?;
            if name.starts_with(&self.prefix) && self.after.as_ref().is_none_or(|start| name.as_slice() > &**start) {
                found.insert(name, (key, version));
            }
        }
        if !page.more {
            let left = std::mem::take(found).into_iter().map(|(name, (sealed, version))| (name, sealed, version)).collect();
            self.names = Names::InOrder { left, wanted: None };
        }
        Ok(())
    }
}

fn open_name(user: &UserMode, key: &KeyName) -> Result<Vec<u8>, ReadError> {
    user.open_name(key).map_err(|fault| not_authentic("name", &fault))
}

/// One page as the node gives it, and the last name it gave.
fn read_page(outcome: Result<Answer, Failure>, prefix: &KeyName, mut last: Option<KeyName>) -> Result<(Page, Option<KeyName>), ReadError> {
    let page = match outcome {
        Ok(Answer::Page(page)) => page,
        other => return Err(read_error(other)),
    };
    if page.more && page.entries.is_empty() {
        return Err(ReadError::Nonsense("an empty page with more to follow".into()));
    }
    for Entry { key, .. } in page.entries.iter() {
        let in_order = last.as_ref().is_none_or(|last| **last < **key);
        if !in_order || !key.starts_with(prefix) {
            return Err(ReadError::Nonsense("a page that is out of order or outside the prefix".into()));
        }
        last = Some(key.clone());
    }
    Ok((page, last))
}
