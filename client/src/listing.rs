//! A list, page by page.
//!
//! Decides: nothing; the core says what is asked for a page and whether it makes sense (`ringwall_session::ops`). Dropping a future loses nothing.
//! Trusts: nothing. Out of scope: order at the node. Protocol sections 3 (step 7) and 7.4.

use crate::client::Client;
use crate::error::ReadError;
pub use ringwall_session::ops::Item;
use ringwall_session::ops::{Pages, Want};
use ringwall_wire::ids::Revision;
use std::collections::VecDeque;

/// A list under way.
#[derive(Debug)]
pub struct Listing {
    client: Client,
    pages: Pages,
    ready: VecDeque<Item>,
}

impl Listing {
    pub(crate) fn new(client: Client, pages: Pages) -> Self {
        Listing { client, pages, ready: VecDeque::new() }
    }

    /// Reads values too.
    pub fn with_values(mut self) -> Self {
        self.pages = self.pages.with_values();
        self
    }

    /// At most this many entries a page (1 to 1,000).
    pub fn page_entries(mut self, entries: usize) -> Self {
        self.pages = self.pages.page_entries(entries);
        self
    }

    /// Starts after this key.
    pub fn after(mut self, key: impl AsRef<[u8]>) -> Result<Self, ReadError> {
        self.pages = self.pages.after(key.as_ref())?;
        Ok(self)
    }

    /// Revision of the page read last: where a watch goes on from after the last page, if all pages showed the same one.
    pub fn revision(&self) -> Revision {
        self.pages.revision()
    }

    /// The next key, reading pages as needed; none at the end.
    pub async fn next(&mut self) -> Result<Option<Item>, ReadError> {
        while self.ready.is_empty() {
            match self.read_page().await? {
                Some(page) => self.ready.extend(page),
                None => break,
            }
        }
        Ok(self.ready.pop_front())
    }

    /// The next page; empty at the end.
    pub async fn next_page(&mut self) -> Result<Vec<Item>, ReadError> {
        match self.ready.is_empty() {
            false => Ok(std::mem::take(&mut self.ready).into()),
            true => Ok(self.read_page().await?.unwrap_or_default()),
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

    /// The next page; none at the end.
    async fn read_page(&mut self) -> Result<Option<Vec<Item>>, ReadError> {
        loop {
            match self.pages.want()? {
                Want::Ask(ask) => {
                    let outcome = self.client.ask(ask).await;
                    self.pages.take(outcome)?;
                }
                Want::Page(page) => return Ok(Some(page)),
                Want::End => return Ok(None),
            }
        }
    }
}
