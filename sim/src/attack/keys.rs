//! Attacks with keys and what they seal: a generator that stands still, a blob made for two keys, sizes that tell.
//!
//! Decides: R11, K6 and S1 on the real key hierarchy. Trusts: nothing. Out of scope: what is on disks and wires (`strangers.rs`).
//! Protocol sections 7 and 11.

use super::report::Report;
use super::stage::Stage;
use crate::demo::DemoError;
use crate::salamander;
use crate::stuck::Stuck;
use rand_core::CryptoRng;
use ringwall_keys::derive::{Purpose, expand};
use ringwall_keys::ring::FIRST_KEY_EPOCH;
use ringwall_keys::{HedgedIvs, Keyring, OpenError, RecordPlace, SpaceKeys};
use ringwall_node::entropy::{Entropy, try_out};
use ringwall_wire::admission::GrantedKey;
use ringwall_wire::bounded::Blob;
use ringwall_wire::codec::enc;
use ringwall_wire::command::{SealedRecord, WrappedKey};
use ringwall_wire::ids::{ClientTag, ClusterId, Incarnation, KeyEpoch, SpaceTag};
use ringwall_wire::label::Label;
use ringwall_wire::request::KeyMode;
use ringwall_wire::secret::Secret;
use std::sync::Arc;

const CLUSTER: ClusterId = ClusterId([1; 32]);
const SPACE: SpaceTag = SpaceTag([2; 16]);
const CLIENT: ClientTag = ClientTag([4; 16]);
const EPOCH: KeyEpoch = KeyEpoch(1);

fn ring(master: [u8; 32]) -> Result<Keyring, DemoError> {
    let granted =
        [KeyEpoch(0), EPOCH].map(|key_epoch| GrantedKey { key_epoch, key: Secret::new(if key_epoch == EPOCH { master } else { [9; 32] }) });
    Keyring::from_grant(CLUSTER, &granted).map_err(|fault| DemoError::Broken(fault.to_string()))
}

fn stuck_ivs() -> HedgedIvs {
    HedgedIvs::new(Box::new(Stuck(0)), Incarnation(1 << 40 | 7))
}

/// R11. The processor's generator gives zeroes and says that all is well; then, worse, it stands still once the node runs, and memory was restored.
pub(super) async fn stuck_generator(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    report.did("gave a node that starts a generator that returns zeroes with success, and one that repeats a byte");
    for byte in [0, 0x5a] {
        let entropy: Entropy = Arc::new(move || Box::new(Stuck(byte)) as Box<dyn CryptoRng + Send>);
        report.tried(&format!("a node's first look at a generator of {byte:#04x}"), try_out(&entropy));
    }
    let ring = ring([7; 32])?;
    let (keys, _) = ring
        .new_space_key(&SPACE, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut stuck_ivs())
        .map_err(|fault| DemoError::Broken(fault.to_string()))?;
    let place = RecordPlace { key: keys.key_tag(b"name"), client: CLIENT, seq: 1 };
    let plain: [&[u8]; 2] = [b"the key is under the third stone", b"the map is in the blue tin......"];
    // Each time from the beginning: a memory image that is restored repeats counter and generator alike.
    let seal = |text: &[u8]| keys.seal(&place, b"name", text, &mut stuck_ivs()).map_err(|fault| DemoError::Broken(fault.to_string()));
    let (one, other) = (seal(plain[0])?, seal(plain[1])?);
    report.did("sealed two texts at the same place with a generator that stands still and a counter that was put back");
    let difference: Vec<u8> = one.value.iter().zip(other.value.iter()).map(|(one, other)| one ^ other).collect();
    let expected: Vec<u8> = plain[0].iter().zip(plain[1]).map(|(one, other)| one ^ other).collect();
    let leaks = difference.windows(expected.len()).any(|window| window == expected);
    match (one.iv == other.iv, leaks) {
        (false, false) => report.answered(
            "the two initialization vectors differ, because they depend on what is sealed; so do the keys, and the texts stay hidden",
        ),
        (same, leaks) => report.won(format!(
            "one initialization vector for two texts: {same}; the difference of the texts can be read from the disk: {leaks}"
        )),
    }
    report.remains("at a start: exit code 16 and a line that says what to do; later: nothing, and nothing is lost by it");
    report.finished()
}

/// The keys of a namespace whose data key the attacker chose, and the keys of one record in it: name, value, commitment.
fn chosen(dek: [u8; 32], iv: &[u8; 24]) -> Result<(SpaceKeys, [[u8; 32]; 3]), DemoError> {
    let (master, wrap_iv) = ([7; 32], [3; 24]);
    let mode = ringwall_wire::codec::Field::to_bytes(&KeyMode::Cluster);
    let kek: Secret<32> = expand(&Secret::new(master), Purpose::Kek, &[&CLUSTER.0, &EPOCH.0.to_be_bytes()]);
    let wrap: Secret<64> = expand(&kek, Purpose::WrapKeys, &[&wrap_iv]);
    let (key, commit) = wrap.expose().split_at(32);
    let aad = enc(Label::WrappedKey, &[&CLUSTER.0, &SPACE.0, &mode, &EPOCH.0.to_be_bytes()]);
    let unfit = || DemoError::Broken("a wrapped key has 48 bytes".into());
    let ciphertext = salamander::sealed(key.try_into().map_err(|_| unfit())?, &aad, &dek).try_into().map_err(|_| unfit())?;
    let wrapped = WrappedKey { key_epoch: EPOCH, iv: wrap_iv, commit: commit.try_into().map_err(|_| unfit())?, ciphertext };
    let keys = ring(master)?.unwrap_space_key(&SPACE, KeyMode::Cluster, &wrapped).map_err(|fault| DemoError::Broken(fault.to_string()))?;
    let parent: Secret<32> = expand(&Secret::new(dek), Purpose::SpaceRecords, &[&CLUSTER.0, &SPACE.0, &mode]);
    let record: Secret<96> = expand(&parent, Purpose::RecordKeys, &[iv]);
    let (parts, _) = record.expose().as_chunks::<32>();
    let [name, value, commit] = parts else { return Err(unfit()) };
    Ok((keys, [*name, *value, *commit]))
}

/// K6. A blob whose tag fits under two keys, each of which opens it to another text.
pub(super) async fn salamander(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let iv = [5; 24];
    let ((one, one_keys), (two, two_keys)) = (chosen([6; 32], &iv)?, chosen([8; 32], &iv)?);
    // One place for both: the key's tag is data, whoever made it.
    let (key, seq) = (one.key_tag(b"name"), 1_u64);
    let aad = enc(Label::Record, &[&CLUSTER.0, &SPACE.0, &key.0, &CLIENT.0, &seq.to_be_bytes()]);
    let [name, value] = [0, 1].map(|part| salamander::forged(&one_keys[part], &two_keys[part], &aad));
    report.did("computed a sealed value whose AES-GCM tag fits under the keys of two namespaces the attacker knows");
    let both = [&one_keys, &two_keys].iter().all(|keys| salamander::opens(&keys[1], &aad, &value));
    if !both {
        return Err(DemoError::Broken("the forgery does not fit under both keys".into()));
    }
    report.did("tried it with AES-GCM alone: both keys accept it");
    let long = |_| DemoError::Broken("a forgery is short".into());
    let record = |commit: [u8; 32]| -> Result<SealedRecord, DemoError> {
        let (name, value) = (Blob::new(name.clone()).map_err(long)?, Blob::new(value.clone()).map_err(long)?);
        Ok(SealedRecord { client: CLIENT, seq, iv, commit, name, value })
    };
    for (which, keys, commit) in [("second", &two, one_keys[2]), ("first", &one, two_keys[2])] {
        match keys.open(&key, &record(commit)?) {
            Err(refusal @ OpenError::OtherKey) => report.answered(format!("committed to the other, opened with the {which} namespace's keys: {refusal}")),
            Ok(_) | Err(OpenError::BadPadding) => report.won(format!(
                "committed to the other namespace's key, the blob passes AES-GCM under the {which} one as well: two keys, two texts, one blob"
            )),
            Err(other) => return Err(DemoError::Broken(format!("the forgery was refused for another reason: {other}"))),
        }
    }
    report.remains("the refusal, which tells a moved or altered blob from one that is damaged");
    report.finished()
}

/// S1. Whoever holds the disk measures sealed values.
pub(super) async fn measured(_: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ring = ring([7; 32])?;
    let (keys, _) = ring
        .new_space_key(&SPACE, KeyMode::Cluster, FIRST_KEY_EPOCH, &mut stuck_ivs())
        .map_err(|fault| DemoError::Broken(fault.to_string()))?;
    let mut sizes = std::collections::BTreeSet::new();
    for len in 0..=4_096_usize {
        let place = RecordPlace { key: keys.key_tag(b"name"), client: CLIENT, seq: len as u64 };
        let sealed = keys.seal(&place, b"name", &vec![0; len], &mut stuck_ivs()).map_err(|fault| DemoError::Broken(fault.to_string()))?;
        sizes.insert(sealed.value.len());
    }
    report.did("sealed values of every length from 0 to 4,096 bytes and measured what lies on the disk");
    match sizes.len() {
        4 => report.answered(format!("4,097 lengths have four sizes: {sizes:?}")),
        other => report.won(format!("{other} sizes tell lengths apart")),
    }
    report.remains("sizes by bucket, counts by tag, times, which pages and blocks are touched: admitted in docs/limits.md, and not hidden");
    report.finished()
}
