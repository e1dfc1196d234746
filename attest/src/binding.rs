//! What evidence is bound to, as the 64 bytes the hardware signs.
//!
//! Decides: the one way a [`Binding`] becomes `report_data`: cluster, epoch, role, incarnation, all three boot keys, boot configuration,
//! policy and the root over the sessions are hashed together, so evidence made for one purpose counts for no other.
//! Trusts: nothing. Out of scope: whether the values are the right ones (`session.rs`). Protocol section 2.2, last paragraph.

use ringwall_wire::codec::{Field as _, enc};
use ringwall_wire::evidence::Binding;
use ringwall_wire::label::Label;
use sha2::{Digest as _, Sha512};

/// SHA-512 over `enc("report", cluster_id, epoch, role, incarnation, noise, sig, kem, boot_config, policy, batch_root)`.
pub fn report_data(binding: &Binding) -> [u8; 64] {
    let bytes = enc(
        Label::Report,
        &[
            &binding.cluster_id.to_bytes(),
            &binding.epoch.to_bytes(),
            &binding.role.to_bytes(),
            &binding.incarnation.to_bytes(),
            &binding.keys.noise.to_bytes(),
            &binding.keys.sig.to_bytes(),
            &binding.keys.kem.to_bytes(),
            &binding.boot_config.to_bytes(),
            &binding.policy.to_bytes(),
            &binding.batch_root.to_bytes(),
        ],
    );
    Sha512::digest(bytes).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_wire::ids::{Epoch, Incarnation};
    use ringwall_wire::sample::{Sample as _, Source};

    #[test]
    fn every_field_changes_the_report_data() {
        let mut source = Source::new(7);
        let base = Binding::sample(&mut source);
        let bytes = base.to_bytes();
        let reference = report_data(&base);
        assert_eq!(reference, report_data(&Binding::from_bytes(&bytes).unwrap()));
        let mut changed = 0;
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            // a changed role byte may be no role at all
            if let Ok(other) = Binding::from_bytes(&other) {
                assert_ne!(reference, report_data(&other), "byte {at} does not count");
                changed += 1;
            }
        }
        assert!(changed >= bytes.len() - 1);
    }

    #[test]
    fn neighbouring_integers_do_not_run_together() {
        let mut source = Source::new(9);
        let base = Binding::sample(&mut source);
        let one = Binding { epoch: Epoch(1), incarnation: Incarnation(0), ..base.clone() };
        let other = Binding { epoch: Epoch(0), incarnation: Incarnation(1), ..base };
        assert_ne!(report_data(&one), report_data(&other));
    }
}
