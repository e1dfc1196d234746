//! A user's word for who they are, good on one session alone.
//!
//! Decides: the signature covers `enc("user-auth-signed", h, nonce, incarnation, user, client)`, so that a signature captured on one
//! session is useless on any other (T-U1); the user id is the one the credential names; Ed25519 is verified strictly (no small-order
//! keys, no malleable signatures). Trusts: the session's handshake hash. Out of scope: enrolment, external identities, rate limits.
//! Protocol sections 3 (step 6) and 9.

use alloc::vec::Vec;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use ringwall_wire::codec::enc;
use ringwall_wire::ids::{ClientId, CredPublic, Digest, Incarnation, Nonce, Signature, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::session::UserAuth;

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
    let cred = CredPublic(key.verifying_key().to_bytes());
    let user = UserId::of(&cred);
    let signature = Signature(key.sign(&signed(binding, &user, client)).to_bytes());
    UserAuth { user, cred, client: *client, signature, known: None }
}

/// Verifies a user's word on the session it came over.
pub fn verify_user(auth: &UserAuth, binding: &UserBinding<'_>) -> Result<VerifiedUser, UserError> {
    let named = UserId::of(&auth.cred);
    if named != auth.user {
        return Err(UserError::OtherUser { named, claimed: auth.user });
    }
    let key = VerifyingKey::from_bytes(&auth.cred.0).map_err(|_| UserError::BadCredential)?;
    if key.is_weak() {
        return Err(UserError::BadCredential);
    }
    let signature = ed25519_dalek::Signature::from_bytes(&auth.signature.0);
    key.verify_strict(&signed(binding, &auth.user, &auth.client), &signature).map_err(|_| UserError::BadSignature)?;
    Ok(VerifiedUser { user: auth.user, cred: auth.cred, client: auth.client })
}

fn signed(binding: &UserBinding<'_>, user: &UserId, client: &ClientId) -> Vec<u8> {
    let incarnation = binding.incarnation.0.to_be_bytes();
    enc(Label::UserAuthSigned, &[&binding.handshake.0, &binding.nonce.0, &incarnation, &user.0, &client.0])
}
