//! Where the software TEE meets the verifier: the roots it asks to be judged by, and the trait nodes collect evidence through.
//!
//! Decides: which roots a simulated trust domain pins. Trusts: nothing.
//! Out of scope: what is minted (`tee`). Protocol section 0, decision 8; style rule 4.

use crate::tee::SimTee;
use crate::{amd, intel};
use ringwall_attest::{Anchors, Attester, CollectError};
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::Vendor;

/// The simulated roots: one ARK for each product, one Intel root.
pub fn anchors() -> Anchors {
    let amd = amd::PRODUCTS.iter().map(|product| (*product, amd::ark(*product).to_vec())).collect();
    Anchors { amd, intel_root: intel::service().root_der() }
}

/// A stranger's roots with the same names: evidence told with [`Lie::ForeignRoot`](crate::Lie::ForeignRoot) is genuine under these alone.
pub fn foreign_anchors() -> Anchors {
    let amd = amd::PRODUCTS.iter().map(|product| (*product, amd::foreign_ark(*product).to_vec())).collect();
    Anchors { amd, intel_root: intel::foreign().root_der() }
}

impl Attester for SimTee {
    fn vendor(&self) -> Vendor {
        SimTee::vendor(self)
    }
    fn evidence(&self, report_data: &[u8; 64]) -> Result<Evidence, CollectError> {
        Ok(self.mint(report_data))
    }
    fn endorsements(&self) -> Result<Endorsements, CollectError> {
        Ok(self.endorse())
    }
}
