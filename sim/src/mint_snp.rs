//! What a simulated AMD machine answers, honest or not.
//!
//! Decides: how each lie bends report or endorsements; everything else is what genuine firmware would say.
//! Trusts: nothing. Out of scope: layout (`snp`), certificates (`amd`). Protocol section 2.2, "SNP".

use crate::amd::{self, Issuer, Vek, VekOf};
use crate::lie::Lie;
use crate::pki::Window;
use crate::profile::{BuildImage, TeeProfile};
use crate::seed;
use crate::snp::{self, Report, guest, platform};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{SnpEndorsements, SnpEvidence};
use ringwall_wire::policy::{SnpProduct, SnpTcb};

/// The provider of simulated VLEKs.
const PROVIDER: &str = "ringwall-sim-cloud";
/// The chip a cloning machine pretends to be.
const VICTIM: &str = "victim";

/// A report over `report_data`.
pub(crate) fn evidence(profile: &TeeProfile, product: SnpProduct, report_data: &[u8; 64]) -> SnpEvidence {
    let tells = |lie| profile.tells(lie);
    let report = report(profile, product, report_data);
    let mut bytes = report.sign(&endorsed_key(profile, product)).to_vec();
    let mut poke = |lie, at: usize, bit: u8| {
        if let Some(byte) = bytes.get_mut(at).filter(|_| tells(lie)) {
            *byte ^= bit;
        }
    };
    poke(Lie::Signature, 0x2a0, 1);
    poke(Lie::SnpSignaturePadding, 0x2a0 + 48, 1);
    poke(Lie::SnpSignatureTail, 0x2a0 + 144, 1);
    if tells(Lie::Truncated) {
        bytes.pop();
    }
    SnpEvidence { report: Blob::new(bytes).expect("a report has its size") }
}

/// The certificates and the revocation list for this machine.
pub(crate) fn endorsements(profile: &TeeProfile, product: SnpProduct, now_s: u64) -> SnpEndorsements {
    let tells = |lie| profile.tells(lie);
    let vlek = tells(Lie::SnpVlek);
    let root = if tells(Lie::ForeignRoot) { Issuer::Foreign } else { Issuer::Ark };
    let ask = amd::intermediate(product, if vlek { Issuer::Asvk } else { Issuer::Ask }, root);
    let crl = match tells(Lie::SnpCrlAbsent) {
        true => Vec::new(),
        false => {
            let window = if tells(Lie::SnpCrlExpired) { Window::past(now_s) } else { Window::around(now_s) };
            let signer = if tells(Lie::SnpCrlForged) { Issuer::Foreign } else { root };
            amd::crl(product, window, tells(Lie::SnpAskRevoked), signer).to_vec()
        }
    };
    SnpEndorsements {
        vek: Blob::new(vek(profile, product, now_s)).expect("a certificate is short"),
        ask: Blob::new(ask.to_vec()).expect("a certificate is short"),
        crl: Blob::new(crl).expect("a revocation list is short"),
    }
}

/// The key that signs this machine's reports; where it lies about the VEK, not the one its certificate is for.
pub(crate) fn endorsed_key(profile: &TeeProfile, product: SnpProduct) -> p384::ecdsa::SigningKey {
    let reported = amd::tcb_bytes(product, &reported_tcb(profile, product));
    match profile.tells(Lie::SnpVlek) {
        true => snp::vlek(product, PROVIDER, &reported),
        false => snp::vcek(product, &snp::chip_id(product, &profile.chip_name), &reported),
    }
}

fn vek(profile: &TeeProfile, product: SnpProduct, now_s: u64) -> Vec<u8> {
    let tells = |lie| profile.tells(lie);
    let chip_name = if tells(Lie::SnpOtherVek) { VICTIM } else { &profile.chip_name };
    let chip = snp::chip_id(product, chip_name);
    let reported = amd::tcb_bytes(product, &reported_tcb(profile, product));
    let key = match tells(Lie::SnpVlek) {
        true => snp::vlek(product, PROVIDER, &reported),
        false => snp::vcek(product, &chip, &reported),
    };
    let vek = Vek {
        product: if tells(Lie::SnpVekOtherProduct) { another(product) } else { product },
        tcb: match tells(Lie::SnpVekOtherTcb) {
            true => amd::tcb_bytes(product, &older(product)),
            false => reported,
        },
        of: match (tells(Lie::SnpVlek), tells(Lie::SnpVekNoChip)) {
            (true, _) => VekOf::Provider(PROVIDER),
            (_, true) => VekOf::Unnamed,
            _ => VekOf::Chip(chip),
        },
        until_s: if tells(Lie::SnpVekExpired) { Window::around(now_s).from_s } else { amd::VEK_UNTIL_S },
        self_signed: tells(Lie::SnpVekSelfSigned),
    };
    amd::vek(&vek, &key).to_vec()
}

/// The fields of this machine's report, not yet signed.
pub(crate) fn report(profile: &TeeProfile, product: SnpProduct, report_data: &[u8; 64]) -> Report {
    let tells = |lie| profile.tells(lie);
    let newest = amd::tcb_bytes(product, &snp::newest_tcb(product));
    let older = amd::tcb_bytes(product, &older(product));
    let tcb = |lie| if tells(lie) { older } else { newest };
    let build = booted_build(profile);
    let id_block = profile.id_block || tells(Lie::SnpGuestSvn);
    let mut current_firmware = snp::FIRMWARE;
    if let Some(build) = current_firmware.first_mut().filter(|_| tells(Lie::SnpProvisional)) {
        *build = build.wrapping_add(1);
    }
    Report {
        version: if tells(Lie::Version) { 99 } else { profile.report_version },
        guest_svn: match (tells(Lie::SnpGuestSvn), id_block) {
            (true, _) => build.svn.saturating_sub(1),
            (_, true) => build.svn,
            _ => 0,
        },
        policy: guest_policy(profile, product),
        family_id: [u8::from(tells(Lie::SnpFamilyId)); 16],
        image_id: [u8::from(tells(Lie::SnpImageId)); 16],
        vmpl: u32::from(tells(Lie::SnpVmpl)),
        signature_algo: if tells(Lie::SnpSignatureAlgorithm) { 2 } else { 1 },
        current_tcb: tcb(Lie::SnpOldCurrent),
        platform_info: platform_info(profile, product),
        // Bit 0: AUTHOR_KEY_EN; bit 1: MASK_CHIP_KEY; bits 2 to 4: 0 for a VCEK, 1 for a VLEK.
        key_info: u32::from(tells(Lie::SnpAuthorKey)) | u32::from(tells(Lie::SnpMaskedKey)) << 1 | u32::from(tells(Lie::SnpVlek)) << 2,
        report_data: *report_data,
        measurement: build.snp_measurement().0,
        host_data: profile.guest.as_ref().map_or_else(|| booted_config(profile).host_data().0, |guest| guest.host_data),
        id_key_digest: match (tells(Lie::SnpIdKey), id_block) {
            (true, _) => [1; 48],
            (_, true) => TeeProfile::id_key_digest().0,
            _ => [0; 48],
        },
        author_key_digest: [u8::from(tells(Lie::SnpAuthorKey)); 48],
        report_id: seed::bytes(&[b"guest", profile.chip_name.as_bytes(), build.id.as_bytes(), &profile.boot_config.host_data().0]),
        report_id_ma: if tells(Lie::SnpReportIdMa) { [0x11; 32] } else { [0xff; 32] },
        reported_tcb: tcb(Lie::SnpOldReported),
        cpuid: snp::cpuid(product),
        chip_id: reported_chip(profile, product),
        committed_tcb: tcb(Lie::SnpOldCommitted),
        current_firmware,
        committed_firmware: snp::FIRMWARE,
        launch_tcb: tcb(Lie::SnpOldLaunch),
        mitigations: if tells(Lie::SnpMitigations) { 0 } else { snp::MITIGATIONS },
        reserved: u8::from(tells(Lie::SnpReserved)),
    }
}

fn guest_policy(profile: &TeeProfile, product: SnpProduct) -> u64 {
    let tells = |lie| profile.tells(lie);
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    let abi = match tells(Lie::SnpAbi) {
        true => 0,
        false => u64::from(snp::ABI_MAJOR) << 8 | u64::from(snp::ABI_MINOR),
    };
    abi | bit(!tells(Lie::SnpMustBeOne), guest::MUST_BE_ONE)
        | bit(!tells(Lie::SnpXtsOff), guest::MEM_AES_256_XTS)
        | bit(!tells(Lie::SnpRaplOn), guest::RAPL_DIS)
        | bit(product == SnpProduct::Turin, guest::CIPHERTEXT_HIDING | guest::PAGE_SWAP_DISABLE)
        | bit(tells(Lie::SnpPolicySmt), guest::SMT)
        | bit(tells(Lie::SnpMigrateMa), guest::MIGRATE_MA)
        | bit(tells(Lie::SnpDebug), guest::DEBUG)
        | bit(tells(Lie::SnpCxl), guest::CXL_ALLOW)
        | bit(tells(Lie::SnpPolicyUnknown), guest::UNKNOWN)
}

fn platform_info(profile: &TeeProfile, product: SnpProduct) -> u64 {
    let tells = |lie| profile.tells(lie);
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    platform::ECC_EN
        | platform::RAPL_DIS
        | bit(product == SnpProduct::Turin, platform::CIPHERTEXT_HIDING_EN)
        | bit(!tells(Lie::SnpAliasCheck), platform::ALIAS_CHECK_COMPLETE)
        | bit(tells(Lie::SnpPlatformSmt), platform::SMT_EN)
        | bit(tells(Lie::SnpPlatformUnknown), platform::UNKNOWN)
}

fn reported_chip(profile: &TeeProfile, product: SnpProduct) -> [u8; 64] {
    match (profile.tells(Lie::SnpZeroChip), profile.tells(Lie::SnpClonedChip)) {
        (true, _) => [0; 64],
        (_, true) => snp::chip_id(product, VICTIM),
        _ => snp::chip_id(product, &profile.chip_name),
    }
}

fn reported_tcb(profile: &TeeProfile, product: SnpProduct) -> SnpTcb {
    match profile.tells(Lie::SnpOldReported) {
        true => older(product),
        false => snp::newest_tcb(product),
    }
}

fn older(product: SnpProduct) -> SnpTcb {
    let newest = snp::newest_tcb(product);
    SnpTcb { microcode: newest.microcode.saturating_sub(1), ..newest }
}

fn another(product: SnpProduct) -> SnpProduct {
    match product {
        SnpProduct::Genoa => SnpProduct::Milan,
        SnpProduct::Milan | SnpProduct::Turin => SnpProduct::Genoa,
    }
}

/// The build that really runs.
pub(crate) fn booted_build(profile: &TeeProfile) -> BuildImage {
    match profile.tells(Lie::Build) {
        true => BuildImage::new(format!("{} with a back door", profile.build.id), profile.build.svn),
        false => profile.build.clone(),
    }
}

/// The boot configuration the hardware saw.
pub(crate) fn booted_config(profile: &TeeProfile) -> ringwall_wire::genesis::BootConfig {
    let mut config = profile.boot_config.clone();
    if profile.tells(Lie::BootConfig) {
        config.slot.0 = config.slot.0.wrapping_add(1);
    }
    config
}
