//! The page's module as a library: its calls are those of the core, and codes come out of images, or nothing does.
//!
//! Decides: which roots the two modules have, and that no image does more than be refused. Trusts: nothing. Out of scope: the calls themselves (`session/tests/spoken.rs`),
//! the module as it is compiled (`.ci/wasm.py`).

#[allow(unreachable_pub, reason = "the root of a library elsewhere")]
#[path = "../examples/ringwall.rs"]
mod ringwall;
#[allow(unreachable_pub, reason = "the root of a library elsewhere")]
#[path = "../examples/simulated.rs"]
mod simulated;

use proptest::prelude::*;
use qrcode::{Color, QrCode};
use serde_json::{Value, json};

fn frame(head: Value, payload: &[u8]) -> Vec<u8> {
    let head = head.to_string();
    [&u32::try_from(head.len()).unwrap().to_le_bytes()[..], head.as_bytes(), payload].concat()
}

/// The head of an answer of one frame.
fn told(answer: &[u8]) -> Value {
    let len = |at: usize| u32::from_le_bytes(answer[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(len(0) + 4, answer.len(), "one frame");
    serde_json::from_slice(&answer[8..8 + len(4)]).unwrap()
}

/// An image of a text's code: dots of four pixels, a quiet zone around them.
fn drawn(text: &str) -> (usize, Vec<u8>) {
    let code = QrCode::new(text).unwrap();
    let (dots, colors) = (code.width(), code.to_colors());
    let side = (dots + 8) * 4;
    let pixel = |at: usize| {
        let (x, y) = ((at % side / 4).wrapping_sub(4), (at / side / 4).wrapping_sub(4));
        if x < dots && y < dots && colors[y * dots + x] == Color::Dark { 0 } else { 255 }
    };
    (side, (0..side * side).map(pixel).collect())
}

#[test]
fn a_link_comes_out_of_the_image_of_its_code() {
    let doors: String = (1..=3).map(|node| format!("&w=10.0.0.{node}:7001,{0},{0}", "A".repeat(43))).collect();
    let sockets: String = (1..=3).map(|node| format!("&s=ws://10.0.0.{node}:7002/ringwall")).collect();
    let link = format!("ringwall:{}?n=10.0.0.1:7000{doors}{sockets}", "ab".repeat(32));
    let (side, image) = drawn(&link);
    let read = told(&ringwall::qr(&frame(json!({ "width": side, "height": side }), &image)));
    assert_eq!(read, json!({ "is": "text", "text": link }));
    let card = told(&ringwall::card(&frame(json!({}), read["text"].as_str().unwrap().as_bytes())));
    assert_eq!(
        (card["cluster"].clone(), card["web"].as_array().unwrap().len(), card["link"].clone()),
        (json!("ab".repeat(32)), 3, json!(link))
    );
}

#[test]
fn images_that_are_none_are_refused() {
    let code = |head: Value, bytes: usize| told(&ringwall::qr(&frame(head, &vec![128; bytes])))["error"]["code"].clone();
    assert_eq!(code(json!({ "width": 64, "height": 64 }), 4_096), json!("RW-C-QR-NONE"));
    for (width, height, bytes) in [(64, 64, 4_095), (0, 0, 0), (1, 4_096, 4_096), (4_096, 1_025, 4_198_400), (usize::MAX / 2, 4, 16)] {
        assert_eq!(code(json!({ "width": width, "height": height }), bytes), json!("RW-C-QR-IMAGE"), "{width} x {height}");
    }
    assert_eq!(code(json!({ "width": -1, "height": 64 }), 0), json!("RW-C-CALL-HEAD"));
}

#[test]
fn both_modules_answer_the_same_calls() {
    for call in [ringwall::open, ringwall::handle, ringwall::verify, simulated::open, simulated::handle, simulated::verify] {
        assert_eq!(told(&call(b"\xff\xff\xff\xff"))["error"]["code"], json!("RW-C-CALL-TOO-LARGE"));
    }
    let link = format!("ringwall:{}", "00".repeat(32));
    assert_eq!(ringwall::card(&frame(json!({}), link.as_bytes())), simulated::card(&frame(json!({}), link.as_bytes())));
    assert_eq!(told(&simulated::qr(&frame(json!({ "width": 21, "height": 21 }), &[0; 441])))["error"]["code"], json!("RW-C-QR-NONE"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Noise, and codes that noise was drawn over.
    #[test]
    fn no_image_ends_a_module(seed in any::<u64>(), spoilt in 0..2_000_usize) {
        let (side, mut image) = drawn("ringwall:0123456789");
        let mut state = seed | 1;
        for _ in 0..spoilt {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let at = usize::try_from(state >> 33).unwrap() % image.len();
            image[at] = (state >> 20) as u8;
        }
        let is = told(&ringwall::qr(&frame(json!({ "width": side, "height": side }), &image)))["is"].clone();
        prop_assert!(is == json!("text") || is == json!("error"));
    }
}
