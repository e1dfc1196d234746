//! A log of releases and its witnesses, as processes that speak the protocols of C2SP and can be made to lie.
//!
//! | file | what it decides |
//! |---|---|
//! | [`tile_log`] | what the log shows, and to whom it shows something else |
//! | [`witness`] | how a witness answers; its judgement is that of `ringwall release witness` |
//! | [`serve`] | connections: this machine alone |
//! | [`program`] | `ringwall-sim log` and `ringwall-sim witness` |
//! | [`local`] | one log and its witnesses, started and ended together |
//!
//! Trusts: nothing, protects nothing: every key follows from a name. Out of scope: records and bundles (`release`), verifying (`ringwall_attest`).

pub mod local;
pub mod program;
pub mod serve;
pub mod tile_log;
pub mod witness;
