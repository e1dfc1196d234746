//! A user's record through one of their devices: look, enrol, add and revoke devices, set the recovery key.
//!
//! Decides: in which steps it is changed. A change names the number of the last one this client saw, which is read first; a change whose answer was lost is looked for
//! before it is called stale. Trusts: the session's node, which was verified. Out of scope: waiting, files (`client`), rules (the cluster's). Protocol section 9.

use super::answer_name;
use super::enter::Owner;
use crate::asked::{Ask, Failure};
use crate::error::{ConnectError, code_name, refusal_code};
use ed25519_dalek::SigningKey;
use ringwall_channel::user::{sign_added, sign_recovery, verify_device_request};
use ringwall_keys::Phrase;
use ringwall_wire::ids::DeviceTag;
use ringwall_wire::request::{Answer, Op};
use ringwall_wire::session::Refusal;
use ringwall_wire::user::{DeviceName, DeviceRequest, DeviceShown, RevokeDevice, UserAsk, UserFault, UserShown};

/// Why a user's record was not looked at or not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UserError {
    /// The rules refuse it.
    #[error("{}; nothing was changed", fault_words(.0))]
    Fault(UserFault),
    /// The device's request is not one, or not for this user and cluster.
    #[error("this is no request to become a device of this user: {why}; make it anew on the new device")]
    Request {
        /// What is wrong.
        why: &'static str,
    },
    /// No session.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The node refused.
    #[error("the node refused with {}: {}", code_name(.0.code), &*.0.detail)]
    Refused(Refusal),
    /// The node answered something that is no answer to this.
    #[error("the node's answer makes no sense here: {0}; client and node may be of different releases")]
    Nonsense(String),
}

fn fault_words(fault: &UserFault) -> &'static str {
    match fault {
        UserFault::NoRecord => "the user has no record yet: run `ringwall user init` on the first device",
        UserFault::Enrolled => "the user has a record already",
        UserFault::Stale(_) => "the record was changed meanwhile, or this change was made before: look at it and decide anew",
        UserFault::NotDevice => "this credential is no device of the user that counts",
        UserFault::DeviceKnown => "that device is on the record already, perhaps as a revoked one: make a new credential for it",
        UserFault::TooManyDevices => "the record holds as many devices as it may, revoked ones among them",
        UserFault::NoDevice => "no device of that name or tag counts",
        UserFault::LastDevice => "it is the last device, and without a recovery key nobody could ever come back: create one first",
        UserFault::NoRecovery => "the user has no recovery key",
        UserFault::WrongRecovery => "it is not the user's recovery key; the try was counted",
        UserFault::TooManyTries(_) => "too many tries with a wrong phrase",
        UserFault::CoolingDown(_) => "the device waits",
        UserFault::NothingWaits => "no restoration waits",
        UserFault::BadSignature => "a signature does not fit",
        UserFault::TooLong => "a restored device can wait 30 days at most",
    }
}

impl UserError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            UserError::Fault(UserFault::Stale(_)) => "RW-C-USER-STALE",
            UserError::Fault(UserFault::DeviceKnown) => "RW-C-DEVICE-KNOWN",
            UserError::Fault(_) => "RW-C-USER-REFUSED",
            UserError::Request { .. } => "RW-C-DEVICE-CODE",
            UserError::Session(fault) => fault.code(),
            UserError::Refused(refusal) => refusal_code(refusal.code),
            UserError::Nonsense(_) => "RW-C-NONSENSE",
        }
    }
}

/// What a change of a record wants next.
#[derive(Debug)]
pub enum Told {
    /// This asked, and [`Changing::take`] told what came of it.
    Ask(Ask),
    /// Nothing: here is the record as it is then.
    Done(Box<UserShown>),
}

type Make = Box<dyn FnOnce(u64) -> UserAsk + Send>;
type IsDone = Box<dyn Fn(&UserShown) -> bool + Send>;

/// A change of a user's record under way.
pub struct Changing {
    at: At,
    is_done: IsDone,
}

enum At {
    /// The number of the last change is asked for.
    Looking(Option<Make>),
    /// The first device asks for a record.
    Enrolling,
    /// The change is asked for.
    Asked,
    /// It was stale, and is looked for.
    Stale(u64),
    /// The record is read, and that is all.
    Reading,
}

impl core::fmt::Debug for Changing {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let at = match self.at {
            At::Looking(_) => "looking",
            At::Enrolling => "enrolling",
            At::Asked => "asked",
            At::Stale(_) => "stale",
            At::Reading => "reading",
        };
        write!(out, "Changing({at})")
    }
}

impl Changing {
    /// Reads the record, with the audit trail after number `after`.
    pub fn look(after: u64) -> (Self, Ask) {
        (Changing { at: At::Reading, is_done: Box::new(|_| true) }, ask(UserAsk::Look(after)))
    }

    /// Makes the record, with this device under `name`. Finds one that is there.
    pub fn enrol(name: DeviceName) -> (Self, Ask) {
        (Changing { at: At::Enrolling, is_done: Box::new(|_| true) }, ask(UserAsk::Enrol(name)))
    }

    /// Adds the device that made `request`; `key` is this device's.
    pub fn add(owner: Owner<'_>, request: &DeviceRequest, key: SigningKey) -> Result<(Self, Ask), UserError> {
        if request.cluster_id != *owner.cluster_id {
            return Err(UserError::Request { why: "it was made for another cluster" });
        }
        if request.user != *owner.user {
            return Err(UserError::Request { why: "it was made for another user" });
        }
        verify_device_request(request).map_err(|_| UserError::Request { why: "its signature does not fit" })?;
        let (request, cred) = (request.clone(), request.cred);
        Ok(Changing::of(
            move |seq| UserAsk::Add(sign_added(&request, seq, &key)),
            move |shown| shown.devices.iter().any(|device| device.cred == cred && device.revoked_ms == 0),
        ))
    }

    /// Revokes a device.
    pub fn revoke(tag: DeviceTag) -> (Self, Ask) {
        let is_out = move |device: &DeviceShown| device.tag == tag && device.revoked_ms != 0;
        Changing::of(move |seq| UserAsk::Revoke(RevokeDevice { tag, seq }), move |shown| shown.devices.iter().any(is_out))
    }

    /// Makes `phrase` the one that restores the user; a restored device waits for `cool_down_s` seconds.
    pub fn set_recovery(owner: Owner<'_>, phrase: &Phrase, cool_down_s: u32) -> (Self, Ask) {
        let (cluster_id, user) = (*owner.cluster_id, *owner.user);
        let key = SigningKey::from_bytes(phrase.signature_seed().expose());
        // Replicas hold a tag of the key: that a change of this number was made here shows in the trail.
        Changing::of(move |seq| UserAsk::SetRecovery(sign_recovery(&cluster_id, &user, seq, cool_down_s, &key)), |_| false)
    }

    /// Stops a restoration that waits.
    pub fn stop_restore() -> (Self, Ask) {
        Changing::of(UserAsk::StopRestore, |shown| shown.restoring.is_none())
    }

    fn of(make: impl FnOnce(u64) -> UserAsk + Send + 'static, is_done: impl Fn(&UserShown) -> bool + Send + 'static) -> (Self, Ask) {
        (Changing { at: At::Looking(Some(Box::new(make))), is_done: Box::new(is_done) }, ask(UserAsk::Look(u64::MAX)))
    }

    /// Takes what came of the question that was wanted.
    pub fn take(&mut self, outcome: Result<Answer, Failure>) -> Result<Told, UserError> {
        let shown = told(outcome);
        match (std::mem::replace(&mut self.at, At::Reading), shown) {
            (At::Looking(Some(make)), Ok(shown)) => {
                self.at = At::Asked;
                Ok(Told::Ask(ask(make(shown.seq))))
            }
            (At::Enrolling, Err(UserError::Fault(UserFault::Enrolled))) => Ok(Told::Ask(ask(UserAsk::Look(0)))),
            // One that is stale because its first answer was lost shows in the record.
            (At::Asked, Err(UserError::Fault(UserFault::Stale(seq)))) => {
                self.at = At::Stale(seq);
                Ok(Told::Ask(ask(UserAsk::Look(0))))
            }
            (At::Stale(seq), Ok(shown)) if !(self.is_done)(&shown) => Err(UserError::Fault(UserFault::Stale(seq))),
            (_, shown) => shown.map(Told::Done),
        }
    }
}

fn ask(ask: UserAsk) -> Ask {
    Ask::Read(Op::User(Box::new(ask)))
}

/// The record an answer shows.
pub fn told(outcome: Result<Answer, Failure>) -> Result<Box<UserShown>, UserError> {
    match outcome {
        Ok(Answer::User(shown)) => Ok(shown),
        Ok(Answer::UserRefused(fault)) => Err(UserError::Fault(fault)),
        Ok(other) => Err(UserError::Nonsense(answer_name(&other).into())),
        Err(Failure::Refused(refusal)) => Err(UserError::Refused(refusal)),
        Err(Failure::Session(fault)) => Err(UserError::Session(fault)),
        Err(Failure::OutcomeUnknown { cause, .. }) => Err(UserError::Nonsense(cause)),
    }
}
