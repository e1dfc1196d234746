//! What a client is told: which cluster, where, as whom, how patiently.
//!
//! Decides: the cluster is pinned by its id before anything is dialled; addresses are hints; trust anchors are a value that the
//! shipped binary sets to the vendors' roots. Trusts: the person who supplied the card or the id.
//! Out of scope: judging evidence (`attest`). Protocol sections 2.1 and 3.

use crate::anchor::{AnchorStore, InMemory};
use crate::credential::Credential;
use ringwall_attest::Anchors;
use ringwall_keys::UserKey;
pub use ringwall_session::timeouts::Timeouts;
use ringwall_wire::genesis::{CardError, ClusterCard};
use ringwall_wire::ids::{ClusterId, PolicyVersion, UserId};
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::secret::Secret;
use ringwall_wire::session::AttestMode;
use std::sync::Arc;

/// What [`crate::Client::connect`] is told.
#[derive(Clone)]
pub struct Options {
    /// The cluster; sessions with any other are refused.
    pub cluster_id: ClusterId,
    /// Where its nodes may be found: `host:port`. Members that verified nodes name are added later.
    pub addresses: Vec<String>,
    /// Roots of trust.
    pub anchors: Arc<Anchors>,
    /// The user's credential.
    pub credential: Credential,
    /// The user's own key, for namespaces in dual and user mode; none can use neither. It never leaves this process.
    pub user_key: Option<UserKey>,
    /// The user; none when it is the one the credential names, which is so on a user's first device.
    pub user: Option<UserId>,
    /// The seed of the user's recovery key, on a device that is not on the user's record yet ([`ringwall_keys::Phrase::signature_seed`]).
    pub restore: Option<Secret<32>>,
    /// How sessions are bound to evidence.
    pub attest: AttestMode,
    /// Least policy version; later versions that were seen raise it.
    pub min_policy_version: PolicyVersion,
    /// The newest policy of a card, with the changes that led to it; these are judged before anybody is dialled. None: the founding policy is learned.
    pub policy: Option<KnownPolicy>,
    /// Patience.
    pub timeouts: Timeouts,
    /// Where what the cluster confirmed is remembered (protocol section 5.2): [`crate::anchor::AnchorFiles`] keeps it for later processes, the
    /// default only for this client.
    pub anchor: Arc<dyn AnchorStore>,
    /// An endpoint to share between clients; none makes one of its own (one UDP socket).
    pub endpoint: Option<quinn::Endpoint>,
}

impl core::fmt::Debug for Options {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Options({} at {:?} as {:?})", self.cluster_id, self.addresses, self.credential)
    }
}

impl Options {
    /// Pins a cluster by its id. `addresses` are hints.
    pub fn pinned(cluster_id: ClusterId, addresses: Vec<String>, anchors: Anchors, credential: Credential) -> Self {
        Options {
            cluster_id,
            addresses,
            anchors: Arc::new(anchors),
            credential,
            user_key: None,
            user: None,
            restore: None,
            attest: AttestMode::Batched,
            min_policy_version: PolicyVersion(0),
            policy: None,
            timeouts: Timeouts::default(),
            anchor: Arc::new(InMemory::default()),
            endpoint: None,
        }
    }

    /// For whom.
    pub(crate) fn user(&self) -> UserId {
        self.user.unwrap_or_else(|| self.credential.user())
    }

    /// Pins the cluster a card describes, after its parts were found to belong together.
    pub fn from_card(card: &ClusterCard, anchors: Anchors, credential: Credential) -> Result<Self, CardError> {
        let cluster_id = card.pinned()?;
        let addresses = card.addresses.iter().map(|address| address.to_string()).collect();
        let mut options = Options::pinned(cluster_id, addresses, anchors, credential);
        options.min_policy_version = card.policy.version;
        options.policy = Some(KnownPolicy { cluster_id, founding: card.policy.clone(), steps: card.steps.clone() });
        Ok(options)
    }
}
