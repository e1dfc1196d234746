//! The disks of a world: in memory, in the hands of the host, failing when told to.
//!
//! Decides: which call fails and how; every file of a replica goes through here. What a crash leaves is what was synced, with some of
//! what was not, torn at 512 bytes or in another order. Trusts: the disk in memory of `consensus` to keep what is synced apart.
//! Out of scope: when a fault is armed (`strikes`). Protocol section 5.1, registers R1, R2, R5.

use crate::world::dice::Dice;
use crate::world::kinds::{Counts, Kind};
use crate::world::vcpu::Vcpu;
use ringwall_consensus::disk::memory::{Crash, MemoryDisk};
use ringwall_consensus::disk::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes a disk writes whole.
const SECTOR: u64 = 512;
/// Bytes of a block a host replays.
const BLOCK: u64 = 4_096;

/// What is armed.
#[derive(Default)]
struct Armed {
    read: Option<Kind>,
    write: Option<Kind>,
    full: bool,
    slow_ms: u64,
    /// Says that a sync was done which was not: a defect of the node's own, for the proof of the harness.
    early: bool,
    /// It put something elsewhere, or something old back: what it holds is no witness of what was written.
    lied: bool,
    /// The power goes at the next sync that has as many writes to make durable: this CPU takes no further step.
    cut: Option<(Kind, Arc<Vcpu>)>,
    old_block: Option<(PathBuf, u64, Vec<u8>)>,
    unsynced: Vec<(PathBuf, u64, Vec<u8>)>,
}

/// What was done to the files of a kind: writes, bytes written, syncs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Writes.
    pub writes: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Syncs.
    pub syncs: u64,
}

/// A disk of a machine; clones are the same disk.
#[derive(Clone)]
pub struct WorldDisk {
    memory: MemoryDisk,
    armed: Arc<Mutex<Armed>>,
    dice: Dice,
    counts: Arc<Counts>,
    /// Of the log, and of everything else.
    done: Arc<Mutex<[Done; 2]>>,
}

struct WorldFile {
    disk: WorldDisk,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl WorldDisk {
    /// An empty disk.
    pub fn new(dice: Dice, counts: Arc<Counts>) -> Self {
        WorldDisk::over(MemoryDisk::default(), dice, counts)
    }

    /// A disk with the contents of `memory`.
    pub fn over(memory: MemoryDisk, dice: Dice, counts: Arc<Counts>) -> Self {
        WorldDisk { memory, armed: Arc::default(), dice, counts, done: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Armed> {
        self.armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What was done to the log, and to everything else.
    pub fn done(&self) -> [Done; 2] {
        *self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn note(&self, path: &Path, add: impl FnOnce(&mut Done)) {
        let [log, rest] = &mut *self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        add(if is_log(path) { log } else { rest });
    }

    /// The next read fails like this.
    pub fn arm_read(&self, kind: Kind) {
        self.lock().read = Some(kind);
    }

    /// The next write fails like this.
    pub fn arm_write(&self, kind: Kind) {
        self.lock().write = Some(kind);
    }

    /// The power goes while something is being synced, and what was written is what this kind leaves of it.
    pub fn cut_at_sync(&self, kind: Kind, vcpu: Arc<Vcpu>) {
        self.lock().cut = Some((kind, vcpu));
    }

    /// There is no room from now on.
    pub fn fill(&self) {
        self.lock().full = true;
    }

    /// A sync takes this long from now on, milliseconds.
    pub fn slow(&self, ms: u64) {
        self.lock().slow_ms = ms;
    }

    /// Syncs are acknowledged and not done from now on.
    pub fn acknowledge_early(&self) {
        self.lock().early = true;
    }

    /// Milliseconds a piece of disk work takes.
    pub fn pace_ms(&self) -> u64 {
        self.lock().slow_ms
    }

    /// Nothing is armed any more.
    pub fn mend(&self) {
        let mut armed = self.lock();
        let (early, lied) = (armed.early, armed.lied);
        *armed = Armed { early, lied, unsynced: std::mem::take(&mut armed.unsynced), ..Armed::default() };
    }

    /// Whether it put something elsewhere, or something old back.
    pub fn has_lied(&self) -> bool {
        self.lock().lied
    }

    /// Whether something waits to fail.
    pub fn is_armed(&self) -> bool {
        let armed = self.lock();
        armed.read.is_some() || armed.write.is_some() || armed.full
    }

    /// Keeps a block as it is now, or puts the kept one back; true when an old block was put back and differs.
    pub fn replay_block(&self) -> bool {
        let logs: Vec<PathBuf> = self.memory.paths().into_iter().filter(|path| is_log(path)).collect();
        let mut armed = self.lock();
        match armed.old_block.take() {
            Some((path, at, old)) => {
                drop(armed);
                let now = self.memory.bytes(&path).unwrap_or_default();
                let now = now.get(at as usize..(at + BLOCK) as usize).unwrap_or_default();
                let replayed = now != old.as_slice() && self.memory.edit(&path, at, &old);
                self.lock().lied |= replayed;
                replayed
            }
            None => {
                let Some(path) = self.dice.pick(&logs).cloned() else { return false };
                let bytes = self.memory.bytes(&path).unwrap_or_default();
                // The block that is written to now: an older one never changes.
                let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
                let at = end / BLOCK * BLOCK;
                let block = bytes.get(at as usize..(at + BLOCK) as usize).unwrap_or_default().to_vec();
                armed.old_block = Some((path, at, block));
                false
            }
        }
    }

    /// A copy of everything a running process sees.
    pub fn copy(&self) -> MemoryDisk {
        self.memory.copy()
    }

    /// What a power cut leaves now.
    pub fn power_cut(&self) -> MemoryDisk {
        let image = self.memory.crash_image(Crash::Lost, 0);
        let (unsynced, cut) = {
            let mut armed = self.lock();
            (std::mem::take(&mut armed.unsynced), armed.cut.take())
        };
        if unsynced.is_empty() {
            return image;
        }
        self.counts.fired(Kind::LostUnsynced);
        let left = cut.map_or_else(
            || self.dice.below(3),
            |(kind, _)| match kind {
                Kind::TornWrite => 0,
                Kind::ReorderedWrites => 1,
                _ => 2,
            },
        );
        // Some of what was not synced may be there: torn, or without what was written before it.
        match left {
            0 => {
                let (path, at, bytes) = &unsynced[0];
                if let Some(edge) = self.dice.pick(&edges(*at, bytes))
                    && image.edit(path, *at, bytes.get(..*edge).unwrap_or_default())
                {
                    self.counts.fired(Kind::TornWrite);
                }
            }
            1 => {
                let (path, at, bytes) = &unsynced[unsynced.len() - 1];
                // Of a write alone, its last sectors are there and its first are not.
                let skip = if unsynced.len() > 1 { 0 } else { self.dice.pick(&edges(*at, bytes)).copied().unwrap_or(bytes.len()) };
                if skip < bytes.len() && image.edit(path, at + skip as u64, &bytes[skip..]) {
                    self.counts.fired(Kind::ReorderedWrites);
                }
            }
            _ => {}
        }
        image
    }

    fn wrap(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(WorldFile { disk: self.clone(), path: path.to_path_buf(), file })
    }
}

fn is_log(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("log-"))
}

/// Where a write at `at` can be parted: sectors are whole.
fn edges(at: u64, bytes: &[u8]) -> Vec<usize> {
    ((SECTOR - at % SECTOR) as usize..bytes.len()).step_by(SECTOR as usize).collect()
}

fn no_room() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Disk for WorldDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.memory.make_folder(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.memory.list(folder)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        if self.lock().full {
            self.counts.fired(Kind::DiskFull);
            return Err(no_room());
        }
        Ok(self.wrap(path, self.memory.create(path, bytes)?))
    }

    fn create_empty(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, self.memory.create_empty(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, self.memory.open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, self.memory.open_to_read(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.memory.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.memory.remove(path)
    }
}

impl DiskFile for WorldFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let (disk, mut armed) = (&self.disk, self.disk.lock());
        disk.note(&self.path, |done| (done.writes, done.bytes) = (done.writes + 1, done.bytes + bytes.len() as u64));
        if armed.full {
            disk.counts.fired(Kind::DiskFull);
            return Err(no_room());
        }
        let kind = armed.write.filter(|kind| *kind == Kind::WriteError || is_log(&self.path));
        if kind.is_some() {
            armed.write = None;
        }
        armed.lied |= kind == Some(Kind::Misdirected);
        armed.unsynced.push((self.path.clone(), at, bytes.to_vec()));
        drop(armed);
        match kind {
            Some(Kind::WriteError) => {
                disk.counts.fired(Kind::WriteError);
                Err(broken())
            }
            Some(Kind::Misdirected) => {
                disk.counts.fired(Kind::Misdirected);
                self.file.write_at(at + 2 * BLOCK, bytes)
            }
            _ => self.file.write_at(at, bytes),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.note(&self.path, |done| done.syncs += 1);
        let mut armed = self.disk.lock();
        if armed.slow_ms > 0 {
            self.disk.counts.fired(Kind::SlowSync);
        }
        let parts = armed.unsynced.len() > 1 || armed.unsynced.first().is_some_and(|(_, at, bytes)| !edges(*at, bytes).is_empty());
        let gone = armed.cut.as_ref().filter(|(kind, _)| if *kind == Kind::ReorderedWrites { parts } else { !armed.unsynced.is_empty() });
        if let Some((_, vcpu)) = gone {
            // Nothing of the process hears that this sync ended.
            vcpu.stop();
            return Ok(());
        }
        if armed.early {
            return Ok(());
        }
        armed.unsynced.retain(|(path, _, _)| *path != self.path);
        drop(armed);
        self.file.sync()
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let disk = &self.disk;
        let kind = {
            let mut armed = disk.lock();
            let kind = armed.read.filter(|kind| matches!(kind, Kind::ReadError | Kind::ShortRead) || is_log(&self.path));
            if kind.is_some() {
                armed.read = None;
            }
            kind
        };
        match kind {
            Some(Kind::ReadError) => {
                disk.counts.fired(Kind::ReadError);
                Err(broken())
            }
            Some(Kind::ShortRead) if bytes.len() > 1 => {
                disk.counts.fired(Kind::ShortRead);
                let half = bytes.len() / 2;
                self.file.read_at(at, &mut bytes[..half])
            }
            Some(Kind::BitFlip) => {
                let read = self.file.read_at(at, bytes)?;
                if read > 0 {
                    disk.counts.fired(Kind::BitFlip);
                    let place = disk.dice.below(read as u64) as usize;
                    bytes[place] ^= 1 << disk.dice.below(8);
                }
                Ok(read)
            }
            _ => self.file.read_at(at, bytes),
        }
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_size(bytes)
    }
}
