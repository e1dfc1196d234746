//! The files of a replica before its first step: an empty folder is claimed, the log and the database are made in it.
//!
//! Decides: a replica opens over nothing; a folder with anything in it is refused, because an incarnation never resumes. What would resume
//! is here only in builds for tests and for attacks, as a rule that is left out. Trusts: the disk to say what is in a folder.
//! Out of scope: which folder (`node`). Protocol section 4.1.

#[cfg(any(feature = "defects", feature = "without"))]
use crate::defects::{self, Defect};
use crate::ground::Ground;
use crate::log::store::LogStore;
use crate::machine::raft::{Machine, Readers};
use crate::options::Options;
use crate::report::OpenError;
use std::sync::Arc;

/// Makes the folder, or accepts it if it is empty.
fn claim(ground: &Ground) -> Result<(), OpenError> {
    ground.disk.make_folder(&ground.dir)?;
    match ground.disk.list(&ground.dir)?.is_empty() {
        true => Ok(()),
        false => Err(OpenError::NotEmpty(ground.dir.clone())),
    }
}

pub(crate) type Files = (LogStore, Machine, Arc<Readers>);

/// Claims the folder and makes the first files in it. Blocks.
pub(crate) fn set_up(ground: Ground, options: &Options) -> Result<Files, OpenError> {
    #[cfg(any(feature = "defects", feature = "without"))]
    if defects::on(Defect::Resumes) && ground.disk.list(&ground.dir).is_ok_and(|files| !files.is_empty()) {
        return resume(ground, options);
    }
    claim(&ground)?;
    let log = LogStore::create(ground.clone(), options.segment_bytes, options.tail_bytes)?;
    let (machine, readers) = Machine::create(ground, options.overlay_bytes, options.charter())?;
    Ok((log, machine, readers))
}

/// What a store that trusts its disk would do instead of claiming an empty folder.
#[cfg(any(feature = "defects", feature = "without"))]
fn resume(ground: Ground, options: &Options) -> Result<Files, OpenError> {
    let found = crate::log::recover::recover(ground.disk.as_ref(), &ground.dir)?;
    for path in ground.disk.list(&ground.dir)? {
        ground.disk.remove(&path)?;
    }
    let log = LogStore::create(ground.clone(), options.segment_bytes, options.tail_bytes)?;
    log.resume(found)?;
    let (machine, readers) = Machine::create(ground, options.overlay_bytes, options.charter())?;
    Ok((log, machine, readers))
}
