//! Data keys of a user's namespaces, sealed to a key that the recovery phrase gives: what opens the user's part of a backup when no cluster is left.
//!
//! Decides: `(public, secret) = X-Wing pair of expand(bits, "escrow-seed", cluster, user)`; a page of data keys is sealed to it as shares are to a custodian
//! (`custody/envelope.rs`), for one user of one cluster. A data key alone opens a namespace in cluster mode; in dual mode the user's part is mixed in as it is in
//! a member, in user mode what it opens is sealed once more under the user's own key.
//! Trusts: the caller to have found that the key is the one the user's recovery key signed. A member unwraps data keys here and nowhere shows them.
//! Out of scope: who may ask (`node`), files (`client`). Protocol section 9.2.

use crate::custody::Draws;
use crate::custody::envelope::{EnvelopeError, KemSecret, seal};
use crate::derive::{Purpose, expand};
use crate::phrase::Phrase;
use crate::ring::{Keyring, mixed};
use crate::space::{OpenError, SpaceKeys};
use alloc::vec::Vec;
use rand_core::CryptoRng;
use ringwall_wire::backup::{EscrowKey, EscrowPage, EscrowedKeys, EscrowedSpace};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Field;
use ringwall_wire::command::WrappedKey;
use ringwall_wire::ids::{ClusterId, SpaceTag, UserId};
use ringwall_wire::request::{KeyMode, Namespace};
use ringwall_wire::secret::{Secret, wash_stack};
use zeroize::Zeroize;

/// Why data keys were not sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscrowFault {
    /// One of them did not unwrap.
    #[error("the data key of namespace {space} did not unwrap: {fault}")]
    Wrapped {
        /// Which.
        space: SpaceTag,
        /// Why.
        fault: OpenError,
    },
    /// They cannot be sealed to this key.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// More than a page holds.
    #[error("{got} data keys are more than a page holds")]
    TooMany {
        /// How many.
        got: usize,
    },
}

/// A namespace whose data key is escrowed, as the state has it.
#[derive(Clone, Debug)]
pub struct Escrowed {
    /// Which.
    pub space: SpaceTag,
    /// Its key mode.
    pub mode: KeyMode,
    /// Its data key, wrapped.
    pub dek: WrappedKey,
    /// Its name, where it is known.
    pub name: Option<Namespace>,
}

impl Phrase {
    /// The pair data keys are sealed to for this user of this cluster.
    pub fn escrow_pair(&self, cluster_id: &ClusterId, user: &UserId) -> KemSecret {
        let seed = expand(self.bits(), Purpose::EscrowSeed, &[&cluster_id.0, &user.0]);
        wash_stack();
        KemSecret::from_seed(seed)
    }
}

impl Keyring {
    /// Seals data keys to a user's key. `next`: where the next page begins.
    pub fn escrow(
        &self,
        user: &UserId,
        to: &EscrowKey,
        spaces: &[Escrowed],
        next: Option<SpaceTag>,
        rng: &mut dyn CryptoRng,
    ) -> Result<EscrowedKeys, EscrowFault> {
        let mut keys = Vec::with_capacity(spaces.len());
        for Escrowed { space, mode, dek, name } in spaces {
            let dek = self.unwrapped(space, *mode, dek).map_err(|fault| EscrowFault::Wrapped { space: *space, fault })?;
            keys.push(EscrowedSpace { space: *space, mode: *mode, dek, name: name.clone() });
        }
        let page = EscrowPage { keys: List::new(keys).map_err(|_| EscrowFault::TooMany { got: spaces.len() })? };
        // A buffer of its size: it does not move while keys are written to it, which would leave them behind.
        let mut plain = page.to_bytes();
        drop(page);
        let mut draws = Draws::new(rng, &self.escrow_salt());
        let sealed = seal(&to.kem, &to.purpose(self.cluster_id(), user), &plain, &mut draws);
        plain.zeroize();
        wash_stack();
        let (kem, sealed) = sealed?;
        Ok(EscrowedKeys { kem, sealed: Blob::new(sealed).map_err(|_| EscrowFault::TooMany { got: spaces.len() })?, next })
    }
}

/// A namespace's data key that came out of an escrow.
#[derive(Clone)]
pub struct SpaceSecret {
    cluster_id: ClusterId,
    space: SpaceTag,
    mode: KeyMode,
    dek: Secret<32>,
    name: Option<Namespace>,
}

impl core::fmt::Debug for SpaceSecret {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "SpaceSecret({})", self.space)
    }
}

impl SpaceSecret {
    /// Which namespace.
    pub fn space(&self) -> &SpaceTag {
        &self.space
    }

    /// Its key mode.
    pub fn mode(&self) -> KeyMode {
        self.mode
    }

    /// Its name, where it was known when the keys were escrowed.
    pub fn name(&self) -> Option<&Namespace> {
        self.name.as_ref()
    }

    /// The keys of the cluster's seal over its records. In dual mode they need the user's part of that namespace, whose commitment the caller compared.
    pub fn keys(&self, part: Option<&Secret<32>>) -> Result<SpaceKeys, OpenError> {
        let keys = match (self.mode, part) {
            (KeyMode::Dual, None) => return Err(OpenError::UserKeyNeeded { mode: self.mode }),
            (KeyMode::Dual, Some(part)) => {
                let mixed = mixed(&self.cluster_id, &self.space, &self.dek, part);
                SpaceKeys::derive(self.cluster_id, self.space, self.mode, &mixed)
            }
            (mode, _) => SpaceKeys::derive(self.cluster_id, self.space, mode, &self.dek),
        };
        wash_stack();
        Ok(keys)
    }
}

/// Opens a page of data keys.
pub fn open_page(
    pair: &KemSecret,
    cluster_id: &ClusterId,
    user: &UserId,
    to: &EscrowKey,
    page: &EscrowedKeys,
) -> Result<Vec<SpaceSecret>, EnvelopeError> {
    let mut plain = pair.open(&to.purpose(cluster_id, user), &page.kem, &page.sealed)?;
    let opened = EscrowPage::from_bytes(&plain);
    plain.zeroize();
    let opened = opened.map_err(|fault| EnvelopeError::NotThat { fault })?;
    let secret = |EscrowedSpace { space, mode, dek, name }| SpaceSecret { cluster_id: *cluster_id, space, mode, dek, name };
    Ok(opened.keys.into_vec().into_iter().map(secret).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hedge::HedgedIvs;
    use crate::ring::FIRST_KEY_EPOCH;
    use crate::space::RecordPlace;
    use crate::user::UserKey;
    use alloc::boxed::Box;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use ringwall_wire::ids::{ClientTag, CredPublic, Incarnation, Signature};

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    #[test]
    fn data_keys_open_under_the_phrase_for_their_user_and_cluster_alone_and_open_what_the_cluster_sealed() {
        let (cluster, user) = (ClusterId([1; 32]), UserId([2; 20]));
        let ring = Keyring::found(cluster, &mut rng(1));
        let mut ivs = HedgedIvs::new(Box::new(rng(2)), Incarnation(1));
        let phrase = Phrase::from_entropy(Secret::new([7; 32]));
        let pair = phrase.escrow_pair(&cluster, &user);
        let to = EscrowKey { key: CredPublic([3; 32]), kem: pair.public(), signature: Signature([0; 64]) };
        let user_key = UserKey::from_seed(Secret::new([9; 32]));
        let part = user_key.part(&cluster, &user, "two");
        let escrowed = |ivs: &mut HedgedIvs, name: &str, mode| {
            let space = ring.space_tag(&user, name);
            let dek = ring.new_data_key(&space, mode, FIRST_KEY_EPOCH, ivs).expect("a ring has its first key");
            Escrowed { space, mode, dek, name: Namespace::new(name).ok() }
        };
        let spaces = [escrowed(&mut ivs, "one", KeyMode::Cluster), escrowed(&mut ivs, "two", KeyMode::Dual)];
        let page = ring.escrow(&user, &to, &spaces, None, &mut rng(3)).expect("two keys fit a page");
        let opened = open_page(&pair, &cluster, &user, &to, &page).expect("it was sealed to this pair");
        let theirs = [
            ring.unwrap_space_key(&spaces[0].space, KeyMode::Cluster, &spaces[0].dek),
            ring.unwrap_dual_space_key(&spaces[1].space, &spaces[1].dek, &part),
        ];
        for ((secret, theirs), part) in opened.iter().zip(theirs).zip([None, Some(&part)]) {
            let theirs = theirs.expect("the ring unwraps what it wrapped");
            let place = RecordPlace { key: theirs.key_tag(b"k"), client: ClientTag([4; 16]), seq: 5 };
            let record = theirs.seal(&place, b"k", b"v", &mut ivs).expect("small");
            let both = secret.keys(part).expect("the part is there").open(&place.key, &record);
            assert_eq!(both, Ok((b"k".to_vec(), b"v".to_vec())), "{:?}", secret.mode());
        }
        assert!(matches!(opened[1].keys(None), Err(OpenError::UserKeyNeeded { .. })));
        let other = Phrase::from_entropy(Secret::new([8; 32])).escrow_pair(&cluster, &user);
        assert!(open_page(&other, &cluster, &user, &to, &page).is_err(), "another phrase");
        assert!(open_page(&pair, &cluster, &UserId([5; 20]), &to, &page).is_err(), "another user");
        assert!(open_page(&pair, &ClusterId([6; 32]), &user, &to, &page).is_err(), "another cluster");
        let moved = EscrowKey { key: CredPublic([9; 32]), ..to.clone() };
        assert!(open_page(&pair, &cluster, &user, &moved, &page).is_err(), "another recovery key");
    }
}
