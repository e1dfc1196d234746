//! Nodes that were refused, remembered by the key they proved to hold.
//!
//! Decides: a node whose evidence was refused is not asked for a handshake again for a while, under whatever address it is found; and which
//! refusals are not worth remembering, because the next answer of the same node may well be good: those about time and about stapled
//! statements that are missing or too old. Trusts: nothing; forgetting early costs a handshake and nothing else.
//! Out of scope: addresses (`core.rs`). Protocol section 3.

use ringwall_attest::{Layer, Rejection, SessionError, VerifyError};
use ringwall_wire::ids::NoisePublic;
use std::sync::Arc;

/// Time a refused node, and the address it was found at, is left alone, milliseconds.
pub const REFUSED_RESTS_MS: u64 = 60_000;
/// Nodes whose refusal is remembered.
const REFUSED_NODES: usize = 64;

/// The memory.
#[derive(Debug, Default)]
pub struct RefusedNodes {
    nodes: Vec<RefusedNode>,
}

#[derive(Debug)]
struct RefusedNode {
    noise: NoisePublic,
    error: Arc<SessionError>,
    until_ms: u64,
}

impl RefusedNodes {
    /// Why the node with this key is not to be asked now, if so.
    pub fn of(&mut self, noise: &NoisePublic, now_ms: u64) -> Option<Arc<SessionError>> {
        self.nodes.retain(|node| now_ms < node.until_ms);
        self.nodes.iter().find(|node| node.noise == *noise).map(|node| Arc::clone(&node.error))
    }

    /// Remembers a refusal, unless it may pass by itself. The oldest one makes room.
    pub fn note(&mut self, noise: NoisePublic, error: &Arc<SessionError>, now_ms: u64) {
        if may_pass(error) {
            return;
        }
        self.nodes.retain(|node| node.noise != noise && now_ms < node.until_ms);
        if self.nodes.len() >= REFUSED_NODES {
            self.nodes.remove(0);
        }
        self.nodes.push(RefusedNode { noise, error: Arc::clone(error), until_ms: now_ms.saturating_add(REFUSED_RESTS_MS) });
    }
}

/// Whether the node can answer better without becoming another: after a clock was set, or with fresh endorsements.
fn may_pass(error: &SessionError) -> bool {
    let missing = matches!(error, SessionError::Verify(VerifyError::CertMissing { .. } | VerifyError::CollateralMissing { .. }));
    let stapled = matches!(error, SessionError::Rejected(Rejection::RevocationUnknown { .. } | Rejection::EvaluationTooOld { .. }));
    missing || stapled || error.layer() == Layer::Time
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_wire::ids::Slot;

    const NODE: NoisePublic = NoisePublic([7; 32]);

    fn lasting() -> Arc<SessionError> {
        Arc::new(SessionError::SlotUnknown { got: Slot(9) })
    }

    #[test]
    fn a_refusal_is_remembered_for_its_rest_and_then_forgotten() {
        let (mut refused, start) = (RefusedNodes::default(), 5_000);
        refused.note(NODE, &lasting(), start);
        let almost = start + REFUSED_RESTS_MS - 1;
        assert!(refused.of(&NODE, start).is_some() && refused.of(&NODE, almost).is_some());
        assert!(refused.of(&NoisePublic([8; 32]), start).is_none(), "another node was taken for it");
        assert!(refused.of(&NODE, start + REFUSED_RESTS_MS).is_none(), "the refusal never ends");
        assert!(refused.nodes.is_empty());
    }

    #[test]
    fn what_may_pass_by_itself_is_not_remembered() {
        let (mut refused, now) = (RefusedNodes::default(), 5_000);
        let passing = [
            SessionError::StandingPeriod { start_s: 1, now_s: 2, period_s: 3 },
            SessionError::Verify(VerifyError::IntelTime { now_s: 1, reason: "stale".into() }),
            SessionError::Verify(VerifyError::CrlNotYet { from_s: 2, now_s: 1 }),
            SessionError::Rejected(Rejection::EvaluationTooOld { reported: 1, required: 2 }),
            SessionError::Verify(VerifyError::CollateralMissing { what: "Intel's TCB info" }),
        ];
        for error in passing {
            let error = Arc::new(error);
            refused.note(NODE, &error, now);
            assert!(refused.of(&NODE, now).is_none(), "{error}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_holds_each_node_once() {
        let (mut refused, now) = (RefusedNodes::default(), 5_000);
        for number in 0..=u8::try_from(REFUSED_NODES).unwrap_or(u8::MAX) {
            refused.note(NoisePublic([number; 32]), &lasting(), now);
            refused.note(NoisePublic([number; 32]), &lasting(), now);
        }
        assert_eq!(refused.nodes.len(), REFUSED_NODES);
        assert!(refused.of(&NoisePublic([0; 32]), now).is_none(), "the oldest makes room");
        assert!(refused.of(&NoisePublic([1; 32]), now).is_some());
    }
}
