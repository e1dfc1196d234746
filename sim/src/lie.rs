//! Every way a simulated TEE can lie.
//!
//! Decides: the closed list of lies; each bends one thing of otherwise genuine evidence, so that a refusal names that thing.
//! Trusts: nothing. Out of scope: which refusal each lie must meet (`tests/lies.rs`). Protocol section 1.2: rows R6, A1-A12, G2.

/// Declares the lies and the lists tests walk, together: no lie can be left out of its list.
macro_rules! lies {
    ($($(#[$list_doc:meta])* $list:ident { $($(#[$doc:meta])* $lie:ident,)* })*) => {
        /// One lie; see [`SimTee::telling`](crate::SimTee::telling). Lies of the other vendor change nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Lie { $($($(#[$doc])* $lie,)*)* }

        impl Lie { $($(#[$list_doc])* pub const $list: &'static [Lie] = &[$(Lie::$lie),*];)* }
    };
}

lies! {
    /// Lies both vendors' evidence can tell.
    EITHER {
        /// `report_data` is not the one that was asked for (A1).
        ReportData,
        /// From the second time on, the first evidence again (A1, A5).
        Replay,
        /// `host_data` / `MRCONFIGID` of another boot configuration (A12).
        BootConfig,
        /// Another build runs (G2, A6).
        Build,
        /// The chain ends in a stranger's root (A6, A13).
        ForeignRoot,
        /// The last byte is missing (A10).
        Truncated,
        /// One bit of the signature is flipped.
        Signature,
        /// The report's or quote's version is one nobody knows (A10).
        Version,
    }
    /// Lies only AMD's evidence can tell.
    SNP {
        // -- AMD: guest policy and privilege --
        /// Guest policy bit 19: the host may read the guest (A7).
        SnpDebug,
        /// Guest policy bit 18: a migration agent may take the guest along (A7, R6).
        SnpMigrateMa,
        /// Guest policy bit 21: CXL memory may be used (A7).
        SnpCxl,
        /// Guest policy bit 16: hyper-threads may be shared, where the policy forbids it.
        SnpPolicySmt,
        /// Guest policy bit 17, which must be one, is zero.
        SnpMustBeOne,
        /// Guest policy bit 22 is clear: AES-256-XTS is not demanded.
        SnpXtsOff,
        /// Guest policy bit 23 is clear: power readings are not forbidden.
        SnpRaplOn,
        /// A guest policy bit nobody knows is set.
        SnpPolicyUnknown,
        /// The guest policy demands an older ABI than the rules do.
        SnpAbi,
        /// The report was asked for at VMPL 1 (A7).
        SnpVmpl,
        /// GUEST_SVN below the least one (G2); counts only with an ID block, which is told to be there.
        SnpGuestSvn,
        // -- AMD: platform and firmware --
        /// Hyper-threading is on where the rules forbid it.
        SnpPlatformSmt,
        /// The memory alias check did not run (BadRAM).
        SnpAliasCheck,
        /// A platform bit nobody knows is set.
        SnpPlatformUnknown,
        /// The reported TCB is below the least one; the VCEK is the genuine one for it (A8).
        SnpOldReported,
        /// The committed TCB is below the least one (A8).
        SnpOldCommitted,
        /// The current TCB is below the least one (A8).
        SnpOldCurrent,
        /// The launch TCB is below the least one (A8).
        SnpOldLaunch,
        /// The running firmware is not the committed one (A8).
        SnpProvisional,
        /// The mitigation vectors are empty (report version 5).
        SnpMitigations,
        // -- AMD: identity --
        /// The host masked the chip key (A9).
        SnpMaskedKey,
        /// The chip id is all zero (A9).
        SnpZeroChip,
        /// The report names another chip than the one that signed it (A2, A9).
        SnpClonedChip,
        /// The VCEK of another chip stands beside the report.
        SnpOtherVek,
        /// The provider's key (VLEK) signed (A9).
        SnpVlek,
        /// `REPORT_ID_MA` names a migration agent (A7).
        SnpReportIdMa,
        /// The digest of an ID key nobody expects.
        SnpIdKey,
        /// The digest of an author key nobody expects.
        SnpAuthorKey,
        /// A family id nobody expects.
        SnpFamilyId,
        /// An image id nobody expects.
        SnpImageId,
        // -- AMD: bytes --
        /// A reserved byte inside the signed part is set (A10).
        SnpReserved,
        /// The signature algorithm is unknown (A10).
        SnpSignatureAlgorithm,
        /// A byte after the signature, which nobody signs, is set.
        SnpSignatureTail,
        /// The zero padding of the signature's R is not zero.
        SnpSignaturePadding,
        // -- AMD: endorsements --
        /// The VCEK's time is over.
        SnpVekExpired,
        /// The VCEK signed itself (A6).
        SnpVekSelfSigned,
        /// The VCEK was issued for other firmware than the report names (A8).
        SnpVekOtherTcb,
        /// The VCEK names no chip.
        SnpVekNoChip,
        /// The VCEK was issued for another product.
        SnpVekOtherProduct,
        /// The revocation list names the ASK (A11).
        SnpAskRevoked,
        /// The revocation list is out of date (A11).
        SnpCrlExpired,
        /// There is no revocation list (A11).
        SnpCrlAbsent,
        /// A stranger signed the revocation list (A11).
        SnpCrlForged,
    }
    /// Lies only Intel's evidence can tell.
    TDX {
        // -- Intel: the TD --
        /// A byte follows the quote (A10). A report cannot have one: the wire type holds 1,184 bytes.
        TdxTrailing,
        /// TD attribute bit 0: the host may read the TD (A7).
        TdxDebug,
        /// TD attribute bit 29: the TD may migrate (A7, R6).
        TdxMigratable,
        /// TD attribute bit 63: performance counters (A7).
        TdxPerfmon,
        /// TD attribute bit 28 is clear: pending pages do not fault (A7).
        TdxSeptVe,
        /// A TD attribute bit nobody knows is set.
        TdxAttributesUnknown,
        /// An XFAM bit beyond the allowed ones is set.
        TdxXfam,
        /// The module is signed by somebody (MRSIGNERSEAM is not zero) (A7).
        TdxMrSignerSeam,
        /// The module's attributes are not zero (A7).
        TdxSeamAttributes,
        /// RTMR2 of another command line or initrd (G2).
        TdxRtmr2,
        /// RTMR3 was extended.
        TdxRtmr3,
        /// MROWNER is set.
        TdxMrOwner,
        /// MROWNERCONFIG is set.
        TdxMrOwnerConfig,
        /// A service TD is bound; the quote takes the TDX 1.5 shape that can say so.
        TdxServiceTd,
        // -- Intel: platform and collateral --
        /// Intel wants software hardening.
        TdxSwHardening,
        /// Intel wants another configuration.
        TdxConfiguration,
        /// Intel wants both.
        TdxConfigurationAndSwHardening,
        /// The platform's firmware is out of date.
        TdxOutOfDate,
        /// The firmware is out of date, and another configuration is wanted.
        TdxOutOfDateConfiguration,
        /// The TDX module was updated since launch; the quote takes the TDX 1.5 shape, which alone can tell.
        TdxRelaunch,
        /// That, and another configuration is wanted.
        TdxRelaunchConfiguration,
        /// Intel revoked the platform's firmware.
        TdxRevoked,
        /// The platform's firmware is below every level Intel knows.
        TdxNoLevel,
        /// The quoting enclave is out of date.
        TdxQeOld,
        /// The quoting enclave is somebody else's.
        TdxQeSigner,
        /// The PCK certificate is revoked (A11).
        TdxPckRevoked,
        /// The PCK authority is revoked (A11).
        TdxCaRevoked,
        /// The collateral's time is over (A11).
        TdxStale,
        /// The collateral is older than the least evaluation number (A11).
        TdxOldEvaluation,
        /// The platform's family is not an accepted one (its collateral matches).
        TdxFamily,
        /// The collateral is for another platform family.
        TdxOtherCollateral,
        /// The attestation key is not the one the quoting enclave vouches for.
        TdxAttestationKey,
        /// A signed document was changed after signing.
        TdxTcbInfoForged,
        /// An advisory the policy denies applies.
        TdxAdvisory,
        /// The certificate says more packages may be added.
        TdxDynamicPlatform,
        /// The certificate says keys are cached.
        TdxCachedKeys,
        /// The certificate says hyper-threading is on.
        TdxSmt,
    }
    /// Lies about how a TD booted: they matter to a policy that knows builds by boot events, and change nothing for one that names tuples,
    /// unless the registers change too.
    TDX_LOG {
        // -- Intel: the log differs from what was measured --
        /// There is no event log.
        TdxLogAbsent,
        /// A byte of the log is no log's.
        TdxLogGarbled,
        /// The log leaves an event out.
        TdxLogDropped,
        /// The log has two events in the other order.
        TdxLogReordered,
        // -- Intel: log and registers agree on a boot the policy does not know --
        /// Something was measured that no build names.
        TdxEventUnlisted,
        /// The kernel was not measured.
        TdxEventMissing,
        /// Initrd and command line were measured in the other order.
        TdxEventsSwapped,
        /// The command line was measured twice.
        TdxEventTwice,
        /// The machine has a memory size no build names.
        TdxMemory,
    }
}
