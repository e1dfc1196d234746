//! Incoming connections: which are taken, and who serves them.
//!
//! Decides: how many connections there may be, in all and from one address (of IPv6: one /64), and for how many unknown nodes at once
//! this machine makes quotes; under load a stranger must first show that it owns its
//! address (QUIC retry); a handshake that takes too long ends. Clients go to the front door, whichever of the doors for pages they came through, nodes to the peers; a node that is no
//! member yet tells both so. Garbage datagrams never get this far: QUIC drops them.
//! Trusts: nothing. Out of scope: what is said (`front`, `peers`, `join`). Protocol section 3.

use crate::context::{Node, Site};
use crate::entropy;
use crate::front;
use crate::join::{endorse, leader};
use crate::peers::handshake::{self, Greeted, Own, Turn, refusal};
use crate::peers::serve;
use crate::recover::assist::{self, Assist};
use crate::recover::keeper;
use crate::web::caller::Caller;
use crate::web::certificates::Shown;
use crate::web::socket::Socket;
use crate::web::transport::{self, Page, PageFault};
use quinn::{Connection, Incoming};
use ringwall_quic::{Alpn, CloseCode, alpn, close, narrow};
use ringwall_wire::admission::{JoinReply, JoinRequest};
use ringwall_wire::session::{PeerPurpose, RefusalCode};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// Handshakes under way from which on strangers must show that they own their address.
const RETRY_FROM: usize = 64;
/// Join sessions at once: each may hold an attestation answer and a quote.
const JOINS: usize = 8;
/// Quotes under way for diallers that say they are members and are none this node knows: one that was admitted a moment ago finds a
/// place, and the quoting device stays free for members and clients.
const STRANGER_QUOTES: usize = 8;
/// Pause after the system gave no connection over TCP.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time a joiner has to read the answer.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Counts connections.
#[derive(Debug)]
struct Ledger {
    by_address: HashMap<IpAddr, usize>,
    connections: usize,
    handshakes: usize,
    joins: usize,
    strangers: Arc<Semaphore>,
}

impl Default for Ledger {
    fn default() -> Self {
        let strangers = Arc::new(Semaphore::new(STRANGER_QUOTES));
        Ledger { by_address: HashMap::new(), connections: 0, handshakes: 0, joins: 0, strangers }
    }
}

/// The address a connection counts for: of IPv6 the /64, since one customer has all of it; an IPv4 address in IPv6 clothes is one.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// A place for one connection, given back when dropped.
struct Place {
    ledger: Arc<Mutex<Ledger>>,
    address: IpAddr,
    in_handshake: bool,
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Place {
    fn take(ledger: &Arc<Mutex<Ledger>>, address: IpAddr, limits: &crate::config::Limits) -> Option<Place> {
        let address = counted(address);
        let mut counts = lock(ledger);
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.connections >= limits.connections || here >= limits.connections_per_address {
            return None;
        }
        counts.by_address.insert(address, here.saturating_add(1));
        counts.connections = counts.connections.saturating_add(1);
        counts.handshakes = counts.handshakes.saturating_add(1);
        Some(Place { ledger: Arc::clone(ledger), address, in_handshake: true })
    }

    fn handshake_done(&mut self) {
        if std::mem::take(&mut self.in_handshake) {
            let mut counts = lock(&self.ledger);
            counts.handshakes = counts.handshakes.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshake_done();
        let mut counts = lock(&self.ledger);
        counts.connections = counts.connections.saturating_sub(1);
        let here = counts.by_address.get(&self.address).copied().unwrap_or(0);
        match here <= 1 {
            true => counts.by_address.remove(&self.address),
            false => counts.by_address.insert(self.address, here - 1),
        };
    }
}

/// Takes connections until the node leaves. `member` holds the node once this is a member; a process that assists a recovery never is one.
pub(crate) async fn run(site: Arc<Site>, member: watch::Receiver<Option<Arc<Node>>>, assist: Option<Arc<Assist>>) {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut doors = JoinSet::new();
    if let Some(listener) = site.web.listener() {
        doors.spawn(sockets(Arc::clone(&site), member.clone(), listener, Arc::clone(&ledger)));
    }
    let mut leaving = site.leaving.subscribe();
    loop {
        let incoming = tokio::select! {
            incoming = site.endpoint.accept() => incoming,
            _ = leaving.wait_for(|leaving| *leaving) => return,
        };
        let Some(incoming) = incoming else { return };
        let address = incoming.remote_address().ip();
        let crowded = lock(&ledger).handshakes >= RETRY_FROM;
        if crowded && !incoming.remote_address_validated() && incoming.may_retry() {
            // A failed retry leaves the stranger to try again.
            let _ = incoming.retry();
            continue;
        }
        match Place::take(&ledger, address, &site.config.limits) {
            Some(place) => {
                tokio::spawn(take(Arc::clone(&site), (member.clone(), assist.clone()), incoming, place));
            }
            None => {
                debug!(%address, "connection refused: limit reached");
                incoming.refuse();
            }
        }
    }
}

type Served = (watch::Receiver<Option<Arc<Node>>>, Option<Arc<Assist>>);

async fn take(site: Arc<Site>, (member, assist): Served, incoming: Incoming, mut place: Place) {
    let shown = site.web.shown();
    let connecting = match &shown {
        Some(shown) => incoming.accept_with(Arc::clone(&shown.config)),
        None => incoming.accept(),
    };
    let Ok(connecting) = connecting else { return };
    let Ok(Ok(connection)) = tokio::time::timeout(site.step(), connecting).await else { return };
    let spoken = alpn(&connection);
    if let (Some(spoken), true) = (spoken, shown.is_some()) {
        narrow(&connection, spoken);
    }
    let caller = match (spoken, shown) {
        (Some(Alpn::Client), _) => Caller::Native(connection),
        (Some(Alpn::Web), Some(shown)) => match page(&site, connection, &shown).await {
            Ok(page) => Caller::Page(Box::new(page)),
            Err(fault) => return debug!(%fault, "a page was not let in"),
        },
        (Some(Alpn::Peer), _) => {
            place.handshake_done();
            let node = member.borrow().clone();
            return peer(site, (node, assist), connection, &place).await;
        }
        (Some(Alpn::Web), None) | (None, _) => return close(&connection, CloseCode::Malformed),
    };
    place.handshake_done();
    let node = member.borrow().clone();
    client(node, caller).await;
}

/// HTTP/3 counts as part of the handshake.
async fn page(site: &Site, connection: Connection, shown: &Shown) -> Result<Page, PageFault> {
    if *site.leaving.borrow() {
        transport::refuse(&connection, &PageFault::Left);
        return Err(PageFault::Left);
    }
    Page::open(connection, shown.now, site.step()).await
}

async fn client(node: Option<Arc<Node>>, caller: Caller) {
    match node {
        Some(node) => front::serve(node, caller).await,
        None => {
            let words = "this node is not a member yet; ask another one, or wait until it has joined";
            front::refuse(caller, RefusalCode::NotMember, words).await;
        }
    }
}

/// Takes connections over TCP for as long as those over QUIC are taken, in the same places and the same time. Their addresses are proven by TCP.
async fn sockets(site: Arc<Site>, member: watch::Receiver<Option<Arc<Node>>>, listener: TcpListener, ledger: Arc<Mutex<Ledger>>) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Out of descriptors, most likely: others end meanwhile.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(mut place) = Place::take(&ledger, from.ip(), &site.config.limits) else {
            debug!(address = %from.ip(), "connection refused: limit reached");
            continue;
        };
        let (site, member) = (Arc::clone(&site), member.clone());
        tokio::spawn(async move {
            let socket = match Socket::upgrade(stream, site.step()).await {
                Ok(socket) => socket,
                Err(fault) => return debug!(%fault, "a page was not let in"),
            };
            place.handshake_done();
            let node = member.borrow().clone();
            client(node, Caller::Socket(Box::new(socket))).await;
        });
    }
}

async fn peer(site: Arc<Site>, (node, assist): (Option<Arc<Node>>, Option<Arc<Assist>>), connection: Connection, place: &Place) {
    let greeted = match handshake::greet(&site, &connection).await {
        Ok(greeted) => greeted,
        Err(fault) => {
            warn!(address = %connection.remote_address(), %fault, "session of a node refused");
            return close(&connection, CloseCode::Refused);
        }
    };
    match (greeted.purpose(), &assist) {
        (PeerPurpose::Assist, Some(assist)) => return assist::serve(&site, assist, connection, greeted).await,
        (PeerPurpose::Keep, Some(assist)) => return keeper::serve(&site, assist, connection, greeted).await,
        _ => {}
    }
    let Some(node) = node else {
        return greeted.refuse(&connection, &refusal(RefusalCode::NotMember, "this node is not a member; ask another one")).await;
    };
    match greeted.purpose() {
        PeerPurpose::Member => {
            let strangers = Arc::clone(&lock(&place.ledger).strangers);
            serve::member(node, connection, greeted, strangers).await;
        }
        PeerPurpose::Join => {
            let Some(_turn) = JoinTurn::take(&place.ledger) else {
                return greeted.refuse(&connection, &refusal(RefusalCode::Busy, "too many nodes ask to join at once; try again")).await;
            };
            join(node, connection, greeted).await;
        }
        // Whoever has the keys in memory is asked to let others join, not for its disk, nor to keep anything.
        PeerPurpose::Assist | PeerPurpose::Keep => {
            let lives = "this node is a member of the living cluster: there is nothing to recover; start the other nodes with `run`";
            greeted.refuse(&connection, &refusal(RefusalCode::NotMember, lives)).await;
        }
    }
}

/// A place for one join session.
struct JoinTurn(Arc<Mutex<Ledger>>);

impl JoinTurn {
    fn take(ledger: &Arc<Mutex<Ledger>>) -> Option<JoinTurn> {
        let mut counts = lock(ledger);
        if counts.joins >= JOINS {
            return None;
        }
        counts.joins = counts.joins.saturating_add(1);
        Some(JoinTurn(Arc::clone(ledger)))
    }
}

impl Drop for JoinTurn {
    fn drop(&mut self) {
        let mut counts = lock(&self.0);
        counts.joins = counts.joins.saturating_sub(1);
    }
}

async fn join(node: Arc<Node>, connection: Connection, greeted: Greeted) {
    let own = Own { site: &node.site, secrets: &node.secrets, incarnation: node.incarnation, prover: None };
    let opening = entropy::nonce(&node.site.entropy);
    let outcome = async {
        let mut opened = handshake::answer(own, &connection, greeted, endorse::join_nonce(&opening), |_| Turn::Free, |_| false).await?;
        let request: JoinRequest = opened.records.receive(node.site.step()).await?;
        let answer = leader::answer(&node, &opened, request, opening).await;
        opened.records.send(&JoinReply { answer }, node.site.step()).await?;
        opened.records.finish(LAST_WORD).await;
        Ok::<(), handshake::PeerError>(())
    };
    if let Err(fault) = outcome.await {
        warn!(address = %connection.remote_address(), %fault, "join session failed");
    }
    close(&connection, CloseCode::Done);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::config::Limits;

    #[test]
    fn one_customer_is_one_address() {
        let limits = Limits {
            connections: 6,
            connections_per_address: 2,
            handshake: Duration::from_secs(1),
            disk_reserve_bytes: 0,
            reattest: Duration::from_secs(86_400),
        };
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let take = |address: &str| Place::take(&ledger, address.parse().unwrap(), &limits);
        let held = [take("2001:db8:0:7::1"), take("2001:db8:0:7:ffff::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("2001:db8:0:7:1234:5678:9abc:def0").is_none(), "a third address of the same /64");
        let other = [take("2001:db8:0:8::1"), take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(other.iter().all(Option::is_some));
        assert!(take("192.0.2.1").is_none(), "the mapped form is the same address");
        drop(held);
        assert!(take("2001:db8:0:7::3").is_some(), "places are given back");
    }
}
