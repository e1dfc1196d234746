//! Custody in a world: a dealing on the group's record, and a recovery session with what a hostile custodian, or somebody in between, can bring.
//!
//! Decides: the order: the leader deals and its evidence is judged as a custodian does, each custodian opens the envelope it finds on some member's record
//! and acknowledges; a node then asks for shares, and what must not count is brought first. The rest recovers after that, so that nothing bad takes
//! anything from the good. For real: dealing, envelopes and shares (`keys`), the record (`consensus`), the session (`recover::session` of `node`).
//! Nobody activates: no key is rotated in a world. Not run: disks, claims, the new epoch (tests/tests/recover.rs).
//! Trusts: nothing. Protocol sections 6.1 and 6.2, DR1 and DR2; register K2, K3.

use crate::world::dice::Dice;
use crate::world::judge::Rule;
use crate::world::kinds::Kind;
use crate::world::machines::World;
use crate::world::process::Process;
use crate::world::site::{BIRTH_MS, Claim, Wanted};
use crate::world::strikes::pause;
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_attest::PolicyPin;
use ringwall_channel::NodeSecrets;
use ringwall_keys::custody::{DealPlan, Draws, GoodShare, KemSecret, TagKey, deal, open_share, seal_keys, seal_submission};
use ringwall_keys::{CustodyUse, HedgedIvs, Keyring};
use ringwall_node::recover::session::Session;
use ringwall_wire::bounded::{Blob, List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::command::{CommandBody, Denial, Outcome};
use ringwall_wire::custody::{CustodyCommand, CustodyFault, Dealing, RecoveryBlob, ShareAck, SharePlain, SignedManifest};
use ringwall_wire::evidence::Role;
use ringwall_wire::genesis::Custodian;
use ringwall_wire::ids::{CustodianId, CustodyEpoch, Digest, Nonce, SigPublic, Signature, Slot};
use ringwall_wire::recovery::{RecoveryFault, RecoveryOffer, RecoveryPurpose, ShareSubmission};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestMode, AttestResp, SavedExchange};
use std::sync::Arc;
use std::time::Duration;

/// Custodians of every world.
const KEEPERS: u64 = 3;
/// Shares that recover.
pub const THRESHOLD: u8 = 2;

/// A custodian.
pub struct Keeper {
    /// As the founding record names it.
    pub named: Custodian,
    sig: SigningKey,
    secret: KemSecret,
}

/// The custodians of a world.
pub fn keepers(seed: u64) -> Vec<Keeper> {
    (1..=KEEPERS).map(|number| Keeper::new(&Dice::new(seed, "keeper", number), number)).collect()
}

impl Keeper {
    fn new(dice: &Dice, number: u64) -> Self {
        let (mut sig, mut secret) = ([0; 32], [0; 32]);
        dice.fill(&mut sig);
        dice.fill(&mut secret);
        let (sig, secret) = (SigningKey::from_bytes(&sig), KemSecret::from_seed(Secret::new(secret)));
        let named = Custodian {
            name: Text::new(format!("keeper {number}")).expect("short"),
            sig: SigPublic(sig.verifying_key().to_bytes()),
            kem: Blob::new(secret.public().0.to_vec()).expect("an X-Wing key fits"),
        };
        Keeper { named, sig, secret }
    }

    fn id(&self) -> CustodianId {
        self.named.id()
    }

    fn signs(&self, words: &[u8]) -> Signature {
        Signature(self.sig.sign(words).to_bytes())
    }
}

/// One dealing on record with the shares its custodians hold.
struct Dealt {
    dealing: Dealing,
    shares: Vec<SharePlain>,
}

impl Dealt {
    fn hash(&self) -> Digest {
        Digest(self.dealing.manifest.manifest.digest())
    }
}

/// One attack and what stands around it.
struct Ceremony<'a> {
    world: &'a World,
    leader: Arc<Process>,
    keepers: Vec<Keeper>,
    dice: Dice,
}

/// Deals, brings what must not count, recovers. Whatever the group cannot do at that moment ends it without a word: other faults strike meanwhile.
pub async fn strike(world: &Arc<World>, kind: Kind) {
    let Some((_, leader, _)) = world.leader() else { return };
    let dice = Dice::new(world.seed, "custody", world.dice.word());
    let ceremony = Ceremony { world, leader, keepers: keepers(world.seed), dice };
    let Some(earlier) = ceremony.deal(&ceremony.keepers).await else { return };
    // The first custodian has not acknowledged this one.
    let Some(dealt) = ceremony.deal(&ceremony.keepers[1..]).await else { return };
    // The record first: it may be that nobody leads any more.
    if ceremony.record_refuses(kind, &earlier, &dealt).await.is_none() {
        return;
    }
    if ceremony.session_refuses(kind, &earlier, &dealt).is_some() {
        world.counts.fired(kind);
    }
}

impl Ceremony<'_> {
    fn broken(&self, what: impl Into<String>) {
        self.world.common.watch.broken(Rule::SharesAsDealt, what);
    }

    fn now_s(&self) -> u64 {
        (BIRTH_MS + self.world.common.trace.now_ms()) / 1_000
    }

    async fn propose(&self, command: CustodyCommand) -> Option<Outcome> {
        let proposed = self.leader.replica.propose(CommandBody::Custody(Box::new(command)));
        let applied = tokio::time::timeout(Duration::from_secs(5), proposed).await.ok()?.ok()?;
        applied.outcomes.first().copied()
    }

    /// D1 to D5: what the leader does, and what each custodian does with it; `acknowledge` do so.
    async fn deal(&self, acknowledge: &[Keeper]) -> Option<Dealt> {
        let dealing = self.made()?;
        if self.propose(CustodyCommand::Deal(Box::new(dealing.clone()))).await? != Outcome::Done {
            return None;
        }
        let hash = Digest(dealing.manifest.manifest.digest());
        let mut shares = Vec::new();
        for keeper in &self.keepers {
            let good = self.receive(keeper, &hash).await?;
            shares.push(good.share().clone());
        }
        for keeper in acknowledge {
            let words = ShareAck::words(&self.world.common.cluster.id, &hash, &keeper.id());
            let ack = ShareAck { manifest: hash, custodian: keeper.id(), signature: keeper.signs(&words) };
            if self.propose(CustodyCommand::Ack(ack)).await? != Outcome::Done {
                return None;
            }
        }
        Some(Dealt { dealing, shares })
    }

    fn made(&self) -> Option<Dealing> {
        let (cluster, leader) = (&self.world.common.cluster, &self.leader);
        let custody = leader.replica.view().ok()?.custody();
        let in_force = leader.site.policies.now();
        let plan = DealPlan {
            epoch: cluster.epoch,
            custody_epoch: CustodyEpoch(custody.newest.0 + 1),
            threshold: THRESHOLD,
            custodians: &cluster.template.custodians,
            previous: custody.active.as_ref().map_or(Digest([0; 32]), |active| active.hash),
            policy: in_force.digest(),
            policy_version: in_force.policy().version,
            dealer: leader.incarnation,
            dealer_sig: leader.secrets.public().sig,
        };
        let mut ivs = HedgedIvs::new(self.dice.generator(), leader.incarnation);
        let dealt = deal(&leader.keyring, &plan, &mut *self.dice.generator(), &mut ivs).ok()?;
        let (handshake, nonce) = dealt.manifest.opening();
        let keys = leader.secrets.public();
        let claim = Claim { role: Role::Dealing, incarnation: leader.incarnation, keys, handshake: &handshake, nonce: &nonce };
        let exchange = SavedExchange {
            cluster_id: cluster.id,
            min_policy_version: cluster.policy.version,
            handshake,
            nonce,
            noise: keys.noise,
            mode: AttestMode::Single,
            at_s: self.now_s(),
            answer: Blob::new(leader.site.collect(&claim).encode()).ok()?,
        };
        let signature = leader.secrets.sign(&dealt.manifest.words());
        let manifest = SignedManifest { manifest: dealt.manifest, signature };
        Some(Dealing { manifest, envelopes: dealt.envelopes, keys: dealt.keys, exchange: Blob::new(exchange.encode()).ok()? })
    }

    /// A custodian finds its envelope on the record of any member, judges the dealer's evidence, opens and judges its share.
    async fn receive(&self, keeper: &Keeper, hash: &Digest) -> Option<GoodShare> {
        let held = self.on_record(hash).await?;
        let (signed, id) = (&held.manifest, keeper.id());
        let exchange = SavedExchange::decode(&held.exchange).ok()?;
        let answer = AttestResp::decode(&exchange.answer).ok()?;
        let (handshake, nonce) = signed.manifest.opening();
        let wanted = Wanted { role: Role::Dealing, handshake: &handshake, nonce: &nonce, noise: &exchange.noise };
        let policy = PolicyPin::Founding { min_version: self.world.common.cluster.policy.version };
        let peer = self.world.common.judge(self.now_s(), &answer, &wanted, policy).ok()?;
        if peer.keys().sig != signed.manifest.dealer_sig {
            self.broken("a dealing is on record whose dealer did not attest");
            return None;
        }
        let envelope = held.envelopes.iter().find(|envelope| envelope.custodian == id)?;
        match open_share(&signed.manifest, &id, envelope, &keeper.secret) {
            Ok(good) => Some(good),
            Err(fault) => {
                self.broken(format!("the share that was dealt to {id} is none: {fault}"));
                None
            }
        }
    }

    /// The dealing, once some member other than the dealer has it on record; the dealer's, where no other is there.
    async fn on_record(&self, hash: &Digest) -> Option<Dealing> {
        for _ in 0..40 {
            let mut members = self.world.members();
            members.sort_by_key(|(_, _, process)| process.incarnation == self.leader.incarnation);
            for (_, _, process) in members {
                let waiting = process.replica.view().ok().and_then(|view| view.custody().waiting.clone());
                if let Some(held) = waiting.filter(|held| held.hash == *hash) {
                    return Some(held.dealing.clone());
                }
            }
            pause(self.world, 20, 50).await;
        }
        None
    }

    /// What every replica refuses while it applies.
    async fn record_refuses(&self, kind: Kind, earlier: &Dealt, dealt: &Dealt) -> Option<()> {
        let (id, [first, second, ..]) = (self.world.common.cluster.id, self.keepers.as_slice()) else { return None };
        let ack = |hash: Digest, keeper: &Keeper, signer: &Keeper| {
            let words = ShareAck::words(&id, &hash, &keeper.id());
            CustodyCommand::Ack(ShareAck { manifest: hash, custodian: keeper.id(), signature: signer.signs(&words) })
        };
        let (what, command, wanted) = match kind {
            Kind::BadShare => ("another's acknowledgement", ack(dealt.hash(), first, second), CustodyFault::BadSignature),
            Kind::ReplayedShare => ("an acknowledgement a second time", ack(dealt.hash(), second, second), CustodyFault::Already),
            Kind::WrongDealing => ("a dealing a second time", CustodyCommand::Deal(Box::new(dealt.dealing.clone())), CustodyFault::NotNext),
            _ => ("an acknowledgement of what was dropped", ack(earlier.hash(), first, first), CustodyFault::NoDealing),
        };
        let said = self.propose(command).await?;
        // Another ceremony of this world may have dealt meanwhile.
        let fits = [wanted, CustodyFault::NoDealing].into_iter().any(|fault| said == Outcome::Denied(Denial::Custody(fault)));
        let held = self.leader.replica.view().ok()?.custody();
        if !fits {
            self.broken(format!("{what} is taken, or refused for another reason: {said:?} where {wanted:?} was due"));
        }
        if held.active.is_some() || held.waiting.as_ref().is_some_and(|held| held.hash == dealt.hash() && held.is_acknowledged()) {
            self.broken("a dealing counts as acknowledged, or is active, although a custodian is absent");
        }
        Some(())
    }

    /// What a session refuses, and what it recovers from the rest. None where no session could be held.
    fn session_refuses(&self, kind: Kind, earlier: &Dealt, dealt: &Dealt) -> Option<()> {
        let blob = self.blob(dealt)?;
        let mut session = self.session(dealt);
        let (first, rest) = self.keepers.split_first()?;
        let (share, offer) = (dealt.shares.first()?, session.offer().clone());
        let mut refused = |what: &str, sent: &ShareSubmission, wanted: RecoveryFault| {
            let (before, said) = (session.count(), session.submit(sent, self.now_s()));
            if said != Err(wanted) || session.count() != before {
                self.broken(format!("{what}: {said:?} where {wanted:?} was due"));
            }
        };
        match kind {
            Kind::BadShare => {
                let mut bad = share.clone();
                let mut y = *bad.y.expose();
                y[self.dice.below(32) as usize] ^= 1 << self.dice.below(8);
                bad.y = Secret::new(y);
                refused("a share with a bit flipped", &self.submission(&offer, first, &bad)?, RecoveryFault::OtherShare);
                let others = dealt.shares.get(1)?;
                refused("another custodian's share", &self.submission(&offer, first, others)?, RecoveryFault::OtherShare);
            }
            Kind::ReplayedShare => {
                let other = self.session(dealt);
                let mut sent = self.submission(other.offer(), first, share)?;
                refused("a submission of another session", &sent, RecoveryFault::OtherSession);
                sent.offer = Digest(offer.digest());
                refused("the same with this session's name", &sent, RecoveryFault::BadSignature);
            }
            Kind::WrongDealing => {
                let old = earlier.shares.first()?;
                refused("a share of an earlier dealing", &self.submission(&offer, first, old)?, RecoveryFault::NotAShare);
                let sent = self.submission(self.session(earlier).offer(), first, old)?;
                refused("an answer to an offer for that dealing", &sent, RecoveryFault::OtherSession);
            }
            _ => {
                let mut alone = self.session(dealt);
                let sent = self.submission(alone.offer(), first, share)?;
                if alone.submit(&sent, self.now_s()).is_err()
                    || alone.is_enough()
                    || alone.open(std::slice::from_ref(&blob), self.now_s()).is_ok()
                {
                    self.broken("one custodian's share opened the master keys, or was refused");
                }
            }
        }
        self.recovers(session, dealt, rest, &blob)
    }

    /// The custodians who are left give their shares, and the keys are the group's.
    fn recovers(&self, mut session: Session, dealt: &Dealt, rest: &[Keeper], blob: &RecoveryBlob) -> Option<()> {
        let offer = session.offer().clone();
        for (keeper, share) in rest.iter().zip(dealt.shares.get(1..)?) {
            let said = session.submit(&self.submission(&offer, keeper, share)?, self.now_s());
            if said != Ok(keeper.id()) {
                self.broken(format!("a good share of {} is refused: {said:?}", keeper.id()));
            }
        }
        let planted = RecoveryBlob { tag: [7; 32], ..blob.clone() };
        let keys = |ring: &Keyring| ring.granted().iter().map(|key| (key.key_epoch, *key.key.expose())).collect::<Vec<_>>();
        match session.open(&[planted, blob.clone()], self.now_s()) {
            Ok(ring) if keys(&ring) == keys(&self.leader.keyring) => {}
            Ok(_) => self.broken("shares opened other keys than the group's"),
            Err(fault) => self.broken(format!("{THRESHOLD} good shares open nothing: {fault:?}")),
        }
        Some(())
    }

    /// The master keys, sealed as members seal them.
    fn blob(&self, dealt: &Dealt) -> Option<RecoveryBlob> {
        let (ring, manifest) = (&self.leader.keyring, &dealt.dealing.manifest.manifest);
        let tag = ring.unwrap_custody(&dealt.hash(), CustodyUse::Tag, &dealt.dealing.keys.tag).ok()?;
        let (mut rng, salt) = (self.dice.generator(), ring.custody_salt(manifest.custody_epoch));
        let mut draws = Draws::new(&mut *rng, &salt);
        let (epoch, version) = (self.world.common.cluster.epoch, self.leader.site.policies.now().policy().version);
        seal_keys(ring, manifest, &TagKey::new(tag), epoch, version, &mut draws).ok()
    }

    /// A session of a fresh node for this dealing.
    fn session(&self, dealt: &Dealt) -> Session {
        let manifest = &dealt.dealing.manifest.manifest;
        let (mut name, mut seed) = ([0; 32], [0; 32]);
        self.dice.fill(&mut name);
        self.dice.fill(&mut seed);
        let kem = KemSecret::from_seed(Secret::new(seed));
        let secrets = Arc::new(NodeSecrets::generate(&mut self.dice.clone()));
        let offer = RecoveryOffer {
            cluster_id: manifest.cluster_id,
            epoch: manifest.epoch,
            purpose: RecoveryPurpose::Outage,
            custody_epoch: manifest.custody_epoch,
            manifest: dealt.hash(),
            session: Nonce(name),
            kem: kem.public(),
            slot: Slot(1),
            sig: secrets.public().sig,
            inventory: List::default(),
            replaces: None,
            keepers: List::default(),
            earlier: List::default(),
        };
        Session::new(offer, manifest.clone(), kem, secrets, self.now_s())
    }

    /// What a custodian sends for an offer: any share, sealed and signed as its own.
    fn submission(&self, offer: &RecoveryOffer, keeper: &Keeper, share: &SharePlain) -> Option<ShareSubmission> {
        let (digest, mut rng, mut salt) = (Digest(offer.digest()), self.dice.generator(), [0; 32]);
        self.dice.fill(&mut salt);
        let salt = Secret::new(salt);
        let mut draws = Draws::new(&mut *rng, &salt);
        let (kem, sealed) = seal_submission(&offer.kem, &digest, &offer.manifest, &keeper.id(), share, &mut draws).ok()?;
        let mut sent = ShareSubmission {
            offer: digest,
            manifest: offer.manifest,
            custodian: keeper.id(),
            kem,
            sealed,
            last_epoch: offer.epoch,
            anchor: None,
            signature: Signature([0; 64]),
        };
        sent.signature = keeper.signs(&sent.words());
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_has_the_same_custodians_whenever_they_are_asked_for() {
        let named = |seed| keepers(seed).into_iter().map(|keeper| keeper.named).collect::<Vec<_>>();
        assert_eq!(named(3), named(3));
        assert_ne!(named(3), named(4));
        assert!(usize::from(THRESHOLD) < named(3).len(), "one may be absent");
    }
}
