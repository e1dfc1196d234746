//! Attacks on releases: a build that is logged and nobody's, a loosening nobody could see, a log with two faces.
//!
//! Decides: G1 and G3 with the real judges of proofs and of policy changes, and a log whose operator is the attacker. What is honest is judged first and must
//! hold, so that a refusal means the thing that was changed. Trusts: nothing. Out of scope: a loosening with too few signatures (`governance.rs`), servers of
//! logs and witnesses (`logs`). Protocol section 8.

use super::report::Report;
use super::stage::Stage;
use crate::answering::NOW_S;
use crate::demo::DemoError;
use crate::profile::BuildImage;
use crate::release::{ManagedKey, Publisher, statement_of};
use crate::world;
use ringwall_attest::governance::verify_steps;
use ringwall_attest::release::{Ran, ReleaseError, Released, verify_release};
use ringwall_client::anchor::LogForkFile;
use ringwall_client::policy::GovernorKey;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{ClusterId, Digest, PolicyVersion};
use ringwall_wire::policy::{Governance, Measurement, PolicyDoc, ReleaseSigners, SignedPolicy};
use ringwall_wire::release::{LogEntry, LogHead, PolicyNotice, ReleaseProof};
use ringwall_wire::secret::Secret;

const CLUSTER: ClusterId = ClusterId([7; 32]);
/// Seconds a loosening has to be public.
const DELAY_S: u32 = 259_200;

fn broken(what: &str) -> DemoError {
    DemoError::Broken(what.into())
}

fn backdoor() -> Measurement {
    BuildImage::new("backdoor", 9).measurement()
}

/// An AMD machine runs this build.
fn runs(build: &Measurement) -> Ran {
    Ran::Snp(*build.snp.first().expect("a simulated build has an AMD measurement"))
}

fn judge(proof: &[u8], rule: &ReleaseSigners, build: &Measurement, last: Option<&LogHead>) -> Result<Released, ReleaseError> {
    verify_release(proof, rule, build, &runs(build), NOW_S, last)
}

/// G1. A build in the public log that no named signer signed; then a policy that would let it in, pushed before anybody could see it.
pub(super) async fn logged(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let mut publisher = Publisher::default();
    let (rule, good) = (publisher.rule(), world::build().measurement());
    let honest = publisher.publish(&statement_of(&good), NOW_S);
    judge(&honest.encode(), &rule, &good, None).map(drop).map_err(|fault| DemoError::Broken(format!("an honest release: {fault}")))?;
    report.did("published a build of their own in the public log: the entry is there, its checkpoint is signed and witnessed");
    let signers = vec![ManagedKey::p256("operator"), ManagedKey::ed25519("operator's other key")];
    let own = Publisher { signers, ..publisher.clone() }.publish(&statement_of(&backdoor()), NOW_S);
    report.tried("logged, and signed by keys the policy does not name", judge(&own.encode(), &rule, &backdoor(), None));
    let one = publisher.signers.first().cloned().ok_or_else(|| broken("there are signers"))?;
    let proof = Publisher { signers: vec![one], ..publisher.clone() }.release(&backdoor(), NOW_S);
    report.tried("logged, and signed by one of two named signers", judge(&proof, &rule, &backdoor(), None));
    report.did("gave that entry the bundles of a good release, and his hardware a good release");
    let mixed = ReleaseProof { bundles: honest.bundles.clone(), ..own };
    report.tried("bundles over another statement than the entry's", judge(&mixed.encode(), &rule, &backdoor(), None));
    let renamed = Measurement { id: good.id.clone(), svn: good.svn, ..backdoor() };
    report.tried("a good release for hardware that reports the other build", judge(&honest.encode(), &rule, &renamed, None));
    report.did("had two named signers sign the build in secret, logged it nowhere, and gave it the place of the good release");
    let secret = publisher.clone().publish(&statement_of(&backdoor()), NOW_S);
    let unlogged = ReleaseProof { entry: secret.entry, bundles: secret.bundles, ..honest };
    report.tried("signed as the policy demands, and nowhere in the log", judge(&unlogged.encode(), &rule, &backdoor(), None));
    unseen(&mut report, publisher)?;
    report.remains(
        "the entry in the log, for everybody to see; the signed step with its notice, which anybody judges: `ringwall policy verify`",
    );
    report.finished()
}

/// The step by which two governors of three let the backdoor in, and the policy it replaces.
fn loosening(publisher: &Publisher) -> Result<(PolicyDoc, SignedPolicy), DemoError> {
    let governors: Vec<GovernorKey> = (1..=3).map(|number| GovernorKey::from_seed(Secret::new([number; 32]))).collect();
    let keys = List::new(governors.iter().map(GovernorKey::public).collect()).map_err(|_| broken("three keys fit"))?;
    let governance = Governance { keys, threshold: 2, timelock_s: DELAY_S, lease_s: 0 };
    let in_force = PolicyDoc { governance, release: publisher.demanded(), ..world::policy() };
    let mut loosened = PolicyDoc { version: PolicyVersion(2), ..in_force.clone() };
    loosened.measurements.push(backdoor()).map_err(|_| broken("two builds fit"))?;
    let policy = Blob::new(loosened.encode()).map_err(|_| broken("a policy fits"))?;
    let mut signed = SignedPolicy { replaces: Some(Digest(in_force.digest())), policy, signatures: List::default() };
    for governor in governors.iter().take(2) {
        signed.signatures.push(governor.approve(&signed)).map_err(|_| broken("two signatures fit"))?;
    }
    Ok((in_force, signed))
}

/// A loosening two of three governors were made to sign, without the time in which the others would have seen it.
fn unseen(report: &mut Report, mut publisher: Publisher) -> Result<(), DemoError> {
    let (in_force, signed) = loosening(&publisher)?;
    let judged = |notice: Option<PolicyNotice>| {
        let step = PolicyStep { signed: signed.clone(), notice };
        verify_steps(&CLUSTER, &in_force, &[step]).map(drop)
    };
    report.did("had two of three governors, as many as must, sign a policy that accepts the build, and put it in force before the others could object");
    report.tried("a loosening nobody was shown", judged(None));
    let index = publisher.log.append(&LogEntry::policy_change(CLUSTER, signed.change()));
    let from = publisher.log.size();
    let published = publisher.log.head(&publisher.witnesses, NOW_S);
    let proof = publisher.log.inclusion(index, from);
    publisher.log.append_leaf(Digest([2; 32]));
    let consistency = publisher.log.consistency(from, publisher.log.size());
    let after = |witnesses: &[crate::release::Witness], wait_s: u64| PolicyNotice {
        published: published.clone(),
        proof: proof.clone(),
        later: publisher.log.head(witnesses, NOW_S + wait_s),
        consistency: consistency.clone(),
    };
    let delay_s = u64::from(DELAY_S);
    report.tried("published a minute before", judged(Some(after(&publisher.witnesses, 60))));
    report.tried("with a later checkpoint that one witness of two cosigned", judged(Some(after(&publisher.witnesses[..1], delay_s))));
    judged(Some(after(&publisher.witnesses, delay_s)))
        .map_err(|fault| DemoError::Broken(format!("a change that was public in time: {fault}")))
}

/// G3. The log shows one victim a build that nobody else sees.
pub(super) async fn two_faces(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let mut publisher = Publisher::default();
    let (rule, good) = (publisher.rule(), world::build().measurement());
    let mut face = publisher.clone();
    let released = judge(&publisher.release(&good, NOW_S), &rule, &good, None);
    let seen = released.map_err(|fault| DemoError::Broken(format!("an honest release: {fault}")))?.head().clone();
    report.did("had a build for one victim signed by everybody the policy names, and put it into another history of the log, which nobody else is shown");
    // The witnesses have seen the other face and cosign no second one; one of them is the attacker's.
    face.cosigning = 1;
    let proof = face.release(&backdoor(), NOW_S);
    report.tried("a checkpoint of that history, which one witness of three cosigned", judge(&proof, &rule, &backdoor(), None));
    report.did("then had two witnesses lie as well, and showed it to a client that had seen the log's other face");
    face.cosigning = 3;
    let mut proof = face.publish(&statement_of(&backdoor()), NOW_S);
    proof.known = List::new(face.log.known(&[publisher.log.size()])).map_err(|_| broken("one head fits"))?;
    let judged = judge(&proof.encode(), &rule, &backdoor(), Some(&seen));
    let kept = match &judged {
        Err(ReleaseError::Fork { proof, .. }) => Some(LogForkFile((**proof).clone())),
        _ => None,
    };
    report.tried("a history that does not continue the head the client remembers", judged);
    let stranger =
        kept.and_then(|file| LogForkFile::from_bytes(&file.to_bytes())).ok_or_else(|| broken("no proof of the fork was kept"))?;
    match stranger.verify(&rule) {
        Ok(Some(lied)) => report.remains(format!("a file that proves it to everybody (`ringwall receipt verify`): {lied}")),
        other => return Err(DemoError::Broken(format!("the proof of the fork proves nothing: {other:?}"))),
    }
    report.finished()
}
