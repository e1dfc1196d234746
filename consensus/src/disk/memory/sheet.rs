//! The bytes of one simulated file: sparse, and shared between copies until one of them is written.
//!
//! Decides: what was never written is zero; a copy costs a pointer a page, so that a crash image of a whole disk is cheap.
//! Trusts: nothing. Out of scope: which bytes survive a crash (`mod`). Protocol section 5.1.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a page: what copies share.
const PAGE: u64 = 4096;

/// The bytes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE as usize]>>,
}

impl Sheet {
    /// So many zeroes.
    pub(crate) fn zeroes(len: u64) -> Self {
        Sheet { len, pages: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads what there is at an offset; gives how much.
    pub(crate) fn read(&self, at: u64, out: &mut [u8]) -> usize {
        let len = self.len.saturating_sub(at).min(out.len() as u64) as usize;
        let out = out.split_at_mut(len).0;
        for (page, within, part) in parts(at, out.len()) {
            let target = out.split_at_mut(part.start).1.split_at_mut(part.len()).0;
            match self.pages.get(&page) {
                Some(bytes) => target.copy_from_slice(bytes.split_at(within).1.split_at(part.len()).0),
                None => target.fill(0),
            }
        }
        len
    }

    /// Writes at an offset, growing if need be.
    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) {
        self.len = self.len.max(at + bytes.len() as u64);
        for (page, within, part) in parts(at, bytes.len()) {
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE as usize]));
            let target = Arc::make_mut(page).split_at_mut(within).1.split_at_mut(part.len()).0;
            target.copy_from_slice(bytes.split_at(part.start).1.split_at(part.len()).0);
        }
    }

    /// Cuts off, or grows with zeroes.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE)));
            if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
                Arc::make_mut(page).split_at_mut((len % PAGE) as usize).1.fill(0);
            }
        }
        self.len = len;
    }

    /// All of it.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }
}

/// A run of bytes cut at pages: page, offset in it, range of the run.
fn parts(at: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let here = at + done as u64;
        let within = (here % PAGE) as usize;
        let part = (PAGE as usize - within).min(len - done);
        let range = done..done + part;
        done += part;
        Some((here / PAGE, within, range))
    })
}
