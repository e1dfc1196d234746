//! What a user's own key gives: a part of a namespace's keys in dual mode, all of them in user mode.
//!
//! Decides: the cluster never gets the user's key. In dual mode it gets, for one session, a part that is good for one namespace of one cluster; in
//! user mode it gets sealed names and values, and a commitment by which another key of the same user is noticed. A name is sealed under a key that
//! its own tag selects, so that equal names are equal bytes (the cluster can find them) and only the user can read them; a value like a record:
//! a key for each iv, a commitment that is compared first, bound to its name.
//! Trusts: the randomness it is given. Out of scope: keeping the key (`client`), the cluster's part (`ring.rs`). Protocol section 7.4.

use crate::bucket::{bucket, pad, unpad};
use crate::derive::{Purpose, expand};
use crate::hedge::HedgedIvs;
use crate::sealed::{TAG_BYTES, open_in_place, seal_in_place};
use crate::space::{OpenError, SealError};
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::codec::{Field, enc};
use ringwall_wire::ids::{ClusterId, Digest, KeyTag, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::limits::{USER_NAME_BYTES, USER_VALUE_BYTES};
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::{Secret, wash_stack};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// First bytes of a name sealed by its user.
const NAME_MAGIC: &[u8; 4] = b"RWn1";
/// First bytes of a value sealed by its user.
const VALUE_MAGIC: &[u8; 4] = b"RWv1";
/// Bytes before a sealed name: magic and tag.
const NAME_HEAD: usize = 4 + 16;
/// Bytes before a sealed value: magic, iv and commitment.
const VALUE_HEAD: usize = 4 + 24 + 32;
/// Bytes of the length in front of a padded text.
const LENGTH_BYTES: usize = 4;

/// A user's own key. It stays with the client.
#[derive(Clone)]
pub struct UserKey(Secret<32>);

impl core::fmt::Debug for UserKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("UserKey")
    }
}

impl UserKey {
    /// Takes 32 uniformly random bytes.
    pub fn from_seed(seed: Secret<32>) -> Self {
        UserKey(seed)
    }

    /// The bytes, for whoever keeps them.
    pub fn seed(&self) -> &Secret<32> {
        &self.0
    }

    /// The user's part of the keys of one namespace in dual mode.
    pub fn part(&self, cluster_id: &ClusterId, user: &UserId, namespace: &str) -> Secret<32> {
        let part = expand(&self.0, Purpose::UserPart, &[&cluster_id.0, &user.0, namespace.as_bytes()]);
        wash_stack();
        part
    }

    /// All keys of one namespace in user mode.
    pub fn space(&self, cluster_id: &ClusterId, user: &UserId, namespace: &str) -> UserSpace {
        let root: Secret<32> = expand(&self.0, Purpose::UserRoot, &[&cluster_id.0, &user.0, namespace.as_bytes()]);
        let space = UserSpace {
            cluster_id: *cluster_id,
            user: *user,
            namespace: namespace.into(),
            commitment: commitment(cluster_id, KeyMode::User, &root),
            index: expand(&root, Purpose::UserIndex, &[]),
            names: expand(&root, Purpose::UserNames, &[]),
            records: expand(&root, Purpose::UserRecords, &[]),
        };
        drop(root);
        wash_stack();
        space
    }
}

/// What the cluster stores in place of the user's part (dual mode) or root (user mode): it says which one it is, and nothing about it.
pub fn commitment(cluster_id: &ClusterId, mode: KeyMode, part: &Secret<32>) -> Digest {
    Digest(*expand::<32>(part, Purpose::UserCommit, &[&cluster_id.0, &mode.to_bytes()]).expose())
}

/// The keys of one namespace in user mode.
pub struct UserSpace {
    cluster_id: ClusterId,
    user: UserId,
    namespace: String,
    commitment: Digest,
    index: Secret<32>,
    names: Secret<32>,
    records: Secret<32>,
}

impl core::fmt::Debug for UserSpace {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("UserSpace")
    }
}

impl UserSpace {
    /// What the cluster stores in place of these keys.
    pub fn commitment(&self) -> Digest {
        self.commitment
    }

    /// Seals a name: the same name gives the same bytes.
    pub fn seal_name(&self, name: &[u8]) -> Result<Vec<u8>, SealError> {
        if name.len() > USER_NAME_BYTES {
            return Err(SealError::NameTooLong { len: name.len(), max: USER_NAME_BYTES });
        }
        let tag = self.tag(name);
        let mut text = pad(name, TAG_BYTES);
        seal_in_place(self.name_key(&tag).expose(), &self.aad(&tag), &mut text);
        Ok([NAME_MAGIC.as_slice(), &tag.0, &text].concat())
    }

    /// Opens a name that [`UserSpace::seal_name`] sealed.
    pub fn open_name(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let tag = name_tag(sealed).ok_or(OpenError::NotAuthentic)?;
        let mut text = sealed.get(NAME_HEAD..).unwrap_or_default().to_vec();
        if !open_in_place(self.name_key(&tag).expose(), &self.aad(&tag), &mut text) {
            return Err(OpenError::NotAuthentic);
        }
        if !unpad(&mut text) {
            text.zeroize();
            return Err(OpenError::BadPadding);
        }
        // The tag is a function of the name under a key of its own: no other name opens under it.
        match bool::from(self.tag(&text).0.ct_eq(&tag.0)) {
            true => Ok(text),
            false => Err(OpenError::OtherKey),
        }
    }

    /// Seals the value of the key whose name was sealed to `name`.
    pub fn seal_value(&self, name: &[u8], value: &[u8], ivs: &mut HedgedIvs) -> Result<Vec<u8>, SealError> {
        if value.len() > USER_VALUE_BYTES {
            return Err(SealError::ValueTooLong { len: value.len(), max: USER_VALUE_BYTES });
        }
        let aad = self.value_aad(name);
        let iv = ivs.next(&[&aad, value]);
        let keys = self.value_keys(&iv);
        let (key, commit) = parts(&keys);
        let mut text = pad(value, TAG_BYTES);
        seal_in_place(key, &aad, &mut text);
        Ok([VALUE_MAGIC.as_slice(), &iv, commit, &text].concat())
    }

    /// Opens the value of the key whose name was sealed to `name`.
    pub fn open_value(&self, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let body = sealed.strip_prefix(VALUE_MAGIC.as_slice()).ok_or(OpenError::NotAuthentic)?;
        let (iv, rest) = body.split_first_chunk::<24>().ok_or(OpenError::NotAuthentic)?;
        let (committed, text) = rest.split_first_chunk::<32>().ok_or(OpenError::NotAuthentic)?;
        let keys = self.value_keys(iv);
        let (key, commit) = parts(&keys);
        if !bool::from(commit.ct_eq(committed)) {
            return Err(OpenError::OtherKey);
        }
        let mut text = text.to_vec();
        if !open_in_place(key, &self.value_aad(name), &mut text) {
            return Err(OpenError::NotAuthentic);
        }
        if !unpad(&mut text) {
            text.zeroize();
            return Err(OpenError::BadPadding);
        }
        Ok(text)
    }

    fn tag(&self, name: &[u8]) -> KeyTag {
        KeyTag(*expand::<16>(&self.index, Purpose::KeyTag, &[name]).expose())
    }

    fn name_key(&self, tag: &KeyTag) -> Secret<32> {
        expand(&self.names, Purpose::UserName, &[&tag.0])
    }

    fn value_keys(&self, iv: &[u8; 24]) -> Secret<64> {
        expand(&self.records, Purpose::UserValue, &[iv])
    }

    fn aad(&self, tag: &KeyTag) -> Vec<u8> {
        enc(Label::UserSealed, &[&self.cluster_id.0, &self.user.0, self.namespace.as_bytes(), &tag.0])
    }

    fn value_aad(&self, name: &[u8]) -> Vec<u8> {
        enc(Label::UserSealed, &[&self.cluster_id.0, &self.user.0, self.namespace.as_bytes(), name])
    }
}

fn parts(keys: &Secret<64>) -> (&[u8; 32], &[u8; 32]) {
    let (chunks, _) = keys.expose().as_chunks::<32>();
    match chunks {
        [key, commit] => (key, commit),
        _ => unreachable!("64 bytes are two chunks of 32"),
    }
}

/// The tag of a name that has the shape of a sealed one.
fn name_tag(sealed: &[u8]) -> Option<KeyTag> {
    let body = sealed.strip_prefix(NAME_MAGIC.as_slice())?;
    let (tag, text) = body.split_first_chunk::<16>()?;
    is_padded(text.len(), USER_NAME_BYTES).then_some(KeyTag(*tag))
}

/// Whether a text of this length can be one that was padded and sealed, and holds at most `most` bytes.
fn is_padded(len: usize, most: usize) -> bool {
    let size = len.checked_sub(LENGTH_BYTES + TAG_BYTES);
    size.is_some_and(|size| size > 0 && size == bucket(size) && size <= bucket(most))
}

/// Whether bytes have the shape of a name its user sealed. What a cluster can tell; whether it opens, it cannot.
pub fn is_sealed_name(bytes: &[u8]) -> bool {
    name_tag(bytes).is_some()
}

/// Whether bytes have the shape of a value its user sealed.
pub fn is_sealed_value(bytes: &[u8]) -> bool {
    bytes.starts_with(VALUE_MAGIC) && bytes.len().checked_sub(VALUE_HEAD).is_some_and(|text| is_padded(text, USER_VALUE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_wire::limits::{KEY_BYTES, VALUE_BYTES};

    #[test]
    fn what_a_user_seals_fits_names_and_values() {
        assert!(NAME_HEAD + LENGTH_BYTES + bucket(USER_NAME_BYTES) + TAG_BYTES <= KEY_BYTES);
        assert!(VALUE_HEAD + LENGTH_BYTES + bucket(USER_VALUE_BYTES) + TAG_BYTES <= VALUE_BYTES);
    }
}
