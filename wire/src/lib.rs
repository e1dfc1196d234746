//! Every byte that crosses a trust boundary of Ringwall.
//!
//! This crate decides how values become bytes and back, which messages exist, and how large anything may be. It holds no policy and
//! takes no decision about trust: a decoded message is well-formed, not genuine.
//!
//! - [`codec`], [`mod@shape`], [`bounded`]: the canonical encoding and the types that carry their limits.
//! - [`ids`], [`evidence`], [`policy`], [`genesis`]: identities, evidence, the appraisal policy, the founding record.
//! - [`session`], [`admission`], [`request`], [`receipt`]: what clients and nodes say to each other. [`tree`]: Merkle trees.
//! - [`custody`], [`rotation`], [`custodian`], [`recovery`]: shares, generations of keys, what custodians ask, total outage. [`platform`]: keys wrapped to a chip. [`assist`]: disks over the network. [`keeper`]: a session that outlives its process.
//! - [`governance`]: how the policy of a running cluster changes.
//! - [`command`], [`peer`]: what the group replicates and how members talk. [`keeping`]: what custodians keep in files.
//! - [`backup`]: a snapshot with its proof as it is fetched and kept, and data keys sealed to a user's phrase.
//! - [`workload`]: keys granted to programs in TEEs of their own, and what is written down of it.
//! - [`without`], [`spared`]: defences a build for attacks, and parts a benchmark, can leave out; in any other build, nothing. [`counted`]: calls of primitives, counted for tests alone.
//!
//! It depends on no other member, has no I/O, no clock and no generator.
#![no_std]

extern crate alloc;

pub mod shape;

pub mod admission;
pub mod assist;
pub mod backup;
pub mod bounded;
pub mod card_text;
pub mod codec;
pub mod command;
pub mod counted;
pub mod custodian;
pub mod custody;
pub mod drill;
pub mod evidence;
pub mod genesis;
pub mod governance;
pub mod ids;
pub mod keeper;
pub mod keeping;
pub mod known;
pub mod label;
pub mod limits;
pub mod order;
pub mod peer;
pub mod platform;
pub mod policy;
pub mod receipt;
pub mod recovery;
pub mod release;
pub mod request;
pub mod rotation;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
pub mod secret;
pub mod session;
pub mod spared;
pub mod text;
pub mod tree;
pub mod user;
pub mod version;
pub mod without;
pub mod workload;
