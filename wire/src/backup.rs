//! Backups: a snapshot of one applied index with its proof, how it is fetched; and what opens a user's part of it without the cluster.
//!
//! Decides: a backup's proof is a receipt head whose group is the digest of the snapshot ([`BackupHead::group`]), so that one signature binds state, log tree and
//! index, and no receipt can be read as a backup nor the other way round. Data keys leave a node sealed to a key of the user's recovery phrase, which the
//! user's recovery key has signed. The kinds of a snapshot's items are here because whoever reads a backup is no member.
//! Trusts: nothing; a decoded proof is well-formed, not genuine. Out of scope: making snapshots (`consensus`), who may fetch (`node`), judging (`client`).
//! Protocol sections 9.1 and 9.2; bytes: docs/formats.md, "Backups".

use crate::bounded::{Blob, List};
use crate::codec::enc;
use crate::ids::{ClusterId, CredPublic, Digest, Signature, SpaceTag, UserId, XWingCiphertext, XWingPublic};
use crate::label::Label;
use crate::limits::{BACKUP_PART_BYTES, ESCROW_NAMES, ESCROW_PAGE, ESCROW_PAGE_BYTES, ESCROW_PAGES};
use crate::receipt::{ReceiptHead, Signer};
use crate::request::{KeyMode, Namespace};
use crate::secret::Secret;
use crate::{choice, message, record, tree};
use alloc::boxed::Box;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

/// First bytes of a snapshot.
pub const SNAPSHOT_MAGIC: [u8; 4] = *b"RWS6";
/// First bytes of a backup file.
pub const BACKUP_MAGIC: [u8; 4] = *b"RWB1";

/// Kinds of the items of a snapshot, in the order in which they stand.
pub mod item {
    /// What the state is, beside its rows.
    pub const META: u8 = 1;
    /// A member.
    pub const MEMBER: u8 = 2;
    /// A joiner that is proposed.
    pub const PROPOSAL: u8 = 3;
    /// A dealing.
    pub const DEALING: u8 = 4;
    /// A step of the policy, in force or waiting.
    pub const GOVERNED: u8 = 5;
    /// Exactly-once bookkeeping of a client.
    pub const CLIENT: u8 = 6;
    /// A change event.
    pub const EVENT: u8 = 7;
    /// A tile of the log tree under construction.
    pub const TREE: u8 = 8;
    /// A row: `u8 length of the key, key, value`.
    pub const ROW: u8 = 9;
    /// How many items there were.
    pub const END: u8 = 10;
}

/// First bytes of the keys of rows that whoever reads a backup looks into.
pub mod table {
    /// Namespaces: `1 space`.
    pub const SPACES: u8 = 1;
    /// Records: `2 space key`.
    pub const RECORDS: u8 = 2;
    /// Users: `8 user`.
    pub const USERS: u8 = 8;
}

message! {
    /// What a member says of a snapshot it made.
    pub struct BackupHead = BackupHead {
        /// Where the log stood; its group is [`BackupHead::group`].
        pub head: ReceiptHead,
        /// Bytes of the snapshot.
        pub bytes: u64,
        /// SHA-256 of the snapshot.
        pub state: Digest,
    }
}

message! {
    /// What a backup file begins with.
    pub struct BackupProof = BackupProof {
        /// What was said, and signed.
        pub made: BackupHead,
        /// By whom.
        pub signer: Signer,
    }
}

choice! {
    /// What is asked of a member about backups.
    pub enum BackupAsk {
        /// A snapshot of the state as of this applied index or a later one; none = as of now.
        1 => Begin(Option<u64>),
        /// A part of a snapshot.
        2 => Part(BackupPlace),
    }
}

record! {
    /// Where a part of a snapshot begins.
    #[derive(Copy)]
    pub struct BackupPlace {
        /// Applied index of the snapshot.
        pub index: u64,
        /// SHA-256 of the snapshot.
        pub state: Digest,
        /// Offset of the part.
        pub offset: u64,
    }
}

choice! {
    /// What a member answers.
    pub enum BackupTold {
        /// It is being made; ask again for this index.
        1 => Making(u64),
        /// It is there.
        2 => Ready(Box<BackupHead>),
        /// The bytes from the offset on: [`BACKUP_PART_BYTES`], or fewer at the end.
        3 => Part(Blob<BACKUP_PART_BYTES>),
        /// This member has no such snapshot, or not any more: begin anew, or ask another member.
        4 => Gone,
    }
}

record! {
    /// The key data keys are sealed to for a user, and the word of the user's recovery key that it is theirs.
    pub struct EscrowKey {
        /// Public half of the recovery key.
        pub key: CredPublic,
        /// Public key that the phrase gives beside it.
        pub kem: XWingPublic,
        /// The recovery key's, over [`EscrowKey::words`].
        pub signature: Signature,
    }
}

record! {
    /// Asks for the data keys of the user's namespaces.
    pub struct EscrowAsk {
        /// What they are sealed to.
        pub to: EscrowKey,
        /// Namespaces of the user whose names are to stand beside their keys: the cluster does not know names.
        pub names: List<Namespace, ESCROW_NAMES>,
        /// Only namespaces after this one.
        pub after: Option<SpaceTag>,
    }
}

record! {
    /// Data keys, sealed.
    pub struct EscrowedKeys {
        /// Encapsulated key.
        pub kem: XWingCiphertext,
        /// [`EscrowPage`], sealed.
        pub sealed: Blob<ESCROW_PAGE_BYTES>,
        /// Where the next page begins, if there is one.
        pub next: Option<SpaceTag>,
    }
}

record! {
    /// A namespace's data key.
    pub struct EscrowedSpace {
        /// Which.
        pub space: SpaceTag,
        /// Its key mode.
        pub mode: KeyMode,
        /// Its data key.
        pub dek: Secret<32>,
        /// Its name, where whoever asked knew it.
        pub name: Option<Namespace>,
    }
}

record! {
    /// Data keys of some of a user's namespaces.
    pub struct EscrowPage {
        /// In the order of their tags.
        pub keys: List<EscrowedSpace, ESCROW_PAGE>,
    }
}

message! {
    /// A file of the user's: data keys that open with the phrase alone. Kept beside the escrow.
    pub struct KeysEscrow = KeysEscrow {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// User.
        pub user: UserId,
        /// What the keys are sealed to.
        pub to: EscrowKey,
        /// Index of the log when they were asked for: namespaces that were made later are not among them.
        pub index: u64,
        /// All pages.
        pub pages: List<EscrowedKeys, ESCROW_PAGES>,
    }
}

impl BackupHead {
    /// What stands in a head in place of the group of a receipt.
    pub fn group(cluster_id: &ClusterId, bytes: u64, state: &Digest) -> Digest {
        tree::leaf(&enc(Label::BackupState, &[&cluster_id.0, &bytes.to_be_bytes(), &state.0]))
    }

    /// Whether the head is one of this very snapshot and says one thing: its index is that of the last leaf of its tree.
    pub fn is_whole(&self) -> bool {
        let ReceiptHead { cluster_id, index, tree, group, .. } = &self.head;
        *group == Self::group(cluster_id, self.bytes, &self.state) && index.checked_add(1) == Some(tree.size)
    }
}

impl EscrowKey {
    /// What the recovery key signs.
    pub fn words(cluster_id: &ClusterId, user: &UserId, kem: &XWingPublic) -> Vec<u8> {
        enc(Label::EscrowKeySigned, &[&cluster_id.0, &user.0, &kem.0])
    }

    /// What pages are sealed for: one user of one cluster, one key.
    pub fn purpose(&self, cluster_id: &ClusterId, user: &UserId) -> Vec<u8> {
        enc(Label::EscrowSealed, &[&cluster_id.0, &user.0, &self.key.0, &Sha256::digest(self.kem.0)])
    }
}
