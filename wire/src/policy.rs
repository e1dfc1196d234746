//! The appraisal policy: which evidence a cluster and its clients accept.
//!
//! Decides: the shape of the document; no field is optional and nothing has a default, so that a rule cannot be forgotten. And the
//! words a governor signs under it: the policy that is replaced and the one that is approved, so that an approval counts for that step alone.
//! Trusts: nothing; its hash is in the genesis record and in every binding. Out of scope: judging evidence and approvals (`attest`).
//! Protocol sections 2.2 and 8.

use crate::bounded::{Blob, List, Text};
use crate::codec::{Field as _, enc};
use crate::ids::{Digest, PolicyVersion, SigPublic, Signature, Slot, TrustDomain, Vendor};
use crate::label::Label;
use crate::limits::{
    EVENT_DIGESTS, EVENT_LOG_EVENTS, GOVERNORS, POLICY_CHIPS, POLICY_MEASUREMENTS, SLOTS, TDX_REPLAYS, VERIFIER_KEY_BYTES,
};
use crate::{choice, message, record};
use alloc::vec::Vec;

message! {
    /// The policy document; canonical bytes are hashed and signed.
    pub struct PolicyDoc = Policy {
        /// Never decreases.
        pub version: PolicyVersion,
        /// Which roots apply.
        pub trust_domain: TrustDomain,
        /// Builds that may run.
        pub measurements: List<Measurement, POLICY_MEASUREMENTS>,
        /// Least security version of a build.
        pub min_svn: u32,
        /// Rules for AMD evidence.
        pub snp: SnpRules,
        /// Rules for Intel evidence.
        pub tdx: TdxRules,
        /// Places of the cluster.
        pub slots: List<SlotRule, SLOTS>,
        /// Who must endorse a joiner.
        pub endorse: EndorseRule,
        /// Rules of attested sessions.
        pub session: SessionRules,
        /// Whether the cluster's own chips may open its keys after a total outage, without custodians.
        pub platform_unseal: PlatformUnseal,
        /// Whether a proof of release is demanded, and by whom it must be signed.
        pub release: ReleaseRule,
        /// Who may change this document.
        pub governance: Governance,
    }
}

record! {
    /// One published build, as each platform measures it.
    pub struct Measurement {
        /// Name of the release.
        pub id: Text<64>,
        /// Its security version.
        pub svn: u32,
        /// SNP launch digests (one for each shape of guest).
        pub snp: List<MeasurementRegister, 32>,
        /// TDX register tuples (one for each shape of guest).
        pub tdx: List<TdxTuple, 32>,
        /// Tables of allowed boot events, for guests whose shapes are too many for tuples.
        pub tdx_replays: List<TdxReplay, TDX_REPLAYS>,
    }
}

crate::byte_name!(/// A SHA-384 measurement.
    MeasurementRegister, 48);

record! {
    /// The TDX registers that together name a build; judged as one tuple, never one by one.
    pub struct TdxTuple {
        /// MRTD.
        pub mrtd: MeasurementRegister,
        /// RTMR0.
        pub rtmr0: MeasurementRegister,
        /// RTMR1.
        pub rtmr1: MeasurementRegister,
        /// RTMR2.
        pub rtmr2: MeasurementRegister,
    }
}

record! {
    /// A course of a TD's boot: the firmware, and what that firmware may measure on the way to this build.
    pub struct TdxReplay {
        /// MRTD, exact: which firmware measures.
        pub mrtd: MeasurementRegister,
        /// Everything it may measure, in order. The order counts within a register: nobody signs it across registers.
        pub events: List<BootEvent, EVENT_LOG_EVENTS>,
    }
}

record! {
    /// One event of a boot, as the policy allows it.
    pub struct BootEvent {
        /// Register it extends.
        pub register: Rtmr,
        /// Type of the event (TCG PC Client Platform Firmware Profile, "Event types"). Never `EV_NO_ACTION`: nothing is extended then.
        pub event_type: u32,
        /// SHA-384 digests it may have, one of them; none means none.
        pub digests: List<MeasurementRegister, EVENT_DIGESTS>,
        /// Whether it may be left out.
        pub presence: Presence,
        /// What it is, for people.
        pub label: Text<64>,
    }
}

choice! {
    /// A runtime measurement register of a TD. The tag is its index in an event log (UEFI, "CC measurement register").
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub enum Rtmr {
        /// Configuration of the firmware and of the virtual machine.
        1 => Rtmr0,
        /// Boot loader, kernel, partition table.
        2 => Rtmr1,
        /// Command line, initrd, what the boot loader read.
        3 => Rtmr2,
        /// Left to the guest.
        4 => Rtmr3,
    }
}

impl core::fmt::Display for Rtmr {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Rtmr::Rtmr0 => "RTMR0",
            Rtmr::Rtmr1 => "RTMR1",
            Rtmr::Rtmr2 => "RTMR2",
            Rtmr::Rtmr3 => "RTMR3",
        })
    }
}

choice! {
    /// Whether a boot event may be left out.
    #[derive(Copy)]
    pub enum Presence {
        /// Exactly once.
        1 => Required,
        /// At most once.
        2 => Optional,
    }
}

choice! {
    /// AMD server family; decides the pinned root and the layout of TCB versions.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub enum SnpProduct {
        /// Zen 3.
        1 => Milan,
        /// Zen 4.
        2 => Genoa,
        /// Zen 5.
        3 => Turin,
    }
}

record! {
    /// Security versions of the AMD firmware parts; `fmc` is 0 before Turin.
    #[derive(Copy, Default)]
    pub struct SnpTcb {
        /// Turin's first mutable code.
        pub fmc: u8,
        /// Boot loader.
        pub boot_loader: u8,
        /// PSP operating system.
        pub tee: u8,
        /// SNP firmware.
        pub snp: u8,
        /// Microcode.
        pub microcode: u8,
    }
}

record! {
    /// One accepted AMD family.
    pub struct SnpProductRule {
        /// Which.
        pub product: SnpProduct,
        /// Least version of every firmware part; applies to current, reported, committed and launch TCB.
        pub min_tcb: SnpTcb,
        /// Bits of the mitigation vectors that must be set (both vectors; reports of version 5 and later).
        pub required_mitigations: u64,
    }
}

choice! {
    /// What a missing or outdated revocation list means.
    #[derive(Copy)]
    pub enum RevocationRule {
        /// Refuse.
        1 => Required,
        /// Accept; a list that is present and names the chain still refuses.
        2 => BestEffort,
    }
}

crate::byte_name!(/// AMD's identifier of one chip.
    ChipId, 64);
crate::byte_name!(/// Intel's identifier of a platform family.
    Fmspc, 6);

record! {
    /// Rules for AMD evidence.
    pub struct SnpRules {
        /// Accepted report versions.
        pub report_versions: List<u32, 8>,
        /// Accepted families.
        pub products: List<SnpProductRule, 8>,
        /// Accepted chips; none means none.
        pub chips: List<ChipId, POLICY_CHIPS>,
        /// Chips that are refused although they are accepted above: AMD's revocation lists cannot name a chip.
        pub denied_chips: List<ChipId, POLICY_CHIPS>,
        /// Exact VMPL.
        pub vmpl: u32,
        /// Guest policy bits (16 and up) that must be set.
        pub policy_required: u64,
        /// Guest policy bits (16 and up) that may be set; any other set bit refuses.
        pub policy_allowed: u64,
        /// Least ABI version the guest policy must demand, major then minor.
        pub min_abi_major: u8,
        /// Minor part.
        pub min_abi_minor: u8,
        /// Platform-info bits that must be set.
        pub platform_required: u64,
        /// Platform-info bits that may be set; any other set bit refuses.
        pub platform_allowed: u64,
        /// Exact digest of the ID key (zero when none is used).
        pub id_key_digest: MeasurementRegister,
        /// Exact digest of the author key (zero when none is used).
        pub author_key_digest: MeasurementRegister,
        /// Exact family id (zero when none is used).
        pub family_id: [u8; 16],
        /// Exact image id (zero when none is used).
        pub image_id: [u8; 16],
        /// Whether a key the cloud provider holds for many chips (VLEK) may sign.
        pub allow_vlek: bool,
        /// What a missing revocation list means.
        pub revocation: RevocationRule,
    }
}

choice! {
    /// Intel's word for how current a platform is.
    #[derive(Copy, PartialOrd, Ord)]
    pub enum TdxTcbStatus {
        /// Current.
        1 => UpToDate,
        /// Current, software hardening wanted.
        2 => SwHardeningNeeded,
        /// Current, configuration wanted.
        3 => ConfigurationNeeded,
        /// Both.
        4 => ConfigurationAndSwHardeningNeeded,
        /// Old.
        5 => OutOfDate,
        /// Old, configuration wanted.
        6 => OutOfDateConfigurationNeeded,
        /// Launched under an old module that was since updated: launch again.
        7 => RelaunchAdvised,
        /// Both of the latter.
        8 => RelaunchAdvisedConfigurationNeeded,
    }
}

record! {
    /// Rules for Intel evidence.
    pub struct TdxRules {
        /// Accepted platform families.
        pub fmspcs: List<Fmspc, 32>,
        /// SHA-256 of the platform ids (PPID) that are accepted; none means none.
        pub platforms: List<Digest, POLICY_CHIPS>,
        /// Platforms that are refused although they are accepted above.
        pub denied_platforms: List<Digest, POLICY_CHIPS>,
        /// Least TCB evaluation data number of the collateral.
        pub min_tcb_evaluation: u32,
        /// Accepted statuses.
        pub statuses: List<TdxTcbStatus, 8>,
        /// Advisories that refuse even when the status is accepted.
        pub denied_advisories: List<Text<32>, 64>,
        /// Accepted TDX module measurements; empty leaves the module to Intel's module identities.
        pub mr_seams: List<MeasurementRegister, 32>,
        /// TD attribute bits that must be set.
        pub attributes_required: u64,
        /// TD attribute bits that may be set; any other set bit refuses.
        pub attributes_allowed: u64,
        /// XFAM bits that may be set.
        pub xfam_allowed: u64,
        /// Exact RTMR3.
        pub rtmr3: MeasurementRegister,
        /// Exact MROWNER.
        pub mr_owner: MeasurementRegister,
        /// Exact MROWNERCONFIG.
        pub mr_owner_config: MeasurementRegister,
        /// Whether platforms whose certificate says "dynamic" count.
        pub allow_dynamic_platform: bool,
        /// Whether platforms with cached keys count.
        pub allow_cached_keys: bool,
        /// Whether hyper-threading may be on.
        pub allow_smt: bool,
    }
}

record! {
    /// One place of the cluster.
    pub struct SlotRule {
        /// Its number.
        pub slot: Slot,
        /// Vendors that may stand there.
        pub vendors: List<Vendor, 2>,
        /// Failure domain, for people.
        pub failure_domain: Text<64>,
    }
}

record! {
    /// Who must endorse a joiner before it is admitted.
    #[derive(Copy)]
    pub struct EndorseRule {
        /// Least number of voters.
        pub min_endorsers: u8,
        /// Whether one of them must run on another vendor's CPU, where the slots have one.
        pub other_vendor: bool,
    }
}

record! {
    /// Rules of attested sessions.
    #[derive(Copy)]
    pub struct SessionRules {
        /// Seconds after which a session must attest again.
        pub reattest_s: u32,
        /// Seconds a standing key serves; 0 = not offered.
        pub standing_period_s: u32,
    }
}

choice! {
    /// Whether keys that AMD's chips derive may stand in for custodians after a total outage (protocol section 6.3).
    #[derive(Copy)]
    pub enum PlatformUnseal {
        /// No: it takes custodians. Nothing is wrapped to a chip.
        1 => Never,
        /// Yes: every AMD node keeps the master keys wrapped to its own chip, for this build in this place.
        2 => SameChips,
    }
}

choice! {
    /// Whether a proof of release is demanded.
    pub enum ReleaseRule {
        /// No: measurements in this document are enough. Legal in a simulated trust domain only.
        1 => NotDemanded,
        /// Yes: this many of these signers, and this many of these witnesses.
        2 => Demanded(ReleaseSigners),
    }
}

record! {
    /// Who signs releases and who witnesses the log.
    pub struct ReleaseSigners {
        /// Signers: `keyless:<issuer> <identity>`, or `key:<verifier key, or base64 of a DER public key>`.
        pub signers: List<Text<256>, 16>,
        /// How many must have signed.
        pub signer_threshold: u8,
        /// SHA-256 of Sigstore's trusted root, which the proof staples; none: no signer is keyless, and bundles bring no entry of Sigstore's log.
        pub trusted_root: Option<Digest>,
        /// Keys of the log's witnesses (C2SP verifier keys).
        pub witnesses: List<Text<VERIFIER_KEY_BYTES>, 16>,
        /// How many must have cosigned.
        pub witness_threshold: u8,
        /// Verifier key of the log.
        pub log: Text<256>,
        /// Seconds a checkpoint may be old.
        pub max_checkpoint_age_s: u32,
    }
}

record! {
    /// Who may change the policy.
    pub struct Governance {
        /// Keys.
        pub keys: List<SigPublic, GOVERNORS>,
        /// How many must approve.
        pub threshold: u8,
        /// Seconds a loosening change waits.
        pub timelock_s: u32,
        /// Seconds for which governors may say at once that this policy stays wanted; past their word members grant no keys. 0: none is demanded.
        pub lease_s: u32,
    }
}

/// A policy document as bytes, bounded.
pub type PolicyBytes = Blob<{ crate::limits::POLICY_BYTES }>;

message! {
    /// A policy and the governors who approve it; made and read by `ringwall policy`.
    pub struct SignedPolicy = SignedPolicy {
        /// SHA-256 of the policy it replaces; none for the first policy of a cluster.
        pub replaces: Option<Digest>,
        /// The canonical bytes of the [`PolicyDoc`].
        pub policy: PolicyBytes,
        /// Approvals, in no particular order.
        pub signatures: List<Approval, GOVERNORS>,
    }
}

record! {
    /// One governor's signature under a policy or an order.
    #[derive(Copy)]
    pub struct Approval {
        /// Whose.
        pub key: SigPublic,
        /// Ed25519, over the `signed_words` of what is approved.
        pub signature: Signature,
    }
}

impl SignedPolicy {
    /// What every governor signs: the step from one policy to the next, so that an approval cannot be used after another policy.
    pub fn signed_words(&self) -> Vec<u8> {
        enc(Label::PolicySigned, &[&self.replaces.to_bytes(), &self.policy])
    }
}
