//! The replicated state machine: Raft, its log, its state, its snapshots and its membership.
//!
//! Decides: when a command is committed, what it does, which messages of members may reach Raft at all, and when this replica is
//! unfit to go on (any fault of its storage fences it for good). Entries are opaque sealed bytes: nothing here opens a record.
//! Trusts: that the caller authenticated the member a call comes from (`channel`, `attest`), and its own disk only for as long as
//! this process lives: a restarted node is a new incarnation with an empty folder (protocol section 4).
//! Out of scope: sealing (`keys`), sessions (`channel`, `quic`), judging evidence (`attest`), who is asked to join (`node`).
//! Protocol sections 0, 4 and 5.1.

extern crate alloc; // the record! macro of the wire crate names it

mod answer;
mod backup;
mod charter;
mod compare;
#[cfg(feature = "defects")]
pub mod defects;
#[cfg(not(feature = "defects"))]
mod defects;
pub mod disk;
mod entropy;
#[cfg(any(test, feature = "faults"))]
pub mod exercise;
mod fence;
mod files;
pub mod gate;
mod ground;
pub mod log;
pub mod machine;
mod membership;
mod network;
pub mod options;
mod pace;
pub mod recognition;
pub mod recovery;
pub mod replica;
pub mod report;
pub mod runtime;
pub mod seal;
pub mod shown;
#[cfg(test)]
mod shown_tests;
mod standing;
pub mod transport;
mod types;
pub mod watch;
pub mod workers;

pub use backup::HeldSnapshot;
pub use charter::{CustodyTerms, GovernorsJudge, JudgedStep, Judges, NoticeJudge, OrderJudge, OtherRules, StepJudge};
pub use machine::custody::{Custody, Held};
pub use machine::generations::KeyRow;
pub use machine::policy::{Governed, PendingStep};
pub use machine::view::{ChangeEvent, MemberRow, MemberStanding, Page, ProposalRow, SpaceRow, StoredRecord, View, device_counts};
pub use machine::workloads::{WorkloadHead, WorkloadRow};
pub use options::Options;
pub use recognition::{Prover, Recognition, Succession, Unrecognized};
pub use replica::{Replica, member_of};
pub use report::{Applied, MembershipError, Metrics, OpenError, Progress, ProposeError, ReadError, Role};
pub use seal::{Owner, Seal, SealJudge, Sealer};
pub use shown::{Granted, LinkFault};
pub use transport::{BoxFuture, Class, Transport, TransportError};
