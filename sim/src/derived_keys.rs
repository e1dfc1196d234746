//! Derived keys of a simulated chip: what MSG_KEY_REQ would give a guest.
//!
//! Decides: which facts go into a key (the chip's secret and HOST_DATA and the ID key always, the others as the mask says), and that values
//! above the guest's own are refused, as AMD's firmware does. Intel's simulated machines have none.
//! Trusts: nothing; the chip's secret derives from its name. Out of scope: the interface (`ringwall_node::platform::derived_keys`).

use crate::mint_snp;
use crate::profile::Platform;
use crate::seed;
use crate::tee::SimTee;
use ringwall_node::platform::derived_keys::{DerivedKeyError, DerivedKeys, KeyFields};
use ringwall_wire::ids::Vendor;
use ringwall_wire::secret::Secret;

/// STATUS of MSG_KEY_RSP for a request above what the guest has.
const INVALID_PARAMETERS: u32 = 0x16;
/// Highest privilege level number.
const VMPL_MAX: u32 = 3;

impl DerivedKeys for SimTee {
    fn derive(&self, fields: KeyFields) -> Result<Secret<32>, DerivedKeyError> {
        let profile = self.profile();
        let Platform::Snp(product) = profile.platform else {
            return Err(DerivedKeyError::NoneHere { vendor: Vendor::Intel });
        };
        let guest = mint_snp::report(profile, product, &[0; 64]);
        let svn = fields.guest_svn.unwrap_or(0);
        let tcb = fields.tcb_version.unwrap_or(0).to_le_bytes();
        let tcb_reached = tcb.iter().zip(guest.committed_tcb).all(|(asked, committed)| *asked <= committed);
        if svn > guest.guest_svn || !tcb_reached || !(guest.vmpl..=VMPL_MAX).contains(&fields.vmpl) {
            return Err(DerivedKeyError::Refused { status: INVALID_PARAMETERS });
        }
        let chip: [u8; 64] = seed::bytes(&[b"snp chip secret", format!("{product:?}").as_bytes(), profile.chip_name.as_bytes()]);
        let mixed = |chosen: bool, field: &[u8]| if chosen { field.to_vec() } else { Vec::new() };
        Ok(Secret::new(seed::bytes(&[
            b"derived key",
            &chip,
            &fields.select().to_le_bytes(),
            &fields.vmpl.to_le_bytes(),
            &guest.host_data,
            &guest.id_key_digest,
            &mixed(fields.policy, &guest.policy.to_le_bytes()),
            &mixed(fields.image_id, &guest.image_id),
            &mixed(fields.family_id, &guest.family_id),
            &mixed(fields.measurement, &guest.measurement),
            &svn.to_le_bytes(),
            &tcb,
        ])))
    }
}
