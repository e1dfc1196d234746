//! What became of the last round and what is held, in words for people and as facts for tests.
//!
//! Decides: nothing. Each fault keeps the name of its document; nothing in here is secret.
//! Trusts: nothing. Out of scope: acting on it (`keeper`).

use super::cache::Kept;
use super::document::Edition;
use super::part::Part;
use core::fmt;
use std::time::Duration;

/// One round of asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// When, Unix seconds.
    pub at_s: u64,
    /// New editions taken.
    pub news: u32,
    /// Documents that are what was held.
    pub same: u32,
    /// What the service asked to wait.
    pub retry_after: Option<Duration>,
    faults: Vec<String>,
}

impl Round {
    pub(crate) fn beginning(at_s: u64) -> Self {
        Round { at_s, ..Round::default() }
    }

    /// Whether everything asked for came and was taken.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// What went wrong, one after the other; empty when nothing did.
    pub fn faults(&self) -> String {
        self.faults.join("; ")
    }

    pub(crate) fn failed(&mut self, part: &Part, fault: &dyn fmt::Display) {
        self.faults.push(format!("{part}: {fault}"));
    }
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartStatus {
    /// Its name.
    pub name: String,
    /// Which edition is held, if one is.
    pub edition: Option<Edition>,
    /// When a source last gave it, Unix seconds; 0 when only the host did.
    pub fetched_s: u64,
}

impl PartStatus {
    pub(crate) fn new(part: &Part, kept: Option<&Kept>) -> Self {
        PartStatus {
            name: part.to_string(),
            edition: kept.map(|kept| kept.document.edition()),
            fetched_s: kept.map_or(0, |kept| kept.fetched_s),
        }
    }
}

/// Everything at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// When this was said, Unix seconds.
    pub now_s: u64,
    /// Where documents come from.
    pub source: String,
    /// What this machine needs.
    pub parts: Vec<PartStatus>,
    /// Rounds that failed since the last good one.
    pub failures: u32,
    /// When the next round is due, Unix seconds.
    pub due_s: u64,
    /// The last round.
    pub last: Option<Round>,
}

impl fmt::Display for PartStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.edition {
            None => write!(out, "{}: missing", self.name),
            Some(edition) => write!(
                out,
                "{}: edition {} of {}, in force until {}, fetched at {}",
                self.name,
                edition.number,
                date(edition.issued_s),
                date(edition.expires_s),
                if self.fetched_s == 0 { "no time (from the host)".to_owned() } else { date(self.fetched_s) }
            ),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "source: {}", self.source)?;
        for part in &self.parts {
            writeln!(out, "{part}{}", if part.edition.is_some_and(|edition| edition.is_over(self.now_s)) { " (ran out)" } else { "" })?;
        }
        match &self.last {
            Some(round) if round.is_good() => writeln!(out, "last asked {}: all well", date(round.at_s))?,
            Some(round) => writeln!(out, "last asked {} ({} failures): {}", date(round.at_s), self.failures, round.faults())?,
            None => writeln!(out, "not asked yet")?,
        }
        write!(out, "next time {}", date(self.due_s))
    }
}

/// Unix seconds as people read them, in UTC.
pub(crate) fn date(seconds: u64) -> String {
    der::DateTime::from_unix_duration(Duration::from_secs(seconds)).map_or_else(|_| seconds.to_string(), |date| date.to_string())
}
