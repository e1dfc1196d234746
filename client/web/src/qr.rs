//! Text out of the image of a camera: how a cluster card comes to a phone.
//!
//! Decides: an image is bounded and its sizes add up before it is looked at; the first code that can be read is the one that counts, and it holds text.
//! Trusts: nothing; what the text says is read as a card, with its own limits. The reader of images is another's: a page calls this in an instance of its own, so that what
//! ends that instance ends no client. Out of scope: cameras. docs/core.md, "Calls".

use ringwall_session::spoken::{self, Said};
use serde::Deserialize;
use serde_json::json;

/// Pixels of an image: four times what a camera gives a page.
const PIXELS: usize = 4 * 1024 * 1024;
/// Shortest side of an image a code can be in.
const LEAST: usize = 21;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    width: usize,
    height: usize,
}

/// The call `qr`.
pub fn call(frame: &[u8]) -> Vec<u8> {
    spoken::call(frame, |Head { width, height }, luma| text(width, height, luma))
}

fn text(width: usize, height: usize, luma: &[u8]) -> Said {
    let pixels = width.checked_mul(height).filter(|pixels| *pixels <= PIXELS && width >= LEAST && height >= LEAST);
    if pixels != Some(luma.len()) {
        let words = format!(
            "an image of {width} x {height} pixels with {} bytes: one byte a pixel, sides from {LEAST}, at most {PIXELS} pixels",
            luma.len()
        );
        return Err(("RW-C-QR-IMAGE", words));
    }
    let at = |x: usize, y: usize| y.checked_mul(width).and_then(|row| luma.get(row.checked_add(x)?)).copied().unwrap_or(u8::MAX);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, at);
    let read = image.detect_grids().into_iter().find_map(|grid| grid.decode().ok());
    match read {
        Some((_, text)) => Ok(("text", json!({ "text": text }), Vec::new())),
        None => Err(("RW-C-QR-NONE", "no code that can be read is in the image: hold it flat, closer, in better light".into())),
    }
}
