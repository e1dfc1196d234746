//! AMD's server products: how a CPU and a certificate name them, and how each lays out firmware versions.
//!
//! Decides: the closed table of products this program knows; anything else, later generations included, is a typed refusal before any
//! signature is looked at, because a wrong layout reads one component's version as another's.
//! Trusts: nothing. Source: AMD SEV-SNP ABI, tables of TCB_VERSION; processor revision guides. Protocol section 1.2, A10.

use crate::error::{TcbKind, VerifyError};
use alloc::string::ToString as _;
use ringwall_wire::policy::{SnpProduct, SnpTcb};

/// The product of a CPU family and model (both as CPUID combines them).
pub(crate) fn of_cpu(family: u8, model: u8) -> Result<SnpProduct, VerifyError> {
    match (family, model) {
        (0x19, 0x00..=0x0f) => Ok(SnpProduct::Milan),
        // 0xa0..=0xaf: Bergamo and Siena, which AMD certifies under the Genoa root
        (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Ok(SnpProduct::Genoa),
        (0x1a, 0x00..=0x1f) => Ok(SnpProduct::Turin),
        _ => Err(VerifyError::ProductUnknown { family, model }),
    }
}

/// The product a certificate names: `Milan-B0`, `Genoa`, `Turin`.
pub(crate) fn of_name(name: &str) -> Result<SnpProduct, VerifyError> {
    let (base, stepping) = name.split_once('-').unwrap_or((name, "A0"));
    let stepping_ok = (1..=4).contains(&stepping.len()) && stepping.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match base {
        "Milan" if stepping_ok => Ok(SnpProduct::Milan),
        "Genoa" if stepping_ok => Ok(SnpProduct::Genoa),
        "Turin" if stepping_ok => Ok(SnpProduct::Turin),
        _ => Err(VerifyError::ProductName { name: name.to_string() }),
    }
}

/// The name in AMD's certificates of a product.
pub(crate) fn name(product: SnpProduct) -> &'static str {
    match product {
        SnpProduct::Milan => "Milan",
        SnpProduct::Genoa => "Genoa",
        SnpProduct::Turin => "Turin",
    }
}

/// Bytes of the hwID extension that name the chip; the rest of CHIP_ID is zero.
pub(crate) fn hardware_id_bytes(product: SnpProduct) -> usize {
    match product {
        SnpProduct::Milan | SnpProduct::Genoa => 64,
        SnpProduct::Turin => 8,
    }
}

/// Splits a raw TCB version by the product's layout; reserved bytes must be zero.
pub(crate) fn decode_tcb(product: SnpProduct, which: TcbKind, raw: u64) -> Result<SnpTcb, VerifyError> {
    match (product, raw.to_le_bytes()) {
        (SnpProduct::Milan | SnpProduct::Genoa, [boot_loader, tee, 0, 0, 0, 0, snp, microcode]) => {
            Ok(SnpTcb { fmc: 0, boot_loader, tee, snp, microcode })
        }
        (SnpProduct::Turin, [fmc, boot_loader, tee, snp, 0, 0, 0, microcode]) => Ok(SnpTcb { fmc, boot_loader, tee, snp, microcode }),
        _ => Err(VerifyError::TcbReserved { which, raw, product }),
    }
}

/// A TCB version in the product's raw layout: what [`decode_tcb`] splits.
pub(crate) fn encode_tcb(product: SnpProduct, tcb: &SnpTcb) -> u64 {
    let SnpTcb { fmc, boot_loader, tee, snp, microcode } = *tcb;
    u64::from_le_bytes(match product {
        SnpProduct::Milan | SnpProduct::Genoa => [boot_loader, tee, 0, 0, 0, 0, snp, microcode],
        SnpProduct::Turin => [fmc, boot_loader, tee, snp, 0, 0, 0, microcode],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_and_model_is_a_product_or_a_typed_refusal() {
        let mut known = 0;
        for family in 0..=u8::MAX {
            for model in 0..=u8::MAX {
                match of_cpu(family, model) {
                    Ok(_) => known += 1,
                    Err(error) => assert_eq!(error, VerifyError::ProductUnknown { family, model }),
                }
            }
        }
        assert_eq!(known, 16 + 32 + 32);
        // Venice, which panics another verifier
        for model in [0x50, 0x57, 0x90, 0xaf, 0xc0, 0xc7] {
            assert_eq!(of_cpu(0x1a, model), Err(VerifyError::ProductUnknown { family: 0x1a, model }));
        }
    }

    #[test]
    fn product_names() {
        assert_eq!(of_name("Milan-B0"), Ok(SnpProduct::Milan));
        assert_eq!(of_name("Genoa"), Ok(SnpProduct::Genoa));
        for name in ["Venice", "milan", "Milan-", "Milan-B0-B1", "MilanX", "", "Turin-\u{fc}"] {
            assert_eq!(of_name(name), Err(VerifyError::ProductName { name: name.to_string() }));
        }
    }

    #[test]
    fn layouts_differ_and_reserved_bytes_refuse() {
        let raw = u64::from_le_bytes([1, 2, 3, 4, 0, 0, 0, 9]);
        let turin = SnpTcb { fmc: 1, boot_loader: 2, tee: 3, snp: 4, microcode: 9 };
        assert_eq!(decode_tcb(SnpProduct::Turin, TcbKind::Launch, raw), Ok(turin));
        assert_eq!(encode_tcb(SnpProduct::Turin, &turin), raw);
        assert_eq!(
            decode_tcb(SnpProduct::Genoa, TcbKind::Launch, raw),
            Err(VerifyError::TcbReserved { which: TcbKind::Launch, raw, product: SnpProduct::Genoa })
        );
        let raw = u64::from_le_bytes([1, 2, 0, 0, 0, 0, 8, 9]);
        let genoa = SnpTcb { fmc: 0, boot_loader: 1, tee: 2, snp: 8, microcode: 9 };
        assert_eq!(decode_tcb(SnpProduct::Genoa, TcbKind::Current, raw), Ok(genoa));
        assert_eq!((encode_tcb(SnpProduct::Genoa, &genoa), encode_tcb(SnpProduct::Milan, &genoa)), (raw, raw));
        assert!(decode_tcb(SnpProduct::Turin, TcbKind::Current, raw).is_err());
    }
}
