//! Why a launch digest cannot be predicted: one closed enum with the facts.
//!
//! Decides: the vocabulary of `launch.rs`. Every variant says what is wrong with the image or the guest, and what was expected.
//! Trusts: nothing. Out of scope: whether a running guest has the digest (`rejection.rs`).

/// Why a firmware image cannot be measured, or not for this guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum LaunchError {
    /// The image is not a whole number of pages, is empty, or too large.
    #[error("the firmware image has {got} bytes, expected whole pages of 4096, at most {max} bytes")]
    ImageLength { got: usize, max: usize },
    /// The image does not end with OVMF's table of entries.
    #[error("the firmware image has no table of entries 32 bytes before its end: is this an OVMF build?")]
    FooterMissing,
    /// The table of entries does not hold together.
    #[error("the firmware's table of entries is damaged: {reason}")]
    FooterMalformed { reason: &'static str },
    /// An entry stands in the table twice.
    #[error("the firmware's table has two entries for {entry}")]
    EntryTwice { entry: &'static str },
    /// The image was built without support for SNP.
    #[error("the firmware's table does not say where its SEV metadata is: this build does not support SNP")]
    MetadataMissing,
    /// The metadata does not hold together.
    #[error("the firmware's SEV metadata is damaged: {reason}")]
    MetadataMalformed { reason: &'static str },
    /// More sections than are read.
    #[error("the firmware asks for {got} sections, at most {max} are read")]
    TooManySections { got: usize, max: usize },
    /// A section of a type this program does not know: it cannot say how it is measured.
    #[error("section {index} of the firmware has type {got:#x}, which this program cannot measure")]
    SectionType { index: usize, got: u32 },
    /// A section is not whole pages below 4 GiB, or has more pages than its type can.
    #[error("section {index} of the firmware is {bytes:#x} bytes at {gpa:#x}: {reason}")]
    SectionPlace { index: usize, gpa: u32, bytes: u32, reason: &'static str },
    /// All sections together are too large.
    #[error("the firmware's sections have {got} pages, at most {max} are measured")]
    TooManyPages { got: usize, max: usize },
    /// A guest has one vCPU at least and not arbitrarily many.
    #[error("the guest has {got} vCPUs, expected 1 to {max}")]
    Vcpus { got: u32, max: u32 },
    /// The features are not those of an SNP guest.
    #[error("SEV_FEATURES are {got:#x}, bit 0 (SNP active) must be set")]
    SnpInactive { got: u64 },
    /// The firmware does not say where the vCPUs after the first one start.
    #[error("the guest has {vcpus} vCPUs and the firmware's table does not say where those after the first one start")]
    ApEntryMissing { vcpus: u32 },
    /// The firmware has no place for the hashes of kernel, initrd and command line.
    #[error("the firmware cannot measure kernel, initrd and command line: {reason}; use an AmdSev build of OVMF")]
    HashesUnsupported { reason: &'static str },
}
