//! The key of a governor: one who may approve changes of the policy and order nodes away.
//!
//! Decides: like a user's credential, the key stands in a file of its own for its owner alone, is made once and never overwritten; the
//! two kinds of file are told apart by their first line. It signs the step from one policy to the next, that a step is withdrawn, that the policy in force is still wanted, an order to replace a node, an order about a workload key or about
//! custodians, and that it reads the audit chain of workload keys in one session.
//! Trusts: the file system to keep permissions. Out of scope: whether a governor's word counts (`attest`). Protocol section 8.

use crate::seed_file::{self, SeedFileError};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_wire::custody::{ActivateOrder, CustodiansOrder};
use ringwall_wire::governance::{PolicyLease, PolicyWithdrawal};
use ringwall_wire::ids::{SigPublic, Signature};
use ringwall_wire::order::ReplaceOrder;
use ringwall_wire::policy::{Approval, SignedPolicy};
use ringwall_wire::secret::Secret;
use ringwall_wire::workload::GrantOrder;
use std::path::Path;

/// First line of a governor's key file.
const HEADER: &str = "ringwall governor key 1";

/// An Ed25519 key. Dropped, it leaves no trace in memory.
#[derive(Clone)]
pub struct GovernorKey {
    seed: Secret<32>,
}

impl core::fmt::Debug for GovernorKey {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "GovernorKey({})", self.public())
    }
}

impl GovernorKey {
    /// Takes a seed from elsewhere: 32 uniformly random bytes.
    pub fn from_seed(seed: Secret<32>) -> Self {
        GovernorKey { seed }
    }

    /// Makes a new key in a new file that its owner alone can read, on stable storage when this returns.
    pub fn create(path: &Path) -> Result<Self, SeedFileError> {
        seed_file::create(path, HEADER).map(GovernorKey::from_seed)
    }

    /// Reads a key file, and refuses one that others can read.
    pub fn read(path: &Path) -> Result<Self, SeedFileError> {
        seed_file::read(path, HEADER).map(GovernorKey::from_seed)
    }

    /// The public half, as `governance.keys` lists it.
    pub fn public(&self) -> SigPublic {
        SigPublic(self.signing_key().verifying_key().to_bytes())
    }

    /// Approves a step.
    pub fn approve(&self, signed: &SignedPolicy) -> Approval {
        self.sign(&signed.signed_words())
    }

    /// Signs an order.
    pub fn order(&self, order: &ReplaceOrder) -> Approval {
        self.sign(&order.signed_words())
    }

    /// Signs an order about a workload key.
    pub fn grant(&self, order: &GrantOrder) -> Approval {
        self.sign(&order.signed_words())
    }

    /// Signs that a change shall not come into force.
    pub fn withdrawal(&self, withdrawal: &PolicyWithdrawal) -> Approval {
        self.sign(&withdrawal.signed_words())
    }

    /// Signs that the policy in force is still wanted.
    pub fn lease(&self, lease: &PolicyLease) -> Approval {
        self.sign(&lease.signed_words())
    }

    /// Signs an order that names other custodians.
    pub fn custodians(&self, order: &CustodiansOrder) -> Approval {
        self.sign(&order.signed_words())
    }

    /// Signs an order to activate a dealing without the acknowledgements that are missing.
    pub fn activation(&self, order: &ActivateOrder) -> Approval {
        self.sign(&order.signed_words())
    }

    /// Signs words of a protocol.
    pub(crate) fn sign(&self, words: &[u8]) -> Approval {
        Approval { key: self.public(), signature: Signature(self.signing_key().sign(words).to_bytes()) }
    }

    /// The key that signs; wiped by its own type when dropped.
    fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.seed.expose())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Credential;

    #[test]
    fn a_key_file_round_trips_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("governor");
        let made = GovernorKey::create(&path).unwrap();
        assert_eq!(GovernorKey::read(&path).unwrap().public(), made.public());
        assert!(matches!(GovernorKey::create(&path), Err(SeedFileError::Exists { .. })));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(GovernorKey::read(&path), Err(SeedFileError::Exposed { mode: 0o640, .. })));
        }
    }

    #[test]
    fn a_users_credential_is_no_governors_key_and_the_other_way_round() {
        let folder = tempfile::tempdir().unwrap();
        let (user, governor) = (folder.path().join("user"), folder.path().join("governor"));
        Credential::create(&user).unwrap();
        GovernorKey::create(&governor).unwrap();
        assert!(matches!(GovernorKey::read(&user), Err(SeedFileError::Malformed { .. })));
        assert!(Credential::read(&governor).is_err());
    }

    #[test]
    fn nothing_printed_holds_the_seed() {
        assert!(!format!("{:?}", GovernorKey::from_seed(Secret::new([0xab; 32]))).contains("abab"));
    }
}
