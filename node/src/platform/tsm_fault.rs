//! What can go wrong between this program and the kernel's report folder, with cause and fix.
//!
//! Decides: the words for every error number the drivers are known to answer with, which of them may pass by themselves, and what each
//! means for whoever asked for evidence.
//! Trusts: nothing. Out of scope: retrying (`tsm`). Source: Linux `drivers/virt/coco/sev-guest/sev-guest.c`,
//! `drivers/virt/coco/tdx-guest/tdx-guest.c`, `drivers/virt/coco/guest/report.c`.

use super::PlatformError;
use ringwall_attest::CollectError;
use rustix::io::Errno;
use std::io;

/// Milliseconds to wait before a busy platform is asked again: what Linux waits itself when a host throttles (`SNP_REQ_RETRY_DELAY`).
pub const RETRY_AFTER_MS: u64 = 2_000;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Making an entry.
    Make,
    /// Writing an attribute.
    Write,
    /// Reading an attribute.
    Read,
}

impl core::fmt::Display for Doing {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Doing::Make => "made",
            Doing::Write => "written",
            Doing::Read => "read",
        })
    }
}

/// Why the kernel gave no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TsmError {
    /// The system refused.
    #[error("{place} cannot be {doing}: {cause} (error {errno}); {fix}")]
    Refused {
        /// Path.
        place: String,
        /// What was tried.
        doing: Doing,
        /// The system's number.
        errno: i32,
        /// What it means here.
        cause: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// Another request is under way.
    #[error("{place} is busy with another request")]
    Busy {
        /// Path.
        place: String,
    },
    /// Somebody else writes to the entry, or the kernel lost a write.
    #[error(
        "{place} was used by somebody else in each of {tries} tries (generation {found}, expected {expected}); give this program an entry \
         of its own, and look for other programs that write to it"
    )]
    Disturbed {
        /// Path.
        place: String,
        /// Tries.
        tries: u32,
        /// Generation after our writes alone.
        expected: u64,
        /// Generation there was.
        found: u64,
    },
    /// An attribute holds more than anybody needs.
    #[error("{place} holds more than {limit} bytes; update this program or the guest's kernel, whichever is older")]
    TooLong {
        /// Path.
        place: String,
        /// Bytes.
        limit: usize,
    },
    /// There is no evidence in the answer.
    #[error("{place} is empty; update the guest's kernel, old ones hide a failed request")]
    Empty {
        /// Path.
        place: String,
    },
    /// An attribute holds something else than it should.
    #[error("{place} says {text:?}, expected {expected}; is it the kernel's report folder?")]
    Unreadable {
        /// Path.
        place: String,
        /// What it says.
        text: String,
        /// What it should.
        expected: &'static str,
    },
    /// A write was cut short.
    #[error("{place} took {taken} of {len} bytes; is it the kernel's report folder?")]
    Short {
        /// Path.
        place: String,
        /// Bytes.
        taken: usize,
        /// Bytes.
        len: usize,
    },
}

impl TsmError {
    /// What the system's `fault` means at `place`.
    pub fn of(doing: Doing, place: String, fault: &io::Error) -> Self {
        let errno = Errno::from_io_error(fault).unwrap_or(Errno::IO);
        if doing != Doing::Make && [Errno::BUSY, Errno::AGAIN].contains(&errno) {
            return TsmError::Busy { place };
        }
        let (cause, fix) = words(doing, errno);
        TsmError::Refused { place, doing, errno: errno.raw_os_error(), cause, fix }
    }

    /// Whether the same request may succeed a moment later.
    pub fn may_pass(&self) -> bool {
        matches!(self, TsmError::Busy { .. } | TsmError::Disturbed { .. })
    }
}

impl From<TsmError> for CollectError {
    fn from(fault: TsmError) -> Self {
        let reason = fault.to_string();
        match fault {
            TsmError::Busy { .. } => CollectError::Throttled { retry_after_ms: RETRY_AFTER_MS },
            TsmError::Refused { .. } | TsmError::Disturbed { .. } => CollectError::Unavailable { reason },
            TsmError::TooLong { .. } | TsmError::Empty { .. } => CollectError::Malformed { reason },
            TsmError::Unreadable { .. } | TsmError::Short { .. } => CollectError::Malformed { reason },
        }
    }
}

impl From<TsmError> for PlatformError {
    fn from(fault: TsmError) -> Self {
        PlatformError::Unusable { reason: fault.to_string() }
    }
}

/// Cause and fix of an error number.
fn words(doing: Doing, errno: Errno) -> (&'static str, &'static str) {
    match (doing, errno) {
        (_, Errno::ACCESS | Errno::PERM) => ("this process may not", "run it as root: the kernel lets nobody else make reports"),
        (_, Errno::ROFS) => ("it is mounted read-only", "mount configfs read-write at /sys/kernel/config"),
        (Doing::Make, Errno::NOENT) => (
            "the kernel has no report folder",
            "mount configfs, and load tsm_report, sev-guest or tdx-guest (CONFIG_TSM_REPORTS, Linux 6.7 or newer)",
        ),
        (Doing::Make, Errno::NXIO) => {
            ("no driver answers for reports", "load sev-guest (AMD) or tdx-guest (Intel); neither loads outside a confidential VM")
        }
        (_, Errno::NOENT) => ("it is not there", "was the entry removed, or is this not the kernel's report folder? start the node again"),
        (_, Errno::NOTTY | Errno::NODEV) => (
            "the driver is gone, or gave up its key to the firmware after a failed request",
            "look for \"VMPCK\" in the kernel's log; only a reboot of the guest helps",
        ),
        (Doing::Write, Errno::INVAL) => ("the driver does not take this value", "update the guest's kernel"),
        (_, Errno::INVAL | Errno::NXIO) => {
            ("the firmware refused the request", "update the host's firmware; a guest below a paravisor cannot ask for reports of level 0")
        }
        (_, Errno::IO) => (
            "the host or its firmware failed",
            "AMD: look at the guest kernel's log. Intel: does the host run a quote generation service, and may the VMM reach it?",
        ),
        (_, Errno::TIMEDOUT) => (
            "the host did not answer in time",
            "AMD: the host throttled the guest for a minute, and only a reboot of the guest helps. Intel: the host's quote generation service \
             does not answer",
        ),
        (_, Errno::FBIG) => ("the evidence is longer than the kernel allows", "update the guest's kernel"),
        (_, Errno::NOMEM) => ("the kernel has no memory", "give the guest more memory"),
        (_, Errno::INTR) => ("signals kept interrupting it", "try again"),
        _ => ("the system refused it", "look at the guest kernel's log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(doing: Doing, errno: Errno) -> TsmError {
        TsmError::of(doing, "entry/outblob".to_owned(), &io::Error::from_raw_os_error(errno.raw_os_error()))
    }

    #[test]
    fn every_known_error_has_its_own_words() {
        let known = [
            (Doing::Make, Errno::ACCESS, "root"),
            (Doing::Make, Errno::NOENT, "CONFIG_TSM_REPORTS"),
            (Doing::Make, Errno::NXIO, "no driver"),
            (Doing::Make, Errno::ROFS, "read-only"),
            (Doing::Write, Errno::INVAL, "does not take this value"),
            (Doing::Read, Errno::INVAL, "firmware refused"),
            (Doing::Read, Errno::NOENT, "not there"),
            (Doing::Read, Errno::NOTTY, "VMPCK"),
            (Doing::Read, Errno::IO, "quote generation service"),
            (Doing::Read, Errno::TIMEDOUT, "throttled"),
            (Doing::Read, Errno::FBIG, "longer than the kernel allows"),
            (Doing::Read, Errno::NOMEM, "memory"),
        ];
        for (doing, errno, words) in known {
            let fault = met(doing, errno);
            let said = fault.to_string();
            assert!(said.contains(words) && said.contains("entry/outblob"), "{said}");
            assert!(said.contains(&format!("(error {})", errno.raw_os_error())), "{said}");
            assert!(!fault.may_pass());
            assert!(matches!(CollectError::from(fault), CollectError::Unavailable { .. }));
        }
    }

    #[test]
    fn a_busy_platform_asks_to_wait() {
        for errno in [Errno::BUSY, Errno::AGAIN] {
            let fault = met(Doing::Read, errno);
            assert!(fault.may_pass());
            assert_eq!(CollectError::from(fault), CollectError::Throttled { retry_after_ms: RETRY_AFTER_MS });
        }
        assert!(matches!(met(Doing::Make, Errno::BUSY), TsmError::Refused { .. }));
    }
}
