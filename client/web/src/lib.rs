//! What lets the verifier's crates be used where there is no process: as a module (`wasm32-unknown-unknown`) in a page, or under node.
//!
//! `wire`, `attest`, `channel` and `keys` compile for that target as they are: no rule is written again for it. What a module adds is its [`door`]: bytes in,
//! bytes out. A module imports nothing: time, randomness and every answer of a network come in as bytes, so what a page cannot give it cannot use.
//!
//! The module that is shipped is `examples/ringwall.rs`: the client's core in [`words`], docs/core.md. `examples/simulated.rs` is the same with the roots of simulated nodes.
//! The module that shows that it is the same code is `examples/conformance.rs`: it judges published evidence with the code that `ringwall-conformance` runs, and
//! `.ci/wasm.py` compares, case by case, what it says under node and in a browser with what that program says.
//!
//! Trusts: whoever loads the module for what the bytes are. Out of scope: judging (`ringwall-attest`); pages. docs/conformance.md, "In WebAssembly".

pub mod door;
pub mod qr;
pub mod words;
