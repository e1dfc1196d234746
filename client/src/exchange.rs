//! One attestation, as it was asked and answered: judged at once when a node is dialled, and again later from a file.
//!
//! Decides: that both judgements are the same function over the same facts; what a file of it holds and that a damaged one is not read. A file is
//! a record: it shows what was proved to the session that asked, at the time it names, and nothing about who answers now. The checksum at its
//! end finds damage; whoever can write the file can write the checksum too, which is why the evidence inside is judged anew. It is judged from the newest policy
//! of whoever asked; its file has every change since the founding, so that a reader who knows no more than the cluster id comes to the same end.
//! Trusts: nothing in the file; the cluster is pinned by whoever judges. Out of scope: the judging (`attest`). Protocol section 3.1, steps 3 to 5;
//! docs/formats.md, "Saved exchange".

use crate::anchor::{Newest, Remembered};
use crate::verification::{Examined, Verification};
use ringwall_attest::{Anchors, AppraisedPeer, Asked, Pinned, PolicyPin, SessionError, Trace, appraise_session_traced};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::{PolicyStep, PolicySteps};
use ringwall_wire::ids::{ClusterId, Digest, Nonce, PolicyVersion};
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::limits::ATTEST_MESSAGE_BYTES;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestResp, SavedExchange};
use sha2::{Digest as _, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CHECKSUM_BYTES: usize = 32;
/// Bytes of a saved exchange: the largest answer, and room for the question and the checksum.
pub const EXCHANGE_FILE_BYTES: usize = ATTEST_MESSAGE_BYTES + 1_024;

/// What a node was asked and what it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    asked: SavedExchange,
    answer: AttestResp,
    /// What whoever asked remembered; nothing of it is in a file.
    remembered: Remembered,
}

/// Why a file holds no exchange.
#[derive(Debug, thiserror::Error)]
pub enum ReadExchangeError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than any exchange.
    #[error("{} is larger than any saved exchange ({most} bytes); is it another file?", .path.display())]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// Most bytes.
        most: usize,
    },
    /// Its checksum is another one.
    #[error("{} is damaged: its checksum does not fit; save the exchange again", .path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// It is no exchange.
    #[error("{} is no saved exchange: {source}; make one with `ringwall verify --save`", .path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
}

impl ReadExchangeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        "RW-C-INPUT"
    }
}

impl Exchange {
    /// The question and its answer. `asked.answer` is left empty: it is written when the exchange is.
    pub(crate) fn new(asked: SavedExchange, answer: AttestResp, remembered: Remembered) -> Self {
        Exchange { asked, answer, remembered }
    }

    /// What whoever asked remembered.
    pub(crate) fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// The newest policy that is known after an answer that was judged and believed, by the changes that hold; none when the record cannot take it.
    pub(crate) fn learned(&self, peer: &AppraisedPeer) -> Option<KnownPolicy> {
        let known = match &self.remembered.policy {
            Some(known) => known.record.clone(),
            None => {
                // Whichever it is, the founding record names it; what an answer shows besides was not judged.
                let shown = self.answer.steps.first().and_then(PolicyStep::as_founding);
                let named = |policy: &PolicyDoc| Digest(policy.digest()) == peer.genesis().template.policy;
                let founding = shown.into_iter().chain([self.answer.policy.clone()]).find(named)?;
                KnownPolicy { cluster_id: peer.cluster_id(), founding, steps: PolicySteps::default() }
            }
        };
        known.followed_by(peer.steps()).ok()
    }

    /// The answer with all changes since the founding, so that its reader needs nothing of what whoever asked knew. One that does not follow from that stays as
    /// it came.
    fn complete(&self) -> Option<AttestResp> {
        let known = &self.remembered.policy.as_deref()?.record;
        let follows = match self.answer.steps.first() {
            Some(step) => step.signed.replaces == Some(known.digest()),
            None => Digest(self.answer.policy.digest()) == known.digest(),
        };
        let changes = [&*known.steps, &*self.answer.steps].concat();
        if !follows || changes.is_empty() {
            return None;
        }
        let founding = PolicyStep::founding(&known.founding).ok()?;
        let steps = List::new([vec![founding], changes].concat()).ok()?;
        Some(AttestResp { steps, ..self.answer.clone() })
    }

    /// The cluster that was pinned when the node was asked.
    pub fn cluster_id(&self) -> ClusterId {
        self.asked.cluster_id
    }

    /// The proof of release the node handed out; nothing is said about it.
    pub fn release_proof(&self) -> &[u8] {
        &self.answer.release_proof
    }

    /// When it was judged first, Unix seconds by that client's clock.
    pub fn at_s(&self) -> u64 {
        self.asked.at_s
    }

    /// The same exchange, to be judged for someone who pins this cluster and demands this policy version or a later one.
    #[must_use]
    pub fn pinned_to(mut self, cluster_id: ClusterId, min_policy_version: PolicyVersion) -> Self {
        self.asked.cluster_id = cluster_id;
        self.asked.min_policy_version = self.asked.min_policy_version.max(min_policy_version);
        self
    }

    /// The same exchange, to be judged for someone who knows this policy: by it, or by one that follows from it.
    pub(crate) fn held_to(mut self, known: KnownPolicy) -> Result<Self, DecodeError> {
        self.remembered.policy = Some(Arc::new(Newest::new(known)?));
        Ok(self)
    }

    /// The same exchange, to be judged as of another moment (Unix seconds).
    #[must_use]
    pub fn as_of(mut self, at_s: u64) -> Self {
        self.asked.at_s = at_s;
        self
    }

    /// The newest policy of whoever asked, or for whoever has none the founding one.
    fn pin(&self, min_version: PolicyVersion) -> PolicyPin<'_> {
        match self.remembered.policy.as_deref() {
            Some(Newest { policy, .. }) => PolicyPin::From { policy, earlier: &[] },
            None => PolicyPin::Founding { min_version },
        }
    }

    /// Judges it, and writes down why.
    pub(crate) fn judge(&self, anchors: &Anchors, trace: &mut Trace) -> Result<AppraisedPeer, SessionError> {
        let SavedExchange { cluster_id, min_policy_version, handshake, nonce, noise, mode, at_s, .. } = &self.asked;
        let asked = Asked { handshake, nonce, role: Role::ClientServer, noise, mode: *mode };
        let policy = self.pin(*min_policy_version);
        let pinned = Pinned { cluster_id: *cluster_id, policy, anchors, now_s: *at_s, last_head: self.remembered.head.as_ref() };
        self.new_enough(appraise_session_traced(&self.answer, &asked, &pinned, trace)?)
    }

    /// Whoever demands a least version demands it whatever is remembered.
    fn new_enough(&self, peer: AppraisedPeer) -> Result<AppraisedPeer, SessionError> {
        let (got, required) = (peer.policy().version, self.asked.min_policy_version);
        match got >= required {
            true => Ok(peer),
            false => Err(SessionError::PolicyTooOld { got, required }),
        }
    }

    /// Judges an answer nobody asked for: its evidence was made for `role` and is bound to `opening` in place of a session. Whatever else the exchange
    /// says of a session is not looked at.
    pub(crate) fn judge_unasked(
        &self,
        role: Role,
        (handshake, nonce): &(Digest, Nonce),
        anchors: &Anchors,
        trace: &mut Trace,
    ) -> Result<AppraisedPeer, SessionError> {
        let SavedExchange { cluster_id, min_policy_version, at_s, .. } = &self.asked;
        let asked = Asked { handshake, nonce, role, noise: &self.answer.keys.noise, mode: AttestMode::Batched };
        let policy = self.pin(*min_policy_version);
        let pinned = Pinned { cluster_id: *cluster_id, policy, anchors, now_s: *at_s, last_head: None };
        self.new_enough(appraise_session_traced(&self.answer, &asked, &pinned, trace)?)
    }

    /// Judges it without a network. `place` is what to call it: an address or a file.
    pub fn examine(&self, anchors: &Anchors, place: &str) -> Examined {
        let mut trace = Trace::new();
        let verdict = self.judge(anchors, &mut trace).map(|peer| Verification::of(&peer, place)).map_err(Into::into);
        Examined { place: place.into(), at_s: self.at_s(), verdict, trace }
    }

    /// The bytes of a file.
    ///
    /// # Panics
    /// Never for an exchange that came over the wire or from a file: its answer is within the limits of the protocol.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.encode();
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// The exchange without the checksum of a file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let complete = self.complete().and_then(|answer| Blob::new(answer.encode()).ok());
        let as_it_came = || Blob::new(self.answer.encode()).expect("an answer that was decoded is within the limits of the protocol");
        let answer = complete.unwrap_or_else(as_it_came);
        SavedExchange { answer, ..self.asked.clone() }.encode()
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ReadExchangeError> {
        let failed = |source| ReadExchangeError::Io { path: path.into(), source };
        let most = EXCHANGE_FILE_BYTES;
        let mut bytes = Vec::new();
        std::fs::File::open(path).map_err(failed)?.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > most {
            return Err(ReadExchangeError::TooLarge { path: path.into(), most });
        }
        let Some((body, checksum)) = bytes.len().checked_sub(CHECKSUM_BYTES).and_then(|at| bytes.split_at_checked(at)) else {
            return Err(ReadExchangeError::Damaged { path: path.into() });
        };
        if Sha256::digest(body).as_slice() != checksum {
            return Err(ReadExchangeError::Damaged { path: path.into() });
        }
        Self::decode(body).map_err(|source| ReadExchangeError::Malformed { path: path.into(), source })
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut asked = SavedExchange::decode(body)?;
        let answer = AttestResp::decode(&asked.answer)?;
        asked.answer = Blob::default();
        Ok(Exchange { asked, answer, remembered: Remembered::default() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use ringwall_sim::answering::{NOW_S, Node, SESSION, node_of};

    /// What `node` answered someone who remembers its policy, and demands this version.
    fn remembering(node: &Node, min_policy_version: PolicyVersion) -> Exchange {
        let mut remembered = Remembered::default();
        let (cluster_id, founding) = (node.genesis.cluster_id(), node.policy.clone());
        let record = KnownPolicy { cluster_id, founding, steps: PolicySteps::default() };
        remembered.policy = Some(Arc::new(Newest::new(record).unwrap()));
        let (handshake, nonce, noise, mode) = (SESSION.hash, SESSION.nonce, SESSION.noise, SESSION.mode);
        let answer = Blob::default();
        let asked = SavedExchange { cluster_id, min_policy_version, handshake, nonce, noise, mode, at_s: NOW_S, answer };
        Exchange::new(asked, node.answers(SESSION), remembered)
    }

    #[test]
    fn the_least_version_is_demanded_whatever_is_remembered() {
        let node = node_of("genoa-1", "remembered", |_| ());
        let (anchors, got) = (ringwall_sim::anchors(), node.policy.version);
        let judged = |required| remembering(&node, required).judge(&anchors, &mut Trace::new());
        assert_eq!(judged(got).unwrap().policy(), &node.policy);
        let required = PolicyVersion(got.0 + 1);
        assert!(matches!(judged(required), Err(SessionError::PolicyTooOld { got: of, required: least }) if (of, least) == (got, required)));
        let card = remembering(&node, got).pinned_to(node.genesis.cluster_id(), required);
        assert!(matches!(card.judge(&anchors, &mut Trace::new()), Err(SessionError::PolicyTooOld { .. })));
    }
}
