//! The base of the store: a redb file that holds what the overlay no longer does.
//!
//! Decides: rows are written in large sorted batches off the commit path; most commits are not durable, because nothing resumes from
//! this file: it keeps values out of memory, no more. Every call is behind a panic boundary.
//! Trusts: redb to return what was written; a fault or a panic is passed up and fences the replica.
//! Out of scope: which rows (`store`). Protocol section 5.1.

use crate::disk::Disk;
use crate::ground::Ground;
use crate::machine::backend::Backend;
use bytes::Bytes;
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("rows");

/// Bytes redb may keep in memory.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Commits between two durable ones: redb reuses freed pages only after a durable commit.
const SOFT_COMMITS: u32 = 8;

/// The database file.
pub(crate) struct Base {
    database: Database,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    soft_commits: u32,
}

/// The rows as of one commit.
pub(crate) struct BaseView {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

/// A change of a row: a value, or none to remove it.
pub(crate) type Change = (Vec<u8>, Option<Bytes>);

fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(why)) => Err(io::Error::other(format!("database: {why}"))),
        Err(_) => Err(io::Error::other("the database panicked")),
    }
}

impl Base {
    /// Makes an empty database; the file must not exist.
    pub(crate) fn create(ground: &Ground, name: &str) -> io::Result<Self> {
        let path = ground.dir.join(name);
        let file = ground.disk.create_empty(&path)?;
        let database = guarded(|| Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Backend(file))?))?;
        let mut base = Base { database, disk: Arc::clone(&ground.disk), path, soft_commits: 0 };
        base.write(Vec::new(), true)?;
        Ok(base)
    }

    /// Writes sorted changes in one commit.
    pub(crate) fn write(&mut self, changes: Vec<Change>, durable: bool) -> io::Result<()> {
        let durable = durable || self.soft_commits >= SOFT_COMMITS;
        guarded(|| {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
            {
                let mut rows = transaction.open_table(ROWS)?;
                for (key, value) in &changes {
                    match value {
                        Some(value) => drop(rows.insert(key.as_slice(), value.as_ref())?),
                        None => drop(rows.remove(key.as_slice())?),
                    }
                }
            }
            transaction.commit()?;
            Ok(())
        })?;
        self.soft_commits = if durable { 0 } else { self.soft_commits + 1 };
        Ok(())
    }

    /// A look at the rows as of the last commit.
    pub(crate) fn view(&self) -> io::Result<BaseView> {
        guarded(|| {
            let rows = self.database.begin_read()?.open_table(ROWS)?;
            Ok(BaseView { rows })
        })
    }

    /// Removes the file; what is open stays readable.
    pub(crate) fn unlink(&self) -> io::Result<()> {
        self.disk.remove(&self.path)
    }
}

impl BaseView {
    /// Hands the row's bytes to `look`.
    pub(crate) fn read<T>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> T) -> io::Result<T> {
        guarded(|| {
            let row = self.rows.get(key)?;
            Ok(look(row.as_ref().map(|row| row.value())))
        })
    }

    /// At most `limit` rows in `start..end`, in order.
    pub(crate) fn range(&self, start: &[u8], end: &[u8], limit: usize) -> io::Result<Vec<(Vec<u8>, Bytes)>> {
        guarded(|| {
            let mut found = Vec::new();
            for row in self.rows.range(start..end)?.take(limit) {
                let (key, value) = row?;
                found.push((key.value().to_vec(), Bytes::copy_from_slice(value.value())));
            }
            Ok(found)
        })
    }
}
