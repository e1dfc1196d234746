//! Names of everything a policy says with a number: products, statuses, vendors, and every bit the vendors define.
//!
//! Decides: one spelling for each value; a bit without a name is written `bit40`, a bit with one only by its name.
//! Trusts: the vendors' documents, named at each table. Out of scope: what a bit must be (the policy says), judging (`appraise.rs`).
//! Protocol section 2.2; the tables stand in docs/policy.md as well.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::ids::{TrustDomain, Vendor};
use ringwall_wire::policy::{PlatformUnseal, Presence, RevocationRule, Rtmr, SnpProduct, TdxTcbStatus};

/// A closed choice with a name for each value.
pub trait Named: Copy + PartialEq + 'static {
    /// Every value and its name.
    const NAMES: &'static [(&'static str, Self)];

    /// The name of a value.
    fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, value)| *value == self);
        found.map(|(name, _)| *name).expect("every value is in its table, which a test compares with the wire")
    }

    /// The value of a name.
    fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// All names, for messages.
    fn all() -> String {
        Self::NAMES.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    }
}

impl Named for TrustDomain {
    const NAMES: &'static [(&'static str, Self)] = &[("production", TrustDomain::Production), ("simulated", TrustDomain::Simulated)];
}

impl Named for Vendor {
    const NAMES: &'static [(&'static str, Self)] = &[("amd", Vendor::Amd), ("intel", Vendor::Intel)];
}

impl Named for SnpProduct {
    const NAMES: &'static [(&'static str, Self)] =
        &[("Milan", SnpProduct::Milan), ("Genoa", SnpProduct::Genoa), ("Turin", SnpProduct::Turin)];
}

impl Named for RevocationRule {
    const NAMES: &'static [(&'static str, Self)] = &[("required", RevocationRule::Required), ("best-effort", RevocationRule::BestEffort)];
}

impl Named for PlatformUnseal {
    const NAMES: &'static [(&'static str, Self)] = &[("never", PlatformUnseal::Never), ("same_chips", PlatformUnseal::SameChips)];
}

impl Named for Rtmr {
    const NAMES: &'static [(&'static str, Self)] =
        &[("RTMR0", Rtmr::Rtmr0), ("RTMR1", Rtmr::Rtmr1), ("RTMR2", Rtmr::Rtmr2), ("RTMR3", Rtmr::Rtmr3)];
}

impl Named for Presence {
    const NAMES: &'static [(&'static str, Self)] = &[("required", Presence::Required), ("optional", Presence::Optional)];
}

impl Named for TdxTcbStatus {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("UpToDate", TdxTcbStatus::UpToDate),
        ("SWHardeningNeeded", TdxTcbStatus::SwHardeningNeeded),
        ("ConfigurationNeeded", TdxTcbStatus::ConfigurationNeeded),
        ("ConfigurationAndSWHardeningNeeded", TdxTcbStatus::ConfigurationAndSwHardeningNeeded),
        ("OutOfDate", TdxTcbStatus::OutOfDate),
        ("OutOfDateConfigurationNeeded", TdxTcbStatus::OutOfDateConfigurationNeeded),
        ("RelaunchAdvised", TdxTcbStatus::RelaunchAdvised),
        ("RelaunchAdvisedConfigurationNeeded", TdxTcbStatus::RelaunchAdvisedConfigurationNeeded),
    ];
}

/// One bit a vendor defines.
#[derive(Clone, Copy, Debug)]
pub struct Bit {
    /// Its number, from 0.
    pub at: u32,
    /// The vendor's name.
    pub name: &'static str,
    /// What it means when it is set, for people.
    pub meaning: &'static str,
}

/// The defined bits of one 64-bit field, ascending.
#[derive(Clone, Copy, Debug)]
pub struct Bits(pub &'static [Bit]);

const fn bit(at: u32, name: &'static str, meaning: &'static str) -> Bit {
    Bit { at, name, meaning }
}

/// Flags of the guest policy. Source: AMD 56860, SEV Secure Nested Paging Firmware ABI, table "Guest Policy".
pub const GUEST_POLICY: Bits = Bits(&[
    bit(16, "SMT", "the guest may run where hyper-threading is on, so a neighbour on the same core can measure it"),
    bit(17, "MUST_BE_ONE", "reserved by AMD, always set"),
    bit(18, "MIGRATE_MA", "a migration agent may take the guest's memory to another machine"),
    bit(19, "DEBUG", "the host may read and write the guest's memory"),
    bit(20, "SINGLE_SOCKET", "the guest runs on one socket only"),
    bit(21, "CXL_ALLOW", "the guest's memory may lie on CXL devices, outside the CPU's own memory"),
    bit(22, "MEM_AES_256_XTS", "memory is encrypted with AES-256 in XTS mode, or the guest does not start"),
    bit(23, "RAPL_DIS", "power readings are off, or the guest does not start: they tell what is computed"),
    bit(24, "CIPHERTEXT_HIDING_DRAM", "the host cannot even read the ciphertext of the guest's memory, or the guest does not start"),
    bit(25, "PAGE_SWAP_DISABLE", "the host may not move or swap out the guest's pages"),
]);

/// Bits of PLATFORM_INFO. Source: AMD 56860, table "PLATFORM_INFO field".
pub const PLATFORM_INFO: Bits = Bits(&[
    bit(0, "SMT_EN", "hyper-threading is on"),
    bit(1, "TSME_EN", "all memory is encrypted, that of the host too"),
    bit(2, "ECC_EN", "memory has error correction"),
    bit(3, "RAPL_DIS", "power readings are off"),
    bit(4, "CIPHERTEXT_HIDING_DRAM_EN", "the host cannot read the ciphertext of guests' memory"),
    bit(5, "ALIAS_CHECK_COMPLETE", "no memory module lied about its size since the last reset (BadRAM, AMD-SB-3015)"),
    bit(6, "IOMMU_WRITE_SAFE", "devices cannot write to guests' memory behind the IOMMU"),
    bit(7, "TIO_EN", "trusted devices may be attached to guests (SEV-TIO)"),
]);

/// Bits of the mitigation vectors: AMD's tables number them, and more arrive with every firmware. Source: AMD 56860, "Mitigation vector".
pub const MITIGATIONS: Bits = Bits(&[]);

/// TD attributes. Source: Intel 348551 (733579), TDX Module ABI reference, "ATTRIBUTES".
pub const TD_ATTRIBUTES: Bits = Bits(&[
    bit(0, "DEBUG", "the host may read and write the TD's memory"),
    bit(4, "HGS_PLUS_PROF", "the TD is part of HGS+ profiling"),
    bit(5, "PERF_PROF", "the TD is part of profiling with performance counters"),
    bit(6, "PMT_PROF", "the TD is part of profiling with telemetry of the core"),
    bit(16, "ICSSD", "the module hinders single-stepping by counting instructions"),
    bit(17, "SERVTD_EXT", "the report covers extended facts about service TDs"),
    bit(27, "LASS", "the TD may separate linear address spaces"),
    bit(28, "SEPT_VE_DISABLE", "the host cannot surprise the TD with exceptions on its own pages"),
    bit(29, "MIGRATABLE", "the TD's memory may be moved to another machine"),
    bit(30, "PKS", "the TD may use supervisor protection keys"),
    bit(31, "KL", "the TD may use Key Locker"),
    bit(62, "TPA", "the TD is a provisioning agent of the platform"),
    bit(63, "PERFMON", "the TD uses performance counters, whose state others could measure"),
]);

/// Extended features. Source: Intel SDM volume 1, chapter 13 (XCR0, IA32_XSS); Intel 348551, "XFAM".
pub const XFAM: Bits = Bits(&[
    bit(0, "X87", "x87 floating point (always on)"),
    bit(1, "SSE", "SSE (always on)"),
    bit(2, "AVX", "AVX"),
    bit(3, "MPX_BNDREGS", "MPX bounds registers (withdrawn by Intel)"),
    bit(4, "MPX_BNDCSR", "MPX configuration (withdrawn by Intel)"),
    bit(5, "AVX512_OPMASK", "AVX-512 masks"),
    bit(6, "AVX512_ZMM_HI256", "AVX-512, upper halves"),
    bit(7, "AVX512_HI16_ZMM", "AVX-512, upper registers"),
    bit(8, "PT", "processor trace"),
    bit(9, "PKRU", "protection keys"),
    bit(10, "PASID", "process address space ids"),
    bit(11, "CET_U", "control-flow enforcement, user"),
    bit(12, "CET_S", "control-flow enforcement, supervisor"),
    bit(13, "HDC", "hardware duty cycling"),
    bit(14, "UINTR", "user interrupts"),
    bit(15, "LBR", "last branch records"),
    bit(16, "HWP", "hardware performance states"),
    bit(17, "AMX_TILECFG", "AMX configuration"),
    bit(18, "AMX_TILEDATA", "AMX tiles"),
    bit(19, "APX", "extended general-purpose registers"),
]);

impl Bits {
    /// The defined bit at a position.
    pub fn at(&self, at: u32) -> Option<&'static Bit> {
        self.0.iter().find(|bit| bit.at == at)
    }

    /// The one name of a position.
    pub fn name(&self, at: u32) -> String {
        self.at(at).map_or_else(|| format!("bit{at}"), |bit| bit.name.to_owned())
    }

    /// Names of all set bits, ascending.
    pub fn names(&self, value: u64) -> Vec<String> {
        positions(value).map(|at| self.name(at)).collect()
    }

    /// The position of a name, by its one spelling.
    pub fn of(&self, name: &str) -> Option<u32> {
        if let Some(bit) = self.0.iter().find(|bit| bit.name == name) {
            return Some(bit.at);
        }
        let at: u32 = name.strip_prefix("bit")?.parse().ok()?;
        (at < u64::BITS && self.name(at) == name).then_some(at)
    }

    /// Set bits nobody defines.
    pub fn unnamed(&self, value: u64) -> u64 {
        self.0.iter().fold(value, |rest, bit| rest & !(1 << bit.at))
    }

    /// What may be written, for messages.
    pub fn allowed(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|bit| bit.name).collect();
        match names.is_empty() {
            true => "\"bit0\" to \"bit63\"".into(),
            false => format!("{}; and \"bit0\" to \"bit63\" for bits without a name", names.join(", ")),
        }
    }
}

/// Positions of the set bits, ascending.
pub fn positions(value: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |at| value >> at & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringwall_wire::codec::Field;

    /// Tags run from 1 without gaps, so counting them finds a value the table lacks.
    fn complete<T: Named + Field>() {
        let known = (1..=u8::MAX).take_while(|tag| T::from_bytes(&[*tag]).is_ok()).count();
        assert_eq!(known, T::NAMES.len());
        for (name, value) in T::NAMES {
            assert_eq!((value.name(), T::of(name) == Some(*value)), (*name, true));
        }
        assert!(T::of("").is_none());
    }

    #[test]
    fn every_value_of_the_wire_has_a_name() {
        complete::<TrustDomain>();
        complete::<Vendor>();
        complete::<SnpProduct>();
        complete::<RevocationRule>();
        complete::<PlatformUnseal>();
        complete::<TdxTcbStatus>();
    }

    #[test]
    fn every_bit_has_one_spelling() {
        for bits in [GUEST_POLICY, PLATFORM_INFO, MITIGATIONS, TD_ATTRIBUTES, XFAM] {
            for at in 0..u64::BITS {
                assert_eq!(bits.of(&bits.name(at)), Some(at));
                assert_eq!(bits.of(&format!("bit{at}")).is_some(), bits.at(at).is_none(), "bit{at}");
            }
            for name in ["bit64", "bit-1", "bit", "bit007", "bit+1", "", "debug", "DEBUG "] {
                assert_eq!(bits.of(name), None, "{name}");
            }
            assert!(bits.0.is_sorted_by_key(|bit| bit.at));
        }
        assert_eq!(GUEST_POLICY.names(1 << 17 | 1 << 22 | 1 << 40), ["MUST_BE_ONE", "MEM_AES_256_XTS", "bit40"]);
        assert_eq!(GUEST_POLICY.unnamed(1 << 17 | 1 << 40), 1 << 40);
    }
}
