//! The live master keys of a cluster, namespace tags, and the wrapping of data keys.
//!
//! Decides: `KEK_e = expand(MK_e, "kek", cluster_id, e)`. The tag key is random, made at founding and granted as key epoch 0, so that tags
//! survive the rotation of master keys. A data key is fresh randomness extracted with the KEK (a failing generator alone does not
//! give it away) and is wrapped with a commitment to its wrapping key; AAD = `enc("wrap", cluster_id, space, key mode, key_epoch)`.
//! A master key has a public commitment, by which members know that they hold the same one. A ring is never changed: one key more or less is
//! another ring. Which generation is in use says the log, so it is the caller who names it.
//! Trusts: whoever grants the keys (an attested session). Out of scope: when keys change (`node`), custody. Protocol section 7.

mod workload;

pub use workload::{WorkloadPlace, workload_user_key};

use crate::custody::recovered::mac;
use crate::derive::{Purpose, expand, extract};
use crate::hedge::{HedgedIvs, random};
use crate::sealed::{open_in_place, seal_in_place};
use crate::space::{OpenError, SealError, SpaceKeys};
use alloc::vec::Vec;
use rand_core::CryptoRng;
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::codec::{Field, enc};
use ringwall_wire::command::WrappedKey;
use ringwall_wire::ids::{ClientId, ClientTag, ClusterId, CustodianId, CustodyEpoch, Digest, KeyEpoch, OwnerMark, SpaceTag, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::request::KeyMode;
use ringwall_wire::rotation::KeyGeneration;
use ringwall_wire::secret::{Secret, wash_stack};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The key epoch the tag key is granted under.
pub const TAG_KEY_EPOCH: KeyEpoch = KeyEpoch(0);
/// The first master key's epoch.
pub const FIRST_KEY_EPOCH: KeyEpoch = KeyEpoch(1);

/// Why granted keys make no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The grant lacks the tag key (key epoch 0).
    #[error("the grant lacks the tag key (key epoch 0)")]
    NoTagKey,
    /// The grant holds no master key.
    #[error("the grant holds no master key")]
    NoMasterKey,
    /// A key epoch appears twice.
    #[error("the grant holds key epoch {key_epoch} twice")]
    Twice {
        /// Which.
        key_epoch: KeyEpoch,
    },
}

/// What a wrapped key of a dealing is for: it is unwrapped for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustodyUse<'a> {
    /// Making tags of recovery blobs.
    Tag,
    /// Judging proofs of this custodian's share.
    Proof(&'a CustodianId),
}

/// The keys every member of a cluster holds in memory.
#[derive(Clone)]
pub struct Keyring {
    cluster_id: ClusterId,
    tag_key: Secret<32>,
    /// Ascending by epoch; never empty.
    masters: Vec<Master>,
}

#[derive(Clone)]
struct Master {
    key_epoch: KeyEpoch,
    key: Secret<32>,
    kek: Secret<32>,
    /// Key of the seals on what members write: made once, because every flush of a log is sealed.
    log_seal: Secret<32>,
}

impl core::fmt::Debug for Keyring {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Keyring(cluster {}, newest key epoch {})", self.cluster_id, self.newest())
    }
}

impl Keyring {
    /// Makes the keys of a new cluster.
    pub fn found<R: CryptoRng + ?Sized>(cluster_id: ClusterId, rng: &mut R) -> Self {
        let tag_key = random(rng);
        let masters = alloc::vec![Master::new(&cluster_id, FIRST_KEY_EPOCH, random(rng))];
        wash_stack();
        Keyring { cluster_id, tag_key, masters }
    }

    /// Takes over the keys another member granted, in any order.
    pub fn from_grant(cluster_id: ClusterId, granted: &[GrantedKey]) -> Result<Self, KeyringError> {
        let mut tag_key = None;
        let mut masters: Vec<Master> = Vec::with_capacity(granted.len());
        for GrantedKey { key_epoch, key } in granted {
            let twice = match *key_epoch {
                TAG_KEY_EPOCH => tag_key.replace(key.clone()).is_some(),
                _ => masters.iter().any(|master| master.key_epoch == *key_epoch),
            };
            if twice {
                return Err(KeyringError::Twice { key_epoch: *key_epoch });
            }
            if *key_epoch != TAG_KEY_EPOCH {
                masters.push(Master::new(&cluster_id, *key_epoch, key.clone()));
            }
        }
        masters.sort_by_key(|master| master.key_epoch);
        wash_stack();
        let tag_key = tag_key.ok_or(KeyringError::NoTagKey)?;
        if masters.is_empty() {
            return Err(KeyringError::NoMasterKey);
        }
        Ok(Keyring { cluster_id, tag_key, masters })
    }

    /// Everything an admitted member needs: the tag key first, then the master keys.
    pub fn granted(&self) -> Vec<GrantedKey> {
        let tag_key = GrantedKey { key_epoch: TAG_KEY_EPOCH, key: self.tag_key.clone() };
        let masters = self.masters.iter().map(|master| GrantedKey { key_epoch: master.key_epoch, key: master.key.clone() });
        core::iter::once(tag_key).chain(masters).collect()
    }

    /// The cluster.
    pub fn cluster_id(&self) -> &ClusterId {
        &self.cluster_id
    }

    /// The key tags are made with; it outlives master keys.
    pub(crate) fn tag_key(&self) -> &Secret<32> {
        &self.tag_key
    }

    /// The newest generation on the ring: it may be one the log has not named yet.
    pub fn newest(&self) -> KeyEpoch {
        self.masters.last().expect("a ring holds a master key").key_epoch
    }

    /// Generations on the ring, ascending.
    pub fn generations(&self) -> Vec<KeyGeneration> {
        let masters = self.masters.iter();
        masters.map(|master| generation(&self.cluster_id, master.key_epoch, &master.key)).collect()
    }

    /// Makes a master key; it is on no ring yet.
    pub fn new_master<R: CryptoRng + ?Sized>(&self, key_epoch: KeyEpoch, rng: &mut R) -> GrantedKey {
        let key = random(rng);
        wash_stack();
        GrantedKey { key_epoch, key }
    }

    /// The key of a generation, as it is granted.
    pub fn granted_key(&self, key_epoch: KeyEpoch) -> Option<GrantedKey> {
        let master = self.masters.iter().find(|master| master.key_epoch == key_epoch)?;
        Some(GrantedKey { key_epoch, key: master.key.clone() })
    }

    /// What everybody may know of a master key.
    pub fn generation_of(&self, key: &GrantedKey) -> KeyGeneration {
        generation(&self.cluster_id, key.key_epoch, &key.key)
    }

    /// The ring with this master key, in place of any other of its generation. The tag key is never replaced.
    #[must_use]
    pub fn with(&self, key: &GrantedKey) -> Self {
        let mut ring = self.clone();
        if key.key_epoch == TAG_KEY_EPOCH {
            return ring;
        }
        ring.masters.retain(|master| master.key_epoch != key.key_epoch);
        ring.masters.push(Master::new(&self.cluster_id, key.key_epoch, key.key.clone()));
        ring.masters.sort_by_key(|master| master.key_epoch);
        wash_stack();
        ring
    }

    /// The ring with the generations `keep` names; the same ring if none would be left.
    #[must_use]
    pub fn keeping(&self, keep: impl Fn(&KeyGeneration) -> bool) -> Self {
        let mut ring = self.clone();
        ring.masters.retain(|master| keep(&generation(&self.cluster_id, master.key_epoch, &master.key)));
        match ring.masters.is_empty() {
            true => self.clone(),
            false => ring,
        }
    }

    /// The tag replicas know a user's namespace by.
    pub fn space_tag(&self, user: &UserId, namespace: &str) -> SpaceTag {
        let fields: [&[u8]; 3] = [&self.cluster_id.0, &user.0, namespace.as_bytes()];
        SpaceTag(*expand::<16>(&self.tag_key, Purpose::SpaceTag, &fields).expose())
    }

    /// The mark that says whose a namespace is, to whoever has the tag key and asks about this user.
    pub fn owner_mark(&self, user: &UserId, space: &SpaceTag) -> OwnerMark {
        let fields: [&[u8]; 3] = [&self.cluster_id.0, &user.0, &space.0];
        OwnerMark(*expand::<16>(&self.tag_key, Purpose::OwnerMark, &fields).expose())
    }

    /// The tag replicas know a client of a namespace by.
    pub fn client_tag(&self, space: &SpaceTag, client: &ClientId) -> ClientTag {
        let fields: [&[u8]; 3] = [&self.cluster_id.0, &space.0, &client.0];
        ClientTag(*expand::<16>(&self.tag_key, Purpose::ClientTag, &fields).expose())
    }

    /// Makes the data key of a new namespace and wraps it under the master key `key_epoch`; gives the namespace's keys too, which in dual mode need
    /// the user's part: there, use [`Keyring::new_data_key`].
    pub fn new_space_key(
        &self,
        space: &SpaceTag,
        mode: KeyMode,
        key_epoch: KeyEpoch,
        ivs: &mut HedgedIvs,
    ) -> Result<(SpaceKeys, WrappedKey), SealError> {
        if mode == KeyMode::Dual {
            return Err(SealError::UserKeyNeeded { mode });
        }
        let (dek, wrapped) = self.fresh(space, mode, key_epoch, ivs)?;
        let made = SpaceKeys::derive(self.cluster_id, *space, mode, &dek);
        drop(dek);
        wash_stack();
        Ok((made, wrapped))
    }

    /// Makes the data key of a new namespace, wrapped under the master key `key_epoch`.
    pub fn new_data_key(&self, space: &SpaceTag, mode: KeyMode, key_epoch: KeyEpoch, ivs: &mut HedgedIvs) -> Result<WrappedKey, SealError> {
        let (dek, wrapped) = self.fresh(space, mode, key_epoch, ivs)?;
        drop(dek);
        wash_stack();
        Ok(wrapped)
    }

    #[inline(never)]
    fn fresh(
        &self,
        space: &SpaceTag,
        mode: KeyMode,
        key_epoch: KeyEpoch,
        ivs: &mut HedgedIvs,
    ) -> Result<(Secret<32>, WrappedKey), SealError> {
        let master = self.master(key_epoch).map_err(|_| SealError::UnknownKeyEpoch { wanted: key_epoch })?;
        let mixed = extract(&master.kek, ivs.random().expose());
        let dek: Secret<32> = expand(&mixed, Purpose::Dek, &[&self.cluster_id.0, &space.0]);
        let wrapped = master.wrap_key(&self.wrap_aad(space, mode, key_epoch), &dek, ivs);
        Ok((dek, wrapped))
    }

    /// Unwraps the data key of a namespace and derives its keys. `mode` is the one stored beside the wrapped key; a lie is noticed.
    pub fn unwrap_space_key(&self, space: &SpaceTag, mode: KeyMode, wrapped: &WrappedKey) -> Result<SpaceKeys, OpenError> {
        if mode == KeyMode::Dual {
            return Err(OpenError::UserKeyNeeded { mode });
        }
        let dek = self.unwrapped(space, mode, wrapped)?;
        let keys = SpaceKeys::derive(self.cluster_id, *space, mode, &dek);
        drop(dek);
        wash_stack();
        Ok(keys)
    }

    /// The keys of a namespace in dual mode: its data key mixed with the user's part, neither of which says anything about them alone. A part that is
    /// not the one of its records gives keys that open nothing: compare [`crate::user::commitment`] first.
    pub fn unwrap_dual_space_key(&self, space: &SpaceTag, wrapped: &WrappedKey, part: &Secret<32>) -> Result<SpaceKeys, OpenError> {
        let dek = self.unwrapped(space, KeyMode::Dual, wrapped)?;
        let mixed = mixed(&self.cluster_id, space, &dek, part);
        let keys = SpaceKeys::derive(self.cluster_id, *space, KeyMode::Dual, &mixed);
        drop((dek, mixed));
        wash_stack();
        Ok(keys)
    }

    #[inline(never)]
    pub(crate) fn unwrapped(&self, space: &SpaceTag, mode: KeyMode, wrapped: &WrappedKey) -> Result<Secret<32>, OpenError> {
        self.master(wrapped.key_epoch)?.unwrap_key(&self.wrap_aad(space, mode, wrapped.key_epoch), wrapped)
    }

    /// Wraps a data key under another master key. It stays the same key; no record is sealed again.
    pub fn rewrap(
        &self,
        space: &SpaceTag,
        mode: KeyMode,
        wrapped: &WrappedKey,
        to: KeyEpoch,
        ivs: &mut HedgedIvs,
    ) -> Result<WrappedKey, OpenError> {
        let next = self.master(to)?;
        let dek = self.master(wrapped.key_epoch)?.unwrap_key(&self.wrap_aad(space, mode, wrapped.key_epoch), wrapped)?;
        let rewrapped = next.wrap_key(&self.wrap_aad(space, mode, to), &dek, ivs);
        wash_stack();
        Ok(rewrapped)
    }

    /// Wraps a key of the dealing with this manifest under the newest master key of this ring.
    pub fn wrap_custody(&self, manifest: &Digest, purpose: CustodyUse<'_>, key: &Secret<32>, ivs: &mut HedgedIvs) -> WrappedKey {
        let master = self.newest_master();
        let wrapped = master.wrap_key(&self.custody_aad(manifest, purpose, master.key_epoch), key, ivs);
        wash_stack();
        wrapped
    }

    /// Unwraps it again; another manifest, purpose or custodian is noticed.
    pub fn unwrap_custody(&self, manifest: &Digest, purpose: CustodyUse<'_>, wrapped: &WrappedKey) -> Result<Secret<32>, OpenError> {
        let aad = self.custody_aad(manifest, purpose, wrapped.key_epoch);
        let key = self.master(wrapped.key_epoch)?.unwrap_key(&aad, wrapped);
        wash_stack();
        key
    }

    /// Seals words about what a member writes to its disk, under this generation; none if the ring lacks it. A host that makes up a disk cannot make this.
    pub fn seal_log(&self, key_epoch: KeyEpoch, words: &[u8]) -> Option<[u8; 32]> {
        // `mac` washes the stack.
        self.master(key_epoch).ok().map(|master| mac(&master.log_seal, words))
    }

    /// Whether a holder of this generation sealed these words.
    pub fn has_sealed(&self, key_epoch: KeyEpoch, words: &[u8], sealed: &[u8; 32]) -> bool {
        self.seal_log(key_epoch, words).is_some_and(|wanted| bool::from(wanted.ct_eq(sealed)))
    }

    /// What the randomness of a dealing, or of a blob that is sealed anew, is mixed with.
    pub fn custody_salt(&self, custody_epoch: CustodyEpoch) -> Secret<32> {
        expand(&self.newest_master().kek, Purpose::CustodySalt, &[&custody_epoch.0.to_be_bytes()])
    }

    /// What the randomness of escrowed data keys is mixed with.
    pub(crate) fn escrow_salt(&self) -> Secret<32> {
        expand(&self.newest_master().kek, Purpose::EscrowSalt, &[])
    }

    /// The oldest generation on the ring.
    pub fn oldest(&self) -> KeyEpoch {
        self.masters.first().expect("a ring holds a master key").key_epoch
    }

    fn custody_aad(&self, manifest: &Digest, purpose: CustodyUse<'_>, key_epoch: KeyEpoch) -> Vec<u8> {
        let whose: &[u8] = match purpose {
            CustodyUse::Tag => &[],
            CustodyUse::Proof(custodian) => &custodian.0,
        };
        enc(Label::CustodyWrap, &[&self.cluster_id.0, &manifest.0, whose, &key_epoch.0.to_be_bytes()])
    }

    fn master(&self, key_epoch: KeyEpoch) -> Result<&Master, OpenError> {
        let found = self.masters.iter().find(|master| master.key_epoch == key_epoch);
        found.ok_or(OpenError::UnknownKeyEpoch { wanted: key_epoch })
    }

    fn newest_master(&self) -> &Master {
        self.masters.last().expect("a ring holds a master key")
    }

    fn wrap_aad(&self, space: &SpaceTag, mode: KeyMode, key_epoch: KeyEpoch) -> Vec<u8> {
        enc(Label::WrappedKey, &[&self.cluster_id.0, &space.0, &mode.to_bytes(), &key_epoch.0.to_be_bytes()])
    }
}

impl Master {
    #[inline(never)]
    fn new(cluster_id: &ClusterId, key_epoch: KeyEpoch, key: Secret<32>) -> Self {
        let epoch = key_epoch.0.to_be_bytes();
        let fields: [&[u8]; 2] = [&cluster_id.0, &epoch];
        let (kek, log_seal) = (expand(&key, Purpose::Kek, &fields), expand(&key, Purpose::LogSeal, &fields));
        Master { key_epoch, key, kek, log_seal }
    }

    fn wrap_key(&self, aad: &[u8], key: &Secret<32>, ivs: &mut HedgedIvs) -> WrappedKey {
        let iv = ivs.next(&[aad, key.expose()]);
        let keys = WrapKeys::derive(&self.kek, &iv);
        let mut text = Vec::with_capacity(48);
        text.extend_from_slice(key.expose());
        seal_in_place(keys.parts().0, aad, &mut text);
        let ciphertext = text.as_slice().try_into().expect("32 bytes and a tag are 48");
        WrappedKey { key_epoch: self.key_epoch, iv, commit: *keys.parts().1, ciphertext }
    }

    /// Commitment first, then the tag.
    fn unwrap_key(&self, aad: &[u8], wrapped: &WrappedKey) -> Result<Secret<32>, OpenError> {
        let keys = WrapKeys::derive(&self.kek, &wrapped.iv);
        let (key, commit) = keys.parts();
        if !bool::from(commit.ct_eq(&wrapped.commit)) {
            return Err(OpenError::OtherKey);
        }
        let mut text = wrapped.ciphertext.to_vec();
        if !open_in_place(key, aad, &mut text) {
            return Err(OpenError::NotAuthentic);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&text);
        text.zeroize();
        Ok(Secret::from_mut(&mut bytes))
    }
}

/// The data key of a namespace in dual mode: neither of the two it is made of says anything about it.
#[inline(never)]
pub(crate) fn mixed(cluster_id: &ClusterId, space: &SpaceTag, dek: &Secret<32>, part: &Secret<32>) -> Secret<32> {
    let fields: [&[u8]; 2] = [&cluster_id.0, &space.0];
    let salt: Secret<32> = expand(dek, Purpose::MixSalt, &fields);
    let input = Zeroizing::new(enc(Label::Mix, &[dek.expose(), part.expose()]));
    expand(&extract(&salt, &input), Purpose::DekMix, &fields)
}

fn generation(cluster_id: &ClusterId, key_epoch: KeyEpoch, key: &Secret<32>) -> KeyGeneration {
    let commit = expand::<32>(key, Purpose::MasterCommit, &[&cluster_id.0, &key_epoch.0.to_be_bytes()]);
    KeyGeneration { key_epoch, commit: Digest(*commit.expose()) }
}

/// Wrapping key and commitment.
struct WrapKeys(Secret<64>);

impl WrapKeys {
    fn derive(kek: &Secret<32>, iv: &[u8; 24]) -> Self {
        WrapKeys(expand(kek, Purpose::WrapKeys, &[iv]))
    }

    fn parts(&self) -> (&[u8; 32], &[u8; 32]) {
        let (chunks, _) = self.0.expose().as_chunks::<32>();
        match chunks {
            [key, commit] => (key, commit),
            _ => unreachable!("64 bytes are two chunks of 32"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_of_both_parts_has_its_known_answer() {
        // Computed with Python's `hmac`, not with this crate.
        let dek = Secret::new(core::array::from_fn(|byte| byte as u8));
        let mixed = mixed(&ClusterId([0x11; 32]), &SpaceTag([0x66; 16]), &dek, &Secret::new([0x77; 32]));
        let want = "2346f84f1b24dd8459d521b1d06987b566c946fa732203341967d12b232ff7d5";
        assert_eq!(ringwall_wire::text::hex(mixed.expose()), want);
    }
}
