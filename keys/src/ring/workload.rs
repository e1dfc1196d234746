//! Workload keys: made, wrapped for their grant policy, unwrapped, and derived for one user.
//!
//! Decides: a workload key is fresh randomness extracted with the KEK, like a data key; it is wrapped with AAD = `enc("workload-wrap", cluster_id,
//! name, policy version, policy digest, key_epoch)`, so that under another policy than the one in force it does not open, whoever exchanges rows.
//! A user's own key is expanded from it; the tag that stands for the user in the audit chain is keyed with the tag key.
//! Trusts: the caller, who appraised the workload, to ask for keys it may have. Out of scope: who that is (`attest`). Protocol section 10.

use super::Keyring;
use crate::derive::{Purpose, expand, extract};
use crate::hedge::HedgedIvs;
use crate::space::OpenError;
use alloc::vec::Vec;
use ringwall_wire::codec::enc;
use ringwall_wire::command::WrappedKey;
use ringwall_wire::ids::{Digest, KeyEpoch, UserId};
use ringwall_wire::label::Label;
use ringwall_wire::secret::{Secret, wash_stack};
use ringwall_wire::workload::SubjectTag;

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
    /// Makes a workload key and wraps it under the master key `key_epoch`.
    pub fn new_workload_key(&self, place: &WorkloadPlace<'_>, key_epoch: KeyEpoch, ivs: &mut HedgedIvs) -> Result<WrappedKey, OpenError> {
        let master = self.master(key_epoch)?;
        let mixed = extract(&master.kek, ivs.random().expose());
        let key: Secret<32> = expand(&mixed, Purpose::WorkloadKey, &[&self.cluster_id.0, place.name.as_bytes()]);
        let wrapped = master.wrap_key(&self.workload_aad(place, key_epoch), &key, ivs);
        wash_stack();
        Ok(wrapped)
    }

    /// Wraps a workload key for another place, under another master key, or both. It stays the same key.
    pub fn move_workload_key(
        &self,
        from: &WorkloadPlace<'_>,
        wrapped: &WrappedKey,
        (to, key_epoch): (&WorkloadPlace<'_>, KeyEpoch),
        ivs: &mut HedgedIvs,
    ) -> Result<WrappedKey, OpenError> {
        let next = self.master(key_epoch)?;
        let key = self.unwrap_workload_key(from, wrapped)?;
        let moved = next.wrap_key(&self.workload_aad(to, key_epoch), &key, ivs);
        wash_stack();
        Ok(moved)
    }

    /// Unwraps a workload key. `place` is what is stored beside it; a lie is noticed.
    pub fn unwrap_workload_key(&self, place: &WorkloadPlace<'_>, wrapped: &WrappedKey) -> Result<Secret<32>, OpenError> {
        let aad = self.workload_aad(place, wrapped.key_epoch);
        let key = self.master(wrapped.key_epoch)?.unwrap_key(&aad, wrapped);
        wash_stack();
        key
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
