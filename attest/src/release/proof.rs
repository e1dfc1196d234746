//! The whole judgement over a proof of release.
//!
//! Decides: a build is released when enough of the policy's signers signed one statement that names the build, its security version and the
//! measurement the hardware reported; when the policy's log has that very release; when a head of the log that enough witnesses cosigned lately
//! continues the checkpoint that has it, and the newest head the caller knows; and when that head's list of revocations, which only ever grew,
//! does not name the build. Every part of the proof is used; a part too many or too few refuses.
//! Trusts: the policy, the time, the caller's last head. Out of scope: the evidence (`appraise.rs`), keeping heads and proofs of a fork
//! (clients). Protocol section 8, "Releases".

use super::bundle::{Bundle, BundleError, TrustedRoot};
use super::log::{Checkpoint, LogError, Witnessed, checkpoint, consistent, included, went_back, witnessed};
use super::note::{NoteError, SignedNote};
use super::signer::{Rule, RuleError, Signer, SignerKind};
use super::statement::{Statement, StatementError};
use crate::session::CLOCK_TOLERANCE_S;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use ringwall_wire::codec::{DecodeError, Field as _, Message as _};
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{Measurement, MeasurementRegister, ReleaseSigners, TdxTuple};
use ringwall_wire::release::{
    ConsistencyPath, ForkProof, LogEntry, LogHead, Logged, LoggedRelease, Note, ReleaseProof, RevocationList, Revoked, RevokedBuild,
    bundles_digest,
};
use ringwall_wire::without::{Defence, left_out};
use sha2::{Digest as _, Sha256};

/// What the hardware reported of the build that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// AMD's launch digest.
    Snp(MeasurementRegister),
    /// Intel's registers.
    Tdx(TdxTuple),
}

/// Why a build does not count as released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum ReleaseError {
    /// The policy's own rule.
    #[error("the policy's rule about releases proves nothing: {0}")]
    Rule(RuleError),
    /// The proof cannot be read.
    #[error("the proof of release cannot be read: {0}; it is damaged, or of a newer version")]
    Malformed(DecodeError),
    /// The trusted root is not the pinned one.
    #[error("the proof brings trusted root {}, the policy pins {}", named(.got), named(.pinned))]
    OtherRoot { got: Option<Digest>, pinned: Option<Digest> },
    /// A bundle.
    #[error("bundle {at} of the proof: {error}")]
    Bundle { at: usize, error: BundleError },
    /// Somebody signed who is no signer.
    #[error("bundle {at} of the proof is signed by {who}, who is none of the policy's signers")]
    Stranger { at: usize, who: String },
    /// A signer signed twice.
    #[error("{signer} signed twice: each signer counts once")]
    SignerTwice { signer: String },
    /// Too few signed.
    #[error("{signed} of the policy's signers signed, {threshold} must")]
    TooFewSigners { signed: usize, threshold: u8 },
    /// The bundles are not over one statement.
    #[error("bundle {at} is over another statement than the log's entry")]
    OtherStatement { at: usize },
    /// The statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It is about another build.
    #[error("the release is of build {stated:?}, the evidence is of build {ran:?}")]
    OtherBuild { stated: String, ran: String },
    /// With another security version.
    #[error("the release has security version {stated}, the policy gives the build {policy}")]
    OtherSvn { stated: u32, policy: u32 },
    /// The measurement is not in it.
    #[error("the release of build {build:?} does not name the measurement the hardware reported")]
    NotMeasured { build: String },
    /// The log's entry is another one.
    #[error("the log's entry is not this release: it differs in {what}")]
    OtherEntry { what: &'static str },
    /// The log.
    #[error("the release log: {0}")]
    Log(#[from] LogError),
    /// The head is old.
    #[error(
        "the newest checkpoint of the release log was witnessed {age_s} s ago, at most {allowed_s} s are allowed: what was revoked since is unknown"
    )]
    HeadTooOld { age_s: u64, allowed_s: u64 },
    /// The head is from the future.
    #[error("the newest checkpoint was witnessed at {since_s}, it is {now_s} (Unix seconds): is this machine's clock right?")]
    HeadFromFuture { since_s: u64, now_s: u64 },
    /// The caller knows a newer head: one of more entries, or of as many and more revocations.
    #[error(
        "the node's checkpoint of {got} entries is older than one of {known} that was seen before (of one size, the one that names fewer revocations): \
         it has not caught up, or hides what came since"
    )]
    HeadOlder { got: u64, known: u64 },
    /// Nothing leads from the known head to this one.
    #[error(
        "nothing in the proof leads from the checkpoint of {known} entries that was seen before to the one of {got}: ask a node that refreshed its proof"
    )]
    HeadUnknown { got: u64, known: u64 },
    /// What the caller kept cannot be read.
    #[error("the checkpoint that was kept cannot be read: {0}; restore it, or give up what it protects by removing it")]
    LastHead(LogError),
    /// Two histories, or fewer entries than the same witnesses cosigned before.
    #[error("the release log lied: {error}; keep the proof and show it to everybody who relies on that log")]
    Fork { error: LogError, proof: Box<ForkProof> },
    /// The list of revocations is not the head's.
    #[error("the list of revocations is not the one the checkpoint names")]
    OtherRevocations,
    /// A revocation was taken back by a head that is newer beyond doubt: of more entries, or of as many and no fewer revocations.
    #[error("the release log took back a revocation: {known} were known, and the newest list does not begin with them")]
    RevocationTakenBack { known: u64, proof: Box<ForkProof> },
    /// The build is revoked.
    #[error("build {build:?} was revoked: {reason}")]
    Revoked { build: String, reason: String, at_s: u64 },
}

fn named(digest: &Option<Digest>) -> String {
    digest.map_or_else(|| "none".into(), |digest| digest.to_string())
}

/// A build that is released, and the head of the log it is released by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict nobody uses protects nobody"]
pub struct Released {
    statement: Statement,
    signers: Vec<String>,
    head: LogHead,
    checkpoint: Checkpoint,
    anew: bool,
}

impl Released {
    /// What was signed.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Who signed, as the policy names them.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }

    /// The newest head, with the signatures of the log and of the named witnesses alone, the log's first; who keeps it never goes back behind it.
    pub fn head(&self) -> &LogHead {
        &self.head
    }

    /// What that head says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whether the caller's last head is of another log than the one this policy names, so that nothing says whether an earlier head of this log was
    /// newer: what is remembered begins anew with [`Released::head`].
    pub fn begins_anew(&self) -> bool {
        self.anew
    }
}

/// Judges a proof of release (exact bytes) for `build`, as the policy names it and the hardware reported it as `ran`, at `now_s` (Unix seconds), for
/// a caller whose newest head of the log is `last_head`. Some milliseconds of public-key arithmetic for each signer.
pub fn verify_release(
    proof: &[u8],
    rule: &ReleaseSigners,
    build: &Measurement,
    ran: &Ran,
    now_s: u64,
    last_head: Option<&LogHead>,
) -> Result<Released, ReleaseError> {
    let rule = Rule::read(rule).map_err(ReleaseError::Rule)?;
    let proof = ReleaseProof::decode(proof).map_err(ReleaseError::Malformed)?;
    let (statement, signers) = signed(&proof, &rule, now_s)?;
    measures(&statement, build, ran)?;
    let (head, since_s) = logged(&proof, &rule, &statement, now_s)?;
    let head_note = LogHead { note: own_lines(&proof.head, &rule)?, since_s };
    whole_list(&proof.revocations, &head)?;
    let known = known(last_head, &rule)?;
    if let Some((known, last)) = &known {
        continues(&proof, &rule, &head, (known, *last))?;
    }
    revoked(&proof.revocations, build, ran)?;
    let anew = last_head.is_some() && known.is_none();
    Ok(Released { statement, signers, head: head_note, checkpoint: head, anew })
}

/// The statement enough signers signed, and who they are. Every bundle is by another signer and over the same payload.
fn signed(proof: &ReleaseProof, rule: &Rule, now_s: u64) -> Result<(Statement, Vec<String>), ReleaseError> {
    let Logged::Release(entry) = &proof.entry.what else { return Err(ReleaseError::OtherEntry { what: "its kind" }) };
    let root = root(proof, rule)?;
    let mut signers: Vec<String> = Vec::new();
    let mut statement = None;
    for (at, bytes) in proof.bundles.iter().enumerate() {
        let of = |error| ReleaseError::Bundle { at, error };
        let bundle = Bundle::parse(bytes).map_err(of)?;
        let payload = bundle.statement().ok_or(of(BundleError::Shape { what: "it has no in-toto statement" }))?;
        if Digest(Sha256::digest(payload).into()) != entry.statement {
            return Err(ReleaseError::OtherStatement { at });
        }
        let signer = match signer(&bundle, rule, root.as_ref(), now_s, at) {
            Ok(signer) => signer.text().to_string(),
            Err(ReleaseError::Stranger { at, who }) if left_out(Defence::NamedSigners) => alloc::format!("{who} ({at})"),
            Err(fault) => return Err(fault),
        };
        if signers.contains(&signer) {
            return Err(ReleaseError::SignerTwice { signer });
        }
        signers.push(signer);
        statement = Some(payload.to_vec());
    }
    match statement {
        Some(payload) if signers.len() >= usize::from(rule.signer_threshold) => Ok((Statement::parse(&payload)?, signers)),
        _ => Err(ReleaseError::TooFewSigners { signed: signers.len(), threshold: rule.signer_threshold }),
    }
}

/// The trusted root: exactly the pinned one, and none when none is pinned.
fn root(proof: &ReleaseProof, rule: &Rule) -> Result<Option<TrustedRoot>, ReleaseError> {
    let got = proof.trusted_root.as_ref().map(|bytes| Digest(Sha256::digest(&**bytes).into()));
    if got != rule.trusted_root {
        return Err(ReleaseError::OtherRoot { got, pinned: rule.trusted_root });
    }
    let root = proof.trusted_root.as_ref().map(|bytes| TrustedRoot::parse(bytes)).transpose();
    root.map_err(|error| ReleaseError::Bundle { at: 0, error })
}

/// The signer of the policy whose signature this bundle is.
fn signer<'r>(bundle: &Bundle, rule: &'r Rule, root: Option<&TrustedRoot>, now_s: u64, at: usize) -> Result<&'r Signer, ReleaseError> {
    let of = |error| ReleaseError::Bundle { at, error };
    if bundle.is_keyless() {
        let root = root.ok_or(of(BundleError::NoRoot { what: "a certificate" }))?;
        let certified = bundle.verify_keyless(root, now_s).map_err(of)?;
        let by = |signer: &&Signer| match &signer.kind {
            SignerKind::Keyless { issuer, identity } => *issuer == certified.issuer && *identity == certified.identity,
            SignerKind::Key(_) => false,
        };
        let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(256).collect::<String>();
        let who = || alloc::format!("{} (identified by {})", printable(&certified.identity), printable(&certified.issuer));
        return rule.signers.iter().find(by).ok_or_else(|| ReleaseError::Stranger { at, who: who() });
    }
    for signer in &rule.signers {
        let SignerKind::Key(key) = &signer.kind else { continue };
        if bundle.is_signed_by(key) {
            bundle.verify_key(key, root, now_s).map_err(of)?;
            return Ok(signer);
        }
    }
    Err(ReleaseError::Stranger { at, who: "a key".into() })
}

/// The statement names the build as the policy does, and the measurement the hardware reported.
fn measures(statement: &Statement, build: &Measurement, ran: &Ran) -> Result<(), ReleaseError> {
    if *statement.build != *build.id {
        return Err(ReleaseError::OtherBuild { stated: statement.build.clone(), ran: build.id.to_string() });
    }
    if statement.svn != build.svn {
        return Err(ReleaseError::OtherSvn { stated: statement.svn, policy: build.svn });
    }
    let named = match ran {
        Ran::Snp(digest) => statement.snp.iter().any(|shape| shape.digest == *digest),
        Ran::Tdx(tuple) => statement.tdx.iter().any(|shape| shape.tuple == *tuple) || replays(statement, build, tuple),
    };
    match named {
        true => Ok(()),
        false => Err(ReleaseError::NotMeasured { build: build.id.to_string() }),
    }
}

/// A build that was accepted by its boot events: every table the policy has for that firmware must have been published.
fn replays(statement: &Statement, build: &Measurement, tuple: &TdxTuple) -> bool {
    let listed = build.tdx.iter().any(|listed| listed == tuple);
    let mut tables = build.tdx_replays.iter().filter(|table| table.mrtd == tuple.mrtd).peekable();
    let published = |digest: Digest| statement.tdx_replays.contains(&digest);
    !listed && tables.peek().is_some() && tables.all(|table| published(Digest(Sha256::digest(table.to_bytes()).into())))
}

/// The newest head and since when it is witnessed: the release's entry is in a checkpoint it continues.
fn logged(proof: &ReleaseProof, rule: &Rule, statement: &Statement, now_s: u64) -> Result<(Checkpoint, u64), ReleaseError> {
    let Logged::Release(LoggedRelease { build, svn, bundles, statement: _ }) = &proof.entry.what else {
        return Err(ReleaseError::OtherEntry { what: "its kind" });
    };
    let other = |what| Err(ReleaseError::OtherEntry { what });
    if **build != *statement.build {
        return other("the build");
    }
    if *svn != statement.svn {
        return other("the security version");
    }
    if *bundles != bundles_digest(&proof.bundles) {
        return other("the bundles, or their order");
    }
    let has = checkpoint(text(&proof.checkpoint)?, &rule.log)?;
    let inside = included(&LogEntry::leaf(&proof.entry), &proof.inclusion, &has);
    inside.or_else(|fault| if left_out(Defence::LogInclusion) { Ok(()) } else { Err(fault) })?;
    let head = witnessed(text(&proof.head)?, &rule.log, &rule.witnesses, rule.witness_threshold)?;
    continued(&has, head.checkpoint(), &proof.consistency, &proof.checkpoint, &proof.head)?;
    let since_s = recent(&head, rule, now_s)?;
    Ok((head.checkpoint().clone(), since_s))
}

pub(super) fn text(note: &Note) -> Result<&str, LogError> {
    core::str::from_utf8(note).map_err(|_| LogError::Note(NoteError::Note { what: "it is not UTF-8" }))
}

/// Since when enough witnesses vouch for the head, when that is recent.
fn recent(head: &Witnessed, rule: &Rule, now_s: u64) -> Result<u64, ReleaseError> {
    let since_s = head.since(rule.witness_threshold);
    if since_s > now_s.saturating_add(CLOCK_TOLERANCE_S) {
        return Err(ReleaseError::HeadFromFuture { since_s, now_s });
    }
    let age_s = now_s.saturating_sub(since_s);
    match age_s > rule.max_age_s {
        true => Err(ReleaseError::HeadTooOld { age_s, allowed_s: rule.max_age_s }),
        false => Ok(since_s),
    }
}

/// [`consistent`], where a proof of two histories is kept.
fn continued(
    older: &Checkpoint,
    newer: &Checkpoint,
    path: &ConsistencyPath,
    older_note: &Note,
    newer_note: &Note,
) -> Result<(), ReleaseError> {
    match consistent(older, newer, path) {
        Ok(()) => Ok(()),
        Err(error @ LogError::Forked { .. }) => {
            let proof = ForkProof { older: older_note.clone(), newer: newer_note.clone(), path: path.clone() };
            Err(ReleaseError::Fork { error, proof: Box::new(proof) })
        }
        Err(error) => Err(ReleaseError::Log(error)),
    }
}

/// The head as it is kept: whatever lines others appended to the note, the log's is the first and nobody's but the named witnesses' follow.
pub(super) fn own_lines(head: &Note, rule: &Rule) -> Result<Note, ReleaseError> {
    let signed = SignedNote::parse(text(head)?).map_err(LogError::Note)?;
    let kept = signed.only(core::iter::once(&rule.log).chain(&rule.witnesses));
    Note::new(kept.into_bytes()).map_err(|_| ReleaseError::Log(LogError::Note(NoteError::Note { what: "it is too long" })))
}

/// The head the caller knows; none when it is of another log, as after a policy that names another one: it says nothing of this log.
pub(super) fn known<'h>(last: Option<&'h LogHead>, rule: &Rule) -> Result<Option<(Checkpoint, &'h LogHead)>, ReleaseError> {
    let Some(last) = last else { return Ok(None) };
    match text(&last.note).and_then(|note| checkpoint(note, &rule.log)) {
        Ok(known) => Ok(Some((known, last))),
        Err(LogError::Note(NoteError::Missing { .. }) | LogError::OtherLog { .. }) => Ok(None),
        Err(error) => Err(ReleaseError::LastHead(error)),
    }
}

/// The head continues the one the caller knows. An older one is refused and proves nothing: nodes are stapled at different times, each witness has a clock of
/// its own, and a revocation adds no entry. It is a lie only where the head is the newer one beyond doubt.
pub(super) fn continues(
    proof: &ReleaseProof,
    rule: &Rule,
    head: &Checkpoint,
    (known, last): (&Checkpoint, &LogHead),
) -> Result<(), ReleaseError> {
    let lied = |path: ConsistencyPath| Box::new(ForkProof { older: last.note.clone(), newer: proof.head.clone(), path });
    let older = Err(ReleaseError::HeadOlder { got: head.size, known: known.size });
    if head.size < known.size {
        return match went_back(text(&last.note)?, text(&proof.head)?, &rule.log, &rule.witnesses, rule.witness_threshold)? {
            true => {
                let error = LogError::Shrank { older: known.size, newer: head.size };
                Err(ReleaseError::Fork { error, proof: lied(ConsistencyPath::default()) })
            }
            false => older,
        };
    }
    let path = match (head.size == known.size || known.size == 0, proof.known.iter().find(|earlier| earlier.size == known.size)) {
        (true, _) => ConsistencyPath::default(),
        (false, Some(earlier)) => earlier.path.clone(),
        (false, None) => return Err(ReleaseError::HeadUnknown { got: head.size, known: known.size }),
    };
    continued(known, head, &path, &last.note, &proof.head)?;
    let named = |of: &Checkpoint| of.revoked.map_or(0, |(count, _)| count);
    if head.size == known.size && named(head) < named(known) {
        return older;
    }
    revoked_by_now(proof, (known, last), path)
}

/// The list of a head that is newer beyond doubt begins with the one that is known; `path` leads to it where one is known.
pub(super) fn revoked_by_now(
    proof: &ReleaseProof,
    (known, last): (&Checkpoint, &LogHead),
    path: ConsistencyPath,
) -> Result<(), ReleaseError> {
    let Some((count, list)) = known.revoked else { return Ok(()) };
    if proof.revocations.digest_of_first(count) == Some(list) {
        return Ok(());
    }
    let proof = ForkProof { older: last.note.clone(), newer: proof.head.clone(), path };
    Err(ReleaseError::RevocationTakenBack { known: count, proof: Box::new(proof) })
}

/// The list is the head's, whole.
pub(super) fn whole_list(list: &RevocationList, head: &Checkpoint) -> Result<(), ReleaseError> {
    let count = u64::try_from(list.revoked.len()).unwrap_or(u64::MAX);
    let whole = match head.revoked {
        Some((named, digest)) => named == count && digest == Digest(list.digest()),
        None => count == 0,
    };
    match whole {
        true => Ok(()),
        false => Err(ReleaseError::OtherRevocations),
    }
}

/// The first revocation of the list that names `build`, or what the hardware reported of it.
fn revokes<'l>(list: &'l RevocationList, build: &Measurement, ran: &Ran) -> Option<&'l Revoked> {
    let names = |what: &RevokedBuild| match (what, ran) {
        (RevokedBuild::Build(name), _) => **name == *build.id,
        (RevokedBuild::Snp(digest), Ran::Snp(own)) => digest == own,
        (RevokedBuild::Tdx(tuple), Ran::Tdx(own)) => tuple == own,
        (RevokedBuild::Snp(_), Ran::Tdx(_)) | (RevokedBuild::Tdx(_), Ran::Snp(_)) => false,
    };
    list.revoked.iter().find(|one| names(&one.what))
}

/// The list does not name the build.
pub(super) fn revoked(list: &RevocationList, build: &Measurement, ran: &Ran) -> Result<(), ReleaseError> {
    match revokes(list, build, ran) {
        None => Ok(()),
        Some(one) => Err(ReleaseError::Revoked { build: build.id.to_string(), reason: one.reason.to_string(), at_s: one.at_s }),
    }
}

/// Whether a proof of a fork proves it to somebody who knows the log's and the witnesses' keys: both heads are the log's, and they are of two histories, or
/// the smaller one was cosigned after the larger one ([`went_back`]). A smaller head of an unknown time proves nothing: [`LogError::NoPath`].
pub fn verify_fork(proof: &ForkProof, rule: &Rule) -> Result<(), LogError> {
    let (first, second) = (text(&proof.older)?, text(&proof.newer)?);
    match consistent(&checkpoint(first, &rule.log)?, &checkpoint(second, &rule.log)?, &proof.path) {
        Err(LogError::Shrank { older, newer }) => match went_back(first, second, &rule.log, &rule.witnesses, rule.witness_threshold)? {
            true => Err(LogError::Shrank { older, newer }),
            false => Err(LogError::NoPath { older, newer }),
        },
        judged => judged,
    }
}
