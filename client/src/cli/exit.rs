//! Exit codes, and how failures become one line for people and one object for programs.
//!
//! Decides: which exit code a failure has; the numbers are stable and listed in `--help`. Trusts: nothing.
//! Out of scope: the failures themselves (`error.rs`, `credential.rs`, `card.rs`).

use crate::SeedFileError;
use crate::anchor::{AnchorError, ReadEvidenceError};
use crate::backup::{BackupError, FetchError, ImportError, KeysError};
use crate::card::ReadCardError;
use crate::credential::CredentialError;
use crate::custodian::CustodianError;
use crate::custodian::drill::ReceiptError;
use crate::custodian::locked::LockError;
use crate::error::{ConnectError, NamespaceError, ReadError, WatchError, WriteError};
use crate::escrow::EscrowError;
use crate::exchange_file::ReadExchangeError;
use crate::governance::GovernanceError;
use crate::measure::MeasureError;
use crate::rekey::RekeyError;
use crate::users::UserError;
use serde_json::{Value, json};
use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Output or another local failure.
    Local = 1,
    /// Wrong usage.
    Usage = 2,
    /// A node's evidence was refused.
    Evidence = 3,
    /// Not found.
    NotFound = 4,
    /// A precondition did not hold.
    Conflict = 5,
    /// No node could be used in time.
    Unavailable = 6,
    /// A write was sent, its outcome is not known.
    OutcomeUnknown = 7,
    /// The credential is not accepted, or the workload may not have the key.
    NotAuthorized = 8,
    /// Too large or too long; nothing was sent.
    TooLarge = 9,
    /// Card, credential or input file unusable.
    File = 10,
    /// Refused by the node for another reason.
    Refused = 11,
    /// Nobody can tell whether a node is good; it is not used.
    CannotTell = 12,
    /// A rollback or a fork of the cluster was detected.
    Detected = 13,
}

impl Exit {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: &[Exit] = &[
        Exit::Done,
        Exit::Local,
        Exit::Usage,
        Exit::Evidence,
        Exit::NotFound,
        Exit::Conflict,
        Exit::Unavailable,
        Exit::OutcomeUnknown,
        Exit::NotAuthorized,
        Exit::TooLarge,
        Exit::File,
        Exit::Refused,
        Exit::CannotTell,
        Exit::Detected,
    ];

    /// The exit code of a failure with this stable code.
    fn of(code: &str) -> Exit {
        match code {
            "RW-C-EVIDENCE"
            | "RW-C-OTHER-CLUSTER"
            | "RW-C-WENT-BACK"
            | "RW-C-POLICY-WENT-BACK"
            | "RW-C-RECEIPT"
            | "RW-C-DEALING-REFUSED"
            | "RW-C-OFFER-REFUSED"
            | "RW-C-BACKUP-REFUSED"
            | "RW-C-NOT-AUTHENTIC"
            | "RW-C-RELEASE-REFUSED" => Exit::Evidence,
            "RW-C-POLICIES-FORKED"
            | "RW-C-ROLLBACK-DETECTED"
            | "RW-C-FORK-DETECTED"
            | "RW-C-AUDIT-ROLLBACK"
            | "RW-C-AUDIT-FORK"
            | "RW-C-AUDIT-BROKEN"
            | "RW-C-RELEASE-FORK" => Exit::Detected,
            "RW-C-CANNOT-TELL" | "RW-C-RELEASE-UNPROVEN" | "RW-C-EPOCH-UNPROVEN" | "RW-C-CUSTODIAN-BEHIND" => Exit::CannotTell,
            "RW-C-NOT-FOUND" | "RW-C-NO-NAMESPACE" | "RW-C-CUSTODIAN-NOTHING" => Exit::NotFound,
            "RW-C-CONFLICT" | "RW-C-SECOND-SESSION" | "RW-C-OLD-EPOCH" | "RW-C-NOT-CONFIRMED" | "RW-C-SHARE-HELD" => Exit::Conflict,
            "RW-C-UNAVAILABLE" | "RW-C-ENDPOINT" | "RW-C-CLOSED" => Exit::Unavailable,
            "RW-C-OUTCOME-UNKNOWN" => Exit::OutcomeUnknown,
            "RW-C-NOT-AUTHORIZED" | "RW-C-NOT-GRANTED" | "RW-C-DEVICE-REVOKED" | "RW-C-DEVICE-SIGNATURE" | "RW-C-NOT-RESTORED" => {
                Exit::NotAuthorized
            }
            "RW-C-VALUE-TOO-LARGE" | "RW-C-KEY-TOO-LONG" | "RW-C-BATCH-TOO-LARGE" => Exit::TooLarge,
            "RW-C-NO-ADDRESS" | "RW-C-USAGE" | "RW-C-BATCH-SHAPE" | "RW-C-NAMESPACE-NAME" | "RW-C-NAMESPACE-NOT-ENTERED" => Exit::Usage,
            "RW-C-OUTPUT" => Exit::Local,
            "RW-C-INPUT" | "RW-C-PHRASE" | "RW-C-DEVICE-CODE" | "RW-C-NO-USER-KEY" | "RW-C-OTHER-USER-KEY" => Exit::File,
            _ if [
                "RW-C-CARD-",
                "RW-C-CREDENTIAL-",
                "RW-C-POLICY-",
                "RW-C-KEY-",
                "RW-C-ANCHOR-",
                "RW-C-ORDER-",
                "RW-C-CUSTODIAN-",
                "RW-C-SHARE-",
                "RW-C-DEALING-",
                "RW-C-OFFER-",
                "RW-C-ESCROW-",
                "RW-C-BACKUP-",
                "RW-C-RELEASE-",
                "RW-C-MEASURE-",
            ]
            .iter()
            .any(|start| code.starts_with(start)) =>
            {
                Exit::File
            }
            _ => Exit::Refused,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A failure on its way out.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// Stable code.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl Trouble {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Trouble { code, message: message.into() }
    }

    /// Its exit code.
    pub(crate) fn exit(&self) -> Exit {
        Exit::of(self.code)
    }

    /// What a program is told of it.
    pub(crate) fn error_json(&self) -> Value {
        json!({ "code": self.code, "exit": self.exit() as u8, "message": self.message })
    }

    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        json!({ "error": self.error_json() }).to_string()
    }
}

macro_rules! troubles {
    ($($kind:ty),* $(,)?) => {$(
        impl From<$kind> for Trouble {
            fn from(fault: $kind) -> Self {
                Trouble::new(fault.code(), fault.to_string())
            }
        }
    )*};
}
troubles!(
    ConnectError,
    NamespaceError,
    ReadError,
    WriteError,
    WatchError,
    CredentialError,
    ReadCardError,
    ReadExchangeError,
    SeedFileError,
    AnchorError,
    ReadEvidenceError,
    CustodianError,
    ReceiptError,
    LockError,
    UserError,
    GovernanceError,
    EscrowError,
    BackupError,
    FetchError,
    ImportError,
    KeysError,
    RekeyError,
    MeasureError
);

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_wire::ids::Revision;

    #[test]
    fn failures_have_the_documented_exit_codes() {
        let conflict = WriteError::Conflict { mutation: 0, current: Revision(4) };
        let unknown = WriteError::OutcomeUnknown { submissions: 2, cause: "the connection was lost".into() };
        let late = ConnectError::Unavailable { waited_ms: 5, tried: Vec::new() };
        let large = WriteError::ValueTooLarge { bytes: 2, most: 1 };
        for (trouble, exit) in [
            (Trouble::from(conflict), 5),
            (Trouble::from(unknown), 7),
            (Trouble::from(late.clone()), 6),
            (Trouble::from(ReadError::Session(late)), 6),
            (Trouble::from(large), 9),
            (Trouble::new("RW-C-NODE-MALFORMED", ""), 11),
            (Trouble::new("RW-C-CARD-IO", ""), 10),
            (Trouble::new("RW-C-CREDENTIAL-EXISTS", ""), 10),
            (Trouble::new("RW-C-POLICY-MALFORMED", ""), 10),
            (Trouble::new("RW-C-KEY-EXPOSED", ""), 10),
            (Trouble::new("RW-C-MEASURE-CONTRADICTION", ""), 10),
            (Trouble::new("RW-C-ORDER-NOT-APPROVED", ""), 10),
            (Trouble::new("RW-C-EVIDENCE", ""), 3),
            (Trouble::new("RW-C-CANNOT-TELL", ""), 12),
            (Trouble::new("RW-C-ROLLBACK-DETECTED", ""), 13),
            (Trouble::new("RW-C-FORK-DETECTED", ""), 13),
            (Trouble::new("RW-C-RECEIPT", ""), 3),
            (Trouble::new("RW-C-ANCHOR-IO", ""), 10),
            (Trouble::new("RW-C-SECOND-SESSION", ""), 5),
            (Trouble::new("RW-C-CUSTODIAN-NOTHING", ""), 4),
            (Trouble::new("RW-C-CUSTODIAN-PASSPHRASE", ""), 10),
            (Trouble::new("RW-C-CUSTODIAN-BEHIND", ""), 12),
            (Trouble::new("RW-C-SHARE-OTHER-SHARE", ""), 10),
            (Trouble::new("RW-C-OFFER-REFUSED", ""), 3),
            (Trouble::new("RW-C-DEALING-MALFORMED", ""), 10),
            (Trouble::new("RW-C-BACKUP-ALTERED", ""), 10),
            (Trouble::new("RW-C-BACKUP-REFUSED", ""), 3),
            (Trouble::new("RW-C-RELEASE-BUNDLE", ""), 10),
            (Trouble::new("RW-C-RELEASE-REFUSED", ""), 3),
            (Trouble::new("RW-C-RELEASE-FORK", ""), 13),
            (Trouble::new("RW-C-RELEASE-UNPROVEN", ""), 12),
        ] {
            assert_eq!(trouble.exit() as u8, exit, "{}", trouble.code);
        }
    }

    #[test]
    fn an_error_object_has_code_exit_and_message() {
        let trouble = Trouble::new("RW-C-CONFLICT", "no");
        assert_eq!(trouble.json(), r#"{"error":{"code":"RW-C-CONFLICT","exit":5,"message":"no"}}"#);
    }
}
