//! Custodians at their command lines before real nodes: three processes, the real program, and everything that the protocol and the runbooks ask of people.
//!
//! Decides: what `ringwall custodian`, `ringwall drill` and `ringwall custody` write and say is what nodes take and mean: shares are pulled, accepted, proved and rehearsed
//! online; after all nodes were killed two answers bring the cluster back, also where the recovering node died between them; governors replace a custodian, and
//! what was dealt before opens nothing any more; with one disk left every custodian accepts the loss, and nobody else can.
//! Trusts: simulated roots. Out of scope: each refusal by itself (`sim/tests/custodian*.rs`), shares and disks that are not what they seem (`recover.rs`, `drill.rs`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::workload;

use ringwall_client::anchor::AnchorFiles;
use ringwall_client::custodian::Passphrase;
use ringwall_client::custodian::age::Age;
use ringwall_client::custodian::ceremony;
use ringwall_client::custodian::keys::{CustodianKeys, read_cards};
use ringwall_client::custodian::locked::{Keyring, LockError};
use ringwall_client::custodian::shelf::Shelf;
use ringwall_client::{Client, Credential};
use ringwall_keys::custody::{GoodShare, combine};
use ringwall_node::custody::blob_file;
use ringwall_sim::cluster::LocalOptions;
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{CustodyEpoch, Nonce};
use ringwall_wire::recovery::SignedOffer;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use workload::{AMD, Governed, NAME};

const PASSPHRASE: &str = "correct horse battery staple";
const NAMES: [&str; 3] = ["ana", "ben", "cleo"];
/// Rotations as good as never, in seconds.
const RARELY: (u32, u32) = (1_000_000, 1_000_000);
const SLOTS: [u8; 3] = [1, 2, 3];

/// How a run ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    fn words(&self) -> String {
        format!("{} {}", self.out, self.err).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The program, in a folder, with the passphrase on its standard input as often as it is asked for.
fn ringwall(folder: &Path, arguments: &[String]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim-ringwall"));
    command.current_dir(folder).args(arguments).env_remove("RINGWALL_CARD").env_remove("RINGWALL_CUSTODIAN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A run that refuses early does not read.
    let _ = child.stdin.take().unwrap().write_all(format!("{PASSPHRASE}\n").repeat(3).as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A verb of one custodian.
fn of(verb: &str, who: &str, line: &str) -> Vec<String> {
    words(&format!("{verb} {line} --home {who} --passphrase-fd 0"))
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// A governed cluster whose custodians sit at a table of their own, and a user whose anchor outlives it all.
struct Line {
    table: tempfile::TempDir,
    governed: Governed,
    credential: Credential,
    files: AnchorFiles,
    /// Session of the newest offer that was looked at.
    session: Nonce,
}

impl Line {
    async fn start() -> Self {
        let table = tempfile::tempdir().unwrap();
        let card = |who: &str| {
            let made = ringwall(table.path(), &of("custodian", who, &format!("init --name {who} --json")));
            assert_eq!(made.code, 0, "{made:?}");
            let text = made.json()["card"].as_str().unwrap().to_owned();
            std::fs::write(table.path().join(format!("{who}.toml")), &text).unwrap();
            text
        };
        let cards: String = NAMES.iter().map(|who| card(who)).collect();
        card("dora");
        let custodians = (read_cards(&cards).unwrap(), 2);
        let options = LocalOptions { custodians, rotate_s: Some(RARELY), ..LocalOptions::default() };
        let governed = Governed::start_with(options).await;
        copy(&governed.cluster.card_path(), &table.path().join("cluster.card"));
        let credential = Credential::generate();
        let files = AnchorFiles::beside(&table.path().join("me"), &governed.cluster.card().genesis.cluster_id());
        Line { table, governed, credential, files, session: Nonce([0; 32]) }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.table.path().join(name)
    }

    /// Runs the program once, for this cluster.
    fn run(&self, mut arguments: Vec<String>) -> Ran {
        arguments.extend(words("--card cluster.card"));
        arguments.extend(self.governed.cluster.addresses().into_iter().flat_map(|address| ["--address".to_owned(), address]));
        ringwall(self.table.path(), &arguments)
    }

    #[track_caller]
    fn done(&self, arguments: Vec<String>) -> Ran {
        let what = arguments.join(" ");
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{what}: {ran:?}\n{}", local::logs(&self.governed.cluster));
        ran
    }

    #[track_caller]
    fn fails(&self, arguments: Vec<String>, code: i32, words: &str) {
        let what = arguments.join(" ");
        let ran = self.run(arguments);
        assert!(ran.code == code && ran.words().contains(words), "{what}: wanted {code}, {words:?}: {ran:?}");
    }

    /// Runs it until it ends well and says what is wanted: a cluster may be without a leader for a moment, or not as far yet.
    async fn until(&self, arguments: &[String], wanted: impl Fn(&Ran) -> bool) -> Ran {
        let until = Instant::now() + PATIENCE;
        loop {
            let ran = self.run(arguments.to_vec());
            if ran.code == 0 && wanted(&ran) {
                return ran;
            }
            let what = arguments.join(" ");
            assert!(Instant::now() < until, "{what}: {ran:?}\n{}", local::logs(&self.governed.cluster));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn pull(&self, who: &str, dealing: u64) {
        self.until(&of("custodian", who, "pull --json"), |ran| ran.json()["custody_epoch"].as_u64() >= Some(dealing)).await;
    }

    /// One custodian takes the dealing that waits, or is active already.
    async fn accepts(&self, who: &str, dealing: u32, with: &str) {
        self.pull(who, dealing.into()).await;
        let accepted = self.until(&of("custodian", who, &format!("accept {with}")), |_| true).await;
        assert!(accepted.words().contains("on record (told to 127.0.0.1:"), "{accepted:?}");
    }

    /// Waits until a dealing is active and on every disk.
    async fn active(&self, dealing: u32) {
        self.until(&of("custodian", "ana", "status --online --json"), |ran| ran.json()["online"]["active"] == dealing).await;
        for slot in SLOTS {
            let until = Instant::now() + PATIENCE;
            let file = || blob_file::read(&self.governed.cluster.data_folder(slot)).unwrap();
            while file().is_none_or(|file| file.manifest.manifest.custody_epoch < CustodyEpoch(dealing)) {
                assert!(Instant::now() < until, "node {slot} has no recovery file\n{}", local::logs(&self.governed.cluster));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn first_dealing(&self) {
        for who in NAMES {
            self.accepts(who, 1, "").await;
        }
        self.active(1).await;
    }

    /// A governor's key file.
    fn governor(&self, number: u8) -> String {
        self.governed.path(&format!("governor-{number}")).display().to_string()
    }

    /// The user, with the anchor that is kept.
    async fn client(&self) -> Client {
        let mut options = self.governed.options();
        options.credential = self.credential.clone();
        options.anchor = Arc::new(self.files.clone());
        Client::connect(options).await.unwrap_or_else(|fault| panic!("{fault}\n{}", local::logs(&self.governed.cluster)))
    }

    async fn put(&self, key: &str, value: &str) {
        let client = self.client().await;
        client.namespace("notes").await.unwrap().put(key, value).await.unwrap();
        client.close().await;
    }

    async fn holds(&self, key: &str, value: &str) {
        let client = self.client().await;
        let found = client.namespace("notes").await.unwrap().get(key).await.unwrap();
        assert_eq!(found.map(|found| found.value), Some(value.as_bytes().to_vec()), "{}", local::logs(&self.governed.cluster));
        client.close().await;
    }

    fn papers(&self, slot: u8) -> PathBuf {
        self.governed.cluster.data_folder(slot).join("recovery")
    }

    /// Every process dies at once, and one begins to recover with these disks beside its own; the offer of its session.
    async fn recover(&mut self, slot: u8, disks: &[PathBuf]) -> SignedOffer {
        SLOTS.into_iter().for_each(|slot| self.governed.cluster.kill(slot));
        let flags: Vec<OsString> = disks.iter().flat_map(|disk| ["--disk".into(), disk.clone().into_os_string()]).collect();
        self.governed.cluster.recover(slot, &flags).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let offered = std::fs::read(self.papers(slot).join("offer")).ok().and_then(|bytes| SignedOffer::decode(&bytes).ok());
            let told = self.told(slot)["session"].clone();
            if let Some(offer) = offered.filter(|offer| offer.offer.session != self.session && told == offer.offer.session.to_string()) {
                self.session = offer.offer.session;
                return offer;
            }
            assert!(Instant::now() < until, "nothing is offered\n{}", local::logs(&self.governed.cluster));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn told(&self, slot: u8) -> Value {
        let text = std::fs::read(self.papers(slot).join("status.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    async fn told_where(&self, slot: u8, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = self.told(slot);
            if wanted(&told) {
                return told;
            }
            assert!(Instant::now() < until, "waited for {what}; last told: {told}\n{}", local::logs(&self.governed.cluster));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The command with which a custodian answers the node of `slot`.
    fn answer(&self, who: &str, verb: &str, slot: u8, out: &str) -> Vec<String> {
        let papers = self.papers(slot).display().to_string();
        of("custodian", who, &format!("{verb} {papers}/offer --progress {papers}/progress --out {out} --yes --json"))
    }

    /// What an operator does with an answer.
    fn bring(&self, slot: u8, name: &str) {
        let inbox = self.papers(slot).join("inbox");
        std::fs::copy(self.place(name), inbox.join(format!("{name}.part"))).unwrap();
        std::fs::rename(inbox.join(format!("{name}.part")), inbox.join(name)).unwrap();
    }

    /// A share from a custodian's folder, opened as the program opens it.
    fn share(&self, folder: &str) -> GoodShare {
        let shelf = Shelf::open(&self.place(folder)).unwrap();
        let held = shelf.newest_accepted(&self.governed.cluster.card().genesis.cluster_id()).unwrap();
        let keys = CustodianKeys::unlock(&shelf.keys().unwrap(), &mut Typed).unwrap();
        ceremony::opened(&shelf, &held.name, &keys).unwrap()
    }
}

struct Typed;

impl Keyring for Typed {
    fn passphrase(&mut self) -> Result<Passphrase, LockError> {
        Ok(Passphrase::new(PASSPHRASE.to_owned().into()))
    }

    fn age(&mut self) -> Result<(Age, PathBuf), LockError> {
        Err(LockError::NoIdentity)
    }
}

/// Ana proves her share, and three rehearse together.
async fn proves_and_drills(line: &Line) {
    let proved = line.until(&of("custodian", "ana", "prove"), |_| true).await;
    assert!(proved.words().contains("that the share of dealing 1 is here"), "{proved:?}");
    let is_proved = |ran: &Ran| {
        let seen = ran.json();
        let custodians = seen["online"]["custodians"].as_array().unwrap();
        let by = |name: &str| custodians.iter().find(|one| one["name"] == name).unwrap()["proved_at_ms"].as_u64().unwrap() > 0;
        by("ana") && !by("ben")
    };
    line.until(&of("custodian", "cleo", "status --online --json"), is_proved).await;
    line.until(&of("drill", "ana", "begin --out rehearsal"), |_| true).await;
    for who in ["ana", "ben"] {
        line.done(of("custodian", who, &format!("drill rehearsal --out answer.{who} --yes --json")));
    }
    // Whoever has a network brings them; said again after a moment without a leader, they are on record already.
    let until = Instant::now() + PATIENCE;
    while line.run(of("drill", "cleo", "status --out receipt")).code != 0 {
        let brought = line.run(of("drill", "cleo", "submit answer.ana answer.ben"));
        assert!(Instant::now() < until, "{brought:?}\n{}", local::logs(&line.governed.cluster));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let verified = line.done(words("drill verify receipt"));
    assert!(verified.words().contains("PASSED: the shares opened the shadow"), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_custodians_bring_the_cluster_back_with_nothing_but_their_programs() {
    let mut line = Line::start().await;
    line.put("key", "value").await;
    line.governed.create(NAME).await;
    let granted = line.governed.ask(None, AMD, NAME, None).await.unwrap();
    line.first_dealing().await;
    proves_and_drills(&line).await;

    // What was seen online goes along with the shares: the disk that is taken up has it all.
    local::client_of(&line.governed.cluster, 1).await.status().await.unwrap();
    SLOTS.into_iter().for_each(|slot| line.governed.cluster.kill(slot));
    let disks: Vec<PathBuf> = [2, 3].map(|slot| line.place(&format!("disk-{slot}"))).to_vec();
    for (slot, disk) in [2, 3].into_iter().zip(&disks) {
        copy(&line.governed.cluster.data_folder(slot), disk);
    }
    let first = line.recover(1, &disks).await;
    assert_eq!(first.offer.replaces, None);
    let told = line.done(line.answer("ana", "submit", 1, "answer.1")).json();
    assert_eq!((&told["purpose"], &told["age"], &told["answered"]), (&json!("recovery"), &json!("not-older"), &json!([])), "{told}");
    line.bring(1, "answer.1");
    line.told_where(1, "a share", |told| told["submitted"] == json!(["ana"])).await;

    // The node dies with its session's key and begins again: everybody is asked once more, and told why.
    let second = line.recover(1, &disks).await;
    assert_eq!(second.offer.replaces, Some(first.offer.session));
    assert_eq!(line.told(1)["replaces"], first.offer.session.to_string());
    line.bring(1, "answer.1");
    line.fails(line.answer("ana", "submit", 1, "answer.2"), 5, "the override is expected");
    let because = ["--second-session".to_owned(), "node 1 lost its power".to_owned()];
    let told = line.done([line.answer("ana", "submit", 1, "answer.2"), because.to_vec()].concat()).json();
    assert_eq!(told["replaces"], first.offer.session.to_string());
    line.bring(1, "answer.2");
    let told = line.told_where(1, "the share again", |told| told["submitted"] == json!(["ana"])).await;
    assert_eq!(
        (&told["step"], &told["refused"]),
        (&json!("shares"), &json!([])),
        "an answer to the first session is nobody's fault: {told}"
    );
    line.done(line.answer("cleo", "submit", 1, "answer.3"));
    line.bring(1, "answer.3");
    line.told_where(1, "service", |told| told["step"] == "serving").await;
    line.holds("key", "value").await;

    // The same workload key, from members that never granted it before.
    [2, 3].into_iter().for_each(|slot| line.governed.cluster.restart(slot).unwrap());
    let client = line.client().await;
    local::voters(&client, &line.governed.cluster, 3).await;
    client.close().await;
    let again = line.governed.ask(Some(2), AMD, NAME, None).await.unwrap();
    assert!(again.key.same(&granted.key), "a workload finds its data sealed under another key");
    assert!(again.seq > granted.seq, "the audit chain goes on");
    line.holds("key", "value").await;
}

/// The governors order the custodians of `next.toml`; the file of the complete order.
async fn replace_cleo_by_dora(line: &Line) -> &'static str {
    let cards = ["ana", "ben", "dora"].map(|who| std::fs::read_to_string(line.place(&format!("{who}.toml"))).unwrap()).concat();
    std::fs::write(line.place("next.toml"), cards).unwrap();
    line.done(words("custody order --custodians next.toml --custody-threshold 2 --out change"));
    line.done(words(&format!("custody sign change --key {} --out change.1", line.governor(1))));
    line.fails(words(&format!("custody sign change.1 --key {} --out twice", line.governor(1))), 10, "signed it already");
    line.fails(words("custody verify change.1"), 10, "1 of the governors signed, 2 must");
    line.fails(of("custody", "cleo", "bring change.1"), 10, "1 of the governors signed, 2 must");
    line.done(words(&format!("custody sign change.1 --key {} --out change.2", line.governor(3))));
    let verified = line.done(words("custody verify change.2 --json")).json();
    assert_eq!((verified["governors"].as_array().map(Vec::len), &verified["custodians"][2]["name"]), (Some(2), &json!("dora")));
    // Whoever brings it decides nothing: the one who has to go does as well.
    let brought = line.until(&of("custody", "cleo", "bring change.2"), |_| true).await;
    assert!(brought.words().contains("on record (told to 127.0.0.1:"), "{brought:?}");
    line.fails(of("custody", "ana", "bring change.2"), 11, "");
    "change.2"
}

/// Ana and Dora, as many as recover, hold their shares, and the governors do without Ben, who does not answer.
async fn do_without_ben(line: &Line, order: &str, with: &str) {
    line.until(&of("custodian", "ana", "pull --out dealing.2"), |_| true).await;
    line.fails(words("custody order --activate dealing.2 --out activate"), 3, "it was not dealt as the founding record");
    line.done(words(&format!("custody order --activate dealing.2 --after {order} --out activate")));
    line.done(words(&format!("custody sign activate --key {} --out activate.1", line.governor(2))));
    line.done(words(&format!("custody sign activate.1 --key {} --out activate.2", line.governor(3))));
    line.fails(of("custody", "ana", "bring activate.2"), 11, "");
    line.accepts("dora", 2, with).await;
    let brought = line.until(&of("custody", "ana", "bring activate.2 --json"), |_| true).await.json();
    assert_eq!((&brought["active"], &brought["waiting"]), (&json!(2), &json!(0)), "{brought}");
}

#[tokio::test(flavor = "multi_thread")]
async fn governors_replace_a_custodian_and_what_was_dealt_before_opens_nothing() {
    let mut line = Line::start().await;
    line.first_dealing().await;
    ["ana", "cleo"].into_iter().for_each(|who| copy(&line.place(who), &line.place(&format!("{who}.old"))));
    let old = blob_file::read(&line.governed.cluster.data_folder(1)).unwrap().unwrap();
    let order = replace_cleo_by_dora(&line).await;

    // A dealing to somebody the founders did not name is refused without the governors' order.
    line.pull("ana", 2).await;
    line.fails(of("custodian", "ana", "accept"), 3, "give it with --order");
    line.fails(of("custodian", "ana", "accept --order change.1"), 10, "1 of the governors signed, 2 must");
    let with = format!("--order {order}");
    line.accepts("ana", 2, &with).await;
    do_without_ben(&line, order, &with).await;
    line.active(2).await;
    line.accepts("ben", 2, &with).await;
    line.fails(of("custodian", "cleo", "status --online"), 6, "no custodian of this cluster");
    line.put("key", "value").await;

    // Two shares of before are a threshold, and give the key of before: it opens what lay on disks then, and nothing since.
    let new = blob_file::read(&line.governed.cluster.data_folder(1)).unwrap().unwrap();
    let shares = ["ana.old", "cleo.old"].map(|folder| line.share(folder));
    let key = combine(&old.manifest.manifest, &shares).unwrap();
    assert!(key.open(&old.manifest.manifest, &old.recovery).unwrap().newest() < new.recovery.newest_key);
    assert!(key.open(&new.manifest.manifest, &new.recovery).is_err());
    assert!(combine(&new.manifest.manifest, &shares).is_err());

    // One disk is left. Shares of the new dealing open it; all custodians of that dealing, and nobody else, accept the loss.
    local::client_of(&line.governed.cluster, 1).await.status().await.unwrap();
    SLOTS.into_iter().for_each(|slot| line.governed.cluster.kill(slot));
    [2, 3].into_iter().for_each(|slot| std::fs::remove_dir_all(line.governed.cluster.data_folder(slot)).unwrap());
    let offer = line.recover(1, &[]).await;
    assert_eq!(offer.offer.custody_epoch, CustodyEpoch(2));
    line.fails(line.answer("cleo", "submit", 1, "none"), 10, "this folder holds those of dealing 1");
    line.fails(line.answer("dora", "accept-loss", 1, "none"), 10, "asks nobody to accept a loss");
    for who in ["ana", "dora"] {
        line.done(line.answer(who, "submit", 1, &format!("answer.{who}")));
        line.bring(1, &format!("answer.{who}"));
    }
    line.told_where(1, "the question", |told| told["step"] == "loss").await;
    line.fails(line.answer("cleo", "accept-loss", 1, "none"), 10, "this folder holds those of dealing 1");
    for (at, who) in ["ana", "ben", "dora"].into_iter().enumerate() {
        let told = line.done(line.answer(who, "accept-loss", 1, &format!("loss.{who}"))).json();
        assert_eq!((&told["voters"], &told["missing"], &told["backup"]), (&json!(3), &json!(2), &json!(false)), "{told}");
        let mut absent: Vec<u64> = told["absent"].as_array().unwrap().iter().map(|voter| voter["slot"].as_u64().unwrap()).collect();
        absent.sort_unstable();
        assert_eq!(absent, [2, 3], "{told}");
        assert_eq!(told["accepted"].as_array().map(Vec::len), Some(at), "{told}");
        line.bring(1, &format!("loss.{who}"));
        line.told_where(1, "the acceptance", |told| at == 2 || told["loss"]["accepted"].as_array().map(Vec::len) == Some(at + 1)).await;
    }
    line.told_where(1, "service", |told| told["step"] == "serving").await;
    line.holds("key", "value").await;
}
