//! Why a machine does not start, in words for whoever reads its console.
//!
//! Decides: the form of a refusal: what failed, what was found, what to do. Trusts: nothing. Out of scope: what happens then (the process ends, the
//! kernel restarts the machine: `main.rs`).

use std::fmt;

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What was tried.
    pub(crate) step: String,
    /// What was found.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) fix: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}; {}", self.step, self.cause, self.fix)
    }
}

impl std::error::Error for Fault {}

/// A closure for `map_err`: `step` failed, and `fix` helps.
pub(crate) fn fault<E: fmt::Display>(step: impl Into<String>, fix: &'static str) -> impl FnOnce(E) -> Fault {
    let step = step.into();
    move |cause| Fault { step, cause: cause.to_string(), fix }
}
