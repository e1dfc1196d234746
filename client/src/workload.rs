//! Workload keys from the asking side: a session with a verified node, evidence of this guest for it, keys by name; and governors' business.
//!
//! Decides: the node is verified exactly as for a user before anything is said, evidence is made for that very session, and a definite answer (a
//! key, a coded refusal) is final, while a node that cannot serve is followed by the next address. The audit chain is verified where it is read.
//! Trusts: the cluster it pinned. Out of scope: judging evidence (the node's), what a policy should say. Protocol section 10.

use crate::clock;
use crate::dial::{NodeDialler, Visit};
use crate::error::{Attempt, ConnectError, code_name};
use crate::link::DialError;
use crate::options::Options;
use crate::policy::GovernorKey;
use ringwall_attest::{Attester, CollectError};
use ringwall_channel::{Opener, Sealer};
use ringwall_quic::CloseCode;
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, Nonce, UserId};
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::session::Refusal;
use ringwall_wire::workload::{
    AuditAsk, AuditEntry, AuditPage, GrantAsk, GrantFault, GrantOrder, Granted, SetFault, WorkloadAnswer, WorkloadAsk, WorkloadChallenge,
    WorkloadEvidence, WorkloadHello, WorkloadOp, WorkloadPurpose, WorkloadReply, audit_chain, audit_words, is_name, workload_report_data,
};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Bytes read from a stream at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why there is no key, no change, or no audit chain.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// No node could be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The name is none.
    #[error(
        "{0:?} is no name of a workload key: parts of small letters, digits, '.', '_' and '-', with slashes between them, at most 128 bytes"
    )]
    Name(String),
    /// This guest made no evidence.
    #[error("this guest has no evidence to show: {0}")]
    Evidence(#[from] CollectError),
    /// The workload may not have the key.
    #[error("the key is not granted ({}): {detail}", .fault.code())]
    NotGranted {
        /// Stable code.
        fault: GrantFault,
        /// Which rule, what was found.
        detail: String,
    },
    /// The order is not taken.
    #[error("the order is not taken: {}", .0.words())]
    NotSet(SetFault),
    /// The node refused for another reason.
    #[error("the node refused with {code}: {detail}")]
    Refused {
        /// Stable code.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// The session ended before the answer.
    #[error("the session ended before the answer: {0}")]
    Lost(String),
    /// The node's answer makes no sense.
    #[error("the node broke the protocol: {0}")]
    Nonsense(String),
    /// The audit chain does not lead to its head.
    #[error("the audit chain is broken at entry {seq}: what was written down was changed, or the node lies")]
    BrokenChain {
        /// Where.
        seq: u64,
    },
}

impl WorkloadError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            WorkloadError::Connect(error) => error.code(),
            WorkloadError::Name(_) => "RW-C-USAGE",
            WorkloadError::Evidence(_) => "RW-C-GUEST-EVIDENCE",
            WorkloadError::NotGranted { .. } => "RW-C-NOT-GRANTED",
            WorkloadError::NotSet(_) => "RW-C-GRANT-POLICY-REFUSED",
            WorkloadError::Refused { .. } => "RW-C-REFUSED",
            WorkloadError::Lost(_) => "RW-C-UNAVAILABLE",
            WorkloadError::Nonsense(_) => "RW-C-NONSENSE",
            WorkloadError::BrokenChain { .. } => "RW-C-AUDIT-BROKEN",
        }
    }

    /// Whether another node may do better.
    fn may_pass(&self) -> bool {
        match self {
            WorkloadError::Lost(_) => true,
            WorkloadError::Refused { code, .. } => matches!(*code, "UNAVAILABLE" | "BUSY" | "SHUTTING-DOWN" | "FENCED" | "NO-ROOM"),
            _ => false,
        }
    }
}

/// A session about workload keys with one verified node.
pub struct WorkloadSession {
    connection: quinn::Connection,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    sealer: Sealer,
    opener: Opener,
    cluster_id: ClusterId,
    epoch: Epoch,
    node: Incarnation,
    handshake: Digest,
    nonce: Nonce,
    number: u64,
    answer_within: std::time::Duration,
}

impl core::fmt::Debug for WorkloadSession {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "WorkloadSession(with {}, {} questions)", self.node, self.number)
    }
}

impl WorkloadSession {
    /// Opens a session with the node at `address`, once it is verified.
    pub async fn open(options: &Options, address: &str, purpose: WorkloadPurpose) -> Result<Self, WorkloadError> {
        let dialler = NodeDialler::new(options.clone())?;
        let until = clock::now() + options.timeouts.dial;
        let visit = dialler.visit(address, until).await.map_err(|fault| unusable(address, options, fault))?;
        let Visit { connection, mut session, nonce: _, exchange: _, send, recv } = visit;
        let (peer, handshake) = (session.peer(), *session.handshake());
        let (epoch, node) = peer.map(|peer| (peer.epoch(), peer.incarnation())).unwrap_or_default();
        let (sealer, opener) = session.split(0, REQUEST_BYTES).map_err(|fault| WorkloadError::Nonsense(fault.to_string()))?;
        let mut open = WorkloadSession {
            connection,
            send,
            recv,
            sealer,
            opener,
            cluster_id: options.cluster_id,
            epoch,
            node,
            handshake,
            nonce: Nonce([0; 32]),
            number: 0,
            answer_within: options.timeouts.answer.saturating_mul(3),
        };
        open.write(&WorkloadHello { purpose }.encode(), until).await?;
        let word = open.read(until).await?;
        match (WorkloadChallenge::decode(&word), Refusal::decode(&word)) {
            (Ok(challenge), _) => open.nonce = challenge.nonce,
            (_, Ok(refusal)) => return Err(refused(&refusal)),
            (Err(fault), Err(_)) => return Err(WorkloadError::Nonsense(fault.to_string())),
        }
        Ok(open)
    }

    /// The 64 bytes this guest's evidence must be bound to.
    pub fn report_data(&self) -> [u8; 64] {
        workload_report_data(&self.cluster_id, self.epoch, self.node, &self.handshake, &self.nonce)
    }

    /// Shows evidence over [`WorkloadSession::report_data`]. It counts for the rest of the session; what it is worth, each key's policy decides.
    pub async fn attest(&mut self, evidence: Evidence, endorsements: Endorsements) -> Result<(), WorkloadError> {
        match self.ask(WorkloadOp::Attest(Box::new(WorkloadEvidence { evidence, endorsements }))).await? {
            WorkloadAnswer::Heard => Ok(()),
            other => Err(nonsense(other)),
        }
    }

    /// Collects evidence and shows it.
    pub async fn attest_with(&mut self, guest: Arc<dyn Attester>) -> Result<(), WorkloadError> {
        let report_data = self.report_data();
        let collecting = tokio::task::spawn_blocking(move || Ok((guest.evidence(&report_data)?, guest.endorsements()?)));
        let collected: Result<(Evidence, Endorsements), CollectError> =
            collecting.await.map_err(|fault| WorkloadError::Lost(fault.to_string()))?;
        let (evidence, endorsements) = collected?;
        self.attest(evidence, endorsements).await
    }

    /// Asks for a key by name, or for one user's own key derived from it.
    pub async fn grant(&mut self, name: &str, user: Option<UserId>) -> Result<Granted, WorkloadError> {
        let legal = Text::new(name).ok().filter(|_| is_name(name)).ok_or_else(|| WorkloadError::Name(name.to_owned()))?;
        match self.ask(WorkloadOp::Grant(GrantAsk { name: legal, user })).await? {
            WorkloadAnswer::Granted(granted) => Ok(granted),
            WorkloadAnswer::NotGranted(not) => Err(WorkloadError::NotGranted { fault: not.fault, detail: not.detail.to_string() }),
            other => Err(nonsense(other)),
        }
    }

    /// Brings an order of the governors; gives the version of the policy that is in force then.
    pub async fn order(&mut self, order: &GrantOrder) -> Result<u64, WorkloadError> {
        match self.ask(WorkloadOp::Order(Box::new(order.clone()))).await? {
            WorkloadAnswer::Set(version) => Ok(version),
            WorkloadAnswer::NotSet(fault) => Err(WorkloadError::NotSet(fault)),
            other => Err(nonsense(other)),
        }
    }

    /// A page of the audit chain after entry `after`, as a governor.
    pub async fn audit_page(&mut self, governor: &GovernorKey, after: u64) -> Result<AuditPage, WorkloadError> {
        let governor = governor.sign(&audit_words(&self.cluster_id, &self.handshake, &self.nonce));
        match self.ask(WorkloadOp::Audit(AuditAsk { after, governor })).await? {
            WorkloadAnswer::Audit(page) => Ok(*page),
            other => Err(nonsense(other)),
        }
    }

    /// Everything that is kept of the audit chain, verified entry by entry up to its head.
    pub async fn audit(&mut self, governor: &GovernorKey) -> Result<Audit, WorkloadError> {
        let mut audit: Option<Audit> = None;
        loop {
            let after = audit.as_ref().and_then(|audit| audit.entries.last()).map_or(0, |entry| entry.seq);
            let page = self.audit_page(governor, after).await?;
            let before = audit.as_ref().map(|audit| audit.head);
            let whole =
                audit.get_or_insert_with(|| Audit { before: page.before, entries: Vec::new(), head: page.before, count: page.count });
            whole.join(&page, before)?;
            if whole.entries.last().map_or(whole.count, |last| last.seq) >= page.count {
                return match whole.head == page.head {
                    true => Ok(audit.unwrap_or_default()),
                    false => Err(WorkloadError::BrokenChain { seq: page.count }),
                };
            }
            if page.entries.is_empty() {
                return Err(WorkloadError::BrokenChain { seq: after.saturating_add(1) });
            }
        }
    }

    /// The certificate under which this cluster offers the key broker protocol, DER: what a guest that speaks it pins.
    pub async fn certificate(&mut self) -> Result<Vec<u8>, WorkloadError> {
        match self.ask(WorkloadOp::Certificate).await? {
            WorkloadAnswer::Certificate(der) => Ok(der.into_vec()),
            other => Err(nonsense(other)),
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        // Whether it is heard changes nothing for us.
        let _ = self.send.finish();
        ringwall_quic::close(&self.connection, CloseCode::Done);
        tokio::time::sleep(crate::client::GOODBYE).await;
    }

    async fn ask(&mut self, op: WorkloadOp) -> Result<WorkloadAnswer, WorkloadError> {
        self.number = self.number.saturating_add(1);
        let until = clock::now() + self.answer_within;
        self.write(&WorkloadAsk { number: self.number, op }.encode(), until).await?;
        let message = zeroize::Zeroizing::new(self.read(until).await?);
        let reply = WorkloadReply::decode(&message).map_err(|fault| WorkloadError::Nonsense(fault.to_string()))?;
        match reply.body {
            WorkloadAnswer::Refused(refusal) => Err(refused(&refusal)),
            _ if reply.number != self.number => Err(WorkloadError::Nonsense("an answer to another question".into())),
            body => Ok(body),
        }
    }

    async fn write(&mut self, message: &[u8], until: Instant) -> Result<(), WorkloadError> {
        let mut sealed = Vec::new();
        self.sealer.seal(message, &mut sealed).map_err(|fault| WorkloadError::Nonsense(fault.to_string()))?;
        let written = timeout_at(until, self.send.write_all(&sealed)).await;
        written.map_err(|_| late())?.map_err(|fault| WorkloadError::Lost(fault.to_string()))
    }

    async fn read(&mut self, until: Instant) -> Result<Vec<u8>, WorkloadError> {
        loop {
            if let Some(message) = self.opener.next().map_err(|fault| WorkloadError::Nonsense(fault.to_string()))? {
                return Ok(message);
            }
            let chunk = timeout_at(until, self.recv.read_chunk(CHUNK_BYTES, true)).await.map_err(|_| late())?;
            let chunk = chunk.map_err(|fault| WorkloadError::Lost(fault.to_string()))?;
            let chunk = chunk.ok_or_else(|| WorkloadError::Lost("the node ended the stream".into()))?;
            self.opener.push(&chunk.bytes).map_err(|fault| WorkloadError::Nonsense(fault.to_string()))?;
        }
    }
}

/// The audit chain, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Digest of the chain before the first entry; zeros when nothing was dropped yet.
    pub before: Digest,
    /// Entries that are kept, in order.
    pub entries: Vec<AuditEntry>,
    /// Digest after the last.
    pub head: Digest,
    /// Entries in all.
    pub count: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { before: Digest([0; 32]), entries: Vec::new(), head: Digest([0; 32]), count: 0 }
    }
}

impl Audit {
    /// Adds a page, which must go on where the last one ended.
    fn join(&mut self, page: &AuditPage, before: Option<Digest>) -> Result<(), WorkloadError> {
        let first = self.entries.last().map_or(page.first_kept, |last| last.seq.saturating_add(1));
        if before.is_some_and(|before| before != page.before) {
            return Err(WorkloadError::BrokenChain { seq: first });
        }
        for (seq, entry) in (first..).zip(page.entries.iter()) {
            if entry.seq != seq {
                return Err(WorkloadError::BrokenChain { seq });
            }
            self.head = audit_chain(&self.head, entry);
            self.entries.push(entry.clone());
        }
        self.count = page.count;
        Ok(())
    }
}

/// Asks the cluster for a key: each address in turn, until one gives a definite answer. For a workload that needs one key at its start.
pub async fn request_workload_key(
    options: &Options,
    guest: Arc<dyn Attester>,
    name: &str,
    user: Option<UserId>,
) -> Result<Granted, WorkloadError> {
    // Not through `anywhere`: what a caller spawns must be able to move between threads, which a future over any closure is not known to.
    let mut nodes = Nodes::of(options, WorkloadPurpose::Workload);
    loop {
        let mut session = nodes.next().await?;
        let done = match session.attest_with(guest.clone()).await {
            Ok(()) => session.grant(name, user).await,
            Err(fault) => Err(fault),
        };
        session.close().await;
        if let Some(done) = nodes.settled(done) {
            return done;
        }
    }
}

/// Does something in a session with one node after the other, until one gives a definite answer.
pub async fn anywhere<T>(
    options: &Options,
    purpose: WorkloadPurpose,
    mut work: impl AsyncFnMut(&mut WorkloadSession) -> Result<T, WorkloadError>,
) -> Result<T, WorkloadError> {
    let mut nodes = Nodes::of(options, purpose);
    loop {
        let mut session = nodes.next().await?;
        let done = work(&mut session).await;
        session.close().await;
        if let Some(done) = nodes.settled(done) {
            return done;
        }
    }
}

/// One node after the other, until the time is over.
struct Nodes<'a> {
    options: &'a Options,
    purpose: WorkloadPurpose,
    until: tokio::time::Instant,
    at: usize,
    trouble: WorkloadError,
}

impl<'a> Nodes<'a> {
    fn of(options: &'a Options, purpose: WorkloadPurpose) -> Self {
        Nodes { options, purpose, until: clock::now() + options.timeouts.deadline, at: 0, trouble: nobody() }
    }

    /// A session with the next node that opens one.
    async fn next(&mut self) -> Result<WorkloadSession, WorkloadError> {
        loop {
            let Some(address) = self.options.addresses.get(self.at) else {
                if self.options.addresses.is_empty() || clock::now() >= self.until {
                    return Err(std::mem::replace(&mut self.trouble, nobody()));
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                self.at = 0;
                continue;
            };
            self.at = self.at.saturating_add(1);
            match WorkloadSession::open(self.options, address, self.purpose).await {
                Ok(session) => return Ok(session),
                Err(fault @ WorkloadError::Connect(_)) => self.trouble = keep(std::mem::replace(&mut self.trouble, nobody()), fault),
                Err(fault) if fault.may_pass() => self.trouble = fault,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The answer, when it is a definite one.
    fn settled<T>(&mut self, done: Result<T, WorkloadError>) -> Option<Result<T, WorkloadError>> {
        match done {
            Err(fault) if fault.may_pass() => {
                self.trouble = fault;
                None
            }
            done => Some(done),
        }
    }
}

/// Before anybody was asked.
fn nobody() -> WorkloadError {
    WorkloadError::Connect(ConnectError::Unavailable { waited_ms: 0, tried: Vec::new() })
}

/// Which trouble is told in the end: a bad node is worth more words than one that did not answer.
fn keep(old: WorkloadError, new: WorkloadError) -> WorkloadError {
    match (&old, &new) {
        (WorkloadError::Connect(ConnectError::Unavailable { .. }), _) => new,
        (_, WorkloadError::Connect(ConnectError::Unavailable { .. })) => old,
        _ => new,
    }
}

fn unusable(address: &str, options: &Options, fault: DialError) -> WorkloadError {
    let (address, tried) = (address.to_owned(), Vec::new());
    WorkloadError::Connect(match fault {
        DialError::Evidence(error) | DialError::OldPolicy(error) => ConnectError::of_evidence(address, error, tried),
        DialError::OtherCluster { claimed, pinned } => ConnectError::OtherCluster { address, claimed, pinned, tried },
        fault => {
            let waited_ms = clock::millis(options.timeouts.dial);
            ConnectError::Unavailable { waited_ms, tried: vec![Attempt { address, cause: fault.to_string(), refused: false }] }
        }
    })
}

fn late() -> WorkloadError {
    WorkloadError::Lost("no answer came in time".into())
}

fn refused(refusal: &Refusal) -> WorkloadError {
    WorkloadError::Refused { code: code_name(refusal.code), detail: refusal.detail.to_string() }
}

fn nonsense(answer: WorkloadAnswer) -> WorkloadError {
    let what = match answer {
        WorkloadAnswer::Refused(_) => "a refusal",
        WorkloadAnswer::Heard => "that evidence was taken",
        WorkloadAnswer::NotGranted(_) | WorkloadAnswer::Granted(_) => "an answer about a key",
        WorkloadAnswer::Set(_) | WorkloadAnswer::NotSet(_) => "an answer about an order",
        WorkloadAnswer::Audit(_) => "a page of the audit chain",
        WorkloadAnswer::Certificate(_) => "a certificate",
    };
    WorkloadError::Nonsense(format!("{what} in answer to another question"))
}
