//! Asking another node for evidence, and being asked, where the two are further apart than one answer carries.
//!
//! Decides: whoever asks names the newest policy they know. Where the changes after it do not fit an answer, a page of them comes in its place, before any quote
//! is made; whoever asked judges it, off the async threads, and asks again from where it ends. Pages are bounded in number, bytes and time. Nothing of them is gone by
//! before the evidence that follows stands for where they end; a node that asks to join neither sends nor is believed any.
//! Trusts: nothing of a page. Out of scope: judging pages (`ringwall_attest::governance`), evidence (`attesting`). Protocol section 3.1, "Pages".

use crate::context::Site;
use crate::peers::handshake::{EVIDENCE_WAIT, PeerError};
use ringwall_attest::SessionError;
use ringwall_attest::governance::PageWalk;
use ringwall_channel::{Answered, Session, Unverified};
use ringwall_quic::{FrameError, FrameReader, FrameWriter};
use ringwall_wire::governance::PolicyPage;
use ringwall_wire::ids::{Nonce, PolicyVersion};
use ringwall_wire::limits::{ATTEST_MESSAGE_BYTES, HANDSHAKE_MESSAGE_BYTES, POLICY_PAGES};
use ringwall_wire::session::{AttestMode, AttestReq, AttestResp};
use std::time::Duration;

/// Longest time one session is shown pages: all there are, over a line of 4 Mbit/s.
const LEADING: Duration = Duration::from_secs(40);

/// Bytes a sealed record adds to a message: head, padding of at most an eighth, tags.
const SEALED_EXTRA_BYTES: usize = 2 * 1024;

/// Both directions of stream 0 before it is split off.
pub(super) type Frames<'a> = (&'a mut FrameReader, &'a mut FrameWriter);

/// Evidence the other side gave, and the pages that came before it.
pub(super) struct Evidence {
    pub(super) answer: AttestResp,
    pub(super) walk: PageWalk,
}

/// Asks for evidence with this nonce. Pages are taken where `may_lead`: whoever is asked may know changes this node has not heard of.
pub(super) async fn ask(
    site: &Site,
    session: &mut Session<Unverified>,
    (reader, writer): Frames<'_>,
    nonce: Nonce,
    may_lead: bool,
) -> Result<Evidence, PeerError> {
    let mut walk = PageWalk::new(site.cluster_id, Some(site.policies.now().policy()));
    loop {
        let min_policy_version = walk.policy().map_or(PolicyVersion(0), |policy| policy.version);
        let request = AttestReq { nonce, mode: AttestMode::Single, min_policy_version, known_policy: walk.known() };
        writer.write(&session.seal_attest_req(&request)?, site.step()).await?;
        let frame = reader.read(sealed(ATTEST_MESSAGE_BYTES), EVIDENCE_WAIT).await?;
        if !may_lead {
            return Ok(Evidence { answer: session.open_attest_resp(&frame)?, walk });
        }
        match session.open_answer(&frame)? {
            Answered::Answer(answer) => return Ok(Evidence { answer: *answer, walk }),
            Answered::Page(page) => walk = taken(walk, *page).await?,
        }
    }
}

async fn taken(mut walk: PageWalk, page: PolicyPage) -> Result<PageWalk, PeerError> {
    let judging = tokio::task::spawn_blocking(move || walk.take(page).map(|()| walk));
    let judged = judging.await.expect("judging does not panic and is not aborted");
    judged.map_err(|fault| PeerError::Evidence(SessionError::Steps(fault)))
}

/// Reads the other side's request for evidence; what this node has to show beyond an answer goes first, where `leads`.
pub(super) async fn asked(
    site: &Site,
    session: &mut Session<Unverified>,
    (reader, writer): Frames<'_>,
    leads: bool,
) -> Result<AttestReq, PeerError> {
    let first = question(site, session, reader).await?;
    match leads {
        true => lead(site, session, (reader, writer), first).await,
        false => Ok(first),
    }
}

/// Reads the other side's request for evidence.
pub(super) async fn question(site: &Site, session: &mut Session<Unverified>, reader: &mut FrameReader) -> Result<AttestReq, PeerError> {
    Ok(session.open_attest_req(&reader.read(sealed(HANDSHAKE_MESSAGE_BYTES), site.step()).await?)?)
}

/// Shows the other side what lies between this request and an answer; its last request. Whoever is led has a place for that (`Turn`), and not for long.
pub(super) async fn lead(
    site: &Site,
    session: &mut Session<Unverified>,
    (reader, writer): Frames<'_>,
    first: AttestReq,
) -> Result<AttestReq, PeerError> {
    let led = async {
        let mut request = first;
        for _ in 0..POLICY_PAGES {
            let Some(page) = site.policies.now().page(request.known_policy.as_ref(), &site.genesis) else { return Ok(request) };
            writer.write(&session.seal_policy_page(&page)?, site.step()).await?;
            request = question(site, session, reader).await?;
        }
        match site.policies.now().page(request.known_policy.as_ref(), &site.genesis) {
            None => Ok(request),
            Some(_) => Err(PeerError::TooManyPages),
        }
    };
    tokio::time::timeout(LEADING, led).await.map_err(|_| FrameError::TooSlow { within: LEADING })?
}

fn sealed(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 8).saturating_add(SEALED_EXTRA_BYTES)
}
