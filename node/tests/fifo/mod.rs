//! A report entry in a real folder whose attributes are named pipes, answered by threads: what `std::fs` and the program see is alive.
//!
//! Decides: the same as `kernel` for one entry that was made before: generations, levels, one report for each question. Every opened pipe is
//! replaced by a new one before it is answered, so that nobody reads two answers. Trusts: Linux for pipes. Out of scope: assertions.
#![allow(clippy::unwrap_used, clippy::panic)]

use rustix::fs::{CWD, Mode, mkfifoat, rename};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest wait for a question that was written to be read by its thread.
const PATIENCE: Duration = Duration::from_secs(20);
const READ: [&str; 5] = ["provider", "generation", "privlevel_floor", "outblob", "auxblob"];
const WRITTEN: [&str; 2] = ["privlevel", "inblob"];

/// Gives outblob and auxblob for a question.
pub(crate) type Mint = Box<dyn Fn(&[u8]) -> (Vec<u8>, Vec<u8>) + Send + Sync>;

#[derive(Default)]
struct Progress {
    generation: u64,
    levels: u64,
    questions: Vec<Vec<u8>>,
    answers: u64,
    newest: (Vec<u8>, Vec<u8>),
}

struct Shared {
    entry: PathBuf,
    mint: Mint,
    progress: Mutex<Progress>,
    changed: Condvar,
    ending: AtomicBool,
}

/// The folder; ends its threads when dropped.
pub(crate) struct FifoFolder {
    pub(crate) folder: tempfile::TempDir,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Name of the one entry.
pub(crate) const ENTRY: &str = "live";

impl FifoFolder {
    pub(crate) fn of(mint: Mint) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let entry = folder.path().join(ENTRY);
        std::fs::create_dir(&entry).unwrap();
        let (progress, changed, ending) = (Mutex::default(), Condvar::new(), AtomicBool::new(false));
        let shared = Arc::new(Shared { entry, mint, progress, changed, ending });
        let mut threads = Vec::new();
        for attribute in READ.into_iter().chain(WRITTEN) {
            make(&shared.entry.join(attribute));
            let shared = shared.clone();
            threads.push(std::thread::spawn(move || match READ.contains(&attribute) {
                true => shared.answer(attribute),
                false => shared.listen(attribute),
            }));
        }
        FifoFolder { folder, shared, threads }
    }

    pub(crate) fn answers(&self) -> u64 {
        self.shared.progress.lock().unwrap().answers
    }
}

impl Drop for FifoFolder {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        for _ in 0..2_000 {
            if self.threads.iter().all(JoinHandle::is_finished) {
                break;
            }
            // Opened for both, a pipe never blocks, and whoever waits for the other side goes on; held for a moment, because a thread may be
            // about to wait on a pipe that has just been replaced.
            let both = |attribute: &str| OpenOptions::new().read(true).write(true).open(self.shared.entry.join(attribute));
            let held: Vec<_> = READ.into_iter().chain(WRITTEN).map(both).collect();
            std::thread::sleep(Duration::from_millis(10));
            drop(held);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn make(path: &Path) {
    mkfifoat(CWD, path, Mode::from_raw_mode(0o600)).unwrap();
}

impl Shared {
    /// Answers everybody who opens an attribute for reading.
    fn answer(&self, attribute: &str) {
        let (path, fresh) = (self.entry.join(attribute), self.entry.join(format!("{attribute}.fresh")));
        loop {
            let mut reader = OpenOptions::new().write(true).open(&path).unwrap();
            if self.ending.load(Ordering::SeqCst) {
                return;
            }
            make(&fresh);
            rename(&fresh, &path).unwrap();
            // Whoever asked may have read enough.
            let _ = reader.write_all(&self.content(attribute));
        }
    }

    /// Takes what is written to an attribute, when it is closed.
    fn listen(&self, attribute: &str) {
        loop {
            let mut writer = File::open(self.entry.join(attribute)).unwrap();
            if self.ending.load(Ordering::SeqCst) {
                return;
            }
            let mut bytes = Vec::new();
            writer.read_to_end(&mut bytes).unwrap();
            let mut progress = self.progress.lock().unwrap();
            progress.generation += 1;
            match attribute {
                "inblob" => progress.questions.push(bytes),
                _ => progress.levels += 1,
            }
            self.changed.notify_all();
        }
    }

    fn content(&self, attribute: &str) -> Vec<u8> {
        let mut progress = self.progress.lock().unwrap();
        match attribute {
            "provider" => b"sev_guest\n".to_vec(),
            "privlevel_floor" => b"0\n".to_vec(),
            "generation" => format!("{}\n", progress.generation).into_bytes(),
            "auxblob" => progress.newest.1.clone(),
            _ => {
                // What was written before this was opened is perhaps still on its way to the other threads.
                let waited = self.changed.wait_timeout_while(progress, PATIENCE, |progress| {
                    let asked = u64::try_from(progress.questions.len()).unwrap();
                    asked.min(progress.levels) <= progress.answers
                });
                progress = waited.unwrap().0;
                progress.answers += 1;
                let question = progress.questions.last().cloned().unwrap_or_default();
                progress.newest = (self.mint)(&question);
                progress.newest.0.clone()
            }
        }
    }
}
