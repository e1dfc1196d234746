//! A recovery whose process is killed after each of its steps: begun again, by custodians who are told why they are asked once more, until the cluster serves.
//!
//! Decides: nothing of a session counts in the next one, nothing that was acknowledged is lost, no try that was cut off is in the way of the one after it; a
//! custodian's program refuses the second session of a dealing until it is given the reason, and keeps that. A step is held still where the process
//! opens a file that the test made a pipe; what is killed there is killed there on every machine.
//! Trusts: the custodian's own library, without its questions to people. Out of scope: what disks lose of what they were told to keep (`consensus`).

use super::{PATIENCE, SLOTS, World, disks};
use ringwall_client::custodian::CustodianError;
use ringwall_client::custodian::ceremony::{accept, pull, release, verify, weigh};
use ringwall_client::custodian::dealing::Judge;
use ringwall_client::custodian::keys::{CustodianKeys, SEEDS_BYTES};
use ringwall_client::custodian::shelf::Shelf;
use ringwall_node::folders;
use ringwall_tests::local;
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, CustodyEpoch, Epoch, Incarnation};
use ringwall_wire::keeping::{JournalEntry, JournalEvent, Submitted};
use ringwall_wire::recovery::SignedOffer;
use serde_json::json;
use std::ffi::OsString;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The slot that recovers.
const HERE: u8 = 1;
/// What the last line but one of a recovery says.
const BEGAN: &str = "recovery: the epoch began";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A custodian at a desk of its own: the folder its program keeps.
struct Desk {
    name: String,
    keys: CustodianKeys,
    shelf: Shelf,
    /// Sessions its share was released to.
    released: usize,
    /// How often the program said that being asked again is expected.
    expected: usize,
}

impl Desk {
    /// Custodian `number`, with the share that was dealt to it.
    fn new(world: &World, number: u8) -> Self {
        let name = format!("custodian {number}");
        let seeds: [u8; SEEDS_BYTES] = [[number; 32], [number ^ 0x80; 32]].concat().try_into().unwrap();
        let keys = CustodianKeys::from_seeds(Text::new(name.clone()).unwrap(), &seeds);
        assert_eq!(keys.id(), world.holders[usize::from(number) - 1].id());
        let mut shelf = Shelf::vacant(&world.folder.path().join(format!("desk-{number}"))).unwrap();
        let dealing = pull(&mut shelf, world.cluster.card(), &world.dealt[usize::from(number) - 1], now_s()).unwrap();
        let held = shelf.held(&dealing).unwrap().unwrap();
        let anchors = ringwall_sim::anchors();
        let judge = Judge { card: world.cluster.card(), anchors: &anchors, now_s: now_s() };
        let verified = verify(&shelf, &held, &judge, &keys).unwrap_or_else(|fault| panic!("{fault}"));
        let _acknowledged = accept(&mut shelf, &verified, &keys, now_s()).unwrap();
        Desk { name, keys, shelf, released: 0, expected: 0 }
    }

    /// Answers an offer. From the second one on the program first says what to do, and is then told.
    fn answers(&mut self, world: &World, signed: &SignedOffer) {
        let anchors = ringwall_sim::anchors();
        let judge = Judge { card: world.cluster.card(), anchors: &anchors, now_s: now_s() };
        let request = weigh(&self.shelf, &judge, signed, "offer", None).unwrap_or_else(|fault| panic!("{}: {fault}", self.name));
        let mut reason = None;
        if self.released > 0 {
            match release(&mut self.shelf, &request, &self.keys, None, now_s()) {
                Err(fault @ CustodianError::SecondSession { .. }) => {
                    let words = fault.to_string();
                    assert!(words.contains("--second-session"), "{words}");
                    match words.contains("the override is expected") {
                        true => self.expected += 1,
                        false => assert!(words.contains("Ask the other custodians"), "{words}"),
                    }
                }
                other => panic!("{}: a second session is not asked about: {other:?}", self.name),
            }
            reason = Some(Text::new(format!("the node died {} times", self.released)).unwrap());
        }
        let sent = release(&mut self.shelf, &request, &self.keys, reason.as_ref(), now_s()).unwrap_or_else(|fault| panic!("{fault}"));
        self.released += 1;
        let inbox = world.papers(HERE).join("inbox");
        let (beside, path) = (inbox.join(format!("{}.part", self.name)), inbox.join(&self.name));
        std::fs::write(&beside, sent.encode()).unwrap();
        std::fs::rename(beside, path).unwrap();
    }
}

/// What a journal's entry says of a release of this dealing's share.
fn released(entry: &JournalEntry, cluster: &ClusterId, dealing: CustodyEpoch) -> Option<Submitted> {
    match &entry.event {
        JournalEvent::Submitted(released) if (&released.dealing.cluster_id, released.dealing.custody_epoch) == (cluster, dealing) => {
            Some(released.clone())
        }
        _ => None,
    }
}

/// A place in a file system at which whoever opens it stands still.
pub(super) fn pipe(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success(), "a pipe can be made at {}", path.display());
}

/// Lets whoever reads the pipe go on: it is empty.
pub(super) async fn let_go(path: &Path) {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let until = Instant::now() + PATIENCE;
    while let Err(fault) = std::fs::File::options().write(true).custom_flags(flags).open(path) {
        assert!(Instant::now() < until, "nobody reads {}: {fault}", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A disk that is brought while the process runs, and that nobody can read to its end.
pub(super) fn late_disk(papers: &Path) -> PathBuf {
    let life = folders::of(&papers.join("disks").join("late"), Incarnation::new(Epoch(1), 999));
    life.join("log-0000000000000001")
}

/// A recovery that is begun again and again.
struct Story {
    world: World,
    desks: Vec<Desk>,
    flags: Vec<OsString>,
}

impl Story {
    fn papers(&self) -> PathBuf {
        self.world.papers(HERE)
    }

    /// Starts a process. Nothing of the one before is left of its session.
    async fn begins(&mut self) -> SignedOffer {
        self.world.cluster.recover(HERE, &self.flags).unwrap();
        let offer = self.world.offer(HERE).await;
        let session = offer.offer.session.to_string();
        let told = self.world.told_where(HERE, "a new session", |told| told["session"] == json!(session)).await;
        assert_eq!((&told["step"], &told["submitted"]), (&json!("shares"), &json!([])), "{told}");
        offer
    }

    /// Two custodians answer.
    fn both_answer(&mut self, offer: &SignedOffer) {
        self.desks.iter_mut().take(2).for_each(|desk| desk.answers(&self.world, offer));
    }

    async fn until(&self, what: &str, holds: impl Fn(&Story) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < until,
                "waited for {what}; last told: {}\n{}",
                self.world.told(HERE),
                local::logs(&self.world.cluster)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often the log says something, in all lives.
    fn said(&self, text: &str) -> usize {
        std::fs::read_to_string(self.world.cluster.log(HERE)).unwrap_or_default().matches(text).count()
    }

    /// The process dies; the operator takes away what the test put in its way.
    fn dies(&mut self, pipes: &[&Path]) {
        assert!(self.world.cluster.is_running(HERE), "it ended by itself\n{}", local::logs(&self.world.cluster));
        self.world.cluster.kill(HERE);
        for path in pipes {
            std::fs::remove_file(path).unwrap();
        }
    }

    fn late_disk(&self) -> PathBuf {
        late_disk(&self.papers())
    }

    /// The first sessions: offered, one share, enough shares, keys.
    async fn dies_before_a_log_is_chosen(&mut self) {
        self.begins().await;
        self.dies(&[]);

        let offer = self.begins().await;
        self.desks[0].answers(&self.world, &offer);
        self.world.told_where(HERE, "a share", |told| told["submitted"] == json!(["custodian 1"])).await;
        self.dies(&[]);

        // The second share is taken from the inbox, and nothing is told of it any more.
        let offer = self.begins().await;
        self.desks[0].answers(&self.world, &offer);
        self.world.told_where(HERE, "a share", |told| told["submitted"] == json!(["custodian 1"])).await;
        let telling = self.papers().join("status.json.new");
        pipe(&telling);
        self.desks[1].answers(&self.world, &offer);
        self.until("the inbox to be empty", |story| std::fs::read_dir(story.papers().join("inbox")).unwrap().next().is_none()).await;
        self.dies(&[&telling]);

        // The keys are there, and disks are read.
        let offer = self.begins().await;
        let late = self.late_disk();
        pipe(&late);
        self.both_answer(&offer);
        self.world.told_where(HERE, "the keys", |told| told["step"] == "claims").await;
        self.dies(&[&late]);
    }

    /// A log is chosen; the life that would take it up has its folder, and the start of the epoch is written nowhere.
    async fn dies_before_the_epoch_is_published(&mut self) {
        let offer = self.begins().await;
        assert_eq!(offer.offer.epoch, Epoch(1), "nothing of a later epoch is on any disk");
        let published = self.papers().join("epochs.log");
        pipe(&published);
        self.both_answer(&offer);
        let data = self.world.cluster.data_folder(HERE);
        let founded = |_: &Story| folders::lives(&data).unwrap().iter().any(|life| life.epoch() == Epoch(2));
        self.until("the folder of a new life", founded).await;
        self.dies(&[&published]);
        assert_eq!(self.said(BEGAN), 0);
    }

    /// The epoch is on record here, and nobody was told.
    async fn dies_before_it_serves(&mut self) {
        let offer = self.begins().await;
        let (late, telling) = (self.late_disk(), self.papers().join("status.json.new"));
        pipe(&late);
        self.both_answer(&offer);
        self.world.told_where(HERE, "the keys", |told| told["step"] == "claims").await;
        pipe(&telling);
        let_go(&late).await;
        self.until("the start of the epoch", |story| story.said(BEGAN) == 1).await;
        self.dies(&[&late, &telling]);
        assert_eq!(self.world.told(HERE)["step"], "claims", "what is told is what was told last");
        let published = std::fs::read_to_string(self.papers().join("epochs.log")).unwrap();
        assert_eq!(published.lines().count(), 1, "the start was published before it was on record: {published}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_dies_after_any_step_is_begun_again_and_loses_nothing() {
    let mut world = World::start().await;
    for number in 0..4 {
        world.put(&format!("key-{number}"), &format!("value {number}")).await;
    }
    let desks = (1..=3).map(|number| Desk::new(&world, number)).collect();
    world.kill_all();
    let other = world.copy_disk(2, "copy-2");
    let mut story = Story { world, desks, flags: disks(&[&other]) };
    story.dies_before_a_log_is_chosen().await;
    story.dies_before_the_epoch_is_published().await;
    story.dies_before_it_serves().await;

    // The dealing has opened a recovery, as far as disks tell: whether that one serves somewhere is for the operator to know.
    let offer = story.begins().await;
    story.both_answer(&offer);
    assert_eq!(story.world.ended_with(HERE).await, 18, "{}", local::logs(&story.world.cluster));
    let told = story.world.told(HERE);
    assert!(told["ended"].as_str().is_some_and(|why| why.contains("has opened a recovery before") && why.contains("--again")), "{told}");
    story.flags.extend(["--again".into(), "the process died before it served anybody".into()]);
    let offer = story.begins().await;
    assert_eq!(offer.offer.epoch, Epoch(2));
    story.both_answer(&offer);
    story.world.told_where(HERE, "service", |told| told["step"] == "serving").await;

    for number in 0..4 {
        story.world.holds(&format!("key-{number}"), &format!("value {number}")).await;
    }
    story.world.put("after", "all of it").await;
    for slot in SLOTS.into_iter().filter(|slot| *slot != HERE) {
        story.world.cluster.restart(slot).unwrap();
    }
    let client = story.world.client().await;
    let status = local::voters(&client, &story.world.cluster, 3).await;
    assert!(status.voters.iter().all(|voter| voter.incarnation.epoch() == Epoch(3)), "{status:?}");
    client.close().await;
    story.world.holds("key-0", "value 0").await;
    story.world.holds("after", "all of it").await;
    // Every release is in its custodian's journal, each with the one before it; whoever was never asked has none.
    let (cluster, dealing) = (story.world.cluster_id(), offer.offer.custody_epoch);
    // Once the epoch was on record before the process died: it may have said by then that it serves, and that a second session is asked for is no longer expected.
    for desk in story.desks.iter().filter(|desk| desk.released > 0) {
        assert!((desk.released - 2..desk.released).contains(&desk.expected), "{}: {} of {}", desk.name, desk.expected, desk.released);
    }
    for (desk, wanted) in story.desks.iter().zip([7, 6, 0]) {
        let released: Vec<_> = desk.shelf.journal.entries().iter().filter_map(|entry| released(entry, &cluster, dealing)).collect();
        assert_eq!((released.len(), desk.released), (wanted, wanted), "{}", desk.name);
        for pair in released.windows(2) {
            assert_eq!(pair[1].after, Some(pair[0].session), "{}", desk.name);
            assert!(pair[1].reason.contains("the node died"), "{}", desk.name);
        }
    }
    story.world.accept_shares(2).await;
    story.world.holds("key-1", "value 1").await;
}
