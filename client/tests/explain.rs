//! Judgements as trees, as data and from files: what `ringwall verify` shows and how it ends.
//!
//! Decides: nothing about evidence. The trees of one accepted and some refused nodes are pinned letter by letter
//! (`RINGWALL_BLESS=1 cargo test -p ringwall-client explain::` writes them anew); a saved exchange is judged as it was over the network, a
//! damaged one is not judged; bad and cannot-tell end differently. Trusts: simulated evidence, and the vectors' verdicts.
//! Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside the workspace; their absence is a failure in CI.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use super::saved;

use ringwall_client::{
    Anchors, ConnectError, Credential, Exchange, Explanation, Finding, Mark, Options, ReadExchangeError, Stage, Verdict, cli, examine_node,
    read_exchange, verify_node,
};
use ringwall_sim::impostor::{Act, Impostor};
use ringwall_sim::published::vectors;
use ringwall_sim::{Lie, anchors};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, PolicyVersion};
use saved::{DAY_S, NOW_S, Saved, demanding};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The explanation of a saved exchange, by the simulated roots.
fn explained(saved: &Saved) -> Explanation {
    explained_as(&saved.exchange(), &anchors())
}

fn explained_as(exchange: &Exchange, roots: &Anchors) -> Explanation {
    let examined = exchange.examine(roots, "saved");
    match &examined.verdict {
        Ok(_) => Explanation::accepted(&examined.trace, examined.at_s),
        Err(error) => Explanation::refused(&examined.trace, examined.at_s, error),
    }
}

fn mark(explanation: &Explanation, stage: Stage) -> Mark {
    explanation.stages.iter().find(|account| account.stage == stage.name()).unwrap().mark
}

#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("RINGWALL_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text == wanted, "{name} differs; this build writes\n{text}");
}

#[test]
fn an_accepted_node_has_every_stage_ok() {
    for chip in ["genoa-1", "tdx-1"] {
        let explanation = explained(&Saved::honest(chip));
        assert_eq!(explanation.verdict, Verdict::Accepted);
        for stage in Stage::ALL {
            assert_eq!(mark(&explanation, stage), Mark::Ok, "{chip}: {stage}\n{}", explanation.tree());
        }
        golden(&format!("accepted-{chip}.txt"), &explanation.tree());
    }
}

#[test]
fn a_refused_tree_marks_its_stage_and_says_what_to_do() {
    let cases: [(&str, &[Lie], Stage, Mark); 13] = [
        ("tdx-1", &[Lie::ForeignRoot], Stage::Root, Mark::Failed),
        ("turin-1", &[Lie::SnpVekOtherTcb], Stage::Chain, Mark::Failed),
        ("turin-1", &[Lie::SnpVekExpired], Stage::Chain, Mark::CannotTell),
        ("genoa-1", &[Lie::SnpAskRevoked], Stage::Revocation, Mark::Failed),
        ("genoa-1", &[Lie::SnpCrlAbsent], Stage::Revocation, Mark::CannotTell),
        ("genoa-1", &[Lie::Signature], Stage::Report, Mark::Failed),
        ("tdx-1", &[Lie::Version], Stage::Report, Mark::CannotTell),
        ("turin-1", &[Lie::SnpOldCommitted], Stage::Tcb, Mark::Failed),
        ("tdx-1", &[Lie::TdxOldEvaluation], Stage::Tcb, Mark::CannotTell),
        ("genoa-1", &[Lie::SnpDebug], Stage::Policy, Mark::Failed),
        ("tdx-1", &[Lie::Build], Stage::Measurement, Mark::Failed),
        ("genoa-1", &[Lie::BootConfig], Stage::Binding, Mark::Failed),
        ("tdx-1", &[Lie::ReportData], Stage::Binding, Mark::Failed),
    ];
    for (chip, lies, stage, wanted) in cases {
        refused_at(&Saved::telling(chip, lies), stage, wanted);
    }
    refused_at(&Saved::of("genoa-1", &[], demanding), Stage::Release, Mark::CannotTell);
    let mut other = Saved::honest("genoa-1");
    other.asked.cluster_id = ClusterId([5; 32]);
    refused_at(&other, Stage::Cluster, Mark::Failed);
}

#[track_caller]
fn refused_at(saved: &Saved, stage: Stage, wanted: Mark) {
    let explanation = explained(saved);
    let tree = explanation.tree();
    assert_eq!(mark(&explanation, stage), wanted, "{stage}\n{tree}");
    let verdict = if wanted == Mark::Failed { Verdict::Refused } else { Verdict::CannotTell };
    assert_eq!(explanation.verdict, verdict, "{tree}");
    let refusal = explanation.refusal.as_ref().unwrap();
    assert_eq!(refusal.stage, stage.name());
    let ended = explanation.stages.iter().filter(|account| matches!(account.mark, Mark::Failed | Mark::CannotTell)).count();
    assert_eq!(ended, 1, "{tree}");
    let word = if wanted == Mark::Failed { "[FAILED]" } else { "[cannot tell]" };
    let branch = tree.find(&format!("{word} {}", stage.title())).unwrap_or_else(|| panic!("no branch {word}\n{tree}"));
    let (_, under) = tree.split_at(branch);
    for words in ["expected:", "found:", "what to do:"] {
        assert!(under.contains(words), "{words}\n{tree}");
    }
}

#[test]
fn refused_trees_read_as_they_did() {
    golden("refused-genoa-1-old-firmware.txt", &explained(&Saved::telling("genoa-1", &[Lie::SnpOldLaunch])).tree());
    golden(
        "cannot-tell-tdx-1-statements-ran-out.txt",
        &explained_as(&Saved::honest("tdx-1").exchange().as_of(NOW_S + 60 * DAY_S), &anchors()).tree(),
    );
}

#[test]
fn an_explanation_survives_json() {
    for saved in [Saved::honest("tdx-1"), Saved::telling("genoa-1", &[Lie::SnpCrlAbsent]), Saved::telling("tdx-1", &[Lie::TdxDebug])] {
        let explanation = explained(&saved);
        let json = serde_json::to_string(&explanation).unwrap();
        assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["stages"].as_array().unwrap().len(), 10);
        assert_eq!(value["verdict"] == "accepted", value.get("refusal").is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_kept_in_a_file_is_judged_as_it_was_over_the_network() {
    let folder = tempfile::tempdir().unwrap();
    for act in [Act::Honest, Act::Lies(Lie::SnpDebug), Act::Lies(Lie::Signature)] {
        let impostor = Impostor::start(act);
        let options = Options::pinned(impostor.cluster_id, vec![impostor.address.clone()], anchors(), Credential::generate());
        let (exchange, live) = examine_node(&options, &impostor.address).await.unwrap();
        impostor.assert_nothing_was_told();
        assert_eq!(live.verdict.is_ok(), act == Act::Honest);
        let path = folder.path().join(format!("{act:?}"));
        std::fs::write(&path, exchange.to_bytes()).unwrap();
        let read = read_exchange(&path).unwrap();
        assert_eq!(read, exchange);
        let again = read.examine(&anchors(), &impostor.address);
        assert_eq!((&again.trace, again.at_s), (&live.trace, live.at_s));
        match (live.verdict, again.verdict) {
            (Ok(live), Ok(again)) => assert_eq!(live, again),
            (Err(live), Err(again)) => assert_eq!(live, again),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_says_bad_and_cannot_tell_in_different_words_and_codes() {
    let fault_of = async |act| {
        let impostor = Impostor::start(act);
        let options = Options::pinned(impostor.cluster_id, vec![impostor.address.clone()], anchors(), Credential::generate());
        let alone = verify_node(&options, &impostor.address).await.unwrap_err();
        let serving = ringwall_client::Client::connect(options).await.expect_err("a node of which nobody can tell was used");
        impostor.assert_nothing_was_told();
        assert_eq!(alone.code(), serving.code());
        assert!(serving.is_refused_evidence());
        alone
    };
    let bad = fault_of(Act::Lies(Lie::SnpAskRevoked)).await;
    assert!(matches!(&bad, ConnectError::Evidence { error, .. } if error.finding() == Finding::Bad), "{bad}");
    let unknown = fault_of(Act::Lies(Lie::SnpCrlAbsent)).await;
    assert!(matches!(&unknown, ConnectError::CannotTell { error, .. } if error.finding() == Finding::CannotTell), "{unknown}");
    assert_eq!((bad.code(), unknown.code()), ("RW-C-EVIDENCE", "RW-C-CANNOT-TELL"));
    assert!(unknown.to_string().contains("cannot be told") && !bad.to_string().contains("cannot be told"));
}

#[test]
fn no_byte_of_a_saved_exchange_can_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange");
    let honest = Saved::honest("genoa-1").exchange().to_bytes();
    for at in (0..honest.len()).step_by(13).chain(0..160).chain(honest.len() - 64..honest.len()) {
        let mut bytes = honest.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(read_exchange(&path), Err(ReadExchangeError::Damaged { .. })), "byte {at}");
    }
    for cut in [0, 31, 32, 33, honest.len() - 1] {
        std::fs::write(&path, honest.get(..cut).unwrap()).unwrap();
        assert!(read_exchange(&path).is_err(), "{cut} bytes");
    }
    std::fs::write(&path, vec![0; ringwall_client::EXCHANGE_FILE_BYTES + 1]).unwrap();
    assert!(matches!(read_exchange(&path), Err(ReadExchangeError::TooLarge { .. })));
}

/// Whoever can write the file can write its checksum: then the evidence inside decides.
#[test]
fn a_changed_answer_with_a_fitting_checksum_is_refused_by_its_evidence() {
    let honest = Saved::honest("genoa-1");
    assert_eq!(explained(&honest).verdict, Verdict::Accepted);
    let mut nonce = honest.clone();
    nonce.asked.nonce.0[0] ^= 1;
    let mut handshake = honest.clone();
    handshake.asked.handshake.0[0] ^= 1;
    let mut build = honest.clone();
    build.answer.incarnation.0 += 1;
    let mut keys = honest;
    keys.answer.keys.kem.0[3] ^= 1;
    for changed in [nonce, handshake, build, keys] {
        assert_eq!(mark(&explained(&changed), Stage::Binding), Mark::Failed);
    }
}

#[test]
fn the_reader_pins_the_cluster_and_the_time() {
    let saved = Saved::honest("tdx-1");
    let exchange = saved.exchange();
    assert_eq!((exchange.cluster_id(), exchange.at_s()), (saved.asked.cluster_id, NOW_S));
    let other = explained_as(&exchange.clone().pinned_to(ClusterId([3; 32]), PolicyVersion(0)), &anchors());
    assert_eq!(mark(&other, Stage::Cluster), Mark::Failed);
    let newer = explained_as(&exchange.clone().pinned_to(exchange.cluster_id(), PolicyVersion(9)), &anchors());
    assert_eq!(mark(&newer, Stage::Cluster), Mark::Failed);
    let later = explained_as(&exchange.as_of(NOW_S + 400 * DAY_S), &anchors());
    assert_eq!(later.verdict, Verdict::CannotTell);
}

fn in_process(arguments: &[&str]) -> ExitCode {
    let arguments = ["ringwall", "verify"].iter().chain(arguments).map(OsString::from);
    cli::run(arguments, anchors())
}

#[test]
fn the_command_ends_with_0_3_and_12() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, saved: &Saved| {
        let path = folder.path().join(name).display().to_string();
        std::fs::write(&path, saved.exchange().to_bytes()).unwrap();
        path
    };
    let honest = file("honest", &Saved::honest("genoa-1"));
    let bad = file("bad", &Saved::telling("genoa-1", &[Lie::SnpDebug]));
    let unknown = file("unknown", &Saved::telling("genoa-1", &[Lie::SnpCrlAbsent]));
    for more in [&[][..], &["--explain"], &["--json"]] {
        let ends = |path: &str| in_process(&[&["--from", path], more].concat());
        assert_eq!(ends(&honest), ExitCode::from(0), "{more:?}");
        assert_eq!(ends(&bad), ExitCode::from(3), "{more:?}");
        assert_eq!(ends(&unknown), ExitCode::from(12), "{more:?}");
    }
    let late = (NOW_S + 400 * DAY_S).to_string();
    assert_eq!(in_process(&["--from", &honest, "--at", &late]), ExitCode::from(12));
    let elsewhere = ClusterId([1; 32]).to_string();
    assert_eq!(in_process(&["--from", &honest, "--cluster", &elsewhere]), ExitCode::from(3));
    let card = folder.path().join("card").display().to_string();
    std::fs::write(&card, Saved::honest("genoa-1").card().encode()).unwrap();
    assert_eq!(in_process(&["--from", &honest, "--card", &card]), ExitCode::from(0));
    let mut damaged = std::fs::read(&honest).unwrap();
    damaged[100] ^= 1;
    std::fs::write(&honest, damaged).unwrap();
    assert_eq!(in_process(&["--from", &honest]), ExitCode::from(10));
}

/// The shipped program: what it prints, and how it ends.
fn shipped(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringwall")).arg("verify").args(arguments).env_remove("RINGWALL_CARD").output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_shipped_command_refuses_simulated_evidence_and_says_why_as_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange").display().to_string();
    let exchange = Saved::honest("tdx-1").exchange();
    std::fs::write(&path, exchange.to_bytes()).unwrap();
    let (code, text) = shipped(&["--from", &path, "--json"]);
    assert_eq!(code, Some(3), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["verdict"], &value["pinned_by"], &value["error"]["exit"]), (&"refused".into(), &"file".into(), &3.into()));
    let told: Explanation = serde_json::from_str(&text).unwrap();
    assert_eq!(told, explained_as(&exchange, &Anchors::production()));
    let (code, text) = shipped(&["--from", &path, "--explain"]);
    assert_eq!(code, Some(3));
    assert!(text.contains("[FAILED] Root of trust") && text.contains("NOT verified"), "{text}");
    assert!(!text.contains('\u{1b}'), "colour in a pipe");
}

fn case(folder: &Path) -> (String, impl Fn(&str) -> String + use<>) {
    let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let at = facts["verify_at"].as_u64().unwrap_or(1_780_272_000).to_string();
    let folder = folder.to_owned();
    (at, move |name: &str| folder.join(name).display().to_string())
}

#[test]
fn raw_files_of_real_machines_are_judged_as_far_as_they_go() {
    let Some(vectors) = vectors() else { return };
    let (at, file) = case(&vectors.join("snp/turin-v5-msft"));
    let ask = vectors.join("snp/roots/turin/ask.der").display().to_string();
    let (report, vek) = (file("report.bin"), file("vek.der"));
    let raw = ["--report", &report, "--vek", &vek, "--ask", &ask, "--at", &at];
    let (code, text) = shipped(&[&raw[..], &["--explain"]].concat());
    assert_eq!(code, Some(0), "{text}");
    for words in
        ["genuine", "[ok] Root of trust", "[in part] Revocation", "[ok] Signed report", "(not reached: it needs a policy and a session)"]
    {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("verified,"), "raw files were called verified\n{text}");
    let (_, json) = shipped(&[&raw[..], &["--json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["verdict"], &value["claims"]["product"]), (&"genuine".into(), &"Turin".into()));

    let (at, file) = case(&vectors.join("tdx/tdx-v5-v5-google-90c06f@2026-03-01"));
    let (quote, collateral) = (file("quote.bin"), file("collateral.json"));
    let (code, text) = shipped(&["--quote", &quote, "--collateral", &collateral, "--at", &at, "--explain"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("[ok] Revocation") && text.contains("[in part] Firmware") && text.contains("mr_seam:"), "{text}");
    let (code, text) = shipped(&["--quote", &quote, "--collateral", &collateral, "--at", "1", "--explain"]);
    assert_eq!(code, Some(12), "{text}");
    assert!(text.contains("CANNOT TELL"), "{text}");
}

#[test]
fn one_changed_byte_of_a_raw_file_is_refused() {
    let Some(vectors) = vectors() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (at, file) = case(&vectors.join("snp/turin-v5-msft"));
    let ask = vectors.join("snp/roots/turin/ask.der").display().to_string();
    let (report, vek) = (file("report.bin"), file("vek.der"));
    let changed = folder.path().join("changed").display().to_string();
    for (place, original) in [(1, &report), (3, &vek), (5, &ask)] {
        let mut bytes = std::fs::read(original).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&changed, bytes).unwrap();
        let mut arguments = vec!["--report", &report, "--vek", &vek, "--ask", &ask, "--at", &at, "--json"];
        arguments[place] = &changed;
        let (code, text) = shipped(&arguments);
        assert_eq!(code, Some(3), "{text}");
    }
    let (_, file) = case(&vectors.join("tdx/tdx-v5-v5-google-90c06f@2026-03-01"));
    std::fs::write(&changed, vec![b' '; 4 * 1024 * 1024]).unwrap();
    let (code, _) = shipped(&["--quote", &file("quote.bin"), "--collateral", &changed]);
    assert_eq!(code, Some(10), "a file above the limit was read");
}
