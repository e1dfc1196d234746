//! How replicas are compared: digests of their state, marks at which all compute one, snapshots on demand.
//!
//! Decides: a digest always names the index it is of. Trusts: nothing. Out of scope: signing a digest (`node`).
//! Protocol section 4, catch-up proof.

use crate::machine::raft::Machine;
use crate::replica::{Replica, TRIES};
use crate::report::{ProposeError, ReadError};
use ringwall_wire::command::CommandBody;
use ringwall_wire::ids::Digest;
use std::time::Duration;

impl Replica {
    /// Digest of the state as of now, with the index it is of: equal on every replica at equal index. Reads the whole state.
    pub async fn state_digest(&self) -> Result<(u64, Digest), ReadError> {
        self.inner().alive()?;
        let found = self.inner().raft.with_state_machine(|machine: &mut Machine| {
            let capture = machine.capture();
            Box::pin(async move { capture })
        });
        let capture = found.await.map_err(|why| ReadError::Fenced(why.to_string()))?;
        let index = capture.applied.map_or(0, |applied| applied.index);
        let digest = self.inner().ground.done("digest of the state", move || capture.digest()).await;
        digest.map(|digest| (index, digest)).map_err(|why| ReadError::Fenced(why.to_string()))
    }

    /// Proposes a mark: every replica remembers the digest of its state after the entry at the index this gives.
    pub async fn mark(&self) -> Result<u64, ProposeError> {
        Ok(self.propose(CommandBody::Mark).await?.index)
    }

    /// The digest at a marked `index`: waits (bounded) until the index is applied and the digest computed. None when it was not
    /// marked, or is forgotten (the last 16 marks are kept, and none from before this replica installed a snapshot).
    pub async fn state_digest_at(&self, index: u64) -> Result<Option<Digest>, ReadError> {
        self.wait_applied(index).await?;
        let mut marked = self.inner().readers.marked.subscribe();
        for _ in 0..TRIES {
            match self.inner().readers.mark(index) {
                None => return Ok(None),
                Some(Some(digest)) => return Ok(Some(digest)),
                Some(None) => {}
            }
            self.inner().alive()?;
            let _ = tokio::time::timeout(Duration::from_millis(self.inner().options.call_ms), marked.changed()).await;
        }
        Err(ReadError::Transient)
    }

    /// Makes a snapshot now and waits until it is on disk; returns the index it ends at.
    pub async fn snapshot(&self) -> Result<u64, ReadError> {
        self.inner().alive()?;
        let applied = self.inner().readers.published().applied;
        let raft = &self.inner().raft;
        raft.trigger().snapshot().await.map_err(|why| ReadError::Fenced(why.to_string()))?;
        let wait = raft.wait(Some(Duration::from_secs(600)));
        let done = wait.metrics(|metrics| metrics.snapshot.is_some_and(|last| last.index >= applied), "snapshot").await;
        match done {
            Ok(metrics) => Ok(metrics.snapshot.map_or(0, |last| last.index)),
            Err(_) => Err(self.inner().alive().err().unwrap_or(ReadError::Transient)),
        }
    }
}
