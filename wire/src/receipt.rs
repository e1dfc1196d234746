//! Receipts: a member's signed word for where the log stood when it answered.
//!
//! Decides: the fields a client needs to notice a rollback or a fork by itself. Protocol section 5.2.
//! Trusts: nothing. Out of scope: issuing and checking (they come with the log tree).

use crate::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, Nonce, Signature, SpaceTag};
use crate::message;

message! {
    /// One receipt.
    pub struct Receipt = Receipt {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Epoch.
        pub epoch: Epoch,
        /// Log index.
        pub index: u64,
        /// Term of the entry.
        pub term: u64,
        /// Leaves of the log tree.
        pub tree_size: u64,
        /// Its root.
        pub tree_root: Digest,
        /// The user's namespace.
        pub space: SpaceTag,
        /// Writes of that namespace so far.
        pub user_seq: u64,
        /// Chain over them.
        pub user_digest: Digest,
        /// The asking client.
        pub client: ClientId,
        /// Its nonce.
        pub nonce: Nonce,
        /// Who signs.
        pub incarnation: Incarnation,
        /// Signature over `enc("receipt-signed", ...)` of everything above.
        pub signature: Signature,
    }
}
