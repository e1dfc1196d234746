//! Publishing a release in its log, and the proof of release that nodes carry.
//!
//! Decides: which entry a set of bundles is in the log, and that a proof is put together from one checkpoint: what it has, how it continues the heads that
//! earlier proofs showed, and everything that was revoked, whole. A log that does not continue an earlier head, or took a revocation back, gives no proof, and
//! the two heads are kept; one that shows an older head gives none either, which alone is no lie.
//! Trusts: nothing fetched: whoever uses the proof has it judged (`ringwall_attest::release`), and so does `ringwall release staple` before it writes one.
//! Out of scope: signing (`bundle.rs`), witnesses (`witness.rs`). Protocol section 8, "Releases".

use super::bundle::{Bundle, BundleFault};
use super::tiles::{TileLog, TilesFault, Tree};
use ringwall_attest::release::Rule;
use ringwall_attest::release::log::{Checkpoint, LogError, checkpoint, consistent, went_back};
use ringwall_attest::release::note::VerifierKey;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::{KNOWN_HEADS, TRUSTED_ROOT_BYTES};
use ringwall_wire::release::{
    BundleBytes, ForkProof, KnownHead, LogEntry, LogProof, Logged, LoggedRelease, Note, ReleaseProof, RevocationList, bundles_digest,
};
use ringwall_wire::tree::Nodes as _;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum StapleFault {
    /// The log.
    #[error(transparent)]
    Tiles(#[from] TilesFault),
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] BundleFault),
    /// The bundles are about different statements.
    #[error("the bundles sign different statements: a release is one statement that all its signers signed, byte for byte")]
    OtherStatement,
    /// None, or more than a policy has signers.
    #[error("{count} bundles: a proof carries 1 to {most}")]
    Count {
        /// How many.
        count: usize,
        /// The most.
        most: usize,
    },
    /// The checkpoint is refused.
    #[error("the log's checkpoint is refused: {0}")]
    Checkpoint(LogError),
    /// The log does not continue an earlier head.
    #[error("the log does not continue the head that an earlier proof showed: {fault}")]
    Fork {
        /// How.
        fault: LogError,
        /// The two heads.
        proof: Box<ForkProof>,
    },
    /// A revocation is gone from the list.
    #[error("the log took back a revocation: the earlier proof showed {known}, and the list it serves now does not begin with them")]
    TakenBack {
        /// Revocations before.
        known: u64,
        /// The two heads.
        proof: Box<ForkProof>,
    },
    /// An older head than before.
    #[error(
        "the log's checkpoint has {got} entries and {got_revoked} revocations, the earlier proof showed {known} and {known_revoked}: it is an older one, or \
         the log lost something; ask again, then ask whoever runs the log and its witnesses; the earlier proof stays"
    )]
    Older {
        /// Its entries.
        got: u64,
        /// Its revocations.
        got_revoked: u64,
        /// Entries before.
        known: u64,
        /// Revocations before.
        known_revoked: u64,
    },
    /// The entry is not there.
    #[error("the log has no such entry among its newest {looked_at}: publish it first (`ringwall release publish`)")]
    NoEntry {
        /// How many were looked at.
        looked_at: u64,
    },
    /// The list is another than the checkpoint names.
    #[error("the log serves {served} revocations, its checkpoint names {named} or others: ask again, then ask whoever runs the log")]
    Revocations {
        /// How many it serves.
        served: u64,
        /// How many it names.
        named: u64,
    },
    /// More entries than one proof shows.
    #[error("{count} entries: one proof shows at most {most}; publish them in several")]
    TooManyEntries {
        /// How many.
        count: usize,
        /// The most.
        most: usize,
    },
    /// A part is longer than a proof carries.
    #[error("{what} is longer than a proof carries")]
    TooLarge {
        /// What.
        what: &'static str,
    },
}

/// Bundles that sign one statement, ready to be published.
#[derive(Clone, Debug)]
pub struct Signed {
    bundles: List<BundleBytes, { ringwall_wire::limits::RELEASE_BUNDLES }>,
    statement: Vec<u8>,
}

impl Signed {
    /// Takes bundles, exact bytes, in the order in which they will be stapled.
    pub fn new(bundles: Vec<Vec<u8>>) -> Result<Self, StapleFault> {
        let statements: Result<Vec<Vec<u8>>, BundleFault> = bundles.iter().map(|bytes| Bundle::read(bytes)?.statement()).collect();
        let mut statements = statements?;
        statements.dedup();
        let counted = StapleFault::Count { count: bundles.len(), most: ringwall_wire::limits::RELEASE_BUNDLES };
        let statement = match statements.len() {
            0 => return Err(counted),
            1 => statements.swap_remove(0),
            _ => return Err(StapleFault::OtherStatement),
        };
        let sized: Result<Vec<BundleBytes>, _> = bundles.into_iter().map(Blob::new).collect();
        let sized = sized.map_err(|_| StapleFault::TooLarge { what: "a bundle" })?;
        Ok(Signed { bundles: List::new(sized).map_err(|_| counted)?, statement })
    }

    /// The statement they sign.
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// What the log has for them.
    pub fn entry(&self, build: Text<64>, svn: u32) -> LogEntry {
        let statement = Digest(Sha256::digest(&self.statement).into());
        LogEntry { what: Logged::Release(LoggedRelease { statement, build, svn, bundles: bundles_digest(&self.bundles) }) }
    }
}

/// What a proof is put together from.
#[derive(Debug)]
pub struct Stapling<'a> {
    /// The log.
    pub log: &'a TileLog,
    /// The policy's rule: the log's key, and its witnesses'.
    pub rule: &'a Rule,
    /// The bundles.
    pub signed: &'a Signed,
    /// Their entry.
    pub entry: LogEntry,
    /// Sigstore's trusted root, when the policy pins one.
    pub trusted_root: Option<Vec<u8>>,
    /// The proof that was handed out before; its heads are continued.
    pub earlier: Option<&'a ReleaseProof>,
}

impl Stapling<'_> {
    /// Puts the proof together from this checkpoint, which came with its cosignatures.
    pub fn staple(&self, note: &str) -> Result<ReleaseProof, StapleFault> {
        let head = checkpoint(note, self.rule.log()).map_err(StapleFault::Checkpoint)?;
        if let Some(earlier) = self.earlier {
            grows(&earlier.head, note, &head, self.rule)?;
        }
        let tree = self.log.tree(head.size, head.root)?;
        let revocations = self.revocations(&head)?;
        let known = match self.earlier {
            Some(earlier) => self.continued(earlier, (note, &head, &revocations), &tree)?,
            None => List::default(),
        };
        let index = self.place(&tree)?;
        let path = List::new(tree.inclusion(index)?).map_err(|_| StapleFault::TooLarge { what: "the path in the log" })?;
        let trusted_root = self.trusted_root.clone().map(Blob::<TRUSTED_ROOT_BYTES>::new).transpose();
        let note = note_of(note)?;
        Ok(ReleaseProof {
            trusted_root: trusted_root.map_err(|_| StapleFault::TooLarge { what: "the trusted root" })?,
            bundles: self.signed.bundles.clone(),
            entry: self.entry.clone(),
            inclusion: LogProof { index, path },
            checkpoint: note.clone(),
            consistency: List::default(),
            head: note,
            revocations,
            known,
        })
    }

    /// Where the entry is: where the earlier proof had it, however much was logged since; else it is looked for among the newest.
    fn place(&self, tree: &Tree<'_>) -> Result<u64, StapleFault> {
        let leaf = self.entry.leaf();
        let before = self.earlier.filter(|earlier| earlier.entry == self.entry).map(|earlier| earlier.inclusion.index);
        match before {
            Some(index) if tree.node(0, index)? == Some(leaf) => Ok(index),
            _ => tree.find(&leaf)?.map_err(|looked_at| StapleFault::NoEntry { looked_at }),
        }
    }

    /// Everything that was revoked, as the checkpoint names it.
    fn revocations(&self, head: &Checkpoint) -> Result<RevocationList, StapleFault> {
        let list = self.log.revocations()?;
        let (served, named) = (list.revoked.len() as u64, head.revoked);
        let fits = match named {
            None => served == 0,
            Some((count, digest)) => count == served && Digest(list.digest()) == digest,
        };
        if fits { Ok(list) } else { Err(StapleFault::Revocations { served, named: named.map_or(0, |(count, _)| count) }) }
    }

    /// Paths from every head an earlier proof showed, the newest [`KNOWN_HEADS`] of them. What had been revoked then still is.
    fn continued(
        &self,
        earlier: &ReleaseProof,
        (note, head, revocations): (&str, &Checkpoint, &RevocationList),
        tree: &Tree<'_>,
    ) -> Result<List<KnownHead, KNOWN_HEADS>, StapleFault> {
        let (older, text) = text_of(&earlier.head, self.rule.log())?;
        let path = tree.consistency(older.size)?;
        if let Err(fault) = consistent(&older, head, &path) {
            return Err(StapleFault::Fork { fault, proof: both(text, note, path) });
        }
        if let Some(known) = taken_back(&older, revocations) {
            return Err(StapleFault::TakenBack { known, proof: both(text, note, path) });
        }
        let mut sizes: BTreeSet<u64> = earlier.known.iter().map(|known| known.size).collect();
        sizes.insert(older.size);
        // The empty tree is continued by every tree, and a head of the same size is this one.
        sizes.retain(|size| (1..head.size).contains(size));
        let newest: Vec<u64> = sizes.into_iter().rev().take(KNOWN_HEADS).collect();
        let long = |_| StapleFault::TooLarge { what: "a path in the log" };
        let paths: Result<Vec<KnownHead>, StapleFault> =
            newest.into_iter().rev().map(|size| Ok(KnownHead { size, path: List::new(tree.consistency(size)?).map_err(long)? })).collect();
        List::new(paths?).map_err(long)
    }
}

fn note_of(note: &str) -> Result<Note, StapleFault> {
    Note::new(note.as_bytes()).map_err(|_| StapleFault::TooLarge { what: "the checkpoint" })
}

fn text_of<'a>(note: &'a Note, key: &VerifierKey) -> Result<(Checkpoint, &'a str), StapleFault> {
    let shape = |what| StapleFault::Checkpoint(LogError::Checkpoint { what });
    let text = core::str::from_utf8(note).map_err(|_| shape("it is no text"))?;
    Ok((checkpoint(text, key).map_err(StapleFault::Checkpoint)?, text))
}

/// Sizes and counts alone: a smaller tree has no path to ask for. That the log shrank is a lie only where its witnesses saw it do so.
fn grows(earlier: &Note, note: &str, head: &Checkpoint, rule: &Rule) -> Result<(), StapleFault> {
    let (older, text) = text_of(earlier, rule.log())?;
    let count = |of: &Checkpoint| of.revoked.map_or(0, |(count, _)| count);
    let (got_revoked, known_revoked) = (count(head), count(&older));
    if (head.size, got_revoked) >= (older.size, known_revoked) {
        return Ok(());
    }
    match went_back(text, note, rule.log(), rule.witnesses(), rule.witness_threshold()).map_err(StapleFault::Checkpoint)? {
        true => {
            let fault = LogError::Shrank { older: older.size, newer: head.size };
            Err(StapleFault::Fork { fault, proof: both(text, note, Vec::new()) })
        }
        false => Err(StapleFault::Older { got: head.size, got_revoked, known: older.size, known_revoked }),
    }
}

/// How many revocations the older head named, where the newer head's list does not begin with them.
fn taken_back(older: &Checkpoint, now: &RevocationList) -> Option<u64> {
    older.revoked.filter(|(count, list)| now.digest_of_first(*count) != Some(*list)).map(|(count, _)| count)
}

/// Both heads, as they are kept.
fn both(older: &str, newer: &str, path: Vec<Digest>) -> Box<ForkProof> {
    let note = |text: &str| Note::new(text.as_bytes()).unwrap_or_default();
    Box::new(ForkProof { older: note(older), newer: note(newer), path: List::new(path).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::release::{Revoked, RevokedBuild};

    fn list(builds: &[&str]) -> RevocationList {
        let one = |build: &&str| Revoked { what: RevokedBuild::Build(Text::new(*build).unwrap()), reason: Text::default(), at_s: 1 };
        RevocationList { revoked: List::new(builds.iter().map(one).collect()).unwrap() }
    }

    #[test]
    fn a_list_begins_with_what_was_revoked_before() {
        let head = |revoked| Checkpoint { origin: "log.example".into(), size: 1, root: Digest([1; 32]), revoked };
        let known = head(Some((2, Digest(list(&["a", "b"]).digest()))));
        for good in [&["a", "b"][..], &["a", "b", "c"]] {
            assert_eq!(taken_back(&known, &list(good)), None, "{good:?}");
        }
        // Fewer, none, as many and others, more and others: each is a list every client with the older head refuses.
        for bad in [&["a"][..], &[], &["a", "c"], &["b", "a", "c"]] {
            assert_eq!(taken_back(&known, &list(bad)), Some(2), "{bad:?}");
        }
        assert_eq!(taken_back(&head(None), &list(&["a"])), None);
    }
}
