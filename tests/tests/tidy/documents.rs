//! What the documents promise exists: every path they name, every item they name inside a file, every link.
//!
//! Decides: `` `folder/file.rs` `` and `` `file.rs::name` `` in a Markdown file, a relative link, and `docs/...md` in a source
//! comment all point at something. Trusts: the list of tracked files it is given.
//! Out of scope: whether the words are true. Style rule 15.

use std::collections::BTreeSet;

/// Folders a path in a document can start with; other words with a slash are not paths.
const ROOTS: [&str; 15] =
    ["wire", "attest", "channel", "keys", "quic", "consensus", "node", "client", "sim", "tests", "docs", "deploy", "nix", ".ci", ".config"];

/// What the documents can point at.
pub(crate) struct Tree<'a> {
    /// Tracked files, relative to the root.
    pub(crate) files: &'a BTreeSet<String>,
    /// Reads a tracked file.
    pub(crate) read: &'a dyn Fn(&str) -> Option<String>,
}

impl Tree<'_> {
    fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains(path) || self.files.iter().any(|file| file.starts_with(&folder))
    }
}

/// Everything one Markdown file promises in vain.
pub(crate) fn complaints(path: &str, text: &str, tree: &Tree<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (line, quoted) in quoted_spans(text) {
        found.extend(span_complaint(quoted, tree).map(|why| format!("{path}:{line}: {why}")));
    }
    for (line, target) in links(text) {
        let wanted = resolve(path, target);
        if !tree.has(&wanted) {
            found.push(format!("{path}:{line}: the link to {target} leads nowhere ({wanted})"));
        }
    }
    found
}

/// Documents, and sections of them, that a source file names in its comments.
pub(crate) fn source_complaints(path: &str, text: &str, tree: &Tree<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (start, _) in line.match_indices("docs/") {
            let named: String = line[start..].chars().take_while(|letter| letter.is_alphanumeric() || "/._-".contains(*letter)).collect();
            let named = named.trim_end_matches(['.', '/']);
            let own = !line[..start].chars().next_back().is_some_and(|before| before.is_alphanumeric() || "/._-".contains(before));
            if !own || !named.ends_with(".md") {
                continue;
            }
            let Some(document) = (tree.read)(named).filter(|_| tree.has(named)) else {
                found.push(format!("{path}:{}: names {named}, which does not exist", at + 1));
                continue;
            };
            let section = line[start + named.len()..].strip_prefix(", \"").and_then(|rest| rest.split('"').next());
            if let Some(section) = section.filter(|section| !document.lines().any(|line| line.trim_start_matches('#').trim() == *section)) {
                found.push(format!("{path}:{}: {named} has no section \"{section}\"", at + 1));
            }
        }
    }
    found
}

/// Sections of the protocol a source file names in its comments and the document does not have.
pub(crate) fn section_complaints(path: &str, text: &str, protocol: &str) -> Vec<String> {
    let has = |section: &str| {
        let opening = if section.contains('.') { format!("### {section} ") } else { format!("## {section}. ") };
        protocol.lines().any(|line| line.starts_with(&opening))
    };
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//")) {
        for part in line.split("rotocol section").skip(1) {
            let missing = numbers(part.trim_start_matches('s')).into_iter().filter(|section| !has(section));
            found.extend(missing.map(|section| format!("{path}:{}: docs/protocol.md has no section {section}", at + 1)));
        }
        for notes in ["platform notes", "assurance notes", "design notes"].into_iter().filter(|notes| line.contains(notes)) {
            found.push(format!("{path}:{}: names {notes}, which are not in this tree", at + 1));
        }
    }
    found
}

/// `" 2.1 and 4, IN7"` as `["2.1", "4"]`: numbers joined by commas, "and" and "to", up to the first other word.
fn numbers(text: &str) -> Vec<String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let list = words.take_while(|word| word.starts_with(|letter: char| letter.is_ascii_digit()) || ["and", "to"].contains(word));
    let numbers = list.map(|word| word.trim_end_matches(|letter: char| !letter.is_ascii_digit()).to_owned());
    numbers.filter(|number| !number.is_empty() && number.chars().all(|letter| letter.is_ascii_digit() || letter == '.')).collect()
}

/// Why a quoted span points at nothing; none when it is no path or all is well.
fn span_complaint(quoted: &str, tree: &Tree<'_>) -> Option<String> {
    let (file, item) = quoted.split_once("::").map_or((quoted, None), |(file, item)| (file, Some(item)));
    if !is_path(file) {
        return None;
    }
    if !tree.has(file) {
        return Some(format!("`{file}` does not exist"));
    }
    let name = item?.trim_end_matches("()");
    let text = (tree.read)(file)?;
    let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];
    let declared =
        kinds.iter().any(|kind| text.match_indices(&format!("{kind} {name}")).any(|(at, hit)| ends_word(&text[at + hit.len()..])));
    (!declared).then(|| format!("`{file}` declares no {name}"))
}

fn ends_word(rest: &str) -> bool {
    !rest.chars().next().is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

fn is_path(word: &str) -> bool {
    let legal = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
    let first = word.split('/').next().unwrap_or_default();
    let inside = word.contains('/') && ROOTS.contains(&first);
    let at_root = !word.contains('/')
        && word.starts_with(|letter: char| letter.is_ascii_uppercase())
        && [".md", ".toml", ".lock"].iter().any(|end| word.ends_with(end));
    legal && (inside || at_root)
}

/// Spans between single backquotes with their lines, outside fenced blocks.
fn quoted_spans(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (at + 1, span)));
        }
    }
    found
}

/// Relative link targets with their lines, without fragments.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for part in line.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                found.push((at + 1, target));
            }
        }
    }
    found
}

/// `../SECURITY.md` seen from `docs/limits.md` is `SECURITY.md`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(path: &str, text: &str) -> Vec<String> {
        let files: BTreeSet<String> = ["README.md", "docs/limits.md", "wire/src/codec.rs"].map(str::to_owned).into();
        let read = |path: &str| (path == "wire/src/codec.rs").then(|| "pub fn enc(label: u8) {}\nstruct Reader;".to_owned());
        complaints(path, text, &Tree { files: &files, read: &read })
    }

    #[test]
    fn paths_that_exist_pass() {
        let good = "see `wire/src/codec.rs`, `wire/src/codec.rs::enc`, `wire/src`, `README.md`, [limits](docs/limits.md#a), `a/b`, [x](https://x.org/y)\n```\n`wire/src/none.rs`\n```\n";
        assert_eq!(found_in("README.md", good), Vec::<String>::new());
        assert_eq!(found_in("docs/limits.md", "[up](../README.md) and [beside](limits.md)"), Vec::<String>::new());
    }

    #[test]
    fn missing_paths_bite() {
        for bad in [
            "`wire/src/none.rs`",
            "`NONE.md`",
            "[gone](docs/none.md)",
            "`wire/src/codec.rs::en`",
            "`wire/src/codec.rs::Read`",
            "`.ci/none`",
        ] {
            assert_eq!(found_in("README.md", bad).len(), 1, "{bad}");
        }
        assert_eq!(found_in("docs/limits.md", "[wrong](README.md)").len(), 1);
    }

    #[test]
    fn sections_that_do_not_exist_bite() {
        let protocol = "## 4. Voting\n### 5.1 Durability\n";
        for good in
            ["//! Protocol sections 4 and 5.1.", "// protocol section 4, IN7; x", "//! Protocol section 4.", "let protocol section 9"]
        {
            assert_eq!(section_complaints("a.rs", good, protocol), Vec::<String>::new(), "{good}");
        }
        for bad in
            ["//! Protocol section 5.2.", "//! Protocol sections 4 and 7.", "// protocol section 1, IN7", "//! See platform notes 2b."]
        {
            assert_eq!(section_complaints("a.rs", bad, protocol).len(), 1, "{bad}");
        }
    }

    #[test]
    fn documents_named_in_sources_bite() {
        let files: BTreeSet<String> = ["docs/limits.md".to_owned()].into();
        let tree = Tree { files: &files, read: &|_| Some("# Limits\n\n## State\n".to_owned()) };
        assert_eq!(source_complaints("a.rs", "//! See docs/limits.md.\n//! See docs/none.md.\n", &tree).len(), 1);
        assert!(source_complaints("a.rs", "//! Layout: docs/limits.md, \"State\".", &tree).is_empty());
        assert_eq!(source_complaints("a.rs", "//! Layout: docs/limits.md, \"Stat\".", &tree).len(), 1);
        assert!(source_complaints("a.rs", "// https://x.org/docs/none.md", &tree).is_empty());
    }
}
