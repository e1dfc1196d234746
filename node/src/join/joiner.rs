//! The joiner's side: asks the members it can reach until one of them grants, with new keys for every attempt.
//!
//! Decides: addresses come from the card and the configuration and are only hints; who answers is judged by evidence before anything is
//! said; a grant counts only on such a session. A refusal or a broken attempt ends the keys it used: an admission may have been
//! proposed with them. Waits grow, bounded, with jitter; the log says why.
//! Trusts: an attested member's grant. Out of scope: what a member does afterwards (`run`). Protocol section 4, step 1.

use crate::context::Site;
use crate::entropy;
use crate::life::Life;
use crate::peers::handshake::{self, Own, PeerError};
use crate::peers::pool::resolve;
use crate::ring::Ring;
use ringwall_channel::NodeSecrets;
use ringwall_keys::{Keyring, KeyringError};
use ringwall_quic::{CloseCode, close};
use ringwall_wire::admission::{IncarnationCert, JoinAnswer, JoinReply, JoinRequest, KeyGrant};
use ringwall_wire::bounded::Text;
use ringwall_wire::ids::{Digest, Incarnation};
use ringwall_wire::session::{PeerPurpose, Refusal, RefusalCode};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// Longest time to open a connection.
const DIAL: Duration = Duration::from_secs(3);
/// Longest wait for an answer: the leader probes the incumbent and asks other voters.
const ANSWER: Duration = Duration::from_secs(20);
/// First pause after a round in which nobody granted; doubles up to [`PAUSE_MOST`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Longest pause between two rounds.
const PAUSE_MOST: Duration = Duration::from_secs(2);
/// Leaders followed in one attempt.
const HOPS: usize = 4;

/// What was granted, and the keys it was granted to.
pub(crate) struct Granted {
    pub(crate) secrets: Arc<NodeSecrets>,
    pub(crate) keyring: Arc<Ring>,
    pub(crate) grant: KeyGrant,
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("refused ({:?}): {}", .0.code, .0.detail)]
    Refused(Refusal),
    #[error("no member leads, or leadership moves: {0} leaders named")]
    Hops(usize),
    #[error("the member still follows this node's former life; a new leader is being elected")]
    NoLeaderYet,
    #[error("the granted keys do not fit: {0}")]
    Keyring(#[from] KeyringError),
    #[error("the grant is for epoch {got}, this cluster is in epoch {ours}")]
    OtherEpoch { got: ringwall_wire::ids::Epoch, ours: ringwall_wire::ids::Epoch },
}

impl AttemptError {
    /// Whether waiting cannot help: the other side judged our evidence, or the order we came with, and refused it.
    fn is_final(&self) -> bool {
        let code = match self {
            AttemptError::Peer(PeerError::Refused(refusal)) | AttemptError::Refused(refusal) => refusal.code,
            _ => return false,
        };
        matches!(
            code,
            RefusalCode::EvidenceRefused | RefusalCode::UnsupportedVersion | RefusalCode::OtherCluster | RefusalCode::OrderRefused
        )
    }
}

/// Asks until a member grants. Returns none when the node is told to leave.
pub(crate) async fn join(site: &Arc<Site>, own_evidence: &OwnEvidence) -> Option<Granted> {
    #[cfg(feature = "without")]
    if let Some(granted) = super::resumed::found(site) {
        site.life.step(Life::Pending).expect("an attempt starts unjoined");
        return Some(granted);
    }
    let mut leaving = site.leaving.subscribe();
    let mut pause = PAUSE_FIRST;
    if candidates(site).is_empty() {
        warn!("no address to ask: the card names this node alone; add the other nodes to `peers.addresses`");
    }
    loop {
        for address in candidates(site) {
            let attempt = async {
                site.life.step(Life::Pending).expect("an attempt starts unjoined");
                attempt(site, own_evidence, &address).await
            };
            let outcome = tokio::select! {
                outcome = attempt => outcome,
                _ = leaving.wait_for(|leaving| *leaving) => return None,
            };
            match outcome {
                Ok(granted) => {
                    #[cfg(feature = "without")]
                    super::resumed::note(site, &granted);
                    return Some(granted);
                }
                Err(fault) => {
                    site.life.step(Life::Unjoined).expect("an attempt that failed goes back");
                    match fault.is_final() {
                        true => warn!(%address, %fault, "a member refuses this node; it keeps asking, but an operator should look"),
                        false => info!(%address, %fault, "not admitted yet"),
                    }
                }
            }
        }
        let jitter = entropy::below(&site.entropy, u64::try_from(pause.as_millis()).unwrap_or(0) / 2);
        let wait = pause / 2 + Duration::from_millis(jitter);
        debug!(wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), "asking again later");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = leaving.wait_for(|leaving| *leaving) => return None,
        }
        pause = pause.saturating_mul(2).min(PAUSE_MOST);
    }
}

/// What this machine's own evidence said of it at boot.
#[derive(Clone, Debug)]
pub(crate) struct OwnEvidence {
    pub(crate) vendor: ringwall_wire::ids::Vendor,
    pub(crate) chip: Digest,
    pub(crate) measurement: Text<64>,
}

/// The certificate of an incarnation of this node with these keys.
pub(crate) fn cert(site: &Site, secrets: &NodeSecrets, own_evidence: &OwnEvidence) -> IncarnationCert {
    IncarnationCert {
        slot: site.slot(),
        keys: secrets.public().clone(),
        vendor: own_evidence.vendor,
        chip: own_evidence.chip,
        measurement: own_evidence.measurement.clone(),
        boot_config: site.config.boot.host_data(),
        peer_address: site.config.advertise_peers.clone(),
        client_address: site.config.advertise_clients.clone(),
    }
}

/// Where members may be: configured addresses first, then the card's; never this node's own.
fn candidates(site: &Site) -> Vec<Text<128>> {
    let mut found: Vec<Text<128>> = Vec::new();
    for address in site.config.peers.iter().chain(&site.card_addresses) {
        if *address != site.config.advertise_peers && *address != site.config.advertise_clients && !found.contains(address) {
            found.push(address.clone());
        }
    }
    found
}

async fn attempt(site: &Arc<Site>, own_evidence: &OwnEvidence, address: &Text<128>) -> Result<Granted, AttemptError> {
    let mut address = address.clone();
    for _ in 0..HOPS {
        let secrets = Arc::new(NodeSecrets::generate(&mut *(site.entropy)()));
        let request = JoinRequest { cert: cert(site, &secrets, own_evidence), order: site.config.replace_order.clone() };
        let own = Own { site, secrets: &secrets, incarnation: Incarnation(0), prover: None };
        match ask(own, &address, &request).await? {
            JoinAnswer::Granted(grant) => return accept(site, secrets, *grant),
            JoinAnswer::Elsewhere(leader) => {
                debug!(%address, %leader, "a member names the leader");
                address = elsewhere(leader, &site.config.advertise_peers)?;
            }
            JoinAnswer::Refused(refusal) => return Err(AttemptError::Refused(refusal)),
        }
    }
    Err(AttemptError::Hops(HOPS))
}

/// Where to ask instead, unless the member still follows this machine's former life, which led until it died.
fn elsewhere(leader: Text<128>, own: &Text<128>) -> Result<Text<128>, AttemptError> {
    match leader == *own {
        true => Err(AttemptError::NoLeaderYet),
        false => Ok(leader),
    }
}

async fn ask(own: Own<'_>, address: &Text<128>, request: &JoinRequest) -> Result<JoinAnswer, PeerError> {
    let socket = resolve(address).await?;
    let connection = ringwall_quic::dial(&own.site.endpoint, &own.site.dial, socket, DIAL).await?;
    let mut opened = handshake::dial(own, &connection, PeerPurpose::Join, None).await?;
    opened.records.send(request, own.site.step()).await?;
    let reply: JoinReply = opened.records.receive(ANSWER).await?;
    close(&connection, CloseCode::Done);
    Ok(reply.answer)
}

fn accept(site: &Site, secrets: Arc<NodeSecrets>, grant: KeyGrant) -> Result<Granted, AttemptError> {
    if (grant.epoch, grant.incarnation.epoch()) != (site.epoch(), site.epoch()) {
        return Err(AttemptError::OtherEpoch { got: grant.epoch, ours: site.epoch() });
    }
    let keyring = Ring::new(Keyring::from_grant(site.cluster_id, &grant.master_keys)?);
    Ok(Granted { secrets, keyring, grant })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_at_this_nodes_own_address_is_its_former_life() {
        let text = |text: &str| Text::new(text).expect("short");
        assert!(matches!(elsewhere(text("10.0.0.1:7000"), &text("10.0.0.1:7000")), Err(AttemptError::NoLeaderYet)));
        assert_eq!(elsewhere(text("10.0.0.2:7000"), &text("10.0.0.1:7000")).expect("another node"), text("10.0.0.2:7000"));
    }
}
