//! Sessions in a cluster whose policy changes: who is judged by which policy, and that nobody goes back.
//!
//! Decides: that an answer under a newer policy is followed only along steps that hold, from what the judging side holds or from the founding record;
//! that a client never stands on an older policy, while a peer that lags is judged by the newer one. Trusts: the fixtures. Out of scope: chains (`steps.rs`).

use super::*;
use ringwall_attest::governance::StepError;
use ringwall_attest::{AppraisedPeer, Asked, Finding, Layer, Pinned, PolicyPin, Rejection, SessionError as S, Stage, appraise_session};
use ringwall_sim::answering::{Handshake, NOW_S, Node, SESSION, node_of, standing};
use ringwall_wire::evidence::Role;
use ringwall_wire::session::{AttestMode, AttestResp};

/// The same handshake between members.
const PEER: Handshake = Handshake { role: Role::PeerResp, ..SESSION };

/// A node of a cluster with governors, founded under the first of three policies; which of them it goes by.
struct Town {
    node: Node,
    policies: [PolicyDoc; 3],
    steps: [PolicyStep; 2],
}

impl Town {
    fn new() -> Self {
        let node = node_of("genoa-1", "governed", |policy| policy.governance = governance());
        let first = node.policy.clone();
        let second = tightened(&first);
        let third = loosened(&second, "next");
        let steps = [step(&first, &second), step(&second, &third)];
        Town { node, policies: [first, second, third], steps }
    }

    fn digests(&self) -> [Digest; 3] {
        [0, 1, 2].map(|at| Digest(self.policies[at].digest()))
    }

    /// What the node answers when it goes by this policy and shows these steps.
    fn answers(&self, session: Handshake, policy: usize, steps: &[PolicyStep]) -> AttestResp {
        let node = Node { policy: self.policies[policy].clone(), ..self.node.clone() };
        AttestResp { steps: List::new(steps.to_vec()).unwrap(), ..node.answers(session) }
    }

    fn founding_step(&self) -> PolicyStep {
        PolicyStep::founding(&self.policies[0]).unwrap()
    }

    fn judge(&self, answer: &AttestResp, session: Handshake, policy: PolicyPin<'_>) -> Result<AppraisedPeer, S> {
        let asked =
            Asked { handshake: &session.hash, nonce: &session.nonce, role: session.role, noise: &session.noise, mode: session.mode };
        let roots = ringwall_sim::anchors();
        let pinned = Pinned { cluster_id: self.node.genesis.cluster_id(), policy, anchors: &roots, now_s: NOW_S, last_head: None };
        appraise_session(answer, &asked, &pinned)
    }

    fn from(&self, policy: usize) -> PolicyPin<'_> {
        PolicyPin::From { policy: &self.policies[policy], earlier: &[] }
    }
}

const FOUNDING: PolicyPin<'static> = PolicyPin::Founding { min_version: PolicyVersion(1) };

#[test]
fn whoever_holds_an_older_policy_follows_the_steps() {
    let town = Town::new();
    let [_, second, third] = town.digests();
    let all = [town.founding_step(), town.steps[0].clone(), town.steps[1].clone()];
    let cases: [(&str, PolicyPin<'_>, usize, &[PolicyStep], usize); 8] = [
        ("the founding policy, unchanged", FOUNDING, 0, &[], 0),
        ("the founding policy on a card", town.from(0), 0, &[], 0),
        ("both steps from a card", town.from(0), 2, &town.steps, 2),
        ("one step", town.from(1), 2, &town.steps[1..], 1),
        ("all steps, half of them known", town.from(1), 2, &all, 1),
        ("nothing new, whatever is shown", town.from(2), 2, &all, 0),
        ("from the cluster id alone", FOUNDING, 2, &all, 2),
        ("from the cluster id alone, one step", FOUNDING, 1, &all[..2], 1),
    ];
    for (what, pin, policy, steps, taken) in cases {
        let peer = town.judge(&town.answers(SESSION, policy, steps), SESSION, pin).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((peer.policy(), peer.steps().len()), (&town.policies[policy], taken), "{what}");
        assert_eq!(peer.policy_bound(), &town.digests()[policy]);
    }
    let newest = town.judge(&town.answers(SESSION, 2, &all), SESSION, PolicyPin::Founding { min_version: PolicyVersion(3) }).unwrap();
    assert_eq!((newest.policy_bound(), newest.steps().first()), (&third, town.steps.first()));
    assert_ne!(second, third);
}

#[test]
fn steps_that_do_not_hold_open_no_session() {
    let town = Town::new();
    let refused = |pin: PolicyPin<'_>, policy: usize, steps: &[PolicyStep]| {
        let error = town.judge(&town.answers(SESSION, policy, steps), SESSION, pin).map(|_| ()).unwrap_err();
        assert!(error.stage() == Stage::Cluster && error.layer() != Layer::Signature && !error.found().is_empty(), "{error}");
        error
    };
    let unapproved = PolicyStep { signed: signed_by(&town.policies[0], &town.policies[1], &[1]), notice: None };
    let error = refused(town.from(0), 1, std::slice::from_ref(&unapproved));
    assert!(matches!(error, S::Steps(StepError::Step { number: 1, .. })) && error.finding() == Finding::Bad, "{error}");
    let error = refused(FOUNDING, 1, &[town.founding_step(), unapproved]);
    assert!(matches!(error, S::Steps(StepError::Step { number: 1, .. })), "{error}");
    let error = refused(town.from(0), 2, &[town.steps[0].clone()]);
    assert!(matches!(error, S::StepsLeadElsewhere { .. }), "left out at the end: {error}");
    let error = refused(town.from(0), 2, &[town.steps[1].clone()]);
    assert!(matches!(error, S::PolicyUnrelated { .. }), "left out at the beginning: {error}");
    let error = refused(town.from(0), 2, &[town.steps[1].clone(), town.steps[0].clone()]);
    assert!(matches!(error, S::StepsLeadElsewhere { .. }), "reordered: {error}");
    let error = refused(town.from(0), 2, &[town.steps[0].clone(), town.steps[0].clone(), town.steps[1].clone()]);
    assert!(matches!(error, S::Steps(StepError::Step { number: 2, .. })), "doubled: {error}");
    let error = refused(town.from(0), 1, &[]);
    assert!(matches!(error, S::PolicyUnrelated { .. }), "none: {error}");
    let error = refused(FOUNDING, 2, &town.steps);
    assert!(matches!(error, S::FoundingPolicyMissing { changes: 2 }) && error.finding() == Finding::CannotTell, "{error}");
    assert!(matches!(refused(FOUNDING, 1, &[]), S::OtherPolicy { .. }), "another policy, and no word of how");
    // A founding policy nobody founded anything on, whose governors approve what they like.
    let own = PolicyDoc { governance: Governance { threshold: 1, ..governance() }, ..town.policies[0].clone() };
    let forged = [PolicyStep::founding(&own).unwrap(), step(&own, &town.policies[1])];
    assert!(matches!(refused(FOUNDING, 1, &forged), S::OtherPolicy { .. }));
    let adorned = PolicyStep { signed: signed_by(&town.policies[0], &town.policies[1], &[1, 2]), notice: None };
    let signed_founding = PolicyStep {
        signed: ringwall_wire::policy::SignedPolicy { signatures: adorned.signed.signatures, ..town.founding_step().signed },
        notice: None,
    };
    assert!(matches!(refused(FOUNDING, 1, &[signed_founding, town.steps[0].clone()]), S::FoundingPolicyMissing { .. }));
    // Two policies replaced one: whoever follows one does not follow the other.
    let aside = next(&town.policies[0], |policy| policy.endorse.other_vendor = true);
    let fork = PolicyPin::From { policy: &aside, earlier: &[] };
    assert!(matches!(refused(fork, 2, &town.steps), S::PolicyUnrelated { .. }));
}

#[test]
fn a_client_never_stands_on_an_older_policy_and_a_peer_that_lags_is_judged_by_the_newer_one() {
    let town = Town::new();
    let [first, second, _] = town.digests();
    let earlier = [first, second];
    let newest = PolicyPin::From { policy: &town.policies[2], earlier: &earlier };
    for (policy, steps) in [(0, &[][..]), (1, &town.steps[..1])] {
        let error = town.judge(&town.answers(SESSION, policy, steps), SESSION, newest).map(|_| ()).unwrap_err();
        let (got, required) = (town.policies[policy].version, town.policies[2].version);
        assert_eq!(error, S::PolicyTooOld { got, required }, "to a client, whatever it remembers of earlier ones");
        let peer = town.judge(&town.answers(PEER, policy, steps), PEER, newest).unwrap();
        assert_eq!((peer.policy(), peer.policy_bound(), peer.steps().len()), (&town.policies[2], &town.digests()[policy], 0));
        let unknown = PolicyPin::From { policy: &town.policies[2], earlier: &[] };
        assert!(
            matches!(town.judge(&town.answers(PEER, policy, steps), PEER, unknown), Err(S::PolicyTooOld { .. })),
            "one this side never had"
        );
    }
    let too_old = town.judge(&town.answers(SESSION, 0, &[]), SESSION, PolicyPin::Founding { min_version: PolicyVersion(2) });
    assert!(matches!(too_old, Err(S::PolicyTooOld { .. })));
    // The newer policy decides: a machine it excludes is refused though the older one, which it is bound to, accepts it.
    let mut strict = next(&town.policies[0], |policy| policy.snp.denied_chips = policy.snp.chips.clone());
    strict.version = PolicyVersion(9);
    let excluded = PolicyPin::From { policy: &strict, earlier: &[first] };
    let error = town.judge(&town.answers(PEER, 0, &[]), PEER, excluded).map(|_| ()).unwrap_err();
    assert!(matches!(error, S::Rejected(Rejection::ChipDenied { .. })), "{error}");
}

#[test]
fn evidence_is_bound_to_the_policy_the_node_goes_by() {
    let town = Town::new();
    let honest = town.answers(PEER, 0, &[]);
    // Evidence made under the first policy, shown with the second, or the other way round.
    let claims_newer = AttestResp { policy: town.policies[1].clone(), steps: List::new(town.steps[..1].to_vec()).unwrap(), ..honest };
    let error = town.judge(&claims_newer, PEER, town.from(0)).map(|_| ()).unwrap_err();
    assert!(matches!(error, S::Rejected(Rejection::ReportData { .. })), "{error}");
    let claims_older = AttestResp { policy: town.policies[0].clone(), steps: List::default(), ..town.answers(PEER, 1, &[]) };
    let (first, held) = (town.digests()[0], &town.policies[1]);
    let error = town.judge(&claims_older, PEER, PolicyPin::From { policy: held, earlier: &[first] }).map(|_| ()).unwrap_err();
    assert!(matches!(error, S::Rejected(Rejection::ReportData { .. })), "{error}");
    // Standing keys are offered by the policy that judges.
    let offered = Handshake { mode: AttestMode::Standing, ..SESSION };
    let mut node = town.node.clone();
    node.policy = next(&town.policies[0], |policy| policy.session.standing_period_s = 0);
    let steps = List::new(vec![step(&town.policies[0], &node.policy)]).unwrap();
    let answer = AttestResp { steps, ..standing(&node, offered, NOW_S) };
    assert!(matches!(town.judge(&answer, offered, town.from(0)), Err(S::StandingNotOffered)));
}
