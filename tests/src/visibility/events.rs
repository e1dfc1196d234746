//! Log lines: those the sources of the shipped crates can write, and whether a line of a log is one of them.
//!
//! Decides: an event is its level, its message and the names of its fields. Trusts: the sources, read as text: every event is written by a macro of
//! `tracing` whose last literal is its message. Out of scope: values of fields; they are searched like everything else.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Crates whose events are ours.
const OURS: [&str; 6] = ["node", "consensus", "quic", "channel", "keys", "client"];
/// Libraries that may warn.
const FOREIGN: [&str; 5] = ["openraft", "quinn", "quinn_proto", "quinn_udp", "redb"];
/// What every line has besides.
const ALWAYS: [&str; 4] = ["timestamp", "level", "message", "target"];
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// A line a node can write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// Its level, in lower case.
    pub level: String,
    /// Its message.
    pub line: String,
    /// Names of its fields.
    pub fields: Vec<String>,
}

/// Every event in the sources below `root`, tests left out.
pub fn declared(root: &Path) -> BTreeSet<Event> {
    let mut found = BTreeSet::new();
    let mut open: Vec<_> = OURS.iter().map(|member| root.join(member).join("src")).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            found.extend(events(shipped));
        }
    }
    found
}

/// The events of one file.
fn events(source: &str) -> Vec<Event> {
    let mut found = Vec::new();
    for level in LEVELS {
        for (at, call) in source.match_indices(&format!("{level}!(")) {
            if source[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            let (parts, _) = arguments(&source[at + call.len()..]);
            let Some((message, fields)) = parts.split_last() else { continue };
            let Some(line) = message.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { continue };
            let fields = fields.iter().map(|field| field_name(field)).collect();
            found.push(Event { level: level.to_owned(), line: line.replace("\\\"", "\""), fields });
        }
    }
    found
}

/// The arguments of a macro, from behind its opening bracket, and how long they are.
fn arguments(text: &str) -> (Vec<String>, usize) {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut parts = vec![String::new()];
    for (at, letter) in text.char_indices() {
        let was_escaped = std::mem::take(&mut escaped);
        match letter {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                let trimmed = parts.into_iter().map(|part| part.trim().to_owned());
                return (trimmed.filter(|part| !part.is_empty()).collect(), at);
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("begins with one").push(letter);
    }
    (Vec::new(), text.len())
}

/// `slot = %row.slot`, `%fault`, `?removed` and `reason` as the names the line will have.
fn field_name(argument: &str) -> String {
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    name.trim().trim_start_matches(['%', '?']).to_owned()
}

/// Why a line of a log is none of the declared ones; none when it is. `program` is what the daemon calls itself when it ends.
pub fn complaint(line: &str, declared: &BTreeSet<Event>, program: &str) -> Option<String> {
    if line.starts_with(program) {
        return None;
    }
    let Ok(Value::Object(object)) = serde_json::from_str(line) else { return Some(format!("not a log line: {line}")) };
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let target = text("target").split("::").next().unwrap_or_default();
    if FOREIGN.contains(&target) {
        return (text("level") != "WARN" && text("level") != "ERROR").then(|| format!("a library says more than warnings: {line}"));
    }
    let fields: BTreeSet<&str> = object.keys().map(String::as_str).filter(|name| !ALWAYS.contains(name)).collect();
    let level = text("level").to_lowercase();
    let known = declared.iter().any(|event| {
        event.level == level && event.line == text("message") && fields.iter().all(|field| event.fields.iter().any(|name| name == field))
    });
    (!known).then(|| format!("no such event: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_written() {
        let source = "fn a() {\n    info!(to = %self.to, count = u64::try_from(x).unwrap_or(0), why, \"session, with (brackets)\");\n\
                      tracing::warn!(%fault, ?removed, \"said \\\"so\\\"\");\n not_info!(\"x\"); error!(\n  %why,\n  \"over lines\"\n ); }";
        let found = events(source);
        let wanted = [
            ("error", "over lines", "why"),
            ("info", "session, with (brackets)", "to count why"),
            ("warn", "said \"so\"", "fault removed"),
        ];
        let mut read: Vec<_> = found.iter().map(|event| (event.level.as_str(), event.line.as_str(), event.fields.join(" "))).collect();
        read.sort_unstable();
        assert_eq!(read, wanted.map(|(level, line, fields)| (level, line, fields.to_owned())));
    }

    #[test]
    fn this_tree_declares_what_it_is_known_to_say() {
        let declared = declared(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        assert!(declared.len() > 50, "{} events", declared.len());
        assert!(declared.iter().any(|event| event.line == "a user was refused" && event.fields == ["fault"]));
    }

    #[test]
    fn a_line_nobody_declared_or_with_one_more_field_is_refused() {
        let declared = BTreeSet::from([Event { level: "info".into(), line: "voter".into(), fields: vec!["slot".into()] }]);
        let line = |text: &str| complaint(text, &declared, "ringwalld-sim");
        assert_eq!(line(r#"{"timestamp":"t","level":"INFO","message":"voter","slot":"1","target":"ringwall_node::run"}"#), None);
        assert_eq!(line("ringwalld-sim: this incarnation is out"), None);
        assert_eq!(line(r#"{"level":"WARN","message":"anything","target":"openraft::core"}"#), None);
        for bad in [
            r#"{"level":"INFO","message":"voter","slot":"1","user":"ab","target":"ringwall_node::run"}"#,
            r#"{"level":"WARN","message":"voter","target":"ringwall_node::run"}"#,
            r#"{"level":"INFO","message":"hello","target":"ringwall_node::run"}"#,
            r#"{"level":"INFO","message":"anything","target":"openraft::core"}"#,
            "thread 'main' panicked",
        ] {
            assert!(line(bad).is_some(), "{bad}");
        }
    }
}
