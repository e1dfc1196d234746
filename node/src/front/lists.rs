//! Pages of a namespace in key order.
//!
//! Decides: a page is bounded in entries and bytes and shows one revision. Namespaces that are listed get a name index in memory (bounded over
//! all of them, the least recently listed one goes first); one that is too large for that, or whose names must not outlive the session, is scanned
//! for each page instead.
//! Trusts: the caller to have passed a read round. Out of scope: the order itself (`index.rs`).

use crate::front::index::{Currency, NameIndex, belongs};
use crate::front::limits::{INDEX_BYTES, PAGE_BYTES, SCAN_STEP, SCANS};
use crate::front::refusals::{fenced, refusal, unreadable};
use crate::front::spaces::Space;
use ringwall_consensus::{Replica, View};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::ids::{KeyTag, SpaceTag};
use ringwall_wire::limits::PAGE_ENTRIES;
use ringwall_wire::request::{Answer, Entry, ListKeys, Page};
use ringwall_wire::session::{Refusal, RefusalCode};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How often an index is built anew when changes outrun its building.
const BUILDS: usize = 3;

/// The index of one namespace; none until it is built.
type Slot = Arc<tokio::sync::Mutex<Option<NameIndex>>>;

/// Indexes of the namespaces that were listed lately.
pub(crate) struct Lists {
    replica: Replica,
    kept: Mutex<Kept>,
    scans: Semaphore,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<SpaceTag, KeptSlot>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct KeptSlot {
    slot: Slot,
    bytes: usize,
    used: u64,
}

/// What became of a build.
enum Built {
    Index(NameIndex),
    TooLarge,
}

impl Lists {
    /// No indexes yet.
    pub(crate) fn new(replica: Replica) -> Self {
        Lists { replica, kept: Mutex::default(), scans: Semaphore::new(SCANS) }
    }

    /// Namespaces were erased: no index is kept.
    pub(crate) fn forget(&self) {
        *self.kept() = Kept::default();
    }

    /// One page.
    pub(crate) async fn page(&self, space: &Arc<Space>, ask: &ListKeys) -> Answer {
        match self.try_page(space, ask).await {
            Ok(page) => Answer::Page(page),
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    async fn try_page(&self, space: &Arc<Space>, ask: &ListKeys) -> Result<Page, Refusal> {
        if !space.may_be_kept() {
            return self.scanned_page(space, ask).await;
        }
        let slot = self.kept().slot(*space.tag());
        let mut slot = slot.lock().await;
        for _ in 0..BUILDS {
            let mut index = match slot.take() {
                Some(index) => index,
                None => match self.build(space).await? {
                    Built::Index(index) => index,
                    Built::TooLarge => {
                        drop(slot);
                        self.kept().forget(space.tag());
                        return self.scanned_page(space, ask).await;
                    }
                },
            };
            let view = self.view()?;
            match index.catch_up(space, &view).map_err(|_| unreadable())? {
                Currency::Stale => continue,
                Currency::Current => {
                    let page = fill(&view, space, ask, index.range(&ask.prefix, ask.after.as_deref()))?;
                    self.kept().used(*space.tag(), index.bytes());
                    *slot = (!index.is_too_large()).then_some(index);
                    return Ok(page);
                }
            }
        }
        Err(refusal(RefusalCode::Busy, "the namespace changes faster than it can be listed; try again"))
    }

    async fn build(&self, space: &Space) -> Result<Built, Refusal> {
        let _turn = self.scans.acquire().await.map_err(|_| fenced())?;
        let mut index = NameIndex::since(self.view()?.revision());
        let mut after = None;
        loop {
            // Each step looks anew, so that no look is kept for long; changes in between are applied by `catch_up`.
            let page = self.view()?.scan(space.tag(), after.as_ref(), SCAN_STEP).map_err(|_| fenced())?;
            after = index.add_page(space, &page).map_err(|_| unreadable())?;
            if index.is_too_large() {
                return Ok(Built::TooLarge);
            }
            if after.is_none() {
                return Ok(Built::Index(index));
            }
            tokio::task::yield_now().await;
        }
    }

    /// A page without an index: opens every name of the namespace and keeps the first ones that belong on the page.
    async fn scanned_page(&self, space: &Space, ask: &ListKeys) -> Result<Page, Refusal> {
        let _turn = self.scans.acquire().await.map_err(|_| fenced())?;
        let most = usize::from(ask.limit).min(PAGE_ENTRIES).saturating_add(1);
        let view = self.view()?;
        let mut first: BTreeMap<Vec<u8>, KeyTag> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = view.scan(space.tag(), after.as_ref(), SCAN_STEP).map_err(|_| fenced())?;
            for (tag, stored) in &page.records {
                let name = space.keys().open_name(tag, &stored.record).map_err(|_| unreadable())?;
                if belongs(&name, &ask.prefix, ask.after.as_deref()) {
                    first.insert(name, *tag);
                    if first.len() > most {
                        first.pop_last();
                    }
                }
            }
            after = page.records.last().map(|(tag, _)| *tag).filter(|_| page.more);
            if after.is_none() {
                return fill(&view, space, ask, first.iter().map(|(name, tag)| (name.as_slice(), *tag)));
            }
            tokio::task::yield_now().await;
        }
    }

    fn view(&self) -> Result<View, Refusal> {
        self.replica.view().map_err(|_| fenced())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn slot(&mut self, tag: SpaceTag) -> Slot {
        self.uses = self.uses.saturating_add(1);
        let used = self.uses;
        let kept = self.slots.entry(tag).or_insert_with(|| KeptSlot { slot: Slot::default(), bytes: 0, used });
        kept.used = used;
        kept.slot.clone()
    }

    /// Accounts for an index after its use, and lets the least recently listed ones go until all fit.
    fn used(&mut self, tag: SpaceTag, bytes: usize) {
        if let Some(kept) = self.slots.get_mut(&tag) {
            self.bytes = self.bytes.saturating_sub(kept.bytes).saturating_add(bytes);
            kept.bytes = bytes;
        }
        while self.bytes > INDEX_BYTES
            && let Some(oldest) =
                self.slots.iter().filter(|(other, _)| **other != tag).min_by_key(|(_, kept)| kept.used).map(|(tag, _)| *tag)
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, tag: &SpaceTag) {
        if let Some(kept) = self.slots.remove(tag) {
            self.bytes = self.bytes.saturating_sub(kept.bytes);
        }
    }
}

/// Fills a page from names in order.
fn fill<'a>(view: &View, space: &Space, ask: &ListKeys, names: impl Iterator<Item = (&'a [u8], KeyTag)>) -> Result<Page, Refusal> {
    let most = usize::from(ask.limit).min(PAGE_ENTRIES);
    let mut entries = Vec::new();
    let mut bytes = 0usize;
    let mut more = false;
    for (name, tag) in names {
        // Gone by its time, though not removed yet.
        let Some(stored) = view.get(space.tag(), &tag).map_err(|_| fenced())? else { continue };
        if entries.len() >= most {
            more = true;
            break;
        }
        let value = match ask.values {
            true => space.keys().open(&tag, &stored.record).map_err(|_| unreadable())?.1,
            false => Vec::new(),
        };
        let size = name.len().saturating_add(value.len()).saturating_add(16);
        if !entries.is_empty() && bytes.saturating_add(size) > PAGE_BYTES {
            more = true;
            break;
        }
        bytes = bytes.saturating_add(size);
        let (key, value) = (Blob::new(name).map_err(|_| unreadable())?, Blob::new(value).map_err(|_| unreadable())?);
        entries.push(Entry { key, value, version: stored.version });
    }
    let entries = List::new(entries).map_err(|_| unreadable())?;
    Ok(Page { entries, more, revision: view.revision() })
}
