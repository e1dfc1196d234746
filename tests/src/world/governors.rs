//! Governors of a world, changes they sign that come into force while it suffers, and a host that wants one in force before its time.
//!
//! Decides: what is brought to leaders, and when: changes that tighten, that loosen and wait, that revoke a build one node runs, that are brought while the
//! leader is cut off or hands over; loosenings before their time, and what too few approved. The [`Docket`] says before which time of the group none of them
//! may be in force, and which build is revoked. For real: the record (`consensus`), its judges and the cell of the policy in force (`node`), what evidence
//! is judged by (`attest`). Worlds whose policy never changes keep the founding they had: a delay longer than any clock jumps, and no third build.
//! Trusts: nothing. Protocol sections 4.7 and 8; register G5.

use crate::world::dice::Dice;
use crate::world::judge::Rule;
use crate::world::judge::watch::Watch;
use crate::world::kinds::Kind;
use crate::world::machines::{Running, SLOTS, World};
use crate::world::pipes::Place;
use crate::world::process::{Process, Stage};
use crate::world::strikes::{any_place, leave, pause};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_consensus::Governed;
use ringwall_sim::BuildImage;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{CommandBody, Outcome};
use ringwall_wire::governance::{PolicyCommand, PolicyFault, PolicyOutcome};
use ringwall_wire::ids::{Digest, SigPublic, Signature};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many kinds there were before any of them changed a policy.
pub const BEFORE_CHANGES: usize = 59;
/// The accepted build that may be revoked.
const REVOKED: &str = "ringwall-sim-3";
/// Governors of every world.
const GOVERNORS: u64 = 3;
/// How many must sign.
const THRESHOLD: u8 = 2;
/// Seconds a loosening waits.
const DELAY_S: u32 = 3;
/// The same in worlds whose policy never changed: thirty years, and clocks of a world jump by weeks.
const NEVER_S: u32 = 1_000_000_000;
/// Looks at a change that waits, and milliseconds between them.
const LOOKS: (u32, u64) = (60, 200);

/// What governors brought, and what must therefore not be.
#[derive(Default)]
pub struct Docket(Mutex<Brought>);

#[derive(Default)]
struct Brought {
    /// Group time before which a change is not in force, Unix milliseconds.
    due_ms: BTreeMap<Digest, u64>,
    /// Whether the third build was revoked.
    revoked: bool,
}

impl Docket {
    fn lock(&self) -> MutexGuard<'_, Brought> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether members refuse this build although the founders listed it.
    pub fn is_revoked(&self, build: &BuildImage) -> bool {
        self.lock().revoked && build.id == REVOKED
    }

    /// The newest policy is in force on some replica: not before its time. Whether the third build is listed still is noted.
    pub fn judge(&self, watch: &Watch, governed: &Governed) {
        if governed.in_force().is_some_and(|policy| policy.measurements.iter().all(|listed| *listed.id != *REVOKED)) {
            self.lock().revoked = true;
        }
        let Some(change) = governed.steps().last().map(|step| step.signed.change()) else { return };
        let (due_ms, (_, since_ms)) = (self.lock().due_ms.get(&change).copied().unwrap_or(0), governed.since());
        if since_ms < due_ms {
            watch.broken(Rule::PolicyInTime, format!("a loosening is in force at {since_ms}, {} ms before its time", due_ms - since_ms));
        }
    }
}

/// The governors' keys.
fn keys(seed: u64) -> Vec<SigningKey> {
    let key = |number| {
        let mut key = [0; 32];
        Dice::new(seed, "governor", number).fill(&mut key);
        SigningKey::from_bytes(&key)
    };
    (1..=GOVERNORS).map(key).collect()
}

/// Who may change the policy of a world, and after which delay: `changes` says whether it may come to that.
pub fn governance(seed: u64, changes: bool) -> Governance {
    let keys = keys(seed).iter().map(|key| SigPublic(key.verifying_key().to_bytes())).collect();
    let timelock_s = if changes { DELAY_S } else { NEVER_S };
    Governance { keys: List::new(keys).expect("three fit"), threshold: THRESHOLD, timelock_s, lease_s: 0 }
}

/// The build that may be revoked, in worlds whose policy may change.
pub fn revocable(changes: bool) -> Option<BuildImage> {
    changes.then(|| BuildImage::new(REVOKED, 1))
}

/// The change of `old` that `edit` makes, to a version this much higher, signed by so many.
fn change(world: &World, old: &PolicyDoc, signers: usize, by: u64, edit: impl FnOnce(&mut PolicyDoc)) -> Option<SignedPolicy> {
    let mut next: PolicyDoc = old.clone();
    next.version.0 += by;
    edit(&mut next);
    let mut signed =
        SignedPolicy { replaces: Some(Digest(old.digest())), policy: Blob::new(next.encode()).ok()?, signatures: List::default() };
    let words = signed.signed_words();
    for key in keys(world.seed).iter().take(signers) {
        let (key, signature) = (SigPublic(key.verifying_key().to_bytes()), Signature(key.sign(&words).to_bytes()));
        signed.signatures.push(Approval { key, signature }).ok()?;
    }
    Some(signed)
}

/// A change that loosens; which of several such changes, `number` says.
fn loosened(world: &World, old: &PolicyDoc, number: u64, signers: usize) -> Option<SignedPolicy> {
    change(world, old, signers, 1 + number, |next| next.session.reattest_s = next.session.reattest_s.saturating_add(1))
}

/// A change that tightens; which of several such changes, `number` says.
fn tightened(world: &World, old: &PolicyDoc, number: u64) -> Option<SignedPolicy> {
    change(world, old, usize::from(THRESHOLD), 1 + number, |next| next.session.reattest_s = next.session.reattest_s.saturating_sub(1))
}

/// Brings it. Whatever the group cannot do at that moment ends it without a word: other faults strike meanwhile.
pub async fn strike(world: &Arc<World>, kind: Kind) {
    let struck = match kind {
        Kind::Tightening => tightening(world).await,
        Kind::LooseningInTime => in_time(world).await,
        Kind::BuildRevoked => revoked(world).await,
        Kind::ChangeWhileCut => while_cut(world).await,
        _ => premature(world).await,
    };
    if struck.is_some() {
        world.counts.fired(kind);
    }
}

/// The policy a member's record has in force.
fn in_force(process: &Process) -> Option<Arc<PolicyDoc>> {
    process.replica.view().ok()?.governance().policy()
}

async fn propose(leader: &Process, command: PolicyCommand) -> Option<PolicyOutcome> {
    let proposed = leader.replica.propose(CommandBody::Policy(Box::new(command)));
    let applied = tokio::time::timeout(Duration::from_secs(5), proposed).await.ok()?.ok()?;
    match applied.outcomes.first() {
        Some(Outcome::Policy(outcome)) => Some(*outcome),
        _ => None,
    }
}

/// Proposes what loosens, after noting before which time of the group it must not be in force.
async fn propose_loosening(world: &World, leader: &Process, signed: SignedPolicy) -> Option<PolicyOutcome> {
    let view = leader.replica.view().ok()?;
    let delay_s = view.governance().policy()?.governance.timelock_s;
    let due_ms = view.time_ms().saturating_add(u64::from(delay_s) * 1_000);
    drop(view);
    world.common.docket.lock().due_ms.entry(signed.change()).or_insert(due_ms);
    propose(leader, PolicyCommand::propose(signed)).await
}

async fn tightening(world: &World) -> Option<()> {
    let (_, leader, _) = world.leader()?;
    let old = in_force(&leader)?;
    let said = propose(&leader, PolicyCommand::propose(tightened(world, &old, 0)?)).await?;
    match said {
        PolicyOutcome::InForce(version) if version.0 == old.version.0 + 1 => Some(()),
        // Another change came first.
        PolicyOutcome::Refused(PolicyFault::OtherStep | PolicyFault::VersionNotHigher) => None,
        other => {
            world.common.watch.broken(Rule::PolicyInTime, format!("a change that tightens was proposed: {other:?}"));
            None
        }
    }
}

/// It is called for again and again, by whoever leads; the record decides when.
async fn in_time(world: &World) -> Option<()> {
    let (_, leader, _) = world.leader()?;
    let old = in_force(&leader)?;
    let signed = loosened(world, &old, 0, usize::from(THRESHOLD))?;
    let change = signed.change();
    // Whether it waits is looked at; the answer may be lost.
    let _ = propose_loosening(world, &leader, signed).await;
    for _ in 0..LOOKS.0 {
        pause(world, LOOKS.1, LOOKS.1).await;
        let Some((_, leader, _)) = world.leader() else { continue };
        let Ok(view) = leader.replica.view() else { continue };
        let governed = view.governance();
        drop(view);
        if governed.steps().last().is_some_and(|step| step.signed.change() == change) {
            return Some(());
        }
        let waits = governed.pending().find(|pending| pending.change == change);
        if waits.is_some_and(|pending| pending.is_ready(leader.replica.now_ms())) {
            // Whether it is in force is looked at.
            let _ = propose(&leader, PolicyCommand::Enact(change)).await;
        }
    }
    None
}

/// One node is started with a build that is revoked once the node votes: it ends by itself, and nobody lets that build in again.
async fn revoked(world: &Arc<World>) -> Option<()> {
    let place = any_place(world);
    let build = revocable(world.settings.changes_policy()).filter(|build| !world.common.docket.is_revoked(build))?;
    if !world.is_whole() || !world.set_build(place, build.clone()) {
        return None;
    }
    leave(world, place).await;
    for _ in 0..LOOKS.0 {
        pause(world, LOOKS.1, LOOKS.1).await;
        if world.is_whole() {
            break;
        }
    }
    let running = alone_with(world, place);
    // It goes on as it is where it is not alone; its next life is an accepted one, whatever comes of this.
    world.set_build(place, ringwall_sim::world::build());
    let running = running?;
    let (_, leader, _) = world.leader()?;
    let old = in_force(&leader)?;
    let listed = old.measurements.iter().filter(|listed| *listed.id != *REVOKED).cloned().collect();
    let measurements = List::new(listed).ok().filter(|left| left.len() < old.measurements.len())?;
    // Nothing else takes a voter away meanwhile.
    running.vcpu.doom();
    let step = change(world, &old, usize::from(THRESHOLD), 1, |next| next.measurements = measurements)?;
    // The host starts the same image again, as long as nobody tells it better.
    world.set_build(place, build);
    // Whether it is in force is seen by what becomes of the node.
    let _ = propose(&leader, PolicyCommand::propose(step)).await;
    for _ in 0..LOOKS.0 {
        if matches!(running.status.stage(), Stage::Ended(_)) {
            return Some(());
        }
        pause(world, LOOKS.1, LOOKS.1).await;
    }
    world.replace(place, running.number);
    None
}

/// The process of a machine that runs the build that may be revoked, where it is the only one of a whole group that does.
fn alone_with(world: &World, place: Place) -> Option<Running> {
    let members = if world.is_whole() { world.members() } else { Vec::new() };
    let mut with = members.into_iter().filter(|(_, _, process)| process.site.tee.profile().build.id == REVOKED);
    match (with.next(), with.next()) {
        (Some((at, running, _)), None) if at == place => Some(running),
        _ => None,
    }
}

/// The leader is asked while it is cut off from the others, or hands over; whoever leads then is asked for another change of the same policy. At most one of
/// the two can be in force: replicas that disagreed would show it, and so would a client that was shown both.
async fn while_cut(world: &Arc<World>) -> Option<()> {
    let (place, leader, _) = world.leader()?;
    let old = in_force(&leader)?;
    let (first, second) = (tightened(world, &old, 0)?, tightened(world, &old, 1)?);
    let (wires, cut) = (&world.common.wires, world.dice.chance(600));
    let others = || (1..=SLOTS).filter(|other| *other != place);
    if cut {
        others().for_each(|other| {
            wires.cut(place, other);
            wires.cut(other, place);
        });
    }
    let asked = async {
        // A member that is cut off answers nobody in time.
        let _ = propose(&leader, PolicyCommand::propose(first)).await;
    };
    let meanwhile = async {
        if !cut {
            // Who cannot hand over goes on leading.
            let _ = tokio::time::timeout(Duration::from_secs(3), leader.replica.hand_over()).await;
        }
        pause(world, 1_500, 4_000).await;
        if let Some((_, next, _)) = world.leader() {
            let _ = propose(&next, PolicyCommand::propose(second)).await;
        }
        others().filter(|_| cut).for_each(|other| {
            wires.mend(place, other);
            wires.mend(other, place);
        });
    };
    tokio::join!(asked, meanwhile);
    pause(world, 500, 1_500).await;
    let (_, leader, _) = world.leader()?;
    (in_force(&leader)?.version > old.version).then_some(())
}

/// A host that wants a loosening in force at once.
async fn premature(world: &World) -> Option<()> {
    let (_, leader, _) = world.leader()?;
    let old = in_force(&leader)?;
    let (signed, weak) = (loosened(world, &old, 0, usize::from(THRESHOLD))?, loosened(world, &old, 1, 1)?);
    let change = signed.change();
    let said = propose_loosening(world, &leader, signed).await?;
    let moved = || in_force(&leader).is_none_or(|now| now.version != old.version);
    if moved() {
        return None;
    }
    let waits = [PolicyFault::AlreadyPending, PolicyFault::TooManyPending].map(PolicyOutcome::Refused);
    if !matches!(said, PolicyOutcome::Pending(_)) && !waits.contains(&said) {
        world.common.watch.broken(Rule::PolicyInTime, format!("a loosening was proposed: {said:?}"));
    }
    for (what, command, fault) in [
        ("a loosening was called for before its time", PolicyCommand::Enact(change), PolicyFault::TooEarly),
        ("one governor of two wants a change", PolicyCommand::propose(weak), PolicyFault::TooFew),
    ] {
        let said = propose(&leader, command).await?;
        // Where a clock jumped, or another change came, the docket and the record of others say whether that was right.
        if moved() {
            return Some(());
        }
        if said != PolicyOutcome::Refused(fault) {
            world.common.watch.broken(Rule::PolicyInTime, format!("{what}: {said:?} where {fault:?} was due"));
        }
    }
    Some(())
}
