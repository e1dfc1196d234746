//! Files a custodian keeps on a machine of their own: secrets under a passphrase or for age, how far the log was seen, what was authorised.
//!
//! Decides: what such a file says in the clear (whose it is, how it is locked) and what one entry of the journal says; each entry names the digest
//! of the one before. None of these files is sent to a node.
//! Trusts: nothing; a decoded file is well-formed, and is believed when its secret part opens and fits its public part.
//! Out of scope: locking and unlocking, ceremonies (`client`). Protocol section 6; bytes: docs/formats.md, "Files of a custodian".

use crate::bounded::{Blob, Text};
use crate::ids::{ClusterId, CustodianId, CustodyEpoch, Digest, Nonce};
use crate::limits::{LOCKED_PUBLIC_BYTES, LOCKED_SECRET_BYTES};
use crate::recovery::{CustodyAnchor, LossTerms};
use crate::{choice, message, record};

choice! {
    /// What a locked file holds.
    #[derive(Copy)]
    pub enum LockedKind {
        /// A custodian's secret keys; the public part is a [`crate::genesis::Custodian`].
        1 => Keys,
        /// One share; the public part is a [`ShareLabel`].
        2 => Share,
    }
}

record! {
    /// How a passphrase becomes a key: Argon2id, version 0x13.
    pub struct PassphraseRule {
        /// Fresh for every file, so that its key locks one plaintext.
        pub salt: [u8; 16],
        /// Memory, KiB.
        pub memory_kib: u32,
        /// Passes over it.
        pub passes: u32,
        /// Lanes.
        pub lanes: u32,
    }
}

choice! {
    /// How a file is locked.
    pub enum Protection {
        /// AES-256-GCM under a key made from a passphrase.
        1 => Passphrase(PassphraseRule),
        /// The format of age, for recipients only that program knows.
        2 => Age,
    }
}

message! {
    /// A secret in a file, locked; and what may be said of it in the clear.
    pub struct LockedFile = LockedFile {
        /// What it is.
        pub kind: LockedKind,
        /// What it is of: authenticated by comparison with the secret part, by whoever opens it.
        pub public: Blob<LOCKED_PUBLIC_BYTES>,
        /// How it is locked.
        pub protection: Protection,
        /// The secret part.
        pub secret: Blob<LOCKED_SECRET_BYTES>,
    }
}

record! {
    /// Which share it is.
    pub struct ShareLabel {
        /// Of which cluster.
        pub cluster_id: ClusterId,
        /// Of which dealing.
        pub custody_epoch: CustodyEpoch,
        /// Its number among the shares.
        pub index: u8,
        /// Whose it is, for people.
        pub custodian: Text<64>,
    }
}

record! {
    /// Of which dealing a journal entry speaks.
    #[derive(Copy)]
    pub struct DealingName {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Custody epoch.
        pub custody_epoch: CustodyEpoch,
        /// SHA-256 of the manifest.
        pub manifest: Digest,
    }
}

record! {
    /// A share was released to a recovering node.
    pub struct Submitted {
        /// Of which dealing.
        pub dealing: DealingName,
        /// To which recovery session.
        pub session: Nonce,
        /// Measured release of the node.
        pub build: Text<64>,
        /// The session a share of the same dealing was released to before, where the custodian insisted.
        pub after: Option<Nonce>,
        /// Why, in the custodian's words, where they insisted.
        pub reason: Text<256>,
    }
}

record! {
    /// A loss was accepted.
    pub struct LossTaken {
        /// Of which dealing the custodian has a share.
        pub dealing: DealingName,
        /// What was signed.
        pub terms: LossTerms,
        /// Measured release of the node.
        pub build: Text<64>,
        /// The session that was answered before, where the custodian insisted.
        pub after: Option<Nonce>,
        /// Why, in the custodian's words, where they insisted.
        pub reason: Text<256>,
    }
}

choice! {
    /// How a secret left the custodian's folder.
    #[derive(Copy)]
    pub enum PaperForm {
        /// A locked file.
        1 => File,
        /// Words for paper.
        2 => Words,
        /// A code for a camera.
        3 => Qr,
    }
}

record! {
    /// A share left the folder, or came back to it.
    #[derive(Copy)]
    pub struct Copied {
        /// Of which dealing.
        pub dealing: DealingName,
        /// In which form.
        pub form: PaperForm,
    }
}

choice! {
    /// What a custodian did.
    pub enum JournalEvent {
        /// Made keys, or typed them in from paper.
        1 => Made(CustodianId),
        /// Took in what the cluster dealt; nothing was judged yet.
        2 => Pulled(DealingName),
        /// Accepted a share, and said so to the cluster.
        3 => Accepted(DealingName),
        /// Proved to hold the share.
        4 => Proved(DealingName),
        /// Released the share.
        5 => Submitted(Submitted),
        /// Exported the share.
        6 => Exported(Copied),
        /// Imported the share.
        7 => Imported(Copied),
        /// Drilled: opened the share and threw it away.
        8 => Drilled(DealingName),
        /// Locked the keys in another way.
        9 => Relocked,
        /// Exported the keys themselves.
        10 => KeysExported(PaperForm),
        /// Accepted that a recovery may lose what is on no disk.
        11 => LossAccepted(LossTaken),
    }
}

message! {
    /// One entry of a custodian's journal.
    pub struct JournalEntry = JournalEntry {
        /// Its number, from 1.
        pub number: u64,
        /// When, Unix seconds by the custodian's own clock.
        pub at_s: u64,
        /// SHA-256 of the entry before; zeros for the first.
        pub previous: Digest,
        /// What happened.
        pub event: JournalEvent,
    }
}

message! {
    /// How far a custodian has seen a cluster's log.
    pub struct KeptAnchor = KeptAnchor {
        /// A signed head, and who signed it.
        pub anchor: CustodyAnchor,
        /// When it was shown, Unix seconds by the custodian's own clock.
        pub seen_at_s: u64,
    }
}
