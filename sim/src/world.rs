//! Policies and genesis records of the simulated world, and the machines of the standard demo world.
//!
//! Decides: the strictest policy that still accepts exactly the named machines and builds, in the trust domain SIMULATED.
//! Trusts: nothing. Out of scope: governance and custody (no governors, no custodians: such a policy cannot be changed, such a cluster
//! cannot be recovered). Protocol sections 2.1 and 2.2.

use crate::intel;
use crate::profile::{BuildImage, Platform, TeeProfile};
use crate::snp::{self, guest, platform};
use crate::tdx::{XFAM, attributes};
use crate::tee::SimTee;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::{BootCluster, BootConfig, GenesisRecord, GenesisTemplate, PROTOCOL_VERSION};
use ringwall_wire::ids::{ClusterId, Digest, Nonce, PolicyVersion, Slot, TrustDomain, Vendor};
use ringwall_wire::policy::{
    ChipId, EndorseRule, Governance, MeasurementRegister, PlatformUnseal, PolicyDoc, ReleaseRule, RevocationRule, SessionRules, SlotRule,
    SnpProduct, SnpProductRule, SnpRules, TdxRules, TdxTcbStatus,
};

/// Name of the standard build.
pub const BUILD: &str = "ringwall-sim-1";
/// Machines of the standard world: three slots and three spares, both vendors.
pub const CHIPS: [&str; 6] = ["genoa-1", "turin-1", "tdx-1", "tdx-2", "genoa-2", "turin-2"];
/// Slots of the standard world, numbered from 1.
pub const SLOTS: u8 = 3;

/// The standard build, security version 1.
pub fn build() -> BuildImage {
    BuildImage::new(BUILD, 1)
}

/// The machine called `chip_name` running the standard build; the name must open with `milan-`, `genoa-`, `turin-` or `tdx-`.
pub fn machine(chip_name: &str, boot_config: BootConfig) -> Option<TeeProfile> {
    Platform::of_chip(chip_name).map(|platform| TeeProfile::new(platform, chip_name, build(), boot_config))
}

/// The policy of the standard world: every machine of [`CHIPS`], the standard build, [`SLOTS`] slots.
pub fn policy() -> PolicyDoc {
    let mut builder = PolicyBuilder::new().build(&build()).slots(SLOTS);
    for name in CHIPS {
        builder = builder.machine(Platform::of_chip(name).expect("standard names are well-formed"), name);
    }
    builder.finish()
}

/// The policy that accepts exactly these machines and what they were told to run (lies do not count), with one slot for each.
///
/// # Panics
/// Above 16 machines; use [`PolicyBuilder`] then.
pub fn policy_for(tees: &[&SimTee]) -> PolicyDoc {
    let slots = u8::try_from(tees.len()).expect("at most 16 machines");
    let start = PolicyBuilder::new().slots(slots);
    let all = tees.iter().map(|tee| tee.profile());
    all.fold(start, |builder, profile| builder.build(&profile.build).machine(profile.platform, &profile.chip_name)).finish()
}

/// What the founders of a simulated cluster called `name` agree on.
///
/// # Panics
/// When the name is longer than 64 bytes or holds control characters.
pub fn genesis_template(policy: &PolicyDoc, name: &str) -> GenesisTemplate {
    GenesisTemplate {
        trust_domain: policy.trust_domain,
        name: Text::new(name).expect("a cluster's name is short and printable"),
        custodians: List::default(),
        custody_threshold: 0,
        slots: policy.slots.clone(),
        policy: Digest(policy.digest()),
    }
}

/// The founding record of a simulated cluster.
pub fn genesis_record(policy: &PolicyDoc, name: &str, nonce: Nonce) -> GenesisRecord {
    GenesisRecord { nonce, template: genesis_template(policy, name) }
}

/// What the operator tells the founding node.
pub fn founding_config(template: &GenesisTemplate, slot: Slot) -> BootConfig {
    boot_config(BootCluster::Found(Digest(template.digest())), slot)
}

/// What the operator tells every other node.
pub fn joining_config(cluster: ClusterId, slot: Slot) -> BootConfig {
    boot_config(BootCluster::Join(cluster), slot)
}

fn boot_config(cluster: BootCluster, slot: Slot) -> BootConfig {
    BootConfig { protocol: PROTOCOL_VERSION, trust_domain: TrustDomain::Simulated, cluster, slot }
}

/// Collects what a simulated policy accepts.
#[derive(Clone, Debug, Default)]
pub struct PolicyBuilder {
    builds: Vec<BuildImage>,
    chips: Vec<(SnpProduct, ChipId)>,
    platforms: Vec<Digest>,
    slots: u8,
}

impl PolicyBuilder {
    /// Accepts nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts a build; the least security version is the lowest of all accepted builds.
    #[must_use]
    pub fn build(mut self, build: &BuildImage) -> Self {
        if !self.builds.contains(build) {
            self.builds.push(build.clone());
        }
        self
    }

    /// Accepts a machine.
    #[must_use]
    pub fn machine(mut self, platform: Platform, chip_name: &str) -> Self {
        let nowhere = joining_config(ClusterId([0; 32]), Slot(0));
        let profile = TeeProfile::new(platform, chip_name, BuildImage::new("", 0), nowhere);
        match (platform, profile.chip_id()) {
            (Platform::Snp(product), Some(id)) => {
                if !self.chips.contains(&(product, id)) {
                    self.chips.push((product, id));
                }
            }
            _ => {
                if !self.platforms.contains(&profile.chip()) {
                    self.platforms.push(profile.chip());
                }
            }
        }
        self
    }

    /// Sets the number of slots (at most 16), numbered from 1; each may hold either vendor.
    #[must_use]
    pub fn slots(mut self, slots: u8) -> Self {
        self.slots = slots;
        self
    }

    /// The policy, version 1. Its fields are public: a test that wants another rule changes the document.
    ///
    /// # Panics
    /// Above the limits of the protocol (64 builds, 256 chips, 16 slots).
    pub fn finish(self) -> PolicyDoc {
        let slot = |number: u8| SlotRule {
            slot: Slot(number),
            vendors: List::new(vec![Vendor::Amd, Vendor::Intel]).expect("two fit"),
            failure_domain: Text::new(format!("host-{number}")).expect("short"),
        };
        PolicyDoc {
            version: PolicyVersion(1),
            trust_domain: TrustDomain::Simulated,
            measurements: List::new(self.builds.iter().map(BuildImage::measurement).collect()).expect("at most 64 builds"),
            min_svn: self.builds.iter().map(|build| build.svn).min().unwrap_or(u32::MAX),
            slots: List::new((1..=self.slots).map(slot).collect()).expect("at most 16 slots"),
            endorse: EndorseRule { min_endorsers: 1, other_vendor: false },
            session: SessionRules { reattest_s: 86_400, standing_period_s: 0 },
            platform_unseal: PlatformUnseal::Never,
            release: ReleaseRule::NotDemanded,
            governance: Governance { keys: List::default(), threshold: 1, timelock_s: 0, lease_s: 0 },
            snp: self.snp_rules(),
            tdx: self.tdx_rules(),
        }
    }

    fn snp_rules(&self) -> SnpRules {
        let rule = |product| SnpProductRule { product, min_tcb: snp::newest_tcb(product), required_mitigations: snp::MITIGATIONS };
        let used = |product: &SnpProduct| self.chips.iter().any(|(of, _)| of == product);
        let policy_required = guest::MUST_BE_ONE | guest::MEM_AES_256_XTS | guest::RAPL_DIS;
        let platform_required = platform::RAPL_DIS | platform::ALIAS_CHECK_COMPLETE;
        SnpRules {
            report_versions: List::new(vec![3, 5]).expect("two fit"),
            products: List::new(crate::amd::PRODUCTS.into_iter().filter(used).map(rule).collect()).expect("three fit"),
            chips: List::new(self.chips.iter().map(|(_, id)| *id).collect()).expect("at most 256 chips"),
            denied_chips: List::default(),
            vmpl: 0,
            policy_required,
            policy_allowed: policy_required | guest::SINGLE_SOCKET | guest::CIPHERTEXT_HIDING | guest::PAGE_SWAP_DISABLE,
            min_abi_major: snp::ABI_MAJOR,
            min_abi_minor: snp::ABI_MINOR,
            platform_required,
            platform_allowed: platform_required | platform::TSME_EN | platform::ECC_EN | platform::CIPHERTEXT_HIDING_EN,
            id_key_digest: MeasurementRegister([0; 48]),
            author_key_digest: MeasurementRegister([0; 48]),
            family_id: [0; 16],
            image_id: [0; 16],
            allow_vlek: false,
            revocation: RevocationRule::Required,
        }
    }

    fn tdx_rules(&self) -> TdxRules {
        TdxRules {
            fmspcs: List::new(vec![TeeProfile::fmspc()]).expect("one fits"),
            platforms: List::new(self.platforms.clone()).expect("at most 256 platforms"),
            denied_platforms: List::default(),
            min_tcb_evaluation: intel::EVALUATION,
            statuses: List::new(vec![TdxTcbStatus::UpToDate]).expect("one fits"),
            denied_advisories: List::new(vec![Text::new(intel::ADVISORY).expect("short")]).expect("one fits"),
            mr_seams: List::default(),
            attributes_required: attributes::SEPT_VE_DISABLE,
            attributes_allowed: attributes::SEPT_VE_DISABLE,
            xfam_allowed: XFAM,
            rtmr3: MeasurementRegister([0; 48]),
            mr_owner: MeasurementRegister([0; 48]),
            mr_owner_config: MeasurementRegister([0; 48]),
            allow_dynamic_platform: false,
            allow_cached_keys: false,
            allow_smt: false,
        }
    }
}
