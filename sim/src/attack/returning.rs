//! Attacks with disks that come back: one that has forgotten tries, and one that remembers what was erased.
//!
//! Decides: K5 and K7 against real nodes. What members hold is looked at as a recovery would, with the shares of two custodians and the recovery file of a running
//! node: the newest rotation seals to their dealing whatever is alive then. Trusts: nothing. Out of scope: old disks under running members (`disks.rs`),
//! rollbacks that custodians and clients see (`worlds.rs`). Protocol sections 7.5 and 9.

use super::report::Report;
use super::stage::{Stage, leader_slot, length_of};
use super::ward::{FIRST, Ward};
use super::{KEY, SPACE};
use crate::demo::DemoError;
use crate::guarded::{CameTo, SLOTS};
use ringwall_client::{Client, ConnectError, Credential, Phrase};
use ringwall_keys::custody::{GoodShare, combine};
use ringwall_keys::{Keyring, OpenError};
use ringwall_node::custody::blob_file;
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::{Field, Reader};
use ringwall_wire::command::{OpenSpace, SealedChange, SealedMutation, SealedRecord, WrappedKey};
use ringwall_wire::ids::{KeyEpoch, SpaceTag};
use ringwall_wire::limits::RESTORE_TRIES;
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;
use ringwall_wire::without::{Defence, left_out};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the user erases.
const ERASED: &[u8] = b"meet me at nine";
/// Bound of every wait here.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
/// What a member says when its ring loses a key.
const DROPPED: &str = "master keys that are over were dropped";

fn broken(fault: impl std::fmt::Display) -> DemoError {
    DemoError::Broken(fault.to_string())
}

/// Looks until there is something.
async fn until<T>(ward: &Ward, what: &'static str, look: impl Fn() -> Option<T>) -> Result<T, DemoError> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match look() {
            Some(found) => return Ok(found),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(DemoError::Waited { seconds: PATIENCE.as_secs(), what, seen: "nothing of it".into(), logs: ward.guarded.logs() })
}

/// What is said to somebody who wants to be restored with a phrase.
async fn guesses(ward: &Ward, user: &Credential, phrase: &Phrase) -> Result<Result<(), String>, DemoError> {
    let mut options = ward.guarded.options(&Credential::generate(), ward.running())?;
    options.user = Some(user.user());
    options.restore = Some(phrase.signature_seed());
    match Client::connect(options).await {
        Ok(client) => {
            client.close().await;
            Ok(Ok(()))
        }
        Err(ConnectError::NotRestored { detail, .. }) => Ok(Err(detail)),
        Err(other) => Err(other.into()),
    }
}

/// Tries that many wrong phrases: how many of them were judged, and what was said of the last.
async fn wrong_guesses(ward: &Ward, user: &Credential, count: u32) -> Result<(u32, String), DemoError> {
    let (mut judged, mut last) = (0, String::new());
    for number in 0..count {
        let phrase = Phrase::from_entropy(Secret::new([number as u8; 32]));
        match guesses(ward, user, &phrase).await? {
            Err(detail) => {
                judged += u32::from(detail.contains("not the phrase"));
                last = detail;
            }
            Ok(()) => return Err(broken("a wrong phrase restored the user")),
        }
    }
    Ok((judged, last))
}

/// K5. Tries are used up; then disks come back that have not seen them.
pub(super) async fn guessed(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    // An epoch that began with a recovery judges no tries for an hour: there would be nothing to use up.
    let ward = stage.fresh_ward().await?;
    ward.ready().await?;
    let (user, phrase) = (Credential::generate(), Phrase::from_entropy(Secret::new(random())));
    let device = Client::connect(ward.guarded.options(&user, ward.running())?).await?;
    device.enrol(Text::new("laptop").map_err(broken)?).await.map_err(broken)?;
    device.set_recovery(&phrase, 0).await.map_err(broken)?;
    device.close().await;
    let old = ward.copy_all()?;
    let (judged, _) = wrong_guesses(ward, &user, RESTORE_TRIES).await?;
    let (more, said) = wrong_guesses(ward, &user, 1).await?;
    if (judged, more) != (RESTORE_TRIES, 0) {
        return Err(broken(format!("{judged} wrong phrases were judged, and {more} more: {said}")));
    }
    report.did(format!("copied all disks, then tried {judged} wrong recovery phrases of a user; the next one was not looked at: {said}"));
    ward.kill_all();
    ward.put_back(&old)?;
    match ward.recovers(&old[1..], &[(2, None), (3, None)]).await? {
        CameTo::Serving => {}
        CameTo::Ended(code) => return Err(broken(format!("the recovery ended with code {code}\n{}", ward.guarded.logs()))),
    }
    report.did("killed every process, put the old disks back, on which nobody had tried anything, and had custodians who saw nothing help to recover");
    let (judged, said) = wrong_guesses(ward, &user, RESTORE_TRIES).await?;
    report.did(format!("tried {RESTORE_TRIES} more wrong phrases"));
    match judged {
        0 => report
            .answered(format!("none was looked at, since an epoch that begins with a recovery restores nobody for one window: {said}")),
        judged => report.won(format!("{judged} more wrong phrases were judged: each recovery gives the tries back")),
    }
    let device = Client::connect(ward.guarded.options(&user, ward.running())?).await?;
    let record = device.user_record(0).await.map_err(broken)?;
    device.close().await;
    report.answered(format!("the user's own device opens sessions as before ({} on record)", record.devices.len()));
    report.remains("the start of the epoch in the log; while the window lasts the right phrase waits too");
    report.finished()
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system's generator works");
    bytes
}

/// The master keys that two custodians open with the recovery file of a data folder.
fn opened_by(data: &Path, shares: &[GoodShare]) -> Result<Keyring, DemoError> {
    let file = blob_file::read(data).map_err(broken)?.ok_or_else(|| broken("no recovery file"))?;
    let manifest = &file.manifest.manifest;
    let two = shares.get(..2).ok_or_else(|| broken("too few shares"))?;
    combine(manifest, two).map_err(broken)?.open(manifest, &file.recovery).map_err(broken)
}

/// The newest master key in the recovery file of a data folder.
fn newest(data: &Path) -> Option<KeyEpoch> {
    blob_file::read(data).ok().flatten().map(|file| file.recovery.newest_key)
}

/// What lies on an old disk of one record: its namespace's wrapped key and the record, both sealed.
struct Remembered {
    space: SpaceTag,
    wrapped: WrappedKey,
    record: SealedRecord,
}

impl Remembered {
    /// Looks through every file of these disks.
    fn on(disks: &[PathBuf], keys: &Keyring, user: &Credential) -> Result<Self, DemoError> {
        let mut files = Vec::new();
        disks.iter().try_for_each(|disk| read_all(disk, &mut files))?;
        let space = keys.space_tag(&user.user(), SPACE);
        let opened = decoded::<OpenSpace>(&files, &space.0);
        let named = opened.into_iter().find_map(|open| {
            let made = keys.unwrap_space_key(&space, KeyMode::Cluster, &open.dek).ok()?;
            Some((open.dek, made.key_tag(KEY.as_bytes())))
        });
        let (wrapped, key) = named.ok_or_else(|| broken("the old disks hold no data key of the namespace"))?;
        let put = decoded::<SealedMutation>(&files, &key.0).into_iter().find_map(|mutation| match mutation.change {
            SealedChange::Put(put) => Some(put.record),
            _ => None,
        });
        Ok(Remembered { space, wrapped, record: put.ok_or_else(|| broken("the old disks do not hold the record"))? })
    }

    /// What a holder of these master keys reads.
    fn opens_with(&self, keys: &Keyring) -> Result<Vec<u8>, OpenError> {
        let space = keys.unwrap_space_key(&self.space, KeyMode::Cluster, &self.wrapped)?;
        space.open(&space.key_tag(KEY.as_bytes()), &self.record).map(|(_, value)| value)
    }
}

fn read_all(folder: &Path, files: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => read_all(&path, files)?,
            false => {
                let mut bytes = std::fs::read(path)?;
                // Log segments end with room that was never filled.
                bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
                files.push(bytes);
            }
        }
    }
    Ok(())
}

/// Everything that begins with these bytes and can be read so.
fn decoded<T: Field>(files: &[Vec<u8>], begins: &[u8]) -> Vec<T> {
    let mut found = Vec::new();
    for file in files {
        let places = file.windows(begins.len()).enumerate().filter(|(_, window)| *window == begins);
        found.extend(places.filter_map(|(at, _)| T::take(&mut Reader::new(&file[at..])).ok()));
    }
    found
}

/// Whether the log of a node, from `mark` on, says that it keeps no key up to `over` any more.
fn has_dropped(log: &Path, mark: usize, over: KeyEpoch) -> bool {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(bytes.get(mark..).unwrap_or_default()).into_owned());
    let kept = |line: &str| -> Option<Vec<u32>> {
        let (_, list) = line.split_once("kept=[")?;
        list.split_once(']')?.0.split(',').map(|number| number.trim().parse().ok()).collect()
    };
    let lines = text.unwrap_or_default();
    let mut dropped = lines.lines().filter(|line| line.contains(DROPPED)).filter_map(kept);
    dropped.any(|kept| kept.iter().all(|key_epoch| *key_epoch > over.0))
}

/// K7. A user's namespace is erased; a disk from before comes back.
pub(super) async fn erased(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ward = stage.ward().await?;
    ward.whole().await?;
    let status = ward.guarded.voters().await?;
    let leader = leader_slot(&status)?;
    let back = *SLOTS[1..].iter().rev().find(|slot| **slot != leader).ok_or_else(|| broken("two followers"))?;
    let (user, other) = (Credential::generate(), Credential::generate());
    for (who, value) in [(&user, ERASED), (&other, b"of somebody else".as_slice())] {
        let client = Client::connect(ward.guarded.options(who, &SLOTS)?).await?;
        client.namespace(SPACE).await?.put(KEY, value).await?;
        client.close().await;
    }
    let old = ward.copy_all()?;
    let data = ward.guarded.cluster.data_folder(FIRST);
    let before = opened_by(&data, &ward.guarded.shares)?;
    let remembered = Remembered::on(&old, &before, &user)?;
    let over = remembered.wrapped.key_epoch;
    match remembered.opens_with(&before) {
        Ok(value) if value == ERASED => report.did(format!(
            "copied all disks and found the user's record and its namespace's wrapped key there: the master keys that are alive (up to {}) open both",
            before.newest()
        )),
        other => return Err(broken(format!("before the erasure the old disk does not open: {other:?}"))),
    }
    let logs = SLOTS.into_iter().filter(|slot| *slot != back).map(|slot| ward.guarded.cluster.log(slot));
    let marks: Vec<(PathBuf, usize)> = logs.map(|log| (log.clone(), length_of(&log))).collect();
    erases(ward, &user).await?;
    report.did("let the user erase everything");
    returns(&mut report, ward, (back, &old[usize::from(back) - 1], &user)).await?;

    let rotated = until(ward, "the rotation after an erasure", || newest(&data).filter(|newest| *newest > before.newest())).await?;
    if !left_out(Defence::KeyRetirement) {
        let all = || marks.iter().all(|(log, mark)| has_dropped(log, *mark, over)).then_some(());
        until(ward, "members to drop the key that is over", all).await?;
        report.answered(format!(
            "the master key was rotated, data keys moved to generation {rotated}, and every member dropped and wiped generation {over}"
        ));
    }
    // The next rotation writes down, for custodians, what members hold now.
    erases(ward, &other).await?;
    until(ward, "the next rotation", || newest(&data).filter(|newest| *newest > rotated)).await?;
    let after = opened_by(&data, &ward.guarded.shares)?;
    report.did(format!("read with the live keys (up to {}) what the old disk remembers", after.newest()));
    report.tried("the erased record, by the live keys", remembered.opens_with(&after));
    match remembered.opens_with(&opened_by(&old[usize::from(FIRST) - 1], &ward.guarded.shares)?) {
        Ok(_) => report.remains("the old disk has its own recovery file: with the shares of two custodians of that dealing it still opens, which docs/limits.md says"),
        Err(fault) => return Err(broken(format!("the limit that is told is none: {fault}"))),
    }
    report.finished()
}

async fn erases(ward: &Ward, user: &Credential) -> Result<(), DemoError> {
    let client = Client::connect(ward.guarded.options(user, &SLOTS)?).await?;
    client.erase_everything().await?;
    client.close().await;
    Ok(())
}

/// Puts the old disk under a node again, and asks that node.
async fn returns(report: &mut Report, ward: &mut Ward, (slot, disk, user): (u8, &Path, &Credential)) -> Result<(), DemoError> {
    let before = ward.guarded.voters().await?;
    let old = before.voters.iter().find(|voter| voter.slot.0 == slot).map(|voter| voter.incarnation);
    ward.guarded.cluster.kill(slot);
    ward.guarded.replace_disk(slot, Some(disk))?;
    ward.guarded.cluster.restart(slot)?;
    let others: Vec<u8> = SLOTS.into_iter().filter(|other| *other != slot).collect();
    ward.guarded.voters_where(&others, |status| status.voters.iter().all(|voter| Some(voter.incarnation) != old)).await?;
    report.did(format!("put the old disk back under node {slot} and started it"));
    let client = Client::connect(ward.guarded.options(user, &[slot])?).await?;
    match client.existing_namespace(SPACE)?.get(KEY).await {
        Ok(Some(found)) => report.won(format!("node {slot} says {:?}", String::from_utf8_lossy(&found.value))),
        Ok(None) => report.answered(format!("node {slot} is a new incarnation that did not read that disk: it knows no such record")),
        Err(fault) => report.answered(format!("node {slot} is a new incarnation that did not read that disk: {fault}")),
    }
    client.close().await;
    Ok(())
}
