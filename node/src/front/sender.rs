//! The sending half of one session: everything that is ready leaves in one go.
//!
//! Decides: how many replies share a flush, and that a client which does not read is cut off. Keys are read here, just before they are
//! sent, so that a slow client's unread values are never in memory.
//! Trusts: nothing. Out of scope: the order of replies (`outbox.rs`). Protocol section 3.

use crate::front::limits::{FLUSH_BYTES, WRITE_STALL};
use crate::front::outbox::{Charge, Item, Outbox, sum};
use crate::front::reads::read_key;
use crate::front::refusals::fenced;
use bytes::Bytes;
use quinn::SendStream;
use ringwall_channel::{ChannelError, Sealer};
use ringwall_consensus::Replica;
use ringwall_wire::codec::Message as _;
use ringwall_wire::request::{Answer, Reply};
use std::sync::Arc;
use tokio::time::timeout;

/// Why a session's sending half ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The client does not read.
    #[error("the client did not take its replies in time")]
    Slow,
    /// The stream or connection is gone.
    #[error("the stream is gone: {0}")]
    Gone(#[from] quinn::WriteError),
    /// The records of the stream are used up.
    #[error("replies could not be sealed: {0}")]
    Seal(#[from] ChannelError),
}

/// Sends replies until the session is over and all of them were sent.
pub(crate) async fn run(outbox: Arc<Outbox>, sealer: Sealer, stream: SendStream, replica: Replica) -> Result<(), Cut> {
    let mut sender = Sender { outbox, sealer, stream, messages: Vec::new(), plain: 0, charge: Charge::default() };
    while let Some(taken) = sender.outbox.take().await {
        let mut view = None;
        for (item, charge) in taken.items {
            let reply = match item {
                Item::Ready(reply) => reply,
                Item::Read(read) => {
                    if view.is_none() {
                        view = replica.view().ok();
                    }
                    let body = view.as_ref().map_or_else(|| Answer::Refused(fenced()), |view| read_key(view, &read));
                    Reply { number: read.number, body }
                }
            };
            sender.add(&reply, charge);
            if sender.plain >= FLUSH_BYTES {
                // A look at the state is not kept while a client reads slowly.
                view = None;
                sender.flush().await?;
            }
        }
        drop(view);
        if let Some(last) = taken.last {
            sender.add(&last, Charge::default());
        }
        sender.flush().await?;
    }
    // The client may have gone already.
    let _ = sender.stream.finish();
    let _ = timeout(crate::front::limits::LAST_WORD, sender.stream.stopped()).await;
    Ok(())
}

struct Sender {
    outbox: Arc<Outbox>,
    sealer: Sealer,
    stream: SendStream,
    messages: Vec<Vec<u8>>,
    plain: usize,
    charge: Charge,
}

impl Sender {
    fn add(&mut self, reply: &Reply, charge: Charge) {
        let message = reply.encode();
        self.plain = self.plain.saturating_add(message.len());
        self.messages.push(message);
        self.charge = sum(self.charge, charge);
    }

    async fn flush(&mut self) -> Result<(), Cut> {
        if self.messages.is_empty() {
            return Ok(());
        }
        let mut sealed = Vec::new();
        self.sealer.seal_many(&self.messages, &mut sealed)?;
        self.messages.clear();
        self.plain = 0;
        timeout(WRITE_STALL, self.stream.write_chunk(Bytes::from(sealed))).await.map_err(|_| Cut::Slow)??;
        self.outbox.sent(std::mem::take(&mut self.charge));
        Ok(())
    }
}
