//! What an order of the governors changes in an admission: the slot's incumbent is not asked whether it answers.
//!
//! Decides: an order that holds is proposed with the joiner, and every replica judges it again while it applies the proposal. One that
//! does not hold refuses the joiner by name, with one exception: an order that does not name the slot's incumbent is left aside, and the joiner is
//! treated like any other. An order is used up by its own success, and a node that was started with it must be able to restart.
//! A leader that is itself ordered away hands leadership over first: whoever is replaced does not conduct it.
//! Trusts: what is applied here. Out of scope: counting signatures (`attest`), where an order holds (`consensus`). Protocol section 4.3, step 6.

use crate::context::Node;
use crate::join::leader::{NotAdmitted, refused};
use ringwall_wire::ids::Slot;
use ringwall_wire::order::{OrderFault, ReplaceOrder};
use ringwall_wire::session::RefusalCode;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Longest wait until another member leads.
const HAND_OVER: Duration = Duration::from_secs(3);

/// The order a joiner came with, judged.
pub(crate) enum Order {
    /// It came with none.
    None,
    /// It holds now.
    Holds(Box<ReplaceOrder>),
    /// It names an incarnation that is not the slot's incumbent: most likely the one it replaced.
    UsedUp,
}

impl Order {
    /// The refusal where the incumbent answers and nothing orders it away.
    pub(crate) fn occupied(&self) -> NotAdmitted {
        match self {
            Order::UsedUp => refused(RefusalCode::OrderRefused, OrderFault::OtherIncumbent.words()),
            Order::None | Order::Holds(_) => refused(
                RefusalCode::SlotOccupied,
                "the slot's incumbent answers; stop it, use another slot, or bring the governors' order to replace it",
            ),
        }
    }

    /// What the proposal carries.
    pub(crate) fn into_proposal(self) -> Option<ReplaceOrder> {
        match self {
            Order::Holds(order) => Some(*order),
            Order::None | Order::UsedUp => None,
        }
    }
}

/// Judges the order a joiner for `slot` came with.
pub(crate) fn judge(node: &Node, order: Option<ReplaceOrder>, slot: Slot) -> Result<Order, NotAdmitted> {
    let Some(order) = order else { return Ok(Order::None) };
    match node.replica.order_holds(&order, slot) {
        Ok(()) => {
            info!(%slot, incumbent = %order.incumbent, "the governors ordered the incumbent to be replaced");
            Ok(Order::Holds(Box::new(order)))
        }
        Err(OrderFault::OtherIncumbent) => {
            info!(%slot, named = %order.incumbent, "an order that does not name the slot's incumbent is left aside");
            Ok(Order::UsedUp)
        }
        Err(fault) => {
            warn!(%slot, why = fault.words(), "an order was refused");
            Err(refused(RefusalCode::OrderRefused, fault.words()))
        }
    }
}

/// This node leads and is the incumbent that has to go: another member leads first, and the joiner is sent there.
pub(crate) async fn step_aside(node: &Arc<Node>) -> NotAdmitted {
    info!("this node is ordered away and leads: leadership is handed over first");
    match tokio::time::timeout(HAND_OVER, node.replica.hand_over()).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => warn!(%fault, "leadership was not handed over"),
        Err(_) => warn!("leadership was not handed over in time"),
    }
    let metrics = node.replica.metrics();
    match metrics.led_by().filter(|leader| leader.incarnation != node.incarnation) {
        Some(leader) => NotAdmitted::Elsewhere(leader.member.peer_address.clone()),
        None => refused(RefusalCode::Unavailable, "the leader is ordered away and hands over; try again, with new keys"),
    }
}
