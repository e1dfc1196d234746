//! The beginning of a drill: a shadow of the active dealing, and the offer custodians judge (DL0, DL1).
//!
//! Decides: who is asked (the custodians of the active dealing, with its threshold), what the shadow vouches for (where the log stands), and that the offer is
//! made as a recovering node makes it, by the same function. No real key is touched: the shadow's are drawn here and kept nowhere.
//! Trusts: the record for the active dealing. Out of scope: how often, what comes of it. Protocol section 6.2, "Drill".

use super::{Running, digest_of, now};
use crate::context::Node;
use crate::recover::session::Session;
use crate::recover::{self, RecoverError};
use ringwall_consensus::Held;
use ringwall_keys::HedgedIvs;
use ringwall_keys::custody::{DealPlan, Shadow, ShadowError, shadow};
use ringwall_wire::bounded::List;
use ringwall_wire::drill::{DrillBegun, DrillOffer, shadow_cluster, shadow_copy};
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{ClusterId, CustodianId, Nonce};
use ringwall_wire::peer::LogPosition;
use ringwall_wire::receipt::TreePoint;
use ringwall_wire::recovery::{DiskNote, RecoveryOffer, RecoveryPurpose};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why no drill was begun.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBegun {
    /// The shadow.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// The offer.
    #[error(transparent)]
    Offer(#[from] RecoverError),
}

/// Where the log stands.
pub(super) struct Ground {
    pub(super) copy: TreePoint,
    pub(super) term: u64,
    pub(super) index: u64,
}

/// Makes a drill of the active dealing. Nothing of it is on record yet.
pub(super) async fn make(node: &Arc<Node>, active: &Held, ground: &Ground, who: CustodianId) -> Result<Running, NotBegun> {
    let site = &node.site;
    let session = crate::entropy::nonce(&site.entropy);
    let made = shadow_of(node, active, &ground.copy, &session)?;
    let kem = recover::session_key(site);
    let note = DiskNote {
        slot: site.slot(),
        incarnation: node.incarnation,
        last: LogPosition { term: ground.term, index: ground.index },
        custody_epoch: active.custody_epoch(),
    };
    let offer = RecoveryOffer {
        cluster_id: site.cluster_id,
        epoch: site.epoch(),
        purpose: RecoveryPurpose::Drill,
        custody_epoch: active.custody_epoch(),
        manifest: digest_of(&made.manifest),
        session,
        kem: kem.public(),
        slot: site.slot(),
        sig: node.secrets.public().sig,
        inventory: List::new(vec![note]).expect("one fits"),
        replaces: None,
        keepers: List::default(),
        earlier: List::default(),
    };
    let signed = recover::vouch(site, &node.secrets, offer).await?;
    let offer = signed.offer.clone();
    let Shadow { manifest, envelopes, blob, seal } = made;
    let begun = DrillBegun { session, offer: digest_of(&offer), active: active.hash, asked_by: who, by: node.incarnation };
    Ok(Running {
        session: Session::new(offer, manifest.clone(), kem, Arc::clone(&node.secrets), site.now_s()),
        offer: DrillOffer { signed, shadow: manifest, envelopes },
        blob,
        copy: (ground.copy, seal),
        begun,
        index: 0,
        since: now(),
        begun_at_ms: (site.clock)(),
        answers: BTreeMap::new(),
    })
}

fn shadow_of(node: &Node, active: &Held, copy: &TreePoint, session: &Nonce) -> Result<Shadow, ShadowError> {
    let site = &node.site;
    let in_force = site.policies.now();
    let custodians: Vec<Custodian> = active.manifest().members.iter().map(|member| member.custodian.clone()).collect();
    let plan = DealPlan {
        epoch: site.epoch(),
        custody_epoch: active.custody_epoch(),
        threshold: active.manifest().threshold,
        custodians: &custodians,
        previous: active.hash,
        policy: in_force.digest(),
        policy_version: in_force.policy().version,
        dealer: node.incarnation,
        dealer_sig: node.secrets.public().sig,
    };
    let id: ClusterId = shadow_cluster(&site.cluster_id, session);
    let mut ivs = HedgedIvs::new((site.entropy)(), node.incarnation);
    shadow(id, &plan, &shadow_copy(&id, copy), &mut *(site.entropy)(), &mut ivs)
}
