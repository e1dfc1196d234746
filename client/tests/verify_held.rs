//! `ringwall verify` where this user's client remembers a newer policy than the card, or another way, as people type it: files and exit codes.
//!
//! Decides: which policy a judgement is held to, and that it says so: the newest of the card and of the record beside the credential; what goes by an older
//! one is refused; two ways, a damaged record and one whose changes nobody approved are told and nothing is judged; nothing is written by looking.
//! Trusts: simulated evidence. Out of scope: nodes over a network (tests/tests/governance.rs), the rules of a change (`attest`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::saved::Saved;

use ringwall_client::anchor::{AnchorFiles, AnchorStore as _, KnownPolicy};
use ringwall_client::cli;
use ringwall_client::policy::GovernorKey;
use ringwall_sim::anchors;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{ClusterId, Digest, PolicyVersion};
use ringwall_wire::policy::{Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::secret::Secret;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Exit codes of the command line that are asserted here.
const BAD: u8 = 3;
const CONFIG: u8 = 10;
const DETECTED: u8 = 13;

fn governor() -> GovernorKey {
    GovernorKey::from_seed(Secret::new([1; 32]))
}

/// An exchange with a node that goes by the founding policy of a cluster with one governor.
fn founding() -> Saved {
    Saved::of("genoa-1", &[], |policy| {
        let keys = List::new(vec![governor().public()]).unwrap();
        policy.governance = Governance { keys, threshold: 1, timelock_s: 0, lease_s: 0 };
    })
}

fn known(saved: &Saved) -> KnownPolicy {
    KnownPolicy { cluster_id: saved.asked.cluster_id, founding: saved.answer.policy.clone(), steps: List::default() }
}

/// `known` with one change more, to this version.
fn then(known: &KnownPolicy, version: u64, approved: bool) -> KnownPolicy {
    let policy = PolicyDoc { version: PolicyVersion(version), ..known.policy().unwrap() };
    let policy = Blob::new(policy.encode()).unwrap();
    let mut signed = SignedPolicy { replaces: Some(known.digest()), policy, signatures: List::default() };
    if approved {
        signed.signatures.push(governor().approve(&signed)).unwrap();
    }
    known.followed_by(&[PolicyStep { signed, notice: None }]).unwrap()
}

/// A folder with an exchange, a card and, once it is kept, a record beside the credential.
struct Home {
    folder: tempfile::TempDir,
    cluster_id: ClusterId,
}

impl Home {
    fn new(saved: &Saved, card: &KnownPolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("exchange"), saved.exchange().to_bytes()).unwrap();
        let card = ClusterCard { policy: card.founding.clone(), steps: card.steps.clone(), ..saved.card() };
        std::fs::write(folder.path().join("card"), card.encode()).unwrap();
        Home { folder, cluster_id: saved.asked.cluster_id }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn remembers(&self, known: &KnownPolicy) -> PathBuf {
        let files = AnchorFiles::beside(&self.path("me"), &self.cluster_id);
        files.save_policy(known).unwrap();
        files.path("policy")
    }

    /// How `ringwall verify --from exchange` ends with the simulated roots.
    fn verify(&self, card: bool) -> ExitCode {
        let text = |name: &str| OsString::from(self.path(name));
        let mut arguments: Vec<OsString> = ["ringwall", "verify", "--from"].map(OsString::from).into();
        arguments.extend([text("exchange"), "--credential".into(), text("me")]);
        match card {
            true => arguments.extend(["--card".into(), text("card")]),
            false => arguments.extend(["--cluster".into(), self.cluster_id.to_string().into()]),
        }
        cli::run(arguments, anchors())
    }

    /// What the shipped program says of it: the simulated roots are not its own, so that it accepts none of it, and says what it was held to.
    fn says(&self, more: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwall"));
        command.current_dir(self.folder.path()).env("RINGWALL_CARD", "card").env("RINGWALL_CREDENTIAL", "me");
        let output = command.args(["verify", "--from", "exchange"]).args(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    }

    fn held(&self) -> serde_json::Value {
        let (_, told) = self.says(&["--json"]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_else(|fault| panic!("{fault}: {told}"));
        told["held_policy"].clone()
    }
}

/// Names of the files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_newest_of_card_and_record_is_held_and_named() {
    let saved = founding();
    let first = known(&saved);
    let home = Home::new(&saved, &first);
    assert_eq!(home.verify(true), ExitCode::SUCCESS);
    assert_eq!(home.held(), serde_json::json!({ "version": first.founding.version.0, "from": "card" }));
    assert_eq!(files(home.folder.path()), ["card", "exchange"], "looking writes nothing, not even a lock");

    // What the card says is remembered as well: nothing changes.
    let record = home.remembers(&first);
    assert_eq!(home.verify(true), ExitCode::SUCCESS);
    assert_eq!(home.held()["from"], "card");
    // A newer policy is remembered: the node went by an older one, whatever pins the cluster.
    let second = then(&first, 2, true);
    home.remembers(&second);
    for card in [true, false] {
        assert_eq!(home.verify(card), ExitCode::from(BAD), "with a card: {card}");
    }
    let file = record.file_name().unwrap().to_str().unwrap();
    assert_eq!(home.held(), serde_json::json!({ "version": 2, "from": "anchor", "file": file }));
    let (code, told) = home.says(&[]);
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, i32::from(BAD));
    assert!(words.contains(&format!("held to policy version 2, which {file} remembers; the card is older and says version 1")), "{told}");
    let (_, told) = home.says(&["--json"]);
    assert!(told.contains("RW-C-POLICY-WENT-BACK"), "{told}");

    // A card that knows more than the record counts.
    let newer = Home::new(&saved, &then(&second, 3, true));
    newer.remembers(&second);
    assert_eq!(newer.verify(true), ExitCode::from(BAD));
    assert_eq!(newer.held(), serde_json::json!({ "version": 3, "from": "card" }));
}

#[test]
fn a_node_that_goes_by_what_is_remembered_is_verified_by_it() {
    let saved = founding();
    let second = then(&known(&saved), 2, true);
    // The node went on: what it shows leads from the founding policy to the one that is remembered.
    let policy = second.policy().unwrap();
    let went_on = Saved::going_by(&saved, policy, &second.steps);
    let home = Home::new(&went_on, &known(&saved));
    for remembered in [None, Some(&second)] {
        if let Some(known) = remembered {
            home.remembers(known);
        }
        for card in [true, false] {
            assert_eq!(home.verify(card), ExitCode::SUCCESS, "{remembered:?}, with a card: {card}");
        }
    }
    assert_eq!((&home.held()["from"], &home.held()["version"]), (&"anchor".into(), &2.into()));
    // It was withdrawn by nobody, but more is known: refused.
    home.remembers(&then(&second, 4, true));
    assert_eq!(home.verify(true), ExitCode::from(BAD));
}

#[test]
fn two_ways_and_records_that_prove_nothing_are_told_and_nothing_is_judged() {
    let saved = founding();
    let first = known(&saved);
    let fork = Home::new(&saved, &then(&first, 3, true));
    fork.remembers(&then(&first, 2, true));
    assert_eq!(fork.verify(true), ExitCode::from(DETECTED));
    let (code, told) = fork.says(&["--json"]);
    assert!(code == i32::from(DETECTED) && told.contains("RW-C-POLICIES-FORKED"), "{told}");

    // Whoever can write files there cannot make a policy.
    let forged = Home::new(&saved, &first);
    forged.remembers(&then(&first, 2, false));
    assert_eq!(forged.verify(true), ExitCode::from(CONFIG));
    let elsewhere = Home::new(&saved, &first);
    let path = elsewhere.remembers(&first);
    let other = KnownPolicy { cluster_id: ClusterId([7; 32]), ..first.clone() };
    std::fs::remove_file(&path).unwrap();
    let theirs = AnchorFiles::beside(&elsewhere.path("other"), &other.cluster_id);
    theirs.save_policy(&other).unwrap();
    std::fs::rename(theirs.path("policy"), &path).unwrap();
    assert_eq!(elsewhere.verify(true), ExitCode::from(CONFIG));
    let damaged = Home::new(&saved, &first);
    let path = damaged.remembers(&first);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (code, told) = damaged.says(&["--json"]);
    assert!(code == i32::from(CONFIG) && told.contains("RW-C-ANCHOR-MALFORMED"), "{told}");
    assert_eq!(Digest(first.founding.digest()), first.digest());
}
