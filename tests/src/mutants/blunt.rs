//! Edits that know nothing of what they edit, and edits of DER whose outer lengths follow.
//!
//! Decides: the closed list of ways to damage bytes. Trusts: nothing. Out of scope: which bytes (`amd.rs`, `intel.rs`).

use super::Dice;
use ringwall_sim::forge::{Content, Tlv};

/// Damages `bytes` in one way; `other` is a valid value of the same kind to take pieces from.
pub(super) fn damage(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let len = bytes.len();
    let at = dice.below(len);
    let run = 1usize.saturating_add(dice.below(16)).min(len.saturating_sub(at));
    match dice.below(12) {
        0 | 1 => flip(dice, bytes, at),
        2 => fill(bytes, at, 1, dice.byte()),
        3 => fill(bytes, at, run, *dice.pick(&[0, 0xff, 0x7f, 0x80]).unwrap_or(&0)),
        4 => bytes.truncate(at),
        5 => bytes.extend(std::iter::repeat_n(dice.byte(), 1usize.saturating_add(dice.below(64)))),
        6 => drop(bytes.drain(at..at.saturating_add(run))),
        7 => {
            let copy: Vec<u8> = bytes.iter().skip(at).take(run).copied().collect();
            let to = dice.below(len);
            bytes.splice(to..to, copy);
        }
        8 => splice(bytes, other, at, run),
        9 => splice(bytes, other, at, len),
        10 => count(dice, bytes, at),
        _ => {
            let to = dice.below(len);
            if to < len && at < len {
                bytes.swap(at, to);
            }
        }
    }
}

/// Flips one bit.
pub(super) fn flip(dice: &mut Dice, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1u8.checked_shl(u32::try_from(dice.below(8)).unwrap_or(0)).unwrap_or(1);
    }
}

/// Fills a run with one value.
pub(super) fn fill(bytes: &mut [u8], at: usize, run: usize, value: u8) {
    bytes.iter_mut().skip(at).take(run).for_each(|byte| *byte = value);
}

/// Copies a run of `other` to the same place.
pub(super) fn splice(bytes: &mut [u8], other: &[u8], at: usize, run: usize) {
    bytes.iter_mut().zip(other).skip(at).take(run).for_each(|(to, from)| *to = *from);
}

/// Adds to or takes from a number of one, two or four bytes, little- or big-endian.
fn count(dice: &mut Dice, bytes: &mut [u8], at: usize) {
    let width = *dice.pick(&[1usize, 2, 4]).unwrap_or(&1);
    let by = *dice.pick(&[1u32, u32::MAX, 256, 0x8000_0000]).unwrap_or(&1);
    let big = dice.one_in(2);
    let Some(field) = bytes.get_mut(at..at.saturating_add(width)) else { return };
    if big {
        field.reverse();
    }
    let value = field.iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte)).wrapping_add(by);
    field.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
    if big {
        field.reverse();
    }
}

/// Edits a field in a way that looks like a value: zero, ones, one more or less, another valid value, or noise.
pub(super) fn field(dice: &mut Dice, bytes: &mut [u8], other: &[u8], at: usize, len: usize) {
    match dice.below(6) {
        0 => fill(bytes, at, len, 0),
        1 => fill(bytes, at, len, 0xff),
        2 => splice(bytes, other, at, len),
        3 => count(dice, bytes, at),
        4 => {
            let place = at.saturating_add(dice.below(len));
            flip(dice, bytes, place);
        }
        _ => bytes.iter_mut().skip(at).take(len).for_each(|byte| *byte = dice.byte()),
    }
}

/// Edits one value of a DER document; lengths around it follow. What is no DER is damaged bluntly.
pub(super) fn der(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let (Some(mut tree), foreign) = (Tlv::parse(bytes), Tlv::parse(other)) else { return damage(dice, bytes, other) };
    let chosen = dice.below(tree.count());
    let source = dice.below(tree.count());
    let donor = match (foreign, dice.one_in(2)) {
        (Some(mut foreign), true) => foreign.nth_mut(chosen).cloned(),
        _ => tree.nth_mut(source).cloned(),
    };
    let Some(value) = tree.nth_mut(chosen) else { return };
    match (dice.below(8), &mut value.content) {
        (0, _) => value.tag = dice.byte(),
        (1, _) => value.tag ^= *dice.pick(&[0x20, 0x40, 0x80, 1]).unwrap_or(&1),
        (2 | 3, _) => {
            if let Some(donor) = donor {
                *value = donor;
            }
        }
        (4, Content::Parts(parts)) if !parts.is_empty() => drop(parts.remove(dice.below(parts.len()))),
        (5, Content::Parts(parts)) if !parts.is_empty() => {
            let copy = parts.get(dice.below(parts.len())).cloned();
            parts.extend(copy);
        }
        (_, Content::Parts(parts)) if parts.len() > 1 => {
            let (one, two) = (dice.below(parts.len()), dice.below(parts.len()));
            parts.swap(one, two);
        }
        (_, Content::Parts(parts)) => parts.push(Tlv::bytes(5, [])),
        (4, Content::Bytes(content)) => content.clear(),
        (5, Content::Bytes(content)) => content.push(dice.byte()),
        (_, Content::Bytes(content)) => damage(dice, content, &[]),
    }
    *bytes = tree.encode();
}

/// Writes the length of the outermost value in a longer form than DER allows.
pub(super) fn longer_length(bytes: &mut Vec<u8>) {
    if let Some(first) = bytes.get(1).copied() {
        match first.checked_sub(0x80) {
            Some(digits) => {
                bytes.splice(1..2, [0x81u8.wrapping_add(digits), 0]);
            }
            None => drop(bytes.splice(1..2, [0x81, first])),
        }
    }
}
