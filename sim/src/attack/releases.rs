//! Attacks on releases: a build that is logged and was signed by nobody who counts, and a log with two faces.
//!
//! Decides: G1 and G3, with the real verifier and minted logs. Logs and witnesses as processes that lie are in `tests/tests/releases.rs`.
//! Trusts: nothing. Out of scope: governance (`governance.rs`), old builds (`evidence.rs`). Protocol section 8, "Releases".

use super::report::Report;
use super::stage::Stage;
use crate::demo::DemoError;
use crate::profile::BuildImage;
use crate::release::{ManagedKey, Publisher, statement_of};
use crate::world;
use ringwall_attest::release::log::consistent;
use ringwall_attest::release::{Ran, ReleaseError, Released, Rule, verify_fork, verify_release};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{Measurement, ReleaseSigners};
use ringwall_wire::release::LogHead;

/// When all of it happens, Unix seconds.
const NOW_S: u64 = 1_800_000_000;

fn broken(words: impl std::fmt::Display) -> DemoError {
    DemoError::Broken(words.to_string())
}

/// Judges a proof for a build by its first SNP launch digest.
fn judged(proof: &[u8], rule: &ReleaseSigners, build: &Measurement, last: Option<&LogHead>) -> Result<Released, ReleaseError> {
    let ran = Ran::Snp(*build.snp.first().expect("a simulated build has a launch digest"));
    verify_release(proof, rule, build, &ran, NOW_S, last)
}

/// G1. Anybody may log anything: the operator logs a build of his own.
pub(super) async fn logged_by_a_stranger(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let mut publisher = Publisher::default();
    let rule = publisher.rule();
    let (good, bad) = (world::build().measurement(), BuildImage::new("backdoor", 1).measurement());
    let honest = publisher.publish(&statement_of(&good), NOW_S);
    judged(&honest.encode(), &rule, &good, None).map_err(broken)?;

    report.did("signed a statement about a build with a backdoor with a key of his own and logged it; log and witnesses did what they do for everybody");
    let mut stranger = Publisher { signers: vec![ManagedKey::p256("the operator")], ..publisher.clone() };
    let own = stranger.publish(&statement_of(&bad), NOW_S);
    report.tried("signed by nobody the policy names", judged(&own.encode(), &rule, &bad, None));

    report.did("bought one of the two signers");
    let signers = publisher.signers.iter().take(1).cloned().collect();
    let bought = Publisher { signers, ..publisher.clone() }.publish(&statement_of(&bad), NOW_S);
    report.tried("signed by one of two who must", judged(&bought.encode(), &rule, &bad, None));

    report.did("gave the entry of his build the bundles of a good release, and the bundles of a good release to his build");
    let mixed = ringwall_wire::release::ReleaseProof { bundles: honest.bundles.clone(), ..own.clone() };
    report.tried("bundles over another statement than the entry's", judged(&mixed.encode(), &rule, &bad, None));
    let renamed = Measurement { id: good.id.clone(), ..bad };
    report.tried("a good release for hardware that reports the other build", judged(&honest.encode(), &rule, &renamed, None));
    report.remains("the entry itself: it stays in the log, where everybody sees that somebody logged that build");
    report.finished()
}

/// G3. The log signs two histories: one for everybody, one for a victim.
pub(super) async fn two_faces(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let mut publisher = Publisher::default();
    let rule = publisher.rule();
    let build = world::build().measurement();
    // Up to here both are one.
    let mut other = publisher.clone();
    let shown = publisher.release(&build, NOW_S);
    let seen = judged(&shown, &rule, &build, None).map_err(broken)?.head().clone();
    other.log.append_leaf(Digest([66; 32]));
    let hidden = other.publish(&statement_of(&build), NOW_S);

    report.did("shows everybody one history, and had the log sign another one for a victim");
    let sizes = (publisher.log.size(), other.log.size());
    let path = other.log.consistency(sizes.0, sizes.1);
    report.tried("an honest witness, who cosigned the first", consistent(&publisher.log.checkpoint(), &other.log.checkpoint(), &path));
    let alone = ringwall_wire::release::ReleaseProof { head: other.log.head(&[], NOW_S), ..hidden.clone() };
    report.tried("a victim who is shown it without cosignatures", judged(&alone.encode(), &rule, &build, None));

    report.did("bought as many witnesses as the policy demands");
    let mut cosigned = hidden;
    cosigned.known = ringwall_wire::bounded::List::new(other.log.known(&[sizes.0])).map_err(broken)?;
    match judged(&cosigned.encode(), &rule, &build, Some(&seen)) {
        Ok(_) => report.won("a client that had seen the first history believes the second"),
        Err(ReleaseError::Fork { error, proof }) => {
            report.answered(format!("a client that had seen the first history: {error}"));
            let rule = Rule::read(&rule).map_err(broken)?;
            match verify_fork(&proof, &rule) {
                Err(fault) => report.remains(format!("both heads, signed by the log: anybody who has its key verifies that {fault}")),
                Ok(()) => report.won("the proof of two histories proves nothing"),
            }
        }
        Err(fault) => return Err(broken(format!("refused for another reason: {fault}"))),
    }
    report.finished()
}
