//! An order of the governors: replace the incumbent of a slot although it still answers.
//!
//! Decides: the words a governor signs. They name the cluster, the epoch, the slot and the very incarnation that has to go, so an order is
//! used up by what it orders: afterwards that incarnation is nobody's incumbent any more. An order may end at a log index; no clock is asked.
//! It says who leaves and never who comes: who may come is the policy's word and the endorsers'.
//! Trusts: nothing. Out of scope: counting signatures (`attest`), where an order holds (`consensus`). Protocol section 4.3, step 6.

use crate::bounded::List;
use crate::codec::{Field as _, enc};
use crate::ids::{ClusterId, Epoch, Incarnation, Slot};
use crate::label::Label;
use crate::limits::GOVERNORS;
use crate::policy::Approval;
use crate::{choice, message};
use alloc::vec::Vec;

message! {
    /// The order and the governors who sign it; made and read by `ringwall slot`.
    pub struct ReplaceOrder = ReplaceOrder {
        /// In which cluster.
        pub cluster_id: ClusterId,
        /// In which epoch.
        pub epoch: Epoch,
        /// Whose place.
        pub slot: Slot,
        /// Who has to leave it.
        pub incumbent: Incarnation,
        /// Last log index at which a joiner may be proposed with it; none: for as long as the incumbent is one.
        pub last_index: Option<u64>,
        /// Signatures, in no particular order.
        pub signatures: List<Approval, GOVERNORS>,
    }
}

impl ReplaceOrder {
    /// What every governor signs: all of the order but the signatures.
    pub fn signed_words(&self) -> Vec<u8> {
        let (epoch, slot) = (self.epoch.to_bytes(), self.slot.to_bytes());
        let (incumbent, last_index) = (self.incumbent.to_bytes(), self.last_index.to_bytes());
        enc(Label::ReplaceOrderSigned, &[&self.cluster_id.0, &epoch, &slot, &incumbent, &last_index])
    }
}

choice! {
    /// Why an order does not hold. Every replica comes to the same answer.
    #[derive(Copy)]
    pub enum OrderFault {
        /// It is for another cluster.
        1 => OtherCluster,
        /// It is for another epoch.
        2 => OtherEpoch,
        /// It is for another slot.
        3 => OtherSlot,
        /// The incarnation it names is not the slot's incumbent: it was replaced already, or never stood there.
        4 => OtherIncumbent,
        /// The log is past its last index.
        5 => Expired,
        /// The cluster's policy names no governors, or fewer than must sign.
        6 => NoGovernors,
        /// A key signed that is no governor's.
        7 => Stranger,
        /// A signature does not verify over this order.
        8 => BadSignature,
        /// Too few governors signed; one that signed twice counts once.
        9 => TooFew,
    }
}

impl OrderFault {
    /// What is wrong and what to do, for people.
    pub fn words(self) -> &'static str {
        match self {
            OrderFault::OtherCluster => "the order is for another cluster; have one made from this cluster's card",
            OrderFault::OtherEpoch => "the order is for another epoch; have a new one made",
            OrderFault::OtherSlot => "the order is for another slot than this node's; start the node in the slot it names",
            OrderFault::OtherIncumbent => {
                "the order does not name the slot's incumbent: it was used already, or names another one; look at `ringwall status`"
            }
            OrderFault::Expired => "the log is past the order's last index; have a new one made",
            OrderFault::NoGovernors => "this cluster's policy names no governors, or fewer than must sign: no order holds here",
            OrderFault::Stranger => "a key signed the order that is none of the governors; sign again without it",
            OrderFault::BadSignature => "a signature does not verify over this order: it is over something else, or the file was changed",
            OrderFault::TooFew => "too few governors signed the order; one that signed twice counts once",
        }
    }
}
