//! A user's record through one of their devices: look, enrol, add and revoke devices, set the recovery key.
//!
//! Decides: a change names the number of the last one this client saw, which it reads first; a change whose answer was lost is looked for before it is called
//! stale. Trusts: the session's node, which was verified. Out of scope: files (`user_key.rs`, `escrow.rs`), rules (the cluster's). Protocol section 9.

use crate::client::{Client, answer_name};
use crate::error::{ConnectError, code_name, refusal_code};
use ed25519_dalek::SigningKey;
use ringwall_channel::user::{sign_added, sign_recovery, verify_device_request};
use ringwall_keys::Phrase;
use ringwall_session::asked::{Ask, Failure};
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

impl Client {
    /// The user's record, with the audit trail after number `after`; number 0 and no device while there is none.
    pub async fn user_record(&self, after: u64) -> Result<UserShown, UserError> {
        self.ask_user(UserAsk::Look(after)).await
    }

    /// Makes the user's record, with this device under `name`; only the credential that names the user can. Finds one that is there.
    pub async fn enrol(&self, name: DeviceName) -> Result<UserShown, UserError> {
        match self.ask_user(UserAsk::Enrol(name)).await {
            Err(UserError::Fault(UserFault::Enrolled)) => self.user_record(0).await,
            other => other,
        }
    }

    /// Adds the device that made `request`.
    pub async fn add_device(&self, request: &DeviceRequest) -> Result<UserShown, UserError> {
        let principal = self.principal();
        if request.cluster_id != principal.cluster_id {
            return Err(UserError::Request { why: "it was made for another cluster" });
        }
        if request.user != principal.user {
            return Err(UserError::Request { why: "it was made for another user" });
        }
        verify_device_request(request).map_err(|_| UserError::Request { why: "its signature does not fit" })?;
        let seq = self.user_record(u64::MAX).await?.seq;
        let ask = UserAsk::Add(sign_added(request, seq, &principal.credential.signing_key()));
        self.change(ask, |shown| shown.devices.iter().any(|device| device.cred == request.cred && device.revoked_ms == 0)).await
    }

    /// Revokes a device: it opens no session any more, and those it has end.
    pub async fn revoke_device(&self, tag: DeviceTag) -> Result<UserShown, UserError> {
        let seq = self.user_record(u64::MAX).await?.seq;
        let is_out = |device: &DeviceShown| device.tag == tag && device.revoked_ms != 0;
        self.change(UserAsk::Revoke(RevokeDevice { tag, seq }), |shown| shown.devices.iter().any(is_out)).await
    }

    /// Makes `phrase` the one that restores the user; a restored device waits for `cool_down_s` seconds.
    pub async fn set_recovery(&self, phrase: &Phrase, cool_down_s: u32) -> Result<UserShown, UserError> {
        let principal = self.principal();
        let seq = self.user_record(u64::MAX).await?.seq;
        let key = SigningKey::from_bytes(phrase.signature_seed().expose());
        let ask = sign_recovery(&principal.cluster_id, &principal.user, seq, cool_down_s, &key);
        // Replicas hold a tag of the key: that a change of this number was made here shows in the trail.
        self.change(UserAsk::SetRecovery(ask), |_| false).await
    }

    /// Stops a restoration that waits.
    pub async fn stop_restore(&self) -> Result<UserShown, UserError> {
        let seq = self.user_record(u64::MAX).await?.seq;
        self.change(UserAsk::StopRestore(seq), |shown| shown.restoring.is_none()).await
    }

    /// Asks for a change. One that is stale because its first answer was lost shows in the record.
    async fn change(&self, ask: UserAsk, is_done: impl Fn(&UserShown) -> bool) -> Result<UserShown, UserError> {
        let stale = match self.ask_user(ask).await {
            Err(UserError::Fault(UserFault::Stale(seq))) => UserFault::Stale(seq),
            other => return other,
        };
        let shown = self.user_record(0).await?;
        match is_done(&shown) {
            true => Ok(shown),
            false => Err(UserError::Fault(stale)),
        }
    }

    async fn ask_user(&self, ask: UserAsk) -> Result<UserShown, UserError> {
        match self.ask(Ask::Read(Op::User(Box::new(ask)))).await {
            Ok(Answer::User(shown)) => Ok(*shown),
            Ok(Answer::UserRefused(fault)) => Err(UserError::Fault(fault)),
            Ok(other) => Err(UserError::Nonsense(answer_name(&other).into())),
            Err(Failure::Refused(refusal)) => Err(UserError::Refused(refusal)),
            Err(Failure::Session(fault)) => Err(UserError::Session(fault)),
            Err(Failure::OutcomeUnknown { cause, .. }) => Err(UserError::Nonsense(cause)),
        }
    }
}
