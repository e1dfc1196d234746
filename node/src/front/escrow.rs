//! Data keys of a user's namespaces, sealed for the day no cluster is left.
//!
//! Decides: they are sealed to one key alone: one that the recovery key on the user's record has signed, so that a device which is revoked later takes no key of
//! namespaces along. Which namespaces are the user's says the owner mark; names are the user's to give, and count only where they lead to the namespace's tag.
//! Trusts: the session's user, whose signature was verified; `keys`, which shows no data key here. Out of scope: opening (`client`). Protocol section 9.2.

use crate::front::Front;
use crate::front::erasure::{STEP_SPACES, is_of};
use crate::front::refusals::{awaiting_key, fenced, refusal, unreadable};
use ringwall_channel::user::verify_escrow_key;
use ringwall_keys::OpenError;
use ringwall_keys::escrow::{EscrowFault, Escrowed};
use ringwall_wire::backup::{EscrowAsk, EscrowedKeys};
use ringwall_wire::ids::{SpaceTag, UserId};
use ringwall_wire::limits::ESCROW_PAGE;
use ringwall_wire::request::{Answer, Namespace};
use ringwall_wire::session::{Refusal, RefusalCode};
use ringwall_wire::user::UserFault;
use std::collections::HashMap;

/// Answers a device that has its user's data keys escrowed.
pub(crate) async fn answer(front: &Front, user: &UserId, ask: EscrowAsk) -> Answer {
    match escrowed(front, user, ask).await {
        Ok(Ok(keys)) => Answer::EscrowKeys(Box::new(keys)),
        Ok(Err(fault)) => Answer::UserRefused(fault),
        Err(refusal) => Answer::Refused(refusal),
    }
}

async fn escrowed(front: &Front, user: &UserId, ask: EscrowAsk) -> Result<Result<EscrowedKeys, UserFault>, Refusal> {
    front.reads.barrier().await?;
    let keyring = front.keyring.now();
    let tag = keyring.user_tag(user);
    let row = front.replica.view().and_then(|view| view.user(&tag)).map_err(|_| fenced())?;
    let Some(recovery) = row.and_then(|row| row.recovery) else { return Ok(Err(UserFault::NoRecovery)) };
    if keyring.recovery_tag(&tag, &ask.to.key) != recovery.tag || verify_escrow_key(&ask.to, &front.cluster_id, user).is_err() {
        return Ok(Err(UserFault::BadSignature));
    }
    let names: HashMap<SpaceTag, Namespace> = ask.names.into_vec().into_iter().map(|name| (keyring.space_tag(user, &name), name)).collect();
    let (spaces, next) = page(front, user, ask.after, &names).await?;
    let sealed = front.keyring.now().escrow(user, &ask.to, &spaces, next, &mut *(front.entropy)());
    sealed.map(Ok).map_err(|fault| match fault {
        EscrowFault::Wrapped { fault: OpenError::UnknownKeyEpoch { .. }, .. } => awaiting_key(),
        EscrowFault::Envelope(_) => {
            refusal(RefusalCode::Malformed, "the key to seal to is none; make it anew with `ringwall recovery keys`")
        }
        EscrowFault::Wrapped { .. } | EscrowFault::TooMany { .. } => unreadable(),
    })
}

/// The user's namespaces after one of them, and where the next page begins. One such look at a time, in steps: it goes over everybody's.
async fn page(
    front: &Front,
    user: &UserId,
    mut after: Option<SpaceTag>,
    names: &HashMap<SpaceTag, Namespace>,
) -> Result<(Vec<Escrowed>, Option<SpaceTag>), Refusal> {
    let busy = || refusal(RefusalCode::Busy, "another user's namespaces are being looked for; ask again");
    let _turn = front.erasing.try_acquire().map_err(|_| busy())?;
    let mut found: Vec<Escrowed> = Vec::new();
    loop {
        let (spaces, more) = {
            let view = front.replica.view().map_err(|_| fenced())?;
            view.spaces(after.as_ref(), STEP_SPACES).map_err(|_| fenced())?
        };
        after = spaces.last().map(|(space, _)| *space);
        let keyring = front.keyring.now();
        for (space, row) in spaces.into_iter().filter(|(space, row)| is_of(&keyring, user, space, &row.owner)) {
            if found.len() >= ESCROW_PAGE {
                let next = found.last().map(|last| last.space);
                return Ok((found, next));
            }
            found.push(Escrowed { space, mode: row.mode, dek: row.dek, name: names.get(&space).cloned() });
        }
        if !more {
            return Ok((found, None));
        }
        tokio::task::yield_now().await;
    }
}
