//! DER taken apart by hand: signed bytes stay the bytes that came.
//!
//! Decides: a structure is its elements, each exact DER, nothing after the last. Trusts: the `der` crate for tags and lengths.
//! Out of scope: what elements mean. X.690.

use alloc::vec::Vec;
use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader};
use ringwall_wire::limits::EVENT_LOG_EVENTS;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]`, constructed; `[n]` is `CONTEXT + n`.
pub(crate) const CONTEXT: u8 = 0xa0;
/// Elements one structure may have: certificates have 10 to 30 extensions.
const ELEMENTS: usize = EVENT_LOG_EVENTS;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    /// With tag and length.
    pub(crate) whole: &'a [u8],
}

impl<'a> Part<'a> {
    /// The value, when the tag is `tag`.
    pub(crate) fn expect(&self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.value)
    }

    /// The elements inside, when the tag is `tag`.
    pub(crate) fn inside(&self, tag: u8) -> Option<Vec<Part<'a>>> {
        parts(self.expect(tag)?)
    }

    /// The bytes of a bit string without unused bits.
    pub(crate) fn bits(&self) -> Option<&'a [u8]> {
        self.expect(BIT_STRING)?.strip_prefix(&[0])
    }
}

/// The elements `bytes` consist of.
pub(crate) fn parts(bytes: &[u8]) -> Option<Vec<Part<'_>>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        if parts.len() >= ELEMENTS {
            return None;
        }
        let whole = reader.tlv_bytes().ok()?;
        let any = AnyRef::from_der(whole).ok()?;
        parts.push(Part { tag: *whole.first()?, value: any.value(), whole });
    }
    Some(parts)
}

/// The one element `bytes` are.
pub(crate) fn one(bytes: &[u8]) -> Option<Part<'_>> {
    match *parts(bytes)?.as_slice() {
        [part] => Some(part),
        _ => None,
    }
}

/// An element of these bytes.
pub(crate) fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len();
    let bytes = len.to_be_bytes();
    let mut out = alloc::vec![tag];
    if len < 0x80 {
        out.push(u8::try_from(len).unwrap_or(0x7f));
    } else {
        let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
        out.extend_from_slice(&digits);
    }
    out.extend_from_slice(value);
    out
}

/// A moment, Unix seconds, from a UTCTime or GeneralizedTime in UTC. Fractions of seconds are cut off.
pub(crate) fn time(part: &Part<'_>) -> Option<u64> {
    let text = core::str::from_utf8(part.value).ok()?.strip_suffix('Z')?;
    let digits = match part.tag {
        UTC_TIME => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            alloc::format!("{century}{text}")
        }
        GENERALIZED_TIME => match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) => whole.into(),
            Some(_) => return None,
            None => text.into(),
        },
        _ => return None,
    };
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<u8>().ok();
    moment(digits.get(..4)?.parse().ok()?, [number(4, 6)?, number(6, 8)?, number(8, 10)?, number(10, 12)?, number(12, 14)?])
}

/// A moment, Unix seconds, from RFC 3339 in UTC. Fractions of seconds are cut off.
pub(crate) fn rfc3339(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let text = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) => whole,
        Some(_) => return None,
        None => text,
    };
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if text.len() != 19 || !shape {
        return None;
    }
    let number = |from: usize| text.get(from..from.saturating_add(2))?.parse::<u8>().ok();
    moment(text.get(..4)?.parse().ok()?, [number(5)?, number(8)?, number(11)?, number(14)?, number(17)?])
}

fn moment(year: u16, [month, day, hour, minute, second]: [u8; 5]) -> Option<u64> {
    Some(der::DateTime::new(year, month, day, hour, minute, second).ok()?.unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_as_they_are_read() {
        for len in [0_usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let value = alloc::vec![7; len];
            let bytes = element(OCTET_STRING, &value);
            assert_eq!(one(&bytes).unwrap().expect(OCTET_STRING).unwrap(), value);
        }
        for bad in [&[0x30, 0x80, 0, 0][..], &[4, 0x81, 1, 0], &[4, 2, 0], &[4, 1, 0, 9]] {
            assert!(one(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn moments_are_utc_and_exact() {
        let of = |tag, value: &str| time(&Part { tag, value: value.as_bytes(), whole: &[] });
        assert_eq!(of(GENERALIZED_TIME, "20261124120000Z"), Some(1_795_521_600));
        assert_eq!(of(GENERALIZED_TIME, "20261124120000.5Z"), Some(1_795_521_600));
        assert_eq!(of(UTC_TIME, "261124120000Z"), Some(1_795_521_600));
        assert_eq!(rfc3339("2026-11-24T12:00:00.999Z"), Some(1_795_521_600));
        for bad in ["20261124120000", "20261324120000Z", "2026112412000Z", "20261124120000.Z", "20261124120000+0100"] {
            assert_eq!(of(GENERALIZED_TIME, bad), None, "{bad}");
        }
        for bad in ["2026-11-24 12:00:00Z", "2026-11-24T12:00:00+01:00", "2026-11-24T12:00:00"] {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }
}
