//! A minted proof of release as originals: whole, and each of its parts in its place.
//!
//! Decides: the parts: both bundles, the statement in them, the log's entry, its place and path, the checkpoint, the paths to the head and from a head the
//! client remembers, the head with its cosignatures, the list of revocations. Every part is judged within the whole proof; exactly as many witnesses
//! cosigned as must, so that no line is one too many. Another release of the same publisher lends its parts. Trusts: `ringwall_sim::release`.
//! Out of scope: proofs whose parts are signed again (attest/tests/negative/release.rs).

use super::{Exhibit, Form, meaning};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringwall_attest::release::{Ran, verify_release};
use ringwall_sim::release::{Publisher, Witness, statement_of};
use ringwall_sim::{SimTee, policy_for, world};
use ringwall_wire::bounded::{List, Text};
use ringwall_wire::codec::Message as _;
use ringwall_wire::ids::Digest;
use ringwall_wire::policy::{Measurement, ReleaseSigners};
use ringwall_wire::release::{BundleBytes, LogEntry, LogHead, Note, ReleaseProof, RevocationList, Revoked, RevokedBuild};
use serde_json::Value;
use std::sync::Arc;

/// Unix seconds of the minted proofs.
const NOW_S: u64 = 1_795_521_600;

/// A part of a proof: how it is written, read and put back.
struct Part {
    name: &'static str,
    form: Form,
    get: fn(&ReleaseProof) -> Option<Vec<u8>>,
    put: fn(&mut ReleaseProof, &[u8]) -> Option<()>,
}

static PARTS: [Part; 12] = [
    Part {
        name: "proof, whole",
        form: Form::Bytes,
        get: |proof| Some(proof.encode()),
        put: |proof, bytes| ReleaseProof::decode(bytes).ok().map(|read| *proof = read),
    },
    Part { name: "first bundle", form: Form::Json, get: |proof| bundle(proof, 0), put: |proof, bytes| put_bundle(proof, 0, bytes) },
    Part { name: "second bundle", form: Form::Json, get: |proof| bundle(proof, 1), put: |proof, bytes| put_bundle(proof, 1, bytes) },
    Part { name: "statement", form: Form::Json, get: statement, put: put_statement },
    Part {
        name: "entry of the log",
        form: Form::Bytes,
        get: |proof| Some(proof.entry.encode()),
        put: |proof, bytes| LogEntry::decode(bytes).ok().map(|entry| proof.entry = entry),
    },
    Part {
        name: "place in the log",
        form: Form::Bytes,
        get: |proof| Some(proof.inclusion.index.to_be_bytes().to_vec()),
        put: |proof, bytes| bytes.try_into().ok().map(|index| proof.inclusion.index = u64::from_be_bytes(index)),
    },
    Part {
        name: "path of inclusion",
        form: Form::Hashes,
        get: |proof| Some(joined(&proof.inclusion.path)),
        put: |proof, bytes| List::new(hashes(bytes)?).ok().map(|path| proof.inclusion.path = path),
    },
    Part {
        name: "checkpoint",
        form: Form::Note,
        get: |proof| Some(proof.checkpoint.to_vec()),
        put: |proof, bytes| Note::new(bytes.to_vec()).ok().map(|note| proof.checkpoint = note),
    },
    Part {
        name: "consistency",
        form: Form::Hashes,
        get: |proof| Some(joined(&proof.consistency)),
        put: |proof, bytes| List::new(hashes(bytes)?).ok().map(|path| proof.consistency = path),
    },
    Part {
        name: "head with cosignatures",
        form: Form::Note,
        get: |proof| Some(proof.head.to_vec()),
        put: |proof, bytes| Note::new(bytes.to_vec()).ok().map(|note| proof.head = note),
    },
    Part {
        name: "revocations",
        form: Form::Bytes,
        get: |proof| Some(proof.revocations.encode()),
        put: |proof, bytes| RevocationList::decode(bytes).ok().map(|list| proof.revocations = list),
    },
    Part {
        name: "path from the remembered head",
        form: Form::Hashes,
        get: |proof| Some(joined(&proof.known.first()?.path)),
        put: |proof, bytes| {
            let mut known = proof.known.to_vec();
            known.first_mut()?.path = List::new(hashes(bytes)?).ok()?;
            List::new(known).ok().map(|known| proof.known = known)
        },
    },
];

fn joined(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn hashes(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(|hash| Digest(*hash)).collect())
}

fn bundle(proof: &ReleaseProof, at: usize) -> Option<Vec<u8>> {
    proof.bundles.get(at).map(|bundle| bundle.to_vec())
}

fn put_bundle(proof: &mut ReleaseProof, at: usize, bytes: &[u8]) -> Option<()> {
    let mut bundles = proof.bundles.to_vec();
    *bundles.get_mut(at)? = BundleBytes::new(bytes.to_vec()).ok()?;
    List::new(bundles).ok().map(|bundles| proof.bundles = bundles)
}

fn payload(bundle: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(bundle).ok()?;
    json.pointer("/dsseEnvelope/payload")?.as_str().map(str::to_owned)
}

fn statement(proof: &ReleaseProof) -> Option<Vec<u8>> {
    STANDARD.decode(payload(proof.bundles.first()?)?).ok()
}

/// Both signers' bundles get the statement.
fn put_statement(proof: &mut ReleaseProof, bytes: &[u8]) -> Option<()> {
    for at in 0..proof.bundles.len() {
        let text = String::from_utf8(bundle(proof, at)?).ok()?;
        let text = text.replace(&payload(text.as_bytes())?, &STANDARD.encode(bytes));
        put_bundle(proof, at, text.as_bytes())?;
    }
    Some(())
}

/// What a proof is judged by.
struct Scene {
    rule: ReleaseSigners,
    build: Measurement,
    ran: Ran,
    remembered: LogHead,
    keys: Vec<String>,
    proof: ReleaseProof,
}

impl Scene {
    fn judge(&self, proof: &ReleaseProof) -> Result<String, String> {
        let judged = verify_release(&proof.encode(), &self.rule, &self.build, &self.ran, NOW_S, Some(&self.remembered));
        let released = judged.map_err(|error| {
            let words = format!("{error:?}");
            words.split([' ', '(']).next().unwrap_or_default().to_owned()
        })?;
        Ok(format!("{:?}", (released.statement(), released.signers(), released.checkpoint(), released.head())))
    }

    /// The proof with its notes by what carries meaning in them; in `checkpoint` the log's line alone does.
    fn meaning(&self, proof: &ReleaseProof) -> Option<Vec<u8>> {
        let mut plain = proof.clone();
        plain.checkpoint = Note::new(meaning::note(&proof.checkpoint, self.keys.get(..1)?)?).ok()?;
        plain.head = Note::new(meaning::note(&proof.head, &self.keys)?).ok()?;
        Some(plain.encode())
    }
}

/// The scene, and another release's proof of the same publisher.
fn scene() -> (Scene, ReleaseProof) {
    let tee = SimTee::new(world::machine("genoa-1", ringwall_sim::strict::boot_config()).expect("a machine of the world"), NOW_S);
    let build = policy_for(&[&tee]).measurements.first().expect("a policy names a build").clone();
    let witnesses = vec![Witness::new("witness.example/w1"), Witness::post_quantum("witness.example/w2")];
    let mut publisher = Publisher { witnesses, cosigning: 2, ..Publisher::default() };
    let leaf = |publisher: &mut Publisher, name: u8| publisher.log.append_leaf(Digest([name; 32]));
    // Sizes that are no powers of two: every path is as long as it can be, and has one form.
    leaf(&mut publisher, 2);
    let statement = statement_of(&build);
    let mut proof = publisher.publish(&statement, NOW_S);
    let size = publisher.log.size();
    (3..5).for_each(|name| leaf(&mut publisher, name));
    let remembered = publisher.remembered(NOW_S.saturating_sub(3_600));
    let known = publisher.log.size();
    (5..7).for_each(|name| leaf(&mut publisher, name));
    let other = RevokedBuild::Build(Text::new("another").expect("a short name"));
    publisher.log.revoke(Revoked { what: other, reason: Text::new("it leaks").expect("a short text"), at_s: NOW_S });
    publisher.refresh(&mut proof, size, &[known], NOW_S);
    let mut next = statement;
    next.svn = next.svn.saturating_add(1);
    let mut donor = publisher.publish(&next, NOW_S.saturating_sub(60));
    let size = publisher.log.size();
    (7..10).for_each(|name| leaf(&mut publisher, name));
    publisher.refresh(&mut donor, size, &[known], NOW_S.saturating_sub(60));
    let keys = core::iter::once(publisher.log.vkey()).chain(publisher.witnesses.iter().map(Witness::vkey)).collect();
    let ran = Ran::Snp(*build.snp.first().expect("a build of AMD's"));
    (Scene { rule: publisher.rule(), build, ran, remembered, keys, proof }, donor)
}

pub(super) fn exhibits() -> Vec<Exhibit> {
    let (scene, donor) = scene();
    let scene = Arc::new(scene);
    let each = PARTS.iter().map(|part| {
        let bytes = (part.get)(&scene.proof).expect("the proof has every part");
        let put = move |scene: &Scene, bytes: &[u8]| {
            let mut proof = scene.proof.clone();
            (part.put)(&mut proof, bytes).map(|()| proof)
        };
        let (judged, meant) = (scene.clone(), scene.clone());
        let judge = move |bytes: &[u8]| judged.judge(&put(&judged, bytes).ok_or_else(|| "Malformed".to_owned())?);
        let meaning = move |bytes: &[u8]| meant.meaning(&put(&meant, bytes)?);
        let mut exhibit = Exhibit::new(format!("ours: {}", part.name), part.form, bytes, Box::new(judge), Box::new(meaning));
        exhibit.donors = (part.get)(&donor).into_iter().filter(|bytes| *bytes != exhibit.bytes).collect();
        exhibit
    });
    each.collect()
}
