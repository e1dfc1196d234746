//! A set of cases as one piece of bytes, for a place without a disk: a page, a module under node.
//!
//! Decides: the form: for each file the length of its path, the path (UTF-8, `/` between its parts), the length of its bytes, the bytes; lengths are 32 bits,
//! little-endian. A path that leaves the set, a doubled one and a length beyond the end refuse the whole. Trusts: nothing.
//! Out of scope: who packs (`.ci/wasm.py`, [`Packed::pack`]); what the files mean. docs/conformance.md, "In WebAssembly".

use super::place::{FILE_BYTES, Files, Place, below};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folders in folders that are packed: a set has four.
const DEPTH: usize = 8;

/// Files by their paths in the set.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Why bytes are no set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// They end inside a file.
    #[error("the set ends inside file {at}: it was cut off, or a length in it is wrong")]
    Short {
        /// Which one, from 0.
        at: usize,
    },
    /// A path.
    #[error("file {at} of the set is called {path:?}: wanted is a path below the set that no other file has")]
    Path {
        /// Which one, from 0.
        at: usize,
        /// Its name.
        path: String,
    },
}

impl Packed {
    /// Reads a set.
    pub fn read(mut bytes: &[u8]) -> Result<Self, PackedError> {
        let mut files = BTreeMap::new();
        while !bytes.is_empty() {
            let at = files.len();
            let short = || PackedError::Short { at };
            let name = part(&mut bytes).ok_or_else(short)?;
            let inside = part(&mut bytes).ok_or_else(short)?;
            let name = String::from_utf8_lossy(name);
            let path = below(&name).filter(|path| !files.contains_key(path));
            let path = path.ok_or_else(|| PackedError::Path { at, path: name.chars().take(80).collect() })?;
            files.insert(path, inside.to_vec());
        }
        Ok(Packed { files })
    }

    /// The files in and below a folder of this machine, as the bytes of a set. Of a file that is too long no more is packed than shows it.
    pub fn pack(folder: &Path) -> io::Result<Vec<u8>> {
        let (mut packed, mut open) = (Vec::new(), vec![PathBuf::new()]);
        let disk = |inside: &Path| Place::on_disk(&folder.join(inside));
        while let Some(inside) = open.pop() {
            for place in disk(&inside).entries().map_err(io::Error::other)? {
                let path = inside.join(place.name());
                if place.is_dir() && path.components().count() < DEPTH {
                    open.push(path);
                } else if place.is_file() {
                    let bytes = place.read().map_err(io::Error::other)?;
                    put(&mut packed, path.to_str().ok_or(io::ErrorKind::InvalidFilename)?.as_bytes())?;
                    put(&mut packed, &bytes)?;
                }
            }
        }
        Ok(packed)
    }

    /// The set's own folder.
    pub fn place(self) -> Place {
        Place::new(Arc::new(self), PathBuf::new())
    }

    /// Paths below a folder.
    fn inside<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        let from = self.files.range::<Path, _>((Bound::Included(folder), Bound::Unbounded)).map(|(path, _)| path.as_path());
        from.take_while(move |path| path.starts_with(folder)).filter(move |path| *path != folder)
    }
}

fn put(packed: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    packed.extend_from_slice(&len.to_le_bytes());
    packed.extend_from_slice(bytes);
    Ok(())
}

/// What follows the length that stands here.
fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    *bytes = rest;
    Some(part)
}

impl Files for Packed {
    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.inside(path).next().is_some()
    }

    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
        let parts = folder.components().count();
        let entry = |path: &Path| path.components().take(parts.saturating_add(1)).collect::<PathBuf>();
        let entries: BTreeSet<PathBuf> = self.inside(folder).map(entry).collect();
        if entries.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(entries.into_iter().take(most).collect())
    }

    fn read(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let bytes = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.get(..most.min(FILE_BYTES.saturating_add(1))).unwrap_or(bytes).to_vec())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut packed = Vec::new();
        for (path, bytes) in files {
            put(&mut packed, path.as_bytes()).unwrap();
            put(&mut packed, bytes).unwrap();
        }
        packed
    }

    #[test]
    fn a_set_is_a_folder() {
        let packed = Packed::read(&set(&[("a/b/c", b"1"), ("a/b.d", b"2"), ("a/B2/e", b""), ("f", b"3")])).unwrap();
        let list =
            |folder: &str| packed.list(Path::new(folder), 9).map(|paths| paths.iter().map(|path| path.display().to_string()).collect());
        assert_eq!(list("").unwrap(), vec!["a".to_owned(), "f".to_owned()]);
        assert_eq!(list("a").unwrap(), vec!["a/B2".to_owned(), "a/b".to_owned(), "a/b.d".to_owned()]);
        assert_eq!(list("a/b").unwrap(), vec!["a/b/c".to_owned()]);
        assert!(list("a/b/c").map(|_: Vec<String>| ()).is_err() && list("g").map(|_: Vec<String>| ()).is_err());
        assert!(packed.is_dir(Path::new("a/b")) && !packed.is_file(Path::new("a/b")) && !packed.is_dir(Path::new("f")));
        assert_eq!((packed.read(Path::new("a/b.d"), 9).unwrap(), packed.read(Path::new("f"), 0).unwrap()), (b"2".to_vec(), Vec::new()));
        let place = packed.place();
        assert_eq!(place.join("a/B/x").around("k").len(), 8);
        assert_eq!(place.join("a").named("B.D").unwrap().read().unwrap(), b"2");
        assert!(place.join("a/b").read().is_err());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let whole = set(&[("a", b"12"), ("b", b"3")]);
        for cut in (1..whole.len()).filter(|cut| *cut != 11) {
            let (at, error) = (usize::from(cut > 11), Packed::read(&whole[..cut]).unwrap_err());
            assert_eq!(error, PackedError::Short { at }, "{cut}");
        }
        for bad in ["", "/a", "../a", "a/../b"] {
            assert!(matches!(Packed::read(&set(&[(bad, b"1")])), Err(PackedError::Path { at: 0, .. })), "{bad}");
        }
        assert!(matches!(Packed::read(&set(&[("a", b"1"), ("a", b"1")])), Err(PackedError::Path { at: 1, .. })));
    }
}
