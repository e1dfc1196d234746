//! The proof of release a node hands out with its evidence: read from a file, judged by the node itself, replaced when the file changes.
//!
//! Decides: what is handed out is bounded, and was found good by this node's own judgement of its own evidence with it, as a stranger would judge it. A proof
//! that would be refused is not handed out in place of a good one: the log says why and the last good one stays. But for one: a proof that is whole and revokes
//! this build is handed out, so that whoever asks is shown the revocation. A file is judged once for each state of it and each policy in force; where the fault
//! may pass it is judged again, ever more seldom.
//! Trusts: nobody with the file: whoever is shown a proof judges it anew. Out of scope: making one (`ringwall release staple`), what it proves
//! (`ringwall_attest::release`). Protocol section 8, "Releases".

use crate::attesting::{self, ProofRefused};
use crate::context::Site;
use crate::watched::{JudgedFile, LOOK};
use ringwall_attest::release::ReleaseError;
use ringwall_attest::{Finding, Rejection, SessionError};
use ringwall_wire::bounded::Blob;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::RELEASE_PROOF_BYTES;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// The most looks that are left out before what could not be judged is judged again: each costs the platform a quote.
const LOOKS_LEFT_OUT: u32 = 31;

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

#[derive(Debug, Default)]
struct Held {
    proof: Proof,
    /// The last state that was looked at.
    seen: Option<JudgedFile>,
    /// How many more looks at that state are left out; none when it is judged for good.
    left_out: Option<u32>,
    /// How often that state could not be judged.
    tries: u32,
}

/// What became of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is handed out.
    Good,
    /// It is handed out, and everybody refuses this build by it.
    Revoked,
    /// It is not handed out as long as neither the file nor the policy changes.
    Refused,
    /// It is not handed out, and is judged again; whether that was tried before.
    Again {
        /// Whether it was.
        before: bool,
    },
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
        let proof = read(&file)?;
        Ok(Arc::new(Staple { file: Some(file), held: RwLock::new(Held { proof, ..Held::default() }) }))
    }

    /// The proof that is handed out now.
    pub fn current(&self) -> Proof {
        self.held.read().unwrap_or_else(PoisonError::into_inner).proof.clone()
    }

    /// What the file holds, when that is to be judged: the file or the policy is another one than at the last look, or the fault may have passed.
    fn changed(&self, policy: Digest) -> Option<Result<Proof, StapleError>> {
        let file = self.file.as_deref()?;
        let state = JudgedFile::now(file, policy);
        {
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            let again = held.seen != Some(state);
            match (again, held.left_out) {
                (true, _) => (held.seen, held.left_out, held.tries) = (Some(state), None, 0),
                (false, Some(0)) => {}
                (false, Some(left)) => {
                    held.left_out = Some(left.saturating_sub(1));
                    return None;
                }
                (false, None) => return None,
            }
        }
        Some(read(file))
    }

    /// Takes what was judged since [`Staple::changed`], or leaves it.
    fn judged(&self, found: Result<Proof, Passing>) -> Outcome {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.left_out = None;
        match found {
            Ok(proof) => {
                held.proof = proof;
                Outcome::Good
            }
            Err(Passing::Revoked(proof)) => {
                held.proof = proof;
                Outcome::Revoked
            }
            Err(Passing::No) => Outcome::Refused,
            Err(Passing::Yes) => {
                let before = held.tries > 0;
                held.tries = held.tries.saturating_add(1);
                held.left_out =
                    Some(1_u32.checked_shl(held.tries).map_or(LOOKS_LEFT_OUT, |looks| looks.saturating_sub(1).min(LOOKS_LEFT_OUT)));
                Outcome::Again { before }
            }
        }
    }
}

fn read(file: &Path) -> Result<Proof, StapleError> {
    let unreadable = |cause| StapleError::Unreadable { file: file.to_owned(), cause };
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    opened.take(RELEASE_PROOF_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Blob::new(bytes).map_err(|_| StapleError::TooLarge { file: file.to_owned() })
}

/// Whether what stands in the way of a proof may pass.
#[derive(Debug, PartialEq, Eq)]
enum Passing {
    /// It may.
    Yes,
    /// Another file or another policy is needed.
    No,
    /// Everything about the proof holds, and it revokes this build.
    Revoked(Proof),
}

impl Passing {
    /// Of a file that was not read.
    fn of_file(fault: &StapleError) -> Self {
        match fault {
            StapleError::Unreadable { .. } => Passing::Yes,
            StapleError::TooLarge { .. } => Passing::No,
        }
    }

    /// Of a proof that was not believed.
    fn of_proof(fault: &ProofRefused, proof: Proof) -> Self {
        match fault {
            ProofRefused::Collect(_) => Passing::Yes,
            ProofRefused::Refused(SessionError::Rejected(Rejection::NotReleased(error)))
                if matches!(**error, ReleaseError::Revoked { .. }) =>
            {
                Passing::Revoked(proof)
            }
            ProofRefused::Refused(error) if error.finding() == Finding::CannotTell => Passing::Yes,
            ProofRefused::Refused(_) => Passing::No,
        }
    }
}

/// Looks at the file again and again; what is good replaces what is handed out.
pub(crate) async fn follow(site: Arc<Site>) {
    let staple = Arc::clone(&site.config.staple);
    if staple.file.is_none() {
        return;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let (looking, policy) = (Arc::clone(&staple), site.policies.now().digest());
        let Ok(Some(found)) = tokio::task::spawn_blocking(move || looking.changed(policy)).await else { continue };
        let before = staple.current();
        let (judged, words) = match found {
            Err(fault) => (Err(Passing::of_file(&fault)), fault.to_string()),
            Ok(proof) => match attesting::with_proof(&site, proof.clone()).await {
                Ok(()) => (Ok(proof), String::new()),
                Err(fault) => (Err(Passing::of_proof(&fault, proof)), fault.to_string()),
            },
        };
        match staple.judged(judged) {
            Outcome::Good if staple.current() == before => {}
            Outcome::Good => tracing::info!(bytes = staple.current().len(), "another proof of release is handed out"),
            Outcome::Revoked => {
                tracing::error!(fault = %words, "this build was REVOKED: the proof that says so is handed out, and everybody who asks refuses this node");
            }
            Outcome::Refused => {
                tracing::error!(fault = %words, "the proof of release in the file would be refused; the last good one is handed out");
            }
            Outcome::Again { before: false } => {
                tracing::warn!(fault = %words, "the proof of release in the file cannot be judged now; it is tried again, and the last good one is handed out");
            }
            Outcome::Again { before: true } => tracing::debug!(fault = %words, "the proof of release in the file still cannot be judged"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const POLICY: Digest = Digest([1; 32]);

    fn proof(bytes: &[u8]) -> Proof {
        Blob::new(bytes.to_vec()).unwrap()
    }

    fn refused(error: ReleaseError) -> ProofRefused {
        ProofRefused::Refused(SessionError::Rejected(Rejection::NotReleased(Box::new(error))))
    }

    fn opened(bytes: &[u8]) -> (tempfile::TempDir, PathBuf, Arc<Staple>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proof");
        std::fs::write(&file, bytes).unwrap();
        let staple = Staple::open(file.clone()).unwrap();
        (folder, file, staple)
    }

    #[test]
    fn a_file_is_judged_once_for_each_state_and_policy() {
        assert!(matches!(Staple::open("nowhere/proof".into()), Err(StapleError::Unreadable { .. })));
        let (_folder, file, staple) = opened(b"one");
        assert_eq!(&*staple.current(), b"one");
        assert_eq!(staple.changed(POLICY).unwrap().unwrap(), proof(b"one"), "which policy it was judged by at the start is not known");
        assert_eq!(staple.judged(Ok(proof(b"one"))), Outcome::Good);
        assert!(staple.changed(POLICY).is_none());
        std::fs::write(&file, b"three").unwrap();
        assert_eq!(staple.changed(POLICY).unwrap().unwrap(), proof(b"three"));
        // Nobody judged it yet: the last one is handed out. The same state is not looked at again once it was.
        assert_eq!(&*staple.current(), b"one");
        let stranger = refused(ReleaseError::Stranger { at: 0, who: "a key".into() });
        assert_eq!(staple.judged(Err(Passing::of_proof(&stranger, proof(b"three")))), Outcome::Refused);
        assert!(staple.changed(POLICY).is_none());
        // Put there before the policy that needs it.
        let later = Digest([2; 32]);
        assert_eq!(staple.changed(later).unwrap().unwrap(), proof(b"three"));
        assert_eq!(staple.judged(Ok(proof(b"three"))), Outcome::Good);
        assert_eq!(&*staple.current(), b"three");
        assert!(staple.changed(later).is_none());
        std::fs::write(&file, vec![0; RELEASE_PROOF_BYTES + 1]).unwrap();
        let fault = staple.changed(later).unwrap().unwrap_err();
        assert_eq!(staple.judged(Err(Passing::of_file(&fault))), Outcome::Refused);
        assert!(staple.changed(later).is_none());
        assert!(Staple::none().changed(later).is_none() && Staple::none().current().is_empty());
    }

    #[test]
    fn what_may_pass_is_tried_again_ever_more_seldom() {
        let (_folder, file, staple) = opened(b"one");
        let old = refused(ReleaseError::HeadTooOld { age_s: 2, allowed_s: 1 });
        let throttled = ProofRefused::Collect(ringwall_attest::CollectError::Throttled { retry_after_ms: 1 });
        let mut left_out = Vec::new();
        for (at, fault) in [&old, &throttled, &old, &old, &old, &old].into_iter().enumerate() {
            let mut looks = 0;
            while staple.changed(POLICY).is_none() {
                looks += 1;
                assert!(looks <= LOOKS_LEFT_OUT);
            }
            left_out.push(looks);
            assert_eq!(staple.judged(Err(Passing::of_proof(fault, proof(b"one")))), Outcome::Again { before: at > 0 });
        }
        assert_eq!(left_out, [0, 1, 3, 7, 15, LOOKS_LEFT_OUT]);
        // Another state of the file is looked at at once; a file that is gone may come back.
        std::fs::remove_file(&file).unwrap();
        let fault = staple.changed(POLICY).unwrap().unwrap_err();
        assert_eq!(staple.judged(Err(Passing::of_file(&fault))), Outcome::Again { before: false });
        std::fs::write(&file, b"three").unwrap();
        assert_eq!(staple.changed(POLICY).unwrap().unwrap(), proof(b"three"));
        assert_eq!(&*staple.current(), b"one", "and the last good one is handed out meanwhile");
    }

    #[test]
    fn a_proof_that_revokes_this_build_is_shown_to_whoever_asks() {
        let (_folder, file, staple) = opened(b"good");
        std::fs::write(&file, b"revoking").unwrap();
        let found = staple.changed(POLICY).unwrap().unwrap();
        let revoked = refused(ReleaseError::Revoked { build: "b".into(), reason: "it leaks".into(), at_s: 1 });
        assert_eq!(staple.judged(Err(Passing::of_proof(&revoked, found))), Outcome::Revoked);
        assert_eq!(&*staple.current(), b"revoking");
        assert!(staple.changed(POLICY).is_none());
    }
}
