//! The kinds of sample changes, pinned: members and clients of two builds that answer otherwise must not take their rules for the same.
//!
//! Decides: that every kind here is the one of this edition of the rules (`COMPARE_RULES`), also where releases are demanded and what changes is whose
//! statement evidence needs. Whoever changes a kind, or adds a row that an earlier build would answer otherwise, raises the edition.
//! Trusts: the fixtures. Out of scope: whether the kinds are right for evidence (`loosening.rs`), every field (client/tests/policy_meaning.rs).

use super::*;
use ringwall_attest::policy::Change::{self, Loosening as L, Neutral as N, Tightening as T};
use ringwall_attest::policy::{COMPARE_RULES, change};
use ringwall_wire::bounded::Text;
use ringwall_wire::policy::{
    ChipId, Measurement, MeasurementRegister, PlatformUnseal, ReleaseRule, ReleaseSigners, RevocationRule, TdxReplay, TdxTcbStatus,
};

type Edit = fn(&mut PolicyDoc);

/// A policy of which every rule below can be moved both ways.
fn base() -> PolicyDoc {
    let mut policy = watched();
    let builds = vec![BuildImage::new("one", 3).measurement(), BuildImage::new("two", 4).measurement()];
    (policy.measurements, policy.min_svn) = (List::new(builds).unwrap(), 2);
    let rules = &mut policy.snp;
    (rules.vmpl, rules.allow_vlek, rules.revocation) = (0, false, RevocationRule::Required);
    (rules.policy_required, rules.policy_allowed, rules.min_abi_minor) = (0, 1 << 17, 4);
    let rules = &mut policy.tdx;
    (rules.min_tcb_evaluation, rules.mr_seams, rules.allow_smt) = (5, List::default(), false);
    rules.statuses = List::new(vec![TdxTcbStatus::UpToDate]).unwrap();
    (policy.endorse.min_endorsers, policy.endorse.other_vendor) = (2, false);
    (policy.session.reattest_s, policy.session.standing_period_s) = (3_600, 600);
    policy.platform_unseal = PlatformUnseal::Never;
    policy
}

fn builds(policy: &mut PolicyDoc, edit: impl FnOnce(&mut Vec<Measurement>)) {
    let mut builds = policy.measurements.to_vec();
    edit(&mut builds);
    policy.measurements = List::new(builds).unwrap();
}

fn releases(policy: &mut PolicyDoc, edit: impl FnOnce(&mut ReleaseSigners)) {
    if let ReleaseRule::Demanded(rule) = &mut policy.release {
        edit(rule);
    }
}

/// The kinds of edition 1.
const KINDS: &[(&str, Change, Edit)] = &[
    ("nothing", N, |_| ()),
    ("another version", N, |policy| policy.version = PolicyVersion(policy.version.0 + 7)),
    ("an older version", L, |policy| policy.version = PolicyVersion(0)),
    ("min_svn rises", T, |policy| policy.min_svn = 3),
    ("min_svn shuts a build out", T, |policy| policy.min_svn = 4),
    ("min_svn falls", L, |policy| policy.min_svn = 1),
    ("a build comes in", L, |policy| builds(policy, |builds| builds.push(BuildImage::new("three", 4).measurement()))),
    ("a build goes", T, |policy| builds(policy, |builds| builds.truncate(1))),
    ("builds change places", N, |policy| builds(policy, |builds| builds.reverse())),
    ("a chip comes in", L, |policy| policy.snp.chips.push(ChipId([9; 64])).unwrap()),
    ("a chip goes", T, |policy| policy.snp.chips = List::default()),
    ("a chip is denied", T, |policy| policy.snp.denied_chips.push(ChipId([9; 64])).unwrap()),
    ("another VMPL", L, |policy| policy.snp.vmpl = 1),
    ("VLEK is allowed", L, |policy| policy.snp.allow_vlek = true),
    ("no list of revocations", L, |policy| policy.snp.revocation = RevocationRule::BestEffort),
    ("a bit is demanded", T, |policy| policy.snp.policy_required |= 1 << 22),
    ("a bit is allowed", L, |policy| policy.snp.policy_allowed |= 1 << 16),
    ("a newer ABI", T, |policy| policy.snp.min_abi_minor = 5),
    ("an older ABI", L, |policy| policy.snp.min_abi_minor = 3),
    ("newer documents of Intel", T, |policy| policy.tdx.min_tcb_evaluation = 6),
    ("a status comes in", L, |policy| policy.tdx.statuses.push(TdxTcbStatus::OutOfDate).unwrap()),
    ("modules are listed", T, |policy| policy.tdx.mr_seams.push(MeasurementRegister([7; 48])).unwrap()),
    ("another RTMR3", L, |policy| policy.tdx.rtmr3.0[0] ^= 1),
    ("SMT is allowed", L, |policy| policy.tdx.allow_smt = true),
    ("more endorsers", T, |policy| policy.endorse.min_endorsers = 3),
    ("fewer endorsers", L, |policy| policy.endorse.min_endorsers = 1),
    ("an endorser of the other vendor", T, |policy| policy.endorse.other_vendor = true),
    ("longer sessions", L, |policy| policy.session.reattest_s += 1),
    ("shorter sessions", T, |policy| policy.session.reattest_s -= 1),
    ("longer standing keys", L, |policy| policy.session.standing_period_s += 1),
    ("chips may open the keys", L, |policy| policy.platform_unseal = PlatformUnseal::SameChips),
    ("no releases", L, |policy| policy.release = ReleaseRule::NotDemanded),
    ("fewer signers must sign", L, |policy| releases(policy, |rule| rule.signer_threshold = 1)),
    ("a signer goes", T, |policy| releases(policy, |rule| rule.signers = List::new(vec![rule.signers[0].clone()]).unwrap())),
    ("more witnesses must cosign", T, |policy| releases(policy, |rule| rule.witness_threshold = 3)),
    ("a witness goes", T, |policy| releases(policy, |rule| rule.witnesses = List::new(rule.witnesses[..2].to_vec()).unwrap())),
    ("another log", L, |policy| releases(policy, |rule| rule.log = Text::new("another").unwrap())),
    ("older checkpoints", L, |policy| releases(policy, |rule| rule.max_checkpoint_age_s += 1)),
    ("newer checkpoints", T, |policy| releases(policy, |rule| rule.max_checkpoint_age_s -= 1)),
    ("a governor comes in", L, |policy| policy.governance.keys.push(public(4)).unwrap()),
    ("a governor goes", T, |policy| policy.governance.keys = List::new(vec![public(1), public(2)]).unwrap()),
    ("more governors must sign", T, |policy| policy.governance.threshold = 3),
    ("fewer governors must sign", L, |policy| policy.governance.threshold = 1),
    ("a longer delay", T, |policy| policy.governance.timelock_s += 1),
    ("a shorter delay", L, |policy| policy.governance.timelock_s -= 1),
    ("no lease", L, |policy| policy.governance.lease_s = 0),
    ("a shorter lease", T, |policy| policy.governance.lease_s -= 1),
];

#[test]
fn the_kinds_of_this_edition_are_pinned() {
    assert_eq!(COMPARE_RULES, 2, "another edition has a table of its own: bring the one above up to date, then this number");
    for (what, kind, edit) in KINDS {
        let (old, mut new) = (base(), next(&base(), |_| ()));
        edit(&mut new);
        assert_eq!(change(&old, &new), *kind, "{what}");
    }
}

/// A build that is known by its tuple and by two tables of the same firmware.
fn told_twice(id: &str) -> Measurement {
    let image = BuildImage::new(id, 3);
    Measurement { tdx_replays: List::new(vec![image.tdx_replay(), otherwise(image.tdx_replay())]).unwrap(), ..image.measurement() }
}

/// The same table, with another name for its first event.
fn otherwise(mut table: TdxReplay) -> TdxReplay {
    let mut events = table.events.to_vec();
    events[0].label = Text::new("called otherwise").unwrap();
    table.events = List::new(events).unwrap();
    table
}

/// The builds before, the builds afterwards.
type Turn = fn() -> (Vec<Measurement>, Vec<Measurement>);

fn one() -> Measurement {
    BuildImage::new("one", 3).measurement()
}

/// One build, and the same under a second name.
fn twins() -> [Measurement; 2] {
    [one(), Measurement { id: Text::new("twin").unwrap(), ..one() }]
}

fn with_tables(tables: &[TdxReplay]) -> Measurement {
    Measurement { tdx: List::default(), tdx_replays: List::new(tables.to_vec()).unwrap(), ..told_twice("told") }
}

/// What changes whose statement evidence needs: with releases demanded, and without.
const STATEMENTS: &[(&str, Change, Change, Turn)] = &[
    ("renamed", L, N, || (vec![one()], vec![Measurement { id: Text::new("other").unwrap(), ..one() }])),
    ("another security version", L, N, || (vec![one()], vec![Measurement { svn: 4, ..one() }])),
    ("the other twin is first", L, N, || (twins().to_vec(), twins().into_iter().rev().collect())),
    ("the first twin goes", L, N, || (twins().to_vec(), twins()[1..].to_vec())),
    ("the second twin goes", N, N, || (twins().to_vec(), twins()[..1].to_vec())),
    ("the tuple goes, tables stay", L, T, || (vec![told_twice("told")], vec![Measurement { tdx: List::default(), ..told_twice("told") }])),
    ("the tables go, the tuple stays", T, T, || {
        (vec![told_twice("told")], vec![Measurement { tdx_replays: List::default(), ..told_twice("told") }])
    }),
    ("one table of two goes", L, T, || {
        let tables = told_twice("told").tdx_replays;
        (vec![with_tables(&tables)], vec![with_tables(&tables[1..])])
    }),
    ("tables change places within a build", N, N, || {
        let tables = told_twice("told").tdx_replays.to_vec();
        (vec![with_tables(&tables)], vec![with_tables(&tables.iter().rev().cloned().collect::<Vec<_>>())])
    }),
    ("one build becomes two of its name", L, N, || {
        let tables = told_twice("told").tdx_replays;
        (vec![with_tables(&tables)], vec![with_tables(&tables[..1]), with_tables(&tables[1..])])
    }),
    ("tables are renamed", L, N, || {
        let tables = told_twice("told").tdx_replays;
        (vec![with_tables(&tables)], vec![Measurement { id: Text::new("other").unwrap(), ..with_tables(&tables) }])
    }),
    ("another build comes in before", L, L, || {
        (vec![told_twice("told")], vec![BuildImage::new("early", 3).measurement(), told_twice("told")])
    }),
    ("an unrelated build goes", T, T, || (vec![one(), told_twice("told")], vec![told_twice("told")])),
    ("all goes", T, T, || (vec![told_twice("told")], vec![])),
];

#[test]
fn evidence_that_needs_the_statement_of_another_build_is_loosening() {
    for (what, demanded, free, turn) in STATEMENTS {
        let (before, after) = turn();
        for (release, kind) in [(watched().release, demanded), (ReleaseRule::NotDemanded, free)] {
            let old = PolicyDoc { measurements: List::new(before.clone()).unwrap(), release, ..base() };
            let new = next(&old, |policy| policy.measurements = List::new(after.clone()).unwrap());
            assert_eq!(change(&old, &new), *kind, "{what}, releases demanded: {}", kind == demanded);
            // A build that is too old is shut out at once, whatever is demanded.
            let raised = next(&old, |policy| policy.min_svn = 9);
            assert_eq!(change(&old, &raised), T, "{what}");
        }
    }
    // Where no statement was demanded before, one that is demanded now takes nothing back.
    let old = PolicyDoc { measurements: List::new(vec![one()]).unwrap(), release: ReleaseRule::NotDemanded, ..base() };
    let new = next(&old, |policy| {
        policy.release = watched().release;
        builds(policy, |builds| builds[0].svn = 4);
    });
    assert_eq!(change(&old, &new), T);
}
