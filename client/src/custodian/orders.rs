//! Who may hold shares: the list of the founding record, and the lists that governors put in its place.
//!
//! Decides: an order counts if enough governors of a policy of the pinned card, the newest or an earlier one, signed it for this cluster and it replaces a list that is known here: the founding record's, or one that an order
//! which counts has named. A dealing has to be to one of these lists, exactly. Which of them is in force the cluster's record alone can say, and a genuine dealer deals to that one.
//! Trusts: the pinned card, whose policy names the governors. Out of scope: making and bringing orders (`cli`), keeping them (`shelf.rs`). Protocol sections 6.1 and 8.

use super::dealing::DealingError;
use crate::card::policies;
use ringwall_attest::{GovernorsError, verify_words};
use ringwall_wire::bounded::List;
use ringwall_wire::custody::{CustodiansOrder, CustodyManifest};
use ringwall_wire::genesis::{ClusterCard, Custodian};
use ringwall_wire::ids::{ClusterId, Digest, SigPublic};
use ringwall_wire::limits::CUSTODIANS;

/// Orders of one cluster that a folder keeps: one a season for more than a decade.
pub const ORDERS_MOST: usize = 64;

/// Custodians in the order of their shares, and how many of them recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    custodians: List<Custodian, CUSTODIANS>,
    threshold: u8,
}

/// Why an order does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named by the message above them")]
pub enum OrderError {
    /// It is for another cluster.
    #[error("the order is for cluster {got}, the card is of {pinned}")]
    OtherCluster { got: ClusterId, pinned: ClusterId },
    /// Too few signed, or somebody who may not.
    #[error("the order does not count: {0}")]
    NotApproved(#[from] GovernorsError),
    /// The list it names cannot hold shares.
    #[error("the order names {custodians} custodians of whom {threshold} recover: at least 2, no more than there are, and nobody twice")]
    Impossible { custodians: usize, threshold: u8 },
    /// It replaces a list nobody here knows.
    #[error(
        "the order replaces list {replaces:.16} of custodians, which is neither the founding record's nor one of an order that was given before: give the orders in the \
         sequence in which they were made"
    )]
    NotNext { replaces: String },
    /// There is no room.
    #[error("this folder keeps {ORDERS_MOST} orders of the cluster, the most it can; keep it and begin a new one")]
    Full,
}

impl OrderError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            OrderError::OtherCluster { .. } => "RW-C-ORDER-OTHER-CLUSTER",
            OrderError::NotApproved(_) => "RW-C-ORDER-NOT-APPROVED",
            OrderError::Impossible { .. } => "RW-C-ORDER-MALFORMED",
            OrderError::NotNext { .. } => "RW-C-ORDER-NOT-NEXT",
            OrderError::Full => "RW-C-ORDER-FULL",
        }
    }
}

impl Listed {
    /// A list that can hold shares.
    pub fn new(custodians: List<Custodian, CUSTODIANS>, threshold: u8) -> Result<Self, OrderError> {
        let impossible = OrderError::Impossible { custodians: custodians.len(), threshold };
        let twice = custodians.iter().enumerate().any(|(at, one)| {
            custodians.iter().take(at).any(|other| other.sig == one.sig || other.kem == one.kem || other.name == one.name)
        });
        match threshold < 2 || usize::from(threshold) > custodians.len() || twice {
            true => Err(impossible),
            false => Ok(Listed { custodians, threshold }),
        }
    }

    /// The founding record's list; none where it names nobody.
    pub fn founded(card: &ClusterCard) -> Option<Self> {
        let template = &card.genesis.template;
        (!template.custodians.is_empty()).then(|| Listed { custodians: template.custodians.clone(), threshold: template.custody_threshold })
    }

    /// The custodians.
    pub fn custodians(&self) -> &List<Custodian, CUSTODIANS> {
        &self.custodians
    }

    /// How many of them recover.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Stands for it in the order that replaces it.
    pub fn digest(&self) -> Digest {
        CustodiansOrder::list_digest(&self.custodians, self.threshold)
    }

    /// What of a manifest is not as this list says: who holds shares, how many recover, and the places.
    fn differs(&self, manifest: &CustodyManifest) -> Option<String> {
        if manifest.threshold != self.threshold {
            return Some(format!("{} shares recover, it says {}", manifest.threshold, self.threshold));
        }
        if manifest.members.len() != self.custodians.len() {
            return Some(format!("{} custodians hold shares, it names {}", manifest.members.len(), self.custodians.len()));
        }
        for (place, (member, named)) in (1_u8..).zip(manifest.members.iter().zip(self.custodians.iter())) {
            if member.custodian != *named {
                return Some(format!(
                    "share {place} is for {} ({}), it names {} ({})",
                    member.custodian.name,
                    member.id(),
                    named.name,
                    named.id()
                ));
            }
            if member.x != place {
                return Some(format!("the share of {} is number {}, it should be {place}", named.name, member.x));
            }
        }
        None
    }
}

/// Whether enough governors of the card's policy signed an order for its cluster, and the list it names can be; who signed.
pub fn approved(card: &ClusterCard, order: &CustodiansOrder) -> Result<(Listed, Vec<SigPublic>), OrderError> {
    let pinned = card.genesis.cluster_id();
    if order.cluster_id != pinned {
        return Err(OrderError::OtherCluster { got: order.cluster_id, pinned });
    }
    let listed = Listed::new(order.custodians.clone(), order.threshold)?;
    // An order counts under the governors of its time. Which list is in force the cluster's record alone can say, and a genuine dealer deals to that one.
    let mut judged =
        policies(card).map(|policy| verify_words(&order.signed_words(), &order.signatures, &policy.governance)).collect::<Vec<_>>();
    let newest = judged.pop().unwrap_or(Err(GovernorsError::NoThreshold));
    let governors = match judged.into_iter().find_map(Result::ok) {
        Some(earlier) if newest.is_err() => earlier,
        _ => newest?,
    };
    Ok((listed, governors))
}

/// The lists that are known: the founding record's first, then those of orders that count, as they follow from each other.
pub fn known(card: &ClusterCard, orders: &[CustodiansOrder]) -> Vec<Listed> {
    let mut known: Vec<Listed> = Listed::founded(card).into_iter().collect();
    let mut rest: Vec<&CustodiansOrder> = orders.iter().take(ORDERS_MOST).collect();
    // Each round takes in those that follow from the rounds before; one that takes in none is the last.
    for _ in 0..ORDERS_MOST {
        let before = rest.len();
        rest.retain(|order| {
            let follows = known.iter().any(|listed| listed.digest() == order.replaces);
            let counts = if follows { approved(card, order).ok() } else { None };
            match counts {
                Some((listed, _)) => {
                    known.push(listed);
                    false
                }
                None => true,
            }
        });
        if rest.len() == before {
            break;
        }
    }
    known
}

/// Judges one more order beside those that are kept.
pub fn follows(card: &ClusterCard, kept: &[CustodiansOrder], order: &CustodiansOrder) -> Result<Listed, OrderError> {
    let (listed, _) = approved(card, order)?;
    if kept.len() >= ORDERS_MOST {
        return Err(OrderError::Full);
    }
    match known(card, kept).iter().any(|known| known.digest() == order.replaces) {
        true => Ok(listed),
        false => Err(OrderError::NotNext { replaces: order.replaces.to_string() }),
    }
}

/// A dealing is to the custodians of a list that is known, in their places, with a share of its own for each.
pub(crate) fn as_named(card: &ClusterCard, orders: &[CustodiansOrder], manifest: &CustodyManifest) -> Result<(), DealingError> {
    let known = known(card, orders);
    // What is said to be wrong is beside the newest list.
    let newest = known.last().ok_or(DealingError::NoCustodians)?;
    if !known.iter().any(|listed| listed.differs(manifest).is_none()) {
        let what = newest.differs(manifest).expect("no list is the same, and so not the newest");
        return Err(DealingError::OtherCustodians { what });
    }
    let mut commitments: Vec<Digest> = manifest.members.iter().map(|member| member.commitment).collect();
    commitments.sort();
    commitments.dedup();
    match commitments.len() == manifest.members.len() {
        true => Ok(()),
        false => Err(DealingError::OtherCustodians { what: "two custodians were given the same share".into() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::policy::GovernorKey;
    use ringwall_sim::custody::{Custody, policy};
    use ringwall_wire::bounded::{Blob, Text};
    use ringwall_wire::codec::Message as _;
    use ringwall_wire::genesis::GenesisTemplate;
    use ringwall_wire::ids::Epoch;
    use ringwall_wire::policy::Governance;
    use ringwall_wire::secret::Secret;

    const NOW_S: u64 = 1_795_521_600;

    fn custodian(number: u8) -> Custodian {
        let name = Text::new(format!("c{number}")).unwrap();
        Custodian { name, sig: SigPublic([number; 32]), kem: Blob::new(vec![number; 1216]).unwrap() }
    }

    fn list(numbers: &[u8]) -> List<Custodian, CUSTODIANS> {
        List::new(numbers.iter().map(|number| custodian(*number)).collect()).unwrap()
    }

    fn governors() -> Vec<GovernorKey> {
        (1..=3).map(|number| GovernorKey::from_seed(Secret::new([number; 32]))).collect()
    }

    fn card() -> ClusterCard {
        let mut policy = policy("genoa-1");
        let keys = governors().iter().map(GovernorKey::public).collect();
        policy.governance = Governance { keys: List::new(keys).unwrap(), threshold: 2, timelock_s: 0, lease_s: 0 };
        let template = GenesisTemplate {
            trust_domain: policy.trust_domain,
            name: Text::new("orders").unwrap(),
            custodians: list(&[1, 2, 3]),
            custody_threshold: 2,
            slots: policy.slots.clone(),
            policy: Digest(policy.digest()),
        };
        Custody::found(template, policy, "genoa-1", 1, NOW_S).card
    }

    fn order(card: &ClusterCard, from: (&[u8], u8), to: (&[u8], u8), signers: &[usize]) -> CustodiansOrder {
        let mut order = CustodiansOrder {
            cluster_id: card.genesis.cluster_id(),
            epoch: Epoch(1),
            replaces: CustodiansOrder::list_digest(&list(from.0), from.1),
            custodians: list(to.0),
            threshold: to.1,
            signatures: List::default(),
        };
        signers.iter().for_each(|at| order.signatures.push(governors()[*at].custodians(&order)).unwrap());
        order
    }

    #[test]
    fn lists_follow_from_the_founding_record_by_orders_that_count() {
        let card = card();
        let (first, second) =
            (order(&card, (&[1, 2, 3], 2), (&[1, 2, 4], 2), &[0, 1]), order(&card, (&[1, 2, 4], 2), (&[1, 4, 5], 3), &[1, 2]));
        let founded = Listed::founded(&card).unwrap();
        assert_eq!(known(&card, &[]), [founded]);
        for orders in [[first.clone(), second.clone()], [second.clone(), first.clone()]] {
            let lists: Vec<u8> = known(&card, &orders).iter().map(Listed::threshold).collect();
            assert_eq!(lists, [2, 2, 3], "in whichever order they lie");
        }
        assert_eq!(known(&card, std::slice::from_ref(&second)).len(), 1, "one is missing between");
        assert!(matches!(follows(&card, &[], &second), Err(OrderError::NotNext { .. })));
        assert_eq!(follows(&card, std::slice::from_ref(&first), &second).unwrap().threshold(), 3);
        let one = order(&card, (&[1, 2, 3], 2), (&[1, 2, 4], 2), &[0]);
        assert!(matches!(follows(&card, &[], &one), Err(OrderError::NotApproved(GovernorsError::TooFew { .. }))));
        assert_eq!(known(&card, &[one]).len(), 1);
        let mut changed = first.clone();
        changed.threshold = 3;
        assert!(matches!(follows(&card, &[], &changed), Err(OrderError::NotApproved(GovernorsError::BadSignature { .. }))));
        let mut elsewhere = first;
        elsewhere.cluster_id = ClusterId([9; 32]);
        assert!(matches!(follows(&card, &[], &elsewhere), Err(OrderError::OtherCluster { .. })));
        for (numbers, threshold) in [(&[1, 2][..], 1), (&[1, 2], 3), (&[1, 1], 2), (&[], 0)] {
            let wrong = order(&card, (&[1, 2, 3], 2), (numbers, threshold), &[0, 1]);
            assert!(matches!(follows(&card, &[], &wrong), Err(OrderError::Impossible { .. })), "{numbers:?} {threshold}");
        }
    }
}
