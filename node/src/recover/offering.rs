//! The offer custodians answer: of a new session, or of one that keepers handed over to this process.
//!
//! Decides: DR0 and KS4. A session's key is made here, or is the one its answers are sealed to already; in either case the offer is this very process's, under evidence that is
//! bound to it, and keepers know it before anybody is shown it. A session that was taken over is offered only for the same dealing and epoch.
//! Trusts: `dealing.rs` for the dealing, `keeping.rs` for keepers. Out of scope: answers (`session.rs`). Protocol section 6.2.

use crate::attesting::{self, Claim, Wanted};
use crate::context::Site;
use crate::recover::dealing::Dealing;
use crate::recover::keeping::{Keepers, NotGoneOn};
use crate::recover::{RecoverError, disks};
use ringwall_channel::NodeSecrets;
use ringwall_keys::custody::KemSecret;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::{Digest, Epoch, Incarnation, Nonce};
use ringwall_wire::keeper::{KeepOp, KeptSession};
use ringwall_wire::recovery::{RecoveryOffer, RecoveryPurpose, SignedOffer};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, SavedExchange};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroize as _;

/// An offer that may be published.
pub(crate) struct Offered {
    pub(crate) signed: SignedOffer,
    /// What answers are sealed to.
    pub(crate) kem: KemSecret,
    /// The newest offer before it, of a session that was taken over.
    pub(crate) after: Option<Digest>,
}

/// What an offer is made from.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) site: &'a Arc<Site>,
    pub(crate) secrets: &'a NodeSecrets,
    pub(crate) dealing: &'a Dealing,
    pub(crate) folders: &'a [PathBuf],
}

/// A new session; in the place of another one, where people are told so.
pub(crate) async fn fresh(ground: Ground<'_>, replaces: Option<Nonce>, keepers: &mut Keepers) -> Result<Offered, RecoverError> {
    let Ground { site, secrets, dealing, .. } = ground;
    let epoch = epoch(ground);
    site.epochs.set(epoch);
    let kem = session_key(site);
    let offer = RecoveryOffer {
        cluster_id: site.cluster_id,
        epoch,
        purpose: RecoveryPurpose::Outage,
        custody_epoch: dealing.manifest.custody_epoch,
        manifest: Digest(dealing.manifest.digest()),
        session: crate::entropy::nonce(&site.entropy),
        kem: kem.public(),
        slot: site.slot(),
        sig: secrets.public().sig,
        inventory: inventory(ground)?,
        replaces,
        keepers: keepers.named(),
        earlier: List::default(),
    };
    let signed = vouch(site, secrets, offer).await?;
    let kept = KeptSession { offer: signed.offer.clone(), seed: kem.seed().clone() };
    keepers.tell(site, secrets, &KeepOp::Keep(Box::new(kept))).await?;
    Ok(Offered { signed, kem, after: None })
}

/// The session that `kept` was offered for, if it is for what is here.
pub(crate) async fn go_on(ground: Ground<'_>, kept: &RecoveryOffer, keepers: &mut Keepers) -> Result<Offered, RecoverError> {
    let Ground { site, secrets, dealing, .. } = ground;
    let epoch = epoch(ground);
    let facts = [
        ("cluster", kept.cluster_id == site.cluster_id),
        ("dealing", kept.manifest == Digest(dealing.manifest.digest())),
        ("epoch", kept.epoch == epoch),
    ];
    if let Some((what, _)) = facts.into_iter().find(|(_, same)| !same) {
        return Err(NotGoneOn::Other { what }.into());
    }
    site.epochs.set(epoch);
    let taken = keepers.take(site, secrets, kept.session).await?;
    let after = Digest(taken.offer.digest());
    let offer = RecoveryOffer {
        slot: site.slot(),
        sig: secrets.public().sig,
        inventory: inventory(ground)?,
        earlier: taken.earlier,
        ..taken.offer
    };
    let signed = vouch(site, secrets, offer).await?;
    keepers.tell(site, secrets, &KeepOp::GoOn(Box::new(signed.offer.clone()))).await?;
    Ok(Offered { signed, kem: taken.kem, after: Some(after) })
}

/// The newest epoch that is known here.
fn epoch(ground: Ground<'_>) -> Epoch {
    let dealt = ground.dealing.manifest.epoch;
    disks::newest_epoch(ground.folders).map_or(dealt, |found| found.max(dealt))
}

fn inventory(ground: Ground<'_>) -> Result<List<ringwall_wire::recovery::DiskNote, { ringwall_wire::limits::SLOTS }>, RecoverError> {
    let notes = disks::notes(ground.folders, ground.site.slot(), ground.dealing.manifest.custody_epoch);
    List::new(notes).map_err(|_| RecoverError::TooLarge("the inventory"))
}

/// A key that shares of one session are sealed to.
pub(crate) fn session_key(site: &Site) -> KemSecret {
    let mut seed = [0; 32];
    (site.entropy)().fill_bytes(&mut seed);
    let kem = KemSecret::from_seed(Secret::from_mut(&mut seed));
    seed.zeroize();
    kem
}

/// Signs an offer, with evidence of this machine that is bound to it: what custodians judge, before a recovery and before a drill alike.
pub(crate) async fn vouch(site: &Arc<Site>, secrets: &NodeSecrets, offer: RecoveryOffer) -> Result<SignedOffer, RecoverError> {
    let (handshake, nonce) = offer.opening();
    let keys = secrets.public().clone();
    let noise = keys.noise;
    let claim = Claim { role: Role::Recovery, incarnation: Incarnation(0), keys, handshake, nonce };
    let answer = attesting::answer(site, claim).await?;
    let encoded = Blob::new(answer.encode()).map_err(|_| RecoverError::TooLarge("the evidence"))?;
    // What custodians would refuse is not offered.
    let _accepted = attesting::judge(site, answer, Wanted { role: Role::Recovery, handshake, nonce, noise }).await?;
    let exchange = SavedExchange {
        cluster_id: site.cluster_id,
        min_policy_version: site.policy().version,
        handshake,
        nonce,
        noise,
        mode: AttestMode::Single,
        at_s: site.now_s(),
        answer: encoded,
    };
    let exchange = Blob::new(exchange.encode()).map_err(|_| RecoverError::TooLarge("the evidence"))?;
    let signature = secrets.sign(&offer.words());
    Ok(SignedOffer { offer, signature, exchange })
}
