//! The node: everything around the replicated state machine that makes a process a member of a cluster.
//!
//! One life of a node ([`run::run_node`]) makes its keys in memory, tries its own evidence, founds a cluster or asks to join one, and
//! serves until it leaves or is fenced. A restarted process is another life: new keys, a new name, an empty folder.
//!
//! - [`cli`], [`config`], [`logging`], [`hardening`]: the process. - [`platform`]: the TEE and its roots, behind one interface.
//! - [`endorsements`]: what the vendors say about this machine. - [`attesting`]: evidence of this node, and judging others'.
//! - [`stapling`]: the proof of release that goes with it.
//! - [`kbs`]: workload keys for guests that speak the key broker protocol.
//! - [`clock`], [`entropy`]: the only readers of clock and generator.
//! - [`context`], [`life`]: what parts share, and which states follow which. - [`found`], `join`, [`folders`], [`room`], [`fencing`]: birth, disk and end.
//! - [`ring`], [`custody`]: master keys as they come and go, and shares of what recovers them.
//! - [`governance`]: the policy in force, which changes while a node runs. - `to_leader`: what is brought to one member and belongs before the leader.
//! - `accept`, [`peers`], `front`: who may connect, members, clients; [`web`]: clients that are pages. - [`renewal`]: when their sessions end.
//!
//! Trusts: its TEE, and whoever satisfies the policy. The host, the network and the disk are not trusted with anything but liveness.
//! Protocol sections 3 and 4.

// Unit tests share the sites of the suites in tests/, which name this crate.
#[cfg(test)]
extern crate self as ringwall_node;

mod accept;
mod afterwards;
pub mod attesting;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod custody;
mod drill;
pub mod endorsements;
pub mod entropy;
pub mod fencing;
pub mod folders;
pub mod found;
pub mod front;
pub mod governance;
pub mod hardening;
pub mod heard;
pub mod join;
pub mod kbs;
pub mod life;
pub mod logging;
pub mod peers;
pub mod platform;
pub mod publication;
pub mod recover;
pub mod renewal;
pub mod ring;
pub mod room;
pub mod run;
mod signer;
pub mod stapling;
mod to_leader;
mod watched;
pub mod web;
