//! The rules of users on record, one by one, and that a snapshot carries them.
//!
//! Decides: nothing. Trusts: the bench of the state machine's tests. Out of scope: signatures (`node`), tags (`keys`).
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::machine::admission_tests::cert;
use crate::machine::keys_tests::founded;
use crate::machine::tests::{Bench, CLUSTER};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{CommandBody, Denial, Founding, SealedWrite};
use ringwall_wire::ids::{Epoch, Incarnation, UserTag, Vendor};
use ringwall_wire::limits::USER_DEVICES;
use ringwall_wire::receipt::{EpochStart, TreePoint};
use ringwall_wire::recovery::{EpochBegun, RecoveryAccount};

const USER: UserTag = UserTag([7; 16]);

fn tag(number: u8) -> DeviceTag {
    DeviceTag([number; 16])
}

fn entry(number: u8) -> DeviceEntry {
    DeviceEntry { tag: tag(number), sealed: Blob::new(vec![number; 8]).unwrap() }
}

/// A bench, and whoever asks.
struct Users {
    bench: Bench,
    now_ms: u64,
}

impl Users {
    /// A user with device 1.
    fn enrolled() -> Self {
        let mut users = Users { bench: Bench::new(1 << 20), now_ms: 1_000 };
        assert_eq!(users.ask(1, 0, UserAct::Enrol(entry(1))), Outcome::UserChanged(1));
        users
    }

    fn ask(&mut self, actor: u8, seq: u64, act: UserAct) -> Outcome {
        self.with_key(actor, actor, seq, act)
    }

    fn with_key(&mut self, actor: u8, key: u8, seq: u64, act: UserAct) -> Outcome {
        let change = UserChange { user: USER, actor: tag(actor), key: tag(key), seq, act };
        self.bench.write(self.now_ms, SealedWrite::User(change))
    }

    fn row(&self) -> UserRow {
        self.bench.view().user(&USER).unwrap().unwrap()
    }

    fn seq(&self) -> u64 {
        self.row().seq
    }

    fn counting(&self) -> Vec<u8> {
        self.row().devices.iter().filter(|device| device.revoked_ms == 0).map(|device| device.entry.tag.0[0]).collect()
    }

    fn acts(&self) -> Vec<AuditAct> {
        self.bench.view().audit(&USER, 0, 100).unwrap().iter().map(|row| row.act).collect()
    }
}

fn refused(fault: UserFault) -> Outcome {
    Outcome::UserRefused(fault)
}

#[test]
fn devices_come_and_go_and_a_revoked_one_stays_out() {
    let mut users = Users::enrolled();
    assert_eq!(users.ask(1, 0, UserAct::Enrol(entry(1))), refused(UserFault::Enrolled));
    assert_eq!(users.ask(2, 1, UserAct::Add(entry(2))), refused(UserFault::NotDevice), "a stranger adds itself");
    assert_eq!(users.ask(1, 1, UserAct::Add(entry(2))), Outcome::UserChanged(2));
    assert_eq!(users.counting(), [1, 2]);
    assert_eq!(users.ask(2, 2, UserAct::Revoke(tag(9))), refused(UserFault::NoDevice));
    assert_eq!(users.ask(2, 2, UserAct::Revoke(tag(1))), Outcome::UserChanged(3));
    assert_eq!(users.counting(), [2]);
    assert_eq!(users.ask(1, 3, UserAct::Add(entry(3))), refused(UserFault::NotDevice), "a revoked device acts");
    assert_eq!(users.ask(2, 3, UserAct::Add(entry(1))), refused(UserFault::DeviceKnown), "a revoked device comes back");
    assert_eq!(users.ask(2, 3, UserAct::Revoke(tag(2))), refused(UserFault::LastDevice));
    assert_eq!(users.acts(), [AuditAct::Enrolled, AuditAct::Added, AuditAct::Revoked]);
}

#[test]
fn a_change_is_played_once() {
    let mut users = Users::enrolled();
    let add = UserAct::Add(entry(2));
    assert_eq!(users.ask(1, 1, add.clone()), Outcome::UserChanged(2));
    assert_eq!(users.ask(1, 1, add), refused(UserFault::Stale(2)));
    assert_eq!(users.ask(1, 1, UserAct::Revoke(tag(2))), refused(UserFault::Stale(2)), "its author has not seen the last change");
    assert_eq!(users.ask(1, 9, UserAct::Revoke(tag(2))), refused(UserFault::Stale(2)));
    assert_eq!(users.counting(), [1, 2]);
}

#[test]
fn nothing_happens_to_a_user_without_a_record() {
    let mut users = Users { bench: Bench::new(1 << 20), now_ms: 5 };
    for act in [UserAct::Add(entry(2)), UserAct::Revoke(tag(1)), UserAct::SetRecovery(0), UserAct::Restore(entry(2)), UserAct::StopRestore]
    {
        assert_eq!(users.ask(1, 0, act), refused(UserFault::NoRecord));
    }
    assert!(users.bench.view().user(&USER).unwrap().is_none());
}

#[test]
fn devices_on_record_are_bounded() {
    let mut users = Users::enrolled();
    for number in 2..=USER_DEVICES as u8 {
        assert_eq!(users.ask(1, u64::from(number) - 1, UserAct::Add(entry(number))), Outcome::UserChanged(u64::from(number)));
    }
    let seq = users.seq();
    assert_eq!(users.ask(1, seq, UserAct::Add(entry(200))), refused(UserFault::TooManyDevices));
    assert_eq!(users.seq(), seq, "what is refused changes nothing");
}

#[test]
fn a_restored_device_waits_and_then_counts() {
    let mut users = Users::enrolled();
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::NoRecovery));
    assert_eq!(users.with_key(1, 50, 1, UserAct::SetRecovery(COOL_DOWN_MOST_S + 1)), refused(UserFault::TooLong));
    assert_eq!(users.with_key(1, 50, 1, UserAct::SetRecovery(60)), Outcome::UserChanged(2));
    let ready = users.now_ms + 60_000;
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::CoolingDown(ready)));
    users.now_ms = ready - 1;
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::CoolingDown(ready)), "asking again does not begin anew");
    assert_eq!(users.counting(), [1]);
    users.now_ms = ready;
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), Outcome::UserChanged(4));
    assert_eq!(users.counting(), [1, 2]);
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::DeviceKnown));
    let seq = users.seq();
    assert_eq!(users.ask(2, seq, UserAct::Revoke(tag(1))), Outcome::UserChanged(seq + 1), "the restored device is a device");
    assert_eq!(
        users.ask(2, seq + 1, UserAct::Revoke(tag(2))),
        Outcome::UserChanged(seq + 2),
        "the last one may go where something restores"
    );
    assert!(users.counting().is_empty());
    let want =
        [AuditAct::Enrolled, AuditAct::RecoverySet, AuditAct::RestoreBegan, AuditAct::Restored, AuditAct::Revoked, AuditAct::Revoked];
    assert_eq!(users.acts(), want);
}

#[test]
fn a_device_that_counts_stops_a_restoration() {
    let mut users = Users::enrolled();
    users.with_key(1, 50, 1, UserAct::SetRecovery(60));
    assert_eq!(users.ask(1, 2, UserAct::StopRestore), refused(UserFault::NothingWaits));
    users.ask(50, 0, UserAct::Restore(entry(2)));
    assert_eq!(users.ask(2, 3, UserAct::StopRestore), refused(UserFault::NotDevice), "the one that waits");
    assert_eq!(users.ask(1, 3, UserAct::StopRestore), Outcome::UserChanged(4));
    users.now_ms += 61_000;
    let ready = users.now_ms + 60_000;
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::CoolingDown(ready)), "the wait begins anew");
    // Another key: whoever waited under the old one is out.
    let seq = users.seq();
    assert_eq!(users.with_key(1, 51, seq, UserAct::SetRecovery(0)), Outcome::UserChanged(seq + 1));
    users.now_ms += 61_000;
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::WrongRecovery));
    assert!(users.row().restoring.is_none());
    assert!(matches!(users.ask(51, 0, UserAct::Restore(entry(2))), Outcome::UserChanged(_)), "without a wait");
}

#[test]
fn wrong_keys_are_counted_in_the_log_and_close_the_door_for_the_right_one_too() {
    let mut users = Users::enrolled();
    users.with_key(1, 50, 1, UserAct::SetRecovery(0));
    for _ in 0..RESTORE_TRIES {
        assert_eq!(users.ask(66, 0, UserAct::Restore(entry(2))), refused(UserFault::WrongRecovery));
    }
    let ends = users.now_ms + u64::from(RESTORE_WINDOW_S) * 1_000;
    assert_eq!(users.ask(66, 0, UserAct::Restore(entry(2))), refused(UserFault::TooManyTries(ends)));
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::TooManyTries(ends)));
    assert_eq!(users.acts().iter().filter(|act| **act == AuditAct::RestoreRefused).count(), RESTORE_TRIES as usize, "devices see each try");
    // A member that got the state as a snapshot counts on.
    let other = users.bench.installed(1 << 20);
    let mut users = Users { bench: other, now_ms: users.now_ms };
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::TooManyTries(ends)));
    users.now_ms = ends;
    assert!(matches!(users.ask(50, 0, UserAct::Restore(entry(2))), Outcome::UserChanged(_)));
}

/// The command a recovery begins `epoch` with.
fn begins(epoch: u32) -> CommandBody {
    let (epoch, digest) = (Epoch(epoch), Digest([3; 32]));
    let account = RecoveryAccount {
        cluster_id: CLUSTER,
        epoch,
        offer: digest,
        manifest: digest,
        custodians: List::default(),
        claims: digest,
        chosen: Incarnation::new(Epoch(1), 1),
        loss: None,
        again: Text::default(),
        audit: digest,
        unsealed: None,
    };
    let previous = TreePoint { size: 1, root: digest };
    let start = EpochStart { cluster_id: CLUSTER, epoch, previous, account: Digest(account.digest()), witnesses: List::default() };
    let founding = Founding { incarnation: Incarnation::new(epoch, 9), cert: cert(1, 9, Vendor::Amd) };
    CommandBody::Begin(Box::new(EpochBegun { start, account, founding }))
}

#[test]
fn an_epoch_that_begins_with_a_recovery_restores_nobody_for_one_window() {
    let mut users = Users { bench: founded().0, now_ms: 10_000 };
    users.ask(1, 0, UserAct::Enrol(entry(1)));
    users.with_key(1, 50, 1, UserAct::SetRecovery(0));
    assert_eq!(users.ask(66, 0, UserAct::Restore(entry(2))), refused(UserFault::WrongRecovery));
    let before = users.row();

    let begun = users.bench.apply(users.now_ms, begins(2));
    assert_eq!(begun, [Outcome::Admitted(Incarnation::new(Epoch(2), 9))]);
    let until = users.now_ms + WINDOW_MS;
    assert_eq!(users.ask(66, 0, UserAct::Restore(entry(2))), refused(UserFault::TooManyTries(until)), "the disk remembers one try of five");
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::TooManyTries(until)), "an answer would tell the right one");
    assert_eq!(users.row(), before, "what is not looked at is not counted");
    assert_eq!(users.ask(1, before.seq, UserAct::Add(entry(3))), Outcome::UserChanged(before.seq + 1), "devices that count go on");

    // The word of an epoch that does not begin closes nothing, and a member that got the state as a snapshot waits as long.
    users.now_ms = until - 1;
    assert_eq!(users.bench.apply(users.now_ms, begins(2)), [Outcome::Denied(Denial::NotNextEpoch)]);
    let mut users = Users { bench: users.bench.installed(1 << 20), now_ms: users.now_ms };
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::TooManyTries(until)));
    users.now_ms = until;
    assert!(matches!(users.ask(50, 0, UserAct::Restore(entry(2))), Outcome::UserChanged(_)));
}

#[test]
fn the_trail_is_linked_and_kept_to_its_bound() {
    let mut users = Users::enrolled();
    let rounds = USER_AUDIT_ROWS + 10;
    for round in 0..rounds {
        let seq = users.seq();
        assert_eq!(users.with_key(1, 50, seq, UserAct::SetRecovery((round % 100) as u32)), Outcome::UserChanged(seq + 1));
    }
    let view = users.bench.view();
    let rows = view.audit(&USER, 0, 10_000).unwrap();
    assert_eq!(rows.len() as u64, USER_AUDIT_ROWS);
    assert_eq!(rows.last().unwrap().seq, rounds + 1);
    for pair in rows.windows(2) {
        assert_eq!((pair[1].seq, pair[1].digest), (pair[0].seq + 1, pair[1].digest_after(&pair[0].digest)));
    }
    assert_eq!(users.row().digest, rows.last().unwrap().digest);
    assert_eq!(view.audit(&USER, rounds, 10).unwrap().len(), 1);
}

#[test]
fn replicas_agree_on_users_and_a_snapshot_carries_them() {
    let play = || {
        let mut users = Users::enrolled();
        users.ask(1, 1, UserAct::Add(entry(2)));
        users.with_key(2, 50, 2, UserAct::SetRecovery(60));
        users.ask(50, 0, UserAct::Restore(entry(3)));
        users
    };
    let (one, two) = (play(), play());
    assert_eq!(one.bench.digest(), two.bench.digest());
    let installed = one.bench.installed(1 << 20);
    assert_eq!(installed.digest(), one.bench.digest());
    let view = installed.view();
    assert_eq!(view.user(&USER).unwrap().unwrap(), one.row());
    assert_eq!(view.audit(&USER, 0, 10).unwrap().len(), 4);
    assert!(device_counts_here(&view) == [1, 2]);
}

fn device_counts_here(view: &crate::machine::view::View) -> Vec<u8> {
    let row = view.user(&USER).unwrap().unwrap();
    (0..9).filter(|number| counts(&row, &tag(*number))).collect()
}

#[test]
fn another_device_does_not_come_in_on_the_wait_of_the_first_one() {
    let mut users = Users::enrolled();
    users.with_key(1, 50, 1, UserAct::SetRecovery(60));
    users.ask(50, 0, UserAct::Restore(entry(2)));
    users.now_ms += 60_000;
    let ready = users.now_ms + 60_000;
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(3))), refused(UserFault::CoolingDown(ready)), "it begins a wait of its own");
    assert_eq!(users.ask(50, 0, UserAct::Restore(entry(2))), refused(UserFault::CoolingDown(ready)), "and the first one begins again");
    assert_eq!(users.counting(), [1]);
}
