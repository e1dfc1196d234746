//! A phrase and what it opens: a new one, the escrow of the user's own key, and that key out of it.
//!
//! Decides: the escrow belongs to one phrase, user and cluster, and says so in the clear; a phrase it does not belong to opens nothing.
//! Trusts: `keys`. Out of scope: files (`client`), making the phrase count (`users.rs`). Protocol section 9.

use ed25519_dalek::SigningKey;
use rand_core::CryptoRng;
use ringwall_keys::phrase::EscrowPlace;
use ringwall_keys::{HedgedIvs, OpenError, Phrase, UserKey};
use ringwall_wire::ids::{ClusterId, CredPublic, Incarnation, UserId};
use ringwall_wire::secret::Secret;
use ringwall_wire::user::{EscrowSecrets, UserEscrow};

/// The escrow opens under another phrase, or was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the escrow does not open under this phrase: it belongs to another one, perhaps an earlier one, or was altered")]
pub struct OtherPhrase;

/// The public half of the key a phrase stands for.
pub fn recovery_public(phrase: &Phrase) -> CredPublic {
    CredPublic(SigningKey::from_bytes(phrase.signature_seed().expose()).verifying_key().to_bytes())
}

/// A new phrase.
pub fn new_phrase(rng: &mut dyn CryptoRng) -> Phrase {
    let mut entropy = [0; 32];
    rng.fill_bytes(&mut entropy);
    Phrase::from_entropy(Secret::from_mut(&mut entropy))
}

/// Seals what restores `user` under `phrase`; `seq` is the number of the last change of the user's record.
pub fn make(
    phrase: &Phrase,
    (cluster_id, user): (ClusterId, UserId),
    seq: u64,
    user_key: Option<&UserKey>,
    rng: Box<dyn CryptoRng + Send>,
) -> UserEscrow {
    let place = EscrowPlace { cluster_id, user, key: recovery_public(phrase) };
    let secrets = EscrowSecrets { user_key: user_key.map(|key| key.seed().clone()) };
    phrase.seal_escrow(&place, seq, &secrets, &mut HedgedIvs::new(rng, Incarnation(0)))
}

/// Opens an escrow: the user's own key, if it holds one.
pub fn open(phrase: &Phrase, escrow: &UserEscrow) -> Result<Option<UserKey>, OtherPhrase> {
    if escrow.key != recovery_public(phrase) {
        return Err(OtherPhrase);
    }
    let secrets = phrase.open_escrow(escrow).map_err(|_: OpenError| OtherPhrase)?;
    Ok(secrets.user_key.map(UserKey::from_seed))
}
