//! Edits of parts: each member, element, line or hash is left out, doubled, exchanged with the next, emptied, and replaced by and joined with another
//! original's.
//!
//! Decides: the closed, numbered list. Trusts: nothing. Out of scope: bytes (`mod.rs`), whether an edit matters (`meaning.rs`).

use super::Form;
use serde_json::Value;

/// What is done to a part on its own.
const ALONE: [&str; 4] = ["left out", "doubled", "exchanged with the next", "emptied"];
/// What is done to it with the same part of another original.
const WITH: [&str; 2] = ["taken from another", "joined with another's"];

fn edits_of_one(donors: usize) -> usize {
    ALONE.len().saturating_add(WITH.len().saturating_mul(donors))
}

/// How many there are.
pub(super) fn count(form: Form, bytes: &[u8], donors: usize) -> usize {
    let parts = match form {
        Form::Json => serde_json::from_slice(bytes).map_or(0, |value| nodes(&value)),
        Form::Note | Form::Hashes | Form::Bytes => pieces(form, bytes).len(),
    };
    parts.saturating_mul(edits_of_one(donors))
}

/// The edit of this number; none when there is no such part, next one or donor.
pub(super) fn part(form: Form, bytes: &[u8], donors: &[Vec<u8>], number: usize) -> Option<(Vec<u8>, String)> {
    let each = edits_of_one(donors.len());
    let (part, edit) = (number.checked_div(each)?, number.checked_rem(each)?);
    let (what, donor) = match edit.checked_sub(ALONE.len()) {
        None => (*ALONE.get(edit)?, None),
        Some(with) => (*WITH.get(with.checked_rem(WITH.len())?)?, Some(donors.get(with.checked_div(WITH.len())?)?)),
    };
    let (edited, name) = match form {
        Form::Json => json(bytes, donor, part, what)?,
        Form::Note | Form::Hashes | Form::Bytes => (listed(form, bytes, donor, part, what)?, part.to_string()),
    };
    Some((edited, format!("part {name} {what}")))
}

fn pieces(form: Form, bytes: &[u8]) -> Vec<&[u8]> {
    match form {
        Form::Hashes => bytes.chunks(32).collect(),
        Form::Bytes => vec![bytes],
        Form::Json | Form::Note => bytes.split_inclusive(|byte| *byte == b'\n').collect(),
    }
}

/// Edits a list of lines or hashes, or the whole of what has no parts.
fn listed(form: Form, bytes: &[u8], donor: Option<&Vec<u8>>, at: usize, what: &str) -> Option<Vec<u8>> {
    let mut all = pieces(form, bytes);
    let own = *all.get(at)?;
    let other = || {
        let theirs = pieces(form, donor?);
        theirs.get(at).or(theirs.last()).copied()
    };
    let empty: &[u8] = if form == Form::Hashes { &[0; 32] } else { b"\n" };
    match what {
        "left out" => drop(all.remove(at)),
        "doubled" => all.insert(at, own),
        "exchanged with the next" => {
            let next = at.saturating_add(1);
            let _ = all.get(next)?;
            all.swap(at, next);
        }
        "emptied" => *all.get_mut(at)? = empty,
        "taken from another" => *all.get_mut(at)? = other()?,
        _ => all.insert(at.saturating_add(1), other()?),
    }
    Some(all.concat())
}

fn nodes(value: &Value) -> usize {
    let inside: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(elements) => elements.iter().collect(),
        _ => Vec::new(),
    };
    inside.into_iter().fold(0, |sum: usize, one| sum.saturating_add(1).saturating_add(nodes(one)))
}

/// Edits the member or element of this number, counted as they stand.
fn json(bytes: &[u8], donor: Option<&Vec<u8>>, part: usize, what: &str) -> Option<(Vec<u8>, String)> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let donor: Option<Value> = donor.map(|donor| serde_json::from_slice(donor)).transpose().ok()?;
    let mut writer = Writer { left: part, what, donor: donor.as_ref(), name: None, out: String::new() };
    writer.value(&value, "");
    Some((writer.out.into_bytes(), writer.name?))
}

/// Writes JSON with one edit, doubled members included, which no tree can hold.
struct Writer<'a> {
    left: usize,
    what: &'a str,
    donor: Option<&'a Value>,
    name: Option<String>,
    out: String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, path: &str) {
        match value {
            Value::Object(members) => {
                let list: Vec<(Option<&str>, &Value)> = members.iter().map(|(name, value)| (Some(name.as_str()), value)).collect();
                self.list(&list, path, ['{', '}']);
            }
            Value::Array(elements) => {
                let list: Vec<(Option<&str>, &Value)> = elements.iter().map(|value| (None, value)).collect();
                self.list(&list, path, ['[', ']']);
            }
            plain => self.out.push_str(&plain.to_string()),
        }
    }

    fn list(&mut self, list: &[(Option<&str>, &Value)], path: &str, [open, close]: [char; 2]) {
        self.out.push(open);
        let mut first = true;
        let mut late = None;
        for (at, (name, value)) in list.iter().enumerate() {
            let path = name.map_or_else(|| format!("{path}/{at}"), |name| format!("{path}/{name}"));
            let chosen = self.name.is_none() && self.left == 0;
            if !chosen {
                self.left = self.left.saturating_sub(usize::from(self.name.is_none()));
                self.entry(&mut first, *name, value, &path);
            } else {
                self.name = Some(path.clone());
                let other = self.donor.and_then(|donor| donor.pointer(&path)).cloned();
                match self.what {
                    "left out" => {}
                    "exchanged with the next" => {
                        late = Some((*name, *value, path));
                        continue;
                    }
                    "emptied" => self.entry(&mut first, *name, &emptied(value), &path),
                    "taken from another" => self.entry(&mut first, *name, other.as_ref().unwrap_or(value), &path),
                    what => {
                        self.entry(&mut first, *name, value, &path);
                        let again = if what == "doubled" { Some(*value) } else { other.as_ref() };
                        again.into_iter().for_each(|again| self.entry(&mut first, *name, again, &path));
                    }
                }
            }
            if let Some((name, value, path)) = late.take() {
                self.entry(&mut first, name, value, &path);
            }
        }
        if let Some((name, value, path)) = late {
            self.entry(&mut first, name, value, &path);
        }
        self.out.push(close);
    }

    fn entry(&mut self, first: &mut bool, name: Option<&str>, value: &Value, path: &str) {
        if !core::mem::replace(first, false) {
            self.out.push(',');
        }
        if let Some(name) = name {
            self.out.push_str(&Value::from(name).to_string());
            self.out.push(':');
        }
        self.value(value, path);
    }
}

fn emptied(value: &Value) -> Value {
    match value {
        Value::Object(_) => Value::Object(serde_json::Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::String(_) => Value::from(""),
        Value::Number(_) => Value::from(0),
        Value::Bool(set) => Value::from(!set),
        Value::Null => Value::from(0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_part_gets_every_edit() {
        let (own, other) = (br#"{"a":[1,2],"b":"c"}"#, br#"{"a":[3,4],"b":"d"}"#.to_vec());
        let donors = [other];
        let all: Vec<String> = (0..count(Form::Json, own, 1))
            .filter_map(|number| Some(String::from_utf8(part(Form::Json, own, &donors, number)?.0).unwrap()))
            .collect();
        assert_eq!(all.len(), 4 * 6);
        for wanted in [
            r#"{"b":"c"}"#,
            r#"{"a":[1,2],"a":[1,2],"b":"c"}"#,
            r#"{"b":"c","a":[1,2]}"#,
            r#"{"a":[],"b":"c"}"#,
            r#"{"a":[3,4],"b":"c"}"#,
            r#"{"a":[2,1],"b":"c"}"#,
            r#"{"a":[1,2,4],"b":"c"}"#,
            r#"{"a":[1,2],"b":"c","b":"d"}"#,
        ] {
            assert!(all.iter().any(|one| one == wanted), "{wanted} is none of {all:?}");
        }
        let lines = |number| part(Form::Note, b"a\nb\n", &[b"c\nd\n".to_vec()], number).map(|(bytes, _)| String::from_utf8(bytes).unwrap());
        let lines: Vec<String> = (0..12).filter_map(lines).collect();
        assert_eq!(
            lines,
            ["b\n", "a\na\nb\n", "b\na\n", "\nb\n", "c\nb\n", "a\nc\nb\n", "a\n", "a\nb\nb\n", "a\n\n", "a\nd\n", "a\nb\nd\n"]
        );
    }
}
