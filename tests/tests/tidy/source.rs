//! Reads Rust source as far as the rules need it: comments and literals told from code, functions, item names, test parts.
//!
//! Decides: what counts as code. A small lexer, not a parser: macros are read as the tokens they are.
//! Trusts: rustfmt's layout for nothing; braces and quotes alone.
//! Out of scope: the rules (rules.rs). Style rule 15.

/// One file, with everything that is not code blanked out, position by position.
pub(crate) struct Source {
    /// The text as written.
    pub(crate) text: String,
    /// The text without comments and without the contents of literals.
    pub(crate) code: String,
}

/// A function and where it stands.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// First line, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to its closing brace.
    pub(crate) lines: usize,
}

/// A named item and where it stands.
pub(crate) struct Item {
    /// `fn`, `struct`, `mod`, ...
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// Line, from 1.
    pub(crate) line: usize,
}

const KINDS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "macro_rules"];

impl Source {
    /// Reads one file.
    pub(crate) fn new(text: &str) -> Self {
        Source { text: text.to_owned(), code: blank_literals(text) }
    }

    /// The code without what is compiled for tests alone.
    pub(crate) fn shipped(&self) -> String {
        let mut code = self.code.clone().into_bytes();
        for mark in ["#[cfg(test)]", "#[cfg(any(test,"] {
            let mut from = 0;
            while let Some(at) = self.code[from..].find(mark).map(|at| at + from) {
                let end = item_end(self.code.as_bytes(), at + mark.len());
                code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
                from = end;
            }
        }
        String::from_utf8(code).expect("whole items were blanked")
    }

    /// Whether the author gave a reason for an exception, on this line or the one above: `// tidy: reason`.
    pub(crate) fn excused(&self, line: usize) -> bool {
        let lines: Vec<&str> = self.text.lines().collect();
        [line, line.saturating_sub(1)]
            .into_iter()
            .filter_map(|line| lines.get(line.checked_sub(1)?))
            .any(|text| text.split_once("// tidy: ").is_some_and(|(_, reason)| reason.trim().len() > 8))
    }

    /// Every function with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let bytes = self.code.as_bytes();
        let items = self.items();
        let mut found = Vec::new();
        for (at, item) in items.iter().filter(|(_, item)| item.kind == "fn") {
            let Some(open) = body_start(bytes, *at) else { continue };
            let end = closing(bytes, open);
            let lines = 1 + bytes[*at..end].iter().filter(|byte| **byte == b'\n').count();
            found.push(Function { name: item.name.clone(), line: item.line, lines });
        }
        found
    }

    /// Every named item with its offset.
    pub(crate) fn items(&self) -> Vec<(usize, Item)> {
        let words = words(&self.code);
        let mut found = Vec::new();
        for pair in words.windows(2) {
            let [(at, word), (next_at, next)] = pair else { continue };
            let Some(kind) = KINDS.into_iter().find(|kind| kind == word) else { continue };
            let between = self.code[at + word.len()..*next_at].trim();
            let legal = if kind == "macro_rules" { between == "!" } else { between.is_empty() };
            let qualifier = matches!(*next, "fn" | "unsafe" | "extern" | "mut" | "_" | "async");
            if legal && !qualifier {
                let line = 1 + self.code[..*at].bytes().filter(|byte| *byte == b'\n').count();
                found.push((*at, Item { kind, name: (*next).to_owned(), line }));
            }
        }
        found
    }
}

/// Identifiers with their offsets.
fn words(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, letter) in code.char_indices().chain([(code.len(), ' ')]) {
        match (letter.is_alphanumeric() || letter == '_', start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push((from, &code[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// Offset of the `{` that opens a function's body; none for a declaration.
fn body_start(bytes: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' | b'}' if depth <= 0 => return None,
            _ => {}
        }
    }
    None
}

/// Offset after the brace that closes the one at `open`.
fn closing(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    bytes.len()
}

/// Offset after the item that starts at `from`: its body, or its semicolon.
fn item_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' => return closing(bytes, at),
            b';' if depth <= 0 => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// The text with comments and the contents of string and character literals replaced by spaces.
fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => quoted_end(bytes, at + 1),
            b'r' if !after_word(bytes, at) && raw_hashes(bytes, at).is_some() => raw_end(bytes, at),
            b'\'' => char_end(bytes, at),
            _ => at,
        };
        out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole literals were blanked")
}

fn after_word(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| (bytes[before].is_ascii_alphanumeric() && bytes[before] != b'b') || bytes[before] == b'_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len)
}

fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn raw_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn raw_end(bytes: &[u8], at: usize) -> usize {
    let hashes = raw_hashes(bytes, at).unwrap_or(0);
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let from = at + hashes + 2;
    bytes[from..].windows(close.len()).position(|window| window == close).map_or(bytes.len(), |len| from + len + close.len())
}

/// A lifetime is left alone; a character literal ends at its second quote.
fn char_end(bytes: &[u8], at: usize) -> usize {
    match &bytes[at + 1..] {
        [b'\\', _, rest @ ..] => rest.iter().position(|byte| *byte == b'\'').map_or(at, |len| at + len + 4),
        rest => {
            match core::str::from_utf8(&rest[..rest.len().min(5)]).or_else(|error| core::str::from_utf8(&rest[..error.valid_up_to()])) {
                Ok(text) => match text.chars().next() {
                    Some(letter) if text[letter.len_utf8()..].starts_with('\'') => at + 2 + letter.len_utf8(),
                    _ => at,
                },
                Err(_) => at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let text =
            "let a = \"x.unwrap()\"; // y.unwrap()\n/* z.unwrap() /* nested */ */ let b = r#\"q\"unwrap()\"#; let c = '\"'; d.unwrap();";
        let source = Source::new(text);
        assert_eq!(source.code.matches("unwrap").count(), 1, "{}", source.code);
        assert_eq!(source.code.len(), text.len());
    }

    #[test]
    fn lifetimes_and_bytes_do_not_confuse() {
        let source = Source::new("fn f<'a>(x: &'a str) -> u8 { let q = b'\\''; let r = br\"}\"; let s = b\"}\"; q }\nfn g() {}\n");
        let lines: Vec<(String, usize)> = source.functions().into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(lines, [("f".to_owned(), 1), ("g".to_owned(), 1)]);
    }

    #[test]
    fn functions_are_measured_from_name_to_brace() {
        let source =
            Source::new("trait T { fn declared(&self) -> [u8; 2]; }\nfn long(\n  a: fn(u8) -> u8,\n) {\n  if a(1) > 0 {\n  }\n}\n");
        let lines: Vec<(String, usize, usize)> = source.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(lines, [("long".to_owned(), 2, 6)]);
    }

    #[test]
    fn test_parts_are_cut_out() {
        let source = Source::new("fn a() { x() }\n#[cfg(test)]\nmod tests { fn b() { y.unwrap() } }\n#[cfg(test)]\nuse z;\nfn c() {}\n");
        let shipped = source.shipped();
        assert!(shipped.contains("fn a") && shipped.contains("fn c"), "{shipped}");
        assert!(!shipped.contains("unwrap") && !shipped.contains("use z"), "{shipped}");
    }

    #[test]
    fn items_carry_kind_and_line() {
        let source =
            Source::new("pub(crate) struct A;\nconst fn b() {}\nmacro_rules! c { () => {} }\nconst D: u8 = 1;\ntype E = fn(u8);\n");
        let names: Vec<(&str, String, usize)> = source.items().into_iter().map(|(_, item)| (item.kind, item.name, item.line)).collect();
        let wanted = [("struct", "A", 1), ("fn", "b", 2), ("macro_rules", "c", 3), ("const", "D", 4), ("type", "E", 5)];
        assert_eq!(names, wanted.map(|(kind, name, line)| (kind, name.to_owned(), line)));
    }
}
