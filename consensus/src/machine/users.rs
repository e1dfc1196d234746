//! Users on record: which devices count, what restores a user, and the trail of every change.
//!
//! Decides: whether a change is applied, as a function of the log: it names the number of the last change its author saw (so none is played twice), its
//! author is a device that counts, the last device is not revoked while nothing could restore the user. Tries with a wrong recovery key are counted here, so no
//! restart of a node forgets them; an epoch that begins with a recovery may have forgotten some, and restores nobody for one window. A restored device waits
//! for the time the user chose. Every change, and every wrong try, is a row of a hash-linked trail.
//! Trusts: the proposer to have verified signatures (replicas see tags in place of keys); group time for waiting and for windows of tries, nothing else.
//! Out of scope: sealing, sessions. Protocol section 9.

use crate::machine::replicated::ReplicatedState;
use crate::machine::rows;
use bytes::Bytes;
use ringwall_wire::codec::Field;
use ringwall_wire::command::Outcome;
use ringwall_wire::ids::{DeviceTag, Digest};
use ringwall_wire::limits::{COOL_DOWN_MOST_S, RESTORE_TRIES, RESTORE_WINDOW_S, USER_AUDIT_ROWS};
use ringwall_wire::user::{AuditAct, AuditRow, DeviceEntry, DeviceRow, RecoveryRow, Restoring, UserAct, UserChange, UserFault, UserRow};
use ringwall_wire::without::{Defence, left_out};
use std::io;

/// A window of tries, in milliseconds.
pub(crate) const WINDOW_MS: u64 = RESTORE_WINDOW_S as u64 * 1_000;

/// What a change that is applied does to the record, as its trail tells it.
struct Told {
    act: AuditAct,
    subject: DeviceTag,
    /// What whoever asked is told: a fault when the record changed and they did not get what they wanted.
    answer: Option<UserFault>,
}

impl Told {
    fn done(act: AuditAct, subject: DeviceTag) -> Self {
        Told { act, subject, answer: None }
    }
}

impl ReplicatedState {
    /// Applies a change of a user's record. Fails only when storage does.
    pub(crate) fn change_user(&mut self, index: u64, change: UserChange) -> io::Result<Outcome> {
        let key = rows::user_key(&change.user);
        let found = self.store.read(&key, |row| row.map(UserRow::from_bytes).transpose())?.map_err(io::Error::other)?;
        let (user, actor) = (change.user, change.actor);
        let mut row = match (found, &change.act) {
            (None, UserAct::Enrol(_)) => empty(),
            (None, _) => return Ok(Outcome::UserRefused(UserFault::NoRecord)),
            (Some(_), UserAct::Enrol(_)) => return Ok(Outcome::UserRefused(UserFault::Enrolled)),
            (Some(row), _) => row,
        };
        let closed_ms = self.restores_closed_ms()?;
        let told = match act(&mut row, change, self.time_ms, closed_ms) {
            Ok(told) => told,
            Err(fault) => return Ok(Outcome::UserRefused(fault)),
        };
        row.seq += 1;
        let mut audit =
            AuditRow { seq: row.seq, index, at_ms: self.time_ms, act: told.act, actor, subject: told.subject, digest: Digest([0; 32]) };
        audit.digest = audit.digest_after(&row.digest);
        row.digest = audit.digest;
        self.store.put(rows::audit_key(&user, audit.seq), Some(Bytes::from(audit.to_bytes())));
        if let Some(gone) = audit.seq.checked_sub(USER_AUDIT_ROWS).filter(|gone| *gone > 0) {
            self.store.put(rows::audit_key(&user, gone), None);
        }
        self.store.put(key, Some(Bytes::from(row.to_bytes())));
        Ok(told.answer.map_or(Outcome::UserChanged(row.seq), Outcome::UserRefused))
    }

    /// An epoch has begun, over a state that may have forgotten tries: for one window it is as if every user's were used up.
    pub(crate) fn close_restores(&mut self) {
        if left_out(Defence::ClosedTries) {
            return;
        }
        let until_ms = self.time_ms.saturating_add(WINDOW_MS);
        self.store.put(vec![rows::RESTORES_CLOSED], Some(Bytes::from(until_ms.to_bytes())));
    }

    /// Until when nobody is restored; 0 where no epoch began with a recovery.
    fn restores_closed_ms(&self) -> io::Result<u64> {
        let row = self.store.read(&[rows::RESTORES_CLOSED], |row| row.map(u64::from_bytes).transpose())?;
        Ok(row.map_err(io::Error::other)?.unwrap_or_default())
    }
}

fn empty() -> UserRow {
    let digest = Digest([0; 32]);
    UserRow { seq: 0, digest, devices: Default::default(), recovery: None, restoring: None, tries_from_ms: 0, tries: 0 }
}

/// What the change does to `row`; on an error the row is not kept. Before `closed_ms` nobody is restored.
fn act(row: &mut UserRow, change: UserChange, now_ms: u64, closed_ms: u64) -> Result<Told, UserFault> {
    let UserChange { actor, key, seq, act, .. } = change;
    match act {
        UserAct::Enrol(entry) => {
            let subject = entry.tag;
            add(row, entry, now_ms)?;
            Ok(Told::done(AuditAct::Enrolled, subject))
        }
        UserAct::Restore(_) if now_ms < closed_ms && row.recovery.is_some() => Err(UserFault::TooManyTries(closed_ms)),
        UserAct::Restore(entry) => restore(row, actor, entry, now_ms),
        act => {
            if !counts(row, &actor) {
                return Err(UserFault::NotDevice);
            }
            if seq != row.seq {
                return Err(UserFault::Stale(row.seq));
            }
            match act {
                UserAct::Add(entry) => {
                    let subject = entry.tag;
                    add(row, entry, now_ms)?;
                    Ok(Told::done(AuditAct::Added, subject))
                }
                UserAct::Revoke(tag) => revoke(row, tag, now_ms),
                UserAct::SetRecovery(cool_down_s) if cool_down_s > COOL_DOWN_MOST_S => Err(UserFault::TooLong),
                UserAct::SetRecovery(cool_down_s) => {
                    row.recovery = Some(RecoveryRow { tag: key, cool_down_s, set_ms: now_ms });
                    // Whoever waits waits under a key that no longer restores anybody.
                    row.restoring = None;
                    Ok(Told::done(AuditAct::RecoverySet, key))
                }
                UserAct::StopRestore => {
                    let stopped = row.restoring.take().ok_or(UserFault::NothingWaits)?;
                    Ok(Told::done(AuditAct::RestoreStopped, stopped.entry.tag))
                }
                UserAct::Enrol(_) | UserAct::Restore(_) => Err(UserFault::NotDevice),
            }
        }
    }
}

/// Whether a device is on record and not revoked.
pub(crate) fn counts(row: &UserRow, device: &DeviceTag) -> bool {
    row.devices.iter().any(|known| known.entry.tag == *device && known.revoked_ms == 0)
}

fn add(row: &mut UserRow, entry: DeviceEntry, now_ms: u64) -> Result<(), UserFault> {
    if row.devices.iter().any(|known| known.entry.tag == entry.tag) {
        return Err(UserFault::DeviceKnown);
    }
    let device = DeviceRow { entry, added_ms: now_ms, revoked_ms: 0 };
    row.devices.push(device).map_err(|_| UserFault::TooManyDevices)
}

fn revoke(row: &mut UserRow, tag: DeviceTag, now_ms: u64) -> Result<Told, UserFault> {
    if !counts(row, &tag) {
        return Err(UserFault::NoDevice);
    }
    let left = row.devices.iter().filter(|known| known.revoked_ms == 0).count();
    if left == 1 && row.recovery.is_none() {
        return Err(UserFault::LastDevice);
    }
    let mut devices = std::mem::take(&mut row.devices).into_vec();
    // 0 means that it counts.
    devices.iter_mut().filter(|known| known.entry.tag == tag).for_each(|known| known.revoked_ms = now_ms.max(1));
    row.devices = ringwall_wire::bounded::List::new(devices).map_err(|_| UserFault::TooManyDevices)?;
    Ok(Told::done(AuditAct::Revoked, tag))
}

/// Begins a restoration, says how long it still waits, or completes it.
fn restore(row: &mut UserRow, key: DeviceTag, entry: DeviceEntry, now_ms: u64) -> Result<Told, UserFault> {
    let recovery = row.recovery.ok_or(UserFault::NoRecovery)?;
    let ends_ms = row.tries_from_ms.saturating_add(WINDOW_MS);
    let within = row.tries > 0 && now_ms < ends_ms;
    if within && row.tries >= RESTORE_TRIES {
        // Also with the right key: an answer would tell the right one from a wrong one.
        return Err(UserFault::TooManyTries(ends_ms));
    }
    if recovery.tag != key {
        (row.tries_from_ms, row.tries) = if within { (row.tries_from_ms, row.tries + 1) } else { (now_ms, 1) };
        return Ok(Told { act: AuditAct::RestoreRefused, subject: entry.tag, answer: Some(UserFault::WrongRecovery) });
    }
    if row.devices.iter().any(|known| known.entry.tag == entry.tag) {
        return Err(UserFault::DeviceKnown);
    }
    let subject = entry.tag;
    let ready_ms = match &row.restoring {
        Some(waiting) if waiting.entry.tag == subject => waiting.ready_ms,
        // Another device starts its own wait, and the one that waited before has to begin again.
        _ => {
            let ready_ms = now_ms.saturating_add(u64::from(recovery.cool_down_s) * 1_000);
            if ready_ms > now_ms {
                row.restoring = Some(Restoring { entry, ready_ms });
                return Ok(Told { act: AuditAct::RestoreBegan, subject, answer: Some(UserFault::CoolingDown(ready_ms)) });
            }
            ready_ms
        }
    };
    if now_ms < ready_ms {
        return Err(UserFault::CoolingDown(ready_ms));
    }
    row.restoring = None;
    add(row, entry, now_ms)?;
    Ok(Told::done(AuditAct::Restored, subject))
}

#[cfg(test)]
mod tests;
