//! Judges cases: verify, appraise by the strict policy, compare with what the case states.
//!
//! Decides: what counts as accepted. Real evidence was never made for us, so accepted means that everything verifies and satisfies the strict
//! policy, and the one thing left to refuse is its binding. Stated exceptions are granted to cases that a policy decides, to no other.
//! Trusts: `ringwall-attest`, which is what is being tried. A panic in it is caught, told as the verdict, and never agrees.
//! Out of scope: reading cases, what is told of a verdict (`record.rs`). docs/conformance.md, "Verdicts".

use super::case::{Case, CaseError, Offer, Offered};
use super::expect::{Exception, Expect};
use crate::strict;
use ringwall_attest::{Claims, Expected, Layer, Rejection, Verified, VerifyError, appraise, verify};
use ringwall_wire::policy::PolicyDoc;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Exceptions one case can need: there are six kinds of them.
const EXCEPTIONS: usize = 6;

/// What became of a case.
#[derive(Debug)]
pub enum Outcome {
    /// Genuine, and acceptable in every respect but that it was not made for us.
    Accepted,
    /// What the case hands over cannot even travel.
    Unusable(String),
    /// It does not verify.
    NotGenuine(VerifyError),
    /// It verifies; the policy refuses it.
    Rejected(Rejection),
    /// The verifier panicked, which is a defect whatever the case states.
    Panicked(String),
}

impl Outcome {
    /// The layer that refused.
    pub fn layer(&self) -> Option<Layer> {
        match self {
            Outcome::Accepted | Outcome::Panicked(_) => None,
            Outcome::Unusable(_) => Some(Layer::Parse),
            Outcome::NotGenuine(error) => Some(error.layer()),
            Outcome::Rejected(rejection) => Some(rejection.layer()),
        }
    }

    /// Name of the refusal.
    pub fn variant(&self) -> String {
        match self {
            Outcome::Accepted => String::new(),
            Outcome::Unusable(_) => "Unusable".to_owned(),
            Outcome::NotGenuine(error) => variant(error),
            Outcome::Rejected(rejection) => variant(rejection),
            Outcome::Panicked(_) => "Panicked".to_owned(),
        }
    }

    /// In words for people.
    pub fn reason(&self) -> String {
        match self {
            Outcome::Accepted => "genuine, and the strict policy accepts it; it was not made for us".to_owned(),
            Outcome::Unusable(what) => what.clone(),
            Outcome::NotGenuine(error) => error.to_string(),
            Outcome::Rejected(rejection) => rejection.to_string(),
            Outcome::Panicked(words) => format!("the verifier panicked: {words}"),
        }
    }
}

/// The variant's name, as its debug form opens.
pub(super) fn variant(error: &impl std::fmt::Debug) -> String {
    let words = format!("{error:?}");
    words.chars().take_while(|letter| letter.is_alphanumeric()).collect()
}

/// A verdict on a case.
#[derive(Debug)]
pub struct Judged {
    /// What became of it.
    pub outcome: Outcome,
    /// The exceptions it was granted, in the order they were asked for.
    pub exceptions: Vec<Exception>,
    /// Why it is believed, as far as it got.
    pub steps: Vec<String>,
}

impl Judged {
    /// Whether the verdict is one `expect` allows.
    pub fn agrees(&self, expect: Expect) -> bool {
        let refused = !matches!(self.outcome, Outcome::Accepted | Outcome::Panicked(_));
        match (expect, &self.outcome) {
            (_, Outcome::Panicked(_)) => false,
            (Expect::Accept, outcome) => matches!(outcome, Outcome::Accepted),
            (Expect::Reject | Expect::ParseOnly, _) => refused,
            (Expect::RejectOrAccept, _) => true,
            (Expect::AcceptWithPolicy, outcome) => by_policy(outcome),
        }
    }
}

/// Whether a policy, and not the evidence, decided: accepted, or refused by a rule that no policy of ours can loosen. A refusal that an
/// exception would have lifted never is the last word: either the case states the exception, or it does not and disagrees.
fn by_policy(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted => true,
        Outcome::Rejected(rejection) => Exception::against(rejection).is_none(),
        // what no policy may accept of a TD and its firmware is refused after every signature was verified
        Outcome::NotGenuine(error) => matches!(error.layer(), Layer::Policy | Layer::Tcb),
        Outcome::Unusable(_) | Outcome::Panicked(_) => false,
    }
}

impl Offer {
    /// Verifies what is offered; the outcome when it is not genuine.
    pub fn verify(&self) -> Result<Verified, Outcome> {
        verify(&self.evidence, &self.endorsements, &self.anchors, self.now_s).map_err(Outcome::NotGenuine)
    }
}

/// Appraises genuine evidence by the strict policy for it, after `change`.
pub fn judge_with(verified: Verified, change: impl FnOnce(&mut PolicyDoc, &Claims)) -> Outcome {
    let mut policy = strict::policy(verified.claims());
    change(&mut policy, verified.claims());
    let boot_config = strict::boot_config();
    let binding = strict::binding(&policy, &boot_config);
    let expected = Expected { binding: &binding, boot_config: &boot_config, release_proof: &[], now_s: 0, last_head: None };
    match appraise(verified, &policy, &expected) {
        // nobody can have signed the binding above: that it holds would be a defect as well
        Ok(_) => Outcome::Panicked("evidence is bound to values nobody published".to_owned()),
        Err(Rejection::ReportData { .. }) => Outcome::Accepted,
        Err(rejection) => Outcome::Rejected(rejection),
    }
}

/// Judges one case of evidence.
pub fn judge(case: &Case) -> Result<Judged, CaseError> {
    let offer = match guarded(|| case.offer()) {
        Ok(Ok(Offered::Whole(offer))) => offer,
        Ok(Ok(Offered::Unusable(what))) => return Ok(refused(Outcome::Unusable(what))),
        Ok(Err(error)) => return Err(error),
        Err(words) => return Ok(refused(Outcome::Panicked(words))),
    };
    let judged = guarded(|| judge_offer(case, &offer));
    Ok(judged.unwrap_or_else(|words| refused(Outcome::Panicked(words))))
}

fn refused(outcome: Outcome) -> Judged {
    Judged { outcome, exceptions: Vec::new(), steps: Vec::new() }
}

fn judge_offer(case: &Case, offer: &Offer) -> Judged {
    let mut judged = refused(Outcome::Accepted);
    for _ in 0..=EXCEPTIONS {
        let verified = match offer.verify() {
            Ok(verified) => verified,
            Err(outcome) => return Judged { outcome, ..judged },
        };
        judged.steps = verified.steps().iter().map(ToString::to_string).collect();
        let granted = judged.exceptions.clone();
        judged.outcome = judge_with(verified, |policy, _| granted.iter().for_each(|exception| exception.apply(policy)));
        let asked = match &judged.outcome {
            Outcome::Rejected(rejection) if case.expect() == Expect::AcceptWithPolicy => Exception::against(rejection),
            _ => None,
        };
        match asked.filter(|asked| asked.stated(case) && !granted.contains(asked)) {
            Some(exception) => judged.exceptions.push(exception),
            None => return judged,
        }
    }
    judged
}

/// Runs what may panic on hostile input; gives the panic's words.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| words_of(payload.as_ref()))
}

fn words_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|words| (*words).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_agrees_with_nothing() {
        let words = guarded(|| -> Judged { panic!("index {} is out of bounds", 7) });
        let words = words.expect_err("it panicked");
        assert_eq!(words, "index 7 is out of bounds");
        let judged = refused(Outcome::Panicked(words));
        for expect in [Expect::Accept, Expect::Reject, Expect::AcceptWithPolicy, Expect::RejectOrAccept, Expect::ParseOnly] {
            assert!(!judged.agrees(expect), "{expect:?}");
        }
        assert_eq!(judged.outcome.variant(), "Panicked");
        assert!(guarded(|| 7).is_ok_and(|seven| seven == 7));
    }
}
