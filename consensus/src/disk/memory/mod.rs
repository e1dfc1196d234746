//! A whole disk in memory, for tests: it forgets what was not synced, and it can be a bad or a hostile disk.
//!
//! Decides: what a running process sees, apart from it what a power cut leaves (`crash`), the faults a test plans (`plan`), and what
//! whoever controls it can do (`hostile`). Deterministic: equal calls and seeds, equal contents.
//! Trusts: nothing. Out of scope: real files (`os`); it is compiled for tests only (feature `faults`). Protocol section 5.1.

mod crash;
mod hostile;
mod plan;
mod sheet;

pub use crash::{Chance, Crash};
pub use plan::{Access, Boundary, Fault, Hook, Plan};

use crate::disk::{Disk, DiskFile};
use sheet::Sheet;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Linux's numbers for a fault of the device and for a full one.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A disk in memory; clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    platter: Arc<Mutex<Platter>>,
}

/// Everything on it.
#[derive(Clone, Default)]
struct Platter {
    /// Names as the process sees them.
    names: BTreeMap<PathBuf, u64>,
    /// Names a power cut cannot take back.
    durable_names: BTreeMap<PathBuf, u64>,
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<u64, Content>,
    /// Files made so far, which are their numbers.
    made: u64,
    /// Power cuts so far: files opened before one are dead.
    life: u64,
    boundaries: u64,
    noted: Option<Vec<Boundary>>,
    plans: Vec<Plan>,
    hook: Option<Hook>,
    dead: bool,
}

/// One file, whatever its names.
#[derive(Clone, Default)]
struct Content {
    seen: Sheet,
    durable: Sheet,
    /// What was done since the last sync, in order.
    pending: Arc<Vec<Pending>>,
}

#[derive(Clone)]
enum Pending {
    Bytes(u64, Arc<[u8]>),
    Size(u64),
}

struct MemoryFile {
    disk: MemoryDisk,
    file: u64,
    life: u64,
    writable: bool,
    path: PathBuf,
}

fn os_error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl MemoryDisk {
    /// Plans a fault.
    pub fn plan(&self, plan: Plan) {
        self.lock().plans.push(plan);
    }

    /// Forgets all plans and lets a dead disk work again.
    pub fn heal(&self) {
        let mut held = self.lock();
        held.plans.clear();
        held.dead = false;
    }

    /// Calls `hook` at every boundary.
    pub fn set_hook(&self, hook: Option<Hook>) {
        self.lock().hook = hook;
    }

    /// Notes boundaries from now on.
    pub fn note(&self) {
        self.lock().noted = Some(Vec::new());
    }

    /// The boundaries noted.
    pub fn noted(&self) -> Vec<Boundary> {
        self.lock().noted.clone().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, file: u64, path: &Path, writable: bool) -> Arc<dyn DiskFile> {
        let life = self.lock().life;
        Arc::new(MemoryFile { disk: self.clone(), file, life, writable, path: path.to_path_buf() })
    }

    /// Comes to a boundary: tells the hook, meets the plans, does the thing, tells the hook.
    fn cross<T>(
        &self,
        access: Access,
        path: &Path,
        (at, len): (u64, usize),
        act: impl FnOnce(&mut Platter, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut boundary = Boundary { number: 0, access, path: path.to_path_buf(), at, len, after: false };
        let hook = {
            let mut held = self.lock();
            held.boundaries += u64::from(access != Access::Read);
            boundary.number = held.boundaries;
            if let Some(noted) = held.noted.as_mut().filter(|_| access != Access::Read) {
                noted.push(boundary.clone());
            }
            held.hook.clone()
        };
        if let Some(hook) = &hook {
            hook(&boundary);
        }
        let done = {
            let mut held = self.lock();
            let fault = held.meet(access, path);
            match fault {
                _ if held.dead => Err(os_error(EIO)),
                Some(Fault::Error) => Err(os_error(EIO)),
                Some(Fault::Full) => Err(os_error(ENOSPC)),
                Some(Fault::Dead) => {
                    held.dead = true;
                    Err(os_error(EIO))
                }
                fault => act(&mut held, fault),
            }
        };
        if let Some(hook) = &hook {
            boundary.after = true;
            hook(&boundary);
        }
        done
    }
}

impl Platter {
    fn meet(&mut self, access: Access, path: &Path) -> Option<Fault> {
        self.plans.iter_mut().find_map(|plan| plan.meets(access, path).then_some(plan.fault))
    }

    fn look_up(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A new file under a name; both durable.
    fn make(&mut self, path: &Path, bytes: u64) -> u64 {
        self.made += 1;
        let sheet = Sheet::zeroes(bytes);
        self.files.insert(self.made, Content { seen: sheet.clone(), durable: sheet, ..Content::default() });
        self.names.insert(path.to_path_buf(), self.made);
        self.sync_names(path);
        self.made
    }

    /// Makes the names in the folder of `path` durable, and lets go of files that have no name and cannot get one back.
    fn sync_names(&mut self, path: &Path) {
        let folder = path.parent();
        self.durable_names.retain(|other, _| other.parent() != folder);
        let here = self.names.iter().filter(|(other, _)| other.parent() == folder);
        self.durable_names.extend(here.map(|(other, file)| (other.clone(), *file)));
    }

    fn content(&mut self, file: u64) -> io::Result<&mut Content> {
        // After a roll back to a time before the file was made there is nothing behind the handle.
        self.files.get_mut(&file).ok_or_else(|| os_error(EIO))
    }
}

impl Content {
    fn write(&mut self, at: u64, bytes: &[u8]) {
        self.seen.write(at, bytes);
        Arc::make_mut(&mut self.pending).push(Pending::Bytes(at, bytes.into()));
    }
}

impl Disk for MemoryDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut held = self.lock();
        held.folders.extend(folder.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let held = self.lock();
        let inside = |path: &&PathBuf| path.parent() == Some(folder);
        let mut found: Vec<PathBuf> = held.names.keys().filter(inside).cloned().collect();
        found.extend(held.folders.iter().filter(inside).cloned());
        if found.is_empty() && !held.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        found.sort();
        Ok(found)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.cross(Access::Create, path, (0, bytes as usize), |held, _| Ok(held.make(path, bytes)))?;
        Ok(self.handle(file, path, true))
    }

    fn create_empty(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.cross(Access::Create, path, (0, 0), |held, _| match held.names.contains_key(path) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => Ok(held.make(path, 0)),
        })?;
        Ok(self.handle(file, path, true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.lock().look_up(path)?;
        Ok(self.handle(file, path, true))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.lock().look_up(path)?;
        Ok(self.handle(file, path, false))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.cross(Access::Rename, to, (0, 0), |held, _| {
            let file = held.look_up(from)?;
            held.names.remove(from);
            held.names.insert(to.to_path_buf(), file);
            held.sync_names(to);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.cross(Access::Remove, path, (0, 0), |held, _| {
            held.look_up(path)?;
            held.names.remove(path);
            Ok(())
        })
    }
}

impl MemoryFile {
    fn alive(&self, held: &Platter) -> io::Result<()> {
        if held.life == self.life { Ok(()) } else { Err(os_error(EIO)) }
    }
}

fn flipped(bytes: &mut [u8], bit: u64) {
    let bits = bytes.len() as u64 * 8;
    if let Some(byte) = bit.checked_rem(bits).and_then(|bit| bytes.get_mut((bit / 8) as usize)) {
        *byte ^= 1 << (bit % 8);
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.disk.cross(Access::Write, &self.path, (at, bytes.len()), |held, fault| {
            self.alive(held)?;
            let content = held.content(self.file)?;
            match fault {
                Some(Fault::Lost) => {}
                Some(Fault::Short) => {
                    content.write(at, bytes.split_at(bytes.len() / 2).0);
                    return Ok(bytes.len() / 2);
                }
                Some(Fault::Torn(sectors)) => content.write(at, bytes.split_at((sectors * 512).min(bytes.len())).0),
                Some(Fault::Misdirected(by)) => content.write(at + by, bytes),
                Some(Fault::Flipped(bit)) => {
                    let mut bytes = bytes.to_vec();
                    flipped(&mut bytes, bit);
                    content.write(at, &bytes);
                }
                _ => content.write(at, bytes),
            }
            Ok(bytes.len())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.cross(Access::Sync, &self.path, (0, 0), |held, fault| {
            self.alive(held)?;
            if fault == Some(Fault::Lost) {
                return Ok(()); // The disk lies about its cache.
            }
            let content = held.content(self.file)?;
            content.durable.clone_from(&content.seen);
            content.pending = Arc::default();
            Ok(())
        })
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.disk.cross(Access::Read, &self.path, (at, bytes.len()), |held, fault| {
            self.alive(held)?;
            let content = held.content(self.file)?;
            let wanted = if fault == Some(Fault::Short) { bytes.len().div_ceil(2) } else { bytes.len() };
            let len = content.seen.read(at, bytes.split_at_mut(wanted).0);
            if let Some(Fault::Flipped(bit)) = fault {
                flipped(bytes.split_at_mut(len).0, bit);
            }
            Ok(len)
        })
    }

    fn size(&self) -> io::Result<u64> {
        let mut held = self.disk.lock();
        self.alive(&held)?;
        Ok(held.content(self.file)?.seen.len())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.disk.cross(Access::SetSize, &self.path, (bytes, 0), |held, _| {
            self.alive(held)?;
            let content = held.content(self.file)?;
            content.seen.set_len(bytes);
            Arc::make_mut(&mut content.pending).push(Pending::Size(bytes));
            Ok(())
        })
    }
}
