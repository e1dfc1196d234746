//! Keeping what receipts add within its second, without anybody waiting for it.
//!
//! Decides: one timer at a time; the store is called on a thread that may block. Trusts: the memory to say when something is due.
//! Out of scope: what is kept (`ringwall_session::anchor`). Protocol section 5.2.

use crate::clock;
use ringwall_session::opening::Memory;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The memory of one client, and its timer.
pub(super) struct Keeping {
    memory: Arc<Memory>,
    armed: AtomicBool,
}

impl Keeping {
    /// Nothing is due yet.
    pub(super) fn of(memory: Arc<Memory>) -> Arc<Self> {
        Arc::new(Keeping { memory, armed: AtomicBool::new(false) })
    }

    /// The memory.
    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Sets the timer where something is due and none is set. Call inside the runtime, or on a thread of it that may block.
    pub(super) fn arm(self: &Arc<Self>) {
        let Some(due_ms) = self.memory.due_ms() else { return };
        if self.armed.swap(true, Ordering::AcqRel) {
            return;
        }
        let keeping = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(clock::at(due_ms)).await;
            // Before it settles, so that whatever is accepted after that sets the next timer.
            keeping.armed.store(false, Ordering::Release);
            keeping.settle().await;
        });
    }

    /// Keeps what waits.
    pub(super) async fn settle(&self) {
        let memory = Arc::clone(&self.memory);
        // Where the program is ending, what would be kept is only weaker.
        let _ = tokio::task::spawn_blocking(move || memory.settle()).await;
    }
}
