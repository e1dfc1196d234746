//! Ten thousand planted secrets must be found nowhere an operator can look, and what can be seen is written down: docs/visibility.md.
//!
//! Decides: every datagram and every connection of the key broker protocol passes a tap, every file and log is read, memory is read while a node runs and after
//! it ended in order or was fenced; secrets are those of users, devices, custodians and guests, and the nodes' own keys, which the suite knows because the
//! machines play tapes. The page is what was found, and any other page fails. Trusts: the search, which finds one more secret in every place.
//! Out of scope: what hardware hides; there is none. Rows T-K, T-M1, T-LEAK, S2.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "secrets/door.rs"]
mod door;
#[path = "secrets/offices.rs"]
mod offices;
#[path = "secrets/plant.rs"]
mod plant;
#[path = "secrets/sizes.rs"]
mod sizes;
#[path = "secrets/tapes.rs"]
mod tapes;
mod three;
mod workload;

use door::Door;
use offices::{BROKERED, Kept, NONCES, Offices};
use plant::{Planted, RECORDS, USERS, canaries, random};
use ringwall_client::{Client, ClusterStatus};
use ringwall_keys::Keyring;
use ringwall_sim::canary::{Canaries, Found};
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine, Rival};
use ringwall_sim::daemon::ENDED;
use ringwall_sim::tap::Tap;
use ringwall_tests::local::{self, PATIENCE};
use ringwall_tests::memory::{self, Memory};
use ringwall_tests::visibility::{
    Answer, Findings, HELD, INCARNATION, KEYS, KINDS, MASTER, Place, difference, events, page_path, place, surfaces,
};
use ringwall_wire::ids::Incarnation;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tapes::{Recording, keys_of};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

/// The secret every search has to find, because the suite puts it there.
const BAIT: &str = "bait";

/// The cluster under the eyes of its operator.
struct World {
    folder: TempDir,
    cluster: LocalCluster,
    /// A process over a copied disk, from its start on.
    twin: Option<Rival>,
    taps: Vec<Tap>,
    tapes: Vec<Recording>,
    bait: [u8; 32],
    watcher: Client,
    offices: Offices,
    /// In front of the one node that offers the key broker protocol.
    door: Door,
}

impl World {
    async fn start() -> Self {
        let (folder, bait) = (tempfile::tempdir().unwrap(), random::<32>());
        let taps = vec![Tap::new().await.unwrap(), Tap::new().await.unwrap(), Tap::new().await.unwrap()];
        let tapes: Vec<Recording> = (0..3).map(|number| Recording::new(&folder.path().join("tapes"), number, &bait)).collect();
        let machines: Vec<Machine> = ["genoa-1", "turin-1", "tdx-1"].iter().zip(&tapes).map(|(chip, tape)| tape.machine(chip)).collect();
        let advertise = taps.iter().map(|tap| tap.address).collect();
        let offices = Offices::found(&folder.path().join("offices"));
        let options = LocalOptions { advertise, log: Some(("json", "debug")), ..offices.options() };
        let cluster = LocalCluster::start_with(&folder.path().join("cluster"), three::launch(), &machines, options).unwrap();
        for (slot, tap) in cluster.slots().zip(&taps) {
            tap.aim(cluster.address(slot));
        }
        let watcher = local::client(&cluster).await;
        local::voters(&watcher, &cluster, 3).await;
        let door = Door::before(cluster.kbs_address(BROKERED).unwrap()).await;
        World { folder, cluster, twin: None, taps, tapes, bait, watcher, offices, door }
    }

    /// Data folders, of twins too.
    fn disks(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("cluster")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("cluster")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect()
    }

    /// The incarnation that stands in `slot`.
    fn incarnation(&self, status: &ClusterStatus, slot: u8) -> Incarnation {
        status.voters.iter().find(|voter| voter.slot.0 == slot).unwrap().incarnation
    }

    /// Waits until three vote and `old` is none of them.
    async fn without(&self, old: Incarnation) -> ClusterStatus {
        local::status_where(&self.watcher, &self.cluster, "a replacement", |now| {
            now.voters.len() == 3 && now.learners.is_empty() && now.voters.iter().all(|voter| voter.incarnation != old)
        })
        .await
    }

    /// Another process in the place of one that ended.
    async fn replace(&mut self, slot: u8, chip: &str, old: Incarnation) {
        let tape = Recording::new(&self.folder.path().join("tapes"), self.tapes.len(), &self.bait);
        self.cluster.restart_on(slot, tape.machine(chip)).unwrap();
        self.tapes.push(tape);
        self.without(old).await;
    }

    /// What is in the memory of the process of `slot`, by kind.
    fn memory(&self, canaries: &Canaries, slot: u8) -> BTreeMap<&'static str, usize> {
        let mut found = Found::new();
        let memory = Memory::open(self.cluster.pid(slot).unwrap()).unwrap();
        let bytes = memory.search(canaries, &mut found).unwrap();
        assert!(bytes > 4 << 20, "only {bytes} bytes of memory were read");
        proven("memory", canaries, &found)
    }
}

/// What was found by kind, after the bait was.
fn proven(place: &str, canaries: &Canaries, found: &Found) -> BTreeMap<&'static str, usize> {
    let mut kinds = canaries.by_kind(found);
    assert!(kinds.remove(BAIT).is_some(), "{place}: the search does not find what was put there for it");
    eprintln!("{place}: {kinds:?}");
    kinds
}

/// Files below `folders`, with the bait among them.
fn in_files(name: &'static str, canaries: &Canaries, bait: &[u8], folders: &[PathBuf]) -> Place {
    let mark = folders[0].parent().unwrap().join("bait-of-the-suite");
    std::fs::write(&mark, ringwall_wire::text::hex(bait)).unwrap();
    let all = folders.iter().chain(std::iter::once(&mark)).map(PathBuf::as_path);
    let searched = canaries.search_files(all).unwrap();
    std::fs::remove_file(&mark).unwrap();
    let hits: Vec<_> = searched.hits.iter().filter(|path| **path != mark).collect();
    eprintln!("{name}: {} files, {} bytes; secrets in {hits:?}", searched.files, searched.bytes);
    assert!(searched.bytes > 10_000, "{name}: only {} bytes were searched", searched.bytes);
    place(name, &proven(name, canaries, &searched.found), &KINDS)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_secrets_are_found_nowhere_and_what_is_seen_is_on_the_page() {
    if !memory::may_be_read("ten thousand secrets: what an operator sees (docs/visibility.md)") {
        return;
    }
    let mut world = World::start().await;
    // First of all, while what the nodes have drawn is little enough to be tried.
    let mut kept = world.offices.work(&world.cluster, &world.door).await;
    let planted = plant::plant(&world.cluster).await;
    world.offices.back_up(&world.cluster, &mut kept);
    let mut canaries = canaries(&planted);
    assert!(canaries.len() >= 10_000, "{} secrets", canaries.len());
    let newest = kept.add_to(&mut canaries, &world.tapes);
    keys_of(newest).iter().for_each(|key| canaries.add(MASTER, key));
    let (ring, own) = node_keys(&world, &planted);
    keys_of(&ring).iter().for_each(|key| canaries.add(MASTER, key));
    own.iter().for_each(|key| canaries.add(INCARNATION, key));
    canaries.add(BAIT, &world.bait);

    let mut findings = Findings::default();
    let status = local::voters(&world.watcher, &world.cluster, 3).await;
    findings.status = names_of(&status);
    for slot in world.cluster.slots() {
        let found = surfaces::surfaces(world.cluster.pid(slot).unwrap()).unwrap();
        let wanted = if slot == BROKERED { BTreeMap::from([("tcp", 1), ("udp", 1)]) } else { BTreeMap::from([("udp", 1)]) };
        assert_eq!(found, wanted, "node {slot} offers more than its one UDP socket, and one of TCP where it has [kbs]");
    }

    let running = world.memory(&canaries, 1);
    findings.memory.push(place("a running node", &running, &HELD));
    after_an_orderly_end(&mut world, &canaries, &status, &mut findings).await;
    let fenced = after_a_fence(&mut world, &canaries, &mut findings).await;
    let other = 5 - fenced;
    core_dumps(&mut world, &canaries, other, &mut findings).await;

    let disks = world.disks();
    findings.closed.insert(0, in_files("disks of all nodes, folders of former lives and of the copy", &canaries, &world.bait, &disks));
    findings.closed.insert(1, in_files("a backup, as it was taken", &canaries, &world.bait, std::slice::from_ref(&kept.backup)));
    findings.closed.insert(2, on_the_wire(&world, &canaries));
    findings.closed.insert(3, at_the_door(&world, &canaries).await);
    findings.closed.insert(4, in_files("logs at the most talkative level", &canaries, &world.bait, &world.logs()));
    findings.closed.insert(5, in_words(&world, &canaries, &planted, &kept));
    findings.events = known_events(&world);
    findings.answers = answers(&world, (&planted, &kept), &ring, &status, other);
    conclude(&findings);
}

/// The page is what was found; nothing was found where nothing may be.
fn conclude(findings: &Findings) {
    let page = findings.page();
    assert!(findings.breaches().is_empty(), "secrets where nothing may be: {:#?}", findings.breaches());
    if std::env::var_os("RINGWALL_BLESS").is_some() {
        std::fs::write(page_path(), &page).unwrap();
    }
    let written = std::fs::read_to_string(page_path()).unwrap_or_default();
    if let Some(difference) = difference(&written, &page) {
        panic!("docs/visibility.md, {difference}\n(RINGWALL_BLESS=1 writes the page anew)");
    }
}

/// Names of what a status says; a new field does not compile.
fn names_of(status: &ClusterStatus) -> Vec<&'static str> {
    let ClusterStatus { slot: _, incarnation: _, leader: _, term: _, applied: _, revision: _, voters: _, learners: _ } = status;
    vec!["slot", "incarnation", "leader", "term", "applied", "revision", "voters", "learners"]
}

/// The cluster's keys, and the private keys of all incarnations so far.
fn node_keys(world: &World, planted: &[Planted]) -> (Keyring, Vec<Vec<u8>>) {
    let disks = world.disks();
    let disks: Vec<&Path> = disks.iter().map(PathBuf::as_path).collect();
    let cluster = world.cluster.card().genesis.cluster_id();
    let mut rings = world.tapes.iter().filter_map(|tape| tape.ring(cluster, &planted[0].user, &planted[0].namespaces[0], &disks));
    let ring = rings.next_back().expect("the founder's tape has the cluster's keys: a tag made with them is on disk");
    let own: Vec<Vec<u8>> = world.tapes.iter().flat_map(|tape| tape.incarnations(&disks)).collect();
    assert!(own.len() >= 12, "three incarnations have four keys each, found {}", own.len());
    (ring, own)
}

/// The founder leaves in order: its keys are gone before its process is.
async fn after_an_orderly_end(world: &mut World, canaries: &Canaries, status: &ClusterStatus, findings: &mut Findings) {
    let before = world.memory(canaries, 1);
    assert!(before.contains_key(MASTER) && before.contains_key(INCARNATION), "a running node has its keys in memory: {before:?}");
    world.cluster.signal(1, Signal::TERM);
    local::log_says(&world.cluster, 1, ENDED).await;
    at_rest(world, 1).await;
    let after = world.memory(canaries, 1);
    findings.memory.push(place("a node that left in order, its process still there", &after, &KEYS));
    world.replace(1, "tdx-2", world.incarnation(status, 1)).await;
}

/// Waits until the process of a node that has ended has no thread but its first, at most as long as a slow disk may hold one up: what such a thread works with is wiped
/// when it is done, and on a busy machine that may be after the node said that it ended.
async fn at_rest(world: &World, slot: u8) {
    let threads = format!("/proc/{}/task", world.cluster.pid(slot).unwrap());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::fs::read_dir(&threads).is_ok_and(|found| found.count() > 1) && std::time::Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A follower stands still, and a copy of its disk is started elsewhere and takes its slot; when the follower wakes it is out, and its keys are
/// gone. Whether it wakes before it is retired or after, it hears of it. Gives its slot, 2 or 3.
async fn after_a_fence(world: &mut World, canaries: &Canaries, findings: &mut Findings) -> u8 {
    let status = local::voters(&world.watcher, &world.cluster, 3).await;
    let slot = if local::leader_slot(&status) == 2 { 3 } else { 2 };
    let before = world.memory(canaries, slot);
    assert!(before.contains_key(MASTER) && before.contains_key(INCARNATION), "a running node has its keys in memory: {before:?}");
    world.cluster.signal(slot, Signal::STOP);
    let copy = world.folder.path().join("cluster/copy");
    copied(&world.cluster.data_folder(slot), &copy);
    let twin = world.cluster.rival(slot, "twin", &Machine::honest("genoa-2"), Some(&copy), &[]).unwrap();
    says(&twin.log, "admitted: this life").await;
    world.twin = Some(twin);
    world.cluster.signal(slot, Signal::CONT);
    local::log_says(&world.cluster, slot, ENDED).await;
    local::log_says(&world.cluster, slot, "was admitted to its slot").await;
    world.without(world.incarnation(&status, slot)).await;
    at_rest(world, slot).await;
    let after = world.memory(canaries, slot);
    findings.memory.push(place("a node that was fenced, its process still there", &after, &KEYS));
    world.cluster.kill(slot);
    slot
}

/// Waits until the log at `path` contains `text`.
async fn says(path: &Path, text: &str) {
    let until = std::time::Instant::now() + PATIENCE;
    while !std::fs::read_to_string(path).unwrap_or_default().contains(text) {
        assert!(std::time::Instant::now() < until, "{} never said {text:?}", path.display());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copied(&path, &target),
            false => assert!(std::fs::copy(&path, &target).is_ok()),
        }
    }
}

/// A process that gave up core dumps leaves none, whatever kills it; one that did not leaves one in which the search finds its argument.
async fn core_dumps(world: &mut World, canaries: &Canaries, slot: u8, findings: &mut Findings) {
    let folder = tempfile::tempdir().unwrap();
    let bait = ringwall_wire::text::hex(&world.bait);
    let script = "ulimit -c unlimited; kill -ABRT $$";
    let control = Command::new("sh").args(["-c", script, &bait]).current_dir(folder.path()).status().unwrap();
    assert!(control.core_dumped(), "this machine writes no core dumps at all: raise the hard limit (ulimit -H -c)");
    let searched = canaries.search_files([folder.path()]).unwrap();
    if searched.files == 0 {
        eprintln!("this machine gives core dumps to a program; the kernel's word counts alone");
    } else {
        assert!(canaries.by_kind(&searched.found).contains_key(BAIT), "a core dump is searched, and the argument is in it");
    }
    for signal in [Signal::ABORT, Signal::QUIT, Signal::TRAP] {
        let status = local::voters(&world.watcher, &world.cluster, 3).await;
        let ended = world.cluster.end(slot, signal, PATIENCE).expect("the signal ends the node");
        assert_eq!(ended.signal(), Some(signal.as_raw()));
        assert!(!ended.core_dumped(), "{signal:?} left a core dump of a node");
        world.replace(slot, "turin-2", world.incarnation(&status, slot)).await;
    }
    findings.closed.push(place("core dumps after SIGABRT, SIGQUIT and SIGTRAP: none is written", &BTreeMap::new(), &KINDS));
}

/// Everything that passed the taps.
fn on_the_wire(world: &World, canaries: &Canaries) -> Place {
    // The bait goes the way of every datagram.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    let mut found = Found::new();
    while canaries.by_kind(&found).is_empty() && std::time::Instant::now() < until {
        socket.send_to(&world.bait, world.taps[0].address).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        canaries.search(&world.taps[0].captured(), &mut found);
    }
    let mut bytes = 0;
    for tap in &world.taps {
        let captured = tap.captured();
        bytes += captured.len();
        canaries.search(&captured, &mut found);
    }
    assert!(bytes > USERS * RECORDS * 64, "only {bytes} bytes passed the taps");
    eprintln!("wire: {bytes} bytes");
    place("datagrams between clients and nodes and among nodes", &proven("wire", canaries, &found), &KINDS)
}

/// Everything that passed between guests and the key broker's port.
async fn at_the_door(world: &World, canaries: &Canaries) -> Place {
    let guests = world.door.captured().len();
    assert!(guests > 6_000 && world.door.connections() >= 4, "only {guests} bytes passed in {} connections", world.door.connections());
    // The bait goes the way of every guest.
    let mut socket = tokio::net::TcpStream::connect(world.door.address).await.unwrap();
    socket.write_all(&world.bait).await.unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    while !canaries.by_kind(&canaries.of(&world.door.captured())).contains_key(BAIT) && std::time::Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let found = canaries.of(&world.door.captured());
    place("connections between guests and the key broker's port", &proven("door", canaries, &found), &KINDS)
}

/// What nodes and clients say when something goes wrong, and what a status says.
fn in_words(world: &World, canaries: &Canaries, planted: &[Planted], kept: &Kept) -> Place {
    let words: String = planted.iter().map(|user| user.errors.as_str()).chain([kept.errors.as_str()]).collect();
    assert!(words.len() > 1_000, "errors were provoked");
    let found = canaries.of(format!("{words}{}", ringwall_wire::text::hex(&world.bait)).as_bytes());
    place("refusals and error messages", &proven("words", canaries, &found), &KINDS)
}

/// What the sources can log, after every line of the run was found to be among it.
fn known_events(world: &World) -> BTreeSet<events::Event> {
    let declared = events::declared(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let logs: Vec<String> = world.logs().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let lines: Vec<&str> = logs.iter().flat_map(|log| log.lines()).collect();
    assert!(lines.len() > 50, "only {} log lines", lines.len());
    let complaints: Vec<String> = lines.iter().filter_map(|line| events::complaint(line, &declared, "ringwalld-sim:")).collect();
    assert!(complaints.is_empty(), "log lines nobody declared: {complaints:#?}");
    declared
}

/// What there is to be learned, and whether the run learned it.
fn answers(world: &World, (planted, kept): (&[Planted], &Kept), ring: &Keyring, status: &ClusterStatus, slot: u8) -> Vec<Answer> {
    let nodes: BTreeSet<_> = world.cluster.slots().map(|slot| world.cluster.address(slot)).collect();
    let clients = world.taps.iter().flat_map(|tap| tap.sources()).filter(|source| !nodes.contains(source)).count();
    let sizes: usize = world.taps.iter().map(|tap| tap.sizes().len()).sum();
    let disk = world.cluster.data_folder(slot);
    let on_disk = |needle: &[u8]| {
        let mut canaries = Canaries::default();
        canaries.add_raw("needle", needle);
        !canaries.search_files([disk.as_path()]).unwrap().found.is_empty()
    };
    let mut tags = Canaries::default();
    for user in planted {
        user.namespaces.iter().for_each(|name| tags.add_raw("tag", &ring.space_tag(&user.user, name).0));
    }
    let tagged = |path: &Path| tags.search_files([path]).unwrap().found.len() == planted.len() * planted[0].namespaces.len();
    let in_backup = std::fs::read(&kept.backup).unwrap();
    let backed_up = |needle: &[u8]| in_backup.windows(needle.len()).any(|window| window == needle);
    let tag = ring.space_tag(&planted[0].user, &planted[0].namespaces[0]).0;
    let address = status.voters.iter().find(|voter| voter.slot.0 == 1).unwrap().address.to_string();
    let founding = world.cluster.card().genesis.cluster_id().0;
    let (near, far) = (sizes::on_the_wire(ring, 0..=100), sizes::on_the_wire(ring, [100, 1_000].into_iter()));
    let (close, apart) = (sizes::on_the_disk(ring, 0..=64), sizes::on_the_disk(ring, [64, 65].into_iter()));
    let answer = |place, what, learned| Answer { place, what, learned };
    vec![
        answer("network", "addresses of clients", clients >= USERS),
        answer("network", "when something is sent, and datagrams of how many bytes", sizes > 10),
        answer("network", "which of two lengths up to 100 bytes a message has", sizes::neighbours_differ(&near)),
        answer("network", "whether a message has 100 or 1,000 bytes", sizes::neighbours_differ(&far)),
        answer("disk", "the cluster's identity", on_disk(&founding) || founding_on(world)),
        answer("disk", "members and their addresses", on_disk(address.as_bytes())),
        answer("disk", "how many namespaces there are, each as a tag", tagged(&disk)),
        answer("disk", "how many records a tag has", times(&disk, &tag) >= RECORDS / 2),
        answer("disk", "which user or name a tag stands for", planted.iter().any(|user| on_disk(&user.user.0))),
        answer("disk", "which of two lengths up to 64 bytes a value has", sizes::neighbours_differ(&close)),
        answer("disk", "whether a value has more than 64 bytes", sizes::neighbours_differ(&apart)),
        answer("disk", "who the custodians are, and when each took its share or proved it", on_disk(&world.offices.custodian())),
        answer("disk", "names of workload keys, and when which machine was granted one", on_disk(workload::NAME.as_bytes())),
        answer("disk", "anything else that a node's generator made, except nonces of founding, joining, proofs and drills", drawn(world)),
        answer("backup", "how many namespaces there are, each as a tag, and how many bytes all of it has", tagged(&kept.backup)),
        answer("backup", "the cluster's identity", backed_up(&founding)),
        answer("backup", "which user or name a tag stands for", planted.iter().any(|user| backed_up(&user.user.0))),
        answer("key broker", "addresses of guests, and when each asks for how many bytes", world.door.connections() >= 4),
        answer("host", "which sockets a node has: one for UDP, one for TCP where it has `[kbs]`, and no other", true),
    ]
}

/// Whether the cluster's card, which lies beside the data, names the cluster.
fn founding_on(world: &World) -> bool {
    std::fs::read(world.cluster.card_path()).is_ok_and(|card| card.len() > 100)
}

/// How often `needle` occurs in the files below `folder`.
fn times(folder: &Path, needle: &[u8]) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        count += match path.is_dir() {
            true => times(&path, needle),
            false => std::fs::read(&path).unwrap_or_default().windows(needle.len()).filter(|window| *window == needle).count(),
        };
    }
    count
}

/// Whether more of what the tapes gave is on disks, on the wire or in logs than nonces that are public: one of the founding, one of each joiner's, those of
/// the proof and the drill.
fn drawn(world: &World) -> bool {
    let mut draws = Canaries::default();
    for (number, block) in world.tapes.iter().flat_map(|tape| tape.blocks()).enumerate() {
        draws.add_raw(if number == 0 { "first" } else { "draw" }, block);
    }
    let disks = world.disks();
    let mut found = draws.search_files(disks.iter().map(PathBuf::as_path)).unwrap().found;
    world.taps.iter().for_each(|tap| draws.search(&tap.captured(), &mut found));
    let logs: String = world.logs().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    draws.search(logs.as_bytes(), &mut found);
    let joiners = logs.matches("a joiner is proposed").count();
    eprintln!("draws seen: {}, joiners proposed: {joiners}", found.len());
    assert!(!found.is_empty(), "the founding nonce is on the card, so the search has something to find");
    found.len() > 1 + joiners + NONCES
}
