//! A witness of transparency logs: it has seen one history of each, and cosigns nothing else (C2SP tlog-witness).
//!
//! Decides: a checkpoint is cosigned when a known log signed it and it continues the one that was cosigned last, which is on stable storage before the
//! cosignature leaves; its revocations never become fewer, nor others of the same number. Two histories that a log signed are kept as proof of that.
//! Processes that share a folder judge one after the other.
//! Trusts: its folder to come back as it was left, its clock for the second it names. Out of scope: HTTP (the caller's), how often it is asked.
//! Protocol section 8, "Releases".

use super::note::NoteKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringwall_attest::release::log::{Checkpoint, LogError, checkpoint, consistent};
use ringwall_attest::release::note::{NoteError, SignedNote, VerifierKey};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::NOTE_BYTES;
use ringwall_wire::release::{ForkProof, Note};
use ringwall_wire::text::hex;
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Hashes of a consistency proof in a request.
const PROOF_LINES: usize = 63;
/// Bytes of a request: a checkpoint and a proof.
pub const REQUEST_BYTES: usize = NOTE_BYTES + 64 * 64;

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum WitnessRefusal {
    /// The request has another shape.
    #[error("this is no request for a cosignature: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// Nobody asked this witness to watch that log.
    #[error("log {origin} is none that this witness watches")]
    UnknownLog {
        /// Its name.
        origin: String,
    },
    /// The log did not sign it, or it is none.
    #[error("the log's checkpoint is refused: {0}")]
    NotSigned(LogError),
    /// The older size is above the newer.
    #[error("a proof from {old} entries to {size} is none: a log only grows")]
    OldTooLarge {
        /// Where the proof begins.
        old: u64,
        /// What the checkpoint has.
        size: u64,
    },
    /// The proof begins elsewhere than this witness stands.
    #[error("this witness has seen {known} entries, the proof begins at {old}: begin it there")]
    Elsewhere {
        /// What was cosigned last.
        known: u64,
        /// Where the proof begins.
        old: u64,
    },
    /// The checkpoint does not continue the one that was cosigned last.
    #[error("not cosigned: {fault}")]
    Inconsistent {
        /// What was cosigned last.
        known: u64,
        /// Why not.
        fault: LogError,
    },
    /// Revocations were taken back.
    #[error("not cosigned: the log had revoked {known}, and now {now}: revocations are never taken back")]
    Unrevoked {
        /// How many the last checkpoint named.
        known: u64,
        /// How many this one names.
        now: u64,
    },
    /// As many revocations as before, and others.
    #[error("not cosigned: the log names {count} revocations as before, and others: revocations are never rewritten")]
    Rewritten {
        /// How many.
        count: u64,
    },
    /// What was cosigned last cannot be read or kept.
    #[error("{}: {fault}; a witness that cannot remember cosigns nothing", .path.display())]
    Memory {
        /// Where.
        path: PathBuf,
        /// What the system or the file says.
        fault: String,
    },
}

impl WitnessRefusal {
    /// The status the specification gives it.
    pub fn status(&self) -> u16 {
        match self {
            WitnessRefusal::Malformed { .. } | WitnessRefusal::OldTooLarge { .. } => 400,
            WitnessRefusal::UnknownLog { .. } => 404,
            WitnessRefusal::NotSigned(_) => 403,
            WitnessRefusal::Elsewhere { .. } => 409,
            WitnessRefusal::Inconsistent { fault: LogError::Forked { older, newer }, .. } if older == newer => 409,
            WitnessRefusal::Inconsistent { .. } | WitnessRefusal::Unrevoked { .. } | WitnessRefusal::Rewritten { .. } => 422,
            WitnessRefusal::Memory { .. } => 500,
        }
    }

    /// Where this witness stands, for whom that is the answer.
    pub fn known(&self) -> Option<u64> {
        match self {
            WitnessRefusal::Elsewhere { known, .. } | WitnessRefusal::Inconsistent { known, .. } => Some(*known),
            _ => None,
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            WitnessRefusal::Malformed { .. } | WitnessRefusal::OldTooLarge { .. } | WitnessRefusal::Elsewhere { .. } => {
                "RW-C-RELEASE-REQUEST"
            }
            WitnessRefusal::UnknownLog { .. } => "RW-C-RELEASE-LOG",
            WitnessRefusal::NotSigned(_) => "RW-C-RELEASE-REFUSED",
            WitnessRefusal::Inconsistent { fault: LogError::Shrank { .. } | LogError::Forked { .. }, .. } => "RW-C-RELEASE-FORK",
            WitnessRefusal::Inconsistent { .. } => "RW-C-RELEASE-UNPROVEN",
            WitnessRefusal::Unrevoked { .. } | WitnessRefusal::Rewritten { .. } => "RW-C-RELEASE-FORK",
            WitnessRefusal::Memory { .. } => "RW-C-RELEASE-IO",
        }
    }
}

/// What is asked of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Where the proof begins.
    pub old: u64,
    /// The proof.
    pub path: Vec<Digest>,
    /// The checkpoint.
    pub note: String,
}

impl Submission {
    /// Reads the body of an `add-checkpoint`.
    pub fn read(body: &[u8]) -> Result<Self, WitnessRefusal> {
        let wrong = |what| WitnessRefusal::Malformed { what };
        if body.len() > REQUEST_BYTES {
            return Err(wrong("it is too long"));
        }
        let text = core::str::from_utf8(body).map_err(|_| wrong("it is no text"))?;
        let (head, note) = text.split_once("\n\n").ok_or(wrong("no empty line stands before a checkpoint"))?;
        let mut lines = head.split('\n');
        let size = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(wrong("it does not begin with `old`"))?;
        let canonical = size == "0" || (!size.starts_with('0') && size.bytes().all(|byte| byte.is_ascii_digit()));
        let old = size.parse().ok().filter(|_| canonical).ok_or(wrong("the old size is no number"))?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() >= PROOF_LINES {
                return Err(wrong("the proof has more than 63 hashes"));
            }
            let hash: Option<[u8; 32]> = STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok());
            path.push(Digest(hash.ok_or(wrong("a line of the proof is no base64 of 32 bytes"))?));
        }
        Ok(Submission { old, path, note: note.to_owned() })
    }

    /// The body of an `add-checkpoint`: `path` as `wire::tree` writes it, from a tree of `old` leaves.
    pub fn body(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old);
        // RFC 6962 leaves out the older root where it can be known.
        let path = if self.old.is_power_of_two() { self.path.get(1..).unwrap_or_default() } else { &self.path };
        path.iter().for_each(|hash| body.push_str(&format!("{}\n", STANDARD.encode(hash.0))));
        body.push_str(&format!("\n{}", self.note));
        body.into_bytes()
    }
}

/// A witness: a key, the logs it watches, and a folder with what it cosigned last.
#[derive(Debug)]
pub struct Witness {
    key: NoteKey,
    logs: Vec<VerifierKey>,
    folder: PathBuf,
}

impl Witness {
    /// With an existing folder that nobody but this witness writes to.
    pub fn new(key: NoteKey, logs: Vec<VerifierKey>, folder: &Path) -> Self {
        Witness { key, logs, folder: folder.to_owned() }
    }

    /// What it cosigned last of this log; none for nothing yet.
    pub fn known(&self, log: &VerifierKey) -> Result<Option<(Checkpoint, String)>, WitnessRefusal> {
        let path = self.place(log, "checkpoint");
        let memory = |fault: String| WitnessRefusal::Memory { path: path.clone(), fault };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(memory(fault.to_string())),
        };
        let mut note = String::new();
        file.take(NOTE_BYTES as u64 + 1).read_to_string(&mut note).map_err(|fault| memory(fault.to_string()))?;
        let found = checkpoint(&note, log).map_err(|fault| memory(fault.to_string()))?;
        Ok(Some((found, note)))
    }

    fn place(&self, log: &VerifierKey, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", hex(&Sha256::digest(log.name()))))
    }

    /// Judges a checkpoint, remembers it and cosigns it: the line is given back. The second is the caller's clock's.
    pub fn cosign(&mut self, asked: &Submission, now_s: u64) -> Result<String, WitnessRefusal> {
        let signed = SignedNote::parse(&asked.note).map_err(|fault| WitnessRefusal::NotSigned(fault.into()))?;
        let origin = signed.text().split('\n').next().unwrap_or_default();
        let log = self.logs.iter().find(|log| log.name() == origin).cloned();
        let log = log.ok_or_else(|| WitnessRefusal::UnknownLog { origin: super::http::words(origin.as_bytes()) })?;
        let newer = checkpoint(&asked.note, &log).map_err(WitnessRefusal::NotSigned)?;
        if asked.old > newer.size {
            return Err(WitnessRefusal::OldTooLarge { old: asked.old, size: newer.size });
        }
        // Held until the newer checkpoint is kept: another process on this folder would go on from the same older one, to another history.
        let _alone = self.alone()?;
        let known = self.known(&log)?;
        let size = known.as_ref().map_or(0, |(older, _)| older.size);
        if size != asked.old {
            return Err(WitnessRefusal::Elsewhere { known: size, old: asked.old });
        }
        match &known {
            Some((older, note)) => self.continues(&log, (older, note), (&newer, &asked.note), &asked.path)?,
            None if !asked.path.is_empty() => return Err(WitnessRefusal::Malformed { what: "a proof from nothing has no hash" }),
            None => {}
        }
        self.keep(&self.place(&log, "checkpoint"), asked.note.as_bytes())?;
        Ok(self.key.line(signed.text(), now_s))
    }

    /// Waits until no other process judges in this folder.
    fn alone(&self) -> Result<std::fs::File, WitnessRefusal> {
        let path = self.folder.join("lock");
        let locked = std::fs::File::create(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|fault| WitnessRefusal::Memory { path, fault: fault.to_string() })
    }

    fn continues(
        &self,
        log: &VerifierKey,
        (older, older_note): (&Checkpoint, &str),
        (newer, newer_note): (&Checkpoint, &str),
        path: &[Digest],
    ) -> Result<(), WitnessRefusal> {
        if let Err(fault) = consistent(older, newer, path) {
            if let LogError::Forked { .. } | LogError::Shrank { .. } = fault {
                self.prove_fork(log, older_note, newer_note, path)?;
            }
            return Err(WitnessRefusal::Inconsistent { known: older.size, fault });
        }
        let revoked = |of: &Checkpoint| of.revoked.map_or(0, |(count, _)| count);
        if revoked(newer) < revoked(older) {
            return Err(WitnessRefusal::Unrevoked { known: revoked(older), now: revoked(newer) });
        }
        match (older.revoked, newer.revoked) {
            (Some((count, before)), Some((now, list))) if count == now && before != list => {
                self.prove_fork(log, older_note, newer_note, path)?;
                Err(WitnessRefusal::Rewritten { count })
            }
            _ => Ok(()),
        }
    }

    /// Keeps two histories a log signed; the first such proof stays.
    fn prove_fork(&self, log: &VerifierKey, older: &str, newer: &str, path: &[Digest]) -> Result<(), WitnessRefusal> {
        let place = self.place(log, "fork");
        let note = |text: &str| Note::new(text.as_bytes()).unwrap_or_else(|_| Blob::default());
        let proof = ForkProof { older: note(older), newer: note(newer), path: List::new(path.to_vec()).unwrap_or_default() };
        if place.exists() { Ok(()) } else { self.keep(&place, &proof.encode()) }
    }

    /// Writes a file that is whole or not there, and on stable storage when this returns.
    fn keep(&self, path: &Path, bytes: &[u8]) -> Result<(), WitnessRefusal> {
        let memory = |fault: std::io::Error| WitnessRefusal::Memory { path: path.to_owned(), fault: fault.to_string() };
        let beside = path.with_extension("new");
        let written = std::fs::File::create(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.and_then(|()| std::fs::rename(&beside, path)).map_err(memory)?;
        std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(memory)
    }
}

impl From<NoteError> for WitnessRefusal {
    fn from(fault: NoteError) -> Self {
        WitnessRefusal::NotSigned(fault.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::note::NoteKind;
    use super::*;
    use ringwall_wire::secret::Secret;
    use ringwall_wire::tree::{Levels, Nodes, leaf, parent, prove_consistency};

    /// Leaves of a small log.
    struct Leaves(Vec<Digest>);

    impl Nodes for Leaves {
        type Fault = core::convert::Infallible;
        fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, Self::Fault> {
            let (start, width) = ((index as usize) << level, 1_usize << level);
            let mut hashes = self.0.get(start..start + width).map(<[Digest]>::to_vec).unwrap_or_default();
            while hashes.len() > 1 {
                hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| parent(left, right)).collect();
            }
            Ok(hashes.first().copied())
        }
    }

    fn leaves(words: &str) -> Leaves {
        Leaves(words.chars().map(|letter| leaf(letter.to_string().as_bytes())).collect())
    }

    struct Scene {
        log: NoteKey,
        witness: Witness,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let log = NoteKey::from_seed("log.example", NoteKind::Plain, Secret::new([1; 32]));
            let folder = tempfile::tempdir().unwrap();
            let key = NoteKey::from_seed("witness.example", NoteKind::Timed, Secret::new([2; 32]));
            let witness = Witness::new(key, vec![VerifierKey::parse(&log.verifier_key()).unwrap()], folder.path());
            Scene { log, witness, _folder: folder }
        }

        fn note(&self, words: &str, revoked: u64) -> String {
            self.naming(words, (revoked > 0).then_some((revoked, Digest([9; 32]))))
        }

        fn naming(&self, words: &str, revoked: Option<(u64, Digest)>) -> String {
            let root = Levels::new(leaves(words).0).unwrap().root();
            let text = Checkpoint { origin: self.log.name().into(), size: words.len() as u64, root, revoked }.text();
            format!("{text}\n{}", self.log.line(&text, 0))
        }

        /// Asks as a log would, over the wire.
        fn ask(&mut self, old: u64, words: &str, revoked: u64) -> Result<String, WitnessRefusal> {
            let path = prove_consistency(&leaves(words), old, words.len() as u64).unwrap().unwrap();
            let asked = Submission { old, path, note: self.note(words, revoked) };
            self.witness.cosign(&Submission::read(&asked.body()).unwrap(), 1_700_000_000)
        }
    }

    #[test]
    fn one_history_is_cosigned_and_no_other() {
        let mut scene = Scene::new();
        let line = scene.ask(0, "abc", 0).unwrap();
        assert!(line.starts_with("\u{2014} witness.example ") && line.ends_with('\n'));
        // From odd sizes and from powers of two, and once more for a newer second.
        scene.ask(3, "abcd", 1).unwrap();
        scene.ask(4, "abcd", 1).unwrap();
        scene.ask(4, "abcdefg", 1).unwrap();
        let fault = scene.ask(4, "abcdefgh", 1).unwrap_err();
        assert_eq!((fault.status(), fault.known()), (409, Some(7)));
        for (words, old, status) in [("abcdefX", 7, 409), ("abXdefgh", 7, 422)] {
            assert_eq!(scene.ask(old, words, 1).unwrap_err().status(), status, "{words}");
        }
        assert!(matches!(scene.ask(7, "abcdefgh", 0), Err(WitnessRefusal::Unrevoked { known: 1, now: 0 })));
        // A smaller tree: the proof cannot begin where the witness stands.
        let asked = Submission { old: 7, path: Vec::new(), note: scene.note("abc", 1) };
        assert_eq!(scene.witness.cosign(&asked, 1).unwrap_err().status(), 400);
        let log = VerifierKey::parse(&scene.log.verifier_key()).unwrap();
        assert_eq!(scene.witness.known(&log).unwrap().unwrap().0.size, 7);
        // The log signed two histories, and that is kept.
        let kept = std::fs::read(scene.witness.place(&log, "fork")).unwrap();
        let proof = ForkProof::decode(&kept).unwrap();
        let both = [&proof.older, &proof.newer].map(|note| checkpoint(core::str::from_utf8(note).unwrap(), &log).unwrap());
        assert!(matches!(consistent(&both[0], &both[1], &proof.path), Err(LogError::Forked { .. })));
    }

    #[test]
    fn a_list_of_as_many_other_revocations_is_not_cosigned_and_both_are_kept() {
        let mut scene = Scene::new();
        scene.ask(0, "abc", 2).unwrap();
        for words in ["abc", "abcd"] {
            let path = prove_consistency(&leaves(words), 3, words.len() as u64).unwrap().unwrap();
            let asked = Submission { old: 3, path, note: scene.naming(words, Some((2, Digest([8; 32])))) };
            let fault = scene.witness.cosign(&Submission::read(&asked.body()).unwrap(), 1_700_000_000).unwrap_err();
            assert!(matches!(fault, WitnessRefusal::Rewritten { count: 2 }) && fault.status() == 422, "{fault}");
        }
        let log = VerifierKey::parse(&scene.log.verifier_key()).unwrap();
        assert!(ForkProof::decode(&std::fs::read(scene.witness.place(&log, "fork")).unwrap()).is_ok());
        // More of them may be the same ones and others: whoever has both lists sees that.
        scene.ask(3, "abcd", 3).unwrap();
    }

    /// Two processes of one witness, asked at once, are shown two histories from where it stands: one of them is cosigned.
    #[test]
    fn two_processes_of_a_witness_cosign_one_history() {
        for _ in 0..8 {
            let mut scene = Scene::new();
            scene.ask(0, "abc", 0).unwrap();
            let asked = ["abcd", "abcX"].map(|words| {
                let path = prove_consistency(&leaves(words), 3, 4).unwrap().unwrap();
                Submission { old: 3, path, note: scene.note(words, 0) }
            });
            let log = VerifierKey::parse(&scene.log.verifier_key()).unwrap();
            let start = std::sync::Barrier::new(2);
            let cosigned = std::thread::scope(|threads| {
                let both = asked.each_ref().map(|asked| {
                    let key = NoteKey::from_seed("witness.example", NoteKind::Timed, Secret::new([2; 32]));
                    let mut witness = Witness::new(key, vec![log.clone()], &scene.witness.folder);
                    let start = &start;
                    threads.spawn(move || {
                        start.wait();
                        witness.cosign(asked, 1_700_000_000).is_ok()
                    })
                });
                both.map(|thread| thread.join().unwrap())
            });
            assert_ne!(cosigned[0], cosigned[1], "a history each, or none");
        }
        // And nobody judges while another does.
        let mut scene = Scene::new();
        let held = scene.witness.alone().unwrap();
        std::thread::scope(|threads| {
            let (told, hears) = std::sync::mpsc::channel();
            threads.spawn(move || told.send(scene.ask(0, "abc", 0).is_ok()).unwrap());
            assert!(hears.recv_timeout(std::time::Duration::from_millis(100)).is_err());
            drop(held);
            assert!(hears.recv().unwrap());
        });
    }

    #[test]
    fn strangers_and_nonsense_are_refused() {
        let mut scene = Scene::new();
        let other = NoteKey::from_seed("other.example", NoteKind::Plain, Secret::new([3; 32]));
        let text = Checkpoint { origin: "other.example".into(), size: 0, root: ringwall_wire::tree::empty_root(), revoked: None }.text();
        let note = format!("{text}\n{}", other.line(&text, 0));
        let fault = scene.witness.cosign(&Submission { old: 0, path: Vec::new(), note }, 1).unwrap_err();
        assert_eq!(fault.status(), 404);
        let unsigned = scene.note("abc", 0).replace("\n3\n", "\n4\n");
        let fault = scene.witness.cosign(&Submission { old: 0, path: Vec::new(), note: unsigned }, 1).unwrap_err();
        assert_eq!(fault.status(), 403);
        let good = scene.note("abc", 0);
        for body in ["", "old 1", "new 1\n\n", "old 01\n\n", "old +1\n\n", "old 1\nAAAA\n\n", "old 1\n!\n\n"] {
            assert!(matches!(Submission::read(format!("{body}{good}").as_bytes()), Err(WitnessRefusal::Malformed { .. })), "{body:?}");
        }
        let hash = STANDARD.encode([0; 32]);
        let many = format!("old 1\n{}\n{good}", format!("{hash}\n").repeat(64));
        assert!(matches!(Submission::read(many.as_bytes()), Err(WitnessRefusal::Malformed { .. })));
    }
}
