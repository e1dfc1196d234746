//! Every rule of admission proofs, broken once; and that none of them is stricter than the log.
//!
//! Decides: AP1 to AP7 of protocol section 4.4. Trusts: nothing. Out of scope: who asks and who answers (`tests/suite/proofs.rs`).

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::charter::{Charter, Law};
use crate::gate::{Known, Stopped};
use crate::machine::roster::{PROPOSAL_ENTRIES, Roster, Voter};
use crate::machine::view::{MemberRow, MemberStanding};
use crate::machine::view::{ProposalRow, Published};
use crate::recognition::Recognition;
use crate::shown::{Granted, LinkFault, Occupant, SHOWN, Shown};
use crate::types::{self, RaftMembership, StoredMembership};
use ed25519_dalek::{Signer, SigningKey};
use ringwall_wire::admission::{Admission, AdmissionLink, AdmitPropose, Endorse, IncarnationCert, Verdict};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{Founding, Outcome};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, NoisePublic, Nonce, SigPublic, Signature, Slot, Vendor};
use ringwall_wire::peer::{LogPosition, Member, NamedMember};
use ringwall_wire::sample::{Sample, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const CLUSTER: ClusterId = ClusterId([9; 32]);
const EVIDENCE: Digest = Digest([7; 32]);
use Vendor::{Amd, Intel};

fn id(index: u64) -> Incarnation {
    Incarnation::new(Epoch(1), index)
}

fn signing(index: u64) -> SigningKey {
    let mut bytes = [5; 32];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    SigningKey::from_bytes(&bytes)
}

fn cert(index: u64, slot: u8, vendor: Vendor) -> IncarnationCert {
    let mut cert = IncarnationCert::sample(&mut Source::new(7));
    (cert.slot, cert.vendor) = (Slot(slot), vendor);
    cert.keys.noise = NoisePublic(signing(index).to_bytes());
    cert.keys.sig = SigPublic(signing(index).verifying_key().to_bytes());
    cert
}

fn signature(by: u64, words: &[u8]) -> Signature {
    Signature(signing(by).sign(words).to_bytes())
}

/// The admission of `index` at `at`, accepted by these.
fn link(index: u64, at: u64, cert: IncarnationCert, by: &[u64]) -> AdmissionLink {
    let mut link = AdmissionLink { admit_index: index, cert, admission: Admission { at, evidence: EVIDENCE, verdicts: List::default() } };
    let words = link.signed_bytes(&CLUSTER);
    by.iter().for_each(|by| link.admission.verdicts.push(Verdict { by: id(*by), signature: signature(*by, &words) }).unwrap());
    link
}

fn row(index: u64, slot: u8, vendor: Vendor, standing: MemberStanding) -> MemberRow {
    MemberRow { incarnation: id(index), cert: cert(index, slot, vendor), standing, admission: None }
}

/// What a replica knows, to ask it questions.
struct Scene {
    me: u64,
    published: Published,
    effective: StoredMembership,
    granted: Option<Granted>,
    shown: Shown,
}

impl Scene {
    /// Voters 1 (AMD), 10 (AMD) and 20 (Intel) in slots 1 to 3, a superseded 5 in slot 1; 50 entries applied.
    fn three() -> Scene {
        use MemberStanding::{Live, Superseded};
        let rows = [row(1, 1, Amd, Live), row(5, 4, Amd, Superseded), row(10, 2, Amd, Live), row(20, 3, Intel, Live)];
        let mut roster = Roster { epoch: Some(Epoch(1)), ..Roster::default() };
        roster.members = rows.into_iter().map(|row| (row.incarnation, row)).collect();
        Scene::of(10, 50, roster, &[1, 10, 20])
    }

    fn of(me: u64, applied: u64, roster: Roster, voters: &[u64]) -> Scene {
        let voters: BTreeSet<Incarnation> = voters.iter().map(|voter| id(*voter)).collect();
        let nodes = voters.iter().filter_map(|who| roster.members.get(who));
        let nodes: BTreeMap<Incarnation, Member> = nodes.map(|row| (row.incarnation, crate::member_of(&row.cert))).collect();
        let at = types::log_id(&LogPosition { term: 1, index: applied });
        let effective = match nodes.is_empty() {
            true => StoredMembership::default(),
            false => StoredMembership::new(Some(at), RaftMembership::new(vec![nodes.keys().copied().collect()], nodes).unwrap()),
        };
        let published = Published { applied, roster: Arc::new(roster), voters: Arc::new(voters), ..Published::default() };
        Scene { me, published, effective, granted: None, shown: Shown::default() }
    }

    /// A learner that has applied nothing and was granted this.
    fn learner(me: u64, granted: Granted) -> Scene {
        Scene { granted: Some(granted), ..Scene::of(me, 0, Roster::default(), &[]) }
    }

    fn known(&self) -> Known<'_> {
        Known {
            me: id(self.me),
            effective: &self.effective,
            published: &self.published,
            last: None,
            granted: self.granted.as_ref(),
            shown: &self.shown,
        }
    }

    fn verify(&self, link: &AdmissionLink) -> Result<Occupant, LinkFault> {
        self.known().verify(&CLUSTER, link, self.known().through())
    }

    fn take(&mut self, link: &AdmissionLink) {
        let occupant = self.verify(link).unwrap();
        self.shown.insert(id(link.admit_index), occupant, |_| true);
    }

    fn roster(&mut self) -> &mut Roster {
        Arc::make_mut(&mut self.published.roster)
    }

    fn propose(&mut self, index: u64, cert: IncarnationCert, refusing: bool) {
        let propose = AdmitPropose { cert, evidence: EVIDENCE, nonce: Nonce([0; 32]), replaces: Incarnation(0), order: None };
        let refusal = Endorse { admit_index: index, by: id(1), accepts: false, signature: Signature([0; 64]) };
        let endorsements = if refusing { vec![refusal] } else { Vec::new() };
        self.roster().proposals.insert(index, ProposalRow { admit_index: index, propose, endorsements });
    }
}

/// A genuine one: a joiner on AMD for slot 4, accepted by an AMD and an Intel voter.
fn genuine() -> AdmissionLink {
    link(60, 63, cert(60, 4, Amd), &[1, 20])
}

#[test]
fn what_the_log_must_have_demanded_is_enough() {
    let scene = Scene::three();
    assert_eq!(scene.verify(&genuine()), Ok(Occupant::from(&cert(60, 4, Amd))));
    assert_eq!(scene.verify(&link(60, 63, cert(60, 4, Intel), &[10, 20])), Ok(Occupant::from(&cert(60, 4, Intel))));
    assert_eq!(scene.known().vouched(id(60)), Err(Stopped::Unproven(id(60))), "looking at a link believes nobody yet");
}

#[test]
fn ap1_only_the_base_is_believed() {
    let grant = |members: &[(u64, u8, Vendor)], voting: &[u8]| Granted {
        members: members
            .iter()
            .map(|(index, slot, vendor)| NamedMember { incarnation: id(*index), member: crate::member_of(&cert(*index, *slot, *vendor)) })
            .collect(),
        voting: voting.iter().map(|slot| Slot(*slot)).collect(),
        admission: None,
    };
    let named = [(1, 1, Amd), (20, 3, Intel), (55, 2, Amd)];
    let learner = Scene::learner(55, grant(&named, &[1, 2, 3]));
    assert!(learner.verify(&genuine()).is_ok(), "a learner believes whom its grant named");
    assert_eq!(learner.verify(&link(54, 63, cert(54, 4, Amd), &[1, 20])), Err(LinkFault::NotNamed));
    assert_eq!(learner.known().vouched(id(10)), Err(Stopped::NotNamed(id(10))), "whatever its log says about the past");
    let nobody = Scene::learner(55, grant(&[], &[]));
    assert_eq!(nobody.verify(&genuine()), Err(LinkFault::TooFew { counted: 0, needed: 1 }));
    let empty = Scene::of(55, 0, Roster::default(), &[]);
    assert_eq!(empty.verify(&genuine()), Err(LinkFault::TooFew { counted: 0, needed: 1 }), "no log and no grant: nobody is believed");

    // What is replayed is ancient: 5 was live then, and 10 was in the membership.
    let mut replaying = Scene::learner(55, grant(&named, &[1, 2, 3]));
    let old = Scene::three();
    (replaying.published, replaying.effective) = (old.published, old.effective);
    replaying.roster().members.insert(id(5), row(5, 4, Amd, MemberStanding::Live));
    assert_eq!(replaying.known().vouched(id(5)), Err(Stopped::NotNamed(id(5))));
    assert_eq!(replaying.known().vouched(id(10)), Err(Stopped::NotNamed(id(10))));
    assert!(replaying.known().vouched(id(1)).is_ok());
    assert_eq!(replaying.verify(&link(60, 63, cert(60, 2, Amd), &[10, 20])), Err(LinkFault::TooFew { counted: 1, needed: 2 }));
    replaying.published.applied = 60;
    assert!(replaying.known().vouched(id(10)).is_ok(), "then the record decides");
    let late = NamedMember { incarnation: id(52), member: crate::member_of(&cert(52, 5, Amd)) };
    replaying.granted.as_mut().unwrap().members.push(late);
    assert_eq!(replaying.known().vouched(id(52)), Err(Stopped::Unknown(id(52))), "named, and the record says otherwise");
}

#[test]
fn ap2_links_follow_each_other_and_the_record() {
    let mut scene = Scene::three();
    let order = |at, after| Err(LinkFault::Order { at, after });
    assert_eq!(scene.known().verify(&CLUSTER, &genuine(), 63), order(63, 63));
    assert_eq!(scene.verify(&link(60, 60, cert(60, 4, Amd), &[1, 20])), order(60, 60), "decided before it was proposed");
    let masked = 60 | 1 << 40;
    assert_eq!(
        scene.verify(&link(masked, masked + 3, cert(60, 4, Amd), &[1, 20])),
        Err(LinkFault::Order { at: masked + 3, after: masked })
    );

    let early = link(45, 63, cert(60, 4, Amd), &[1, 20]);
    assert_eq!(scene.verify(&early), Err(LinkFault::OtherProposal), "index 45 is applied here and proposed nothing");
    scene.propose(45, cert(61, 4, Amd), false);
    assert_eq!(scene.verify(&early), Err(LinkFault::OtherProposal), "or somebody else");
    scene.propose(45, cert(60, 4, Amd), true);
    assert_eq!(scene.verify(&early), Err(LinkFault::OtherProposal), "or somebody who was refused");
    scene.propose(45, cert(60, 4, Amd), false);
    assert!(scene.verify(&early).is_ok());
    let mut other = early.clone();
    other.admission.evidence = Digest([8; 32]);
    assert_eq!(scene.verify(&other), Err(LinkFault::OtherProposal), "or the same on other evidence");
    scene.published.applied = 46 + PROPOSAL_ENTRIES;
    assert_eq!(scene.verify(&link(45, 9_000, cert(60, 4, Amd), &[1, 20])), Err(LinkFault::OtherProposal), "or it is dead");
}

#[test]
fn ap3_only_verdicts_of_believed_voters_about_this_admission_count() {
    let mut scene = Scene::three();
    scene.propose(40, cert(40, 5, Intel), false);
    let few = |counted| Err(LinkFault::TooFew { counted, needed: 2 });
    let with = |second: Verdict| {
        let mut link = link(60, 63, cert(60, 4, Amd), &[1]);
        link.admission.verdicts.push(second).unwrap();
        link
    };
    let by = |by: u64, words: &[u8]| with(Verdict { by: id(by), signature: signature(by, words) });
    let words = genuine().signed_bytes(&CLUSTER);
    assert!(scene.verify(&by(20, &words)).is_ok());
    let refusal = {
        let propose =
            AdmitPropose { cert: cert(60, 4, Amd), evidence: EVIDENCE, nonce: Nonce([0; 32]), replaces: Incarnation(0), order: None };
        Endorse::signed_bytes(&CLUSTER, 60, &propose, false)
    };
    let mut other_evidence = genuine();
    other_evidence.admission.evidence = Digest([8; 32]);
    for (what, link) in [
        ("of another cluster", by(20, &genuine().signed_bytes(&ClusterId([8; 32])))),
        ("about another proposal", by(20, &link(59, 63, cert(60, 4, Amd), &[]).signed_bytes(&CLUSTER))),
        ("about somebody else", by(20, &link(60, 63, cert(61, 4, Amd), &[]).signed_bytes(&CLUSTER))),
        ("on other evidence", by(20, &other_evidence.signed_bytes(&CLUSTER))),
        ("a refusal", by(20, &refusal)),
        ("under another's key", with(Verdict { by: id(20), signature: signature(1, &words) })),
        ("twice the same", by(1, &words)),
        ("of a stranger", by(70, &words)),
        ("of one that is only proposed", by(40, &words)),
        ("of one that is out", by(5, &words)),
        ("of itself", by(60, &words)),
    ] {
        assert_eq!(scene.verify(&link), few(1), "{what}");
    }
    assert_eq!(scene.verify(&link(60, 63, cert(60, 3, Amd), &[1, 20])), few(1), "of the joiner's own slot");
    let mut later = Scene::three();
    later.roster().members.insert(id(20), row(20, 3, Intel, MemberStanding::Retired));
    assert_eq!(later.verify(&genuine()), few(1), "of one that was retired");
}

#[test]
fn ap3_an_endorser_that_is_not_known_needs_its_own_link() {
    let mut scene = Scene::three();
    let (first, second) = (genuine(), link(70, 73, cert(70, 1, Intel), &[60, 20]));
    assert_eq!(scene.verify(&second), Err(LinkFault::TooFew { counted: 1, needed: 2 }));
    scene.take(&first);
    assert!(scene.verify(&second).is_ok());
    scene.take(&second);
    // Everybody this replica had on record has been replaced by now, and the chain still holds.
    scene.take(&link(80, 83, cert(80, 3, Intel), &[60, 70]));
    scene.take(&link(90, 93, cert(90, 4, Amd), &[70, 80]));
    assert!(scene.known().vouched(id(90)).is_ok());
}

#[test]
fn ap4_two_where_two_other_slots_vote_and_never_none() {
    let scene = Scene::three();
    assert_eq!(scene.verify(&link(60, 63, cert(60, 4, Amd), &[20])), Err(LinkFault::TooFew { counted: 1, needed: 2 }));
    assert_eq!(scene.verify(&link(60, 63, cert(60, 4, Amd), &[])), Err(LinkFault::TooFew { counted: 0, needed: 2 }));
    let mut two = Scene::three();
    two.published.voters = Arc::new([id(1), id(20)].into());
    assert_eq!(two.verify(&link(60, 63, cert(60, 4, Amd), &[20])), Err(LinkFault::TooFew { counted: 1, needed: 2 }));
    assert!(two.verify(&link(60, 63, cert(60, 1, Amd), &[20])).is_ok(), "one of two voters is replaced: the other decides");
    let mut one = Scene::three();
    one.published.voters = Arc::new([id(1)].into());
    assert!(one.verify(&link(60, 63, cert(60, 4, Intel), &[1])).is_ok(), "a founder decides alone");
    assert_eq!(one.verify(&link(60, 63, cert(60, 1, Intel), &[])), Err(LinkFault::TooFew { counted: 0, needed: 1 }));
}

#[test]
fn ap5_another_vendor_where_one_must_have_been_asked() {
    let mut scene = Scene::three();
    assert_eq!(scene.verify(&link(60, 63, cert(60, 4, Amd), &[1, 10])), Err(LinkFault::NoOtherVendor));
    assert!(scene.verify(&link(60, 63, cert(60, 3, Amd), &[1, 10])).is_ok(), "the one Intel machine is being replaced");
    // Once an AMD machine may stand in slot 3, the log may have asked for no more than this.
    scene.take(&link(60, 63, cert(60, 3, Amd), &[1, 10]));
    assert!(scene.verify(&link(70, 73, cert(70, 4, Amd), &[1, 10])).is_ok());
}

#[test]
fn ap6_keys_are_fresh() {
    let mut scene = Scene::three();
    let with = |noise: u64, sig: u64| {
        let mut cert = cert(60, 4, Amd);
        (cert.keys.noise, cert.keys.sig) = (self::cert(noise, 4, Amd).keys.noise, self::cert(sig, 4, Amd).keys.sig);
        link(60, 63, cert, &[1, 20])
    };
    for (noise, sig, whose) in [(10, 60, 10), (60, 10, 10), (5, 60, 5)] {
        assert_eq!(scene.verify(&with(noise, sig)), Err(LinkFault::KeysKnown(id(whose))));
    }
    scene.take(&link(58, 59, cert(58, 1, Amd), &[10, 20]));
    assert_eq!(scene.verify(&with(58, 60)), Err(LinkFault::KeysKnown(id(58))), "nor are they those of one that was shown");
    assert!(scene.verify(&with(60, 60)).is_ok());
}

#[test]
fn ap7_the_newest_that_presented_itself_silences_older_ones_of_its_slot() {
    let mut scene = Scene::three();
    let leaving = |made| scene.known().recognise(id(5), &cert(made, 4, Amd).keys.noise);
    assert_eq!(leaving(5), Recognition::Member, "superseded: it keeps its session, to be told so");
    assert!(matches!(leaving(6), Recognition::Refused(_)), "under its own key");
    scene.take(&genuine());
    scene.take(&link(70, 73, cert(70, 4, Amd), &[1, 20]));
    scene.take(&link(80, 83, cert(80, 1, Amd), &[10, 20]));
    assert!(scene.known().vouched(id(60)).is_ok(), "a link alone does not show that the log took it");
    scene.shown.presented(id(80));
    assert!(scene.known().vouched(id(60)).is_ok(), "another slot");
    scene.shown.presented(id(70));
    assert_eq!(scene.known().vouched(id(60)), Err(Stopped::Unproven(id(60))));
    assert!(scene.known().vouched(id(70)).is_ok());
}

#[test]
fn what_is_held_is_bounded_and_what_is_decided_is_forgotten() {
    let mut shown = Shown::default();
    let occupant = Occupant::from(&cert(1, 1, Amd));
    (0..2_000).for_each(|index| shown.insert(id(index + 1), occupant, |_| true));
    assert_eq!(shown.entries.len(), SHOWN);
    assert!(shown.get(id(1)).is_none() && shown.get(id(2_000)).is_some(), "the oldest go first");
    shown.insert(id(3_000), occupant, |other| other > id(1_999));
    assert_eq!(shown.entries.len(), 2);
}

/// A group that lives: machines of either vendor come and go in its slots.
struct Living {
    random: Source,
    roster: Roster,
    index: u64,
    voters: BTreeSet<u64>,
    slots: usize,
    interleaved: bool,
}

impl Living {
    fn founded(seed: u64, slots: usize, interleaved: bool) -> Living {
        let mut roster = Roster::default();
        roster.found(Founding { incarnation: id(1), cert: cert(1, 1, Amd) });
        Living { random: Source::new(seed), roster, index: 2, voters: [1].into(), slots, interleaved }
    }

    fn slot_of(&self, index: u64) -> Slot {
        self.roster.members[&id(index)].cert.slot
    }

    fn live(&self) -> Vec<u64> {
        let live = self.roster.members.values().filter(|row| row.standing == MemberStanding::Live);
        live.map(|row| row.incarnation.admit_index()).collect()
    }

    fn voters(&self) -> Vec<Voter> {
        let voter = |index: &u64| {
            let cert = &self.roster.members[&id(*index)].cert;
            Voter { incarnation: id(*index), slot: cert.slot, vendor: cert.vendor, sig: cert.keys.sig }
        };
        self.voters.iter().map(voter).collect()
    }

    fn propose(&mut self) -> Option<u64> {
        self.index += 1 + self.random.below(3) as u64;
        let slot = Slot(1 + self.random.below(self.slots) as u8);
        let vendor = if self.random.below(2) == 0 { Amd } else { Intel };
        let incumbent = self.live().into_iter().find(|live| self.slot_of(*live) == slot);
        let propose = AdmitPropose {
            cert: cert(self.index, slot.0, vendor),
            evidence: EVIDENCE,
            nonce: Nonce([0; 32]),
            replaces: incumbent.map_or(Incarnation(0), id),
            order: None,
        };
        let charter = Charter::plain(CLUSTER);
        (self.roster.propose(self.index, propose, Law { charter: &charter, policy: None }) == Outcome::Done).then_some(self.index)
    }

    fn decide(&mut self, proposed: u64) -> Option<u64> {
        let voters = self.voters();
        for voter in &voters {
            let row = self.roster.proposals.get(&proposed)?;
            let words = Endorse::signed_bytes(&CLUSTER, proposed, &row.propose, true);
            let by = voter.incarnation.admit_index();
            if self.random.below(10) < 8 {
                self.index += 1;
                let verdict = Endorse { admit_index: proposed, by: voter.incarnation, accepts: true, signature: signature(by, &words) };
                self.roster.endorse(self.index, verdict, &voters, &CLUSTER);
            }
        }
        self.index += 1;
        matches!(self.roster.commit(self.index, proposed, &voters), Outcome::Admitted(_)).then_some(proposed)
    }

    /// Some live incarnation takes its slot's vote; whoever is out and votes no more is retired.
    fn promote(&mut self) {
        self.index += 1;
        let live: Vec<u64> = self.live().into_iter().filter(|live| !self.voters.contains(live)).collect();
        if let Some(new) = live.get(self.random.below(live.len().max(1))).copied() {
            let slot = self.slot_of(new);
            let old: Vec<u64> = self.voters.iter().copied().filter(|voter| self.slot_of(*voter) == slot).collect();
            old.iter().for_each(|old| {
                self.voters.remove(old);
            });
            self.voters.insert(new);
        }
    }

    /// One step; whoever was admitted by it.
    fn step(&mut self) -> Option<u64> {
        if self.random.below(3) == 0 {
            self.promote();
            return None;
        }
        let first = self.propose()?;
        if self.interleaved && self.random.below(3) == 0 {
            let second = self.propose();
            second.and_then(|second| self.decide(second));
        }
        self.decide(first)
    }

    fn granted(&self) -> Granted {
        let named = self
            .live()
            .into_iter()
            .map(|index| NamedMember { incarnation: id(index), member: crate::member_of(&self.roster.members[&id(index)].cert) });
        let voting: BTreeSet<Slot> = self.voters.iter().map(|voter| self.slot_of(*voter)).collect();
        Granted { members: named.collect(), voting: voting.into_iter().collect(), admission: None }
    }

    fn seen_by(&self, me: u64) -> Scene {
        Scene::of(me, self.index, self.roster.clone(), &self.voters.iter().copied().collect::<Vec<_>>())
    }
}

/// Shows a receiver everything that was admitted after what it knows; gives how many links that were.
fn show_all(receiver: &mut Scene, roster: &Roster, what: &str) -> usize {
    let mut links: Vec<AdmissionLink> = roster.members.values().filter_map(crate::recognition::link_of).collect();
    links.sort_by_key(|link| link.admission.at);
    let mut after = receiver.known().through();
    links.retain(|link| link.admission.at > after);
    for link in &links {
        let who = id(link.admit_index);
        if receiver.known().vouched(who).is_err() {
            let judged = receiver.known().verify(&CLUSTER, link, after);
            let occupant = judged.unwrap_or_else(|fault| panic!("{what}: the log admitted {who}, and it is refused: {fault}"));
            receiver.shown.insert(who, occupant, |_| true);
        }
        after = link.admission.at;
    }
    links.len()
}

#[test]
fn no_rule_is_stricter_than_the_log() {
    let (mut shown, mut taken) = (0, 0);
    for seed in 0..24 {
        let slots = 3 + seed as usize % 3;
        let mut living = Living::founded(seed, slots, true);
        let mut receivers = Vec::new();
        for _ in 0..60 {
            living.step();
            receivers.push(living.seen_by(*living.voters.first().unwrap()));
        }
        for (step, receiver) in receivers.iter_mut().enumerate() {
            shown += show_all(receiver, &living.roster, &format!("seed {seed}, cut off at step {step}"));
            taken += receiver.shown.entries.len();
        }
    }
    assert!(shown > 10_000 && taken > 10_000, "{shown} links were shown, {taken} taken");
}

#[test]
fn a_learner_takes_whoever_was_admitted_after_it() {
    let mut taken = 0;
    for seed in 100..124 {
        let mut living = Living::founded(seed, 3 + seed as usize % 3, false);
        let mut learners = Vec::new();
        for _ in 0..60 {
            let Some(new) = living.step() else { continue };
            let voter_slots = living.granted();
            let superseded = living.voters.iter().any(|voter| !living.live().contains(voter));
            // While a superseded incarnation still votes its vendor is not in the grant: a learner may be too strict then.
            if !superseded {
                learners.push(Scene::learner(new, voter_slots));
            }
        }
        for mut learner in learners {
            let what = format!("seed {seed}, learner {}", learner.me);
            show_all(&mut learner, &living.roster, &what);
            taken += learner.shown.entries.len();
        }
    }
    assert!(taken > 1_000, "{taken}");
}
