//! What all attempts of one client share: what is remembered of the cluster, of how it is governed, and of nodes that were refused.
//!
//! Decides: evidence is judged in one place, and what it shows of governance is kept there, before its session is anybody's. A refused node is remembered by the key it
//! proved to hold; one that only follows an older policy is not.
//! Trusts: the store. Out of scope: the order of steps (`opening.rs`), the rules (`anchor`). Protocol sections 3.1, step 5, and 5.2.

use super::asking::Ahead;
use super::terms::Now;
use crate::anchor::{AnchorStore, Governed, InMemory, Keeper, KnownPolicy, log_lied, verified};
use crate::dial::DialError;
use crate::error::{ConnectError, went_back};
use crate::exchange::Exchange;
use crate::refused::RefusedNodes;
use ringwall_attest::release::Released;
use ringwall_attest::{Anchors, SessionError, Trace};
use ringwall_channel::{Attested, Session, Unverified};
use ringwall_wire::ids::{ClusterId, NoisePublic};
use ringwall_wire::without::{Defence, left_out};
use std::sync::{Arc, Mutex, PoisonError};

/// The memory of one client.
#[derive(Debug)]
pub struct Memory {
    keeper: Arc<Keeper>,
    pub(super) governed: Governed,
    pub(super) ahead: Ahead,
    refused: Mutex<RefusedNodes>,
}

impl Memory {
    /// What `store` has of this cluster, and `policy`, which a card brings, with the changes that led to it: these are judged here.
    ///
    /// # Errors
    /// [`ConnectError::CardPolicy`] when they do not hold.
    pub fn new(store: Arc<dyn AnchorStore>, cluster_id: &ClusterId, policy: Option<KnownPolicy>) -> Result<Arc<Self>, ConnectError> {
        let store: Arc<dyn AnchorStore> = if left_out(Defence::Anchor) { Arc::new(InMemory::default()) } else { store };
        let bad_card = |cause: String| ConnectError::CardPolicy { cause };
        let given = policy.map(|known| verified(known, cluster_id)).transpose().map_err(|fault| bad_card(fault.to_string()))?;
        let governed = Governed::new(Arc::clone(&store), given).map_err(|fault| bad_card(fault.to_string()))?;
        Ok(Arc::new(Memory { keeper: Keeper::new(store), governed, ahead: Ahead::default(), refused: Mutex::default() }))
    }

    /// What receipts are judged by.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// When [`Memory::settle`] is to be called, milliseconds of the driver's clock; none where nothing waits to be kept.
    pub fn due_ms(&self) -> Option<u64> {
        self.keeper.due_ms()
    }

    /// Keeps what waits to be kept. May block where the store does.
    pub fn settle(&self) {
        self.keeper.settle();
    }

    /// Step 5: the evidence is judged here, and what it shows of governance is kept before anything is sent.
    pub(super) fn attest(
        &self,
        session: Session<Unverified>,
        exchange: &Exchange,
        anchors: &Anchors,
        (now, trace): (Now, &mut Trace),
    ) -> Result<Session<Attested>, DialError> {
        let judged = exchange.judge(anchors, trace);
        self.ahead.forget();
        let peer = judged.map_err(|error| match log_lied(&error) {
            Some((proof, what)) => DialError::History(self.governed.lied(proof, what)),
            None => self.refuse(session.remote_noise(), error, now),
        })?;
        let (before, policy) = (exchange.remembered(), exchange.learned(&peer));
        self.governed.learned(before, policy, peer.released().map(Released::head))?;
        session.establish(peer).map_err(DialError::of_channel)
    }

    pub(super) fn refusal_of(&self, noise: &NoisePublic, now_ms: u64) -> Option<Arc<SessionError>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).of(noise, now_ms)
    }

    /// Remembers a refused node by its key: for a while it is not even asked again.
    pub(super) fn refuse(&self, noise: Option<&NoisePublic>, error: SessionError, now: Now) -> DialError {
        let error = Arc::new(error);
        if went_back(&error) {
            return DialError::OldPolicy(error);
        }
        if let Some(noise) = noise {
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).note(*noise, &error, now.ms);
        }
        DialError::Evidence(error)
    }
}
