//! One attestation, as it was asked and answered: judged at once when a node is dialled, and again later from a file.
//!
//! Decides: that both judgements are the same function over the same facts; what a file of it holds and that a damaged one is not read. A file is
//! a record: it shows what was proved to the session that asked, at the time it names, and nothing about who answers now. The checksum at its
//! end finds damage; whoever can write the file can write the checksum too, which is why the evidence inside is judged anew. It is judged from the newest policy
//! of whoever asked; its file has every change since the founding, in its answer or before it, so that a reader who knows no more than the cluster id comes to the
//! same end. Where it goes to custodians and nodes it has only as many of the newest as an answer carries; they have a card or a row of their own.
//! Trusts: nothing in the file; the cluster is pinned by whoever judges. Out of scope: the judging (`attest`), reading files (`client`). Protocol section 3.1, steps 3 to 5;
//! docs/formats.md, "Saved exchange".

use crate::anchor::{Newest, Remembered};
use crate::checksummed;
use crate::verification::{Examined, Verification};
use ringwall_attest::governance::{VerifiedSteps, verify_row};
use ringwall_attest::{Anchors, AppraisedPeer, Asked, Pinned, PolicyPin, SessionError, Trace, appraise_session_traced};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::evidence::Role;
use ringwall_wire::governance::{ExchangeRow, PolicyRow, PolicyStep, steps_bytes};
use ringwall_wire::ids::{ClusterId, Digest, Nonce, PolicyVersion};
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::limits::{EXCHANGE_ROW_BYTES, POLICY_STEPS, POLICY_STEPS_BYTES};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestResp, SavedExchange};
use std::sync::Arc;

/// Bytes of a saved exchange: the largest answer, the changes of the policy before it, and room for the question and the checksum.
pub const EXCHANGE_FILE_BYTES: usize = EXCHANGE_ROW_BYTES + 1_024;

/// What a node was asked and what it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    asked: SavedExchange,
    answer: AttestResp,
    /// What whoever asked remembered; nothing of it is in a file.
    remembered: Remembered,
    /// From a file: the founding policy and the changes before those of the answer; nobody has judged them. Empty where the answer has all there are.
    row: PolicyRow,
}

impl Exchange {
    /// The question and its answer. `asked.answer` is left empty: it is written when the exchange is.
    pub fn new(asked: SavedExchange, answer: AttestResp, remembered: Remembered) -> Self {
        Exchange { asked, answer, remembered, row: PolicyRow::default() }
    }

    /// The same exchange, to be judged by someone who holds this record of policies: by the policy in it that the answer is bound to or goes on from. As it came
    /// where neither is in the record: then it is judged by what it shows itself.
    #[must_use]
    pub fn held_against(mut self, known: &KnownPolicy) -> Self {
        let (digests, bound) = (known.digests(), Digest(self.answer.policy.digest()));
        let replaced = self.answer.steps.iter().filter_map(|step| step.signed.replaces);
        let place = std::iter::once(bound).chain(replaced).find_map(|held| digests.iter().position(|digest| *digest == held));
        let until = place.and_then(|changes| known.steps.get(..changes)).map(<[PolicyStep]>::to_vec);
        let record = until.and_then(|steps| Some(KnownPolicy { steps: List::new(steps).ok()?, ..known.clone() }));
        if let Some(newest) = record.and_then(|record| Newest::new(record).ok()) {
            self.remembered.policy = Some(Arc::new(newest));
        }
        self
    }

    /// What whoever asked remembered.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// The newest policy that is known after an answer that was judged and believed, by the changes that hold; none when the record cannot take it.
    pub fn learned(&self, peer: &AppraisedPeer) -> Option<KnownPolicy> {
        let known = match &self.remembered.policy {
            Some(known) => known.record.clone(),
            None => {
                // Whichever it is, the founding record names it; what an answer shows besides was not judged.
                let shown = self.answer.steps.first().and_then(PolicyStep::as_founding);
                let named = |policy: &PolicyDoc| Digest(policy.digest()) == peer.genesis().template.policy;
                let founding = shown.into_iter().chain([self.answer.policy.clone()]).find(named)?;
                KnownPolicy { cluster_id: peer.cluster_id(), founding, steps: PolicyRow::default() }
            }
        };
        known.followed_by(peer.steps()).ok()
    }

    /// The answer with all changes since the founding, so that its reader needs nothing of what whoever asked knew; with the newest of them where it does not carry
    /// all, and then false. One that does not follow from what they knew stays as it came.
    fn carried(&self) -> Option<(AttestResp, bool)> {
        let known = &self.remembered.policy.as_deref()?.record;
        let follows = match self.answer.steps.first() {
            Some(step) => step.signed.replaces == Some(known.digest()),
            None => Digest(self.answer.policy.digest()) == known.digest(),
        };
        let changes = [&*known.steps, &*self.answer.steps].concat();
        if !follows || changes.is_empty() {
            return None;
        }
        let mut bytes = 0usize;
        let newest = changes.iter().rev().take(POLICY_STEPS).take_while(|step| {
            bytes = bytes.saturating_add(steps_bytes(std::slice::from_ref(*step)));
            bytes <= POLICY_STEPS_BYTES
        });
        let left_out = changes.len().saturating_sub(newest.count());
        let founding = match left_out {
            0 => Some(PolicyStep::founding(&known.founding).ok()?),
            _ => None,
        };
        let steps = founding.into_iter().chain(changes.into_iter().skip(left_out)).collect();
        Some((AttestResp { steps: List::new(steps).ok()?, ..self.answer.clone() }, left_out == 0))
    }

    /// The founding policy and the changes before the answer's, where the answer does not carry them all.
    fn before(&self) -> Option<PolicyRow> {
        let known = &self.remembered.policy.as_deref()?.record;
        let founding = PolicyStep::founding(&known.founding).ok()?;
        List::new([&[founding], &*known.steps].concat()).ok()
    }

    /// The policies that the changes before the answer's lead through, when they hold.
    fn row_verified(&self) -> Result<Option<VerifiedSteps>, SessionError> {
        let Some((first, steps)) = self.row.split_first() else { return Ok(None) };
        let founding = first.as_founding().ok_or(SessionError::FoundingPolicyMissing { changes: self.row.len() })?;
        let (got, named) = (Digest(founding.digest()), self.answer.genesis.template.policy);
        if got != named {
            return Err(SessionError::OtherPolicy { got, named });
        }
        verify_row(&self.asked.cluster_id, &founding, steps).map(Some).map_err(SessionError::Steps)
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
    pub fn held_to(mut self, known: KnownPolicy) -> Result<Self, DecodeError> {
        self.remembered.policy = Some(Arc::new(Newest::new(known)?));
        Ok(self)
    }

    /// The same exchange, to be judged as of another moment (Unix seconds).
    #[must_use]
    pub fn as_of(mut self, at_s: u64) -> Self {
        self.asked.at_s = at_s;
        self
    }

    /// The newest policy of whoever asked, or for whoever has none the founding one; where the file's row goes on from it, what that leads to.
    fn pin<'a>(&'a self, row: Option<&'a VerifiedSteps>, min_version: PolicyVersion) -> PolicyPin<'a> {
        let held = self.remembered.policy.as_deref();
        let leads_on = |row: &&VerifiedSteps| held.is_none_or(|held| row.digests().contains(&held.record.digest()));
        match row.filter(leads_on).map(VerifiedSteps::policy).or(held.map(|held| &held.policy)) {
            Some(policy) => PolicyPin::From { policy, earlier: &[] },
            None => PolicyPin::Founding { min_version },
        }
    }

    /// Judges it, and writes down why.
    pub fn judge(&self, anchors: &Anchors, trace: &mut Trace) -> Result<AppraisedPeer, SessionError> {
        let SavedExchange { cluster_id, min_policy_version, handshake, nonce, noise, mode, at_s, .. } = &self.asked;
        let asked = Asked { handshake, nonce, role: Role::ClientServer, noise, mode: *mode };
        let row = self.row_verified()?;
        let policy = self.pin(row.as_ref(), *min_policy_version);
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
    pub fn judge_unasked(
        &self,
        role: Role,
        (handshake, nonce): &(Digest, Nonce),
        anchors: &Anchors,
        trace: &mut Trace,
    ) -> Result<AppraisedPeer, SessionError> {
        let SavedExchange { cluster_id, min_policy_version, at_s, .. } = &self.asked;
        let asked = Asked { handshake, nonce, role, noise: &self.answer.keys.noise, mode: AttestMode::Batched };
        let row = self.row_verified()?;
        let policy = self.pin(row.as_ref(), *min_policy_version);
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
        checksummed::sealed(self.encode_whole())
    }

    /// The exchange and the changes before its answer's; none where the answer carries all there are, or nobody knows them.
    fn whole(&self) -> Option<Vec<u8>> {
        let row = match self.carried() {
            Some((_, whole)) => (!whole).then(|| self.before()).flatten()?,
            None => Some(self.row.clone()).filter(|row| !row.is_empty())?,
        };
        Some(ExchangeRow { exchange: Blob::new(self.encode()).ok()?, row }.encode())
    }

    /// The exchange without the checksum of a file, with every change of the policy it takes to judge it.
    pub fn encode_whole(&self) -> Vec<u8> {
        self.whole().unwrap_or_else(|| self.encode())
    }

    /// The exchange without the checksum of a file, and with no more changes of the policy than its answer carries.
    pub fn encode(&self) -> Vec<u8> {
        let carried = self.carried().and_then(|(answer, _)| Blob::new(answer.encode()).ok());
        let as_it_came = || Blob::new(self.answer.encode()).expect("an answer that was decoded is within the limits of the protocol");
        let answer = carried.unwrap_or_else(as_it_came);
        SavedExchange { answer, ..self.asked.clone() }.encode()
    }

    /// What the body of a file, or a proof beside a receipt, holds. Nothing in it is judged.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (row, exchange) = match ExchangeRow::decode(body) {
            Ok(ExchangeRow { exchange, row }) => (row, exchange.into_vec()),
            Err(DecodeError::WrongLabel { .. }) => (PolicyRow::default(), body.to_vec()),
            Err(error) => return Err(error),
        };
        let mut asked = SavedExchange::decode(&exchange)?;
        let answer = AttestResp::decode(&asked.answer)?;
        asked.answer = Blob::default();
        Ok(Exchange { asked, answer, remembered: Remembered::default(), row })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use ringwall_sim::answering::{NOW_S, Node, SESSION, node_of};
    use ringwall_wire::ids::{SigPublic, Signature};
    use ringwall_wire::policy::{Approval, Governance, SignedPolicy};

    /// What `node` answered someone who remembers its policy, and demands this version.
    fn remembering(node: &Node, min_policy_version: PolicyVersion) -> Exchange {
        let mut remembered = Remembered::default();
        let (cluster_id, founding) = (node.genesis.cluster_id(), node.policy.clone());
        let record = KnownPolicy { cluster_id, founding, steps: PolicyRow::default() };
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

    /// What a node of a cluster with so many changes answered someone who remembers all of them, and the record of those.
    fn after_changes(changes: u64) -> (Exchange, KnownPolicy) {
        let key = SigningKey::from_bytes(&[9; 32]);
        let public = SigPublic(key.verifying_key().to_bytes());
        let governance = Governance { keys: List::new(vec![public]).unwrap(), threshold: 1, timelock_s: 60, lease_s: 0 };
        let node = node_of("genoa-1", "long", |policy| policy.governance = governance);
        let cluster_id = node.genesis.cluster_id();
        let mut known = KnownPolicy { cluster_id, founding: node.policy.clone(), steps: PolicyRow::default() };
        for _ in 0..changes {
            let mut policy = known.policy().unwrap();
            policy.version.0 += 1;
            policy.session.reattest_s -= 1;
            let policy = Blob::new(policy.encode()).unwrap();
            let mut signed = SignedPolicy { replaces: Some(known.digest()), policy, signatures: List::default() };
            let signature = Signature(key.sign(&signed.signed_words()).to_bytes());
            signed.signatures.push(Approval { key: public, signature }).unwrap();
            known = known.followed_by(&[PolicyStep { signed, notice: None }]).unwrap();
        }
        let node = Node { policy: known.policy().unwrap(), ..node };
        let mut exchange = remembering(&node, PolicyVersion(1));
        exchange.asked.cluster_id = cluster_id;
        exchange.remembered.policy = Some(Arc::new(Newest::new(known.clone()).unwrap()));
        (exchange, known)
    }

    #[test]
    fn a_file_is_judged_by_the_cluster_id_alone_however_many_changes_there_were() {
        let anchors = ringwall_sim::anchors();
        for changes in [0, 1, 32, 33, 70] {
            let (exchange, known) = after_changes(changes);
            let bytes = exchange.encode_whole();
            let read = Exchange::decode(&bytes).unwrap();
            assert_eq!(read.row.is_empty(), changes <= 32, "{changes}");
            assert_eq!(read.judge(&anchors, &mut Trace::new()).unwrap().policy(), &known.policy().unwrap(), "{changes}");
            assert_eq!(read.encode_whole(), bytes, "what was read is written as it was");
        }
        let (exchange, _) = after_changes(70);
        let mut forged = Exchange::decode(&exchange.encode_whole()).unwrap();
        let mut row = forged.row.to_vec();
        row[5].signed.signatures = List::default();
        forged.row = List::new(row).unwrap();
        assert!(matches!(forged.judge(&anchors, &mut Trace::new()), Err(SessionError::Steps(_))));
    }

    #[test]
    fn a_file_is_judged_for_whoever_holds_any_policy_of_its_row_and_for_nobody_beside_it() {
        let anchors = ringwall_sim::anchors();
        let (exchange, known) = after_changes(70);
        let bytes = exchange.encode_whole();
        let judged = |held: KnownPolicy| {
            let read = Exchange::decode(&bytes).unwrap().held_to(held).unwrap();
            read.judge(&anchors, &mut Trace::new()).map(|peer| peer.policy().version.0)
        };
        for changes in [0, 5, 37, 38, 69, 70] {
            let card = KnownPolicy { steps: List::new(known.steps[..changes].to_vec()).unwrap(), ..known.clone() };
            assert_eq!(judged(card), Ok(71), "a card of {changes} changes");
        }
        let mut aside = KnownPolicy { steps: PolicyRow::default(), ..known.clone() };
        aside.founding.session.reattest_s += 1;
        assert!(matches!(judged(aside), Err(SessionError::PolicyUnrelated { .. })));
    }

    #[test]
    fn what_goes_to_custodians_is_judged_with_a_card_that_leads_to_it() {
        let anchors = ringwall_sim::anchors();
        let (exchange, known) = after_changes(70);
        let card = |changes: usize| KnownPolicy { steps: List::new(known.steps[..changes].to_vec()).unwrap(), ..known.clone() };
        let judged = |exchange: Exchange| exchange.judge(&anchors, &mut Trace::new()).map(|peer| peer.policy().version.0);
        let read = || Exchange::decode(&exchange.encode()).unwrap();
        assert_eq!(read().answer.steps.len(), POLICY_STEPS);
        assert!(judged(read()).is_err(), "nobody knows where its changes begin");
        for changes in [38, 50, 70] {
            assert_eq!(judged(read().held_against(&card(changes))), Ok(71), "{changes}");
        }
        assert!(judged(read().held_against(&card(37))).is_err(), "a card that is older by more than an answer carries");
    }
}
