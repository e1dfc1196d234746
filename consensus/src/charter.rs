//! What every replica of a cluster is opened with and no entry changes: the cluster's name, and whose orders hold.
//!
//! Decides: that all are the same function in every replica, since entries are judged by them while they are applied. Trusts: the caller to
//! take them from the cluster's founding documents, which the cluster id pins. Out of scope: counting signatures (`attest`, which this crate
//! does not know); a policy that changes, with which the judge becomes part of the state. Protocol section 4.3.

use ringwall_wire::ids::ClusterId;
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::workload::{GrantOrder, GrantPolicy, SetFault};
use std::fmt;
use std::sync::Arc;

/// Judges whether enough governors signed an order: by the order and the cluster's first policy alone.
pub type OrderJudge = Arc<dyn Fn(&ReplaceOrder) -> Result<(), OrderFault> + Send + Sync>;

/// A cluster without governors: no order holds in it.
pub fn no_governors() -> OrderJudge {
    Arc::new(|_| Err(OrderFault::NoGovernors))
}

/// Judges whether enough governors signed an order about a workload key, and reads the policy in it: by the order and the cluster's first
/// policy alone.
pub type GrantJudge = Arc<dyn Fn(&GrantOrder) -> Result<GrantPolicy, SetFault> + Send + Sync>;

/// A cluster without governors: no workload key can be made in it.
pub fn no_grants() -> GrantJudge {
    Arc::new(|_| Err(SetFault::Order(OrderFault::NoGovernors)))
}

/// The same in every replica of a cluster.
#[derive(Clone)]
pub(crate) struct Charter {
    pub(crate) cluster_id: ClusterId,
    pub(crate) orders: OrderJudge,
    pub(crate) grants: GrantJudge,
}

impl fmt::Debug for Charter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Charter({})", self.cluster_id)
    }
}
