//! `ringwall release verify` and `ringwall release record`: what a proof of release says, once it was judged.
//!
//! Decides: a proof is judged for a build as a policy lists it, or for the evidence of a node that was asked before; "cannot tell" ends otherwise than "bad".
//! A head that was seen before has to be continued, and is replaced by the newer one afterwards. No network. Trusts: the library, the files of this
//! machine. Out of scope: the judging (`ringwall_attest::release`). docs/audit.md.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy::{say, write_new};
use super::release::{build_of, measurements, policy};
use super::release_args::{Record, Verify};
use super::release_log::{exists, keep_fork, replace};
use crate::card::read_card;
use crate::error::ConnectError;
use crate::release::statement::{differs, predicts};
use crate::{Anchors, clock, read_exchange};
use ringwall_attest::release::bundle::Bundle;
use ringwall_attest::release::proof::{Ran, ReleaseError, Released, verify_release};
use ringwall_attest::release::statement::Statement;
use ringwall_attest::{Claims, Finding, Rejection, SessionError, Trace};
use ringwall_wire::codec::Message as _;
use ringwall_wire::limits::{LOG_HEAD_BYTES, RELEASE_PROOF_BYTES};
use ringwall_wire::policy::{Measurement, ReleaseRule, ReleaseSigners};
use ringwall_wire::release::{LogHead, Logged, ReleaseProof, RevocationList, RevokedBuild};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Whether a judgement could not be made, and says nothing bad about the build: as it is for a session.
fn cannot_tell(fault: &ReleaseError) -> bool {
    SessionError::Rejected(Rejection::NotReleased(Box::new(fault.clone()))).finding() == Finding::CannotTell
}

/// A refusal on its way out.
pub(super) fn refusal(fault: &ReleaseError) -> Trouble {
    let code = match fault {
        ReleaseError::Fork { .. } | ReleaseError::RevocationTakenBack { .. } => "RW-C-RELEASE-FORK",
        fault if cannot_tell(fault) => "RW-C-CANNOT-TELL",
        _ => "RW-C-RELEASE-REFUSED",
    };
    Trouble::new(code, fault.to_string())
}

/// Judges a proof for every measurement a policy lists of a build: whichever of them a node reports, it is proven.
pub(super) fn judge_listed(
    proof: &[u8],
    rule: &ReleaseSigners,
    build: &Measurement,
    now_s: u64,
    last: Option<&LogHead>,
) -> Result<Released, ReleaseError> {
    let tuples = build.tdx.iter().cloned().map(Ran::Tdx);
    let all: Vec<Ran> = build.snp.iter().copied().map(Ran::Snp).chain(tuples).collect();
    let Some((first, rest)) = all.split_first() else { return Err(ReleaseError::NotMeasured { build: build.id.to_string() }) };
    let released = verify_release(proof, rule, build, first, now_s, last)?;
    rest.iter().try_for_each(|ran| verify_release(proof, rule, build, ran, now_s, last).map(drop))?;
    Ok(released)
}

/// What is judged.
struct Case {
    proof: Vec<u8>,
    rule: ReleaseSigners,
    build: Measurement,
    /// What hardware reported; none when every measurement the policy lists is looked at.
    ran: Option<Ran>,
    at_s: u64,
}

pub(super) fn run(shared: &SharedOptions, anchors: &Anchors, verify: &Verify) -> Result<Exit, Trouble> {
    let case = match (&verify.from, &verify.proof, &verify.policy) {
        (Some(exchange), ..) => from_exchange(shared, anchors, verify, exchange)?,
        (None, Some(proof), Some(policy)) => from_files(verify, proof, policy)?,
        _ => return Err(Trouble::new("RW-C-USAGE", "name a proof and the policy that demands it, or an exchange with --from")),
    };
    let last = verify.known.as_deref().map(known).transpose()?.flatten();
    let judged = match &case.ran {
        Some(ran) => verify_release(&case.proof, &case.rule, &case.build, ran, case.at_s, last.as_ref()),
        None => judge_listed(&case.proof, &case.rule, &case.build, case.at_s, last.as_ref()),
    };
    let released = match (judged, &verify.known) {
        (Ok(released), _) => released,
        (Err(ReleaseError::Fork { error, proof }), Some(path)) => return Err(keep_fork(path, &proof, error.to_string())),
        (Err(fault @ ReleaseError::RevocationTakenBack { .. }), Some(path)) => {
            let words = fault.to_string();
            let ReleaseError::RevocationTakenBack { proof, .. } = fault else { return Err(refusal(&fault)) };
            return Err(keep_fork(path, &proof, words));
        }
        (Err(fault), _) => return Err(refusal(&fault)),
    };
    if let Some(path) = &verify.measurements {
        let own = measurements(path)?;
        let ran = case.ran.as_ref().filter(|ran| !predicts(&own, ran)).map(|_| "what the hardware reported, which it does not predict");
        if let Some(what) = differs(released.statement(), &own).or(ran) {
            let words = format!("the release is proven, and is not what {} says: they differ in {what}", path.display());
            return Err(Trouble::new("RW-C-RELEASE-REFUSED", words));
        }
    }
    if let Some(path) = &verify.statement {
        write_new(path, &payload(&case.proof)?)?;
    }
    if let Some(path) = &verify.known {
        replace(path, &released.head().encode())?;
    }
    let text = words(&case, &released, verify.measurements.as_deref());
    say(shared.json, &text, object(&released, case.ran.is_some()))
}

fn from_files(verify: &Verify, proof: &Path, policy_file: &Path) -> Result<Case, Trouble> {
    let policy = policy(policy_file)?;
    let rule = demanded(&policy.release)?;
    let proof = bounded_file(proof, RELEASE_PROOF_BYTES)?;
    let name = match &verify.build {
        Some(name) => name.clone(),
        None => logged_build(&proof)?,
    };
    let build = build_of(&policy, &name)?.clone();
    Ok(Case { proof, rule, build, ran: None, at_s: verify.at.unwrap_or_else(clock::now_s) })
}

fn demanded(rule: &ReleaseRule) -> Result<ReleaseSigners, Trouble> {
    match rule {
        ReleaseRule::Demanded(rule) => Ok(rule.clone()),
        ReleaseRule::NotDemanded => {
            Err(Trouble::new("RW-C-POLICY-RELEASE", "the policy demands no proof of release: its own list of builds decides"))
        }
    }
}

fn decoded(proof: &[u8]) -> Result<ReleaseProof, Trouble> {
    ReleaseProof::decode(proof).map_err(|fault| Trouble::new("RW-C-RELEASE-PROOF", format!("this is no proof of release: {fault}")))
}

fn logged_build(proof: &[u8]) -> Result<String, Trouble> {
    match decoded(proof)?.entry.what {
        Logged::Release(release) => Ok(release.build.to_string()),
        _ => Err(Trouble::new("RW-C-RELEASE-PROOF", "the log's entry in this proof is no release")),
    }
}

/// The exact statement all bundles sign; the proof was judged.
fn payload(proof: &[u8]) -> Result<Vec<u8>, Trouble> {
    let first = decoded(proof)?.bundles.first().and_then(|bytes| Bundle::parse(bytes).ok());
    let statement = first.and_then(|bundle| bundle.statement().map(<[u8]>::to_vec));
    statement.ok_or_else(|| Trouble::new("RW-C-RELEASE-PROOF", "the proof has no statement"))
}

/// The exchange is judged as a whole first: a proof counts for the evidence it came with.
fn from_exchange(shared: &SharedOptions, anchors: &Anchors, verify: &Verify, path: &Path) -> Result<Case, Trouble> {
    let exchange = read_exchange(path)?;
    let exchange = match (&shared.card, shared.cluster) {
        (Some(card), expected) => {
            let card = read_card(card, expected)?;
            exchange.pinned_to(card.genesis.cluster_id(), card.policy.version)
        }
        (None, Some(cluster)) => exchange.pinned_to(cluster, Default::default()),
        (None, None) => exchange,
    };
    let at_s = verify.at.unwrap_or_else(|| exchange.at_s());
    let exchange = exchange.as_of(at_s);
    let place = path.display().to_string();
    let refused = |error| ConnectError::of_evidence(place, Arc::new(error), Vec::new());
    let peer = exchange.judge(anchors, &mut Trace::new()).map_err(refused)?;
    let ran = match peer.appraised().claims() {
        Claims::Snp(claims) => Ran::Snp(claims.measurement),
        Claims::Tdx(claims) => Ran::Tdx(claims.tuple.clone()),
    };
    let policy = peer.policy();
    let build = build_of(policy, peer.appraised().measurement())?.clone();
    Ok(Case { proof: exchange.release_proof().to_vec(), rule: demanded(&policy.release)?, build, ran: Some(ran), at_s })
}

fn known(path: &Path) -> Result<Option<LogHead>, Trouble> {
    if !exists(path)? {
        return Ok(None);
    }
    let bytes = bounded_file(path, LOG_HEAD_BYTES)?;
    let wrong = |fault| Trouble::new("RW-C-RELEASE-HEAD", format!("{}: no head of a log: {fault}", path.display()));
    LogHead::decode(&bytes).map(Some).map_err(wrong)
}

fn ran_words(ran: &Ran) -> String {
    match ran {
        Ran::Snp(digest) => format!("SNP launch digest {digest}"),
        Ran::Tdx(tuple) => format!("MRTD {}", tuple.mrtd),
    }
}

/// The steps, in the order in which they hold.
fn words(case: &Case, released: &Released, own: Option<&Path>) -> String {
    let stated = released.statement();
    let mut lines = vec![format!("build {} with security version {} is released", stated.build, stated.svn)];
    lines.push(match &case.ran {
        Some(ran) => format!("  the hardware reported {}, which the statement names", ran_words(ran)),
        None => "  the statement names every measurement the policy lists of it".to_owned(),
    });
    lines.push(format!(
        "  signed by {} of {} signers, {} needed:",
        released.signers().len(),
        case.rule.signers.len(),
        case.rule.signer_threshold
    ));
    lines.extend(released.signers().iter().map(|signer| format!("    {signer}")));
    let head = released.checkpoint();
    lines.push(format!("  in log {} of {} entries, root {}", head.origin, head.size, head.root));
    lines.push(format!("  witnessed at {}, {} needed", ringwall_attest::date(released.head().since_s), case.rule.witness_threshold));
    lines.push(format!("  not among {} revocations", head.revoked.map_or(0, |(count, _)| count)));
    if released.begins_anew() {
        lines.push("  the head that was known is of another log: what is remembered begins anew with this one".into());
    }
    lines.push(format!("  source {}", stated.source));
    lines.push(format!("  commit {}", stated.commit));
    lines.push(format!("  recipe {}", stated.recipe));
    lines.extend(stated.subjects.iter().map(|file| format!("  file {} {}", file.digest, file.name)));
    if let Some(path) = own {
        lines.push(format!("  {} measures to the same", path.display()));
        if !stated.tdx_replays.is_empty() {
            lines.push(format!("  besides it names {} tables of boot events, which no prediction covers", stated.tdx_replays.len()));
        }
    }
    lines.join("\n")
}

fn object(released: &Released, reported: bool) -> Value {
    let (stated, head) = (released.statement(), released.checkpoint());
    json!({
        "released": true, "reported": reported, "build": stated.build, "svn": stated.svn, "source": stated.source, "commit": stated.commit,
        "recipe": stated.recipe.to_string(), "signers": released.signers(),
        "log": { "origin": head.origin, "size": head.size, "root": head.root.to_string(), "since_s": released.head().since_s,
            "begins_anew": released.begins_anew(), "revoked": head.revoked.map_or(0, |(count, _)| count) },
        "files": stated.subjects.iter().map(|file| json!({ "name": file.name, "sha256": file.digest.to_string() })).collect::<Vec<_>>(),
    })
}

/// The record of a release: what is in a folder of releases, one file for each, named by its first measurement.
pub(super) fn record(arguments: &Record, json: bool) -> Result<Exit, Trouble> {
    let bytes = bounded_file(&arguments.proof, RELEASE_PROOF_BYTES)?;
    let proof = decoded(&bytes)?;
    let statement = payload(&bytes)?;
    let stated = Statement::parse(&statement)?;
    let name = stated.snp.first().map(|one| one.digest.to_string()).or_else(|| stated.tdx.first().map(|one| one.tuple.mrtd.to_string()));
    let name =
        name.ok_or_else(|| Trouble::new("RW-C-RELEASE-STATEMENT", "the statement names no measurement a record could be called by"))?;
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or(Value::Null);
    let object = json!({
        "build": stated.build, "svn": stated.svn, "source": stated.source, "commit": stated.commit, "recipe": stated.recipe.to_string(),
        "statement": parsed(&statement),
        "bundles": proof.bundles.iter().map(|bundle| parsed(bundle)).collect::<Vec<_>>(),
        "log": { "leaf": proof.entry.leaf().to_string(), "index": proof.inclusion.index },
        "revocations": revocations(&proof.revocations),
    });
    let path = arguments.folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(&object).map_err(|fault| Trouble::new("RW-C-OUTPUT", fault.to_string()))?;
    write_new(&path, format!("{text}\n").as_bytes())?;
    let shown = path.display().to_string();
    say(json, &format!("{shown}: build {}", stated.build), json!({ "written": shown, "build": stated.build }))
}

/// What had been revoked when the record was written.
fn revocations(list: &RevocationList) -> Value {
    let one = |revoked: &ringwall_wire::release::Revoked| {
        let what = match &revoked.what {
            RevokedBuild::Build(name) => json!({ "build": &**name }),
            RevokedBuild::Snp(digest) => json!({ "snp": digest.to_string() }),
            RevokedBuild::Tdx(tuple) => json!({ "mrtd": tuple.mrtd.to_string() }),
        };
        json!({ "what": what, "reason": &*revoked.reason, "at_s": revoked.at_s })
    };
    list.revoked.iter().map(one).collect()
}
