//! A machine whose evidence nobody can tell from a member's, and that no log ever admitted.
//!
//! Decides: the best that forged evidence of a listed chip can do at a member's door: a name further on than anybody has applied, evidence for
//! that name, an admission it made up, and then entries under a ballot of its own. Nothing of that may reach Raft.
//! Trusts: nothing. Out of scope: evidence that is not accepted (`hostile`). Protocol section 4.4, V2 and admission proofs.

use crate::world::dice::Dice;
use crate::world::flaws::Flaw;
use crate::world::impostor::IMPOSTOR;
use crate::world::kinds::Kind;
use crate::world::machines::{SLOTS, SPARES, World};
use crate::world::pipes::{Door, Pipe};
use crate::world::process::Process;
use crate::world::sessions::{self, Opened, Own};
use crate::world::site::{MachineClock, Site, address};
use crate::world::strikes::any_place;
use ringwall_channel::NodeSecrets;
use ringwall_node::governance::{InForce, PolicyCell};
use ringwall_sim::world::{BUILD, joining_config};
use ringwall_sim::{BuildImage, Platform, SimTee, TeeProfile};
use ringwall_wire::admission::{Admission, AdmissionLink, AdmissionProof, IncarnationCert, Verdict};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::ids::{Digest, Incarnation, Signature, Slot};
use ringwall_wire::limits::PEER_MESSAGE_BYTES;
use ringwall_wire::peer::{AppendCall, Ballot, LogPosition, PeerAnswer, PeerCall, PeerReply, PeerRpc, VoteCall};
use ringwall_wire::session::PeerPurpose;
use std::sync::Arc;

/// Number under which it dials.
const ROGUE: u64 = IMPOSTOR + 100;
/// How far beyond what its victim has applied it claims to have been admitted.
const BEYOND: u64 = 10_000;
const CHIP: &str = "genoa-2";

/// Speaks to one member as if admitted.
pub async fn strike(world: &Arc<World>) {
    let place = any_place(world);
    let victim = world.members().into_iter().find(|(at, _, _)| *at == place);
    let Some((_, _, victim)) = victim else { return };
    let cluster = &world.common.cluster;
    let slot = Slot(1 + place % SLOTS);
    let boot = joining_config(cluster.id, slot);
    let Some(platform) = Platform::of_chip(CHIP) else { return };
    let clock = Arc::new(MachineClock::default());
    let (tee_clock, trace) = (Arc::clone(&clock), Arc::clone(&world.common.trace));
    let profile = TeeProfile::new(platform, CHIP, BuildImage::new(BUILD, 1), boot.clone());
    let dice = Dice::new(world.seed, "rogue", world.dice.word());
    let site = Site {
        common: Arc::clone(&world.common),
        place: SPARES + 50,
        process: ROGUE,
        tee: SimTee::new(profile, 0).with_clock(move || tee_clock.now_ms(&trace) / 1_000),
        boot,
        clock,
        dice: dice.clone(),
        borrowed: None,
        policies: PolicyCell::new(InForce::clone(&victim.site.policies.now())),
    };
    let secrets = NodeSecrets::generate(&mut dice.clone());
    let me = Incarnation::new(cluster.epoch, victim.metrics().applied + BEYOND);
    let voters = victim.metrics().voters.iter().map(|voter| voter.incarnation).collect();
    let link = made_up(&site, &secrets, me, voters);
    let Some(mut pipe) = world.common.wires.dial_place((site.place, ROGUE), place, Door::Peers).await else { return };
    let own = Own { site: &site, secrets: &secrets, incarnation: me, prover: None };
    let Ok(mut opened) = sessions::handshake(own, &mut pipe, PeerPurpose::Member, None).await else { return };
    if show(&mut opened, &mut pipe, link).await.is_some() {
        world.counts.fired(Kind::RogueMember);
        command(&mut opened, &mut pipe, &demand(world, &victim, me)).await;
    }
    pipe.out.close();
}

/// An admission with verdicts of everybody who votes, none of which they gave.
fn made_up(site: &Site, secrets: &NodeSecrets, me: Incarnation, voters: Vec<Incarnation>) -> AdmissionLink {
    let verdicts: Vec<Verdict> = voters.into_iter().map(|by| Verdict { by, signature: Signature([7; 64]) }).collect();
    let cert = IncarnationCert {
        slot: site.slot(),
        keys: secrets.public().clone(),
        vendor: ringwall_wire::ids::Vendor::Amd,
        chip: Digest([7; 32]),
        measurement: Text::new(BUILD).expect("short"),
        boot_config: site.boot.host_data(),
        peer_address: address(site.slot()),
        client_address: address(site.slot()),
    };
    let admission = Admission {
        at: me.admit_index() + 3,
        evidence: Digest([7; 32]),
        verdicts: List::new(verdicts).expect("a group has at most twice as many voters as slots"),
    };
    AdmissionLink { admit_index: me.admit_index(), cert, admission }
}

/// Shows it when it is asked; some word came back, whatever it said.
async fn show(opened: &mut Opened, pipe: &mut Pipe, link: AdmissionLink) -> Option<()> {
    let word = PeerReply::decode(&sessions::receive(&mut opened.opener, pipe, 1_000).await?).ok()?;
    if let PeerAnswer::ShowAdmission(_) = word.answer {
        let proof = AdmissionProof { links: List::new(vec![link]).expect("one link") };
        sessions::tell(&mut opened.sealer, pipe, &proof.encode());
        sessions::receive(&mut opened.opener, pipe, 1_000).await?;
    }
    Some(())
}

/// What a leader says; or, where that is to be shown, what a candidate says, or what the leader of another machine says.
fn demand(world: &World, victim: &Process, me: Incarnation) -> PeerCall {
    let (flaws, metrics) = (&world.common.flaws, victim.metrics());
    let term = 1 << 40;
    if flaws.has(Flaw::RogueVotes) {
        // As far as its victim's log goes, and no further: who has more might know a membership that is still to come.
        let last = LogPosition { term: metrics.term, index: metrics.last_index };
        let ballot = Ballot { term, leader: me, committed: false };
        return PeerCall::Vote(VoteCall { ballot, last: Some(last), transfer: true });
    }
    let others = metrics.voters.iter().map(|voter| voter.incarnation).find(|voter| *voter != victim.incarnation);
    let leader = others.filter(|_| flaws.has(Flaw::BorrowedBallot)).unwrap_or(me);
    let ballot = Ballot { term, leader, committed: true };
    PeerCall::Append(AppendCall { ballot, previous: None, entries: List::default(), committed: None, tree: None })
}

/// Says it, whether or not it was taken for a member.
async fn command(opened: &mut Opened, pipe: &mut Pipe, call: &PeerCall) {
    let stream = if matches!(call, PeerCall::Append(_)) { 1 } else { 2 };
    let Ok((mut sealer, _)) = opened.session.split(stream, PEER_MESSAGE_BYTES) else { return };
    let mut bytes = Vec::new();
    if sealer.seal(&PeerRpc { number: 1, call: call.clone() }.encode(), &mut bytes).is_ok() {
        pipe.out.send(stream, bytes);
        // Whatever comes back is of no use to it.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), pipe.recv()).await;
    }
}
