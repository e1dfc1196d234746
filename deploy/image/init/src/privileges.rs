//! What the one process keeps of root's powers.
//!
//! Decides: the bounding set, and that no program it might start gains any. Trusts: the kernel.
//! Out of scope: what the process does to itself later (core dumps, dumpability: `ringwalld`).

use crate::fault::{Fault, fault};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs};

/// Files of the data disk whatever owner they have, memory that stays where it is, limits, ports below 1024.
const KEPT: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::IPC_LOCK).union(CapabilitySet::SYS_RESOURCE).union(CapabilitySet::NET_BIND_SERVICE);
/// Capabilities a kernel may have: one bit each.
const CAPABILITIES: u32 = 64;

/// Gives up everything else, for good.
pub(crate) fn drop_others() -> Result<(), Fault> {
    for bit in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if KEPT.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel has no more of them.
            Err(Errno::INVAL) => break,
            Err(cause) => return Err(fault(format!("giving up capability {bit}"), "this program has to be the first process")(cause)),
        }
    }
    set_no_new_privs(true).map_err(fault("giving up new privileges", "use the kernel the image was pinned to"))
}
