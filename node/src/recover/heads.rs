//! Signed heads that others have seen: custodians', and those on paper.
//!
//! Decides: a head counts if the evidence beside it is a member's of this cluster, made for a session, and that member signed the head. What does not count
//! is left aside with a warning: whoever can bring a false head can as well bring none. Evidence is judged as of the time it was made.
//! Trusts: the roots and the pinned cluster. Out of scope: comparing (`ringwall_consensus::recovery`). Protocol section 6.2, DR5.

use crate::attesting;
use crate::context::Site;
use crate::recover::session::is_signed;
use ringwall_attest::Asked;
use ringwall_consensus::recovery::{Known, SeenBy};
use ringwall_wire::codec::{Field as _, Message as _};
use ringwall_wire::evidence::Role;
use ringwall_wire::recovery::CustodyAnchor;
use ringwall_wire::session::{AttestResp, SavedExchange};

/// Judges a head.
pub(crate) fn judge(site: &Site, by: SeenBy, anchor: &CustodyAnchor) -> Result<Known, String> {
    let head = &anchor.head;
    if head.cluster_id != site.cluster_id {
        return Err("it is another cluster's".into());
    }
    let exchange = SavedExchange::decode(&anchor.signer.exchange).map_err(|fault| fault.to_string())?;
    let answer = AttestResp::decode(&exchange.answer).map_err(|fault| fault.to_string())?;
    let asked = Asked {
        handshake: &exchange.handshake,
        nonce: &exchange.nonce,
        role: Role::ClientServer,
        noise: &exchange.noise,
        mode: exchange.mode,
    };
    let now_s = exchange.at_s.min(site.now_s());
    let peer = attesting::judge_kept(site, &answer, &asked, now_s).map_err(|fault| fault.to_string())?;
    if (peer.incarnation(), peer.epoch()) != (head.incarnation, head.epoch) {
        return Err("the evidence beside it is another member's".into());
    }
    if head.index.checked_add(1) != Some(head.tree.size) || !is_signed(&peer.keys().sig, &head.words(), &head.signature) {
        return Err("the member of the evidence did not sign it".into());
    }
    Ok(Known { by, epoch: head.epoch, tree: head.tree })
}

/// A head as it lies in a file: the encoding of a [`CustodyAnchor`], alone.
pub(crate) fn of_paper(bytes: &[u8]) -> Result<CustodyAnchor, String> {
    CustodyAnchor::from_bytes(bytes).map_err(|fault| fault.to_string())
}
