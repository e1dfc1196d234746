//! A cluster whose policy changes: governors, a public log with witnesses, and the steps of a chain.
//!
//! Decides: what an honest change and an honest notice look like; tests bend one part. Trusts: keys that follow from numbers and names.
//! Out of scope: what must become of them (the files beside this one).

mod kinds;
mod loosening;
mod pages;
mod sessions;
mod steps;

use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_sim::release::{MintedLog, Publisher, Witness};
use ringwall_sim::{BuildImage, world};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::governance::PolicyStep;
use ringwall_wire::ids::{ClusterId, Digest, PolicyVersion, SigPublic, Signature};
use ringwall_wire::policy::{Approval, Governance, PolicyDoc, SignedPolicy};
use ringwall_wire::release::{LogEntry, Note, PolicyNotice};

/// The cluster of these tests.
const CLUSTER: ClusterId = ClusterId([0x61; 32]);
/// Seconds a loosening waits.
const DELAY_S: u32 = 1_000;
/// When a change is published, Unix seconds.
const PUBLISHED_S: u64 = 1_795_000_000;

fn governor(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> SigPublic {
    SigPublic(governor(number).verifying_key().to_bytes())
}

/// Three governors, two of whom must approve.
fn governance() -> Governance {
    Governance { keys: List::new([1, 2, 3].map(public).to_vec()).unwrap(), threshold: 2, timelock_s: DELAY_S, lease_s: 600 }
}

/// The founding policy of a cluster without witnesses.
fn founding() -> PolicyDoc {
    PolicyDoc { governance: governance(), ..world::policy() }
}

/// The same, of one whose policy names a log and witnesses.
fn watched() -> PolicyDoc {
    PolicyDoc { release: Publisher::default().demanded(), ..founding() }
}

/// `policy` with the next version, changed.
fn next(policy: &PolicyDoc, change: impl FnOnce(&mut PolicyDoc)) -> PolicyDoc {
    let mut next = PolicyDoc { version: PolicyVersion(policy.version.0 + 1), ..policy.clone() };
    change(&mut next);
    next
}

/// Sessions attest more often: less is accepted.
fn tightened(policy: &PolicyDoc) -> PolicyDoc {
    next(policy, |policy| policy.session.reattest_s /= 2)
}

/// One build more.
fn loosened(policy: &PolicyDoc, build: &str) -> PolicyDoc {
    next(policy, |policy| policy.measurements.push(BuildImage::new(build, 5).measurement()).unwrap())
}

fn approvals(words: &[u8], numbers: &[u8]) -> Vec<Approval> {
    numbers.iter().map(|number| Approval { key: public(*number), signature: Signature(governor(*number).sign(words).to_bytes()) }).collect()
}

fn signed_by(old: &PolicyDoc, new: &PolicyDoc, numbers: &[u8]) -> SignedPolicy {
    let replaces = Some(Digest(old.digest()));
    let mut signed = SignedPolicy { replaces, policy: Blob::new(new.encode()).unwrap(), signatures: List::default() };
    signed.signatures = List::new(approvals(&signed.signed_words(), numbers)).unwrap();
    signed
}

/// A step two governors approved, without a notice.
fn step(old: &PolicyDoc, new: &PolicyDoc) -> PolicyStep {
    PolicyStep { signed: signed_by(old, new, &[1, 3]), notice: None }
}

/// The public log and its witnesses.
struct Public {
    log: MintedLog,
    witnesses: Vec<Witness>,
}

impl Public {
    fn new() -> Self {
        let Publisher { log, witnesses, .. } = Publisher::default();
        Public { log, witnesses }
    }

    /// The checkpoint of the first `size` entries, cosigned by each of these at a second of its own.
    fn note(&self, size: u64, cosigned: &[(usize, u64)]) -> Note {
        let checkpoint = self.log.checkpoint_at(size);
        let text = checkpoint.text();
        let mut note = format!("{text}\n{}", self.log.signer().sign(&text));
        cosigned.iter().for_each(|(witness, at_s)| note.push_str(&self.witnesses[*witness].cosign(&checkpoint, *at_s)));
        Note::new(note.into_bytes()).unwrap()
    }

    /// Publishes a change of a cluster; the sizes of the tree that has it and of one that has a stranger's entry more.
    fn publish(&mut self, cluster_id: ClusterId, signed: &SignedPolicy) -> (u64, u64) {
        self.log.append(&LogEntry::policy_change(cluster_id, signed.change()));
        let size = self.log.size();
        self.log.append_leaf(Digest([7; 32]));
        (size, self.log.size())
    }

    /// The notice of what was published as entry `size - 1`: witnessed by all three, and again at `later_s`.
    fn notice(&self, (size, later): (u64, u64), later_s: u64) -> PolicyNotice {
        let at = |at_s| [(0, at_s), (1, at_s), (2, at_s)];
        PolicyNotice {
            published: self.note(size, &at(PUBLISHED_S)),
            proof: self.log.inclusion(size - 1, size),
            later: self.note(later, &at(later_s)),
            consistency: self.log.consistency(size, later),
        }
    }
}

/// A step with a notice that shows the full delay.
fn noticed(public: &mut Public, old: &PolicyDoc, new: &PolicyDoc) -> PolicyStep {
    let step = step(old, new);
    let sizes = public.publish(CLUSTER, &step.signed);
    PolicyStep { notice: Some(public.notice(sizes, PUBLISHED_S + u64::from(DELAY_S))), ..step }
}
