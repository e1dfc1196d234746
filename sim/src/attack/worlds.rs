//! Attacks with whole worlds: every disk is put back to an earlier hour before the cluster is recovered, or one state is recovered twice and each half shown to
//! other devices.
//!
//! Decides: R3 and R4 against real nodes that recover and custodians that help them. First those who are asked have seen more and say so; then they have not, and
//! what is left is the user's anchor. Trusts: simulated evidence. Out of scope: memory that is put back, which no program does to a process; to a client it is
//! the same. Protocol sections 5.2 and 6.2.

use super::report::Report;
use super::stage::Stage;
use super::ward::{FIRST, Program, Ward};
use super::{KEY, SPACE};
use crate::demo::DemoError;
use crate::guarded::{CameTo, Guarded, SLOTS};
use ringwall_client::anchor::{AnchorFiles, AnchorStore, merge, read_evidence};
use ringwall_client::custodian::CustodianError;
use ringwall_client::{Client, ConnectError, Credential, NamespaceError, Options};
use ringwall_wire::recovery::{CustodyAnchor, ShareSubmission, SignedOffer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a user waits for a cluster that may refuse.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a custodian looks at a member that may lag, and how long it waits in between.
const LOOKS: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);
/// Exit code of a recovery that would lose what somebody has seen.
const DISAGREES: i32 = 19;
/// Entries that are written at most to make one log longer than another.
const FILLERS: usize = 500;

/// A user's device that remembers.
struct Device {
    credential: Credential,
    files: AnchorFiles,
}

impl Device {
    fn new(guarded: &Guarded, folder: &Path, name: &str, credential: &Credential) -> Self {
        Device { credential: credential.clone(), files: AnchorFiles::beside(&folder.join(name), &guarded.cluster_id()) }
    }

    fn options(&self, ward: &Ward) -> Result<Options, DemoError> {
        let mut options = ward.guarded.options(&self.credential, ward.running())?;
        options.anchor = Arc::new(self.files.clone());
        Ok(options)
    }

    /// Writes, and keeps what was confirmed.
    async fn writes(&self, ward: &Ward, values: &[&str]) -> Result<(), DemoError> {
        let client = Client::connect(self.options(ward)?).await?;
        let wallet = client.namespace(SPACE).await?;
        for value in values {
            wallet.put(KEY, *value).await?;
        }
        client.close().await;
        Ok(())
    }

    /// What a new process of the user gets when it wants to write.
    async fn returns(&self, ward: &Ward) -> Result<(), ConnectError> {
        let closed = |_: DemoError| ConnectError::Closed;
        let mut options = self.options(ward).map_err(closed)?;
        options.timeouts.deadline = PATIENCE;
        let client = Client::connect(options).await?;
        match client.namespace(SPACE).await {
            Ok(wallet) => {
                let _ = wallet.put(KEY, "after").await;
                client.close().await;
                Ok(())
            }
            Err(NamespaceError::Session(fault)) => Err(fault),
            Err(_) => Ok(()),
        }
    }

    /// Entries of the log it has a receipt of.
    fn confirmed(&self) -> Result<u64, DemoError> {
        let kept = self.files.load().map_err(|fault| DemoError::Broken(fault.to_string()))?;
        // A device that remembers nothing notices nothing: that is judged by what becomes of it.
        Ok(kept.anchor.map_or(0, |anchor| anchor.newest.head.tree.size))
    }

    /// What becomes of it when it comes back to this world.
    async fn comes_back(&self, report: &mut Report, ward: &Ward) -> Result<(), DemoError> {
        match self.returns(ward).await {
            Ok(()) => report.won("the client noticed nothing and went on writing in that world"),
            Err(fault @ ConnectError::Closed) => return Err(DemoError::Broken(format!("the client did not get there: {fault}"))),
            Err(fault) => {
                report.answered(format!("the client: {fault}"));
                self.proven(report)?;
            }
        }
        Ok(())
    }

    /// Verifies the evidence as a third party does, with nothing but roots of trust.
    fn proven(&self, report: &mut Report) -> Result<(), DemoError> {
        let path = self.files.path("detected");
        let evidence = read_evidence(&path).map_err(|fault| DemoError::Broken(fault.to_string()))?;
        let found =
            evidence.verify(&crate::anchors()).map_err(|fault| DemoError::Broken(format!("the evidence shows nothing: {fault}")))?;
        report.answered(format!(
            "a third party verifies the evidence without a network, down to the vendor's root: {} (signed by incarnations {} and {})",
            found.contradiction, found.known_by, found.got_by
        ));
        report.remains(format!("the evidence, {}: `ringwall receipt verify` says the same", path.display()));
        report.remains("the client's anchor; nothing is written any more, in this process and in later ones, until the file is moved away");
        Ok(())
    }
}

/// What custodian 1 keeps when it looks at a node that has at least so much of the log.
async fn looked(ward: &Ward, size: u64) -> Result<Option<CustodyAnchor>, DemoError> {
    for _ in 0..LOOKS {
        let anchor = ward.guarded.dial(1, SLOTS[2]).await?.anchor();
        if anchor.as_ref().is_some_and(|anchor| anchor.head.tree.size >= size) {
            return Ok(anchor);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(DemoError::Broken(format!("node {} never had {size} entries\n{}", SLOTS[2], ward.guarded.logs())))
}

/// R3. All disks go back by some entries, and the cluster is recovered from them.
pub(super) async fn rolled_back(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let folder = stage.scratch("r3")?;
    let ward = stage.ward().await?;
    ward.whole().await?;
    let device = Device::new(&ward.guarded, &folder, "me", &Credential::generate());
    device.writes(ward, &["100"]).await?;
    let old = ward.copy_all()?;
    report.did(format!("copied the disks of all {} nodes while they ran, when the balance was 100", SLOTS.len()));
    device.writes(ward, &["50", "0"]).await?;
    let anchor = looked(ward, device.confirmed()?).await?;
    let seen = anchor.as_ref().map_or(0, |anchor| anchor.head.tree.size);
    report.did(format!(
        "let the user write 50, then 0: its device remembers a log of {} entries, and custodian 1, who looked, one of {seen}",
        device.confirmed()?
    ));
    ward.kill_all();
    ward.put_back(&old)?;
    report.did("killed every process, put the old disks back under all of them, and had node 1 recover with custodians 1 and 2");
    match ward.recovers(&old[1..], &[(1, anchor), (2, None)]).await? {
        CameTo::Serving => {
            report.won(format!("node 1 serves the older log although custodian 1 had seen {seen} entries and said so"));
            return report.finished();
        }
        CameTo::Ended(DISAGREES) => {
            let why = ward.guarded.told(FIRST)["ended"].as_str().unwrap_or_default().to_owned();
            report.answered(format!("node 1 held the disks against what custodian 1 had seen, and ended with code {DISAGREES}: {why}"));
            report.remains("`evidence.json` in the folder `recovery` of node 1: the log that was chosen, the entries that are lost, the signed head that shows it");
        }
        CameTo::Ended(code) => return Err(DemoError::Broken(format!("the recovery ended with code {code}\n{}", ward.guarded.logs()))),
    }
    report.did("had it recover once more with custodians 2 and 3, who had not looked at the log since the disks were copied");
    match ward.recovers(&old[1..], &[(2, None), (3, None)]).await? {
        CameTo::Serving => {}
        CameTo::Ended(code) => return Err(DemoError::Broken(format!("the recovery ended with code {code}\n{}", ward.guarded.logs()))),
    }
    report.did("led the user to the recovered cluster, whose identity, evidence and signatures are all genuine");
    device.comes_back(&mut report, ward).await?;
    report.finished()
}

/// Makes the log of the cluster longer than `size`, with writes of somebody else.
async fn outgrows(ward: &Ward, size: u64) -> Result<(), DemoError> {
    let client = Client::connect(ward.guarded.options(&Credential::generate(), ward.running())?).await?;
    let filler = client.namespace("filler").await?;
    for _ in 0..FILLERS {
        filler.put("key", "value").await?;
        if client.status().await?.applied > size {
            client.close().await;
            return Ok(());
        }
    }
    Err(DemoError::Broken("the other log does not grow".into()))
}

/// R4. One state is recovered twice; each of the two clusters is shown to another device.
pub(super) async fn forked(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let folder = stage.scratch("r4")?;
    let ward = stage.ward().await?;
    ward.ready().await?;
    let user = Credential::generate();
    let phone = Device::new(&ward.guarded, &folder, "phone", &user);
    phone.writes(ward, &["100"]).await?;
    let custodian = &ward.guarded.holders[0];
    let mut program =
        told(Program::new(&folder.join("custodian-1"), &custodian.public().name, &custodian.seeds(), ward.guarded.cluster.card()))?;
    told(program.accepts(&ward.guarded.dealt[0]))?;
    ward.kill_all();
    let disks = ward.copy_all()?;

    let offer = ward.offers(&disks[1..]).await?;
    let answer = told(program.answers(&offer, None))?;
    let epoch = offer.offer.epoch;
    serves(ward, &offer, &answer).await?;
    phone.writes(ward, &["50"]).await?;
    let size = phone.confirmed()?;
    report.did(format!(
        "killed every process, copied the disks, recovered the cluster of epoch {epoch} with custodians 1 and 2, and let the user's phone write 50: {size} entries"
    ));

    ward.kill_all();
    ward.put_back(&disks)?;
    let offer = ward.offers(&disks[1..]).await?;
    report.did("killed that cluster, put the same disks back, and asked the same custodians once more: another session, another epoch start, the same shares");
    match program.answers(&offer, None) {
        Err(refused) => report.answered(format!("custodian 1's program: {refused}")),
        Ok(_) => return Err(DemoError::Broken("the custodian's program released its share twice without a reason".into())),
    }
    report.did("told custodian 1 a story, for which it gave its share all the same");
    let answer = told(program.answers(&offer, Some("the first node burned down")))?;
    serves(ward, &offer, &answer).await?;
    let laptop = Device::new(&ward.guarded, &folder, "laptop", &user);
    laptop.writes(ward, &["0"]).await?;
    outgrows(ward, size).await?;
    report.did("led the user's laptop, which knew nothing, to the second cluster, and let it write 0");
    let load = |device: &Device| device.files.load().ok().and_then(|kept| kept.anchor);
    if let (Some(one), Some(other)) = (load(&phone), load(&laptop)) {
        report.tried("comparing what both devices remember (`ringwall receipt compare`)", merge(&one, &other).map_err(|(what, _)| what));
    }
    report.did("then led the phone to the second cluster");
    phone.comes_back(&mut report, ward).await?;
    report.remains(
        "both sessions in the journal of custodian 1, with the reason it was given; the start of the epoch in the log of each cluster",
    );
    report.finished()
}

/// Brings custodian 1's answer and custodian 2's share; the cluster serves then.
async fn serves(ward: &mut Ward, offer: &SignedOffer, answer: &ShareSubmission) -> Result<(), DemoError> {
    ward.guarded.submit(FIRST, answer)?;
    ward.guarded.answer(FIRST, offer, (2, 2), None)?;
    match ward.came_to().await? {
        CameTo::Serving => Ok(()),
        CameTo::Ended(code) => Err(DemoError::Broken(format!("the recovery ended with code {code}\n{}", ward.guarded.logs()))),
    }
}

fn told<T>(outcome: Result<T, CustodianError>) -> Result<T, DemoError> {
    outcome.map_err(|fault| DemoError::Broken(fault.to_string()))
}
