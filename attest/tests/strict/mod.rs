//! The strict policy of `sim`, which the conformance program uses too, under the name the tests here know it by.
//!
//! Decides: nothing. Trusts: `ringwall_sim::strict`. Out of scope: everything else.
#![allow(unused_imports, unreachable_pub)]

pub use ringwall_sim::strict::{GUEST_POLICY_KNOWN, ZERO, binding, boot_config, list, policy};
