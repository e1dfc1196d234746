//! Models of Ringwall's protocols, searched by a model checker. `docs/model/README.md` says what they cover.
//!
//! Decides: what an adversary with bounded means can make of the rules, with all of them and without each one.
//! Trusts: that the models say what the code does; each action names the file. Out of scope: the code itself, which other tests run.

pub mod ask;
pub mod cluster;
pub mod list;
pub mod search;
pub mod session;
