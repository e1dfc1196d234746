//! What every replica of a cluster is opened with and no entry changes: the cluster's name, whose orders hold, who the first custodians are.
//!
//! Decides: that all of it is the same function in every replica, since entries are judged by it while they are applied. Trusts: the caller to
//! take it from the cluster's founding documents, which the cluster id pins. Out of scope: counting signatures (`attest`, which this crate
//! does not know); a policy that changes, with which the judges become part of the state. Protocol sections 4.3 and 6.1.

use ringwall_wire::bounded::List;
use ringwall_wire::custody::CustodyManifest;
use ringwall_wire::genesis::{Custodian, GenesisTemplate};
use ringwall_wire::ids::ClusterId;
use ringwall_wire::limits::CUSTODIANS;
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::policy::Approval;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Judges whether enough governors signed an order: by the order and the cluster's first policy alone.
pub type OrderJudge = Arc<dyn Fn(&ReplaceOrder) -> Result<(), OrderFault> + Send + Sync>;
/// Judges whether enough governors signed these words: by words, signatures and the cluster's first policy alone.
pub type GovernorsJudge = Arc<dyn Fn(&[u8], &[Approval]) -> Result<(), OrderFault> + Send + Sync>;

/// A cluster without governors: no order holds in it.
pub fn no_governors() -> OrderJudge {
    Arc::new(|_| Err(OrderFault::NoGovernors))
}

/// The same, for other words.
pub fn nobody_governs() -> GovernorsJudge {
    Arc::new(|_, _| Err(OrderFault::NoGovernors))
}

/// Who has to hold shares of the recovery key, and how many of them recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustodyTerms {
    /// They, in the order of their shares.
    pub custodians: List<Custodian, CUSTODIANS>,
    /// Shares that recover.
    pub threshold: u8,
}

impl CustodyTerms {
    /// Terms under which something can be dealt: at least two must come together, there are that many, and nobody stands twice.
    pub fn new(custodians: List<Custodian, CUSTODIANS>, threshold: u8) -> Option<Self> {
        let names: BTreeSet<_> = custodians.iter().map(Custodian::id).collect();
        let keys: BTreeSet<_> = custodians.iter().map(|custodian| custodian.sig).collect();
        let possible = threshold >= 2 && usize::from(threshold) <= custodians.len();
        (possible && names.len() == custodians.len() && keys.len() == custodians.len()).then_some(CustodyTerms { custodians, threshold })
    }

    /// What the founding record says; none if it names no custodians.
    pub fn of(template: &GenesisTemplate) -> Option<Self> {
        Self::new(template.custodians.clone(), template.custody_threshold)
    }

    /// Whether a manifest deals to exactly these, in this order, with shares from 1.
    pub fn are_named_by(&self, manifest: &CustodyManifest) -> bool {
        let named = manifest.members.iter().map(|member| (&member.custodian, usize::from(member.x)));
        manifest.threshold == self.threshold && named.eq(self.custodians.iter().zip(1_usize..))
    }
}

/// The same in every replica of a cluster.
#[derive(Clone)]
pub(crate) struct Charter {
    pub(crate) cluster_id: ClusterId,
    pub(crate) orders: OrderJudge,
    pub(crate) governors: GovernorsJudge,
    pub(crate) custody: Option<Arc<CustodyTerms>>,
}

impl Charter {
    /// Of a cluster without governors and without custodians.
    pub(crate) fn plain(cluster_id: ClusterId) -> Self {
        Charter { cluster_id, orders: no_governors(), governors: nobody_governs(), custody: None }
    }
}

impl fmt::Debug for Charter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Charter({})", self.cluster_id)
    }
}
