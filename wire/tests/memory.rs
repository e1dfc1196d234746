//! A stranger's length never reserves memory.
//!
//! Decides: an announced length, within the limit of its type or not, costs nothing until the bytes are there.
//! Trusts: Linux's account of the process's address space; elsewhere the lists below would abort instead.
//! Out of scope: which limits exist (limits.rs). This file holds one test, so that nothing else moves the account.
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::{DecodeError, Field};

const HUGE: usize = u32::MAX as usize;

/// Highest size the address space ever had, in KiB.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmPeak:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn announced_lengths_reserve_nothing() {
    let input = [0xff; 12];
    let before = peak_kib();

    // 4 GiB are legal for these types; eight bytes are there.
    assert_eq!(Blob::<HUGE>::from_bytes(&input), Err(DecodeError::Truncated { needed: HUGE, left: 8 }));
    assert_eq!(Text::<HUGE>::from_bytes(&input), Err(DecodeError::Truncated { needed: HUGE, left: 8 }));
    assert_eq!(Option::<Blob<HUGE>>::from_bytes(&[1, 0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Truncated { needed: HUGE, left: 0 }));
    // 256 TiB if the count were believed: the process would abort.
    assert_eq!(List::<[u8; 65_536], HUGE>::from_bytes(&input), Err(DecodeError::Truncated { needed: 65_536, left: 8 }));

    if let (Some(before), Some(after)) = (before, peak_kib()) {
        assert!(after - before < 1024 * 1024, "the address space grew by {} KiB", after - before);
    }
}
