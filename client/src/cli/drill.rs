//! What each verb of `ringwall drill` does, and how the two kinds of offers are told apart.
//!
//! Decides: a drill is begun, fetched and brought on a custodian's session with a verified node; its receipt is judged before it is shown, without a
//! network if need be. A file of the other kind than a verb takes is named, with the verb that takes it. Exit codes of `verify`: 0 for a receipt that holds,
//! however the drill went; 3 for one that proves nothing.
//! Trusts: the library. Out of scope: answering (`custodian.rs`), layout (`drill_show.rs`). Protocol section 6.2, "Drill".

use super::args::SharedOptions;
use super::custodian::{Run, message, unexpected, write_again};
use super::drill_args::{DrillArgs, DrillVerb};
use super::drill_show as layout;
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy::say;
use super::show;
use crate::custodian::CustodianError;
use crate::custodian::ceremony;
use crate::custodian::dealing::Judge;
use crate::custodian::drill::judge_receipt;
use crate::custodian::offer::Request;
use crate::custodian::shelf::Shelf;
use crate::{Anchors, clock};
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, RecoveryProgress};
use ringwall_wire::drill::{DrillOffer, DrillOp, DrillPaper};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::limits::CUSTODIAN_MESSAGE_BYTES;
use ringwall_wire::recovery::{RecoveryFault, RecoveryPurpose, ShareSubmission, SignedOffer};
use serde_json::json;
use std::path::{Path, PathBuf};

/// An offer as it lies in a file.
pub(super) enum Asked {
    /// Of a node that recovers.
    Recovery(Box<SignedOffer>),
    /// Of a member that rehearses.
    Drill(Box<DrillOffer>),
}

impl Asked {
    /// Reads one that is for `wanted`.
    pub(super) fn read(path: &Path, wanted: RecoveryPurpose) -> Result<Self, Trouble> {
        let bytes = bounded_file(path, CUSTODIAN_MESSAGE_BYTES)?;
        let (recovery, drill) = (SignedOffer::decode(&bytes), DrillOffer::decode(&bytes));
        let other = |got, verb| Err(CustodianError::OtherPurpose { got, verb }.into());
        let what = path.display().to_string();
        match (wanted, recovery, drill) {
            (RecoveryPurpose::Outage, Ok(offer), _) => Ok(Asked::Recovery(Box::new(offer))),
            (RecoveryPurpose::Drill, _, Ok(offer)) => Ok(Asked::Drill(Box::new(offer))),
            (RecoveryPurpose::Outage, _, Ok(_)) => other("a drill, not a recovery", "drill"),
            (RecoveryPurpose::Drill, Ok(_), _) => other("a recovery, or is a drill's without its shadow", "submit"),
            (RecoveryPurpose::Outage, Err(source), _) => Err(CustodianError::Input { what, wanted: "a recovery offer", source }.into()),
            (RecoveryPurpose::Drill, _, Err(source)) => Err(CustodianError::Input { what, wanted: "a drill", source }.into()),
        }
    }

    /// Judges it and gathers what there is to weigh.
    pub(super) fn weigh(&self, shelf: &Shelf, judge: &Judge<'_>, place: &str, progress: Option<&[u8]>) -> Result<Request, CustodianError> {
        match self {
            Asked::Recovery(offer) => ceremony::weigh(shelf, judge, offer, place, progress),
            Asked::Drill(drill) => ceremony::weigh_drill(shelf, judge, drill, place, progress),
        }
    }
}

/// An offer is answered by the verb for its purpose alone.
pub(super) fn right_purpose(request: &Request, wanted: RecoveryPurpose) -> Result<(), Trouble> {
    let got = request.judged.offer().purpose;
    if got == wanted {
        return Ok(());
    }
    let (got, verb) = match got {
        RecoveryPurpose::Outage => ("a recovery, not a drill", "submit"),
        RecoveryPurpose::Drill => ("a drill, not a recovery", "drill"),
    };
    Err(CustodianError::OtherPurpose { got, verb }.into())
}

/// Runs one verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, arguments: DrillArgs) -> Result<Exit, Trouble> {
    let DrillArgs { folder, verb } = arguments;
    if let (DrillVerb::Verify { file }, Some(card)) = (&verb, &shared.card) {
        let card = crate::card::read_card(card, shared.cluster)?;
        return verify(shared, &anchors, &card, file);
    }
    let mut run = Run::new(shared, anchors, folder)?;
    match verb {
        DrillVerb::Begin(begin) => fetch(&mut run, DrillOp::Begin, &begin.out).await,
        DrillVerb::Offer(offer) => fetch(&mut run, DrillOp::Offer, &offer.out).await,
        DrillVerb::Submit { answers } => submit(&mut run, &answers).await,
        DrillVerb::Status { out } => status(&mut run, out.as_deref()).await,
        DrillVerb::Verify { file } => {
            let card = run.pinned(&run.shelf()?)?;
            verify(shared, &run.anchors, &card, &file)
        }
    }
}

/// Asks a node several things on one session, as the custodian of the folder.
async fn ask(run: &mut Run<'_>, ops: Vec<DrillOp>) -> Result<(ClusterCard, Vec<CustodianAnswer>), Trouble> {
    let shelf = run.shelf()?;
    let card = run.pinned(&shelf)?;
    let keys = run.unlock(&shelf)?;
    let mut session = run.dial(&card, &keys).await?;
    let mut answers = Vec::new();
    for op in ops {
        answers.push(session.ask(CustodianOp::Drill(op)).await);
    }
    let seen = session.seen.clone();
    session.close().await;
    if let Some(seen) = &seen {
        ceremony::keep_anchor(&shelf, seen)?;
    }
    let answers: Result<Vec<CustodianAnswer>, _> = answers.into_iter().collect();
    Ok((card, answers?))
}

async fn fetch(run: &mut Run<'_>, op: DrillOp, out: &Path) -> Result<Exit, Trouble> {
    let (_, answers) = ask(run, vec![op]).await?;
    let drill = match answers.into_iter().next() {
        Some(CustodianAnswer::DrillOffer(drill)) => *drill,
        Some(other) => return Err(unexpected(other)),
        None => return Err(Trouble::new("RW-C-NONSENSE", "the node answered nothing; use another node")),
    };
    write_again(out, &drill.encode())?;
    let (shown, offer) = (out.display().to_string(), &drill.signed.offer);
    let (threshold, members) = (drill.shadow.threshold, drill.shadow.members.len());
    let object = json!({
        "written": shown, "cluster": offer.cluster_id.to_string(), "session": offer.session.to_string(), "custody_epoch": offer.custody_epoch.0,
        "threshold": threshold, "custodians": members,
    });
    let text = format!(
        "{shown}: drill {:.16} of dealing {}: give it to the custodians, {threshold} of {members} answer with `ringwall custodian drill`",
        offer.session.to_string(),
        offer.custody_epoch
    );
    say(run.shared.json, &text, object)
}

async fn submit(run: &mut Run<'_>, answers: &[PathBuf]) -> Result<Exit, Trouble> {
    let read = |path: &PathBuf| message::<ShareSubmission>(path, "an answer to a drill");
    let submissions: Vec<ShareSubmission> = answers.iter().map(read).collect::<Result<_, _>>()?;
    let ops = submissions.into_iter().map(|submission| DrillOp::Submit(Box::new(submission))).collect();
    let (_, replies) = ask(run, ops).await?;
    let (mut refused, mut told) = (None, Vec::new());
    for (path, reply) in answers.iter().zip(replies) {
        let shown = path.display().to_string();
        match reply {
            CustodianAnswer::Progress(progress) => told.push((shown, format!("taken; {} good share(s) are in", progress.submitted.len()))),
            CustodianAnswer::RecoveryFault(RecoveryFault::Already) => told.push((shown, RecoveryFault::Already.words().to_owned())),
            other => {
                let trouble = unexpected(other);
                told.push((shown, format!("refused: {}", trouble.message)));
                refused = refused.or(Some(trouble));
            }
        }
    }
    let text = told.iter().map(|(shown, what)| format!("{shown}: {what}")).collect::<Vec<_>>().join("\n");
    let object = json!({ "answers": told.iter().map(|(shown, what)| json!({ "file": shown, "what": what })).collect::<Vec<_>>() });
    let exit = say(run.shared.json, &text, object)?;
    match refused {
        Some(trouble) => Err(trouble),
        None => Ok(exit),
    }
}

async fn status(run: &mut Run<'_>, out: Option<&Path>) -> Result<Exit, Trouble> {
    let (card, answers) = ask(run, vec![DrillOp::Last, DrillOp::Progress]).await?;
    let mut answers = answers.into_iter();
    let row = match answers.next() {
        Some(CustodianAnswer::Drills(row)) => row,
        Some(other) => return Err(unexpected(other)),
        None => return Err(Trouble::new("RW-C-NONSENSE", "the node answered nothing; use another node")),
    };
    // None too while it is being judged, or when its member is gone.
    let progress: Option<RecoveryProgress> = match answers.next() {
        Some(CustodianAnswer::Progress(progress)) => Some(*progress),
        _ => None,
    };
    let paper = row.as_ref().and_then(|row| row.last.as_deref());
    let judge = Judge { card: &card, anchors: &run.anchors, now_s: clock::now_s() };
    let judged = paper.map(|paper| judge_receipt(&judge, paper, "the node that held it")).transpose()?;
    if let Some(path) = out {
        let paper = paper.ok_or_else(|| Trouble::new("RW-C-NOT-FOUND", "no drill of the active dealing has a receipt yet"))?;
        write_again(path, &paper.encode())?;
    }
    let standing = layout::Standing { card: &card, row: row.as_ref(), progress: progress.as_ref(), judged: judged.as_ref() };
    match run.shared.json {
        true => show::line(standing.json().to_string())?,
        false => show::print(standing.text().as_bytes())?,
    }
    Ok(Exit::Done)
}

fn verify(shared: &SharedOptions, anchors: &Anchors, card: &ClusterCard, path: &Path) -> Result<Exit, Trouble> {
    let paper = message::<DrillPaper>(path, "a drill's receipt")?;
    let judge = Judge { card, anchors, now_s: clock::now_s() };
    let judged = judge_receipt(&judge, &paper, &path.display().to_string())?;
    match shared.json {
        true => show::line(layout::receipt_json(card, &judged).to_string())?,
        false => show::print(layout::receipt_text(card, &judged).as_bytes())?,
    }
    Ok(Exit::Done)
}
