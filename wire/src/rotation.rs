//! Generations of the master key, as the group replicates them: a new one begins, data keys move to it, an old one ends.
//!
//! Decides: the commands, the log's name for a key, and the offer it travels in. A rotation carries the recovery blob and the custody keys with it in one entry, so that there is no moment in which
//! a live key is missing from what custodians can recover. The new key itself is never in the log.
//! Trusts: nothing. Out of scope: how members get the new key (an attested session), wrapping (`keys`). Protocol section 7.5.

use crate::bounded::List;
use crate::command::WrappedKey;
use crate::custody::{DealtKeys, RecoveryBlob};
use crate::ids::{Digest, Incarnation, KeyEpoch, SpaceTag};
use crate::limits::{REWRAP_SPACES, REWRAP_WORKLOADS};
use crate::secret::Secret;
use crate::workload::WorkloadName;
use crate::{choice, record};
use alloc::boxed::Box;

choice! {
    /// A step of a rotation, as a command.
    pub enum KeyCommand {
        /// A new generation begins: data keys are wrapped under it from now on.
        1 => Rotate(Box<KeyRotate>),
        /// Data keys move to the newest generation.
        2 => Rewrap(Rewrap),
        /// A generation ends: nothing is wrapped under it any more.
        3 => Retire(KeyEpoch),
        /// The keys of a dealing, active or not, move to the newest generation.
        4 => RewrapDealt(Box<RewrappedDealt>),
        /// Workload keys move to the newest generation.
        5 => RewrapWorkloads(List<RewrappedWorkload, REWRAP_WORKLOADS>),
    }
}

record! {
    /// A generation of the master key, as everybody may see it.
    #[derive(Copy)]
    pub struct KeyGeneration {
        /// Which.
        pub key_epoch: KeyEpoch,
        /// Commitment to the key: tells it from another one and gives nothing of it, so that all members hold the same.
        pub commit: Digest,
    }
}

record! {
    /// A new master key on its way to a member, in an attested session, before the log names it.
    pub struct KeyOffer {
        /// What the log will name.
        pub generation: KeyGeneration,
        /// The key the commitment is of.
        pub key: Secret<32>,
    }
}

record! {
    /// Begins a generation.
    pub struct KeyRotate {
        /// Which: its number is the newest plus one.
        pub generation: KeyGeneration,
        /// Who made it, and hands it to members that ask.
        pub by: Incarnation,
        /// What custodians can recover from now on; none where no dealing is active.
        pub custody: Option<RotatedCustody>,
    }
}

record! {
    /// What a rotation changes of the active dealing.
    pub struct RotatedCustody {
        /// All live keys, the new one among them, sealed to the active recovery key.
        pub recovery: RecoveryBlob,
        /// The dealing's keys, wrapped under the new generation.
        pub keys: DealtKeys,
    }
}

record! {
    /// Moves data keys.
    pub struct Rewrap {
        /// To which generation: the newest.
        pub to: KeyEpoch,
        /// Which.
        pub spaces: List<RewrappedSpace, REWRAP_SPACES>,
    }
}

record! {
    /// One namespace's data key under the newest master key.
    pub struct RewrappedSpace {
        /// Whose.
        pub space: SpaceTag,
        /// The generation it was wrapped under: if it is another by now, nothing is changed.
        pub from: KeyEpoch,
        /// The same data key, wrapped anew.
        pub dek: WrappedKey,
    }
}

record! {
    /// Moves the keys of a dealing.
    pub struct RewrappedDealt {
        /// Hash of its manifest.
        pub manifest: Digest,
        /// The same keys, wrapped under the newest generation.
        pub keys: DealtKeys,
    }
}

record! {
    /// One workload key under the newest master key.
    pub struct RewrappedWorkload {
        /// Its name.
        pub name: WorkloadName,
        /// The grant policy it is wrapped for: if it is another by now, nothing is changed.
        pub policy: Digest,
        /// The generation it was wrapped under: the same.
        pub from: KeyEpoch,
        /// The same key, wrapped anew for the same policy.
        pub key: WrappedKey,
    }
}

choice! {
    /// Why a step of a rotation does not fit. Every replica comes to the same answer.
    #[derive(Copy)]
    pub enum RotationFault {
        /// The generation is not the newest plus one.
        1 => NotNext,
        /// A dealing is active and the rotation does not carry it, or carries another.
        2 => NotCustody,
        /// Not the newest generation.
        3 => NotNewest,
        /// Data keys, workload keys or keys of a dealing are still wrapped under it.
        4 => InUse,
        /// No such generation is alive.
        5 => NoGeneration,
        /// Too many generations are alive: retire one first.
        6 => TooMany,
        /// Who made the key is not a voter.
        7 => NotVoter,
        /// The namespace was erased: its name is not used again.
        8 => Erased,
    }
}

impl RotationFault {
    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        match self {
            RotationFault::NotNext => "the generation is not the next one: another rotation came first",
            RotationFault::NotCustody => "the rotation does not carry the active dealing: custodians could not recover the new key",
            RotationFault::NotNewest => "data keys move to the newest generation only",
            RotationFault::InUse => "keys are still wrapped under this generation; wait until all are moved",
            RotationFault::NoGeneration => "no such generation is alive",
            RotationFault::TooMany => "too many generations are alive; wait until the oldest is retired",
            RotationFault::NotVoter => "who made the key is not a voter any more",
            RotationFault::Erased => "the namespace was erased and its name is not used again; choose another name",
        }
    }
}
