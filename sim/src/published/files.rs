//! Files of a case: small, regular, found whatever the case of their letters.
//!
//! Decides: how much of a file is read. Trusts: nothing; a case may hold links, pipes and files of any size.
//! Out of scope: what the bytes mean.

use super::case::CaseError;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

/// Entries of a folder that are looked at: the shared vectors have under a hundred a kind.
pub(super) const FOLDER_ENTRIES: usize = 10_000;
/// Bytes of any file of a case: the largest honest one is collateral of about 100 KiB.
pub(super) const FILE_BYTES: usize = 2 * 1024 * 1024;

/// The file called `name` in `folder`: by exactly this name, else by the same letters in another case.
pub(super) fn named(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.is_file() {
        return Some(exact);
    }
    let entries = fs::read_dir(folder).ok()?.take(FOLDER_ENTRIES).flatten();
    let mut alike: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().eq_ignore_ascii_case(name))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    alike.sort();
    alike.into_iter().next()
}

/// All bytes of a regular file, or its first `FILE_BYTES` + 1, which no container takes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CaseError> {
    let unreadable = |reason: String| CaseError::Unreadable { path: path.to_owned(), reason };
    // a pipe would never end, and opening one waits
    if !path.is_file() {
        return Err(unreadable("not a regular file".to_owned()));
    }
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    let most = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    Ok(bytes)
}

/// The bytes of the first of `names` that is in `folder`.
pub(super) fn first(folder: &Path, names: &[&str]) -> Result<Option<Vec<u8>>, CaseError> {
    names.iter().find_map(|name| named(folder, name)).map(|path| read(&path)).transpose()
}

/// A path of a case as it stands in `case.json`: below the folder it is joined to, never above or elsewhere.
pub(super) fn below(text: &str) -> Option<PathBuf> {
    let path = Path::new(text.trim());
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !path.as_os_str().is_empty()).then(|| path.to_owned())
}

/// Folders in which shared files of a case are looked for: its own, then up to three above, each also under the name of its kind.
pub(super) fn around(folder: &Path, kind: &str) -> Vec<PathBuf> {
    folder.ancestors().take(4).flat_map(|above| [above.to_owned(), above.join(kind)]).collect()
}
