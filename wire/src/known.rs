//! What a client remembers of how a cluster is governed, beside the receipts of its anchor; and what it is given in a file to bring to the cluster.
//!
//! Decides: the shape of the file. It begins with the founding policy, so that its reader needs nothing else to judge the changes that follow; the last of
//! these made the newest policy the client has verified.
//! Trusts: nothing; a decoded file is well-formed. Out of scope: judging changes (`attest`), keeping the file (`client`). Protocol sections 5.2 and 8.

use crate::codec::{DecodeError, Message as _};
use crate::governance::{NoticeFor, PolicyRow, PolicyStep};
use crate::bounded::List;
use crate::ids::{ClusterId, Digest, UserId};
use crate::limits::ANCHOR_RECEIPTS;
use crate::message;
use crate::policy::PolicyDoc;
use crate::receipt::{Anchor, Evidence, Signer};
use crate::release::{ForkProof, LogHead};
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

message! {
    /// The newest policy a client has verified, and how it came about.
    pub struct KnownPolicy = KnownPolicy {
        /// Whose.
        pub cluster_id: ClusterId,
        /// The policy the cluster was founded with.
        pub founding: PolicyDoc,
        /// The changes since, in their order.
        pub steps: PolicyRow,
    }
}

impl KnownPolicy {
    /// SHA-256 of the newest policy.
    pub fn digest(&self) -> Digest {
        self.steps.last().map_or_else(|| Digest(self.founding.digest()), made)
    }

    /// The newest policy.
    pub fn policy(&self) -> Result<PolicyDoc, DecodeError> {
        self.steps.last().map_or_else(|| Ok(self.founding.clone()), |step| PolicyDoc::decode(&step.signed.policy))
    }

    /// SHA-256 of every policy there was, oldest first, the newest last.
    pub fn digests(&self) -> Vec<Digest> {
        core::iter::once(Digest(self.founding.digest())).chain(self.steps.iter().map(made)).collect()
    }

    /// The same with the changes that came after it.
    pub fn followed_by(&self, steps: &[PolicyStep]) -> Result<Self, DecodeError> {
        let mut known = self.clone();
        steps.iter().try_for_each(|step| known.steps.push(step.clone()))?;
        Ok(known)
    }
}

/// SHA-256 of the policy a change made: its bytes are canonical.
fn made(step: &PolicyStep) -> Digest {
    Digest(Sha256::digest(&*step.signed.policy).into())
}

message! {
    /// The proof that a change which waits was public, as a file that is brought to the cluster.
    pub struct NoticePaper = NoticePaper {
        /// Which change, and the proof.
        pub notice: NoticeFor,
    }
}

message! {
    /// Everything a client remembers of one cluster for one user, as one record: for whoever has no files (a page, a program in another language).
    pub struct KeptMemory = KeptMemory {
        /// Of which cluster.
        pub cluster_id: ClusterId,
        /// For whom.
        pub user: UserId,
        /// What the cluster confirmed.
        pub anchor: Option<Anchor>,
        /// Who signed that.
        pub signers: List<Signer, { ANCHOR_RECEIPTS + 1 }>,
        /// That what was confirmed was taken back, or denied; nothing is begun after it.
        pub detected: Option<Evidence>,
        /// The newest policy, and how it came about.
        pub policy: Option<KnownPolicy>,
        /// The newest head of the release log.
        pub head: Option<LogHead>,
        /// That the release log lied; nothing is begun after it.
        pub log_lied: Option<ForkProof>,
    }
}
