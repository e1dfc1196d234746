//! Admission proofs: what a replica believes of incarnations its own record does not reach, and what it shows of its own.
//!
//! Decides: rules AP1 to AP7 of protocol section 4.4. A link is taken when the verdicts under it are those of incarnations believed already
//! or shown before, as many and of such vendors as the log must have asked for, as far as this replica can know. No rule is stricter
//! than the log's own (`machine::roster`): a refused leader could leave a group without one (decision 0021).
//! Trusts: the record, the effective membership and the key grant; nothing a presenter says that is under nobody's signature.
//! Out of scope: evidence and the session's key, which were judged before (`node`); who may do what then (`gate`).

use crate::defects::{self, Defect};
use crate::gate::{Known, Stopped};
use crate::machine::roster::signed;
use crate::machine::view::{MemberRow, MemberStanding};
use ringwall_wire::admission::{AdmissionLink, IncarnationCert};
use ringwall_wire::ids::{ClusterId, Incarnation, NoisePublic, SigPublic, Slot, Vendor};
use ringwall_wire::peer::{Member, NamedMember};
use std::collections::{BTreeMap, BTreeSet};

/// Incarnations that are believed by a proof at once: as many as a record holds. The oldest go first.
pub(crate) const SHOWN: usize = 1_024;
/// Verdicts an admission needs where there are that many slots to judge.
const VERDICTS: usize = 2;

/// What a joiner was told with its keys: it stands for the record until the joiner's own proposal is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Every incarnation that was live then.
    pub members: Vec<NamedMember>,
    /// Slots that had a voter then.
    pub voting: Vec<Slot>,
    /// The joiner's own admission.
    pub admission: Option<AdmissionLink>,
}

/// The rule a link breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// AP1: this replica's grant does not name it, and it is older than this replica.
    #[error("it is older than this member, whose key grant does not name it")]
    NotNamed,
    /// AP2.
    #[error("it is said to be decided at {at}, which does not follow {after}")]
    Order {
        /// Where.
        at: u64,
        /// After what it had to be.
        after: u64,
    },
    /// AP2: its index is applied here, and is no such proposal.
    #[error("its index is applied here and proposes something else, or nothing that can still be admitted")]
    OtherProposal,
    /// AP3 and AP4.
    #[error("{counted} verdicts of voters known here count, {needed} are needed")]
    TooFew {
        /// That many count.
        counted: usize,
        /// That many must.
        needed: usize,
    },
    /// AP5.
    #[error("no verdict of a voter on another vendor's machine")]
    NoOtherVendor,
    /// AP6.
    #[error("its keys are those of incarnation {0}")]
    KeysKnown(Incarnation),
    /// The name of a link belongs to somebody with another key.
    #[error("the incarnation of that name has another key")]
    OtherKey,
}

/// What rules need to know of an incarnation that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupant {
    pub(crate) slot: Slot,
    pub(crate) vendor: Vendor,
    pub(crate) noise: NoisePublic,
    pub(crate) sig: SigPublic,
}

impl From<&IncarnationCert> for Occupant {
    fn from(cert: &IncarnationCert) -> Self {
        Occupant { slot: cert.slot, vendor: cert.vendor, noise: cert.keys.noise, sig: cert.keys.sig }
    }
}

impl From<&Member> for Occupant {
    fn from(member: &Member) -> Self {
        Occupant { slot: member.slot, vendor: member.vendor, noise: member.noise, sig: member.sig }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    occupant: Occupant,
    presented: bool,
}

/// Incarnations that are believed because their admission was shown. In memory only, like everything an incarnation knows.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) entries: BTreeMap<Incarnation, Entry>,
}

impl Shown {
    /// AP7: of one slot, the newest that presented itself is heard, and no older one.
    pub(crate) fn get(&self, who: Incarnation) -> Option<Occupant> {
        let entry = self.entries.get(&who)?;
        let newer = |(other, held): (&Incarnation, &Entry)| *other > who && held.presented && held.occupant.slot == entry.occupant.slot;
        (!self.entries.iter().any(newer)).then_some(entry.occupant)
    }

    fn occupants(&self) -> impl Iterator<Item = (Incarnation, Occupant)> + '_ {
        self.entries.iter().map(|(who, entry)| (*who, entry.occupant))
    }

    /// Takes an incarnation in whose link was taken, and forgets those for which `needed` says no.
    pub(crate) fn insert(&mut self, who: Incarnation, occupant: Occupant, needed: impl Fn(Incarnation) -> bool) {
        self.entries.retain(|other, _| needed(*other));
        while self.entries.len() >= SHOWN {
            self.entries.pop_first();
        }
        self.entries.entry(who).or_insert(Entry { occupant, presented: false });
    }

    /// Notes that it spoke for itself.
    pub(crate) fn presented(&mut self, who: Incarnation) {
        if let Some(entry) = self.entries.get_mut(&who) {
            entry.presented = true;
        }
    }
}

/// The base of AP1, and the rules that look at it.
impl Known<'_> {
    /// The grant, while it stands for the record: until this replica's own proposal is applied.
    pub(crate) fn learning(&self) -> Option<&Granted> {
        self.granted.filter(|_| self.published.applied < self.me.admit_index())
    }

    /// Whom the grant named.
    pub(crate) fn named(&self, who: Incarnation) -> Option<Occupant> {
        let named = self.granted?.members.iter().find(|named| named.incarnation == who)?;
        Some(Occupant::from(&named.member))
    }

    /// The index after which admissions may be unknown here.
    pub(crate) fn through(&self) -> u64 {
        if self.learning().is_some() { self.me.admit_index() } else { self.published.applied }
    }

    /// AP3: believed, and more than proposed. What this says of keys is what verdicts are verified under.
    pub(crate) fn vouched(&self, who: Incarnation) -> Result<Occupant, Stopped> {
        if who.epoch() != self.me.epoch() {
            return Err(Stopped::OtherEpoch { sender: who.epoch().0, ours: self.me.epoch().0 });
        }
        if self.learning().is_some() {
            match self.named(who) {
                Some(occupant) => return Ok(occupant),
                None if who.admit_index() <= self.me.admit_index() => return Err(Stopped::NotNamed(who)),
                None => {}
            }
        }
        match self.published.roster.members.get(&who) {
            Some(MemberRow { standing: MemberStanding::Live, cert, .. }) => return Ok(Occupant::from(cert)),
            Some(_) => return Err(Stopped::Out(who)),
            None => {}
        }
        if let Some(member) = self.effective.get_node(&who) {
            return Ok(Occupant::from(member));
        }
        match self.published.is_open(who.admit_index()) {
            true => self.named(who).or_else(|| self.shown.get(who)).ok_or(Stopped::Unproven(who)),
            false => Err(Stopped::Unknown(who)),
        }
    }

    /// Everybody who may stand in a slot, by the record, the grant and what was shown. With `out`, also those who do no more.
    pub(crate) fn occupants(&self, out: bool) -> Vec<(Incarnation, Occupant)> {
        let rows = self.published.roster.members.values();
        let rows = rows.filter(|row| out || row.standing == MemberStanding::Live || self.published.voters.contains(&row.incarnation));
        let named = self.granted.into_iter().flat_map(|granted| &granted.members);
        let named = named.filter(|named| self.learning().is_some() || self.published.is_open(named.incarnation.admit_index()));
        let effective = self.effective.nodes().filter(|_| self.learning().is_none());
        // What a learner replays is ancient: its grant stands for it.
        let rows = rows.filter(|_| out || self.learning().is_none()).map(|row| (row.incarnation, Occupant::from(&row.cert)));
        let named = named.map(|named| (named.incarnation, Occupant::from(&named.member)));
        let effective = effective.map(|(who, member)| (*who, Occupant::from(member)));
        rows.chain(named).chain(effective).chain(self.shown.occupants()).collect()
    }

    /// Slots that have a voter, as far as is applied here.
    pub(crate) fn voting(&self) -> BTreeSet<Slot> {
        if let Some(granted) = self.learning() {
            return granted.voting.iter().copied().collect();
        }
        let slot_of = |who: &Incarnation| {
            let row = self.published.roster.members.get(who).map(|row| row.cert.slot);
            row.or_else(|| self.effective.get_node(who).map(|member| member.slot))
        };
        self.published.voters.iter().filter_map(slot_of).collect()
    }

    /// Whether a link is taken, by AP1 to AP6. `after` is where the last one was decided.
    pub(crate) fn verify(&self, cluster_id: &ClusterId, link: &AdmissionLink, after: u64) -> Result<Occupant, LinkFault> {
        let (who, at) = (Incarnation::new(self.me.epoch(), link.admit_index), link.admission.at);
        let occupant = Occupant::from(&link.cert);
        if at <= after || at <= link.admit_index || who.admit_index() != link.admit_index {
            return Err(LinkFault::Order { at, after: after.max(link.admit_index) });
        }
        match self.learning() {
            Some(_) if link.admit_index <= self.me.admit_index() => return Err(LinkFault::NotNamed),
            Some(_) => {}
            None => self.as_proposed(link)?,
        }
        let same_key =
            |(other, held): &(Incarnation, Occupant)| *other != who && (held.noise == occupant.noise || held.sig == occupant.sig);
        if let Some((other, _)) = self.occupants(true).into_iter().find(same_key) {
            return Err(LinkFault::KeysKnown(other));
        }
        match self.endorsed(cluster_id, link) {
            Err(fault) if !defects::on(Defect::AnyProof) => Err(fault),
            _ => Ok(occupant),
        }
    }

    /// AP2: where the index of a link is applied here, the record knows what was proposed there.
    fn as_proposed(&self, link: &AdmissionLink) -> Result<(), LinkFault> {
        if link.admit_index > self.published.applied {
            return Ok(());
        }
        let roster = &self.published.roster;
        let proposed = roster.proposals.get(&link.admit_index).map(|row| &row.propose);
        let same = proposed.is_some_and(|propose| propose.cert == link.cert && propose.evidence == link.admission.evidence);
        match same && roster.may_be_admitted(link.admit_index, self.published.applied) {
            true => Ok(()),
            false => Err(LinkFault::OtherProposal),
        }
    }

    /// AP3 to AP5: the least the log can have asked for.
    fn endorsed(&self, cluster_id: &ClusterId, link: &AdmissionLink) -> Result<(), LinkFault> {
        let words = link.signed_bytes(cluster_id);
        let mut counted: BTreeMap<Incarnation, Vendor> = BTreeMap::new();
        for verdict in link.admission.verdicts.iter() {
            if let Ok(voter) = self.vouched(verdict.by)
                && voter.slot != link.cert.slot
                && signed(&voter.sig, &words, &verdict.signature)
            {
                counted.insert(verdict.by, voter.vendor);
            }
        }
        let others: Vec<Slot> = self.voting().into_iter().filter(|slot| *slot != link.cert.slot).collect();
        let needed = VERDICTS.min(others.len()).max(1);
        if counted.len() < needed {
            return Err(LinkFault::TooFew { counted: counted.len(), needed });
        }
        let occupants = self.occupants(false);
        let foreign = |slot: &Slot| {
            let mut here = occupants.iter().filter(|(_, held)| held.slot == *slot).peekable();
            here.peek().is_some() && here.all(|(_, held)| held.vendor != link.cert.vendor)
        };
        match others.iter().any(foreign) && counted.values().all(|vendor| *vendor == link.cert.vendor) {
            true => Err(LinkFault::NoOtherVendor),
            false => Ok(()),
        }
    }
}
