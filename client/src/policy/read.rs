//! From TOML to the policy document.
//!
//! Decides: a text is a policy when it has exactly the fields the document has, no more and no less; nothing is filled in. Names of keys
//! are the names of the fields. Trusts: nothing; size is bounded first, repeated entries are refused last.
//! Out of scope: whether the policy is a wise one (`obstacles.rs`, `dangers.rs`). Protocol section 2.2; docs/policy.md.

use super::fault::PolicyFault;
use super::names::{GUEST_POLICY, MITIGATIONS, PLATFORM_INFO, TD_ATTRIBUTES, XFAM};
use super::repeated::repeated;
use super::table::{Node, Source, Table};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, PolicyVersion, SigPublic, Slot};
use ringwall_wire::limits::POLICY_BYTES;
use ringwall_wire::policy::{
    BootEvent, ChipId, EndorseRule, Fmspc, Governance, Measurement, MeasurementRegister, PolicyDoc, ReleaseRule, ReleaseSigners,
    SessionRules, SlotRule, SnpProductRule, SnpRules, SnpTcb, TdxReplay, TdxRules, TdxTuple,
};

/// Bytes of a policy file, in either form: comments included, ten times what the largest document needs.
pub const POLICY_FILE_BYTES: usize = 1024 * 1024;

/// Reads a policy in TOML.
pub fn from_toml(text: &str) -> Result<PolicyDoc, PolicyFault> {
    if text.len() > POLICY_FILE_BYTES {
        return Err(PolicyFault::TooLarge { most: POLICY_FILE_BYTES });
    }
    let source = Source::new(text);
    let root = source.parse()?;
    let policy = document(&Table::open(&source, String::new(), root.get_ref(), DOCUMENT)?)?;
    if let Some(again) = repeated(&policy) {
        return Err(PolicyFault::Repeated { place: source.place(&again.key), found: again.found, first: again.first });
    }
    fits(&policy)?;
    Ok(policy)
}

/// Refuses a document that nodes and clients would not read.
pub(super) fn fits(policy: &PolicyDoc) -> Result<(), PolicyFault> {
    let bytes = policy.encode().len();
    match bytes <= POLICY_BYTES {
        true => Ok(()),
        false => Err(PolicyFault::DocumentTooLarge { bytes, most: POLICY_BYTES }),
    }
}

const DOCUMENT: &[&str] = &[
    "version",
    "trust_domain",
    "min_svn",
    "platform_unseal",
    "measurements",
    "slots",
    "snp",
    "tdx",
    "endorse",
    "session",
    "release",
    "governance",
];

fn document(root: &Table<'_, '_>) -> Result<PolicyDoc, PolicyFault> {
    let endorse = root.table("endorse", &["min_endorsers", "other_vendor"])?;
    let session = root.table("session", &["reattest_s", "standing_period_s"])?;
    let governance = root.table("governance", &["keys", "threshold", "timelock_s", "lease_s"])?;
    Ok(PolicyDoc {
        version: PolicyVersion(root.number("version")?),
        trust_domain: root.named("trust_domain")?,
        measurements: root.list("measurements", measurement)?,
        min_svn: root.number("min_svn")?,
        snp: snp(&root.table("snp", SNP)?)?,
        tdx: tdx(&root.table("tdx", TDX)?)?,
        slots: root.list("slots", slot)?,
        endorse: EndorseRule { min_endorsers: endorse.number("min_endorsers")?, other_vendor: endorse.flag("other_vendor")? },
        session: SessionRules { reattest_s: session.number("reattest_s")?, standing_period_s: session.number("standing_period_s")? },
        platform_unseal: root.named("platform_unseal")?,
        release: release(root)?,
        governance: Governance {
            keys: governance.list("keys", |node| node.hex().map(SigPublic))?,
            threshold: governance.number("threshold")?,
            timelock_s: governance.number("timelock_s")?,
            lease_s: governance.number("lease_s")?,
        },
    })
}

pub(super) fn register(node: &Node<'_, '_>) -> Result<MeasurementRegister, PolicyFault> {
    node.hex().map(MeasurementRegister)
}

pub(super) fn measurement(node: &Node<'_, '_>) -> Result<Measurement, PolicyFault> {
    let build = node.table(&["id", "svn", "snp", "tdx", "tdx_replays"])?;
    Ok(Measurement {
        id: build.text("id")?,
        svn: build.number("svn")?,
        snp: build.list("snp", register)?,
        tdx: build.list("tdx", |node| {
            let tuple = node.table(&["mrtd", "rtmr0", "rtmr1", "rtmr2"])?;
            let register = |name| tuple.hex(name).map(MeasurementRegister);
            Ok(TdxTuple { mrtd: register("mrtd")?, rtmr0: register("rtmr0")?, rtmr1: register("rtmr1")?, rtmr2: register("rtmr2")? })
        })?,
        tdx_replays: build.list("tdx_replays", |node| {
            let replay = node.table(&["mrtd", "events"])?;
            Ok(TdxReplay { mrtd: replay.hex("mrtd").map(MeasurementRegister)?, events: replay.list("events", boot_event)? })
        })?,
    })
}

fn boot_event(node: &Node<'_, '_>) -> Result<BootEvent, PolicyFault> {
    let event = node.table(&["register", "event_type", "digests", "presence", "label"])?;
    Ok(BootEvent {
        register: event.named("register")?,
        event_type: event.number("event_type")?,
        digests: event.list("digests", register)?,
        presence: event.named("presence")?,
        label: event.text("label")?,
    })
}

fn slot(node: &Node<'_, '_>) -> Result<SlotRule, PolicyFault> {
    let slot = node.table(&["slot", "vendors", "failure_domain"])?;
    Ok(SlotRule {
        slot: Slot(slot.number("slot")?),
        vendors: slot.list("vendors", Node::named)?,
        failure_domain: slot.text("failure_domain")?,
    })
}

pub(super) const SNP: &[&str] = &[
    "report_versions",
    "products",
    "chips",
    "denied_chips",
    "vmpl",
    "policy_required",
    "policy_allowed",
    "min_abi_major",
    "min_abi_minor",
    "platform_required",
    "platform_allowed",
    "id_key_digest",
    "author_key_digest",
    "family_id",
    "image_id",
    "allow_vlek",
    "revocation",
];

pub(super) fn snp(table: &Table<'_, '_>) -> Result<SnpRules, PolicyFault> {
    let register = |name| table.hex(name).map(MeasurementRegister);
    Ok(SnpRules {
        report_versions: table.list("report_versions", Node::number)?,
        products: table.list("products", product)?,
        chips: table.list("chips", |node| node.hex().map(ChipId))?,
        denied_chips: table.list("denied_chips", |node| node.hex().map(ChipId))?,
        vmpl: table.number("vmpl")?,
        policy_required: table.bits("policy_required", &GUEST_POLICY)?,
        policy_allowed: table.bits("policy_allowed", &GUEST_POLICY)?,
        min_abi_major: table.number("min_abi_major")?,
        min_abi_minor: table.number("min_abi_minor")?,
        platform_required: table.bits("platform_required", &PLATFORM_INFO)?,
        platform_allowed: table.bits("platform_allowed", &PLATFORM_INFO)?,
        id_key_digest: register("id_key_digest")?,
        author_key_digest: register("author_key_digest")?,
        family_id: table.hex("family_id")?,
        image_id: table.hex("image_id")?,
        allow_vlek: table.flag("allow_vlek")?,
        revocation: table.named("revocation")?,
    })
}

fn product(node: &Node<'_, '_>) -> Result<SnpProductRule, PolicyFault> {
    let rule = node.table(&["product", "min_tcb", "required_mitigations"])?;
    let tcb = rule.table("min_tcb", &["fmc", "boot_loader", "tee", "snp", "microcode"])?;
    Ok(SnpProductRule {
        product: rule.named("product")?,
        min_tcb: SnpTcb {
            fmc: tcb.number("fmc")?,
            boot_loader: tcb.number("boot_loader")?,
            tee: tcb.number("tee")?,
            snp: tcb.number("snp")?,
            microcode: tcb.number("microcode")?,
        },
        required_mitigations: rule.bits("required_mitigations", &MITIGATIONS)?,
    })
}

pub(super) const TDX: &[&str] = &[
    "fmspcs",
    "platforms",
    "denied_platforms",
    "min_tcb_evaluation",
    "statuses",
    "denied_advisories",
    "mr_seams",
    "attributes_required",
    "attributes_allowed",
    "xfam_allowed",
    "rtmr3",
    "mr_owner",
    "mr_owner_config",
    "allow_dynamic_platform",
    "allow_cached_keys",
    "allow_smt",
];

pub(super) fn tdx(table: &Table<'_, '_>) -> Result<TdxRules, PolicyFault> {
    let exact = |name| table.hex(name).map(MeasurementRegister);
    Ok(TdxRules {
        fmspcs: table.list("fmspcs", |node| node.hex().map(Fmspc))?,
        platforms: table.list("platforms", |node| node.hex().map(Digest))?,
        denied_platforms: table.list("denied_platforms", |node| node.hex().map(Digest))?,
        min_tcb_evaluation: table.number("min_tcb_evaluation")?,
        statuses: table.list("statuses", Node::named)?,
        denied_advisories: table.list("denied_advisories", Node::text)?,
        mr_seams: table.list("mr_seams", register)?,
        attributes_required: table.bits("attributes_required", &TD_ATTRIBUTES)?,
        attributes_allowed: table.bits("attributes_allowed", &TD_ATTRIBUTES)?,
        xfam_allowed: table.bits("xfam_allowed", &XFAM)?,
        rtmr3: exact("rtmr3")?,
        mr_owner: exact("mr_owner")?,
        mr_owner_config: exact("mr_owner_config")?,
        allow_dynamic_platform: table.flag("allow_dynamic_platform")?,
        allow_cached_keys: table.flag("allow_cached_keys")?,
        allow_smt: table.flag("allow_smt")?,
    })
}

/// The keys of a release rule, which has more of them when a proof is demanded.
fn release_keys(demanded: bool) -> &'static [&'static str] {
    match demanded {
        false => &["demanded"],
        true => {
            &["demanded", "signers", "signer_threshold", "trusted_root", "witnesses", "witness_threshold", "log", "max_checkpoint_age_s"]
        }
    }
}

/// A digest, or no text for none.
fn trusted_root(table: &Table<'_, '_>) -> Result<Option<Digest>, PolicyFault> {
    let text: Text<64> = table.text("trusted_root")?;
    match text.is_empty() {
        true => Ok(None),
        false => Ok(Some(Digest(table.hex("trusted_root")?))),
    }
}

fn release(root: &Table<'_, '_>) -> Result<ReleaseRule, PolicyFault> {
    let table = root.table_by("release", "demanded", release_keys)?;
    if !table.flag("demanded")? {
        return Ok(ReleaseRule::NotDemanded);
    }
    Ok(ReleaseRule::Demanded(ReleaseSigners {
        signers: table.list("signers", Node::text)?,
        signer_threshold: table.number("signer_threshold")?,
        trusted_root: trusted_root(&table)?,
        witnesses: table.list("witnesses", Node::text)?,
        witness_threshold: table.number("witness_threshold")?,
        log: table.text("log")?,
        max_checkpoint_age_s: table.number("max_checkpoint_age_s")?,
    }))
}
