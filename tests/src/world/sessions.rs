//! How two nodes of a world open a session: hello, Noise XX, evidence in both directions.
//!
//! Decides: nothing of its own: these are the steps of `node/src/peers/handshake.rs` over a pipe of the world, with the handshake, the
//! records and the session states of `channel` and the verdicts of `attest`. Not run here: the frames of `quic` (a pipe carries frames),
//! the turn for strangers, the version offer. Trusts: nothing before the end. Out of scope: what members say (`members`). Protocol 3.

use crate::world::pipes::Pipe;
use crate::world::process::Process;
use crate::world::site::{Claim, Site, Wanted};
use ringwall_attest::AppraisedPeer;
use ringwall_channel::{Attested, NodeSecrets, Opener, PeerAnswer, PeerDial, PeerPrologue, Sealer, Session, Unverified};
use ringwall_consensus::{Prover, Recognition, Succession};
use ringwall_node::governance::cell::after;
use ringwall_wire::admission::AdmissionProof;
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{Incarnation, NoisePublic, Nonce, Slot};
use ringwall_wire::limits::{ADMISSION_LINKS, ADMISSION_ROUNDS, PEER_MESSAGE_BYTES};
use ringwall_wire::peer::{PeerAnswer as Word, PeerCall, PeerReply, PeerRpc};
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp, PeerHello, PeerPurpose, PeerReady, Refusal, RefusalCode};
use ringwall_wire::version;

/// Milliseconds one step of a handshake may take.
const STEP_MS: u64 = 3_000;

/// Why two nodes have no session.
#[derive(Debug)]
pub enum Fault {
    /// The pipe ended or was silent.
    Lost,
    /// Bytes that do not belong here.
    Malformed,
    /// The other side refused.
    Refused(RefusalCode),
    /// Evidence was refused here.
    Evidence(String),
    /// It is not who was dialled, or nobody this node knows.
    NotMember,
    /// A member showed who was admitted to this node's slot after it.
    Succeeded(Incarnation),
}

/// A refusal with constant words.
pub fn refusal(code: RefusalCode, detail: &str) -> Refusal {
    Refusal { code, detail: Text::new(detail).expect("refusal texts are short and printable") }
}

/// This side.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// Machine and cluster.
    pub site: &'a Site,
    /// Keys.
    pub secrets: &'a NodeSecrets,
    /// Who this is; 0 before admission.
    pub incarnation: Incarnation,
    /// Shows its admission where it is not known.
    pub prover: Option<&'a Prover>,
}

/// Whom a dialler expects.
#[derive(Clone, Copy)]
pub struct Expected {
    /// Who.
    pub incarnation: Incarnation,
    /// Where.
    pub slot: Slot,
    /// Its key.
    pub noise: NoisePublic,
}

/// An open session.
pub struct Opened {
    /// The session.
    pub session: Session<Attested>,
    /// Stream 0.
    pub sealer: Sealer,
    /// Stream 0.
    pub opener: Opener,
    /// The evidence that was judged.
    pub evidence: AttestResp,
}

fn roles(purpose: PeerPurpose) -> (Role, Role) {
    match purpose {
        PeerPurpose::Member => (Role::PeerInit, Role::PeerResp),
        PeerPurpose::Join => (Role::JoinInit, Role::JoinResp),
        PeerPurpose::Assist | PeerPurpose::Keep => (Role::Assisted, Role::Assisting),
    }
}

fn prologue<'a>(site: &Site, purpose: PeerPurpose, slots: (Slot, Slot), version: u16, binding: &'a [u8]) -> PeerPrologue<'a> {
    let cluster = &site.common.cluster;
    let (from, to) = slots;
    PeerPrologue { cluster_id: cluster.id, epoch: cluster.epoch, version, purpose, from, to, transport_binding: binding }
}

/// The dialling side.
pub async fn dial(own: Own<'_>, pipe: &mut Pipe, purpose: PeerPurpose, expected: Option<Expected>) -> Result<Opened, Fault> {
    let mut opened = handshake(own, pipe, purpose, expected).await?;
    if purpose == PeerPurpose::Member {
        introduce(own, &mut opened, pipe).await?;
    }
    Ok(opened)
}

/// Handshake and evidence, up to the first word of the other side.
pub async fn handshake(own: Own<'_>, pipe: &mut Pipe, purpose: PeerPurpose, expected: Option<Expected>) -> Result<Opened, Fault> {
    let site = own.site;
    let hello = PeerHello {
        versions: List::new(version::SUPPORTED.to_vec()).expect("at most 8 versions"),
        cluster_id: site.common.cluster.id,
        epoch: site.common.cluster.epoch,
        purpose,
        from: site.slot(),
    };
    pipe.write(hello.encode());
    let frame = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    let ready =
        PeerReady::decode(&frame).map_err(|_| Refusal::decode(&frame).map_or(Fault::Malformed, |refusal| Fault::Refused(refusal.code)))?;
    let binding = pipe.binding;
    let prologue = prologue(site, purpose, (site.slot(), ready.slot), ready.version, &binding);
    let (noise, msg1) = PeerDial::start(own.secrets, &prologue, &mut site.dice.clone()).map_err(|_| Fault::Malformed)?;
    pipe.write(msg1);
    let msg2 = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    let (msg3, mut session) = noise.finish(&msg2).map_err(|_| Fault::Malformed)?;
    pipe.write(msg3);
    let (own_role, other_role) = roles(purpose);
    let nonce = site.nonce();
    let floor = site.common.watch.policy_of(own.incarnation);
    ask(own, &mut session, pipe, nonce)?;
    let evidence = open_evidence(&mut session, pipe).await?;
    let asked = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    let asked = session.open_attest_req(&asked).map_err(|_| Fault::Malformed)?;
    let peer = judged(site, &session, &evidence, &nonce, other_role).and_then(|peer| dialled(&peer, ready.slot, expected).map(|()| peer));
    let peer = match peer {
        Ok(peer) => peer,
        Err(fault) => return Err(refused(session, pipe, fault)),
    };
    site.common.watch.opened(own.incarnation, floor, peer.policy().version.0);
    if purpose != PeerPurpose::Member || expected.is_some() {
        site.learn(peer.steps());
    }
    attest(own, &mut session, pipe, own_role, &asked)?;
    opened(session, peer, evidence)
}

/// Waits for the first word of the other side, and shows what it is asked for meanwhile, as `node/src/peers/introduction.rs`.
async fn introduce(own: Own<'_>, opened: &mut Opened, pipe: &mut Pipe) -> Result<(), Fault> {
    for _ in 0..=ADMISSION_ROUNDS {
        let word = receive(&mut opened.opener, pipe, STEP_MS).await.ok_or(Fault::NotMember)?;
        let after = match PeerReply::decode(&word).map_err(|_| Fault::Malformed)?.answer {
            Word::Done => return Ok(()),
            Word::Refused(refusal) => return Err(Fault::Refused(refusal.code)),
            Word::ShowAdmission(after) => after,
            Word::Out => return Err(told_out(own, opened, pipe).await.unwrap_or(Fault::NotMember)),
            _ => return Err(Fault::Malformed),
        };
        let proof = own.prover.map_or_else(AdmissionProof::none, |prover| prover.proof(after));
        tell(&mut opened.sealer, pipe, &proof.encode());
    }
    Err(Fault::Malformed)
}

/// The other side says that this node was retired: asks for its successor's admission, as `node/src/peers/introduction.rs`.
async fn told_out(own: Own<'_>, opened: &mut Opened, pipe: &mut Pipe) -> Option<Fault> {
    let prover = own.prover?;
    let mut after = prover.through();
    for _ in 0..ADMISSION_ROUNDS {
        tell(&mut opened.sealer, pipe, &PeerRpc { number: 0, call: PeerCall::ShowSuccessor(after) }.encode());
        let proof = AdmissionProof::decode(&receive(&mut opened.opener, pipe, STEP_MS).await?).ok()?;
        after = match prover.succession(own.site.slot(), &proof, after) {
            Succession::By(successor) => return Some(Fault::Succeeded(successor)),
            Succession::Unproven { after } => after,
            Succession::Refused(_) => return None,
        };
    }
    None
}

/// The answering side of that.
async fn tell_out(process: &Process, who: Incarnation, opened: &mut Opened, pipe: &mut Pipe) -> Option<()> {
    tell(&mut opened.sealer, pipe, &PeerReply { number: 0, answer: Word::Out }.encode());
    for _ in 0..ADMISSION_ROUNDS {
        let asked = PeerRpc::decode(&receive(&mut opened.opener, pipe, STEP_MS).await?).ok()?;
        let PeerCall::ShowSuccessor(after) = asked.call else { return None };
        let proof = process.replica.successor(who, after);
        tell(&mut opened.sealer, pipe, &proof.encode());
        if proof.links.len() < ADMISSION_LINKS {
            break;
        }
    }
    Some(())
}

/// The answering side of an introduction: asks until `who` is known, and says so; or says no.
pub async fn recognise(process: &Process, (who, noise): (Incarnation, &NoisePublic), opened: &mut Opened, pipe: &mut Pipe) -> bool {
    let mut seen = process.recognise(who, noise);
    for _ in 0..ADMISSION_ROUNDS {
        let Recognition::Unproven { after } = seen else { break };
        process.site.common.trace.note(format_args!("{} asks {who} for its admission after {after}", process.incarnation));
        tell(&mut opened.sealer, pipe, &PeerReply { number: 0, answer: Word::ShowAdmission(after) }.encode());
        let Some(shown) = receive(&mut opened.opener, pipe, STEP_MS).await else { return false };
        let Ok(proof) = AdmissionProof::decode(&shown) else { return false };
        seen = process.replica.prove(who, noise, &proof, after);
    }
    if seen == Recognition::Out {
        process.site.common.trace.note(format_args!("{} tells {who} that it is out", process.incarnation));
        // Whether it hears of it changes nothing here.
        let _ = tell_out(process, who, opened, pipe).await;
        return false;
    }
    let known = seen == Recognition::Member;
    if !known {
        process.site.common.trace.note(format_args!("{} does not take {who} for a member: {seen:?}", process.incarnation));
    }
    let answer = if known { Word::Done } else { Word::Refused(refusal(RefusalCode::NotMember, "refused")) };
    tell(&mut opened.sealer, pipe, &PeerReply { number: 0, answer }.encode());
    known
}

fn dialled(peer: &AppraisedPeer, said: Slot, expected: Option<Expected>) -> Result<(), Fault> {
    let slot = peer.boot_config().slot;
    let same = expected
        .is_none_or(|expected| peer.incarnation() == expected.incarnation && slot == expected.slot && peer.keys().noise == expected.noise);
    if slot == said && same { Ok(()) } else { Err(Fault::NotMember) }
}

/// A hello that was read and found answerable.
pub struct Greeted {
    hello: PeerHello,
    version: u16,
}

impl Greeted {
    /// What the other side wants.
    pub fn purpose(&self) -> PeerPurpose {
        self.hello.purpose
    }
}

/// The answering side's first step.
pub async fn greet(site: &Site, pipe: &mut Pipe) -> Result<Greeted, Fault> {
    let frame = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    let hello = PeerHello::decode(&frame).map_err(|_| Fault::Malformed)?;
    let cluster = &site.common.cluster;
    let version = version::pick(&hello.versions).ok_or(Fault::Malformed)?;
    if (hello.cluster_id, hello.epoch) != (cluster.id, cluster.epoch) {
        pipe.write(refusal(RefusalCode::OtherCluster, "another cluster").encode());
        return Err(Fault::NotMember);
    }
    Ok(Greeted { hello, version })
}

/// The answering side after the hello; `known` decides whether a member is one.
pub async fn answer(
    own: Own<'_>,
    pipe: &mut Pipe,
    greeted: Greeted,
    nonce: Nonce,
    known: impl FnOnce(&AppraisedPeer) -> bool,
) -> Result<Opened, Fault> {
    let (site, hello) = (own.site, greeted.hello);
    pipe.write(PeerReady { version: greeted.version, epoch: site.common.cluster.epoch, slot: site.slot() }.encode());
    let binding = pipe.binding;
    let prologue = prologue(site, hello.purpose, (hello.from, site.slot()), greeted.version, &binding);
    let msg1 = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    let (noise, msg2) = PeerAnswer::start(own.secrets, &prologue, &msg1, &mut site.dice.clone()).map_err(|_| Fault::Malformed)?;
    pipe.write(msg2);
    let msg3 = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    let mut session = noise.finish(&msg3).map_err(|_| Fault::Malformed)?;
    let (other_role, own_role) = roles(hello.purpose);
    let asked = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    let asked = session.open_attest_req(&asked).map_err(|_| Fault::Malformed)?;
    attest(own, &mut session, pipe, own_role, &asked)?;
    let floor = site.common.watch.policy_of(own.incarnation);
    ask(own, &mut session, pipe, nonce)?;
    let evidence = open_evidence(&mut session, pipe).await?;
    let judged = judged(site, &session, &evidence, &nonce, other_role).and_then(|peer| {
        let fits = peer.boot_config().slot == hello.from && (hello.purpose == PeerPurpose::Join || known(&peer));
        if fits { Ok(peer) } else { Err(Fault::NotMember) }
    });
    match judged {
        Ok(peer) => {
            site.common.watch.opened(own.incarnation, floor, peer.policy().version.0);
            opened(session, peer, evidence)
        }
        Err(fault) => Err(refused(session, pipe, fault)),
    }
}

fn ask(own: Own<'_>, session: &mut Session<Unverified>, pipe: &Pipe, nonce: Nonce) -> Result<(), Fault> {
    let min_policy_version = own.site.common.cluster.policy.version;
    let request = AttestReq { nonce, mode: AttestMode::Single, min_policy_version, known_policy: own.site.held() };
    pipe.write(session.seal_attest_req(&request).map_err(|_| Fault::Malformed)?);
    Ok(())
}

fn attest(own: Own<'_>, session: &mut Session<Unverified>, pipe: &Pipe, role: Role, asked: &AttestReq) -> Result<(), Fault> {
    let handshake = *session.handshake();
    let claim = Claim { role, incarnation: own.incarnation, keys: own.secrets.public(), handshake: &handshake, nonce: &asked.nonce };
    let mut answer = own.site.collect(&claim);
    own.site.common.keep_seen(&answer);
    answer.steps = after(&answer.policy, &answer.steps, asked.known_policy.as_ref());
    pipe.write(session.seal_attest_resp(&answer).map_err(|_| Fault::Malformed)?);
    Ok(())
}

async fn open_evidence(session: &mut Session<Unverified>, pipe: &mut Pipe) -> Result<AttestResp, Fault> {
    let frame = pipe.read(STEP_MS).await.ok_or(Fault::Lost)?;
    session.open_attest_resp(&frame).map_err(|fault| match fault {
        ringwall_channel::ChannelError::Refused(refusal) => Fault::Refused(refusal.code),
        _ => Fault::Malformed,
    })
}

fn judged(site: &Site, session: &Session<Unverified>, evidence: &AttestResp, nonce: &Nonce, role: Role) -> Result<AppraisedPeer, Fault> {
    let noise = session.remote_noise().ok_or(Fault::Malformed)?;
    let wanted = Wanted { role, handshake: session.handshake(), nonce, noise };
    site.judge(evidence, &wanted).map_err(|fault| Fault::Evidence(fault.to_string()))
}

fn refused(session: Session<Unverified>, pipe: &Pipe, fault: Fault) -> Fault {
    let code = if matches!(fault, Fault::Evidence(_)) { RefusalCode::EvidenceRefused } else { RefusalCode::NotMember };
    if let Ok(sealed) = session.seal_refusal(&refusal(code, "refused")) {
        pipe.write(sealed);
    }
    fault
}

fn opened(session: Session<Unverified>, peer: AppraisedPeer, evidence: AttestResp) -> Result<Opened, Fault> {
    let mut session = session.establish(peer).map_err(|_| Fault::NotMember)?;
    let (sealer, opener) = session.split(0, PEER_MESSAGE_BYTES).map_err(|_| Fault::Malformed)?;
    Ok(Opened { session, sealer, opener, evidence })
}

/// The next message of stream 0, after the handshake.
pub async fn receive(opener: &mut Opener, pipe: &mut Pipe, ms: u64) -> Option<Vec<u8>> {
    loop {
        if let Some(message) = opener.next().ok()? {
            return Some(message);
        }
        let bytes = pipe.read(ms).await?;
        opener.push(&bytes).ok()?;
    }
}

/// Sends a message on stream 0, after the handshake.
pub fn tell(sealer: &mut Sealer, pipe: &Pipe, message: &[u8]) {
    let mut out = Vec::new();
    if sealer.seal(message, &mut out).is_ok() {
        pipe.write(out);
    }
}
