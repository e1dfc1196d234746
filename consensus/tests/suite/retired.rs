//! A member that stood still while it was replaced and retired: what makes it believe that it is out, and what does not.
//!
//! Decides: whoever retired it says so to its key and to no other, and shows its successor's admission; it believes that admission alone.
//! A word, verdicts that are too few or forged, and a true link of somebody else with another slot written over it leave it where it is.
//! Trusts: the wires of `rig`. Out of scope: sessions and the end of the process (tests/tests/sleepers.rs). Protocol sections 4.4 and 4.6.

use crate::rig::*;
use ringwall_consensus::{LinkFault, Prover, Recognition, Replica, Succession, Unrecognized};
use ringwall_wire::admission::{AdmissionLink, AdmissionProof};
use ringwall_wire::bounded::List;
use ringwall_wire::command::CommandBody;
use ringwall_wire::ids::{Incarnation, NoisePublic, Slot};

/// Five voters, one of which was away while another one and then itself were replaced and retired.
struct Slept {
    group: Group,
    sleeper: Replica,
    me: Incarnation,
    slot: Slot,
    noise: NoisePublic,
    /// Who stands in its slot now.
    successor: Incarnation,
    /// Who was admitted to another slot meanwhile.
    other: Incarnation,
}

impl Slept {
    async fn begin() -> Slept {
        let group = Group::start(5).await;
        group.write(open_space(SPACE)).await;
        let leader = group.leader().await;
        let (voters, leading) = (leader.metrics().voters, leader.metrics().me);
        let mut followers = voters.iter().filter(|voter| voter.incarnation != leading);
        let (sleeper, replaced) = (followers.next().unwrap(), followers.next().unwrap());
        let (me, slot, noise) = (sleeper.incarnation, sleeper.member.slot, sleeper.member.noise);
        let replica = group.get(me);
        wait_for("it has everything so far", || replica.applied() == leader.applied()).await;
        group.wires.faults.lock().unwrap().alone.insert(me);
        group.kill(replaced.incarnation).await;
        let other = group.join(replaced.member.slot.0, Some(replaced.incarnation)).await;
        let successor = group.join(slot.0, Some(me)).await;
        for old in [replaced.incarnation, me] {
            group.command(CommandBody::Retire(old)).await;
        }
        Slept { group, sleeper: replica, me, slot, noise, successor, other }
    }
}

fn proof(links: &[AdmissionLink]) -> AdmissionProof {
    AdmissionProof { links: List::new(links.to_vec()).unwrap() }
}

/// The proof with something done to its last link.
fn last(genuine: &AdmissionProof, edit: impl Fn(&mut AdmissionLink)) -> AdmissionProof {
    let mut links = genuine.links.clone().into_vec();
    edit(links.last_mut().unwrap());
    proof(&links)
}

fn keep(link: &mut AdmissionLink, verdicts: usize) {
    let mut kept = link.admission.verdicts.clone().into_vec();
    kept.truncate(verdicts);
    link.admission.verdicts = List::new(kept).unwrap();
}

fn only(link: &mut AdmissionLink, voter: Incarnation) {
    let mut kept = link.admission.verdicts.clone().into_vec();
    kept.retain(|verdict| verdict.by == voter);
    assert_eq!(kept.len(), 1, "the newcomer judged as well");
    link.admission.verdicts = List::new(kept).unwrap();
}

fn forge(link: &mut AdmissionLink) {
    let mut verdicts = link.admission.verdicts.clone().into_vec();
    verdicts.iter_mut().for_each(|verdict| verdict.signature.0[0] ^= 1);
    link.admission.verdicts = List::new(verdicts).unwrap();
}

fn few(seen: &Succession) -> bool {
    matches!(seen, Succession::Refused(Unrecognized::Link { fault: LinkFault::TooFew { .. }, .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_retired_believes_its_successors_admission_and_nothing_less() {
    let slept = Slept::begin().await;
    let Slept { group, me, slot, noise, successor, other, .. } = &slept;
    let leader = group.leader().await;
    assert_eq!(leader.recognise(*me, noise), Recognition::Out);
    let stranger = leader.recognise(*me, &NoisePublic([66; 32]));
    assert!(matches!(stranger, Recognition::Refused(_)), "its name with another key is told nothing: {stranger:?}");

    let prover: Prover = slept.sleeper.prover();
    let after = prover.through();
    let genuine = leader.successor(*me, after);
    let shown: Vec<u64> = genuine.links.iter().map(|link| link.admit_index).collect();
    assert_eq!(shown, [other.admit_index(), successor.admit_index()], "in the order of the log, up to its successor");
    assert_eq!(leader.successor(*other, after), AdmissionProof::none(), "nobody who lives is shown a successor");

    let judge = |proof: &AdmissionProof| prover.succession(*slot, proof, after);
    let not_shown = Succession::Refused(Unrecognized::NotShown(*me));
    assert_eq!(judge(&AdmissionProof::none()), not_shown, "a word alone");
    let unknown = last(&genuine, |link| only(link, *other));
    assert!(few(&judge(&proof(&unknown.links[1..]))), "the verdict of somebody it does not know");
    for (what, edit) in [("forged", forge as fn(&mut AdmissionLink)), ("one verdict", |link| keep(link, 1)), ("none", |link| keep(link, 0))]
    {
        let seen = judge(&last(&genuine, edit));
        assert!(few(&seen), "{what}: {seen:?}");
    }
    let seen = judge(&last(&genuine, |link| link.cert.chip.0[0] ^= 1));
    assert!(few(&seen), "a machine nobody judged: {seen:?}");
    let stale = prover.succession(*slot, &genuine, after + 1_000);
    assert!(matches!(stale, Succession::Refused(Unrecognized::Link { fault: LinkFault::Order { .. }, .. })), "{stale:?}");
    // The other newcomer is believed by now, so its link is not verified again: what it says beside the name and the key is anybody's.
    let mut elsewhere = genuine.links[0].clone();
    elsewhere.cert.slot = *slot;
    assert_eq!(judge(&proof(&[elsewhere])), not_shown, "a true link of another slot with this one written over it");
    assert_eq!(judge(&proof(&genuine.links[..1])), not_shown, "a true link of another slot");

    assert_eq!(judge(&genuine), Succession::By(*successor));
    slept.group.stop().await;
}
