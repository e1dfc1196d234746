//! The tables of [`ReleaseError`]: a proof of release that does not prove it.
//!
//! Decides: stage, finding, advice, found and expected of each variant. What was signed falsely, taken back, revoked or shows two histories is bad;
//! what is missing, old, unreadable or not yet caught up cannot be told, and is refused all the same.
//! Trusts: the facts in the error. Out of scope: the evidence itself (`account/rejection.rs`). Protocol section 8, "Releases".

use super::{Advice, Facts, Finding, Ruling};
use crate::release::{BundleError, LogError, ReleaseError};
use crate::step::{Stage, date};
use alloc::format;
use ringwall_wire::ids::Digest;

impl ReleaseError {
    pub(super) fn ruling(&self) -> Ruling {
        use Advice::{AskForProof, CompareClocks, DoNotUse, RefreshProof, UpdatePolicy, UpdateProgram};
        use Finding::{Bad, CannotTell};
        use ReleaseError as E;
        let (finding, advice) = match self {
            E::Rule(_) => (CannotTell, UpdatePolicy),
            E::Malformed(_) => (CannotTell, UpdateProgram),
            E::OtherRoot { .. } | E::TooFewSigners { .. } => (CannotTell, AskForProof),
            E::Bundle { error, .. } => of_bundle(error),
            E::Stranger { .. } | E::SignerTwice { .. } | E::OtherStatement { .. } | E::Statement(_) => (Bad, DoNotUse),
            E::OtherBuild { .. } | E::OtherSvn { .. } | E::NotMeasured { .. } | E::OtherEntry { .. } => (Bad, DoNotUse),
            E::Log(error) => of_log(error),
            E::HeadTooOld { .. } | E::HeadOlder { .. } | E::HeadUnknown { .. } => (CannotTell, RefreshProof),
            E::HeadFromFuture { .. } => (CannotTell, CompareClocks),
            E::LastHead(_) => (CannotTell, RefreshProof),
            E::Fork { .. } | E::OtherRevocations | E::RevocationTakenBack { .. } | E::Revoked { .. } => (Bad, DoNotUse),
        };
        (Stage::Release, finding, advice)
    }

    // tidy: a table of one row a variant, clearer in one piece
    pub(super) fn facts(&self) -> Facts {
        use ReleaseError as E;
        match self {
            E::Rule(error) => (format!("a rule that proves nothing: {error}"), "signers, witnesses and a log that can be verified".into()),
            E::Malformed(error) => (format!("a proof of release that cannot be read: {error}"), "a proof of this version".into()),
            E::OtherRoot { got, pinned } => {
                let named = |digest: &Option<Digest>| digest.map_or_else(|| "no trusted root".into(), |one| format!("trusted root {one}"));
                (named(got), named(pinned))
            }
            E::Bundle { at, error } => (format!("bundle {at}: {error}"), "a bundle that verifies".into()),
            E::Stranger { at, who } => (format!("bundle {at}, signed by {who}"), "bundles of the policy's signers alone".into()),
            E::SignerTwice { signer } => (format!("two bundles of {signer}"), "one of each signer".into()),
            E::TooFewSigners { signed, threshold } => (format!("signatures of {signed} signers"), format!("of {threshold} or more")),
            E::OtherStatement { at } => (format!("another statement in bundle {at}"), "the statement the log has, in each".into()),
            E::Statement(error) => (format!("a signed statement that is not understood: {error}"), "a statement about a release".into()),
            E::OtherBuild { stated, ran } => (format!("a release of build {stated:?}"), format!("one of build {ran:?}")),
            E::OtherSvn { stated, policy } => (format!("security version {stated}"), format!("{policy}, as the policy says")),
            E::NotMeasured { build } => {
                (format!("a release of {build} without this measurement"), "one that names what the hardware reported".into())
            }
            E::OtherEntry { what } => (format!("a log entry that differs in {what}"), "the entry of this release".into()),
            E::Log(error) => (format!("the release log: {error}"), "checkpoints and paths that verify".into()),
            E::HeadTooOld { age_s, allowed_s } => {
                (format!("a checkpoint witnessed {age_s} s ago"), format!("one of the last {allowed_s} s"))
            }
            E::HeadFromFuture { since_s, now_s } => {
                (format!("a checkpoint witnessed at {}", date(*since_s)), format!("one from before {}", date(*now_s)))
            }
            E::HeadOlder { got, known } => {
                (format!("a checkpoint of {got} entries"), format!("one of {known} or more and no fewer revocations, as seen before"))
            }
            E::HeadUnknown { got, known } => {
                (format!("a checkpoint of {got} entries alone"), format!("a path to it from the one of {known} entries seen before"))
            }
            E::LastHead(error) => (format!("a kept checkpoint that cannot be read: {error}"), "the checkpoint as it was kept".into()),
            E::Fork { error, .. } => (format!("two histories: {error}"), "one history that only grows".into()),
            E::OtherRevocations => ("another list of revocations".into(), "the list the checkpoint names, whole".into()),
            E::RevocationTakenBack { known, .. } => {
                ("a list of revocations that was rewritten".into(), format!("one that begins with the {known} known ones"))
            }
            E::Revoked { build, reason, at_s } => {
                (format!("build {build}, revoked at {}: {}", date(*at_s), reason), "a build nobody revoked".into())
            }
        }
    }
}

fn of_bundle(error: &BundleError) -> (Finding, Advice) {
    match error {
        BundleError::Future { .. } => (Finding::CannotTell, Advice::CompareClocks),
        BundleError::Root { .. } => (Finding::CannotTell, Advice::UpdatePolicy),
        BundleError::Shape { .. } | BundleError::NoTime | BundleError::NoRoot { .. } => (Finding::CannotTell, Advice::AskForProof),
        BundleError::Certificate { .. } | BundleError::Signature | BundleError::OtherArtifact => (Finding::Bad, Advice::DoNotUse),
        BundleError::Entry { .. } | BundleError::Timestamp { .. } => (Finding::Bad, Advice::DoNotUse),
        BundleError::LogKeySpan { .. } | BundleError::OtherKind { .. } => (Finding::Bad, Advice::DoNotUse),
    }
}

fn of_log(error: &LogError) -> (Finding, Advice) {
    match error {
        LogError::TooFewWitnesses { .. } | LogError::NoPath { .. } => (Finding::CannotTell, Advice::RefreshProof),
        LogError::Witness { .. } => (Finding::CannotTell, Advice::UpdatePolicy),
        LogError::Note(_) | LogError::Checkpoint { .. } | LogError::OtherLog { .. } | LogError::NotIncluded { .. } => {
            (Finding::Bad, Advice::DoNotUse)
        }
        LogError::Shrank { .. } | LogError::Forked { .. } => (Finding::Bad, Advice::DoNotUse),
    }
}
