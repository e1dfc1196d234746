//! The appraisal policy as people read, write, sign and explain it.
//!
//! - [`from_toml`] and [`to_toml`]: the readable form, lossless both ways; [`PolicyFile`] reads either form from a file.
//! - [`template`]: what an operator starts from; [`simulated_template`] for clusters that protect nothing.
//! - [`boot_table`]: a table of allowed boot events from the log of a known boot; [`replay_to_toml`] writes it; [`measurement_to_toml`] writes one build.
//! - [`explain`]: what a policy lets in and why, its dangerous allowances ([`Explanation`]), and why it may let nothing in.
//! - [`compare`]: what a change tightens and what it loosens.
//! - [`grant_from_toml`], [`grant_to_toml`], [`grant_template`], [`GrantFile`]: the policy a workload key is granted under.
//! - [`GovernorKey`]: the key of one who may change a policy or order a node away; approvals are verified in `attest`.
//!
//! Decides: nothing about evidence; a policy read here is the document `attest` judges by, byte for byte. Trusts: nothing it reads.
//! Out of scope: carrying a policy to a running cluster. Protocol sections 2.2 and 8; docs/policy.md.

mod boot_table;
mod dangers;
mod explain;
mod fault;
mod file;
mod governor;
mod grant;
mod obstacles;
mod read;
mod repeated;
mod table;
mod template;
mod write;

use ringwall_attest::policy::names;

pub use boot_table::{BootTable, boot_table};
pub use dangers::dangers;
pub use explain::{Explanation, Point, Section, explain};
pub use fault::{Place, PolicyFault};
pub use file::PolicyFile;
pub use governor::GovernorKey;
pub use grant::{GrantFile, grant_from_toml, grant_template, grant_to_toml};
pub use obstacles::{Obstacles, obstacles};
pub use read::{POLICY_FILE_BYTES, from_toml};
pub use ringwall_attest::policy::{Change, Difference, compare};
pub use template::{simulated_template, template};
pub use write::{measurement_to_toml, replay_to_toml, to_toml};
