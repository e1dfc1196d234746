//! How a node becomes a member: by attestation alone, with fresh keys, under a new name, in an empty folder.
//!
//! ```text
//! joiner                 leader                                     other voters
//! JoinRequest  ------->  cert == evidence? slot free, or its
//!                        incumbent silent or ordered away?
//!                        AdmitPropose committed
//!                        EndorseCall  ------------------------->   judge the same evidence themselves
//!                        <------------------------------  Endorse  (signed verdict)
//!                        Endorse entries, AdmitCommit committed
//!              <-------  KeyGrant (only now)
//! empty replica          learner, catch-up proof, voter; the old incarnation of the slot leaves and is retired
//! ```
//! - `joiner`: asks members in turn until one grants. `leader`: admits. `ordered`: what an order changes. `endorse`: the second opinion, and the
//!   catch-up proof. `steward`: what a leader does until the membership is what the log says it should be. Protocol section 4, "Join messages" 1 to 6.

pub mod endorse;
pub(crate) mod joiner;
pub mod leader;
pub(crate) mod ordered;
#[cfg(feature = "without")]
mod resumed;
pub(crate) mod steward;
