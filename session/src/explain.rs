//! A judgement as a tree: every question with its mark and its reasons, and for a refusal what was expected, what was found, and what to do.
//!
//! Decides: which mark a question gets. Only a question whose last step was established is `ok`; the one that refused is `failed` or
//! `cannot-tell`; one that was begun is `in-part`, one that was not asked is `not-reached`. The names of fields and marks are stable; they are
//! listed in docs/explain.md.
//! Trusts: the trace and the refusal it is made from. Out of scope: the judging (`attest`), layout (`explain/tree.rs`). Protocol section 2.2.

mod tree;

use ringwall_attest::{Finding, SessionError, Stage, Trace};
use serde::{Deserialize, Serialize};

/// How a judgement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The node is what the cluster demands, in the session that asked.
    Accepted,
    /// Genuine hardware signed the evidence; no policy and no session were judged.
    Genuine,
    /// The node is bad.
    Refused,
    /// Nobody can tell; refused all the same.
    CannotTell,
}

/// How one question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Answered, and well.
    Ok,
    /// The judgement ended here: bad.
    Failed,
    /// The judgement ended here: nobody can tell.
    CannotTell,
    /// Some of it was established.
    InPart,
    /// Not asked.
    NotReached,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageAccount {
    /// Stable name.
    pub stage: String,
    /// Title.
    pub title: String,
    /// What is asked.
    pub asks: String,
    /// How it ended.
    pub mark: Mark,
    /// What was established.
    pub steps: Vec<String>,
    /// Why it was not answered in full, where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// The refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalAccount {
    /// Name of the question that refused.
    pub stage: String,
    /// `bad` or `cannot-tell`.
    pub finding: String,
    /// What happened, in one sentence.
    pub message: String,
    /// What was expected.
    pub expected: String,
    /// What was found in its place.
    pub found: String,
    /// Stable name of what to do.
    pub advice: String,
    /// What to do.
    pub to_do: String,
}

/// The whole tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// How it ended.
    pub verdict: Verdict,
    /// As of when it was judged, Unix seconds.
    pub at_s: u64,
    /// Every question, in order.
    pub stages: Vec<StageAccount>,
    /// The refusal, if it ended in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalAccount>,
}

impl Explanation {
    /// A node that was accepted.
    pub fn accepted(trace: &Trace, at_s: u64) -> Self {
        Explanation { verdict: Verdict::Accepted, at_s, stages: stages(trace, None, "this judgement did not ask for it"), refusal: None }
    }

    /// Evidence that is genuine, judged without a policy and without a session.
    pub fn genuine(trace: &Trace, at_s: u64) -> Self {
        Explanation { verdict: Verdict::Genuine, at_s, stages: stages(trace, None, "it needs a policy and a session"), refusal: None }
    }

    /// A refusal of either kind.
    pub fn refused(trace: &Trace, at_s: u64, error: &SessionError) -> Self {
        let verdict = match error.finding() {
            Finding::Bad => Verdict::Refused,
            Finding::CannotTell => Verdict::CannotTell,
        };
        let refusal = RefusalAccount {
            stage: error.stage().name().into(),
            finding: error.finding().name().into(),
            message: error.to_string(),
            expected: error.expected(),
            found: error.found(),
            advice: error.advice().name().into(),
            to_do: error.advice().words().into(),
        };
        let stages = stages(trace, Some(error), "the judgement had ended before");
        Explanation { verdict, at_s, stages, refusal: Some(refusal) }
    }

    /// The tree as text: plain ASCII where the facts are, at most 100 columns, no colour, every line indented by two columns.
    pub fn tree(&self) -> String {
        tree::tree(self)
    }
}

fn stages(trace: &Trace, refused: Option<&SessionError>, because: &str) -> Vec<StageAccount> {
    let account = |stage: Stage| {
        let steps: Vec<String> = trace.steps().iter().filter(|step| step.stage() == stage).map(ToString::to_string).collect();
        let mark = match refused.filter(|error| error.stage() == stage).map(SessionError::finding) {
            Some(Finding::Bad) => Mark::Failed,
            Some(Finding::CannotTell) => Mark::CannotTell,
            None if trace.is_finished(stage) => Mark::Ok,
            None if steps.is_empty() => Mark::NotReached,
            None => Mark::InPart,
        };
        let because = matches!(mark, Mark::InPart | Mark::NotReached).then(|| because.to_owned());
        StageAccount { stage: stage.name().into(), title: stage.title().into(), asks: stage.asks().into(), mark, steps, because }
    };
    Stage::ALL.into_iter().map(account).collect()
}
