//! What `ringwall custodian accept-loss` does, and what it prints.
//!
//! Decides: the node is judged and the question read as for a release; a person reads in sentences what is given up and is asked once; the journal has it before the
//! acceptance is written, in the form that the inbox of the recovering node takes.
//! Trusts: the library. Out of scope: what counts as a question and what was seen (`crate::custodian::loss`). Protocol section 6.2, DR4.

use super::custodian::{Run, message, reason, write_again};
use super::custodian_args::AcceptLoss;
use super::exit::{Exit, Trouble};
use super::input::bounded_file;
use super::policy::say;
use super::show;
use crate::Explanation;
use crate::custodian::CustodianError;
use crate::custodian::loss::{self, AskedLoss};
use ringwall_attest::date;
use ringwall_wire::codec::Message as _;
use ringwall_wire::custodian::{CustodianOp, CustodianRequest};
use ringwall_wire::ids::CustodianId;
use ringwall_wire::limits::CUSTODIAN_MESSAGE_BYTES;
use ringwall_wire::recovery::SignedOffer;
use serde_json::{Value, json};

impl Run<'_> {
    /// Verifies, shows, asks once, signs.
    pub(super) fn accept_loss(&mut self, arguments: &AcceptLoss) -> Result<Exit, Trouble> {
        let reason = reason(arguments.second_session.as_deref())?;
        let mut shelf = self.shelf()?;
        let card = self.pinned(&shelf)?;
        let offer = message::<SignedOffer>(&arguments.offer, "a recovery offer")?;
        let progress = bounded_file(&arguments.progress, CUSTODIAN_MESSAGE_BYTES)?;
        let place = arguments.offer.display().to_string();
        let judge = self.judge(&card);
        let now_s = judge.now_s;
        let asked = self.explained(arguments.explain, loss::weigh_loss(&shelf, &judge, &offer, &place, &progress))?;
        if reason.is_none() {
            loss::may_answer(&shelf, &asked.request)?;
        }
        let name = card.genesis.template.name.to_string();
        let words = text(&asked, &name, reason.as_deref());
        if self.shared.json && !arguments.yes {
            // The object comes last; whoever is asked reads first.
            show::note(&words);
        }
        if !self.shared.json {
            show::print(words.as_bytes())?;
            if arguments.explain {
                show::print(Explanation::accepted(asked.request.judged.trace(), now_s).tree().as_bytes())?;
            }
        }
        if !arguments.yes && !self.keyring.secrets.confirm("Accept this loss? Type yes: ")? {
            return Err(CustodianError::NotConfirmed.into());
        }
        let keys = self.unlock(&shelf)?;
        let word = loss::accept_loss(&mut shelf, &asked, &keys, reason.as_ref(), now_s)?;
        write_again(&arguments.out, &CustodianRequest { number: 1, op: CustodianOp::AcceptLoss(word) }.encode())?;
        let shown = arguments.out.display().to_string();
        let done = format!("{shown}: your acceptance of this loss, of use to that session alone; bring the file to its operator");
        say(self.shared.json, &done, object(&asked, &name, &shown, reason.as_deref()))
    }
}

fn text(asked: &AskedLoss, cluster_name: &str, reason: Option<&str>) -> String {
    let mut sentences = asked.sentences(cluster_name);
    sentences.extend(asked.repeated_s.map(|at_s| format!("You accepted this very loss on {}; the same is signed again.", date(at_s))));
    sentences.extend(reason.map(|reason| {
        format!("You answered ANOTHER session of this dealing before. You insist, and the journal keeps your reason: \"{reason}\".")
    }));
    sentences.iter().map(|sentence| show::wrap(sentence, 4)).collect()
}

fn object(asked: &AskedLoss, cluster_name: &str, written: &str, reason: Option<&str>) -> Value {
    let (request, terms) = (&asked.request, &asked.asked.terms);
    let offer = request.judged.offer();
    let names = |ids: &[CustodianId]| ids.iter().map(|id| request.name(id)).collect::<Vec<_>>();
    let absent = asked.asked.absent.iter().map(|voter| json!({ "slot": voter.slot.0, "incarnation": voter.incarnation.0 }));
    json!({
        "written": written,
        "cluster": offer.cluster_id.to_string(),
        "cluster_name": cluster_name,
        "session": offer.session.to_string(),
        "replaces": offer.replaces.map(|earlier| earlier.to_string()),
        "custody_epoch": offer.custody_epoch.0,
        "node": show::verification_json(request.judged.node()),
        "voters": terms.voters,
        "missing": terms.missing,
        "absent": absent.collect::<Vec<_>>(),
        "taken": asked.asked.taken.0,
        "backup": loss::is_backup(asked.asked.taken),
        "entries": terms.chosen.size,
        "known_entries": asked.asked.known,
        "claims": terms.claims.to_string(),
        "accepted": names(&asked.accepted),
        "not_accepted": names(&asked.missing()),
        "accepted_before_s": asked.repeated_s,
        "second_session": reason,
        "sentences": asked.sentences(cluster_name),
    })
}
