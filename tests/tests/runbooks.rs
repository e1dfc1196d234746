//! The pages of docs/runbooks, every one, as they stand: each command is run, in order, and has to print what stands below it.
//!
//! Decides: who the others of a page are and what they do where it has a comment for them; which cluster a page is followed on (one for as many pages as
//! the order allows). A page without a test here, or with a block that is not run, is refused by `tests/tests/tidy.rs`.
//! Trusts: `sh`, `sed`, `awk`, `grep`, `cmp`, `date`. Out of scope: how a page is read and run (`tests/src/runbook.rs`), whether its words are good ones.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;
use super::workload;

use ringwall_client::Credential;
use ringwall_client::custodian::keys::read_cards;
use ringwall_client::measure::{MeasurementSet, SnpMeasurement, TdxMeasurement};
use ringwall_client::policy::{GovernorKey, grant_from_toml, grant_to_toml, to_toml};
use ringwall_client::release::key::ReleaseKey;
use ringwall_node::custody::blob_file;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_sim::custody::{Custody, Dealing, policy};
use ringwall_sim::logs::local::LocalLog;
use ringwall_sim::world;
use ringwall_tests::local::{self, PATIENCE};
use ringwall_tests::runbook::{Reader, Run, Step, read};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::CustodiansOrder;
use ringwall_wire::genesis::GenesisTemplate;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{Governance, PolicyDoc, ReleaseRule};
use ringwall_wire::recovery::RecoveryPurpose;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use workload::{AMD, Governed, INTEL, NAME};

/// What every custodian types.
const PASSPHRASE: &str = "correct horse battery staple";
/// The machines of a cluster, by slot.
const CHIPS: [&str; 3] = ["genoa-1", "turin-1", "tdx-1"];
/// Rotations as good as never, in seconds.
const RARELY: u32 = 1_000_000;

fn reader() -> Reader {
    Reader::new(Path::new(env!("CARGO_BIN_EXE_sim-ringwall")), Path::new(env!("CARGO_BIN_EXE_sim-node")), PASSPHRASE)
}

/// Everything that is done on a page.
fn page(name: &str, text: &str) -> Vec<Step> {
    let steps = read(text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    assert!(steps.iter().filter(|step| matches!(step, Step::Run(_))).count() >= 8, "{name} was not read: {steps:?}");
    steps
}

/// Follows a page on which nobody else does anything.
fn follow(reader: &mut Reader, name: &str, text: &str, logs: &dyn Fn() -> String) {
    for step in page(name, text) {
        match step {
            Step::Run(run) => drop(reader.run(&run, &[], logs)),
            Step::Then { line, what } => panic!("{name}, line {line}: nobody knows how to do this: {what}"),
        }
    }
}

/// Runs a command until it is done: what somebody else does meanwhile has to be there first.
fn in_time(reader: &mut Reader, command: &str, logs: &dyn Fn() -> String) {
    reader.run(&Run { command: command.into(), words: vec!["until".into()], ..Run::default() }, &[], logs);
}

/// Custodians with keys in folders of their names, and their cards in one file.
fn custodians(reader: &mut Reader, names: &[&str]) {
    for name in names {
        let words =
            format!("ringwall custodian init --name {name}; ringwall custodian card --out {name}.toml; cat {name}.toml >> custodians.toml");
        reader.others(&format!("(export RINGWALL_CUSTODIAN={name}; {words})"));
    }
}

/// A cluster without processes, for the page of a custodian who talks to none.
struct Paper {
    policy: PolicyDoc,
    cluster: Option<(Custody, Dealing)>,
}

impl Paper {
    /// Governed by keys in the folder, two of three.
    fn governed(reader: &Reader) -> Self {
        let governor = |number: u8| GovernorKey::create(&reader.path(&format!("governor-{number}"))).unwrap().public();
        let keys = List::new([1, 2, 3].map(governor).to_vec()).unwrap();
        let policy = PolicyDoc { governance: Governance { keys, threshold: 2, timelock_s: 0, lease_s: 0 }, ..policy(CHIPS[0]) };
        std::fs::write(reader.path("policy.toml"), to_toml(&policy)).unwrap();
        Paper { policy, cluster: None }
    }

    fn then(&mut self, reader: &mut Reader, what: &str) {
        let put = |name: &str, bytes: Vec<u8>| std::fs::write(reader.path(name), bytes).unwrap();
        if what == "the cluster is founded and deals" {
            let template = GenesisTemplate::decode(&std::fs::read(reader.path("founding")).unwrap()).unwrap();
            let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let cluster = Custody::found(template, self.policy.clone(), CHIPS[0], 1, now_s);
            let dealing = cluster.deal(1, Digest([0; 32]));
            put("cluster.card", cluster.card.encode());
            put("dealing", dealing.dealt[0].encode());
            self.cluster = Some((cluster, dealing));
            return;
        }
        let (cluster, dealing) = self.cluster.as_ref().unwrap();
        match what {
            "the cluster begins a drill" => put("rehearsal", cluster.drill(dealing, 4, 500).asked.encode()),
            "the drill is over" => put("receipt", cluster.receipt(&cluster.drill(dealing, 4, 500), 2, |_| {}).encode()),
            "all nodes are dead and one of them asks" => {
                put("offer", cluster.offer(dealing, RecoveryPurpose::Outage, 9, 899).signed.encode())
            }
            "too few disks are left" => {
                put("progress", cluster.offer(dealing, RecoveryPurpose::Outage, 9, 899).asks_loss(900, false, &[]).encode())
            }
            "Dora is to take the place of Cleo" => {
                let words = "ringwall custodian init --name dora; ringwall custodian card --out dora.toml";
                reader.others(&format!("(export RINGWALL_CUSTODIAN=dora; {words})"));
            }
            "the order is on record and the cluster deals anew" => {
                let order = CustodiansOrder::decode(&std::fs::read(reader.path("change.2")).unwrap()).unwrap();
                let next = cluster.deal_to((&order.custodians, order.threshold), 2, Digest(dealing.manifest.manifest.digest()));
                put("dealing.2", next.dealt[0].encode());
            }
            "the machine is gone" => {
                reader.others("ringwall custodian export --keys --words --out paper.keys");
                reader.others("ringwall custodian export --words --out paper.share");
                std::fs::remove_dir_all(reader.path("custody")).unwrap();
            }
            other => panic!("nobody knows how to do this: {other}"),
        }
    }
}

#[test]
fn the_page_of_custodians() {
    let mut reader = reader();
    custodians(&mut reader, &["ben", "cleo"]);
    // The page makes its own.
    std::fs::remove_file(reader.path("custodians.toml")).unwrap();
    let mut paper = Paper::governed(&reader);
    for step in page("custody.md", include_str!("../../docs/runbooks/custody.md")) {
        match step {
            Step::Run(run) => drop(reader.run(&run, &[], &String::new)),
            Step::Then { what, .. } => paper.then(&mut reader, &what),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_users_workloads_and_rotation() {
    let endorsements = tempfile::tempdir().unwrap();
    // A rotation a second after an erasure, and none besides.
    let options = LocalOptions { kbs: Some(endorsements.path().to_owned()), rotate_s: Some((RARELY, 1)), ..LocalOptions::default() };
    let governed = Governed::start_with(options).await;
    let logs = || local::logs(&governed.cluster);
    let mut reader = reader();
    std::fs::copy(governed.cluster.card_path(), reader.path("cluster.card")).unwrap();
    for number in 1..=2 {
        let name = format!("governor-{number}");
        std::fs::copy(governed.path(&name), reader.path(&name)).unwrap();
    }
    follow(&mut reader, "users.md", include_str!("../../docs/runbooks/users.md"), &logs);
    workloads(&mut reader, &logs);

    // The machine that takes the place of another one has a configuration for that slot, and an address and a disk of its own.
    let machine = reader.machine("machine-4", "tdx-2");
    let config = std::fs::read_to_string(governed.path("node-3.toml")).unwrap();
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let disk = governed.cluster.data_folder(3).display().to_string();
    let broker = governed.cluster.kbs_address(3).unwrap().to_string();
    let config = config.replacen(&format!("listen = \"{}\"", governed.cluster.address(3)), &format!("listen = \"{address}\""), 1);
    let config = config.replace(&disk, &machine.join("data").display().to_string());
    let config = config.replace(&broker, &std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string());
    std::fs::write(machine.join("ringwalld.toml"), config).unwrap();
    reader.replace("/var/log/ringwall/node-1.log", &governed.cluster.log(1));
    follow(&mut reader, "rotation.md", include_str!("../../docs/runbooks/rotation.md"), &logs);
    // The last one: it leaves the cluster under another policy.
    follow(&mut reader, "policy.md", include_str!("../../docs/runbooks/policy.md"), &logs);
}

fn workloads(reader: &mut Reader, logs: &dyn Fn() -> String) {
    // A folder for what the page puts into memory: the page names a place every guest has, the suite one of its own.
    let memory = reader.path("shm");
    std::fs::create_dir(&memory).unwrap();
    std::fs::set_permissions(&memory, std::fs::Permissions::from_mode(0o700)).unwrap();
    reader.replace("/dev/shm", &memory);
    let debug = format!("{AMD},lie=SnpDebug");
    for step in page("workloads.md", include_str!("../../docs/runbooks/workloads.md")) {
        match step {
            Step::Run(run) => {
                let line = run.word("guest").map(|guest| match guest {
                    "amd" => AMD,
                    "intel" => INTEL,
                    "debug" => debug.as_str(),
                    other => panic!("the suite has no guest {other}"),
                });
                let guest: Vec<(&str, &str)> = line.map(|line| (ringwall_sim::guest::GUEST, line)).into_iter().collect();
                reader.run(&run, &guest, logs);
            }
            Step::Then { what, .. } => {
                assert_eq!(what, "the grant policy is filled in");
                let text = std::fs::read_to_string(reader.path("payments.toml")).unwrap();
                assert!(grant_from_toml(&text).is_ok() && text.contains("FILL"));
                std::fs::write(reader.path("payments.toml"), grant_to_toml(&workload::policy(NAME, 1, 60))).unwrap();
            }
        }
    }
}

/// A cluster with custodians, and the folder in which its pages are followed.
struct Town {
    cluster: LocalCluster,
    _folder: tempfile::TempDir,
}

impl Town {
    /// Founded with the custodians of `custodians.toml` (nobody where there is none); `ops` may back it up.
    async fn start(reader: &Reader) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ops = Credential::read(&reader.path("ops")).unwrap().user().to_string();
        let cards = std::fs::read_to_string(reader.path("custodians.toml")).unwrap_or_default();
        let custodians = if cards.is_empty() { Vec::new() } else { read_cards(&cards).unwrap() };
        let threshold = if custodians.is_empty() { 0 } else { 2 };
        let options = LocalOptions {
            custodians: (custodians, threshold),
            rotate_s: Some((RARELY, RARELY)),
            backup_users: vec![ops],
            ..LocalOptions::default()
        };
        let cluster = LocalCluster::start_with(folder.path(), three::launch(), &CHIPS.map(Machine::honest), options).unwrap();
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        user.close().await;
        Town { cluster, _folder: folder }
    }

    /// Custodians take in and accept their shares; returns when every disk has what they open.
    async fn shares(&self, reader: &mut Reader, names: &[&str]) {
        let logs = || local::logs(&self.cluster);
        for name in names {
            let words =
                format!("(export RINGWALL_CUSTODIAN={name}; ringwall custodian pull --card cluster.card && ringwall custodian accept)");
            in_time(reader, &words, &logs);
        }
        let until = Instant::now() + PATIENCE;
        for slot in self.cluster.slots() {
            while blob_file::read(&self.cluster.data_folder(slot)).unwrap().is_none() {
                assert!(Instant::now() < until, "node {slot} has no recovery file\n{}", logs());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Every process dies at once, also those a page began, and the disks of two are brought to whoever reads them.
    fn die(&mut self, reader: &mut Reader) {
        reader.end();
        self.cluster.slots().for_each(|slot| self.cluster.kill(slot));
        reader.others("rm -rf mnt && mkdir mnt");
        for slot in [2, 3] {
            reader.others(&format!("cp -r {} mnt/node-{slot}", self.cluster.data_folder(slot).display()));
        }
    }

    /// Folders that stand for the machines of the cluster, with their configurations.
    fn machines(&self, reader: &mut Reader) {
        for (slot, chip) in self.cluster.slots().zip(CHIPS) {
            let place = reader.machine(&format!("node-{slot}"), chip);
            let config = self.cluster.data_folder(slot).with_extension("toml");
            std::fs::copy(config, place.join("ringwalld.toml")).unwrap();
        }
        let mounted = reader.path("mnt");
        reader.replace("/mnt", &mounted);
        reader.replace("/var/lib/ringwall", &self.cluster.data_folder(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_backup_and_recovery() {
    let mut reader = reader();
    custodians(&mut reader, &["ana", "ben", "cleo"]);
    reader.others("ringwall init --credential ops");
    let published = tempfile::tempdir().unwrap();
    let log = LocalLog::start(Path::new(env!("CARGO_BIN_EXE_sim-ringwall")), published.path(), 3).unwrap();
    reader.replace("https://log.example.org", Path::new(log.url()));
    let mut town = Town::start(&reader).await;
    for name in ["old.card", "cluster.card"] {
        std::fs::copy(town.cluster.card_path(), reader.path(name)).unwrap();
    }
    town.shares(&mut reader, &["ana", "ben", "cleo"]).await;
    // The page about backups goes on where the old cluster is gone; until then it is the one that is recovered.
    let steps = page("backup.md", include_str!("../../docs/runbooks/backup.md"));
    let (before, after) = steps.split_at(steps.iter().position(|step| matches!(step, Step::Then { .. })).unwrap());
    let whole = |steps: &[Step], reader: &mut Reader, cluster: &LocalCluster| {
        for step in steps {
            let Step::Run(run) = step else { panic!("nobody knows how to do this: {step:?}") };
            reader.run(run, &[], &|| local::logs(cluster));
        }
    };
    whole(before, &mut reader, &town.cluster);

    town.machines(&mut reader);
    for step in page("recovery.md", include_str!("../../docs/runbooks/recovery.md")) {
        match step {
            Step::Run(run) => drop(reader.run(&run, &[], &|| local::logs(&town.cluster))),
            Step::Then { what, .. } => match what.as_str() {
                "all nodes are dead" | "all nodes are dead again" => town.die(&mut reader),
                "the policy names a release log and its witnesses" => {
                    let signers = [ReleaseKey::create(&reader.path("signer.key")).unwrap().signer()];
                    let release = ReleaseRule::Demanded(log.rule(&signers, 1, 2, 7 * 86_400));
                    std::fs::write(reader.path("policy.toml"), to_toml(&PolicyDoc { release, ..world::policy() })).unwrap();
                }
                other => panic!("nobody knows how to do this: {other}"),
            },
        }
    }

    reader.end();
    drop(town);
    assert!(matches!(&after[0], Step::Then { what, .. } if what == "the old cluster is gone, and another one runs"));
    std::fs::remove_file(reader.path("custodians.toml")).unwrap();
    let new = Town::start(&reader).await;
    std::fs::copy(new.cluster.card_path(), reader.path("new.card")).unwrap();
    whole(&after[1..], &mut reader, &new.cluster);
}

/// What others do on the pages about releases.
fn released(reader: &Reader, log: &LocalLog, what: &str) {
    match what {
        "the policy names both signers, the log and its witnesses" => {
            let signers = ["ana.key", "ben.key"].map(|name| ReleaseKey::read(&reader.path(name)).unwrap().signer());
            let release = ReleaseRule::Demanded(log.rule(&signers, 2, 2, 7 * 86_400));
            std::fs::write(reader.path("policy.toml"), to_toml(&PolicyDoc { release, ..world::policy() })).unwrap();
        }
        "the image is built and measured" => {
            let build = world::build().measurement();
            let snp = build.snp.iter().map(|digest| SnpMeasurement { vcpus: 4, model: "EPYC-v4".into(), digest: *digest });
            let tdx = build.tdx.iter().map(|tuple| TdxMeasurement {
                shape: "4 vCPUs".into(),
                mrtd: tuple.mrtd,
                rtmr0: tuple.rtmr0,
                rtmr1: tuple.rtmr1,
                rtmr2: tuple.rtmr2,
            });
            let set = MeasurementSet { build_id: build.id.to_string(), svn: build.svn, snp: snp.collect(), tdx: tdx.collect() };
            std::fs::write(reader.path("measurements.json"), serde_json::to_string(&set).unwrap()).unwrap();
            std::fs::write(reader.path("initrd"), "the image").unwrap();
            std::fs::write(reader.path("flake.lock"), "{}").unwrap();
        }
        // A simulated machine has no source to build: what it measures to follows from the name of the build.
        "the commit is checked out and built" => assert!(reader.path("measurements.json").exists()),
        other => panic!("nobody knows how to do this: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_releases_and_of_an_audit() {
    let mut reader = reader();
    let folder = tempfile::tempdir().unwrap();
    let log = LocalLog::start(Path::new(env!("CARGO_BIN_EXE_sim-ringwall")), folder.path(), 3).unwrap();
    reader.replace("https://log.example.org", Path::new(log.url()));
    let steps = page("releases.md", include_str!("../../docs/runbooks/releases.md"));
    // The audit is of a release that was not revoked yet.
    let revoking = |step: &Step| matches!(step, Step::Run(run) if run.command.starts_with("export BUILD="));
    let (before, after) = steps.split_at(steps.iter().position(revoking).unwrap());
    let all = |steps: &[Step], reader: &mut Reader, logs: &dyn Fn() -> String| {
        for step in steps {
            match step {
                Step::Run(run) => drop(reader.run(run, &[], logs)),
                Step::Then { what, .. } => released(reader, &log, what),
            }
        }
    };
    all(before, &mut reader, &String::new);

    let policy = ringwall_client::policy::PolicyFile::read(&reader.path("policy.toml")).unwrap().into_policy();
    let options = LocalOptions { policy: Some(policy), release_proof: Some(reader.path("release.proof")), ..LocalOptions::default() };
    let cluster = LocalCluster::start_with(folder.path(), three::launch(), &[Machine::honest(CHIPS[0])], options).unwrap();
    let user = local::client(&cluster).await;
    local::voters(&user, &cluster, 1).await;
    user.close().await;
    std::fs::copy(cluster.card_path(), reader.path("cluster.card")).unwrap();
    all(&page("audit.md", include_str!("../../docs/audit.md")), &mut reader, &|| local::logs(&cluster));
    all(after, &mut reader, &|| local::logs(&cluster));
}
