//! The proof of release a node hands out with its evidence: read from a file, judged by the node itself, replaced when the file changes.
//!
//! Decides: what is handed out is bounded, and was found good by this node's own judgement of its own evidence with it, as a stranger would judge it. A proof
//! that would be refused is never handed out in place of a good one: the log says why, once for each state of the file, and the last good one stays.
//! Trusts: nobody with the file: whoever is shown a proof judges it anew. Out of scope: making one (`ringwall release staple`), what it proves
//! (`ringwall_attest::release`). Protocol section 8, "Releases".

use crate::attesting;
use crate::context::Site;
use ringwall_wire::bounded::Blob;
use ringwall_wire::limits::RELEASE_PROOF_BYTES;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// Time between two looks at the file: a revocation is shown to clients so much later than the file has it.
const LOOK: Duration = Duration::from_secs(10);

/// A proof as it is handed out.
pub type Proof = Blob<RELEASE_PROOF_BYTES>;

/// Why a file holds no proof that could be handed out.
#[derive(Debug, thiserror::Error)]
pub enum StapleError {
    /// It cannot be read.
    #[error("{}: cannot be read: {cause}", .file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is longer than any.
    #[error("{}: more than {RELEASE_PROOF_BYTES} bytes, which is the most a proof of release can have", .file.display())]
    TooLarge {
        /// Which.
        file: PathBuf,
    },
}

/// What the file looked like when it was read.
type Looks = (u64, Option<SystemTime>);

#[derive(Debug, Default)]
struct Held {
    proof: Proof,
    looks: Option<Looks>,
}

/// The proof of this process; empty where none is configured.
#[derive(Debug, Default)]
pub struct Staple {
    file: Option<PathBuf>,
    held: RwLock<Held>,
}

impl Staple {
    /// None is handed out.
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// What stands in the file. Whether it is good the node finds out with its first evidence, and does not start otherwise.
    pub fn open(file: PathBuf) -> Result<Arc<Self>, StapleError> {
        let (proof, looks) = read(&file)?;
        Ok(Arc::new(Staple { file: Some(file), held: RwLock::new(Held { proof, looks: Some(looks) }) }))
    }

    /// The proof that is handed out now.
    pub fn current(&self) -> Proof {
        self.held.read().unwrap_or_else(PoisonError::into_inner).proof.clone()
    }

    /// What the file holds, when it looks otherwise than it did at the last look.
    fn changed(&self) -> Option<Result<Proof, StapleError>> {
        let file = self.file.as_deref()?;
        let looks = looks(file).ok();
        {
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            if held.looks == looks {
                return None;
            }
            // Looked at once, good or bad.
            held.looks = looks;
        }
        Some(read(file).map(|(proof, _)| proof))
    }

    fn replace(&self, proof: Proof) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).proof = proof;
    }
}

fn looks(file: &Path) -> std::io::Result<Looks> {
    let found = std::fs::metadata(file)?;
    Ok((found.len(), found.modified().ok()))
}

fn read(file: &Path) -> Result<(Proof, Looks), StapleError> {
    let unreadable = |cause| StapleError::Unreadable { file: file.to_owned(), cause };
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let looks = looks(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    opened.take(RELEASE_PROOF_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let proof = Blob::new(bytes).map_err(|_| StapleError::TooLarge { file: file.to_owned() })?;
    Ok((proof, looks))
}

/// Looks at the file again and again; what is good replaces what is handed out.
pub(crate) async fn follow(site: Arc<Site>) {
    let staple = Arc::clone(&site.config.staple);
    if staple.file.is_none() {
        return;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let looking = Arc::clone(&staple);
        let Ok(Some(found)) = tokio::task::spawn_blocking(move || looking.changed()).await else { continue };
        let proof = match found {
            Ok(proof) => proof,
            Err(fault) => {
                tracing::warn!(%fault, "the proof of release was not replaced; the last good one is handed out");
                continue;
            }
        };
        match attesting::with_proof(&site, proof.clone()).await {
            Ok(()) => {
                tracing::info!(bytes = proof.len(), "another proof of release is handed out");
                staple.replace(proof);
            }
            Err(fault) => {
                tracing::error!(%fault, "the proof of release in the file would be refused; the last good one is handed out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_looked_at_once_for_each_state() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proof");
        assert!(matches!(Staple::open(file.clone()), Err(StapleError::Unreadable { .. })));
        std::fs::write(&file, b"one").unwrap();
        let staple = Staple::open(file.clone()).unwrap();
        assert_eq!(&*staple.current(), b"one");
        assert!(staple.changed().is_none());
        std::fs::write(&file, b"three").unwrap();
        assert_eq!(&*staple.changed().unwrap().unwrap(), b"three");
        // Nobody judged it yet: the last one is handed out. The same state is not looked at again.
        assert_eq!(&*staple.current(), b"one");
        assert!(staple.changed().is_none());
        std::fs::write(&file, vec![0; RELEASE_PROOF_BYTES + 1]).unwrap();
        assert!(matches!(staple.changed(), Some(Err(StapleError::TooLarge { .. }))));
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(staple.changed(), Some(Err(StapleError::Unreadable { .. }))));
        assert_eq!(&*staple.current(), b"one");
        assert!(Staple::none().changed().is_none() && Staple::none().current().is_empty());
    }
}
