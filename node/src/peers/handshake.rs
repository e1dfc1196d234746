//! How two nodes open a session: hello, Noise XX, evidence in both directions.
//!
//! ```text
//! dialler                                    answerer
//! PeerHello            ------------------->
//!                      <-------------------  PeerReady | Refusal          (plain frames)
//! XX 1 ->  <- XX 2  XX 3 ->
//! AttestReq            ------------------->                                (records of stream 0 from here)
//!                      <-------------------  AttestResp, AttestReq            (PolicyPage first where an answer does not suffice: `pages`)
//! AttestResp           ------------------->
//!                      <-------------------  PeerReply(0, ...) | Refusal  (members: `introduction`; a joiner gets its JoinReply)
//! ```
//! Decides: which evidence opens a session: of the wanted role, for this handshake, our nonce and the key Noise authenticated, under our
//! own roots; a member besides must be one this node may come to know, with that key. Every failure has a type; the other side gets a code.
//! Trusts: nothing before the end. Out of scope: what members say then (`pool`, `serve`), admission (`join`). Protocol section 3.

use crate::attesting::{self, Claim, Wanted};
use crate::clock;
use crate::context::Site;
use crate::entropy;
use crate::governance::{self, cell};
use crate::peers::introduction;
use crate::peers::pages::{self, Evidence};
use crate::peers::records::Records;
use quinn::{Connection, ConnectionError};
use ringwall_attest::{AppraisedPeer, CollectError, SessionError};
use ringwall_channel::{Attested, ChannelError, NodeSecrets, PeerAnswer, PeerDial, PeerPrologue, Session, Unverified};
use ringwall_consensus::{Prover, Unrecognized};
use ringwall_quic::{CloseCode, DialError, FrameError, FrameReader, FrameWriter, close, transport_binding};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::{DecodeError, Message};
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClusterId, Incarnation, NoisePublic, Nonce, Slot};
use ringwall_wire::limits::{HANDSHAKE_MESSAGE_BYTES, PEER_MESSAGE_BYTES};
use ringwall_wire::session::{AttestReq, AttestResp, PeerHello, PeerPurpose, PeerReady, Refusal, RefusalCode};
use ringwall_wire::version;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::warn;

/// Longest wait for the other side's evidence: throttled guests wait seconds for theirs.
pub(super) const EVIDENCE_WAIT: Duration = Duration::from_secs(15);
/// Time a refused node has to read why.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Why two nodes have no session.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Lost(#[from] ConnectionError),
    /// A frame did not come, or was too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Stream(String),
    /// The handshake or a record failed.
    #[error(transparent)]
    Channel(ChannelError),
    /// The bytes are not the message that belongs here.
    #[error("not the message that belongs here: {0}")]
    Malformed(DecodeError),
    /// The other side refused us.
    #[error("the other node refused ({:?}): {}", .0.code, .0.detail)]
    Refused(Refusal),
    /// The other side's evidence was refused.
    #[error("the other node's evidence is refused: {0}")]
    Evidence(#[from] SessionError),
    /// This machine gave no evidence.
    #[error("this machine gave no evidence: {0}")]
    OwnEvidence(#[from] CollectError),
    /// No protocol version in common.
    #[error("the other node speaks versions {offered:?}, this one {ours:?}: upgrade the older one", ours = version::SUPPORTED)]
    Version {
        /// What it offered or picked.
        offered: Vec<u16>,
    },
    /// The other node serves another cluster or epoch.
    #[error("the other node is of cluster {got}, this one of {ours} (or of another epoch): is the address right?")]
    OtherCluster {
        /// Its cluster.
        got: ClusterId,
        /// Ours.
        ours: ClusterId,
    },
    /// It stands in another slot than its hello or the membership says.
    #[error("the other node was started for slot {got}, expected {expected}")]
    OtherSlot {
        /// In its evidence.
        got: Slot,
        /// Expected.
        expected: Slot,
    },
    /// Another incarnation answers than was dialled.
    #[error("incarnation {got} answers, incarnation {expected} was dialled: it was replaced")]
    OtherIncarnation {
        /// Attested.
        got: Incarnation,
        /// Dialled.
        expected: Incarnation,
    },
    /// It asks for page after page of changes.
    #[error("it asked for more pages of policy changes than any row has")]
    TooManyPages,
    /// As many quotes are being made for diallers nobody knows as may be.
    #[error("too many nodes this one does not know ask for evidence at once; it was refused as busy")]
    Crowded,
    /// Its admission is not known here and was not shown, or what it showed is not taken.
    #[error("incarnation {incarnation} is no member this node knows: {fault}")]
    NotShown {
        /// Who it says it is.
        incarnation: Incarnation,
        /// What is missing.
        fault: Unrecognized,
    },
    /// A member retired this incarnation and showed who was admitted to its slot.
    #[error("this incarnation was retired: incarnation {0} was admitted to its slot")]
    Succeeded(Incarnation),
    /// A member says that it retired this incarnation, and does not show it.
    #[error("the other node says that this incarnation was retired, and does not show it: {0}")]
    NotSucceeded(Unrecognized),
    /// The membership does not know it, or records another key for it.
    #[error("incarnation {incarnation} with Noise key {noise} is no member this node knows")]
    NotMember {
        /// Who it says it is.
        incarnation: Incarnation,
        /// Its key.
        noise: NoisePublic,
    },
}

impl From<ChannelError> for PeerError {
    fn from(fault: ChannelError) -> Self {
        match fault {
            ChannelError::Refused(refusal) => PeerError::Refused(refusal),
            other => PeerError::Channel(other),
        }
    }
}

impl PeerError {
    /// What the other side is told: a code, and which side has to act.
    pub fn refusal(&self) -> Refusal {
        let (code, detail) = match self {
            PeerError::Version { .. } => (RefusalCode::UnsupportedVersion, "no protocol version in common; upgrade the older node"),
            PeerError::OtherCluster { .. } => {
                (RefusalCode::OtherCluster, "this node serves another cluster or epoch; check the address and the card")
            }
            PeerError::Evidence(_) => {
                (RefusalCode::EvidenceRefused, "the evidence was refused; the log of this node says which rule it broke")
            }
            PeerError::NotMember { .. } | PeerError::NotShown { .. } | PeerError::OtherIncarnation { .. } | PeerError::OtherSlot { .. } => {
                (RefusalCode::NotMember, "not a member this node knows with this key; join again")
            }
            PeerError::Malformed(_) | PeerError::Channel(_) | PeerError::TooManyPages => {
                (RefusalCode::Malformed, "the bytes are not what belongs here; same version on both sides?")
            }
            PeerError::Crowded => (RefusalCode::Busy, "too many nodes this one does not know ask for evidence at once; try again"),
            PeerError::OwnEvidence(_) => (RefusalCode::Unavailable, "this node has no evidence to show right now; try again"),
            _ => (RefusalCode::Unavailable, "the session could not be opened; try again"),
        };
        refusal(code, detail)
    }
}

/// A refusal with constant words.
pub(crate) fn refusal(code: RefusalCode, detail: &str) -> Refusal {
    Refusal { code, detail: Text::new(detail).expect("refusal texts are short and printable") }
}

/// This side of a handshake.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// Cluster, machine, network.
    pub site: &'a Arc<Site>,
    /// The keys of this incarnation.
    pub secrets: &'a NodeSecrets,
    /// Who this is; 0 before admission.
    pub incarnation: Incarnation,
    /// Shows its admission where it is not known; none for a joiner, and where nobody is dialled.
    pub prover: Option<&'a Prover>,
}

/// An open session between nodes.
#[derive(Debug)]
pub struct Opened {
    /// The session; stream 0 is in `records`.
    pub session: Session<Attested>,
    /// Stream 0.
    pub records: Records,
    /// The evidence that was judged, as it can be forwarded to others.
    pub evidence: AttestResp,
    /// The nonce it was asked with.
    pub nonce: Nonce,
    /// When it was asked for.
    pub since: Instant,
}

/// Whom a dialler expects; a joiner expects any member.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The incarnation.
    pub incarnation: Incarnation,
    /// Its slot.
    pub slot: Slot,
    /// Its key.
    pub noise: NoisePublic,
}

fn roles(purpose: PeerPurpose) -> (Role, Role) {
    match purpose {
        PeerPurpose::Member => (Role::PeerInit, Role::PeerResp),
        PeerPurpose::Join => (Role::JoinInit, Role::JoinResp),
        PeerPurpose::Assist | PeerPurpose::Keep => (Role::Assisted, Role::Assisting),
    }
}

/// The dialling side, on a fresh connection. A member waits for the first word of the other side.
pub async fn dial(own: Own<'_>, connection: &Connection, purpose: PeerPurpose, expected: Option<Expected>) -> Result<Opened, PeerError> {
    let step = own.site.step();
    let (send, recv) = connection.open_bi().await?;
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let hello = PeerHello {
        versions: List::new(version::SUPPORTED.to_vec()).expect("we speak at most 8 versions"),
        cluster_id: own.site.cluster_id,
        epoch: own.site.epoch(),
        purpose,
        from: own.site.slot(),
    };
    writer.write(&hello.encode(), step).await?;
    let ready: PeerReady = plain(&reader.read(HANDSHAKE_MESSAGE_BYTES, step).await?)?;
    if !version::SUPPORTED.contains(&ready.version) {
        return Err(PeerError::Version { offered: vec![ready.version] });
    }
    if purpose != PeerPurpose::Member {
        // Nobody told this process in which epoch the cluster is. What it is told here is bound into the handshake and the evidence of both sides.
        own.site.epochs.set(ready.epoch);
    }
    let prologue = PeerPrologue {
        cluster_id: own.site.cluster_id,
        epoch: own.site.epoch(),
        version: ready.version,
        purpose,
        from: own.site.slot(),
        to: ready.slot,
        transport_binding: &transport_binding(connection),
    };
    let mut rng = (own.site.entropy)();
    let (noise, msg1) = PeerDial::start(own.secrets, &prologue, &mut *rng)?;
    writer.write(&msg1, step).await?;
    let (msg3, mut session) = noise.finish(&reader.read(HANDSHAKE_MESSAGE_BYTES, step).await?)?;
    writer.write(&msg3, step).await?;

    let (own_role, other_role) = roles(purpose);
    let since = clock::now();
    let nonce = entropy::nonce(&own.site.entropy);
    let shown = pages::ask(own.site, &mut session, (&mut reader, &mut writer), nonce, true).await?;
    let leads = purpose != PeerPurpose::Join;
    let asked = pages::asked(own.site, &mut session, (&mut reader, &mut writer), leads).await?;
    let peer = judged(own.site, &session, &shown, nonce, other_role).await;
    let peer = match peer.and_then(|peer| dialled(&peer, ready.slot, expected).map(|()| peer)) {
        Ok(peer) => peer,
        Err(fault) => {
            // The other side waits for a frame with our evidence: the refusal takes its place.
            if let Ok(sealed) = session.seal_refusal(&fault.refusal()) {
                let _ = writer.write(&sealed, LAST_WORD).await;
            }
            writer.finish(LAST_WORD).await;
            close(connection, CloseCode::Refused);
            return Err(fault);
        }
    };
    if purpose != PeerPurpose::Member || expected.is_some() {
        governance::learn(own.site, &[shown.walk.steps(), peer.steps()].concat());
    }
    attest(own, &mut session, &mut writer, own_role, &asked).await?;
    let mut opened = opened(session, peer, reader, writer, (shown.answer, nonce, since))?;
    if purpose == PeerPurpose::Member {
        introduction::introduce(own, &mut opened.records, EVIDENCE_WAIT).await?;
    }
    Ok(opened)
}

/// Whether the one who answered is the one who was dialled.
fn dialled(peer: &AppraisedPeer, said: Slot, expected: Option<Expected>) -> Result<(), PeerError> {
    let slot = peer.boot_config().slot;
    if slot != said {
        return Err(PeerError::OtherSlot { got: slot, expected: said });
    }
    let Some(expected) = expected else { return Ok(()) };
    if peer.incarnation() != expected.incarnation {
        return Err(PeerError::OtherIncarnation { got: peer.incarnation(), expected: expected.incarnation });
    }
    if slot != expected.slot {
        return Err(PeerError::OtherSlot { got: slot, expected: expected.slot });
    }
    if peer.keys().noise != expected.noise {
        return Err(PeerError::NotMember { incarnation: peer.incarnation(), noise: peer.keys().noise });
    }
    Ok(())
}

/// A hello that was read and found answerable.
#[derive(Debug)]
pub struct Greeted {
    reader: FrameReader,
    writer: FrameWriter,
    hello: PeerHello,
    version: u16,
}

impl Greeted {
    /// What the other side wants.
    pub fn purpose(&self) -> PeerPurpose {
        self.hello.purpose
    }

    /// Refuses in plain text, and closes.
    pub async fn refuse(mut self, connection: &Connection, refusal: &Refusal) {
        // A refused stranger that does not read is closed all the same.
        let _ = self.writer.write(&refusal.encode(), LAST_WORD).await;
        self.writer.finish(LAST_WORD).await;
        close(connection, CloseCode::Refused);
    }
}

/// The answering side's first step: reads the hello; refuses another version or cluster, and a member of another epoch.
pub async fn greet(site: &Site, connection: &Connection) -> Result<Greeted, PeerError> {
    let step = site.step();
    let accepted = tokio::time::timeout(step, connection.accept_bi()).await;
    let (send, recv) = accepted.map_err(|_| FrameError::TooSlow { within: step })??;
    let (mut reader, writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let hello: PeerHello = plain(&reader.read(HANDSHAKE_MESSAGE_BYTES, step).await?)?;
    let picked = version::pick(&hello.versions);
    let greeted = Greeted { reader, writer, version: picked.unwrap_or_default(), hello };
    let fault = if picked.is_none() {
        PeerError::Version { offered: greeted.hello.versions.to_vec() }
    } else if greeted.hello.cluster_id != site.cluster_id || greeted.purpose() == PeerPurpose::Member && greeted.hello.epoch != site.epoch()
    {
        PeerError::OtherCluster { got: greeted.hello.cluster_id, ours: site.cluster_id }
    } else {
        return Ok(greeted);
    };
    greeted.refuse(connection, &fault.refusal()).await;
    Err(fault)
}

/// Whether a quote may be made, and pages shown before it, for the node with the key that Noise authenticated.
#[derive(Debug)]
pub enum Turn {
    /// Yes: it is known, or its kind of session is limited elsewhere.
    Free,
    /// Yes, under a permit that is given back once the quote is made.
    Held(OwnedSemaphorePermit),
    /// Not now.
    Crowded,
}

/// The answering side after the hello. `nonce` is what the other side is asked with; `turn` decides whether a quote is made for the key
/// it has; `known` decides, for a member, whether it is known or may be shown to be one (`introduction`).
pub async fn answer(
    own: Own<'_>,
    connection: &Connection,
    greeted: Greeted,
    nonce: Nonce,
    turn: impl FnOnce(&NoisePublic) -> Turn,
    known: impl FnOnce(&AppraisedPeer) -> bool,
) -> Result<Opened, PeerError> {
    let step = own.site.step();
    let Greeted { mut reader, mut writer, hello, version } = greeted;
    writer.write(&PeerReady { version, epoch: own.site.epoch(), slot: own.site.slot() }.encode(), step).await?;
    let prologue = PeerPrologue {
        cluster_id: own.site.cluster_id,
        epoch: own.site.epoch(),
        version,
        purpose: hello.purpose,
        from: hello.from,
        to: own.site.slot(),
        transport_binding: &transport_binding(connection),
    };
    let mut rng = (own.site.entropy)();
    let (noise, msg2) = PeerAnswer::start(own.secrets, &prologue, &reader.read(HANDSHAKE_MESSAGE_BYTES, step).await?, &mut *rng)?;
    drop(rng);
    writer.write(&msg2, step).await?;
    let mut session = noise.finish(&reader.read(HANDSHAKE_MESSAGE_BYTES, step).await?)?;

    let (other_role, own_role) = roles(hello.purpose);
    let asked = pages::question(own.site, &mut session, &mut reader).await?;
    let turn = turn(session.remote_noise().ok_or(ChannelError::AnonymousPeer)?);
    if matches!(turn, Turn::Crowded) {
        // The other side waits for a frame with our evidence: the refusal takes its place.
        if let Ok(sealed) = session.seal_refusal(&PeerError::Crowded.refusal()) {
            let _ = writer.write(&sealed, LAST_WORD).await;
        }
        writer.finish(LAST_WORD).await;
        close(connection, CloseCode::Busy);
        return Err(PeerError::Crowded);
    }
    let asked = pages::lead(own.site, &mut session, (&mut reader, &mut writer), asked).await?;
    attest(own, &mut session, &mut writer, own_role, &asked).await?;
    drop(turn);
    let since = clock::now();
    let leads = hello.purpose != PeerPurpose::Join;
    let shown = pages::ask(own.site, &mut session, (&mut reader, &mut writer), nonce, leads).await?;
    let judged = judged(own.site, &session, &shown, nonce, other_role).await.and_then(|peer| {
        let slot = peer.boot_config().slot;
        if slot != hello.from {
            return Err(PeerError::OtherSlot { got: slot, expected: hello.from });
        }
        match hello.purpose != PeerPurpose::Member || known(&peer) {
            true => Ok(peer),
            false => Err(PeerError::NotMember { incarnation: peer.incarnation(), noise: peer.keys().noise }),
        }
    });
    match judged {
        Ok(peer) => opened(session, peer, reader, writer, (shown.answer, nonce, since)),
        Err(fault) => {
            // The other side reads bare records from here on.
            if let Ok(sealed) = session.seal_refusal(&fault.refusal()) {
                let mut stream = writer.into_stream();
                let last_word =
                    async { stream.write_all(&sealed).await.is_ok() && stream.finish().is_ok() && stream.stopped().await.is_ok() };
                let _ = tokio::time::timeout(LAST_WORD, last_word).await;
            }
            close(connection, CloseCode::Refused);
            Err(fault)
        }
    }
}

/// Reads a plain message, or the refusal in its place.
fn plain<M: Message>(bytes: &[u8]) -> Result<M, PeerError> {
    match M::decode(bytes) {
        Err(fault @ DecodeError::WrongLabel { .. }) => Err(Refusal::decode(bytes).map_or(PeerError::Malformed(fault), PeerError::Refused)),
        outcome => outcome.map_err(PeerError::Malformed),
    }
}

async fn attest(
    own: Own<'_>,
    session: &mut Session<Unverified>,
    writer: &mut FrameWriter,
    role: Role,
    asked: &AttestReq,
) -> Result<(), PeerError> {
    let (keys, handshake, nonce) = (own.secrets.public().clone(), *session.handshake(), asked.nonce);
    let mut answer = attesting::answer(own.site, Claim { role, incarnation: own.incarnation, keys, handshake, nonce }).await?;
    if role != Role::JoinInit && !own.site.policies.now().reaches(asked.known_policy.as_ref()) {
        return Err(CollectError::Unavailable { reason: "another policy came into force meanwhile".into() }.into());
    }
    answer.steps = cell::after(&answer.policy, &answer.steps, asked.known_policy.as_ref());
    Ok(writer.write(&session.seal_attest_resp(&answer)?, own.site.step()).await?)
}

async fn judged(
    site: &Arc<Site>,
    session: &Session<Unverified>,
    shown: &Evidence,
    nonce: Nonce,
    role: Role,
) -> Result<AppraisedPeer, PeerError> {
    let noise = *session.remote_noise().ok_or(ChannelError::AnonymousPeer)?;
    let wanted = Wanted { role, handshake: *session.handshake(), nonce, noise };
    let ahead = if shown.walk.is_empty() { None } else { shown.walk.policy().cloned() };
    let judged = attesting::judge_from(site, shown.answer.clone(), wanted, ahead).await;
    if let Err(fault) = &judged {
        let ended = site.sessions.refuse(&noise);
        if ended > 0 {
            warn!(incarnation = %shown.answer.incarnation, ended, %fault, "fresh evidence of a member is refused: its sessions end");
        }
    }
    let peer = judged?;
    if role == Role::Assisted {
        // KS3: what is kept for a process goes to no machine that its policy excludes, whatever the next one that asks would go by.
        governance::learn(site, &[shown.walk.steps(), peer.steps()].concat());
    }
    Ok(peer)
}

fn opened(
    session: Session<Unverified>,
    peer: AppraisedPeer,
    reader: FrameReader,
    writer: FrameWriter,
    (evidence, nonce, since): (AttestResp, Nonce, Instant),
) -> Result<Opened, PeerError> {
    let mut session = session.establish(peer)?;
    let keys = session.split(0, PEER_MESSAGE_BYTES)?;
    let records = Records::new(keys, (writer.into_stream(), reader.into_stream()));
    Ok(Opened { session, records, evidence, nonce, since })
}
