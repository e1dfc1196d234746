//! Serving the key broker protocol: connections, and which request is answered how.
//!
//! Decides: how many connections there are and how long each step may take; the three endpoints; statuses and error bodies as the protocol has them
//! (401 without a session and where the node cannot answer, 403 where the policy refuses, 404 where there is no key). A refusal's detail begins with the
//! same code as everywhere. Trusts: `front/grants.rs` for every decision about keys. Out of scope: administering over HTTP (401: nobody may). Decision 0032.

use super::http::{Bad, Method, Reader, Request, Response};
use super::identity::Identity;
use super::protocol::{self, Attestation};
use super::sessions::{self, Sessions};
use super::settings::Settings;
use super::{evidence, jwe};
use crate::entropy;
use crate::front::Front;
use crate::front::grants::Verdict;
use ringwall_wire::bounded::Text;
use ringwall_wire::session::Refusal;
use ringwall_wire::workload::{GrantFault, is_name};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// Connections at once.
const CONNECTIONS: usize = 512;
/// Longest time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Longest time for a request to arrive, and for an answer to leave.
const STEP: Duration = Duration::from_secs(15);
/// Requests of one connection.
const REQUESTS: u32 = 1_024;

const PREFIX: &str = "/kbs/v0/";
/// Every body of this protocol.
const JSON: &str = "application/json";

struct Desk {
    front: Arc<Front>,
    sessions: Sessions,
    settings: Settings,
}

/// Serves until it is aborted.
pub(crate) async fn run(front: Arc<Front>, settings: Settings, identity: Arc<Identity>) {
    let listener = match TcpListener::bind(settings.listen).await {
        Ok(listener) => listener,
        Err(fault) => {
            return tracing::error!(listen = %settings.listen, %fault, "the key broker protocol cannot be offered: the address is taken");
        }
    };
    let tls = match identity.tls() {
        Ok(tls) => TlsAcceptor::from(tls),
        Err(fault) => return tracing::error!(%fault, "the key broker protocol cannot be offered: TLS refuses the certificate"),
    };
    tracing::info!(listen = %settings.listen, "the key broker protocol is offered");
    let issuer = settings.names.first().map_or_else(String::new, |name| format!("https://{name}"));
    let sessions = Sessions::new(issuer, &mut *(front.entropy)());
    let desk = Arc::new(Desk { front, sessions, settings });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (desk, tls) = (desk.clone(), tls.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Err(bad) = connection(&desk, tls, stream).await {
                tracing::debug!(%bad, "a connection of the key broker protocol ended");
            }
        });
    }
}

async fn connection(desk: &Desk, tls: TlsAcceptor, stream: TcpStream) -> Result<(), Bad> {
    let accepted = timeout(HANDSHAKE, tls.accept(stream)).await;
    let mut stream = accepted.map_err(|_| Bad::Broken)?.map_err(|_| Bad::Broken)?;
    let mut reader = Reader::new();
    for served in 1..=REQUESTS {
        let read = timeout(STEP, reader.next(&mut stream)).await.map_err(|_| Bad::Broken)?;
        let (answer, keep_alive) = match read {
            Ok(request) => {
                let keep_alive = request.keep_alive && served < REQUESTS;
                (answer(desk, request).await, keep_alive)
            }
            Err(bad @ Bad::Malformed(_)) => (failed(400, "SerdeError", &bad.to_string()), false),
            Err(bad @ Bad::TooLarge) => (failed(413, "SerdeError", &bad.to_string()), false),
            Err(bad) => return Err(bad),
        };
        timeout(STEP, answer.send(&mut stream, keep_alive)).await.map_err(|_| Bad::Broken)??;
        if !keep_alive {
            use tokio::io::AsyncWriteExt as _;
            // Whether the goodbye is heard changes nothing.
            let _ = timeout(STEP, stream.shutdown()).await;
            return Ok(());
        }
    }
    Ok(())
}

fn ok(session: Option<String>, body: impl Into<Zeroizing<Vec<u8>>>) -> Response {
    Response { status: 200, kind: JSON, session, body: body.into() }
}

fn failed(status: u16, kind: &str, detail: &str) -> Response {
    Response { status, kind: JSON, session: None, body: protocol::error(kind, detail).into() }
}

/// The node cannot answer; the protocol has no status of its own for that, and 401 lets a guest attest again, perhaps elsewhere.
fn refused(kind: &str, refusal: &Refusal) -> Response {
    failed(401, kind, &refusal.detail)
}

async fn answer(desk: &Desk, request: Request) -> Response {
    let Some(path) = request.path.strip_prefix(PREFIX) else {
        return failed(404, "InvalidRequestPath", "the path is none of the key broker protocol");
    };
    match (request.method, path.split('/').collect::<Vec<_>>().as_slice()) {
        (Method::Post, ["auth"]) => auth(desk, &request),
        (Method::Post, ["attest"]) => attest(desk, request).await,
        (Method::Get, ["resource", parts @ ..]) => resource(desk, &request, parts).await,
        (Method::Post, ["resource", ..] | ["attestation-policy" | "resource-policy"]) => {
            failed(401, "AdminAuth", "nobody administers keys over HTTP: governors sign orders about them")
        }
        (_, ["auth" | "attest" | "resource", ..]) => failed(404, "InvalidRequestPath", "this path does not take that method"),
        _ => failed(404, "PluginNotFound", "the path is none of the key broker protocol"),
    }
}

/// Request to challenge.
fn auth(desk: &Desk, request: &Request) -> Response {
    let vendor = match protocol::Request::read(&request.body) {
        Ok(vendor) => vendor,
        Err(fault) => return failed(401, "AttestationError", &fault.to_string()),
    };
    let nonce = entropy::nonce(&desk.front.entropy);
    match desk.sessions.open(vendor, nonce, desk.front.now_s(), &mut *(desk.front.entropy)()) {
        Some(cookie) => ok(Some(cookie), protocol::challenge(&nonce)),
        None => failed(401, "AttestationError", "too many guests are attested at once; try again later or ask another node"),
    }
}

/// Attestation to token.
async fn attest(desk: &Desk, request: Request) -> Response {
    let now_s = desk.front.now_s();
    let cookie = request.cookie.unwrap_or_default();
    if let Some(token) = desk.sessions.token_of(&cookie, now_s) {
        return ok(Some(cookie), protocol::token(&token));
    }
    let Some(challenged) = desk.sessions.challenged(&cookie, now_s) else {
        return failed(401, "AttestationError", "there is no such session, or it ended; begin with a request");
    };
    let read = Attestation::read(&request.body, &challenged.nonce);
    let Attestation { key, evidence, report_data } = match read {
        Ok(read) => read,
        Err(fault) => return failed(401, "AttestationError", &fault.to_string()),
    };
    // It looks into a folder.
    let (vendor, folder) = (challenged.vendor, desk.settings.endorsements.clone());
    let reading = tokio::task::spawn_blocking(move || evidence::read(vendor, &evidence, folder.as_ref()));
    let (evidence, endorsements) = match reading.await {
        Ok(Ok(shown)) => shown,
        Ok(Err(fault)) => return failed(401, "AttestationError", &fault.to_string()),
        Err(_) => return failed(401, "AttestationError", "the evidence could not be read; try again or ask another node"),
    };
    let guest = match desk.front.guest(evidence, endorsements, report_data).await {
        Ok(guest) => guest,
        Err(refusal) => return refused("AttestationError", &refusal),
    };
    if let Some(words) = guest.not_genuine() {
        // No key was named yet, so the entry has none.
        let session = sessions::name_of(&cookie, &challenged.nonce);
        let told = desk.front.grant(Some(&guest), (&session, 0), &Text::default(), None).await;
        return match told {
            Ok(_) => failed(401, "AttestationError", &format!("{}: {words}", GrantFault::NotGenuine.code())),
            Err(refusal) => refused("AttestationError", &refusal),
        };
    }
    let subject = guest.subject();
    match desk.sessions.attest(&cookie, guest, key, subject, now_s) {
        Some(token) => ok(Some(cookie), protocol::token(&token)),
        None => failed(401, "AttestationError", "the session ended while the evidence was verified; begin again"),
    }
}

/// A workload key as a resource.
async fn resource(desk: &Desk, request: &Request, parts: &[&str]) -> Response {
    let now_s = desk.front.now_s();
    let session = desk.sessions.attested(request.cookie.as_deref(), request.bearer.as_deref(), now_s);
    // Who asks by cookie is shown it again, who asks by token is not.
    let cookie = request.cookie.clone().filter(|cookie| desk.sessions.token_of(cookie, now_s).is_some());
    let Some(session) = session else {
        return failed(401, "TokenNotFound", "Attestation Token not found");
    };
    let name = match parts {
        [_, _, _] => Text::new(parts.join("/")).ok().filter(|name: &Text<_>| is_name(name)),
        _ => None,
    };
    let Some(name) = name else {
        return failed(404, "InvalidRequestPath", "a resource is repository/type/tag, in small letters, digits, '.', '_' and '-'");
    };
    let verdict = desk.front.grant(Some(&session.guest), (&session.name, session.number()), &name, None).await;
    match verdict {
        Ok(Verdict::Granted(granted)) => match jwe::seal(&granted.key, &session.key, &mut *(desk.front.entropy)()) {
            Ok(sealed) => ok(cookie, sealed),
            Err(fault) => failed(401, "JweError", &fault.to_string()),
        },
        Ok(Verdict::NotGranted(not)) => {
            let (status, kind) = if not.fault == GrantFault::NoKey { (404, "InvalidRequestPath") } else { (403, "PolicyDeny") };
            failed(status, kind, &format!("{}: {}", not.fault.code(), &*not.detail))
        }
        Err(refusal) => refused("PluginInternalError", &refusal),
    }
}
