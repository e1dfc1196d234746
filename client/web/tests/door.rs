//! The door as a page uses it, without a page.
//!
//! Decides: that room is bounded, a question is used once, and an answer stays until the next. Trusts: nothing. Out of scope: modules (`.ci/wasm.py` loads one).

use ringwall_web::door::{QUESTION_BYTES, answer, answered, room};

#[test]
fn a_question_is_answered_once() {
    let most = u32::try_from(QUESTION_BYTES).unwrap();
    assert!(room(most + 1).is_null() && room(u32::MAX).is_null());
    assert!(!room(3).is_null());
    assert_eq!(answer(|question| [question, b"!"].concat()), 4);
    let lies = answered();
    assert!(!lies.is_null());
    assert_eq!(answer(|question| question.to_vec()), 0, "the question was used");
    assert_eq!(answer(|_| vec![7; 9]), 9);
}
