//! Attacks with disks: an old one is put under a restarted node, a copy is started beside the node, bytes are exchanged under a running one.
//!
//! Decides: R1, R2 and R5 against three real processes; the host may pause, kill and start any of them and write every file. The same steps run against a
//! build that trusts its disk. Trusts: nothing. Out of scope: all disks rolled back (`worlds.rs`). Protocol sections 4.1 and 5.1.

use super::report::Report;
use super::stage::{Ground, Stage, leader_slot, length_of, line_of, said};
use super::{KEY, SPACE};
use crate::cluster::Machine;
use crate::demo::DemoError;
use ringwall_client::{Client, Credential};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an adversary waits for an answer that must not come.
const WAIT: Duration = Duration::from_secs(6);
/// Bytes of the values in R5: the log keeps 16 MiB in memory, so the first of many such values are read from the disk again.
const LARGE: usize = 512 * 1024;
/// How long one of them may take.
const LARGE_WRITE: Duration = Duration::from_secs(10);
/// Values written after the two that are exchanged.
const FILLERS: usize = 44;
/// Milliseconds between heartbeats, least and most until an election: the leader has to lead when the entries are read back, also on a busy machine.
const PATIENT: (u64, u64, u64) = (200, 2_500, 4_000);
/// First bytes of a log frame, and bytes of its header: docs/formats.md, "Log segments".
const FRAME: (&[u8], usize) = (b"RWL1", 32);

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<u64> {
    std::fs::create_dir_all(to)?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        bytes += match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target)?,
        };
    }
    Ok(bytes)
}

/// The parts of R1: a follower that can be told to go on (the founder's slot is not started again in the same way), the leader, the third.
async fn parts(ground: &Ground) -> Result<(u8, u8, u8), DemoError> {
    let leader = leader_slot(&ground.voters().await?)?;
    let mut followers = ground.others(leader);
    followers.sort_by_key(|slot| *slot == 1);
    match followers[..] {
        [victim, third] => Ok((leader, victim, third)),
        _ => Err(DemoError::Broken("a cluster of three has two followers".into())),
    }
}

/// R1. A write is acknowledged by the leader and one follower while the third sleeps. The follower is put back to an older disk and started again; the
/// leader is put to sleep and the third wakes: two of three, neither of which may know the write.
pub(super) async fn rolled_back(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let old_disk = stage.scratch("old-disk")?;
    let mut ground = stage.own("r1").await?;
    let (leader, victim, third) = parts(&ground).await?;
    let user = Credential::generate();
    let writer = ground.client(&user, &[leader, victim]).await?;
    let wallet = writer.namespace(SPACE).await?;
    wallet.put(KEY, "100").await?;
    let bytes = copy_folder(&ground.cluster.data_folder(victim), &old_disk)?;
    report.did(format!("copied the disk of node {victim} ({bytes} bytes) when the balance was 100"));

    // What reaches a sleeper waits in its sockets: nothing may.
    ground.tap(third).weather().cut_all(true);
    ground.cluster.signal(third, Signal::STOP);
    wallet.put(KEY, "0").await?;
    report.did(format!("let the user write balance = 0; nodes {leader} and {victim} acknowledged it while node {third} was asleep"));
    ground.cluster.kill(victim);
    std::fs::remove_dir_all(ground.cluster.data_folder(victim))?;
    copy_folder(&old_disk, &ground.cluster.data_folder(victim))?;
    ground.cluster.restart(victim)?;
    ground.cluster.signal(leader, Signal::STOP);
    ground.tap(third).weather().clear();
    ground.cluster.signal(third, Signal::CONT);
    report.did(format!(
        "put the old disk back under node {victim}, started it, put node {leader} to sleep and woke node {third}: two of three"
    ));

    let seen = ground.ask(&user, &[victim, third], WAIT).await;
    ground.cluster.signal(leader, Signal::CONT);
    match seen {
        Ok(found) => forgotten(&mut report, found.as_deref(), &writer).await,
        Err(why) => {
            report.answered(format!("nodes {victim} and {third} served nothing for {} s: {}", WAIT.as_secs(), first_line(&why)));
            recovered(&mut report, &ground, &user, (leader, victim)).await?;
        }
    }
    report.finished()
}

async fn forgotten(report: &mut Report, found: Option<&[u8]>, writer: &Client) {
    let balance = String::from_utf8_lossy(found.unwrap_or(b"nothing")).into_owned();
    match balance == "0" {
        true => report.answered("the two nodes know the acknowledged write"),
        false => {
            report.won(format!("the two nodes elected a leader and say that the balance is {balance}: the acknowledged write is lost"))
        }
    }
    // What is left when that defence is gone: the client remembers.
    if let Ok(wallet) = writer.existing_namespace(SPACE)
        && let Err(fault) = wallet.get(KEY).await
    {
        report.remains(format!("the client that made the write says: {}", first_line(&fault.to_string())));
    }
}

async fn recovered(report: &mut Report, ground: &Ground, user: &Credential, (leader, victim): (u8, u8)) -> Result<(), DemoError> {
    let log = ground.cluster.log(victim);
    let joined = line_of(&log, 0, &["own evidence is accepted"], WAIT).await;
    report.answered(format!(
        "node {victim} started as nobody, with new keys and an empty log; it did not read the old disk: {}",
        joined.as_deref().map_or_else(|| "no word of it".into(), said)
    ));
    let status = ground.voters().await?;
    let incarnations: Vec<String> = status.voters.iter().map(|voter| format!("{}: {}", voter.slot, voter.incarnation)).collect();
    let found = ground.ask(user, &[leader], WAIT).await.map_err(DemoError::Broken)?;
    match found.as_deref() == Some(b"0") {
        true => report.answered(format!("once node {leader} woke, node {victim} was admitted anew and the balance is 0: nothing was lost")),
        false => report.won(format!("the balance is {:?}", found.map(|value| String::from_utf8_lossy(&value).into_owned()))),
    }
    report.remains(format!(
        "the admission of a new incarnation in slot {victim}, in the replicated log (voters now: {})",
        incarnations.join(", ")
    ));
    let data = ground.cluster.data_folder(victim);
    report.remains(format!("a new folder beside the old one in {}", data.file_name().unwrap_or_default().to_string_lossy()));
    Ok(())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(220).collect()
}

/// R2. The disk of a live node is copied and a second machine started from it, with the same image and configuration.
pub(super) async fn cloned(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let copy = stage.scratch("clone")?;
    let ground = stage.shared().await?;
    let before = ground.voters().await?;
    let slot = *ground.others(leader_slot(&before)?).last().ok_or_else(|| DemoError::Broken("no follower".into()))?;
    let original = before.voters.iter().find(|voter| voter.slot.0 == slot).map(|voter| voter.incarnation);
    copy_folder(&ground.cluster.data_folder(slot), &copy)?;
    let machine = Machine::honest(ground.cluster.chip(slot));
    let clone = ground.cluster.rival(slot, "clone", &machine, Some(&copy), &[])?;
    report.did(format!("copied the disk of node {slot} while it ran, and started a second machine from image, configuration and copy"));
    let user = Credential::generate();
    let wallet = ground.client(&user, &[1, 2, 3]).await?.namespace(SPACE).await?;
    wallet.put(KEY, "1").await?;
    let (in_words, out_words) = (["this life has its name", "goes on from its disk"], ["incumbent answers", "SlotOccupied"]);
    let line = line_of(&clone.log, 0, &[in_words, out_words].concat(), WAIT * 2).await;
    let line = line.ok_or_else(|| DemoError::Broken(format!("the clone was neither refused nor admitted\n{}", ground.logs())))?;
    if in_words.iter().any(|words| line.contains(words)) {
        report.won(format!("the clone has the cluster's keys: {}", said(&line)));
        return report.finished();
    }
    report.answered(format!("the clone has no keys and no name; it asked to join and was refused: {}", said(&line)));
    let after = ground.voters().await?;
    let now = after.voters.iter().find(|voter| voter.slot.0 == slot).map(|voter| voter.incarnation);
    wallet.put(KEY, "2").await?;
    match (now == original, ground.ask(&user, &[slot], WAIT).await) {
        (true, Ok(Some(value))) if value == b"2" => {
            report.answered(format!("node {slot} voted on as the same incarnation; writes before and after are there"))
        }
        (_, seen) => report.won(format!("slot {slot} has incarnation {now:?}, was {original:?}; it says {seen:?}")),
    }
    report.remains(format!("the clone's own log, and in the leader's: join refused, code SlotOccupied, slot {slot}"));
    report.finished()
}

/// A large entry in a log segment: file, offset of its frame, bytes of its payload.
type Place = (PathBuf, usize, usize);

/// Every entry of about [`LARGE`] bytes in the newest log below `data`, in order.
fn large_entries(data: &Path) -> std::io::Result<Vec<Place>> {
    let mut files = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file)?;
        let mut from = 0;
        while let Some(at) = bytes[from..].windows(4).position(|window| window == FRAME.0).map(|at| at + from) {
            let len = bytes.get(at + 24..at + 28).and_then(|len| len.try_into().ok()).map_or(0, u32::from_be_bytes) as usize;
            let whole = len >= LARGE && at + FRAME.1 + len <= bytes.len();
            if whole {
                found.push((file.clone(), at, len));
            }
            from = if whole { at + FRAME.1 + len } else { at + 4 };
        }
    }
    Ok(found)
}

/// Puts the sealed value of one entry in the place of another's, with a checksum that fits.
fn exchange((file, from, len): &Place, (other, to, other_len): &Place) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let source = std::fs::read(file)?;
    let mut target = std::fs::read(other)?;
    // The sealed value is the last large thing in an entry; this much of it lies there whatever stands around it.
    let (most, least) = (LARGE - 4_096, 4_096);
    let (start, end, older_end) = (to + FRAME.1, to + FRAME.1 + other_len, from + FRAME.1 + len);
    target[end - most..end - least].copy_from_slice(&source[older_end - most..older_end - least]);
    let sum = crc32c::crc32c_append(
        crc32c::crc32c_append(crc32c::crc32c(&(*to as u64).to_be_bytes()), &target[*to..to + 28]),
        &target[start..end],
    );
    target[to + 28..to + 32].copy_from_slice(&sum.to_be_bytes());
    let file = std::fs::File::options().write(true).open(other)?;
    file.write_all_at(&target[*to..end], *to as u64)?;
    file.sync_all()
}

/// R5. Under the running leader the sealed value of an older write is put in the place of a newer one's, checksum and all, before the leader has to read it
/// from its disk for a follower that was asleep.
pub(super) async fn edited(stage: &mut Stage) -> Result<Report, DemoError> {
    for ground in ["r5", "r5-again", "r5-at-last"] {
        if let Some(report) = edited_once(stage, ground).await? {
            return Ok(report);
        }
    }
    Err(DemoError::Broken("three times the node lost its lead before it had to read its disk: the attack could not be performed".into()))
}

/// None: another node leads by now, so nobody had to read the exchanged bytes, and nothing is shown.
async fn edited_once(stage: &mut Stage, name: &'static str) -> Result<Option<Report>, DemoError> {
    let mut report = Report::new();
    let mut ground = stage.plain(name, PATIENT).await?;
    let (leader, _, sleeper) = parts(&ground).await?;
    let user = Credential::generate();
    let awake = ground.others(sleeper);
    let mut options = ground.options(&user, &ground.through_taps(&awake), LARGE_WRITE * 6)?;
    // Half a MiB takes a busy machine a while.
    options.timeouts.answer = LARGE_WRITE;
    let wallet = Client::connect(options).await?.namespace(SPACE).await?;
    ground.cluster.signal(sleeper, Signal::STOP);
    wallet.put(KEY, vec![b'a'; LARGE]).await?;
    wallet.put(KEY, vec![b'b'; LARGE]).await?;
    for number in 0..FILLERS {
        wallet.put(format!("filler {number}"), vec![number as u8; LARGE]).await?;
    }
    report.did(format!("put node {sleeper} to sleep while the user wrote a, then b, then {FILLERS} more values of half a MiB"));
    let places = large_entries(&ground.cluster.data_folder(leader))?;
    let [first, second, ..] = &places[..] else {
        return Err(DemoError::Broken(format!("only {} large entries are in the leader's log", places.len())));
    };
    exchange(first, second)?;
    report
        .did(format!("on the disk of node {leader}, which leads, put the sealed bytes of a in the place of b, with a checksum that fits"));
    let from = length_of(&ground.cluster.log(leader));
    ground.cluster.signal(sleeper, Signal::CONT);
    report.did(format!("woke node {sleeper}: the leader must read what it missed from its disk"));
    let fenced = line_of(&ground.cluster.log(leader), from, &["not the ones this member wrote", "this node ends"], WAIT * 2).await;
    match fenced {
        Some(line) => report
            .answered(format!("node {leader} compared the bytes with its memory before it looked into them, and ended: {}", said(&line))),
        None if ground.cluster.is_running(leader) => {
            if ground.voters().await.is_ok_and(|status| leader_slot(&status).is_ok_and(|now| now != leader)) {
                return Ok(None);
            }
            let said_so = line_of(&ground.cluster.log(sleeper), 0, &["another history", "OtherHistory"], Duration::ZERO).await;
            report.won(format!("node {leader} read the exchanged bytes and sent them to node {sleeper} as its log"));
            report.remains(said_so.as_deref().map_or_else(|| "nothing in the leader's log".into(), said));
        }
        None => return Err(DemoError::Broken(format!("node {leader} ended without a word\n{}", ground.logs()))),
    }
    if report.held() {
        match ground.ask(&user, &ground.others(leader), WAIT * 3).await {
            Ok(Some(value)) if value == vec![b'b'; LARGE] => report.answered("the two others elected a leader and say b"),
            Ok(value) => report.won(format!("the others say something else than b ({} bytes)", value.map_or(0, |value| value.len()))),
            Err(why) => return Err(DemoError::Broken(format!("the two others do not serve: {why}\n{}", ground.logs()))),
        }
        report.remains(format!(
            "the last line of node {leader}'s log: which file, which offset, and what an operator should do; exit code 20"
        ));
    }
    report.finished().map(Some)
}
