//! The key names of one namespace in order, decrypted in memory: what replicas cannot sort, because they see tags alone.
//!
//! Decides: the order of a list. Built from a scan, then kept current by the changes since its revision, so that a page and the
//! revision it shows belong together. Trusts: the namespace's keys; a name that does not open stops the list, it is never skipped.
//! Out of scope: which namespaces have an index (`lists.rs`).

use crate::front::limits::INDEX_SPACE_BYTES;
use crate::front::spaces::Space;
use ringwall_consensus::{ChangeEvent, Page, View};
use ringwall_keys::OpenError;
use ringwall_wire::ids::{KeyTag, Revision, SpaceTag};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// Bytes an entry takes beside its name, in two maps.
const ENTRY_BYTES: usize = 160;
/// Changes taken over in one step.
const CHANGES_STEP: usize = 1_024;

/// What an index needs of the state.
pub(crate) trait Rows {
    /// Newest revision.
    fn revision(&self) -> Revision;
    /// Changes after a revision, and how far they are complete; none when they are gone.
    fn changes(&self, space: &SpaceTag, after: Revision, limit: usize) -> Option<(Vec<ChangeEvent>, Revision)>;
}

impl Rows for View {
    fn revision(&self) -> Revision {
        View::revision(self)
    }
    fn changes(&self, space: &SpaceTag, after: Revision, limit: usize) -> Option<(Vec<ChangeEvent>, Revision)> {
        View::changes(self, space, after, limit)
    }
}

/// Names in order.
#[derive(Debug)]
pub(crate) struct NameIndex {
    through: Revision,
    names: BTreeMap<Arc<[u8]>, KeyTag>,
    tags: HashMap<KeyTag, Arc<[u8]>>,
    bytes: usize,
}

/// Whether an index could be brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Currency {
    /// It shows the revision of the rows.
    Current,
    /// Changes it would need are gone: build it anew.
    Stale,
}

impl NameIndex {
    /// An empty index of a namespace that is about to be scanned: changes after `through` will be applied over the scan.
    pub(crate) fn since(through: Revision) -> Self {
        NameIndex { through, names: BTreeMap::new(), tags: HashMap::new(), bytes: 0 }
    }

    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it has outgrown what one namespace may keep.
    pub(crate) fn is_too_large(&self) -> bool {
        self.bytes > INDEX_SPACE_BYTES
    }

    /// Adds the names of one page of the scan; the tag to go on after, or none at the end.
    pub(crate) fn add_page(&mut self, space: &Space, page: &Page) -> Result<Option<KeyTag>, OpenError> {
        for (tag, stored) in &page.records {
            self.insert(*tag, space.keys().open_name(tag, &stored.record)?);
        }
        Ok(page.records.last().map(|(tag, _)| *tag).filter(|_| page.more))
    }

    /// Applies the changes up to the revision of `rows`.
    pub(crate) fn catch_up(&mut self, space: &Space, rows: &impl Rows) -> Result<Currency, OpenError> {
        while self.through < rows.revision() {
            let Some((changes, through)) = rows.changes(space.tag(), self.through, CHANGES_STEP) else { return Ok(Currency::Stale) };
            self.apply(space, &changes)?;
            if through <= self.through {
                return Ok(Currency::Stale);
            }
            self.through = through;
        }
        Ok(Currency::Current)
    }

    fn apply(&mut self, space: &Space, changes: &[ChangeEvent]) -> Result<(), OpenError> {
        for change in changes {
            if change.removed {
                self.remove(&change.key);
            } else if !self.tags.contains_key(&change.key) {
                self.insert(change.key, space.keys().open_name(&change.key, &change.record)?);
            }
        }
        Ok(())
    }

    fn insert(&mut self, tag: KeyTag, name: Vec<u8>) {
        let name: Arc<[u8]> = name.into();
        if self.tags.insert(tag, name.clone()).is_none() {
            self.bytes = self.bytes.saturating_add(name.len()).saturating_add(ENTRY_BYTES);
        }
        self.names.insert(name, tag);
    }

    fn remove(&mut self, tag: &KeyTag) {
        if let Some(name) = self.tags.remove(tag) {
            self.bytes = self.bytes.saturating_sub(name.len().saturating_add(ENTRY_BYTES));
            self.names.remove(&name);
        }
    }

    /// Names that start with `prefix` and come after `after`, in order.
    pub(crate) fn range<'a>(&'a self, prefix: &'a [u8], after: Option<&'a [u8]>) -> impl Iterator<Item = (&'a [u8], KeyTag)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let range = self.names.range::<[u8], _>((start, Bound::Unbounded));
        range.take_while(move |(name, _)| name.starts_with(prefix)).map(|(name, tag)| (&**name, *tag))
    }
}

/// Whether `name` belongs on a page with this prefix and start.
pub(crate) fn belongs(name: &[u8], prefix: &[u8], after: Option<&[u8]>) -> bool {
    name.starts_with(prefix) && after.is_none_or(|after| name > after)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::testing::{record, space};
    use ringwall_consensus::StoredRecord;

    /// A state as its whole history.
    struct Story {
        changes: Vec<ChangeEvent>,
        floor: Revision,
    }

    impl Story {
        fn change(&mut self, space: &Space, name: &[u8], removed: bool) {
            let revision = Revision(self.changes.last().map_or(0, |change| change.revision.0) + 1);
            let (key, record) = record(space, name, b"value", revision.0);
            self.changes.push(ChangeEvent { revision, space: *space.tag(), key, record: Arc::new(record), removed });
        }

        /// What a scan finds at the newest revision.
        fn page(&self) -> Page {
            let mut rows = BTreeMap::new();
            for change in &self.changes {
                let stored = StoredRecord { version: change.revision, record: change.record.as_ref().clone(), expires_at_ms: 0 };
                match change.removed {
                    true => rows.remove(&change.key),
                    false => rows.insert(change.key, stored),
                };
            }
            Page { records: rows.into_iter().collect(), more: false }
        }
    }

    impl Rows for Story {
        fn revision(&self) -> Revision {
            self.changes.last().map_or(Revision(0), |change| change.revision)
        }
        fn changes(&self, _: &SpaceTag, after: Revision, limit: usize) -> Option<(Vec<ChangeEvent>, Revision)> {
            let found: Vec<_> = self.changes.iter().filter(|change| change.revision > after).take(limit).cloned().collect();
            let through = found.last().map_or(self.revision(), |change| change.revision);
            (after >= self.floor).then_some((found, through))
        }
    }

    fn names(index: &NameIndex, prefix: &[u8], after: Option<&[u8]>) -> Vec<String> {
        index.range(prefix, after).map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_scan_and_the_changes_since_give_the_order() {
        let space = space();
        let mut story = Story { changes: Vec::new(), floor: Revision(0) };
        for name in ["b/2", "a", "b/1", "c"] {
            story.change(&space, name.as_bytes(), false);
        }
        let mut index = NameIndex::since(story.revision());
        // Changes during the scan: one already seen by it, one it saw and that went, one it saw and that came back.
        let before = story.page();
        story.change(&space, b"c", true);
        story.change(&space, b"b/3", false);
        story.change(&space, b"a", true);
        story.change(&space, b"a", false);
        assert_eq!(index.add_page(&space, &before).unwrap(), None);
        index.add_page(&space, &story.page()).unwrap();
        assert_eq!(index.catch_up(&space, &story).unwrap(), Currency::Current);
        assert_eq!(names(&index, b"", None), ["a", "b/1", "b/2", "b/3"]);
        assert_eq!(names(&index, b"b/", None), ["b/1", "b/2", "b/3"]);
        assert_eq!(names(&index, b"b/", Some(b"b/1")), ["b/2", "b/3"]);
        assert_eq!(names(&index, b"b/", Some(b"a")), ["b/1", "b/2", "b/3"]);
        assert_eq!(names(&index, b"b/", Some(b"z")), Vec::<String>::new());
    }

    #[test]
    fn bytes_follow_what_is_kept() {
        let space = space();
        let mut story = Story { changes: Vec::new(), floor: Revision(0) };
        let mut index = NameIndex::since(Revision(0));
        for round in 0..3 {
            for name in 0..50 {
                story.change(&space, format!("key/{name}").as_bytes(), round == 2);
            }
            index.catch_up(&space, &story).unwrap();
            assert_eq!(index.bytes() > 0, round < 2);
        }
        assert_eq!(index.names.len(), 0);
    }

    #[test]
    fn a_gap_in_history_is_noticed() {
        let space = space();
        let mut story = Story { changes: Vec::new(), floor: Revision(0) };
        story.change(&space, b"a", false);
        let mut index = NameIndex::since(Revision(0));
        story.floor = Revision(1);
        assert_eq!(index.catch_up(&space, &story).unwrap(), Currency::Stale);
    }

    #[test]
    fn a_record_of_another_place_stops_the_list() {
        let space = space();
        let mut story = Story { changes: Vec::new(), floor: Revision(0) };
        story.change(&space, b"a", false);
        story.changes[0].key = space.keys().key_tag(b"b");
        assert!(NameIndex::since(Revision(0)).catch_up(&space, &story).is_err());
    }
}
