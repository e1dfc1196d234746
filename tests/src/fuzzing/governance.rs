//! Target `policy_steps`: chains of changes of a policy, with notices from a public log.
//!
//! Decides: no bytes lead from the founding policy to one that its governors did not approve, nor to one of theirs without the notice. Trusts: signatures of
//! keys that follow from names. Out of scope: how inputs are found. Protocol section 8, "Changes".

use super::message;
use ringwall_attest::governance::verify_steps;
use ringwall_client::policy::GovernorKey;
use ringwall_sim::release::{MintedLog, Publisher};
use ringwall_sim::{BuildImage, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::{PolicyChain, PolicyStep};
use ringwall_wire::ids::{ClusterId, Digest, PolicyVersion};
use ringwall_wire::policy::{Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::release::{LogEntry, PolicyNotice};
use ringwall_wire::secret::Secret;
use std::sync::LazyLock;

const CLUSTER: ClusterId = ClusterId([0x11; 32]);
const DELAY_S: u32 = 1_000;
const PUBLISHED_S: u64 = 1_795_000_000;

/// A cluster's policies, and the steps between them.
struct Chain {
    policies: Vec<PolicyDoc>,
    steps: Vec<PolicyStep>,
}

/// One that tightens, one that loosens, one that tightens.
static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let governors = [GovernorKey::from_seed(Secret::new([1; 32])), GovernorKey::from_seed(Secret::new([2; 32]))];
    let keys = List::new(governors.iter().map(GovernorKey::public).collect()).expect("two");
    let governance = Governance { keys, threshold: 2, timelock_s: DELAY_S, lease_s: 0 };
    let publisher = Publisher::default();
    let founding = PolicyDoc { governance, release: publisher.demanded(), ..world::policy() };
    let mut log = publisher.log.clone();
    let mut chain = Chain { policies: vec![founding], steps: Vec::new() };
    for change in [tighten, loosen, tighten] {
        let old = chain.policies.last().expect("the founding one").clone();
        let mut new = PolicyDoc { version: PolicyVersion(old.version.0 + 1), ..old.clone() };
        change(&mut new);
        let policy = Blob::new(new.encode()).expect("a short policy");
        let mut signed = SignedPolicy { replaces: Some(Digest(old.digest())), policy, signatures: List::default() };
        signed.signatures = List::new(governors.iter().map(|key| key.approve(&signed)).collect()).expect("two");
        let notice = (new.measurements.len() > old.measurements.len()).then(|| notice(&mut log, &publisher, &signed));
        chain.steps.push(PolicyStep { signed, notice });
        chain.policies.push(new);
    }
    chain
});

fn tighten(policy: &mut PolicyDoc) {
    policy.session.reattest_s /= 2;
}

fn loosen(policy: &mut PolicyDoc) {
    policy.measurements.push(BuildImage::new("next", 9).measurement()).expect("two fit");
}

fn notice(log: &mut MintedLog, publisher: &Publisher, signed: &SignedPolicy) -> PolicyNotice {
    let index = log.append(&LogEntry::policy_change(CLUSTER, signed.change()));
    let size = log.size();
    // Witnesses with short keys: a small seed.
    let witnesses = publisher.witnesses.get(..2).expect("three");
    let published = log.head(witnesses, PUBLISHED_S);
    log.append_leaf(Digest([9; 32]));
    let later = log.head(witnesses, PUBLISHED_S + u64::from(DELAY_S));
    PolicyNotice { published, proof: log.inclusion(index, size), later, consistency: log.consistency(size, log.size()) }
}

/// What decodes and holds leads along the policies that were approved, and in another cluster not past the one whose notice names this cluster.
pub(super) fn policy_steps(bytes: &[u8]) {
    let Some(chain) = message::<PolicyChain>(bytes) else { return };
    let policies = &CHAIN.policies;
    let digests: Vec<Digest> = policies.iter().map(|policy| Digest(policy.digest())).collect();
    for (at, policy) in policies.iter().enumerate() {
        let approved = digests.get(at..).expect("one of them");
        for (cluster_id, most) in [(CLUSTER, policies.len()), (ClusterId([0; 32]), 2)] {
            let Ok(verified) = verify_steps(&cluster_id, policy, &chain.steps) else { continue };
            assert!(approved.starts_with(verified.digests()), "nobody approved this");
            assert!(verified.digests().len() <= most, "the notice is for another cluster");
        }
    }
}

/// The whole chain, its first step, and none.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let steps = &CHAIN.steps;
    let encoded = |steps: &[PolicyStep]| PolicyChain { cluster_id: CLUSTER, steps: List::new(steps.to_vec()).expect("three fit") }.encode();
    vec![("chain", encoded(steps)), ("tightened", encoded(steps.get(..1).expect("three"))), ("none", encoded(&[]))]
}
