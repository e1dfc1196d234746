//! The line of a secret as a code for a camera.
//!
//! Decides: the line is drawn in upper case, the densest a code holds; a quarter of the picture may be lost. The picture is half blocks for a terminal
//! with light letters on a dark ground, or SVG for a printer. Picture and text stand in this process' memory until it ends.
//! Trusts: `keys` for the line and its checksum. Out of scope: reading pictures, which every telephone does.

use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

fn code(line: &str) -> QrCode {
    let upper = Zeroizing::new(line.to_ascii_uppercase());
    QrCode::with_error_correction_level(upper.as_bytes(), EcLevel::Q).expect("the line of a secret fits a code")
}

/// The picture for a terminal. What is light is drawn, the margin too.
pub fn for_terminal(line: &str) -> Zeroizing<String> {
    let picture =
        code(line).render::<unicode::Dense1x2>().dark_color(unicode::Dense1x2::Light).light_color(unicode::Dense1x2::Dark).build();
    Zeroizing::new(format!("{picture}\n"))
}

/// The picture as SVG.
pub fn svg(line: &str) -> Zeroizing<String> {
    Zeroizing::new(code(line).render::<svg::Color<'_>>().min_dimensions(480, 480).build())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_keys::text::line;

    /// What a camera reads from a picture on a terminal.
    fn scanned(picture: &str) -> String {
        let drawn = |line: &str, half: char| -> Vec<bool> { line.chars().map(|block| block != '\u{2588}' && block != half).collect() };
        let dots: Vec<Vec<bool>> = picture.lines().flat_map(|line| [drawn(line, '\u{2580}'), drawn(line, '\u{2584}')]).collect();
        let (scale, width) = (4, dots[0].len());
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * scale, dots.len() * scale, |x, y| {
            let dark = dots[y / scale].get(x / scale).copied().unwrap_or(false);
            if dark { 0 } else { 255 }
        });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "one code");
        grids[0].decode().unwrap().1
    }

    #[test]
    fn a_camera_reads_what_was_drawn() {
        for (purpose, secret) in [("rwshare", vec![0xa5; 74]), ("rwkeys", (0..64).collect())] {
            let text = line::spell(purpose, &secret);
            let seen = scanned(&for_terminal(&text));
            assert_eq!(*line::read(purpose, &seen, secret.len()).unwrap(), secret);
            assert!(svg(&text).contains("<svg"));
        }
    }
}
