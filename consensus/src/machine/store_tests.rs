//! The store over disks in memory: what readers hold, and what they get from a disk that somebody changes.
//!
//! Decides: a reader keeps its moment over an install; a row that left memory comes back as it was or not at all; the database never
//! brings the process down. Trusts: the disk in memory. Out of scope: blocks (`disk`). Protocol section 5.1; register row R5.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::disk::fault::{DiskFault, found};
use crate::disk::memory::{Access, Chance, Fault, MemoryDisk, Plan};
use crate::ground::Ground;
use crate::machine::store::Store;
use crate::workers::Stepped;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

const BASE: &str = "/replica/base-0.redb";
const ROWS: u64 = 300;

struct Bench {
    disk: MemoryDisk,
    workers: Stepped,
    ground: Ground,
    store: Store,
}

/// A store whose rows leave memory at once, over a database without a cache.
fn bench() -> Bench {
    let (disk, workers) = (MemoryDisk::default(), Stepped::default());
    let ground = Ground::on(Arc::new(disk.clone()), Arc::new(workers.clone()), Path::new("/replica"));
    let store = Store::create(ground.clone(), 2).unwrap();
    Bench { disk, workers, ground, store }
}

impl Bench {
    fn fill(&self, value: u8) {
        for row in 0..ROWS {
            self.store.put(row.to_be_bytes().to_vec(), Some(Bytes::from(vec![value; 100])));
        }
        self.store.publish();
        self.workers.run_all();
        // The next layer is what readers see now; empty it too.
        self.store.publish();
        self.workers.run_all();
        self.store.sync_base().unwrap();
    }

    fn values(&self) -> std::io::Result<Vec<Bytes>> {
        let rows = self.store.snapshot().range(&[0], &[1], usize::MAX >> 1)?;
        Ok(rows.0.into_iter().map(|(_, value)| value).collect())
    }
}

#[test]
fn who_looks_at_the_old_state_keeps_it_when_another_is_adopted() {
    let bench = bench();
    bench.fill(1);
    let before = bench.store.snapshot();
    let (fresh, ()) = bench.store.prepare(1, |_| Ok(())).unwrap();
    bench.store.adopt(fresh).unwrap();
    let (rows, _) = before.range(&[0], &[1], 1_000).unwrap();
    assert_eq!(rows.len() as u64, ROWS);
    assert!(bench.values().unwrap().is_empty(), "and new readers see the new one");
    assert_eq!(bench.ground.fence.reason(), None);
}

#[test]
fn a_block_put_back_from_an_earlier_day_never_reaches_a_reader() {
    let first = bench();
    first.fill(1);
    first.fill(2); // Into pages of its own: redb writes nothing over what somebody may read.
    let blocks = first.disk.size(Path::new(BASE)).unwrap() / 4096;
    let mut noticed = 0;
    for block in 0..blocks {
        let bench = bench();
        bench.fill(1);
        let earlier = bench.disk.copy();
        bench.fill(2);
        if bench.disk.part(Path::new(BASE), block * 4096, 4096) == earlier.part(Path::new(BASE), block * 4096, 4096) {
            continue;
        }
        bench.disk.replay(&earlier, Path::new(BASE), block * 4096, 4096);
        match bench.values() {
            Ok(values) => {
                assert!(values.len() as u64 == ROWS && values.iter().all(|value| value[..] == [2; 100]), "an old value came back")
            }
            Err(why) => {
                assert!(matches!(found(&why), Some(DiskFault::Changed { .. })), "{why}");
                assert!(bench.ground.fence.reason().unwrap().contains("suspect the host"));
                noticed += 1;
            }
        }
    }
    assert!(noticed > 3, "{noticed} of {blocks}");
}

#[test]
fn a_database_on_a_bad_disk_fails_and_does_not_panic() {
    let faults =
        [Fault::Error, Fault::Full, Fault::Short, Fault::Lost, Fault::Torn(1), Fault::Misdirected(4096), Fault::Flipped(99), Fault::Dead];
    let mut fenced = 0;
    for seed in 0..160 {
        let bench = bench();
        bench.fill(1);
        let mut chance = Chance::new(seed);
        let access = [Access::Write, Access::Sync, Access::Read, Access::SetSize][chance.below(4) as usize];
        let fault = faults[chance.below(faults.len() as u64) as usize];
        bench.disk.plan(Plan { access, file: "base".into(), skip: chance.below(12), times: 1, fault });
        for value in 2..5 {
            for row in 0..ROWS {
                bench.store.put(row.to_be_bytes().to_vec(), Some(Bytes::from(vec![value; 100 * usize::from(value)])));
            }
            bench.store.publish();
            bench.workers.run_all();
            bench.store.publish();
            bench.workers.run_all();
            let _ = bench.store.sync_base();
            match bench.values() {
                Ok(values) => {
                    assert!(values.iter().all(|row| row[..] == vec![value; 100 * usize::from(value)]), "seed {seed}: {access:?} {fault:?}");
                }
                Err(_) => assert!(bench.ground.fence.reason().is_some(), "seed {seed}: {access:?} {fault:?} failed without a fence"),
            }
        }
        fenced += u32::from(bench.ground.fence.reason().is_some());
    }
    assert!(fenced > 60, "{fenced} of 160 faults were met and noticed");
}
