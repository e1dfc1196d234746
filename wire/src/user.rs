//! Users on record: their devices, their recovery key, what was done with them; and the requests that change it.
//!
//! Decides: what replicas hold of a user (tags, sealed devices, counters: no user id, no credential), what a client asks and is told. A change names the
//! number of the last one its author saw, so that none can be played again. Trusts: nothing; whoever proposes a change has verified signatures, since replicas
//! see tags in place of keys. Out of scope: applying (`consensus`), sealing of devices (`keys`). Protocol section 9.

use crate::bounded::{Blob, List, Text};
use crate::ids::{ClusterId, CredPublic, DeviceTag, Digest, Signature, UserId, UserTag};
use crate::limits::{DEVICE_NAME_BYTES, SEALED_DEVICE_BYTES, USER_AUDIT_PAGE, USER_DEVICES};
use crate::secret::Secret;
use crate::{choice, message, record};

/// Name of a device, for people.
pub type DeviceName = Text<DEVICE_NAME_BYTES>;

record! {
    /// A device as replicas know it.
    pub struct DeviceEntry {
        /// Which.
        pub tag: DeviceTag,
        /// Its credential and name, sealed.
        pub sealed: Blob<SEALED_DEVICE_BYTES>,
    }
}

record! {
    /// A device on record.
    pub struct DeviceRow {
        /// Which, and what it is called.
        pub entry: DeviceEntry,
        /// Group time it was added at, Unix milliseconds.
        pub added_ms: u64,
        /// Group time it was revoked at; 0 = it counts.
        pub revoked_ms: u64,
    }
}

record! {
    /// A user's recovery key as replicas know it.
    #[derive(Copy)]
    pub struct RecoveryRow {
        /// Which.
        pub tag: DeviceTag,
        /// Seconds a restored device waits.
        pub cool_down_s: u32,
        /// Group time it was set at, Unix milliseconds.
        pub set_ms: u64,
    }
}

record! {
    /// A device that was restored and waits.
    pub struct Restoring {
        /// The device.
        pub entry: DeviceEntry,
        /// Group time from which it may be completed, Unix milliseconds.
        pub ready_ms: u64,
    }
}

record! {
    /// A user as replicas know them.
    pub struct UserRow {
        /// Rows of the audit trail so far: the number of the last change.
        pub seq: u64,
        /// Digest of the audit trail.
        pub digest: Digest,
        /// Devices, in the order they came.
        pub devices: List<DeviceRow, USER_DEVICES>,
        /// The recovery key, once there is one.
        pub recovery: Option<RecoveryRow>,
        /// A device that waits.
        pub restoring: Option<Restoring>,
        /// Start of the present window of tries, group time in Unix milliseconds.
        pub tries_from_ms: u64,
        /// Tries with a wrong key in it.
        pub tries: u32,
    }
}

choice! {
    /// What a change does.
    pub enum UserAct {
        /// The first device makes the record.
        1 => Enrol(DeviceEntry),
        /// Another device is added.
        2 => Add(DeviceEntry),
        /// A device is out for good.
        3 => Revoke(DeviceTag),
        /// There is a recovery key, or another one. Seconds a restored device waits.
        4 => SetRecovery(u32),
        /// Whoever has the recovery key brings a new device.
        5 => Restore(DeviceEntry),
        /// A device stops a restoration that waits.
        6 => StopRestore,
    }
}

record! {
    /// A change of a user's record.
    pub struct UserChange {
        /// Whose.
        pub user: UserTag,
        /// The device that asks; the recovery key for [`UserAct::Restore`].
        pub actor: DeviceTag,
        /// The new recovery key for [`UserAct::SetRecovery`], otherwise the actor.
        pub key: DeviceTag,
        /// Number of the last change its author saw.
        pub seq: u64,
        /// What.
        pub act: UserAct,
    }
}

choice! {
    /// What a row of an audit trail tells.
    #[derive(Copy)]
    pub enum AuditAct {
        /// The record was made.
        1 => Enrolled,
        /// A device was added.
        2 => Added,
        /// A device was revoked.
        3 => Revoked,
        /// A recovery key was set.
        4 => RecoverySet,
        /// A restoration began, and waits.
        5 => RestoreBegan,
        /// A restored device counts.
        6 => Restored,
        /// A restoration was stopped.
        7 => RestoreStopped,
        /// Somebody tried to restore the user with another key.
        8 => RestoreRefused,
    }
}

record! {
    /// One row of a user's audit trail. Its digest covers the row before it.
    #[derive(Copy)]
    pub struct AuditRow {
        /// Its number, from 1.
        pub seq: u64,
        /// Log index of the entry that made it.
        pub index: u64,
        /// Group time, Unix milliseconds.
        pub at_ms: u64,
        /// What happened.
        pub act: AuditAct,
        /// Who did it.
        pub actor: DeviceTag,
        /// To which device or key.
        pub subject: DeviceTag,
        /// `SHA-256(enc("user-audit", digest before, seq, index, time, act, actor, subject))`.
        pub digest: Digest,
    }
}

impl AuditRow {
    /// The digest a row has after `before`.
    pub fn digest_after(&self, before: &Digest) -> Digest {
        use crate::codec::Field as _;
        let (seq, index, at_ms) = (self.seq.to_be_bytes(), self.index.to_be_bytes(), self.at_ms.to_be_bytes());
        let fields: [&[u8]; 7] = [&before.0, &seq, &index, &at_ms, &self.act.to_bytes(), &self.actor.0, &self.subject.0];
        Digest(crate::codec::enc_digest(crate::label::Label::UserAudit, &fields))
    }
}

choice! {
    /// Why a change of a user's record was refused.
    #[derive(Copy)]
    pub enum UserFault {
        /// There is no record of the user.
        1 => NoRecord,
        /// There is one already.
        2 => Enrolled,
        /// The record has changed since its author saw it, or this change was played before. Its present number.
        3 => Stale(u64),
        /// The author is no device of the user that counts.
        4 => NotDevice,
        /// The device is on record, perhaps as a revoked one: make a new credential.
        5 => DeviceKnown,
        /// The record holds as many devices as it may.
        6 => TooManyDevices,
        /// No such device counts.
        7 => NoDevice,
        /// It is the last device, and there is no recovery key.
        8 => LastDevice,
        /// There is no recovery key.
        9 => NoRecovery,
        /// It is not the user's recovery key; the try was counted.
        10 => WrongRecovery,
        /// Too many tries; all are refused until this group time, Unix milliseconds.
        11 => TooManyTries(u64),
        /// The device waits until this group time, Unix milliseconds.
        12 => CoolingDown(u64),
        /// Nothing waits.
        13 => NothingWaits,
        /// The signature is not the one that is needed.
        14 => BadSignature,
        /// The time to wait is above its limit.
        15 => TooLong,
    }
}

choice! {
    /// What a device asks about its user.
    pub enum UserAsk {
        /// Devices, recovery, and the audit trail after this number.
        1 => Look(u64),
        /// Make the record, with this device under this name.
        2 => Enrol(DeviceName),
        /// Add a device.
        3 => Add(AddDevice),
        /// Revoke a device.
        4 => Revoke(RevokeDevice),
        /// Set the recovery key.
        5 => SetRecovery(SetRecovery),
        /// Stop a restoration that waits; the number of the last change seen.
        6 => StopRestore(u64),
    }
}

record! {
    /// Adds a device.
    pub struct AddDevice {
        /// Its credential.
        pub cred: CredPublic,
        /// Its name.
        pub name: DeviceName,
        /// The new device's, as in its [`DeviceRequest`]: somebody has its secret half and wants this.
        pub asked: Signature,
        /// Number of the last change the author saw.
        pub seq: u64,
        /// The author's, over `enc("device-added", cluster, user, seq, credential, name)`.
        pub signature: Signature,
    }
}

record! {
    /// Revokes a device.
    #[derive(Copy)]
    pub struct RevokeDevice {
        /// Which.
        pub tag: DeviceTag,
        /// Number of the last change the author saw.
        pub seq: u64,
    }
}

record! {
    /// Sets the recovery key.
    #[derive(Copy)]
    pub struct SetRecovery {
        /// Its public half.
        pub key: CredPublic,
        /// Seconds a restored device waits.
        pub cool_down_s: u32,
        /// Number of the last change the author saw.
        pub seq: u64,
        /// The recovery key's, over `enc("recovery-set", cluster, user, seq, key)`: somebody has its secret half.
        pub signature: Signature,
    }
}

record! {
    /// The word of a user's recovery key for a new device, good on one session alone.
    #[derive(Copy)]
    pub struct RestoreProof {
        /// Its public half.
        pub key: CredPublic,
        /// Over `enc("restored", h, nonce, incarnation, user, credential)`.
        pub signature: Signature,
    }
}

record! {
    /// A device, as its user sees it.
    pub struct DeviceShown {
        /// Which.
        pub tag: DeviceTag,
        /// Its credential.
        pub cred: CredPublic,
        /// Its name.
        pub name: DeviceName,
        /// Group time it was added at, Unix milliseconds.
        pub added_ms: u64,
        /// Group time it was revoked at; 0 = it counts.
        pub revoked_ms: u64,
    }
}

record! {
    /// A user, as their devices see them.
    pub struct UserShown {
        /// Number of the last change; 0 = no record yet.
        pub seq: u64,
        /// Digest of the audit trail.
        pub digest: Digest,
        /// Devices, in the order they came.
        pub devices: List<DeviceShown, USER_DEVICES>,
        /// The recovery key.
        pub recovery: Option<RecoveryRow>,
        /// A restored device that waits: which, and until when.
        pub restoring: Option<Waiting>,
        /// Rows of the audit trail that were asked for.
        pub audit: List<AuditRow, USER_AUDIT_PAGE>,
    }
}

record! {
    /// A restored device that waits.
    pub struct Waiting {
        /// The device.
        pub device: DeviceShown,
        /// Group time from which it may be completed, Unix milliseconds.
        pub ready_ms: u64,
    }
}

message! {
    /// What a new device shows to one of its user's devices, which has it added.
    pub struct DeviceRequest = DeviceRequest {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// Whose device it wants to be.
        pub user: UserId,
        /// Its credential.
        pub cred: CredPublic,
        /// Its name.
        pub name: DeviceName,
        /// Its own, over `enc("device-request", cluster, user, credential, name)`.
        pub signature: Signature,
    }
}

message! {
    /// A user's escrow: what restores a user beside the phrase, and opens with nothing else. Kept by the client.
    pub struct UserEscrow = UserEscrow {
        /// Cluster.
        pub cluster_id: ClusterId,
        /// User.
        pub user: UserId,
        /// Public half of the recovery key it belongs to.
        pub key: CredPublic,
        /// Number of the user's last change when it was made.
        pub seq: u64,
        /// Initialization vector.
        pub iv: [u8; 24],
        /// Commitment to the key it is sealed under.
        pub commit: [u8; 32],
        /// [`EscrowSecrets`], sealed.
        pub sealed: Blob<1024>,
    }
}

message! {
    /// What an escrow holds.
    pub struct EscrowSecrets = EscrowSecrets {
        /// The user's own key, if there is one.
        pub user_key: Option<Secret<32>>,
    }
}
