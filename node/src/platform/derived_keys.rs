//! Keys that a chip derives for one guest: the interface, and which facts of the guest go into them.
//!
//! Decides: which fields a caller may mix in, in AMD's words; that the key comes from the chip's own secret and never from one shared by a
//! provider's chips; that a platform without such keys says so.
//! Trusts: the firmware. Out of scope: what such a key wraps (one more copy of the master keys, where the policy says so: `chip_keys`,
//! protocol section 6.3); talking to the device (`sev_guest`).
//! Source: AMD SEV-SNP ABI (56860), MSG_KEY_REQ and GUEST_FIELD_SELECT; evidence notes section 2.1. Protocol section 0, decision 8.

use ringwall_wire::ids::Vendor;
use ringwall_wire::secret::Secret;

/// What is mixed into a derived key besides the chip's secret. The firmware always mixes HOST_DATA and the ID key, so two guests with other
/// boot configurations never share a key. Nothing else is mixed by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFields {
    /// The guest policy (bit 0).
    pub policy: bool,
    /// IMAGE_ID of the ID block (bit 1).
    pub image_id: bool,
    /// FAMILY_ID of the ID block (bit 2).
    pub family_id: bool,
    /// The launch measurement (bit 3): another build, another key.
    pub measurement: bool,
    /// A guest security version (bit 4), at most the one of the ID block.
    pub guest_svn: Option<u32>,
    /// A TCB version in the raw layout of the product (bit 5), at most the committed one.
    pub tcb_version: Option<u64>,
    /// The privilege level the key is for (always mixed), at least the one this guest runs at.
    pub vmpl: u32,
}

impl KeyFields {
    /// GUEST_FIELD_SELECT. Bit 6, the launch mitigation vector, needs a longer message than Linux passes on.
    pub fn select(&self) -> u64 {
        let chosen = [self.policy, self.image_id, self.family_id, self.measurement, self.guest_svn.is_some(), self.tcb_version.is_some()];
        chosen.iter().rev().fold(0, |bits, chosen| bits << 1 | u64::from(*chosen))
    }
}

/// Derives keys only this chip can derive, for this guest.
pub trait DerivedKeys: Send + Sync {
    /// The key of these fields: the same for every call on the same chip in a guest with the same fields. Takes milliseconds to a minute.
    fn derive(&self, fields: KeyFields) -> Result<Secret<32>, DerivedKeyError>;
}

/// Why there is no derived key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerivedKeyError {
    /// The platform derives none.
    #[error("{vendor} platforms derive no keys for guests under Linux; use a wrap that needs none")]
    NoneHere {
        /// Whose platform.
        vendor: Vendor,
    },
    /// The device cannot be used.
    #[error("{device}: {cause}; run inside an SNP guest, as root, with the sev-guest driver loaded")]
    Device {
        /// Path.
        device: String,
        /// What the system said.
        cause: String,
    },
    /// The host or the firmware did not process the request.
    #[error(
        "the request for a derived key failed: error {errno}, host {host:#x}, firmware {firmware:#x}; look at the guest kernel's log (host 2: \
         it throttles)"
    )]
    Request {
        /// The system's number.
        errno: i32,
        /// What the host said.
        host: u32,
        /// What the firmware said.
        firmware: u32,
    },
    /// The firmware processed the request and refused it.
    #[error(
        "the firmware refuses to derive this key (status {status:#x}; 0x16: a field is above what this guest has, or the chip has no key of \
         this kind)"
    )]
    Refused {
        /// Status of MSG_KEY_RSP.
        status: u32,
    },
    /// The answer holds no key.
    #[error("the firmware gave 32 zero bytes, which is no key; update the host's firmware")]
    Zero,
}

/// A platform without derived keys.
#[derive(Clone, Copy, Debug)]
pub struct NoDerivedKeys(pub Vendor);

impl DerivedKeys for NoDerivedKeys {
    fn derive(&self, _fields: KeyFields) -> Result<Secret<32>, DerivedKeyError> {
        Err(DerivedKeyError::NoneHere { vendor: self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_amds_bit() {
        let none = KeyFields::default();
        let each = [
            KeyFields { policy: true, ..none },
            KeyFields { image_id: true, ..none },
            KeyFields { family_id: true, ..none },
            KeyFields { measurement: true, ..none },
            KeyFields { guest_svn: Some(0), ..none },
            KeyFields { tcb_version: Some(0), ..none },
        ];
        assert_eq!(none.select(), 0);
        assert_eq!(each.map(|fields| fields.select()), [1, 2, 4, 8, 16, 32]);
        assert_eq!(KeyFields { vmpl: 3, policy: true, tcb_version: Some(9), ..none }.select(), 33);
    }

    #[test]
    fn intel_says_that_it_has_none() {
        let refused = NoDerivedKeys(Vendor::Intel).derive(KeyFields::default());
        assert_eq!(refused, Err(DerivedKeyError::NoneHere { vendor: Vendor::Intel }));
    }
}
