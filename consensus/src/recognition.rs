//! Whom a session belongs to, and what this replica shows of itself: its answers to the node that opens sessions.
//!
//! Decides: the order of questions. Who is on record, named or shown is a member, with one key; who may have been admitted later than is
//! applied here is asked for its admission, link by link; who was retired is shown its successor's admission; everybody else is refused.
//! A proof is asked for again only while it brings something new. Nobody is out by another's word: a replica that is told so wants
//! to see its successor's admission. Trusts: that evidence, name and key of a session were judged before. Out of scope: the rules
//! themselves (`gate`, `shown`). Protocol section 4.4.

use crate::gate::{Known, Stopped};
use crate::machine::raft::Readers;
use crate::machine::roster::Roster;
use crate::machine::view::{MemberRow, MemberStanding};
use crate::replica::{Inner, Replica, member_of};
use crate::shown::{Granted, LinkFault, Occupant};
use ringwall_wire::admission::{AdmissionLink, AdmissionProof};
use ringwall_wire::bounded::List;
use ringwall_wire::ids::{Incarnation, NoisePublic, Slot};
use ringwall_wire::limits::ADMISSION_LINKS;
use ringwall_wire::peer::NamedMember;
use std::sync::{Arc, PoisonError, Weak};

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
    /// A member that was retired, with its key: it may be told so, and nothing it says counts.
    Out,
    /// Nobody this replica will listen to.
    Refused(Unrecognized),
}

/// What a replica that is told it is out makes of what it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Succession {
    /// This incarnation was admitted to its slot.
    By(Incarnation),
    /// Nothing of that so far: what the log admitted after this index may follow.
    Unproven {
        /// The index.
        after: u64,
    },
    /// It is not shown: this replica goes on.
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
    /// The record retired it.
    #[error("incarnation {0} was retired")]
    Retired(Incarnation),
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
            if let Err(fault) = self.inner().take(link, through) {
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
            other @ (Recognition::Out | Recognition::Refused(_)) => other,
        }
    }

    /// What shows one that was retired that it is: the admissions after `after`, up to that of the next incarnation in its slot, oldest
    /// first. Empty for whoever was not retired, or is not on record any more.
    pub fn successor(&self, who: Incarnation, after: u64) -> AdmissionProof {
        let roster = self.inner().readers.published().roster;
        let retired = roster.members.get(&who).filter(|row| row.standing == MemberStanding::Retired);
        let next = retired.and_then(|old| roster.members.values().find(|row| row.incarnation > who && row.cert.slot == old.cert.slot));
        let links = next.and_then(link_of).map_or_else(Vec::new, |link| links_through(&roster, after, link));
        AdmissionProof { links: List::new(links).expect("cut to the limit") }
    }

    /// Whether anybody who is believed here has this key: decides how much a dialler may cost before it is judged.
    pub fn knows_key(&self, noise: &NoisePublic) -> bool {
        self.inner().known(|known| known.occupants(false).iter().any(|(_, held)| held.noise == *noise))
    }

    /// What shows this replica's admission to others.
    pub fn prover(&self) -> Prover {
        let inner = self.inner();
        let (readers, granted) = (Arc::clone(&inner.readers), inner.options.granted.clone());
        Prover { readers, me: inner.options.me, granted, replica: self.downgraded() }
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

impl Inner {
    /// Takes a link by AP1 to AP6, and gives what is believed of its incarnation; of one that was believed before, what was.
    fn take(&self, link: &AdmissionLink, after: u64) -> Result<Occupant, LinkFault> {
        let who = Incarnation::new(self.options.me.epoch(), link.admit_index);
        let judged = |known: &Known<'_>| match known.vouched(who) {
            Ok(held) if held.noise != link.cert.keys.noise => Err(LinkFault::OtherKey),
            Ok(_) if link.admission.at <= after => Err(LinkFault::Order { at: link.admission.at, after }),
            Ok(held) => Ok((held, false)),
            Err(_) => known.verify(&self.options.cluster_id, link, after).map(|occupant| (occupant, true)),
        };
        let (occupant, new) = self.known(judged)?;
        if new {
            let published = self.readers.published();
            let open = |other: Incarnation| published.is_open(other.admit_index());
            self.shown.write().unwrap_or_else(PoisonError::into_inner).insert(who, occupant, open);
        }
        Ok(occupant)
    }
}

/// Shows the admission of this replica, and of those it rests on; judges what it is shown of its own end.
#[derive(Clone)]
pub struct Prover {
    readers: Arc<Readers>,
    me: Incarnation,
    granted: Option<Arc<Granted>>,
    replica: Weak<Inner>,
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
            Some(Some(own)) => links_through(&roster, after, own),
        };
        AdmissionProof { links: List::new(links).expect("cut to the limit") }
    }

    /// The index after which admissions may be unknown here: what one that is told it is out asks for first.
    pub fn through(&self) -> u64 {
        self.replica.upgrade().map_or(0, |inner| inner.known(|known| known.through()))
    }

    /// Judges what a member showed that says this incarnation, in `slot`, is out; it was asked for what follows `after`. The slot of a
    /// link counts as it is believed, not as it is written: a link of somebody known needs no verdicts.
    pub fn succession(&self, slot: Slot, proof: &AdmissionProof, after: u64) -> Succession {
        let not_shown = || Succession::Refused(Unrecognized::NotShown(self.me));
        let Some(inner) = self.replica.upgrade() else { return not_shown() };
        let mut through = after;
        for link in proof.links.iter() {
            let who = Incarnation::new(self.me.epoch(), link.admit_index);
            match inner.take(link, through) {
                Ok(believed) if believed.slot == slot && who > self.me => return Succession::By(who),
                Ok(_) => through = link.admission.at,
                Err(fault) => return Succession::Refused(Unrecognized::Link { link: who, fault }),
            }
        }
        match proof.links.len() == ADMISSION_LINKS {
            true => Succession::Unproven { after: through },
            false => not_shown(),
        }
    }
}

/// What was admitted after `after` and before `last`, in the order of the log, and `last`; cut to what one message shows.
fn links_through(roster: &Roster, after: u64, last: AdmissionLink) -> Vec<AdmissionLink> {
    let within = |link: &AdmissionLink| link.admission.at > after && link.admission.at < last.admission.at;
    let mut links: Vec<AdmissionLink> = roster.members.values().filter_map(link_of).filter(within).collect();
    links.sort_by_key(|link| link.admission.at);
    links.push(last);
    links.truncate(ADMISSION_LINKS);
    links
}

/// The admission of an incarnation on record; none for a founder.
pub(crate) fn link_of(row: &MemberRow) -> Option<AdmissionLink> {
    let admission = row.admission.clone()?;
    Some(AdmissionLink { admit_index: row.incarnation.admit_index(), cert: row.cert.clone(), admission })
}
