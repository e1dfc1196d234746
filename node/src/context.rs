//! What the parts of a node share: [`Site`], the same from boot to end, and `Node`, the member an incarnation has become.
//!
//! Decides: nothing; it only says what there is. A [`Site`] has no keys; a `Node` exists only after its founding or its key grant,
//! so code that holds one need not ask whether this is a member.
//! Trusts: `found` and `join`, which alone make a `Node`. Out of scope: what is done with it. Protocol section 4.

use crate::clock::Clock;
use crate::config::Config;
use crate::custody::CustodyDesk;
use crate::entropy::Entropy;
use crate::front::Front;
use crate::governance::{GovernanceDesk, PolicyCell};
use crate::heard::HeardCell;
use crate::life::LifeCell;
use crate::peers::pool::PeerPool;
use crate::platform::chip_keys::ChipKeys;
use crate::publication::PublicationCell;
use crate::renewal::Sessions;
use crate::ring::Ring;
use crate::web::Doors;
use ringwall_attest::{Anchors, Attester};
use ringwall_channel::NodeSecrets;
use ringwall_consensus::Replica;
use ringwall_wire::bounded::Text;
use ringwall_wire::genesis::GenesisRecord;
use ringwall_wire::ids::{ClusterId, Epoch, Incarnation, Slot};
use ringwall_wire::peer::NamedMember;
use ringwall_wire::policy::PolicyDoc;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// The cluster, the machine and the network, as this process found them.
pub struct Site {
    /// The cluster's identity.
    pub cluster_id: ClusterId,
    /// Its epoch, as far as it is known.
    pub epochs: EpochCell,
    /// Its founding record.
    pub genesis: GenesisRecord,
    /// The policy it names, which the cluster was founded with.
    pub founding: PolicyDoc,
    /// The policy in force, as far as it is known here.
    pub policies: Arc<PolicyCell>,
    /// What was heard of the release log.
    pub heard: HeardCell,
    /// The proof that recoveries are public.
    pub published: Arc<PublicationCell>,
    /// Addresses on the card.
    pub card_addresses: Vec<Text<128>>,
    /// Configuration, with the boot configuration in it.
    pub config: Config,
    /// Collects this machine's evidence.
    pub attester: Arc<dyn Attester>,
    /// Keys its chip derives.
    pub chip_keys: ChipKeys,
    /// Roots of trust.
    pub anchors: Anchors,
    /// Wall clock, Unix milliseconds.
    pub clock: Clock,
    /// Generator.
    pub entropy: Entropy,
    /// The UDP endpoint.
    pub endpoint: quinn::Endpoint,
    /// Where pages are let in.
    pub web: Arc<Doors>,
    /// How to dial other nodes.
    pub dial: quinn::ClientConfig,
    /// Its sessions, and how long they last.
    pub sessions: Arc<Sessions>,
    /// Where this process stands.
    pub life: LifeCell,
    /// True once the node leaves.
    pub leaving: watch::Sender<bool>,
}

/// The epoch a process works in. A joiner learns it from the member that it asks, before anything is bound to it; a recovery moves on to the next.
#[derive(Debug)]
pub struct EpochCell(AtomicU32);

impl EpochCell {
    /// This epoch.
    pub fn new(epoch: Epoch) -> Self {
        EpochCell(AtomicU32::new(epoch.0))
    }

    /// Another one from now on.
    pub(crate) fn set(&self, epoch: Epoch) {
        self.0.store(epoch.0, Ordering::Release);
    }
}

impl Site {
    /// The cluster's epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epochs.0.load(Ordering::Acquire))
    }

    /// The policy in force, as far as it is known here.
    pub fn policy(&self) -> Arc<PolicyDoc> {
        Arc::clone(self.policies.now().policy())
    }

    /// The slot this node was started for.
    pub fn slot(&self) -> Slot {
        self.config.boot.slot
    }

    /// Unix seconds, for judging evidence.
    pub fn now_s(&self) -> u64 {
        (self.clock)() / 1_000
    }

    /// Longest time for one step of a handshake.
    pub fn step(&self) -> Duration {
        self.config.limits.handshake
    }
}

/// A member of the group.
pub(crate) struct Node {
    /// Cluster, machine, network.
    pub(crate) site: Arc<Site>,
    /// The keys of this incarnation.
    pub(crate) secrets: Arc<NodeSecrets>,
    /// Who this is.
    pub(crate) incarnation: Incarnation,
    /// Master keys.
    pub(crate) keyring: Arc<Ring>,
    /// The replicated state.
    pub(crate) replica: Replica,
    /// Sessions with other members.
    pub(crate) peers: Arc<PeerPool>,
    /// Whom the key grant named: told that this node is up.
    pub(crate) granted: Vec<NamedMember>,
    /// The client front door, once it is open.
    pub(crate) front: OnceLock<Arc<Front>>,
    /// Members that said they leave on purpose.
    pub(crate) gone: Mutex<BTreeSet<Incarnation>>,
    /// Held while one joiner is being admitted.
    pub(crate) admitting: tokio::sync::Mutex<()>,
    /// Woken when there is membership work.
    pub(crate) steward: tokio::sync::Notify,
    /// What the tasks of custody share.
    pub(crate) custody: CustodyDesk,
    /// What the tasks of governance share.
    pub(crate) governance: GovernanceDesk,
}

impl Node {
    /// The client front door, once it is open.
    pub(crate) fn front(&self) -> Option<Arc<Front>> {
        self.front.get().cloned()
    }
}
