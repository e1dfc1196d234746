//! DR4 and the first half of DR5: which of several logs is taken up, and whether enough of its voters showed theirs.
//!
//! Decides: the log with the greatest end (epoch, term, index) is chosen, because that is whom Raft would have elected. Its own membership says whose
//! claims count: by incarnation, since the disk of a life that was replaced stands in the same slot and knows less; of every voter set of the membership,
//! and of the one before where the change is not known to be committed, more than half must have made a claim. Fewer need the word of all custodians, and so does
//! a backup that reaches further than every disk.
//! Trusts: that claims are authentic. Pure: no disk, no clock, no keys. Out of scope: what others have seen (`anchors.rs`). Protocol section 6.2;
//! modelled in docs/model.

use ringwall_wire::ids::{Digest, Epoch, Incarnation};
use ringwall_wire::peer::Membership;
use ringwall_wire::receipt::TreePoint;
use ringwall_wire::recovery::DiskClaim;
use std::collections::BTreeSet;

/// Why no log is chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChosen {
    /// There is nothing to choose from.
    #[error("no disk holds a log that members of this cluster sealed; bring the data folder of a node")]
    NoClaims,
    /// Two logs end at one position and are not the same.
    #[error(
        "the logs of incarnations {one} and {other} end at one position and differ: one of them is of another history; find out which before anything is recovered"
    )]
    Forked {
        /// One.
        one: Incarnation,
        /// The other.
        other: Incarnation,
    },
}

/// The log that would be taken up.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// Its claim.
    pub claim: &'a DiskClaim,
    /// Voters its membership names, both sides of a change.
    pub voters: u8,
    /// Those of them that made no claim.
    pub missing: u8,
    /// Whether more than half of every voter set made one.
    pub majority: bool,
}

/// The epoch a claim's log is of.
pub fn epoch_of(claim: &DiskClaim) -> Epoch {
    claim.incarnation.epoch()
}

/// Whose claim a backup of this epoch makes: no life has this number, so it is nobody's disk and counts in no majority.
pub fn of_backup(epoch: Epoch) -> Incarnation {
    Incarnation::new(epoch, 0)
}

fn is_backup(claim: &DiskClaim) -> bool {
    claim.incarnation == of_backup(epoch_of(claim))
}

fn rank(claim: &DiskClaim) -> (u32, u64, u64) {
    (epoch_of(claim).0, claim.last.term, claim.last.index)
}

/// Chooses among claims. Several of one incarnation count as its greatest.
pub fn choose(claims: &[DiskClaim]) -> Result<Chosen<'_>, NotChosen> {
    // Of equal ones the first incarnation's, so that everybody who looks at the same claims chooses the same.
    let mut ordered: Vec<&DiskClaim> = claims.iter().collect();
    // A disk that reaches as far as a backup is chosen before it.
    ordered.sort_by_key(|claim| (std::cmp::Reverse(rank(claim)), is_backup(claim), claim.incarnation));
    let claim = *ordered.first().ok_or(NotChosen::NoClaims)?;
    let same_end = ordered.iter().take_while(|other| rank(other) == rank(claim));
    if let Some(other) = same_end.into_iter().find(|other| other.tree != claim.tree) {
        return Err(NotChosen::Forked { one: claim.incarnation, other: other.incarnation });
    }
    let epoch = epoch_of(claim);
    let claimed: BTreeSet<Incarnation> = claims.iter().filter(|claim| epoch_of(claim) == epoch).map(|claim| claim.incarnation).collect();
    let sets = voter_sets(claim);
    let named: BTreeSet<Incarnation> = sets.iter().flatten().copied().collect();
    let missing = named.difference(&claimed).count();
    // A backup that reaches further than every disk shows that the disks are older ones: then they show nothing about what came after it.
    let majority = !is_backup(claim) && !sets.is_empty() && sets.iter().all(|set| has_majority(set, &claimed));
    let count = |many: usize| u8::try_from(many).unwrap_or(u8::MAX);
    Ok(Chosen { claim, voters: count(named.len()), missing: count(missing), majority })
}

/// The sets of voters that decide over a log: those of its membership, and those before, unless the change is known to be committed.
fn voter_sets(claim: &DiskClaim) -> Vec<BTreeSet<Incarnation>> {
    let sets = |membership: &Membership| -> Vec<BTreeSet<Incarnation>> {
        membership.configs.iter().map(|voters| voters.iter().copied().collect()).collect()
    };
    let mut all = sets(&claim.membership);
    let open = claim.membership_at.index > claim.committed;
    all.extend(claim.previous.as_ref().filter(|_| open).map(sets).unwrap_or_default());
    all
}

fn has_majority(set: &BTreeSet<Incarnation>, claimed: &BTreeSet<Incarnation>) -> bool {
    !set.is_empty() && 2 * set.intersection(claimed).count() > set.len()
}

impl Chosen<'_> {
    /// The voters it counts that made no claim, in their order.
    pub fn absent(&self, claims: &[DiskClaim]) -> Vec<Incarnation> {
        let epoch = epoch_of(self.claim);
        let claimed: BTreeSet<Incarnation> =
            claims.iter().filter(|claim| epoch_of(claim) == epoch).map(|claim| claim.incarnation).collect();
        let named: BTreeSet<Incarnation> = voter_sets(self.claim).into_iter().flatten().collect();
        named.difference(&claimed).copied().collect()
    }

    /// Where its log ends.
    pub fn tree(&self) -> TreePoint {
        TreePoint { size: self.claim.tree.size, root: self.claim.tree.root }
    }

    /// Root over its log.
    pub fn root(&self) -> Digest {
        self.claim.tree.root
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::bounded::List;
    use ringwall_wire::ids::{KeyEpoch, Nonce, SigPublic, Signature, Slot};
    use ringwall_wire::peer::LogPosition;
    use ringwall_wire::receipt::TreeHead;

    fn id(epoch: u32, index: u64) -> Incarnation {
        Incarnation::new(Epoch(epoch), index)
    }

    fn membership(sets: &[&[Incarnation]]) -> Membership {
        let configs = sets.iter().map(|set| List::new(set.to_vec()).unwrap()).collect();
        Membership { configs: List::new(configs).unwrap(), members: List::default() }
    }

    fn claim(incarnation: Incarnation, (term, index): (u64, u64), voters: &[Incarnation]) -> DiskClaim {
        let root = Digest([index as u8; 32]);
        DiskClaim {
            session: Nonce([1; 32]),
            slot: Slot(1),
            incarnation,
            membership: membership(&[voters]),
            membership_at: LogPosition { term: 1, index: 1 },
            previous: None,
            last: LogPosition { term, index },
            committed: index,
            tree: TreeHead { size: index + 1, root, landmark: root },
            key_epoch: KeyEpoch(1),
            alive: false,
            by: SigPublic([2; 32]),
            mac: [0; 32],
            signature: Signature([0; 64]),
        }
    }

    #[test]
    fn the_greatest_end_is_chosen_by_epoch_then_term_then_index() {
        let voters = [id(1, 1), id(1, 2), id(1, 3)];
        assert_eq!(choose(&[]).unwrap_err(), NotChosen::NoClaims);
        let claims = [claim(voters[0], (2, 90), &voters), claim(voters[1], (3, 10), &voters), claim(voters[2], (3, 11), &voters)];
        assert_eq!(choose(&claims).unwrap().claim.incarnation, voters[2], "a longer log of an older term is not newer");
        let newer = claim(id(2, 100), (1, 5), &[id(2, 100)]);
        let mixed = [claims.to_vec(), vec![newer]].concat();
        let chosen = choose(&mixed).unwrap();
        assert_eq!(
            (chosen.claim.incarnation, chosen.majority, chosen.voters),
            (id(2, 100), true, 1),
            "disks of an older epoch count for nothing"
        );
    }

    #[test]
    fn claims_count_by_incarnation_and_need_more_than_half() {
        let voters = [id(1, 1), id(1, 2), id(1, 3)];
        let one = claim(voters[0], (2, 9), &voters);
        let twice = [one.clone(), claim(voters[0], (1, 4), &voters)];
        let chosen = choose(&twice).unwrap();
        assert_eq!((chosen.majority, chosen.missing, chosen.voters), (false, 2, 3), "two copies of one disk are one claim");
        let replaced = [one.clone(), claim(id(1, 77), (2, 9), &voters)];
        assert!(!choose(&replaced).unwrap().majority, "a life that is no voter any more stands in a voter's slot and counts for nothing");
        let two = [one, claim(voters[1], (1, 4), &voters)];
        let chosen = choose(&two).unwrap();
        assert_eq!((chosen.majority, chosen.missing), (true, 1));
        let four = [id(1, 1), id(1, 2), id(1, 3), id(1, 4)];
        let half = [claim(four[0], (2, 9), &four), claim(four[1], (2, 9), &four)];
        assert!(!choose(&half).unwrap().majority, "half is not more than half");
    }

    #[test]
    fn a_backup_makes_up_no_majority_and_is_chosen_only_where_no_disk_reaches_it() {
        let voters = [id(1, 1), id(1, 2), id(1, 3)];
        let backup = claim(of_backup(Epoch(1)), (2, 50), &voters);
        let alone = [backup.clone()];
        let chosen = choose(&alone).unwrap();
        assert_eq!((chosen.majority, chosen.missing, chosen.voters), (false, 3, 3), "all custodians may accept it");
        let one = [backup.clone(), claim(voters[0], (2, 60), &voters)];
        let chosen = choose(&one).unwrap();
        assert_eq!((chosen.claim.incarnation, chosen.majority), (voters[0], false), "one disk and a backup are one disk");
        let two = [backup.clone(), claim(voters[0], (2, 50), &voters), claim(voters[1], (2, 49), &voters)];
        let chosen = choose(&two).unwrap();
        assert_eq!((chosen.claim.incarnation, chosen.majority), (voters[0], true), "a disk that reaches as far comes first");
        let older = [backup, claim(voters[0], (2, 49), &voters), claim(voters[1], (2, 40), &voters)];
        let chosen = choose(&older).unwrap();
        assert_eq!((chosen.claim.incarnation, chosen.majority), (of_backup(Epoch(1)), false), "disks that were put back decide nothing");
    }

    #[test]
    fn a_change_that_is_not_known_to_be_committed_needs_both_sides() {
        let (old, new) = ([id(1, 1), id(1, 2), id(1, 3)], [id(1, 1), id(1, 2), id(1, 9)]);
        let mut first = claim(new[2], (2, 20), &new);
        first.membership_at = LogPosition { term: 2, index: 20 };
        first.previous = Some(membership(&[&old]));
        first.committed = 19;
        let second = claim(new[1], (2, 19), &old);
        let chosen = [first.clone(), second];
        let judged = choose(&chosen).unwrap();
        assert_eq!((judged.majority, judged.voters, judged.missing), (false, 4, 2), "two of the new voters are one of the old ones");
        let mut known = chosen.to_vec();
        known[0].committed = 20;
        assert!(choose(&known).unwrap().majority, "the change is known to be over");
        let mut joint = claim(old[0], (2, 21), &old);
        joint.membership = membership(&[&old, &new]);
        let with = [joint.clone(), claim(old[1], (2, 19), &old)];
        assert!(choose(&with).unwrap().majority, "two of each side");
        let without = [joint, claim(old[2], (2, 19), &old)];
        assert!(!choose(&without).unwrap().majority, "two of one side, one of the other");
    }

    #[test]
    fn logs_that_end_alike_and_differ_are_two_histories() {
        let voters = [id(1, 1), id(1, 2), id(1, 3)];
        let (one, mut other) = (claim(voters[0], (2, 9), &voters), claim(voters[1], (2, 9), &voters));
        other.tree.root = Digest([99; 32]);
        assert_eq!(choose(&[one, other]).unwrap_err(), NotChosen::Forked { one: voters[0], other: voters[1] });
    }
}
