//! The table of counts: rows, how they are written, how two tables differ, how one piece of work is counted.
//!
//! Decides: a row is what was counted, how many operations shared it, and the count; a row one side lacks is a difference like any other. Rows of
//! the heap are left out of comparisons where the build is optimized. Trusts: the counters. Out of scope: what is counted (the other files).

use ringwall_wire::counted::{Primitive, counted};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What rows that hold in the profile of tests alone begin with.
const HEAP: &str = "heap: ";

/// Counts by what was counted and how many operations shared it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(BTreeMap<(String, u64), u64>);

impl Table {
    /// Adds a row, which must be new.
    pub(crate) fn add(&mut self, what: String, size: u64, count: u64) {
        let before = self.0.insert((what.clone(), size), count);
        assert_eq!(before, None, "{what} of {size} is counted twice");
    }

    /// Adds the rows of another table.
    pub(crate) fn add_all(&mut self, other: Table) {
        other.0.into_iter().for_each(|((what, size), count)| self.add(what, size, count));
    }

    /// The rows of one piece of work.
    pub(crate) fn of(&self, what: &str) -> Table {
        let own = |name: &str| name.strip_prefix(what).is_some_and(|rest| rest.starts_with(": "));
        Table(self.0.iter().filter(|((name, _), _)| own(name)).map(|(key, count)| (key.clone(), *count)).collect())
    }

    /// Reads a table; none where a line is not one of ours.
    pub(crate) fn read(text: &str) -> Option<Table> {
        let row = |line: &str| {
            let mut words = line.splitn(3, '\t');
            let (size, count) = (words.next()?.trim().parse().ok()?, words.next()?.trim().parse().ok()?);
            Some(((words.next()?.to_owned(), size), count))
        };
        text.lines().filter(|line| !line.starts_with('#')).map(row).collect::<Option<_>>().map(Table)
    }

    /// The table as it is checked in.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("# operations, count, what. Written by RINGWALL_BLESS=1 cargo test -p ringwall-tests --test counts\n");
        for ((what, size), count) in &self.0 {
            writeln!(text, "{size:>4}\t{count:>8}\t{what}").expect("a string takes everything");
        }
        text
    }

    /// Every row in which `now` is not this table.
    pub(crate) fn differences(&self, now: &Table) -> Vec<String> {
        let keys: BTreeSet<&(String, u64)> = self.0.keys().chain(now.0.keys()).collect();
        let told = |count: Option<&u64>| count.map_or("nothing".to_owned(), u64::to_string);
        keys.into_iter()
            .filter(|(what, _)| cfg!(debug_assertions) || !what.starts_with(HEAP))
            .filter(|key| self.0.get(key) != now.0.get(key))
            .map(|key| format!("{} ({}): {} in the table, {} now", key.0, key.1, told(self.0.get(key)), told(now.0.get(key))))
            .collect()
    }
}

/// Counts work into a table.
pub(crate) struct Counting {
    /// What was counted so far.
    pub table: Table,
    again: Option<String>,
}

impl Counting {
    /// An empty table. `again`: the piece of work that is done once more than it should be.
    pub(crate) fn new(again: Option<&str>) -> Self {
        Counting { table: Table::default(), again: again.map(str::to_owned) }
    }

    /// How often a piece of work is done.
    pub(crate) fn times(&self, what: &str) -> u64 {
        1 + u64::from(self.again.as_deref() == Some(what))
    }

    /// Adds the rows of work.
    pub(crate) fn add(&mut self, what: &str, size: u64, took: &Took) {
        self.add_calls(what, size, took);
        self.table.add(format!("{HEAP}{what}: bytes"), size, took.bytes);
    }

    /// Adds the rows of work whose buffers are as long as its values happen to be: no bytes of the heap.
    pub(crate) fn add_calls(&mut self, what: &str, size: u64, took: &Took) {
        for (primitive, calls) in Primitive::ALL.into_iter().zip(took.calls).filter(|(_, calls)| *calls > 0) {
            self.table.add(format!("{what}: {}", primitive.name()), size, calls);
        }
        self.table.add(format!("{HEAP}{what}: allocations"), size, took.allocations);
    }

    /// Does a piece of work and adds its rows.
    pub(crate) fn took<T>(&mut self, what: &str, size: u64, mut work: impl FnMut() -> T) -> T {
        let (mut took, mut done) = (Took::default(), None);
        for _ in 0..self.times(what) {
            done = Some(took.add(&mut work));
        }
        self.add(what, size, &took);
        done.expect("it was done at least once")
    }
}

/// Calls of primitives in this process, and allocations of this thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    calls: [u64; Primitive::ALL.len()],
    allocations: u64,
    bytes: u64,
}

impl Took {
    /// Does some work, and adds what it took.
    pub(crate) fn add<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (before, mut done) = (counted(), None);
        let heap = allocation_counter::measure(|| done = Some(work()));
        for ((calls, now), before) in self.calls.iter_mut().zip(counted()).zip(before) {
            *calls += now - before;
        }
        (self.allocations, self.bytes) = (self.allocations + heap.count_total, self.bytes + heap.bytes_total);
        done.expect("the work was done")
    }
}

#[test]
fn a_table_is_read_as_it_was_written_and_every_difference_is_told() {
    let mut table = Table::default();
    table.add("a thing: syncs".into(), 1, 1);
    table.add("a thing: syncs".into(), 16, 1);
    table.add("another: bytes".into(), 1, 4_096);
    assert_eq!(Table::read(&table.text()), Some(table.clone()));
    assert_eq!(Table::read("no row"), None);
    assert_eq!(table.differences(&table), Vec::<String>::new());

    let mut now = Table::default();
    now.add("a thing: syncs".into(), 1, 2);
    now.add("a thing: syncs".into(), 16, 1);
    now.add("a thing: opens".into(), 1, 1);
    let told = [
        "a thing: opens (1): nothing in the table, 1 now",
        "a thing: syncs (1): 1 in the table, 2 now",
        "another: bytes (1): 4096 in the table, nothing now",
    ];
    assert_eq!(table.differences(&now), told);
    assert_eq!(table.of("a thing").differences(&now.of("a thing")), told[..2]);
}
