//! The policy in force as this process knows it, and the steps that led to it.
//!
//! Decides: it never goes back: what takes its place goes on from it by steps. Whoever asks for evidence is given the steps after the policy they know.
//! Trusts: whoever puts steps in to have judged them: `judges` for what came from outside, the record for what was applied.
//! Out of scope: where steps come from (`follow`, `file`, `join`). Protocol section 8, "Changes".

use ringwall_wire::bounded::List;
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::governance::{PolicyStep, PolicySteps};
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::PolicyDoc;
use std::sync::{Arc, PoisonError, RwLock};

/// A policy that is in force, and how it came to be. It does not change; another one takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    founding: Arc<PolicyDoc>,
    policy: Arc<PolicyDoc>,
    digest: Digest,
    steps: PolicySteps,
    /// Of the policies before it, the founding one first.
    earlier: Vec<Digest>,
}

/// Why steps lead to no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchained {
    /// A step replaces another policy than the one before it made.
    #[error("step {step} of the policy replaces {replaces:?}, and the policy before it is {in_force}")]
    Gap {
        /// Which, from 0.
        step: usize,
        /// What it says.
        replaces: Option<Digest>,
        /// What it would have to say.
        in_force: Digest,
    },
    /// What a step leads to is no policy.
    #[error("step {step} leads to no policy document: {cause}")]
    NoPolicy {
        /// Which, from 0.
        step: usize,
        /// What is wrong.
        cause: DecodeError,
    },
}

impl InForce {
    /// The policy a cluster was founded with.
    pub fn founding(policy: PolicyDoc) -> Self {
        let (digest, founding) = (Digest(policy.digest()), Arc::new(policy));
        InForce { policy: Arc::clone(&founding), founding, digest, steps: List::default(), earlier: Vec::new() }
    }

    /// What these steps lead to from the founding policy. They were judged before.
    pub fn by(founding: &PolicyDoc, steps: PolicySteps) -> Result<Self, Unchained> {
        let mut now = InForce::founding(founding.clone());
        for (step, PolicyStep { signed, .. }) in steps.iter().enumerate() {
            if signed.replaces != Some(now.digest) {
                return Err(Unchained::Gap { step, replaces: signed.replaces, in_force: now.digest });
            }
            let policy = PolicyDoc::decode(&signed.policy).map_err(|cause| Unchained::NoPolicy { step, cause })?;
            now.earlier.push(now.digest);
            now.digest = Digest(policy.digest());
            now.policy = Arc::new(policy);
        }
        now.steps = steps;
        Ok(now)
    }

    /// The document.
    pub fn policy(&self) -> &Arc<PolicyDoc> {
        &self.policy
    }

    /// Its SHA-256.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The steps since the founding, oldest first.
    pub fn steps(&self) -> &PolicySteps {
        &self.steps
    }

    /// SHA-256 of every policy before it, oldest first.
    pub fn earlier(&self) -> &[Digest] {
        &self.earlier
    }

    /// The steps for whoever knows this policy: those after it. Whoever knows none, or one that is not of this row, is given the founding policy and all
    /// steps since; nothing where there are none, for then the policy itself is the founding one.
    pub fn after(&self, known: Option<&Digest>) -> PolicySteps {
        after(&self.policy, &self.since_founding(self.steps.len()), known)
    }

    /// The founding policy and so many steps.
    fn since_founding(&self, count: usize) -> PolicySteps {
        let founding =
            PolicyStep::founding(&self.founding).expect("a process does not start with a founding policy that is larger (file::at_start)");
        let steps = (count > 0).then_some(founding).into_iter().chain(self.steps.iter().take(count).cloned());
        List::new(steps.collect()).expect("there is room for the founding policy before as many steps as there may be")
    }

    /// What leads from the founding to this policy, as whoever knows none is given it; none if it is not in force and never was.
    pub fn up_to(&self, policy: &Digest) -> Option<PolicySteps> {
        let row = self.earlier.iter().chain(std::iter::once(&self.digest));
        let (count, _) = row.enumerate().find(|(_, digest)| *digest == policy)?;
        Some(self.since_founding(count))
    }

    /// Whether this policy is in force, or was.
    pub fn holds(&self, policy: &PolicyDoc) -> bool {
        let digest = Digest(policy.digest());
        self.digest == digest || self.earlier.contains(&digest)
    }

    /// Whether these are the steps of one row: either goes on from the other.
    pub fn is_of_one_row_with(&self, other: &InForce) -> bool {
        let policies = |of: &InForce| of.earlier.iter().copied().chain(std::iter::once(of.digest)).collect::<Vec<_>>();
        policies(self).iter().zip(policies(other)).all(|(one, other)| *one == other)
    }
}

/// Of the steps that lead to a policy, those for whoever knows this one: see [`InForce::after`].
pub fn after(policy: &PolicyDoc, steps: &PolicySteps, known: Option<&Digest>) -> PolicySteps {
    let replaced = |known: &Digest| steps.iter().position(|step| step.signed.replaces == Some(*known));
    let last = |known: &Digest| (*known == Digest(policy.digest())).then_some(steps.len());
    let from = known.and_then(|known| replaced(known).or_else(|| last(known))).unwrap_or(0);
    List::new(steps.iter().skip(from).cloned().collect()).expect("a part of what fits")
}

/// The one place the policy of this process is kept.
#[derive(Debug)]
pub struct PolicyCell(RwLock<Arc<InForce>>);

impl PolicyCell {
    /// The policy a cluster was founded with.
    pub fn founding(policy: PolicyDoc) -> Self {
        PolicyCell::new(InForce::founding(policy))
    }

    /// This policy.
    pub fn new(in_force: InForce) -> Self {
        PolicyCell(RwLock::new(Arc::new(in_force)))
    }

    /// As of now.
    pub fn now(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts one that goes on from it in its place; false if this one does not.
    #[must_use = "what is not taken is not in force"]
    pub fn go_on(&self, next: InForce) -> bool {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let goes_on = next.steps.len() > now.steps.len() && next.is_of_one_row_with(&now);
        if goes_on {
            *now = Arc::new(next);
        }
        goes_on
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::bounded::Blob;
    use ringwall_wire::policy::SignedPolicy;

    fn first() -> PolicyDoc {
        ringwall_sim::world::policy()
    }

    fn step(old: &PolicyDoc, min_svn: u32) -> (PolicyDoc, PolicyStep) {
        let mut new = old.clone();
        new.version.0 += 1;
        new.min_svn = min_svn;
        let signed =
            SignedPolicy { replaces: Some(Digest(old.digest())), policy: Blob::new(new.encode()).unwrap(), signatures: List::default() };
        (new, PolicyStep { signed, notice: None })
    }

    #[test]
    fn whoever_asks_is_given_the_steps_after_what_they_know() {
        let (two, one_two) = step(&first(), 2);
        let (three, two_three) = step(&two, 3);
        let steps = List::new(vec![one_two, two_three.clone()]).unwrap();
        let in_force = InForce::by(&first(), steps.clone()).unwrap();
        assert_eq!((in_force.policy().version, in_force.digest()), (three.version, Digest(three.digest())));
        assert_eq!(in_force.earlier(), [Digest(first().digest()), Digest(two.digest())]);
        let all = [vec![PolicyStep::founding(&first()).unwrap()], steps.to_vec()].concat();
        assert_eq!(in_force.after(None).to_vec(), all);
        assert_eq!(in_force.after(Some(&Digest(first().digest()))), steps);
        assert_eq!(in_force.after(Some(&Digest(two.digest()))).to_vec(), std::slice::from_ref(&two_three));
        assert!(in_force.after(Some(&in_force.digest())).is_empty());
        assert_eq!(in_force.after(Some(&Digest([7; 32]))).to_vec(), all, "of another row: all of it, so that it shows");
        let gap = InForce::by(&first(), List::new(vec![two_three]).unwrap());
        assert!(matches!(gap, Err(Unchained::Gap { step: 0, .. })));
        assert_eq!(in_force.up_to(&Digest(first().digest())), Some(List::default()));
        assert_eq!(in_force.up_to(&Digest(two.digest())).map(|steps| steps.to_vec()), Some(all[..2].to_vec()));
        assert_eq!(in_force.up_to(&in_force.digest()).map(|steps| steps.to_vec()), Some(all));
        assert!(InForce::founding(first()).after(None).is_empty(), "the policy itself is the founding one");
        assert_eq!(in_force.up_to(&Digest([7; 32])), None);
    }

    #[test]
    fn a_cell_goes_on_and_never_back_or_aside() {
        let ((two, one_two), (_, aside)) = (step(&first(), 2), step(&first(), 9));
        let (_, two_three) = step(&two, 3);
        let of =
            |steps: &[&PolicyStep]| InForce::by(&first(), List::new(steps.iter().map(|step| (*step).clone()).collect()).unwrap()).unwrap();
        let cell = PolicyCell::new(of(&[&one_two]));
        assert!(!cell.go_on(of(&[])) && !cell.go_on(of(&[&one_two])) && !cell.go_on(of(&[&aside])));
        let (_, beyond) = step(of(&[&aside]).policy(), 10);
        assert!(!cell.go_on(of(&[&aside, &beyond])), "longer, and of another row");
        assert!(cell.go_on(of(&[&one_two, &two_three])));
        assert_eq!(cell.now().policy().version.0, first().version.0 + 2);
    }
}
