//! The session that a process in this place offered before, where it came to no service: what custodians are told when they are asked once more.
//!
//! Decides: the offer that lies in the folder of papers is named if an attested process of this cluster and this slot made it, for a recovery from the same
//! dealing, and the progress beside it does not say that it serves. Its key was in that process's memory alone. Whether the process is gone, no disk can say: so this is
//! said to people, who know it or ask, and nothing rests on it.
//! Trusts: the roots and the pinned cluster. Out of scope: whether a custodian answers again (`client`). Protocol section 6.2, DR0.

use crate::attesting;
use crate::context::Site;
use crate::recover::papers::{self, FOLDER};
use crate::recover::session::is_signed;
use ringwall_attest::Asked;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianReply, RecoveryStep};
use ringwall_wire::custody::CustodyManifest;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{ClusterId, Digest, Epoch, Nonce};
use ringwall_wire::keeper::Keeper;
use ringwall_wire::recovery::{RecoveryPurpose, SignedOffer};
use ringwall_wire::session::{AttestResp, SavedExchange};
use std::path::Path;
use tracing::info;

/// The offer and the progress a process left in a data folder.
pub(crate) struct Left {
    offer: SignedOffer,
    served: bool,
}

/// Reads what was left; none where there is nothing, or nothing that can be read. To be called before the folder is cleared for another session.
pub(crate) fn left(data: &Path) -> Option<Left> {
    let read = |name: &str| papers::read_bounded(&data.join(FOLDER).join(name)).ok().flatten();
    // Laid aside by a start that ended before it offered anything itself.
    let (offer, told) = match read("offer") {
        Some(offer) => (offer, read("progress")),
        None => (read("offer.before")?, read("progress.before")),
    };
    let offer = SignedOffer::decode(&offer).ok()?;
    let told = told.and_then(|bytes| CustodianReply::decode(&bytes).ok());
    let served = told.is_some_and(|reply| match reply.body {
        CustodianAnswer::Progress(progress) => progress.session == offer.offer.session && progress.step == RecoveryStep::Serving,
        _ => false,
    });
    Some(Left { offer, served })
}

impl Left {
    /// Machines that may keep that session still: none where it came to service, is another cluster's, or is of an epoch before `newest`, which is known here. What the file
    /// says is believed that far: an operator who knows better says so.
    pub(crate) fn keepers(&self, cluster_id: &ClusterId, newest: Option<Epoch>) -> &[Keeper] {
        let offer = &self.offer.offer;
        let over = self.served || offer.cluster_id != *cluster_id || newest.is_some_and(|newest| offer.epoch < newest);
        if over { &[] } else { &offer.keepers }
    }

    /// The session, if the one that begins now takes its place.
    pub(crate) fn replaced(&self, site: &Site, manifest: &CustodyManifest) -> Option<Nonce> {
        let offer = &self.offer.offer;
        let fits = offer.cluster_id == site.cluster_id
            && offer.slot == site.slot()
            && offer.purpose == RecoveryPurpose::Outage
            && offer.manifest == Digest(manifest.digest());
        if self.served || !fits {
            return None;
        }
        match self.judge(site) {
            Ok(()) => {
                info!(session = %offer.session, "recovery: a session that was offered here before and did not come to service is named in the new offer");
                Some(offer.session)
            }
            Err(fault) => {
                info!(fault, "recovery: an offer that was left here is no attested process's and is left aside");
                None
            }
        }
    }

    fn judge(&self, site: &Site) -> Result<(), String> {
        let SignedOffer { offer, signature, exchange } = &self.offer;
        let exchange = SavedExchange::decode(exchange).map_err(|fault| fault.to_string())?;
        let answer = AttestResp::decode(&exchange.answer).map_err(|fault| fault.to_string())?;
        let (handshake, nonce) = offer.opening();
        let asked = Asked { handshake: &handshake, nonce: &nonce, role: Role::Recovery, noise: &exchange.noise, mode: exchange.mode };
        // No later than now: what a file says of its own time is not believed beyond that.
        let now_s = exchange.at_s.min(site.now_s());
        let peer = attesting::judge_kept(site, &answer, &asked, now_s).map_err(|fault| fault.to_string())?;
        if (peer.keys().sig, peer.boot_config().slot) != (offer.sig, offer.slot) {
            return Err("its evidence is another node's".into());
        }
        match is_signed(&offer.sig, &offer.words(), signature) {
            true => Ok(()),
            false => Err("its signature does not verify".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::recover::papers::Papers;
    use ringwall_wire::bounded::List;
    use ringwall_wire::custodian::RecoveryProgress;
    use ringwall_wire::sample::{Sample as _, Source};

    #[test]
    fn what_a_session_left_is_read_with_whether_it_served() {
        let data = tempfile::tempdir().unwrap();
        assert!(left(data.path()).is_none());
        let papers = Papers::open(data.path()).unwrap();
        let offer = SignedOffer::sample(&mut Source::new(1));
        papers.offer(&offer).unwrap();
        assert!(!left(data.path()).unwrap().served, "no progress was told");
        let mut told = RecoveryProgress {
            session: offer.offer.session,
            step: RecoveryStep::Serving,
            submitted: List::default(),
            loss: None,
            audit: List::default(),
        };
        papers.progress(told.clone()).unwrap();
        let found = left(data.path()).unwrap();
        assert!(found.served && found.offer == offer);
        told.step = RecoveryStep::Ended;
        papers.progress(told.clone()).unwrap();
        assert!(!left(data.path()).unwrap().served);
        told.step = RecoveryStep::Serving;
        told.session.0[0] ^= 1;
        papers.progress(told).unwrap();
        assert!(!left(data.path()).unwrap().served, "another session's progress says nothing of this one");
        for _ in 0..2 {
            Papers::open(data.path()).unwrap();
            assert!(!papers.root().join("offer").exists(), "a new session clears the folder");
            assert_eq!(left(data.path()).unwrap().offer, offer, "a start that ends before it offers forgets nothing");
        }
        let newer = SignedOffer::sample(&mut Source::new(3));
        papers.offer(&newer).unwrap();
        assert_eq!(left(data.path()).unwrap().offer, newer);
    }

    #[test]
    fn machines_that_may_keep_a_session_are_remembered_until_it_serves_or_a_newer_epoch_is_known() {
        let keepers = vec![Keeper::sample(&mut Source::new(2))];
        let mut offer = SignedOffer::sample(&mut Source::new(1));
        offer.offer.keepers = List::new(keepers.clone()).unwrap();
        let (cluster_id, epoch) = (offer.offer.cluster_id, Epoch(5));
        offer.offer.epoch = epoch;
        let left = |served| Left { offer: offer.clone(), served };
        for newest in [None, Some(Epoch(4)), Some(epoch)] {
            assert_eq!(left(false).keepers(&cluster_id, newest), keepers, "{newest:?}");
        }
        assert!(left(false).keepers(&cluster_id, Some(Epoch(6))).is_empty(), "the cluster was recovered since");
        assert!(left(true).keepers(&cluster_id, None).is_empty());
        assert!(left(false).keepers(&ClusterId([0; 32]), None).is_empty());
    }
}
