//! Frames of the core in words, as far as the boundary looks into them.
//!
//! Decides: how frames are put together and taken apart, and how a head of the caller is put inside one of ours: the whole must be one JSON value, so that nothing a caller
//! wrote ends up beside it. Trusts: nothing. Out of scope: what heads mean, which the core decides; it refuses what is wrong in them. docs/core.md, "Frames".

use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

/// Bytes of a head, at most.
pub const HEAD_BYTES: usize = 64 * 1024;

/// What the boundary reads of a head, once it is known to be one of these; others may use the same names otherwise.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Head {
    /// Of which attempt.
    pub(crate) dial: Option<u64>,
    /// Where to.
    pub(crate) address: Option<String>,
    /// Which way.
    pub(crate) over: Option<String>,
    /// What a door may show.
    #[serde(default)]
    pub(crate) certificates: Vec<String>,
    /// How long it is of use.
    pub(crate) within_ms: Option<u64>,
    /// Of which question.
    pub(crate) ticket: Option<u64>,
    /// When.
    pub(crate) at_ms: Option<u64>,
    /// In order, or at once.
    pub(crate) well: Option<bool>,
    /// What went wrong.
    pub(crate) error: Option<IgnoredAny>,
}

/// What the boundary reads of what came of `put` and `get`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answer {
    /// Whether there is a value.
    pub(crate) found: Option<bool>,
    /// Its version.
    pub(crate) version: Option<u64>,
}

/// A frame: its head's length, its head, its payload. Wiped when it is dropped, as it may hold secrets.
pub(crate) fn frame(head: &[u8], payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut frame = Zeroizing::new(Vec::with_capacity(4 + head.len() + payload.len()));
    frame.extend(u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend(head);
    frame.extend(payload);
    frame
}

/// Head and payload of a frame, where the lengths add up.
pub(crate) fn parts(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = frame.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)
}

/// The frames of an answer, in order.
pub(crate) fn frames(mut answer: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((frame, rest)) = parts(answer) {
        found.push(frame);
        answer = rest;
    }
    found
}

fn read<T: for<'a> Deserialize<'a>>(frame: &[u8]) -> Option<T> {
    serde_json::from_slice(parts(frame)?.0).ok()
}

/// What a frame of an answer is.
pub(crate) fn kind(frame: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        is: String,
    }
    read(frame).map(|kind: Kind| kind.is)
}

/// The head of a frame whose kind is known.
pub(crate) fn head(frame: &[u8]) -> Option<Head> {
    read(frame)
}

/// The client an opening gave.
pub(crate) fn client(answer: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Opened {
        client: u64,
    }
    read(frames(answer).first()?).map(|opened: Opened| opened.client)
}

/// What came of `put` or `get`, and the value.
pub(crate) fn answered(answer: &[u8]) -> Option<(Answer, &[u8])> {
    #[derive(Deserialize)]
    struct Answered {
        answer: Answer,
    }
    let frame = *frames(answer).first()?;
    Some((read::<Answered>(frame)?.answer, parts(frame)?.1))
}

/// Whether a call did nothing: its answer is one frame, an error.
pub(crate) fn is_refusal(answer: &[u8]) -> bool {
    frames(answer).first().and_then(|frame| kind(frame)).is_some_and(|kind| kind == "error")
}

/// Whether these bytes are one JSON value and nothing else.
fn is_value(text: &[u8]) -> bool {
    text.len() <= HEAD_BYTES && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// A head of the caller with fields of ours before its own. `None` when it is no object; what is wrong inside it is for the core to say.
pub(crate) fn with_fields(head: &[u8], fields: &str) -> Option<Zeroizing<Vec<u8>>> {
    let inside = head.trim_ascii().strip_prefix(b"{").filter(|_| is_value(head))?;
    let comma = if inside.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    let mut whole = Zeroizing::new(Vec::with_capacity(head.len() + fields.len() + 2));
    whole.extend(b"{");
    whole.extend(fields.as_bytes());
    whole.extend(comma.as_bytes());
    whole.extend(inside);
    Some(whole)
}

/// The event of a question: the caller's operation as it was written. `None` when it is not one JSON value.
pub(crate) fn question(ticket: u64, op: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    is_value(op).then(|| {
        let mut event = Zeroizing::new(Vec::with_capacity(op.len() + 64));
        event.extend(format!("{{\"is\":\"ask\",\"ticket\":{ticket},\"op\":").as_bytes());
        event.extend(op);
        event.extend(b"}");
        event
    })
}

/// Bytes as digits.
pub(crate) fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')));
    }
    text
}

/// Digits as 32 bytes.
pub(crate) fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = Some(text.as_bytes()).filter(|digits| digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit))?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// An answer of one frame that says what failed, in the core's form.
pub(crate) fn refusal(code: &str, words: &str) -> Vec<u8> {
    let head = serde_json::json!({ "is": "error", "error": { "code": code, "words": words } }).to_string();
    sequence(&frame(head.as_bytes(), b""))
}

/// One frame as an answer.
pub(crate) fn sequence(only: &[u8]) -> Vec<u8> {
    let mut answer = Vec::with_capacity(4 + only.len());
    answer.extend(u32::try_from(only.len()).unwrap_or(u32::MAX).to_le_bytes());
    answer.extend(only);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_put_together_and_taken_apart() {
        let made = frame(b"{}", b"value");
        assert_eq!(parts(&made), Some((&b"{}"[..], &b"value"[..])));
        assert_eq!(frames(&[sequence(&made), sequence(&made)].concat()), [&made[..], &made[..]]);
        for cut in 0..6 {
            assert_eq!(parts(&made[..cut]), None);
        }
        assert_eq!(parts(&[255; 9]), None);
        assert!(is_refusal(&refusal("RW-C-CALL-HEAD", "no")) && !is_refusal(&sequence(&made)) && !is_refusal(b""));
    }

    #[test]
    fn a_callers_head_stays_inside() {
        let made = with_fields(b" {\"a\":1} ", "\"now_ms\":5").unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&made).unwrap(), serde_json::json!({ "now_ms": 5, "a": 1 }));
        assert_eq!(&**with_fields(b"{ }", "\"b\":2").unwrap(), b"{\"b\":2 }");
        for bad in [&b"{}{}"[..], b"[1]", b"", b"{\"a\":1", b"{} }", &[b'['; 5_000]] {
            assert_eq!(with_fields(bad, "\"b\":2"), None, "{bad:?}");
        }
        assert!(question(7, b"{\"is\":\"status\"}").is_some());
        for bad in [&b"{}},\"client\":{"[..], b"", b"{},{}"] {
            assert_eq!(question(7, bad), None, "{bad:?}");
        }
        let long = [b"\"".to_vec(), vec![b'a'; HEAD_BYTES], b"\"".to_vec()].concat();
        assert_eq!(question(7, &long), None);
    }

    #[test]
    fn digits_are_read_as_written() {
        assert_eq!(&**hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(digest(&hex(&[0xa5; 32])), Some([0xa5; 32]));
        for bad in ["", "0g", &"00".repeat(32)[..63], &"zz".repeat(32), &"+1".repeat(32)] {
            assert_eq!(digest(bad), None);
        }
    }
}
