//! A group of replicas in one process: real files, real codecs, and wires that can be cut, slowed and made lossy.
//!
//! Decides: how tests make a group, admit members and wait (always for a condition, bounded by tries, never by an assertion on time).
//! Trusts: nothing. Out of scope: sessions and sealing.

use ed25519_dalek::{Signer, SigningKey};
use ringwall_consensus::{
    Applied, BoxFuture, Class, Metrics, Options, ProposeError, Recognition, Replica, Role, Transport, TransportError, member_of,
};
use ringwall_wire::admission::{AdmitCommit, AdmitPropose, Endorse, IncarnationCert};
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message;
use ringwall_wire::command::*;
use ringwall_wire::ids::*;
use ringwall_wire::limits::ADMISSION_ROUNDS;
use ringwall_wire::peer::{Member, PeerAnswer, PeerCall, PeerReply, PeerRpc};
use ringwall_wire::request::{Expect, KeyMode, Once};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const EPOCH: Epoch = Epoch(1);
/// Tries of every wait, 20 ms apart.
pub(crate) const TRIES: usize = 1_500;

#[derive(Default)]
pub(crate) struct Faults {
    /// Directed pairs nothing passes between.
    pub(crate) cut: BTreeSet<(Incarnation, Incarnation)>,
    /// Whoever nothing passes to or from, also not of those that are still to come.
    pub(crate) alone: BTreeSet<Incarnation>,
    /// Of a thousand messages, how many are lost on the way there, and as many on the way back.
    pub(crate) lossy: u64,
    /// Milliseconds an answer takes.
    pub(crate) delay_ms: u64,
    random: u64,
}

impl Faults {
    fn is_cut(&self, from: Incarnation, to: Incarnation) -> bool {
        self.cut.contains(&(from, to)) || self.alone.contains(&from) || self.alone.contains(&to)
    }

    fn lost(&mut self) -> bool {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % 1_000 < self.lossy
    }
}

/// What is done to a call on its way.
pub(crate) type Edit = fn(&mut PeerCall);

/// The wires between all replicas.
#[derive(Default)]
pub(crate) struct Wires {
    pub(crate) replicas: Mutex<HashMap<Incarnation, Replica>>,
    pub(crate) faults: Mutex<Faults>,
    /// Whether messages go through their encoding, as between processes.
    pub(crate) plain: bool,
    /// Whoever gets calls that are not what was sent, and what is done to them.
    pub(crate) edit: Mutex<Option<(Incarnation, Edit)>>,
    /// Noise keys, as sessions would have authenticated them.
    pub(crate) keys: Mutex<HashMap<Incarnation, NoisePublic>>,
}

impl Wires {
    /// What a session begins with: `from` shows its admission where it is asked for it.
    pub(crate) fn introduce(&self, from: Incarnation, target: &Replica) -> Option<Recognition> {
        let noise = self.keys.lock().unwrap().get(&from).copied()?;
        let prover = self.replicas.lock().unwrap().get(&from)?.prover();
        let mut seen = target.recognise(from, &noise);
        for _ in 0..ADMISSION_ROUNDS {
            let Recognition::Unproven { after } = seen else { break };
            seen = target.prove(from, &noise, &prover.proof(after), after);
        }
        Some(seen)
    }
}

struct Link {
    me: Incarnation,
    wires: Arc<Wires>,
}

impl Transport for Link {
    fn call(
        &self,
        to: Incarnation,
        _: &Member,
        _: Class,
        call: PeerCall,
        timeout: Duration,
    ) -> BoxFuture<Result<PeerAnswer, TransportError>> {
        let me = self.me;
        let wires = Arc::clone(&self.wires);
        let gone = TransportError::Unreachable { to, why: "cut".into() };
        let late = TransportError::Timeout { to, after_ms: timeout.as_millis() as u64 };
        let (cut, lost, delay) = {
            let mut faults = wires.faults.lock().unwrap();
            (faults.is_cut(me, to), faults.lost(), faults.delay_ms)
        };
        let target = wires.replicas.lock().unwrap().get(&to).cloned();
        let Some(target) = target.filter(|_| !cut) else {
            return Box::pin(std::future::ready(Err(gone)));
        };
        if lost {
            return Box::pin(async move {
                tokio::time::sleep(timeout.min(Duration::from_millis(100))).await;
                Err(late)
            });
        }
        let call = match wires.plain {
            true => call,
            false => PeerRpc::decode(&PeerRpc { number: 1, call }.encode()).unwrap().call,
        };
        let mut call = call;
        if let Some((_, edit)) = wires.edit.lock().unwrap().filter(|(whom, _)| *whom == to) {
            edit(&mut call);
        }
        // Whoever is not recognised is stopped at the gate.
        let _ = wires.introduce(me, &target);
        let answer = target.answer(me, call);
        Box::pin(async move {
            let answer = tokio::time::timeout(timeout, answer).await.map_err(|_| late.clone())?;
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            let mut faults = wires.faults.lock().unwrap();
            if faults.is_cut(to, me) || faults.lost() {
                return Err(late);
            }
            drop(faults);
            Ok(match wires.plain {
                true => answer,
                false => PeerReply::decode(&PeerReply { number: 1, answer }.encode()).unwrap().answer,
            })
        })
    }
}

/// The cluster of every group here.
pub(crate) const CLUSTER: ClusterId = ClusterId([9; 32]);

/// The signing key that belongs to a certificate of [`cert`].
pub(crate) fn signing(noise: &NoisePublic) -> SigningKey {
    SigningKey::from_bytes(&noise.0)
}

/// A group, its files and its wires.
pub(crate) struct Group {
    pub(crate) wires: Arc<Wires>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) tune: Arc<dyn Fn(&mut Options) + Send + Sync>,
    made: AtomicU64,
}

pub(crate) fn cert(slot: u8, made: u64) -> IncarnationCert {
    let fill = |kind: u8| {
        let mut bytes = [kind; 32];
        bytes[..8].copy_from_slice(&made.to_be_bytes());
        bytes
    };
    let noise = NoisePublic(fill(1));
    let sig = SigPublic(signing(&noise).verifying_key().to_bytes());
    IncarnationCert {
        slot: Slot(slot),
        keys: BootKeys { noise, sig, kem: KemPublic([3; 1184]) },
        vendor: if slot % 2 == 1 { Vendor::Amd } else { Vendor::Intel },
        chip: Digest([slot; 32]),
        measurement: Text::new("test").unwrap(),
        boot_config: Digest([9; 32]),
        peer_address: Text::new(format!("peer-{slot}")).unwrap(),
        client_address: Text::new(format!("client-{slot}")).unwrap(),
    }
}

pub(crate) async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}

impl Group {
    pub(crate) fn empty(tune: impl Fn(&mut Options) + Send + Sync + 'static) -> Self {
        Group {
            wires: Arc::default(),
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicU64::new(1_000_000)),
            tune: Arc::new(tune),
            made: AtomicU64::new(0),
        }
    }

    /// Founds a group and grows it to `slots` voters.
    pub(crate) async fn start(slots: u8) -> Self {
        Group::start_with(slots, |_| {}).await
    }

    pub(crate) async fn start_with(slots: u8, tune: impl Fn(&mut Options) + Send + Sync + 'static) -> Self {
        let group = Group::empty(tune);
        group.grow(slots).await;
        group
    }

    pub(crate) async fn grow(&self, slots: u8) {
        let (first, cert) = (Incarnation::new(EPOCH, 1), cert(1, self.next()));
        self.wires.keys.lock().unwrap().insert(first, cert.keys.noise);
        self.open(first).await.found(cert).await.unwrap();
        for slot in 2..=slots {
            self.join(slot, None).await;
        }
    }

    pub(crate) fn next(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn folder(&self, id: Incarnation) -> PathBuf {
        self.dir.path().join(format!("inc-{id}"))
    }

    pub(crate) async fn open(&self, id: Incarnation) -> Replica {
        let clock = Arc::clone(&self.clock);
        let mut options = Options::new(self.folder(id), CLUSTER, id, Arc::new(move || clock.load(Ordering::Relaxed)));
        options.segment_bytes = 8 * 1024 * 1024;
        options.call_ms = 1_000;
        if !self.all().is_empty() {
            options.granted = Some(Arc::new(self.leader().await.grant(id)));
        }
        (self.tune)(&mut options);
        let link = Link { me: id, wires: Arc::clone(&self.wires) };
        let replica = Replica::open(options, Arc::new(link)).await.unwrap();
        self.wires.replicas.lock().unwrap().insert(id, replica.clone());
        replica
    }

    pub(crate) fn all(&self) -> BTreeMap<Incarnation, Replica> {
        self.wires.replicas.lock().unwrap().iter().map(|(id, replica)| (*id, replica.clone())).collect()
    }

    pub(crate) fn get(&self, id: Incarnation) -> Replica {
        self.wires.replicas.lock().unwrap().get(&id).cloned().unwrap()
    }

    /// The replica a majority of voters follows.
    pub(crate) async fn leader(&self) -> Replica {
        for _ in 0..TRIES {
            let leading =
                self.all().into_values().map(|replica| (replica.metrics(), replica)).filter(|(metrics, _)| metrics.role == Role::Leader);
            if let Some((metrics, replica)) = leading.max_by_key(|(metrics, _)| metrics.term)
                && replica.read_index().await.is_ok()
            {
                let _ = metrics;
                return replica;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no leader: {:?}", self.all().values().map(|replica| summary(&replica.metrics())).collect::<Vec<_>>());
    }

    /// Proposes on whoever leads until it is applied.
    pub(crate) async fn command(&self, body: CommandBody) -> Applied {
        for _ in 0..TRIES {
            match self.leader().await.propose(body.clone()).await {
                Ok(applied) => return applied,
                Err(ProposeError::TooLarge { .. }) => panic!("too large"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("never applied");
    }

    /// Admits a new incarnation: proposal, verdicts of all voters, admission. Gives its name.
    pub(crate) async fn admit(&self, cert: &IncarnationCert, replaces: Option<Incarnation>) -> Incarnation {
        let propose = AdmitPropose {
            cert: cert.clone(),
            evidence: Digest([7; 32]),
            nonce: Nonce([8; 32]),
            replaces: replaces.unwrap_or(Incarnation(0)),
            order: None,
        };
        let proposed = self.command(CommandBody::AdmitPropose(Box::new(propose.clone()))).await;
        assert_eq!(proposed.outcomes, [Outcome::Done]);
        let voters = self.leader().await.metrics().voters;
        for voter in voters.into_iter().filter(|voter| self.is_there(voter.incarnation)) {
            let words = Endorse::signed_bytes(&CLUSTER, proposed.index, &propose, true);
            let signature = Signature(signing(&voter.member.noise).sign(&words).to_bytes());
            let endorse = Endorse { admit_index: proposed.index, by: voter.incarnation, accepts: true, signature };
            let endorsed = self.command(CommandBody::Endorse(endorse)).await;
            assert!(matches!(endorsed.outcomes[..], [Outcome::Done | Outcome::Denied(Denial::AlreadyEndorsed)]));
        }
        let admitted = self.command(CommandBody::AdmitCommit(AdmitCommit { admit_index: proposed.index })).await;
        let id = Incarnation::new(EPOCH, proposed.index);
        assert_eq!(admitted.outcomes, [Outcome::Admitted(id)]);
        self.wires.keys.lock().unwrap().insert(id, cert.keys.noise);
        id
    }

    /// A new incarnation from admission to voter. Gives its name.
    pub(crate) async fn join(&self, slot: u8, replaces: Option<Incarnation>) -> Incarnation {
        let cert = cert(slot, self.next());
        let id = self.admit(&cert, replaces).await;
        self.open(id).await;
        self.retry(|leader| {
            let cert = cert.clone();
            async move { leader.admit_learner(id, member_of(&cert)).await }
        })
        .await;
        self.retry(|leader| async move { leader.promote(id, replaces).await }).await;
        id
    }

    pub(crate) async fn retry<F, T, E: std::fmt::Debug>(&self, step: impl Fn(Replica) -> F) -> T
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut last = None;
        for _ in 0..TRIES {
            match step(self.leader().await).await {
                Ok(value) => return value,
                Err(why) => last = Some(why),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never worked: {last:?}");
    }

    /// Writes through whoever leads until the outcome is known.
    pub(crate) async fn write(&self, write: SealedWrite) -> Outcome {
        self.command(CommandBody::Writes(List::new(vec![write]).unwrap().into())).await.outcomes[0]
    }

    /// Takes a replica off the wires and stops it; its files stay.
    pub(crate) async fn kill(&self, id: Incarnation) {
        let replica = self.wires.replicas.lock().unwrap().remove(&id);
        replica.unwrap().shutdown().await;
    }

    fn is_there(&self, id: Incarnation) -> bool {
        self.all().contains_key(&id) && !self.wires.faults.lock().unwrap().alone.contains(&id)
    }

    pub(crate) fn isolate(&self, id: Incarnation) {
        let others: Vec<Incarnation> = self.all().into_keys().filter(|other| *other != id).collect();
        let mut faults = self.wires.faults.lock().unwrap();
        faults.cut.extend(others.iter().flat_map(|other| [(id, *other), (*other, id)]));
    }

    pub(crate) fn heal(&self) {
        let mut faults = self.wires.faults.lock().unwrap();
        faults.cut.clear();
        faults.alone.clear();
        faults.lossy = 0;
    }

    /// Waits until every replica has applied a marked entry, and compares their states there.
    pub(crate) async fn assert_identical(&self) {
        for _ in 0..20 {
            let index = self.retry(|leader| async move { leader.mark().await }).await;
            if let Some(digests) = self.digests(index).await {
                let distinct: BTreeSet<Digest> = digests.values().copied().collect();
                assert_eq!(distinct.len(), 1, "states differ at {index}: {digests:?}");
                return;
            }
        }
        panic!("no common mark");
    }

    /// None when a replica jumped over the mark by a snapshot.
    async fn digests(&self, index: u64) -> Option<BTreeMap<Incarnation, Digest>> {
        let mut digests = BTreeMap::new();
        for (id, replica) in self.all() {
            let digest = retry_ok(|| replica.state_digest_at(index)).await;
            digests.insert(id, digest?);
        }
        Some(digests)
    }

    pub(crate) async fn stop(self) {
        for (_, replica) in self.all() {
            replica.shutdown().await;
        }
    }
}

pub(crate) fn summary(metrics: &Metrics) -> String {
    format!(
        "{} {:?} term {} leader {:?} last {} applied {} voters {:?} fenced {:?}",
        metrics.me,
        metrics.role,
        metrics.term,
        metrics.leader,
        metrics.last_index,
        metrics.applied,
        metrics.voters.iter().map(|voter| voter.incarnation.0 & 0xff_ffff).collect::<Vec<_>>(),
        metrics.fenced
    )
}

pub(crate) const SPACE: SpaceTag = SpaceTag([1; 16]);

pub(crate) fn key(name: u64) -> KeyTag {
    let mut tag = [0; 16];
    tag[..8].copy_from_slice(&name.to_be_bytes());
    KeyTag(tag)
}

pub(crate) fn open_space(space: SpaceTag) -> SealedWrite {
    let dek = WrappedKey { key_epoch: KeyEpoch(1), iv: [0; 24], commit: [1; 32], ciphertext: [2; 48] };
    SealedWrite::OpenSpace(OpenSpace { space, mode: KeyMode::Cluster, commit: None, dek, owner: OwnerMark([0; 16]) })
}

pub(crate) fn sealed(client: ClientTag, seq: u64, value: &[u8]) -> SealedRecord {
    SealedRecord {
        client,
        seq,
        iv: [4; 24],
        commit: [5; 32],
        name: Blob::new(b"name".to_vec()).unwrap(),
        value: Blob::new(value.to_vec()).unwrap(),
    }
}

pub(crate) fn put(client: u8, seq: u64, name: u64, value: &[u8], expect: Expect) -> SealedWrite {
    put_ttl(client, seq, name, value, expect, 0)
}

pub(crate) fn put_ttl(client: u8, seq: u64, name: u64, value: &[u8], expect: Expect, ttl_s: u32) -> SealedWrite {
    let client = ClientTag([client; 16]);
    let record = sealed(client, seq, value);
    let change = SealedChange::Put(SealedPut { record, ttl_s });
    change_key(client, seq, name, expect, change)
}

pub(crate) fn delete(client: u8, seq: u64, name: u64) -> SealedWrite {
    change_key(ClientTag([client; 16]), seq, name, Expect::Any, SealedChange::Delete)
}

pub(crate) fn change_key(client: ClientTag, seq: u64, name: u64, expect: Expect, change: SealedChange) -> SealedWrite {
    let mutations = List::new(vec![SealedMutation { key: key(name), expect, change }]).unwrap();
    SealedWrite::Change(SpaceChange {
        space: SPACE,
        client,
        once: Once { seq, acked: seq.saturating_sub(64).max(1), since: Revision(1 << 40) },
        mutations,
    })
}

/// A linearizable view, with patience.
pub(crate) async fn linear(replica: &Replica) -> ringwall_consensus::View {
    for _ in 0..TRIES {
        if let Ok(view) = replica.linear_view().await {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no linearizable view: {}", summary(&replica.metrics()));
}

pub(crate) async fn retry_ok<F, T, E: std::fmt::Debug>(step: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let mut last = None;
    for _ in 0..TRIES {
        match step().await {
            Ok(value) => return value,
            Err(why) => last = Some(why),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never worked: {last:?}");
}

/// The transport of a group of one: nobody else is there.
pub(crate) struct Nobody;

impl Transport for Nobody {
    fn call(&self, to: Incarnation, _: &Member, _: Class, _: PeerCall, _: Duration) -> BoxFuture<Result<PeerAnswer, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Unreachable { to, why: "nobody else is there".into() })))
    }
}
