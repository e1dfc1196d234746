//! Keys of Ringwall: the hierarchy from the master key down to one record, and sealing under it.
//!
//! Decides: which key opens what. `MK -> KEK -> DEK -> record keys`; every derivation goes through the closed table in [`mod@derive`];
//! a record is bound to its cluster, namespace, key, client and write, and commits to its key.
//! Trusts: the randomness it is given to be secret, not to be fresh (see [`hedge`]). Takes time from nobody.
//! Out of scope: who may have which key (`node`, `attest`). Protocol sections 6 and 7.
//!
//! - [`ring`]: [`Keyring`], the live master keys of a cluster; namespace tags; wrapping of data keys and workload keys.
//! - [`space`]: [`SpaceKeys`], the keys of one namespace; sealing and opening of records.
//! - [`phrase`]: [`Phrase`], 24 words that restore a user, and the escrow they open.
//! - [`escrow`]: data keys sealed to a phrase, for the day no cluster is left.
//! - [`user`]: [`UserKey`], what a client holds: a user's part of keys in dual mode, all of them in user mode.
//! - [`hedge`]: [`HedgedIvs`], initialization vectors that survive a repeating generator.
//! - [`custody`]: dealing, judging and combining shares of a recovery key, and what it opens.
//! - [`text`]: secrets as words on paper and as one line, with errors that name the place.
//! - [`bucket`]: the sizes a stranger gets to see.
#![no_std]

extern crate alloc;

pub mod bucket;
pub mod custody;
pub mod derive;
pub mod escrow;
pub mod hedge;
pub mod phrase;
pub mod ring;
mod roll;
#[cfg(test)]
mod salamander;
mod sealed;
pub mod space;
pub mod text;
pub mod user;

pub use hedge::HedgedIvs;
pub use phrase::{Phrase, PhraseError};
pub use ring::{CustodyUse, Keyring, KeyringError, WorkloadPlace, workload_user_key};
pub use space::{OpenError, RecordPlace, SealError, SpaceKeys};
pub use user::{UserKey, UserSpace};
