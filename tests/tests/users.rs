//! Users, their devices and their recovery, as people type it, against three real node processes: every row of docs/recovery.md that can be executed.
//!
//! Decides: nothing; each test is some rows of that page ("lost this, still have that"), and what must be refused. Commands are the shipped command line with
//! simulated roots; a device is a credential file with what lies beside it. Trusts: the simulated roots.
//! Out of scope: rules one by one (`consensus/src/machine/users/tests.rs`), nodes and custodians (`recover.rs`). Protocol sections 7.4 and 9.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::{Client, ConnectError, Credential, Options};
use ringwall_sim::canary::Canaries;
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::limits::RESTORE_TRIES;
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use three::Three;

/// Exit codes of the command line that are asserted here.
const USAGE: i32 = 2;
const CONFLICT: i32 = 5;
const NOT_FOUND: i32 = 4;
const NOT_AUTHORIZED: i32 = 8;
const FILE: i32 = 10;
const REFUSED: i32 = 11;

/// A cluster, and a folder in which people keep their files.
struct Town {
    three: Three,
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
    async fn start() -> Self {
        Town { three: Three::start().await }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.three.folder().join(name)
    }

    /// Types `ringwall LINE` on `device`, with `input` on standard input.
    fn run(&self, device: &str, line: &str, input: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim-ringwall"));
        command.current_dir(self.three.folder()).env("RINGWALL_CARD", self.three.cluster.card_path()).env("RINGWALL_CREDENTIAL", device);
        command.args(line.split_whitespace()).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn done(&self, device: &str, line: &str, input: &str) -> Value {
        let ended = self.run(device, line, input);
        assert_eq!(ended.code, 0, "{device}: {line}: {}{}", ended.out, ended.err);
        if ended.out.trim().is_empty() { Value::Null } else { ended.json() }
    }

    #[track_caller]
    fn fails(&self, device: &str, line: &str, input: &str, code: i32, words: &str) {
        let ended = self.run(device, line, input);
        assert_eq!(ended.code, code, "{device}: {line}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(words), "{device}: {line}: {}", ended.err);
    }

    /// Enrols a user on `device` and stores one value in each mode; gives the user's id.
    fn user(&self, device: &str) -> String {
        let user = self.done(device, "user init --name laptop", "")["user"].as_str().unwrap().to_owned();
        for mode in ["cluster", "dual", "user"] {
            self.done(device, &format!("put {mode} k --mode {mode}"), mode);
        }
        user
    }

    /// Whether `device` reads what `user` stored in a mode.
    fn reads(&self, device: &str, mode: &str) -> bool {
        let ended = self.run(device, &format!("get {mode} k --mode {mode}"), "");
        ended.code == 0 && ended.json()["value"] == mode
    }

    #[track_caller]
    fn reads_all(&self, device: &str) {
        for mode in ["cluster", "dual", "user"] {
            let ended = self.run(device, &format!("get {mode} k --mode {mode}"), "");
            assert!(ended.code == 0 && ended.json()["value"] == mode, "{device} in {mode}: {}{}", ended.out, ended.err);
        }
    }

    /// Adds `device` to the user of `by`, with a copy of the user key.
    fn add(&self, by: &str, device: &str, user: &str) {
        let code = self.done(device, &format!("device request --user {user} --name {device}"), "")["code"].as_str().unwrap().to_owned();
        self.done(by, &format!("device add {code}"), "");
        std::fs::copy(self.path(&format!("{by}.userkey")), self.path(&format!("{device}.userkey"))).unwrap();
    }

    /// Makes a phrase on `device`, with its escrow in a file of this name.
    fn phrase(&self, device: &str, escrow: &str, cool_down_s: u32) -> String {
        let made = self.done(device, &format!("recovery create --escrow {escrow} --cool-down {cool_down_s}"), "");
        made["phrase"].as_str().unwrap().to_owned()
    }

    fn acts(&self, device: &str) -> Vec<String> {
        let ended = self.run(device, "user audit", "");
        assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
        let rows = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| row["act"].as_str().unwrap().to_owned()).collect()
    }
}

/// A phrase of somebody else.
const OTHER: &str = "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave \
                     sausage worth title";

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_device_is_revoked_by_another_one_and_its_sessions_end() {
    let town = Town::start().await;
    let user = town.user("laptop");
    town.add("laptop", "phone", &user);
    town.reads_all("phone");
    // A session of the phone is open at every node.
    let credential = Credential::read(&town.path("phone")).unwrap();
    let mut sessions = Vec::new();
    for slot in town.three.cluster.slots() {
        let mut options: Options = local::options(&town.three.cluster);
        options.credential = credential.clone();
        options.user = Some(user.parse().unwrap());
        options.addresses = vec![town.three.cluster.address(slot).to_string()];
        options.timeouts.deadline = Duration::from_secs(5);
        let client = Client::connect(options).await.unwrap();
        client.existing_namespace("cluster").unwrap().get("k").await.unwrap().unwrap();
        sessions.push(client);
    }
    town.done("laptop", "device revoke phone", "");
    for client in sessions {
        let until = Instant::now() + PATIENCE;
        loop {
            match client.status().await {
                Err(ringwall_client::ReadError::Session(ConnectError::DeviceRevoked { .. })) => break,
                other => assert!(Instant::now() < until, "the session of a revoked device goes on: {other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    town.fails("phone", "get cluster k", "", NOT_AUTHORIZED, "RW-C-DEVICE-REVOKED");
    town.fails("phone", "device revoke laptop", "", NOT_AUTHORIZED, "RW-C-DEVICE-REVOKED");
    town.reads_all("laptop");
    // It does not come back: not under its old credential, and not as the last one without a phrase.
    let code = town.done("phone", &format!("device request --user {user} --name phone"), "")["code"].as_str().unwrap().to_owned();
    town.fails("laptop", &format!("device add {code}"), "", REFUSED, "RW-C-DEVICE-KNOWN");
    town.fails("laptop", "device revoke laptop", "", REFUSED, "without a recovery key");
    town.fails("laptop", "device revoke nothing", "", NOT_FOUND, "RW-C-NOT-FOUND");
    assert_eq!(town.acts("laptop"), ["enrolled", "device added", "device revoked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_added_by_their_user_alone() {
    let town = Town::start().await;
    let (alice, bob) = (town.user("alice"), town.user("bob"));
    let code = town.done("new", &format!("device request --user {alice} --name new"), "")["code"].as_str().unwrap().to_owned();
    town.fails("bob", &format!("device add {code}"), "", FILE, "another user");
    town.fails("new", "get cluster k", "", NOT_AUTHORIZED, "no device of this user");
    for cut in [6, code.len() / 2, code.len() - 1] {
        town.fails("alice", &format!("device add {}", &code[..cut]), "", FILE, "RW-C-DEVICE-CODE");
    }
    let mut altered = code.clone().into_bytes();
    let at = altered.len() - 3;
    altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
    town.fails("alice", &format!("device add {}", String::from_utf8(altered).unwrap()), "", FILE, "RW-C-DEVICE-CODE");
    town.done("alice", &format!("device add {code}"), "");
    town.fails("alice", &format!("device add {code}"), "", REFUSED, "RW-C-DEVICE-KNOWN");
    assert!(town.reads("new", "cluster") && !town.reads("new", "user"), "the user key is not carried over by a code");
    town.fails("new", &format!("device request --user {bob} --name new"), "", FILE, "is noted as a device of user");
    assert_eq!(town.done("bob", "user show", "")["devices"].as_array().unwrap().len(), 1);
    // Disks say neither whose records these are nor which credentials are on them.
    let mut canaries = Canaries::default();
    for device in ["alice", "bob", "new"] {
        let credential = Credential::read(&town.path(device)).unwrap();
        canaries.add("credential", &credential.public().0);
        canaries.add("user", &credential.user().0);
    }
    let disks: Vec<PathBuf> = town.three.cluster.slots().map(|slot| town.three.cluster.data_folder(slot)).collect();
    let search = |canaries: &Canaries| canaries.search_files(disks.iter().map(PathBuf::as_path)).unwrap().found;
    assert!(search(&canaries).is_empty());
    canaries.add("address", town.three.cluster.address(2).to_string().as_bytes());
    assert!(!search(&canaries).is_empty(), "the search finds what is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_phrase_and_escrow_everything_comes_back_on_a_new_device() {
    let town = Town::start().await;
    let user = town.user("laptop");
    let phrase = town.phrase("laptop", "escrow", 0);
    let tested = town.done("laptop", "recovery test --escrow escrow", &phrase);
    assert_eq!((&tested["opens"], &tested["same_user_key"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(!tested.to_string().contains(&std::fs::read_to_string(town.path("laptop.userkey")).unwrap().lines().nth(1).unwrap()[..16]));
    // The laptop is lost, with all that was on it.
    let shown = town.done("new", "restore --escrow escrow", &phrase);
    assert_eq!(shown["user"], user);
    town.reads_all("new");
    town.done("new", "device revoke laptop", "");
    town.fails("laptop", "get cluster k", "", NOT_AUTHORIZED, "RW-C-DEVICE-REVOKED");
    assert_eq!(town.acts("new"), ["enrolled", "recovery set", "restored", "device revoked"]);
    // The user key alone was lost: the escrow has it.
    std::fs::remove_file(town.path("new.userkey")).unwrap();
    assert!(!town.reads("new", "user"));
    town.done("new", "restore --escrow escrow", &phrase);
    town.reads_all("new");
    // Every device is lost, and the escrow: the phrase brings back what the cluster alone can open.
    town.done("bare", &format!("restore --user {user}"), &phrase);
    assert!(town.reads("bare", "cluster") && !town.reads("bare", "dual") && !town.reads("bare", "user"));
    // The phrase is lost: another one takes its place, and the old one restores nobody.
    let second = town.phrase("new", "escrow-2", 0);
    town.fails("late", &format!("restore --user {user}"), &phrase, NOT_AUTHORIZED, "RW-C-NOT-RESTORED");
    town.done("late", "restore --escrow escrow-2", &second);
    town.reads_all("late");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_phrase_or_escrow_is_said_and_restores_nobody() {
    let town = Town::start().await;
    let (alice, bob) = (town.user("alice"), town.user("bob"));
    let phrase = town.phrase("alice", "escrow", 0);
    let bobs = town.phrase("bob", "bobs-escrow", 0);
    let restore = "restore --escrow escrow";
    let mut typed: Vec<&str> = phrase.split(' ').collect();
    typed[6] = "qqqqqq";
    town.fails("new", restore, &typed.join(" "), FILE, "word 7 is not of the list");
    town.fails("new", restore, phrase.rsplit_once(' ').unwrap().0, FILE, "has 24 words, this one has 23");
    let mut words: Vec<&str> = phrase.split(' ').collect();
    let at = words.windows(2).position(|pair| pair[0] != pair[1]).unwrap();
    words.swap(at, at + 1);
    let exchanged = town.run("new", restore, &words.join(" "));
    // One exchange in 256 has the same checksum; then it is simply another phrase.
    assert!(
        exchanged.code == FILE && (exchanged.err.contains("checksum") || exchanged.err.contains("RW-C-ESCROW-OTHER-PHRASE")),
        "{}",
        exchanged.err
    );
    town.fails("new", restore, OTHER, FILE, "RW-C-ESCROW-OTHER-PHRASE");
    town.fails("new", restore, &bobs, FILE, "RW-C-ESCROW-OTHER-PHRASE");
    town.fails("new", &format!("{restore} --user {bob}"), &phrase, FILE, "RW-C-ESCROW-OTHER-USER");
    let whole = std::fs::read(town.path("escrow")).unwrap();
    std::fs::write(town.path("cut"), &whole[..whole.len() / 2]).unwrap();
    town.fails("new", "restore --escrow cut", &phrase, FILE, "RW-C-ESCROW-MALFORMED");
    town.fails("alice", "recovery test --escrow cut", &phrase, FILE, "RW-C-ESCROW-MALFORMED");
    town.fails("alice", "recovery test --escrow escrow", OTHER, FILE, "RW-C-ESCROW-OTHER-PHRASE");
    assert!(!town.path("new").exists(), "nothing was made for a phrase that is none");
    // Without a phrase there is nothing: the escrow alone says nothing, and a credential of nobody is nobody.
    town.fails("stranger", &format!("restore --user {alice}"), OTHER, NOT_AUTHORIZED, "not the phrase of this user");
    town.fails("stranger", "get cluster k", "", NOT_AUTHORIZED, "no device of this user");
    assert_eq!(town.acts("alice").last().unwrap(), "restore refused", "the devices see the try");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_phrase_waits_is_seen_and_is_stopped() {
    let town = Town::start().await;
    let user = town.user("laptop");
    let phrase = town.phrase("laptop", "escrow", 3_600);
    town.fails("thief", "restore --escrow escrow", &phrase, NOT_AUTHORIZED, "the device waits");
    town.fails("thief", "get cluster k", "", NOT_AUTHORIZED, "no device of this user");
    let shown = town.done("laptop", "user show", "");
    assert!(shown["restoring"]["ready_s"].as_u64().unwrap() > shown["recovery"]["set_s"].as_u64().unwrap() + 3_500, "{shown}");
    town.done("laptop", "recovery stop", "");
    assert!(town.done("laptop", "user show", "")["restoring"].is_null());
    town.fails("laptop", "recovery stop", "", REFUSED, "no restoration waits");
    let second = town.phrase("laptop", "escrow-2", 0);
    town.fails("thief", "restore --escrow escrow", &phrase, NOT_AUTHORIZED, "not the phrase of this user");
    assert_eq!(town.acts("laptop"), ["enrolled", "recovery set", "restore began", "restore stopped", "recovery set", "restore refused"]);
    town.done("new", "restore --escrow escrow-2", &second);
    assert_eq!(town.done("new", "user show", "")["user"], user);
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_are_counted_by_all_members_and_no_restart_forgets_them() {
    let mut town = Town::start().await;
    let user = town.user("laptop");
    let phrase = town.phrase("laptop", "escrow", 0);
    for _ in 0..RESTORE_TRIES {
        town.fails("thief", &format!("restore --user {user}"), OTHER, NOT_AUTHORIZED, "not the phrase of this user");
    }
    town.fails("thief", &format!("restore --user {user}"), OTHER, NOT_AUTHORIZED, "too many tries");
    // A member is killed and another process takes its place: it learns the count with the rest of the state.
    let status = local::voters(&town.three.user, &town.three.cluster, 3).await;
    let leader = local::leader_slot(&status);
    town.three.cluster.restart(leader).unwrap();
    local::replaced(&town.three.user, &town.three.cluster, status.leader).await;
    for slot in town.three.cluster.slots() {
        let address = town.three.cluster.address(slot);
        town.fails("new", &format!("restore --escrow escrow --address {address}"), &phrase, NOT_AUTHORIZED, "too many tries");
    }
    town.reads_all("laptop");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_key_takes_the_place_of_the_old_one_which_opens_nothing_any_more() {
    let town = Town::start().await;
    town.user("laptop");
    let old_phrase = town.phrase("laptop", "escrow", 0);
    town.done("laptop", "put user more --mode user", "of the user");
    let rekey = "user rekey --new laptop.userkey.new";
    town.fails("laptop", &format!("{rekey} --mode user user=user"), "", USAGE, "onto itself");
    town.fails("laptop", &format!("{rekey} cluster=cluster-2"), "", USAGE, "nothing to move");
    town.fails("laptop", &format!("{rekey} --mode user nothing=else"), "", NOT_FOUND, "RW-C-NO-NAMESPACE");
    town.fails("laptop", "user rekey --new laptop.userkey --mode user user=user-2", "", FILE, "is the one in use");
    // A run that is not the last one: everything is moved, and nothing is gone.
    let moved = town.done("laptop", &format!("{rekey} --mode user user=user-2"), "");
    assert_eq!((&moved["stored"], &moved["already"], &moved["erased"]), (&2.into(), &0.into(), &Value::Bool(false)), "{moved}");
    town.reads_all("laptop");
    // Somebody goes on writing where it was: that is not overwritten unasked, and nothing is erased.
    town.done("laptop", "put user k --mode user", "changed");
    town.fails("laptop", &format!("{rekey} --mode user --erase user=user-2"), "", CONFLICT, "1 keys of user-2 hold other values");
    assert_eq!(town.done("laptop", "get user k --mode user", "")["value"], "changed");
    let moved = town.done("laptop", &format!("{rekey} --mode user --erase --overwrite user=user-2"), "");
    assert_eq!((&moved["stored"], &moved["erased"]), (&2.into(), &Value::Bool(true)), "{moved}");
    town.fails("laptop", "get user k --mode user", "", NOT_FOUND, "RW-C-NO-NAMESPACE");
    town.done("laptop", &format!("{rekey} --mode dual --erase dual=dual-2"), "");

    let path = |name: &str| town.path(name);
    std::fs::rename(path("laptop.userkey"), path("stolen")).unwrap();
    std::fs::rename(path("laptop.userkey.new"), path("laptop.userkey")).unwrap();
    assert_eq!(town.done("laptop", "get user-2 k --mode user", "")["value"], "changed");
    assert_eq!(town.done("laptop", "get user-2 more --mode user", "")["value"], "of the user");
    assert_eq!(town.done("laptop", "get dual-2 k --mode dual", "")["value"], "dual");
    for mode in ["user", "dual"] {
        town.fails("laptop", &format!("get {mode}-2 k --mode {mode} --user-key stolen"), "", FILE, "RW-C-OTHER-USER-KEY");
        town.fails("laptop", &format!("get {mode} k --mode {mode} --user-key stolen"), "", NOT_FOUND, "RW-C-NO-NAMESPACE");
    }
    // The old escrow holds the old key; a new one has the new key.
    assert_eq!(town.done("laptop", "recovery test --escrow escrow", &old_phrase)["same_user_key"], Value::Bool(false));
    let phrase = town.phrase("laptop", "escrow-2", 0);
    town.done("new", "restore --escrow escrow-2", &phrase);
    assert_eq!(town.done("new", "get user-2 k --mode user", "")["value"], "changed");

    // Erased by name: only what is there, and only once; everything: what is in the other modes, too, without the user's key.
    town.fails("laptop", "erase usre-2 --yes", "", NOT_FOUND, "there is no namespace");
    std::fs::remove_file(path("laptop.userkey")).unwrap();
    assert_eq!(town.done("laptop", "erase user-2 --yes", "")["erased"], "user-2");
    town.done("laptop", "erase --everything --yes", "");
    town.fails("laptop", "get cluster k", "", NOT_FOUND, "RW-C-NO-NAMESPACE");
    town.fails("new", "get dual-2 k --mode dual", "", NOT_FOUND, "RW-C-NO-NAMESPACE");
}
