//! What a recovering node and a machine that keeps its session say to each other, over an attested session.
//!
//! Decides: the words of KS1 to KS6. The session's secret travels from the process that made it to keepers, and from keepers to a process that goes on, and is in
//! no file; who asks is known from its evidence, so no word here names the asker.
//! Trusts: nothing. Out of scope: the rules (`node`), what custodians sign (`recovery.rs`). Protocol section 6.2.

use crate::ids::{Nonce, SigPublic, Slot};
use crate::recovery::RecoveryOffer;
use crate::secret::Secret;
use crate::{choice, message, record};
use alloc::boxed::Box;

record! {
    /// A process that keeps a session: another one on the same machine is another keeper.
    #[derive(Copy)]
    pub struct Keeper {
        /// Its place.
        pub slot: Slot,
        /// Its signature key, made when it started and known from its evidence.
        pub sig: SigPublic,
    }
}

record! {
    /// A session as it is kept: what was offered last, and the seed of the key that answers are sealed to.
    pub struct KeptSession {
        /// The newest offer.
        pub offer: RecoveryOffer,
        /// Seed of the secret half of the offer's key.
        pub seed: Secret<32>,
    }
}

record! {
    /// What a keeper has, without the secret.
    pub struct KeptOffer {
        /// The newest offer.
        pub offer: RecoveryOffer,
        /// Whether the asker is the process that holds it.
        pub yours: bool,
    }
}

message! {
    /// One question of a recovering node.
    pub struct KeepAsk = KeepAsk {
        /// What.
        pub op: KeepOp,
    }
}

choice! {
    /// What it asks.
    pub enum KeepOp {
        /// Which session is kept.
        1 => Look,
        /// To keep a new session, whose offer is the asker's own and not published yet.
        2 => Keep(Box<KeptSession>),
        /// To be given the session of this name: the asker holds it from now on, and whoever held it before does not.
        3 => Take(Nonce),
        /// To know the holder's own offer of the session it took, which is not published yet.
        4 => GoOn(Box<RecoveryOffer>),
        /// For the word that the asker finishes this session and no other process does. The keeper forgets it.
        5 => Finish(Nonce),
    }
}

message! {
    /// The answer.
    pub struct KeepReply = KeepReply {
        /// What.
        pub answer: KeepAnswer,
    }
}

choice! {
    /// What is answered.
    pub enum KeepAnswer {
        /// No session is kept.
        1 => Nothing,
        /// This one is.
        2 => Kept(Box<KeptOffer>),
        /// It is done.
        3 => Done,
        /// The session.
        4 => Taken(Box<KeptSession>),
        /// The word: this process finishes.
        5 => Finishes,
        /// Not that.
        6 => Refused(KeepFault),
    }
}

choice! {
    /// Why a keeper does not do it.
    #[derive(Copy)]
    pub enum KeepFault {
        /// It keeps no session of this name: it was started anew, or was given another one.
        1 => Unknown,
        /// Another process took it over, or finished it.
        2 => Superseded,
        /// This process gave its word for a session already, and keeps none any more.
        3 => Spent,
        /// The asker runs another build than the process that made the session.
        4 => OtherBuild,
        /// The offer is not the asker's own, not of this cluster, not of this session, or does not name this keeper.
        5 => NotFitting,
        /// As many processes took it as may.
        6 => TooOften,
    }
}

impl KeepFault {
    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        match self {
            KeepFault::Unknown => "it does not keep this session (any more): it was started anew, or was given another session",
            KeepFault::Superseded => "another process took the session over; look at that one",
            KeepFault::Spent => {
                "it gave its word for a session already, and keeps no other: stop that `recover assist` and start it again to have it keep one"
            }
            KeepFault::OtherBuild => {
                "this machine runs another build than the one that made the session, which custodians were shown; go on with the same build, or begin a new session"
            }
            KeepFault::TooOften => {
                "so many processes took this session one after the other that it is given to no more; begin a new one with --anew"
            }
            KeepFault::NotFitting => "the offer does not fit what is kept: a defect; report it",
        }
    }
}

impl RecoveryOffer {
    /// Whether both are offers of one session: the same key, dealing, epoch and keepers, by whichever process.
    pub fn is_of_one_session_with(&self, other: &RecoveryOffer) -> bool {
        let terms =
            |offer: &RecoveryOffer| (offer.cluster_id, offer.epoch, offer.purpose, offer.custody_epoch, offer.manifest, offer.session);
        terms(self) == terms(other) && self.kem == other.kem && self.keepers == other.keepers
    }
}
