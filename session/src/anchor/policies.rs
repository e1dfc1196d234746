//! The newest policy a client has verified: it never goes back.
//!
//! Decides: of two records of one cluster the one that goes on where the other ends is kept; two that go on differently say that governors approved two
//! changes of one policy, which is told and never merged.
//! Trusts: its own files, and changes `attest` judged. Out of scope: judging them; when they are kept (`governed.rs`). Protocol section 8.

use ringwall_wire::known::KnownPolicy;

/// Two records that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "two changes of one policy of this cluster were approved: after version {after} one record goes on with version {ours} and another with version {theirs}, \
     or they are not about the same policy. Keep both files and ask the governors"
)]
pub struct PoliciesForked {
    /// Version both have.
    pub after: u64,
    /// Newest version of one.
    pub ours: u64,
    /// Newest version of the other.
    pub theirs: u64,
}

/// The record that says what both say.
pub fn newer_policy(one: &KnownPolicy, other: &KnownPolicy) -> Result<KnownPolicy, PoliciesForked> {
    let (left, right) = (one.digests(), other.digests());
    if one.cluster_id == other.cluster_id && left.starts_with(&right) {
        return Ok(one.clone());
    }
    if one.cluster_id == other.cluster_id && right.starts_with(&left) {
        return Ok(other.clone());
    }
    let common = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let version = |known: &KnownPolicy, changes: usize| {
        let first = KnownPolicy { steps: Default::default(), ..known.clone() };
        let until = first.followed_by(known.steps.get(..changes).unwrap_or_default());
        until.and_then(|known| known.policy()).map_or(0, |policy| policy.version.0)
    };
    let after = common.checked_sub(1).map_or(0, |changes| version(one, changes));
    Err(PoliciesForked { after, ours: version(one, one.steps.len()), theirs: version(other, other.steps.len()) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::anchor::{AnchorError, AnchorStore, InMemory};
    use ringwall_wire::bounded::{Blob, List};
    use ringwall_wire::codec::Message as _;
    use ringwall_wire::governance::PolicyStep;
    use ringwall_wire::ids::{ClusterId, Digest, PolicyVersion};
    use ringwall_wire::policy::{PolicyDoc, SignedPolicy};

    const CLUSTER: ClusterId = ClusterId([7; 32]);

    fn founded() -> KnownPolicy {
        KnownPolicy { cluster_id: CLUSTER, founding: ringwall_sim::world::policy(), steps: Default::default() }
    }

    /// `known` with one change more: to this version, with this delay.
    fn then(known: &KnownPolicy, version: u64, timelock_s: u32) -> KnownPolicy {
        let mut policy = PolicyDoc { version: PolicyVersion(version), ..known.policy().unwrap() };
        policy.governance.timelock_s = timelock_s;
        let policy = Blob::new(policy.encode()).unwrap();
        let signed = SignedPolicy { replaces: Some(known.digest()), policy, signatures: List::default() };
        known.followed_by(&[PolicyStep { signed, notice: None }]).unwrap()
    }

    #[test]
    fn the_longer_record_is_kept_and_two_ways_are_told() {
        let first = founded();
        let (second, other) = (then(&first, 2, 5), then(&first, 3, 9));
        let third = then(&second, 4, 6);
        for (one, other, wanted) in [(&first, &third, &third), (&third, &second, &third), (&second, &second, &second)] {
            assert_eq!(newer_policy(one, other).unwrap(), *wanted);
            assert_eq!(newer_policy(other, one).unwrap(), *wanted);
        }
        assert_eq!(newer_policy(&third, &other), Err(PoliciesForked { after: 1, ours: 4, theirs: 3 }));
        let elsewhere = KnownPolicy { cluster_id: ClusterId([8; 32]), ..third.clone() };
        assert!(newer_policy(&third, &elsewhere).is_err());
        assert_eq!(third.digests().last(), Some(&Digest(third.policy().unwrap().digest())));
        assert_eq!((third.digest(), third.digests().len()), (third.digests()[2], 3));
    }

    #[test]
    fn what_is_kept_never_goes_back() {
        let store = InMemory::default();
        let first = founded();
        let second = then(&first, 2, 5);
        assert_eq!(store.governed().unwrap().policy, None);
        assert_eq!(store.save_policy(&second).unwrap(), second);
        assert_eq!(store.save_policy(&first).unwrap(), second, "an older record adds nothing");
        assert_eq!(store.governed().unwrap().policy.unwrap(), second);
        let third = then(&second, 3, 1);
        assert_eq!(store.save_policy(&third).unwrap(), third);
        let fork = store.save_policy(&then(&second, 4, 9));
        assert!(matches!(fork, Err(AnchorError::PoliciesForked(PoliciesForked { after: 2, ours: 3, theirs: 4 }))), "{fork:?}");
        assert_eq!(store.governed().unwrap().policy.unwrap(), third);
    }
}
