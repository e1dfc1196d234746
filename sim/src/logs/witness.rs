//! A witness of simulated logs over HTTP (C2SP tlog-witness): the judgement is that of `ringwall release witness`, the key is public.
//!
//! Decides: how a request and its answer look. Once it is told to, it stalls (answers nobody's checkpoint) or cosigns whatever it is shown, as a witness
//! that is down or bought would. Trusts: nothing, protects nothing. Out of scope: the judgement (`ringwall_client::release::witness`).

use super::serve::{Answer, Desk};
use ringwall_attest::release::note::SignedNote;
use ringwall_client::release::note::NoteKey;
use ringwall_client::release::witness::{Submission, Witness, WitnessRefusal};
use ringwall_node::kbs::http::Method;
use std::time::{SystemTime, UNIX_EPOCH};

/// How the witness behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Honest,
    Stalls,
    /// It cosigns everything.
    Bought,
}

/// A witness at work.
pub struct WitnessDesk {
    witness: Witness,
    key: NoteKey,
    /// The second it names instead of its clock's.
    at_s: Option<u64>,
    mood: Mood,
}

impl WitnessDesk {
    /// One that judges by `witness` and cosigns with its `key`, at `at_s` where that is given.
    pub fn new(witness: Witness, key: NoteKey, at_s: Option<u64>) -> Self {
        WitnessDesk { witness, key, at_s, mood: Mood::Honest }
    }

    fn now_s(&self) -> u64 {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.at_s.unwrap_or_else(clock)
    }

    fn cosign(&mut self, body: &[u8]) -> Result<String, WitnessRefusal> {
        let asked = Submission::read(body)?;
        let now_s = self.now_s();
        match self.mood {
            Mood::Bought => Ok(self.key.line(SignedNote::parse(&asked.note)?.text(), now_s)),
            _ => self.witness.cosign(&asked, now_s),
        }
    }
}

impl Desk for WitnessDesk {
    fn answer(&mut self, method: Method, path: &str, body: &[u8]) -> Answer {
        match (method, path) {
            (Method::Post, "/add-checkpoint") if self.mood == Mood::Stalls => Answer::text(503, "this witness is down\n"),
            (Method::Post, "/add-checkpoint") => match self.cosign(body) {
                Ok(line) => Answer::text(200, line),
                Err(refusal) => match refusal.known().filter(|_| refusal.status() == 409) {
                    Some(size) => Answer { status: 409, kind: "text/x.tlog.size", body: format!("{size}\n").into_bytes() },
                    None => Answer::text(refusal.status(), format!("{refusal}\n")),
                },
            },
            (Method::Post, "/misbehave/honest") => self.turn(Mood::Honest),
            (Method::Post, "/misbehave/stall") => self.turn(Mood::Stalls),
            (Method::Post, "/misbehave/bought") => self.turn(Mood::Bought),
            (Method::Post, path) => match path.strip_prefix("/misbehave/at/").and_then(|second| second.parse().ok()) {
                Some(second) => {
                    self.at_s = Some(second);
                    Answer::text(200, "")
                }
                None => Answer::text(404, "this witness takes add-checkpoint alone\n"),
            },
            _ => Answer::text(405, "this witness takes add-checkpoint alone\n"),
        }
    }
}

impl WitnessDesk {
    fn turn(&mut self, mood: Mood) -> Answer {
        self.mood = mood;
        Answer::text(200, "")
    }
}
