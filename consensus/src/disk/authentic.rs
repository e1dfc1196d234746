//! A file whose bytes are compared before anybody sees them: the newest digest of every block is in memory.
//!
//! Decides: a block is what this process wrote there last, or zeroes where it never wrote; anything else (damage, an earlier block,
//! another block, a lost write) is a fault, which raises the fence and ends the file. A failed or short write does the same, because
//! nobody knows what the disk holds then. A write of part of a block compares the rest first.
//! Trusts: memory, and the keyed hash (`keyed.rs`). Out of scope: reading a disk without this memory (docs/decisions/0017-blocks-are-compared-with-memory.md).
//! Protocol section 5.1; register row R5.

use crate::disk::fault::DiskFault;
use crate::disk::keyed::{BlockKey, Tag};
use crate::disk::{Disk, DiskFile, write_whole};
use crate::fence::Fence;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes of a block of the database: one of its pages, so that nearly all reads and writes are whole blocks.
pub(crate) const PAGE_BLOCK_BYTES: usize = 4 * 1024;
/// Bytes of a block of a snapshot: written and read from front to back.
pub(crate) const STREAM_BLOCK_BYTES: usize = 64 * 1024;
/// Bytes of memory the digests of one replica may take: 512 MiB stand for 128 GiB of database.
pub const TAG_BYTES: u64 = 512 * 1024 * 1024;

/// Memory the digests of one replica take.
#[derive(Clone, Default)]
pub(crate) struct Account {
    bytes: Arc<AtomicU64>,
}

impl Account {
    /// Bytes in use.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let within = |held: u64| held.checked_add(bytes).filter(|held| *held <= TAG_BYTES);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    fn give(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What is known of a file.
struct Known {
    len: u64,
    tags: Vec<Tag>,
    failed: bool,
}

/// A file that is compared with memory.
pub(crate) struct Authentic {
    file: Arc<dyn DiskFile>,
    name: String,
    block: usize,
    key: BlockKey,
    zero: Tag,
    known: RwLock<Known>,
    fence: Fence,
    account: Account,
}

impl Authentic {
    /// Makes an empty file; `block` is what is compared at once.
    pub(crate) fn create(disk: &dyn Disk, path: &Path, block: usize, fence: &Fence, account: &Account) -> io::Result<Self> {
        let file = disk.create_empty(path)?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let known = RwLock::new(Known { len: 0, tags: Vec::new(), failed: false });
        let key = BlockKey::draw()?;
        let zero = key.tag(&vec![0; block]);
        Ok(Authentic { file, name, block, key, zero, known, fence: fence.clone(), account: account.clone() })
    }

    /// What is known, over another file: so that a test can try many disks against one memory.
    #[cfg(any(test, feature = "faults"))]
    pub(crate) fn over(&self, file: Arc<dyn DiskFile>, fence: &Fence) -> Self {
        let known = {
            let known = self.reading();
            Known { len: known.len, tags: known.tags.clone(), failed: known.failed }
        };
        let (name, account) = (self.name.clone(), Account::default());
        account.take((known.tags.len() * size_of::<Tag>()) as u64);
        let known = RwLock::new(known);
        Authentic { file, name, block: self.block, key: self.key.clone(), zero: self.zero, known, fence: fence.clone(), account }
    }

    fn reading(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self, known: &Known) -> io::Result<()> {
        match known.failed {
            true => Err(DiskFault::Failed { file: self.name.clone() }.into()),
            false => Ok(()),
        }
    }

    /// Ends the file for a fault and raises the fence: whoever called may swallow the error (redb does, when it writes ahead of need).
    fn end(&self, known: &mut Known, why: io::Error) -> io::Error {
        if !known.failed {
            known.failed = true;
            self.fence.fault(&self.name, &why);
        }
        why
    }

    fn changed(&self, block: u64) -> io::Error {
        DiskFault::Changed { file: self.name.clone(), at: block * self.block as u64 }.into()
    }

    /// Fills `out`, which is whole blocks from `first`, with what is on the disk, and zeroes beyond the end. Gives what it should be.
    fn fetch(&self, known: &Known, first: u64, out: &mut [u8]) -> io::Result<Vec<Tag>> {
        let start = first * self.block as u64;
        let there = known.len.saturating_sub(start).min(out.len() as u64) as usize;
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        let mut done = 0;
        while done < there.len() {
            match self.file.read_at(start + done as u64, there.split_at_mut(done).1)? {
                0 => return Err(DiskFault::Missing { file: self.name.clone(), at: start + done as u64 }.into()),
                len => done += len,
            }
        }
        Ok(known.tags.iter().skip(first as usize).take(out.len() / self.block).copied().collect())
    }

    fn compare(&self, first: u64, bytes: &[u8], tags: &[Tag]) -> io::Result<()> {
        let mut pairs = bytes.chunks(self.block).zip(tags);
        match pairs.position(|(bytes, tag)| self.key.tag(bytes) != *tag) {
            None => Ok(()),
            Some(at) => Err(self.changed(first + at as u64)),
        }
    }

    /// One block, compared.
    fn block(&self, known: &Known, number: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.block];
        let tags = self.fetch(known, number, &mut bytes)?;
        self.compare(number, &bytes, &tags)?;
        Ok(bytes)
    }

    /// Whole blocks from `first`, compared. Bytes and digests belong to one moment, because no write goes on meanwhile; hashing needs no
    /// lock.
    fn blocks(&self, known: RwLockReadGuard<'_, Known>, first: u64, out: &mut [u8]) -> io::Result<()> {
        let fetched = self.fetch(&known, first, out);
        drop(known);
        fetched.and_then(|tags| self.compare(first, out, &tags))
    }

    /// Makes the table longer or shorter. New blocks are zeroes.
    fn resize(&self, known: &mut Known, len: u64) -> io::Result<()> {
        let (old, new) = (known.tags.len() as u64, len.div_ceil(self.block as u64));
        let size = size_of::<Tag>() as u64;
        match new.checked_sub(old) {
            Some(more) if !self.account.take(more * size) => {
                return Err(DiskFault::TooLarge { file: self.name.clone(), max: TAG_BYTES }.into());
            }
            Some(_) => {}
            None => self.account.give((old - new) * size),
        }
        known.tags.resize(new as usize, self.zero);
        known.len = len;
        Ok(())
    }

    /// The runs that a write of so many bytes makes in blocks: block, offset in it, bytes.
    fn runs<'a>(&self, at: u64, bytes: &'a [u8]) -> impl Iterator<Item = (u64, usize, &'a [u8])> + use<'a> {
        let (size, mut here, mut rest) = (self.block as u64, at, bytes);
        std::iter::from_fn(move || {
            let (block, within) = (here / size, (here % size) as usize);
            let (part, later) = rest.split_at((size as usize - within).min(rest.len()));
            here += part.len() as u64;
            rest = later;
            (!part.is_empty()).then_some((block, within, part))
        })
    }

    /// Writes; `whole` has the digests of the runs that are whole blocks.
    fn write(&self, known: &mut Known, at: u64, bytes: &[u8], whole: Vec<Option<Tag>>) -> io::Result<()> {
        let mut tags = Vec::with_capacity(whole.len());
        for ((block, within, part), tag) in self.runs(at, bytes).zip(whole) {
            if let Some(tag) = tag {
                tags.push((block, tag));
                continue;
            }
            let mut merged = match block * self.block as u64 >= known.len {
                true => vec![0; self.block],
                false => self.block(known, block)?,
            };
            merged.split_at_mut(within).1.split_at_mut(part.len()).0.copy_from_slice(part);
            tags.push((block, self.key.tag(&merged)));
        }
        let end = at + bytes.len() as u64;
        if end > known.len && !bytes.is_empty() {
            self.resize(known, end)?;
        }
        write_whole(self.file.as_ref(), at, bytes)?;
        for (block, tag) in tags {
            if let Some(slot) = known.tags.get_mut(block as usize) {
                *slot = tag;
            }
        }
        Ok(())
    }

    fn cut(&self, known: &mut Known, len: u64) -> io::Result<()> {
        let within = (len % self.block as u64) as usize;
        let last = len / self.block as u64;
        let kept = match len < known.len && within > 0 {
            false => None,
            true => {
                let mut whole = self.block(known, last)?;
                whole.split_at_mut(within).1.fill(0);
                Some(self.key.tag(&whole))
            }
        };
        self.file.set_size(len)?;
        self.resize(known, len)?;
        if let Some((slot, tag)) = known.tags.get_mut(last as usize).zip(kept) {
            *slot = tag;
        }
        Ok(())
    }
}

impl DiskFile for Authentic {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        // Hashed before anybody has to wait.
        let whole = self.runs(at, bytes).map(|(_, _, part)| (part.len() == self.block).then(|| self.key.tag(part))).collect();
        let mut known = self.writing();
        self.alive(&known)?;
        match self.write(&mut known, at, bytes, whole) {
            Ok(()) => Ok(bytes.len()),
            Err(why) => Err(self.end(&mut known, why)),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.alive(&self.reading())?;
        self.file.sync().map_err(|why| self.end(&mut self.writing(), why))
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let known = self.reading();
        self.alive(&known)?;
        let len = known.len.saturating_sub(at).min(out.len() as u64) as usize;
        if len == 0 {
            return Ok(0);
        }
        let block = self.block as u64;
        let (first, end) = (at / block, (at + len as u64).div_ceil(block));
        let out = out.split_at_mut(len).0;
        let read = if at.is_multiple_of(block) && (len as u64).is_multiple_of(block) {
            self.blocks(known, first, out)
        } else {
            let mut bytes = vec![0; ((end - first) * block) as usize];
            let read = self.blocks(known, first, &mut bytes);
            out.copy_from_slice(bytes.split_at((at - first * block) as usize).1.split_at(len).0);
            read
        };
        match read {
            Ok(()) => Ok(len),
            Err(why) => {
                out.fill(0); // Not one byte of it leaves this place.
                Err(self.end(&mut self.writing(), why))
            }
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.reading().len)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        let mut known = self.writing();
        self.alive(&known)?;
        self.cut(&mut known, bytes).map_err(|why| self.end(&mut known, why))
    }
}

impl Drop for Authentic {
    fn drop(&mut self) {
        let tags = self.reading().tags.len();
        self.account.give((tags * size_of::<Tag>()) as u64);
    }
}
