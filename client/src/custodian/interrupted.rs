//! Every step of a custodian, cut off between any two changes of a file and then repeated.
//!
//! Decides: after a cut the folder opens, what was held is held, and the same step ends as if it had never been cut off, with one entry in the journal; nothing
//! leaves before its entry is there. Trusts: `cut.rs` to stop where a machine could. Out of scope: what a file system loses of what it was told to keep.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::ceremony::{accept, export, import, keep_anchor, pull, rehearse, release, verify, weigh};
use super::cut;
use super::dealing::Judge;
use super::error::CustodianError;
use super::keys::CustodianKeys;
use super::locked::{Lock, Passphrase};
use super::loss::{accept_loss, weigh_loss};
use super::shelf::{Shelf, name_of};
use ringwall_attest::Anchors;
use ringwall_sim::custody::{Custody, Dealing, policy};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::GenesisTemplate;
use ringwall_wire::ids::Digest;
use ringwall_wire::keeping::{JournalEvent, LockedFile, PaperForm};
use ringwall_wire::recovery::RecoveryPurpose;
use std::path::Path;
use zeroize::Zeroizing;

const NOW_S: u64 = 1_795_521_600;
const CHIP: &str = "genoa-1";
/// More changes than any step makes.
const CUTS: u32 = 200;

/// A custodian with a folder in which one dealing is accepted, and a second one waits.
struct Scene {
    folder: tempfile::TempDir,
    keys: CustodianKeys,
    locked: LockedFile,
    cluster: Custody,
    first: Dealing,
    second: Dealing,
    anchors: Anchors,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

impl Scene {
    fn new() -> Self {
        let names = ["Ana", "Ben"].map(|name| CustodianKeys::make(Text::new(name).unwrap()));
        let policy = policy(CHIP);
        let template = GenesisTemplate {
            trust_domain: policy.trust_domain,
            name: Text::new("cut").unwrap(),
            custodians: List::new(names.iter().map(CustodianKeys::public).collect()).unwrap(),
            custody_threshold: 2,
            slots: policy.slots.clone(),
            policy: Digest(policy.digest()),
        };
        let cluster = Custody::found(template, policy, CHIP, 1, NOW_S);
        let first = cluster.deal(1, Digest([0; 32]));
        let second = cluster.deal(2, Digest(first.manifest.manifest.digest()));
        let [keys, _] = names;
        let passphrase = Passphrase::new(Zeroizing::new("correct horse battery staple".into()));
        let locked = keys.lock(&Lock::Passphrase(&passphrase)).unwrap();
        let scene = Scene { folder: tempfile::tempdir().unwrap(), keys, locked, cluster, first, second, anchors: ringwall_sim::anchors() };
        let mut shelf = Shelf::create(&scene.folder.path().join("base"), &scene.locked, NOW_S, scene.keys.id()).unwrap();
        scene.pulled(&mut shelf, &scene.first).unwrap();
        scene.accepted(&mut shelf, &scene.first).unwrap();
        drop(shelf);
        scene
    }

    fn judge(&self) -> Judge<'_> {
        Judge { card: &self.cluster.card, anchors: &self.anchors, now_s: NOW_S }
    }

    fn pulled(&self, shelf: &mut Shelf, dealing: &Dealing) -> Result<(), CustodianError> {
        pull(shelf, &self.cluster.card, &dealing.dealt[0], NOW_S).map(drop)
    }

    fn accepted(&self, shelf: &mut Shelf, dealing: &Dealing) -> Result<Vec<u8>, CustodianError> {
        let held = shelf.held(&name_of(&dealing.manifest.manifest))?.unwrap();
        let verified = verify(shelf, &held, &self.judge(), &self.keys)?;
        accept(shelf, &verified, &self.keys, NOW_S).map(|ack| ack.encode())
    }

    /// Cuts `step` off after each number of changes, looks at what is left, and repeats it. `noted` is what its journal entry is, and `prepare`
    /// what went before.
    fn each_cut<T: PartialEq + std::fmt::Debug>(
        &self,
        prepare: impl Fn(&mut Shelf),
        step: impl Fn(&mut Shelf) -> Result<T, CustodianError>,
        noted: impl Fn(&JournalEvent) -> bool,
    ) -> T {
        let count = |shelf: &Shelf| shelf.journal.entries().iter().filter(|entry| noted(&entry.event)).count();
        let base = self.folder.path().join("prepared");
        let _ = std::fs::remove_dir_all(&base);
        copy(&self.folder.path().join("base"), &base);
        prepare(&mut Shelf::open(&base).unwrap());
        for cut in 0..CUTS {
            let path = self.folder.path().join("cut");
            let _ = std::fs::remove_dir_all(&path);
            copy(&base, &path);
            let mut shelf = Shelf::open(&path).unwrap();
            let before = count(&shelf);
            let done = cut::after(cut, || step(&mut shelf));
            drop(shelf);
            let mut shelf = Shelf::open(&path).unwrap_or_else(|fault| panic!("cut {cut}: {fault}"));
            self.nothing_is_lost(&shelf, cut);
            if let Ok(done) = done {
                assert_eq!(count(&shelf), before + 1, "cut {cut}: what left is in the journal");
                assert!(cut > 2, "a step with {cut} changes");
                return done;
            }
            step(&mut shelf).unwrap_or_else(|fault| panic!("cut {cut}, repeated: {fault}"));
            drop(shelf);
            let shelf = Shelf::open(&path).unwrap();
            assert_eq!(count(&shelf), before + 1, "cut {cut}: one entry however often it is repeated");
            assert!(!shelf.journal.was_cut_off());
            self.nothing_is_lost(&shelf, cut);
        }
        panic!("a step that never ends");
    }

    /// The first dealing is accepted, and its share opens.
    fn nothing_is_lost(&self, shelf: &Shelf, cut: u32) {
        let name = name_of(&self.first.manifest.manifest);
        let held = shelf.held(&name).unwrap_or_else(|fault| panic!("cut {cut}: {fault}")).unwrap();
        assert!(held.ack.is_some(), "cut {cut}");
        let _opened = super::share::open(&self.first.manifest.manifest, &held.envelope, &self.keys).unwrap();
    }
}

#[test]
fn making_keys_is_whole_or_repeated() {
    let scene = Scene::new();
    let id = scene.keys.id();
    for cut in 0..CUTS {
        let path = scene.folder.path().join(format!("new.{cut}"));
        let done = cut::after(cut, || Shelf::create(&path, &scene.locked, NOW_S, id).map(drop));
        // Either the keys are there, whole, or the same folder takes new ones.
        let kept = Shelf::open(&path).and_then(|shelf| shelf.keys());
        match (&done, kept) {
            (_, Ok(keys)) => assert_eq!(keys, scene.locked, "cut {cut}"),
            (Ok(()), Err(fault)) => panic!("{fault}"),
            (Err(_), Err(_)) => drop(Shelf::create(&path, &scene.locked, NOW_S, id).unwrap()),
        }
        if done.is_ok() {
            assert!(cut > 4, "only {cut} places to cut at");
            return;
        }
    }
    panic!("a step that never ends");
}

#[test]
fn pulling_accepting_and_importing_are_repeated() {
    let scene = Scene::new();
    let name = name_of(&scene.second.manifest.manifest);
    scene.each_cut(|_| (), |shelf| scene.pulled(shelf, &scene.second), |event| *event == JournalEvent::Pulled(name));
    let pulled = |shelf: &mut Shelf| scene.pulled(shelf, &scene.second).unwrap();
    let ack = scene.each_cut(pulled, |shelf| scene.accepted(shelf, &scene.second), |event| *event == JournalEvent::Accepted(name));
    assert_eq!(ack, scene.accepted(&mut Shelf::open(&scene.folder.path().join("cut")).unwrap(), &scene.second).unwrap());
    let share = super::share::open(&scene.second.manifest.manifest, &scene.second.dealt[0].envelope, &scene.keys).unwrap();
    let imported = |shelf: &mut Shelf| {
        let how = (PaperForm::Words, NOW_S);
        match import(shelf, &scene.cluster.card, &scene.second.manifest, share.share().clone(), &scene.keys, how) {
            // Cut off behind its last file: it is there, which is all that was wanted.
            Err(CustodianError::HeldAlready { .. }) => Ok(name),
            other => other,
        }
    };
    scene.each_cut(|_| (), imported, |event| matches!(event, JournalEvent::Imported(copied) if copied.dealing == name));
}

#[test]
fn a_release_is_in_the_journal_before_it_leaves_and_is_given_again() {
    let scene = Scene::new();
    let offer = scene.cluster.offer(&scene.first, RecoveryPurpose::Outage, 9, 5);
    let other = scene.cluster.offer(&scene.first, RecoveryPurpose::Outage, 10, 5);
    let released = |shelf: &mut Shelf| {
        let request = weigh(shelf, &scene.judge(), &offer.signed, "here", None)?;
        release(shelf, &request, &scene.keys, None, NOW_S).map(|submission| submission.offer)
    };
    scene.each_cut(|_| (), released, |event| matches!(event, JournalEvent::Submitted(_)));
    // Cut off at any moment, a share that may have left keeps another session out.
    for cut in 0..CUTS {
        let path = scene.folder.path().join("guard");
        let _ = std::fs::remove_dir_all(&path);
        copy(&scene.folder.path().join("base"), &path);
        let mut shelf = Shelf::open(&path).unwrap();
        let done = cut::after(cut, || released(&mut shelf));
        drop(shelf);
        let mut shelf = Shelf::open(&path).unwrap();
        let noted = shelf.journal.released_to(&offer.signed.offer.session).is_some();
        let request = weigh(&shelf, &scene.judge(), &other.signed, "here", None).unwrap();
        let second = release(&mut shelf, &request, &scene.keys, None, NOW_S);
        assert_eq!(matches!(second, Err(CustodianError::SecondSession { .. })), noted, "cut {cut}");
        assert!(noted || done.is_err(), "cut {cut}: it left without an entry");
        if done.is_ok() {
            return;
        }
    }
    panic!("a step that never ends");
}

#[test]
fn a_loss_is_in_the_journal_before_its_acceptance_leaves() {
    let scene = Scene::new();
    let offer = scene.cluster.offer(&scene.first, RecoveryPurpose::Outage, 9, 5);
    let told = offer.asks_loss(6, false, &[]).encode();
    let accepted = |shelf: &mut Shelf| {
        let asked = weigh_loss(shelf, &scene.judge(), &offer.signed, "here", &told)?;
        accept_loss(shelf, &asked, &scene.keys, None, NOW_S)
    };
    scene.each_cut(|_| (), accepted, |event| matches!(event, JournalEvent::LossAccepted(_)));
}

#[test]
fn the_other_steps_are_repeated() {
    let scene = Scene::new();
    let name = name_of(&scene.first.manifest.manifest);
    for cut in 0..CUTS {
        let path = scene.folder.path().join("others");
        let _ = std::fs::remove_dir_all(&path);
        copy(&scene.folder.path().join("base"), &path);
        let mut shelf = Shelf::open(&path).unwrap();
        let done = cut::after(cut, || {
            keep_anchor(&shelf, &scene.cluster.seen(40))?;
            rehearse(&mut shelf, &name, &scene.keys, NOW_S)?;
            export(&mut shelf, &name, &scene.keys, PaperForm::Words, NOW_S).map(drop)?;
            shelf.relock(&scene.locked, NOW_S)
        });
        drop(shelf);
        let shelf = Shelf::open(&path).unwrap();
        scene.nothing_is_lost(&shelf, cut);
        let seen = shelf.anchor(&name.cluster_id).unwrap();
        assert!(seen.is_none_or(|seen| seen == scene.cluster.seen(40)), "cut {cut}");
        assert_eq!(shelf.keys().unwrap(), scene.locked);
        if done.is_ok() {
            assert!(matches!(keep_anchor(&shelf, &scene.cluster.seen(39)), Err(CustodianError::Behind { known: 40, got: 39 })));
            let mut other = scene.cluster.seen(40);
            other.anchor.head.tree.root = Digest([7; 32]);
            assert!(matches!(keep_anchor(&shelf, &other), Err(CustodianError::Fork { size: 40 })));
            assert_eq!(shelf.anchor(&name.cluster_id).unwrap(), Some(scene.cluster.seen(40)));
            return;
        }
    }
    panic!("a step that never ends");
}
