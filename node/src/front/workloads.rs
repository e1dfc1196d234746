//! A workload's session, or a governor's: what is said after the node attested, in place of a user's requests.
//!
//! Decides: the order of messages. The node names a nonce, evidence is bound to it and to the handshake, and counts for this session alone; then
//! keys are asked for by name. Each question is answered before the next is read; their number, size and time are bounded.
//! Trusts: nothing that is said. Out of scope: judging and granting (`grants.rs`). Protocol section 10.

use crate::clock;
use crate::entropy;
use crate::front::Front;
use crate::front::grants::{Guest, Verdict};
use crate::front::limits::{LAST_WORD, REQUEST_STALL, STEP, VISIT, WRITE_STALL};
use crate::front::refusals::{leaving, malformed, refusal};
use crate::front::session::Ended;
use crate::web::caller::{Receiving, Sending};
use ringwall_channel::{Opener, Sealer};
use ringwall_quic::{Sink as _, Source as _};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::{Digest, Nonce};
use ringwall_wire::limits::WORKLOAD_ASKS;
use ringwall_wire::session::{Refusal, RefusalCode};
use ringwall_wire::workload::{
    AuditAsk, GrantAsk, WorkloadAnswer, WorkloadAsk, WorkloadChallenge, WorkloadEvidence, WorkloadHello, WorkloadOp, WorkloadPurpose,
    WorkloadReply, audit_words, is_name, workload_report_data,
};
use std::sync::Arc;
use tokio::time::{sleep, timeout, timeout_at};
use zeroize::Zeroizing;

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// A session whose other side said hello as a workload or a governor.
pub(crate) struct Visit {
    pub(crate) hello: WorkloadHello,
    pub(crate) handshake: Digest,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) send: Sending,
    pub(crate) recv: Receiving,
}

/// Leads a visit to its end.
pub(crate) async fn serve(front: &Arc<Front>, visit: Visit) -> Ended {
    let nonce = entropy::nonce(&front.entropy);
    let Visit { hello, handshake, sealer, opener, send, recv } = visit;
    let mut pipe = Pipe { sealer, opener, send, recv };
    let mut desk = Counter { front: front.clone(), purpose: hello.purpose, handshake, nonce, guest: None, number: 0 };
    let mut left = front.leaving.subscribe();
    let ended = tokio::select! {
        ended = converse(&mut desk, &mut pipe) => ended,
        _ = left.wait_for(|leaving| *leaving) => Ended::Refused { code: RefusalCode::ShuttingDown },
        () = sleep(VISIT) => Ended::TooSlow,
    };
    if matches!(ended, Ended::Refused { code: RefusalCode::ShuttingDown }) {
        // Number 0 answers nobody's question: the session is over.
        let _ = pipe.tell(&WorkloadReply { number: 0, body: WorkloadAnswer::Refused(leaving()) }).await;
    }
    // Whether it arrived changes nothing for us.
    let _ = timeout(LAST_WORD, pipe.send.end()).await;
    ended
}

async fn converse(desk: &mut Counter, pipe: &mut Pipe) -> Ended {
    if let Err(ended) = pipe.write(&WorkloadChallenge { nonce: desk.nonce }.encode()).await {
        return ended;
    }
    loop {
        let message = match pipe.read().await {
            Ok(message) => message,
            Err(ended) => return ended,
        };
        let (number, answer) = match WorkloadAsk::decode(&message) {
            Ok(ask) => (ask.number, desk.take(ask).await),
            Err(_) => (0, Err(malformed())),
        };
        let over = answer.as_ref().err().filter(|refusal| refusal.code == RefusalCode::Malformed || refusal.code == RefusalCode::TooLarge);
        let over = over.map(|refusal| Ended::Refused { code: refusal.code });
        let body = answer.unwrap_or_else(WorkloadAnswer::Refused);
        if let Err(ended) = pipe.tell(&WorkloadReply { number, body }).await {
            return ended;
        }
        if let Some(ended) = over {
            return ended;
        }
    }
}

/// What a visit has come to.
struct Counter {
    front: Arc<Front>,
    purpose: WorkloadPurpose,
    handshake: Digest,
    nonce: Nonce,
    guest: Option<Guest>,
    number: u64,
}

impl Counter {
    async fn take(&mut self, ask: WorkloadAsk) -> Result<WorkloadAnswer, Refusal> {
        if ask.number <= self.number {
            return Err(malformed());
        }
        if ask.number > WORKLOAD_ASKS {
            return Err(refusal(RefusalCode::TooLarge, "the session has had as many questions as it may; open another one"));
        }
        self.number = ask.number;
        match (self.purpose, ask.op) {
            (WorkloadPurpose::Workload, WorkloadOp::Attest(shown)) => self.attest(*shown).await,
            (WorkloadPurpose::Workload, WorkloadOp::Grant(ask)) => self.grant(ask).await,
            (WorkloadPurpose::Governor, WorkloadOp::Order(order)) => {
                let set = self.front.set_grant_policy(*order).await?;
                Ok(set.map_or_else(WorkloadAnswer::NotSet, WorkloadAnswer::Set))
            }
            (WorkloadPurpose::Governor, WorkloadOp::Audit(AuditAsk { after, governor })) => {
                let words = audit_words(&self.front.cluster_id, &self.handshake, &self.nonce);
                let page = self.front.audit(&words, &governor, after).await?;
                Ok(WorkloadAnswer::Audit(Box::new(page)))
            }
            (_, WorkloadOp::Certificate) => match &self.front.broker {
                Some(identity) => Ok(WorkloadAnswer::Certificate(identity.certificate())),
                None => Err(refusal(RefusalCode::ModeNotOffered, "this node does not offer the key broker protocol; ask another one")),
            },
            (WorkloadPurpose::Workload, WorkloadOp::Order(_) | WorkloadOp::Audit(_))
            | (WorkloadPurpose::Governor, WorkloadOp::Attest(_) | WorkloadOp::Grant(_)) => Err(malformed()),
        }
    }

    async fn attest(&mut self, shown: WorkloadEvidence) -> Result<WorkloadAnswer, Refusal> {
        let front = &self.front;
        let bound = workload_report_data(&front.cluster_id, front.epoch, front.incarnation, &self.handshake, &self.nonce);
        self.guest = Some(front.guest(shown.evidence, shown.endorsements, bound).await?);
        Ok(WorkloadAnswer::Heard)
    }

    async fn grant(&mut self, GrantAsk { name, user }: GrantAsk) -> Result<WorkloadAnswer, Refusal> {
        if !is_name(&name) {
            return Err(malformed());
        }
        let verdict = self.front.grant(self.guest.as_ref(), (&self.handshake, self.number), &name, user.as_ref()).await?;
        Ok(match verdict {
            Verdict::Granted(granted) => WorkloadAnswer::Granted(granted),
            Verdict::NotGranted(not) => WorkloadAnswer::NotGranted(not),
        })
    }
}

/// The one stream of a visit.
struct Pipe {
    sealer: Sealer,
    opener: Opener,
    send: Sending,
    recv: Receiving,
}

impl Pipe {
    /// The next message; [`Ended::Left`] when the other side is done.
    async fn read(&mut self) -> Result<Vec<u8>, Ended> {
        let by = clock::now() + REQUEST_STALL;
        loop {
            if let Some(message) = self.opener.next()? {
                return Ok(message);
            }
            let chunk = timeout_at(by, self.recv.chunk(READ_BYTES)).await.map_err(|_| Ended::TooSlow)??;
            let Some(chunk) = chunk else { return Err(Ended::Left) };
            self.opener.push(&chunk)?;
        }
    }

    /// Seals and sends an answer, which may hold a key.
    async fn tell(&mut self, reply: &WorkloadReply) -> Result<(), Ended> {
        let message = Zeroizing::new(reply.encode());
        self.write(&message).await
    }

    async fn write(&mut self, message: &[u8]) -> Result<(), Ended> {
        let mut sealed = Vec::new();
        self.sealer.seal(message, &mut sealed)?;
        let within = if message.len() > READ_BYTES { WRITE_STALL } else { STEP };
        timeout(within, self.send.put(&sealed)).await.map_err(|_| Ended::TooSlow)?.map_err(|_| Ended::Left)
    }
}
