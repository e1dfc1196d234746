//! The chain of reasons behind a verdict, in words for people.
//!
//! Decides: nothing; each verifying and appraising function adds what it established, in the order it established it.
//! Trusts: nothing. Out of scope: decisions; no code reads these words. Shown by `ringwall verify --explain` and the demo.

use alloc::string::String;

/// One thing that was established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step(String);

impl Step {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Step(words.into())
    }

    /// One sentence without a full stop.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for Step {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(&self.0)
    }
}
