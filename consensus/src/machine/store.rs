//! The ordered store: an overlay of recent changes in memory over the base on disk, readable as of any published moment.
//!
//! Decides: changes are seen by readers only when published; a reader keeps the layers it began with, so that it sees one moment
//! however long it takes. Two layers take turns: one is written by `apply`, the other is being flushed; when both are full, `apply`
//! waits. Trusts: one writer. Out of scope: what rows mean. Protocol section 5.

use crate::ground::Ground;
use crate::machine::base::{Base, BaseView, Change};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::Notify;

/// Bytes a row in memory weighs beside key and value.
const ROW_OVERHEAD_BYTES: usize = 96;

type Row = (Vec<u8>, Bytes);

#[derive(Clone)]
struct Version {
    moment: u64,
    value: Option<Bytes>,
}

/// Versions of one row: the newest, and those somebody may still look at.
struct Cell {
    newest: Version,
    older: Vec<Version>,
}

#[derive(Default)]
struct Layer {
    rows: RwLock<BTreeMap<Vec<u8>, Cell>>,
    bytes: AtomicUsize,
}

#[derive(Clone)]
struct Layers {
    active: Arc<Layer>,
    frozen: Option<Arc<Layer>>,
    base: Arc<BaseView>,
    /// Moment readers see.
    published: u64,
}

struct Shared {
    layers: RwLock<Layers>,
    /// Moments of live readers, with how many there are at each.
    readers: Mutex<BTreeMap<u64, usize>>,
    base: Mutex<Base>,
    flushed: Notify,
    ground: Ground,
    layer_bytes: usize,
}

/// The store; clones are the same store. Only the state machine writes.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

/// A look at one published moment.
pub(crate) struct Snapshot {
    layers: Layers,
    shared: Arc<Shared>,
}

impl Layer {
    /// The row's version as of `moment`: outer none when this layer does not know the row.
    fn find(&self, key: &[u8], moment: u64) -> Option<Option<Bytes>> {
        let rows = self.rows.read().expect("nobody panics with the lock held");
        rows.get(key).and_then(|cell| cell.at(moment)).cloned()
    }

    fn range(&self, start: &[u8], end: &[u8], moment: u64, limit: usize) -> Vec<(Vec<u8>, Option<Bytes>)> {
        let rows = self.rows.read().expect("nobody panics with the lock held");
        let bounds = (std::ops::Bound::Included(start), std::ops::Bound::Excluded(end));
        let found = rows.range::<[u8], _>(bounds).filter_map(|(key, cell)| cell.at(moment).map(|value| (key.clone(), value.clone())));
        found.take(limit).collect()
    }
}

impl Cell {
    fn at(&self, moment: u64) -> Option<&Option<Bytes>> {
        let older = self.older.iter().rev();
        std::iter::once(&self.newest).chain(older).find(|version| version.moment <= moment).map(|version| &version.value)
    }
}

fn weight(key: &[u8], value: &Option<Bytes>) -> usize {
    key.len() + value.as_ref().map_or(0, Bytes::len) + ROW_OVERHEAD_BYTES
}

impl Layers {
    fn read<T>(&self, key: &[u8], moment: u64, look: impl FnOnce(Option<&[u8]>) -> T) -> io::Result<T> {
        let layers = std::iter::once(&self.active).chain(self.frozen.iter());
        for layer in layers {
            if let Some(value) = layer.find(key, moment) {
                return Ok(look(value.as_deref()));
            }
        }
        self.base.read(key, look)
    }

    /// At most `limit` rows in `start..end`, and whether there are more.
    fn range(&self, start: &[u8], end: &[u8], moment: u64, limit: usize) -> io::Result<(Vec<Row>, bool)> {
        let mut next = start.to_vec();
        let mut found = Vec::new();
        loop {
            let want = limit.saturating_sub(found.len()).saturating_add(1);
            let (step, beyond) = self.range_step(&next, end, moment, want)?;
            found.extend(step);
            if found.len() > limit {
                found.truncate(limit);
                return Ok((found, true));
            }
            match beyond {
                Some(key) => next = key,
                None => return Ok((found, false)),
            }
        }
    }

    /// Merges up to `want` rows of each layer. Gives the live rows, and where to go on if a layer had more to say.
    fn range_step(&self, start: &[u8], end: &[u8], moment: u64, want: usize) -> io::Result<(Vec<Row>, Option<Vec<u8>>)> {
        let mut sources: Vec<Vec<(Vec<u8>, Option<Bytes>)>> = vec![self.active.range(start, end, moment, want)];
        if let Some(frozen) = &self.frozen {
            sources.push(frozen.range(start, end, moment, want));
        }
        sources.push(self.base.range(start, end, want)?.into_iter().map(|(key, value)| (key, Some(value))).collect());
        // A source that was cut speaks only for keys up to its last one.
        let cut = sources.iter().filter(|rows| rows.len() >= want).filter_map(|rows| rows.last()).map(|(key, _)| key.clone()).min();
        let mut merged = BTreeMap::new();
        for source in sources.into_iter().rev() {
            merged.extend(source);
        }
        let beyond = cut.as_ref().map(|last| {
            let mut key = last.clone();
            key.push(0);
            key
        });
        let within = merged.into_iter().filter(|(key, _)| cut.as_ref().is_none_or(|last| key <= last));
        Ok((within.filter_map(|(key, value)| value.map(|value| (key, value))).collect(), beyond))
    }
}

impl Store {
    /// An empty store; `overlay_bytes` is what its two layers may hold together.
    pub(crate) fn create(ground: Ground, overlay_bytes: usize) -> io::Result<Self> {
        let base = Base::create(&ground, "base-0.redb")?;
        let view = Arc::new(base.view()?);
        let layers = Layers { active: Arc::default(), frozen: None, base: view, published: 0 };
        let shared = Shared {
            layers: RwLock::new(layers),
            readers: Mutex::default(),
            base: Mutex::new(base),
            flushed: Notify::new(),
            ground,
            layer_bytes: overlay_bytes / 2,
        };
        Ok(Store { shared: Arc::new(shared) })
    }

    fn layers(&self) -> Layers {
        self.shared.layers.read().expect("nobody panics with the lock held").clone()
    }

    /// A look at what is published.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let layers = self.shared.layers.read().expect("nobody panics with the lock held");
        let mut readers = self.shared.readers.lock().expect("nobody panics with the lock held");
        *readers.entry(layers.published).or_default() += 1;
        Snapshot { layers: layers.clone(), shared: Arc::clone(&self.shared) }
    }

    /// Reads what was written last, published or not.
    pub(crate) fn read<T>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> T) -> io::Result<T> {
        self.layers().read(key, u64::MAX, look)
    }

    /// Rows as written last, published or not.
    pub(crate) fn range(&self, start: &[u8], end: &[u8], limit: usize) -> io::Result<(Vec<Row>, bool)> {
        self.layers().range(start, end, u64::MAX, limit)
    }

    /// Writes a row, or removes it; readers see it after [`Store::publish`].
    pub(crate) fn put(&self, key: Vec<u8>, value: Option<Bytes>) {
        let (active, published) = {
            let layers = self.shared.layers.read().expect("nobody panics with the lock held");
            (Arc::clone(&layers.active), layers.published)
        };
        let moment = published + 1;
        let added = weight(&key, &value);
        let mut freed = 0;
        {
            let mut rows = active.rows.write().expect("nobody panics with the lock held");
            match rows.get_mut(&key) {
                None => drop(rows.insert(key, Cell { newest: Version { moment, value }, older: Vec::new() })),
                Some(cell) => freed = self.supersede(&key, cell, Version { moment, value }),
            }
        }
        active.bytes.fetch_add(added, Ordering::Relaxed);
        active.bytes.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Puts a new version on top and lets go of those nobody can look at. Gives the bytes let go.
    fn supersede(&self, key: &[u8], cell: &mut Cell, version: Version) -> usize {
        let old = std::mem::replace(&mut cell.newest, version);
        if old.moment == cell.newest.moment {
            return weight(key, &old.value);
        }
        cell.older.push(old);
        if cell.older.len() == 1 {
            return 0; // What is published now can be looked at any time.
        }
        let readers = self.shared.readers.lock().expect("nobody panics with the lock held");
        let mut freed = 0;
        let mut kept = Vec::with_capacity(cell.older.len());
        let mut older = std::mem::take(&mut cell.older).into_iter().peekable();
        while let Some(version) = older.next() {
            let seen = match older.peek() {
                None => true,
                Some(next) => readers.range(version.moment..next.moment).next().is_some(),
            };
            match seen {
                true => kept.push(version),
                false => freed += weight(key, &version.value),
            }
        }
        cell.older = kept;
        freed
    }

    /// Lets readers see everything written so far. Starts a flush when the layer is half of what is allowed.
    pub(crate) fn publish(&self) {
        let freeze = {
            let mut layers = self.shared.layers.write().expect("nobody panics with the lock held");
            layers.published += 1;
            let full = layers.active.bytes.load(Ordering::Relaxed) >= self.shared.layer_bytes;
            let freeze = full && layers.frozen.is_none();
            if freeze {
                layers.frozen = Some(std::mem::take(&mut layers.active));
            }
            freeze
        };
        if freeze {
            let shared = Arc::clone(&self.shared);
            let workers = Arc::clone(&shared.ground.workers);
            workers.beside("flush", Box::new(move || shared.flush_frozen(false)));
        }
    }

    /// Waits while both layers are full.
    pub(crate) async fn wait_for_room(&self) -> io::Result<()> {
        loop {
            let flushed = self.shared.flushed.notified();
            if self.shared.ground.fence.reason().is_some() {
                return Err(self.shared.ground.fence.error());
            }
            let layers = self.layers();
            if layers.frozen.is_none() || layers.active.bytes.load(Ordering::Relaxed) < self.shared.layer_bytes {
                return Ok(());
            }
            flushed.await;
        }
    }

    /// Makes the base durable as it is: a point no later than what is published. Blocks.
    pub(crate) fn sync_base(&self) -> io::Result<()> {
        let mut base = self.shared.base.lock().expect("nobody panics with the lock held");
        self.shared.ground.fence.watch("database", base.write(Vec::new(), true))
    }

    /// A base beside the one in use, filled by `fill`, to be taken into use by [`Store::adopt`]. Blocks.
    pub(crate) fn prepare<T>(&self, name: u64, fill: impl FnOnce(&mut Base) -> io::Result<T>) -> io::Result<(Base, T)> {
        let mut fresh = Base::create(&self.shared.ground, &format!("base-{name}.redb"))?;
        let filled = fill(&mut fresh)?;
        fresh.write(Vec::new(), true)?;
        Ok((fresh, filled))
    }

    /// Begins anew with the rows of `fresh`. Who looks at the old state keeps it.
    pub(crate) fn adopt(&self, fresh: Base) -> io::Result<()> {
        let view = Arc::new(fresh.view()?);
        // The base lock first: a flush under way ends before, and one that comes after finds its layer gone.
        let mut base = self.shared.base.lock().expect("nobody panics with the lock held");
        let old = std::mem::replace(&mut *base, fresh);
        let mut layers = self.shared.layers.write().expect("nobody panics with the lock held");
        layers.active = Arc::default();
        layers.frozen = None;
        layers.base = view;
        drop(layers);
        drop(base);
        self.shared.flushed.notify_waiters();
        old.unlink()
    }
}

impl Shared {
    /// Writes the frozen layer to the base and lets it go.
    fn flush_frozen(&self, durable: bool) {
        let result = self.try_flush(durable);
        let _ = self.ground.fence.watch("database", result);
        self.flushed.notify_waiters();
    }

    fn try_flush(&self, durable: bool) -> io::Result<()> {
        let mut base = self.base.lock().expect("nobody panics with the lock held");
        let frozen = self.layers.read().expect("nobody panics with the lock held").frozen.clone();
        let Some(frozen) = frozen else { return Ok(()) };
        let changes: Vec<Change> = {
            let rows = frozen.rows.read().expect("nobody panics with the lock held");
            rows.iter().map(|(key, cell)| (key.clone(), cell.newest.value.clone())).collect()
        };
        base.write(changes, durable)?;
        let view = Arc::new(base.view()?);
        let mut layers = self.layers.write().expect("nobody panics with the lock held");
        layers.base = view;
        layers.frozen = None;
        Ok(())
    }
}

impl Snapshot {
    /// Hands a row's bytes to `look`.
    pub(crate) fn read<T>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> T) -> io::Result<T> {
        self.shared.ground.fence.watch("database", self.layers.read(key, self.layers.published, look))
    }

    /// At most `limit` rows in `start..end`, and whether there are more.
    pub(crate) fn range(&self, start: &[u8], end: &[u8], limit: usize) -> io::Result<(Vec<Row>, bool)> {
        self.shared.ground.fence.watch("database", self.layers.range(start, end, self.layers.published, limit))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let Ok(mut readers) = self.shared.readers.lock() else { return };
        if let Some(count) = readers.get_mut(&self.layers.published) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.layers.published);
            }
        }
    }
}
