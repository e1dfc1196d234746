//! Attacks with whole worlds: every machine's memory and disk is put back to an earlier hour, or one history is told to one client and another to the next.
//!
//! Decides: R3 and R4 as far as clients detect them. A member whose TEE is genuine tells the world that was put back; the user's client has nothing but its
//! anchor. Trusts: simulated evidence. Out of scope: recovery, which does not exist yet. Protocol section 5.2.

use super::report::Report;
use super::stage::Stage;
use super::{KEY, SPACE};
use crate::demo::DemoError;
use crate::impostor::{Act, Impostor, Tale};
use ringwall_client::anchor::{AnchorFiles, AnchorStore, EvidenceFile, Misdeed, merge};
use ringwall_client::{Client, ConnectError, Credential, NamespaceError, Options, Timeouts};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(15);

/// A user of a cluster, with a device that remembers.
struct Device<'a> {
    member: &'a Impostor,
    credential: Credential,
    files: AnchorFiles,
}

impl<'a> Device<'a> {
    fn new(member: &'a Impostor, folder: &Path, name: &str, credential: &Credential) -> Self {
        let files = AnchorFiles::beside(&folder.join(name), &member.cluster_id);
        Device { member, credential: credential.clone(), files }
    }

    fn options(&self) -> Options {
        let address = vec![self.member.address.clone()];
        let mut options = Options::pinned(self.member.cluster_id, address, crate::anchors(), self.credential.clone());
        options.timeouts = Timeouts { dial: PATIENCE, answer: PATIENCE, deadline: PATIENCE };
        options.anchor = Arc::new(self.files.clone());
        options
    }

    /// Writes, and keeps what was confirmed.
    async fn writes(&self, values: &[&str]) -> Result<(), DemoError> {
        let client = Client::connect(self.options()).await?;
        let wallet = client.namespace(SPACE).await?;
        for value in values {
            wallet.put(KEY, *value).await?;
        }
        client.close().await;
        Ok(())
    }

    /// What a new process of the user gets when it wants to write.
    async fn returns(&self) -> Result<(), ConnectError> {
        let client = Client::connect(self.options()).await?;
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

    fn confirmed(&self) -> Result<u64, DemoError> {
        let kept = self.files.load().map_err(|fault| DemoError::Broken(fault.to_string()))?;
        // A device that remembers nothing notices nothing: that is judged by what becomes of it.
        Ok(kept.anchor.map_or(0, |anchor| anchor.newest.head.tree.size))
    }

    /// Verifies the evidence as a third party does, with nothing but roots of trust.
    fn proven(&self, report: &mut Report, misdeed: Misdeed) -> Result<(), DemoError> {
        let path = self.files.path("detected");
        let evidence = EvidenceFile::read(&path).map_err(|fault| DemoError::Broken(fault.to_string()))?;
        match evidence.verify(&crate::anchors()) {
            Ok(found) if found.misdeed == misdeed => {
                report.answered(format!(
                    "a third party verifies the evidence without a network, down to the vendor's root: {} (signed by incarnations {} and {})",
                    found.contradiction, found.known_by, found.got_by
                ));
                report.remains(format!("the evidence, {}: `ringwall receipt verify` says the same", path.display()));
                report.remains(
                    "the client's anchor; nothing is written any more, in this process and in later ones, until the file is moved away",
                );
                Ok(())
            }
            other => Err(DemoError::Broken(format!("the evidence does not show what it should: {:?}", other.map(|found| found.misdeed)))),
        }
    }
}

/// What becomes of a client that returns to a world that tells `tale`.
async fn returns_to(report: &mut Report, device: &Device<'_>, tale: Tale, misdeed: Misdeed) -> Result<(), DemoError> {
    device.member.tell(tale);
    let entries = device.member.entries();
    match device.returns().await {
        Ok(()) => {
            let more = device.member.entries().saturating_sub(entries);
            report.won(format!("the client noticed nothing and made {more} more entries in that world"));
            return Ok(());
        }
        Err(fault) => report.answered(format!("the client: {fault}")),
    }
    device.member.tell(Tale::True);
    if device.returns().await.is_ok() || device.member.entries() > entries {
        report.won("the client went on once the node told the truth again");
    }
    device.proven(report, misdeed)
}

/// R3. The world goes back by a few entries.
pub(super) async fn rolled_back(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let folder = stage.scratch("r3")?;
    let member = Impostor::start(Act::Honest);
    let device = Device::new(&member, &folder, "me", &Credential::generate());
    device.writes(&["100", "50", "0"]).await?;
    let confirmed = device.confirmed()?;
    report.did(format!("let the user write three times; the device remembers a log of {confirmed} entries and its root"));
    report.did("put memory and disk of every machine back to an earlier hour, so that nobody on the other side remembers the writes");
    returns_to(&mut report, &device, Tale::Older, Misdeed::Rollback).await?;
    report.finished()
}

/// R4. Two histories of one cluster, for two devices of one user.
pub(super) async fn forked(stage: &mut Stage) -> Result<Report, DemoError> {
    let mut report = Report::new();
    let folder = stage.scratch("r4")?;
    let member = Impostor::start(Act::Honest);
    let user = Credential::generate();
    let phone = Device::new(&member, &folder, "phone", &user);
    phone.writes(&["100", "50", "0"]).await?;
    report.did(format!("showed the user's phone one history: {} entries", phone.confirmed()?));
    member.tell(Tale::ForkedInPlace);
    let laptop = Device::new(&member, &folder, "laptop", &user);
    // It looks and writes nothing, so that both remember a log of one size.
    Client::connect(laptop.options()).await?.close().await;
    report
        .did(format!("showed the user's laptop, which knew nothing, another one under the same identity: {} entries", laptop.confirmed()?));
    let load = |device: &Device<'_>| device.files.load().ok().and_then(|kept| kept.anchor);
    if let (Some(one), Some(other)) = (load(&phone), load(&laptop)) {
        report.tried("comparing what both devices remember (`ringwall receipt compare`)", merge(&one, &other).map_err(|(what, _)| what));
    }
    report.did("then showed the phone the other history");
    returns_to(&mut report, &phone, Tale::ForkedInPlace, Misdeed::Fork).await?;
    report.finished()
}
