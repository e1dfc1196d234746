//! What is measured: everything in `keys` that secrets pass through and a stranger can wait for, and two operations that leak on purpose.
//!
//! Decides: where an operation compares, the fixed bytes are the right ones but for the last, so that a comparison that ends early takes longest with them;
//! where it computes, the input is the secret itself. What is set up for one measurement is set up in the same way for both classes, before the clock runs.
//! Trusts: nothing. Out of scope: key pairs of ML-KEM (their public matrix is sampled in time that depends on a public seed), text of shares (read and
//! written with lookups, on a custodian's machine), times (`timing.rs`).

use crate::dealer::{CLUSTER, Dealer, recovered};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use ringwall_keys::custody::field::{add, invert, mul};
use ringwall_keys::custody::proof::{ProofError, ProofKey};
use ringwall_keys::custody::split::{evaluate, interpolate};
use ringwall_keys::custody::{BlobError, GoodShare, RecoveryKey, ShareError, answer_challenge};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, OpenError, RecordPlace, SpaceKeys};
use ringwall_wire::bounded::List;
use ringwall_wire::command::{SealedRecord, WrappedKey};
use ringwall_wire::custody::{CustodyManifest, RecoveryBlob, ShareChallenge, SharePlain, ShareProof};
use ringwall_wire::ids::{ClientTag, CustodianId, Digest, Incarnation, KeyTag, Nonce, Signature, SpaceTag};
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;
use std::hint::black_box;

/// What an operation comes to where the bytes are the right ones.
pub const RIGHT: u8 = 1;
/// Where they are not.
pub const REFUSED: u8 = 0;
/// Where it failed for another reason: then it is not what was to be measured.
const ASTRAY: u8 = 2;
/// What is sealed in these measurements.
const WORDS: &[u8] = b"words of a member about its log";

/// One operation.
#[derive(Clone, Copy)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// Whether it is meant to leak.
    pub leaks: bool,
    /// How often it runs in one measurement: quick ones more than once, so that the clock sees them.
    pub repeats: u32,
    /// Whether it compares: comes to [`REFUSED`] for both classes, and to [`RIGHT`] for the right bytes.
    pub compares: bool,
    /// The bytes of the fixed class.
    pub fixed: fn(&Bench) -> [u8; 32],
    /// Puts 32 bytes into their place.
    pub set: fn(&mut Bench, &[u8; 32]),
    /// What is measured.
    pub run: fn(&Bench) -> u8,
}

impl core::fmt::Debug for Operation {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Operation({})", self.name)
    }
}

/// Everything operations need, made once.
pub struct Bench {
    secret: Secret<32>,
    known: Secret<32>,
    ring: Keyring,
    manifest: CustodyManifest,
    custodian: CustodianId,
    share: SharePlain,
    altered: SharePlain,
    key: RecoveryKey,
    blob: RecoveryBlob,
    made: ProofKey,
    held: ProofKey,
    challenge: ShareChallenge,
    proof: ShareProof,
    space: SpaceKeys,
    name: KeyTag,
    record: SealedRecord,
    tag: SpaceTag,
    wrapped: WrappedKey,
    sealed: [u8; 32],
}

impl Bench {
    /// A dealing, a proof, a record and a wrapped key.
    ///
    /// # Panics
    /// Never: everything is made here, of parts that fit.
    pub fn new(rng: &mut ChaCha20Rng) -> Self {
        let mut forked = || Box::new(ChaCha20Rng::seed_from_u64(rng.next_u64()));
        let (ring, ivs, mut draws) = (Keyring::found(CLUSTER, &mut *forked()), forked(), forked());
        let mut dealer = Dealer::new(ring.clone(), 2, 3, ivs);
        let dealt = dealer.deal(&mut *draws).expect("a plan that fits");
        let good = dealer.share(&dealt, 0).expect("what was dealt is good");
        let shares = dealer.shares(&dealt).expect("what was dealt is good");
        let key = recovered(&dealt.manifest, &shares).expect("two of three");
        let blob = dealer.blob(&dealt, &mut *draws).expect("few keys");
        let proof_key = || dealer.proof_key(&dealt, 0).expect("wrapped here");
        let (made, held) = (proof_key(), proof_key());
        let (manifest, custodian) = (dealt.manifest, *good.custodian());
        let (challenge, handshake) = (ShareChallenge { manifest: *good.manifest(), nonce: Nonce([5; 32]) }, Digest([6; 32]));
        let answer = answer_challenge(&good, &challenge, &handshake);
        let (manifest_hash, nonce, signature) = (challenge.manifest, challenge.nonce, Signature([0; 64]));
        let proof = ShareProof { manifest: manifest_hash, custodian, nonce, handshake, answer, signature };
        let tag = SpaceTag([2; 16]);
        let mut ivs = HedgedIvs::new(forked(), Incarnation(1));
        let (space, wrapped) = ring.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).expect("no user's part is needed");
        let place = RecordPlace { key: space.key_tag(b"name"), client: ClientTag([3; 16]), seq: 1 };
        let record = space.seal(&place, b"name", b"value", &mut ivs).expect("short");
        Bench {
            secret: Secret::new([0; 32]),
            known: Secret::new([0x5A; 32]),
            made,
            held,
            sealed: ring.seal_log(FIRST_KEY_EPOCH, WORDS).expect("the ring has it"),
            share: good.share().clone(),
            altered: good.share().clone(),
            name: place.key,
            ring,
            manifest,
            custodian,
            key,
            blob,
            challenge,
            proof,
            space,
            record,
            tag,
            wrapped,
        }
    }
}

/// Computes with a secret: nothing is compared.
const COMPUTES: Operation = Operation {
    name: "",
    leaks: false,
    repeats: 4,
    compares: false,
    fixed: |_| [0x5A; 32],
    set: |bench, bytes| bench.secret = Secret::new(*bytes),
    run: |_| RIGHT,
};
/// Compares bytes of a stranger with the right ones.
const COMPARES: Operation = Operation { repeats: 1, compares: true, ..COMPUTES };

/// All of them; the last two are there to be seen.
pub const OPERATIONS: [Operation; 15] = [
    Operation { name: "field: product", run: |bench| fold(bench, mul), ..COMPUTES },
    Operation { name: "field: inverse", run: |bench| fold(bench, |byte, _| invert(byte)), ..COMPUTES },
    Operation {
        name: "split: a share, threshold 3",
        run: |bench| evaluate(&bench.secret, &[bench.known.clone(), bench.secret.clone()], 5).expose()[0],
        ..COMPUTES
    },
    Operation {
        name: "combine: two shares",
        run: |bench| interpolate(&[(1, &bench.secret), (2, &bench.known)]).map_or(ASTRAY, |found| found.expose()[0]),
        ..COMPUTES
    },
    Operation {
        name: "share: its commitment",
        repeats: 1,
        set: |bench, bytes| bench.altered.y = Secret::new(*bytes),
        run: |bench| bench.altered.commitment().0[0],
        ..COMPUTES
    },
    Operation {
        name: "share: its commitment compared",
        fixed: |bench| almost(&bench.share.commitment().0),
        set: |bench, bytes| {
            let mut members = std::mem::take(&mut bench.manifest.members).into_vec();
            members[0].commitment = Digest(*bytes);
            bench.manifest.members = List::new(members).expect("as many as before");
        },
        run: |bench| match GoodShare::judge(&bench.manifest, &bench.custodian, bench.share.clone()) {
            Ok(_) => RIGHT,
            Err(ShareError::OtherCommitment { .. }) => REFUSED,
            Err(_) => ASTRAY,
        },
        ..COMPARES
    },
    Operation {
        name: "proof: its MAC under a secret key",
        repeats: 1,
        set: |bench, bytes| bench.made = ProofKey::new(Secret::new(*bytes)),
        run: |bench| proven(bench, &bench.made),
        ..COMPUTES
    },
    Operation {
        name: "proof: its MAC compared",
        fixed: |bench| almost(&bench.proof.answer),
        set: |bench, bytes| bench.proof.answer = *bytes,
        run: |bench| proven(bench, &bench.held),
        ..COMPARES
    },
    Operation {
        name: "recovery blob: its tag compared",
        fixed: |bench| almost(&bench.blob.tag),
        set: |bench, bytes| bench.blob.tag = *bytes,
        run: |bench| match bench.key.open(&bench.manifest, &bench.blob) {
            Ok(_) => RIGHT,
            Err(BlobError::BadTag) => REFUSED,
            Err(_) => ASTRAY,
        },
        ..COMPARES
    },
    Operation {
        name: "record: its commitment compared",
        fixed: |bench| almost(&bench.record.commit),
        set: |bench, bytes| bench.record.commit = *bytes,
        run: |bench| opened(bench.space.open_name(&bench.name, &bench.record)),
        ..COMPARES
    },
    Operation {
        name: "wrapped key: its commitment compared",
        fixed: |bench| almost(&bench.wrapped.commit),
        set: |bench, bytes| bench.wrapped.commit = *bytes,
        run: |bench| opened(bench.ring.unwrap_space_key(&bench.tag, KeyMode::Cluster, &bench.wrapped)),
        ..COMPARES
    },
    Operation {
        name: "disk: its seal compared",
        fixed: |bench| almost(&bench.sealed),
        set: |bench, bytes| bench.sealed = *bytes,
        run: |bench| u8::from(bench.ring.has_sealed(FIRST_KEY_EPOCH, WORDS, &bench.sealed)),
        ..COMPARES
    },
    Operation {
        name: "secret: compared",
        repeats: 4,
        fixed: |bench| almost(bench.known.expose()),
        run: |bench| u8::from(bench.secret.same(&bench.known)),
        ..COMPARES
    },
    Operation {
        name: "control: a comparison that ends early",
        leaks: true,
        repeats: 4,
        fixed: |bench| almost(bench.known.expose()),
        run: |bench| early(bench.secret.expose(), bench.known.expose()),
        ..COMPARES
    },
    Operation { name: "control: a product that ends with its factor", leaks: true, run: |bench| fold(bench, schoolbook), ..COMPUTES },
];

/// The right bytes but for the last.
fn almost(right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = *right;
    bytes[31] ^= 1;
    bytes
}

fn fold(bench: &Bench, with: impl Fn(u8, u8) -> u8) -> u8 {
    bench.secret.expose().iter().zip(bench.known.expose()).fold(0, |all, (byte, known)| add(all, with(*byte, *known)))
}

fn proven(bench: &Bench, key: &ProofKey) -> u8 {
    match key.judge(&bench.challenge, &bench.proof.handshake, &bench.proof) {
        Ok(()) => RIGHT,
        Err(ProofError::OtherShare) => REFUSED,
        Err(_) => ASTRAY,
    }
}

fn opened<T>(result: Result<T, OpenError>) -> u8 {
    match result {
        Ok(_) => RIGHT,
        Err(OpenError::OtherKey) => REFUSED,
        Err(_) => ASTRAY,
    }
}

/// What nobody should write.
fn early(one: &[u8; 32], other: &[u8; 32]) -> u8 {
    for (a, b) in one.iter().zip(other) {
        if black_box(a) != black_box(b) {
            return REFUSED;
        }
    }
    RIGHT
}

/// The product as schoolbooks have it: done when a factor is used up.
fn schoolbook(one: u8, other: u8) -> u8 {
    let (mut left, mut right, mut product) = (one, other, 0);
    // A loop whose end depends on the secret stays one whatever the optimizer does; a condition alone is turned into arithmetic.
    while black_box(left) != 0 {
        if left & 1 == 1 {
            product ^= right;
        }
        let carries = right & 0x80 != 0;
        left >>= 1;
        right <<= 1;
        if carries {
            right ^= 0x1b;
        }
    }
    product
}
