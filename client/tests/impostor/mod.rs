//! A node's side of a session that misbehaves as told, over real QUIC, with simulated evidence.
//!
//! Decides: at which step it departs from the protocol; before that it is an honest node of a cluster of its own. It writes down every
//! frame it was sent, and every byte that came after its evidence.
//! Trusts: nothing, protects nothing. Out of scope: being a cluster.
#![allow(dead_code, reason = "each test file uses its part")]

use crate::ledger::{Ledger, To, resign};
use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};
use ringwall_attest::{Batch, batch, report_data};
use ringwall_channel::client::MSG1_BYTES;
use ringwall_channel::{ClientPrologue, NodeSecrets, Opener, Sealer, Session, Unverified, answer_client};
use ringwall_quic::{FrameReader, FrameWriter, bind, server_config, transport_binding};
use ringwall_sim::{Lie, SimTee, world};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootConfig, GenesisRecord};
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Incarnation, Nonce, Revision, Slot};
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::receipt::{Receipt, Receipted, space_name};
use ringwall_wire::request::{Answer, Op, Reply, Request};
use ringwall_wire::session::{
    AttestReq, AttestResp, GetDescriptor, NodeDescriptor, Refusal, RefusalCode, SessionProof, UserAuth, UserReady,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How it misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Honest,
    /// Honest, in a cluster whose policy lets a session last one second.
    ShortSessions,
    /// Honest evidence, made for this session and one more.
    SharedEvidence,
    GarbageDescriptor,
    HugeFrame,
    SilentAtOnce,
    OtherCluster,
    BorrowedKeys,
    SilentBeforeEvidence,
    GarbageEvidence,
    HugeEvidence,
    ReplayedEvidence,
    Lies(Lie),
    RefusesUser,
    GarbageRecords,
    EndlessMessage,
    NeverReplies,
}

/// What it says of its history from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tale {
    #[default]
    True,
    /// An older world: the last entries never were.
    Older,
    /// Another entry in the past, and more since.
    Forked,
    /// Another entry in the past, at the same size.
    ForkedInPlace,
    /// A shorter tree, though the namespaces are as they were.
    Shrunk,
    /// A root its path does not lead to.
    WrongRoot,
    /// The namespace has seen as many changes, and other ones.
    WrongDigest,
    /// The namespace has seen fewer changes, though the log went on.
    FewerChanges,
    /// The signature of the receipt before.
    OldSignature,
    /// Another client's receipt.
    OtherClient,
    /// The receipt of another session.
    OtherNonce,
    /// Another user's receipt.
    OtherUser,
    /// The receipt before, once more.
    Repeated,
    /// Replies without any.
    Nothing,
    /// It has not seen as much, and says so.
    Behind,
}

/// Its history, and how it tells it.
struct Book {
    ledger: Ledger,
    tale: Tale,
    last: Option<Receipt>,
}

/// What it knows of one session.
struct Visitor {
    nonce: Nonce,
    to: Option<To>,
}

#[derive(Default)]
struct Log {
    frames: Vec<Vec<u8>>,
    requests: Vec<AttestReq>,
    after: usize,
}

/// The node.
pub(crate) struct Impostor {
    pub(crate) cluster_id: ClusterId,
    pub(crate) address: String,
    log: Arc<Mutex<Log>>,
    book: Arc<Mutex<Book>>,
}

struct Node {
    act: Act,
    secrets: NodeSecrets,
    tee: SimTee,
    policy: PolicyDoc,
    genesis: GenesisRecord,
    boot: BootConfig,
    log: Arc<Mutex<Log>>,
    book: Arc<Mutex<Book>>,
}

struct Generator;

impl TryRng for Generator {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(getrandom::u32().unwrap())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(getrandom::u64().unwrap())
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        getrandom::fill(out).unwrap();
        Ok(())
    }
}

impl TryCryptoRng for Generator {}

const WITHIN: Duration = Duration::from_secs(5);
const EPOCH: Epoch = Epoch(1);

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Impostor {
    /// Starts one; call inside a runtime.
    pub(crate) fn start(act: Act) -> Self {
        let mut policy = world::policy();
        if act == Act::ShortSessions {
            policy.session.reattest_s = 1;
        }
        let genesis = ringwall_sim::genesis_record(&policy, "impostor", Nonce([7; 32]));
        let cluster_id = genesis.cluster_id();
        let boot = world::joining_config(cluster_id, Slot(1));
        let lies: Vec<Lie> = match act {
            Act::Lies(lie) => vec![lie],
            _ => Vec::new(),
        };
        let tee = SimTee::new(world::machine("genoa-1", boot.clone()).unwrap(), 0).with_clock(now_s).telling(&lies);
        let log = Arc::new(Mutex::new(Log::default()));
        let secrets = NodeSecrets::generate(&mut Generator);
        let book = Book { ledger: Ledger::new(cluster_id, EPOCH, 6), tale: Tale::True, last: None };
        let book = Arc::new(Mutex::new(book));
        let node = Arc::new(Node { act, secrets, tee, policy, genesis, boot, log: Arc::clone(&log), book: Arc::clone(&book) });
        let endpoint = bind("0.0.0.0:0".parse().unwrap(), Some(server_config().unwrap())).unwrap();
        let address = format!("127.0.0.1:{}", endpoint.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let node = Arc::clone(&node);
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        // A client that leaves is what most cases wait for.
                        let _ = node.serve(connection).await;
                    }
                });
            }
        });
        Impostor { cluster_id, address, log, book }
    }

    /// Changes what it says of its history.
    pub(crate) fn tell(&self, tale: Tale) {
        self.book.lock().unwrap().tale = tale;
    }

    /// Requests that were answered with a write.
    pub(crate) fn entries(&self) -> u64 {
        self.book.lock().unwrap().ledger.size()
    }

    /// Bytes the client sent after the evidence.
    pub(crate) fn bytes_after_evidence(&self) -> usize {
        self.log.lock().unwrap().after
    }

    /// Handshakes that were begun.
    pub(crate) fn handshakes(&self) -> usize {
        self.log.lock().unwrap().frames.iter().filter(|frame| frame.len() == MSG1_BYTES).count()
    }

    /// Everything that arrived is a version offer, a handshake message or a request for evidence, and nothing came after the evidence.
    pub(crate) fn assert_nothing_was_told(&self) {
        let log = self.log.lock().unwrap();
        assert_eq!(log.after, 0, "{} application bytes left the client before the node was verified", log.after);
        let sealed = log.frames.iter().filter(|frame| GetDescriptor::decode(frame).is_err() && frame.len() != MSG1_BYTES).count();
        // What the session opened as a request for evidence cannot be anything else: other messages have other labels.
        assert_eq!(sealed, log.requests.len(), "a frame was neither an offer of versions, a handshake message nor a request for evidence");
    }
}

type End = Option<()>;

impl Node {
    async fn serve(&self, connection: quinn::Connection) -> End {
        let (send, recv) = connection.accept_bi().await.ok()?;
        let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
        let hello = self.read(&mut reader).await?;
        GetDescriptor::decode(&hello).ok()?;
        match self.act {
            Act::SilentAtOnce => return self.listen(reader).await,
            Act::GarbageDescriptor => {
                writer.write(&[0x5a; 300], WITHIN).await.ok()?;
                return self.listen(reader).await;
            }
            Act::HugeFrame => {
                let mut stream = writer.into_stream();
                stream.write_all(&u32::MAX.to_be_bytes()).await.ok()?;
                return self.listen(reader).await;
            }
            _ => {}
        }
        writer.write(&self.descriptor().encode(), WITHIN).await.ok()?;
        let msg1 = self.read(&mut reader).await?;
        let binding = transport_binding(&connection);
        let prologue = ClientPrologue { cluster_id: self.genesis.cluster_id(), epoch: EPOCH, version: 1, transport_binding: &binding };
        let (msg2, mut session) = match answer_client(&self.secrets, &prologue, &msg1, &mut Generator) {
            Ok(answered) => answered,
            Err(_) => {
                writer.write(&[0x33; 48], WITHIN).await.ok()?;
                return self.listen(reader).await;
            }
        };
        writer.write(&msg2, WITHIN).await.ok()?;
        let asked = self.read(&mut reader).await?;
        let request = session.open_attest_req(&asked).ok()?;
        self.log.lock().unwrap().requests.push(request.clone());
        let Some(answer) = self.evidence(&mut session, &request.nonce) else { return self.listen(reader).await };
        writer.write(&answer, WITHIN).await.ok()?;
        let visitor = Visitor { nonce: request.nonce, to: None };
        self.serve_records(session, reader, writer, visitor).await
    }

    async fn read(&self, reader: &mut FrameReader) -> Option<Vec<u8>> {
        let frame = reader.read(64 * 1024, WITHIN).await.ok()?;
        self.log.lock().unwrap().frames.push(frame.clone());
        Some(frame)
    }

    /// Counts whatever else comes.
    async fn listen(&self, reader: FrameReader) -> End {
        let mut stream = reader.into_stream();
        while let Some(chunk) = stream.read_chunk(64 * 1024, true).await.ok()? {
            self.log.lock().unwrap().after += chunk.bytes.len();
        }
        Some(())
    }

    fn descriptor(&self) -> NodeDescriptor {
        let borrowed = NodeSecrets::generate(&mut Generator);
        let keys = match self.act {
            Act::BorrowedKeys => borrowed.public(),
            _ => self.secrets.public(),
        };
        let cluster_id = match self.act {
            Act::OtherCluster => ClusterId([9; 32]),
            _ => self.genesis.cluster_id(),
        };
        NodeDescriptor {
            version: 1,
            cluster_id,
            epoch: EPOCH,
            incarnation: Incarnation::new(EPOCH, 1),
            noise: keys.noise,
            kem: keys.kem,
            policy_version: self.policy.version,
        }
    }

    fn evidence(&self, session: &mut Session<Unverified>, nonce: &Nonce) -> Option<Vec<u8>> {
        let handshake = match self.act {
            Act::SilentBeforeEvidence => return None,
            Act::GarbageEvidence => return Some(vec![0x77; 9_000]),
            Act::HugeEvidence => return Some(vec![0x77; 700 * 1024]),
            Act::ReplayedEvidence => Digest([4; 32]),
            _ => *session.handshake(),
        };
        let mut leaves = vec![batch::leaf(&handshake, nonce)];
        if self.act == Act::SharedEvidence {
            leaves.push(batch::leaf(&Digest([5; 32]), nonce));
        }
        let batch = Batch::new(leaves).unwrap();
        let (incarnation, keys) = (Incarnation::new(EPOCH, 1), self.secrets.public().clone());
        let binding = Binding {
            cluster_id: self.genesis.cluster_id(),
            epoch: EPOCH,
            role: Role::ClientServer,
            incarnation,
            keys: keys.clone(),
            boot_config: self.boot.host_data(),
            policy: Digest(self.policy.digest()),
            batch_root: batch.root(),
        };
        let answer = AttestResp {
            cluster_id: self.genesis.cluster_id(),
            epoch: EPOCH,
            role: Role::ClientServer,
            incarnation,
            keys,
            boot_config: Blob::new(self.boot.encode()).unwrap(),
            genesis: self.genesis.clone(),
            policy: self.policy.clone(),
            evidence: self.tee.mint(&report_data(&binding)),
            endorsements: self.tee.endorse(),
            proof: SessionProof::Batched(batch.path(0).unwrap()),
            release_proof: Blob::default(),
        };
        Some(session.seal_attest_resp(&answer).unwrap())
    }

    async fn serve_records(&self, session: Session<Unverified>, reader: FrameReader, writer: FrameWriter, mut visitor: Visitor) -> End {
        let (mut sealer, mut opener) = session.serve().ok()?.split(0, 2 * REQUEST_BYTES).ok()?;
        let (mut recv, mut send) = (reader.into_stream(), writer.into_stream());
        loop {
            let chunk = recv.read_chunk(64 * 1024, true).await.ok()??;
            self.log.lock().unwrap().after += chunk.bytes.len();
            opener.push(&chunk.bytes).ok()?;
            while let Some(message) = next(&mut opener) {
                self.answer(&message, &mut sealer, &mut send, &mut visitor).await?;
            }
        }
    }

    async fn answer(&self, message: &[u8], sealer: &mut Sealer, send: &mut quinn::SendStream, visitor: &mut Visitor) -> End {
        let mut out = Vec::new();
        if let Ok(auth) = UserAuth::decode(message) {
            let from = auth.known.map_or(0, |known| known.size);
            visitor.to = Some(To { user: auth.user, client: auth.client, nonce: visitor.nonce, number: 0, from });
            let behind = self.book.lock().unwrap().tale == Tale::Behind;
            let word = match self.act {
                Act::RefusesUser => refusal(RefusalCode::NotAuthorized).encode(),
                _ if behind => refusal(RefusalCode::Behind).encode(),
                _ => UserReady { revision: Revision(5), members: List::default(), receipt: self.receipt(visitor, None, 0) }.encode(),
            };
            sealer.seal(&word, &mut out).unwrap();
            return send.write_all(&out).await.ok();
        }
        let Request { number, op } = Request::decode(message).ok()?;
        let space = visitor.to.and_then(|to| self.space(&op, &to));
        let body = match (self.act, op) {
            (Act::NeverReplies, _) => return Some(()),
            (Act::GarbageRecords, _) => return send.write_all(&[0x42; 4_096]).await.ok(),
            (Act::EndlessMessage, _) => {
                // Authentic records of one message above the limit of a reply.
                sealer.seal(&vec![1; REQUEST_BYTES + 1], &mut out).unwrap();
                return send.write_all(&out).await.ok();
            }
            (_, Op::OpenNamespace(_)) => Answer::Opened(Revision(1)),
            (_, Op::Write(_)) => Answer::Written(Revision(6)),
            _ => Answer::Absent(Revision(5)),
        };
        if let (Answer::Written(_), Some(space)) = (&body, &space) {
            self.book.lock().unwrap().ledger.write(space);
        }
        let mut messages = vec![Reply { number, body }.encode()];
        if self.book.lock().unwrap().tale != Tale::Nothing {
            let receipt = Box::new(self.receipt(visitor, space, 1));
            messages.insert(0, Reply { number: 0, body: Answer::Receipt(receipt) }.encode());
        }
        sealer.seal_many(&messages, &mut out).unwrap();
        send.write_all(&out).await.ok()
    }
}

impl Node {
    fn space(&self, op: &Op, to: &To) -> Option<Digest> {
        let namespace = match op {
            Op::OpenNamespace(ask) => &ask.namespace,
            Op::Write(ask) => &ask.namespace,
            Op::Get(ask) => &ask.namespace,
            _ => return None,
        };
        Some(space_name(&self.genesis.cluster_id(), &to.user, namespace))
    }

    /// The next receipt of a session, as the tale wants it.
    fn receipt(&self, visitor: &mut Visitor, space: Option<Digest>, covers: u16) -> Receipted {
        let sign = |words: &[u8]| self.secrets.sign(words);
        let mut book = self.book.lock().unwrap();
        let Book { ledger, tale, last } = &mut *book;
        let to = visitor.to.as_mut().unwrap();
        to.number += 1;
        let spaces: Vec<Digest> = space.into_iter().collect();
        let mut told = ledger.clone();
        match tale {
            Tale::Older => told.leaves.truncate(4),
            Tale::Shrunk => told.leaves.truncate(told.leaves.len() - 1),
            Tale::Forked => {
                told.grow(3);
                told.rewrite(2);
            }
            Tale::ForkedInPlace => told.rewrite(2),
            Tale::WrongDigest => told.spaces.values_mut().for_each(|(_, digest)| digest.0[9] ^= 1),
            Tale::FewerChanges => {
                told.grow(1);
                told.spaces.values_mut().for_each(|(seq, _)| *seq -= 1);
            }
            Tale::WrongRoot => told.grow(1),
            _ => {}
        }
        let mut given = told.receipt(to, &spaces, covers, sign);
        let receipt = &mut given.receipt;
        match tale {
            Tale::WrongRoot => receipt.head.tree.root.0[0] ^= 1,
            Tale::OtherClient => receipt.leaf.client.0[0] ^= 1,
            Tale::OtherNonce => receipt.leaf.nonce.0[0] ^= 1,
            Tale::OtherUser => receipt.leaf.user.0[0] ^= 1,
            Tale::Repeated => *receipt = last.clone().unwrap_or_else(|| receipt.clone()),
            _ => {}
        }
        if *tale != Tale::Repeated {
            resign(receipt, &sign);
        }
        if let (Tale::OldSignature, Some(last)) = (*tale, &last) {
            receipt.head.signature = last.head.signature;
        }
        to.from = receipt.head.tree.size;
        *last = Some(receipt.clone());
        given
    }
}

fn next(opener: &mut Opener) -> Option<Vec<u8>> {
    opener.next().ok()?
}

fn refusal(code: RefusalCode) -> Refusal {
    Refusal { code, detail: Text::new("no such user").unwrap() }
}
