//! `ringwall release`: keys, statements, signatures, publishing.
//!
//! Decides: which library call a verb is, what it writes and how it ends; secrets come from files, never from arguments. Trusts: the library.
//! Out of scope: parsing (`release_args.rs`), the log's verbs (`release_log.rs`), judging (`release_verify.rs`). docs/runbooks/releases.md.

use super::args::SharedOptions;
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy::{say, write_new};
use super::release_args::{KeyFor, Keygen, Make, Publish, ReleaseVerb, Sign};
use super::{release_epochs, release_log, release_verify, show};
use crate::Anchors;
use crate::measure::MeasurementSet;
use crate::policy::PolicyFile;
use crate::release::bundle::{Bundle, BundleFault, keyless, managed};
use crate::release::fulcio::{Keyless, KeylessFault, TOKEN_BYTES, ambient_token, claimed};
use crate::release::http::{Http, HttpFault};
use crate::release::key::ReleaseKey;
use crate::release::note::{NoteKey, NoteKind};
use crate::release::rekor::{self, RekorFault, Verifier};
use crate::release::staple::{Signed, StapleFault};
use crate::release::statement::{self, Origin};
use crate::release::tiles::{TileLog, TilesFault};
use ringwall_attest::release::LogError;
use ringwall_attest::release::statement::{Artefact, Statement, StatementError};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::BUNDLE_BYTES;
use ringwall_wire::policy::PolicyDoc;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of a file of predicted measurements: every shape a statement can name.
const MEASUREMENTS_BYTES: usize = 512 * 1024;
/// Bytes of a statement: what fits a bundle.
const STATEMENT_BYTES: usize = BUNDLE_BYTES;
/// Bytes of a public key as PEM.
const PEM_BYTES: usize = 4 * 1024;

/// Runs one verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, verb: ReleaseVerb) -> Result<Exit, Trouble> {
    let json = shared.json;
    match verb {
        ReleaseVerb::Keygen(keygen) => make_key(&keygen, json),
        ReleaseVerb::Make(make) => make_statement(&make, json),
        ReleaseVerb::Sign(sign) => sign_statement(&sign, json),
        ReleaseVerb::Publish(publish) => publish_bundles(&publish, json),
        ReleaseVerb::PublishEpochs(publish) => release_epochs::publish(shared, anchors, &publish).await,
        ReleaseVerb::Epochs(epochs) => release_epochs::list(shared, &epochs),
        ReleaseVerb::Revoke(revoke) => release_log::revoke(&revoke, json),
        ReleaseVerb::Witness(witness) => release_log::witness(&witness, json),
        ReleaseVerb::Staple(staple) => release_log::staple(&staple, json),
        ReleaseVerb::Verify(verify) => release_verify::run(shared, &anchors, &verify),
        ReleaseVerb::Record(record) => release_verify::record(&record, json),
    }
}

macro_rules! troubles {
    ($($kind:ty => $code:expr),* $(,)?) => {$(
        impl From<$kind> for Trouble {
            fn from(fault: $kind) -> Self {
                let code: fn(&$kind) -> &'static str = $code;
                Trouble::new(code(&fault), fault.to_string())
            }
        }
    )*};
}
troubles!(
    HttpFault => http_code,
    TilesFault => tiles_code,
    BundleFault => |_| "RW-C-RELEASE-BUNDLE",
    StatementError => |_| "RW-C-RELEASE-STATEMENT",
    KeylessFault => |fault| match fault {
        KeylessFault::Http(fault) => http_code(fault),
        KeylessFault::Answer { .. } | KeylessFault::OtherKey { .. } => "RW-C-RELEASE-REFUSED",
        KeylessFault::Request(_) => "RW-C-RELEASE-KEY",
    },
    RekorFault => |fault| match fault {
        RekorFault::Http(fault) => http_code(fault),
        RekorFault::Bundle(_) => "RW-C-RELEASE-BUNDLE",
        RekorFault::Answer { .. } => "RW-C-RELEASE-REFUSED",
        RekorFault::NoKey => "RW-C-USAGE",
    },
    StapleFault => |fault| match fault {
        StapleFault::Tiles(fault) => tiles_code(fault),
        StapleFault::Checkpoint(LogError::TooFewWitnesses { .. }) => "RW-C-CANNOT-TELL",
        StapleFault::Checkpoint(_) | StapleFault::Revocations { .. } => "RW-C-RELEASE-REFUSED",
        StapleFault::Fork { .. } | StapleFault::TakenBack { .. } => "RW-C-RELEASE-FORK",
        StapleFault::Older { .. } => "RW-C-CANNOT-TELL",
        StapleFault::NoEntry { .. } => "RW-C-NOT-FOUND",
        StapleFault::Bundle(_) | StapleFault::OtherStatement | StapleFault::Count { .. } | StapleFault::TooManyEntries { .. } | StapleFault::TooLarge { .. } => "RW-C-RELEASE-BUNDLE",
    },
);

fn http_code(fault: &HttpFault) -> &'static str {
    match fault {
        HttpFault::Unreachable { .. } | HttpFault::Slow { .. } => "RW-C-UNAVAILABLE",
        HttpFault::InTheClear { .. } => "RW-C-USAGE",
        HttpFault::TooLarge { .. } | HttpFault::Status { .. } => "RW-C-LOG-ANSWER",
    }
}

fn tiles_code(fault: &TilesFault) -> &'static str {
    match fault {
        TilesFault::Http(fault) => http_code(fault),
        TilesFault::NoSuchLeaf { .. } => "RW-C-NOT-FOUND",
        _ => "RW-C-RELEASE-REFUSED",
    }
}

fn make_key(keygen: &Keygen, json: bool) -> Result<Exit, Trouble> {
    let path = keygen.file.display().to_string();
    match keygen.purpose {
        KeyFor::Release => {
            let key = ReleaseKey::create(&keygen.file)?;
            if let Some(public) = &keygen.public {
                write_new(public, key.public_pem().as_bytes())?;
            }
            say(json, &format!("signer {}", key.signer()), json!({ "signer": key.signer(), "key_file": path }))?;
            show::note_unless(json, &format!("{path} signs releases: keep it offline; policies list the signer as it is printed"));
        }
        KeyFor::Witness => {
            let name = keygen.name.as_deref().unwrap_or_default();
            let legal = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '+';
            if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
                return Err(Trouble::new("RW-C-USAGE", "a witness's name is an address without a scheme, without spaces and `+`"));
            }
            let key = NoteKey::create(&keygen.file, name, NoteKind::Timed)?.verifier_key();
            say(json, &format!("witness {key}"), json!({ "witness": key, "key_file": path }))?;
            show::note_unless(json, "whoever has this key can vouch for any history: keep it on the machine that witnesses alone");
        }
    }
    Ok(Exit::Done)
}

/// What somebody predicted.
pub(super) fn measurements(path: &Path) -> Result<MeasurementSet, Trouble> {
    let bytes = bounded_file(path, MEASUREMENTS_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|fault| {
        let words = format!("{}: no measurements as `ringwall measure --json` prints them: {fault}", path.display());
        Trouble::new("RW-C-RELEASE-MEASUREMENTS", words)
    })
}

/// A policy of any form.
pub(super) fn policy(path: &Path) -> Result<PolicyDoc, Trouble> {
    let read = PolicyFile::read(path).map_err(|fault| Trouble::new(fault.code(), format!("{}: {fault}", path.display())))?;
    Ok(read.into_policy())
}

fn make_statement(make: &Make, json: bool) -> Result<Exit, Trouble> {
    let set = measurements(&make.measurements)?;
    let hashed = |path: &Path| statement::digest(path).map_err(|fault| Trouble::new("RW-C-INPUT", format!("{}: {fault}", path.display())));
    let artefacts: Result<Vec<Artefact>, Trouble> = make
        .artefact
        .iter()
        .map(|path| {
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Ok(Artefact { name, digest: hashed(path)? })
        })
        .collect();
    let artefacts = artefacts?;
    let replays = make.replays.as_deref().map(policy).transpose()?;
    let build = replays.as_ref().map(|policy| build_of(policy, &set.build_id)).transpose()?;
    let origin = Origin { source: make.source.clone(), commit: make.commit.clone(), recipe: hashed(&make.recipe)? };
    let bytes = statement::compose(&set, artefacts, origin, build)?;
    write_new(&make.out, &bytes)?;
    let (shown, digest) = (make.out.display().to_string(), Digest(Sha256::digest(&bytes).into()).to_string());
    let text = format!(
        "{shown}: build {} with security version {}, {} SNP and {} TDX measurements\nstatement {digest}",
        set.build_id,
        set.svn,
        set.snp.len(),
        set.tdx.len()
    );
    say(json, &text, json!({ "written": shown, "statement": digest, "build": set.build_id, "svn": set.svn }))
}

/// The build a policy lists under this name.
pub(super) fn build_of<'a>(policy: &'a PolicyDoc, name: &str) -> Result<&'a ringwall_wire::policy::Measurement, Trouble> {
    let found = policy.measurements.iter().find(|build| *build.id == *name);
    found.ok_or_else(|| {
        let named: Vec<&str> = policy.measurements.iter().map(|build| &*build.id).collect();
        Trouble::new("RW-C-NOT-FOUND", format!("the policy lists no build {name:?}; it lists {}", named.join(", ")))
    })
}

/// A statement as it was made: what is signed is understood first.
fn read_statement(path: &Path) -> Result<(Vec<u8>, Statement), Trouble> {
    let bytes = bounded_file(path, STATEMENT_BYTES)?;
    let parsed = Statement::parse(&bytes)?;
    Ok((bytes, parsed))
}

/// A secret on one line of a file.
fn secret_line(path: &Path) -> Result<Zeroizing<String>, Trouble> {
    let bytes = Zeroizing::new(bounded_file(path, TOKEN_BYTES)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| Trouble::new("RW-C-INPUT", format!("{}: it is no text", path.display())))?;
    let line = text.trim();
    match line.is_empty() || line.contains(char::is_whitespace) {
        true => Err(Trouble::new("RW-C-INPUT", format!("{}: it does not hold one word, as a token is", path.display()))),
        false => Ok(Zeroizing::new(line.to_owned())),
    }
}

fn sign_statement(sign: &Sign, json: bool) -> Result<Exit, Trouble> {
    let (bytes, parsed) = read_statement(&sign.statement)?;
    let (bundle, signer) = match (&sign.key, &sign.fulcio) {
        (Some(path), _) => {
            let key = ReleaseKey::read(path)?;
            (managed(&bytes, &key), key.signer())
        }
        (None, Some(url)) => {
            let http = Http::new();
            let token = match (&sign.identity_token, &sign.oidc, &sign.oidc_bearer) {
                (Some(path), ..) => secret_line(path)?,
                (None, Some(issuer), Some(bearer)) => ambient_token(&http, issuer, &secret_line(bearer)?)?,
                _ => return Err(Trouble::new("RW-C-USAGE", "name the identity token with --identity-token, or --oidc and --oidc-bearer")),
            };
            (keyless(&bytes, Keyless::ask(&http, url, &token)?), claimed(&token))
        }
        (None, None) => return Err(Trouble::new("RW-C-USAGE", "sign with --key, or keyless with --fulcio")),
    };
    write_new(&sign.out, &bundle.to_bytes()?)?;
    let shown = sign.out.display().to_string();
    let text =
        format!("{shown}: build {} with security version {}, commit {}\nsigned by {signer}", parsed.build, parsed.svn, parsed.commit);
    say(json, &text, json!({ "written": shown, "signer": signer, "build": parsed.build, "svn": parsed.svn }))
}

/// Bundles as files, exact bytes.
pub(super) fn bundles(paths: &[std::path::PathBuf]) -> Result<Signed, Trouble> {
    let read: Result<Vec<Vec<u8>>, Trouble> = paths.iter().map(|path| bounded_file(path, BUNDLE_BYTES)).collect();
    Ok(Signed::new(read?)?)
}

/// The entry of the log for these bundles.
pub(super) fn entry(signed: &Signed) -> Result<(ringwall_wire::release::LogEntry, Statement), Trouble> {
    let parsed = Statement::parse(signed.statement())?;
    let build = Text::new(parsed.build.as_str()).map_err(|fault| Trouble::new("RW-C-RELEASE-STATEMENT", fault.to_string()))?;
    Ok((signed.entry(build, parsed.svn), parsed))
}

fn publish_bundles(publish: &Publish, json: bool) -> Result<Exit, Trouble> {
    let http = Http::new();
    if let Some(url) = &publish.log_url {
        let signed = bundles(&publish.bundle)?;
        let (entry, parsed) = entry(&signed)?;
        let index = TileLog::new(url, http).add(&entry.encode())?;
        let leaf = entry.leaf().to_string();
        let text = format!("build {} is entry {index} of the log at {url}\nleaf {leaf}", parsed.build);
        return say(json, &text, json!({ "index": index, "leaf": leaf, "build": parsed.build }));
    }
    let ([path], Some(out)) = (publish.bundle.as_slice(), &publish.out) else {
        return Err(Trouble::new("RW-C-USAGE", "one bundle at a time gets an entry of Rekor or a timestamp, and is written to --out"));
    };
    let mut bundle = Bundle::read(&bounded_file(path, BUNDLE_BYTES)?)?;
    if let Some(url) = &publish.tsa {
        rekor::stamp(&http, url, &mut bundle)?;
    }
    if let Some(url) = &publish.rekor {
        let verifier = Verifier::of(&bundle, publish.public_key.as_deref().map(public_key).transpose()?)?;
        match publish.rekor_version {
            1 => rekor::log_v1(&http, url, &mut bundle, &verifier)?,
            _ => rekor::log_in_tiles(&http, url, &mut bundle, &verifier)?,
        }
    }
    write_new(out, &bundle.to_bytes()?)?;
    let shown = out.display().to_string();
    say(json, &format!("{shown}: the bundle with what was added"), json!({ "written": shown }))
}

fn public_key(path: &Path) -> Result<Vec<u8>, Trouble> {
    let parsed = pem::parse(bounded_file(path, PEM_BYTES)?).ok().filter(|parsed| parsed.tag() == "PUBLIC KEY");
    let parsed = parsed.ok_or_else(|| Trouble::new("RW-C-INPUT", format!("{}: no public key as PEM", path.display())))?;
    Ok(parsed.into_contents())
}
