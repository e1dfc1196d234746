//! Releases: what is published about a build, the log it is published in, and the proof a node staples.
//!
//! Decides: the shape of a log entry (the leaf of the release log), of the list of what was revoked, of a proof of release, of what a client
//! remembers of the log, and of the proof that a policy change was public. Signed notes and Sigstore bundles travel as the exact bytes their own
//! specifications define.
//! Trusts: nothing; a decoded proof proves nothing. Out of scope: judging any of it (`attest`). Protocol section 8, "Releases".

use crate::bounded::{Blob, List, Text};
use crate::codec::{Message as _, enc_digest};
use crate::ids::{ClusterId, Digest, Epoch};
use crate::label::Label;
use crate::limits::{
    BUNDLE_BYTES, KNOWN_HEADS, LOG_PATH, NOTE_BYTES, PUBLISHED_ENTRIES, RELEASE_BUNDLES, REVOCATIONS, TREE_PATH, TRUSTED_ROOT_BYTES,
};
use crate::policy::{MeasurementRegister, TdxTuple};
use crate::receipt::EpochStart;
use crate::tree::leaf;
use crate::{choice, message, record};
use alloc::vec::Vec;

/// A C2SP signed note, exact bytes: text with line feeds, so not a `Text`.
pub type Note = Blob<NOTE_BYTES>;
/// A Sigstore bundle, exact bytes of its JSON.
pub type BundleBytes = Blob<BUNDLE_BYTES>;
/// Siblings of a leaf, from below.
pub type LogPath = List<Digest, LOG_PATH>;
/// A consistency path as `tree.rs` makes and reads it: it opens with the subtree the older tree ends in, always.
pub type ConsistencyPath = List<Digest, TREE_PATH>;

message! {
    /// One entry of the release log; its canonical bytes are the leaf.
    pub struct LogEntry = LogEntry {
        /// What was published.
        pub what: Logged,
    }
}

choice! {
    /// What an entry publishes.
    pub enum Logged {
        /// A release.
        1 => Release(LoggedRelease),
        /// A change of a cluster's policy, before it may come into force.
        2 => PolicyChange(LoggedPolicy),
        /// A recovery after a total outage.
        3 => EpochStart(LoggedEpoch),
        /// A dealing of a recovery key.
        4 => Custody(LoggedCustody),
    }
}

record! {
    /// A release, as the log has it.
    pub struct LoggedRelease {
        /// SHA-256 of the statement (the exact DSSE payload) that all signers signed.
        pub statement: Digest,
        /// Name of the build.
        pub build: Text<64>,
        /// Its security version.
        pub svn: u32,
        /// What [`bundles_digest`] gives for its bundles, in the order in which they are stapled.
        pub bundles: Digest,
    }
}

record! {
    /// A policy change, as the log has it.
    pub struct LoggedPolicy {
        /// Whose policy.
        pub cluster_id: ClusterId,
        /// SHA-256 of the `signed_words` of the signed policy: the step from the old policy to the new one.
        pub step: Digest,
    }
}

record! {
    /// A recovery, as the log has it.
    pub struct LoggedEpoch {
        /// Whose.
        pub cluster_id: ClusterId,
        /// The epoch that began.
        pub epoch: Epoch,
        /// SHA-256 of its record, an encoded [`EpochStart`].
        pub record: Digest,
    }
}

record! {
    /// A dealing, as the log has it.
    pub struct LoggedCustody {
        /// Whose.
        pub cluster_id: ClusterId,
        /// SHA-256 of the manifest.
        pub manifest: Digest,
    }
}

impl LogEntry {
    /// The hash of the leaf this entry is.
    pub fn leaf(&self) -> Digest {
        leaf(&self.encode())
    }

    /// The entry that makes a policy change public: `step` is SHA-256 of the `signed_words` of the signed policy.
    pub fn policy_change(cluster_id: ClusterId, step: Digest) -> Self {
        LogEntry { what: Logged::PolicyChange(LoggedPolicy { cluster_id, step }) }
    }

    /// The entry that makes a recovery public.
    pub fn epoch_start(start: &EpochStart) -> Self {
        let EpochStart { cluster_id, epoch, .. } = *start;
        LogEntry { what: Logged::EpochStart(LoggedEpoch { cluster_id, epoch, record: Digest(start.digest()) }) }
    }

    /// The entry that makes a dealing public: `manifest` is the hash its dealer signed.
    pub fn custody(cluster_id: ClusterId, manifest: Digest) -> Self {
        LogEntry { what: Logged::Custody(LoggedCustody { cluster_id, manifest }) }
    }
}

/// What names these bundles, in this order, in a log entry.
pub fn bundles_digest(bundles: &[BundleBytes]) -> Digest {
    let parts: Vec<&[u8]> = bundles.iter().map(|bundle| &**bundle).collect();
    Digest(enc_digest(Label::ReleaseBundles, &parts))
}

record! {
    /// Where an entry is in the log.
    pub struct LogProof {
        /// Index of the leaf.
        pub index: u64,
        /// Siblings, from below.
        pub path: LogPath,
    }
}

message! {
    /// Everything that was revoked, oldest first. Nothing is ever taken out, so the digest of a prefix stays what it was. A checkpoint names
    /// count and digest in its extension line `ringwall-revoked`.
    pub struct RevocationList = RevocationList {
        /// What was revoked.
        pub revoked: List<Revoked, REVOCATIONS>,
    }
}

record! {
    /// One revocation.
    pub struct Revoked {
        /// What.
        pub what: RevokedBuild,
        /// Why, for people.
        pub reason: Text<256>,
        /// When, Unix seconds.
        pub at_s: u64,
    }
}

choice! {
    /// A build, by its name or by what hardware reports of it.
    pub enum RevokedBuild {
        /// Every measurement of the build of this name.
        1 => Build(Text<64>),
        /// An SNP launch digest.
        2 => Snp(MeasurementRegister),
        /// A TDX tuple.
        3 => Tdx(TdxTuple),
    }
}

impl RevocationList {
    /// The digest a checkpoint names when the list had its first `count` entries; none when it has not as many.
    pub fn digest_of_first(&self, count: u64) -> Option<Digest> {
        let first = self.revoked.get(..usize::try_from(count).ok()?)?;
        let first = RevocationList { revoked: List::new(first.to_vec()).ok()? };
        Some(Digest(first.digest()))
    }
}

message! {
    /// A proof of release: stapled by nodes, judged by whoever opens a session. Every part is needed, and nothing else is in it.
    pub struct ReleaseProof = ReleaseProof {
        /// Sigstore's trusted root (JSON) when the policy pins one, by its SHA-256.
        pub trusted_root: Option<Blob<TRUSTED_ROOT_BYTES>>,
        /// Sigstore bundles over one statement, each by another signer of the policy.
        pub bundles: List<BundleBytes, RELEASE_BUNDLES>,
        /// The entry of the log: a release.
        pub entry: LogEntry,
        /// Where the entry is in the tree of `checkpoint`.
        pub inclusion: LogProof,
        /// A checkpoint that has the entry, signed by the log.
        pub checkpoint: Note,
        /// From `checkpoint` to `head`; empty when they are of one size.
        pub consistency: ConsistencyPath,
        /// The newest checkpoint, signed by the log and cosigned by its witnesses.
        pub head: Note,
        /// What `head` says was revoked, whole.
        pub revocations: RevocationList,
        /// From heads that were stapled earlier to `head`, ascending: a client finds the one it remembers.
        pub known: List<KnownHead, KNOWN_HEADS>,
    }
}

record! {
    /// How the newest head continues an earlier one.
    pub struct KnownHead {
        /// Size of the earlier head.
        pub size: u64,
        /// From it to the newest.
        pub path: ConsistencyPath,
    }
}

message! {
    /// A proof that entries are public: they are in the tree of one checkpoint, which the log signed and its witnesses cosigned.
    pub struct Published = Published {
        /// The checkpoint.
        pub checkpoint: Note,
        /// The entries, each at another place, ascending.
        pub entries: List<PublishedEntry, PUBLISHED_ENTRIES>,
    }
}

record! {
    /// An entry, and where it is.
    pub struct PublishedEntry {
        /// What was published.
        pub entry: LogEntry,
        /// Its place in the tree of the checkpoint.
        pub proof: LogProof,
    }
}

message! {
    /// The newest head a client has verified; it keeps it and never goes back behind it.
    pub struct LogHead = LogHead {
        /// The checkpoint with the signatures it came with.
        pub note: Note,
        /// By when enough witnesses had cosigned it, Unix seconds.
        pub since_s: u64,
    }
}

message! {
    /// Two heads of one log that cannot both be of one history: proof against the log's operator that anybody can verify.
    pub struct ForkProof = ForkProof {
        /// The head that was known.
        pub older: Note,
        /// The head that contradicts it.
        pub newer: Note,
        /// From the newer root to another older one; empty when the sizes alone contradict.
        pub path: ConsistencyPath,
    }
}

record! {
    /// Proof that a policy change was public for a time before it came into force.
    pub struct PolicyNotice {
        /// A witnessed checkpoint that has the entry.
        pub published: Note,
        /// Where the entry is in its tree.
        pub proof: LogProof,
        /// A witnessed checkpoint of a later time.
        pub later: Note,
        /// From `published` to `later`; empty when they are of one size.
        pub consistency: ConsistencyPath,
    }
}
