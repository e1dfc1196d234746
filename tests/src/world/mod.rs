//! A deterministic world: whole clusters in one process, on simulated time, network, disks, entropy and clocks.
//!
//! Decides: what runs for real and what stands in. For real: `wire`, `attest`, `channel`, `keys`, `consensus` with openraft, redb and the
//! log, evidence minted by `sim`, and of `node` the rules of admission (`join::endorse`, `join::leader::satisfied`), `governance::cell` and `recover::session`.
//! Stand-ins, line by line: `sessions` for node's `peers/handshake.rs`, `members` for `peers/pool.rs` and `serve.rs`, `admission` for
//! `join/leader.rs`, `endorse.rs` (what takes a `Node`) and `steward.rs`, `process` for `run.rs`, `joiner.rs` and `fencing.rs`, `custody` for
//! `custody/dealer.rs`, `follow` for `governance/follow.rs`, `front` for `front/session.rs`, `requests.rs`, `reads.rs`, `client` for the client crate. Not run: `quic`, and node's
//! `accept.rs`, `front/{writes,outbox,quotes,lists,watch,expiry}.rs`.
//! Bit-exact: all of a world, one thread and one seed; every frame, answer, fault and digest goes into its hash. Statistical: nothing but
//! CPU time. Worlds run beside each other share no state but caches of verdicts (`attest`) and of minted keys (`sim`), which are pure.
//! Trusts: nothing. Out of scope: real sockets (`tests/tests/three`), power cuts at every write. Decision 0019; protocol 4, 5, 1.2.

pub mod admission;
pub mod campaign;
pub mod client;
pub mod custody;
pub mod dice;
pub mod disks;
pub mod drills;
pub mod flaws;
mod follow;
pub mod front;
pub mod governors;
pub mod hostile;
mod images;
pub mod impostor;
pub mod judge;
pub mod kinds;
mod lenient;
pub mod machines;
pub mod members;
pub mod ops;
pub mod pipes;
pub mod plan;
pub mod process;
pub mod proof;
mod receipts;
pub mod rogue;
pub mod run;
pub mod sessions;
pub mod settings;
pub mod site;
pub mod strikes;
pub mod trace;
pub mod vcpu;
