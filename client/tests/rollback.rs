//! A client whose cluster forgets: a node that tells another history than before, over real QUIC, with evidence that is genuine.
//!
//! Decides: each tale is told apart by its name; after a rollback or a fork nothing is written, in this process and in the next, and the evidence that
//! is kept is verified by somebody who has nothing but roots of trust, and by nobody once a byte of it is another. Rows R3, R4 at the client.
//! Trusts: simulated evidence. Out of scope: clusters (tests/tests/receipts.rs), the rules alone (anchor.rs).
#![allow(clippy::unwrap_used, clippy::panic)]

use ringwall_client::anchor::{AnchorFiles, AnchorStore, EvidenceFault, EvidenceFile, Misdeed, read_evidence};
use ringwall_client::{Client, ConnectError, Credential, Options, Timeouts, WriteError};
use ringwall_sim::impostor::{Act, Impostor, Tale};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{Digest, Epoch, Incarnation, PolicyVersion, Signature};
use ringwall_wire::limits::{EPOCHS, EXCHANGE_ROW_BYTES, RECEIPT_EVIDENCE_BYTES};
use ringwall_wire::policy::{PolicyDoc, SignedPolicy};
use ringwall_wire::receipt::{EpochStart, Evidence, ReceiptHead, Signer, session_nonce};
use ringwall_wire::sample::{Sample as _, Source};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct Home {
    folder: tempfile::TempDir,
    impostor: Impostor,
    credential: Credential,
}

impl Home {
    fn new() -> Self {
        Home { folder: tempfile::tempdir().unwrap(), impostor: Impostor::start(Act::Honest), credential: Credential::generate() }
    }

    fn files(&self) -> AnchorFiles {
        AnchorFiles::beside(&self.folder.path().join("me"), &self.impostor.cluster_id)
    }

    fn options(&self, deadline_ms: u64) -> Options {
        let address = vec![self.impostor.address.clone()];
        let mut options = Options::pinned(self.impostor.cluster_id, address, ringwall_sim::anchors(), self.credential.clone());
        let patience = Duration::from_millis(deadline_ms);
        options.timeouts = Timeouts { dial: patience, answer: patience, deadline: patience };
        options.anchor = Arc::new(self.files());
        options
    }

    /// A session that sees three writes, and ends.
    async fn remember(&self) {
        let client = Client::connect(self.options(20_000)).await.unwrap();
        let notes = client.namespace("notes").await.unwrap();
        for value in ["a", "b", "c"] {
            notes.put("k", value).await.unwrap();
        }
        client.close().await;
        let anchor = self.files().load().unwrap().anchor.unwrap();
        assert_eq!(anchor.newest.head.tree.size, self.impostor.entries(), "the last word was kept");
    }

    /// One more session with a write.
    async fn remember_more(&self) {
        let client = Client::connect(self.options(20_000)).await.unwrap();
        client.namespace("notes").await.unwrap().put("k", "d").await.unwrap();
        client.close().await;
    }

    /// What a new process of the user gets: on opening, or from its first write.
    async fn returns(&self) -> ConnectError {
        let client = match Client::connect(self.options(20_000)).await {
            Ok(client) => client,
            Err(fault) => return fault,
        };
        let opened = client.namespace("notes").await;
        drop(client);
        match opened {
            Err(ringwall_client::NamespaceError::Session(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }
}

fn verify(path: &Path) -> Result<Misdeed, EvidenceFault> {
    read_evidence(path).unwrap().verify(&ringwall_sim::anchors()).map(|found| found.misdeed)
}

async fn detected(tale: Tale, misdeed: Misdeed) {
    let home = Home::new();
    home.remember().await;
    home.impostor.tell(tale);
    let entries = home.impostor.entries();
    let first = home.returns().await;
    let name = match misdeed {
        Misdeed::Rollback => "ROLLBACK_DETECTED",
        Misdeed::Fork => "FORK_DETECTED",
    };
    assert!(first.to_string().starts_with(name), "{tale:?}: {first}");
    let path = home.files().path("detected");
    assert!(first.to_string().contains(&path.display().to_string()), "{first}");
    assert_eq!(verify(&path).unwrap(), misdeed, "{tale:?}");
    // The node tells the truth again; the client has seen enough.
    home.impostor.tell(Tale::True);
    let again = home.returns().await;
    assert_eq!(again.code(), first.code(), "{tale:?}: {again}");
    assert_eq!(home.impostor.entries(), entries, "{tale:?}: something was written after the detection");
    std::fs::rename(&path, home.folder.path().join("settled")).unwrap();
    Client::connect(home.options(20_000)).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_shows_is_kept_while_it_goes_on_and_each_time_anew() {
    let home = Home::new();
    let client = Client::connect(home.options(20_000)).await.unwrap();
    let notes = client.namespace("notes").await.unwrap();
    for value in ["a", "b"] {
        notes.put("k", value).await.unwrap();
        let entries = home.impostor.entries();
        let kept = || home.files().load().unwrap().anchor.map(|anchor| anchor.newest.head.tree.size);
        let waited = tokio::time::Instant::now();
        // Due within a second; a busy machine is given more.
        while kept() != Some(entries) {
            assert!(waited.elapsed() < Duration::from_secs(10), "nobody kept {entries} entries: {:?}", kept());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_world_is_a_rollback() {
    detected(Tale::Older, Misdeed::Rollback).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shrunk_tree_is_a_rollback() {
    detected(Tale::Shrunk, Misdeed::Rollback).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_is_a_fork() {
    detected(Tale::Forked, Misdeed::Fork).await;
    detected(Tale::ForkedInPlace, Misdeed::Fork).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_changes_of_a_namespace_are_a_fork_and_fewer_a_rollback() {
    detected(Tale::WrongDigest, Misdeed::Fork).await;
    detected(Tale::FewerChanges, Misdeed::Rollback).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_receipt_is_refused_by_its_name() {
    for (tale, wanted) in [
        (Tale::WrongRoot, "Path"),
        (Tale::OldSignature, "Signature"),
        (Tale::OtherClient, "OtherClient"),
        (Tale::OtherNonce, "OtherNonce"),
        (Tale::OtherUser, "OtherUser"),
        (Tale::Repeated, "OtherClient"),
        (Tale::Nothing, "Missing"),
    ] {
        let home = Home::new();
        home.remember().await;
        home.impostor.tell(tale);
        let ConnectError::Receipt { fault, .. } = home.returns().await else { panic!("{tale:?}") };
        assert!(format!("{fault:?}").starts_with(wanted), "{tale:?}: {fault:?}");
        assert!(!home.files().path("detected").exists(), "{tale:?} proves nothing and accuses nobody");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_behind_is_asked_again_and_accuses_nobody() {
    let home = Home::new();
    home.remember().await;
    home.impostor.tell(Tale::Behind);
    let fault = Client::connect(home.options(700)).await.unwrap_err();
    assert!(matches!(fault, ConnectError::Unavailable { .. }) && fault.to_string().contains("BEHIND"), "{fault}");
    home.impostor.tell(Tale::True);
    Client::connect(home.options(20_000)).await.unwrap().close().await;
    assert!(!home.files().path("detected").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_policy_than_was_verified_is_told_and_nothing_is_sent() {
    let home = Home::new();
    home.remember().await;
    let founding = ringwall_sim::world::policy();
    let known = home.files().governed().unwrap().policy.unwrap();
    assert_eq!((known.digest(), known.steps.len()), (Digest(founding.digest()), 0), "who knows the cluster id learns the founding policy");
    let newer = PolicyDoc { version: PolicyVersion(2), ..founding };
    let policy = Blob::new(newer.encode()).unwrap();
    let signed = SignedPolicy { replaces: Some(known.digest()), policy, signatures: List::default() };
    let known = known.followed_by(&[PolicyStep { signed, notice: None }]).unwrap();
    home.files().save_policy(&known).unwrap();
    let told = home.impostor.bytes_after_evidence();
    let fault = Client::connect(home.options(700)).await.unwrap_err();
    assert!(matches!(&fault, ConnectError::PolicyWentBack { .. }) && fault.code() == "RW-C-POLICY-WENT-BACK", "{fault}");
    assert_eq!(home.impostor.bytes_after_evidence(), told, "something was sent to a node that follows an older policy");
    assert_eq!(home.files().governed().unwrap().policy.unwrap(), known, "what is known is not gone back from");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_within_a_session_stops_it() {
    let home = Home::new();
    let client = Client::connect(home.options(20_000)).await.unwrap();
    let notes = client.namespace("notes").await.unwrap();
    notes.put("k", "a").await.unwrap();
    home.impostor.tell(Tale::Older);
    let entries = home.impostor.entries();
    let fault = notes.put("k", "b").await.unwrap_err();
    assert!(matches!(&fault, WriteError::OutcomeUnknown { cause, .. } if cause.contains("ROLLBACK_DETECTED")), "{fault}");
    assert_eq!(home.impostor.entries(), entries + 1, "the write under way was the last");
    // The node tells the truth again; this client has seen enough.
    home.impostor.tell(Tale::True);
    let fault = notes.put("k", "c").await.unwrap_err();
    assert!(matches!(&fault, WriteError::Session(ConnectError::RollbackDetected { .. })), "{fault}");
    assert_eq!(home.impostor.entries(), entries + 1);
    assert_eq!(verify(&home.files().path("detected")).unwrap(), Misdeed::Rollback);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_with_another_byte_proves_nothing() {
    let home = Home::new();
    home.remember().await;
    home.impostor.tell(Tale::Older);
    home.returns().await;
    let whole = std::fs::read(home.files().path("detected")).unwrap();
    assert!(EvidenceFile::from_bytes(&whole).is_some());
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        assert!(EvidenceFile::from_bytes(&damaged).is_none(), "byte {at}");
    }
    // Whoever changes it on purpose makes a new checksum.
    let honest = EvidenceFile::from_bytes(&whole).unwrap().0;
    let anchors = ringwall_sim::anchors();
    let proves = |change: &dyn Fn(&mut ringwall_wire::receipt::Evidence)| {
        let mut evidence = honest.clone();
        change(&mut evidence);
        EvidenceFile::from_bytes(&EvidenceFile(evidence).to_bytes()).unwrap().verify(&anchors)
    };
    assert!(proves(&|_| {}).is_ok());
    use EvidenceFault as Fault;
    let swapped = proves(&|evidence| std::mem::swap(&mut evidence.known, &mut evidence.got));
    assert!(matches!(swapped, Err(Fault::NoContradiction)), "a log that grew: {swapped:?}");
    assert!(matches!(proves(&|evidence| evidence.opening.0[0] ^= 1), Err(Fault::NoOrder)));
    assert!(matches!(proves(&|evidence| evidence.heads = Default::default()), Err(Fault::NoOrder)));
    assert!(matches!(proves(&|evidence| evidence.misdeed = Misdeed::Fork), Err(Fault::NoContradiction)));
    assert!(matches!(proves(&|evidence| evidence.got.head.tree.size -= 1), Err(Fault::Signature { .. })));
    assert!(matches!(proves(&|evidence| evidence.got.leaf.number += 1), Err(Fault::Signature { .. })));
    assert!(matches!(proves(&|evidence| evidence.known.head.signature.0[0] ^= 1), Err(Fault::Signature { .. })));
    assert!(matches!(proves(&|evidence| evidence.known_signer.exchange = Default::default()), Err(Fault::NoSigner { .. })));
    let other_roots = EvidenceFile(honest.clone()).verify(&ringwall_client::Anchors::production());
    assert!(matches!(other_roots, Err(Fault::Signer { .. })), "under the vendors' roots it is nobody's word");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_of_the_members_it_names() {
    let home = Home::new();
    home.remember().await;
    home.impostor.tell(Tale::Older);
    home.returns().await;
    let honest = read_evidence(&home.files().path("detected")).unwrap().0;
    // A member says it all once more, changed on both sides: its signatures hold, the order shows, the two contradict each other as before.
    let says = |change: &dyn Fn(&mut ReceiptHead), signer: Incarnation| {
        let mut evidence = honest.clone();
        change(&mut evidence.known.head);
        change(&mut evidence.got.head);
        home.impostor.resign(&mut evidence.known);
        evidence.heads = List::new(vec![Digest(evidence.known.head.digest())]).unwrap();
        evidence.got.leaf.nonce = session_nonce(&evidence.opening, &evidence.heads);
        home.impostor.resign(&mut evidence.got);
        (evidence.known_signer.incarnation, evidence.got_signer.incarnation) = (signer, signer);
        EvidenceFile(evidence).verify(&ringwall_sim::anchors()).map(|found| found.misdeed)
    };
    let itself = honest.known.head.incarnation;
    let another = Incarnation::new(honest.known.head.epoch, 77);
    assert_eq!(says(&|_| {}, itself).unwrap(), Misdeed::Rollback);
    let unsigned = |outcome: Result<Misdeed, EvidenceFault>, what: &str| {
        assert!(matches!(outcome, Err(EvidenceFault::Signature { which: "older" })), "{what}: {outcome:?}");
    };
    unsigned(says(&|head| head.incarnation = another, another), "another member's name, for which nobody attested");
    unsigned(says(&|head| head.epoch = Epoch(head.epoch.0 + 1), itself), "an epoch it did not attest for");
    unsigned(says(&|head| head.cluster_id.0[0] ^= 1, itself), "a cluster it did not attest for");
    unsigned(says(&|_| {}, another), "the proof is filed under another name");
}

#[test]
fn evidence_larger_than_any_client_keeps_is_not_read() {
    let mut evidence = Evidence::sample(&mut Source::new(3));
    let signer = |incarnation| Signer { incarnation, exchange: Blob::new(vec![7; EXCHANGE_ROW_BYTES]).unwrap() };
    evidence.known_signer = signer(evidence.known.head.incarnation);
    evidence.got_signer = signer(evidence.got.head.incarnation);
    evidence.epochs = List::default();
    let folder = tempfile::tempdir().unwrap();
    let reads = |evidence: &Evidence, name: &str| {
        let (bytes, path) = (EvidenceFile(evidence.clone()).to_bytes(), folder.path().join(name));
        std::fs::write(&path, &bytes).unwrap();
        let read = read_evidence(&path).ok().map(|file| file.0);
        assert_eq!(read, EvidenceFile::from_bytes(&bytes).map(|file| file.0));
        (bytes.len() > RECEIPT_EVIDENCE_BYTES, read)
    };
    assert_eq!(reads(&evidence, "full"), (false, Some(evidence.clone())), "the largest proofs there can be");
    // Well-formed, with a checksum that fits, and above the bound.
    let start = EpochStart { witnesses: List::new(vec![Signature([9; 64]); 16]).unwrap(), ..EpochStart::sample(&mut Source::new(4)) };
    evidence.epochs = List::new(vec![start; EPOCHS]).unwrap();
    assert_eq!(Evidence::decode(&evidence.encode()).unwrap(), evidence);
    assert_eq!(reads(&evidence, "above"), (true, None));
}

/// Runs the shipped program: its roots of trust are the vendors'.
fn ringwall(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringwall"));
    command.args(arguments).env_remove("RINGWALL_CARD").env_remove("RINGWALL_CREDENTIAL");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

/// Whether the same command line under simulated roots ends with this code.
fn ends_with(code: u8, arguments: &[&str]) -> bool {
    let words: Vec<std::ffi::OsString> = std::iter::once("ringwall").chain(arguments.iter().copied()).map(Into::into).collect();
    let ended = std::thread::spawn(move || ringwall_client::cli::run(words, ringwall_sim::anchors())).join().unwrap();
    format!("{ended:?}") == format!("{:?}", std::process::ExitCode::from(code))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_shows_compares_and_verifies() {
    let home = Home::new();
    home.remember().await;
    let anchor = home.files().path("anchor");
    let (file, older) = (anchor.to_str().unwrap(), home.folder.path().join("older"));
    std::fs::copy(&anchor, &older).unwrap();
    let (code, text) = ringwall(&["receipt", "show", file]);
    assert!(code == Some(0) && text.contains(&home.impostor.cluster_id.to_string()) && text.contains("3 changes at"), "{text}");
    let (code, text) = ringwall(&["receipt", "show", file, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, shown["newest"]["tree_size"].as_u64()), (Some(0), Some(home.impostor.entries())));
    let cluster = home.impostor.cluster_id.to_string();
    let me = home.folder.path().join("me");
    let beside = ringwall(&["receipt", "show", "--json", "--cluster", &cluster, "--credential", me.to_str().unwrap()]);
    assert_eq!(beside, (Some(0), text), "the one beside the credential");
    home.remember_more().await;
    let older = older.to_str().unwrap();
    let (code, text) = ringwall(&["receipt", "compare", older, file]);
    assert!(code == Some(0) && text.contains("the second has seen"), "{text}");
    assert!(ringwall(&["receipt", "compare", file, file]).1.contains("same log"));

    home.impostor.tell(Tale::ForkedInPlace);
    // A device of the same user that starts with nothing is shown the other history.
    let other = AnchorFiles::beside(&home.folder.path().join("other"), &home.impostor.cluster_id);
    let mut options = home.options(20_000);
    options.anchor = Arc::new(other.clone());
    Client::connect(options).await.unwrap().close().await;
    let other = other.path("anchor");
    let (code, text) = ringwall(&["receipt", "compare", file, other.to_str().unwrap()]);
    assert!(code == Some(13) && text.contains("FORK_DETECTED"), "{text}");

    home.returns().await;
    let detected = home.files().path("detected");
    let proof = detected.to_str().unwrap();
    assert!(ends_with(0, &["receipt", "verify", proof]));
    assert!(ends_with(0, &["receipt", "verify", proof, "--json"]));
    let (code, text) = ringwall(&["receipt", "verify", proof]);
    assert!(matches!(code, Some(3 | 12)) && text.contains("proves nothing"), "under the vendors' roots: {code:?} {text}");
    let mut bytes = std::fs::read(&detected).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&detected, bytes).unwrap();
    assert!(ends_with(10, &["receipt", "verify", proof]));
    assert!(ends_with(4, &["receipt", "show", "/nowhere/at/all"]));
    assert!(ends_with(10, &["receipt", "show", proof]));
}
