//! Exchanges with simulated nodes, made without a network and always the same, as a file would hold them.
//!
//! Decides: question and answer of one session with one machine, honest or lying. Trusts: nothing, protects nothing.
//! Out of scope: nodes that answer over the network (`impostor`).

use ringwall_attest::batch::leaf;
use ringwall_attest::{Batch, report_data};
use ringwall_client::{Exchange, read_exchange};
use ringwall_sim::release::Publisher;
use ringwall_sim::{Lie, SimTee, policy_for, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::evidence::{Binding, Role};
use ringwall_wire::genesis::{BootConfig, ClusterCard};
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{BootKeys, ClusterId, Digest, Epoch, Incarnation, KemPublic, NoisePublic, Nonce, PolicyVersion, SigPublic, Slot};
use ringwall_wire::policy::PolicyDoc;
use ringwall_wire::session::{AttestMode, AttestResp, SavedExchange, SessionProof};
use sha2::{Digest as _, Sha256};

/// 2026-11-24 12:00:00 UTC.
pub(crate) const NOW_S: u64 = 1_795_521_600;
pub(crate) const DAY_S: u64 = 86_400;

/// One exchange, open to changes.
#[derive(Clone)]
pub(crate) struct Saved {
    pub(crate) asked: SavedExchange,
    pub(crate) answer: AttestResp,
}

/// Demands a proof of release.
pub(crate) fn demanding(policy: &mut PolicyDoc) {
    policy.release = Publisher::default().demanded();
}

impl Saved {
    pub(crate) fn honest(chip: &str) -> Self {
        Self::telling(chip, &[])
    }

    pub(crate) fn telling(chip: &str, lies: &[Lie]) -> Self {
        Self::of(chip, lies, |_| ())
    }

    /// A session with `chip`, telling `lies`, in a cluster whose policy `change` edits.
    pub(crate) fn of(chip: &str, lies: &[Lie], change: impl FnOnce(&mut PolicyDoc)) -> Self {
        Self::signing(SigPublic([2; 32]), chip, lies, change)
    }

    /// The same, with a node that signs under this key.
    pub(crate) fn signing(sig: SigPublic, chip: &str, lies: &[Lie], change: impl FnOnce(&mut PolicyDoc)) -> Self {
        let machine = |boot| SimTee::new(world::machine(chip, boot).unwrap(), NOW_S);
        let mut policy = policy_for(&[&machine(world::joining_config(ClusterId([0; 32]), Slot(1)))]);
        change(&mut policy);
        let genesis = ringwall_sim::genesis_record(&policy, "saved", Nonce([9; 32]));
        let boot = world::joining_config(genesis.cluster_id(), Slot(1));
        let tee = machine(boot.clone()).telling(lies);
        let (handshake, nonce, noise) = (Digest([0x11; 32]), Nonce([0x22; 32]), NoisePublic([1; 32]));
        let batch = Batch::new(vec![leaf(&handshake, &nonce)]).unwrap();
        let binding = Binding {
            cluster_id: genesis.cluster_id(),
            epoch: Epoch(1),
            role: Role::ClientServer,
            incarnation: Incarnation::new(Epoch(1), 7),
            keys: BootKeys { noise, sig, kem: KemPublic([3; 1184]) },
            boot_config: boot.host_data(),
            policy: Digest(policy.digest()),
            batch_root: batch.root(),
        };
        let asked = SavedExchange {
            cluster_id: binding.cluster_id,
            min_policy_version: PolicyVersion(0),
            handshake,
            nonce,
            noise,
            mode: AttestMode::Batched,
            at_s: NOW_S,
            answer: Blob::default(),
        };
        let answer = AttestResp {
            cluster_id: binding.cluster_id,
            epoch: binding.epoch,
            role: binding.role,
            incarnation: binding.incarnation,
            keys: binding.keys.clone(),
            boot_config: Blob::new(boot.encode()).unwrap(),
            genesis,
            policy,
            steps: Default::default(),
            evidence: tee.mint(&report_data(&binding)),
            endorsements: tee.endorse(),
            proof: SessionProof::Batched(batch.path(0).unwrap()),
            release_proof: Blob::default(),
        };
        Saved { asked, answer }
    }

    /// The same session on `genoa-1`, once its node goes by `policy`, which these changes of its founding policy made.
    pub(crate) fn going_by(founding: &Saved, policy: PolicyDoc, changes: &[PolicyStep]) -> Self {
        let (asked, before) = (founding.asked.clone(), founding.answer.clone());
        let boot = BootConfig::decode(&before.boot_config).unwrap();
        let tee = SimTee::new(world::machine("genoa-1", boot.clone()).unwrap(), NOW_S);
        let batch = Batch::new(vec![leaf(&asked.handshake, &asked.nonce)]).unwrap();
        let binding = Binding {
            cluster_id: before.cluster_id,
            epoch: before.epoch,
            role: before.role,
            incarnation: before.incarnation,
            keys: before.keys.clone(),
            boot_config: boot.host_data(),
            policy: Digest(policy.digest()),
            batch_root: batch.root(),
        };
        let steps = [vec![PolicyStep::founding(&before.policy).unwrap()], changes.to_vec()].concat();
        let (evidence, steps) = (tee.mint(&report_data(&binding)), List::new(steps).unwrap());
        Saved { asked, answer: AttestResp { policy, steps, evidence, ..before } }
    }

    /// The same, through a file.
    pub(crate) fn exchange(&self) -> Exchange {
        let mut bytes = SavedExchange { answer: Blob::new(self.answer.encode()).unwrap(), ..self.asked.clone() }.encode();
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read_exchange(file.path()).unwrap()
    }

    /// The card of its cluster.
    pub(crate) fn card(&self) -> ClusterCard {
        ClusterCard {
            genesis: self.answer.genesis.clone(),
            policy: self.answer.policy.clone(),
            steps: Default::default(),
            addresses: List::default(),
            web: Default::default(),
        }
    }
}
