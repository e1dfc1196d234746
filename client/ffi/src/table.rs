//! Handles: numbers that stand for clients.
//!
//! Decides: which number is which client, how many there are, and that a number is never given twice: what was closed is unknown from then on, whoever kept its number. One
//! call at a time on a client of the core itself: the order of its effects is the caller's to keep, so a second call at the same time is a mistake, and is told.
//! Trusts: nothing. Out of scope: what a call does (`core.rs`, `client.rs`).

use super::client::Client;
use super::core::Core;
use super::fault::Status;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Handles of one process, at most: each holds what a session needs, and a connected one a thread.
pub const HANDLES: usize = 256;

/// A client whose effects the caller carries out. A panic under the lock leaves it poisoned, which is what later calls are told.
pub(crate) struct Bare(Mutex<Box<dyn Core>>);

impl Bare {
    /// One call of the core.
    pub(crate) fn call(&self, work: impl FnOnce(&mut dyn Core) -> Vec<u8>) -> Result<Vec<u8>, Status> {
        match self.0.try_lock() {
            Ok(mut core) => Ok(work(&mut **core)),
            Err(TryLockError::WouldBlock) => Err(Status::Busy),
            Err(TryLockError::Poisoned(_)) => Err(Status::Poisoned),
        }
    }
}

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Row {
    /// Of `ringwall_open`.
    Bare(Arc<Bare>),
    /// Of `ringwall_connect`.
    Driven(Arc<Client>),
}

/// All handles of a process.
pub(crate) struct Table(Mutex<Rows>);

struct Rows {
    last: u64,
    rows: BTreeMap<u64, Row>,
}

impl Table {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Table(Mutex::new(Rows { last: 0, rows: BTreeMap::new() }))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for one more; asked before anything is made.
    pub(crate) fn has_room(&self) -> Result<(), Status> {
        if self.rows().rows.len() < HANDLES { Ok(()) } else { Err(Status::TooManyHandles) }
    }

    /// A handle for it; what it was made for is dropped where there is no room by now.
    pub(crate) fn insert(&self, row: Row) -> Result<u64, Status> {
        let mut rows = self.rows();
        if rows.rows.len() >= HANDLES {
            drop(rows);
            return Err(Status::TooManyHandles);
        }
        rows.last += 1;
        let handle = rows.last;
        rows.rows.insert(handle, row);
        Ok(handle)
    }

    /// A handle for a core.
    pub(crate) fn insert_bare(&self, core: Box<dyn Core>) -> Result<u64, Status> {
        self.insert(Row::Bare(Arc::new(Bare(Mutex::new(core)))))
    }

    fn row(&self, handle: u64) -> Result<Row, Status> {
        self.rows().rows.get(&handle).cloned().ok_or(Status::Handle)
    }

    /// The client whose effects the caller carries out.
    pub(crate) fn bare(&self, handle: u64) -> Result<Arc<Bare>, Status> {
        match self.row(handle)? {
            Row::Bare(bare) => Ok(bare),
            Row::Driven(_) => Err(Status::Kind),
        }
    }

    /// The client with a thread of its own.
    pub(crate) fn driven(&self, handle: u64) -> Result<Arc<Client>, Status> {
        match self.row(handle)? {
            Row::Driven(client) => Ok(client),
            Row::Bare(_) => Err(Status::Kind),
        }
    }

    /// Takes it out: the number is unknown from here on.
    pub(crate) fn remove(&self, handle: u64) -> Result<Row, Status> {
        self.rows().rows.remove(&handle).ok_or(Status::Handle)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Script;
    use super::*;

    fn scripted() -> Box<dyn Core> {
        Box::new(Script::default())
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let table = Table::new();
        let first = table.insert_bare(scripted()).unwrap();
        assert!(table.bare(first).is_ok() && table.remove(first).is_ok());
        assert_eq!(table.bare(first).err(), Some(Status::Handle));
        assert_eq!(table.remove(first).err(), Some(Status::Handle), "closed twice");
        assert!(table.insert_bare(scripted()).unwrap() > first);
        assert_eq!(table.bare(0).err(), Some(Status::Handle));
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let table = Table::new();
        let handles: Vec<u64> = (0..HANDLES).map(|_| table.insert_bare(scripted()).unwrap()).collect();
        assert_eq!((table.has_room(), table.insert_bare(scripted())), (Err(Status::TooManyHandles), Err(Status::TooManyHandles)));
        table.remove(handles[7]).map(drop).unwrap();
        assert!(table.has_room().is_ok() && table.insert_bare(scripted()).is_ok());
    }

    #[test]
    fn a_second_call_at_the_same_time_is_told() {
        let table = Table::new();
        let handle = table.insert_bare(scripted()).unwrap();
        let (first, second) = (table.bare(handle).unwrap(), table.bare(handle).unwrap());
        let inside = first.call(|_| {
            assert_eq!(second.call(|_| Vec::new()), Err(Status::Busy));
            vec![1]
        });
        assert_eq!(inside, Ok(vec![1]));
        assert_eq!(second.call(|_| vec![2]), Ok(vec![2]), "afterwards it goes on");
    }
}
