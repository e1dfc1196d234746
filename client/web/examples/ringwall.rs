//! The module of the page, `ringwall.wasm`: the client's core, with the vendors' own roots and no other.
//!
//! Decides: which roots count. Trusts: the page for time and randomness (docs/core.md). Out of scope: the page, the calls.

use ringwall_session::spoken::Spoken;
use ringwall_web::words::Words;

static WORDS: Words = Words::new(Spoken::production);

ringwall_web::exported_words!();
