//! One client connection, from its first byte to its last.
//!
//! Decides: descriptor, handshake, evidence, user, then requests, each step bounded in time and size; nothing of a user is read before the
//! handshake and nothing is answered before the user's signature was verified. Whatever is not legal here ends the session with
//! a refusal, never with a panic.
//! Trusts: nothing the client says. Out of scope: what requests do (`requests.rs`). Protocol section 3.

use crate::clock;
use crate::front::Front;
use crate::front::custodians::{self, Custodian};
use crate::front::limits::{LAST_WORD, LEAVING, OPENING, REQUEST_STALL, STEP};
use crate::front::outbox::{Charge, Outbox};
use crate::front::receipts::{Ask, Told};
use crate::front::refusals::{behind, device_revoked, fenced, leaving, malformed, refusal};
use crate::front::requests::Desk;
use crate::front::users::{admit_user, read_word};
use crate::front::workloads::{self, Visit};
use crate::front::{sender, status};
use crate::web::caller::{Caller, Receiving, Sending};
use ringwall_channel::user::{UserBinding, VerifiedUser};
use ringwall_channel::{ChannelError, ClientPrologue, Opener, Sealer, Serving, Session, Unverified, answer_client};
use ringwall_quic::{CloseCode, FrameError, FrameReader, FrameWriter, Sink, Source as _};
use ringwall_wire::bounded::List;
use ringwall_wire::codec::{DecodeError, Message as _};
use ringwall_wire::custodian::CustodianAuth;
use ringwall_wire::ids::{CustodianId, Digest, Nonce};
use ringwall_wire::limits::{HANDSHAKE_MESSAGE_BYTES, POLICY_PAGES, REQUEST_BYTES};
use ringwall_wire::receipt::KnownPoint;
use ringwall_wire::request::{Answer, Op, Request};
use ringwall_wire::secret::wash_stack;
use ringwall_wire::session::{AttestReq, GetDescriptor, Refusal, RefusalCode, UserReady};
use ringwall_wire::workload::WorkloadHello;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// Bytes a stranger's sealed message may take: a handshake message with its framing and padding.
const STRANGER_BYTES: usize = 2 * HANDSHAKE_MESSAGE_BYTES;
/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// How often a session's device is looked up on its user's record.
const DEVICE_LOOK: Duration = Duration::from_millis(500);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The client left, between two messages.
    #[error("the client left")]
    Left,
    /// A frame did not come, or did not go.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The session's cryptography or framing was broken.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// A message has no legal meaning here.
    #[error("not a message that belongs here: {0}")]
    Decode(#[from] DecodeError),
    /// It asks for page after page of policy changes.
    #[error("the client asked for more pages of policy changes than any row has")]
    TooManyPages,
    /// A step took too long.
    #[error("the client took too long")]
    TooSlow,
    /// We refused, and said why.
    #[error("refused ({code:?})")]
    Refused {
        /// Why.
        code: RefusalCode,
    },
}

impl Ended {
    fn close_code(&self) -> CloseCode {
        match self {
            Ended::Left => CloseCode::Done,
            Ended::Frame(FrameError::TooSlow { .. }) | Ended::TooSlow => CloseCode::TooSlow,
            Ended::Frame(FrameError::TooLong { .. } | FrameError::Illegal { .. })
            | Ended::Channel(_)
            | Ended::Decode(_)
            | Ended::TooManyPages => CloseCode::Malformed,
            Ended::Frame(_) => CloseCode::Done,
            Ended::Refused { code: RefusalCode::ShuttingDown } => CloseCode::ShuttingDown,
            Ended::Refused { code: RefusalCode::Busy } => CloseCode::Busy,
            Ended::Refused { code: RefusalCode::Malformed } => CloseCode::Malformed,
            Ended::Refused { .. } => CloseCode::Refused,
        }
    }
}

/// A session whose user was verified.
struct Opened {
    user: VerifiedUser,
    told: Told,
    sealer: Sealer,
    opener: Opener,
    send: Sending,
    recv: Receiving,
}

/// Whose session it became: a user's, a custodian's, or one about workload keys.
enum Party {
    User(Box<Opened>),
    Custodian(Box<Custodian>),
    Workload(Box<Visit>),
}

/// Serves one connection until it is over, and closes it.
pub(crate) async fn serve(front: Arc<Front>, mut caller: Caller) {
    let (Ok(_place), Ok(half_open)) = (front.sessions.clone().try_acquire_owned(), front.half_open.clone().try_acquire_owned()) else {
        return caller.close(CloseCode::Busy).await;
    };
    // From here on: another policy ends a session whose evidence was asked for before it.
    let renewals = front.lasting.renewals();
    let ended = match timeout(OPENING, open(&front, &mut caller)).await {
        Ok(Ok(party)) => {
            drop(half_open);
            // A visit about workload keys keeps a stranger's window and streams: one of each is all it needs.
            if !matches!(party, Party::Workload(_)) {
                caller.admit();
            }
            match party {
                Party::User(opened) => converse(&front, *opened, renewals).await,
                Party::Custodian(opened) => until_renewed(renewals, custodians::converse(&front, *opened)).await,
                Party::Workload(visit) => until_renewed(renewals, workloads::serve(&front, *visit)).await,
            }
        }
        Ok(Err(ended)) => ended,
        Err(_) => Ended::TooSlow,
    };
    tracing::debug!(%ended, "a client session ended");
    caller.close(ended.close_code()).await;
}

/// A session whose other side asks again, on one that attested anew, what was not answered here.
async fn until_renewed(mut renewals: Receiver<u64>, session: impl Future<Output = Ended>) -> Ended {
    tokio::select! {
        biased;
        // First: a session that always has something to do does not outlive the change.
        _ = renewals.changed() => Ended::Refused { code: RefusalCode::Unavailable },
        ended = session => ended,
    }
}

/// Everything before the first request.
async fn open(front: &Front, caller: &mut Caller) -> Result<Party, Ended> {
    let (send, recv) = timeout(STEP, caller.streams()).await.map_err(|_| Ended::TooSlow)??;
    let (mut reader, mut writer) = (FrameReader::new(recv), FrameWriter::new(send));
    let ask = reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await?;
    let version = match GetDescriptor::decode(&ask) {
        Ok(ask) => ringwall_wire::version::pick(&ask.versions)
            .ok_or_else(|| refusal(RefusalCode::UnsupportedVersion, "no protocol version in common; update the client or the node")),
        Err(_) => Err(malformed()),
    };
    let version = match version {
        Ok(version) => version,
        Err(refusal) => return Err(refuse_plain(writer, refusal).await),
    };
    if *front.leaving.borrow() {
        return Err(refuse_plain(writer, leaving()).await);
    }
    writer.write(&front.descriptor(version).encode(), STEP).await?;
    let msg1 = reader.read(HANDSHAKE_MESSAGE_BYTES, STEP).await?;
    let binding = caller.binding();
    let prologue = ClientPrologue { cluster_id: front.cluster_id, epoch: front.epoch, version, transport_binding: &binding };
    let answered = answer_client(&front.secrets, &prologue, &msg1, &mut *(front.entropy)());
    let (msg2, session) = match answered {
        Ok(answered) => answered,
        Err(fault) => {
            tracing::debug!(%fault, "a client's handshake was refused");
            return Err(refuse_plain(writer, malformed()).await);
        }
    };
    writer.write(&msg2, STEP).await?;
    let (nonce, session) = attest(front, session, &mut reader, &mut writer).await?;
    authenticate(front, session, nonce, reader.into_stream(), writer.into_stream()).await
}

/// Answers the client's question who we are, with evidence.
async fn attest(
    front: &Front,
    mut session: Session<Unverified>,
    reader: &mut FrameReader<Receiving>,
    writer: &mut FrameWriter<Sending>,
) -> Result<(Nonce, Session<Serving>), Ended> {
    let asked = match asked(front, &mut session, reader, writer).await {
        Err(Ended::Channel(ChannelError::Decode(_) | ChannelError::NotOneMessage) | Ended::TooManyPages) => {
            return Err(refuse_sealed(session, writer, malformed()).await);
        }
        asked => asked?,
    };
    let mut bound = front.quotes.ask(*session.handshake(), asked.nonce, asked.mode).await;
    if bound.as_ref().is_ok_and(|bound| !front.quotes.is_current(bound)) {
        // Another policy came into force while the quote was made.
        bound = front.quotes.ask(*session.handshake(), asked.nonce, asked.mode).await;
    }
    match bound.and_then(|bound| front.attest_resp(bound, asked.known_policy.as_ref())) {
        Ok(answer) => {
            writer.write(&session.seal_attest_resp(&answer)?, STEP).await?;
            Ok((asked.nonce, session.serve()?))
        }
        Err(refusal) => Err(refuse_sealed(session, writer, refusal).await),
    }
}

/// Reads the client's question. One that is behind by more changes of the policy than an answer carries is shown them page by page, before a quote is made.
async fn asked(
    front: &Front,
    session: &mut Session<Unverified>,
    reader: &mut FrameReader<Receiving>,
    writer: &mut FrameWriter<Sending>,
) -> Result<AttestReq, Ended> {
    for _ in 0..=POLICY_PAGES {
        let asked = session.open_attest_req(&reader.read(STRANGER_BYTES, STEP).await?)?;
        let Some(page) = front.policies.now().page(asked.known_policy.as_ref(), &front.genesis) else { return Ok(asked) };
        writer.write(&session.seal_policy_page(&page)?, STEP).await?;
    }
    Err(Ended::TooManyPages)
}

/// Who gave a word that holds.
enum Admitted {
    User(VerifiedUser, Told),
    Custodian(CustodianId),
}

/// Waits for the user's or the custodian's word and answers it.
async fn authenticate(
    front: &Front,
    mut session: Session<Serving>,
    nonce: Nonce,
    mut recv: Receiving,
    mut send: Sending,
) -> Result<Party, Ended> {
    let handshake: Digest = *session.handshake();
    let (mut sealer, mut opener) = session.split(0, REQUEST_BYTES)?;
    let message = first_message(&mut opener, &mut recv).await?;
    if let Ok(hello) = WorkloadHello::decode(&message) {
        return Ok(Party::Workload(Box::new(Visit { hello, handshake, sealer, opener, send, recv })));
    }
    let binding = UserBinding { handshake: &handshake, nonce: &nonce, incarnation: front.incarnation };
    let admitted = match CustodianAuth::decode(&message) {
        Ok(auth) => custodians::admit(front, &auth, &binding).map(|(who, ready)| (Admitted::Custodian(who), ready.encode())),
        Err(_) => match admit(front, &message, &binding).await {
            Ok((user, known)) => {
                let welcomed = welcome(front, user, nonce, known).await;
                welcomed.map(|(user, told, ready)| (Admitted::User(user, told), ready.encode()))
            }
            Err(refusal) => Err(refusal),
        },
    };
    let (admitted, answer) = match admitted {
        Ok((admitted, answer)) => (Ok(admitted), answer),
        Err(refusal) => (Err(refusal.code), refusal.encode()),
    };
    let mut sealed = Vec::new();
    sealer.seal(&answer, &mut sealed)?;
    timeout(STEP, send.put(&sealed)).await.map_err(|_| Ended::TooSlow)?.map_err(|_| Ended::Left)?;
    match admitted {
        Ok(Admitted::User(user, told)) => Ok(Party::User(Box::new(Opened { user, told, sealer, opener, send, recv }))),
        Ok(Admitted::Custodian(who)) => Ok(Party::Custodian(Box::new(Custodian { who, handshake, sealer, opener, send, recv }))),
        Err(code) => {
            last_word(send).await;
            Err(Ended::Refused { code })
        }
    }
}

/// Whether the first message makes the session a user's; with it comes what the client has seen of the log.
async fn admit(front: &Front, message: &[u8], binding: &UserBinding<'_>) -> Result<(VerifiedUser, Option<KnownPoint>), Refusal> {
    let (auth, claimed) = read_word(message, binding)?;
    let user = admit_user(front, &auth, claimed, binding).await?;
    Ok((user, auth.known))
}

/// What a user is told first. A client that has seen more than this member waits for a quorum's word: either this member catches up, or the
/// receipt says to the client that what it has seen is gone.
async fn welcome(
    front: &Front,
    user: VerifiedUser,
    nonce: Nonce,
    known: Option<KnownPoint>,
) -> Result<(VerifiedUser, Told, UserReady), Refusal> {
    let ahead = |known: &KnownPoint| known.epoch <= front.epoch && known.size > front.replica.applied().saturating_add(1);
    if known.as_ref().is_some_and(ahead) {
        front.reads.barrier().await.map_err(|refusal| match refusal.code {
            RefusalCode::Unavailable => behind(),
            _ => refusal,
        })?;
    }
    let mut told = Told::nothing(&user, nonce, known, front.epoch);
    let receipt = front.receipts.issue(&mut told, Ask { index: 0, covers: 0, spaces: Vec::new() }).await?;
    let view = front.replica.view().map_err(|_| fenced())?;
    // A client of an earlier epoch is told how those since then began.
    let epochs = known.map_or_else(Vec::new, |known| view.epochs_after(known.epoch));
    let epochs = List::new(epochs).expect("the record keeps no more epochs than a client is told");
    let recovered = front.published.told(&view).map_err(|_| fenced())?;
    let members = status::member_hints(&front.replica.metrics());
    Ok((user, told, UserReady { revision: view.revision(), members, receipt, epochs, recovered }))
}

/// The first message of stream 0 after attestation; small, since nobody is known yet.
async fn first_message(opener: &mut Opener, recv: &mut Receiving) -> Result<Vec<u8>, Ended> {
    let by = clock::now() + STEP;
    let mut received = 0usize;
    loop {
        if let Some(message) = opener.next()? {
            return Ok(message);
        }
        if received >= STRANGER_BYTES {
            return Err(Ended::Refused { code: RefusalCode::TooLarge });
        }
        let most = STRANGER_BYTES.saturating_sub(received);
        let chunk = tokio::time::timeout_at(by, recv.chunk(most)).await.map_err(|_| Ended::TooSlow)??;
        let chunk = chunk.ok_or(Ended::Left)?;
        received = received.saturating_add(chunk.len());
        opener.push(&chunk)?;
    }
}

/// Requests and replies until one side ends it.
async fn converse(front: &Arc<Front>, opened: Opened, renewals: Receiver<u64>) -> Ended {
    let Opened { user, told, sealer, mut opener, send, mut recv } = opened;
    let outbox = Arc::new(Outbox::default());
    let sending = tokio::spawn(sender::run(outbox.clone(), sealer, send, front.receipts.clone(), told));
    let mut desk = Desk::new(front.clone(), outbox.clone(), user);
    let cut = sending.abort_handle();
    let ended = tokio::select! {
        ended = listen(front, &mut desk, (&mut opener, &mut recv), renewals) => ended,
        () = until_finished(&cut) => Ended::TooSlow,
    };
    let last = match &ended {
        Ended::Refused { code: RefusalCode::ShuttingDown } => Some(leaving()),
        Ended::Refused { code: RefusalCode::Unavailable } => Some(too_old()),
        Ended::Refused { code: RefusalCode::DeviceRevoked } => Some(device_revoked()),
        Ended::Channel(_) | Ended::Decode(_) | Ended::TooSlow => Some(malformed()),
        Ended::Refused { .. } | Ended::Left | Ended::Frame(_) | Ended::TooManyPages => None,
    };
    desk.close();
    if matches!(ended, Ended::Refused { .. } | Ended::Left) {
        settle(&outbox, LEAVING).await;
    }
    outbox.finish(last.map(Answer::Refused));
    if timeout(LEAVING, sending).await.is_err() {
        cut.abort();
    }
    ended
}

/// Returns when the sending half has ended before its time: the client does not read, or is gone.
async fn until_finished(sending: &tokio::task::AbortHandle) {
    while !sending.is_finished() {
        sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until every request was answered and sent, at most `within`.
async fn settle(outbox: &Outbox, within: Duration) {
    let by = clock::now() + within;
    while !outbox.is_idle() && clock::now() < by {
        sleep(Duration::from_millis(5)).await;
    }
}

async fn listen(front: &Front, desk: &mut Desk, (opener, recv): (&mut Opener, &mut Receiving), mut renewals: Receiver<u64>) -> Ended {
    let mut leaving = front.leaving.subscribe();
    let mut tick = interval(DEVICE_LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reattest_by = clock::now() + front.lasting.limit();
    let mut begun: Option<Instant> = None;
    let mut look_at = clock::now();
    loop {
        // Here and not in the tick alone: a client that never lets the stream run dry keeps the tick from its turn.
        if let Some(ended) = overdue(begun, reattest_by) {
            return ended;
        }
        if renewals.has_changed().unwrap_or(true) {
            return Ended::Refused { code: RefusalCode::Unavailable };
        }
        if clock::now() >= look_at {
            look_at = clock::now() + DEVICE_LOOK;
            if desk.is_revoked() {
                return Ended::Refused { code: RefusalCode::DeviceRevoked };
            }
            // A member that is fenced ends its sessions anyway.
            let _ = desk.forget_erased();
        }
        loop {
            // Where it lies: a request may hold the user's part of a key, and a value, and a copy would have to be wiped.
            match opener.look(|message| (message.len(), Request::decode(message))) {
                Ok(Some((bytes, request))) => {
                    begun = None;
                    if let Err(ended) = handle(desk, bytes, request).await {
                        return ended;
                    }
                }
                Ok(None) => break,
                Err(fault) => return fault.into(),
            }
        }
        desk.submit();
        begun = (!opener.is_idle()).then(|| begun.unwrap_or_else(clock::now));
        tokio::select! {
            biased;
            chunk = recv.chunk(READ_BYTES) => match chunk {
                Ok(Some(chunk)) => if let Err(fault) = opener.push(&chunk) { return fault.into() },
                Ok(None) if opener.is_idle() => return Ended::Left,
                Ok(None) => return ChannelError::Truncated.into(),
                Err(fault) => return fault.into(),
            },
            // Wakes the loop, which looks at the time.
            _ = tick.tick() => {}
            _ = renewals.changed() => return Ended::Refused { code: RefusalCode::Unavailable },
            // Told once when the node begins to leave, or when the front door is gone.
            _ = leaving.wait_for(|leaving| *leaving) => return Ended::Refused { code: RefusalCode::ShuttingDown },
        }
    }
}

/// Whether the time of a request or of the whole session is up.
fn overdue(begun: Option<Instant>, reattest_by: Instant) -> Option<Ended> {
    if begun.is_some_and(|begun| begun.elapsed() > REQUEST_STALL) {
        return Some(Ended::TooSlow);
    }
    (clock::now() >= reattest_by).then_some(Ended::Refused { code: RefusalCode::Unavailable })
}

async fn handle(desk: &mut Desk, bytes: usize, request: Result<Request, DecodeError>) -> Result<(), Ended> {
    let request = request?;
    if matches!(request.op, Op::Unlock(_)) {
        // The part itself stands in its own place; decoding left a copy on the way there.
        wash_stack();
    }
    let charge = Charge::request(bytes.saturating_mul(2).saturating_add(512));
    if !desk.outbox().admit(charge) {
        // What was staged may be what the session waits for.
        desk.submit();
        if !desk.outbox().admitted(charge).await {
            return Err(Ended::Left);
        }
    }
    desk.take(request, charge).await;
    Ok(())
}

/// Refuses in the clear, before there is a session.
pub(crate) async fn refuse_plain(mut writer: FrameWriter<Sending>, refusal: Refusal) -> Ended {
    let code = refusal.code;
    if writer.write(&refusal.encode(), LAST_WORD).await.is_ok() {
        writer.finish(LAST_WORD).await;
    }
    Ended::Refused { code }
}

/// Refuses inside the session, before it is open.
async fn refuse_sealed(session: Session<Unverified>, writer: &mut FrameWriter<Sending>, refusal: Refusal) -> Ended {
    let code = refusal.code;
    if let Ok(sealed) = session.seal_refusal(&refusal)
        && writer.write(&sealed, LAST_WORD).await.is_ok()
    {
        // Time for the words to arrive before the connection is closed over them.
        sleep(LAST_WORD).await;
    }
    Ended::Refused { code }
}

async fn last_word(mut send: Sending) {
    // Whether it arrived changes nothing for us.
    let _ = timeout(LAST_WORD, send.end()).await;
}

fn too_old() -> Refusal {
    refusal(RefusalCode::Unavailable, "the session is as old as this node lets it be; open a new one, which attests again")
}

#[cfg(test)]
pub(crate) mod house;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod renewal_tests {
    use super::*;

    #[tokio::test]
    async fn a_session_that_always_has_something_to_do_does_not_outlive_the_change() {
        let (tell, renewals) = tokio::sync::watch::channel(0);
        assert!(matches!(until_renewed(renewals.clone(), std::future::ready(Ended::Left)).await, Ended::Left));
        tell.send_replace(1);
        let ended = until_renewed(renewals, std::future::ready(Ended::Left)).await;
        assert!(matches!(ended, Ended::Refused { code: RefusalCode::Unavailable }), "{ended}");
    }
}
