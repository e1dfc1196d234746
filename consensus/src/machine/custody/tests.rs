//! Dealings on record: the states, who may move them, what a snapshot keeps, and that nothing of them goes back.
//!
//! Decides: protocol section 6.1 as far as `apply` keeps it, whatever a leader appends. Trusts: nothing it tests.
//! Out of scope: whether an envelope opens (`keys`), the evidence of the dealer, which custodians judge.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::machine::admission_tests::{cert, enrol, set_voters, signing};
use crate::machine::keys_tests::{founded, keys as key_step, refused as key_refused, rotation};
use crate::machine::tests::{Bench, CLUSTER};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_wire::bounded::Text;
use ringwall_wire::command::{CommandBody, WrappedKey};
use ringwall_wire::custody::{ManifestMember, ShareEnvelope, SignedManifest, WrappedProofKey};
use ringwall_wire::ids::{Incarnation, KeyEpoch, Nonce, SigPublic, Signature, Vendor, XWingPublic};
use ringwall_wire::policy::{Approval, PolicyDoc};
use ringwall_wire::rotation::{KeyCommand, KeyRotate};
use ringwall_wire::sample::{Sample, Source};

fn custodian_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn custodian(number: u8) -> Custodian {
    let kem = XWingPublic::sample(&mut Source::new(u64::from(number)));
    let kem = ringwall_wire::bounded::Blob::new(kem.0.to_vec()).unwrap();
    Custodian {
        name: Text::new(format!("custodian {number}")).unwrap(),
        sig: SigPublic(custodian_key(number).verifying_key().to_bytes()),
        kem,
    }
}

fn terms(numbers: &[u8], threshold: u8) -> CustodyTerms {
    CustodyTerms::new(List::new(numbers.iter().map(|number| custodian(*number)).collect()).unwrap(), threshold).unwrap()
}

/// A founded group of one voter with three custodians, two of whom recover. A governor is whoever signs with zeros.
fn scene() -> (Bench, Incarnation) {
    let (mut bench, me) = founded();
    bench.state.charter.custody = Some(Arc::new(terms(&[1, 2, 3], 2)));
    bench.state.charter.judges.words = Arc::new(|_: &[u8], signatures: &[Approval], _: &PolicyDoc| match signatures.len() {
        0 => Err(OrderFault::TooFew),
        _ => Ok(()),
    });
    (bench, me)
}

fn wrapped(key_epoch: KeyEpoch) -> WrappedKey {
    WrappedKey { key_epoch, iv: [3; 24], commit: [4; 32], ciphertext: [5; 48] }
}

fn dealt_keys(manifest: &CustodyManifest, key_epoch: KeyEpoch) -> DealtKeys {
    let proofs = manifest.members.iter().map(|member| WrappedProofKey { custodian: member.id(), key: wrapped(key_epoch) });
    DealtKeys { tag: wrapped(key_epoch), proofs: List::new(proofs.collect()).unwrap() }
}

/// What an honest leader would deal now.
fn manifest(bench: &Bench, dealer: Incarnation) -> CustodyManifest {
    let mut manifest = CustodyManifest::sample(&mut Source::new(5));
    let custody = &bench.state.custody;
    let terms = custody.terms(&bench.state.charter).unwrap();
    let members = terms.custodians.iter().zip(1..).map(|(custodian, x)| ManifestMember {
        custodian: custodian.clone(),
        x,
        commitment: Digest([x; 32]),
    });
    manifest.members = List::new(members.collect()).unwrap();
    manifest.threshold = terms.threshold;
    manifest.cluster_id = CLUSTER;
    manifest.epoch = Epoch(1);
    manifest.custody_epoch = CustodyEpoch(custody.newest.0 + 1);
    manifest.previous = custody.active_hash();
    manifest.oldest_key = bench.state.generations.oldest();
    manifest.newest_key = bench.state.generations.newest();
    manifest.dealer = dealer;
    manifest.dealer_sig = SigPublic(signing(&bench.state.roster.members.get(&dealer).unwrap().cert).verifying_key().to_bytes());
    manifest
}

fn dealing(bench: &Bench, manifest: CustodyManifest) -> Dealing {
    let hash = Digest(manifest.digest());
    let envelopes = manifest.members.iter().map(|member| {
        let envelope = ShareEnvelope::sample(&mut Source::new(6));
        ShareEnvelope { manifest: hash, custodian: member.id(), x: member.x, ..envelope }
    });
    let envelopes = List::new(envelopes.collect()).unwrap();
    let keys = dealt_keys(&manifest, manifest.newest_key);
    let key = bench.state.roster.members.get(&manifest.dealer).map(|row| signing(&row.cert));
    let signature = key.map_or(Signature([0; 64]), |key| Signature(key.sign(&manifest.words()).to_bytes()));
    Dealing { manifest: SignedManifest { manifest, signature }, envelopes, keys, exchange: ringwall_wire::bounded::Blob::default() }
}

fn step(bench: &mut Bench, command: CustodyCommand) -> Outcome {
    bench.apply(5_000, CommandBody::Custody(Box::new(command)))[0]
}

fn refused(fault: CustodyFault) -> Outcome {
    Outcome::Denied(Denial::Custody(fault))
}

/// Deals as an honest leader does, and gives the manifest's hash.
fn deal(bench: &mut Bench, dealer: Incarnation) -> Digest {
    let dealing = dealing(bench, manifest(bench, dealer));
    let hash = Digest(dealing.manifest.manifest.digest());
    assert_eq!(step(bench, CustodyCommand::Deal(Box::new(dealing))), Outcome::Done);
    hash
}

fn acknowledge(bench: &mut Bench, manifest: Digest, number: u8) -> Outcome {
    let id = custodian(number).id();
    let signature = Signature(custodian_key(number).sign(&ShareAck::words(&CLUSTER, &manifest, &id)).to_bytes());
    step(bench, CustodyCommand::Ack(ShareAck { manifest, custodian: id, signature }))
}

/// The rotation that activates `manifest`.
fn carrying(bench: &Bench, by: Incarnation, held: &Held) -> KeyRotate {
    let next = KeyEpoch(bench.state.generations.newest().0 + 1);
    let recovery = RecoveryBlob { manifest: held.hash, epoch: Epoch(1), newest_key: next, ..RecoveryBlob::sample(&mut Source::new(7)) };
    let custody = RotatedCustody { recovery, keys: dealt_keys(held.manifest(), next) };
    KeyRotate { custody: Some(custody), ..rotation(by, next.0) }
}

fn activate(bench: &mut Bench, by: Incarnation, order: Option<ActivateOrder>) -> Outcome {
    let waiting = bench.state.custody.waiting.clone().unwrap();
    let rotate = carrying(bench, by, &waiting);
    step(bench, CustodyCommand::Activate(Box::new(Activate { manifest: waiting.hash, order, rotate })))
}

fn order(manifest: Digest) -> ActivateOrder {
    let signed = Approval { key: SigPublic([0; 32]), signature: Signature([0; 64]) };
    ActivateOrder { cluster_id: CLUSTER, epoch: Epoch(1), manifest, signatures: List::new(vec![signed]).unwrap() }
}

/// A dealing that everybody acknowledged and that is active.
fn active(bench: &mut Bench, me: Incarnation) -> Digest {
    let hash = deal(bench, me);
    for number in 1..=3 {
        assert_eq!(acknowledge(bench, hash, number), Outcome::Done);
    }
    assert_eq!(activate(bench, me, None), Outcome::Done);
    hash
}

#[test]
fn a_dealing_becomes_active_with_every_acknowledgement_and_a_new_master_key() {
    let (mut bench, me) = scene();
    let hash = deal(&mut bench, me);
    assert_eq!(bench.view().custody().active, None);
    assert_eq!(activate(&mut bench, me, None), refused(CustodyFault::NotAcknowledged));
    assert_eq!(acknowledge(&mut bench, hash, 1), Outcome::Done);
    assert_eq!(acknowledge(&mut bench, hash, 1), refused(CustodyFault::Already));
    assert_eq!(acknowledge(&mut bench, hash, 4), refused(CustodyFault::NotCustodian));
    assert_eq!(acknowledge(&mut bench, Digest([9; 32]), 2), refused(CustodyFault::NoDealing));
    assert_eq!(acknowledge(&mut bench, hash, 2), Outcome::Done);
    assert_eq!(activate(&mut bench, me, None), refused(CustodyFault::NotAcknowledged), "the threshold alone is not enough");
    assert_eq!(acknowledge(&mut bench, hash, 3), Outcome::Done);
    assert_eq!(bench.view().newest_key(), KeyEpoch(1));
    assert_eq!(activate(&mut bench, me, None), Outcome::Done);
    let custody = bench.view().custody();
    let active = custody.active.clone().unwrap();
    assert_eq!((active.hash, custody.waiting.is_none(), bench.view().newest_key()), (hash, true, KeyEpoch(2)), "both in one entry");
    assert_eq!(active.recovery.as_ref().unwrap().newest_key, KeyEpoch(2));
    assert_eq!(active.dealing.keys.tag.key_epoch, KeyEpoch(2));
}

#[test]
fn an_acknowledgement_is_its_custodians_signature_over_this_manifest() {
    let (mut bench, me) = scene();
    let hash = deal(&mut bench, me);
    let sign = |number: u8, words: Vec<u8>| Signature(custodian_key(number).sign(&words).to_bytes());
    let id = custodian(1).id();
    let other_cluster = ringwall_wire::ids::ClusterId([8; 32]);
    for forged in [
        sign(2, ShareAck::words(&CLUSTER, &hash, &id)),
        sign(1, ShareAck::words(&CLUSTER, &Digest([9; 32]), &id)),
        sign(1, ShareAck::words(&CLUSTER, &hash, &custodian(2).id())),
        sign(1, ShareAck::words(&other_cluster, &hash, &id)),
        Signature([0; 64]),
    ] {
        let ack = ShareAck { manifest: hash, custodian: id, signature: forged };
        assert_eq!(step(&mut bench, CustodyCommand::Ack(ack)), refused(CustodyFault::BadSignature));
    }
    assert!(bench.view().custody().waiting.as_ref().unwrap().acks.is_empty());
}

#[test]
fn the_governors_may_do_without_some_but_never_below_the_threshold() {
    let (mut bench, me) = scene();
    let hash = deal(&mut bench, me);
    acknowledge(&mut bench, hash, 1);
    assert_eq!(activate(&mut bench, me, Some(order(hash))), refused(CustodyFault::NotAcknowledged), "one share recovers nothing");
    acknowledge(&mut bench, hash, 3);
    let unsigned = ActivateOrder { signatures: List::default(), ..order(hash) };
    assert_eq!(activate(&mut bench, me, Some(unsigned)), refused(CustodyFault::Order(OrderFault::TooFew)));
    let elsewhere = ActivateOrder { cluster_id: ringwall_wire::ids::ClusterId([8; 32]), ..order(hash) };
    assert_eq!(activate(&mut bench, me, Some(elsewhere)), refused(CustodyFault::Order(OrderFault::OtherCluster)));
    let later = ActivateOrder { epoch: Epoch(2), ..order(hash) };
    assert_eq!(activate(&mut bench, me, Some(later)), refused(CustodyFault::Order(OrderFault::OtherEpoch)));
    assert_eq!(activate(&mut bench, me, Some(order(Digest([9; 32])))), refused(CustodyFault::NoDealing));
    assert_eq!(activate(&mut bench, me, Some(order(hash))), Outcome::Done);
    assert_eq!(acknowledge(&mut bench, hash, 2), Outcome::Done, "who was missing may come later");
}

#[test]
fn whatever_becomes_of_a_dealing_the_one_before_stays_good() {
    let (mut bench, me) = scene();
    let first = active(&mut bench, me);
    let good = bench.view().custody().active.clone();
    // DEALT, ACKED(1) and ACKED(2), each dropped; then one that is replaced by the next.
    for acks in 0..3 {
        let dropped = deal(&mut bench, me);
        (1..=acks).for_each(|number| assert_eq!(acknowledge(&mut bench, dropped, number), Outcome::Done));
        assert_eq!(bench.view().custody().active, good);
        assert_eq!(step(&mut bench, CustodyCommand::Abort(first)), refused(CustodyFault::NoDealing), "the active one is not dropped");
        assert_eq!(step(&mut bench, CustodyCommand::Abort(dropped)), Outcome::Done);
        assert_eq!(step(&mut bench, CustodyCommand::Abort(dropped)), refused(CustodyFault::NoDealing));
        assert_eq!(acknowledge(&mut bench, dropped, 3), refused(CustodyFault::NoDealing));
        assert_eq!((bench.view().custody().active.clone(), bench.view().custody().waiting.clone()), (good.clone(), None));
    }
    let replaced = deal(&mut bench, me);
    let second = deal(&mut bench, me);
    assert_eq!(acknowledge(&mut bench, replaced, 1), refused(CustodyFault::NoDealing));
    assert_eq!(bench.view().custody().newest, CustodyEpoch(6), "numbers of dropped dealings are not used again");
    assert_eq!(bench.view().custody().active, good);
    (1..=3).for_each(|number| assert_eq!(acknowledge(&mut bench, second, number), Outcome::Done));
    assert_eq!(activate(&mut bench, me, None), Outcome::Done);
    assert_eq!(bench.view().custody().active_epoch(), CustodyEpoch(6));
}

#[test]
fn a_dealing_that_is_not_what_the_record_wants_is_refused() {
    let (mut bench, me) = scene();
    let other = Incarnation::new(Epoch(1), 7);
    enrol(&mut bench, other, cert(2, 2, Vendor::Intel));
    let mut deny = |change: &dyn Fn(&mut CustodyManifest), fault: CustodyFault| {
        let mut manifest = manifest(&bench, me);
        change(&mut manifest);
        let dealing = dealing(&bench, manifest);
        assert_eq!(step(&mut bench, CustodyCommand::Deal(Box::new(dealing))), refused(fault));
    };
    deny(&|manifest| manifest.cluster_id.0[0] ^= 1, CustodyFault::OtherCluster);
    deny(&|manifest| manifest.epoch = Epoch(2), CustodyFault::OtherCluster);
    deny(&|manifest| manifest.custody_epoch = CustodyEpoch(0), CustodyFault::NotNext);
    deny(&|manifest| manifest.custody_epoch = CustodyEpoch(2), CustodyFault::NotNext);
    deny(&|manifest| manifest.previous = Digest([1; 32]), CustodyFault::OtherPrevious);
    deny(&|manifest| manifest.threshold = 1, CustodyFault::OtherCustodians);
    deny(&|manifest| manifest.threshold = 3, CustodyFault::OtherCustodians);
    deny(&|manifest| manifest.newest_key = KeyEpoch(2), CustodyFault::OtherKeys);
    deny(&|manifest| manifest.oldest_key = KeyEpoch(0), CustodyFault::OtherKeys);
    let members = |change: &dyn Fn(&mut Vec<ManifestMember>)| {
        let change = |manifest: &mut CustodyManifest| {
            let mut members = manifest.members.to_vec();
            change(&mut members);
            manifest.members = List::new(members).unwrap();
        };
        let mut manifest = manifest(&bench, me);
        change(&mut manifest);
        manifest
    };
    for manifest in [
        members(&|members| members[0].custodian = custodian(4)),
        members(&|members| members[1].x = 1),
        members(&|members| members.swap(0, 2)),
        members(&|members| members.truncate(2)),
    ] {
        let dealing = dealing(&bench, manifest);
        assert_eq!(step(&mut bench, CustodyCommand::Deal(Box::new(dealing))), refused(CustodyFault::OtherCustodians));
    }
    let stranger = manifest(&bench, other);
    let stranger = dealing(&bench, stranger);
    assert_eq!(step(&mut bench, CustodyCommand::Deal(Box::new(stranger))), refused(CustodyFault::NotDealer), "a member that does not vote");
    let mut forged = dealing(&bench, manifest(&bench, me));
    forged.manifest.signature.0[1] ^= 1;
    assert_eq!(step(&mut bench, CustodyCommand::Deal(Box::new(forged))), refused(CustodyFault::BadSignature));
    assert_eq!(bench.view().custody().newest, CustodyEpoch(0), "nothing of it counts");
}

#[test]
fn a_dealing_is_whole() {
    let (mut bench, me) = scene();
    let whole = || dealing(&bench, manifest(&bench, me));
    let mut parts: Vec<Dealing> = (0..7).map(|_| whole()).collect();
    let change = |dealing: &mut Dealing, change: &dyn Fn(&mut Vec<ShareEnvelope>)| {
        let mut envelopes = dealing.envelopes.to_vec();
        change(&mut envelopes);
        dealing.envelopes = List::new(envelopes).unwrap();
    };
    change(&mut parts[0], &|envelopes| envelopes.truncate(2));
    change(&mut parts[1], &|envelopes| envelopes[1].manifest = Digest([9; 32]));
    change(&mut parts[2], &|envelopes| envelopes[1].x = 3);
    change(&mut parts[3], &|envelopes| envelopes.swap(0, 1));
    parts[4].keys.tag = wrapped(KeyEpoch(2));
    parts[5].keys.proofs = List::new(parts[5].keys.proofs.iter().skip(1).cloned().collect()).unwrap();
    parts[6].keys.proofs = dealt_keys(&parts[6].manifest.manifest, KeyEpoch(2)).proofs;
    for part in parts {
        assert_eq!(step(&mut bench, CustodyCommand::Deal(Box::new(part))), refused(CustodyFault::NotWhole));
    }
}

#[test]
fn no_rotation_leaves_custodians_behind() {
    let (mut bench, me) = scene();
    active(&mut bench, me);
    let held = bench.view().custody().active.clone().unwrap();
    let alone = rotation(me, 3);
    assert_eq!(key_step(&mut bench, KeyCommand::Rotate(Box::new(alone))), key_refused(RotationFault::NotCustody));
    let good = carrying(&bench, me, &held);
    let mut wrong: Vec<KeyRotate> = (0..6).map(|_| good.clone()).collect();
    wrong[0].custody.as_mut().unwrap().recovery.manifest = Digest([9; 32]);
    wrong[1].custody.as_mut().unwrap().recovery.newest_key = KeyEpoch(2);
    wrong[2].custody.as_mut().unwrap().recovery.epoch = Epoch(2);
    wrong[3].custody.as_mut().unwrap().keys = dealt_keys(held.manifest(), KeyEpoch(2));
    wrong[4].custody.as_mut().unwrap().keys.proofs = List::default();
    wrong[5].custody.as_mut().unwrap().keys.proofs = dealt_keys(held.manifest(), KeyEpoch(2)).proofs;
    for wrong in wrong {
        assert_eq!(key_step(&mut bench, KeyCommand::Rotate(Box::new(wrong))), key_refused(RotationFault::NotCustody));
    }
    assert_eq!(key_step(&mut bench, KeyCommand::Rotate(Box::new(good))), Outcome::Done);
    let held = bench.view().custody().active.clone().unwrap();
    assert_eq!(held.recovery.as_ref().unwrap().newest_key, KeyEpoch(3), "the recovery blob is replaced with it");
    assert_eq!(key_step(&mut bench, KeyCommand::Retire(KeyEpoch(1))), Outcome::Done);
    assert_eq!(key_step(&mut bench, KeyCommand::Retire(KeyEpoch(2))), Outcome::Done);

    // A dealing that waits keeps its generation until its keys move too.
    let waiting = deal(&mut bench, me);
    let rotate = carrying(&bench, me, &held);
    assert_eq!(key_step(&mut bench, KeyCommand::Rotate(Box::new(rotate))), Outcome::Done);
    assert_eq!(key_step(&mut bench, KeyCommand::Retire(KeyEpoch(3))), key_refused(RotationFault::InUse));
    let manifest = bench.view().custody().waiting.as_ref().unwrap().manifest().clone();
    let rewrap = |key_epoch, manifest_hash| {
        let keys = dealt_keys(&manifest, KeyEpoch(key_epoch));
        KeyCommand::RewrapDealt(Box::new(ringwall_wire::rotation::RewrappedDealt { manifest: manifest_hash, keys }))
    };
    assert_eq!(key_step(&mut bench, rewrap(3, waiting)), key_refused(RotationFault::NotCustody));
    assert_eq!(key_step(&mut bench, rewrap(4, Digest([9; 32]))), key_refused(RotationFault::NotCustody));
    assert_eq!(key_step(&mut bench, rewrap(4, waiting)), Outcome::Done);
    assert_eq!(key_step(&mut bench, KeyCommand::Retire(KeyEpoch(3))), Outcome::Done);
}

#[test]
fn an_activation_without_its_rotation_changes_nothing() {
    let (mut bench, me) = scene();
    let hash = deal(&mut bench, me);
    (1..=3).for_each(|number| assert_eq!(acknowledge(&mut bench, hash, number), Outcome::Done));
    let waiting = bench.state.custody.waiting.clone().unwrap();
    let good = carrying(&bench, me, &waiting);
    let mut wrong: Vec<KeyRotate> = (0..3).map(|_| good.clone()).collect();
    wrong[0].custody = None;
    wrong[1].generation.key_epoch = KeyEpoch(7);
    wrong[2].by = Incarnation::new(Epoch(1), 9);
    let faults = [RotationFault::NotCustody, RotationFault::NotNext, RotationFault::NotVoter];
    for (rotate, fault) in wrong.into_iter().zip(faults) {
        let activate = Activate { manifest: hash, order: None, rotate };
        assert_eq!(step(&mut bench, CustodyCommand::Activate(Box::new(activate))), key_refused(fault));
        assert_eq!((bench.view().custody().active.clone(), bench.view().newest_key()), (None, KeyEpoch(1)));
    }
    assert_eq!(activate(&mut bench, me, None), Outcome::Done);
}

#[test]
fn who_proved_and_when_is_on_record() {
    let (mut bench, me) = scene();
    let hash = active(&mut bench, me);
    let proof = |number: u8, nonce: u8| {
        let (manifest, nonce, handshake) = (hash, Nonce([nonce; 32]), Digest([2; 32]));
        let mut proof =
            ShareProof { manifest, custodian: custodian(number).id(), nonce, handshake, answer: [3; 32], signature: Signature([0; 64]) };
        proof.signature = Signature(custodian_key(number).sign(&proof.words(&CLUSTER)).to_bytes());
        proof
    };
    assert_eq!(step(&mut bench, CustodyCommand::Proved(proof(1, 1))), Outcome::Done);
    assert_eq!(step(&mut bench, CustodyCommand::Proved(proof(1, 1))), refused(CustodyFault::Already));
    assert_eq!(step(&mut bench, CustodyCommand::Proved(proof(4, 1))), refused(CustodyFault::NotCustodian));
    let mut forged = proof(2, 1);
    forged.answer = [4; 32];
    assert_eq!(step(&mut bench, CustodyCommand::Proved(forged)), refused(CustodyFault::BadSignature));
    let elsewhere = ShareProof { manifest: Digest([9; 32]), ..proof(2, 1) };
    assert_eq!(step(&mut bench, CustodyCommand::Proved(elsewhere)), refused(CustodyFault::NoDealing));
    bench.apply(70_000, CommandBody::Custody(Box::new(CustodyCommand::Proved(proof(1, 2)))));
    let held = bench.view().custody().active.clone().unwrap();
    assert_eq!(held.proofs.values().map(|proof| proof.at_ms).collect::<Vec<_>>(), [70_000]);
}

#[test]
fn a_snapshot_holds_what_is_active_and_what_waits() {
    let (mut bench, me) = scene();
    let first = active(&mut bench, me);
    let second = deal(&mut bench, me);
    acknowledge(&mut bench, second, 2);
    let mut other = bench.installed(1 << 20);
    other.state.charter = bench.state.charter.clone();
    assert_eq!(other.digest(), bench.digest());
    assert_eq!(other.view().custody(), bench.view().custody());
    assert_eq!(other.view().custody().active_hash(), first);
    for bench in [&mut bench, &mut other] {
        assert_eq!(acknowledge(bench, second, 2), refused(CustodyFault::Already));
        assert_eq!(acknowledge(bench, second, 1), Outcome::Done);
        assert_eq!(acknowledge(bench, second, 3), Outcome::Done);
        assert_eq!(activate(bench, me, None), Outcome::Done);
    }
    assert_eq!(other.digest(), bench.digest());
}

#[test]
fn the_governors_may_name_other_custodians_for_the_next_dealing() {
    let (mut bench, me) = scene();
    let first = active(&mut bench, me);
    let waiting = deal(&mut bench, me);
    let old = terms(&[1, 2, 3], 2);
    let signed = Approval { key: SigPublic([0; 32]), signature: Signature([0; 64]) };
    let good = CustodiansOrder {
        cluster_id: CLUSTER,
        epoch: Epoch(1),
        replaces: CustodiansOrder::list_digest(&old.custodians, old.threshold),
        custodians: terms(&[1, 4, 5, 6], 3).custodians,
        threshold: 3,
        signatures: List::new(vec![signed]).unwrap(),
    };
    let change = |bench: &mut Bench, order: &CustodiansOrder| step(bench, CustodyCommand::Change(Box::new(order.clone())));
    let unsigned = CustodiansOrder { signatures: List::default(), ..good.clone() };
    assert_eq!(change(&mut bench, &unsigned), refused(CustodyFault::Order(OrderFault::TooFew)));
    let stale = CustodiansOrder { replaces: Digest([1; 32]), ..good.clone() };
    assert_eq!(change(&mut bench, &stale), refused(CustodyFault::OtherPrevious));
    let elsewhere = CustodiansOrder { cluster_id: ringwall_wire::ids::ClusterId([8; 32]), ..good.clone() };
    assert_eq!(change(&mut bench, &elsewhere), refused(CustodyFault::OtherCluster));
    let later = CustodiansOrder { epoch: Epoch(2), ..good.clone() };
    assert_eq!(change(&mut bench, &later), refused(CustodyFault::OtherCluster), "signed for another epoch");
    let one = CustodiansOrder { threshold: 1, ..good.clone() };
    assert_eq!(change(&mut bench, &one), refused(CustodyFault::OtherCustodians), "one alone would recover");
    let twice = CustodiansOrder { custodians: List::new(vec![custodian(1), custodian(1)]).unwrap(), threshold: 2, ..good.clone() };
    assert_eq!(change(&mut bench, &twice), refused(CustodyFault::OtherCustodians));
    assert_eq!(change(&mut bench, &good), Outcome::Done);
    assert_eq!(change(&mut bench, &good), refused(CustodyFault::OtherPrevious), "an order is used up by what it orders");
    assert_eq!(bench.view().custody().active_hash(), first, "the shares that are out stay good until there are others");
    assert_eq!(acknowledge(&mut bench, waiting, 1), refused(CustodyFault::NoDealing));
    let second = deal(&mut bench, me);
    assert_eq!(acknowledge(&mut bench, second, 2), refused(CustodyFault::NotCustodian), "who went has no share any more");
    for number in [1, 4, 5, 6] {
        assert_eq!(acknowledge(&mut bench, second, number), Outcome::Done);
    }
    assert_eq!(activate(&mut bench, me, None), Outcome::Done);
    assert_eq!(bench.installed(1 << 20).view().custody(), bench.view().custody());
}

#[test]
fn no_custody_epoch_goes_back_unseen() {
    let (mut bench, me) = scene();
    let before = bench.state.published();
    active(&mut bench, me);
    let after = bench.state.published();
    assert_eq!(before.goes_back(&after), None);
    let older = crate::machine::view::Published { custody: Arc::clone(&before.custody), ..after.clone() };
    assert_eq!(after.goes_back(&older), Some("the custody epoch"));
    let mut inactive = Custody::clone(&after.custody);
    inactive.active = None;
    let older = crate::machine::view::Published { custody: Arc::new(inactive), ..after.clone() };
    assert_eq!(after.goes_back(&older), Some("the active custody epoch"));
}

#[test]
fn a_cluster_without_custodians_deals_nothing() {
    let (mut bench, me) = scene();
    let dealing = dealing(&bench, manifest(&bench, me));
    bench.state.charter.custody = None;
    assert_eq!(step(&mut bench, CustodyCommand::Deal(Box::new(dealing))), refused(CustodyFault::NoCustodians));
    set_voters(&mut bench, &[(me, Vendor::Amd)]);
}

mod drills;
mod forged;
