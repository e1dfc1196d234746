//! Backups: the state of a cluster as one file with its proof, and what a user gets out of it.
//!
//! | file | what it decides |
//! |---|---|
//! | `fetch.rs` | a snapshot is taken from any member, verified while it is written, resumed where it broke off |
//! | `file.rs` | layout of the file, and what must hold of it before anything in it is believed |
//! | `snapshot.rs` | how the items of a snapshot are read: bounded, in order, to the very end |
//! | `escrow.rs` | the file of data keys that a phrase opens |
//! | `import.rs` | a user's records out of a backup into namespaces of another cluster |
//!
//! Trusts: nothing in a file; roots of trust are the reader's. Out of scope: who may fetch (`node`), recovery under the same cluster. Protocol section 9.1.

mod escrow;
mod fetch;
mod file;
mod import;
mod snapshot;

pub use escrow::{KeysError, keys_path, read_keys, write_keys};
pub use fetch::{FetchError, Fetched, Progress, fetch};
pub use file::{BackupError, Proven, verify};
pub use import::{ImportError, ImportOptions, Imported, Left, import};
pub use snapshot::{Counted, SnapshotError};

pub(crate) use escrow::{make, open};
