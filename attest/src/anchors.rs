//! The roots evidence must lead to.
//!
//! Decides: which vendor roots a release pins, byte for byte, and whether a root is one of them. A software TEE brings other anchors and is
//! judged by the same code; in the trust domain PRODUCTION only the roots compiled in here count (`appraise`).
//! Trusts: the files in attest/roots, whose SHA-256 the test below pins. Sources: AMD's key distribution service, Intel's provisioning service.
//! Protocol sections 0 (decision 8) and 2.2.

use alloc::vec;
use alloc::vec::Vec;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::SnpProduct;
use sha2::{Digest as _, Sha256};

const ARK_MILAN: &[u8] = include_bytes!("../roots/amd_ark_milan.der");
const ARK_GENOA: &[u8] = include_bytes!("../roots/amd_ark_genoa.der");
const ARK_TURIN: &[u8] = include_bytes!("../roots/amd_ark_turin.der");
const INTEL_ROOT: &[u8] = include_bytes!("../roots/intel_sgx_root.der");

/// Roots of trust: one AMD root for each product, one Intel root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchors {
    /// AMD's root certificates (ARK), DER, by product.
    pub amd: Vec<(SnpProduct, Vec<u8>)>,
    /// Intel's SGX root certificate, DER.
    pub intel_root: Vec<u8>,
}

impl Anchors {
    /// The vendors' own roots, compiled in.
    pub fn production() -> Self {
        Anchors {
            amd: vec![
                (SnpProduct::Milan, ARK_MILAN.to_vec()),
                (SnpProduct::Genoa, ARK_GENOA.to_vec()),
                (SnpProduct::Turin, ARK_TURIN.to_vec()),
            ],
            intel_root: INTEL_ROOT.to_vec(),
        }
    }

    /// The root of `product`, if one is pinned.
    pub(crate) fn ark(&self, product: SnpProduct) -> Option<&[u8]> {
        self.amd.iter().find(|(of, _)| *of == product).map(|(_, der)| der.as_slice())
    }
}

/// SHA-256 of a root certificate: how claims name the root they lead to.
pub(crate) fn root_digest(der: &[u8]) -> Digest {
    Digest(Sha256::digest(der).into())
}

/// Whether a root is one of the vendors' own.
pub(crate) fn is_production_root(root: &Digest) -> bool {
    [ARK_MILAN, ARK_GENOA, ARK_TURIN, INTEL_ROOT].iter().any(|der| root_digest(der) == *root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn the_compiled_in_roots_are_these_exact_bytes() {
        let found: Vec<_> = [ARK_MILAN, ARK_GENOA, ARK_TURIN, INTEL_ROOT].iter().map(|der| root_digest(der).to_string()).collect();
        assert_eq!(
            found,
            [
                "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
                "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
                "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
                "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
            ]
        );
    }
}
