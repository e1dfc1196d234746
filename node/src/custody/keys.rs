//! How a new master key reaches the members: offered by the leader before the log names it, asked for by whoever lacks it afterwards.
//!
//! Decides: a key leaves this process only in a session with a member that is live on record here: who was superseded or retired never receives a
//! later key. A key that is offered has the commitment it comes with and is newer than everything the log has named; a key that was asked for has the
//! commitment the log names. A rotation is proposed once a majority of the voters holds its key, so that whoever leads next can reach it.
//! Trusts: the attested leader to draw keys well. Out of scope: what the log says (`consensus`). Protocol section 7.5.

use crate::context::Node;
use crate::peers::handshake::refusal;
use ringwall_consensus::{Class, MemberRow, MemberStanding, Transport, member_of};
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::limits::LIVE_KEYS;
use ringwall_wire::peer::{PeerAnswer, PeerCall};
use ringwall_wire::rotation::{KeyGeneration, KeyOffer};
use ringwall_wire::session::RefusalCode;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// Longest wait for one member's answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Too few voters hold the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{holders} of {voters} voters hold the new master key, a majority is needed; are the others reachable?")]
pub(crate) struct TooFewHolders {
    /// Who has it.
    pub(crate) holders: usize,
    /// How many vote.
    pub(crate) voters: usize,
}

/// Takes a key the leader offers.
pub(crate) fn take(node: &Node, from: Incarnation, offer: &KeyOffer) -> PeerAnswer {
    let no = |words: &'static str| {
        warn!(%from, key_epoch = %offer.generation.key_epoch, words, "a master key that was offered is not taken");
        PeerAnswer::Refused(refusal(RefusalCode::NotAuthorized, words))
    };
    if !node.replica.may_forward(from) || node.replica.metrics().leader != Some(from) {
        return no("master keys are taken from the leader alone");
    }
    let Ok(view) = node.replica.view() else { return no("this member stopped") };
    let (newest, keyring) = (view.newest_key(), node.keyring.now());
    let key = GrantedKey { key_epoch: offer.generation.key_epoch, key: offer.key.clone() };
    if keyring.generation_of(&key) != offer.generation {
        return no("the master key is not the one its commitment names");
    }
    let ahead = key.key_epoch.0.saturating_sub(newest.0);
    if ahead == 0 && keyring.generations().contains(&offer.generation) {
        return PeerAnswer::Done;
    }
    if ahead == 0 || usize::try_from(ahead).unwrap_or(usize::MAX) > LIVE_KEYS {
        return no("the master key is not newer than what the log has named");
    }
    node.keyring.change(|ring| ring.with(&key));
    PeerAnswer::Done
}

/// Gives a key that a member lacks.
pub(crate) fn give(node: &Node, from: Incarnation, generation: &KeyGeneration) -> PeerAnswer {
    let live = node.replica.view().ok().and_then(|view| view.member(from)).is_some_and(|row| row.standing == MemberStanding::Live);
    if !live || !node.replica.may_forward(from) {
        return PeerAnswer::Refused(refusal(RefusalCode::NotMember, "master keys are given to live members alone"));
    }
    let keyring = node.keyring.now();
    match keyring.granted_key(generation.key_epoch).filter(|key| keyring.generation_of(key) == *generation) {
        Some(key) => PeerAnswer::Key(key),
        None => PeerAnswer::Refused(refusal(RefusalCode::Unavailable, "this member does not hold the master key either")),
    }
}

/// Live incarnations other than this one.
fn others(node: &Node) -> Vec<MemberRow> {
    let rows = node.replica.view().map(|view| view.members()).unwrap_or_default();
    rows.into_iter().filter(|row| row.standing == MemberStanding::Live && row.incarnation != node.incarnation).collect()
}

/// Puts a new key on this ring and offers it to every live member. Whoever misses it asks for it later.
pub(crate) async fn hand_out(node: &Arc<Node>, key: &GrantedKey) -> Result<KeyGeneration, TooFewHolders> {
    let generation = node.keyring.now().generation_of(key);
    node.keyring.change(|ring| ring.with(key));
    let offers = others(node).into_iter().map(|row| async move {
        let call = PeerCall::OfferKey(KeyOffer { generation, key: key.key.clone() });
        let answer = node.peers.call(row.incarnation, &member_of(&row.cert), Class::Control, call, ANSWER).await;
        match answer {
            Ok(PeerAnswer::Done) => Some(row.incarnation),
            other => {
                debug!(to = %row.incarnation, key_epoch = %generation.key_epoch, ?other, "a new master key was not taken");
                None
            }
        }
    });
    let mut holders: Vec<Incarnation> = futures_util::future::join_all(offers).await.into_iter().flatten().collect();
    holders.push(node.incarnation);
    let voters = node.replica.metrics().voters;
    let holding = voters.iter().filter(|voter| holders.contains(&voter.incarnation)).count();
    match holding > voters.len() / 2 {
        true => Ok(generation),
        false => Err(TooFewHolders { holders: holding, voters: voters.len() }),
    }
}

/// Asks the other members for a key the log names; true when it is on the ring.
pub(crate) async fn fetch(node: &Arc<Node>, generation: KeyGeneration) -> bool {
    for row in others(node) {
        let call = PeerCall::AskKey(generation);
        let answer = node.peers.call(row.incarnation, &member_of(&row.cert), Class::Control, call, ANSWER).await;
        let Ok(PeerAnswer::Key(key)) = answer else { continue };
        if node.keyring.now().generation_of(&key) != generation {
            warn!(from = %row.incarnation, key_epoch = %generation.key_epoch, "a member gave another master key than the log names");
            continue;
        }
        node.keyring.change(|ring| ring.with(&key));
        info!(from = %row.incarnation, key_epoch = %generation.key_epoch, "a master key was taken from another member");
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::peers::serve::gate_tests::alone;
    use ringwall_wire::command::CommandBody;
    use ringwall_wire::ids::{Digest, KeyEpoch};

    fn refused(answer: PeerAnswer) -> RefusalCode {
        match answer {
            PeerAnswer::Refused(refusal) => refusal.code,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_key_is_taken_from_the_leader_if_it_is_the_one_it_is_called_and_new() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let (me, ring) = (node.incarnation, node.keyring.now());
        let key = ring.new_master(KeyEpoch(2), &mut *(node.site.entropy)());
        let offer = |key: &GrantedKey| KeyOffer { generation: ring.generation_of(key), key: key.key.clone() };
        let stranger = Incarnation::new(me.epoch(), 9_000);
        assert_eq!(refused(take(&node, stranger, &offer(&key))), RefusalCode::NotAuthorized, "not the leader");
        let mut other = offer(&key);
        other.generation.commit = Digest([1; 32]);
        assert_eq!(refused(take(&node, me, &other)), RefusalCode::NotAuthorized, "another key than it is called");
        let alive = ring.new_master(KeyEpoch(1), &mut *(node.site.entropy)());
        assert_eq!(refused(take(&node, me, &offer(&alive))), RefusalCode::NotAuthorized, "in place of a live one");
        let far = ring.new_master(KeyEpoch(100), &mut *(node.site.entropy)());
        assert_eq!(refused(take(&node, me, &offer(&far))), RefusalCode::NotAuthorized, "far beyond what is next");
        assert_eq!(node.keyring.now().generations(), ring.generations(), "nothing of it is on the ring");
        assert_eq!(take(&node, me, &offer(&key)), PeerAnswer::Done);
        assert_eq!(node.keyring.now().granted_key(KeyEpoch(2)), Some(key));
        node.replica.shutdown().await;
    }

    #[tokio::test]
    async fn a_key_is_given_to_live_members_alone() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        let (me, ring) = (node.incarnation, node.keyring.now());
        let first = ring.generations().first().copied().unwrap();
        assert_eq!(give(&node, me, &first), PeerAnswer::Key(ring.granted_key(KeyEpoch(1)).unwrap()));
        assert_eq!(refused(give(&node, Incarnation::new(me.epoch(), 9_000), &first)), RefusalCode::NotMember, "not on record");
        let other = KeyGeneration { commit: Digest([1; 32]), ..first };
        assert_eq!(refused(give(&node, me, &other)), RefusalCode::Unavailable, "another key of that number");
        let tag = KeyGeneration { key_epoch: KeyEpoch(0), ..first };
        assert_eq!(refused(give(&node, me, &tag)), RefusalCode::Unavailable, "the tag key is granted, never asked for");
        node.replica.propose(CommandBody::Retire(me)).await.unwrap();
        assert_eq!(refused(give(&node, me, &first)), RefusalCode::NotMember, "retired");
        node.replica.shutdown().await;
    }

    #[tokio::test]
    async fn a_group_of_one_rotates_by_itself_and_names_the_key_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let node = alone(folder.path()).await;
        assert_eq!(crate::custody::rotate::rotate(&node).await.unwrap(), KeyEpoch(2));
        let rows = node.replica.view().unwrap().key_rows();
        let named: Vec<_> = rows.iter().filter_map(|row| row.commit).collect();
        let held: Vec<_> = node.keyring.now().generations().iter().skip(1).map(|held| held.commit).collect();
        assert_eq!(named, held);
        node.replica.shutdown().await;
    }
}
