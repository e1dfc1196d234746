//! A dealing in a group: it outlives its dealer, a leader, a member's absence and a snapshot; and rotations under writes leave equal states.
//!
//! Decides: what one leader began another one ends, and every replica has the same of it. Trusts: the wires of `rig`.
//! Out of scope: each clause by itself (`src/machine/custody/tests.rs`), making shares (`keys`, `node`).

use crate::rig::*;
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_consensus::{CustodyTerms, Held, Replica};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::*;
use ringwall_wire::custody::*;
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::*;
use ringwall_wire::request::Expect;
use ringwall_wire::rotation::*;
use ringwall_wire::sample::{Sample as _, Source};
use std::sync::Arc;

fn custodian_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn custodians() -> Vec<Custodian> {
    let made = |number: u8| Custodian {
        name: Text::new(format!("custodian {number}")).unwrap(),
        sig: SigPublic(custodian_key(number).verifying_key().to_bytes()),
        kem: Blob::new(vec![number; 8]).unwrap(),
    };
    (1..=3).map(made).collect()
}

async fn kept(snapshots: bool) -> Group {
    Group::start_with(3, move |options| {
        options.custody = CustodyTerms::new(List::new(custodians()).unwrap(), 2).map(Arc::new);
        if snapshots {
            options.snapshot_entries = 50;
            options.keep_entries = 10;
            options.overlay_bytes = 64 * 1024;
        }
    })
    .await
}

fn wrapped(key_epoch: KeyEpoch) -> WrappedKey {
    WrappedKey { key_epoch, iv: [3; 24], commit: [4; 32], ciphertext: [5; 48] }
}

fn keys(manifest: &CustodyManifest, key_epoch: KeyEpoch) -> DealtKeys {
    let proofs = manifest.members.iter().map(|member| WrappedProofKey { custodian: member.id(), key: wrapped(key_epoch) });
    DealtKeys { tag: wrapped(key_epoch), proofs: List::new(proofs.collect()).unwrap() }
}

/// What the leader of the moment deals.
fn dealing(leader: &Replica) -> Dealing {
    let (view, me) = (leader.view().unwrap(), leader.metrics().me);
    let cert = view.member(me).unwrap().cert;
    let rows = view.key_rows();
    let members = custodians().into_iter().zip(1..);
    let members = members.map(|(custodian, x)| ManifestMember { custodian, x, commitment: Digest([x; 32]) });
    let manifest = CustodyManifest {
        cluster_id: CLUSTER,
        epoch: EPOCH,
        custody_epoch: CustodyEpoch(view.custody().newest.0 + 1),
        threshold: 2,
        members: List::new(members.collect()).unwrap(),
        previous: view.custody().active.as_ref().map_or(Digest([0; 32]), |active| active.hash),
        oldest_key: rows.first().unwrap().key_epoch,
        newest_key: view.newest_key(),
        dealer: me,
        dealer_sig: cert.keys.sig,
        ..CustodyManifest::sample(&mut Source::new(1))
    };
    let hash = Digest(manifest.digest());
    let envelopes = manifest.members.iter().map(|member| ShareEnvelope {
        manifest: hash,
        custodian: member.id(),
        x: member.x,
        ..ShareEnvelope::sample(&mut Source::new(2))
    });
    let envelopes = List::new(envelopes.collect()).unwrap();
    let keys = keys(&manifest, manifest.newest_key);
    let signature = Signature(signing(&cert.keys.noise).sign(&manifest.words()).to_bytes());
    Dealing { manifest: SignedManifest { manifest, signature }, envelopes, keys, exchange: Blob::default() }
}

async fn custody(group: &Group, command: CustodyCommand) -> Outcome {
    group.command(CommandBody::Custody(Box::new(command))).await.outcomes[0]
}

async fn acknowledge(group: &Group, manifest: Digest, number: u8) -> Outcome {
    let custodian = custodians()[usize::from(number) - 1].id();
    let signature = custodian_key(number).sign(&ShareAck::words(&CLUSTER, &manifest, &custodian));
    let ack = ShareAck { manifest, custodian, signature: Signature(signature.to_bytes()) };
    match custody(group, CustodyCommand::Ack(ack)).await {
        // A leader that went away had applied the first try.
        Outcome::Denied(Denial::Custody(CustodyFault::Already)) => Outcome::Done,
        outcome => outcome,
    }
}

fn rotation(leader: &Replica, held: &Held) -> KeyRotate {
    let next = KeyEpoch(leader.view().unwrap().newest_key().0 + 1);
    let recovery = RecoveryBlob { manifest: held.hash, epoch: EPOCH, newest_key: next, ..RecoveryBlob::sample(&mut Source::new(3)) };
    let generation = KeyGeneration { key_epoch: next, commit: Digest([next.0 as u8; 32]) };
    let custody = Some(RotatedCustody { recovery, keys: keys(held.manifest(), next) });
    KeyRotate { generation, by: leader.metrics().me, custody }
}

async fn activate(group: &Group) -> Outcome {
    let leader = group.leader().await;
    let waiting = linear(&leader).await.custody().waiting.clone().unwrap();
    let rotate = rotation(&leader, &waiting);
    custody(group, CustodyCommand::Activate(Box::new(Activate { manifest: waiting.hash, order: None, rotate }))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dealing_outlives_its_dealer_and_another_leader_activates_it() {
    let group = kept(false).await;
    let dealer = group.leader().await;
    let dealt = dealing(&dealer);
    let hash = Digest(dealt.manifest.manifest.digest());
    assert_eq!(custody(&group, CustodyCommand::Deal(Box::new(dealt))).await, Outcome::Done);
    assert_eq!(acknowledge(&group, hash, 1).await, Outcome::Done);
    group.kill(dealer.metrics().me).await;
    assert_eq!(acknowledge(&group, hash, 2).await, Outcome::Done);
    assert_eq!(activate(&group).await, Outcome::Denied(Denial::Custody(CustodyFault::NotAcknowledged)));
    assert_eq!(acknowledge(&group, hash, 3).await, Outcome::Done);
    assert_eq!(activate(&group).await, Outcome::Done);
    let view = linear(&group.leader().await).await;
    assert_eq!((view.custody().active_epoch(), view.newest_key()), (CustodyEpoch(1), KeyEpoch(2)));
    group.assert_identical().await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_has_the_dealing_from_a_snapshot_and_so_has_who_replaces_a_member() {
    let group = kept(true).await;
    group.write(open_space(SPACE)).await;
    let leader = group.leader().await.metrics().me;
    let away = group.all().into_keys().find(|other| *other != leader).unwrap();
    group.isolate(away);
    let dealt = dealing(&group.leader().await);
    let hash = Digest(dealt.manifest.manifest.digest());
    assert_eq!(custody(&group, CustodyCommand::Deal(Box::new(dealt))).await, Outcome::Done);
    for number in 1..=3 {
        assert_eq!(acknowledge(&group, hash, number).await, Outcome::Done);
    }
    assert_eq!(activate(&group).await, Outcome::Done);
    let waiting = dealing(&group.leader().await);
    let second = Digest(waiting.manifest.manifest.digest());
    assert_eq!(custody(&group, CustodyCommand::Deal(Box::new(waiting))).await, Outcome::Done);
    assert_eq!(acknowledge(&group, second, 3).await, Outcome::Done);
    for seq in 1..=300 {
        group.write(put(1, seq, seq % 90, &[seq as u8; 900], Expect::Any)).await;
    }
    group.heal();
    group.assert_identical().await;
    let slot = group.get(away).view().unwrap().member(away).unwrap().cert.slot.0;
    group.kill(away).await;
    let came = group.join(slot, Some(away)).await;
    group.assert_identical().await;
    let custody = group.get(came).view().unwrap().custody();
    let (active, waiting) = (custody.active.clone().unwrap(), custody.waiting.clone().unwrap());
    assert_eq!((active.hash, waiting.hash, waiting.acks.len()), (hash, second, 1));
    for number in 1..=2 {
        assert_eq!(acknowledge(&group, second, number).await, Outcome::Done);
    }
    assert_eq!(activate(&group).await, Outcome::Done);
    group.assert_identical().await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_between_writes_is_one_moment_on_every_replica() {
    let group = kept(true).await;
    let spaces = |number: u8| SpaceTag([number; 16]);
    for number in 1..=40 {
        group.write(open_space(spaces(number))).await;
    }
    for round in 0..3_u32 {
        let leader = group.leader().await;
        let generation = KeyGeneration { key_epoch: KeyEpoch(round + 2), commit: Digest([round as u8; 32]) };
        let rotate = KeyRotate { generation, by: leader.metrics().me, custody: None };
        let done = group.command(CommandBody::Keys(Box::new(KeyCommand::Rotate(Box::new(rotate))))).await;
        assert_eq!(done.outcomes, [Outcome::Done]);
        if round == 1 {
            group.kill(leader.metrics().me).await;
        }
        let newest = KeyEpoch(round + 2);
        for part in 0..4_u8 {
            let moved =
                (1..=10_u8).map(|at| RewrappedSpace { space: spaces(part * 10 + at), from: KeyEpoch(round + 1), dek: wrapped(newest) });
            let rewrap = Rewrap { to: newest, spaces: List::new(moved.collect()).unwrap() };
            group.command(CommandBody::Keys(Box::new(KeyCommand::Rewrap(rewrap)))).await;
            group.write(put(1, u64::from(round) * 4 + u64::from(part) + 1, 1, b"meanwhile", Expect::Any)).await;
        }
        let retired = group.command(CommandBody::Keys(Box::new(KeyCommand::Retire(KeyEpoch(round + 1))))).await;
        assert_eq!(retired.outcomes, [Outcome::Done]);
    }
    let rows = linear(&group.leader().await).await.key_rows();
    assert_eq!(rows.iter().map(|row| (row.key_epoch.0, row.spaces)).collect::<Vec<_>>(), [(4, 40)]);
    group.assert_identical().await;
    group.stop().await;
}
