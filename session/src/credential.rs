//! The key a device speaks for its user with.
//!
//! Decides: what its public half is and which user it names; the seed is in one type that leaves no trace. Trusts: whoever made the seed to have made it at random.
//! Out of scope: where it is kept (`client`, `client/web`), devices on a user's record. Protocol section 9.

use ed25519_dalek::SigningKey;
use ringwall_wire::ids::{CredPublic, UserId};
use ringwall_wire::secret::Secret;

/// An Ed25519 credential. Dropped, it leaves no trace in memory.
#[derive(Clone)]
pub struct Credential {
    seed: Secret<32>,
}

impl core::fmt::Debug for Credential {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Credential({})", self.user())
    }
}

impl Credential {
    /// Takes a seed: 32 uniformly random bytes.
    pub fn from_seed(seed: Secret<32>) -> Self {
        Credential { seed }
    }

    /// The public half.
    pub fn public(&self) -> CredPublic {
        CredPublic(self.signing_key().verifying_key().to_bytes())
    }

    /// The user it names.
    pub fn user(&self) -> UserId {
        UserId::of(&self.public())
    }

    /// The key that signs; wiped by its own type when dropped.
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.seed.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_holds_the_seed() {
        let credential = Credential::from_seed(Secret::new([0xab; 32]));
        assert!(!format!("{credential:?}").contains("abab"));
        assert_eq!(credential.user(), UserId::of(&credential.public()));
    }
}
