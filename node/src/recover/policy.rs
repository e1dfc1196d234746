//! Which policy a recovery goes by.
//!
//! Decides: before custodians are asked, the newest policy that any brought folder proves is what this node attests under, so that custodians who know it
//! are not asked under an older one. The chosen log must agree: its policy and the one known here are of one row, either may be further along. A log that
//! is further along is believed, since replicas judged its steps; one that is behind lost a change, which the first leader of the new epoch brings again. What
//! is known beyond the log has to have been in force: it tightens, or witnesses saw it wait, and the log has no word that it was withdrawn; a file may hold a
//! change that only waits. A log whose policy
//! forbids it is not reopened by a chip. Trusts: steps that were judged; the chosen log. Out of scope: choosing it (`takeup`).
//! Protocol sections 6.2 and 8.

use crate::context::Site;
use crate::governance::{InForce, file};
use crate::recover::RecoverError;
use crate::recover::takeup::OpenedBy;
use ringwall_attest::governance::judge_change;
use ringwall_consensus::Governed;
use ringwall_wire::policy::PlatformUnseal;
use std::path::PathBuf;
use std::sync::Arc;
use tracing::{info, warn};

/// Goes by the newest policy that one of these folders proves, of the row that is known here.
pub(crate) fn learn(site: &Site, folders: &[PathBuf]) {
    for folder in folders {
        let Ok(found) = file::at_start(folder, site.cluster_id, &site.founding, &site.policies.now().row()) else { continue };
        let found = InForce::clone(&found.now());
        let version = found.policy().version;
        if site.policies.go_on(found) {
            info!(folder = %folder.display(), %version, "recovery: this folder proves a newer policy");
        }
    }
    site.sessions.follow(&site.policy().session);
}

/// Whether the chosen log and what is known here are of one cluster's row; what is newer in the log is gone by from here on.
pub(crate) fn agree(site: &Site, governed: &Governed, by: OpenedBy) -> Result<(), RecoverError> {
    let known = site.policies.now();
    let other = || RecoverError::OtherPolicy { known: known.policy().version };
    let found = InForce::by(&site.founding, governed.steps().iter().cloned()).map_err(|_| other())?;
    if !found.is_of_one_row_with(&known) {
        return Err(other());
    }
    if found.steps().len() < known.steps().len() {
        if !was_in_force(governed, &found, &known) {
            return Err(RecoverError::NeverInForce { known: known.policy().version });
        }
        warn!(
            found = %found.policy().version, known = %known.policy().version,
            "recovery: the chosen log ends before a change of the policy that is known here: the change is brought again"
        );
    }
    // Whatever is newer forbids.
    let forbids = |policy: &InForce| policy.policy().platform_unseal == PlatformUnseal::Never;
    if by == OpenedBy::Chip && (forbids(&found) || forbids(&known)) {
        return Err(RecoverError::ChipForbidden);
    }
    if site.policies.go_on(found) {
        site.sessions.follow(&site.policy().session);
        info!(version = %site.policy().version, "recovery: the chosen log has a newer policy in force than was known here");
    }
    Ok(())
}

/// Whether every step that is known beyond the log tightens or carries the witnesses' word that it waited, and none was withdrawn: no other is in force for
/// being signed.
fn was_in_force(governed: &Governed, found: &InForce, known: &InForce) -> bool {
    let mut policy = Arc::clone(found.policy());
    for step in known.steps().iter().skip(found.steps().len()) {
        if governed.has_withdrawn(&step.signed.change()) {
            return false;
        }
        match judge_change(&policy, &step.signed) {
            Ok(judged) if !judged.loosens() || step.notice.is_some() => policy = Arc::new(judged.policy().clone()),
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::governance::tests::{bring, founding, longer, member, shorter, step, steps, withdrawal};
    use ringwall_wire::governance::PolicyOutcome;

    #[test]
    fn a_signed_change_that_loosens_and_nobody_saw_wait_is_not_believed_to_have_been_in_force() {
        let first = founding(60);
        let ((tighter, to_tighter), (_, to_looser)) = (step(&first, shorter), step(&first, longer));
        let (_, back) = step(&tighter, longer);
        let by = |signed: &[&ringwall_wire::policy::SignedPolicy]| InForce::by(&first, steps(signed).into_vec()).unwrap();
        let log = by(&[]);
        let none = Governed::default();
        assert!(was_in_force(&none, &log, &log));
        assert!(was_in_force(&none, &log, &by(&[&to_tighter])));
        assert!(!was_in_force(&none, &log, &by(&[&to_looser])));
        assert!(!was_in_force(&none, &log, &by(&[&to_tighter, &back])));
        assert!(was_in_force(&none, &by(&[&to_tighter, &back]), &by(&[&to_tighter, &back])), "what the log has, replicas judged");
    }

    #[tokio::test]
    async fn what_governors_withdrew_does_not_come_into_force_through_a_recovery() {
        let first = founding(60);
        let (node, _folder) = member(first.clone()).await;
        let (_, to_tighter) = step(&first, shorter);
        let by = |signed: &[&ringwall_wire::policy::SignedPolicy]| InForce::by(&first, steps(signed).into_vec()).unwrap();
        let (log, known) = (by(&[]), by(&[&to_tighter]));
        let governed = || node.replica.view().unwrap().governance();
        assert!(was_in_force(&governed(), &log, &known));
        assert_eq!(bring(&node, withdrawal(&node, to_tighter.change())).await, PolicyOutcome::Withdrawn);
        assert!(!was_in_force(&governed(), &log, &known));
        node.replica.shutdown().await;
    }
}
