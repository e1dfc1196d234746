//! What the process gives up at its start: core dumps, and being read by others of the same user.
//!
//! Decides: core limits are 0 and the process is not dumpable before any key exists, so a crash writes no memory to disk.
//! Trusts: the guest kernel. Out of scope: swap (the guest image has none). Protocol section 1.2, S2.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Why the process could not protect its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process cannot {what}: {why}; a node makes no keys without it")]
pub struct HardeningError {
    /// What was tried.
    what: &'static str,
    /// What the kernel said.
    why: rustix::io::Errno,
}

/// Switches core dumps off and makes the process not dumpable, for good.
pub fn protect_memory() -> Result<(), HardeningError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|why| HardeningError { what: "set its core dump limit to 0", why })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|why| HardeningError { what: "make itself not dumpable", why })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn afterwards_the_kernel_says_so() {
        protect_memory().unwrap();
        let limit = rustix::process::getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
