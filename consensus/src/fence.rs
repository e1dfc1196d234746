//! The fence: once storage has failed, this replica says nothing any more.
//!
//! Decides: that the first fault is final; there is no way back but a new incarnation. Trusts: nothing.
//! Out of scope: noticing faults (`log`, `machine`). Protocol section 4, state FENCED, and section 5.1.

use crate::defects::{self, Defect};
use crate::disk::fault;
use crate::watch;
use std::sync::{Arc, OnceLock};

/// Shared by everything that stores and everything that answers.
#[derive(Clone)]
pub(crate) struct Fence {
    reason: Arc<OnceLock<String>>,
    raised: Arc<watch::Sender<bool>>,
}

impl Fence {
    pub(crate) fn new() -> Self {
        Fence { reason: Arc::new(OnceLock::new()), raised: Arc::new(watch::Sender::new(false)) }
    }

    /// Raises the fence; the first reason stays.
    pub(crate) fn raise(&self, reason: impl Into<String>) {
        if defects::on(Defect::NoFence) {
            return;
        }
        if self.reason.set(reason.into()).is_ok() {
            tracing::error!(reason = self.reason().unwrap_or_default(), "fenced");
            self.raised.send_replace(true);
        }
    }

    /// Raises the fence because the replica is asked to stop.
    pub(crate) fn close(&self) {
        if self.reason.set("shut down".into()).is_ok() {
            self.raised.send_replace(true);
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// The error further storage calls get.
    pub(crate) fn error(&self) -> std::io::Error {
        std::io::Error::other(format!("fenced: {}", self.reason().unwrap_or("no reason given")))
    }

    /// Raises the fence for a failed storage call and passes the failure on.
    pub(crate) fn watch<T>(&self, what: &str, result: std::io::Result<T>) -> std::io::Result<T> {
        result.inspect_err(|why| self.fault(what, why))
    }

    /// Raises the fence for a fault of the disk, in words that say what happened and what to do.
    pub(crate) fn fault(&self, what: &str, why: &std::io::Error) {
        match fault::advice(why) {
            Some(advice) => self.raise(format!("{what}: {why}; {advice}")),
            None => self.raise(format!("{what}: {why}")),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<bool> {
        self.raised.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn whoever_waits_is_told_and_the_first_reason_stays() {
        let fence = Fence::new();
        let (mut before, clone) = (fence.subscribe(), fence.clone());
        assert!(before.wait_for(|raised| *raised).now_or_never().is_none());
        clone.raise("the first");
        assert!(before.wait_for(|raised| *raised).now_or_never().is_some(), "who waited is told");
        assert!(fence.subscribe().wait_for(|raised| *raised).now_or_never().is_some(), "and who comes later");
        fence.raise("the second");
        fence.close();
        assert_eq!(fence.reason(), Some("the first"));
        let closed = Fence::new();
        closed.close();
        assert!(closed.subscribe().wait_for(|raised| *raised).now_or_never().is_some());
        assert_eq!(closed.reason(), Some("shut down"));
    }
}
