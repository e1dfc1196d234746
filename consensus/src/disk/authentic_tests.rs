//! Files that are compared with memory, against a plain vector and against disks that lie.
//!
//! Decides: partial blocks, growth and cuts are right; every lie is a typed fault that raises the fence, and nothing wrong is ever
//! returned. Trusts: the disk in memory. Out of scope: the database over it (`tests/suite/storage.rs`). Register row R5.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::disk::authentic::{Account, Authentic};
use crate::disk::fault::{DiskFault, found};
use crate::disk::memory::{Access, Chance, Fault, MemoryDisk, Plan};
use crate::disk::{DiskFile, write_whole};
use crate::fence::Fence;
use std::path::Path;

const PATH: &str = "/replica/base-0.redb";

struct Bench {
    disk: MemoryDisk,
    file: Authentic,
    fence: Fence,
    account: Account,
}

fn bench(block: usize) -> Bench {
    let (disk, fence, account) = (MemoryDisk::default(), Fence::new(), Account::default());
    let file = Authentic::create(&disk, Path::new(PATH), block, &fence, &account).unwrap();
    Bench { disk, file, fence, account }
}

fn read(file: &Authentic, at: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let len = file.read_at(at, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

#[test]
fn it_is_a_file_like_any_other() {
    for seed in 0..60 {
        let block = [1, 7, 512, 4096][seed as usize % 4];
        let bench = bench(block);
        let mut chance = Chance::new(seed);
        let mut model: Vec<u8> = Vec::new();
        for _ in 0..120 {
            let at = chance.below(3 * 4096 / (1 + seed % 3));
            let len = chance.below(2 * 4096) as usize;
            match chance.below(5) {
                0 | 1 => {
                    let bytes: Vec<u8> = (0..len).map(|_| chance.below(256) as u8).collect();
                    write_whole(&bench.file, at, &bytes).unwrap();
                    if !bytes.is_empty() {
                        model.resize(model.len().max(at as usize + len), 0);
                        model[at as usize..at as usize + len].copy_from_slice(&bytes);
                    }
                }
                2 => {
                    bench.file.set_size(at).unwrap();
                    model.resize(at as usize, 0);
                }
                _ => {
                    let from = model.get(at as usize..).unwrap_or_default();
                    assert_eq!(read(&bench.file, at, len).unwrap(), &from[..from.len().min(len)], "seed {seed}");
                }
            }
            assert_eq!(bench.file.size().unwrap(), model.len() as u64);
            assert_eq!(bench.account.bytes(), model.len().div_ceil(block) as u64 * 16, "what it takes of memory is known");
        }
        assert_eq!(bench.disk.bytes(Path::new(PATH)).unwrap(), model, "and the disk holds it as it is");
        assert_eq!(bench.fence.reason(), None);
        let account = bench.account.clone();
        drop(bench);
        assert_eq!(account.bytes(), 0);
    }
}

/// Three blocks of ones, twos, threes, written over older ones.
fn filled() -> (Bench, MemoryDisk) {
    let bench = bench(4096);
    write_whole(&bench.file, 0, &[9; 3 * 4096]).unwrap();
    bench.file.sync().unwrap();
    let old = bench.disk.copy();
    for number in 0..3 {
        write_whole(&bench.file, number * 4096, &[1 + number as u8; 4096]).unwrap();
    }
    bench.file.sync().unwrap();
    (bench, old)
}

#[test]
fn every_edit_is_a_fault_and_raises_the_fence() {
    type Edit = fn(&MemoryDisk, &MemoryDisk);
    let edits: [(&str, Edit); 7] = [
        ("flip", |disk, _| assert!(disk.flip(Path::new(PATH), 5000, 3))),
        ("zero", |disk, _| assert!(disk.edit(Path::new(PATH), 4096, &[0; 4096]))),
        ("swap", |disk, _| assert!(disk.swap(Path::new(PATH), 4096, 8192, 4096))),
        ("replay", |disk, old| assert!(disk.replay(old, Path::new(PATH), 4096, 4096))),
        ("misdirect", |disk, _| assert!(disk.misdirect(Path::new(PATH), 0, 4096, 4096))),
        ("truncate", |disk, _| assert!(disk.truncate(Path::new(PATH), 5000))),
        ("older world", |disk, old| disk.roll_back(old)),
    ];
    for (name, edit) in edits {
        let (bench, old) = filled();
        edit(&bench.disk, &old);
        let why = read(&bench.file, 4096 + 100, 10).unwrap_err();
        let right = matches!(found(&why), Some(DiskFault::Changed { at: 4096, .. } | DiskFault::Missing { .. }));
        assert!(right, "{name}: {why}");
        let reason = bench.fence.reason().unwrap();
        assert!(reason.contains("base-0.redb") && reason.contains("suspect the host"), "{name}: {reason}");
        let again = read(&bench.file, 0, 10).unwrap_err();
        assert!(matches!(found(&again), Some(DiskFault::Failed { .. })), "{name}: the whole file is out: {again}");
        assert!(bench.file.write_at(0, &[1]).is_err() && bench.file.sync().is_err() && bench.file.set_size(0).is_err());
    }
}

#[test]
fn a_write_into_a_changed_block_does_not_make_it_good() {
    let (bench, old) = filled();
    bench.disk.replay(&old, Path::new(PATH), 4096, 4096);
    let why = bench.file.write_at(4096 + 100, &[7; 10]).unwrap_err();
    assert!(matches!(found(&why), Some(DiskFault::Changed { at: 4096, .. })), "{why}");
    let (bench, old) = filled();
    bench.disk.replay(&old, Path::new(PATH), 4096, 4096);
    let why = bench.file.set_size(4096 + 100).unwrap_err();
    assert!(matches!(found(&why), Some(DiskFault::Changed { at: 4096, .. })), "a cut neither: {why}");
}

#[test]
fn a_write_that_was_reported_done_and_was_not_is_noticed_when_it_is_read() {
    for fault in [Fault::Lost, Fault::Torn(3), Fault::Misdirected(4096), Fault::Flipped(77)] {
        let (bench, _) = filled();
        bench.disk.plan(Plan::next(Access::Write, "base", fault));
        write_whole(&bench.file, 4096, &[7; 4096]).unwrap();
        assert_eq!(bench.fence.reason(), None, "nobody can know yet");
        let why = read(&bench.file, 4096, 4096).unwrap_err();
        assert!(matches!(found(&why), Some(DiskFault::Changed { at: 4096, .. })), "{fault:?}: {why}");
        assert!(bench.fence.reason().is_some());
    }
}

#[test]
fn a_fault_that_the_disk_reports_ends_the_file() {
    let cases = [
        (Access::Write, Fault::Error, "replace the disk"),
        (Access::Write, Fault::Full, "make room"),
        (Access::Write, Fault::Short, "took 2048 of 4096 bytes"),
        (Access::Sync, Fault::Error, "replace the disk"),
        (Access::Read, Fault::Error, "replace the disk"),
        (Access::SetSize, Fault::Full, "make room"),
    ];
    for (access, fault, words) in cases {
        let (bench, _) = filled();
        bench.disk.plan(Plan::next(access, "base", fault));
        let failed = match access {
            Access::Write => bench.file.write_at(0, &[7; 4096]).map(|_| ()),
            Access::Sync => bench.file.sync(),
            Access::Read => read(&bench.file, 0, 1).map(|_| ()),
            _ => bench.file.set_size(1 << 20),
        };
        assert!(failed.is_err(), "{access:?} {fault:?}");
        let reason = bench.fence.reason().unwrap().to_owned();
        assert!(reason.contains(words), "{access:?} {fault:?}: {reason}");
        bench.disk.heal();
        assert!(read(&bench.file, 8192, 1).is_err(), "a disk that recovers is not trusted");
    }
}

#[test]
fn a_short_read_is_no_fault() {
    let (bench, _) = filled();
    bench.disk.plan(Plan::next(Access::Read, "base", Fault::Short));
    assert_eq!(read(&bench.file, 4096, 4096).unwrap(), vec![2; 4096]);
    assert_eq!(bench.fence.reason(), None);
}

#[test]
fn readers_and_a_writer_do_not_mistake_each_other_for_a_liar() {
    let bench = bench(4096);
    write_whole(&bench.file, 0, &[0; 4 * 4096]).unwrap();
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let file = &bench.file;
            scope.spawn(move || {
                for round in 0..2_000_u64 {
                    let bytes = read(file, (round + reader) % 4 * 4096, 4096).unwrap();
                    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "half of a write");
                }
            });
        }
        for round in 0..2_000_u64 {
            write_whole(&bench.file, round % 4 * 4096, &[round as u8; 4096]).unwrap();
        }
    });
    assert_eq!(bench.fence.reason(), None);
}
