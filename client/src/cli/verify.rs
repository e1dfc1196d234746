//! `ringwall verify`: nodes over the network, a saved exchange, or a vendor's raw files; always one judgement, shown in one way.
//!
//! Decides: which of the three, what pins the cluster, which policy is held (`held.rs`), as of when, and the exit code: bad before cannot-tell before out of
//! reach before verified. Neither a refusal nor a judgement that cannot tell ends with 0. Raw files are judged as far as they go, and called genuine, never
//! verified. Trusts: the library. Out of scope: the judging (`attest`), layout (`explain/tree.rs`). docs/explain.md.

use super::args::{At, SharedOptions, Verify};
use super::exit::{Exit, Trouble};
use super::held::Held;
use super::verbs::{options, spinner, write_new};
use super::{evidence, governance_show, input, show};
use crate::Examined;
use crate::card::read_card;
use crate::error::ConnectError;
use crate::examine::examine_node;
use crate::{Anchors, Client, Credential, Explanation, GovernanceView, Options, clock, read_exchange};
use ringwall_attest::{Claims, SessionError, Trace, date, verify_traced};
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::genesis::ClusterCard;
use ringwall_wire::known::KnownPolicy;
use ringwall_wire::policy::PolicyDoc;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// What governs a cluster, and the policy in force.
type Governance = (GovernanceView, Arc<PolicyDoc>);

/// What a judgement began from.
#[derive(Default)]
struct Begun {
    /// Who says which cluster was meant, where nobody was asked over a network.
    pinned_by: Option<&'static str>,
    /// The newest policy that was known.
    held: Held,
}

/// Runs the verb.
pub(crate) async fn run(shared: &SharedOptions, anchors: Anchors, verify: &Verify) -> Result<Exit, Trouble> {
    if let Some(path) = &verify.from {
        return saved(shared, &anchors, verify, path);
    }
    if let Some((evidence, endorsements)) = input::vendor_files(verify)? {
        return raw(shared, &anchors, verify, &evidence, &endorsements);
    }
    nodes(shared, anchors, verify).await
}

/// Verifies every address; the worst result decides the exit code.
async fn nodes(shared: &SharedOptions, anchors: Anchors, verify: &Verify) -> Result<Exit, Trouble> {
    // The user does not matter here and is not told to anybody.
    let mut options = options(shared, anchors, Credential::generate())?;
    let begun = Begun { pinned_by: None, held: Held::find(shared, options.policy.take(), options.cluster_id)? };
    options.policy = begun.held.record().cloned();
    let addresses = options.addresses.clone();
    if addresses.is_empty() {
        return Err(ConnectError::NoAddress.into());
    }
    if verify.save.is_some() && addresses.len() > 1 {
        return Err(Trouble::new("RW-C-USAGE", "--save keeps one exchange: name one node with --address"));
    }
    let mut worst = Exit::Done;
    for address in addresses {
        let spinner = spinner(shared, "verifying");
        let seen = examine_node(&options, &address).await;
        spinner.finish_and_clear();
        let exit = match seen {
            Ok((exchange, examined)) => {
                if let Some(path) = &verify.save {
                    write_new(path, &exchange.to_bytes())?;
                }
                let governance = match verify.explain && examined.verdict.is_ok() {
                    true => governance(&options, &address).await,
                    false => None,
                };
                show_examined(shared, verify.explain, &examined, &begun, governance.as_ref())?
            }
            Err(fault) => {
                let trouble = Trouble::from(fault);
                match shared.json {
                    true => show::line(trouble.json())?,
                    false => show::line(format!("{address}: {}\n{}", headline(&trouble), show::wrap(&trouble.message, 2).trim_end()))?,
                }
                trouble.exit()
            }
        };
        worst = worse(worst, exit);
    }
    Ok(worst)
}

/// Changes that wait and the lease, which a node tells to users alone: asked as one who is made for the question and forgotten.
async fn governance(options: &Options, address: &str) -> Option<Governance> {
    let nobody = Options { addresses: vec![address.to_owned()], credential: Credential::generate(), ..options.clone() };
    let client = Client::connect(nobody).await.ok()?;
    let seen = client.verification();
    let view = client.governance().await;
    client.close().await;
    Some((view.ok()?, Arc::clone(&seen.policy)))
}

/// Judges a saved exchange again.
fn saved(shared: &SharedOptions, anchors: &Anchors, verify: &Verify, path: &Path) -> Result<Exit, Trouble> {
    let exchange = read_exchange(path)?;
    let (exchange, pinned_by, card) = match (&shared.card, shared.cluster) {
        (Some(card), expected) => {
            let card = pinned(&read_card(card, expected)?);
            (exchange.pinned_to(card.cluster_id, card.founding.version), "card", Some(card))
        }
        (None, Some(cluster)) => (exchange.pinned_to(cluster, Default::default()), "cluster", None),
        (None, None) => (exchange, "file", None),
    };
    let held = Held::find(shared, card, exchange.cluster_id())?;
    let at_s = at(verify, exchange.at_s());
    let exchange = match held.record() {
        Some(known) => exchange.held_to(known.clone()).map_err(|fault| Trouble::new("RW-C-ANCHOR-MALFORMED", fault.to_string()))?,
        None => exchange,
    };
    let examined = exchange.as_of(at_s).examine(anchors, &path.display().to_string());
    show_examined(shared, verify.explain, &examined, &Begun { pinned_by: Some(pinned_by), held }, None)
}

/// Judges a vendor's raw files as far as they go.
fn raw(
    shared: &SharedOptions,
    anchors: &Anchors,
    verify: &Verify,
    evidence: &Evidence,
    endorsements: &Endorsements,
) -> Result<Exit, Trouble> {
    let at_s = at(verify, clock::now_s());
    let mut trace = Trace::new();
    let verified = verify_traced(evidence, endorsements, anchors, at_s, &mut trace);
    let name = verify.report.as_deref().or(verify.quote.as_deref()).map_or_else(String::new, |path| path.display().to_string());
    match verified {
        Ok(verified) => {
            let explanation = Explanation::genuine(&trace, at_s);
            show_genuine(shared, verify.explain, &name, &explanation, verified.claims())?;
            Ok(Exit::Done)
        }
        Err(error) => {
            let begun = Begun { pinned_by: Some("nothing"), ..Begun::default() };
            show_refused(shared, verify.explain, &name, &begun, (&SessionError::Verify(error), &trace, at_s))
        }
    }
}

fn at(verify: &Verify, usual_s: u64) -> u64 {
    match verify.at {
        None => usual_s,
        Some(At::Now) => clock::now_s(),
        Some(At::Seconds(at_s)) => at_s,
    }
}

fn show_examined(
    shared: &SharedOptions,
    explain: bool,
    examined: &Examined,
    begun: &Begun,
    governance: Option<&Governance>,
) -> Result<Exit, Trouble> {
    let Examined { place, at_s, verdict, trace } = examined;
    let seen = match verdict {
        Ok(seen) => seen,
        Err(error) => return show_refused(shared, explain, place, begun, (error, trace, *at_s)),
    };
    let explanation = Explanation::accepted(trace, *at_s);
    if shared.json {
        let mut object = merged(show::verification_json(seen), &explanation);
        begun.put(&mut object);
        if let Some((view, policy)) = governance {
            object["governance"] = governance_show::view_json(view, policy);
        }
        show::line(object.to_string())?;
        return Ok(Exit::Done);
    }
    let mut text = show::verification_text(seen);
    text.push_str(&begun.words(*at_s));
    if explain {
        text.push_str(&explanation.tree());
    }
    if let Some((view, policy)) = governance {
        text.push_str("  what governs the cluster, in the node's words:\n");
        governance_show::view_text(view, policy).lines().for_each(|line| text.push_str(&show::wrap(line, 4)));
    }
    show::print(text.as_bytes()).map(|()| Exit::Done)
}

fn show_genuine(shared: &SharedOptions, explain: bool, name: &str, explanation: &Explanation, claims: &Claims) -> Result<(), Trouble> {
    let claims = evidence::claims(claims);
    if shared.json {
        let claims: serde_json::Map<String, Value> = claims.into_iter().map(|(name, words)| (name.to_owned(), words.into())).collect();
        return show::line(merged(json!({ "address": name, "claims": claims }), explanation).to_string());
    }
    let mut text = format!("{name}: genuine, judged as of {}\n", date(explanation.at_s));
    text.push_str(&show::wrap("this says nothing about whose machine it is or what runs on it: no policy and no session were judged", 2));
    if explain {
        text.push_str(&explanation.tree());
        text.push_str("  what it says of itself:\n");
        for (name, words) in claims {
            text.push_str(&show::wrap(&format!("  {name}: {words}"), 8));
        }
    }
    show::print(text.as_bytes())
}

fn show_refused(
    shared: &SharedOptions,
    explain: bool,
    name: &str,
    begun: &Begun,
    (error, trace, at_s): (&SessionError, &Trace, u64),
) -> Result<Exit, Trouble> {
    let explanation = Explanation::refused(trace, at_s, error);
    let fault = ConnectError::of_evidence(name.to_owned(), std::sync::Arc::new(error.clone()), Vec::new());
    let message = match begun.pinned_by {
        None => fault.to_string(),
        // Nobody was asked and nothing could be sent.
        Some(_) => format!("{error}. What to do: {}", error.advice()),
    };
    let trouble = Trouble::new(fault.code(), message);
    if shared.json {
        let mut object = merged(json!({ "address": name, "error": trouble.error_json() }), &explanation);
        begun.put(&mut object);
        show::line(object.to_string())?;
        return Ok(trouble.exit());
    }
    let mut text = format!("{name}: {}\n", headline(&trouble));
    text.push_str(&begun.words(at_s));
    match explain {
        true => text.push_str(&explanation.tree()),
        false => text.push_str(&show::wrap(&trouble.message, 2)),
    }
    show::print(text.as_bytes())?;
    Ok(trouble.exit())
}

fn headline(trouble: &Trouble) -> &'static str {
    match trouble.exit() {
        Exit::CannotTell => "CANNOT TELL (and therefore not to be used)",
        _ => "NOT verified",
    }
}

/// What a card pins: the policies of a card that was read are its cluster's.
fn pinned(card: &ClusterCard) -> KnownPolicy {
    KnownPolicy { cluster_id: card.genesis.cluster_id(), founding: card.policy.clone(), steps: card.steps.clone() }
}

impl Begun {
    /// What a person must know about a judgement that began so.
    fn words(&self, at_s: u64) -> String {
        let mut text = self.held.words();
        let Some(pinned_by) = self.pinned_by else { return text };
        let words = format!("from a file, judged as of {}: it shows what was proved then, not who answers now", date(at_s));
        text.push_str(&show::wrap(&words, 2));
        if pinned_by == "file" {
            text.push_str(&show::wrap("the file itself says which cluster was meant: give --card or --cluster to pin the one you mean", 2));
        }
        text
    }

    fn put(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        if let Some(pinned_by) = self.pinned_by {
            object.insert("pinned_by".into(), pinned_by.into());
        }
        if let Some(held) = self.held.json() {
            object.insert("held_policy".into(), held);
        }
    }
}

/// The fields of the explanation beside those of `object`.
fn merged(mut object: Value, explanation: &Explanation) -> Value {
    let more = serde_json::to_value(explanation).expect("an explanation is plain fields and lists");
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// The worse of two endings.
fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Evidence => 3,
        Exit::CannotTell => 2,
        Exit::Done => 0,
        _ => 1,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_ending_decides_whatever_the_order() {
        let order = [Exit::Done, Exit::Unavailable, Exit::CannotTell, Exit::Evidence];
        for (rank, one) in order.into_iter().enumerate() {
            for (other_rank, other) in order.into_iter().enumerate() {
                assert_eq!(worse(one, other), if other_rank > rank { other } else { one });
            }
        }
    }
}
