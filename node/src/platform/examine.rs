//! `platform-check`: walks the way evidence takes, from the kernel to the vendor's root, and says at each step what it found.
//!
//! Decides: the order of the steps and when to stop; the verdict is the verifier's, with the same pinned roots a node believes. Evidence is
//! made over fresh random bytes, so a recorded answer never passes.
//! Trusts: nothing it reads. Out of scope: policies (a cluster's own), how it is shown (`examination`). Protocol section 2.2.

use super::attester::{Collected, TsmAttester};
use super::derived_keys::{DerivedKeyError, DerivedKeys, KeyFields};
use super::examination::{Examination, Found, Outcome, Verdict};
use super::store::EndorsementStore;
use super::surroundings::{Findings, Presence, Surroundings};
use super::tsm::Entry;
use super::tsm_fs::TsmFs;
use ringwall_attest::{Anchors, Attester as _, Claims, Finding, SnpClaims, TdxClaims, verify};
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::Vendor;
use ringwall_wire::policy::SnpTcb;
use ringwall_wire::text::hex;
use std::sync::Arc;

/// What is examined, and against what.
pub struct Subject<'a> {
    /// Places to look at.
    pub surroundings: Surroundings,
    /// The report folder.
    pub fs: Arc<dyn TsmFs>,
    /// Name of an entry to use instead of making one.
    pub adopted: Option<String>,
    /// Where endorsements come from.
    pub store: Arc<dyn EndorsementStore>,
    /// Opens the platform's derived keys.
    pub derived_keys: &'a dyn Fn(Vendor) -> Result<Box<dyn DerivedKeys>, DerivedKeyError>,
    /// Pinned roots.
    pub anchors: &'a Anchors,
    /// Unix seconds to verify at.
    pub now_s: u64,
    /// Fresh random bytes to make evidence over.
    pub asked: [u8; 64],
    /// Whether the chip's id is shown, not only its digest.
    pub show_chip_id: bool,
}

#[derive(Default)]
struct Notes {
    steps: Vec<Found>,
}

impl Notes {
    fn add(&mut self, outcome: Outcome, step: &'static str, says: impl Into<String>) {
        self.steps.push(Found { step, outcome, says: says.into() });
    }

    fn good(&mut self, step: &'static str, says: impl Into<String>) {
        self.add(Outcome::Good, step, says);
    }

    fn note(&mut self, step: &'static str, says: impl Into<String>) {
        self.add(Outcome::Note, step, says);
    }

    fn bad(&mut self, step: &'static str, says: impl Into<String>) {
        self.add(Outcome::Bad, step, says);
    }

    /// Good when `fine`, otherwise worth a note.
    fn either(&mut self, fine: bool, step: &'static str, says: impl Into<String>) {
        self.add(if fine { Outcome::Good } else { Outcome::Note }, step, says);
    }
}

/// Goes through all steps. Blocks for as long as the platform and the store take, a few minutes at most.
pub fn examine(subject: &Subject<'_>) -> Examination {
    let mut notes = Notes::default();
    let verdict = walk(subject, &mut notes);
    Examination { version: env!("CARGO_PKG_VERSION"), steps: notes.steps, verdict }
}

fn walk(subject: &Subject<'_>, notes: &mut Notes) -> Verdict {
    notes.good("program", format!("ringwall {}", env!("CARGO_PKG_VERSION")));
    look_around(&subject.surroundings, notes);
    let opened = TsmAttester::open(Arc::clone(&subject.fs), subject.adopted.clone(), Arc::clone(&subject.store));
    let attester = match opened {
        Ok(attester) => attester,
        Err(fault) => {
            notes.bad("provider", fault.to_string());
            return Verdict::NoEvidence;
        }
    };
    notes.good("provider", attester.provider().name());
    look_at_entry(subject, notes);
    let collected = match attester.collect(&subject.asked) {
        Ok(collected) => collected,
        Err(fault) => {
            notes.bad("evidence", fault.to_string());
            return Verdict::NoEvidence;
        }
    };
    describe(&collected, notes);
    try_derived_key(subject, attester.vendor(), collected.privlevel.unwrap_or(0), notes);
    let endorsements = match attester.endorse(&collected) {
        Ok(endorsements) => endorsements,
        Err(fault) => {
            notes.bad("endorsements", fault.to_string());
            return Verdict::NoEndorsements;
        }
    };
    notes.good("endorsements", endorsed(&endorsements));
    match verify(&collected.evidence, &endorsements, subject.anchors, subject.now_s) {
        Ok(verified) => {
            for step in verified.steps() {
                notes.good("verified", step.as_str());
            }
            match verified.claims() {
                Claims::Snp(claims) => say_snp(claims, subject.show_chip_id, notes),
                Claims::Tdx(claims) => say_tdx(claims, notes),
            }
            Verdict::Ready
        }
        Err(fault) => {
            notes.bad("verified", fault.to_string());
            match fault.finding() {
                Finding::Bad => Verdict::NotGenuine,
                Finding::CannotTell => Verdict::CannotTell,
            }
        }
    }
}

fn look_around(surroundings: &Surroundings, notes: &mut Notes) {
    let found: Findings = surroundings.look();
    let or_nothing = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    notes.either(!found.kernel.is_empty(), "kernel", or_nothing(&found.kernel));
    notes.good("machine", or_nothing(&found.machine));
    let flags =
        if found.flags.is_empty() { "none of sev_snp, tdx_guest (a guest may hide them)".to_owned() } else { found.flags.join(" ") };
    notes.either(!found.flags.is_empty(), "CPU flags", flags);
    let modules =
        if found.modules.is_empty() { "none listed; they may be built into the kernel".to_owned() } else { found.modules.join(" ") };
    notes.either(!found.modules.is_empty(), "drivers", modules);
    for (device, presence) in &found.devices {
        match presence {
            Presence::Absent => {}
            Presence::There => notes.good("device", *device),
            Presence::Denied => notes.note("device", format!("{device}: this process may not open it")),
        }
    }
    let reports = surroundings.reports().display();
    match found.reports {
        Presence::There => notes.good("report folder", reports.to_string()),
        Presence::Denied => notes.bad("report folder", format!("{reports}: this process may not read it")),
        Presence::Absent => notes.bad("report folder", format!("{reports} is not there")),
    }
    for hint in found.hints() {
        notes.note("hint", hint);
    }
}

/// What the entry shows before anything is asked.
fn look_at_entry(subject: &Subject<'_>, notes: &mut Notes) {
    let entry = match &subject.adopted {
        Some(name) => Ok(Entry::adopt(subject.fs.as_ref(), name)),
        None => Entry::make(subject.fs.as_ref()),
    };
    let Ok(entry) = entry else { return };
    match entry.generation() {
        Ok(generation) => notes.good("generation", generation.to_string()),
        Err(fault) => notes.note("generation", fault.to_string()),
    }
    if entry.provider().is_ok_and(|provider| provider == super::tsm::Provider::SevGuest) {
        match entry.privlevel_floor() {
            Ok(0) => notes.good("privilege level", "0"),
            Ok(floor) => notes.note("privilege level", format!("{floor}: software below this kernel, a paravisor or SVSM, has level 0")),
            Err(fault) => notes.note("privilege level", fault.to_string()),
        }
    }
}

fn describe(collected: &Collected, notes: &mut Notes) {
    let tries = if collected.tries == 1 { String::new() } else { format!(", after {} tries", collected.tries) };
    match &collected.evidence {
        Evidence::Snp(evidence) => notes.good("evidence", format!("a report of {} bytes{tries}", evidence.report.len())),
        Evidence::Tdx(evidence) => {
            let length = evidence.quote.len();
            let padding = collected.outblob_bytes.saturating_sub(length);
            notes.good("evidence", format!("a quote of {length} bytes and {padding} zeros{tries}"));
        }
    }
    match &collected.table {
        Err(fault) => notes.note("host's certificates", format!("{fault}; they are left out")),
        Ok(table) if table.is_empty() && collected.privlevel.is_some() => {
            notes.note("host's certificates", "none; they have to be fetched from AMD or a cache");
        }
        Ok(table) => {
            for entry in table.entries() {
                let name = entry.guid.name().map_or_else(|| entry.guid.to_string(), str::to_owned);
                notes.good("host's certificates", format!("{name}, {} bytes", entry.bytes.len()));
            }
        }
    }
}

/// Derives one key twice; only whether it is the same is told.
fn try_derived_key(subject: &Subject<'_>, vendor: Vendor, vmpl: u32, notes: &mut Notes) {
    let fields = KeyFields { policy: true, measurement: true, vmpl, ..KeyFields::default() };
    let derived = (subject.derived_keys)(vendor).and_then(|keys| Ok((keys.derive(fields)?, keys.derive(fields)?)));
    match derived {
        Ok((first, second)) if first.same(&second) => notes.good("derived key", "usable: the same key twice (it is not shown)"),
        Ok(_) => notes.note("derived key", "not usable: two requests gave two keys"),
        Err(fault) => notes.note("derived key", format!("none: {fault}")),
    }
}

fn endorsed(endorsements: &Endorsements) -> String {
    match endorsements {
        Endorsements::Snp(chain) => {
            let list = if chain.crl.is_empty() { "no revocation list".to_owned() } else { format!("list {} bytes", chain.crl.len()) };
            format!("signing certificate {} bytes, intermediate {} bytes, {list}", chain.vek.len(), chain.ask.len())
        }
        Endorsements::Tdx(collateral) => format!(
            "TCB info {} bytes, QE identity {} bytes, lists {} and {} bytes",
            collateral.tcb_info.len(),
            collateral.qe_identity.len(),
            collateral.pck_crl.len(),
            collateral.root_ca_crl.len()
        ),
    }
}

fn say_snp(claims: &SnpClaims, show_chip_id: bool, notes: &mut Notes) {
    const DEBUG: u64 = 1 << 19;
    const MIGRATE_MA: u64 = 1 << 18;
    let tcb = |tcb: &SnpTcb| {
        format!("boot loader {}, TEE {}, SNP {}, microcode {}, FMC {}", tcb.boot_loader, tcb.tee, tcb.snp, tcb.microcode, tcb.fmc)
    };
    notes.good("product", format!("{:?}, report version {}, signed by a {}", claims.product, claims.report_version, claims.signed_by));
    notes.good("firmware", format!("{}, committed {}", claims.current_version, claims.committed_version));
    notes.good("TCB reported", tcb(&claims.reported_tcb));
    notes.good("TCB current", tcb(&claims.current_tcb));
    notes.good("TCB committed", tcb(&claims.committed_tcb));
    notes.good("TCB at launch", tcb(&claims.launch_tcb));
    let masked = claims.chip_id.0 == [0; 64];
    let digest = Claims::Snp(claims.clone()).chip();
    notes.either(!masked, "chip digest", if masked { "the host masks the chip's id".to_owned() } else { hex(&digest.0) });
    if show_chip_id {
        notes.note("chip id", hex(&claims.chip_id.0));
    }
    let debug = claims.guest_policy & DEBUG != 0;
    notes.either(
        !debug,
        "guest policy",
        format!("{:#x}{}", claims.guest_policy, if debug { ": DEBUG, the host may read everything" } else { "" }),
    );
    if claims.guest_policy & MIGRATE_MA != 0 {
        notes.note("guest policy", "MIGRATE_MA: a migration agent may export this guest");
    }
    notes.good("platform bits", format!("{:#x}", claims.platform_bits));
    notes.either(claims.vmpl == 0, "VMPL", claims.vmpl.to_string());
    notes.good("measurement", hex(&claims.measurement.0));
    notes.good("host data", hex(&claims.host_data.0));
    notes.good("guest SVN", claims.guest_svn.to_string());
}

fn say_tdx(claims: &TdxClaims, notes: &mut Notes) {
    const DEBUG: u64 = 1;
    notes.good("quote", format!("version {}, body type {}", claims.quote_version, claims.body_type));
    let advisories = if claims.advisories.is_empty() { "no advisories".to_owned() } else { claims.advisories.join(" ") };
    let fine = claims.status == ringwall_wire::policy::TdxTcbStatus::UpToDate;
    notes.either(fine, "TCB status", format!("{:?}, evaluation {}: {advisories}", claims.status, claims.tcb_evaluation));
    notes.good("TEE TCB SVN", hex(&claims.tee_tcb_svn));
    notes.good("platform family", hex(&claims.fmspc.0));
    notes.good("platform digest", hex(&claims.platform.0));
    let debug = claims.td_attributes & DEBUG != 0;
    let attributes = format!("{:#x}{}", claims.td_attributes, if debug { ": DEBUG, the host may read everything" } else { "" });
    notes.either(!debug, "TD attributes", attributes);
    notes.good("MRTD", hex(&claims.tuple.mrtd.0));
    notes.good("RTMR0", hex(&claims.tuple.rtmr0.0));
    notes.good("RTMR1", hex(&claims.tuple.rtmr1.0));
    notes.good("RTMR2", hex(&claims.tuple.rtmr2.0));
    notes.good("RTMR3", hex(&claims.rtmr3.0));
    notes.good("MRCONFIGID", hex(&claims.mr_config_id));
    notes.good("collateral until", format!("{} (Unix seconds)", claims.collateral_expires_s));
}
