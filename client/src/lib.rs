//! Client of Ringwall: verifies a node before it speaks, keeps a session going, retries without doubling a write.
//!
//! ```no_run
//! # async fn example(card: ringwall_wire::genesis::ClusterCard) -> Result<(), Box<dyn std::error::Error>> {
//! use ringwall_client::{Anchors, Client, Credential, Options};
//!
//! let credential = Credential::read("me.credential".as_ref())?;
//! let client = Client::connect(Options::from_card(&card, Anchors::production(), credential)?).await?;
//! let notes = client.namespace("notes").await?;
//! let version = notes.put("todo/1", "water the plants").await?;
//! notes.compare_and_set("todo/1", version, "water the plants twice").await?;
//! # Ok(()) }
//! ```
//!
//! Decides: the order of protocol section 3 (nothing of the user leaves before evidence, cluster and policy are appraised with this
//! machine's clock), failover with re-attestation, and exactly-once retries ([`Client`]). Every operation is bounded in time
//! ([`Timeouts`]) and fails with an error that has a stable code. Trusts: the card or cluster id it is given, its roots, its machine.
//! What the cluster confirmed is remembered ([`anchor`]): a rollback or a fork is noticed, proven, and ends all writing.
//! A program in a guest of its own is granted keys through [`workload`]; [`guest`] collects its evidence. A user has devices and a recovery phrase
//! (docs/recovery.md), and [`rekey`] replaces the key they hold themselves; [`backup`] fetches the whole state, sealed, and imports a user's part of one into another cluster. What governs
//! the cluster is shown by [`Client::governance`], and the newest policy that was verified is never gone back from. [`policy`] reads, writes and explains policies.

pub mod anchor;
pub mod backup;
mod batch;
pub mod card;
mod checksummed;
pub mod cli;
mod client;
mod clock;
mod credential;
pub mod custodian;
mod dial;
pub mod doors;
mod driver;
mod entropy;
mod error;
mod escrow;
mod examine;
mod exchange_file;
#[cfg(test)]
mod failover;
mod governance;
pub mod guest;
mod link;
mod listing;
pub mod measure;
#[cfg(test)]
mod modes;
mod namespace;
mod options;
pub mod policy;
mod private;
pub mod rekey;
pub mod release;
#[cfg(test)]
mod scripted;
mod seed_file;
mod user_key;
mod users;
mod waiting;
mod watch;
pub mod workload;

pub use batch::Batch;
pub use client::Client;
pub use credential::{Credential, CredentialError};
pub use error::{Attempt, ConnectError, NamespaceError, ReadError, WatchError, WriteError};
pub use escrow::{EscrowError, read_escrow, write_escrow};
pub use examine::{examine_node, verify_node};
pub use exchange_file::{ReadExchangeError, read_exchange};
pub use governance::GovernanceError;
pub use listing::{Item, Listing};
pub use namespace::{Found, NamespaceHandle, PutOptions};
pub use options::{Options, Timeouts};
pub use ringwall_attest::{Advice, Anchors, Finding, SessionError, Stage, Step, Trace};
pub use ringwall_keys::{Phrase, PhraseError, UserKey};
pub use ringwall_session::exchange::{EXCHANGE_FILE_BYTES, Exchange};
pub use ringwall_session::recovered::{Publicity, Recovery};
pub use ringwall_session::verification::{Examined, Verification};
pub use ringwall_session::{Explanation, Mark, RefusalAccount, StageAccount, Verdict};
pub use ringwall_wire::governance::GovernanceView;
pub use ringwall_wire::ids::{ClusterId, Revision, UserId};
pub use ringwall_wire::request::{ClusterStatus, Expect, KeyMode};
pub use seed_file::SeedFileError;
pub use user_key::{create_user_key, keep_user_key, read_user, read_user_key, user_key_path, user_path, write_user};
pub use users::UserError;
pub use watch::{Change, Watch};
