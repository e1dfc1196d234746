//! Governors of a world, and a host that wants a loosening in force before its time.
//!
//! Decides: what is brought to the leader: a change that enough governors approved and that loosens, its coming into force at once, and one that too few
//! approved. For real: the record (`consensus`) and its judges (`node`, `attest`). The delay is longer than any clock of a world jumps. Nothing comes into
//! force, so nobody attests anew; what a change that is in force does to processes is run over real ones (tests/tests/governance.rs).
//! Trusts: nothing. Protocol sections 4.7 and 8; register G5.

use crate::world::dice::Dice;
use crate::world::judge::Rule;
use crate::world::kinds::Kind;
use crate::world::machines::World;
use crate::world::process::Process;
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{CommandBody, Outcome};
use ringwall_wire::governance::{PolicyCommand, PolicyFault, PolicyOutcome};
use ringwall_wire::ids::{Digest, SigPublic, Signature};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use std::sync::Arc;
use std::time::Duration;

/// Governors of every world.
const GOVERNORS: u64 = 3;
/// How many must sign.
const THRESHOLD: u8 = 2;
/// Seconds a loosening waits: thirty years, and clocks of a world jump by weeks.
const DELAY_S: u32 = 1_000_000_000;

/// The governors' keys.
fn keys(seed: u64) -> Vec<SigningKey> {
    let key = |number| {
        let mut key = [0; 32];
        Dice::new(seed, "governor", number).fill(&mut key);
        SigningKey::from_bytes(&key)
    };
    (1..=GOVERNORS).map(key).collect()
}

/// Who may change the policy of a world.
pub fn governance(seed: u64) -> Governance {
    let keys = keys(seed).iter().map(|key| SigPublic(key.verifying_key().to_bytes())).collect();
    Governance { keys: List::new(keys).expect("three fit"), threshold: THRESHOLD, timelock_s: DELAY_S, lease_s: 0 }
}

/// A change of the world's policy that loosens, signed by so many; which of several such changes, `number` says.
fn loosened(world: &World, number: u64, signers: usize) -> Option<SignedPolicy> {
    let founding = &world.common.cluster.policy;
    let mut next: PolicyDoc = founding.clone();
    next.version.0 += 1 + number;
    next.session.reattest_s = next.session.reattest_s.saturating_add(1);
    let mut signed =
        SignedPolicy { replaces: Some(Digest(founding.digest())), policy: Blob::new(next.encode()).ok()?, signatures: List::default() };
    let words = signed.signed_words();
    for key in keys(world.seed).iter().take(signers) {
        let (key, signature) = (SigPublic(key.verifying_key().to_bytes()), Signature(key.sign(&words).to_bytes()));
        signed.signatures.push(Approval { key, signature }).ok()?;
    }
    Some(signed)
}

/// Brings it. Whatever the group cannot do at that moment ends it without a word: other faults strike meanwhile.
pub async fn strike(world: &Arc<World>) {
    let Some((_, leader, _)) = world.leader() else { return };
    if brought(world, &leader).await.is_some() {
        world.counts.fired(Kind::PrematureLoosening);
    }
}

async fn brought(world: &World, leader: &Process) -> Option<()> {
    let (signed, weak) = (loosened(world, 0, usize::from(THRESHOLD))?, loosened(world, 1, 1)?);
    let change = signed.change();
    let said = propose(leader, PolicyCommand::propose(signed)).await?;
    if !matches!(said, PolicyOutcome::Pending(_)) && said != PolicyOutcome::Refused(PolicyFault::AlreadyPending) {
        world.common.watch.broken(Rule::PolicyInTime, format!("a loosening was proposed: {said:?}"));
    }
    for (what, command, fault) in [
        ("a loosening was called for before its time", PolicyCommand::Enact(change), PolicyFault::TooEarly),
        ("one governor of two wants a change", PolicyCommand::propose(weak), PolicyFault::TooFew),
    ] {
        let said = propose(leader, command).await?;
        if said != PolicyOutcome::Refused(fault) {
            world.common.watch.broken(Rule::PolicyInTime, format!("{what}: {said:?} where {fault:?} was due"));
        }
    }
    Some(())
}

async fn propose(leader: &Process, command: PolicyCommand) -> Option<PolicyOutcome> {
    let proposed = leader.replica.propose(CommandBody::Policy(Box::new(command)));
    let applied = tokio::time::timeout(Duration::from_secs(5), proposed).await.ok()?.ok()?;
    match applied.outcomes.first() {
        Some(Outcome::Policy(outcome)) => Some(*outcome),
        _ => None,
    }
}
