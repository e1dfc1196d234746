//! A drill over real processes: begun through any node, answered by custodians, judged by the leader, on record everywhere; and one whose leader is killed.
//!
//! Decides: a real share is refused by name and costs nobody else; the receipt says who answered and what was compared, and holds without a network; a second
//! drill waits; nothing of a drill is on any disk but in the record; a leader that dies ends its drill, and the others say so.
//! Trusts: custodians of this suite that verify offers as their program does. Out of scope: each refusal by itself (`node/src/drill/tests.rs`), the
//! custodian's program (`sim/tests/custodian_drill.rs`). Protocol section 6.2, "Drill".
#![allow(clippy::unwrap_used, clippy::panic)]

use super::three;

use ringwall_client::Client;
use ringwall_client::custodian::dealing::Judge;
use ringwall_client::custodian::drill::judge_receipt;
use ringwall_keys::custody::GoodShare;
use ringwall_node::custody::blob_file;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_tests::custodian::{Holder, Talk};
use ringwall_tests::local::{self, PATIENCE};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp};
use ringwall_wire::custody::CustodyFault;
use ringwall_wire::drill::{DrillAnswer, DrillOffer, DrillOp, DrillOutcome, DrillRow};
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::recovery::{RecoveryFault, ShareSubmission};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Rotations as good as never, in seconds.
const RARELY: (u32, u32) = (1_000_000, 1_000_000);
const SLOTS: [u8; 3] = [1, 2, 3];

/// A cluster of three whose three custodians hold their shares; two of them recover.
struct Kept {
    cluster: LocalCluster,
    user: Client,
    holders: Vec<Holder>,
    shares: Vec<GoodShare>,
    _folder: tempfile::TempDir,
}

impl Kept {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let holders: Vec<Holder> = (1..=3).map(Holder::numbered).collect();
        let custodians = (holders.iter().map(Holder::public).collect(), 2);
        let options = LocalOptions { custodians, rotate_s: Some(RARELY), ..LocalOptions::default() };
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let cluster =
            LocalCluster::start_with(folder.path(), three::launch(), &machines, options).unwrap_or_else(|error| panic!("{error}"));
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        let mut kept = Kept { cluster, user, holders, shares: Vec::new(), _folder: folder };
        kept.accept_shares().await;
        kept
    }

    fn cluster_id(&self) -> ClusterId {
        self.cluster.card().genesis.cluster_id()
    }

    async fn dial(&self, number: usize, slot: u8) -> Talk {
        let opened = self.holders[number - 1].dial(self.cluster_id(), self.cluster.address(slot)).await;
        opened.unwrap_or_else(|refusal| panic!("a custodian is refused: {refusal:?}\n{}", local::logs(&self.cluster)))
    }

    async fn accept_shares(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.dial(1, 1).await.status().await.is_none_or(|status| status.waiting.0 == 0) {
            assert!(Instant::now() < until, "nothing is dealt\n{}", local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for number in 1..=3 {
            let mut talk = self.dial(number, 1).await;
            let dealt = talk.pull().await.expect("a dealing waits");
            self.shares.push(self.holders[number - 1].open(&self.cluster_id(), &dealt).unwrap_or_else(|fault| panic!("{fault}")));
            let answer = talk.acknowledge(Digest(dealt.manifest.manifest.digest())).await;
            assert!(matches!(answer, CustodianAnswer::Noted(_)), "{answer:?}\n{}", local::logs(&self.cluster));
        }
        while self.dial(1, 1).await.status().await.is_none_or(|status| status.active.0 == 0) {
            assert!(Instant::now() < until, "nothing is active\n{}", local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for slot in SLOTS {
            while blob_file::read(&self.cluster.data_folder(slot)).unwrap().is_none() {
                assert!(Instant::now() < until, "node {slot} has no recovery file\n{}", local::logs(&self.cluster));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Asks until the node is not busy or without a leader for a moment.
    async fn ask(&self, number: usize, slot: u8, op: DrillOp) -> CustodianAnswer {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.dial(number, slot).await.ask(CustodianOp::Drill(op.clone())).await {
                CustodianAnswer::Refused(refusal) => {
                    assert!(Instant::now() < until, "{refusal:?}\n{}", local::logs(&self.cluster));
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn begin(&self, number: usize, slot: u8) -> DrillOffer {
        match self.ask(number, slot, DrillOp::Begin).await {
            CustodianAnswer::DrillOffer(drill) => *drill,
            other => panic!("no drill: {other:?}\n{}", local::logs(&self.cluster)),
        }
    }

    async fn last(&self, slot: u8) -> Option<DrillRow> {
        match self.ask(1, slot, DrillOp::Last).await {
            CustodianAnswer::Drills(row) => row,
            other => panic!("{other:?}\n{}", local::logs(&self.cluster)),
        }
    }

    /// What a custodian answers to a drill that it judged.
    async fn answer(&self, number: usize, slot: u8, drill: &DrillOffer) -> ShareSubmission {
        let share = self.holders[number - 1].open_shadow(&self.cluster_id(), drill).unwrap_or_else(|fault| panic!("{fault}"));
        let anchor = self.dial(number, slot).await.anchor();
        self.holders[number - 1].submission(&drill.signed, &share, anchor)
    }

    async fn leader(&self) -> u8 {
        local::leader_slot(&local::voters(&self.user, &self.cluster, 3).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_custodians_rehearse_and_everybody_can_verify_it() {
    let kept = Kept::start().await;
    kept.user.namespace("notes").await.unwrap().put("key", b"value").await.unwrap();
    let leader = kept.leader().await;
    let others: Vec<u8> = SLOTS.into_iter().filter(|slot| *slot != leader).collect();
    assert_eq!(kept.last(others[0]).await, None, "none was ever begun");
    assert_eq!(kept.ask(1, others[0], DrillOp::Progress).await, CustodianAnswer::RecoveryFault(RecoveryFault::NoSession));
    let before: Vec<_> = SLOTS.iter().map(|slot| blob_file::read(&kept.cluster.data_folder(*slot)).unwrap()).collect();

    // Begun through a node that does not lead; whoever asks again is given the same.
    let drill = kept.begin(1, others[0]).await;
    assert_eq!(kept.begin(2, others[1]).await, drill);
    assert_eq!(kept.ask(3, leader, DrillOp::Offer).await, CustodianAnswer::DrillOffer(Box::new(drill.clone())));
    assert_ne!(drill.shadow.cluster_id, kept.cluster_id());

    // A real share is no answer, names its custodian, and costs the others nothing.
    let real = kept.holders[0].submission(&drill.signed, &kept.shares[0], None);
    let refused = kept.ask(1, others[1], DrillOp::Submit(Box::new(real))).await;
    assert_eq!(refused, CustodianAnswer::RecoveryFault(RecoveryFault::NotAShare));
    for (number, slot) in [(2, others[0]), (3, leader)] {
        let sent = kept.answer(number, slot, &drill).await;
        let taken = kept.ask(number, slot, DrillOp::Submit(Box::new(sent))).await;
        // The last one may find the drill judged already, when it was asked again.
        assert!(matches!(taken, CustodianAnswer::Progress(_) | CustodianAnswer::RecoveryFault(_)), "{taken:?}");
    }
    let until = Instant::now() + PATIENCE;
    let row = loop {
        match kept.last(others[1]).await {
            Some(row) if row.ended => break row,
            _ => assert!(Instant::now() < until, "no receipt\n{}", local::logs(&kept.cluster)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let paper = row.last.expect("an ended drill has its receipt");
    let receipt = &paper.receipt;
    let DrillOutcome::Passed(compared) = receipt.outcome else { panic!("{receipt:?}\n{}", local::logs(&kept.cluster)) };
    assert_eq!((receipt.session, receipt.threshold, compared.voters, compared.unread), (drill.signed.offer.session, 2, 3, 2));
    assert!(compared.found.size >= compared.copy.size && compared.anchors == 2, "{compared:?}");
    assert_eq!(receipt.laps.len(), 4, "{receipt:?}");
    let answers: Vec<DrillAnswer> = receipt.custodians.iter().map(|word| word.answer).collect();
    assert!(
        matches!(answers.as_slice(), [DrillAnswer::Refused(RecoveryFault::NotAShare), DrillAnswer::Given(_), DrillAnswer::Given(_)]),
        "{answers:?}"
    );

    // Anybody with the card verifies it; one changed word is noticed.
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let anchors = ringwall_sim::anchors();
    let judge = Judge { card: kept.cluster.card(), anchors: &anchors, now_s };
    let judged = judge_receipt(&judge, &paper, "receipt").unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(judged.receipt(), receipt);
    let mut changed = paper.clone();
    changed.receipt.custodians = ringwall_wire::bounded::List::default();
    assert!(judge_receipt(&judge, &changed, "receipt").is_err());

    // It is over: a second one waits, and the disks are what they were.
    assert_eq!(kept.ask(2, leader, DrillOp::Begin).await, CustodianAnswer::Fault(CustodyFault::TooSoon));
    let after: Vec<_> = SLOTS.iter().map(|slot| blob_file::read(&kept.cluster.data_folder(*slot)).unwrap()).collect();
    assert_eq!(before, after, "the recovery files are the real dealing's");
    for slot in SLOTS {
        assert!(!kept.cluster.data_folder(slot).join("drill-scratch").exists(), "node {slot}");
    }
    let found = kept.user.namespace("notes").await.unwrap().get("key").await.unwrap();
    assert_eq!(found.unwrap().value, b"value", "the cluster served all along");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_ends_its_drill_and_the_others_say_so() {
    let mut kept = Kept::start().await;
    let leader = kept.leader().await;
    let other = SLOTS.into_iter().find(|slot| *slot != leader).unwrap();
    let drill = kept.begin(1, other).await;
    let sent = kept.answer(2, other, &drill).await;
    assert!(matches!(kept.ask(2, other, DrillOp::Submit(Box::new(sent.clone()))).await, CustodianAnswer::Progress(_)));
    kept.cluster.kill(leader);
    local::status_where(&kept.user, &kept.cluster, "another leader", |status| {
        status.voters.iter().any(|voter| voter.incarnation == status.leader && voter.slot.0 != leader)
    })
    .await;
    assert_eq!(kept.ask(1, other, DrillOp::Progress).await, CustodianAnswer::RecoveryFault(RecoveryFault::NoSession));
    let again = kept.ask(2, other, DrillOp::Submit(Box::new(sent))).await;
    assert_eq!(again, CustodianAnswer::RecoveryFault(RecoveryFault::NoSession), "its key died with the node");
    let row = kept.last(other).await.unwrap();
    assert_eq!((row.begun.session, row.ended, row.last), (drill.signed.offer.session, false, None), "begun, and without a receipt");
    // Another one is begun once the pause is over (`consensus/src/machine/custody/tests.rs`).
    assert_eq!(kept.ask(1, other, DrillOp::Begin).await, CustodianAnswer::Fault(CustodyFault::TooSoon));
}
