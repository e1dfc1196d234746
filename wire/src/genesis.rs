//! What makes a cluster *this* cluster: genesis record, boot configuration, cluster card.
//!
//! Decides: the cluster identity is the hash of a record that holds a nonce made inside the first TEE and names custodians,
//! governors, slots and policy; a node's boot configuration is hashed into its evidence.
//! Trusts: nothing. Out of scope: how a cluster is founded (`node`). Protocol section 2.1.

use crate::bounded::{Blob, List, Text};
use crate::codec::Message;
use crate::governance::PolicyRow;
use crate::ids::{ClusterId, CustodianId, Digest, Nonce, SigPublic, Slot, TrustDomain};
use crate::limits::{CUSTODIANS, SLOTS};
use crate::policy::{PolicyDoc, SlotRule};
use crate::{choice, message, record};
use sha2::{Digest as _, Sha256, Sha384};

/// Version of everything this crate encodes; negotiated by [`crate::version`].
pub const PROTOCOL_VERSION: u16 = 1;

message! {
    /// What the founders of a cluster agree on before its first node boots.
    pub struct GenesisTemplate = GenesisTemplate {
        /// Which roots apply.
        pub trust_domain: TrustDomain,
        /// Human name; no security meaning.
        pub name: Text<64>,
        /// Who holds shares of the recovery key.
        pub custodians: List<Custodian, CUSTODIANS>,
        /// Shares that recover.
        pub custody_threshold: u8,
        /// Places.
        pub slots: List<SlotRule, SLOTS>,
        /// SHA-256 of the first policy document.
        pub policy: Digest,
    }
}

record! {
    /// One holder of a share.
    pub struct Custodian {
        /// Human name.
        pub name: Text<64>,
        /// Signature key.
        pub sig: SigPublic,
        /// X-Wing public key shares are sealed to.
        pub kem: Blob<2048>,
    }
}

impl Custodian {
    /// Its name in manifests: a hash of its keys.
    pub fn id(&self) -> CustodianId {
        CustodianId::of(&self.sig, &self.kem)
    }
}

message! {
    /// The founding record; its hash is the cluster id.
    pub struct GenesisRecord = Genesis {
        /// Made inside the first TEE: two foundings from one template give two clusters.
        pub nonce: Nonce,
        /// What was agreed.
        pub template: GenesisTemplate,
    }
}

impl GenesisRecord {
    /// The identity of the cluster.
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId(self.digest())
    }
}

choice! {
    /// Which cluster a node may serve, fixed before it boots.
    pub enum BootCluster {
        /// Found a cluster from the template with this hash.
        1 => Found(Digest),
        /// Join this cluster.
        2 => Join(ClusterId),
    }
}

message! {
    /// Everything security-relevant a node is told by its operator; bound into the evidence (HOST_DATA, MRCONFIGID).
    pub struct BootConfig = BootConfig {
        /// Protocol version.
        pub protocol: u16,
        /// Which roots apply.
        pub trust_domain: TrustDomain,
        /// Which cluster.
        pub cluster: BootCluster,
        /// Which place.
        pub slot: Slot,
    }
}

impl BootConfig {
    /// What AMD's HOST_DATA must hold, and what bindings carry.
    pub fn host_data(&self) -> Digest {
        Digest(Sha256::digest(self.encode()).into())
    }

    /// What Intel's MRCONFIGID must hold.
    pub fn mr_config_id(&self) -> [u8; 48] {
        Sha384::digest(self.encode()).into()
    }
}

message! {
    /// What a client or a joiner is given to find and to pin a cluster. Only the hash chain counts; addresses are hints.
    pub struct ClusterCard = ClusterCard {
        /// The founding record.
        pub genesis: GenesisRecord,
        /// The policy it names.
        pub policy: PolicyDoc,
        /// The changes of it since: a card with them pins the newest policy.
        pub steps: PolicyRow,
        /// Where nodes were last seen.
        pub addresses: List<Text<128>, SLOTS>,
        /// Where pages were last let in.
        pub web: List<WebDoor, SLOTS>,
    }
}

record! {
    /// Where a page finds one node. A hint, like an address: a wrong one leads to no session, never to a false one.
    pub struct WebDoor {
        /// `host:port` of WebTransport; empty where it is not offered.
        pub address: Text<128>,
        /// SHA-256 of the certificates shown there, now and next: what a browser calls `serverCertificateHashes`.
        pub certificates: List<Digest, 2>,
        /// The whole address of WebSocket, `ws://` or `wss://`; empty where it is not offered.
        pub socket: Text<128>,
    }
}

/// Why a cluster card contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The policy is not the one the genesis record names.
    #[error("the card's policy hashes to {got}, its genesis record names {named}")]
    OtherPolicy {
        /// Hash of the policy on the card.
        got: Digest,
        /// Hash in the record.
        named: Digest,
    },
    /// Policy and genesis record name different trust domains.
    #[error("the card's policy and genesis record name different trust domains")]
    OtherTrustDomain,
    /// Policy and genesis record list different slots.
    #[error("the card's policy and genesis record list different slots")]
    OtherSlots,
}

impl ClusterCard {
    /// The identity, after the parts were found to belong together. The changes of the policy it carries are for `attest` to judge.
    pub fn pinned(&self) -> Result<ClusterId, CardError> {
        let template = &self.genesis.template;
        let got = Digest(self.policy.digest());
        if got != template.policy {
            return Err(CardError::OtherPolicy { got, named: template.policy });
        }
        if self.policy.trust_domain != template.trust_domain {
            return Err(CardError::OtherTrustDomain);
        }
        if self.policy.slots != template.slots {
            return Err(CardError::OtherSlots);
        }
        Ok(self.genesis.cluster_id())
    }
}
