//! One document of a vendor: what it is called, and what it must look like.
//!
//! Decides: the closed list of documents a node asks for, their names (in the cache, in logs, on the command line) and the size each may have.
//! A name leads to exactly one part and back.
//! Trusts: nothing. Out of scope: where a document comes from (`kds`, `pcs`), whether it is genuine (`shelf`). Sources: AMD 57230, Intel
//! PCS v4. Protocol section 2.2.

use core::fmt;
use core::str::FromStr;
use ringwall_attest::VekKind;
use ringwall_attest::subject::{PckCa, hardware_id_bytes};
use ringwall_wire::ids::Vendor;
use ringwall_wire::limits::{CERT_BYTES, COLLATERAL_JSON_BYTES, CRL_BYTES};
use ringwall_wire::policy::{ChipId, Fmspc, SnpProduct, SnpTcb};
use ringwall_wire::text::{hex, read_hex, read_hex_vec};

/// One document of a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// AMD's certificate for one chip and one firmware.
    AmdVcek {
        /// The product.
        product: SnpProduct,
        /// The chip.
        chip: ChipId,
        /// The firmware.
        tcb: SnpTcb,
    },
    /// AMD's certificate for a provider's key and one firmware: the host has it, AMD's service gives it to the provider alone.
    AmdVlek {
        /// The product.
        product: SnpProduct,
        /// The firmware.
        tcb: SnpTcb,
    },
    /// AMD's intermediate certificate: ASK for VCEKs, ASVK for VLEKs.
    AmdIntermediate {
        /// The product.
        product: SnpProduct,
        /// Whose issuer.
        kind: VekKind,
    },
    /// AMD's revocation list.
    AmdCrl {
        /// The product.
        product: SnpProduct,
    },
    /// Intel's word on the firmware of a platform family.
    IntelTcbInfo {
        /// The family.
        fmspc: Fmspc,
    },
    /// Intel's word on its quoting enclave.
    IntelQeIdentity,
    /// The revocation list of one of Intel's CAs for platforms.
    IntelPckCrl {
        /// The CA.
        ca: PckCa,
    },
    /// The revocation list of Intel's root.
    IntelRootCrl,
}

/// What a document looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A DER certificate.
    Cert,
    /// A DER revocation list.
    Crl,
    /// Signed JSON.
    Json,
}

impl Part {
    /// Who makes it.
    pub fn vendor(&self) -> Vendor {
        match self {
            Part::AmdVcek { .. } | Part::AmdVlek { .. } | Part::AmdIntermediate { .. } | Part::AmdCrl { .. } => Vendor::Amd,
            Part::IntelTcbInfo { .. } | Part::IntelQeIdentity | Part::IntelPckCrl { .. } | Part::IntelRootCrl => Vendor::Intel,
        }
    }

    /// What it looks like.
    pub fn form(&self) -> Form {
        match self {
            Part::AmdVcek { .. } | Part::AmdVlek { .. } | Part::AmdIntermediate { .. } => Form::Cert,
            Part::AmdCrl { .. } | Part::IntelPckCrl { .. } | Part::IntelRootCrl => Form::Crl,
            Part::IntelTcbInfo { .. } | Part::IntelQeIdentity => Form::Json,
        }
    }

    /// Bytes it may have: what an attestation answer has room for.
    pub fn limit(&self) -> usize {
        match self.form() {
            Form::Cert => CERT_BYTES,
            Form::Crl => CRL_BYTES,
            Form::Json => COLLATERAL_JSON_BYTES,
        }
    }

    /// Whether evidence can be verified without it. A missing list of AMD's is a matter for the policy.
    pub fn optional(&self) -> bool {
        matches!(self, Part::AmdCrl { .. })
    }
}

/// How names and AMD's addresses spell a product: lower-case here, capitalized there.
fn product_name(product: SnpProduct) -> &'static str {
    match product {
        SnpProduct::Milan => "milan",
        SnpProduct::Genoa => "genoa",
        SnpProduct::Turin => "turin",
    }
}

/// The product of that name.
pub(crate) fn product_named(name: &str) -> Option<SnpProduct> {
    [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin].into_iter().find(|product| product_name(*product) == name)
}

fn kind_name(kind: VekKind) -> &'static str {
    match kind {
        VekKind::Vcek => "ask",
        VekKind::Vlek => "asvk",
    }
}

/// How Intel's addresses spell a CA.
pub(crate) fn ca_name(ca: PckCa) -> &'static str {
    match ca {
        PckCa::Platform => "platform",
        PckCa::Processor => "processor",
    }
}

fn tcb_name(tcb: SnpTcb) -> String {
    hex(&[tcb.fmc, tcb.boot_loader, tcb.tee, tcb.snp, tcb.microcode])
}

fn tcb_named(name: &str) -> Option<SnpTcb> {
    let [fmc, boot_loader, tee, snp, microcode] = read_hex(name)?;
    Some(SnpTcb { fmc, boot_loader, tee, snp, microcode })
}

/// The bytes of a chip id that name the chip.
pub(crate) fn hardware_id(product: SnpProduct, chip: &ChipId) -> &[u8] {
    chip.0.split_at(hardware_id_bytes(product)).0
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::AmdVcek { product, chip, tcb } => {
                write!(out, "amd-{}-vcek-{}-{}", product_name(*product), hex(hardware_id(*product, chip)), tcb_name(*tcb))
            }
            Part::AmdVlek { product, tcb } => write!(out, "amd-{}-vlek-{}", product_name(*product), tcb_name(*tcb)),
            Part::AmdIntermediate { product, kind } => write!(out, "amd-{}-{}", product_name(*product), kind_name(*kind)),
            Part::AmdCrl { product } => write!(out, "amd-{}-crl", product_name(*product)),
            Part::IntelTcbInfo { fmspc } => write!(out, "intel-tdx-tcb-{}", hex(&fmspc.0)),
            Part::IntelQeIdentity => out.write_str("intel-tdx-qe"),
            Part::IntelPckCrl { ca } => write!(out, "intel-pck-crl-{}", ca_name(*ca)),
            Part::IntelRootCrl => out.write_str("intel-root-crl"),
        }
    }
}

/// A name no part has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no document of a vendor is called {0:?}; names are like amd-genoa-crl or intel-tdx-tcb-90c06f000000")]
pub struct PartNameError(pub String);

impl FromStr for Part {
    type Err = PartNameError;

    fn from_str(name: &str) -> Result<Self, PartNameError> {
        let words: Vec<&str> = name.split('-').collect();
        let part = match words.as_slice() {
            ["amd", product, "vcek", chip, tcb] => product_named(product).and_then(|product| {
                let raw = read_hex_vec(chip).filter(|raw| raw.len() == hardware_id_bytes(product))?;
                let mut chip = ChipId([0; 64]);
                chip.0.split_at_mut(raw.len()).0.copy_from_slice(&raw);
                Some(Part::AmdVcek { product, chip, tcb: tcb_named(tcb)? })
            }),
            ["amd", product, "vlek", tcb] => {
                product_named(product).and_then(|product| Some(Part::AmdVlek { product, tcb: tcb_named(tcb)? }))
            }
            ["amd", product, "ask"] => product_named(product).map(|product| Part::AmdIntermediate { product, kind: VekKind::Vcek }),
            ["amd", product, "asvk"] => product_named(product).map(|product| Part::AmdIntermediate { product, kind: VekKind::Vlek }),
            ["amd", product, "crl"] => product_named(product).map(|product| Part::AmdCrl { product }),
            ["intel", "tdx", "tcb", fmspc] => read_hex(fmspc).map(|fmspc| Part::IntelTcbInfo { fmspc: Fmspc(fmspc) }),
            ["intel", "tdx", "qe"] => Some(Part::IntelQeIdentity),
            ["intel", "pck", "crl", "platform"] => Some(Part::IntelPckCrl { ca: PckCa::Platform }),
            ["intel", "pck", "crl", "processor"] => Some(Part::IntelPckCrl { ca: PckCa::Processor }),
            ["intel", "root", "crl"] => Some(Part::IntelRootCrl),
            _ => None,
        };
        part.ok_or_else(|| PartNameError(name.chars().take(200).collect()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_leads_to_one_part_and_back() {
        let tcb = SnpTcb { fmc: 1, boot_loader: 2, tee: 0, snp: 0x17, microcode: 0xdb };
        let mut turin = ChipId([0; 64]);
        turin.0.split_at_mut(8).0.fill(0xa5);
        let parts = [
            (Part::AmdVcek { product: SnpProduct::Turin, chip: turin, tcb }, "amd-turin-vcek-a5a5a5a5a5a5a5a5-01020017db".to_owned()),
            (
                Part::AmdVcek { product: SnpProduct::Milan, chip: ChipId([7; 64]), tcb },
                format!("amd-milan-vcek-{}-01020017db", "07".repeat(64)),
            ),
            (Part::AmdVlek { product: SnpProduct::Genoa, tcb }, "amd-genoa-vlek-01020017db".to_owned()),
            (Part::AmdIntermediate { product: SnpProduct::Genoa, kind: VekKind::Vcek }, "amd-genoa-ask".to_owned()),
            (Part::AmdIntermediate { product: SnpProduct::Milan, kind: VekKind::Vlek }, "amd-milan-asvk".to_owned()),
            (Part::AmdCrl { product: SnpProduct::Turin }, "amd-turin-crl".to_owned()),
            (Part::IntelTcbInfo { fmspc: Fmspc([0x90, 0xc0, 0x6f, 0, 0, 0]) }, "intel-tdx-tcb-90c06f000000".to_owned()),
            (Part::IntelQeIdentity, "intel-tdx-qe".to_owned()),
            (Part::IntelPckCrl { ca: PckCa::Platform }, "intel-pck-crl-platform".to_owned()),
            (Part::IntelPckCrl { ca: PckCa::Processor }, "intel-pck-crl-processor".to_owned()),
            (Part::IntelRootCrl, "intel-root-crl".to_owned()),
        ];
        for (part, name) in parts {
            assert_eq!(part.to_string(), name);
            assert_eq!(name.parse::<Part>().unwrap(), part);
        }
    }

    #[test]
    fn names_of_nothing_are_refused() {
        for name in [
            "",
            "amd",
            "amd-venice-crl",
            "amd-Milan-crl",
            "amd-milan-vcek-00-0102030405",
            "amd-turin-vcek-a5a5a5a5a5a5a5a5-01020017",
            "amd-turin-vcek-A5a5a5a5a5a5a5a5-01020017db",
            "intel-tdx-tcb-90c06f0000",
            "intel-tdx-tcb-90c06f000000-",
            "intel-pck-crl-../root",
            "../amd-milan-crl",
        ] {
            assert_eq!(name.parse::<Part>(), Err(PartNameError(name.to_owned())));
        }
    }
}
