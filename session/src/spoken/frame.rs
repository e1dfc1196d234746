//! Frames: a length, a head, a payload; and why a call was refused.
//!
//! Decides: lengths are looked at before anything is read by them; a head is bounded, and what is said of one that is none repeats none of its values, which may be secret.
//! A payload may be a value or a phrase: it is wiped, and an answer is made in one piece of its size, so that whoever wipes it wipes the only copy.
//! Trusts: nothing. Out of scope: what heads mean (`heads.rs`). docs/core.md, "Frames" and "Errors".

use crate::card::CardFault;
use crate::error::ConnectError;
use crate::kept::KeptFault;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Bytes of a head.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// Characters of what is said about a head.
const WORDS: usize = 200;

/// Why a call did nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallFault {
    #[error("the frame {0}; a frame is the length of its head in four bytes (little-endian), the head, the payload")]
    Frame(&'static str),
    #[error("the head is not one this call takes: {0}; docs/core.md names every field")]
    Head(String),
    #[error("{what} of {bytes} bytes, at most {most} are possible; nothing was done")]
    TooLarge { what: &'static str, bytes: usize, most: usize },
    #[error("there is no client {0}: it has ended, or never was; open one")]
    Client(u64),
    #[error("there are {most} clients, which is the most: close one")]
    Clients { most: usize },
    #[error("dial {0} was never asked for")]
    Dial(u64),
    #[error("ticket {ticket} {why}")]
    Ticket { ticket: u64, why: &'static str },
    #[error(transparent)]
    Card(#[from] CardFault),
    #[error(transparent)]
    Kept(#[from] KeptFault),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Exchange(String),
    #[error("{words}")]
    Host { code: &'static str, words: String },
}

impl CallFault {
    fn code(&self) -> &'static str {
        match self {
            CallFault::Frame(_) => "RW-C-CALL-FRAME",
            CallFault::Head(_) => "RW-C-CALL-HEAD",
            CallFault::TooLarge { .. } => "RW-C-CALL-TOO-LARGE",
            CallFault::Client(_) => "RW-C-CALL-CLIENT",
            CallFault::Clients { .. } => "RW-C-CALL-CLIENTS",
            CallFault::Dial(_) => "RW-C-CALL-DIAL",
            CallFault::Ticket { .. } => "RW-C-CALL-TICKET",
            CallFault::Card(fault) => fault.code(),
            CallFault::Kept(fault) => fault.code(),
            CallFault::Connect(fault) => fault.code(),
            CallFault::Exchange(_) => "RW-C-INPUT",
            CallFault::Host { code, .. } => code,
        }
    }
}

/// One frame of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    head: Value,
    payload: Zeroizing<Vec<u8>>,
}

impl Told {
    /// A frame that says it is `is`, with the fields of `head`.
    pub(super) fn new(is: &str, head: Value) -> Self {
        Told::with(is, head, Zeroizing::default())
    }

    /// The same with a payload.
    pub(super) fn with(is: &str, mut head: Value, payload: Zeroizing<Vec<u8>>) -> Self {
        if let Value::Object(fields) = &mut head {
            fields.insert("is".into(), is.into());
        }
        Told { head, payload }
    }
}

/// A code and words.
pub(super) fn fault(code: &str, words: &impl ToString) -> Value {
    json!({ "code": code, "words": words.to_string() })
}

/// The bytes of an answer.
pub(super) fn answer(told: Result<Vec<Told>, CallFault>) -> Vec<u8> {
    let frames = told.unwrap_or_else(|refused| vec![Told::new("error", json!({ "error": fault(refused.code(), &refused) }))]);
    let frames: Vec<(String, Zeroizing<Vec<u8>>)> = frames.into_iter().map(|told| (told.head.to_string(), told.payload)).collect();
    let whole = frames.iter().map(|(head, payload)| head.len().saturating_add(8).saturating_add(payload.len()));
    let mut bytes = Vec::with_capacity(whole.fold(0, usize::saturating_add));
    for (head, payload) in &frames {
        let whole = head.len().saturating_add(4).saturating_add(payload.len());
        for part in [&len(whole)[..], &len(head.len()), head.as_bytes(), payload] {
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

fn len(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("what is told is far below 4 GiB").to_le_bytes()
}

/// Head and payload of a call.
pub(super) fn read<H: DeserializeOwned>(frame: &[u8]) -> Result<(H, &[u8]), CallFault> {
    let (len, rest) = frame.split_first_chunk::<4>().ok_or(CallFault::Frame("is too short for the length of a head"))?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if len > HEAD_BYTES {
        return Err(CallFault::TooLarge { what: "a head", bytes: len, most: HEAD_BYTES });
    }
    let (head, payload) = rest.split_at_checked(len).ok_or(CallFault::Frame("ends inside its head"))?;
    let head = serde_json::from_slice(head).map_err(|fault| CallFault::Head(without_values(&fault)))?;
    Ok((head, payload))
}

/// What is wrong with a head: names of fields and what was expected, no values.
fn without_values(fault: &serde_json::Error) -> String {
    let words = fault.to_string();
    let named = ["unknown field", "unknown variant", "missing field", "duplicate field"].iter().any(|begins| words.starts_with(begins));
    let told = match words.split_once(", expected ") {
        _ if named => words.clone(),
        Some((_, expected)) => format!("expected {expected}"),
        None => format!("no JSON object of its kind at column {}", fault.column()),
    };
    told.chars().filter(|letter| !letter.is_control()).take(WORDS).collect()
}

/// The first `len` bytes of a payload, and the rest.
pub(super) fn parted(payload: &[u8], len: u64) -> Result<(&[u8], &[u8]), CallFault> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    payload.split_at_checked(len).ok_or(CallFault::Frame("ends inside the card that its head announces"))
}

/// Refuses a payload where there is none.
pub(super) fn bare(payload: &[u8]) -> Result<(), CallFault> {
    if payload.is_empty() { Ok(()) } else { Err(CallFault::Frame("has a payload, which this call or event does not take")) }
}

/// Refuses more bytes than there may be.
pub(super) fn at_most(what: &'static str, bytes: usize, most: usize) -> Result<(), CallFault> {
    if bytes > most { Err(CallFault::TooLarge { what, bytes, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_in_one_piece() {
        let frames = |count: usize| -> Vec<Told> {
            (0..count).map(|at| Told::with("answer", json!({ "ticket": at }), Zeroizing::new(vec![7; 1_000 * at + 1]))).collect()
        };
        for told in [Ok(frames(0)), Ok(frames(1)), Ok(frames(5)), Err(CallFault::Client(3))] {
            let made = answer(told);
            assert_eq!(made.capacity(), made.len(), "it grew, and left a copy of its beginning behind");
        }
    }
}
