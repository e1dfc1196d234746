//! Ringwall for other languages: the core in words behind a C interface.
//!
//! A caller reads a card (`ringwall_card`), judges a saved exchange without a network (`ringwall_verify`), or keeps a session with a cluster. For that there are two ways:
//!
//! - `ringwall_open` and `ringwall_handle`: the caller carries out effects itself (docs/core.md), with the sockets and the loop it has. `client/ffi/examples/python` does.
//! - `ringwall_connect`, `ringwall_put`, `ringwall_get`, `ringwall_ask`: the caller gives functions, and a thread of this library carries effects out with them.
//!
//! Decides: nothing about nodes, evidence or data: `ringwall-session` does, for this as for the native client and the page. Here it is decided what may cross: no panic, no
//! pointer that is null or not ours, no handle that was closed, no second call at the same time on one client, no call from inside a callback.
//! Trusts: the caller for what its pointers point to, for time and for randomness. Out of scope: sockets, files. docs/c-interface.md; `client/ffi/include/ringwall.h`.

#[cfg(not(panic = "unwind"))]
compile_error!("a panic must not cross the boundary to C: build this library with panic = \"unwind\"");

mod callbacks;
mod client;
mod core;
mod driver;
pub mod exports;
mod fault;
mod frame;
mod host;
mod ledger;
mod roots;
#[cfg(test)]
mod scripted;
mod table;

pub use callbacks::RingwallHost;
pub use driver::{DIAL_MS, RECEIVE_BYTES};
pub use fault::Status;
pub use frame::HEAD_BYTES;
pub use host::Over;
pub use table::HANDLES;
