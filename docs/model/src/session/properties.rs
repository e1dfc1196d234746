//! What must hold of sessions whatever the attacker does, and what must be possible at all.
//!
//! Decides: agreement (who is accepted is the other end, asked by this one, now), secrecy of the first message, no reflection.
//! Trusts: nothing. Out of scope: how sessions come about (`moves`). Protocol sections 3.1 and 3.2, register rows A1 to A3.

use crate::session::terms::{Evidence, Kind, Party, Run, Side};
use crate::session::{Scene, Session};
use stateright::Property;

/// All of them.
pub fn all() -> Vec<Property<Session>> {
    vec![
        Property::<Session>::always("REFLECTION", |_, scene: &Scene| !scene.runs.iter().any(|run| peer(scene, run) == Some(run.who))),
        Property::<Session>::always("SECRECY", |session, scene: &Scene| !scene.runs.iter().any(|run| told_attacker(session, scene, run))),
        Property::<Session>::always("AGREEMENT", |_, scene: &Scene| (0..scene.runs.len()).all(|at| agrees(scene, at))),
        Property::<Session>::sometimes("a client speaks to a member", |_, scene: &Scene| {
            scene.runs.iter().any(|run| run.spoke && run.who == Party::Client && peer(scene, run) == Some(Party::A))
        }),
        Property::<Session>::sometimes("two members accept each other", |_, scene: &Scene| {
            scene.runs.iter().filter(|run| run.seen.kind == Kind::Member && run.accepted.is_some()).count() == 2
        }),
    ]
}

/// Whose evidence a run accepted.
fn peer(scene: &Scene, run: &Run) -> Option<Party> {
    match run.accepted? {
        Evidence::Made { run, .. } => Some(scene.runs[usize::from(run)].who),
        Evidence::Unlisted | Evidence::OtherImage => Some(Party::Attacker),
    }
}

/// Who is accepted is a node of ours at the other end of the very handshake, and attested for this run's nonce.
fn agrees(scene: &Scene, at: usize) -> bool {
    let mine = &scene.runs[at];
    match mine.accepted {
        None => true,
        Some(Evidence::Unlisted | Evidence::OtherImage) => false,
        Some(Evidence::Made { run, nonce }) => {
            let theirs = &scene.runs[usize::from(run)];
            theirs.who.is_ours() && theirs.seen == mine.seen && theirs.side != mine.side && usize::from(nonce) == at
        }
    }
}

/// Whether the first message of a run reached the attacker: under keys it computes, or in its own cluster.
fn told_attacker(session: &Session, scene: &Scene, run: &Run) -> bool {
    let foreign = |other: &Run| other.side == Side::Answer && other.seen == run.seen && other.who == Party::Foreign;
    run.spoke && (session.leaked(scene).computes(&run.seen) || scene.runs.iter().any(foreign))
}
