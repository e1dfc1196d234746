//! A writer that notes when each of its writes was acknowledged, to measure the gap a failure makes.
//!
//! Decides: one write after the other, every acknowledged one remembered. Trusts: its own clock. Out of scope: what fails.

use super::DemoError;
use ringwall_client::NamespaceHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A running writer.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Written, DemoError>>,
}

/// What it wrote.
pub(super) struct Written {
    /// Writes that were acknowledged: `0..count` under the keys `count/<n>`.
    pub count: u64,
    /// Longest time between two acknowledgements.
    pub gap: Duration,
}

impl Writer {
    /// Starts writing into `namespace`.
    pub(super) fn start(namespace: NamespaceHandle) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut written = Written { count: 0, gap: Duration::ZERO };
            let mut last = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                namespace.put(format!("count/{:08}", written.count), written.count.to_string()).await?;
                let now = Instant::now();
                written.gap = written.gap.max(now - last);
                last = now;
                written.count += 1;
            }
            Ok(written)
        });
        Writer { stop, task }
    }

    /// Stops it and returns what it wrote.
    pub(super) async fn finish(self) -> Result<Written, DemoError> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.map_err(|error| DemoError::Broken(error.to_string()))?
    }
}
