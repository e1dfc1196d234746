//! The live master keys of a cluster, wrapped to a key that one AMD chip derives for one guest: what lies beside the recovery file where the policy says
//! `same_chips`.
//!
//! Decides: the shape of the wrap, and what its sealing is bound to. Everything outside the sealed part is public and authenticated with it.
//! Trusts: nothing; whoever opens it holds the chip's key. Out of scope: the chip's key and when it is asked for (`node`), the cryptography (`keys`).
//! Protocol section 6.3; layout: docs/formats.md.

use crate::bounded::Blob;
use crate::codec::{Field as _, enc};
use crate::ids::{ClusterId, Digest, Epoch, KeyEpoch, Slot};
use crate::label::Label;
use crate::limits::SEALED_KEYS_BYTES;
use crate::{message, record};
use alloc::vec::Vec;

message! {
    /// Keys wrapped to a chip.
    pub struct PlatformWrap = PlatformWrap {
        /// Which keys, for which place and guest.
        pub place: WrapPlace,
        /// Initialization vector: another one for every wrap.
        pub iv: [u8; 24],
        /// Commitment to the wrapping key: compared before anything is opened.
        pub commit: [u8; 32],
        /// An encoded [`crate::custody::RecoveryKeys`], sealed under [`WrapPlace::words`].
        pub sealed: Blob<SEALED_KEYS_BYTES>,
    }
}

record! {
    /// What a wrap is bound to, and what has to be known to ask the chip for its key.
    #[derive(Copy)]
    pub struct WrapPlace {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Place of the node whose chip it is.
        pub slot: Slot,
        /// Epoch of the cluster.
        pub epoch: Epoch,
        /// Hash of the manifest of the dealing in force: another dealing, another wrap.
        pub manifest: Digest,
        /// Newest master key inside.
        pub newest_key: KeyEpoch,
        /// TCB version that was mixed into the chip's key, in the raw layout of its product: firmware older than that cannot derive it.
        pub tcb_version: u64,
        /// Privilege level the chip's key is for.
        pub vmpl: u32,
    }
}

impl WrapPlace {
    /// What sealing is bound to.
    pub fn words(&self) -> Vec<u8> {
        enc(Label::PlatformWrapped, &[&self.to_bytes()])
    }
}
