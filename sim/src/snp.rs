//! SNP attestation reports, byte for byte in AMD's layout.
//!
//! Decides: what the simulated firmware writes into the 1,184 bytes and signs (SEV Secure Nested Paging Firmware ABI, table
//! "ATTESTATION_REPORT", versions 2, 3 and 5).
//! Trusts: nothing. Out of scope: certificates (`amd`), which lie is told when (`tee`).

use crate::seed;
use p384::ecdsa::signature::Signer;
use ringwall_wire::limits::SNP_REPORT_BYTES;
use ringwall_wire::policy::{SnpProduct, SnpTcb};

/// Guest policy bits.
pub(crate) mod guest {
    pub(crate) const SMT: u64 = 1 << 16;
    pub(crate) const MUST_BE_ONE: u64 = 1 << 17;
    pub(crate) const MIGRATE_MA: u64 = 1 << 18;
    pub(crate) const DEBUG: u64 = 1 << 19;
    pub(crate) const SINGLE_SOCKET: u64 = 1 << 20;
    pub(crate) const CXL_ALLOW: u64 = 1 << 21;
    pub(crate) const MEM_AES_256_XTS: u64 = 1 << 22;
    pub(crate) const RAPL_DIS: u64 = 1 << 23;
    pub(crate) const CIPHERTEXT_HIDING: u64 = 1 << 24;
    pub(crate) const PAGE_SWAP_DISABLE: u64 = 1 << 25;
    /// No bit AMD has defined.
    pub(crate) const UNKNOWN: u64 = 1 << 40;
}

/// Platform-info bits.
pub(crate) mod platform {
    pub(crate) const SMT_EN: u64 = 1;
    pub(crate) const TSME_EN: u64 = 1 << 1;
    pub(crate) const ECC_EN: u64 = 1 << 2;
    pub(crate) const RAPL_DIS: u64 = 1 << 3;
    pub(crate) const CIPHERTEXT_HIDING_EN: u64 = 1 << 4;
    pub(crate) const ALIAS_CHECK_COMPLETE: u64 = 1 << 5;
    /// No bit AMD has defined.
    pub(crate) const UNKNOWN: u64 = 1 << 40;
}

/// Least ABI the simulated guests demand: 1.55.
pub(crate) const ABI_MAJOR: u8 = 1;
/// Minor part.
pub(crate) const ABI_MINOR: u8 = 55;
/// Mitigations the simulated firmware has.
pub(crate) const MITIGATIONS: u64 = 0x0b;

/// Firmware build, minor, major.
pub(crate) const FIRMWARE: [u8; 3] = [49, 55, 1];

/// The fields of a report; integers and byte strings as AMD names them.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) version: u32,
    pub(crate) guest_svn: u32,
    pub(crate) policy: u64,
    pub(crate) family_id: [u8; 16],
    pub(crate) image_id: [u8; 16],
    pub(crate) vmpl: u32,
    pub(crate) signature_algo: u32,
    pub(crate) current_tcb: [u8; 8],
    pub(crate) platform_info: u64,
    pub(crate) key_info: u32,
    pub(crate) report_data: [u8; 64],
    pub(crate) measurement: [u8; 48],
    pub(crate) host_data: [u8; 32],
    pub(crate) id_key_digest: [u8; 48],
    pub(crate) author_key_digest: [u8; 48],
    pub(crate) report_id: [u8; 32],
    pub(crate) report_id_ma: [u8; 32],
    pub(crate) reported_tcb: [u8; 8],
    /// Family, model, stepping; reports of version 2 have none.
    pub(crate) cpuid: [u8; 3],
    pub(crate) chip_id: [u8; 64],
    pub(crate) committed_tcb: [u8; 8],
    pub(crate) current_firmware: [u8; 3],
    pub(crate) committed_firmware: [u8; 3],
    pub(crate) launch_tcb: [u8; 8],
    /// Launch and current vector; reports before version 5 have none.
    pub(crate) mitigations: u64,
    /// A byte of the reserved range 0x208..0x2A0.
    pub(crate) reserved: u8,
}

/// Security versions of up-to-date simulated firmware.
pub(crate) fn newest_tcb(product: SnpProduct) -> SnpTcb {
    match product {
        SnpProduct::Milan => SnpTcb { fmc: 0, boot_loader: 4, tee: 0, snp: 24, microcode: 219 },
        SnpProduct::Genoa => SnpTcb { fmc: 0, boot_loader: 10, tee: 0, snp: 27, microcode: 88 },
        SnpProduct::Turin => SnpTcb { fmc: 1, boot_loader: 1, tee: 1, snp: 4, microcode: 81 },
    }
}

/// CPUID family, model and stepping of a simulated chip.
pub(crate) fn cpuid(product: SnpProduct) -> [u8; 3] {
    match product {
        SnpProduct::Milan => [0x19, 0x01, 0x01],
        SnpProduct::Genoa => [0x19, 0x11, 0x01],
        SnpProduct::Turin => [0x1a, 0x02, 0x01],
    }
}

/// The id of the chip called `name`: 64 bytes, of which Turin uses 8.
pub(crate) fn chip_id(product: SnpProduct, name: &str) -> [u8; 64] {
    let mut id: [u8; 64] = seed::bytes(&[b"snp chip", &[product_number(product)], name.as_bytes()]);
    if product == SnpProduct::Turin {
        id.split_at_mut(8).1.fill(0);
    }
    id
}

/// The versioned key of the chip with this id and firmware: other chip or firmware, other key.
pub(crate) fn vcek(product: SnpProduct, chip_id: &[u8; 64], tcb: &[u8; 8]) -> p384::ecdsa::SigningKey {
    seed::p384(&[b"vcek", &[product_number(product)], chip_id, tcb])
}

/// The provider's versioned key.
pub(crate) fn vlek(product: SnpProduct, provider: &str, tcb: &[u8; 8]) -> p384::ecdsa::SigningKey {
    seed::p384(&[b"vlek", &[product_number(product)], provider.as_bytes(), tcb])
}

fn product_number(product: SnpProduct) -> u8 {
    match product {
        SnpProduct::Milan => 1,
        SnpProduct::Genoa => 2,
        SnpProduct::Turin => 3,
    }
}

impl Report {
    /// The report, signed: R and S little-endian, 72 bytes each, over bytes 0..0x2A0.
    pub(crate) fn sign(&self, key: &p384::ecdsa::SigningKey) -> [u8; SNP_REPORT_BYTES] {
        let mut out = [0; SNP_REPORT_BYTES];
        self.write(&mut out);
        sign_in_place(&mut out, key);
        out
    }

    fn write(&self, out: &mut [u8; SNP_REPORT_BYTES]) {
        put(out, 0x00, &self.version.to_le_bytes());
        put(out, 0x04, &self.guest_svn.to_le_bytes());
        put(out, 0x08, &self.policy.to_le_bytes());
        put(out, 0x10, &self.family_id);
        put(out, 0x20, &self.image_id);
        put(out, 0x30, &self.vmpl.to_le_bytes());
        put(out, 0x34, &self.signature_algo.to_le_bytes());
        put(out, 0x38, &self.current_tcb);
        put(out, 0x40, &self.platform_info.to_le_bytes());
        put(out, 0x48, &self.key_info.to_le_bytes());
        put(out, 0x50, &self.report_data);
        put(out, 0x90, &self.measurement);
        put(out, 0xc0, &self.host_data);
        put(out, 0xe0, &self.id_key_digest);
        put(out, 0x110, &self.author_key_digest);
        put(out, 0x140, &self.report_id);
        put(out, 0x160, &self.report_id_ma);
        put(out, 0x180, &self.reported_tcb);
        if self.version >= 3 {
            put(out, 0x188, &self.cpuid);
        }
        put(out, 0x1a0, &self.chip_id);
        put(out, 0x1e0, &self.committed_tcb);
        put(out, 0x1e8, &self.current_firmware);
        put(out, 0x1ec, &self.committed_firmware);
        put(out, 0x1f0, &self.launch_tcb);
        if self.version >= 5 {
            put(out, 0x1f8, &self.mitigations.to_le_bytes());
            put(out, 0x200, &self.mitigations.to_le_bytes());
        }
        put(out, 0x280, &[self.reserved]);
    }
}

/// Bytes the signature covers.
pub(crate) const SIGNED_BYTES: usize = 0x2a0;

/// Writes the signature over the first 672 bytes of `report`, which has more.
pub(crate) fn sign_in_place(report: &mut [u8], key: &p384::ecdsa::SigningKey) {
    let signature: p384::ecdsa::Signature = key.sign(report.split_at(SIGNED_BYTES).0);
    let (r, s) = signature.split_bytes();
    put(report, 0x2a0, &r.iter().rev().copied().collect::<Vec<u8>>());
    put(report, 0x2a0 + 72, &s.iter().rev().copied().collect::<Vec<u8>>());
}

/// Overwrites `out` at `offset`; offsets are the constants above.
pub(crate) fn put(out: &mut [u8], offset: usize, bytes: &[u8]) {
    out.iter_mut().skip(offset).zip(bytes).for_each(|(to, from)| *to = *from);
}
