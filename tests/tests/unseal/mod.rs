//! A total outage where the policy says `same_chips`: a node's own chip opens the keys, and the rest of the recovery is as strict as after shares.
//!
//! Decides: P14 over real processes. No custodian is asked where the same chip runs the same build on firmware no older; a majority of the disks must be there and no
//! anchor may be missing all the same. Another chip, another build, older firmware, an Intel machine, a founder's own life, a wrap from before a rotation: each is refused
//! by name, and leads to the custodians. Nothing here depends on how long a step takes.
//! Trusts: simulated chips, whose keys depend on what real ones depend on (`sim/tests/derived_keys.rs`). Out of scope: single refusals (`node`, `keys`).

use super::{RARELY, SLOTS, World, disks, local};
use ringwall_node::custody::{blob_file, platform_wrap};
use ringwall_sim::cluster::{LocalOptions, Machine};
use ringwall_sim::{BuildImage, world};
use ringwall_wire::codec::Field as _;
use ringwall_wire::ids::{Epoch, KeyEpoch};
use ringwall_wire::policy::{PlatformUnseal, PolicyDoc};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Another build the policy accepts.
const OTHER_BUILD: &str = "ringwall-sim-2";
/// Keys are rotated a second after something was erased, and never by age.
const ERASE_S: u32 = 1;
/// The node that recovers: an AMD machine that joined. The first one founded, the third is Intel's.
const NODE: u8 = 2;

fn policy() -> PolicyDoc {
    let mut policy = world::policy();
    policy.platform_unseal = PlatformUnseal::SameChips;
    policy.measurements.push(BuildImage::new(OTHER_BUILD, 1).measurement()).unwrap();
    policy
}

impl World {
    /// Waits until the node's wrap and recovery file hold at least this generation.
    async fn wrapped(&self, slot: u8, least: KeyEpoch) {
        let until = Instant::now() + local::PATIENCE;
        let data = self.cluster.data_folder(slot);
        loop {
            let wrap = platform_wrap::read(&data).unwrap().map(|wrap| (wrap.place.manifest, wrap.place.newest_key));
            let file = blob_file::read(&data).unwrap().map(|file| (file.recovery.manifest, file.recovery.newest_key));
            if wrap == file && wrap.is_some_and(|(_, newest)| newest >= least) {
                return;
            }
            assert!(Instant::now() < until, "node {slot} wraps nothing: {wrap:?}, {file:?}\n{}", local::logs(&self.cluster));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts a recovery, which must ask custodians because the chip does not open the keys for this reason.
    async fn asks_custodians(&mut self, slot: u8, machine: Machine, why: &'static str) {
        self.cluster.kill(slot);
        // What the process before offered and told is not taken for this one's.
        for paper in ["offer", "status.json"] {
            let _ = std::fs::remove_file(self.papers(slot).join(paper));
        }
        self.cluster.recover_on(slot, machine, &[]).unwrap();
        let session = self.offer(slot).await.offer.session.to_string();
        let said = |told: &serde_json::Value| {
            told["session"] == session.as_str() && told["unseal"].as_str().is_some_and(|unseal| unseal.contains(why))
        };
        let told = self.told_where(slot, why, said).await;
        assert_eq!(told["step"], "shares", "{told}");
    }

    /// A rotation, and something written under the new key on every node.
    async fn rotate(&self) {
        let client = self.client().await;
        let scratch = client.namespace("scratch").await.unwrap();
        scratch.put("gone", "soon").await.unwrap();
        scratch.erase().await.unwrap();
        client.close().await;
        self.wrapped(NODE, KeyEpoch(3)).await;
        self.put("rotated", "once").await;
    }
}

fn machine(chip: &str, behaviour: &[&str]) -> Machine {
    Machine { behaviour: behaviour.iter().map(ToString::to_string).collect(), ..Machine::honest(chip) }
}

fn put_back(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_chip_reopens_the_cluster_and_nothing_else_does_without_custodians() {
    let mut world =
        World::start_with(LocalOptions { policy: Some(policy()), rotate_s: Some((RARELY.0, ERASE_S)), ..LocalOptions::default() }).await;
    world.put("key", "value").await;
    // The activation of the dealing was a rotation.
    world.wrapped(NODE, KeyEpoch(2)).await;
    for slot in [1, 3] {
        assert!(platform_wrap::read(&world.cluster.data_folder(slot)).unwrap().is_none(), "a founder and an Intel machine wrap nothing");
    }
    let before = world.copy_disk(NODE, "before-rotation");
    world.rotate().await;
    let older: Vec<_> = [1, NODE].iter().map(|slot| world.copy_disk(*slot, &format!("older-{slot}"))).collect();
    world.put("last", "seen").await;
    let anchor = world.dial(1, NODE).await.anchor().unwrap();
    world.kill_all();
    let newest: Vec<_> = [1, NODE].iter().map(|slot| world.copy_disk(*slot, &format!("newest-{slot}"))).collect();

    refuses(&mut world, &before, &newest[1]).await;
    let honest = Machine::honest("turin-1");
    // Disks from before what somebody has seen: the chip opens the keys, and the anchor ends it all the same.
    world.replace_disk(NODE, Some(&older[1]));
    let anchors = world.papers(NODE).join("anchors");
    std::fs::create_dir_all(&anchors).unwrap();
    std::fs::write(anchors.join("ana"), anchor.to_bytes()).unwrap();
    world.cluster.recover_on(NODE, honest.clone(), &disks(&[&older[0]])).unwrap();
    assert_eq!(world.ended_with(NODE).await, 19, "{}", local::logs(&world.cluster));
    let evidence: serde_json::Value = serde_json::from_slice(&std::fs::read(world.papers(NODE).join("evidence.json")).unwrap()).unwrap();
    assert_eq!(evidence["verdict"], "ROLLBACK_DETECTED", "{evidence}");

    // One disk of three is no majority, whoever opened the keys.
    world.replace_disk(NODE, Some(&newest[1]));
    world.cluster.recover_on(NODE, honest, &[]).unwrap();
    world.offer(NODE).await;
    let terms = world.loss(NODE).await;
    assert_eq!((terms.voters, terms.missing), (3, 2));
    let told = world.told(NODE);
    assert!(told["unseal"].as_str().is_some_and(|unseal| unseal.contains("chip opened the master keys")), "{told}");
    // A link: a folder that is copied there would be read half.
    std::os::unix::fs::symlink(&newest[0], world.papers(NODE).join("disks").join("node-1")).unwrap();
    let told = world.told_where(NODE, "service", |told| told["step"] == "serving").await;
    assert_eq!(told["submitted"], json!([]), "nobody was asked: {told}");
    for (key, value) in [("key", "value"), ("rotated", "once"), ("last", "seen")] {
        world.holds(key, value).await;
    }
    for slot in SLOTS.into_iter().filter(|slot| *slot != NODE) {
        world.cluster.restart(slot).unwrap();
    }
    let client = world.client().await;
    let status = local::voters(&client, &world.cluster, 3).await;
    assert!(status.voters.iter().all(|voter| voter.incarnation.epoch() == Epoch(2)), "{status:?}");
    client.close().await;
    // The founder's place has a life that joined, and with it a wrap.
    world.wrapped(1, KeyEpoch(3)).await;
}

/// Everything that is not the same chip, build and firmware, or not the newest wrap, asks custodians.
async fn refuses(world: &mut World, before: &Path, newest: &Path) {
    let other_key = "another chip, another build, another guest policy";
    world.asks_custodians(NODE, Machine::honest("turin-2"), other_key).await;
    world.asks_custodians(NODE, machine("turin-1", &["--build", OTHER_BUILD]), other_key).await;
    // Its evidence is honest, so that the key alone decides.
    let rolled_back = machine("turin-1", &["--lie", "SnpOldCommitted", "--honest-first", "1000"]);
    world.asks_custodians(NODE, rolled_back, "the firmware refuses to derive this key").await;
    world.asks_custodians(3, Machine::honest("tdx-1"), "derive no keys for guests").await;
    world.asks_custodians(1, Machine::honest("genoa-1"), "no platform wrap").await;

    let data = world.cluster.data_folder(NODE);
    put_back(before, &data, &[platform_wrap::WRAP_FILE]);
    world.asks_custodians(NODE, Machine::honest("turin-1"), "a recovery file says that there is generation 3").await;
    // With the recovery file from before as well, the disk itself says so.
    put_back(before, &data, &[platform_wrap::WRAP_FILE, blob_file::RECOVERY_FILE]);
    world.asks_custodians(NODE, Machine::honest("turin-1"), "a disk is sealed under generation 3").await;
    world.kill_all();
    world.replace_disk(NODE, Some(newest));
}
