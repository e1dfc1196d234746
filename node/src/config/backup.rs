//! Who may fetch snapshots of the whole state from a node.
//!
//! Decides: users by their ids, nobody where the section is left out. Operational: the operator has the same sealed bytes on the disk and can hand those out, so
//! nothing that is not the operator's to give depends on it. Trusts: the operator, for that alone. Out of scope: fetching (`front/backup.rs`).
//! Protocol section 9.1.

use crate::config::{ConfigError, Reading};
use ringwall_wire::ids::UserId;
use serde::Deserialize;

/// Users who may back the cluster up through one node.
const BACKUP_USERS: usize = 64;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileBackup {
    users: Vec<String>,
}

impl Reading<'_> {
    pub(super) fn backup_users(&self, raw: &FileBackup) -> Result<Vec<UserId>, ConfigError> {
        if raw.users.len() > BACKUP_USERS {
            let cause = format!("{} users are named, at most {BACKUP_USERS}", raw.users.len());
            return Err(self.fault("backup.users", cause, "name those who back the cluster up, and nobody else"));
        }
        let named = |text: &String| {
            let wrong =
                |_| self.fault("backup.users", format!("{text:?} is no user id"), "write what `ringwall init` printed: 40 hex digits");
            text.parse().map_err(wrong)
        };
        raw.users.iter().map(named).collect()
    }
}
