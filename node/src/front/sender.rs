//! The sending half of one session: everything that is ready leaves in one go, behind the receipt that answers for it.
//!
//! Decides: how many replies share a flush, and that a client which does not read is cut off. Keys are read here, just before they are
//! sent, so that a slow client's unread values are never in memory. Replies that no receipt can be made for are refused instead.
//! Trusts: nothing. Out of scope: the order of replies (`outbox.rs`), signing (`receipts.rs`). Protocol sections 3 and 5.2.

use crate::front::limits::{FLUSH_BYTES, WRITE_STALL};
use crate::front::outbox::{Charge, Item, Outbox, sum};
use crate::front::reads::read_key;
use crate::front::receipts::{Ask, Receipts, Told, Touched};
use crate::front::refusals::fenced;
use crate::web::caller::Sending;
use bytes::Bytes;
use ringwall_channel::{ChannelError, Sealer};
use ringwall_quic::{FrameError, Sink as _};
use ringwall_wire::codec::Message as _;
use ringwall_wire::limits::RECEIPT_SPACES;
use ringwall_wire::request::{Answer, Reply};
use ringwall_wire::spared::{Part, spared};
use std::sync::Arc;
use tokio::time::timeout;

/// Replies one receipt answers for, at most.
const COVERED: usize = 1_024;

/// Why a session's sending half ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The client does not read.
    #[error("the client did not take its replies in time")]
    Slow,
    /// The stream or connection is gone.
    #[error("the stream is gone: {0}")]
    Gone(#[from] FrameError),
    /// The records of the stream are used up.
    #[error("replies could not be sealed: {0}")]
    Seal(#[from] ChannelError),
}

/// Sends replies until the session is over and all of them were sent.
pub(crate) async fn run(outbox: Arc<Outbox>, sealer: Sealer, stream: Sending, receipts: Arc<Receipts>, told: Told) -> Result<(), Cut> {
    let mut sender = Sender { outbox, sealer, stream, receipts, told, flush: Flush::default() };
    while let Some(taken) = sender.outbox.take().await {
        let mut view = None;
        for (item, charge) in taken.items {
            if !sender.flush.takes(&charge) {
                // A look at the state is not kept while a client reads slowly.
                view = None;
                sender.flush(None).await?;
            }
            let reply = match item {
                Item::Ready(reply) => reply,
                Item::Read(read) => {
                    if view.is_none() {
                        view = sender.receipts.replica.view().ok();
                    }
                    let body = view.as_ref().map_or_else(|| Answer::Refused(fenced()), |view| read_key(view, &read));
                    Reply { number: read.number, body }
                }
            };
            sender.flush.add(&reply, charge);
        }
        drop(view);
        sender.flush(taken.last).await?;
    }
    // The client may have gone already.
    let _ = timeout(crate::front::limits::LAST_WORD, sender.stream.end()).await;
    Ok(())
}

struct Sender {
    outbox: Arc<Outbox>,
    sealer: Sealer,
    stream: Sending,
    receipts: Arc<Receipts>,
    told: Told,
    flush: Flush,
}

/// Replies that leave together.
#[derive(Default)]
struct Flush {
    messages: Vec<Vec<u8>>,
    numbers: Vec<u64>,
    plain: usize,
    charge: Charge,
    spaces: Vec<Touched>,
    index: u64,
}

impl Flush {
    /// Whether a reply of this charge may be added.
    fn takes(&self, charge: &Charge) -> bool {
        let named = charge.about.is_none_or(|about| self.spaces.len() < RECEIPT_SPACES || self.spaces.contains(&about));
        self.plain < FLUSH_BYTES && self.messages.len() < COVERED && named
    }

    fn add(&mut self, reply: &Reply, charge: Charge) {
        let message = reply.encode();
        self.plain = self.plain.saturating_add(message.len());
        self.messages.push(message);
        self.numbers.push(reply.number);
        if let Some(about) = charge.about.filter(|about| !self.spaces.contains(about)) {
            self.spaces.push(about);
        }
        self.index = self.index.max(charge.index);
        self.charge = sum(self.charge, charge);
    }
}

impl Sender {
    /// Sends what was added, and the session's last word.
    async fn flush(&mut self, last: Option<Reply>) -> Result<(), Cut> {
        let Flush { mut messages, numbers, charge, spaces, index, .. } = std::mem::take(&mut self.flush);
        if !messages.is_empty() && !spared(Part::Receipts) {
            let covers = u16::try_from(messages.len()).unwrap_or(u16::MAX);
            match self.receipts.issue(&mut self.told, Ask { index, covers, spaces }).await {
                Ok(receipted) => messages.insert(0, Reply { number: 0, body: Answer::Receipt(Box::new(receipted)) }.encode()),
                Err(refusal) => {
                    let refused = |number: &u64| Reply { number: *number, body: Answer::Refused(refusal.clone()) }.encode();
                    messages = numbers.iter().map(refused).collect();
                }
            }
        }
        messages.extend(last.map(|last| last.encode()));
        if messages.is_empty() {
            return Ok(());
        }
        let mut sealed = Vec::new();
        self.sealer.seal_many(&messages, &mut sealed)?;
        timeout(WRITE_STALL, self.stream.put_whole(Bytes::from(sealed))).await.map_err(|_| Cut::Slow)??;
        self.outbox.sent(charge);
        Ok(())
    }
}
