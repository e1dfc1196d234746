//! Custody: a recovery key that exists while it is dealt and while it is combined, and shares that name whoever spoils them.
//!
//! Decides: how a dealing is made ([`deal`]), what makes a share good ([`GoodShare`]: nothing else can be combined), what a recovery key opens
//! ([`RecoveryKey`]), and how members go on sealing master keys without it ([`seal_keys`]).
//! Trusts: that the caller judged manifest and peers by their evidence and signatures: nothing here is signed or verified. Randomness is mixed with
//! a master key, so that a generator that repeats gives nothing away and makes no two draws alike.
//! Out of scope: who may be given what (`node`), states (`consensus`), sessions. Protocol section 6.
//!
//! - [`field`], [`split`]: arithmetic of GF(2^8) and Shamir's scheme over it, in constant time.
//! - [`envelope`]: HPKE with X-Wing. [`dealing`]: one dealing. [`share`]: a share judged. [`recovered`]: the recovery key and what it opens.
//! - [`platform`]: the same keys, wrapped to a chip. [`mod@shadow`]: the dealing of a drill. [`proof`]: that a share exists. [`spelled`]: a share as words, and as one line.

pub mod dealing;
pub mod draws;
pub mod envelope;
pub mod field;
pub mod platform;
pub mod proof;
pub mod recovered;
pub mod shadow;
pub mod share;
pub mod spelled;
pub mod split;

pub use dealing::{DealError, DealPlan, Dealt, deal};
pub use draws::Draws;
pub use envelope::{EnvelopeError, KemSecret, custodian_key, open_submission, seal_submission};
pub use platform::{PlatformKey, PlatformWrapError};
pub use proof::{ProofKey, answer_challenge};
pub use recovered::{BlobError, CombineError, RecoveryKey, TagKey, combine, seal_keys};
pub use shadow::{Shadow, ShadowError, shadow};
pub use share::{GoodShare, ShareError, open_share};
