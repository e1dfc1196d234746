//! Policies beside one another: what a change of a policy tightens and what it loosens, and the names of everything a policy says with a number.
//!
//! - [`compare`]: every difference of two documents and its kind ([`Change`]); the whole change is of the greatest kind among them ([`change`]).
//! - [`COMPARE_RULES`]: the edition of these rules, which builds compare before they judge together.
//! - [`names`]: one spelling for each value and bit.
//!
//! Decides: the kind of a difference, which decides whether a change waits. Trusts: nothing. Out of scope: who approved the change
//! (`approval.rs`), whether it may happen at all (`governance.rs`). Protocol section 8.

mod compare;
pub mod names;
mod statements;

pub use compare::{COMPARE_RULES, Change, Difference, change, compare};
