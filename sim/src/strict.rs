//! The strictest policy that still accepts given claims, for evidence nobody here made.
//!
//! Decides: lists hold exactly what the claims say; everything that must never be (debug, migration, VMPL above 0, provider keys, statuses other
//! than UpToDate) stays forbidden. Trusts: the claims. Out of scope: binding, which real evidence cannot have to us.

use ringwall_attest::{Claims, SnpClaims, TdxClaims};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootCluster, BootConfig, PROTOCOL_VERSION};
use ringwall_wire::ids::{
    BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, PolicyVersion, SigPublic, Slot, TrustDomain, Vendor,
};
use ringwall_wire::policy::{
    EndorseRule, Fmspc, Governance, Measurement, MeasurementRegister, PlatformUnseal, PolicyDoc, ReleaseRule, RevocationRule, SessionRules,
    SlotRule, SnpProductRule, SnpRules, SnpTcb, TdxRules, TdxTcbStatus,
};

/// A register nobody extended.
pub const ZERO: MeasurementRegister = MeasurementRegister([0; 48]);
/// The guest policy bits a strict policy knows: MUST_BE_ONE, SMT, SINGLE_SOCKET, XTS, RAPL_DIS, CIPHERTEXT_HIDING, PAGE_SWAP_DISABLE: not DEBUG, MIGRATE_MA, CXL_ALLOW.
pub const GUEST_POLICY_KNOWN: u64 = 1 << 17 | 1 << 16 | 1 << 20 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25;

const SEPT_VE_DISABLE: u64 = 1 << 28;
/// TD attributes that protect the guest or only tell what it may use: LASS, PKS, KL. Source: Intel TDX module ABI, "ATTRIBUTES".
const ATTRIBUTES_HARMLESS: u64 = 1 << 27 | 1 << 30 | 1 << 31;

/// A bounded list of a few items.
///
/// # Panics
/// When there are more than `MAX`.
pub fn list<T, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("a strict policy names a handful of things")
}

fn lowest(tcbs: [&SnpTcb; 4]) -> SnpTcb {
    let least = |part: fn(&SnpTcb) -> u8| tcbs.iter().map(|tcb| part(tcb)).min().expect("four TCBs");
    SnpTcb {
        fmc: least(|tcb| tcb.fmc),
        boot_loader: least(|tcb| tcb.boot_loader),
        tee: least(|tcb| tcb.tee),
        snp: least(|tcb| tcb.snp),
        microcode: least(|tcb| tcb.microcode),
    }
}

fn snp_rules(claims: Option<&SnpClaims>) -> SnpRules {
    let mut rules = SnpRules {
        report_versions: list(vec![]),
        products: list(vec![]),
        chips: list(vec![]),
        denied_chips: List::default(),
        vmpl: 0,
        policy_required: 1 << 17,
        policy_allowed: GUEST_POLICY_KNOWN,
        min_abi_major: 0,
        min_abi_minor: 0,
        platform_required: 0,
        platform_allowed: 0x7f,
        id_key_digest: ZERO,
        author_key_digest: ZERO,
        family_id: [0; 16],
        image_id: [0; 16],
        allow_vlek: false,
        revocation: RevocationRule::BestEffort,
    };
    if let Some(claims) = claims {
        rules.report_versions = list(vec![2, 3, 5]);
        let tcbs = [&claims.current_tcb, &claims.reported_tcb, &claims.committed_tcb, &claims.launch_tcb];
        let required_mitigations = claims.launch_mitigations.unwrap_or(0) & claims.current_mitigations.unwrap_or(0);
        rules.products = list(vec![SnpProductRule { product: claims.product, min_tcb: lowest(tcbs), required_mitigations }]);
        rules.chips = list(vec![claims.chip_id]);
        rules.id_key_digest = claims.id_key_digest;
        rules.author_key_digest = claims.author_key_digest;
        rules.family_id = claims.family_id;
        rules.image_id = claims.image_id;
    }
    rules
}

fn tdx_rules(claims: Option<&TdxClaims>) -> TdxRules {
    let mut rules = TdxRules {
        fmspcs: list(vec![]),
        platforms: list(vec![]),
        denied_platforms: List::default(),
        min_tcb_evaluation: 0,
        statuses: list(vec![TdxTcbStatus::UpToDate]),
        denied_advisories: list(vec![]),
        mr_seams: list(vec![]),
        attributes_required: SEPT_VE_DISABLE,
        attributes_allowed: SEPT_VE_DISABLE,
        xfam_allowed: 0,
        rtmr3: ZERO,
        mr_owner: ZERO,
        mr_owner_config: ZERO,
        allow_dynamic_platform: true,
        allow_cached_keys: true,
        allow_smt: true,
    };
    if let Some(claims) = claims {
        rules.fmspcs = list(vec![Fmspc(claims.fmspc.0)]);
        rules.platforms = list(vec![claims.platform]);
        rules.min_tcb_evaluation = claims.tcb_evaluation;
        rules.mr_seams = list(vec![claims.mr_seam]);
        rules.attributes_allowed |= claims.td_attributes & ATTRIBUTES_HARMLESS;
        rules.xfam_allowed = claims.xfam;
        rules.rtmr3 = claims.rtmr3;
        rules.mr_owner = claims.mr_owner;
        rules.mr_owner_config = claims.mr_owner_config;
    }
    rules
}

/// The policy that accepts these claims and nothing looser than the rules at the top of this file.
pub fn policy(claims: &Claims) -> PolicyDoc {
    let (snp, tdx) = match claims {
        Claims::Snp(claims) => (Some(claims), None),
        Claims::Tdx(claims) => (None, Some(claims)),
    };
    let build = Measurement {
        id: Text::new("release-under-test").expect("short"),
        svn: 1,
        snp: list(snp.iter().map(|claims| claims.measurement).collect()),
        tdx: list(tdx.iter().map(|claims| claims.tuple.clone()).collect()),
        tdx_replays: List::default(),
    };
    PolicyDoc {
        version: PolicyVersion(1),
        trust_domain: TrustDomain::Simulated,
        measurements: list(vec![build]),
        min_svn: if snp.is_some_and(|claims| claims.id_key_digest != ZERO && claims.guest_svn == 0) { 0 } else { 1 },
        snp: snp_rules(snp),
        tdx: tdx_rules(tdx),
        slots: list(vec![SlotRule {
            slot: Slot(1),
            vendors: list(vec![Vendor::Amd, Vendor::Intel]),
            failure_domain: Text::new("lab").expect("short"),
        }]),
        endorse: EndorseRule { min_endorsers: 1, other_vendor: false },
        session: SessionRules { reattest_s: 86_400, standing_period_s: 600 },
        platform_unseal: PlatformUnseal::Never,
        release: ReleaseRule::NotDemanded,
        governance: Governance { keys: list(vec![]), threshold: 1, timelock_s: 0, lease_s: 0 },
    }
}

/// A boot configuration that fits the policy and no real guest.
pub fn boot_config() -> BootConfig {
    BootConfig {
        protocol: PROTOCOL_VERSION,
        trust_domain: TrustDomain::Simulated,
        cluster: BootCluster::Join(ClusterId([1; 32])),
        slot: Slot(1),
    }
}

/// A binding to `policy` and `boot`; real evidence was never made for it.
pub fn binding(policy: &PolicyDoc, boot: &BootConfig) -> Binding {
    Binding {
        cluster_id: ClusterId([1; 32]),
        epoch: Epoch(1),
        role: Role::ClientServer,
        incarnation: Incarnation::new(Epoch(1), 1),
        keys: BootKeys { noise: NoisePublic([2; 32]), sig: SigPublic([3; 32]), kem: KemPublic([4; 1184]) },
        boot_config: boot.host_data(),
        policy: Digest(policy.digest()),
        batch_root: Digest([5; 32]),
    }
}
