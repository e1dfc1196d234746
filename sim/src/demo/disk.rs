//! What an operator finds on a node's disk.
//!
//! Decides: how files are searched for a plaintext and which bytes are shown. Trusts: nothing. Out of scope: what nodes write.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a search of a folder found.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Files read.
    pub files: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Files in which the text occurs.
    pub hits: Vec<PathBuf>,
    /// Bytes that are not zero, from the largest file, as a sample.
    pub sample: Vec<u8>,
}

/// Searches every file below `folder` for each of `texts`.
pub(super) fn search(folder: &Path, texts: &[&[u8]]) -> std::io::Result<Search> {
    let mut found = Search::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                look_into(&path, texts, &mut found)?;
            }
        }
    }
    Ok(found)
}

fn look_into(path: &Path, texts: &[&[u8]], found: &mut Search) -> std::io::Result<()> {
    let bytes = std::fs::read(path)?;
    found.files += 1;
    found.bytes += bytes.len() as u64;
    if texts.iter().any(|text| bytes.windows(text.len()).any(|window| window == *text)) {
        found.hits.push(path.to_owned());
    }
    // The densest stretch of the log: sealed records look like noise.
    let dense = bytes.chunks_exact(64).rfind(|chunk| chunk.iter().filter(|byte| **byte == 0).count() < 3);
    if let Some(chunk) = dense {
        found.sample = chunk.to_vec();
    }
    Ok(())
}

/// Bytes as a hex dump, 32 a line.
pub(super) fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for line in bytes.chunks(32) {
        let text: String = line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        out.push_str("    ");
        line.chunks(4).for_each(|word| {
            word.iter().for_each(|byte| {
                let _ = write!(out, "{byte:02x}");
            });
            out.push(' ');
        });
        let _ = writeln!(out, " {text}");
    }
    out
}
