//! Attested sessions of Ringwall: Noise handshakes, the states a session goes through, and the records it carries. No I/O.
//!
//! Decides: a session carries application bytes only after its state allows it, and the state is a type: [`Session<Unverified>`] has
//! no method that takes application bytes; [`Session::establish`] wants an [`ringwall_attest::AppraisedPeer`] made for this
//! very handshake. Trusts: `attest` for the verdict over evidence, the randomness and the transport binding it is given.
//! Out of scope: sockets, time, who may join or read. Protocol section 3.
//!
//! | step | clients (`Noise_NKpsk2`) | members (`Noise_XX`) |
//! |---|---|---|
//! | handshake | [`ClientDial`], [`answer_client`] | [`PeerDial`], [`PeerAnswer`] |
//! | attestation, on stream 0 | the node attests | both sides attest |
//! | open | [`Session<Attested>`] at the client, [`Session<Serving>`] at the node | [`Session<Attested>`] on both sides |
//! | records | [`Sealer`] and [`Opener`] of each numbered stream ([`record`]) | same |
//! | user | [`user::sign_user`], [`user::verify_user`] | none |
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod client;
pub mod error;
mod noise;
pub mod peer;
pub mod prologue;
pub mod record;
mod schedule;
pub mod secrets;
pub mod session;
pub mod user;

pub use client::{ClientDial, answer_client};
pub use error::ChannelError;
pub use peer::{PeerAnswer, PeerDial};
pub use prologue::{ClientPrologue, PeerPrologue, web_socket_binding, web_transport_binding};
pub use record::{Opener, Sealer};
pub use secrets::NodeSecrets;
pub use session::{Answered, Attested, Open, Serving, Session, Unverified};
