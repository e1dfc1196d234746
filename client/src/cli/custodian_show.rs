//! What the verbs of `ringwall custodian` print: sentences for people, objects with stable names for programs.
//!
//! Decides: that a person reads in whole sentences what is authorised before being asked, and that a program gets the same facts. No secret is
//! printed here. Trusts: nothing. Out of scope: shares on paper (`custodian_paper.rs`).

use super::exit::Trouble;
use super::show;
use crate::clock;
use crate::custodian::ceremony::Verified;
use crate::custodian::keys::public_of;
use crate::custodian::offer::{Age, Request};
use crate::custodian::shelf::{Held, Shelf};
use ringwall_attest::date;
use ringwall_wire::custodian::{CustodianStanding, CustodyStatus};
use ringwall_wire::genesis::{ClusterCard, Custodian};
use ringwall_wire::ids::{ClusterId, CustodianId};
use ringwall_wire::keeping::{JournalEntry, JournalEvent, KeptAnchor, PaperForm, Protection};
use ringwall_wire::recovery::RecoveryPurpose;
use serde_json::{Value, json};

/// Seconds after which a proof is due again: a month.
const PROOF_DUE_S: u64 = 31 * 24 * 60 * 60;

/// What was accepted, for people.
pub(super) fn accepted_text(verified: &Verified, sent: &str) -> String {
    let (manifest, dealer) = (verified.dealing.manifest(), verified.dealing.dealer());
    let mut sentences = vec![
        format!(
            "Accepted: share {} of dealing {} of cluster {:.16}; {} of {} recover it.",
            verified.x,
            manifest.custody_epoch,
            manifest.cluster_id.to_string(),
            manifest.threshold,
            manifest.members.len()
        ),
        format!(
            "It was dealt inside a genuine node: {}, build {} (security version {}), incarnation {}.",
            dealer.vendor,
            dealer.measurement,
            dealer.svn,
            show::short(dealer.incarnation)
        ),
    ];
    sentences.extend(match verified.continues {
        Some(true) => Some("It continues the dealing you accepted before.".into()),
        Some(false) => {
            Some("It does not continue the dealing of this folder that came before it: that one was dropped, or you missed one.".to_owned())
        }
        None => None,
    });
    sentences.extend(
        verified.repeated_s.map(|at_s| format!("You accepted it on {} already; the same acknowledgement was made again.", date(at_s))),
    );
    sentences.push(format!("Your acknowledgement: {sent}."));
    sentences.iter().map(|sentence| show::wrap(sentence, 4)).collect()
}

/// The same for programs.
pub(super) fn accepted_json(verified: &Verified, sent: &str) -> Value {
    let (manifest, dealer) = (verified.dealing.manifest(), verified.dealing.dealer());
    json!({
        "cluster": manifest.cluster_id.to_string(),
        "custody_epoch": manifest.custody_epoch.0,
        "manifest": verified.name.manifest.to_string(),
        "share": verified.x,
        "threshold": manifest.threshold,
        "custodians": manifest.members.len(),
        "continues": verified.continues,
        "accepted_before_s": verified.repeated_s,
        "acknowledgement": sent,
        "dealer": show::verification_json(dealer),
    })
}

/// What is authorised, for people: the last thing before the question.
pub(super) fn request_text(request: &Request, cluster_name: &str, reason: Option<&str>) -> String {
    let mut sentences = request.sentences(cluster_name);
    sentences.extend(request.repeated_s.map(|at_s| {
        format!("You released your share to this very session on {}; releasing it again gives the node nothing new.", date(at_s))
    }));
    sentences.extend(reason.map(|reason| {
        format!("Your share was released to ANOTHER session of this dealing before. You insist, and the journal keeps your reason: \"{reason}\".")
    }));
    sentences.iter().map(|sentence| show::wrap(sentence, 4)).collect()
}

/// The same for programs, and where the answer is.
pub(super) fn request_json(request: &Request, cluster_name: &str, written: &str, reason: Option<&str>) -> Value {
    let (offer, node) = (request.judged.offer(), request.judged.node());
    let names = |ids: &[CustodianId]| ids.iter().map(|id| request.name(id)).collect::<Vec<_>>();
    let disk = |note: &ringwall_wire::recovery::DiskNote| {
        json!({
            "slot": note.slot.0, "incarnation": note.incarnation.0, "entries": note.last.index.saturating_add(1), "term": note.last.term,
            "custody_epoch": note.custody_epoch.0,
        })
    };
    let (age, lacking) = match request.age() {
        Age::NotOlder => ("not-older", None),
        Age::Older { entries } => ("older", Some(entries)),
        Age::OlderEpoch => ("older-epoch", None),
        Age::NewerEpoch => ("newer-epoch", None),
        Age::Unknown => ("unknown", None),
    };
    json!({
        "written": written,
        "purpose": match offer.purpose { RecoveryPurpose::Outage => "recovery", RecoveryPurpose::Drill => "drill" },
        "cluster": offer.cluster_id.to_string(),
        "cluster_name": cluster_name,
        "keepers": offer.keepers.iter().map(|keeper| json!({ "slot": keeper.slot.0, "key": keeper.sig.to_string() })).collect::<Vec<_>>(),
        "earlier": offer.earlier.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "session": offer.session.to_string(),
        "replaces": offer.replaces.map(|earlier| earlier.to_string()),
        "custody_epoch": offer.custody_epoch.0,
        "manifest": offer.manifest.to_string(),
        "node": show::verification_json(node),
        "answered": request.answered.as_ref().map(|answered| names(&answered.submitted)),
        "refused": request.answered.as_ref().map(|answered| {
            answered.refused.iter().map(|(id, why)| json!({ "custodian": request.name(id), "why": why })).collect::<Vec<_>>()
        }),
        "disks": offer.inventory.iter().map(disk).collect::<Vec<_>>(),
        "seen": request.anchor.as_ref().map(anchor_json),
        "age": age,
        "lacking_entries": lacking,
        "released_before_s": request.repeated_s,
        "second_session": reason,
        "sentences": request.sentences(cluster_name),
    })
}

fn anchor_json(kept: &KeptAnchor) -> Value {
    let head = &kept.anchor.head;
    json!({ "epoch": head.epoch.0, "entries": head.tree.size, "root": head.tree.root.to_string(), "seen_at_s": kept.seen_at_s })
}

/// What a folder holds, and what a node says of it.
pub(super) struct Overview {
    custodian: Custodian,
    locked: &'static str,
    clusters: Vec<Kept>,
    online: Option<Standing>,
    journal: Vec<JournalEntry>,
    entries: usize,
    head: String,
    cut_off: bool,
}

struct Kept {
    cluster_id: ClusterId,
    name: String,
    shares: Vec<Share>,
    anchor: Option<KeptAnchor>,
}

struct Share {
    held: Held,
    x: Option<u8>,
    /// Accepted, proved, rehearsed, released: the last time each, by the journal.
    noted: [Option<u64>; 4],
}

struct Standing {
    /// As of when, by this machine's clock.
    now_s: u64,
    status: CustodyStatus,
    names: Vec<(CustodianId, String)>,
}

impl Overview {
    pub(super) fn of(shelf: &Shelf, online: Option<&(ClusterCard, CustodyStatus)>, journal: bool) -> Result<Self, Trouble> {
        let keys = shelf.keys()?;
        let custodian = public_of(&keys)?;
        let mut clusters = Vec::new();
        for cluster_id in shelf.clusters()? {
            let shares = shelf.all_held(&cluster_id)?.into_iter().map(|held| share(shelf, &custodian, held)).collect();
            let name = shelf.card(&cluster_id)?.genesis.template.name.to_string();
            clusters.push(Kept { cluster_id, name, shares, anchor: shelf.anchor(&cluster_id)? });
        }
        let online = match online {
            None => None,
            Some((card, status)) => {
                // Those whom the governors named later are in the orders that were given.
                let orders = shelf.orders(&card.genesis.cluster_id())?;
                let later = orders.iter().flat_map(|order| order.custodians.iter());
                let names = card.genesis.template.custodians.iter().chain(later);
                let names = names.map(|custodian| (custodian.id(), custodian.name.to_string())).collect();
                Some(Standing { now_s: clock::now_s(), status: status.clone(), names })
            }
        };
        Ok(Overview {
            locked: match keys.protection {
                Protection::Passphrase(_) => "a passphrase",
                Protection::Age => "recipients of age",
            },
            custodian,
            clusters,
            online,
            journal: if journal { shelf.journal.entries().to_vec() } else { Vec::new() },
            entries: shelf.journal.entries().len(),
            head: shelf.journal.head().to_string(),
            cut_off: shelf.journal.was_cut_off(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("custodian {} ({}), keys locked by {}\n", self.custodian.id(), self.custodian.name, self.locked);
        if self.clusters.is_empty() {
            text.push_str(&show::wrap("no share of any cluster: `ringwall custodian pull --card CARD` fetches one", 2));
        }
        for kept in &self.clusters {
            text.push_str(&show::wrap(&format!("cluster {} \"{}\"", kept.cluster_id, kept.name), 4));
            for share in &kept.shares {
                text.push_str(&format!("    {}\n", share.words()));
            }
            match &kept.anchor {
                None => text.push_str("    its log was never seen from here\n"),
                Some(seen) => {
                    let head = &seen.anchor.head;
                    text.push_str(&format!("    log seen {}: {} entries, epoch {}\n", date(seen.seen_at_s), head.tree.size, head.epoch));
                }
            }
        }
        if let Some(standing) = &self.online {
            text.push_str(&standing.text());
        }
        let torn = if self.cut_off { "; the last one was cut off and does not count" } else { "" };
        text.push_str(&show::wrap(&format!("journal: {} entries, head {}{torn}", self.entries, self.head), 4));
        for entry in &self.journal {
            text.push_str(&show::wrap(&format!("{:>4}  {}  {}", entry.number, date(entry.at_s), event_words(&entry.event)), 30));
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "custodian": self.custodian.id().to_string(),
            "name": &*self.custodian.name,
            "locked": self.locked,
            "clusters": self.clusters.iter().map(|kept| json!({
                "cluster": kept.cluster_id.to_string(),
                "name": kept.name,
                "shares": kept.shares.iter().map(Share::json).collect::<Vec<_>>(),
                "seen": kept.anchor.as_ref().map(anchor_json),
            })).collect::<Vec<_>>(),
            "online": self.online.as_ref().map(Standing::json),
            "journal": {
                "entries": self.entries,
                "head": self.head,
                "cut_off": self.cut_off,
                "events": self.journal.iter().map(|entry| json!({
                    "number": entry.number, "at_s": entry.at_s, "event": event_words(&entry.event),
                })).collect::<Vec<_>>(),
            },
        })
    }
}

fn share(shelf: &Shelf, custodian: &Custodian, held: Held) -> Share {
    let last = |fits: &dyn Fn(&JournalEvent) -> bool| {
        shelf.journal.entries().iter().rev().find(|entry| fits(&entry.event)).map(|entry| entry.at_s)
    };
    let name = held.name;
    let noted = [
        last(&|event| *event == JournalEvent::Accepted(name)),
        last(&|event| *event == JournalEvent::Proved(name)),
        last(&|event| *event == JournalEvent::Drilled(name)),
        last(&|event| matches!(event, JournalEvent::Submitted(released) if released.dealing == name)),
    ];
    let x = held.manifest.manifest.member(&custodian.id()).map(|member| member.x);
    Share { held, x, noted }
}

impl Share {
    fn state_words(&self) -> &'static str {
        match (&self.held.ack, &self.held.exchange) {
            (Some(_), _) => "accepted",
            (None, Some(_)) => "pulled, not accepted yet",
            (None, None) => "from paper",
        }
    }

    fn words(&self) -> String {
        let place = self.x.map_or_else(|| "not for these keys".into(), |x| format!("share {x}"));
        let mut words = format!("dealing {}: {place}, {}", self.held.name.custody_epoch, self.state_words());
        let whens = ["accepted", "proved", "rehearsed", "RELEASED"];
        for (what, at_s) in whens.into_iter().zip(self.noted) {
            if let Some(at_s) = at_s {
                words.push_str(&format!(", {what} {}", date(at_s)));
            }
        }
        words
    }

    fn json(&self) -> Value {
        let [accepted, proved, rehearsed, released] = self.noted;
        json!({
            "custody_epoch": self.held.name.custody_epoch.0,
            "manifest": self.held.name.manifest.to_string(),
            "share": self.x,
            "state": self.state_words(),
            "accepted_s": accepted,
            "proved_s": proved,
            "rehearsed_s": rehearsed,
            "released_s": released,
        })
    }
}

impl Standing {
    fn name(&self, id: &CustodianId) -> String {
        self.names.iter().find(|(known, _)| known == id).map_or_else(|| id.to_string(), |(_, name)| name.clone())
    }

    /// Whether a month went by without a proof; nothing is due where no dealing is active.
    fn is_due(&self, standing: &CustodianStanding) -> bool {
        let since_s = standing.proved_at_ms.max(self.status.dealt_at_ms) / 1_000;
        self.status.active.0 != 0 && self.now_s.saturating_sub(since_s) > PROOF_DUE_S
    }

    fn text(&self) -> String {
        let status = &self.status;
        let mut text = dealings_words(status);
        for standing in status.custodians.iter() {
            let holds = if standing.holds { "holds its share" } else { "HOLDS NO SHARE" };
            let proved = match standing.proved_at_ms {
                0 => "never proved".into(),
                at_ms => format!("proved {}", date(at_ms / 1_000)),
            };
            let due = if self.is_due(standing) { ", PROOF DUE (older than 31 days, or none): `ringwall custodian prove`" } else { "" };
            text.push_str(&show::wrap(&format!("  {}: {holds}, {proved}{due}", self.name(&standing.custodian)), 8));
        }
        text
    }

    fn json(&self) -> Value {
        let status = &self.status;
        json!({
            "active": status.active.0,
            "waiting": status.waiting.0,
            "threshold": status.threshold,
            "dealt_at_ms": status.dealt_at_ms,
            "custodians": status.custodians.iter().map(|standing| json!({
                "custodian": standing.custodian.to_string(),
                "name": self.name(&standing.custodian),
                "holds": standing.holds,
                "acknowledged": standing.acknowledged,
                "proved_at_ms": standing.proved_at_ms,
                "proof_due": self.is_due(standing),
            })).collect::<Vec<_>>(),
        })
    }
}

/// Which dealings there are, for people: one line each.
pub(super) fn dealings_words(status: &CustodyStatus) -> String {
    let mut text = match status.active.0 {
        0 => "in the cluster: no dealing is active; a total outage would be final\n".to_owned(),
        active => format!(
            "in the cluster: dealing {active} is active, dealt {}, {} shares recover\n",
            date(status.dealt_at_ms / 1_000),
            status.threshold
        ),
    };
    if status.waiting.0 != 0 {
        text.push_str(&format!("    dealing {} waits for acknowledgements\n", status.waiting));
    }
    text
}

fn form_words(form: PaperForm) -> &'static str {
    match form {
        PaperForm::File => "a locked file",
        PaperForm::Words => "words",
        PaperForm::Qr => "a code",
    }
}

/// A journal entry in words.
pub(super) fn event_words(event: &JournalEvent) -> String {
    match event {
        JournalEvent::Made(id) => format!("made the keys of custodian {id}"),
        JournalEvent::Pulled(name) => format!("pulled dealing {} ({:.16})", name.custody_epoch, name.manifest.to_string()),
        JournalEvent::Accepted(name) => format!("accepted the share of dealing {} ({:.16})", name.custody_epoch, name.manifest.to_string()),
        JournalEvent::Proved(name) => format!("proved the share of dealing {}", name.custody_epoch),
        JournalEvent::Submitted(released) => {
            let mut words = format!(
                "RELEASED the share of dealing {} to session {:.16} (build {})",
                released.dealing.custody_epoch,
                released.session.to_string(),
                &*released.build
            );
            if let Some(after) = &released.after {
                words.push_str(&format!(", although session {:.16} had it", after.to_string()));
            }
            if !released.reason.is_empty() {
                words.push_str(&format!(", because: {}", &*released.reason));
            }
            words
        }
        JournalEvent::Exported(copied) => {
            format!("exported the share of dealing {} as {}", copied.dealing.custody_epoch, form_words(copied.form))
        }
        JournalEvent::Imported(copied) => {
            format!("imported the share of dealing {} from {}", copied.dealing.custody_epoch, form_words(copied.form))
        }
        JournalEvent::Drilled(name) => format!("rehearsed with the share of dealing {}", name.custody_epoch),
        JournalEvent::Relocked => "locked the keys in another way".into(),
        JournalEvent::LossAccepted(taken) => {
            let (terms, after) =
                (&taken.terms, taken.after.map(|after| format!(", although session {:.16} was answered", after.to_string())));
            let reason = if taken.reason.is_empty() { String::new() } else { format!(", because: {}", &*taken.reason) };
            format!(
                "ACCEPTED A LOSS in session {:.16} (build {}): {} entries are kept, {} of {} voters are missing{}{reason}",
                terms.session.to_string(),
                &*taken.build,
                terms.chosen.size,
                terms.missing,
                terms.voters,
                after.unwrap_or_default()
            )
        }
        JournalEvent::KeysExported(form) => format!("exported the KEYS as {}", form_words(*form)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ringwall_wire::bounded::List;
    use ringwall_wire::ids::{CustodyEpoch, Digest};

    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

    #[test]
    fn who_proved_when_is_told_and_a_month_without_a_proof_is_flagged() {
        let standing = |number: u8, proved_at_ms| CustodianStanding {
            custodian: CustodianId([number; 20]),
            holds: true,
            acknowledged: false,
            proved_at_ms,
        };
        let custodians = vec![standing(1, 100 * DAY_MS), standing(2, 68 * DAY_MS), standing(3, 0), standing(4, 70 * DAY_MS)];
        let status = CustodyStatus {
            active: CustodyEpoch(2),
            active_manifest: Digest([1; 32]),
            waiting: CustodyEpoch(0),
            waiting_manifest: Digest([0; 32]),
            threshold: 2,
            dealt_at_ms: 10 * DAY_MS,
            custodians: List::new(custodians).unwrap(),
        };
        let names = (1..=4).map(|number| (CustodianId([number; 20]), format!("c{number}"))).collect();
        let mut seen = Standing { now_s: 100 * DAY_MS / 1_000, status, names };
        let due: Vec<bool> = seen.json()["custodians"].as_array().unwrap().iter().map(|one| one["proof_due"].as_bool().unwrap()).collect();
        assert_eq!(due, [false, true, true, false]);
        let text = seen.text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(text.matches("PROOF DUE").count(), 2, "{text}");
        assert!(text.contains(&format!("c1: holds its share, proved {}", date(100 * DAY_MS / 1_000))), "{text}");
        assert!(text.contains("c3: holds its share, never proved, PROOF DUE"), "{text}");
        // Shares that were dealt this month owe nothing yet, and without an active dealing nothing is owed at all.
        seen.status.dealt_at_ms = 80 * DAY_MS;
        assert!(!seen.text().contains("PROOF DUE"));
        seen.status.dealt_at_ms = 10 * DAY_MS;
        seen.status.active = CustodyEpoch(0);
        assert!(!seen.text().contains("PROOF DUE"));
    }
}
