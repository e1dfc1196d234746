//! Sessions between nodes: handshake with attestation on both sides, calls to members, and answering theirs.
//!
//! - [`handshake`]: PeerHello, Noise XX, evidence in both directions; ends in a session or a typed refusal.
//! - `introduction`: admission proofs, where a dialler is not known yet.
//! - `pages`: asking for evidence and being asked, where the two are further apart than one answer carries.
//! - [`records`]: whole messages over one stream of an attested session.
//! - `pool`: one outgoing session for each member, calls in four classes; the transport of `consensus`.
//! - `serve`: incoming sessions of members; feeds the gate of `consensus`.
//!
//! Protocol sections 3 ("Peer") and 4 ("RPC gate").

pub mod handshake;
pub(crate) mod introduction;
pub(crate) mod lane;
mod pages;
pub(crate) mod pool;
pub mod records;
pub(crate) mod serve;
