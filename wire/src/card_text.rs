//! A cluster card as text: to paste, to print, or as a code for a camera.
//!
//! Decides: one form, `ringwall-card:` and the card's bytes in base64url without padding; line breaks and blanks that mail and terminals put in
//! between are skipped. Text is bounded before it is decoded, and what is decoded is read like a file: one card has one text.
//! Trusts: nothing. Out of scope: whether the card's parts belong together ([`ClusterCard::pinned`]). Protocol section 2.1.

use crate::codec::{DecodeError, Message as _};
use crate::genesis::ClusterCard;
use crate::limits::CARD_BYTES;
use alloc::string::String;
use alloc::vec::Vec;

/// How the text of a card begins.
pub const CARD_TEXT_PREFIX: &str = "ringwall-card:";

/// The digits, by value.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters between the digits that are skipped, at most: one line break and one blank for each twenty digits.
const SKIPPED: usize = CARD_BYTES / 8;

/// Why a text is no card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardTextError {
    /// It begins otherwise.
    #[error("it does not begin with \"ringwall-card:\"")]
    OtherText,
    /// It is longer than the text of any card.
    #[error("it is longer than any card, which has at most {most} bytes")]
    TooLong {
        /// Most bytes of a card.
        most: usize,
    },
    /// A character, or the number of them, is not what encoding gives.
    #[error("character {at} after \"ringwall-card:\" is not one of a card; copy the whole text again")]
    Damaged {
        /// Which one, counted from 1.
        at: usize,
    },
    /// The bytes are no card.
    #[error("what it holds is no card: {0}")]
    NoCard(#[from] DecodeError),
}

/// The text of a card.
pub fn card_to_text(card: &ClusterCard) -> String {
    let bytes = card.encode();
    let mut text = String::with_capacity(CARD_TEXT_PREFIX.len().saturating_add(bytes.len().saturating_mul(4).div_ceil(3)));
    text.push_str(CARD_TEXT_PREFIX);
    for group in bytes.chunks(3) {
        let word = group.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..=group.len() {
            text.push(char::from(DIGITS[(word >> (18 - 6 * at) & 0x3f) as usize]));
        }
    }
    text
}

/// The card of a text.
pub fn card_from_text(text: &str) -> Result<ClusterCard, CardTextError> {
    let digits = text.trim().strip_prefix(CARD_TEXT_PREFIX).ok_or(CardTextError::OtherText)?;
    if digits.len() > (CARD_BYTES.saturating_mul(4) / 3).saturating_add(SKIPPED) {
        return Err(CardTextError::TooLong { most: CARD_BYTES });
    }
    let mut bytes = Vec::with_capacity(digits.len().saturating_mul(3) / 4);
    let (mut word, mut bits) = (0u32, 0u32);
    let places = digits.bytes().enumerate().filter(|(_, letter)| !letter.is_ascii_whitespace());
    let mut last = 0;
    for (at, letter) in places {
        last = at.saturating_add(1);
        let value = DIGITS.iter().position(|digit| *digit == letter).ok_or(CardTextError::Damaged { at: last })?;
        // Six bits a digit, taken out eight at a time: never more than 13 are held.
        word = (word << 6 | value as u32) & 0x3fff;
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            bytes.push((word >> bits & 0xff) as u8);
        }
    }
    // What is left over are the zeros that filled the last digit up.
    if bits >= 6 || word & ((1 << bits) - 1) != 0 {
        return Err(CardTextError::Damaged { at: last });
    }
    Ok(ClusterCard::decode(&bytes)?)
}
