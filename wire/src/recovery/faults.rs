//! Why steps of a recovery do not fit: a closed table with stable codes, and what to do in each case.
//!
//! Decides: which reasons there are, and their words for people.
//! Trusts: nothing. Out of scope: who finds which (`node`). Protocol section 6.2.

use crate::choice;

choice! {
    /// Why a step of a recovery does not fit.
    #[derive(Copy)]
    pub enum RecoveryFault {
        /// It is of another session, offer or purpose.
        1 => OtherSession,
        /// It is of another manifest.
        2 => OtherManifest,
        /// Nobody of this name holds a share of this dealing.
        3 => NotCustodian,
        /// The signature does not verify.
        4 => BadSignature,
        /// What was sealed does not open with the offer's key.
        5 => NotSealedHere,
        /// It opens, and is no share of this cluster and dealing.
        6 => NotAShare,
        /// It is another share than the one dealt to this custodian: the commitment says so.
        7 => OtherShare,
        /// This custodian's share is in already.
        8 => Already,
        /// Too many submissions were refused: the session is over.
        9 => TooManyRefused,
        /// The shares gave a key that is not the dealing's.
        10 => OtherKey,
        /// The blob does not open, or is not the members' work.
        11 => BadBlob,
        /// No blob of this dealing is on any disk.
        12 => NoBlob,
        /// A claim's MAC or signature does not verify, or its log is not whole.
        13 => BadClaim,
        /// Claims of a majority are missing.
        14 => TooFewClaims,
        /// The chosen log is older than what somebody has seen.
        15 => Rollback,
        /// The chosen log is another one than somebody has seen.
        16 => Fork,
        /// The cluster has a newer epoch than this disk knows.
        17 => OldEpoch,
        /// Witnesses of the epoch start are missing.
        18 => NoWitnesses,
        /// No recovery is under way here.
        19 => NoSession,
        /// It was ended by the operator, or its time was over.
        20 => Ended,
        /// Another process took the session over from its keepers.
        21 => Superseded,
        /// A keeper lost the session: nobody can finish it.
        22 => KeeperLost,
    }
}

impl RecoveryFault {
    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        match self {
            RecoveryFault::OtherSession => {
                "this is for another recovery session, or a drill was mixed with a recovery; fetch the offer again"
            }
            RecoveryFault::OtherManifest => {
                "this is of another dealing than the offer wants; look which share you hold with `custodian status`"
            }
            RecoveryFault::NotCustodian => "nobody with these keys holds a share of this dealing; look which key you signed with",
            RecoveryFault::BadSignature => "the signature does not verify over these words with the key on record",
            RecoveryFault::NotSealedHere => "the share was not sealed to this session's key; fetch the offer again and submit anew",
            RecoveryFault::NotAShare => "what was sealed is no share of this cluster and dealing",
            RecoveryFault::OtherShare => {
                "the share is not the one dealt to this custodian: a wrong, old or altered share; use the right one"
            }
            RecoveryFault::Already => "this custodian's share is in already; nothing has to be done",
            RecoveryFault::TooManyRefused => "too many submissions were refused and the session is over; start another one",
            RecoveryFault::OtherKey => {
                "the shares gave another key than the one that was dealt: a defect, since every share fitted its commitment"
            }
            RecoveryFault::BadBlob => {
                "the stored keys do not open, or no member stored them: the disk was altered; use another node's disk"
            }
            RecoveryFault::NoBlob => "no disk holds the stored keys of this dealing; bring the disk of another member",
            RecoveryFault::BadClaim => "the claim is not authentic, or its log is not whole; bring the disk of another member",
            RecoveryFault::TooFewClaims => {
                "claims of a majority of the voters are missing; bring their disks, or have all custodians accept the loss"
            }
            RecoveryFault::Rollback => "the disks hold less than somebody has seen; bring newer disks",
            RecoveryFault::Fork => "the disks hold another history than somebody has seen: they were altered, or are of another recovery",
            RecoveryFault::OldEpoch => "the cluster was recovered into a newer epoch already; this disk is of the old one",
            RecoveryFault::NoWitnesses => "too few witnesses confirmed the start of the epoch; see that they can be reached",
            RecoveryFault::NoSession => "no recovery and no drill is under way at this node",
            RecoveryFault::Ended => "the session is over; start another one",
            RecoveryFault::Superseded => {
                "another process went on with this session, or began another one with its keepers; look at that one"
            }
            RecoveryFault::KeeperLost => {
                "a keeper that the offer names has lost the session, so nobody can finish it; start another one, and all custodians answer again"
            }
        }
    }
}
