//! A row of a hundred changes in pages, as somebody meets it who is far behind, and pages of whoever does not play fair.
//!
//! Decides: an honest row is walked page by page from the founding and from any policy of it, to the same end; a gap, a repeat, another row, a page without a change,
//! one that announces more than the first, another cluster's founding and an unending row are refused by name, and what was judged stays.
//! Trusts: keys that follow from numbers. Out of scope: who sends pages (`node`), what is kept of them (`client`).

use super::{CLUSTER, founding, next, step};
use ringwall_attest::governance::{ChangeError, PageError, PageWalk, StepError, verify_row, verify_steps};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::GenesisRecord;
use ringwall_wire::governance::{Founded, PolicyPage, PolicyStep};
use ringwall_wire::ids::{ClusterId, Digest};
use ringwall_wire::limits::{POLICY_PAGES, POLICY_ROW_STEPS, POLICY_STEPS};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::sample::{Sample as _, Source};

const CHANGES: usize = 100;

/// So many policies after the founding one, each tightening the one before, and the steps between them.
fn row(changes: usize) -> (Vec<PolicyDoc>, Vec<PolicyStep>) {
    let mut policies = vec![PolicyDoc::clone(&founding())];
    let mut steps = Vec::new();
    for _ in 0..changes {
        let old = policies.last().unwrap();
        let new = next(old, |policy| policy.session.reattest_s -= 1);
        steps.push(step(old, &new));
        policies.push(new);
    }
    (policies, steps)
}

fn page(steps: &[PolicyStep], from: usize, total: usize) -> PolicyPage {
    let until = (from + POLICY_STEPS).min(total);
    let left = u16::try_from(total - until).unwrap();
    PolicyPage { founded: None, steps: List::new(steps[from..until].to_vec()).unwrap(), left }
}

fn fault(walk: &mut PageWalk, page: PolicyPage) -> StepError {
    walk.take(page).unwrap_err()
}

#[test]
fn a_row_of_a_hundred_changes_is_walked_from_anywhere_to_the_same_end() {
    let (policies, steps) = row(CHANGES);
    for from in [0, 1, 37, 67] {
        let mut walk = PageWalk::new(CLUSTER, Some(&policies[from]));
        let mut place = from;
        while place < CHANGES {
            assert_eq!(walk.known(), Some(Digest(policies[place].digest())));
            let page = page(&steps, place, CHANGES);
            place += page.steps.len();
            walk.take(page).unwrap();
        }
        assert_eq!((walk.policy(), walk.steps()), (policies.last(), &steps[from..]));
        assert_eq!(walk.founding(), None);
    }
    assert_eq!(verify_row(&CLUSTER, &policies[0], &steps).unwrap().policy(), &policies[CHANGES]);
    assert_eq!(
        verify_steps(&CLUSTER, &policies[0], &steps).unwrap_err(),
        StepError::TooMany { got: CHANGES, most: POLICY_STEPS },
        "no answer carries so many"
    );
    let many = vec![steps[0].clone(); POLICY_ROW_STEPS + 1];
    assert_eq!(verify_row(&CLUSTER, &policies[0], &many).unwrap_err(), StepError::TooMany { got: 1_025, most: POLICY_ROW_STEPS });
}

#[test]
fn who_knows_the_cluster_id_alone_begins_at_what_the_founding_record_names() {
    let (policies, steps) = row(40);
    let mut genesis = GenesisRecord::sample(&mut Source::new(5));
    genesis.template.policy = Digest(policies[0].digest());
    let cluster_id = genesis.cluster_id();
    let founded = |genesis: &GenesisRecord, policy: &PolicyDoc| Some(Founded { genesis: genesis.clone(), policy: policy.clone() });
    let first = |founded| PolicyPage { founded, ..page(&steps, 0, 40) };
    let refused = |founded| fault(&mut PageWalk::new(cluster_id, None), first(founded));
    assert_eq!(refused(None), PageError::FoundingMissing.into());
    let (got, named) = (Digest(policies[1].digest()), genesis.template.policy);
    assert_eq!(refused(founded(&genesis, &policies[1])), PageError::OtherFounding { got, named }.into());
    let other = GenesisRecord::sample(&mut Source::new(6));
    let (got, pinned) = (other.cluster_id(), cluster_id);
    assert_eq!(refused(founded(&other, &policies[0])), PageError::OtherCluster { got, pinned }.into());

    let mut walk = PageWalk::new(cluster_id, None);
    assert_eq!((walk.known(), walk.policy()), (None, None));
    walk.take(first(founded(&genesis, &policies[0]))).unwrap();
    assert_eq!((walk.founding(), walk.policy()), (Some(&policies[0]), Some(&policies[32])));
    let again = PolicyPage { founded: founded(&genesis, &policies[0]), ..page(&steps, 32, 40) };
    assert_eq!(fault(&mut walk, again), PageError::FoundingUnasked.into());
    let mut holds = PageWalk::new(cluster_id, Some(&policies[0]));
    assert_eq!(fault(&mut holds, first(founded(&genesis, &policies[0]))), PageError::FoundingUnasked.into());
}

#[test]
fn gaps_repeats_and_other_rows_do_not_fit_and_what_was_judged_stays() {
    let (policies, steps) = row(CHANGES);
    let begun = || {
        let mut walk = PageWalk::new(CLUSTER, Some(&policies[0]));
        walk.take(page(&steps, 0, CHANGES)).unwrap();
        walk
    };
    // The same change of another policy than the one in force: another row.
    let aside = next(&policies[32], |policy| policy.session.reattest_s -= 2);
    let strangers = [steps[..32].to_vec(), steps[33..65].to_vec(), vec![step(&aside, &next(&aside, |_| ()))], vec![steps[64].clone()]];
    for stranger in strangers {
        let mut walk = begun();
        let wrong = PolicyPage { founded: None, steps: List::new(stranger).unwrap(), left: 4 };
        let refused = fault(&mut walk, wrong);
        assert!(matches!(&refused, StepError::Step { number: 1, error: ChangeError::Approval(_) }), "{refused:?}");
        assert_eq!((walk.policy(), walk.steps().len()), (Some(&policies[32]), 32));
    }
    let other_cluster = PageWalk::new(ClusterId([9; 32]), Some(&policies[0])).take(page(&steps, 0, CHANGES));
    assert_eq!(other_cluster, Ok(()), "approvals name the policy; the pinned founding record names the cluster");
    let mut unsigned = page(&steps, 32, CHANGES);
    unsigned.steps = List::new(vec![PolicyStep { signed: super::signed_by(&policies[32], &policies[33], &[1]), notice: None }]).unwrap();
    assert!(matches!(fault(&mut begun(), unsigned), StepError::Step { number: 1, .. }));
}

#[test]
fn a_row_that_does_not_end_is_ended() {
    let (policies, steps) = row(CHANGES);
    let walk = || PageWalk::new(CLUSTER, Some(&policies[0]));
    let empty = |left| PolicyPage { founded: None, steps: List::default(), left };
    for left in [0, 7] {
        assert_eq!(fault(&mut walk(), empty(left)), PageError::Empty { left: left.into() }.into());
    }
    let boundless = PolicyPage { left: u16::MAX, ..page(&steps, 0, CHANGES) };
    assert!(matches!(fault(&mut walk(), boundless), StepError::TooMany { most: POLICY_ROW_STEPS, .. }));
    // It announced 40, and goes on; a few that were made meanwhile are no lie.
    let mut announced = walk();
    announced.take(PolicyPage { left: 8, ..page(&steps, 0, CHANGES) }).unwrap();
    announced.clone().take(PolicyPage { left: 8, ..page(&steps, 32, CHANGES) }).unwrap();
    let more = PolicyPage { left: 9, ..page(&steps, 32, CHANGES) };
    assert_eq!(fault(&mut announced, more), PageError::MoreThanAnnounced { announced: 40, got: 73 }.into());
    // One change a page: they are counted too.
    let (policies, steps) = row(POLICY_PAGES + 1);
    let mut walk = PageWalk::new(CLUSTER, Some(&policies[0]));
    for (at, one) in steps.iter().enumerate().take(POLICY_PAGES) {
        let left = u16::try_from(steps.len() - at - 1).unwrap();
        walk.take(PolicyPage { founded: None, steps: List::new(vec![one.clone()]).unwrap(), left }).unwrap();
    }
    let last = PolicyPage { founded: None, steps: List::new(vec![steps[POLICY_PAGES].clone()]).unwrap(), left: 0 };
    assert_eq!(fault(&mut walk, last), PageError::TooMany { most: POLICY_PAGES }.into());
}
