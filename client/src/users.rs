//! A user's record through one of their devices: look, enrol, add and revoke devices, set the recovery key.
//!
//! Decides: nothing; the core says in which steps a record is changed (`ringwall_session::ops`). Trusts: the session's node, which was verified.
//! Out of scope: files (`user_key.rs`, `escrow.rs`), rules (the cluster's). Protocol section 9.

use crate::client::Client;
use ringwall_keys::Phrase;
use ringwall_session::asked::Ask;
pub use ringwall_session::ops::UserError;
use ringwall_session::ops::{Changing, Told};
use ringwall_wire::ids::DeviceTag;
use ringwall_wire::user::{DeviceName, DeviceRequest, UserShown};

impl Client {
    /// The user's record, with the audit trail after number `after`; number 0 and no device while there is none.
    pub async fn user_record(&self, after: u64) -> Result<UserShown, UserError> {
        self.change(Changing::look(after)).await
    }

    /// Makes the user's record, with this device under `name`; only the credential that names the user can. Finds one that is there.
    pub async fn enrol(&self, name: DeviceName) -> Result<UserShown, UserError> {
        self.change(Changing::enrol(name)).await
    }

    /// Adds the device that made `request`.
    pub async fn add_device(&self, request: &DeviceRequest) -> Result<UserShown, UserError> {
        let principal = self.principal();
        self.change(Changing::add(principal.owner(), request, principal.credential.signing_key())?).await
    }

    /// Revokes a device: it opens no session any more, and those it has end.
    pub async fn revoke_device(&self, tag: DeviceTag) -> Result<UserShown, UserError> {
        self.change(Changing::revoke(tag)).await
    }

    /// Makes `phrase` the one that restores the user; a restored device waits for `cool_down_s` seconds.
    pub async fn set_recovery(&self, phrase: &Phrase, cool_down_s: u32) -> Result<UserShown, UserError> {
        self.change(Changing::set_recovery(self.principal().owner(), phrase, cool_down_s)).await
    }

    /// Stops a restoration that waits.
    pub async fn stop_restore(&self) -> Result<UserShown, UserError> {
        self.change(Changing::stop_restore()).await
    }

    async fn change(&self, (mut changing, mut ask): (Changing, Ask)) -> Result<UserShown, UserError> {
        loop {
            match changing.take(self.ask(ask).await)? {
                Told::Ask(next) => ask = next,
                Told::Done(shown) => return Ok(*shown),
            }
        }
    }
}
