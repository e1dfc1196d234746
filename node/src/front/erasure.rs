//! Which namespaces are a user's: asked when a user has all of them erased.
//!
//! Decides: the state does not say it. Every namespace carries a mark that only the tag key makes, another one in each, so that a disk does not show which
//! belong together; whoever holds the tag key looks at all of them. One such look at a time, in steps, since it is long where there are many.
//! Trusts: the session's user, whose signature was verified. Out of scope: erasing (`consensus`). Protocol section 7.5.

use crate::front::Front;
use crate::front::refusals::{fenced, refusal};
use ringwall_keys::Keyring;
use ringwall_wire::ids::{SpaceTag, UserId};
use ringwall_wire::limits::ERASE_SPACES;
use ringwall_wire::session::{Refusal, RefusalCode};

/// Namespaces looked at between two chances for others to run: about a millisecond.
pub(crate) const STEP_SPACES: usize = 256;

/// The user's namespaces; one more than an entry erases if there are more than that.
pub(crate) async fn of_user(front: &Front, user: &UserId) -> Result<Vec<SpaceTag>, Refusal> {
    let busy = || refusal(RefusalCode::Busy, "another user's namespaces are being looked for: nothing was erased yet, ask again");
    let _turn = front.erasing.try_acquire().map_err(|_| busy())?;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, more) = {
            let view = front.replica.view().map_err(|_| fenced())?;
            view.spaces(after.as_ref(), STEP_SPACES).map_err(|_| fenced())?
        };
        after = page.last().map(|(space, _)| *space);
        let keyring = front.keyring.now();
        found.extend(page.iter().filter(|(space, row)| is_of(&keyring, user, space, &row.owner)).map(|(space, _)| *space));
        if !more || found.len() > ERASE_SPACES {
            found.truncate(ERASE_SPACES.saturating_add(1));
            return Ok(found);
        }
        tokio::task::yield_now().await;
    }
}

/// Whether this mark says that the namespace is the user's.
pub(crate) fn is_of(keyring: &Keyring, user: &UserId, space: &SpaceTag, owner: &ringwall_wire::ids::OwnerMark) -> bool {
    keyring.owner_mark(user, space) == *owner
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;
    use ringwall_wire::ids::ClusterId;

    #[test]
    fn a_mark_says_whose_a_namespace_is_and_joins_no_two() {
        let ring = Keyring::found(ClusterId([1; 32]), &mut ChaCha20Rng::seed_from_u64(1));
        let (alice, bob) = (UserId([1; 20]), UserId([2; 20]));
        let spaces = ["one", "two"].map(|name| ring.space_tag(&alice, name));
        let marks = spaces.map(|space| ring.owner_mark(&alice, &space));
        assert_ne!(marks[0], marks[1]);
        for (space, mark) in spaces.iter().zip(&marks) {
            assert!(is_of(&ring, &alice, space, mark));
            assert!(!is_of(&ring, &bob, space, mark));
        }
        assert!(!is_of(&ring, &alice, &spaces[0], &marks[1]));
        let other = Keyring::found(ClusterId([1; 32]), &mut ChaCha20Rng::seed_from_u64(2));
        assert!(!is_of(&other, &alice, &spaces[0], &marks[0]), "without the tag key nobody sees it");
    }
}
