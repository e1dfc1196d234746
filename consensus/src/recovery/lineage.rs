//! A new lineage: a group of one voter, in a new epoch, whose log is empty and whose state is what a found log gave.
//!
//! Decides: the folder is read once more and must still give the tree that was chosen; entries of the old log become state, none of them is in the new log,
//! and no vote of the old epoch is known here. Terms and indices go on, so that positions and the log tree never go back (IN10). Nothing is served before
//! the beginning of the epoch is on record.
//! Trusts: the caller that recovery was decided. Out of scope: deciding it (`claims.rs`, `anchors.rs`, `node`). Protocol section 6.2, DR7.

use crate::fence::Fence;
use crate::files;
use crate::ground::Ground;
use crate::options::Options;
use crate::recovery::found::{Source, Unfit, revive};
use crate::replica::{Replica, TRIES, member_of};
use crate::report::{Applied, OpenError, ProposeError};
use crate::runtime;
use crate::seal::Seal;
use crate::transport::{BoxFuture, Transport};
use crate::types::{RaftMembership, StoredMembership};
use ringwall_wire::admission::IncarnationCert;
use ringwall_wire::command::CommandBody;
use ringwall_wire::receipt::TreePoint;
use ringwall_wire::recovery::EpochBegun;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Judges seals for as long as a lineage is begun.
pub type OwnedSealJudge = Arc<dyn Fn(&[u8], &Seal) -> bool + Send + Sync>;

/// Why a log was not taken up.
#[derive(Debug, thiserror::Error)]
pub enum TakeUpError {
    /// The new folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The old one.
    #[error("the chosen log is no longer what it was: {0}")]
    Unfit(#[from] Unfit),
    /// It gives another tree than a moment ago.
    #[error("the chosen log held {} entries when it was chosen and holds {} now, or other ones: somebody changes the disk", .chosen.size, .found.size)]
    Changed {
        /// What was chosen.
        chosen: TreePoint,
        /// What it gives now.
        found: TreePoint,
    },
}

impl Replica {
    /// Opens a replica in an empty folder whose state is that of a found log, as the only voter of a group; it waits for [`Replica::begin`].
    pub fn take_up(
        options: Options,
        transport: Arc<dyn Transport>,
        source: Source,
        judge: OwnedSealJudge,
        (chosen, cert): (TreePoint, IncarnationCert),
    ) -> BoxFuture<Result<Self, TakeUpError>> {
        let host = options.host.clone();
        Box::pin(runtime::hosted(host, take_up_here(options, transport, source, judge, (chosen, cert))))
    }

    /// Waits until this replica leads, and puts the beginning of the epoch on record.
    pub fn begin(&self, begun: EpochBegun) -> BoxFuture<Result<Applied, ProposeError>> {
        let replica = self.clone();
        Box::pin(async move {
            let (heartbeat, most) = (replica.inner().options.heartbeat_ms, replica.inner().options.election_ms.1);
            let pause = Duration::from_millis(heartbeat.max(most / 10));
            let mut last = ProposeError::Transient;
            // An election comes first, on a machine that may be busy with much else.
            for _ in 0..4 * TRIES {
                match replica.propose(CommandBody::Begin(Box::new(begun.clone()))).await {
                    Ok(applied) => return Ok(applied),
                    Err(why @ (ProposeError::Transient | ProposeError::NotLeader { .. })) => last = why,
                    Err(why) => return Err(why),
                }
                tokio::time::sleep(pause).await;
            }
            Err(last)
        })
    }
}

async fn take_up_here(
    options: Options,
    transport: Arc<dyn Transport>,
    source: Source,
    judge: OwnedSealJudge,
    (chosen, cert): (TreePoint, IncarnationCert),
) -> Result<Replica, TakeUpError> {
    let fence = Fence::new();
    let ground = Ground::of(&options, fence.clone());
    let (theirs, setup) = (ground.clone(), options.clone());
    let files = ground.done("open", move || Ok(files::set_up(theirs, &setup))).await;
    let (log, mut machine, readers) = files.map_err(OpenError::Storage)??;
    revive(&mut machine, &ground, &source, &*judge).await?;
    let state = machine.replicated();
    let found = state.tree.point();
    if found != chosen {
        return Err(TakeUpError::Changed { chosen, found });
    }
    let last = state.applied.ok_or(Unfit::Empty)?;
    let nodes = BTreeMap::from([(options.me, member_of(&cert))]);
    let alone = RaftMembership::new(vec![BTreeSet::from([options.me])], nodes);
    let alone = alone.map_err(|fault| Unfit::Nonsense(fault.to_string()))?;
    state.membership = StoredMembership::new(Some(last), alone);
    machine.publish();
    log.begin_above(last.leader_id.term, options.me).map_err(OpenError::Storage)?;
    Ok(Replica::start(options, transport, (fence, ground), (log, machine, readers)).await?)
}
