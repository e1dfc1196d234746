//! Governors order a node away that still answers: over real processes, from the command line to the fence.
//!
//! Decides: with an order that holds, a living incumbent (a follower, then a leader) is replaced under load, ends by itself and takes no
//! acknowledged write with it; an order works once; every order that does not hold is refused by its name, and nobody loses a place.
//! Trusts: the recorded history, the nodes' own logs for the words of a refusal. Out of scope: each clause by itself
//! (`consensus/src/machine/admission_tests.rs`, `attest/tests/approval.rs`). Protocol section 4.3, step 6.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::policy::GovernorKey;
use ringwall_client::{Client, ClusterStatus};
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine, Rival, tail};
use ringwall_tests::load::{Load, read_all};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Epoch, Incarnation, Signature, Slot};
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::policy::{Approval, Governance};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const KEYS: u64 = 8;

/// A cluster of three with three governors, of whom two must sign.
struct Governed {
    cluster: LocalCluster,
    user: Client,
    folder: tempfile::TempDir,
    governors: Vec<GovernorKey>,
}

impl Governed {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let governors: Vec<GovernorKey> =
            (1..=3).map(|number| GovernorKey::create(&folder.path().join(format!("governor-{number}"))).unwrap()).collect();
        let keys = governors.iter().map(GovernorKey::public).collect();
        let governance = Governance { keys: List::new(keys).unwrap(), threshold: 2, timelock_s: 0, lease_s: 0 };
        let options = LocalOptions { governance: Some(governance), ..LocalOptions::default() };
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let cluster =
            LocalCluster::start_with(folder.path(), three::launch(), &machines, options).unwrap_or_else(|error| panic!("{error}"));
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        Governed { cluster, user, folder, governors }
    }

    async fn status(&self) -> ClusterStatus {
        local::voters(&self.user, &self.cluster, 3).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An order as governors make it, by the command line; names its file.
    fn ordered(&self, slot: u8, incumbent: Incarnation, name: &str) -> PathBuf {
        let (bare, once, twice) = (self.path(name), self.path(&format!("{name}.1")), self.path(&format!("{name}.2")));
        let (number, who) = (slot.to_string(), incumbent.0.to_string());
        self.ringwall(&["order", "--slot", &number, "--incumbent", &who, "--out"], &[&bare]);
        self.ringwall(&["sign", "--key"], &[&self.path("governor-1"), &bare, Path::new("--out"), &once]);
        self.ringwall(&["sign", "--key"], &[&self.path("governor-3"), &once, Path::new("--out"), &twice]);
        self.ringwall(&["verify"], &[&twice]);
        twice
    }

    fn ringwall(&self, words: &[&str], paths: &[&Path]) {
        let card = self.cluster.card_path();
        let start = ["ringwall".into(), "--card".into(), card.into_os_string(), "slot".into()];
        let words = words.iter().map(OsString::from).chain(paths.iter().map(|path| path.as_os_str().to_owned()));
        let arguments: Vec<OsString> = start.into_iter().chain(words).collect();
        // The command has a runtime of its own, which this test's threads have already.
        let command = std::thread::spawn(move || ringwall_client::cli::run(arguments, ringwall_sim::anchors()));
        let code = command.join().unwrap();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }

    /// A machine that asks for the place of `slot`, with an order or without.
    fn rival(&self, slot: u8, chip: &str, name: &str, order: Option<&Path>) -> Rival {
        let flags: Vec<OsString> = order.map_or_else(Vec::new, |order| vec!["--replace-order".into(), order.into()]);
        self.cluster.rival(slot, name, &Machine::honest(chip), None, &flags).unwrap()
    }
}

async fn says(rival: &Rival, words: &str) {
    let until = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(&rival.log).unwrap_or_default().contains(words) {
        assert!(Instant::now() < until, "the joiner never said {words:?}:\n{}", tail(&rival.log));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// Waits until the process of `slot` ended by itself, fenced.
async fn fenced(cluster: &mut LocalCluster, slot: u8) {
    let until = Instant::now() + PATIENCE;
    while cluster.exit_code(slot).is_none() {
        assert!(Instant::now() < until, "the node that was replaced goes on:\n{}", local::logs(cluster));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(cluster.exit_code(slot), Some(20), "{}", local::logs(cluster));
    let log = std::fs::read_to_string(cluster.log(slot)).unwrap();
    assert!(log.contains("a newer incarnation was admitted to its slot"), "{}", local::logs(cluster));
}

fn incarnation_in(status: &ClusterStatus, slot: u8) -> Incarnation {
    status.voters.iter().find(|voter| voter.slot.0 == slot).unwrap().incarnation
}

#[tokio::test(flavor = "multi_thread")]
async fn living_incumbents_are_replaced_under_load_and_fence_themselves() {
    let mut governed = Governed::start().await;
    let client = local::client(&governed.cluster).await;
    let namespace = client.namespace("load").await.unwrap();
    let load = Load::start(vec![namespace.clone(); 4], KEYS, Duration::from_millis(4));
    let mut rivals = Vec::new();
    // The leader first, then a follower that has stood there from the beginning.
    for (round, chip) in ["genoa-2", "tdx-2"].into_iter().enumerate() {
        let before = governed.status().await;
        let leader = local::leader_slot(&before);
        let original = |slot: &u8| governed.cluster.pid(*slot).is_some();
        let slot = if round == 0 { leader } else { (1..=3).filter(original).find(|slot| *slot != leader).unwrap() };
        let old = incarnation_in(&before, slot);
        let name = format!("order-{round}");
        let order = governed.ordered(slot, old, &name);
        let rival = governed.rival(slot, chip, &format!("rival-{round}"), Some(&order));
        let after = local::status_where(&governed.user, &governed.cluster, "the ordered replacement", |now| {
            now.voters.len() == 3 && now.learners.is_empty() && now.voters.iter().all(|voter| voter.incarnation != old)
        })
        .await;
        let new = after.voters.iter().find(|voter| voter.slot.0 == slot).unwrap();
        assert_eq!(&*new.address, rival.address.to_string().as_str(), "the machine with the order has the place");
        fenced(&mut governed.cluster, slot).await;
        governed.cluster.kill(slot);

        // The order is used up: another machine that brings it gets nothing while the new incumbent answers.
        let second = governed.rival(slot, "turin-2", &format!("again-{round}"), Some(&order));
        says(&second, OrderFault::OtherIncumbent.words()).await;
        drop(second);
        let now = governed.status().await;
        assert_eq!(incarnation_in(&now, slot), new.incarnation, "the place was given away twice");
        rivals.push(rival);
    }
    assert!(rivals.iter_mut().all(Rival::is_running));
    let history = load.finish().await;
    read_all(&namespace, &history, KEYS).await;
    let (all, acknowledged) = history.counts();
    assert!(acknowledged > 100, "only {acknowledged} writes of {all} operations");
    assert_eq!(history.violations(), Vec::<String>::new(), "no order explains these keys ({all} operations)");
}

fn sign(mut order: ReplaceOrder, governors: &[&GovernorKey]) -> ReplaceOrder {
    for governor in governors {
        order.signatures.push(governor.order(&order)).unwrap();
    }
    order
}

/// Orders that do not hold, each for one reason, and the reason.
fn unholdable(
    cluster: ClusterId,
    incumbent: Incarnation,
    other: Incarnation,
    governors: &[GovernorKey],
) -> Vec<(&'static str, ReplaceOrder, OrderFault)> {
    let bare =
        ReplaceOrder { cluster_id: cluster, epoch: Epoch(1), slot: Slot(3), incumbent, last_index: None, signatures: List::default() };
    let [one, two, _] = governors else { panic!("three governors") };
    let enough = |order: ReplaceOrder| sign(order, &[one, two]);
    let stranger = GovernorKey::from_seed(ringwall_wire::secret::Secret::new([9; 32]));
    let mut forged = enough(bare.clone());
    let mut entries = forged.signatures.to_vec();
    entries[1] = Approval { key: two.public(), signature: Signature([7; 64]) };
    forged.signatures = List::new(entries).unwrap();
    vec![
        ("cluster", enough(ReplaceOrder { cluster_id: ClusterId([5; 32]), ..bare.clone() }), OrderFault::OtherCluster),
        ("epoch", enough(ReplaceOrder { epoch: Epoch(2), ..bare.clone() }), OrderFault::OtherEpoch),
        ("slot", enough(ReplaceOrder { slot: Slot(2), incumbent: other, ..bare.clone() }), OrderFault::OtherSlot),
        ("incumbent", enough(ReplaceOrder { incumbent: other, ..bare.clone() }), OrderFault::OtherIncumbent),
        ("expired", enough(ReplaceOrder { last_index: Some(2), ..bare.clone() }), OrderFault::Expired),
        ("few", sign(bare.clone(), &[two]), OrderFault::TooFew),
        ("repeated", sign(bare.clone(), &[two, two]), OrderFault::TooFew),
        ("foreign", sign(bare, &[one, two, &stranger]), OrderFault::Stranger),
        ("forged", forged, OrderFault::BadSignature),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_hold_is_refused_by_its_name() {
    let mut governed = Governed::start().await;
    let before = governed.status().await;
    let (incumbent, other) = (incarnation_in(&before, 3), incarnation_in(&before, 2));
    let bare = governed.rival(3, "tdx-2", "none", None);
    says(&bare, "SlotOccupied").await;
    drop(bare);
    let cluster = governed.cluster.card().genesis.cluster_id();
    for (name, order, fault) in unholdable(cluster, incumbent, other, &governed.governors) {
        let path = governed.path(&format!("{name}.order"));
        std::fs::write(&path, order.encode()).unwrap();
        let rival = governed.rival(3, "tdx-2", name, Some(&path));
        says(&rival, fault.words()).await;
        let log = std::fs::read_to_string(&rival.log).unwrap();
        assert!(log.contains("OrderRefused") && !log.contains("admitted: this life"), "{name}: {}", tail(&rival.log));
    }
    let after = governed.status().await;
    let standing = |status: &ClusterStatus| status.voters.iter().map(|voter| voter.incarnation).collect::<Vec<_>>();
    assert_eq!(standing(&after), standing(&before), "somebody lost a place");
    assert!((1..=3).all(|slot| governed.cluster.is_running(slot)));
}
