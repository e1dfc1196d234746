//! Why the registers of a TD cannot be predicted: one closed enum with the facts.
//!
//! Decides: the vocabulary of `td.rs`. Every variant says what is wrong with an artefact or the shape, what was expected, and what helps.
//! Trusts: nothing. Out of scope: whether a running TD has these registers (`rejection.rs`).

use super::super::LaunchError;

/// Why a TD's registers cannot be predicted from these artefacts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum TdError {
    /// The image is no whole number of pages, or its table of entries does not hold together.
    #[error(transparent)]
    Image(#[from] LaunchError),
    /// The image was built without support for TDX.
    #[error("the firmware's table does not say where its TDX metadata is: this build does not support TDX")]
    MetadataMissing,
    /// The metadata does not hold together.
    #[error("the firmware's TDX metadata is damaged: {reason}")]
    MetadataMalformed { reason: &'static str },
    /// More sections than are read.
    #[error("the firmware's TDX metadata has {got} sections, at most {max} are read")]
    TooManySections { got: usize, max: usize },
    /// A section of a type this program does not know.
    #[error("TDX section {index} of the firmware has type {got}, expected 0 to 3 (boot volume, variables, hand-off block, memory)")]
    SectionType { index: usize, got: u32 },
    /// A section with attributes this program cannot measure.
    #[error("TDX section {index} of the firmware has attributes {got:#x}, expected 0 or 1 (contents are measured)")]
    SectionAttributes { index: usize, got: u32 },
    /// A section is not where it can be, or its contents are not.
    #[error("TDX section {index} of the firmware is {bytes:#x} bytes at {gpa:#x}: {reason}")]
    SectionPlace { index: usize, gpa: u64, bytes: u64, reason: &'static str },
    /// The contents of a section are not in the image.
    #[error(
        "TDX section {index} needs bytes up to {end:#x} of an image of {got:#x}: use the whole image, code and variables in one file (OVMF.fd)"
    )]
    SectionContents { index: usize, end: u64, got: usize },
    /// The metadata does not have exactly one of what it must have.
    #[error("the firmware's TDX metadata has {got} {what}, expected {expected}")]
    SectionCount { what: &'static str, got: usize, expected: &'static str },
    /// All memory sections together are too large.
    #[error("the firmware's TDX sections have {got} pages of memory, at most {max} are measured")]
    TooManyPages { got: usize, max: usize },
    /// RTMR0 depends on what the variables are set to.
    #[error("the firmware's volume of variables is not empty ({reason}): RTMR0 cannot be predicted, take it from a recorded event log")]
    Variables { reason: &'static str },
    /// The size of memory is impossible.
    #[error("the guest has {got} bytes of memory, expected whole pages, more than {min} and at most {max} bytes")]
    Memory { got: u64, min: u64, max: u64 },
    /// The kernel is no EFI program, or not one whose digest every program computes alike.
    #[error("the kernel image cannot be measured: {reason}")]
    Kernel { reason: &'static str },
    /// The kernel is too large.
    #[error("the kernel image has {got} bytes, at most {max} are measured")]
    KernelLength { got: usize, max: usize },
    /// The initrd does not fit below the kernel's limit or the guest's low memory.
    #[error("the initrd has {got} bytes, {most} fit into this guest")]
    InitrdLength { got: u64, most: u64 },
    /// The command line is too long.
    #[error("the command line has {got} bytes with what the firmware adds to it, Linux keeps {max}")]
    CmdlineLength { got: usize, max: usize },
    /// The command line has a byte firmware and programs may read differently.
    #[error("the command line has a byte that is no printable ASCII at offset {at}")]
    CmdlineByte { at: usize },
}
