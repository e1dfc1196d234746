//! What the command line prints: text within 100 columns, or JSON with stable shapes.
//!
//! Decides: results go to standard output, everything else to standard error; bytes that are no text are shown escaped, and as `..._hex`
//! in JSON. Trusts: nothing. Out of scope: what is asked (`verbs.rs`).

use super::exit::Trouble;
use crate::{Change, ClusterStatus, Item, Verification};
pub(crate) use ringwall_session::shown::{put_bytes, recovery as recovery_json, status as status_json, verification as verification_json};
use ringwall_wire::ids::{Incarnation, TrustDomain};
use ringwall_wire::policy::PlatformUnseal;
use serde_json::{Map, Value};
use std::io::{ErrorKind, Write};

/// Widest line of text.
pub(crate) const COLUMNS: usize = 100;

/// The object with one field more.
pub(super) fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert(name.to_owned(), value.into());
    }
    object
}

/// Prints bytes to standard output. A reader that has seen enough is no failure.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Trouble> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(fault) if fault.kind() != ErrorKind::BrokenPipe => Err(Trouble::new("RW-C-OUTPUT", format!("standard output: {fault}"))),
        _ => Ok(()),
    }
}

/// Prints one line to standard output.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Trouble> {
    print(format!("{}\n", text.as_ref()).as_bytes())
}

/// Prints one line for people to standard error. Nobody may be there to read it.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "ringwall: {text}");
}

/// The same, unless a program reads.
pub(crate) fn note_unless(json: bool, text: &str) {
    if !json {
        note(text);
    }
}

/// Bytes as people read them.
pub(crate) fn words(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.into(),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// One key of a list.
pub(crate) fn item_json(item: &Item, values: bool) -> Value {
    let mut object = Map::new();
    put_bytes(&mut object, "key", &item.key);
    object.insert("version".into(), item.version.0.into());
    if values {
        put_bytes(&mut object, "value", &item.value);
    }
    Value::Object(object)
}

/// One change of a watch.
pub(crate) fn change_json(change: &Change) -> Value {
    let mut object = Map::new();
    object.insert("revision".into(), change.revision.0.into());
    put_bytes(&mut object, "key", &change.key);
    match &change.value {
        Some(value) => put_bytes(&mut object, "value", value),
        None => {
            object.insert("removed".into(), true.into());
        }
    }
    Value::Object(object)
}

/// State of the cluster, for people.
pub(crate) fn status_text(status: &ClusterStatus) -> String {
    let leader = match status.leader {
        Incarnation(0) => "none known".into(),
        leader => short(leader),
    };
    let mut text = format!(
        "leader {leader}, term {}, applied {}, revision {} (as slot {} sees it)\n",
        status.term, status.applied, status.revision, status.slot
    );
    let rows = status.voters.iter().map(|member| ("voter", member)).chain(status.learners.iter().map(|member| ("learner", member)));
    text.push_str(&format!("{:<6}{:<9}{:<14}{:<13}{}\n", "slot", "role", "incarnation", "vendor", "address"));
    for (role, member) in rows {
        let role = if member.incarnation == status.leader { "leader" } else { role };
        let row =
            format!("{:<6}{role:<9}{:<14}{:<13}{}", member.slot.0, short(member.incarnation), member.vendor.to_string(), &*member.address);
        text.push_str(&cut(&row, COLUMNS));
        text.push('\n');
    }
    text
}

/// An incarnation as `epoch/admit index`.
pub(crate) fn short(incarnation: Incarnation) -> String {
    format!("{}/{}", incarnation.epoch().0, incarnation.admit_index())
}

/// What was verified, for people.
pub(crate) fn verification_text(seen: &Verification) -> String {
    let mut text = format!("{}: verified, {}, incarnation {}\n", seen.address, seen.vendor, short(seen.incarnation));
    text.push_str(&wrap(&format!("build {} (security version {}), policy version {}", seen.measurement, seen.svn, seen.policy_version), 2));
    text.push_str(&wrap(&format!("cluster {}", seen.cluster_id), 2));
    text.push_str(&wrap(&format!("chip {}", seen.chip), 2));
    match seen.platform_unseal {
        PlatformUnseal::Never => text.push_str(&wrap("after a total outage: custodians open the keys (platform_unseal = never)", 2)),
        PlatformUnseal::SameChips => {
            let says = "after a total outage: the cluster's own AMD chips open the keys WITHOUT custodians (platform_unseal = same_chips)";
            text.push_str(&wrap(says, 2));
        }
    }
    if seen.trust_domain == TrustDomain::Simulated {
        text.push_str(&wrap("SIMULATED roots of trust: this protects nothing from whoever runs the machine", 2));
    }
    text
}

/// `text` broken at spaces to lines of at most [`COLUMNS`], all but the first word's line indented by `indent`.
pub(crate) fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut line = " ".repeat(2);
    let mut bare = true;
    for word in text.split(' ') {
        if !bare && line.chars().count().saturating_add(1).saturating_add(word.chars().count()) > COLUMNS {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
            bare = true;
        }
        if !bare {
            line.push(' ');
        }
        line.push_str(word);
        bare = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

fn cut(text: &str, columns: usize) -> String {
    match text.chars().count() <= columns {
        true => text.into(),
        false => text.chars().take(columns.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Stage, Step};
    use ringwall_wire::bounded::{List, Text};
    use ringwall_wire::ids::{ClusterId, Digest, Epoch, PolicyVersion, Revision, Slot, Vendor};
    use ringwall_wire::session::MemberHint;
    use serde_json::json;

    fn status() -> ClusterStatus {
        let member = |slot: u8, vendor| MemberHint {
            slot: Slot(slot),
            incarnation: Incarnation::new(Epoch(1), u64::from(slot)),
            vendor,
            address: Text::new("a".repeat(128)).unwrap(),
        };
        ClusterStatus {
            slot: Slot(2),
            incarnation: Incarnation::new(Epoch(1), 2),
            leader: Incarnation::new(Epoch(1), 1),
            term: 4,
            applied: 17,
            revision: Revision(9),
            voters: List::new(vec![member(1, Vendor::Amd), member(2, Vendor::Intel)]).unwrap(),
            learners: List::new(vec![member(3, Vendor::Amd)]).unwrap(),
        }
    }

    fn verification() -> Verification {
        Verification {
            address: "127.0.0.1:7400".into(),
            cluster_id: ClusterId([7; 32]),
            epoch: Epoch(1),
            incarnation: Incarnation::new(Epoch(1), 1),
            trust_domain: TrustDomain::Simulated,
            vendor: Vendor::Intel,
            chip: Digest([9; 32]),
            measurement: "release-1".into(),
            svn: 3,
            policy_version: PolicyVersion(2),
            policy: std::sync::Arc::new(ringwall_sim::world::policy()),
            platform_unseal: PlatformUnseal::SameChips,
            log_began_anew: false,
            recovered: Vec::new(),
            steps: vec![Step::new(Stage::Report, "the report is signed")],
        }
    }

    #[test]
    fn text_fits_a_hundred_columns() {
        for text in [status_text(&status()), verification_text(&verification()), wrap(&"x".repeat(40).repeat(2), 4)] {
            assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        }
        assert!(status_text(&status()).contains("leader 1/1, term 4"));
        assert!(verification_text(&verification()).contains("SIMULATED"));
        let said = |seen: &Verification| verification_text(seen).contains("WITHOUT custodians");
        assert!(said(&verification()) && !said(&Verification { platform_unseal: PlatformUnseal::Never, ..verification() }));
    }

    #[test]
    fn json_shapes_are_stable() {
        // Whether objects keep their order depends on features of other crates in the build; no reader may rely on it.
        let keys = |value: Value| {
            let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys.join(" ")
        };
        assert_eq!(keys(status_json(&status())), "applied incarnation leader learners revision slot term voters");
        assert_eq!(
            keys(verification_json(&verification())),
            "address chip cluster epoch incarnation measurement platform_unseal policy_version steps svn trust_domain vendor"
        );
        let item = Item { key: b"k".to_vec(), version: Revision(3), value: vec![0xff] };
        assert_eq!(item_json(&item, true), json!({"key": "k", "value_hex": "ff", "version": 3}));
        assert_eq!(item_json(&item, false), json!({"key": "k", "version": 3}));
        let gone = Change { key: vec![0xfe], revision: Revision(4), value: None };
        assert_eq!(change_json(&gone), json!({"key_hex": "fe", "removed": true, "revision": 4}));
        let set = Change { key: b"k".to_vec(), revision: Revision(5), value: Some(b"v".to_vec()) };
        assert_eq!(change_json(&set), json!({"key": "k", "revision": 5, "value": "v"}));
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(words(b"plain"), "plain");
        assert_eq!(words(b"a\x1b[31m\n"), "a\\x1b[31m\\n");
        assert_eq!(words(&[0xff]), "\\xff");
    }
}
