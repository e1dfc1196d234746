//! The custodian's side of custody: keys, the share that was dealt, what is acknowledged and released, and a journal of it all.
//!
//! Everything works on files, on a machine without a network: [`ceremony`] has the steps, [`shelf`] what is kept in the folder ([`home`]), [`dealing`] and
//! [`offer`] judge what nodes say, [`drill`] what they ask in a drill, [`loss`] what they ask everybody to give up, [`orders`] who may hold shares, [`share`] what was dealt; [`phrase`] and [`qr`] are the ways to paper, [`locked`] and [`age`] the ways to lock a file.
//! `session` asks nodes over the network.
//!
//! Decides: nothing is acknowledged or released before the node behind it was judged on this machine, by its roots and its clock; a secret is in
//! memory only while a step needs it. Trusts: the pinned card, the roots of trust it is given, its machine.
//! Out of scope: what the cluster does with it (`node`), splitting and sealing (`keys`). Protocol section 6.1.

pub mod age;
pub mod ceremony;
mod cut;
pub mod dealing;
pub mod drill;
pub mod error;
pub mod home;
#[cfg(test)]
mod interrupted;
pub mod journal;
pub mod keys;
pub mod locked;
pub mod loss;
pub mod offer;
pub mod orders;
pub mod phrase;
pub mod qr;
pub(crate) mod session;
pub mod share;
pub mod shelf;

pub use error::CustodianError;
pub use locked::{PASSPHRASE_BYTES, Passphrase};
