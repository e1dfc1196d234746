//! Documents on disk, so that a restart needs no service and an outage of weeks goes unnoticed.
//!
//! Decides: one file a part, replaced as a whole (written beside, made durable, renamed, folder made durable), at most [`CACHE_FILES`] of them.
//! A file that is damaged, too large or about something else counts as absent; it is named in the log and never stops a node.
//! Trusts: nothing on the disk: the checksum finds damage, the vendors' signatures find everything else (`shelf` verifies what is loaded).
//! Whoever owns the disk can put back an older edition; the policy's floors are against that. Nothing here is secret. Out of scope: when to
//! fetch. Layout: docs/formats.md, "Endorsements on disk".

use super::document::{Document, DocumentError};
use super::limits::{CACHE_ENTRIES, CACHE_FILE_BYTES, CACHE_FILES};
use super::part::Part;
use super::source::{FetchError, Source};
use crate::folders;
use sha2::{Digest as _, Sha256};
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"RWE1";
const DIGEST_BYTES: usize = 32;
/// How files of the cache end.
pub const ENDING: &str = ".rwe";
/// How files that are being written end.
const UNFINISHED: &str = ".new";

/// A document and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which one.
    pub part: Part,
    /// What it says.
    pub document: Document,
    /// When a source last gave this edition, Unix seconds.
    pub fetched_s: u64,
}

/// Why a file is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("there is no such file")]
    Absent,
    /// The system refuses.
    #[error("it cannot be read: {reason}")]
    Unreadable {
        /// What it said.
        reason: String,
    },
    /// Larger than any.
    #[error("it has more than {max} bytes")]
    TooLarge {
        /// Limit.
        max: usize,
    },
    /// Not a file of this program, cut short, or changed.
    #[error("{what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Whole, and not a document.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

fn damaged(what: &'static str) -> FileError {
    FileError::Damaged { what }
}

/// A document as bytes of a file.
pub fn encode(kept: &Kept) -> Vec<u8> {
    let mut body = kept.fetched_s.to_be_bytes().to_vec();
    let name = kept.part.to_string();
    for field in [name.as_bytes(), kept.document.bytes(), kept.document.signature(), kept.document.chain()] {
        let len = u32::try_from(field.len()).expect("documents are far below 4 GiB");
        body.extend_from_slice(&len.to_be_bytes());
        body.extend_from_slice(field);
    }
    let mut file = MAGIC.to_vec();
    file.extend_from_slice(&Sha256::digest(&body));
    file.extend_from_slice(&body);
    file
}

/// The document in bytes of a file.
pub fn decode(file: &[u8]) -> Result<Kept, FileError> {
    if file.len() > CACHE_FILE_BYTES {
        return Err(FileError::TooLarge { max: CACHE_FILE_BYTES });
    }
    let rest = file.strip_prefix(MAGIC).ok_or(damaged("it is no file of endorsements (magic RWE1)"))?;
    let (digest, mut rest) = rest.split_at_checked(DIGEST_BYTES).ok_or(damaged("it ends early"))?;
    if Sha256::digest(rest).as_slice() != digest {
        return Err(damaged("its checksum does not fit: it was cut short or changed"));
    }
    let (fetched, tail) = rest.split_first_chunk::<8>().ok_or(damaged("it ends early"))?;
    rest = tail;
    let mut field = || {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let (field, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        rest = tail;
        Some(field)
    };
    let (Some(name), Some(bytes), Some(signature), Some(chain)) = (field(), field(), field(), field()) else {
        return Err(damaged("a field is longer than the file"));
    };
    if !rest.is_empty() {
        return Err(damaged("bytes are left after its last field"));
    }
    let name = core::str::from_utf8(name).ok().and_then(|name| name.parse::<Part>().ok());
    let part = name.ok_or(damaged("it is about a document this program does not know"))?;
    let document = Document::new(&part, bytes.to_vec(), signature.to_vec(), chain.to_vec())?;
    Ok(Kept { part, document, fetched_s: u64::from_be_bytes(*fetched) })
}

/// At most [`CACHE_FILE_BYTES`] of a file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, FileError> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => FileError::Absent,
        _ => FileError::Unreadable { reason: cause.to_string() },
    };
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(FileError::Unreadable { reason: "it is no regular file".to_owned() });
    }
    if about.len() > CACHE_FILE_BYTES as u64 {
        return Err(FileError::TooLarge { max: CACHE_FILE_BYTES });
    }
    let mut bytes = Vec::new();
    file.take(CACHE_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The folder, which is made when something is kept in it; removes what an interrupted write left.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        for name in names(&folder)?.into_iter().filter(|name| name.ends_with(UNFINISHED)) {
            std::fs::remove_file(folder.join(name))?;
        }
        Ok(Cache { folder })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, part: &Part) -> PathBuf {
        self.folder.join(format!("{part}{ENDING}"))
    }

    /// The document of this part, if a whole file of it is there.
    pub fn load(&self, part: &Part) -> Result<Kept, FileError> {
        let kept = decode(&read_file(&self.path(part))?)?;
        if kept.part == *part { Ok(kept) } else { Err(damaged("it has the name of another document")) }
    }

    /// Everything there is, by file name.
    pub fn list(&self) -> io::Result<Vec<(String, Result<Kept, FileError>)>> {
        let mut found: Vec<_> = names(&self.folder)?.into_iter().filter(|name| name.ends_with(ENDING)).collect();
        found.sort_unstable();
        let read = |name: &String| read_file(&self.folder.join(name)).and_then(|bytes| decode(&bytes));
        Ok(found.iter().map(|name| (name.clone(), read(name))).collect())
    }

    /// Replaces the file of this part; durable on return.
    pub fn save(&self, kept: &Kept) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let path = self.path(&kept.part);
        let beside = self.folder.join(format!("{}{ENDING}{UNFINISHED}", kept.part));
        folders::replace(folders::anew().mode(0o600), &beside, &path, &encode(kept))
    }

    /// Removes the file of this part.
    pub fn remove(&self, part: &Part) -> io::Result<()> {
        match std::fs::remove_file(self.path(part)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        }
    }

    /// Removes the longest untouched files above [`CACHE_FILES`], sparing the wanted ones.
    pub fn prune(&self, wanted: &[Part]) -> io::Result<()> {
        let spared: Vec<String> = wanted.iter().map(|part| format!("{part}{ENDING}")).collect();
        let mut files = Vec::new();
        for name in names(&self.folder)?.into_iter().filter(|name| name.ends_with(ENDING)) {
            let touched = std::fs::metadata(self.folder.join(&name))?.modified()?;
            files.push((spared.contains(&name), std::cmp::Reverse(touched), name));
        }
        files.sort_unstable_by(|a, b| (!a.0, &a.1).cmp(&(!b.0, &b.1)));
        for (_, _, name) in files.into_iter().skip(CACHE_FILES).filter(|(spared, _, _)| !spared) {
            std::fs::remove_file(self.folder.join(name))?;
        }
        Ok(())
    }
}

/// Names in a folder, none when it is not there, some of them when there are very many.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    for entry in entries.take(CACHE_ENTRIES) {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// A folder somebody else fills: for nodes without a way to the vendors. Files of the cache's own form, or plain DER where a document
/// is nothing else.
#[derive(Clone, Debug)]
pub struct Folder {
    folder: PathBuf,
}

impl Folder {
    /// This folder; it may be empty, and may be filled later.
    pub fn new(folder: PathBuf) -> Self {
        Folder { folder }
    }

    fn read(&self, part: &Part) -> Result<Document, (PathBuf, FileError)> {
        let whole = self.folder.join(format!("{part}{ENDING}"));
        match read_file(&whole).and_then(|bytes| decode(&bytes)) {
            Ok(kept) if kept.part == *part => Ok(kept.document),
            Ok(_) => Err((whole, damaged("it has the name of another document"))),
            Err(FileError::Absent) => {
                let plain = self.folder.join(format!("{part}.der"));
                let document = read_file(&plain).and_then(|bytes| Ok(Document::der(part, bytes)?));
                document.map_err(|fault| (plain, fault))
            }
            Err(fault) => Err((whole, fault)),
        }
    }
}

impl Source for Folder {
    fn fetch(&self, part: &Part) -> Result<Document, FetchError> {
        self.read(part).map_err(|(path, fault)| {
            let url = path.display().to_string();
            match fault {
                FileError::Absent => FetchError::NotServed {
                    part: part.to_string(),
                    source_name: self.name(),
                    fix: "copy a file of that name, ending in .rwe, into it (ringwalld endorsements fetch writes them)",
                },
                FileError::Document(cause) => FetchError::Document { url, cause },
                FileError::TooLarge { max } => FetchError::TooLarge { url, max },
                other => FetchError::Protocol { url, what: other.to_string() },
            }
        })
    }

    fn name(&self) -> String {
        format!("folder {}", self.folder.display())
    }
}
