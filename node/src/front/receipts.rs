//! Receipts for the answers of all sessions: one signature for everybody who waits.
//!
//! Decides: whoever has answers to send asks for a receipt just before; all who wait when a signature is made share it, as leaves of one small tree.
//! The look at the state is taken after the answers are ready, so a receipt is never of a moment before what it covers. Nothing is signed
//! on the way of an entry through the log.
//! Trusts: the replica's view, and this incarnation's key. Out of scope: when replies leave (`sender.rs`), judging (`client`). Protocol section 5.2.

use crate::front::refusals::{fenced, unavailable};
use ringwall_channel::NodeSecrets;
use ringwall_channel::user::VerifiedUser;
use ringwall_consensus::{ReadError, Replica, View};
use ringwall_wire::bounded::List;
use ringwall_wire::evidence::BatchPath;
use ringwall_wire::ids::{ClientId, ClusterId, Digest, Epoch, Incarnation, Nonce, Signature, SpaceTag, UserId};
use ringwall_wire::limits::BATCH_LEAVES;
use ringwall_wire::receipt::{KnownPoint, Receipt, ReceiptHead, ReceiptLeaf, Receipted, SpaceMark, TreeHead, landmark_of};
use ringwall_wire::session::Refusal;
use ringwall_wire::tree::Levels;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// A namespace some answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// What receipts call it by.
    pub(crate) name: Digest,
    /// What replicas know it by.
    pub(crate) tag: SpaceTag,
}

/// Who a session's receipts are for, and what it was told before.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    user: UserId,
    client: ClientId,
    nonce: Nonce,
    /// Receipts so far.
    number: u64,
    /// Size of the log tree the next consistency path starts from; 0 = none is wanted.
    size: u64,
}

impl Told {
    /// A session that has no receipt yet; `known` is what its client had before.
    pub(crate) fn nothing(user: &VerifiedUser, nonce: Nonce, known: Option<KnownPoint>, epoch: Epoch) -> Self {
        let size = known.filter(|known| known.epoch <= epoch).map_or(0, |known| known.size);
        Told { user: *user.user(), client: *user.client(), nonce, number: 0, size }
    }
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Index the receipt must reach.
    pub(crate) index: u64,
    /// Replies it answers for.
    pub(crate) covers: u16,
    /// Namespaces they are about; at most as many as a receipt names.
    pub(crate) spaces: Vec<Touched>,
}

struct Wanted {
    told: Told,
    ask: Ask,
    done: oneshot::Sender<Result<Receipted, Refusal>>,
}

/// Those who wait for a receipt, and the loop that signs.
pub(crate) struct Receipts {
    pub(crate) cluster_id: ClusterId,
    pub(crate) epoch: Epoch,
    pub(crate) incarnation: Incarnation,
    pub(crate) secrets: Arc<NodeSecrets>,
    pub(crate) replica: Replica,
    waiting: Mutex<Vec<Wanted>>,
    wake: Notify,
}

impl Receipts {
    /// Nobody waits yet.
    pub(crate) fn new(cluster_id: ClusterId, epoch: Epoch, incarnation: Incarnation, secrets: Arc<NodeSecrets>, replica: Replica) -> Self {
        Receipts { cluster_id, epoch, incarnation, secrets, replica, waiting: Mutex::default(), wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Wanted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next receipt of a session.
    pub(crate) async fn issue(&self, told: &mut Told, ask: Ask) -> Result<Receipted, Refusal> {
        if self.replica.applied() < ask.index {
            // A write another member led is applied there; its answer waits until it is applied here too.
            self.replica.wait_applied(ask.index).await.map_err(of_read)?;
        }
        let (done, signed) = oneshot::channel();
        let first = {
            let mut waiting = self.lock();
            waiting.push(Wanted { told: told.clone(), ask, done });
            waiting.len() == 1
        };
        if first {
            self.wake.notify_one();
        }
        let receipted = signed.await.unwrap_or_else(|_| Err(unavailable()))?;
        told.number = receipted.receipt.leaf.number;
        told.size = receipted.receipt.head.tree.size;
        Ok(receipted)
    }

    /// Signs for ever, one group after another; others run between two groups. Run it in one task.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::task::yield_now().await;
            let group: Vec<Wanted> = {
                let mut waiting = self.lock();
                let many = waiting.len().min(BATCH_LEAVES);
                waiting.drain(..many).collect()
            };
            match group.is_empty() {
                true => self.wake.notified().await,
                false => self.sign_group(group),
            }
        }
    }

    fn sign_group(&self, group: Vec<Wanted>) {
        match self.receipts(&group) {
            // Whoever asked may be gone.
            Ok(receipts) => group.into_iter().zip(receipts).for_each(|(wanted, receipt)| drop(wanted.done.send(Ok(receipt)))),
            Err(refusal) => group.into_iter().for_each(|wanted| drop(wanted.done.send(Err(refusal.clone())))),
        }
    }

    fn receipts(&self, group: &[Wanted]) -> Result<Vec<Receipted>, Refusal> {
        let view = self.replica.view().map_err(of_read)?;
        let leaves = group.iter().map(|wanted| leaf(&view, wanted)).collect::<Result<Vec<_>, _>>().map_err(of_read)?;
        let levels = Levels::new(leaves.iter().map(ReceiptLeaf::leaf).collect()).ok_or_else(unavailable)?;
        let head = self.head(&view, levels.root());
        let mut paths: HashMap<u64, (u64, List<Digest, _>)> = HashMap::new();
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let mut receipts = Vec::with_capacity(group.len());
        for ((index, leaf), wanted) in (0_u32..).zip(leaves).zip(group) {
            let siblings = levels.siblings(index as usize).and_then(|siblings| List::new(siblings).ok()).ok_or_else(unavailable)?;
            let (from, path) = match paths.get(&wanted.told.size) {
                Some(known) => known.clone(),
                None => {
                    let (from, path) = consistency(&view, wanted.told.size).map_err(of_read)?;
                    let found = (from, List::new(path).map_err(|_| unavailable())?);
                    paths.entry(wanted.told.size).or_insert(found).clone()
                }
            };
            let receipt = Receipt { head: head.clone(), leaf, path: BatchPath { leaves: count, index, siblings } };
            receipts.push(Receipted { covers: wanted.ask.covers, receipt, from, path });
        }
        Ok(receipts)
    }

    /// A signed head of nobody's group: where the log stands, for a custodian's anchor.
    pub(crate) fn head_alone(&self, view: &View) -> ReceiptHead {
        self.head(view, Digest([0; 32]))
    }

    fn head(&self, view: &View, group: Digest) -> ReceiptHead {
        let mut head = ReceiptHead {
            cluster_id: self.cluster_id,
            epoch: self.epoch,
            index: view.applied(),
            term: view.term(),
            tree: view.tree(),
            group,
            incarnation: self.incarnation,
            signature: Signature([0; 64]),
        };
        head.signature = self.secrets.sign(&head.words());
        head
    }
}

fn leaf(view: &View, wanted: &Wanted) -> Result<ReceiptLeaf, ReadError> {
    let mark = |touched: &Touched| {
        let (seq, digest) = view.chain(&touched.tag)?;
        Ok(SpaceMark { space: touched.name, seq, digest })
    };
    let spaces = wanted.ask.spaces.iter().map(mark).collect::<Result<Vec<_>, ReadError>>()?;
    let spaces = List::new(spaces).map_err(|_| ReadError::Transient)?;
    let Told { user, client, nonce, number, .. } = wanted.told;
    Ok(ReceiptLeaf { user, client, nonce, number: number.saturating_add(1), spaces })
}

/// The path from `size`, or from its landmark when the leaves around it are gone. Empty from a size that was never reached here: the receipt says
/// the rest.
fn consistency(view: &View, size: u64) -> Result<(u64, Vec<Digest>), ReadError> {
    let TreeHead { size: now, .. } = view.tree();
    if size == 0 || size >= now {
        return Ok((size, Vec::new()));
    }
    if let Some(path) = view.consistency(size)? {
        return Ok((size, path));
    }
    let landmark = landmark_of(size);
    Ok((landmark, view.consistency(landmark)?.unwrap_or_default()))
}

fn of_read(why: ReadError) -> Refusal {
    match why {
        ReadError::Transient => unavailable(),
        ReadError::Fenced(_) => fenced(),
    }
}
