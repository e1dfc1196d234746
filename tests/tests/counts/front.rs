//! What a put and a get cost between a client's words and the replicated log, in the functions that need no runtime.
//!
//! Decides: each step by itself, in the order a node takes them (`node/src/front/requests.rs`, `writes.rs`, `reads.rs`, `sender.rs`): decoding, tags,
//! sealing, the entry, opening, replies, records, receipts. The steps are called here as they are called there; queues and sockets are not run.
//! Trusts: nothing. Out of scope: log and state (`storage.rs`), handshakes (`sessions.rs`).

use crate::SIZES;
use crate::sessions::{Pair, rng};
use crate::table::Counting;
use ringwall_channel::{NodeSecrets, Opener, Sealer};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, RecordPlace, SpaceKeys};
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::{Field as _, Message};
use ringwall_wire::command::{
    Command, CommandBody, OpenSpace, SealedChange, SealedMutation, SealedPut, SealedRecord, SealedWrite, SpaceChange, WrappedKey,
};
use ringwall_wire::evidence::BatchPath;
use ringwall_wire::ids::{
    ClientId, ClientTag, ClusterId, Digest, Epoch, Incarnation, KeyTag, Nonce, Revision, Signature, SpaceTag, UserId,
};
use ringwall_wire::receipt::{Receipt, ReceiptHead, ReceiptLeaf, Receipted, SpaceMark, TreeHead};
use ringwall_wire::request::{
    Answer, Change, Entry, Expect, Get, KeyMode, KeyName, Mutation, Namespace, Once, Op, PutValue, Reply, Request, Value, Write,
};
use ringwall_wire::tree::Levels;

/// Bytes of a value: the size the comparison with etcd uses.
pub(crate) const VALUE_BYTES: usize = 256;
/// Bytes of a small value: what a node stores of it is half overhead.
const SMALL_BYTES: usize = 16;
const CLUSTER: ClusterId = ClusterId([7; 32]);
const USER: UserId = UserId([1; 20]);
const CLIENT: ClientId = ClientId([2; 16]);

/// A namespace of one user, as a node has it, and the writes of one client.
pub(crate) struct Notes {
    keyring: Keyring,
    keys: SpaceKeys,
    dek: WrappedKey,
    ivs: HedgedIvs,
    tag: SpaceTag,
    client: ClientTag,
    seq: u64,
}

impl Notes {
    /// A namespace nobody wrote to.
    pub(crate) fn new() -> Self {
        let keyring = Keyring::found(CLUSTER, &mut rng(1));
        let mut ivs = HedgedIvs::new(Box::new(rng(2)), Incarnation(1));
        let tag = keyring.space_tag(&USER, "notes");
        let (keys, dek) = keyring.new_space_key(&tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut ivs).unwrap();
        let client = keyring.client_tag(&tag, &CLIENT);
        Notes { keyring, keys, dek, ivs, tag, client, seq: 0 }
    }

    /// The write that makes it.
    pub(crate) fn opening(&self) -> SealedWrite {
        let owner = self.keyring.owner_mark(&USER, &self.tag);
        SealedWrite::OpenSpace(OpenSpace { space: self.tag, mode: KeyMode::Cluster, commit: None, dek: self.dek.clone(), owner })
    }

    /// A record, sealed as a node seals it.
    fn sealed(&mut self, name: &[u8], value: &[u8]) -> (KeyTag, SealedRecord) {
        let key = self.keys.key_tag(name);
        let place = RecordPlace { key, client: self.client, seq: self.seq };
        (key, self.keys.seal(&place, name, value, &mut self.ivs).unwrap())
    }

    /// The next put of the client, to a key of its own.
    pub(crate) fn put(&mut self, bytes: usize) -> SealedWrite {
        self.seq += 1;
        let (key, record) = self.sealed(&name(self.seq), &vec![7; bytes]);
        let mutation = SealedMutation { key, expect: Expect::Any, change: SealedChange::Put(SealedPut { record, ttl_s: 0 }) };
        let once = Once { seq: self.seq, acked: self.seq, since: Revision(0) };
        SealedWrite::Change(SpaceChange { space: self.tag, client: self.client, once, mutations: List::new(vec![mutation]).unwrap() })
    }
}

/// A name of 16 bytes.
fn name(number: u64) -> Vec<u8> {
    format!("key-{number:012}").into_bytes()
}

fn namespace() -> Namespace {
    Namespace::new("notes").unwrap()
}

fn put_request(number: u64) -> Request {
    let change = Change::Put(PutValue { value: Blob::new(vec![7; VALUE_BYTES]).unwrap(), ttl_s: 0 });
    let mutation = Mutation { key: KeyName::new(name(number)).unwrap(), expect: Expect::Any, change };
    let once = Once { seq: number, acked: number, since: Revision(number) };
    Request { number, op: Op::Write(Write { namespace: namespace(), once, mutations: List::new(vec![mutation]).unwrap() }) }
}

fn get_request(number: u64) -> Request {
    Request { number, op: Op::Get(Get { namespace: namespace(), key: KeyName::new(name(number)).unwrap() }) }
}

fn put_reply(number: u64) -> Reply {
    Reply { number, body: Answer::Written(Revision(number)) }
}

fn get_reply(number: u64) -> Reply {
    let (key, value) = (KeyName::new(name(number)).unwrap(), Value::new(vec![7; VALUE_BYTES]).unwrap());
    Reply { number, body: Answer::Found(Entry { key, value, version: Revision(number) }) }
}

/// Bytes as they are encoded.
fn bytes(counting: &mut Counting, what: &str, size: u64, bytes: usize) {
    counting.table.add(format!("{what}: bytes"), size, bytes as u64);
}

/// A message is written and read.
fn message<M: Message>(counting: &mut Counting, what: &str, size: u64, message: &M) {
    let encoded = counting.took(&format!("{what}: encoded"), size, || message.encode());
    bytes(counting, &format!("{what}: encoded"), size, encoded.len());
    counting.took(&format!("{what}: decoded"), size, || M::decode(&encoded).unwrap());
}

/// One put and one get, until what is replicated and from what is stored.
fn one(counting: &mut Counting) {
    message(counting, "put: request", 1, &put_request(1));
    message(counting, "put: reply", 1, &put_reply(1));
    message(counting, "get: request", 1, &get_request(1));
    message(counting, "get: reply", 1, &get_reply(1));

    let mut notes = Notes::new();
    for (what, value) in [("put", vec![7; VALUE_BYTES]), ("put of 16 bytes", vec![7; SMALL_BYTES])] {
        let sealed = format!("{what}: sealed");
        let name = name(1);
        let (key, record) = counting.took(&sealed, 1, || notes.sealed(&name, &value));
        bytes(counting, &sealed, 1, record.to_bytes().len());
        let opened = counting.took(&format!("{}: opened", what.replacen("put", "get", 1)), 1, || {
            let key = notes.keys.key_tag(&name);
            notes.keys.open(&key, &record).unwrap()
        });
        assert_eq!((key, opened), (notes.keys.key_tag(&name), (name, value)));
    }

    // Once a session and namespace, then it is remembered.
    counting.took("namespace: found by a session", 1, || {
        let tag = notes.keyring.space_tag(&USER, "notes");
        let client = notes.keyring.client_tag(&tag, &CLIENT);
        (notes.keyring.unwrap_space_key(&tag, KeyMode::Cluster, &notes.dek).unwrap(), client)
    });
    let words = [0; 100];
    counting.took("group of entries: sealed", 1, || notes.keyring.seal_log(FIRST_KEY_EPOCH, &words).unwrap());
    counting.took("namespace: made", 1, || {
        let dek = notes.keyring.new_data_key(&notes.tag, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut notes.ivs).unwrap();
        (dek, notes.keyring.owner_mark(&USER, &notes.tag))
    });
}

/// Many puts in one entry.
fn entry(counting: &mut Counting, size: u64) {
    let mut notes = Notes::new();
    let writes = (0..size).map(|_| notes.put(VALUE_BYTES)).collect();
    message(counting, "one entry of puts", size, &Command { at_ms: 1, body: CommandBody::Writes(List::new(writes).unwrap().into()) });
}

/// How one end takes its next message; false when there is none.
type Take = fn(&mut Opener) -> bool;

/// Messages that leave in one flush, and arrive.
fn flush(counting: &mut Counting, what: &str, (sealer, opener, take): (&mut Sealer, &mut Opener, Take), messages: &[Vec<u8>]) {
    // Room for a flush that is done once more: what is counted is the flush.
    let (size, mut sealed) = (messages.len() as u64, Vec::with_capacity(2));
    let name = format!("{what}: sealed");
    counting.took(&name, size, || {
        let mut out = Vec::new();
        sealer.seal_many(messages, &mut out).unwrap();
        sealed.push(out);
    });
    bytes(counting, &name, size, sealed.iter().map(Vec::len).sum());
    // What was sealed twice is opened twice, before anything is counted; the last flush is the one that is.
    let last = sealed.pop().unwrap();
    let mut opened = |sealed: &[u8]| {
        opener.push(sealed).unwrap();
        let mut taken = 0;
        while take(opener) {
            taken += 1;
        }
        taken
    };
    sealed.iter().for_each(|sealed| assert_eq!(opened(sealed), size));
    let mut once = Some(&last);
    let taken = counting.took(&format!("{what}: opened"), size, || once.take().map_or(0, |sealed| opened(sealed)));
    assert_eq!(taken, size);
}

/// Requests to a node and replies of it, many in one flush.
fn flushes(counting: &mut Counting, size: u64) {
    let encoded = |message: &dyn Fn(u64) -> Vec<u8>| (1..=size).map(message).collect::<Vec<_>>();
    let puts = encoded(&|number| put_request(number).encode());
    let gets = encoded(&|number| get_request(number).encode());
    let written = encoded(&|number| put_reply(number).encode());
    let found = encoded(&|number| get_reply(number).encode());
    // Streams of their own: buffers that have grown take no part in the next count.
    for (what, messages) in [("flush of put requests", &puts), ("flush of get requests", &gets)] {
        let Pair { mut client, mut node } = Pair::new();
        // A node reads requests where they lie.
        flush(counting, what, (&mut client.0, &mut node.1, |opener| opener.look(|_| ()).unwrap().is_some()), messages);
    }
    for (what, messages) in [("flush of put replies", &written), ("flush of get replies", &found)] {
        let Pair { mut client, mut node } = Pair::new();
        flush(counting, what, (&mut node.0, &mut client.1, |opener| opener.next().unwrap().is_some()), messages);
    }
}

/// Receipts for so many sessions whose answers wait together, each about one namespace: one signature, as `front/receipts.rs` makes it.
fn group(counting: &mut Counting, size: u64) {
    let secrets = NodeSecrets::generate(&mut rng(3));
    let leaf = |number: u64| {
        let mark = SpaceMark { space: Digest([4; 32]), seq: number, digest: Digest([5; 32]) };
        ReceiptLeaf { user: USER, client: CLIENT, nonce: Nonce([6; 32]), number, spaces: List::new(vec![mark]).unwrap() }
    };
    let leaves: Vec<ReceiptLeaf> = (1..=size).map(leaf).collect();
    let made = counting.took("receipts of a group: made", size, || {
        let levels = Levels::new(leaves.iter().map(ReceiptLeaf::leaf).collect()).unwrap();
        let tree = TreeHead { size: 1_000, root: Digest([8; 32]), landmark: Digest([9; 32]) };
        let mut head = ReceiptHead {
            cluster_id: CLUSTER,
            epoch: Epoch(1),
            index: 999,
            term: 1,
            tree,
            group: levels.root(),
            incarnation: Incarnation(1),
            signature: Signature([0; 64]),
        };
        head.signature = secrets.sign(&head.words());
        let path = |index| BatchPath { leaves: size as u32, index, siblings: List::new(levels.siblings(index as usize).unwrap()).unwrap() };
        (0..).zip(&leaves).map(|(index, leaf)| Receipt { head: head.clone(), leaf: leaf.clone(), path: path(index) }).collect::<Vec<_>>()
    });
    // With the path from the log tree a client saw before, ten hashes here.
    let path = List::new(vec![Digest([1; 32]); 10]).unwrap();
    let receipt = Receipted { covers: 1, receipt: made.into_iter().next().unwrap(), from: 900, path };
    message(counting, "receipt: reply", size, &Reply { number: 0, body: Answer::Receipt(Box::new(receipt)) });
}

pub(crate) fn count(counting: &mut Counting) {
    one(counting);
    for size in SIZES {
        entry(counting, size);
        flushes(counting, size);
        group(counting, size);
    }
}
