//! What is left of a cluster whose memories are lost: disks read as evidence, the rules by which one of them is taken up, and the lineage that begins there.
//!
//! | file | what it decides |
//! |---|---|
//! | `found.rs` | what one life's folder holds, as far as holders of the master keys sealed it (DR3) |
//! | `claims.rs` | which claim is chosen, and whether enough voters made one (DR4, DR5): pure |
//! | `anchors.rs` | whether the chosen log has everything anybody is known to have seen (DR5): pure |
//! | `lineage.rs` | a group with an empty log, one voter, and the chosen state (DR7) |
//!
//! Trusts: the closure that judges seals, which has the master keys. A disk gives nobody a vote: what is found is counted, compared and taken up by a new
//! incarnation in a new epoch. Out of scope: custodians, keys, evidence (`node`). Protocol section 6.2.

pub mod anchors;
pub mod claims;
pub mod found;
mod lineage;

pub use anchors::{Disagreement, Known, SeenBy, compare};
pub use claims::{Chosen, NotChosen, choose, of_backup};
pub use found::{BackedUp, Found, Source, Unfit};
pub use lineage::{OwnedSealJudge, TakeUpError};
