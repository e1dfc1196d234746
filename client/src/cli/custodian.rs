//! What each verb of `ringwall custodian` does.
//!
//! Decides: which step of the library a verb is, when a person is asked, and what is written: the folder changes before anything leaves it, and what
//! leaves is a new file or a message to a verified node. A refusal changed nothing and says what to do.
//! Trusts: the library. Out of scope: parsing (`custodian_args.rs`), layout (`custodian_show.rs`), paper (`custodian_paper.rs`). Protocol section 6.1.

use super::args::SharedOptions;
use super::custodian_args::{Accept, CustodianArgs, CustodianVerb, Drill, FolderOptions, Init, Pull, Status, Submit};
use super::custodian_show as layout;
use super::drill::{Asked, right_purpose};
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::passphrase::Secrets;
use super::policy::say;
use super::verbs::{options, spinner, tell, write_new};
use super::{custodian_paper, show};
use crate::card::read_card;
use crate::custodian::age::Age;
use crate::custodian::ceremony::{self, Verified};
use crate::custodian::dealing::Judge;
use crate::custodian::keys::{CustodianKeys, card_toml, public_of};
use crate::custodian::locked::{Keyring, Lock, LockError};
use crate::custodian::session::CustodianSession;
use crate::custodian::shelf::{Held, Shelf};
use crate::custodian::{CustodianError, Passphrase};
use crate::{Anchors, Credential, Explanation, clock};
use ringwall_wire::bounded::Text;
use ringwall_wire::codec::Message;
use ringwall_wire::custodian::{CustodianAnswer, CustodianOp, Dealt};
use ringwall_wire::custody::{CustodyFault, ShareAck};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::ids::ClusterId;
use ringwall_wire::keeping::{JournalEvent, LockedFile};
use ringwall_wire::limits::CUSTODIAN_MESSAGE_BYTES;
use ringwall_wire::recovery::RecoveryPurpose;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What a run of a verb has at hand.
pub(super) struct Run<'a> {
    pub(super) shared: &'a SharedOptions,
    pub(super) anchors: Anchors,
    pub(super) home: PathBuf,
    pub(super) keyring: TypedKeyring,
}

/// Opens files with what a person has.
pub(super) struct TypedKeyring {
    pub(super) secrets: Secrets,
    identity: Option<PathBuf>,
    pub(super) age: Age,
    /// What the passphrase opens, for the question.
    pub(super) what: &'static str,
}

impl Keyring for TypedKeyring {
    fn passphrase(&mut self) -> Result<Passphrase, LockError> {
        if self.identity.is_some() {
            return Err(LockError::NotForAge);
        }
        let asked = self.secrets.ask(&format!("passphrase of {}: ", self.what));
        asked.map_err(|trouble| LockError::NotGiven(trouble.message))
    }

    fn age(&mut self) -> Result<(Age, PathBuf), LockError> {
        let identity = self.identity.clone().ok_or(LockError::NoIdentity)?;
        Ok((self.age.clone(), identity))
    }
}

/// Runs one verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, arguments: CustodianArgs) -> Result<Exit, Trouble> {
    let CustodianArgs { folder, verb } = arguments;
    let mut run = Run::new(shared, anchors, folder)?;
    match verb {
        CustodianVerb::Init(init) => run.init(&init),
        CustodianVerb::Card(card) => run.card(card.out.as_deref()),
        CustodianVerb::Pull(pull) => run.pull(&pull).await,
        CustodianVerb::Accept(accept) => run.accept(&accept).await,
        CustodianVerb::Prove => run.prove().await,
        CustodianVerb::Status(status) => run.status(&status).await,
        CustodianVerb::Drill(drill) => run.drill(&drill),
        CustodianVerb::Submit(submit) => run.submit(&submit),
        CustodianVerb::AcceptLoss(accept) => run.accept_loss(&accept),
        CustodianVerb::Export(export) => custodian_paper::export(&mut run, &export),
        CustodianVerb::Import(import) => custodian_paper::import(&mut run, &import),
        CustodianVerb::Relock(lock) => run.relock(&lock.age_recipient),
    }
}

impl<'a> Run<'a> {
    /// Names the folder and what opens it; opens nothing yet.
    pub(super) fn new(shared: &'a SharedOptions, anchors: Anchors, folder: FolderOptions) -> Result<Self, Trouble> {
        let FolderOptions { home, passphrase_fd, identity, age } = folder;
        let home = home.ok_or_else(|| Trouble::new("RW-C-USAGE", "name the custodian's folder with --home or RINGWALL_CUSTODIAN"))?;
        let keyring = TypedKeyring { secrets: Secrets::new(passphrase_fd)?, identity, age: Age::new(age), what: "the custodian's keys" };
        Ok(Run { shared, anchors, home, keyring })
    }
}

impl Run<'_> {
    pub(super) fn shelf(&self) -> Result<Shelf, Trouble> {
        let shelf = Shelf::open(&self.home)?;
        if shelf.journal.was_cut_off() {
            show::note_unless(self.shared.json, "the last run was cut off while it wrote its journal: what it had begun is to be repeated");
        }
        Ok(shelf)
    }

    pub(super) fn unlock(&mut self, shelf: &Shelf) -> Result<CustodianKeys, Trouble> {
        Ok(CustodianKeys::unlock(&shelf.keys()?, &mut self.keyring)?)
    }

    /// The card of the cluster that is meant: the one that was given, or the one that is kept.
    pub(super) fn pinned(&self, shelf: &Shelf) -> Result<ClusterCard, Trouble> {
        match &self.shared.card {
            Some(path) => Ok(read_card(path, self.shared.cluster)?),
            None => Ok(shelf.card(&shelf.cluster(self.shared.cluster)?)?),
        }
    }

    pub(super) fn judge<'a>(&'a self, card: &'a ClusterCard) -> Judge<'a> {
        Judge { card, anchors: &self.anchors, now_s: clock::now_s() }
    }

    /// Locks the keys as was asked for.
    pub(super) fn lock(&mut self, keys: &CustodianKeys, recipients: &[String]) -> Result<LockedFile, Trouble> {
        if recipients.is_empty() {
            let passphrase = self.keyring.secrets.ask_new("new passphrase for the custodian's keys: ")?;
            return Ok(keys.lock(&Lock::Passphrase(&passphrase))?);
        }
        Ok(keys.lock(&Lock::Age(&self.keyring.age, recipients))?)
    }

    fn init(&mut self, init: &Init) -> Result<Exit, Trouble> {
        let name = Text::new(init.name.as_str())
            .ok()
            .filter(|name| !name.trim().is_empty())
            .ok_or_else(|| Trouble::new("RW-C-USAGE", "a custodian's name has 1 to 64 bytes and no control characters"))?;
        // Before a passphrase is thought of and typed.
        drop(Shelf::vacant(&self.home)?);
        let keys = match &init.from_paper {
            Some(path) => CustodianKeys::from_seeds(name, &*custodian_paper::keys_from(path)?),
            None => CustodianKeys::make(name),
        };
        let file = self.lock(&keys, &init.lock.age_recipient)?;
        let public = keys.public();
        drop(Shelf::create(&self.home, &file, clock::now_s(), public.id())?);
        let (shown, id) = (self.home.display().to_string(), public.id().to_string());
        let object = json!({ "home": shown, "custodian": id, "name": &*public.name, "card": card_toml(&public) });
        say(self.shared.json, card_toml(&public).trim_end(), object)?;
        show::note_unless(self.shared.json, &format!("{shown} holds the keys of custodian {id}: keep a copy in another place"));
        show::note_unless(self.shared.json, "the card above is public: give it to the founders, and read the id to them by telephone");
        Ok(Exit::Done)
    }

    fn card(&self, out: Option<&Path>) -> Result<Exit, Trouble> {
        let public = public_of(&self.shelf()?.keys()?)?;
        let (text, id) = (card_toml(&public), public.id().to_string());
        if let Some(path) = out {
            write_new(path, text.as_bytes())?;
            let shown = path.display().to_string();
            return say(self.shared.json, &format!("{shown}: card of custodian {id}"), json!({ "written": shown, "custodian": id }));
        }
        say(self.shared.json, text.trim_end(), json!({ "custodian": id, "name": &*public.name, "card": text }))
    }

    fn relock(&mut self, recipients: &[String]) -> Result<Exit, Trouble> {
        let mut shelf = self.shelf()?;
        let keys = self.unlock(&shelf)?;
        let file = self.lock(&keys, recipients)?;
        shelf.relock(&file, clock::now_s())?;
        let how = if recipients.is_empty() { "a new passphrase".to_owned() } else { format!("{} recipient(s) of age", recipients.len()) };
        show::note_unless(self.shared.json, "copies of the folder made before still open as before: replace or destroy them");
        say(self.shared.json, &format!("the keys are locked by {how}"), json!({ "locked": how }))
    }

    /// A session with a node of the cluster, as this custodian.
    pub(super) async fn dial(&self, card: &ClusterCard, keys: &CustodianKeys) -> Result<CustodianSession, Trouble> {
        // The user does not matter here and is not told to anybody.
        let mut options = crate::Options::from_card(card, self.anchors.clone(), Credential::generate())
            .map_err(|fault| Trouble::new("RW-C-CARD-CONTRADICTION", fault.to_string()))?;
        if self.shared.card.is_some() {
            options = self::options(self.shared, self.anchors.clone(), Credential::generate())?;
        } else if !self.shared.address.is_empty() {
            options.addresses.clone_from(&self.shared.address);
        }
        let spinner = spinner(self.shared, "verifying a node");
        let opened = CustodianSession::open(&options, keys).await;
        spinner.finish_and_clear();
        let opened = opened?;
        tell(self.shared, &opened.node);
        Ok(opened)
    }

    async fn pull(&mut self, pull: &Pull) -> Result<Exit, Trouble> {
        let mut shelf = self.shelf()?;
        let card = self.pinned(&shelf)?;
        let dealt = match &pull.from {
            Some(path) => message::<Dealt>(path, "a dealing as a node gives it to a custodian")?,
            None => {
                let keys = self.unlock(&shelf)?;
                let mut session = self.dial(&card, &keys).await?;
                let answer = session.ask(CustodianOp::Pull).await;
                let seen = session.seen.clone();
                session.close().await;
                shelf.pin(&card)?;
                if let Some(seen) = &seen {
                    ceremony::keep_anchor(&shelf, seen)?;
                }
                match answer? {
                    CustodianAnswer::Dealt(dealt) => *dealt,
                    other => return Err(unexpected(other)),
                }
            }
        };
        let name = ceremony::pull(&mut shelf, &card, &dealt, clock::now_s())?;
        if let Some(path) = &pull.out {
            write_new(path, &dealt.encode())?;
        }
        let manifest = &dealt.manifest.manifest;
        let waits = if dealt.active { "the active dealing" } else { "a dealing that waits for acknowledgements" };
        let text = format!(
            "dealing {} ({waits}): manifest {}, {} of {} shares recover; not verified yet",
            name.custody_epoch,
            name.manifest,
            manifest.threshold,
            manifest.members.len()
        );
        let object = json!({
            "cluster": name.cluster_id.to_string(), "custody_epoch": name.custody_epoch.0, "manifest": name.manifest.to_string(),
            "active": dealt.active, "threshold": manifest.threshold, "custodians": manifest.members.len(),
        });
        say(self.shared.json, &text, object)?;
        show::note_unless(self.shared.json, "next: ringwall custodian accept");
        Ok(Exit::Done)
    }

    /// The dealing that was pulled last. Not the one with the highest number: that is a word nobody judged yet.
    fn last_pulled(shelf: &Shelf, cluster_id: &ClusterId) -> Result<Held, Trouble> {
        let pulled = shelf.all_held(cluster_id)?.into_iter().filter(|held| held.exchange.is_some());
        let last = pulled.max_by_key(|held| shelf.pulled_at(&held.name));
        last.ok_or_else(|| CustodianError::NothingPulled { cluster_id: *cluster_id }.into())
    }

    async fn accept(&mut self, accept: &Accept) -> Result<Exit, Trouble> {
        let mut shelf = self.shelf()?;
        let card = self.pinned(&shelf)?;
        let held = Self::last_pulled(&shelf, &card.genesis.cluster_id())?;
        self.take_orders(&shelf, &card, &accept.orders)?;
        let keys = self.unlock(&shelf)?;
        let judge = self.judge(&card);
        let verified = self.explained(accept.explain, ceremony::verify(&shelf, &held, &judge, &keys))?;
        let now_s = judge.now_s;
        let ack = ceremony::accept(&mut shelf, &verified, &keys, now_s)?;
        let sent = match &accept.out {
            Some(path) => {
                write_again(path, &ack.encode())?;
                format!("written to {}", path.display())
            }
            None => self.acknowledge(&card, &keys, ack).await.inspect_err(|_| {
                show::note_unless(
                    self.shared.json,
                    "the share is accepted and kept here; only the cluster does not know yet: run the same command again",
                );
            })?,
        };
        self.show_accepted(&verified, &sent, accept.explain)
    }

    /// Tells a node that a share was accepted.
    async fn acknowledge(&self, card: &ClusterCard, keys: &CustodianKeys, ack: ShareAck) -> Result<String, Trouble> {
        let mut session = self.dial(card, keys).await?;
        let answer = session.ask(CustodianOp::Ack(ack)).await;
        let place = session.node.address.clone();
        session.close().await;
        match answer? {
            CustodianAnswer::Noted(_) | CustodianAnswer::Fault(CustodyFault::Already) => Ok(format!("on record (told to {place})")),
            other => Err(unexpected(other)),
        }
    }

    fn show_accepted(&self, verified: &Verified, sent: &str, explain: bool) -> Result<Exit, Trouble> {
        if self.shared.json {
            return say(true, "", layout::accepted_json(verified, sent));
        }
        let mut text = layout::accepted_text(verified, sent);
        if explain {
            text.push_str(&Explanation::accepted(verified.dealing.trace(), clock::now_s()).tree());
        }
        show::print(text.as_bytes()).map(|()| Exit::Done)
    }

    /// Prints the tree of a refusal of evidence, where it was asked for, and hands the failure on.
    pub(super) fn explained<T>(&self, explain: bool, judged: Result<T, CustodianError>) -> Result<T, Trouble> {
        if let Err(fault) = &judged
            && let (true, Some(refused)) = (explain && !self.shared.json, fault.evidence())
        {
            show::print(Explanation::refused(&refused.trace, refused.at_s, &refused.error).tree().as_bytes())?;
        }
        Ok(judged?)
    }

    async fn prove(&mut self) -> Result<Exit, Trouble> {
        let mut shelf = self.shelf()?;
        let card = self.pinned(&shelf)?;
        let keys = self.unlock(&shelf)?;
        let mut session = self.dial(&card, &keys).await?;
        let proved = prove_on(&shelf, &keys, &mut session, &card.genesis.cluster_id()).await;
        let (seen, place) = (session.seen.clone(), session.node.address.clone());
        session.close().await;
        let name = proved?;
        shelf.note(clock::now_s(), JournalEvent::Proved(name))?;
        if let Some(seen) = &seen {
            ceremony::keep_anchor(&shelf, seen)?;
        }
        let object = json!({ "cluster": name.cluster_id.to_string(), "custody_epoch": name.custody_epoch.0, "node": place });
        say(self.shared.json, &format!("proved to {place} that the share of dealing {} is here", name.custody_epoch), object)
    }

    async fn status(&mut self, status: &Status) -> Result<Exit, Trouble> {
        let shelf = self.shelf()?;
        let online = match status.online {
            false => None,
            true => {
                let card = self.pinned(&shelf)?;
                let keys = self.unlock(&shelf)?;
                let mut session = self.dial(&card, &keys).await?;
                let answer = session.ask(CustodianOp::Status).await;
                let seen = session.seen.clone();
                session.close().await;
                if let Some(seen) = &seen {
                    ceremony::keep_anchor(&shelf, seen)?;
                }
                match answer? {
                    CustodianAnswer::Status(standing) => Some((card, standing)),
                    other => return Err(unexpected(other)),
                }
            }
        };
        let seen = layout::Overview::of(&shelf, online.as_ref(), status.journal)?;
        match self.shared.json {
            true => show::line(seen.json().to_string())?,
            false => show::print(seen.text().as_bytes())?,
        }
        Ok(Exit::Done)
    }

    fn drill(&mut self, drill: &Drill) -> Result<Exit, Trouble> {
        if let (Some(offer), Some(out)) = (&drill.offer, &drill.answer.out) {
            let answer = Answer {
                offer,
                out,
                progress: drill.answer.progress.as_deref(),
                reason: None,
                yes: drill.answer.yes,
                explain: drill.answer.explain,
                purpose: RecoveryPurpose::Drill,
            };
            return self.answer(&answer);
        }
        let mut shelf = self.shelf()?;
        let cluster_id = self.pinned(&shelf)?.genesis.cluster_id();
        let held = shelf.newest_accepted(&cluster_id)?;
        let keys = self.unlock(&shelf)?;
        let x = ceremony::rehearse(&mut shelf, &held.name, &keys, clock::now_s())?;
        let object = json!({ "cluster": cluster_id.to_string(), "custody_epoch": held.name.custody_epoch.0, "share": x });
        let text = format!(
            "rehearsed: the keys open, and so does share {x} of dealing {}, which is the one that was dealt",
            held.name.custody_epoch
        );
        say(self.shared.json, &text, object)
    }

    fn submit(&mut self, submit: &Submit) -> Result<Exit, Trouble> {
        let answer = Answer {
            offer: &submit.offer,
            out: &submit.out,
            progress: submit.progress.as_deref(),
            reason: reason(submit.second_session.as_deref())?,
            yes: submit.yes,
            explain: submit.explain,
            purpose: RecoveryPurpose::Outage,
        };
        self.answer(&answer)
    }

    /// Verifies, shows, asks once, releases.
    fn answer(&mut self, answer: &Answer<'_>) -> Result<Exit, Trouble> {
        let mut shelf = self.shelf()?;
        let card = self.pinned(&shelf)?;
        let asked = Asked::read(answer.offer, answer.purpose)?;
        let progress = answer.progress.map(|path| bounded_file(path, CUSTODIAN_MESSAGE_BYTES)).transpose()?;
        let place = answer.offer.display().to_string();
        let judge = self.judge(&card);
        let now_s = judge.now_s;
        let request = self.explained(answer.explain, asked.weigh(&shelf, &judge, &place, progress.as_deref()))?;
        right_purpose(&request, answer.purpose)?;
        if answer.purpose == RecoveryPurpose::Outage && answer.reason.is_none() {
            ceremony::is_second(&shelf, &request)?;
        }
        let name = card.genesis.template.name.to_string();
        let words = layout::request_text(&request, &name, answer.reason.as_deref());
        if self.shared.json && !answer.yes {
            // The object comes last; whoever is asked reads first.
            show::note(&words);
        }
        if !self.shared.json {
            show::print(words.as_bytes())?;
            if answer.explain {
                show::print(Explanation::accepted(request.judged.trace(), now_s).tree().as_bytes())?;
            }
        }
        let (question, next) = match (answer.purpose, request.judged.offer().keepers.is_empty()) {
            (RecoveryPurpose::Outage, true) => {
                ("Release your share to this node? Type yes: ", "your share, sealed to that node alone; bring the file to its operator")
            }
            (RecoveryPurpose::Outage, false) => (
                "Release your share to this session, for this node or the process that goes on in its place? Type yes: ",
                "your share, sealed to that session alone; bring the file to its operator",
            ),
            (RecoveryPurpose::Drill, _) => (
                "Answer this drill? Type yes: ",
                "your share of the drill's key, sealed to that node alone; it is brought with `ringwall drill submit`",
            ),
        };
        if !answer.yes && !self.keyring.secrets.confirm(question)? {
            return Err(CustodianError::NotConfirmed.into());
        }
        let keys = self.unlock(&shelf)?;
        let submission = ceremony::release(&mut shelf, &request, &keys, answer.reason.as_ref(), now_s)?;
        write_again(answer.out, &submission.encode())?;
        let shown = answer.out.display().to_string();
        let object = layout::request_json(&request, &name, &shown, answer.reason.as_deref());
        say(self.shared.json, &format!("{shown}: {next}"), object)
    }
}

/// Why another session is answered, as the journal keeps it.
pub(super) fn reason(text: Option<&str>) -> Result<Option<Text<256>>, Trouble> {
    let Some(text) = text else { return Ok(None) };
    let reason = Text::new(text).ok().filter(|reason: &Text<256>| !reason.trim().is_empty());
    reason.map(Some).ok_or_else(|| Trouble::new("RW-C-USAGE", "a reason has 1 to 256 bytes and no control characters"))
}

/// One answer to an offer.
struct Answer<'a> {
    offer: &'a Path,
    out: &'a Path,
    progress: Option<&'a Path>,
    reason: Option<Text<256>>,
    yes: bool,
    explain: bool,
    purpose: RecoveryPurpose,
}

/// The proof of the newest accepted share, on this session.
async fn prove_on(
    shelf: &Shelf,
    keys: &CustodianKeys,
    session: &mut CustodianSession,
    cluster_id: &ClusterId,
) -> Result<ringwall_wire::keeping::DealingName, Trouble> {
    let challenge = match session.ask(CustodianOp::Challenge).await? {
        CustodianAnswer::Challenge(challenge) => challenge,
        other => return Err(unexpected(other)),
    };
    let (name, proof) = ceremony::prove(shelf, cluster_id, &challenge, &session.handshake, keys)?;
    match session.ask(CustodianOp::Prove(proof)).await? {
        CustodianAnswer::Noted(_) => Ok(name),
        other => Err(unexpected(other)),
    }
}

/// What a node answered in place of what was asked for.
pub(super) fn unexpected(answer: CustodianAnswer) -> Trouble {
    match answer {
        CustodianAnswer::Refused(refusal) => {
            Trouble::new("RW-C-CUSTODY-REFUSED", format!("the node refused ({:?}): {}", refusal.code, &*refusal.detail))
        }
        CustodianAnswer::Fault(fault) => Trouble::new("RW-C-CUSTODY-REFUSED", fault.words()),
        CustodianAnswer::RecoveryFault(fault) => Trouble::new("RW-C-CUSTODY-REFUSED", fault.words()),
        _ => Trouble::new("RW-C-NONSENSE", "the node answered another question than was asked; use another node"),
    }
}

/// A message in a file.
pub(super) fn message<T: Message>(path: &Path, wanted: &'static str) -> Result<T, Trouble> {
    let bytes = bounded_file(path, CUSTODIAN_MESSAGE_BYTES)?;
    let what = path.display().to_string();
    T::decode(&bytes).map_err(|source| CustodianError::Input { what, wanted, source }.into())
}

/// Writes a new file; one that holds these very bytes already, from a run that was cut off, is as good.
pub(super) fn write_again(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    match bounded_file(path, CUSTODIAN_MESSAGE_BYTES) {
        Ok(there) if there == bytes => Ok(()),
        _ => write_new(path, bytes),
    }
}
