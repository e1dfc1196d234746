//! What verified evidence says: the facts a policy judges.
//!
//! Decides: nothing; every field of the report or quote that a policy may look at is here, in the vendor's words, next to what the vendor's
//! endorsements say about the platform. Claims are made by verifying only.
//! Trusts: the verifying half. Out of scope: judging (`appraise`). Protocol section 2.2.

use crate::error::VekKind;
use crate::event_log::BootLog;
use crate::snp::{FirmwareVersion, Revocation, product};
use alloc::string::String;
use alloc::vec::Vec;
use ringwall_wire::ids::{Digest, Vendor};
use ringwall_wire::policy::{ChipId, Fmspc, MeasurementRegister, SnpProduct, SnpTcb, TdxTcbStatus, TdxTuple};
use sha2::{Digest as _, Sha256};

/// Claims of one TEE.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one value per session; boxing would hide the fields")]
pub enum Claims {
    /// AMD's.
    Snp(SnpClaims),
    /// Intel's.
    Tdx(TdxClaims),
}

/// What an SNP report and its chain say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpClaims {
    /// The product, by CPUID where the report has it and by the certificate.
    pub product: SnpProduct,
    /// SHA-256 of the root certificate the chain leads to.
    pub root: Digest,
    /// What AMD's revocation list said.
    pub revocation: Revocation,
    /// Version of the report's layout.
    pub report_version: u32,
    /// GUEST_SVN of the ID block.
    pub guest_svn: u32,
    /// The guest policy, raw.
    pub guest_policy: u64,
    /// FAMILY_ID of the ID block.
    pub family_id: [u8; 16],
    /// IMAGE_ID of the ID block.
    pub image_id: [u8; 16],
    /// Privilege level that asked for the report.
    pub vmpl: u32,
    /// PLATFORM_INFO, raw.
    pub platform_bits: u64,
    /// Which key signed.
    pub signed_by: VekKind,
    /// Whether an author key was given at launch.
    pub author_key_used: bool,
    /// Whether the chip's key is masked (MASK_CHIP_KEY).
    pub chip_key_masked: bool,
    /// The guest's 64 bytes.
    pub report_data: [u8; 64],
    /// Launch measurement.
    pub measurement: MeasurementRegister,
    /// The host's 32 bytes, fixed at launch.
    pub host_data: Digest,
    /// SHA-384 of the ID key.
    pub id_key_digest: MeasurementRegister,
    /// SHA-384 of the author key.
    pub author_key_digest: MeasurementRegister,
    /// Name of this guest.
    pub report_id: [u8; 32],
    /// Name of its migration agent, all ones when there is none.
    pub report_id_ma: [u8; 32],
    /// The chip.
    pub chip_id: ChipId,
    /// Firmware that runs.
    pub current_tcb: SnpTcb,
    /// Firmware the signing key was derived for.
    pub reported_tcb: SnpTcb,
    /// Firmware that cannot be rolled back.
    pub committed_tcb: SnpTcb,
    /// Firmware at launch.
    pub launch_tcb: SnpTcb,
    /// Version of the running SNP firmware.
    pub current_version: FirmwareVersion,
    /// Version of the committed SNP firmware.
    pub committed_version: FirmwareVersion,
    /// Mitigations at launch; reports of version 5.
    pub launch_mitigations: Option<u64>,
    /// Mitigations now; reports of version 5.
    pub current_mitigations: Option<u64>,
}

/// What a TDX quote, its chain and Intel's collateral say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxClaims {
    /// SHA-256 of the root certificate the chain leads to.
    pub root: Digest,
    /// Version of the quote.
    pub quote_version: u16,
    /// Body type (2, 3 or 4 for TDX 1.0, 1.5, 1.5 extended).
    pub body_type: u16,
    /// Version of the quoting enclave, as the quote's header says.
    pub qe_svn: u16,
    /// Version of the provisioning certification enclave, as the quote's header says.
    pub pce_svn: u16,
    /// User data of the header.
    pub user_data: [u8; 20],
    /// Security versions of the TDX module and its loader.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the TDX module.
    pub mr_seam: MeasurementRegister,
    /// Signer of the TDX module, zero for Intel.
    pub mr_signer_seam: MeasurementRegister,
    /// Attributes of the TDX module.
    pub seam_attributes: u64,
    /// Attributes of the TD.
    pub td_attributes: u64,
    /// Extended features the TD may use.
    pub xfam: u64,
    /// MRTD, RTMR0, RTMR1 and RTMR2.
    pub tuple: TdxTuple,
    /// RTMR3.
    pub rtmr3: MeasurementRegister,
    /// What the node's event log is worth beside RTMR0 to RTMR3. The host sends it and nobody signs it: only a log that replays to them counts.
    pub boot_log: BootLog,
    /// MRCONFIGID.
    pub mr_config_id: [u8; 48],
    /// MROWNER.
    pub mr_owner: MeasurementRegister,
    /// MROWNERCONFIG.
    pub mr_owner_config: MeasurementRegister,
    /// The guest's 64 bytes.
    pub report_data: [u8; 64],
    /// Hashes of bound service TDs (initial, current); zero or absent when there is none.
    pub service_tds: Vec<MeasurementRegister>,
    /// Virtual machine inside a partitioned TD (bodies of type 4); 0 for the whole TD.
    pub vm_index: u8,
    /// Hash of what is known about attached devices (bodies of type 4); zero when there are none.
    pub device_information: MeasurementRegister,
    /// Intel's word for the platform, its module and its quoting enclave together.
    pub status: TdxTcbStatus,
    /// Advisories that apply to them.
    pub advisories: Vec<String>,
    /// Lower of the evaluation data numbers of TCB info and QE identity.
    pub tcb_evaluation: u32,
    /// Platform family.
    pub fmspc: Fmspc,
    /// SHA-256 of the platform's provisioning id (PPID).
    pub platform: Digest,
    /// Whether the platform may be extended after provisioning; absent when the certificate does not say.
    pub dynamic_platform: Option<bool>,
    /// Whether platform keys are cached by Intel.
    pub cached_keys: Option<bool>,
    /// Whether hyper-threading is on.
    pub smt: Option<bool>,
    /// Number of the PCK revocation list.
    pub pck_crl_number: u32,
    /// Number of the root's revocation list.
    pub root_crl_number: u32,
    /// When the first piece of collateral runs out, Unix seconds.
    pub collateral_expires_s: u64,
}

impl SnpClaims {
    /// The committed TCB version in the raw layout of its product, as the firmware takes it in a request for a derived key.
    pub fn committed_tcb_version(&self) -> u64 {
        product::encode_tcb(self.product, &self.committed_tcb)
    }
}

impl Claims {
    /// The vendor.
    pub fn vendor(&self) -> Vendor {
        match self {
            Claims::Snp(_) => Vendor::Amd,
            Claims::Tdx(_) => Vendor::Intel,
        }
    }

    /// SHA-256 of the chip id (AMD) or of the platform's provisioning id (Intel): how a cluster names a machine.
    pub fn chip(&self) -> Digest {
        match self {
            Claims::Snp(claims) => Digest(Sha256::digest(claims.chip_id.0).into()),
            Claims::Tdx(claims) => claims.platform,
        }
    }

    /// SHA-256 of the root certificate the chain leads to.
    pub fn root(&self) -> &Digest {
        match self {
            Claims::Snp(claims) => &claims.root,
            Claims::Tdx(claims) => &claims.root,
        }
    }

    /// The 64 bytes the guest had signed.
    pub fn report_data(&self) -> &[u8; 64] {
        match self {
            Claims::Snp(claims) => &claims.report_data,
            Claims::Tdx(claims) => &claims.report_data,
        }
    }
}
