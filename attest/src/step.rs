//! The chain of reasons behind a verdict: stages, steps, and the trace that collects them, also when the verdict is a refusal.
//!
//! Decides: nothing. Each verifying and appraising function writes down what it established, under the stage it belongs to, and says when a
//! stage is finished; what was established before a refusal stays in the caller's trace.
//! Trusts: nothing. Out of scope: decisions; no code reads these words. Shown by `ringwall verify --explain` and the demo.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// One question of a judgement, in the order a person would ask them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The vendor's root.
    Root,
    /// From the root to the key that signed.
    Chain,
    /// What the vendor took back.
    Revocation,
    /// The signed evidence itself.
    Report,
    /// Versions of the firmware.
    Tcb,
    /// Machine and settings against the policy.
    Policy,
    /// The software that was started.
    Measurement,
    /// What the evidence was made for.
    Binding,
    /// Whether the software was published.
    Release,
    /// The cluster the node serves.
    Cluster,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Stage; 10] = [
        Stage::Root,
        Stage::Chain,
        Stage::Revocation,
        Stage::Report,
        Stage::Tcb,
        Stage::Policy,
        Stage::Measurement,
        Stage::Binding,
        Stage::Release,
        Stage::Cluster,
    ];

    /// Stable name for programs: one lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Root => "root",
            Stage::Chain => "chain",
            Stage::Revocation => "revocation",
            Stage::Report => "report",
            Stage::Tcb => "tcb",
            Stage::Policy => "policy",
            Stage::Measurement => "measurement",
            Stage::Binding => "binding",
            Stage::Release => "release",
            Stage::Cluster => "cluster",
        }
    }

    /// Title for people.
    pub const fn title(self) -> &'static str {
        match self {
            Stage::Root => "Root of trust",
            Stage::Chain => "Chain of certificates",
            Stage::Revocation => "Revocation",
            Stage::Report => "Signed report",
            Stage::Tcb => "Firmware",
            Stage::Policy => "Machine and settings",
            Stage::Measurement => "Software",
            Stage::Binding => "This session",
            Stage::Release => "Published release",
            Stage::Cluster => "Cluster",
        }
    }

    /// What is asked here, for a person who knows nothing of attestation.
    pub const fn asks(self) -> &'static str {
        match self {
            Stage::Root => "Does the proof start at the CPU maker's own root certificate?",
            Stage::Chain => "Does an unbroken line of certificates lead from that root to the key that signed?",
            Stage::Revocation => "Has the CPU maker taken any of these certificates back?",
            Stage::Report => "Did that key sign exactly this report, and is the report well-formed?",
            Stage::Tcb => "Is the firmware of the machine new enough?",
            Stage::Policy => "Is it one of the machines the cluster accepts, with memory nobody outside can read?",
            Stage::Measurement => "Was the machine started with software the cluster accepts?",
            Stage::Binding => "Was the proof made for this very session and this node, not for another?",
            Stage::Release => "Was that software published for everyone to inspect?",
            Stage::Cluster => "Does the node belong to the cluster that was asked for?",
        }
    }
}

impl core::fmt::Display for Stage {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(self.name())
    }
}

/// One thing that was established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    stage: Stage,
    words: String,
}

impl Step {
    /// A step of `stage`; `words` are one sentence without a full stop.
    pub fn new(stage: Stage, words: impl Into<String>) -> Self {
        Step { stage, words: words.into() }
    }

    /// The question it belongs to.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// One sentence without a full stop.
    pub fn as_str(&self) -> &str {
        &self.words
    }
}

impl core::fmt::Display for Step {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(&self.words)
    }
}

/// What one judgement established so far. Give a new one to each judgement; it keeps what was established before a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    steps: Vec<Step>,
    finished: Vec<Stage>,
}

impl Trace {
    /// Nothing yet.
    pub const fn new() -> Self {
        Trace { steps: Vec::new(), finished: Vec::new() }
    }

    /// Everything established, in the order of the stages, and within a stage in the order it was established.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether nothing of this stage is left to ask. A stage can have steps and not be finished: when the judgement ended before, or asked
    /// for less (evidence alone, without policy or session).
    pub fn is_finished(&self, stage: Stage) -> bool {
        self.finished.contains(&stage)
    }

    /// Notes a step.
    pub(crate) fn note(&mut self, stage: Stage, words: impl Into<String>) {
        let at = self.steps.partition_point(|step| step.stage <= stage);
        self.steps.insert(at, Step::new(stage, words));
    }

    /// Notes the last step of a stage.
    pub(crate) fn finish(&mut self, stage: Stage, words: impl Into<String>) {
        self.note(stage, words);
        self.finish_silently(stage);
    }

    /// Takes over what another trace holds.
    pub(crate) fn absorb(&mut self, other: &Trace) {
        for step in &other.steps {
            self.note(step.stage, step.words.as_str());
        }
        for stage in &other.finished {
            self.finish_silently(*stage);
        }
    }

    fn finish_silently(&mut self, stage: Stage) {
        if !self.is_finished(stage) {
            self.finished.push(stage);
        }
    }
}

/// A moment, Unix seconds, as people read it (UTC, RFC 3339); beyond the year 9999 as plain seconds.
pub fn date(unix_s: u64) -> String {
    match der::DateTime::from_unix_duration(Duration::from_secs(unix_s)) {
        Ok(date) => format!("{date}"),
        Err(_) => format!("{unix_s} s after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn stages_are_ordered_and_told_apart() {
        assert!(Stage::ALL.is_sorted() && Stage::ALL.len() == 10);
        for stage in Stage::ALL {
            let twins = |same: &dyn Fn(&Stage) -> bool| Stage::ALL.iter().filter(|other| same(other)).count();
            assert_eq!(twins(&|other| other.name() == stage.name()), 1);
            assert_eq!(twins(&|other| other.title() == stage.title()), 1);
            assert!(stage.asks().ends_with('?') && stage.asks().len() < 90, "{}", stage.asks());
        }
    }

    #[test]
    fn steps_stand_in_the_order_of_the_stages_whenever_they_were_noted() {
        let mut trace = Trace::new();
        trace.note(Stage::Policy, "third");
        trace.finish(Stage::Root, "first");
        trace.note(Stage::Tcb, "second");
        trace.finish(Stage::Policy, "fourth");
        let words: Vec<_> = trace.steps().iter().map(Step::as_str).collect();
        assert_eq!(words, ["first", "second", "third", "fourth"]);
        let finished: Vec<_> = Stage::ALL.into_iter().filter(|stage| trace.is_finished(*stage)).collect();
        assert_eq!(finished, vec![Stage::Root, Stage::Policy]);
        let mut other = Trace::new();
        other.note(Stage::Chain, "between");
        other.absorb(&trace);
        let words: Vec<_> = other.steps().iter().map(Step::as_str).collect();
        assert_eq!(words, ["first", "between", "second", "third", "fourth"]);
        assert!(other.is_finished(Stage::Root) && !other.is_finished(Stage::Chain));
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(date(1_795_521_600), "2026-11-24T12:00:00Z");
        assert_eq!(date(u64::MAX), "18446744073709551615 s after 1970");
    }
}
