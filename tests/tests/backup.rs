//! Backups as people type them, against real node processes: taken under load, verified, altered, gone on with; and a user who goes on in another cluster.
//!
//! Decides: nothing; each test is a promise of protocol section 9.1 or 9.2. Commands are the shipped command line with simulated roots.
//! Trusts: the simulated roots. Out of scope: each rule of the file (`client/src/backup`), recovery under the same cluster.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::{Client, Credential};
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_tests::local;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit codes of the command line that are asserted here.
const NOT_FOUND: i32 = 4;
const FILE: i32 = 10;
const REFUSED: i32 = 11;

/// A cluster whose operator lets one user back it up, and a folder in which people keep their files.
struct Town {
    cluster: LocalCluster,
    user: Client,
    folder: tempfile::TempDir,
}

/// How a command ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(self.out.lines().last().unwrap_or_default())
            .unwrap_or_else(|fault| panic!("{fault}: {}{}", self.out, self.err))
    }
}

impl Town {
    /// The user `ops` may back it up.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ops = Credential::create(&folder.path().join("ops")).unwrap().user().to_string();
        let options = LocalOptions { backup_users: vec![ops], ..LocalOptions::default() };
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let cluster = LocalCluster::start_with(folder.path(), three::launch(), &machines, options).unwrap();
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        Town { cluster, user, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, device: &str, line: &str, input: &str) -> Ended {
        run(self.folder.path(), Some(&self.cluster.card_path()), device, line, input)
    }

    #[track_caller]
    fn done(&self, device: &str, line: &str, input: &str) -> Value {
        let ended = self.run(device, line, input);
        assert_eq!(ended.code, 0, "{device}: {line}: {}{}\n{}", ended.out, ended.err, local::logs(&self.cluster));
        if ended.out.trim().is_empty() { Value::Null } else { ended.json() }
    }

    #[track_caller]
    fn fails(&self, device: &str, line: &str, input: &str, code: i32, words: &str) {
        let ended = self.run(device, line, input);
        assert_eq!(ended.code, code, "{device}: {line}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(words), "{device}: {line}: {}", ended.err);
    }

    /// Takes a backup from the node of `slot`.
    #[track_caller]
    fn take(&self, slot: u8, file: &str) -> Value {
        self.done("ops", &format!("backup take {file} --address {} --timeout 120", self.cluster.address(slot)), "")
    }

    /// A user with one value in each mode and a phrase. Gives the phrase.
    fn settle(&self, device: &str, escrow: &str) -> String {
        self.done(device, "user init --name laptop", "");
        for mode in ["cluster", "dual", "user"] {
            self.done(device, &format!("put {mode} k --mode {mode}"), mode);
        }
        let line = format!("recovery create --escrow {escrow} --cool-down 0 --namespace cluster --namespace dual --namespace user");
        let made = self.done(device, &line, "");
        assert_eq!(made["data_keys"], true);
        made["phrase"].as_str().unwrap().to_owned()
    }
}

/// Types `ringwall LINE` in `folder`, with `input` on standard input.
fn run(folder: &Path, card: Option<&Path>, device: &str, line: &str, input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim-ringwall"));
    command.current_dir(folder).env_remove("RINGWALL_CARD").env("RINGWALL_CREDENTIAL", device);
    card.map(|card| command.env("RINGWALL_CARD", card));
    command.args(line.split_whitespace()).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Writes until told to stop. Gives how many writes were confirmed.
async fn load(client: Client, stop: Arc<AtomicBool>) -> u64 {
    let namespace = client.namespace("load").await.unwrap();
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) && written < 1_000_000 {
        namespace.put(format!("key-{}", written % 512), vec![7; 900]).await.unwrap();
        written += 1;
    }
    written
}

/// Bytes of a backup in front of its snapshot.
fn front(bytes: &[u8]) -> usize {
    8 + u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize
}

/// The file with a checksum that fits.
fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() - 32;
    let sum = Sha256::digest(&bytes[..at]);
    bytes[at..].copy_from_slice(&sum);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_under_load_and_every_altered_one_is_refused() {
    let town = Town::start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let loading = tokio::spawn(load(town.user.clone(), stop.clone()));
    let taken = town.take(1, "a");
    assert_eq!(town.done("ops", "backup verify a", "")["state"], taken["state"]);
    let shown = town.done("ops", "backup show a", "");
    assert!(shown["namespaces"].as_u64().unwrap() >= 1 && shown["members"].as_u64().unwrap() >= 3, "{shown}");
    assert_eq!(shown["tree_size"].as_u64().unwrap(), shown["index"].as_u64().unwrap() + 1);
    stop.store(true, Ordering::Relaxed);
    assert!(loading.await.unwrap() > 0, "nothing was written meanwhile");

    town.done("eve", "init", "");
    town.fails("eve", "backup take e", "", REFUSED, "backup.users");
    assert!(!town.path("e").exists() && !town.path("e.partial").exists());

    let whole = std::fs::read(town.path("a")).unwrap();
    let (begins, ends) = (front(&whole), whole.len() - 32);
    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(town.path("x"), bytes).unwrap();
        let ended = town.run("ops", "backup verify x", "");
        assert!([3, 10, 12].contains(&ended.code), "{what}: {} {}{}", ended.code, ended.out, ended.err);
    };
    let proof = [0, 3, 4, 7, 8, 60, 200, begins / 2, begins - 1];
    let state = [begins, begins + 4, begins + 9, (begins + ends) / 2, ends - 1];
    for at in proof.into_iter().chain(state).chain([ends, whole.len() - 1]) {
        let mut altered = whole.clone();
        altered[at] ^= 0x10;
        refused(&altered, &format!("byte {at} of {}", whole.len()));
        // Whoever alters a file can write the checksum anew. Bytes of the exchange that nothing depends on are found by it alone.
        if at >= begins && at < ends {
            refused(&checked(altered), &format!("byte {at} with a checksum that fits"));
        }
    }
    for length in [0, 7, 8, begins - 1, begins, ends - 1, whole.len() - 1] {
        refused(&whole[..length], &format!("cut off at {length}"));
    }
    refused(&[whole.as_slice(), &[0]].concat(), "a byte more");
    let other = "0".repeat(64);
    let ended = run(town.folder.path(), None, "ops", &format!("backup verify a --cluster {other}"), "");
    assert!(ended.code == FILE && ended.err.contains("RW-C-BACKUP-OTHER-CLUSTER"), "{} {}{}", ended.code, ended.out, ended.err);

    // The proof of one snapshot before another one.
    town.user.namespace("load").await.unwrap().put("last", "one").await.unwrap();
    town.take(1, "b");
    let second = std::fs::read(town.path("b")).unwrap();
    let swapped = [&whole[..begins], &second[front(&second)..]].concat();
    refused(&checked(swapped), "a proof of another index");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_gives_the_same_bytes_and_a_broken_off_one_is_gone_on_with() {
    let town = Town::start().await;
    let namespace = town.user.namespace("some").await.unwrap();
    for number in 0..40 {
        namespace.put(format!("key-{number}"), vec![number as u8; 60_000]).await.unwrap();
    }
    // Nothing is written: the members agree on an index soon.
    let mut equal = false;
    for _ in 0..5 {
        let (one, two) = (town.take(1, "one"), town.take(2, "two"));
        equal = one["index"] == two["index"];
        if equal {
            assert_eq!((&one["state"], &one["bytes"], &one["tree_root"]), (&two["state"], &two["bytes"], &two["tree_root"]));
            assert_ne!(one["signer"], two["signer"]);
            break;
        }
    }
    assert!(equal, "two members never backed up the same index");

    let whole = std::fs::read(town.path("one")).unwrap();
    let half = front(&whole) + (whole.len() - front(&whole)) / 2;
    std::fs::write(town.path("again.partial"), &whole[..half]).unwrap();
    let taken = town.take(1, "again");
    assert_eq!(taken["had"].as_u64().unwrap() as usize, half - front(&whole));
    assert_eq!(taken["begun_anew"], 0);
    assert_eq!(std::fs::read(town.path("again")).unwrap(), whole, "the same file, as if nothing had happened");
    assert!(!town.path("again.partial").exists());

    // The other member has the very same snapshot, and did not begin this file.
    std::fs::write(town.path("again.partial"), &whole[..half]).unwrap();
    town.take(2, "again");
    assert_eq!(std::fs::read(town.path("again")).unwrap(), whole);

    // What was fetched was altered on this disk: found at the end, not gone on with, and the good one stays.
    let mut altered = whole[..half].to_vec();
    altered[half - 1] ^= 1;
    std::fs::write(town.path("again.partial"), &altered).unwrap();
    let line = format!("backup take again --address {} --timeout 120", town.cluster.address(1));
    town.fails("ops", &line, "", FILE, "RW-C-BACKUP");
    assert!(!town.path("again.partial").exists());
    assert_eq!(std::fs::read(town.path("again")).unwrap(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_goes_on_in_another_cluster_with_a_backup_and_a_phrase() {
    let old = Town::start().await;
    let phrase = old.settle("laptop", "escrow");
    old.done("laptop", "put cluster short --ttl 3600", "soon");
    old.done("laptop", "put later k", "made after the keys were escrowed");
    old.take(1, "backup");
    let kept = tempfile::tempdir().unwrap();
    for name in ["backup", "escrow", "escrow.keys"] {
        std::fs::copy(old.path(name), kept.path().join(name)).unwrap();
    }
    drop(old);

    let new = Town::start().await;
    for name in ["backup", "escrow", "escrow.keys"] {
        std::fs::copy(kept.path().join(name), new.path(name)).unwrap();
    }
    new.done("phone", "user init --name phone", "");
    let import = "user import --backup backup --escrow escrow";
    let first = new.done("phone", import, &phrase);
    assert_eq!((first["namespaces"].as_u64(), first["stored"].as_u64(), first["already"].as_u64()), (Some(3), Some(4), Some(0)), "{first}");
    for mode in ["cluster", "dual", "user"] {
        assert_eq!(new.done("phone", &format!("get {mode} k --mode {mode}"), "")["value"], mode);
    }
    assert_eq!(new.done("phone", "get cluster short", "")["value"], "soon");
    // The namespace that was made after the keys were escrowed is nobody's here: it is not told from other users'.
    new.fails("phone", "get later k", "", NOT_FOUND, "");
    assert!(first["keys_index"].as_u64().unwrap() < first["index"].as_u64().unwrap());

    let again = new.done("phone", import, &phrase);
    assert_eq!((again["stored"].as_u64(), again["already"].as_u64()), (Some(0), Some(4)), "{again}");
    new.done("phone", "put cluster k", "changed since");
    let third = new.done("phone", import, &phrase);
    assert_eq!((third["already"].as_u64(), third["kept"].as_array().unwrap().len()), (Some(3), 1), "{third}");
    assert_eq!(new.done("phone", "get cluster k", "")["value"], "changed since");
    new.done("phone", &format!("{import} --overwrite --only cluster"), &phrase);
    assert_eq!(new.done("phone", "get cluster k", "")["value"], "cluster");

    let other = "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave \
                 sausage worth title";
    new.fails("phone", import, other, FILE, "another one");
    let mut altered = std::fs::read(new.path("backup")).unwrap();
    let at = altered.len() - 100;
    altered[at] ^= 1;
    std::fs::write(new.path("backup"), checked(altered)).unwrap();
    let ended = new.run("phone", import, &phrase);
    assert!([3, 10].contains(&ended.code), "{}{}", ended.out, ended.err);
}
