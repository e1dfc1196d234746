//! Custodians at their machines: folders, passphrases, the real program with simulated roots, files from a cluster and back.
//!
//! Decides: who there is (Ana, Ben and Cleo, two of whom recover), that secrets are given on a descriptor, and how a run is judged: by its exit code and
//! what it printed. Trusts: nothing. Out of scope: what is expected of a run.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, dead_code, reason = "shared by test programs, each of which uses a part")]

use ringwall_client::policy::GovernorKey;
use ringwall_sim::custody::{self, Custody, Dealing, Offer};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message;
use ringwall_wire::genesis::GenesisTemplate;
use ringwall_wire::ids::Digest;
use ringwall_wire::keeping::KeptAnchor;
use ringwall_wire::policy::{Governance, PolicyDoc};
use ringwall_wire::recovery::RecoveryPurpose;
use ringwall_wire::secret::Secret;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

pub const PASSPHRASE: &str = "correct horse battery staple";
pub const NAMES: [&str; 3] = ["ana", "ben", "cleo"];
/// The machine of the cluster.
pub const CHIP: &str = "genoa-1";

pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Governors of the cluster, of whom two must sign.
pub fn governors() -> Vec<GovernorKey> {
    (1..=3).map(|number| GovernorKey::from_seed(Secret::new([number; 32]))).collect()
}

/// The policy of the cluster.
pub fn policy() -> PolicyDoc {
    let keys = governors().iter().map(GovernorKey::public).collect();
    PolicyDoc {
        governance: Governance { keys: List::new(keys).unwrap(), threshold: 2, timelock_s: 0, lease_s: 0 },
        ..custody::policy(CHIP)
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// Both outputs with line breaks and indents as single spaces.
    pub fn words(&self) -> String {
        format!("{} {}", self.out, self.err).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// A table with three custodians' machines on it.
pub struct Table {
    pub folder: tempfile::TempDir,
    pub cluster: Custody,
}

/// Runs `ringwall custodian LINE` in `folder` with these secrets on a descriptor, one a line.
pub fn custodian(folder: &Path, home: &str, line: &str, secrets: &[&str]) -> Ran {
    let words = ["custodian", "--home", home, "--passphrase-fd", "0"].into_iter().chain(line.split_whitespace());
    ringwall(folder, &words.collect::<Vec<_>>(), secrets)
}

/// Runs the program.
pub fn ringwall(folder: &Path, words: &[&str], secrets: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwall-sim"));
    command.current_dir(folder).args(words).env_remove("RINGWALL_CARD").env_remove("RINGWALL_CUSTODIAN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A run that refuses early does not read.
    let _ = child.stdin.take().unwrap().write_all(format!("{}\n", secrets.join("\n")).as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

impl Table {
    /// Three custodians with keys, and a cluster founded with their cards.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut cards = String::new();
        for name in NAMES {
            let made = custodian(folder.path(), name, &format!("init --name {name} --json"), &[PASSPHRASE]);
            assert_eq!(made.code, 0, "{made:?}");
            cards.push_str(made.json()["card"].as_str().unwrap());
        }
        std::fs::write(folder.path().join("custodians.toml"), cards).unwrap();
        let policy = policy();
        std::fs::write(folder.path().join("policy"), policy.encode()).unwrap();
        let words = "policy genesis policy --name table --custodians custodians.toml --custody-threshold 2 --out template";
        let founded = ringwall(folder.path(), &words.split(' ').collect::<Vec<_>>(), &[]);
        assert_eq!(founded.code, 0, "{founded:?}");
        let template = GenesisTemplate::decode(&std::fs::read(folder.path().join("template")).unwrap()).unwrap();
        let cluster = Custody::found(template, policy, CHIP, 1, now_s());
        std::fs::write(folder.path().join("card"), cluster.card.encode()).unwrap();
        Table { folder, cluster }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn place(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn put(&self, name: &str, message: &impl Message) {
        std::fs::write(self.place(name), message.encode()).unwrap();
    }

    pub fn get<T: Message>(&self, name: &str) -> T {
        T::decode(&std::fs::read(self.place(name)).unwrap()).unwrap()
    }

    /// Runs a verb as one custodian, who types the right passphrase as often as it is asked for.
    pub fn run(&self, who: &str, line: &str) -> Ran {
        custodian(self.path(), who, line, &[PASSPHRASE; 3])
    }

    #[track_caller]
    pub fn done(&self, who: &str, line: &str) -> Ran {
        let ran = self.run(who, line);
        assert_eq!(ran.code, 0, "{who}: {line}: {ran:?}");
        ran
    }

    #[track_caller]
    pub fn fails(&self, who: &str, line: &str, code: i32, words: &str) -> Ran {
        let ran = self.run(who, line);
        assert_eq!(ran.code, code, "{who}: {line}: {ran:?}");
        assert!(ran.words().contains(words), "{who}: {line}: wanted {words:?}: {ran:?}");
        ran
    }

    /// Deals, and gives each custodian their part as the file `dealt.NAME`.
    pub fn deal(&self, custody_epoch: u32) -> Dealing {
        self.deal_after(custody_epoch, Digest([0; 32]))
    }

    pub fn deal_after(&self, custody_epoch: u32, previous: Digest) -> Dealing {
        let dealing = self.cluster.deal(custody_epoch, previous);
        for (name, dealt) in NAMES.iter().zip(&dealing.dealt) {
            self.put(&format!("dealt.{name}"), dealt);
        }
        dealing
    }

    /// Has a custodian take in and accept what was dealt to them.
    #[track_caller]
    pub fn accepts(&self, who: &str) {
        self.done(who, &format!("pull --card card --from dealt.{who}"));
        let _ = std::fs::remove_file(self.place(&format!("ack.{who}")));
        self.done(who, &format!("accept --out ack.{who}"));
    }

    /// Puts an anchor where a session would have left it.
    pub fn saw(&self, who: &str, seen: &KeptAnchor) {
        let folder = self.place(who).join("clusters").join(self.cluster.card.genesis.cluster_id().to_string());
        std::fs::write(folder.join("anchor"), seen.encode()).unwrap();
        let private = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        std::fs::set_permissions(folder.join("anchor"), private).unwrap();
    }

    /// An offer of a recovery, as the file `offer`.
    pub fn offer(&self, dealing: &Dealing, purpose: RecoveryPurpose, session: u8, last: u64) -> Offer {
        let offer = self.cluster.offer(dealing, purpose, session, last);
        self.put("offer", &offer.signed);
        offer
    }

    /// Every file of a custodian's folder with its bytes, but the lock: what a refusal must not change.
    pub fn snapshot(&self, who: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        walk(&self.place(who), &mut found);
        found.sort();
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, found),
            false if path.ends_with("lock") => {}
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
}
