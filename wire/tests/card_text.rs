//! Cards as text: there and back, and what is refused.
//! Decides: one card has one text; blanks between are skipped, anything else is not. Trusts: nothing.
//! Out of scope: files (`client`). Protocol section 2.1.
#![allow(clippy::unwrap_used)]

use ringwall_wire::card_text::{CARD_TEXT_PREFIX, CardTextError, card_from_text, card_to_text};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::limits::CARD_BYTES;
use ringwall_wire::sample::{Sample as _, Source};

#[test]
fn a_card_comes_back_from_its_text_even_when_it_was_broken_into_lines() {
    let mut source = Source::new(11);
    for _ in 0..24 {
        let card = ClusterCard::sample(&mut source);
        let text = card_to_text(&card);
        assert_eq!(card_from_text(&text).unwrap(), card);
        let broken: Vec<&str> = text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        assert_eq!(card_from_text(&format!("  {}\r\n", broken.join("\n "))).unwrap(), card);
    }
}

#[test]
fn every_other_text_is_refused() {
    let card = ClusterCard::sample(&mut Source::new(3));
    let text = card_to_text(&card);
    assert_eq!(card_from_text("https://example.org"), Err(CardTextError::OtherText));
    assert_eq!(card_from_text(&text[CARD_TEXT_PREFIX.len()..]), Err(CardTextError::OtherText));
    assert!(matches!(card_from_text(&text.replacen(':', ":+", 1)), Err(CardTextError::Damaged { at: 1 })));
    assert!(matches!(card_from_text(&text[..text.len() - 2]), Err(CardTextError::NoCard(_) | CardTextError::Damaged { .. })));
    assert!(matches!(card_from_text(&format!("{text}A")), Err(CardTextError::NoCard(_) | CardTextError::Damaged { .. })));
    assert!(matches!(card_from_text(CARD_TEXT_PREFIX), Err(CardTextError::NoCard(_))));
    assert!(matches!(card_from_text("ringwall-card:AB"), Err(CardTextError::Damaged { at: 2 })), "bits that filled up are not zero");
    let huge = format!("{CARD_TEXT_PREFIX}{}", "A".repeat(2 * CARD_BYTES));
    assert!(matches!(card_from_text(&huge), Err(CardTextError::TooLong { .. })));
    assert!(matches!(card_from_text("ringwall-card:ä"), Err(CardTextError::Damaged { .. })));
}
