//! Checkpoints of transparency logs: who signed them, who witnessed them, what they contain and whether one continues another.
//!
//! Decides: a checkpoint is an origin, a size, a root and extension lines; it counts when the log signed it; it is witnessed when enough distinct
//! keys of the named witnesses cosigned it, each once, the log's own never among them. Inclusion and consistency follow RFC 6962 exactly.
//! Trusts: the keys it is given. Out of scope: how old a checkpoint may be and what its entries mean (`proof.rs`).
//! C2SP tlog-checkpoint, tlog-cosignature. Protocol section 8, "Releases".

use super::base64;
use super::note::{Covered, NoteError, SignedNote, VerifierKey};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ringwall_wire::ids::Digest;
use ringwall_wire::release::LogProof;
use ringwall_wire::tree::{consistency_roots, empty_root, inclusion_root, is_consistent};
use ringwall_wire::without::{Defence, left_out};

/// Opens the extension line that names the log's revocations.
const REVOKED: &str = "ringwall-revoked ";

/// Why a checkpoint, an inclusion or a consistency does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum LogError {
    /// The note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is no checkpoint.
    #[error("the note is no checkpoint: {what}")]
    Checkpoint { what: &'static str },
    /// It is of another log.
    #[error("the checkpoint is of log {got}, asked was log {wanted}")]
    OtherLog { got: String, wanted: String },
    /// A witness's key is not one, or is named twice.
    #[error("{name} cannot be a witness: {what}; correct the policy")]
    Witness { name: String, what: &'static str },
    /// Too few witnesses.
    #[error("{cosigned} of the named witnesses cosigned the checkpoint, {threshold} must: ask for one that more have seen")]
    TooFewWitnesses { cosigned: usize, threshold: u8 },
    /// The leaf is not where the proof says.
    #[error("entry {index} is not in the tree of {size} entries: its path leads to another root")]
    NotIncluded { index: u64, size: u64 },
    /// The newer tree is smaller.
    #[error("the log shrank from {older} to {newer} entries: a log only grows")]
    Shrank { older: u64, newer: u64 },
    /// The roots of one size differ, or the path shows another older root: two histories.
    #[error("the log shows two histories: its tree of {newer} entries does not continue the one of {older} entries known before")]
    Forked { older: u64, newer: u64 },
    /// The path shows nothing.
    #[error("the path from {older} to {newer} entries leads nowhere: it proves neither that the log continues nor that it does not")]
    NoPath { older: u64, newer: u64 },
}

/// What a checkpoint says. Values exist only for notes the log signed ([`checkpoint`], [`witnessed`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
    /// Revocations: how many, and the digest of their list; none when the log names none.
    pub revoked: Option<(u64, Digest)>,
}

impl Checkpoint {
    /// Reads the text of a note whose signature the caller judges.
    pub(crate) fn read(text: &str) -> Result<Checkpoint, LogError> {
        let wrong = |what| LogError::Checkpoint { what };
        let text = text.strip_suffix('\n').ok_or(wrong("it does not end with a line feed"))?;
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(wrong("it names no log"))?;
        let size = lines.next().and_then(number).ok_or(wrong("its size is no number without leading zeroes"))?;
        let root = lines.next().and_then(digest).ok_or(wrong("its root is no base64 of 32 bytes"))?;
        if size == 0 && root != empty_root() {
            return Err(wrong("it has no entry and a root over some"));
        }
        let mut revoked = None;
        for line in lines {
            if line.is_empty() {
                return Err(wrong("it has an empty extension line"));
            }
            let Some(rest) = line.strip_prefix(REVOKED) else { continue };
            let named = rest.split_once(' ').and_then(|(count, list)| Some((number(count)?, digest(list)?)));
            let named = named.ok_or(wrong("its line of revocations is malformed"))?;
            if revoked.replace(named).is_some() {
                return Err(wrong("it has two lines of revocations"));
            }
        }
        Ok(Checkpoint { origin: origin.to_string(), size, root, revoked })
    }

    /// The text a log signs: what [`checkpoint`] reads.
    pub fn text(&self) -> String {
        let mut text = alloc::format!("{}\n{}\n{}\n", self.origin, self.size, base64::write(&self.root.0));
        if let Some((count, list)) = &self.revoked {
            text.push_str(&alloc::format!("{REVOKED}{count} {}\n", base64::write(&list.0)));
        }
        text
    }
}

/// A checkpoint enough witnesses cosigned, and when each did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct Witnessed {
    checkpoint: Checkpoint,
    times: Vec<u64>,
}

impl Witnessed {
    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The Unix seconds at which named witnesses cosigned, one for each, latest first.
    pub fn times(&self) -> &[u64] {
        &self.times
    }

    /// The latest second at or after which `threshold` distinct witnesses cosigned: whoever trusts that many knows that it was the log's newest
    /// checkpoint then. 0 when there are not as many.
    pub fn since(&self, threshold: u8) -> u64 {
        let at = usize::from(threshold).saturating_sub(1);
        let time = self.times.get(at).or_else(|| self.times.last().filter(|_| left_out(Defence::Witnesses)));
        time.copied().unwrap_or(0)
    }
}

/// The checkpoint in `note`, when `log` signed it.
pub fn checkpoint(note: &str, log: &VerifierKey) -> Result<Checkpoint, LogError> {
    Ok(signed_checkpoint(note, log)?.1)
}

fn signed_checkpoint(note: &str, log: &VerifierKey) -> Result<(SignedNote, Checkpoint), LogError> {
    let note = SignedNote::parse(note)?;
    note.verify(log)?;
    let checkpoint = Checkpoint::read(note.text())?;
    match checkpoint.origin == log.name() {
        true => Ok((note, checkpoint)),
        false => Err(LogError::OtherLog { got: checkpoint.origin, wanted: log.name().to_string() }),
    }
}

/// The checkpoint in `note`, when `log` signed it and at least `threshold` of `witnesses` cosigned it. A signature in a named witness's name that
/// does not verify refuses the whole note.
pub fn witnessed(note: &str, log: &VerifierKey, witnesses: &[VerifierKey], threshold: u8) -> Result<Witnessed, LogError> {
    distinct(log, witnesses)?;
    let (note, checkpoint) = signed_checkpoint(note, log)?;
    let covered = Covered { origin: &checkpoint.origin, size: checkpoint.size, root: &checkpoint.root.0 };
    let mut times = Vec::new();
    for witness in witnesses {
        match note.cosigned(witness, &covered) {
            Ok(time) => times.push(time),
            Err(NoteError::Missing { .. }) => {}
            Err(error) => return Err(LogError::Note(error)),
        }
    }
    times.sort_unstable_by(|left, right| right.cmp(left));
    match times.len() >= usize::from(threshold) || left_out(Defence::Witnesses) {
        true => Ok(Witnessed { checkpoint, times }),
        false => Err(LogError::TooFewWitnesses { cosigned: times.len(), threshold }),
    }
}

/// Whether at least `threshold` of `witnesses` cosigned the checkpoint in `smaller`, which has fewer entries, strictly later than each of them cosigned the
/// one in `larger`. An honest log's witnesses never do: a witness that has seen a tree cosigns no smaller one. Times of different witnesses say nothing about
/// each other, and a cosignature that does not verify counts for nothing.
pub fn went_back(larger: &str, smaller: &str, log: &VerifierKey, witnesses: &[VerifierKey], threshold: u8) -> Result<bool, LogError> {
    distinct(log, witnesses)?;
    let cosigned = |note: &str| -> Result<(u64, Vec<Option<u64>>), LogError> {
        let (note, checkpoint) = signed_checkpoint(note, log)?;
        let covered = Covered { origin: &checkpoint.origin, size: checkpoint.size, root: &checkpoint.root.0 };
        Ok((checkpoint.size, witnesses.iter().map(|witness| note.cosigned(witness, &covered).ok()).collect()))
    };
    let ((large, before), (small, after)) = (cosigned(larger)?, cosigned(smaller)?);
    let back = |pair: &(&Option<u64>, &Option<u64>)| matches!(pair, (Some(before), Some(after)) if after > before);
    let liars = before.iter().zip(&after).filter(back).count();
    Ok(small < large && liars >= usize::from(threshold.max(1)))
}

/// The keys are witnesses' keys, no two of them are one, and none is the log's: a quorum counts people, not lines.
pub(crate) fn distinct(log: &VerifierKey, witnesses: &[VerifierKey]) -> Result<(), LogError> {
    let cannot = |key: &VerifierKey, what| Err(LogError::Witness { name: key.name().to_string(), what });
    for (at, key) in witnesses.iter().enumerate() {
        if !key.is_cosigner() {
            return cannot(key, "its key signs without a time");
        }
        if key.key_bytes() == log.key_bytes() {
            return cannot(key, "its key is the log's own");
        }
        let earlier = witnesses.iter().take(at);
        if earlier.into_iter().any(|other| other.name() == key.name() || other.key_bytes() == key.key_bytes()) {
            return cannot(key, "another witness has the same name or key");
        }
    }
    Ok(())
}

/// Whether `leaf` is where `proof` says in the tree of `checkpoint`.
pub fn included(leaf: &Digest, proof: &LogProof, checkpoint: &Checkpoint) -> Result<(), LogError> {
    match inclusion_root(leaf, proof.index, checkpoint.size, &proof.path) == Some(checkpoint.root) {
        true => Ok(()),
        false => Err(LogError::NotIncluded { index: proof.index, size: checkpoint.size }),
    }
}

/// Whether `newer` continues `older`. `path` is one of `wire`'s trees, or of RFC 9162, which leaves out the first hash where the older size is a power
/// of two. [`LogError::Forked`] is proven by both checkpoints and the path together. [`LogError::Shrank`] says which of the two is smaller, and is a lie only
/// where the smaller one is the later one ([`went_back`]); [`LogError::NoPath`] proves nothing.
pub fn consistent(older: &Checkpoint, newer: &Checkpoint, path: &[Digest]) -> Result<(), LogError> {
    let (first, second) = (older.size, newer.size);
    if older.origin != newer.origin {
        return Err(LogError::OtherLog { got: newer.origin.clone(), wanted: older.origin.clone() });
    }
    if second < first {
        return Err(LogError::Shrank { older: first, newer: second });
    }
    let nowhere = Err(LogError::NoPath { older: first, newer: second });
    if first == second {
        return match (older.root == newer.root, path.is_empty()) {
            (false, _) => Err(LogError::Forked { older: first, newer: second }),
            (true, true) => Ok(()),
            (true, false) => nowhere,
        };
    }
    if first == 0 {
        return if path.is_empty() { Ok(()) } else { nowhere };
    }
    let seeded = || [&[older.root][..], path].concat();
    if is_consistent(first, &older.root, second, &newer.root, path)
        || (first.is_power_of_two() && is_consistent(first, &older.root, second, &newer.root, &seeded()))
    {
        return Ok(());
    }
    match consistency_roots(first, second, path) {
        Some((_, root)) if root == newer.root => Err(LogError::Forked { older: first, newer: second }),
        _ => nowhere,
    }
}

/// A decimal number without sign or leading zeroes.
fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    canonical.then(|| text.parse().ok()).flatten()
}

fn digest(text: &str) -> Option<Digest> {
    Some(Digest(base64::read(text)?.try_into().ok()?))
}
