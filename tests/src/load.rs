//! Clients that write and read a few keys all the time and record what they saw.
//!
//! Decides: values never repeat, so that a history can be judged. Trusts: nothing. Out of scope: judging (`history.rs`).

use crate::history::History;
use crate::linearizable::Action;
use ringwall_client::NamespaceHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Tasks under way.
pub struct Load {
    /// What they saw.
    pub history: Arc<History>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Starts one task for each handle; all of them touch the same `keys` keys (the handles must be of one user).
    pub fn start(handles: Vec<NamespaceHandle>, keys: u64, pause: Duration) -> Self {
        let history = Arc::new(History::default());
        let stop = Arc::new(AtomicBool::new(false));
        let values = Arc::new(AtomicU64::new(1));
        let tasks = handles
            .into_iter()
            .enumerate()
            .map(|(task, handle)| {
                let (history, stop, values) = (Arc::clone(&history), Arc::clone(&stop), Arc::clone(&values));
                tokio::spawn(async move {
                    let mut turn = task as u64;
                    while !stop.load(Ordering::Relaxed) {
                        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let key = format!("k{}", (turn >> 33) % keys);
                        match (turn >> 20) % 2 {
                            0 => write(&handle, &history, &key, values.fetch_add(1, Ordering::Relaxed)).await,
                            _ => read(&handle, &history, &key).await,
                        }
                        tokio::time::sleep(pause).await;
                    }
                })
            })
            .collect();
        Load { history, stop, tasks }
    }

    /// Stops and waits for every operation under way to be answered or to fail.
    pub async fn finish(self) -> Arc<History> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a load task does not panic");
        }
        self.history
    }
}

async fn write(handle: &NamespaceHandle, history: &History, key: &str, value: u64) {
    let sent = history.now();
    let answered = handle.put(key, value.to_be_bytes()).await.is_ok();
    history.record(key, Action::Write(value), sent, answered);
}

async fn read(handle: &NamespaceHandle, history: &History, key: &str) {
    let sent = history.now();
    if let Ok(found) = handle.get(key).await {
        let value = found.map(|found| u64::from_be_bytes(found.value.try_into().expect("the load writes eight bytes")));
        history.record(key, Action::Read(value), sent, true);
    }
}

/// Reads every key once more, so that a lost last write is seen.
pub async fn read_all(handle: &NamespaceHandle, history: &History, keys: u64) {
    for key in 0..keys {
        read(handle, history, &format!("k{key}")).await;
    }
}
