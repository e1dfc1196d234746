//! A user's word for who they are, good on one session alone.
//!
//! Decides: the signature covers `enc("user-auth-signed", h, nonce, incarnation, user, client)`, so that a signature captured on one
//! session is useless on any other (T-U1); Ed25519 is verified strictly (no small-order keys, no malleable signatures). A signature says which
//! credential speaks and for whom it claims to; that it may is shown in one of two ways: the credential names the user, or the user's record names the
//! credential. Words about devices and recovery keys are signed and verified here too.
//! Trusts: the session's handshake hash. Out of scope: the record (`consensus`), external identities.
//! Protocol sections 3 (step 6) and 9.

use alloc::vec::Vec;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use ringwall_wire::backup::EscrowKey;
use ringwall_wire::codec::enc;
use ringwall_wire::ids::{ClientId, ClusterId, CredPublic, Digest, Incarnation, Nonce, Signature, UserId, XWingPublic};
use ringwall_wire::label::Label;
use ringwall_wire::session::UserAuth;
use ringwall_wire::user::{AddDevice, DeviceName, DeviceRequest, RestoreProof, SetRecovery};

/// What a user's signature is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserBinding<'a> {
    /// Handshake hash of the session.
    pub handshake: &'a Digest,
    /// The client's nonce of the attestation request.
    pub nonce: &'a Nonce,
    /// The node that is talked to.
    pub incarnation: Incarnation,
}

/// Why a user's word is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The credential names another user.
    #[error("the credential names user {named}, the message claims {claimed}")]
    OtherUser {
        /// User the credential names.
        named: UserId,
        /// User that is claimed.
        claimed: UserId,
    },
    /// The credential is not an Ed25519 key, or one of small order.
    #[error("the credential is not a usable Ed25519 key")]
    BadCredential,
    /// The signature does not verify on this session.
    #[error("the signature does not verify: wrong key, or made for another session, node or client")]
    BadSignature,
}

/// A credential whose signature was verified on this session, and the user it claims to speak for.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct ClaimedUser(VerifiedUser);

impl ClaimedUser {
    /// The user it claims to speak for.
    pub fn user(&self) -> &UserId {
        &self.0.user
    }

    /// The credential that signed.
    pub fn cred(&self) -> &CredPublic {
        &self.0.cred
    }

    /// It speaks for the user it names: enough while the user has no record.
    pub fn of_root(self) -> Result<VerifiedUser, UserError> {
        let (named, claimed) = (UserId::of(&self.0.cred), self.0.user);
        match named == claimed {
            true => Ok(self.0),
            false => Err(UserError::OtherUser { named, claimed }),
        }
    }

    /// It speaks for the user: the caller found it on the user's record, as a device that counts.
    pub fn on_record(self) -> VerifiedUser {
        self.0
    }
}

/// A user whose signature was verified on this session.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct VerifiedUser {
    user: UserId,
    cred: CredPublic,
    client: ClientId,
}

impl VerifiedUser {
    /// The user.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The credential that signed.
    pub fn cred(&self) -> &CredPublic {
        &self.cred
    }

    /// The client process.
    pub fn client(&self) -> &ClientId {
        &self.client
    }
}

/// Signs for one session; the user is the one the key names ([`UserId::of`]). What the client has seen of the log is not signed: it only asks.
pub fn sign_user(binding: &UserBinding<'_>, client: &ClientId, key: &SigningKey) -> UserAuth {
    let (user, cred) = (UserId::of(&cred_of(key)), cred_of(key));
    let signature = Signature(key.sign(&user_words(binding, &user, client)).to_bytes());
    UserAuth { user, cred, client: *client, signature, known: None, restore: None }
}

/// The words a credential signs for one session of a user. A key that is elsewhere is shown them, and gives the signature alone ([`user_signed`]).
pub fn user_words(binding: &UserBinding<'_>, user: &UserId, client: &ClientId) -> Vec<u8> {
    let incarnation = binding.incarnation.0.to_be_bytes();
    enc(Label::UserAuthSigned, &[&binding.handshake.0, &binding.nonce.0, &incarnation, &user.0, &client.0])
}

/// The message of a user whose credential signed [`user_words`] elsewhere. A signature that does not verify here makes none: a node would refuse it.
pub fn user_signed(
    binding: &UserBinding<'_>,
    (user, client): (&UserId, &ClientId),
    cred: &CredPublic,
    signature: Signature,
) -> Result<UserAuth, UserError> {
    verify(cred, &user_words(binding, user, client), &signature)?;
    Ok(UserAuth { user: *user, cred: *cred, client: *client, signature, known: None, restore: None })
}

/// Verifies a user's word on the session it came over, where the credential has to be the one that names the user.
pub fn verify_user(auth: &UserAuth, binding: &UserBinding<'_>) -> Result<VerifiedUser, UserError> {
    let named = UserId::of(&auth.cred);
    if named != auth.user {
        return Err(UserError::OtherUser { named, claimed: auth.user });
    }
    verify_credential(auth, binding)?.of_root()
}

/// Verifies a credential's word on the session it came over.
pub fn verify_credential(auth: &UserAuth, binding: &UserBinding<'_>) -> Result<ClaimedUser, UserError> {
    verify(&auth.cred, &user_words(binding, &auth.user, &auth.client), &auth.signature)?;
    Ok(ClaimedUser(VerifiedUser { user: auth.user, cred: auth.cred, client: auth.client }))
}

fn cred_of(key: &SigningKey) -> CredPublic {
    CredPublic(key.verifying_key().to_bytes())
}

fn verify(cred: &CredPublic, message: &[u8], signature: &Signature) -> Result<(), UserError> {
    let key = VerifyingKey::from_bytes(&cred.0).map_err(|_| UserError::BadCredential)?;
    if key.is_weak() {
        return Err(UserError::BadCredential);
    }
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(message, &signature).map_err(|_| UserError::BadSignature)
}

/// The word of a recovery key that it restores `user` on a session of credential `cred`.
pub fn sign_restore(binding: &UserBinding<'_>, user: &UserId, cred: &CredPublic, key: &SigningKey) -> RestoreProof {
    let signature = Signature(key.sign(&restored(binding, user, cred)).to_bytes());
    RestoreProof { key: cred_of(key), signature }
}

/// Verifies such a word on the session of `claimed`. Whose recovery key it is, is not said by it.
pub fn verify_restore(proof: &RestoreProof, binding: &UserBinding<'_>, claimed: &ClaimedUser) -> Result<(), UserError> {
    verify(&proof.key, &restored(binding, claimed.user(), claimed.cred()), &proof.signature)
}

fn restored(binding: &UserBinding<'_>, user: &UserId, cred: &CredPublic) -> Vec<u8> {
    let incarnation = binding.incarnation.0.to_be_bytes();
    enc(Label::Restored, &[&binding.handshake.0, &binding.nonce.0, &incarnation, &user.0, &cred.0])
}

/// A request to become a device of `user`, signed by the new device.
pub fn sign_device_request(cluster_id: &ClusterId, user: &UserId, name: DeviceName, key: &SigningKey) -> DeviceRequest {
    let cred = cred_of(key);
    let signature = Signature(key.sign(&requested(cluster_id, user, &cred, &name)).to_bytes());
    DeviceRequest { cluster_id: *cluster_id, user: *user, cred, name, signature }
}

/// Verifies that the new device signed its request.
pub fn verify_device_request(request: &DeviceRequest) -> Result<(), UserError> {
    verify(&request.cred, &requested(&request.cluster_id, &request.user, &request.cred, &request.name), &request.signature)
}

fn requested(cluster_id: &ClusterId, user: &UserId, cred: &CredPublic, name: &DeviceName) -> Vec<u8> {
    enc(Label::DeviceRequest, &[&cluster_id.0, &user.0, &cred.0, name.as_bytes()])
}

/// The word of one of the user's devices that a requested one is added after change `seq`.
pub fn sign_added(request: &DeviceRequest, seq: u64, key: &SigningKey) -> AddDevice {
    let signature = Signature(key.sign(&added(&request.cluster_id, &request.user, seq, &request.cred, &request.name)).to_bytes());
    AddDevice { cred: request.cred, name: request.name.clone(), asked: request.signature, seq, signature }
}

/// Verifies both words: the new device's that it asks, and the author's that it is added.
pub fn verify_added(ask: &AddDevice, cluster_id: &ClusterId, author: &VerifiedUser) -> Result<(), UserError> {
    verify(&ask.cred, &requested(cluster_id, author.user(), &ask.cred, &ask.name), &ask.asked)?;
    verify(author.cred(), &added(cluster_id, author.user(), ask.seq, &ask.cred, &ask.name), &ask.signature)
}

fn added(cluster_id: &ClusterId, user: &UserId, seq: u64, cred: &CredPublic, name: &DeviceName) -> Vec<u8> {
    enc(Label::DeviceAdded, &[&cluster_id.0, &user.0, &seq.to_be_bytes(), &cred.0, name.as_bytes()])
}

/// The word of a recovery key that data keys of `user` may be sealed to `kem`.
pub fn sign_escrow_key(cluster_id: &ClusterId, user: &UserId, kem: XWingPublic, key: &SigningKey) -> EscrowKey {
    let signature = Signature(key.sign(&EscrowKey::words(cluster_id, user, &kem)).to_bytes());
    EscrowKey { key: cred_of(key), kem, signature }
}

/// Verifies such a word. Whose recovery key it is, is not said by it.
pub fn verify_escrow_key(to: &EscrowKey, cluster_id: &ClusterId, user: &UserId) -> Result<(), UserError> {
    verify(&to.key, &EscrowKey::words(cluster_id, user, &to.kem), &to.signature)
}

/// The word of a recovery key that it is to be the user's after change `seq`.
pub fn sign_recovery(cluster_id: &ClusterId, user: &UserId, seq: u64, cool_down_s: u32, key: &SigningKey) -> SetRecovery {
    let public = cred_of(key);
    let signature = Signature(key.sign(&recovery_set(cluster_id, user, seq, &public)).to_bytes());
    SetRecovery { key: public, cool_down_s, seq, signature }
}

/// Verifies it.
pub fn verify_recovery(ask: &SetRecovery, cluster_id: &ClusterId, user: &UserId) -> Result<(), UserError> {
    verify(&ask.key, &recovery_set(cluster_id, user, ask.seq, &ask.key), &ask.signature)
}

fn recovery_set(cluster_id: &ClusterId, user: &UserId, seq: u64, key: &CredPublic) -> Vec<u8> {
    enc(Label::RecoverySet, &[&cluster_id.0, &user.0, &seq.to_be_bytes(), &key.0])
}
