//! Through which sockets a process can be spoken to, as root sees it in `/proc`.
//!
//! Decides: a surface is a UDP socket, a TCP socket that listens, or a named Unix socket. Trusts: the kernel.
//! Out of scope: what is said over them.

use std::collections::BTreeMap;
use std::io::{Error, Result};

/// Kinds of sockets that others can send to, and how many of each `pid` has.
pub fn surfaces(pid: u32) -> Result<BTreeMap<&'static str, usize>> {
    let mut inodes = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A descriptor may close between the listing and the reading.
        let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
        let text = target.to_string_lossy();
        inodes.extend(text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned));
    }
    if inodes.is_empty() {
        return Err(Error::other(format!("process {pid} has no socket at all, or it may not be looked at")));
    }
    let mut found = BTreeMap::new();
    for kind in ["udp", "udp6", "tcp", "tcp6", "raw", "raw6", "packet", "unix"] {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{kind}")).unwrap_or_default();
        let open = table.lines().skip(1).filter(|line| offers(kind, line, &inodes)).count();
        if open > 0 {
            *found.entry(kind).or_insert(0) += open;
        }
    }
    Ok(found)
}

/// Whether the line of a kernel table is a socket of these inodes that others can send to.
fn offers(kind: &str, line: &str, inodes: &[String]) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let at = |place: usize| fields.get(place).copied().unwrap_or_default();
    let own = |inode: &str| inodes.iter().any(|own| own == inode);
    match kind {
        "unix" => own(at(6)) && fields.len() > 7,
        "packet" => own(at(8)),
        // State 0A listens.
        "tcp" | "tcp6" => own(at(9)) && at(3) == "0A",
        _ => own(at(9)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sockets_of_this_process_are_told_apart() {
        let _udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _pair = std::os::unix::net::UnixStream::pair().unwrap();
        let found = surfaces(std::process::id()).unwrap();
        assert!(found["udp"] >= 1 && found["tcp"] >= 1, "{found:?}");
        assert!(!found.contains_key("unix"), "a pair without a name is no surface: {found:?}");
        drop(listener);
    }
}
