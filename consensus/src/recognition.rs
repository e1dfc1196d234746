//! Whom a session belongs to, and what this replica shows of itself: its answers to the node that opens sessions.
//!
//! Decides: the order of questions. Who is on record, named or shown is a member, with one key; who may have been admitted later than is
//! applied here is asked for its admission, link by link; everybody else is refused. A proof is asked for again only while it brings
//! something new. Trusts: that evidence, name and key of a session were judged before. Out of scope: the rules themselves (`gate`,
//! `shown`). Protocol section 4.4.

use crate::gate::{Known, Stopped};
use crate::machine::raft::Readers;
use crate::machine::view::{MemberRow, MemberStanding};
use crate::replica::{Replica, member_of};
use crate::shown::{Granted, LinkFault};
use ringwall_wire::admission::{AdmissionLink, AdmissionProof};
use ringwall_wire::bounded::List;
use ringwall_wire::ids::{Incarnation, NoisePublic};
use ringwall_wire::limits::ADMISSION_LINKS;
use ringwall_wire::peer::NamedMember;
use std::sync::{Arc, PoisonError};

/// Whom a session belongs to, as far as this replica can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// A member, with this key.
    Member,
    /// Its admission lies beyond what is known here: it may show what the log admitted after this index.
    Unproven {
        /// The index.
        after: u64,
    },
    /// Nobody this replica will listen to.
    Refused(Unrecognized),
}

/// Why nobody is listened to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognized {
    /// Its name alone is enough.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The name belongs to another key.
    #[error("incarnation {0} has another key")]
    OtherKey(Incarnation),
    /// It was asked for its admission, and what it showed ends before it.
    #[error("incarnation {0} showed no admission of itself")]
    NotShown(Incarnation),
    /// A link of its proof is not taken.
    #[error("the admission of incarnation {link} that it showed is not taken: {fault}")]
    Link {
        /// Which link.
        link: Incarnation,
        /// The rule it breaks.
        fault: LinkFault,
    },
}

impl Replica {
    /// Whom a session with this name and key belongs to.
    pub fn recognise(&self, who: Incarnation, noise: &NoisePublic) -> Recognition {
        self.inner().known(|known| known.recognise(who, noise))
    }

    /// Looks at what `who` showed after it was asked for what follows `after`, and says the same again: it is a member now, or may go
    /// on showing, or is refused. Links that were taken stay believed until the record says more.
    pub fn prove(&self, who: Incarnation, noise: &NoisePublic, proof: &AdmissionProof, after: u64) -> Recognition {
        let mut through = after;
        for link in proof.links.iter() {
            if let Err(fault) = self.take(link, through) {
                let link = Incarnation::new(who.epoch(), link.admit_index);
                return Recognition::Refused(Unrecognized::Link { link, fault });
            }
            through = link.admission.at;
        }
        match self.recognise(who, noise) {
            Recognition::Member => {
                self.inner().shown.write().unwrap_or_else(PoisonError::into_inner).presented(who);
                Recognition::Member
            }
            Recognition::Unproven { .. } if proof.links.len() == ADMISSION_LINKS => Recognition::Unproven { after: through },
            Recognition::Unproven { .. } => Recognition::Refused(Unrecognized::NotShown(who)),
            refused @ Recognition::Refused(_) => refused,
        }
    }

    fn take(&self, link: &AdmissionLink, after: u64) -> Result<(), LinkFault> {
        let who = Incarnation::new(self.inner().options.me.epoch(), link.admit_index);
        let judged = |known: &Known<'_>| match known.vouched(who) {
            Ok(held) if held.noise != link.cert.keys.noise => Err(LinkFault::OtherKey),
            Ok(_) if link.admission.at <= after => Err(LinkFault::Order { at: link.admission.at, after }),
            Ok(_) => Ok(None),
            Err(_) => known.verify(&self.inner().options.cluster_id, link, after).map(Some),
        };
        if let Some(occupant) = self.inner().known(judged)? {
            let published = self.inner().readers.published();
            let open = |other: Incarnation| published.is_open(other.admit_index());
            self.inner().shown.write().unwrap_or_else(PoisonError::into_inner).insert(who, occupant, open);
        }
        Ok(())
    }

    /// Whether anybody who is believed here has this key: decides how much a dialler may cost before it is judged.
    pub fn knows_key(&self, noise: &NoisePublic) -> bool {
        self.inner().known(|known| known.occupants(false).iter().any(|(_, held)| held.noise == *noise))
    }

    /// What shows this replica's admission to others.
    pub fn prover(&self) -> Prover {
        let inner = self.inner();
        Prover { readers: Arc::clone(&inner.readers), me: inner.options.me, granted: inner.options.granted.clone() }
    }

    /// What a joiner that was admitted as `who` is told with its keys, as of now.
    pub fn grant(&self, who: Incarnation) -> Granted {
        let published = self.inner().readers.published();
        let live = published.roster.members.values().filter(|row| row.standing == MemberStanding::Live);
        let members = live.map(|row| NamedMember { incarnation: row.incarnation, member: member_of(&row.cert) }).collect();
        let voting = self.inner().known(|known| known.voting().into_iter().collect());
        Granted { members, voting, admission: published.roster.members.get(&who).and_then(link_of) }
    }
}

/// Shows the admission of this replica, and of those it rests on.
#[derive(Clone)]
pub struct Prover {
    pub(crate) readers: Arc<Readers>,
    pub(crate) me: Incarnation,
    pub(crate) granted: Option<Arc<Granted>>,
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Prover({})", self.me)
    }
}

impl Prover {
    /// What the log admitted after `after`, up to this incarnation, oldest first; at least its own admission. Empty for a founder,
    /// whom everybody knows by record or grant.
    pub fn proof(&self, after: u64) -> AdmissionProof {
        let roster = self.readers.published().roster;
        let granted = self.granted.iter().filter_map(|granted| granted.admission.clone());
        let links = match roster.members.get(&self.me).map(link_of) {
            Some(None) => Vec::new(),
            None => granted.collect(),
            Some(Some(own)) => {
                let upto = own.admission.at;
                let within = |link: &AdmissionLink| link.admission.at > after && link.admission.at < upto;
                let mut links: Vec<AdmissionLink> = roster.members.values().filter_map(link_of).filter(within).collect();
                links.sort_by_key(|link| link.admission.at);
                links.push(own);
                links.truncate(ADMISSION_LINKS);
                links
            }
        };
        AdmissionProof { links: List::new(links).expect("cut to the limit") }
    }
}

/// The admission of an incarnation on record; none for a founder.
pub(crate) fn link_of(row: &MemberRow) -> Option<AdmissionLink> {
    let admission = row.admission.clone()?;
    Some(AdmissionLink { admit_index: row.incarnation.admit_index(), cert: row.cert.clone(), admission })
}
