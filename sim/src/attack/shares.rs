//! Attacks with shares: wrong ones, too few of them, and a false node that asks for one.
//!
//! Decides: K2 and K3 against real nodes whose whole cluster was killed; K4 with the custodian's own code and minted evidence, where an honest offer is answered
//! first, so that a refusal means what was changed. Trusts: nothing. Out of scope: papers that are damaged (sim/tests/custodian_shares.rs), losses that are
//! accepted (tests/tests/recover.rs). Protocol section 6.

use super::report::Report;
use super::stage::Stage;
use super::ward::{FIRST, Program, Ward, now_s};
use super::{KEY, SPACE};
use crate::custodian::Holder;
use crate::custody::{Custody, Dealing, Offer, policy};
use crate::demo::DemoError;
use crate::guarded::CameTo;
use crate::{Lie, world};
use ed25519_dalek::{Signer as _, SigningKey};
use ringwall_client::{Client, Credential};
use ringwall_keys::custody::field::{add, invert, mul};
use ringwall_keys::custody::split::evaluate;
use ringwall_keys::custody::{GoodShare, KemSecret, combine, open_submission};
use ringwall_node::custody::blob_file;
use ringwall_wire::bounded::{Blob, List};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custody::{CustodyManifest, SharePlain};
use ringwall_wire::ids::{Digest, Nonce, SigPublic, Signature};
use ringwall_wire::recovery::{RecoveryPurpose, ShareSubmission, SignedOffer};
use ringwall_wire::secret::Secret;
use ringwall_wire::session::{AttestResp, SavedExchange};
use std::path::Path;

/// The one custodian who is the attacker.
const BAD: usize = 3;
/// The machine of the cluster that is only minted.
const CHIP: &str = "genoa-1";

fn broken(fault: impl std::fmt::Display) -> DemoError {
    DemoError::Broken(fault.to_string())
}

async fn writes(ward: &Ward, user: &Credential, value: &str) -> Result<(), DemoError> {
    let client = Client::connect(ward.guarded.options(user, ward.running())?).await?;
    client.namespace(SPACE).await?.put(KEY, value).await?;
    client.close().await;
    Ok(())
}

async fn reads(ward: &Ward, user: &Credential) -> Result<Option<Vec<u8>>, DemoError> {
    let client = Client::connect(ward.guarded.options(user, ward.running())?).await?;
    let found = client.existing_namespace(SPACE)?.get(KEY).await?;
    client.close().await;
    Ok(found.map(|found| found.value))
}

/// What a custodian who is the attacker hands in, under its own good signature.
fn bad_answers(ward: &Ward, offer: &SignedOffer) -> Result<Vec<(&'static str, ShareSubmission)>, DemoError> {
    let (holder, guarded) = (&ward.guarded.holders[BAD - 1], &ward.guarded);
    let own = guarded.shares[BAD - 1].share();
    let former = guarded.former.get(BAD - 1).ok_or_else(|| broken("there was no dealing before"))?.share();
    let mut y = *own.y.expose();
    y[0] ^= 1;
    let altered = SharePlain { y: Secret::from_mut(&mut y), ..own.clone() };
    Ok(vec![
        ("the share of custodian 2 as its own", holder.submission_of(offer, guarded.shares[1].share(), None)),
        ("its own share of the dealing before", holder.submission_of(offer, former, None)),
        ("its own share with one bit changed", holder.submission_of(offer, &altered, None)),
    ])
}

/// K2. One custodian hands in shares that are swapped, old, altered, and an answer of another session, before the honest ones come.
pub(super) async fn wrong(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ward = stage.ward().await?;
    ward.ready().await?;
    if ward.guarded.former.is_empty() {
        // A dealing before the active one: the cluster is recovered once, honestly.
        ward.kill_all();
        ward.ready().await?;
    }
    let user = Credential::generate();
    writes(ward, &user, "100").await?;
    let others = ward.others();
    let offer = ward.offers(&others).await?;
    report.did("killed every process and had node 1 recover; custodian 3, who is the attacker, answers first");
    for (what, answer) in bad_answers(ward, &offer)? {
        if !refused(&mut report, ward, what, &answer).await? {
            return spoiled(report, ward, &offer).await;
        }
    }
    let elsewhere = SignedOffer {
        offer: {
            let mut other = offer.offer.clone();
            other.session = Nonce([7; 32]);
            other
        },
        ..offer.clone()
    };
    let replayed = ward.guarded.holders[0].submission(&elsewhere, &ward.guarded.shares[0], None);
    ward.guarded.submit(FIRST, &replayed)?;
    report.did("brought an answer that custodian 1 had given to another session");
    ward.guarded.answer(FIRST, &offer, (1, 1), None)?;
    let told = ward
        .guarded
        .told_where(FIRST, "the share of custodian 1", |told| told["submitted"].as_array().is_some_and(|all| !all.is_empty()))
        .await?;
    let counted = told["refused"].as_array().map_or(0, Vec::len);
    match (counted, told["step"] == "shares") {
        (3, true) => report.answered("the answer of another session counted for nothing, and was held against nobody"),
        other => report.won(format!("{other:?}: {told}")),
    }
    ward.guarded.answer(FIRST, &offer, (2, 2), None)?;
    match (ward.came_to().await?, reads(ward, &user).await) {
        (CameTo::Serving, Ok(Some(value))) if value == b"100" => {
            report.answered("with the shares of custodians 1 and 2 the cluster came back, under the right key: the balance is 100");
        }
        other => report.won(format!("the cluster did not come back as it was: {other:?}")),
    }
    report.remains("each refused share with its custodian in the audit of the session, which node 1 signed, and in `status.json`");
    report.finished()
}

/// Brings an answer that must be refused by name; false when it was taken for good.
async fn refused(report: &mut Report, ward: &mut Ward, what: &str, answer: &ShareSubmission) -> Result<bool, DemoError> {
    let before = ward.guarded.told(FIRST)["refused"].as_array().map_or(0, Vec::len);
    ward.guarded.submit(FIRST, answer)?;
    let moved = |told: &serde_json::Value| {
        told["refused"].as_array().is_some_and(|all| all.len() > before) || told["submitted"].as_array().is_some_and(|all| !all.is_empty())
    };
    let told = ward.guarded.told_where(FIRST, "a verdict on a share", moved).await?;
    report.did(format!("handed in {what}"));
    match told["refused"].as_array().and_then(|all| all.get(before)) {
        Some(refusal) if refusal["custodian"] == format!("custodian {BAD}") => {
            report.answered(format!(
                "refused, by name: {}: {}",
                refusal["custodian"].as_str().unwrap_or_default(),
                refusal["why"].as_str().unwrap_or_default()
            ));
            Ok(true)
        }
        Some(other) => Err(broken(format!("another custodian is blamed: {other}"))),
        None => {
            report.won(format!("{what}: taken for a good share"));
            Ok(false)
        }
    }
}

/// What a wrong share that was taken for a good one does to the recovery.
async fn spoiled(mut report: Report, ward: &mut Ward, offer: &SignedOffer) -> Result<Report, DemoError> {
    ward.guarded.answer(FIRST, offer, (1, 1), None)?;
    let came_to = ward.came_to().await?;
    let told = ward.guarded.told(FIRST)["ended"].as_str().unwrap_or_default().to_owned();
    report.won(format!("with the good share of custodian 1 it gave no key, and nobody is named for it: {came_to:?}: {told}"));
    report.finished()
}

/// How many values each byte of the key can have, by one share of a dealing of two: every one, by exactly one coefficient.
fn possible(share: &SharePlain) -> usize {
    let fits = |candidate: u8| {
        let key = Secret::new([candidate; 32]);
        let mut coefficient = [0; 32];
        for (byte, y) in coefficient.iter_mut().zip(share.y.expose()) {
            *byte = mul(add(*y, candidate), invert(share.x));
        }
        evaluate(&key, &[Secret::new(coefficient)], share.x).same(&share.y)
    };
    (0..=u8::MAX).filter(|candidate| fits(*candidate)).count()
}

/// What one custodian's own program makes of its share: as if the manifest asked for one.
fn alone(manifest: &CustodyManifest, holder: &Holder, share: &SharePlain) -> Result<(), String> {
    let forged = CustodyManifest { threshold: 1, ..manifest.clone() };
    let good = GoodShare::judge(&forged, &holder.id(), share.clone()).map_err(|fault| fault.to_string())?;
    combine(&forged, &[good]).map(drop).map_err(|fault| fault.to_string())
}

/// K3. The host of every node is a custodian too.
pub(super) async fn one_custodian(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let ward = stage.ward().await?;
    ward.ready().await?;
    let user = Credential::generate();
    writes(ward, &user, "100").await?;
    ward.kill_all();
    let file = blob_file::read(&ward.guarded.cluster.data_folder(FIRST)).map_err(broken)?.ok_or_else(|| broken("no recovery file"))?;
    let (manifest, guarded) = (&file.manifest.manifest, &ward.guarded);
    let (holder, good) = (&guarded.holders[BAD - 1], &guarded.shares[BAD - 1]);
    report.did(
        "took every disk: logs, manifest, the sealed master keys, everybody's sealed envelopes; and the keys and the share of custodian 3",
    );
    if Digest(manifest.digest()) != *good.manifest() {
        return Err(broken("the disk has another dealing than the custodian"));
    }
    report.did("combined the one share, with a program of its own that asks for no second one");
    report.tried("one share", alone(manifest, holder, good.share()));
    report.did("tried the custodian's key on the envelopes of the others");
    for other in guarded.dealt.iter().filter(|dealt| dealt.envelope.custodian != holder.id()) {
        report.tried("an envelope that is somebody else's", holder.opens(manifest, &other.envelope));
    }
    report.did("asked for every value of every byte of the recovery key whether it can be the one, by this share");
    match possible(good.share()) {
        256 => report.answered("all 256 can, each by exactly one coefficient and all alike: the share says nothing of the key"),
        other => report.won(format!("only {other} of 256 values can be the key's")),
    }
    if report.held() {
        waits(&mut report, ward, &user).await?;
    }
    report.remains(
        "in the status of the recovery: who answered, and that one share of two is in; shares of the cluster in `recovery.blob` are none",
    );
    report.finished()
}

/// A node that recovers with one share waits for another one.
async fn waits(report: &mut Report, ward: &mut Ward, user: &Credential) -> Result<(), DemoError> {
    let others = ward.others();
    let offer = ward.offers(&others).await?;
    ward.guarded.answer(FIRST, &offer, (BAD, BAD), None)?;
    let one = |told: &serde_json::Value| told["submitted"].as_array().is_some_and(|all| all.len() == 1);
    let told = ward.guarded.told_where(FIRST, "one share", one).await?;
    report.did("killed every process and had node 1 recover with the one share");
    match told["step"] == "shares" {
        true => report.answered(format!("node 1 holds one share of {} and waits for another", told["threshold"])),
        false => report.won(format!("node 1 went on with one share: {told}")),
    }
    // So that it was the share that was missing, and nothing else.
    ward.guarded.answer(FIRST, &offer, (1, 1), None)?;
    match (ward.came_to().await?, reads(ward, user).await?) {
        (CameTo::Serving, Some(value)) if value == b"100" => Ok(()),
        other => Err(broken(format!("with a second share it does not come back: {other:?}\n{}", ward.guarded.logs()))),
    }
}

/// A cluster that dealt to the custodians, all of it on paper.
fn cluster(holders: &[Holder], chip: &str, number: u8) -> Result<Custody, DemoError> {
    let policy = policy(CHIP);
    let mut template = world::genesis_template(&policy, "custody");
    template.custodians = List::new(holders.iter().map(Holder::public).collect()).map_err(broken)?;
    template.custody_threshold = 2;
    Ok(Custody::found(template, policy, chip, number, now_s()))
}

/// A genuine offer whose session key and signature are the attacker's, and the evidence made to name them.
fn relayed(genuine: &SignedOffer, kem: &KemSecret) -> Result<SignedOffer, DemoError> {
    let key = SigningKey::from_bytes(&[0x66; 32]);
    let mut false_offer = genuine.clone();
    false_offer.offer.kem = kem.public();
    false_offer.offer.sig = SigPublic(key.verifying_key().to_bytes());
    false_offer.signature = Signature(key.sign(&false_offer.offer.words()).to_bytes());
    let mut exchange = SavedExchange::decode(&genuine.exchange).map_err(broken)?;
    let mut answer = AttestResp::decode(&exchange.answer).map_err(broken)?;
    answer.keys.sig = false_offer.offer.sig;
    exchange.answer = Blob::new(answer.encode()).map_err(broken)?;
    false_offer.exchange = Blob::new(exchange.encode()).map_err(broken)?;
    Ok(false_offer)
}

/// A custodian's program that holds a share of this cluster.
fn custodian(folder: &Path, name: &str, holder: &Holder, cluster: &Custody) -> Result<(Program, Dealing), DemoError> {
    let dealing = cluster.deal(1, Digest([0; 32]));
    let mut program = Program::new(&folder.join(name), name, &holder.seeds(), &cluster.card).map_err(broken)?;
    program.accepts(&dealing.dealt[0]).map_err(broken)?;
    Ok((program, dealing))
}

/// K4. Somebody asks the custodian for its share with an offer that is not the word of a genuine node of the cluster.
pub(super) async fn false_node(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let folder = stage.scratch("k4")?;
    let holders: Vec<Holder> = (1..=3).map(Holder::numbered).collect();
    let honest = cluster(&holders, CHIP, 1)?;
    let (mut program, dealing) = custodian(&folder, "custodian", &holders[0], &honest)?;
    let offer = |of: &Custody, session: u8| of.offer(&dealing, RecoveryPurpose::Outage, session, 899);
    let thief = KemSecret::from_seed(Secret::new([0x99; 32]));
    let genuine = offer(&honest, 10);
    let swapped = {
        let mut swapped = genuine.signed.clone();
        swapped.offer.kem = thief.public();
        swapped
    };
    let another = cluster(&holders, CHIP, 2)?;
    let elsewhere = another.offer(&another.deal(1, Digest([0; 32])), RecoveryPurpose::Outage, 11, 899);
    let false_offers = [
        ("a node whose host can read its memory (debug)", offer(&cluster(&holders, CHIP, 1)?.telling(&[Lie::SnpDebug]), 12).signed),
        ("a machine that is not on the policy's list", offer(&cluster(&holders, "genoa-2", 1)?, 13).signed),
        ("a genuine node of another cluster, with the same custodians", elsewhere.signed),
        ("the genuine offer with the thief's key in it", swapped),
        ("the thief's offer with the genuine node's evidence", relayed(&genuine.signed, &thief)?),
    ];
    for (what, false_offer) in false_offers {
        report.did(format!("gave the custodian's program the offer of {what}"));
        match program.answers(&false_offer, None) {
            Err(refused) => report.answered(format!("{what}: {refused}")),
            Ok(answer) => report.won(stolen(what, &thief, &answer)),
        }
    }
    honestly(&mut report, &folder, &holders, (&honest, &dealing, &genuine, &thief))?;
    report.remains("the refusal with the field, in the custodian's hands; nothing in its journal, since nothing left; of what leaves, an entry with session and build");
    report.finished()
}

fn stolen(what: &str, thief: &KemSecret, answer: &ShareSubmission) -> String {
    match open_submission(thief, answer) {
        Ok(share) => format!("{what}: the thief opened share {} of dealing {}", share.x, share.custody_epoch),
        Err(fault) => format!("{what}: the share left the folder ({fault})"),
    }
}

/// The genuine offer is answered, the node opens the answer, and whoever carries it does not.
fn honestly(
    report: &mut Report,
    folder: &Path,
    holders: &[Holder],
    (cluster, dealing, genuine, thief): (&Custody, &Dealing, &Offer, &KemSecret),
) -> Result<(), DemoError> {
    // Another folder of the same custodian: a share that was stolen before would count as a first session here.
    let mut program = Program::new(&folder.join("honest"), "custodian", &holders[0].seeds(), &cluster.card).map_err(broken)?;
    program.accepts(&dealing.dealt[0]).map_err(broken)?;
    let answer = program.answers(&genuine.signed, None).map_err(|fault| broken(format!("an honest offer is refused: {fault}")))?;
    open_submission(&genuine.kem, &answer).map_err(|fault| broken(format!("the genuine node cannot open the answer: {fault}")))?;
    report.did("let the custodian answer the genuine offer, and took the answer on its way");
    report.tried("the thief's key on the answer to the genuine node", open_submission(thief, &answer));
    Ok(())
}
