//! The verbs of `ringwall release` that talk to a release log: revoking, witnessing, stapling.
//!
//! Decides: a list of revocations is only added to; a witness looks once and says what it saw; a proof that would be refused is not written, unless a
//! revocation is to be shown. Two histories of a log are kept beside what was asked for.
//! Trusts: the library. Out of scope: the protocols (`crate::release`). docs/runbooks/releases.md.

use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy::{say, write_new};
use super::release::{build_of, bundles, entry, policy};
use super::release_args::{Revoke, Staple, Witness};
use super::release_verify::{judge_listed, refusal};
use super::show;
use crate::clock;
use crate::release::http::Http;
use crate::release::note::{NoteKey, NoteKind};
use crate::release::staple::{StapleFault, Stapling};
use crate::release::tiles::{REVOCATIONS_BYTES, TileLog};
use crate::release::witness::{Submission, Witness as Judge, WitnessRefusal};
use ringwall_attest::release::log::checkpoint;
use ringwall_attest::release::note::VerifierKey;
use ringwall_attest::release::{ReleaseError, Rule};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message as _;
use ringwall_wire::limits::{RELEASE_PROOF_BYTES, TRUSTED_ROOT_BYTES};
use ringwall_wire::policy::ReleaseRule;
use ringwall_wire::release::{ForkProof, ReleaseProof, RevocationList, Revoked, RevokedBuild};
use serde_json::json;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

impl From<WitnessRefusal> for Trouble {
    fn from(fault: WitnessRefusal) -> Self {
        Trouble::new(fault.code(), fault.to_string())
    }
}

/// Replaces a file, whole: it is the old one or the new one whatever happens.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let failed = |fault: std::io::Error| Trouble::new("RW-C-OUTPUT", format!("{}: {fault}", path.display()));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let written = std::fs::File::create(&beside).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.and_then(|()| std::fs::rename(&beside, path)).map_err(failed)
}

/// Whether there is such a file; a fault is none of the two answers.
pub(super) fn exists(path: &Path) -> Result<bool, Trouble> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(false),
        Err(fault) => Err(Trouble::new("RW-C-INPUT", format!("{}: {fault}", path.display()))),
    }
}

/// Adds one revocation.
pub(super) fn revoke(arguments: &Revoke, json: bool) -> Result<Exit, Trouble> {
    let malformed = |fault: String| Trouble::new("RW-C-RELEASE-REVOCATIONS", format!("{}: {fault}", arguments.list.display()));
    let mut list = match exists(&arguments.list)? {
        true => RevocationList::decode(&bounded_file(&arguments.list, REVOCATIONS_BYTES)?)
            .map_err(|fault| malformed(format!("no list of revocations: {fault}")))?,
        false => RevocationList { revoked: Default::default() },
    };
    let usage = |words: &str| Trouble::new("RW-C-USAGE", words);
    let what = match (&arguments.build, &arguments.snp) {
        (Some(build), _) => RevokedBuild::Build(Text::new(build.as_str()).map_err(|_| usage("a build's name has at most 64 bytes"))?),
        (None, Some(hex)) => RevokedBuild::Snp(hex.parse().map_err(|_| usage("an SNP launch digest is 96 lower-case hex digits"))?),
        (None, None) => return Err(usage("name what is revoked with --build or --snp")),
    };
    match (list.revoked.iter().any(|one| one.what == what), &arguments.log_url) {
        (true, None) => return Err(Trouble::new("RW-C-CONFLICT", "it is revoked already; with --log-url the list is handed in once more")),
        // The list was written, and nobody knows whether the log has it: the same bytes are handed in again.
        (true, Some(_)) => {}
        (false, _) => {
            let reason =
                Text::new(arguments.reason.as_str()).map_err(|_| usage("a reason has at most 256 bytes and no control characters"))?;
            let full = |_| malformed("it is full: a log of its own begins with the next policy".into());
            list.revoked.push(Revoked { what, reason, at_s: clock::now_s() }).map_err(full)?;
            replace(&arguments.list, &list.encode())?;
        }
    }
    if let Some(url) = &arguments.log_url {
        TileLog::new(url, Http::new()).revoke(&list)?;
    }
    let (shown, count) = (arguments.list.display().to_string(), list.revoked.len());
    let text = format!("{shown}: {count} revoked in all; clients learn of it from the next proof that is stapled");
    say(json, &text, json!({ "written": shown, "revoked": count }))
}

fn verifier(text: &str) -> Result<VerifierKey, Trouble> {
    VerifierKey::parse(text).map_err(|fault| Trouble::new("RW-C-USAGE", fault.to_string()))
}

/// Looks at the log once.
pub(super) fn witness(arguments: &Witness, json: bool) -> Result<Exit, Trouble> {
    let key = NoteKey::read(&arguments.key, &arguments.name, NoteKind::Timed)?;
    let log = verifier(&arguments.log)?;
    let (http, known_as) = (Http::new(), key.verifier_key());
    let tiles = TileLog::new(&arguments.log_url, http.clone());
    std::fs::create_dir_all(&arguments.folder)
        .map_err(|fault| Trouble::new("RW-C-OUTPUT", format!("{}: {fault}", arguments.folder.display())))?;
    let mut judge = Judge::new(key, vec![log.clone()], &arguments.folder);
    let note = tiles.checkpoint()?;
    let newer = checkpoint(&note, &log).map_err(WitnessRefusal::NotSigned)?;
    let old = judge.known(&log)?.map_or(0, |(older, _)| older.size);
    if old > newer.size {
        // Somebody may serve an old one: a smaller head of an honest log proves nothing (protocol section 8).
        let words = format!(
            "the log shows a checkpoint of {} entries, this witness has cosigned one of {old}: it is an older one, or the log shrank; not cosigned; ask again, then \
             ask whoever runs the log",
            newer.size
        );
        return Err(Trouble::new("RW-C-CANNOT-TELL", words));
    }
    let path = tiles.tree(newer.size, newer.root)?.consistency(old)?;
    let line = judge.cosign(&Submission { old, path, note: note.clone() }, clock::now_s())?;
    if arguments.submit {
        let url = format!("{}/add-cosignature", arguments.log_url.trim_end_matches('/'));
        http.post(&url, "text/plain", line.as_bytes(), 4_096)?.expect(&url, &[200])?;
    }
    let object = json!({ "log": log.name(), "size": newer.size, "from": old, "line": line.trim_end(), "witness": known_as });
    say(json, &format!("log {} with {} entries continues the one with {old}\n{}", log.name(), newer.size, line.trim_end()), object)
}

/// Puts a proof together, judges it, and replaces the one before.
pub(super) fn staple(arguments: &Staple, json: bool) -> Result<Exit, Trouble> {
    let policy = policy(&arguments.policy)?;
    let ReleaseRule::Demanded(rule) = &policy.release else {
        return Err(Trouble::new("RW-C-POLICY-RELEASE", "the policy demands no proof of release: there is nothing to staple for it"));
    };
    let signed = bundles(&arguments.bundle)?;
    let (entry, parsed) = entry(&signed)?;
    let build = build_of(&policy, &parsed.build)?;
    let earlier = earlier(&arguments.out)?;
    let trusted_root = arguments.trusted_root.as_deref().map(|path| bounded_file(path, TRUSTED_ROOT_BYTES)).transpose()?;
    let read = Rule::read(rule).map_err(|fault| refusal(&ReleaseError::Rule(fault)))?;
    let log = TileLog::new(&arguments.log_url, Http::new());
    let note = if arguments.renew { log.renewed()? } else { log.checkpoint()? };
    let stapling = Stapling { log: &log, rule: &read, signed: &signed, entry, trusted_root, earlier: earlier.as_ref() };
    let proof = stapling.staple(&note).map_err(|fault| match fault {
        StapleFault::Fork { ref proof, .. } | StapleFault::TakenBack { ref proof, .. } => {
            keep_fork(&arguments.out, proof, fault.to_string())
        }
        fault => fault.into(),
    })?;
    let bytes = proof.encode();
    if bytes.len() > RELEASE_PROOF_BYTES {
        let words = format!("the proof has {} bytes, at most {RELEASE_PROOF_BYTES} are stapled: name fewer signers", bytes.len());
        return Err(Trouble::new("RW-C-RELEASE-BUNDLE", words));
    }
    let released = match judge_listed(&bytes, rule, build, clock::now_s(), None) {
        Ok(released) => released,
        Err(fault @ ReleaseError::Revoked { .. }) if arguments.even_revoked => {
            replace(&arguments.out, &bytes)?;
            let words = format!("{fault}; {} says so now: a node that is given it shows it to whoever asks", arguments.out.display());
            return Err(Trouble::new("RW-C-RELEASE-REFUSED", words));
        }
        Err(fault) => return Err(refusal(&fault)),
    };
    replace(&arguments.out, &bytes)?;
    let (shown, since_s) = (arguments.out.display().to_string(), released.head().since_s);
    let until_s = since_s.saturating_add(u64::from(rule.max_checkpoint_age_s));
    let text = format!(
        "{shown}: build {}, {} bytes; its log has {} entries, witnessed at {}\nstaple it anew before {}",
        parsed.build,
        bytes.len(),
        released.checkpoint().size,
        ringwall_attest::date(since_s),
        ringwall_attest::date(until_s)
    );
    let object = json!({
        "written": shown, "bytes": bytes.len(), "size": released.checkpoint().size, "since_s": since_s, "until_s": until_s,
        "revoked": proof.revocations.revoked.len(), "known": proof.known.len(),
    });
    say(json, &text, object)
}

fn earlier(path: &Path) -> Result<Option<ReleaseProof>, Trouble> {
    if !exists(path)? {
        return Ok(None);
    }
    let bytes = bounded_file(path, RELEASE_PROOF_BYTES)?;
    let malformed = |fault| {
        let words =
            format!("{}: no proof of release, so nothing says how to continue it: {fault}; move it away to begin anew", path.display());
        Trouble::new("RW-C-RELEASE-PROOF", words)
    };
    ReleaseProof::decode(&bytes).map(Some).map_err(malformed)
}

/// Keeps two histories beside `path`; the first such proof stays.
pub(super) fn keep_fork(path: &Path, proof: &ForkProof, words: String) -> Trouble {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".fork");
    let place: PathBuf = path.with_file_name(name);
    let kept = match write_new(&place, &proof.encode()) {
        Ok(()) => format!("{words}; both heads are kept in {}", place.display()),
        Err(_) if place.exists() => format!("{words}; an earlier proof of that is in {}", place.display()),
        Err(trouble) => format!("{words}; the proof could not be kept: {}", trouble.message),
    };
    show::note("a log that shows two histories has lied to somebody: tell its witnesses and everybody who relies on it");
    Trouble::new("RW-C-RELEASE-FORK", kept)
}
