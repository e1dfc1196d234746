//! The audit of one recovery: what happened, in order, under the key the offer names.
//!
//! Decides: events are numbered from 1, each names the one before, each is signed; no event holds a secret. Its last digest is in the account that the
//! start of the epoch names. Past the limit nothing is added but how it ended.
//! Trusts: the clock for people's sake alone. Out of scope: who may see it (everybody may). Protocol section 6.2, "Audit".

use ringwall_channel::NodeSecrets;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{ClusterId, Digest, Nonce, Signature};
use ringwall_wire::limits::AUDIT_EVENTS;
use ringwall_wire::recovery::{AuditEvent, AuditWhat};
use std::sync::Arc;

/// Events that are kept free for the last words.
const RESERVED: usize = 8;

/// The events so far.
pub(crate) struct Audit {
    cluster_id: ClusterId,
    session: Nonce,
    secrets: Arc<NodeSecrets>,
    events: Vec<AuditEvent>,
}

impl Audit {
    pub(crate) fn new(cluster_id: ClusterId, session: Nonce, secrets: Arc<NodeSecrets>) -> Self {
        Audit { cluster_id, session, secrets, events: Vec::new() }
    }

    /// Adds what happened at `at_s`, Unix seconds.
    pub(crate) fn note(&mut self, at_s: u64, what: AuditWhat) {
        let last_words = matches!(what, AuditWhat::Chosen(_) | AuditWhat::Published(_) | AuditWhat::Served(_) | AuditWhat::Ended(_));
        let room = AUDIT_EVENTS - if last_words { 0 } else { RESERVED };
        if self.events.len() >= room {
            return;
        }
        let number = self.events.len() as u64 + 1;
        let mut event = AuditEvent { session: self.session, number, previous: self.last(), at_s, what, signature: Signature([0; 64]) };
        event.signature = self.secrets.sign(&event.words(&self.cluster_id));
        self.events.push(event);
    }

    /// Digest of the last event; zeros before the first.
    pub(crate) fn last(&self) -> Digest {
        self.events.last().map_or(Digest([0; 32]), |event| Digest(event.digest()))
    }

    pub(crate) fn events(&self) -> &[AuditEvent] {
        &self.events
    }
}
