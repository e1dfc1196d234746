//! The state machine: what committed commands do.
//!
//! Decides: the state after each entry, as a pure function of the entries before it. Trusts: nothing in an entry.
//! Out of scope: how entries are agreed on. Protocol sections 4 and 5.

pub mod view;
