//! The data folder: one sub-folder for each life of the node.
//!
//! Decides: a life starts in a folder nobody used; once it is a voter, the folders of older lives go, except the newest of them (a cache
//! of content, never of state). A folder that cannot be removed is left and named. A file of the node is replaced whole, or not at all.
//! Trusts: nothing in old folders. Out of scope: what is in them (`consensus`). Protocol section 4.

use ringwall_wire::ids::Incarnation;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Puts a file in the place of `path`, whole or not at all; durable on return. It is written `beside`, in the same folder, as `options` open it.
pub fn replace(options: &OpenOptions, beside: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = options.open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(beside, path)?;
    File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Reads a file of the node: at most one byte more than `most`, by which the caller knows that it is too large; none if there is none.
pub(crate) fn read_most(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Options of a file that anybody may read.
pub fn anew() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options
}

/// How the folder of an incarnation begins.
pub const PREFIX: &str = "inc-";

/// The folder of an incarnation.
pub fn of(data: &Path, incarnation: Incarnation) -> PathBuf {
    data.join(format!("{PREFIX}{incarnation}"))
}

/// Incarnations that have a folder, oldest first.
pub fn lives(data: &Path) -> std::io::Result<Vec<Incarnation>> {
    let mut lives = Vec::new();
    for entry in std::fs::read_dir(data)? {
        let name = entry?.file_name();
        if let Some(incarnation) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|id| id.parse().ok()) {
            lives.push(Incarnation(incarnation));
        }
    }
    lives.sort_unstable();
    Ok(lives)
}

/// Removes the folders of lives before `me`, except the newest of them.
pub fn tidy(data: &Path, me: Incarnation) -> std::io::Result<Vec<Incarnation>> {
    let mut old: Vec<Incarnation> = lives(data)?.into_iter().filter(|life| *life < me).collect();
    let _kept = old.pop();
    for life in &old {
        std::fs::remove_dir_all(of(data, *life))?;
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn older_lives_go_and_the_newest_of_them_stays() {
        let data = tempfile::tempdir().unwrap();
        for life in [7, 5, 12, 9, 20] {
            std::fs::create_dir(of(data.path(), Incarnation(life))).unwrap();
        }
        std::fs::write(data.path().join("cluster.card"), b"").unwrap();
        let removed = tidy(data.path(), Incarnation(12)).unwrap();
        assert_eq!(removed, [Incarnation(5), Incarnation(7)]);
        assert_eq!(lives(data.path()).unwrap(), [Incarnation(9), Incarnation(12), Incarnation(20)]);
        assert!(tidy(data.path(), Incarnation(12)).unwrap().is_empty());
    }
}
