//! Who a client is: the word of a credential, given on this very session, and what the user's record says about it.
//!
//! Decides: whether a session becomes a user's. The signature is bound to the handshake, the client's nonce, this incarnation and the client process. A user
//! without a record is spoken for by the credential that names them; a user with one by the devices on it that count. A refusal for want of a device is
//! given only after a read round: a member that lags does not know the newest one. A recovery key's word brings a new device, as far as the record lets it.
//! Trusts: `channel` for signatures, the replicated record for devices, tries and waits. Out of scope: changes (`record.rs`). Protocol sections 3 and 9.

use crate::front::Front;
use crate::front::record::{propose, seal};
use crate::front::refusals::{device_revoked, fenced, malformed, refusal};
use ringwall_channel::user::{ClaimedUser, UserBinding, VerifiedUser, verify_credential, verify_restore};
use ringwall_consensus::device_counts;
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{DeviceTag, UserTag};
use ringwall_wire::session::{Refusal, RefusalCode, UserAuth};
use ringwall_wire::user::{RestoreProof, UserAct, UserChange, UserFault};

/// What a restored device is called until its user names it.
const RESTORED_NAME: &str = "restored";

/// A user's device, as replicas know both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// The user.
    pub(crate) user: UserTag,
    /// The device.
    pub(crate) tag: DeviceTag,
}

/// What the record says about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The user has no record.
    NoRecord,
    /// It counts.
    Counts,
    /// It was revoked.
    Revoked,
    /// It is not on the record.
    Unknown,
}

/// Reads and verifies the first message of an open session.
pub(crate) fn read_word(message: &[u8], binding: &UserBinding<'_>) -> Result<(UserAuth, ClaimedUser), Refusal> {
    let auth = UserAuth::decode(message).map_err(|_| malformed())?;
    let claimed = verify_credential(&auth, binding).map_err(|fault| {
        tracing::info!(%fault, "a user was refused");
        refusal(RefusalCode::NotAuthorized, "the credential or its signature does not verify on this session; sign again on a new session")
    })?;
    Ok((auth, claimed))
}

/// Whether whoever signed may speak for the user they claim.
pub(crate) async fn admit_user(
    front: &Front,
    auth: &UserAuth,
    claimed: ClaimedUser,
    binding: &UserBinding<'_>,
) -> Result<VerifiedUser, Refusal> {
    let user = front.keyring.now().user_tag(claimed.user());
    let device = Device { user, tag: front.keyring.now().device_tag(&user, claimed.cred()) };
    if let Standing::Counts = standing(front, &device)? {
        return Ok(claimed.on_record());
    }
    if let Some(proof) = &auth.restore {
        verify_restore(proof, binding, &claimed).map_err(|_| not_restored("the recovery key's word does not verify on this session"))?;
        return restore(front, &device, claimed, proof).await;
    }
    let root = match standing(front, &device)? {
        Standing::NoRecord => claimed.of_root(),
        _ => Err(ringwall_channel::user::UserError::BadCredential),
    };
    match root {
        Ok(user) => Ok(user),
        Err(_) => again(front, auth, &device, binding).await,
    }
}

/// A last look, after a quorum was asked.
async fn again(front: &Front, auth: &UserAuth, device: &Device, binding: &UserBinding<'_>) -> Result<VerifiedUser, Refusal> {
    front.reads.barrier().await?;
    let claimed = verify_credential(auth, binding).map_err(|_| malformed())?;
    match standing(front, device)? {
        Standing::Counts => Ok(claimed.on_record()),
        Standing::Revoked => Err(device_revoked()),
        Standing::NoRecord => claimed.of_root().map_err(|_| stranger()),
        Standing::Unknown => Err(stranger()),
    }
}

/// What the record of this member says about a device.
pub(crate) fn standing(front: &Front, device: &Device) -> Result<Standing, Refusal> {
    let view = front.replica.view().map_err(|_| fenced())?;
    let Some(row) = view.user(&device.user).map_err(|_| fenced())? else { return Ok(Standing::NoRecord) };
    let known = row.devices.iter().any(|known| known.entry.tag == device.tag);
    Ok(match (known, device_counts(&row, &device.tag)) {
        (_, true) => Standing::Counts,
        (true, false) => Standing::Revoked,
        (false, false) => Standing::Unknown,
    })
}

async fn restore(front: &Front, device: &Device, claimed: ClaimedUser, proof: &RestoreProof) -> Result<VerifiedUser, Refusal> {
    let key = front.keyring.now().recovery_tag(&device.user, &proof.key);
    let name = Text::new(RESTORED_NAME).unwrap_or_default();
    let entry = seal(front, &device.user, claimed.cred(), &name);
    let change = UserChange { user: device.user, actor: key, key, seq: 0, act: UserAct::Restore(entry) };
    match propose(front, change).await? {
        Ok(_) => Ok(claimed.on_record()),
        Err(fault) => Err(unrestored(fault)),
    }
}

fn stranger() -> Refusal {
    refusal(RefusalCode::NotAuthorized, "the credential is no device of this user; have it added from one that is, or restore the user")
}

fn not_restored(words: &'static str) -> Refusal {
    refusal(RefusalCode::NotRestored, words)
}

/// A refusal that names a moment of the group's time.
fn until(words: &str, at_ms: u64) -> Refusal {
    let detail = format!("{words} {} (Unix seconds, by the cluster's time)", at_ms.div_ceil(1_000));
    Refusal { code: RefusalCode::NotRestored, detail: Text::new(detail).unwrap_or_default() }
}

/// Why a user was not restored. A user without a record, or without a recovery key, is told like a wrong one: a stranger learns nothing.
fn unrestored(fault: UserFault) -> Refusal {
    match fault {
        UserFault::CoolingDown(ready_ms) => {
            until("the phrase is right; the device waits, and the user's other devices are told. Try again at", ready_ms)
        }
        UserFault::TooManyTries(ends_ms) => until("too many tries with a wrong phrase; all are refused until", ends_ms),
        UserFault::DeviceKnown => device_revoked(),
        UserFault::TooManyDevices => not_restored("the user's record holds as many devices as it may"),
        _ => not_restored("this is not the phrase of this user; the try was counted where there is one"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ed25519_dalek::SigningKey;
    use ringwall_channel::user::sign_user;
    use ringwall_wire::ids::{ClientId, Digest, Incarnation, Nonce};

    #[test]
    fn only_a_word_for_this_session_node_and_client_counts() {
        let (handshake, nonce, incarnation) = (Digest([1; 32]), Nonce([2; 32]), Incarnation(3));
        let here = UserBinding { handshake: &handshake, nonce: &nonce, incarnation };
        let key = SigningKey::from_bytes(&[9; 32]);
        let auth = sign_user(&here, &ClientId([4; 16]), &key);
        assert_eq!(read_word(&auth.encode(), &here).unwrap().1.user(), &auth.user);
        let other = Digest([5; 32]);
        let elsewhere = UserBinding { handshake: &other, ..here };
        assert_eq!(read_word(&auth.encode(), &elsewhere).unwrap_err().code, RefusalCode::NotAuthorized);
        let swapped = UserAuth { client: ClientId([6; 16]), ..auth.clone() };
        assert_eq!(read_word(&swapped.encode(), &here).unwrap_err().code, RefusalCode::NotAuthorized);
        assert_eq!(read_word(b"garbage", &here).unwrap_err().code, RefusalCode::Malformed);
    }

    #[test]
    fn a_stranger_is_told_nothing_about_the_user() {
        let faults = [UserFault::NoRecord, UserFault::NoRecovery, UserFault::WrongRecovery];
        let told: Vec<Refusal> = faults.into_iter().map(unrestored).collect();
        assert!(told.iter().all(|refusal| *refusal == told[0]), "{told:?}");
    }
}
