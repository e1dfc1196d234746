//! The life of one incarnation, from boot to its end, and the only steps there are.
//!
//! Decides: which state may follow which. There is no edge from a disk to a voter, and none out of [`Life::Fenced`].
//! Trusts: nothing. Out of scope: what makes a step happen (`join`, `found`, `fencing`). Protocol section 4, "Node states".

use tokio::sync::watch;

/// Where an incarnation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The process started; it has no keys yet.
    Boot,
    /// Keys are made in memory and the node's own evidence was accepted; it belongs to no group.
    Unjoined,
    /// A member was asked for admission.
    Pending,
    /// Admitted and granted keys; receives the log, has no vote.
    Learner,
    /// Votes.
    Voter,
    /// Out for good: keys are wiped and the process ends.
    Fenced,
}

/// A step that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node does not go from {from:?} to {to:?}")]
pub struct IllegalStep {
    /// Where it stood.
    pub from: Life,
    /// Where it was to go.
    pub to: Life,
}

impl Life {
    /// The step to `to`, if there is one. A refused or broken attempt to join goes back to [`Life::Unjoined`], with new keys; the
    /// founder of a group is its only voter at once.
    pub fn step(self, to: Life) -> Result<Life, IllegalStep> {
        use Life::{Boot, Fenced, Learner, Pending, Unjoined, Voter};
        let legal = matches!(
            (self, to),
            (Boot, Unjoined)
                | (Unjoined, Pending)
                | (Pending, Unjoined)
                | (Pending, Learner)
                | (Unjoined, Voter)
                | (Learner, Voter)
                | (Boot | Unjoined | Pending | Learner | Voter, Fenced)
        );
        match legal {
            true => Ok(to),
            false => Err(IllegalStep { from: self, to }),
        }
    }
}

/// The one place the state of this process is kept.
#[derive(Debug)]
pub struct LifeCell(watch::Sender<Life>);

impl Default for LifeCell {
    fn default() -> Self {
        LifeCell(watch::Sender::new(Life::Boot))
    }
}

impl LifeCell {
    /// Takes a step, or says that there is none; an illegal step changes nothing.
    pub fn step(&self, to: Life) -> Result<(), IllegalStep> {
        let mut outcome = Ok(());
        self.0.send_if_modified(|life| match life.step(to) {
            Ok(next) => {
                *life = next;
                true
            }
            Err(illegal) => {
                outcome = Err(illegal);
                false
            }
        });
        outcome
    }

    /// As of now.
    pub fn now(&self) -> Life {
        *self.0.borrow()
    }

    /// Told of every step.
    pub fn subscribe(&self) -> watch::Receiver<Life> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Life::{Boot, Fenced, Learner, Pending, Unjoined, Voter};

    #[test]
    fn these_steps_exist_and_no_other() {
        let all = [Boot, Unjoined, Pending, Learner, Voter, Fenced];
        let legal: Vec<(Life, Life)> =
            all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))).filter(|(from, to)| from.step(*to).is_ok()).collect();
        assert_eq!(
            legal,
            [
                (Boot, Unjoined),
                (Boot, Fenced),
                (Unjoined, Pending),
                (Unjoined, Voter),
                (Unjoined, Fenced),
                (Pending, Unjoined),
                (Pending, Learner),
                (Pending, Fenced),
                (Learner, Voter),
                (Learner, Fenced),
                (Voter, Fenced),
            ]
        );
    }

    #[test]
    fn an_illegal_step_changes_nothing() {
        let cell = LifeCell::default();
        assert_eq!(cell.step(Voter), Err(IllegalStep { from: Boot, to: Voter }));
        assert_eq!(cell.now(), Boot);
        cell.step(Fenced).unwrap();
        assert_eq!(cell.step(Unjoined), Err(IllegalStep { from: Fenced, to: Unjoined }));
        assert_eq!(cell.now(), Fenced);
    }
}
