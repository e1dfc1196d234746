//! The policy in force as this process knows it, and the steps that led to it.
//!
//! Decides: it never goes back: what takes its place goes on from it by steps. Whoever asks for evidence is given the steps after the policy they know, with the
//! answer where it carries them, else page by page before it.
//! Trusts: whoever puts steps in to have judged them: `judges` for what came from outside, the record for what was applied.
//! Out of scope: where steps come from (`follow`, `file`, `join`). Protocol section 8, "Changes".

use ringwall_wire::bounded::List;
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::genesis::GenesisRecord;
use ringwall_wire::governance::{Founded, PolicyPage, PolicyRow, PolicyStep, PolicySteps, steps_bytes};
use ringwall_wire::ids::Digest;
use ringwall_wire::limits::{POLICY_STEPS, POLICY_STEPS_BYTES};
use ringwall_wire::policy::PolicyDoc;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// A policy that is in force, and how it came to be. It does not change; another one takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    founding: Arc<PolicyDoc>,
    policy: Arc<PolicyDoc>,
    digest: Digest,
    steps: Vec<Arc<PolicyStep>>,
    /// Bytes of each of them.
    sizes: Vec<usize>,
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
        let policy = Arc::clone(&founding);
        InForce { policy, founding, digest, steps: Vec::new(), sizes: Vec::new(), earlier: Vec::new() }
    }

    /// What these steps lead to from the founding policy. They were judged before.
    pub fn by<S: Into<Arc<PolicyStep>>>(founding: &PolicyDoc, steps: impl IntoIterator<Item = S>) -> Result<Self, Unchained> {
        InForce::founding(founding.clone()).then(steps)
    }

    /// What these steps lead to from here. They were judged before; those that led here are shared, not copied.
    pub fn then<S: Into<Arc<PolicyStep>>>(mut self, steps: impl IntoIterator<Item = S>) -> Result<Self, Unchained> {
        for step in steps {
            let (step, number): (Arc<PolicyStep>, usize) = (step.into(), self.steps.len());
            let replaces = step.signed.replaces;
            if replaces != Some(self.digest) {
                return Err(Unchained::Gap { step: number, replaces, in_force: self.digest });
            }
            let policy = PolicyDoc::decode(&step.signed.policy).map_err(|cause| Unchained::NoPolicy { step: number, cause })?;
            self.earlier.push(self.digest);
            self.digest = Digest(policy.digest());
            self.policy = Arc::new(policy);
            self.sizes.push(steps_bytes(std::slice::from_ref(&*step)));
            self.steps.push(step);
        }
        Ok(self)
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
    pub fn steps(&self) -> &[Arc<PolicyStep>] {
        &self.steps
    }

    /// The same as a file or a card has them.
    ///
    /// # Panics
    /// Never: no record and no file has more than fit.
    pub fn row(&self) -> PolicyRow {
        let steps = self.steps.iter().map(|step| PolicyStep::clone(step)).collect();
        List::new(steps).expect("no step is taken that is beyond the limit")
    }

    /// SHA-256 of every policy before it, oldest first.
    pub fn earlier(&self) -> &[Digest] {
        &self.earlier
    }

    /// How many steps lead to this policy; none if it is not in force and never was.
    fn place(&self, policy: &Digest) -> Option<usize> {
        self.earlier.iter().chain(std::iter::once(&self.digest)).position(|digest| digest == policy)
    }

    /// How many steps from this one on are carried by one message.
    fn carried(&self, from: usize) -> usize {
        let mut bytes = 0usize;
        let sizes = self.sizes.iter().skip(from).take(POLICY_STEPS);
        let fits = sizes.take_while(|size| {
            bytes = bytes.saturating_add(**size);
            bytes <= POLICY_STEPS_BYTES
        });
        fits.count()
    }

    /// The steps for whoever knows this policy: those after it. Whoever knows none is given the founding policy and all steps since; nothing where there are
    /// none, for then the policy itself is the founding one; so is whoever knows one that is not of this row. Where one answer does not carry all of these, it has
    /// the newest: whoever asks in a session was given a page of them first ([`InForce::page`]), and evidence that is kept is judged by somebody who holds more.
    pub fn after(&self, known: Option<&Digest>) -> PolicySteps {
        let place = known.and_then(|known| self.place(known));
        let from = place.unwrap_or(0);
        let left = self.steps.len().saturating_sub(from);
        if self.carried(from) < left {
            let newest = (from..self.steps.len()).find(|from| self.carried(*from) == self.steps.len().saturating_sub(*from));
            return self.answer(newest.unwrap_or(self.steps.len())..self.steps.len(), false);
        }
        self.answer(from..self.steps.len(), place.is_none() && left > 0)
    }

    /// What whoever knows this policy, or none, is given in place of an answer that does not carry all they lack: the first page of it. None where an answer
    /// does, and for whoever knows a policy that is not of this row: an answer shows that.
    pub fn page(&self, known: Option<&Digest>, genesis: &GenesisRecord) -> Option<PolicyPage> {
        let from = match known {
            Some(known) => self.place(known)?,
            None => 0,
        };
        let (carried, behind) = (self.carried(from), self.steps.len().saturating_sub(from));
        if carried == behind {
            return None;
        }
        let founded = known.is_none().then(|| Founded { genesis: genesis.clone(), policy: PolicyDoc::clone(&self.founding) });
        let steps = self.steps.iter().skip(from).take(carried).map(|step| PolicyStep::clone(step)).collect();
        let left = u16::try_from(behind.saturating_sub(carried)).expect("a record has fewer steps");
        Some(PolicyPage { founded, steps: List::new(steps).expect("as many as one message carries"), left })
    }

    /// Whether an answer leads on from this policy of the row, or shows that it is of another one. Where it does not, a change came into force after whoever
    /// knows that policy was found near enough for an answer ([`InForce::page`]): they could only take it for another row.
    pub fn reaches(&self, known: Option<&Digest>) -> bool {
        let from = known.map_or(Some(0), |known| self.place(known));
        from.is_none_or(|from| self.carried(from) == self.steps.len().saturating_sub(from))
    }

    fn answer(&self, steps: Range<usize>, from_founding: bool) -> PolicySteps {
        let founding = from_founding.then(|| {
            PolicyStep::founding(&self.founding).expect("a process does not start with a founding policy that is larger (file::at_start)")
        });
        let steps = self.steps.get(steps).unwrap_or_default().iter().map(|step| PolicyStep::clone(step));
        List::new(founding.into_iter().chain(steps).collect()).expect("as many as one message carries, and the founding policy before them")
    }

    /// The policy with this SHA-256; none if it is not in force and never was.
    pub fn at(&self, policy: &Digest) -> Option<PolicyDoc> {
        match self.place(policy)?.checked_sub(1) {
            None => Some(PolicyDoc::clone(&self.founding)),
            Some(step) => self.steps.get(step).and_then(|step| PolicyDoc::decode(&step.signed.policy).ok()),
        }
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

/// Of the steps an answer has, those for whoever knows this policy: see [`InForce::after`].
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
    use ringwall_wire::release::PolicyNotice;
    use ringwall_wire::sample::{Sample as _, Source};

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
        let in_force = InForce::by(&first(), steps.to_vec()).unwrap();
        assert_eq!((in_force.policy().version, in_force.digest()), (three.version, Digest(three.digest())));
        assert_eq!(in_force.earlier(), [Digest(first().digest()), Digest(two.digest())]);
        let all = [vec![PolicyStep::founding(&first()).unwrap()], steps.to_vec()].concat();
        assert_eq!(in_force.after(None).to_vec(), all);
        assert_eq!(in_force.after(Some(&Digest(first().digest()))), steps);
        assert_eq!(in_force.after(Some(&Digest(two.digest()))).to_vec(), std::slice::from_ref(&two_three));
        assert!(in_force.after(Some(&in_force.digest())).is_empty());
        assert_eq!(in_force.after(Some(&Digest([7; 32]))).to_vec(), all, "of another row: all of it, so that it shows");
        let gap = InForce::by(&first(), [two_three]);
        assert!(matches!(gap, Err(Unchained::Gap { step: 0, .. })));
        for policy in [first(), two, three] {
            assert_eq!(in_force.at(&Digest(policy.digest())), Some(policy));
        }
        assert!(InForce::founding(first()).after(None).is_empty(), "the policy itself is the founding one");
        assert_eq!(in_force.at(&Digest([7; 32])), None);
    }

    #[test]
    fn a_row_that_no_answer_carries_comes_in_pages_without_a_gap() {
        let genesis = GenesisRecord::sample(&mut Source::new(3));
        let mut in_force = InForce::founding(first());
        let grown = |in_force: &InForce, svn| in_force.clone().then([step(in_force.policy(), svn).1]).unwrap();
        for svn in 1..=POLICY_STEPS as u32 {
            in_force = grown(&in_force, svn);
        }
        assert_eq!(in_force.page(None, &genesis), None, "as many as an answer carries");
        assert_eq!(in_force.after(None).len(), POLICY_STEPS + 1);
        // Found near enough, and then one more came into force: the answer would begin after what is known.
        let (one_more, known) = (grown(&in_force, 33), Digest(first().digest()));
        for known in [None, Some(&known)] {
            assert!(in_force.reaches(known) && !one_more.reaches(known));
        }
        assert_eq!(one_more.after(Some(&known)).first().unwrap().signed.replaces, Some(in_force.earlier()[1]));
        assert!(one_more.reaches(Some(&in_force.earlier()[1])) && one_more.reaches(Some(&Digest([7; 32]))));
        for svn in 33..=100 {
            in_force = grown(&in_force, svn);
        }
        let (mut known, mut got, mut pages) = (None, Vec::new(), 0);
        while let Some(page) = in_force.page(known.as_ref(), &genesis) {
            assert_eq!(page.founded.as_ref().map(|founded| &founded.policy), known.is_none().then(first).as_ref());
            got.extend(page.steps.to_vec());
            assert_eq!(got.len() + usize::from(page.left), 100);
            known = Some(in_force.earlier()[got.len()]);
            pages += 1;
        }
        assert_eq!((pages, got.len()), (3, 96));
        got.extend(in_force.after(known.as_ref()).to_vec());
        assert_eq!(got, in_force.row().to_vec());
        assert_eq!(in_force.page(Some(&Digest([7; 32])), &genesis), None, "who knows another row is not led along this one");
        // What is kept with evidence: the newest that fit.
        assert_eq!(in_force.after(None).to_vec(), got[68..].to_vec());
        assert_eq!(in_force.after(Some(&Digest([7; 32]))).to_vec(), got[68..].to_vec());
        assert!(in_force.after(Some(&in_force.digest())).is_empty());
    }

    #[test]
    fn large_steps_make_short_pages() {
        let genesis = GenesisRecord::sample(&mut Source::new(3));
        let mut in_force = InForce::founding(first());
        for svn in 1..=5 {
            let (_, mut step) = step(in_force.policy(), svn);
            let note = |bytes| Blob::new(vec![7; bytes]).unwrap();
            let mut notice = PolicyNotice::sample(&mut Source::new(4));
            (notice.published, notice.later) = (note(60_000), note(60_000));
            step.notice = Some(notice);
            in_force = in_force.then([step]).unwrap();
        }
        let first_page = in_force.page(None, &genesis).unwrap();
        assert_eq!((first_page.steps.len(), first_page.left), (2, 3));
        assert!(steps_bytes(&first_page.steps) <= POLICY_STEPS_BYTES);
        assert_eq!(in_force.after(None).len(), 2, "the newest that fit");
    }

    #[test]
    fn a_cell_goes_on_and_never_back_or_aside() {
        let ((two, one_two), (_, aside)) = (step(&first(), 2), step(&first(), 9));
        let (_, two_three) = step(&two, 3);
        let of = |steps: &[&PolicyStep]| InForce::by(&first(), steps.iter().map(|step| (*step).clone())).unwrap();
        let cell = PolicyCell::new(of(&[&one_two]));
        assert!(!cell.go_on(of(&[])) && !cell.go_on(of(&[&one_two])) && !cell.go_on(of(&[&aside])));
        let (_, beyond) = step(of(&[&aside]).policy(), 10);
        assert!(!cell.go_on(of(&[&aside, &beyond])), "longer, and of another row");
        assert!(cell.go_on(of(&[&one_two, &two_three])));
        assert_eq!(cell.now().policy().version.0, first().version.0 + 2);
    }
}
