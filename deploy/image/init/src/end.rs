//! The end of a machine: the node has ended, and this program is process 1 once more.
//!
//! Decides: what was written is on the disk and its file system is closed, within a bounded time; then the machine stops (it starts anew where its host lets
//! it). No power is needed for it that the node did not have: the kernel does it itself when it is asked (`/proc/sysrq-trigger`).
//! Trusts: the kernel. Out of scope: how a node ends, and that it becomes this program (`ringwalld`); a node that is killed never comes here, and the kernel
//! stops the machine.

use crate::fault::{Fault, fault};
use crate::say;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// The first argument of this program when a node has ended; its exit code is the second.
pub(crate) const ENDED: &str = "ended";
const ASK: &str = "/proc/sysrq-trigger";
const CLOSE_DISKS: &str = "u";
const STOP: &str = "b";
/// How often, and how long each time, the disk is looked at: five seconds in all.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);
/// How long the console gets to say the last words.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Closes the disk and stops the machine; returns only when the kernel does not.
pub(crate) fn end(code: &str, data: &str) -> Fault {
    say(&format!("the node ended with code {code}"));
    rustix::fs::sync();
    say(match closed(data) {
        Ok(true) => "the disk is written and closed; this machine stops",
        Ok(false) => "the disk is written, and was not closed in time; this machine stops",
        Err(_) => "the disk is written, and cannot be closed; this machine stops",
    });
    sleep(LAST_WORDS);
    let cause = fs::write(ASK, STOP).map_or_else(|cause| cause.to_string(), |()| "nothing happens".into());
    fault("stopping the machine", "stop it from outside")(cause)
}

/// Has the kernel make all disks read-only, and waits until the data disk is.
fn closed(data: &str) -> std::io::Result<bool> {
    fs::write(ASK, CLOSE_DISKS)?;
    for _ in 0..LOOKS {
        if is_closed(&fs::read_to_string("/proc/self/mounts")?, data) {
            return Ok(true);
        }
        sleep(PAUSE);
    }
    Ok(false)
}

/// Whether nothing is mounted there that could still be written.
fn is_closed(mounts: &str, data: &str) -> bool {
    let at = |line: &&str| line.split(' ').nth(1) == Some(data);
    mounts.lines().filter(at).all(|line| line.split(' ').nth(3).is_some_and(|options| options.split(',').any(|option| option == "ro")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_closed_when_it_is_read_only_or_not_there() {
        let mounts = |options: &str| format!("proc /proc proc rw,nosuid 0 0\n/dev/vda /data ext4 {options} 0 0\n");
        assert!(is_closed(&mounts("ro,nosuid,nodev,errors=panic"), "/data"));
        assert!(!is_closed(&mounts("rw,nosuid,nodev,errors=remount-ro"), "/data"));
        assert!(is_closed("proc /proc proc rw 0 0\n", "/data"));
        assert!(!is_closed("/dev/vda /data\n", "/data"));
    }
}
