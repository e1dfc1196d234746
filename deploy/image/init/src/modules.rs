//! Which kernel modules are loaded, and that none is afterwards.
//!
//! Decides: the modules the image lists are loaded in its order; then the kernel is told to load no more, which nothing can take back before a restart.
//! Trusts: the image (it is measured); the kernel, which besides refuses modules without Debian's signature. Out of scope: which modules are listed
//! (`build.py`).

use crate::fault::{Fault, fault};
use rustix::io::Errno;
use rustix::system::init_module;
use std::fs;

/// The list: one file name a line, in the order they are needed; `?` before a name: a driver for hardware that may not be there.
const LIST: &str = "/etc/ringwall/modules";
const FOLDER: &str = "/lib/modules";
const FIX: &str = "build the image again with the kernel package it was pinned to";

/// One line of the list.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    file: &'a str,
    optional: bool,
}

fn lines(list: &str) -> impl Iterator<Item = Line<'_>> {
    list.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| match line.strip_prefix('?') {
        Some(file) => Line { file, optional: true },
        None => Line { file: line, optional: false },
    })
}

/// Loads the modules of the image; returns the files of those whose hardware is missing.
pub(crate) fn load() -> Result<Vec<String>, Fault> {
    let list = fs::read_to_string(LIST).map_err(fault(LIST, FIX))?;
    let mut absent = Vec::new();
    for Line { file, optional } in lines(&list) {
        let image = fs::read(format!("{FOLDER}/{file}")).map_err(fault(format!("module {file}"), FIX))?;
        match init_module(&image, c"") {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::NODEV) if optional => absent.push(file.to_owned()),
            Err(cause) => return Err(fault(format!("module {file}"), FIX)(cause)),
        }
    }
    Ok(absent)
}

/// No module is loaded from now on.
pub(crate) fn close() -> Result<(), Fault> {
    fs::write("/proc/sys/kernel/modules_disabled", "1").map_err(fault("closing the kernel to modules", FIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_its_order() {
        let read: Vec<_> = lines("virtio_net.ko\n?sev-guest.ko\n\n").collect();
        assert_eq!(read, [Line { file: "virtio_net.ko", optional: false }, Line { file: "sev-guest.ko", optional: true }]);
    }
}
