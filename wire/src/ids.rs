//! Names of things: clusters, nodes, keys, users, positions in the log.
//!
//! Decides: each identifier is a type of its own, so that one cannot be passed for another. Protocol section 2.1.
//! Trusts: nothing. Out of scope: what proves that an identifier is genuine.

use crate::codec::enc_digest;
use crate::label::Label;
use crate::{byte_name, choice, number_name, record};

byte_name!(/// SHA-256 of the genesis record: the identity clients pin.
    ClusterId, 32);
byte_name!(/// A SHA-256 digest.
    Digest, 32);
byte_name!(/// 32 fresh random bytes.
    Nonce, 32);
byte_name!(/// X25519 public key of a node's Noise static key.
    NoisePublic, 32);
byte_name!(/// Ed25519 public key of an incarnation.
    SigPublic, 32);
byte_name!(/// ML-KEM-768 encapsulation key.
    KemPublic, 1184);
byte_name!(/// Ed25519 public key of a user's device.
    CredPublic, 32);
byte_name!(/// Ed25519 signature.
    Signature, 64);
byte_name!(/// First 20 bytes of SHA-256 over the credential: a user's name.
    UserId, 20);
byte_name!(/// Random name of one client process, for exactly-once retries.
    ClientId, 16);
byte_name!(/// Keyed tag of a user's namespace: what replicas index by.
    SpaceTag, 16);
byte_name!(/// Keyed tag of a key name.
    KeyTag, 16);
byte_name!(/// Keyed mark of whose a namespace is: another one in each namespace, so that only who has the tag key sees which belong together.
    OwnerMark, 16);
byte_name!(/// Keyed tag of a user.
    UserTag, 16);
byte_name!(/// Keyed tag of a device of a user, or of a user's recovery key.
    DeviceTag, 16);
byte_name!(/// Keyed tag of a client within its namespace.
    ClientTag, 16);
byte_name!(/// First 20 bytes of SHA-256 over a custodian's two public keys: its name in manifests, whatever people call it.
    CustodianId, 20);
byte_name!(/// X-Wing public key (ML-KEM-768 and X25519): what shares are sealed to.
    XWingPublic, 1216);
byte_name!(/// X-Wing ciphertext: what a sealed message is opened with.
    XWingCiphertext, 1120);
number_name!(/// +1 at every total-outage recovery, 1 at genesis.
    Epoch, u32);
number_name!(/// A stable place in the cluster.
    Slot, u8);
number_name!(/// One life of one node process: `(epoch << 40) | admit index`; the Raft node id.
    Incarnation, u64);
number_name!(/// Generation of the master key.
    KeyEpoch, u32);
number_name!(/// Counts dealings of a recovery key; never decreases, 0 = nothing was dealt.
    CustodyEpoch, u32);
number_name!(/// Version of the policy document; never decreases.
    PolicyVersion, u64);
number_name!(/// Count of committed writes: the version of a key is the revision that last changed it; 0 = never.
    Revision, u64);

choice! {
    /// Which roots of trust a cluster lives under; part of the cluster identity.
    #[derive(Copy)]
    pub enum TrustDomain {
        /// Hardware evidence under the vendors' roots.
        1 => Production,
        /// Software TEEs under generated roots: no protection against the host.
        2 => Simulated,
    }
}

choice! {
    /// Maker of the CPU.
    #[derive(Copy)]
    pub enum Vendor {
        /// AMD SEV-SNP.
        1 => Amd,
        /// Intel TDX.
        2 => Intel,
    }
}

impl core::fmt::Display for Vendor {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Vendor::Amd => "AMD SEV-SNP",
            Vendor::Intel => "Intel TDX",
        })
    }
}

record! {
    /// The public halves of the keys a node makes at boot, in memory, and never writes anywhere.
    pub struct BootKeys {
        /// Noise static key.
        pub noise: NoisePublic,
        /// Signature key.
        pub sig: SigPublic,
        /// Key-encapsulation key.
        pub kem: KemPublic,
    }
}

impl Incarnation {
    /// The incarnation admitted at log index `admit_index` of `epoch` (genesis members: 1, 2, ...).
    pub fn new(epoch: Epoch, admit_index: u64) -> Self {
        Incarnation(u64::from(epoch.0) << 40 | admit_index & ((1 << 40) - 1))
    }

    /// The log index it is named after.
    pub fn admit_index(self) -> u64 {
        self.0 & ((1 << 40) - 1)
    }

    /// The epoch it was admitted in.
    pub fn epoch(self) -> Epoch {
        Epoch((self.0 >> 40) as u32)
    }
}

impl UserId {
    /// The user a credential names when the policy maps no external identity.
    pub fn of(cred: &CredPublic) -> Self {
        let digest = enc_digest(Label::User, &[&cred.0]);
        let mut id = [0; 20];
        id.copy_from_slice(digest.split_at(20).0);
        UserId(id)
    }
}

impl CustodianId {
    /// The name of whoever holds these two keys: another key is another custodian.
    pub fn of(sig: &SigPublic, kem: &[u8]) -> Self {
        let digest = enc_digest(Label::Custodian, &[&sig.0, kem]);
        let mut id = [0; 20];
        id.copy_from_slice(digest.split_at(20).0);
        CustodianId(id)
    }
}
