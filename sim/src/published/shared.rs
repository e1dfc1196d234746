//! Where the shared vectors are, for every test that reads them.
//!
//! Decides: the folder: `$RINGWALL_VECTORS`, or `../shared/vectors` beside the workspace. Its absence is said, and in CI it is a failure: a test that
//! skips there has not run.
//! Trusts: nothing. Out of scope: what the vectors say.

use std::path::{Path, PathBuf};

/// The vectors' folder; none outside CI when it is absent, which is said on standard error.
///
/// # Panics
/// In CI (`CI=true`), when the folder is absent.
#[expect(clippy::print_stderr, reason = "whoever runs a test that skips has to see it")]
pub fn vectors() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var_os("RINGWALL_VECTORS").map_or(beside, PathBuf::from);
    if folder.join("README.md").exists() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no vectors at {}", folder.display());
    eprintln!("SKIPPED: no vectors at {}; set RINGWALL_VECTORS", folder.display());
    None
}
