//! What an operation takes, counted: flushes, messages, calls of primitives, allocations, bytes; compared with the table that is checked in.
//!
//! Decides: every count equals its row of `counts/counts.txt`, and comes out the same twice; more is a regression, and less is written down, so that
//! it stays. `RINGWALL_BLESS=1` writes the table anew, for people to read. That each kind of count is compared is shown by doing the thing once more.
//! Rows that begin with `heap` hold in the profile tests are built in, alone: optimizers leave allocations out.
//! Trusts: the disk in memory, the deterministic world, the counters in `wire` and in the allocator. Out of scope: times (`cargo bench-cluster`).
//! docs/performance/README.md says what each row is.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "counts/cluster.rs"]
mod cluster;
#[path = "counts/front.rs"]
mod front;
#[path = "counts/sessions.rs"]
mod sessions;
#[path = "counts/storage.rs"]
mod storage;
#[path = "counts/table.rs"]
mod table;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use table::{Counting, Table};

/// Operations that share an entry, a group, a flush or a signature.
const SIZES: [u64; 4] = [1, 16, 64, 256];

/// What counts, and how it is counted.
type Part = fn(&mut Counting);

const PARTS: [Part; 4] = [front::count, sessions::count, storage::count, cluster::count];

/// Primitives are counted for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/counts/counts.txt")
}

fn golden() -> Table {
    Table::read(&std::fs::read_to_string(path()).unwrap_or_default()).expect("the table is one this test wrote")
}

fn counted(part: Part, again: Option<&str>) -> Table {
    let mut counting = Counting::new(again);
    part(&mut counting);
    counting.table
}

#[test]
fn counts_are_those_of_the_table() {
    let _alone = alone();
    let mut all = Table::default();
    for part in PARTS {
        let (once, twice) = (counted(part, None), counted(part, None));
        assert_eq!(once.differences(&twice), Vec::<String>::new(), "counts that differ from run to run count nothing");
        all.add_all(once);
    }
    if std::env::var_os("RINGWALL_BLESS").is_some() {
        let has_all_rows = cfg!(debug_assertions);
        assert!(has_all_rows, "the table is written in the profile of tests: it has rows that hold there alone");
        std::fs::write(path(), all.text()).unwrap();
    }
    let differences = golden().differences(&all);
    assert!(
        differences.is_empty(),
        "{} counts are not those of tests/tests/counts/counts.txt:\n  {}\n(RINGWALL_BLESS=1 writes the table anew; docs/performance/README.md)",
        differences.len(),
        differences.join("\n  ")
    );
}

#[test]
fn whatever_is_done_once_more_is_noticed() {
    let _alone = alone();
    // What is done again, by whom it is counted, and a row that has to change.
    let cases: [(&str, Part, &str); 10] = [
        ("put: sealed", front::count, "put: sealed: aead seals"),
        ("put: sealed", front::count, "put: sealed: derivations"),
        ("flush of put replies: sealed", front::count, "flush of put replies: sealed: aead seals"),
        ("receipts of a group: made", front::count, "receipts of a group: made: signatures"),
        ("session with SNP", sessions::count, "session with SNP: messages"),
        ("session with TDX", sessions::count, "session with TDX: node: x25519"),
        ("one entry of puts: logged", storage::count, "one entry of puts: logged: syncs"),
        ("one entry of puts: applied", storage::count, "one entry of puts: applied: hashes"),
        ("one entry of puts, at the leader", cluster::count, "one entry of puts, at the leader: append calls"),
        ("one entry of puts, at the leader", cluster::count, "one entry of puts, at the leader: syncs of followers"),
    ];
    let golden = golden();
    for (what, part, row) in cases {
        let changed = golden.of(what).differences(&counted(part, Some(what)).of(what));
        assert!(changed.iter().any(|difference| difference.starts_with(row)), "{what}, once more, does not show in {row}: {changed:?}");
    }
    if cfg!(debug_assertions) {
        let changed = golden.of("heap: put: sealed").differences(&counted(front::count, Some("put: sealed")).of("heap: put: sealed"));
        assert_eq!(changed.len(), 2, "allocations and their bytes: {changed:?}");
    }
}
