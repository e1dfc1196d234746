//! The rules by which a receipt is accepted, refused, or called a rollback or a fork; and the files anchors are kept in.
//!
//! Decides: every rule of protocol section 5.2 (a), (b), (c) from both sides, as functions. Trusts: the ledger of these tests.
//! Out of scope: sessions and evidence (rollback.rs).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_client::anchor::{
    Anchor, AnchorError, AnchorFiles, AnchorStore, Contradiction, EpochFault, InMemory, Misdeed, ReceiptFault, Refused, Session, against,
    against_across, continues_epochs, fits, is_later, merge,
};
use ringwall_sim::ledger::{Ledger, To};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::ids::*;
use ringwall_wire::limits::LOG_TREE_TILES;
use ringwall_wire::receipt::{EpochStart, LANDMARK, Receipt, Receipted, Signer, TreePoint, session_nonce};

const CLUSTER: ClusterId = ClusterId([7; 32]);
const SPACE: Digest = Digest([1; 32]);
const OTHER: Digest = Digest([2; 32]);

fn sign(words: &[u8]) -> Signature {
    Signature(SigningKey::from_bytes(&[5; 32]).sign(words).to_bytes())
}

fn to(number: u64, from: u64) -> To {
    To { user: UserId([3; 20]), client: ClientId([4; 16]), nonce: Nonce([6; 32]), number, from }
}

fn ledger(entries: u64) -> Ledger {
    let mut ledger = Ledger::new(CLUSTER, Epoch(2), entries);
    ledger.write(&SPACE);
    ledger
}

fn anchor(receipted: &Receipted) -> Anchor {
    Anchor { newest: receipted.receipt.clone(), others: List::default() }
}

/// What comes of a ledger's next receipt after the known one.
fn judged(known: &Anchor, now: &Ledger) -> Result<(), Refused> {
    let got = now.receipt(&to(2, known.newest.head.tree.size), &[SPACE], 0, sign);
    against(known, &got.receipt, got.from, &got.path)
}

fn contradiction(outcome: Result<(), Refused>) -> Contradiction {
    match outcome {
        Err(Refused::Contradicts(what, _)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_goes_on_is_accepted_at_every_distance() {
    for size in [1, 2, 3, 7, 8, 9, 255, 256, 300] {
        let before = ledger(size);
        let known = anchor(&before.receipt(&to(1, 0), &[SPACE], 0, sign));
        for more in [0, 1, 2, 5, 64, 255] {
            let mut now = before.clone();
            now.grow(more);
            assert_eq!(judged(&known, &now), Ok(()), "{size} and {more} more");
        }
    }
}

#[test]
fn a_shorter_log_is_a_rollback_and_says_what_is_lost() {
    let known = anchor(&ledger(20).receipt(&to(1, 0), &[], 0, sign));
    let what = contradiction(judged(&known, &ledger(12)));
    assert_eq!(what, Contradiction::LogShrank { known: 21, got: 13 });
    assert_eq!(what.misdeed(), Misdeed::Rollback);
    assert!(what.to_string().contains("entries 13 to 20"), "{what}");
}

#[test]
fn another_log_is_a_fork_whether_longer_or_not() {
    let before = ledger(20);
    let known = anchor(&before.receipt(&to(1, 0), &[], 0, sign));
    for more in [0, 1, 30] {
        for index in [0, 9, 20] {
            let mut now = before.clone();
            now.grow(more);
            now.rewrite(index);
            let what = contradiction(judged(&known, &now));
            assert_eq!(
                (what.clone(), what.misdeed()),
                (Contradiction::LogForked { size: 21 }, Misdeed::Fork),
                "{more} more, entry {index}"
            );
        }
    }
}

#[test]
fn a_path_that_is_none_is_no_evidence_and_not_accepted() {
    let before = ledger(20);
    let known = anchor(&before.receipt(&to(1, 0), &[], 0, sign));
    let mut now = before;
    now.grow(9);
    let got = now.receipt(&to(2, 21), &[], 0, sign);
    let fault = |from| Err(Refused::Fault(ReceiptFault::Path { from, to: 30 }));
    let (last, shorter) = got.path.split_last().unwrap();
    assert_eq!(against(&known, &got.receipt, 21, shorter), fault(21));
    assert_eq!(against(&known, &got.receipt, 21, &[]), fault(21));
    assert_eq!(against(&known, &got.receipt, 20, &got.path), fault(20), "from another size than is known");
    let mut longer = got.path.to_vec();
    longer.push(*last);
    assert_eq!(against(&known, &got.receipt, 21, &longer), fault(21));
    let mut wrong_root = got.receipt.clone();
    wrong_root.head.tree.root = Digest([9; 32]);
    assert_eq!(against(&known, &wrong_root, 21, &got.path), fault(21), "the path does not lead to this root");
    let same = Err(Refused::Fault(ReceiptFault::Path { from: 21, to: 21 }));
    assert_eq!(against(&known, &known.newest, 21, &[Digest([1; 32])]), same, "from a log to itself there is none");
}

#[test]
fn the_landmark_serves_only_where_the_leaves_must_be_gone() {
    let window = (LOG_TREE_TILES - 1) * LANDMARK;
    let before = ledger(LANDMARK + 10);
    let known = anchor(&before.receipt(&to(1, 0), &[], 0, sign));
    for (more, fine) in [(LANDMARK, false), (window - 1, false), (window, true)] {
        let mut now = before.clone();
        now.grow(more);
        let got = now.receipt(&to(2, LANDMARK), &[], 0, sign);
        let judged = against(&known, &got.receipt, got.from, &got.path);
        assert_eq!(judged.is_ok(), fine, "{more} more: {judged:?}");
        let beside = now.receipt(&to(2, LANDMARK + 1), &[], 0, sign);
        let judged = against(&known, &beside.receipt, beside.from, &beside.path);
        assert!(matches!(judged, Err(Refused::Fault(ReceiptFault::Path { .. }))), "beside it, {more} more: {judged:?}");
        if fine {
            now.rewrite(3);
            let got = now.receipt(&to(2, LANDMARK), &[], 0, sign);
            let forked = contradiction(against(&known, &got.receipt, got.from, &got.path));
            assert_eq!(forked, Contradiction::LogForked { size: LANDMARK });
        }
    }
}

#[test]
fn a_namespace_never_loses_changes_and_never_changes_them() {
    let before = ledger(20);
    let known = anchor(&before.receipt(&to(1, 0), &[SPACE], 0, sign));
    let mut now = before.clone();
    now.grow(4);
    now.spaces.insert(SPACE.0, (0, Digest([0; 32])));
    assert_eq!(contradiction(judged(&known, &now)), Contradiction::SpaceShrank { known: 1, got: 0 });
    now.spaces.insert(SPACE.0, (1, Digest([8; 32])));
    assert_eq!(contradiction(judged(&known, &now)), Contradiction::SpaceForked { seq: 1 });
    now.spaces.insert(SPACE.0, (2, Digest([8; 32])));
    assert_eq!(judged(&known, &now), Ok(()), "more changes have another digest");
    // The newest receipt says nothing of the namespace: an older one that is kept does.
    let mut later = before.clone();
    later.write(&OTHER);
    let both = merge(&known, &anchor(&later.receipt(&to(2, 0), &[OTHER], 0, sign))).unwrap();
    later.grow(2);
    later.spaces.insert(SPACE.0, (0, Digest([0; 32])));
    assert_eq!(contradiction(judged(&both, &later)), Contradiction::SpaceShrank { known: 1, got: 0 });
}

#[test]
fn lower_epochs_and_other_clusters_are_forks_and_higher_epochs_need_proof() {
    let known = anchor(&ledger(20).receipt(&to(1, 0), &[], 0, sign));
    let other = |epoch, cluster| judged(&known, &Ledger::new(cluster, epoch, 40));
    assert_eq!(contradiction(other(Epoch(1), CLUSTER)), Contradiction::EpochFell { known: Epoch(2), got: Epoch(1) });
    let elsewhere = ClusterId([8; 32]);
    assert_eq!(contradiction(other(Epoch(2), elsewhere)), Contradiction::OtherCluster { known: CLUSTER, got: elsewhere });
    assert_eq!(other(Epoch(3), CLUSTER), Err(Refused::EpochUnproven { known: Epoch(2), got: Epoch(3) }));
}

#[test]
fn a_recovery_that_continues_what_was_known_is_accepted_and_what_it_lost_is_named() {
    let before = ledger(20);
    let known = anchor(&before.receipt(&to(1, 0), &[SPACE], 0, sign));
    let start = |epoch, size| EpochStart {
        cluster_id: CLUSTER,
        epoch: Epoch(epoch),
        previous: TreePoint { size, root: Digest([0; 32]) },
        account: Digest([0; 32]),
        witnesses: List::default(),
    };
    let judged = |now: &Ledger, chain: &[EpochStart]| {
        let got = now.receipt(&to(2, known.newest.head.tree.size), &[SPACE], 0, sign);
        against_across(&known, &got.receipt, got.from, &got.path, chain)
    };
    let recovered = |mut ledger: Ledger, epoch, more| {
        (ledger.epoch, ledger.incarnation) = (Epoch(epoch), ringwall_wire::ids::Incarnation::new(Epoch(epoch), 1));
        ledger.grow(more);
        ledger
    };
    let whole = recovered(before.clone(), 3, 4);
    assert_eq!(judged(&whole, &[start(3, 21)]), Ok(()));
    assert_eq!(judged(&recovered(before.clone(), 4, 9), &[start(3, 21), start(4, 25)]), Ok(()), "two recoveries later");
    let unproven = |got| Err(Refused::EpochUnproven { known: Epoch(2), got: Epoch(got) });
    assert_eq!(judged(&whole, &[]), unproven(3), "nothing is told of the recovery");
    assert_eq!(judged(&recovered(before.clone(), 4, 9), &[start(4, 25)]), unproven(4), "a row with a gap");
    assert_eq!(judged(&whole, &[EpochStart { cluster_id: ClusterId([8; 32]), ..start(3, 21) }]), unproven(3));
    // The path shows nothing missing, and the row says that something is: one of the two is a lie.
    assert_eq!(judged(&whole, &[start(3, 11)]), unproven(3));
    // Ten entries are gone, and others stand in their place; or nothing does yet.
    let mut cut = before.clone();
    cut.leaves.truncate(11);
    let mut other = recovered(cut.clone(), 3, 30);
    other.rewrite(12);
    let lost = Contradiction::EpochLost { epoch: Epoch(3), known: 21, recovered: 11 };
    assert_eq!(contradiction(judged(&other, &[start(3, 11)])), lost);
    assert_eq!(contradiction(judged(&recovered(cut.clone(), 3, 2), &[start(3, 11)])), lost);
    assert_eq!(lost.misdeed(), Misdeed::Rollback);
    assert!(lost.to_string().contains("entries 11 to 20"), "{lost}");
    // Who tells nothing of it is caught all the same.
    assert_eq!(contradiction(judged(&other, &[])), Contradiction::LogForked { size: 21 });
    assert_eq!(contradiction(judged(&recovered(cut, 3, 2), &[])), Contradiction::LogShrank { known: 21, got: 13 });
}

#[test]
fn a_chain_of_epochs_must_be_whole_witnessed_and_lose_nothing() {
    let mut ledger = ledger(20);
    let known = ledger.receipt(&to(1, 0), &[], 0, sign).receipt.head;
    ledger.grow(5);
    let taken = ledger.receipt(&to(2, 21), &[], 0, sign);
    let point = |head: &ringwall_wire::receipt::ReceiptHead| TreePoint { size: head.tree.size, root: head.tree.root };
    let start = |epoch, previous| EpochStart {
        cluster_id: CLUSTER,
        epoch: Epoch(epoch),
        previous,
        account: Digest([0; 32]),
        witnesses: List::default(),
    };
    let (third, fourth) = (start(3, point(&taken.receipt.head)), start(4, point(&taken.receipt.head)));
    let all = |_: &EpochStart| true;
    let judge = |chain: &[EpochStart], got| continues_epochs(&known, Epoch(got), chain, &taken.path, &all);
    assert_eq!(judge(std::slice::from_ref(&third), 3), Ok(()));
    assert_eq!(judge(&[third.clone(), fourth.clone()], 4), Ok(()));
    let broken = |got| Err(EpochFault::Broken { known: Epoch(2), got: Epoch(got) });
    assert_eq!(judge(&[], 3), broken(3));
    assert_eq!(judge(&[fourth], 4), broken(4));
    assert_eq!(judge(std::slice::from_ref(&third), 4), broken(4));
    let elsewhere = EpochStart { cluster_id: ClusterId([8; 32]), ..third.clone() };
    assert_eq!(judge(&[elsewhere], 3), broken(3), "of another cluster");
    let nobody = |_: &EpochStart| false;
    assert_eq!(
        continues_epochs(&known, Epoch(3), std::slice::from_ref(&third), &taken.path, &nobody),
        Err(EpochFault::NotWitnessed(Epoch(3)))
    );
    let lost = start(3, TreePoint { size: 11, root: Digest([1; 32]) });
    assert_eq!(judge(&[lost], 3), Err(EpochFault::Lost { epoch: Epoch(3), recovered: 11, known: 21 }));
    let forked = start(3, TreePoint { size: 26, root: Digest([1; 32]) });
    assert_eq!(judge(&[forked], 3), Err(EpochFault::Forked(Epoch(3))));
}

#[test]
fn a_receipt_is_the_next_of_its_own_session_or_none() {
    let receipt = ledger(9).receipt(&to(1, 0), &[SPACE], 0, sign).receipt;
    let key = SigPublic(SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes());
    let To { user, client, nonce, number, .. } = to(1, 0);
    let session = Session { cluster_id: CLUSTER, epoch: Epoch(2), incarnation: receipt.head.incarnation, key, user, client, nonce, number };
    assert_eq!(fits(&receipt, &session), Ok(()));
    let refused = |change: fn(&mut Session)| {
        let mut other = session.clone();
        change(&mut other);
        fits(&receipt, &other).unwrap_err()
    };
    assert_eq!(refused(|session| session.user.0[0] ^= 1), ReceiptFault::OtherUser);
    assert_eq!(refused(|session| session.client.0[0] ^= 1), ReceiptFault::OtherClient);
    assert_eq!(refused(|session| session.nonce.0[0] ^= 1), ReceiptFault::OtherNonce);
    assert_eq!(refused(|session| session.number = 2), ReceiptFault::OtherNumber { expected: 2, got: 1 });
    assert!(matches!(refused(|session| session.incarnation.0 += 1), ReceiptFault::OtherSigner { .. }));
    assert!(matches!(refused(|session| session.epoch.0 += 1), ReceiptFault::OtherSigner { .. }));
    assert!(matches!(refused(|session| session.cluster_id.0[0] ^= 1), ReceiptFault::OtherSigner { .. }));
    for damage in [|receipt: &mut Receipt| receipt.leaf.number = 7, |receipt: &mut Receipt| receipt.head.index += 1] {
        let mut torn = receipt.clone();
        damage(&mut torn);
        assert_eq!(fits(&torn, &session), Err(ReceiptFault::Torn));
    }
}

#[test]
fn what_came_later_shows_by_number_or_by_nonce() {
    let ledger = ledger(9);
    let known = ledger.receipt(&to(4, 0), &[], 0, sign).receipt;
    let got = |number, nonce| ledger.receipt(&To { nonce, ..to(number, 0) }, &[], 0, sign).receipt;
    let (opening, heads) = (Nonce([11; 32]), anchor(&ledger.receipt(&to(4, 0), &[], 0, sign)).heads());
    let nonce = session_nonce(&opening, &heads);
    assert!(is_later(&known, &got(5, known.leaf.nonce), &opening, &[]));
    assert!(!is_later(&known, &got(4, known.leaf.nonce), &opening, &[]));
    for other in
        [To { user: UserId([4; 20]), ..to(5, 0) }, To { client: ClientId([5; 16]), ..to(5, 0) }, To { nonce: Nonce([7; 32]), ..to(5, 0) }]
    {
        let got = ledger.receipt(&other, &[], 0, sign).receipt;
        assert!(!is_later(&known, &got, &opening, &[]), "a number counts within one session: {other:?}");
    }
    assert!(is_later(&known, &got(1, nonce), &opening, &heads));
    assert!(!is_later(&known, &got(1, nonce), &Nonce([12; 32]), &heads));
    assert!(!is_later(&known, &got(1, session_nonce(&opening, &[])), &opening, &[]), "made without knowing it");
}

#[test]
fn anchors_keep_the_newest_of_all_and_of_every_namespace() {
    let mut ledger = ledger(9);
    let first = anchor(&ledger.receipt(&to(1, 0), &[SPACE], 0, sign));
    ledger.write(&OTHER);
    let second = anchor(&ledger.receipt(&to(2, 0), &[OTHER], 0, sign));
    let both = merge(&first, &second).unwrap();
    assert_eq!(both, merge(&second, &first).unwrap());
    assert_eq!((both.newest.clone(), both.others.to_vec()), (second.newest, vec![first.newest.clone()]));
    ledger.write(&SPACE);
    let third = anchor(&ledger.receipt(&to(3, 0), &[SPACE, OTHER], 0, sign));
    let all = merge(&both, &third).unwrap();
    assert_eq!((all.newest, all.others.len()), (third.newest, 0), "it names both as far as anything does");
    assert_eq!(merge(&first, &first).unwrap(), first);
}

#[test]
fn two_devices_that_saw_two_histories_find_out() {
    let one = ledger(9);
    let mut other = one.clone();
    other.rewrite(2);
    let (left, right) = (anchor(&one.receipt(&to(1, 0), &[], 0, sign)), anchor(&other.receipt(&to(1, 0), &[], 0, sign)));
    assert_eq!(merge(&left, &right).unwrap_err().0, Contradiction::LogForked { size: 10 });
    other = one.clone();
    other.grow(1);
    other.spaces.insert(SPACE.0, (1, Digest([9; 32])));
    let (left, right) = (anchor(&one.receipt(&to(1, 0), &[SPACE], 0, sign)), anchor(&other.receipt(&to(1, 0), &[SPACE], 0, sign)));
    assert_eq!(merge(&left, &right).unwrap_err().0, Contradiction::SpaceForked { seq: 1 });
    let elsewhere = anchor(&Ledger::new(ClusterId([8; 32]), Epoch(2), 30).receipt(&to(1, 0), &[], 0, sign));
    assert!(matches!(merge(&left, &elsewhere).unwrap_err().0, Contradiction::OtherCluster { .. }));
}

/// Either may have seen more entries: what both signed of one size is their landmark, or the whole log of one and the landmark of the other.
#[test]
fn two_histories_are_told_apart_by_their_landmarks_though_their_sizes_differ() {
    for (size, more) in [(2 * LANDMARK, 40), (2 * LANDMARK - 1, 41), (3 * LANDMARK - 3, 1)] {
        let one = ledger(size);
        let mut other = one.clone();
        other.grow(more);
        let seen = |ledger: &Ledger| anchor(&ledger.receipt(&to(1, 0), &[], 0, sign));
        assert!(merge(&seen(&one), &seen(&other)).is_ok(), "one history, {size} and {more} more");
        other.rewrite(2);
        let (left, right) = (seen(&one), seen(&other));
        assert_ne!(left.newest.head.tree.size, right.newest.head.tree.size);
        let forked = Contradiction::LogForked { size: 2 * LANDMARK };
        assert_eq!(merge(&left, &right).unwrap_err().0, forked, "{size} and {more} more");
        assert_eq!(merge(&right, &left).unwrap_err().0, forked);
        assert_eq!(contradiction(against(&left, &right.newest, 0, &[])), forked, "and no path talks it away");
    }
    let one = ledger(2 * LANDMARK + 10);
    let mut other = one.clone();
    other.rewrite(2 * LANDMARK as usize + 5);
    other.grow(3);
    let (left, right) = (anchor(&one.receipt(&to(1, 0), &[], 0, sign)), anchor(&other.receipt(&to(1, 0), &[], 0, sign)));
    assert!(merge(&left, &right).is_ok(), "a fork after the landmark shows when the older one connects");
}

fn signer(byte: u8) -> Signer {
    Signer { incarnation: Incarnation::new(Epoch(2), 1), exchange: Blob::new(vec![byte; 40]).unwrap() }
}

#[test]
fn files_are_private_merge_and_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let files = AnchorFiles::beside(&folder.path().join("me"), &CLUSTER);
    assert!(files.load().unwrap().anchor.is_none());
    let mut ledger = ledger(9);
    let old = anchor(&ledger.receipt(&to(1, 0), &[SPACE], 0, sign));
    ledger.grow(5);
    let new = anchor(&ledger.receipt(&to(2, 0), &[SPACE], 0, sign));
    files.save(&new, &[signer(1)]).unwrap();
    files.save(&old, &[signer(2)]).unwrap();
    let kept = files.load().unwrap();
    assert_eq!(kept.anchor, Some(new), "an older anchor takes nothing back");
    assert_eq!(kept.signers, vec![signer(1)], "the first proof of a signer stays");
    use std::os::unix::fs::PermissionsExt;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
        assert!(!file.file_name().to_string_lossy().ends_with(".new"));
    }
}

#[test]
fn a_damaged_anchor_is_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let files = AnchorFiles::beside(&folder.path().join("me"), &CLUSTER);
    files.save(&anchor(&ledger(9).receipt(&to(1, 0), &[SPACE], 0, sign)), &[]).unwrap();
    let path = files.path("anchor");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(files.load(), Err(AnchorError::Malformed { .. })), "byte {at}");
    }
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(files.load(), Err(AnchorError::Malformed { .. })));
}

#[test]
fn processes_that_save_at_once_lose_nothing_and_see_a_fork() {
    let folder = tempfile::tempdir().unwrap();
    let files = AnchorFiles::beside(&folder.path().join("me"), &CLUSTER);
    let anchors: Vec<Anchor> = (0..24_u8)
        .map(|number| {
            let mut ledger = Ledger::new(CLUSTER, Epoch(2), 30 + u64::from(number));
            let space = Digest([number; 32]);
            ledger.write(&space);
            ledger.spaces.insert(space.0, (1, Digest([number; 32])));
            anchor(&ledger.receipt(&to(1, 0), &[space], 0, sign))
        })
        .collect();
    std::thread::scope(|scope| {
        for anchor in &anchors {
            scope.spawn(|| files.save(anchor, &[signer(1)]).unwrap());
        }
    });
    let kept = files.load().unwrap().anchor.unwrap();
    assert_eq!(kept.newest, anchors[23].newest);
    assert_eq!(kept.others.len(), 23, "every namespace's newest receipt is there");
    let mut forked = Ledger::new(CLUSTER, Epoch(2), 54);
    forked.rewrite(1);
    let forked = anchor(&forked.receipt(&to(1, 0), &[], 0, sign));
    for store in [&files as &dyn AnchorStore, &{
        let memory = InMemory::default();
        memory.save(&kept, &[]).unwrap();
        memory
    }] {
        assert!(matches!(store.save(&forked, &[]), Err(AnchorError::Contradiction((Contradiction::LogForked { .. }, _)))));
    }
}

#[test]
fn what_a_receipt_adds_to_an_answer_is_bounded() {
    use ringwall_wire::codec::Message as _;
    let mut ledger = ledger(3_000);
    ledger.grow(1);
    let mut receipted = ledger.receipt(&to(1, 3_001), &[SPACE], 1, sign);
    // A group of 256 answers, and a log of a million entries: 20 levels.
    receipted.receipt.path.siblings = List::new(vec![Digest([1; 32]); 8]).unwrap();
    receipted.path = List::new(vec![Digest([1; 32]); 21]).unwrap();
    let bytes =
        ringwall_wire::request::Reply { number: 0, body: ringwall_wire::request::Answer::Receipt(Box::new(receipted)) }.encode().len();
    println!("{bytes} bytes");
    assert!(bytes < 1_800, "{bytes} bytes");
}
