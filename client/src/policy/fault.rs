//! Why a policy file is refused: where, what was found, what is allowed.
//!
//! Decides: the vocabulary of mistakes; each names line and key where there is text, and what to write instead.
//! Trusts: nothing; what is quoted from the file is cut and escaped. Out of scope: finding the mistakes (`read.rs`, `repeated.rs`).

use ringwall_wire::codec::DecodeError;
use std::fmt;
use std::path::PathBuf;

/// Characters of a wrong value that are shown.
const SHOWN: usize = 60;

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path of the key, as in `snp.products[0].min_tcb.snp`; elements count from 0. Empty for the whole document.
    pub key: String,
    /// Line and column in the text, from 1; none for canonical bytes.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(out, "line {line}, column {column}: ")?;
        }
        match self.key.is_empty() {
            true => out.write_str("the document"),
            false => write!(out, "`{}`", self.key),
        }
    }
}

/// Why a file is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFault {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than any policy file.
    #[error("it is larger than any policy file ({most} bytes); is it another file?")]
    TooLarge {
        /// Most bytes.
        most: usize,
    },
    /// It is neither text nor a policy's canonical bytes.
    #[error("it is not UTF-8 text (byte {at}); name a policy in TOML, or the canonical bytes `ringwall policy encode` wrote")]
    NotText {
        /// First byte that is not.
        at: usize,
    },
    /// It begins like canonical bytes and is none.
    #[error("it is no canonical policy: {0}; make it again with `ringwall policy encode`")]
    NotCanonical(DecodeError),
    /// It is no TOML.
    #[error("{place}: no TOML: {cause}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser said.
        cause: String,
    },
    /// A key is missing. Nothing has a default.
    #[error("{place} lacks `{missing}`; every field must be there, none has a default: see `ringwall policy new`")]
    Missing {
        /// The table.
        place: Place,
        /// The key.
        missing: &'static str,
    },
    /// A key nobody knows.
    #[error("{place} is no field of a policy; here are allowed: {}", .allowed.join(", "))]
    UnknownKey {
        /// The key.
        place: Place,
        /// Keys that may stand there.
        allowed: &'static [&'static str],
    },
    /// A name no workload key can have.
    #[error(
        "{place} is no name of a workload key: parts of small letters, digits, '.', '_' and '-', with slashes between them, at most 128 bytes"
    )]
    BadName {
        /// Where.
        place: Place,
    },
    /// A value of another kind.
    #[error("{place} is {found}, wanted is {wanted}")]
    WrongType {
        /// Where.
        place: Place,
        /// Kind of the value.
        found: &'static str,
        /// Kind that is wanted.
        wanted: &'static str,
    },
    /// A number outside its range.
    #[error("{place} is {found}, allowed is a whole number from 0 to {most}")]
    OutOfRange {
        /// Where.
        place: Place,
        /// The number as written.
        found: String,
        /// Largest that is allowed.
        most: u64,
    },
    /// No hex, or of another length.
    #[error("{place} is {found}, wanted are {digits} lower-case hex digits ({} bytes)", .digits / 2)]
    BadHex {
        /// Where.
        place: Place,
        /// The text as written.
        found: String,
        /// Digits that are wanted.
        digits: usize,
    },
    /// A name nobody knows.
    #[error("{place} is {found}, allowed are {allowed}")]
    UnknownName {
        /// Where.
        place: Place,
        /// The name as written.
        found: String,
        /// Names that are known.
        allowed: String,
    },
    /// A text that is too long or holds control characters.
    #[error("{place} is {found}, allowed are at most {most} bytes of text without control characters")]
    BadText {
        /// Where.
        place: Place,
        /// The text as written.
        found: String,
        /// Most bytes.
        most: usize,
    },
    /// A list with too many elements.
    #[error("{place} has {found} elements, at most {most} are allowed")]
    TooMany {
        /// Where.
        place: Place,
        /// How many.
        found: usize,
        /// Most elements.
        most: usize,
    },
    /// The same entry twice.
    #[error("{place} repeats {found}, which `{first}` has already; keep one of them")]
    Repeated {
        /// The later one.
        place: Place,
        /// What is repeated.
        found: String,
        /// Path of the earlier one.
        first: String,
    },
    /// The document is larger than a node or a client reads.
    #[error("the policy takes {bytes} bytes, at most {most} are allowed: name fewer measurements or chips")]
    DocumentTooLarge {
        /// Canonical size.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
}

impl PolicyFault {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            PolicyFault::Io { .. } => "RW-C-POLICY-IO",
            PolicyFault::TooLarge { .. } | PolicyFault::DocumentTooLarge { .. } => "RW-C-POLICY-TOO-LARGE",
            _ => "RW-C-POLICY-MALFORMED",
        }
    }
}

/// A piece of the file, safe and short enough to show.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}
