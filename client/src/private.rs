//! Files for their owner alone.
//!
//! Decides: what is made here others can neither read nor write (mode 0600); a name that was given is on stable storage once its folder was synced.
//! Trusts: the file system, for both. Out of scope: files that were there before, whose mode whoever reads them looks at (`seed_file.rs`, `custodian/home.rs`).

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// How a file that may be made is opened.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Syncs the folder of `path`.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_new_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made");
        let file = private().write(true).create_new(true).open(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        sync_folder(&path).unwrap();
    }
}
