//! What the driver asks of a connection: two small traits, so that failover is tested against scripted nodes.
//!
//! Decides: a link exists only after its node was verified and the user was accepted; before that there is nothing to send requests on.
//! Trusts: nothing. Out of scope: how links are made (`dial.rs`), which node is next
//! (`ringwall_session::core`). Protocol section 3.

pub(crate) use ringwall_session::dial::{DialError, LinkError, Opened};
use ringwall_wire::ids::ClientId;
use std::future::Future;
use tokio::time::Instant;

/// A session with a verified node that accepted the user.
pub(crate) trait Link: Send + 'static {
    /// Seals messages behind those that wait to be written. Does not wait.
    fn queue(&mut self, messages: &[Vec<u8>]) -> Result<(), LinkError>;
    /// Sealed bytes that wait to be written.
    fn backlog(&self) -> usize;
    /// Writes and reads until at least one message arrived or the backlog is written. Dropping the future loses nothing.
    fn step(&mut self, arrived: &mut Vec<Vec<u8>>) -> impl Future<Output = Result<(), LinkError>> + Send;
    /// A count that grows whenever anything comes from the other machine, be it only an acknowledgement of the transport.
    fn heard(&self) -> u64;
    /// Says goodbye.
    fn close(self);
}

/// Makes links.
pub(crate) trait Dial: Send + Sync + 'static {
    /// What it makes.
    type Link: Link;
    /// A node that answers the transport, and proved nothing yet.
    type Reach: Send;
    /// Reaches the node at `address` before `until`.
    fn reach(&self, address: &str, until: Instant) -> impl Future<Output = Result<Self::Reach, DialError>> + Send;
    /// Opens, verifies and authenticates a session with a node that was reached, before `until`.
    fn open(
        &self,
        reach: Self::Reach,
        address: &str,
        client: ClientId,
        until: Instant,
    ) -> impl Future<Output = Result<(Self::Link, Opened), DialError>> + Send;
    /// Keeps what is remembered, before the client ends.
    fn settle(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}
