//! What an adversary finds on disks they kept: values of the log and the state, by the tag they stand behind.
//!
//! Decides: every place of every file is tried at which the tag stands, and what decodes there and is wanted counts; so nothing has to be known of how
//! files are laid out. Trusts: nothing. Out of scope: opening what is found.

use ringwall_wire::codec::{Field, Reader};
use ringwall_wire::ids::SpaceTag;
use std::path::PathBuf;

/// A value of type `T` that stands in a file under `folders` behind `tag`, for which `wanted` holds.
pub fn on_disks<T: Field>(folders: &[PathBuf], tag: &SpaceTag, wanted: impl Fn(&T) -> bool) -> Option<T> {
    let mut open = folders.to_vec();
    while let Some(path) = open.pop() {
        if let Ok(entries) = std::fs::read_dir(&path) {
            open.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        let places = bytes.windows(tag.0.len()).enumerate().filter(|(_, window)| **window == tag.0);
        for (place, _) in places {
            if let Ok(value) = T::take(&mut Reader::new(&bytes[place..]))
                && wanted(&value)
            {
                return Some(value);
            }
        }
    }
    None
}
