//! What an impostor does with one connection, step by step, until it departs from the protocol.
//!
//! Decides: the place of each departure. Trusts: nothing, protects nothing. Out of scope: which departure (`mod.rs`), receipts (`tale.rs`).
//! Protocol section 3.1.

use super::borrowed::Genuine;
use super::tale::{Book, Tale};
use super::{Act, EPOCH, Generator, Log, WITHIN};
use crate::SimTee;
use crate::ledger::To;
use ringwall_attest::{Batch, batch, report_data};
use ringwall_channel::{ClientPrologue, NodeSecrets, Opener, Sealer, Session, Unverified, answer_client};
use ringwall_quic::{FrameReader, FrameWriter, transport_binding};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootConfig, GenesisRecord};
use ringwall_wire::ids::{ClusterId, Digest, Incarnation, Nonce, Revision};
use ringwall_wire::limits::REQUEST_BYTES;
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::receipt::{Receipted, space_name};
use ringwall_wire::request::{Answer, Op, Reply, Request};
use ringwall_wire::session::{AttestResp, GetDescriptor, NodeDescriptor, Refusal, RefusalCode, SessionProof, UserAuth, UserReady};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What it knows of one session.
struct Visitor {
    nonce: Nonce,
    to: Option<To>,
}

/// The node behind the door.
pub(super) struct Node {
    pub(super) act: Act,
    pub(super) secrets: NodeSecrets,
    pub(super) tee: Arc<Mutex<SimTee>>,
    pub(super) policy: PolicyDoc,
    pub(super) genesis: GenesisRecord,
    pub(super) boot: BootConfig,
    /// Whose evidence it shows as its own.
    pub(super) genuine: Option<SocketAddr>,
    pub(super) log: Arc<Mutex<Log>>,
    pub(super) book: Arc<Mutex<Book>>,
}

type End = Option<()>;

impl Node {
    pub(super) async fn serve(&self, connection: quinn::Connection) -> End {
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
        let genuine = match self.genuine {
            Some(node) => Some(Genuine::reach(node).await?),
            None => None,
        };
        writer.write(&self.descriptor(genuine.as_ref()).encode(), WITHIN).await.ok()?;
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
        self.log.lock().expect("nobody panics with the lock held").requests.push(request.clone());
        let answer = match genuine {
            Some(genuine) => self.borrowed(&mut session, genuine.evidence(request.nonce).await?),
            None => self.evidence(&mut session, &request.nonce),
        };
        let Some(answer) = answer else { return self.listen(reader).await };
        writer.write(&answer, WITHIN).await.ok()?;
        let visitor = Visitor { nonce: request.nonce, to: None };
        self.serve_records(session, reader, writer, visitor).await
    }

    async fn read(&self, reader: &mut FrameReader) -> Option<Vec<u8>> {
        let frame = reader.read(64 * 1024, WITHIN).await.ok()?;
        self.log.lock().expect("nobody panics with the lock held").frames.push(frame.clone());
        Some(frame)
    }

    /// Counts whatever else comes.
    async fn listen(&self, reader: FrameReader) -> End {
        let mut stream = reader.into_stream();
        while let Some(chunk) = stream.read_chunk(64 * 1024, true).await.ok()? {
            self.log.lock().expect("nobody panics with the lock held").after += chunk.bytes.len();
        }
        Some(())
    }

    fn descriptor(&self, genuine: Option<&Genuine>) -> NodeDescriptor {
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
            incarnation: genuine.map_or(Incarnation::new(EPOCH, 1), |genuine| genuine.descriptor.incarnation),
            noise: keys.noise,
            kem: keys.kem,
            policy_version: self.policy.version,
            web: None,
        }
    }

    /// A genuine node's answer with the keys of this one in it.
    fn borrowed(&self, session: &mut Session<Unverified>, genuine: AttestResp) -> Option<Vec<u8>> {
        self.book.lock().expect("nobody panics with the lock held").ledger.incarnation = genuine.incarnation;
        let answer = AttestResp { keys: self.secrets.public().clone(), ..genuine };
        session.seal_attest_resp(&answer).ok()
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
        let batch = Batch::new(leaves).expect("one or two leaves");
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
        let tee = self.tee.lock().expect("nobody panics with the lock held").clone();
        let answer = AttestResp {
            cluster_id: self.genesis.cluster_id(),
            epoch: EPOCH,
            role: Role::ClientServer,
            incarnation,
            keys,
            boot_config: Blob::new(self.boot.encode()).expect("short"),
            genesis: self.genesis.clone(),
            policy: self.policy.clone(),
            steps: Default::default(),
            evidence: tee.mint(&report_data(&binding)),
            endorsements: tee.endorse(),
            proof: SessionProof::Batched(batch.path(0).expect("the first leaf")),
            release_proof: Blob::default(),
        };
        session.seal_attest_resp(&answer).ok()
    }

    async fn serve_records(&self, session: Session<Unverified>, reader: FrameReader, writer: FrameWriter, mut visitor: Visitor) -> End {
        let (mut sealer, mut opener) = session.serve().ok()?.split(0, 2 * REQUEST_BYTES).ok()?;
        let (mut recv, mut send) = (reader.into_stream(), writer.into_stream());
        loop {
            let chunk = recv.read_chunk(64 * 1024, true).await.ok()??;
            self.log.lock().expect("nobody panics with the lock held").after += chunk.bytes.len();
            opener.push(&chunk.bytes).ok()?;
            while let Some(message) = next(&mut opener) {
                self.answer(&message, &mut sealer, &mut send, &mut visitor).await?;
            }
        }
    }

    async fn answer(&self, message: &[u8], sealer: &mut Sealer, send: &mut quinn::SendStream, visitor: &mut Visitor) -> End {
        let mut out = Vec::new();
        self.log.lock().expect("nobody panics with the lock held").heard.push(message.to_vec());
        if let Ok(auth) = UserAuth::decode(message) {
            let from = auth.known.map_or(0, |known| known.size);
            visitor.to = Some(To { user: auth.user, client: auth.client, nonce: visitor.nonce, number: 0, from });
            let behind = self.book.lock().expect("nobody panics with the lock held").tale == Tale::Behind;
            let word = match self.act {
                Act::RefusesUser => refusal(RefusalCode::NotAuthorized).encode(),
                _ if behind => refusal(RefusalCode::Behind).encode(),
                _ => UserReady {
                    revision: Revision(5),
                    members: List::default(),
                    receipt: self.receipt(visitor, None, 0)?,
                    epochs: List::default(),
                    recovered: None,
                }
                .encode(),
            };
            sealer.seal(&word, &mut out).ok()?;
            return send.write_all(&out).await.ok();
        }
        let Request { number, op } = Request::decode(message).ok()?;
        let space = visitor.to.and_then(|to| self.space(&op, &to));
        let body = match (self.act, op) {
            (Act::NeverReplies, _) => return Some(()),
            (Act::GarbageRecords, _) => return send.write_all(&[0x42; 4_096]).await.ok(),
            (Act::EndlessMessage, _) => {
                // Authentic records of one message above the limit of a reply.
                sealer.seal(&vec![1; REQUEST_BYTES + 1], &mut out).ok()?;
                return send.write_all(&out).await.ok();
            }
            (_, Op::OpenNamespace(_)) => Answer::Opened(Revision(1)),
            (_, Op::Write(_)) => Answer::Written(Revision(6)),
            _ => Answer::Absent(Revision(5)),
        };
        if let (Answer::Written(_), Some(space)) = (&body, &space) {
            self.book.lock().expect("nobody panics with the lock held").ledger.write(space);
        }
        let mut messages = vec![Reply { number, body }.encode()];
        if self.book.lock().expect("nobody panics with the lock held").tale != Tale::Nothing {
            let receipt = Box::new(self.receipt(visitor, space, 1)?);
            messages.insert(0, Reply { number: 0, body: Answer::Receipt(receipt) }.encode());
        }
        sealer.seal_many(&messages, &mut out).ok()?;
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

    /// The next receipt of a session; none before its user is known.
    fn receipt(&self, visitor: &mut Visitor, space: Option<Digest>, covers: u16) -> Option<Receipted> {
        let spaces: Vec<Digest> = space.into_iter().collect();
        let mut book = self.book.lock().expect("nobody panics with the lock held");
        Some(book.receipt(visitor.to.as_mut()?, &spaces, covers, |words| self.secrets.sign(words)))
    }
}

fn next(opener: &mut Opener) -> Option<Vec<u8>> {
    opener.next().ok()?
}

fn refusal(code: RefusalCode) -> Refusal {
    Refusal { code, detail: Text::new("no such user").expect("short") }
}
