//! Where documents come from, and what may go wrong there.
//!
//! Decides: the one interface to a vendor's service, a mirror of it or a folder, and the closed list of failures: each says what a person can
//! do, and whether asking again soon makes sense.
//! Trusts: nothing. Authenticity rests on the vendors' signatures, which are verified before a document is used; TLS only keeps others from
//! reading which chip asks, and from handing out an old document that is still in force. Out of scope: verifying (`shelf`). Protocol section 2.2.

use super::document::{Document, DocumentError};
use super::part::Part;
use std::time::Duration;

/// Gives documents. Blocks for at most a few of [`FETCH_TIME`](super::limits::FETCH_TIME).
pub trait Source: Send + Sync {
    /// The newest edition of `part` this source has.
    fn fetch(&self, part: &Part) -> Result<Document, FetchError>;

    /// What it is called, for people.
    fn name(&self) -> String;
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nobody answers, or the name is unknown, or TLS failed, or the connection broke.
    #[error("{url}: {reason}; check the network, the address and the firewall of this guest")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It took too long.
    #[error("{url}: no complete answer within {limit:?}")]
    Slow {
        /// Where.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The service refuses, or is in trouble.
    #[error("{url}: HTTP status {status}{}", after(.retry_after))]
    Status {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The service points elsewhere; nothing is followed.
    #[error("{url}: HTTP status {status} points to another address, which is not followed; configure the address it points to")]
    Redirect {
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
    /// More bytes than a document of this kind can have.
    #[error("{url}: the answer is longer than {max} bytes")]
    TooLarge {
        /// Where.
        url: String,
        /// Limit.
        max: usize,
    },
    /// Not HTTP, or HTTP of a kind nobody asked for.
    #[error("{url}: {what}; is it the address of such a service?")]
    Protocol {
        /// Where.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// The answer is not the document.
    #[error("{url}: not the document asked for: {cause}")]
    Document {
        /// Where.
        url: String,
        /// What is wrong with it.
        cause: DocumentError,
    },
    /// This source has no such document.
    #[error("{part} is not to be had from {source_name}: {fix}")]
    NotServed {
        /// Which document.
        part: String,
        /// Where.
        source_name: String,
        /// What to do.
        fix: &'static str,
    },
}

fn after(wait: &Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(", asks to wait {} s", wait.as_secs()))
}

impl FetchError {
    /// Whether the whole service is in trouble, so that its other documents need not be asked for now.
    pub fn is_service(&self) -> bool {
        match self {
            FetchError::Unreachable { .. } | FetchError::Slow { .. } | FetchError::Redirect { .. } => true,
            FetchError::Status { status, .. } => *status == 429 || *status >= 500,
            FetchError::TooLarge { .. } | FetchError::Protocol { .. } | FetchError::Document { .. } | FetchError::NotServed { .. } => false,
        }
    }

    /// How long the service asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            FetchError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
