//! The module of the page with the roots of simulated nodes in place of the vendors': for the demo and for tests, never shipped.
//!
//! Decides: which roots count; everything else is `ringwall.rs`. Trusts: the page for time and randomness (docs/core.md). Out of scope: the page, the calls.

use ringwall_session::spoken::Spoken;
use ringwall_web::words::Words;

static WORDS: Words = Words::new(|| Spoken::new(ringwall_sim::anchors()));

ringwall_web::exported_words!();
