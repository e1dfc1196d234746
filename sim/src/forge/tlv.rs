//! DER as a tree: values can be edited, added and taken out, and the lengths of everything around them follow.
//!
//! Decides: how values nest; lengths are always written in their shortest form. Trusts: nothing: input that is not exactly one value with
//! exact lengths is no tree. Out of scope: what the values mean; octet and bit strings stay bytes. Source: X.690.

/// Levels a tree may have; certificates have about ten.
const DEPTH: usize = 24;
/// Bit of a tag that says "holds values".
const CONSTRUCTED: u8 = 0x20;

/// One DER value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv {
    /// Its tag, one byte.
    pub tag: u8,
    /// What it holds.
    pub content: Content,
}

/// What a value holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes, for primitive tags.
    Bytes(Vec<u8>),
    /// Values, for constructed tags.
    Parts(Vec<Tlv>),
}

impl Tlv {
    /// A value of bytes.
    pub fn bytes(tag: u8, bytes: impl Into<Vec<u8>>) -> Tlv {
        Tlv { tag, content: Content::Bytes(bytes.into()) }
    }

    /// A value of values.
    pub fn parts(tag: u8, parts: Vec<Tlv>) -> Tlv {
        Tlv { tag, content: Content::Parts(parts) }
    }

    /// Reads exactly one value.
    pub fn parse(bytes: &[u8]) -> Option<Tlv> {
        let mut rest = bytes;
        let value = Self::next(&mut rest, DEPTH)?;
        rest.is_empty().then_some(value)
    }

    fn next(rest: &mut &[u8], depth: usize) -> Option<Tlv> {
        let depth = depth.checked_sub(1)?;
        let (tag, after) = rest.split_first()?;
        let (first, mut after) = after.split_first()?;
        let mut length = usize::from(*first);
        if length > 0x80 {
            let (digits, behind) = after.split_at_checked(length & 0x7f)?;
            length = digits.iter().try_fold(0usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?;
            after = behind;
        } else if length == 0x80 {
            return None;
        }
        let (mut content, behind) = after.split_at_checked(length)?;
        *rest = behind;
        if tag & CONSTRUCTED == 0 {
            return Some(Tlv::bytes(*tag, content));
        }
        let mut parts = Vec::new();
        while !content.is_empty() {
            parts.push(Self::next(&mut content, depth)?);
        }
        Some(Tlv::parts(*tag, parts))
    }

    /// The value as DER.
    pub fn encode(&self) -> Vec<u8> {
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Parts(parts) => parts.iter().flat_map(Tlv::encode).collect(),
        };
        let mut out = vec![self.tag];
        match u8::try_from(content.len()) {
            Ok(short) if short < 0x80 => out.push(short),
            _ => {
                let digits: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
                out.push(0x80 | u8::try_from(digits.len()).expect("a length has at most 8 bytes"));
                out.extend_from_slice(&digits);
            }
        }
        out.extend_from_slice(&content);
        out
    }

    /// The values inside, in order; none in a value of bytes.
    pub fn parts_mut(&mut self) -> Option<&mut [Tlv]> {
        match &mut self.content {
            Content::Parts(parts) => Some(parts),
            Content::Bytes(_) => None,
        }
    }

    /// The list of values inside, to add and take out.
    pub fn list_mut(&mut self) -> Option<&mut Vec<Tlv>> {
        match &mut self.content {
            Content::Parts(parts) => Some(parts),
            Content::Bytes(_) => None,
        }
    }

    /// The bytes inside.
    pub fn bytes_mut(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Parts(_) => None,
        }
    }

    /// The value at this path of positions; the empty path is the value itself.
    pub fn at_mut(&mut self, path: &[usize]) -> Option<&mut Tlv> {
        match path {
            [] => Some(self),
            [first, rest @ ..] => self.parts_mut()?.get_mut(*first)?.at_mut(rest),
        }
    }

    /// Number of values in the tree, itself included.
    pub fn count(&self) -> usize {
        match &self.content {
            Content::Parts(parts) => parts.iter().map(Tlv::count).fold(1, usize::saturating_add),
            Content::Bytes(_) => 1,
        }
    }

    /// The value with this number in a walk from the root down; the root is 0.
    pub fn nth_mut(&mut self, number: usize) -> Option<&mut Tlv> {
        if number == 0 {
            return Some(self);
        }
        let mut left = number.saturating_sub(1);
        for part in self.parts_mut()? {
            let count = part.count();
            if left < count {
                return part.nth_mut(left);
            }
            left = left.saturating_sub(count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_and_lengths_follow() {
        let deep = Tlv::parts(0x30, vec![Tlv::bytes(2, [1]), Tlv::parts(0xa0, vec![Tlv::bytes(4, vec![7; 300])])]);
        let bytes = deep.encode();
        assert_eq!(Tlv::parse(&bytes), Some(deep.clone()));
        assert_eq!(deep.count(), 4);
        let mut edited = deep.clone();
        edited.nth_mut(3).and_then(Tlv::bytes_mut).expect("an octet string").truncate(3);
        assert_eq!(edited.at_mut(&[1, 0]), Some(&mut Tlv::bytes(4, [7, 7, 7])));
        assert_eq!(edited.encode(), [0x30, 10, 2, 1, 1, 0xa0, 5, 4, 3, 7, 7, 7]);
        for cut in 0..bytes.len() {
            assert_eq!(Tlv::parse(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Tlv::parse(&[0x30, 0x80, 0, 0]), None);
        assert_eq!(Tlv::parse(&[2, 1, 1, 0]), None);
    }
}
