//! Users and devices as replicas know them: tags in place of ids and credentials, and what a device is called, sealed.
//!
//! Decides: tags are keyed with the tag key, so that a disk says neither which user a record is of nor which credential is a device of it. A device's
//! credential and name are sealed under a key for each iv, bound to user and tag, commitment first. Tag key and sealed devices outlive master keys.
//! Trusts: members, who hold the key. Out of scope: what a device may (`consensus`, `node`). Protocol section 9.

use crate::bucket::{pad, unpad};
use crate::derive::{Purpose, expand};
use crate::hedge::HedgedIvs;
use crate::ring::Keyring;
use crate::sealed::{TAG_BYTES, open_in_place, seal_in_place};
use crate::space::OpenError;
use alloc::vec::Vec;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::{Field, enc};
use ringwall_wire::ids::{CredPublic, DeviceTag, UserId, UserTag};
use ringwall_wire::label::Label;
use ringwall_wire::secret::Secret;
use ringwall_wire::user::{DeviceEntry, DeviceName};
use subtle::ConstantTimeEq;

impl Keyring {
    /// The tag replicas know a user by.
    pub fn user_tag(&self, user: &UserId) -> UserTag {
        UserTag(*expand::<16>(self.tag_key(), Purpose::UserTag, &[&self.cluster_id().0, &user.0]).expose())
    }

    /// The tag replicas know a user's device by.
    pub fn device_tag(&self, user: &UserTag, cred: &CredPublic) -> DeviceTag {
        DeviceTag(*expand::<16>(self.tag_key(), Purpose::DeviceTag, &[&self.cluster_id().0, &user.0, &cred.0]).expose())
    }

    /// The tag replicas know a user's recovery key by.
    pub fn recovery_tag(&self, user: &UserTag, key: &CredPublic) -> DeviceTag {
        DeviceTag(*expand::<16>(self.tag_key(), Purpose::UserRecoveryTag, &[&self.cluster_id().0, &user.0, &key.0]).expose())
    }

    /// A device for the record: its tag, and credential and name sealed.
    pub fn seal_device(&self, user: &UserTag, cred: &CredPublic, name: &DeviceName, ivs: &mut HedgedIvs) -> DeviceEntry {
        let tag = self.device_tag(user, cred);
        let mut plain = cred.to_bytes();
        name.put(&mut plain);
        let aad = self.device_aad(user, &tag);
        let iv = ivs.next(&[&aad, &plain]);
        let keys = self.device_keys(user, &iv);
        let mut text = pad(&plain, TAG_BYTES);
        let (key, commit) = keys.expose().split_at(32);
        seal_in_place(key.try_into().expect("half of 64 bytes is 32"), &aad, &mut text);
        let sealed: Vec<u8> = [iv.as_slice(), commit, &text].concat();
        DeviceEntry { tag, sealed: Blob::new(sealed).expect("a padded device fits SEALED_DEVICE_BYTES") }
    }

    /// Credential and name of a device on record.
    pub fn open_device(&self, user: &UserTag, entry: &DeviceEntry) -> Result<(CredPublic, DeviceName), OpenError> {
        let (iv, rest) = entry.sealed.split_first_chunk::<24>().ok_or(OpenError::NotAuthentic)?;
        let (committed, text) = rest.split_first_chunk::<32>().ok_or(OpenError::NotAuthentic)?;
        let keys = self.device_keys(user, iv);
        let (key, commit) = keys.expose().split_at(32);
        if !bool::from(commit.ct_eq(committed)) {
            return Err(OpenError::OtherKey);
        }
        let mut text = text.to_vec();
        let key = key.try_into().expect("half of 64 bytes is 32");
        if !open_in_place(key, &self.device_aad(user, &entry.tag), &mut text) {
            return Err(OpenError::NotAuthentic);
        }
        if !unpad(&mut text) {
            return Err(OpenError::BadPadding);
        }
        let (cred, name) = text.split_first_chunk::<32>().ok_or(OpenError::BadPadding)?;
        Ok((CredPublic(*cred), DeviceName::from_bytes(name).map_err(|_| OpenError::BadPadding)?))
    }

    fn device_keys(&self, user: &UserTag, iv: &[u8; 24]) -> Secret<64> {
        expand(self.tag_key(), Purpose::DeviceKeys, &[&self.cluster_id().0, &user.0, iv])
    }

    fn device_aad(&self, user: &UserTag, tag: &DeviceTag) -> Vec<u8> {
        enc(Label::Device, &[&self.cluster_id().0, &user.0, &tag.0])
    }
}
