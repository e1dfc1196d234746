//! Workload keys: made, wrapped for their grant policy, unwrapped, and derived for one user.
//!
//! Decides: a workload key is fresh randomness extracted with the KEK, like a data key; it is wrapped with AAD = `enc("workload-wrap", cluster_id,
//! name, policy version, policy digest, key_epoch)`, so that under another policy than the one in force it does not open, whoever exchanges rows.
//! A user's own key is expanded from it; the tag that stands for the user in the audit chain is keyed with the tag key.
//! Trusts: the caller, who appraised the workload, to ask for keys it may have. Out of scope: who that is (`attest`). Protocol section 10.

use super::{Keyring, WrapKeys};
use crate::derive::{Purpose, expand, extract};
use crate::hedge::HedgedIvs;
use crate::sealed::{open_in_place, seal_in_place};
use crate::space::OpenError;
use alloc::vec::Vec;
use ringwall_wire::codec::enc;
use ringwall_wire::command::WrappedKey;
use ringwall_wire::ids::{Digest, KeyEpoch, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::workload::SubjectTag;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// What a wrapped workload key is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadPlace<'a> {
    /// Name of the key.
    pub name: &'a str,
    /// Version of its grant policy.
    pub version: u64,
    /// SHA-256 of that policy.
    pub policy: Digest,
}

impl Keyring {
    /// Makes a workload key and wraps it under the newest master key.
    pub fn new_workload_key(&self, place: &WorkloadPlace<'_>, ivs: &mut HedgedIvs) -> WrappedKey {
        let mixed = extract(&self.newest_master().kek, ivs.random().expose());
        let key: Secret<32> = expand(&mixed, Purpose::WorkloadKey, &[&self.cluster_id.0, place.name.as_bytes()]);
        self.wrap_workload_key(&key, place, ivs)
    }

    /// Wraps a workload key for `place` under the newest master key.
    pub fn wrap_workload_key(&self, key: &Secret<32>, place: &WorkloadPlace<'_>, ivs: &mut HedgedIvs) -> WrappedKey {
        let master = self.newest_master();
        let aad = self.workload_aad(place, master.key_epoch);
        let iv = ivs.next(&[&aad, key.expose()]);
        let keys = WrapKeys::derive(&master.kek, &iv);
        let mut text = Vec::with_capacity(48);
        text.extend_from_slice(key.expose());
        seal_in_place(keys.parts().0, &aad, &mut text);
        let ciphertext = text.as_slice().try_into().expect("32 bytes and a tag are 48");
        let wrapped = WrappedKey { key_epoch: master.key_epoch, iv, commit: *keys.parts().1, ciphertext };
        wash_stack();
        wrapped
    }

    /// Unwraps a workload key. `place` is what is stored beside it; a lie is noticed.
    pub fn unwrap_workload_key(&self, place: &WorkloadPlace<'_>, wrapped: &WrappedKey) -> Result<Secret<32>, OpenError> {
        let unknown = OpenError::UnknownKeyEpoch { wanted: wrapped.key_epoch };
        let master = self.masters.iter().find(|master| master.key_epoch == wrapped.key_epoch).ok_or(unknown)?;
        let keys = WrapKeys::derive(&master.kek, &wrapped.iv);
        let (key, commit) = keys.parts();
        if !bool::from(commit.ct_eq(&wrapped.commit)) {
            return Err(OpenError::OtherKey);
        }
        let mut text = wrapped.ciphertext.to_vec();
        if !open_in_place(key, &self.workload_aad(place, wrapped.key_epoch), &mut text) {
            return Err(OpenError::NotAuthentic);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&text);
        text.zeroize();
        let key = Secret::from_mut(&mut bytes);
        wash_stack();
        Ok(key)
    }

    /// What stands for a user in the audit entries of a key.
    pub fn subject_tag(&self, name: &str, user: &UserId) -> SubjectTag {
        let fields: [&[u8]; 3] = [&self.cluster_id.0, name.as_bytes(), &user.0];
        SubjectTag(*expand::<16>(&self.tag_key, Purpose::WorkloadSubject, &fields).expose())
    }

    /// The key behind the certificate of the key broker protocol: of the cluster, not of a member, and of no generation of master keys. `at` picks
    /// another one where the first is no scalar.
    pub fn broker_key(&self, at: u8) -> Secret<32> {
        expand(&self.tag_key, Purpose::BrokerKey, &[&self.cluster_id.0, &[at]])
    }

    fn workload_aad(&self, place: &WorkloadPlace<'_>, key_epoch: KeyEpoch) -> Vec<u8> {
        let (version, epoch) = (place.version.to_be_bytes(), key_epoch.0.to_be_bytes());
        enc(Label::WorkloadKey, &[&self.cluster_id.0, place.name.as_bytes(), &version, &place.policy.0, &epoch])
    }
}

/// One user's own key: the same for every workload that is granted it.
pub fn workload_user_key(key: &Secret<32>, user: &UserId) -> Secret<32> {
    let derived = expand(key, Purpose::WorkloadUser, &[&user.0]);
    wash_stack();
    derived
}
