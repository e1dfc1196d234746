//! Somebody at a node's address who is no node.
//!
//! Decides: it makes keys of its own, speaks the protocol, and shows evidence that a genuine node made for somebody else. Whoever
//! verifies before it speaks tells it nothing. Trusts: nothing. Register A1, A2, A5.

use crate::world::flaws::Flaw;
use crate::world::kinds::{Counts, Kind};
use crate::world::pipes::{Door, Pipe, Place};
use crate::world::site::Common;
use ringwall_channel::{ClientPrologue, NodeSecrets, answer_client};
use ringwall_wire::codec::Message;
use ringwall_wire::evidence::Role;
use ringwall_wire::ids::Incarnation;
use ringwall_wire::session::{AttestResp, GetDescriptor, NodeDescriptor};
use ringwall_wire::version;
use std::sync::Arc;

use crate::world::dice::Dice;

/// Number under which impostors listen.
pub const IMPOSTOR: u64 = 2_000_000;

/// Answers clients at `place` until its task is ended.
pub async fn run(common: Arc<Common>, counts: Arc<Counts>, place: Place, dice: Dice, shown: AttestResp) {
    let secrets = Arc::new(NodeSecrets::generate(&mut dice.clone()));
    let mut pipes = common.wires.listen(place, Door::Clients, IMPOSTOR);
    while let Some(pipe) = pipes.recv().await {
        // Every client that comes is tried alone.
        let _ = deceive(&common, &counts, &secrets, &dice, &shown, pipe).await;
    }
}

async fn deceive(common: &Common, counts: &Counts, secrets: &NodeSecrets, dice: &Dice, shown: &AttestResp, mut pipe: Pipe) -> Option<()> {
    let asked = GetDescriptor::decode(&pipe.read(500).await?).ok()?;
    let (cluster, keys) = (&common.cluster, secrets.public().clone());
    let version = version::pick(&asked.versions)?;
    let descriptor = NodeDescriptor {
        version,
        cluster_id: cluster.id,
        epoch: cluster.epoch,
        incarnation: Incarnation::new(cluster.epoch, 1),
        noise: keys.noise,
        kem: keys.kem,
        policy_version: cluster.policy.version,
        web: None,
    };
    pipe.write(descriptor.encode());
    let msg1 = pipe.read(500).await?;
    let binding = pipe.binding;
    let prologue = ClientPrologue { cluster_id: cluster.id, epoch: cluster.epoch, version, transport_binding: &binding };
    let (msg2, mut session) = answer_client(secrets, &prologue, &msg1, &mut dice.clone()).ok()?;
    pipe.write(msg2);
    session.open_attest_req(&pipe.read(500).await?).ok()?;
    let shown = match common.flaws.has(Flaw::Unbound) {
        true => {
            &AttestResp { role: Role::ClientServer, incarnation: descriptor.incarnation, keys: secrets.public().clone(), ..shown.clone() }
        }
        false => shown,
    };
    pipe.write(session.seal_attest_resp(shown).ok()?);
    counts.fired(Kind::ImpostorToClient);
    // Whoever speaks now has not verified; the client's own record says so.
    pipe.read(1_000).await.map(|_| ())
}
