//! A user's record, as their devices look at it and change it.
//!
//! Decides: a change is proposed after the signatures it needs were verified here (replicas see tags), and answered with the record as it is then.
//! A look is a read: it comes after a round. Names and credentials are sealed before they are proposed, like everything of a user.
//! Trusts: the session's user and credential; the state machine for the rules. Out of scope: the rules (`consensus/src/machine/users.rs`). Protocol section 9.

use crate::clock;
use crate::front::Front;
use crate::front::limits::{READ_PATIENCE, RETRY_MOST};
use crate::front::refusals::{fenced, no_room, unavailable, unreadable};
use ringwall_channel::user::{VerifiedUser, verify_added, verify_recovery};
use ringwall_consensus::ProposeError;
use ringwall_keys::HedgedIvs;
use ringwall_wire::bounded::List;
use ringwall_wire::command::{Outcome, SealedWrite};
use ringwall_wire::ids::{CredPublic, Digest, UserId, UserTag};
use ringwall_wire::limits::USER_AUDIT_PAGE;
use ringwall_wire::request::Answer;
use ringwall_wire::session::Refusal;
use ringwall_wire::user::{DeviceEntry, DeviceName, DeviceRow, DeviceShown, UserAct, UserAsk, UserChange, UserFault, UserShown, Waiting};
use tokio::time::sleep;

/// A device for the record, sealed.
pub(crate) fn seal(front: &Front, user: &UserTag, cred: &CredPublic, name: &DeviceName) -> DeviceEntry {
    let mut ivs = HedgedIvs::new((front.entropy)(), front.incarnation);
    front.keyring.now().seal_device(user, cred, name, &mut ivs)
}

/// Answers a device that looks at its user's record, or changes it.
pub(crate) async fn answer(front: &Front, user: &VerifiedUser, ask: UserAsk) -> Result<Answer, Refusal> {
    let tag = front.keyring.now().user_tag(user.user());
    if let UserAsk::Look(after) = ask {
        front.reads.barrier().await?;
        return Ok(Answer::User(Box::new(shown(front, &tag, after)?)));
    }
    let change = match change(front, user, tag, ask) {
        Ok(change) => change,
        Err(fault) => return Ok(Answer::UserRefused(fault)),
    };
    Ok(match propose(front, change).await? {
        Ok(seq) => Answer::User(Box::new(shown(front, &tag, seq.saturating_sub(1))?)),
        Err(fault) => Answer::UserRefused(fault),
    })
}

/// What is proposed for what was asked, once its signatures were found good.
fn change(front: &Front, user: &VerifiedUser, tag: UserTag, ask: UserAsk) -> Result<UserChange, UserFault> {
    let actor = front.keyring.now().device_tag(&tag, user.cred());
    let of = |seq, act| UserChange { user: tag, actor, key: actor, seq, act };
    Ok(match ask {
        UserAsk::Look(_) => return Err(UserFault::NothingWaits),
        UserAsk::Enrol(name) => {
            // Only the credential that names the user makes the record.
            if UserId::of(user.cred()) != *user.user() {
                return Err(UserFault::NotDevice);
            }
            of(0, UserAct::Enrol(seal(front, &tag, user.cred(), &name)))
        }
        UserAsk::Add(ask) => {
            verify_added(&ask, &front.cluster_id, user).map_err(|_| UserFault::BadSignature)?;
            of(ask.seq, UserAct::Add(seal(front, &tag, &ask.cred, &ask.name)))
        }
        UserAsk::Revoke(ask) => of(ask.seq, UserAct::Revoke(ask.tag)),
        UserAsk::SetRecovery(ask) => {
            verify_recovery(&ask, &front.cluster_id, user.user()).map_err(|_| UserFault::BadSignature)?;
            let key = front.keyring.now().recovery_tag(&tag, &ask.key);
            UserChange { key, ..of(ask.seq, UserAct::SetRecovery(ask.cool_down_s)) }
        }
        UserAsk::StopRestore(seq) => of(seq, UserAct::StopRestore),
    })
}

/// Gets a change applied, here too: its number, or why it was refused.
pub(crate) async fn propose(front: &Front, change: UserChange) -> Result<Result<u64, UserFault>, Refusal> {
    let began = clock::now();
    loop {
        match front.replica.write(vec![SealedWrite::User(change.clone())]).await {
            Ok(applied) => {
                front.replica.wait_applied(applied.index).await.map_err(|_| unavailable())?;
                return match applied.outcomes.first() {
                    Some(Outcome::UserChanged(seq)) => Ok(Ok(*seq)),
                    Some(Outcome::UserRefused(fault)) => Ok(Err(*fault)),
                    _ => Err(unavailable()),
                };
            }
            // Surely not proposed.
            Err(ProposeError::NotLeader { .. } | ProposeError::Transient) if began.elapsed() < READ_PATIENCE => sleep(RETRY_MOST).await,
            Err(ProposeError::NoRoom) => return Err(no_room()),
            Err(ProposeError::Fenced(_)) => return Err(fenced()),
            Err(_) => return Err(unavailable()),
        }
    }
}

/// The record as this member has it, with the audit trail after `after`.
fn shown(front: &Front, tag: &UserTag, after: u64) -> Result<UserShown, Refusal> {
    let view = front.replica.view().map_err(|_| fenced())?;
    let nothing =
        UserShown { seq: 0, digest: Digest([0; 32]), devices: List::default(), recovery: None, restoring: None, audit: List::default() };
    let Some(row) = view.user(tag).map_err(|_| fenced())? else { return Ok(nothing) };
    let devices = row.devices.iter().map(|device| show(front, tag, device)).collect::<Result<Vec<_>, _>>()?;
    let restoring = row.restoring.map(|waiting| {
        let device = DeviceRow { entry: waiting.entry, added_ms: 0, revoked_ms: 0 };
        show(front, tag, &device).map(|device| Waiting { device, ready_ms: waiting.ready_ms })
    });
    let audit = view.audit(tag, after, USER_AUDIT_PAGE).map_err(|_| fenced())?;
    Ok(UserShown {
        seq: row.seq,
        digest: row.digest,
        devices: List::new(devices).map_err(|_| unreadable())?,
        recovery: row.recovery,
        restoring: restoring.transpose()?,
        audit: List::new(audit).map_err(|_| unreadable())?,
    })
}

fn show(front: &Front, user: &UserTag, device: &DeviceRow) -> Result<DeviceShown, Refusal> {
    let (cred, name) = front.keyring.now().open_device(user, &device.entry).map_err(|_| unreadable())?;
    Ok(DeviceShown { tag: device.entry.tag, cred, name, added_ms: device.added_ms, revoked_ms: device.revoked_ms })
}
