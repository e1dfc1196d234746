//! Losses in combinations, each of them really done: rows of docs/recovery.md about nodes, custodians and what an operator keeps.
//!
//! Decides: a majority whose memory is gone is a total outage, and with all disks nothing is lost; a custodian who is gone is not missed while the others are
//! enough; nothing an operator keeps beside the data folders is needed; who holds shares is changed while the cluster lives, and then they alone recover.
//! Trusts: what the suite trusts. Out of scope: the rules one by one (`consensus/src/machine/custody/tests.rs`).

use super::*;
use ringwall_sim::custodian::Governors;
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;

impl World {
    /// Whether the node of `slot` answers a read, within a bound that a node without a quorum cannot use.
    async fn serves(&self, slot: u8) -> bool {
        let mut options = local::options(&self.cluster);
        options.credential = self.credential.clone();
        options.addresses = vec![self.cluster.address(slot).to_string()];
        options.timeouts.deadline = Duration::from_secs(3);
        let Ok(client) = Client::connect(options).await else { return false };
        match client.existing_namespace("notes") {
            Ok(namespace) => namespace.get("key").await.is_ok(),
            Err(_) => false,
        }
    }

    /// Recovers on node 1 with the disks of the others, and the answers of these custodians.
    async fn recover_with(&mut self, answers: [(usize, usize); 2], name: &str) {
        let (two, three) = (self.copy_disk(2, &format!("{name}-2")), self.copy_disk(3, &format!("{name}-3")));
        self.cluster.recover(1, &disks(&[&two, &three])).unwrap();
        let offer = self.offer(1).await;
        for (at, answer) in answers.into_iter().enumerate() {
            self.answer(1, &offer, answer, None);
            if at == 0 {
                self.told_where(1, "a share", |told| told["submitted"].as_array().is_some_and(|names| names.len() == 1)).await;
            }
        }
        self.told_where(1, "service", |told| told["step"] == "serving").await;
    }

    /// Every file an operator keeps beside the data folders is gone. The card comes from somewhere else; configurations are written anew when a node is started.
    fn operator_loses_everything(&self, card: &[u8]) {
        let path = self.cluster.card_path();
        let lost = ["cluster.card", "cluster.policy", "genesis.template"].map(str::to_owned).into_iter();
        for name in lost.chain(SLOTS.map(|slot| format!("node-{slot}.toml"))) {
            std::fs::remove_file(path.with_file_name(name)).unwrap();
        }
        let copied = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        assert!(copied.into_iter().all(|path| path.extension().is_none_or(|ending| !["toml", "card"].iter().any(|lost| ending == *lost))));
        std::fs::write(path, card).unwrap();
    }

    async fn all_vote(&mut self) {
        for slot in [2, 3] {
            self.cluster.restart(slot).unwrap();
        }
        let client = self.client().await;
        local::voters(&client, &self.cluster, 3).await;
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_memories_a_custodian_and_all_an_operator_keeps_are_gone_and_nothing_is_lost() {
    let mut world = World::start().await;
    world.put("key", "value").await;
    world.holds("key", "value").await;
    world.cluster.kill(2);
    world.cluster.kill(3);
    // Back at once, with its disk, and nobody all the same: one voter admits nobody, and serves nobody.
    world.cluster.restart(2).unwrap();
    assert!(!world.serves(1).await && !world.serves(2).await);
    world.kill_all();
    let of_a_user = world.cluster.card().encode();
    world.operator_loses_everything(&of_a_user);
    // The second custodian is gone for good.
    world.recover_with([(1, 1), (3, 3)], "lost").await;
    world.holds("key", "value").await;
    world.all_vote().await;
    world.holds("key", "value").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custodians_below_the_threshold_are_replaced_while_the_cluster_lives_and_an_operator_starts_with_nothing() {
    let governors = Governors::default();
    let mut world = World::start_with(LocalOptions { governance: Some(governors.governance()), ..LocalOptions::default() }).await;
    world.put("key", "value").await;
    // Two of three are gone, with keys and shares: after an outage there would be nothing. The one that is left brings the governors' order.
    let order = {
        let (old, new): (Vec<&Holder>, [Holder; 2]) = (world.holders.iter().collect(), [4, 5].map(Holder::numbered));
        let next = [old[0], &new[0], &new[1]];
        let cluster = world.cluster_id();
        let mut unsigned = governors.other_custodians((cluster, Epoch(1)), &old, &next, 2);
        unsigned.signatures = List::new(unsigned.signatures.iter().take(1).cloned().collect()).unwrap();
        let refused = world.dial(1, 2).await.ask(CustodianOp::Change(Box::new(unsigned))).await;
        assert!(matches!(refused, CustodianAnswer::Fault(_)), "one governor is not two: {refused:?}");
        governors.other_custodians((cluster, Epoch(1)), &old, &next, 2)
    };
    let answer = world.dial(1, 2).await.ask(CustodianOp::Change(Box::new(order))).await;
    assert!(matches!(answer, CustodianAnswer::Noted(_)), "{answer:?}\n{}", local::logs(&world.cluster));
    let gone = std::mem::replace(&mut world.holders, [1, 4, 5].map(Holder::numbered).into());
    let old_share = world.shares.remove(1);
    world.accept_shares(2).await;

    // A node of the living cluster is started again by an operator who has nothing left.
    world.cluster.kill(3);
    let of_the_founder = std::fs::read(world.cluster.data_folder(1).join("cluster.card")).unwrap();
    world.operator_loses_everything(&of_the_founder);
    world.cluster.restart(3).unwrap();
    let client = world.client().await;
    local::voters(&client, &world.cluster, 3).await;
    client.close().await;
    world.holds("key", "value").await;

    world.kill_all();
    let (two, three) = (world.copy_disk(2, "two"), world.copy_disk(3, "three"));
    world.cluster.recover(1, &disks(&[&two, &three])).unwrap();
    let offer = world.offer(1).await;
    // Who was replaced is a stranger now, and the share opens nothing any more.
    let stranger = gone[1].submission(&offer, &old_share, None);
    std::fs::write(world.papers(1).join("inbox").join("stranger"), stranger.encode()).unwrap();
    local::log_says(&world.cluster, 1, "recovery: refused:").await;
    assert_eq!(world.told(1)["submitted"], json!([]), "{}", world.told(1));
    world.answer(1, &offer, (2, 2), None);
    world.answer(1, &offer, (3, 3), None);
    world.told_where(1, "service", |told| told["step"] == "serving").await;
    world.holds("key", "value").await;
}
