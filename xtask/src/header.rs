//! `client/ffi/include/ringwall.h`, made of the source: the one place where functions, types and their words are written.
//!
//! Decides: how the few shapes that cross the boundary are spelled in C: functions named `ringwall_*`, enums and structs with `repr`, constants with names for limits. A type it
//! does not know is an error, never a guess. Trusts: rustfmt's layout of the files it reads. Out of scope: what functions do (`client/ffi/src/exports.rs`).
//! A test of `client/ffi` has this file as a module, so a stale header fails where nothing but Rust is installed.

use std::collections::BTreeMap;

/// Where the header lies, from the root of the tree.
pub(crate) const HEADER: &str = "client/ffi/include/ringwall.h";
/// What it is made of, in the order of the header.
pub(crate) const SOURCES: [&str; 7] = [
    "client/ffi/src/frame.rs",
    "client/ffi/src/table.rs",
    "client/ffi/src/driver.rs",
    "client/ffi/src/fault.rs",
    "client/ffi/src/host.rs",
    "client/ffi/src/callbacks.rs",
    "client/ffi/src/exports.rs",
];

/// Columns of a declaration; longer ones have a line for each parameter.
const LINE: usize = 160;

const OPENING: &str = "/* Ringwall for other languages. Made of client/ffi/src by `cargo xtask header --write`; edits are lost.

   How to use it: docs/c-interface.md. What is in frames: docs/core.md.

   Pointers and lengths: bytes that are passed in are read during the call and never kept. An answer is memory of the caller's from then on: ringwall_free(answer, its length) once.
   `answer` and its length are written by every call that got so far; where there is nothing to say they are null and 0. Threads: every function may be called on any thread; two
   calls at the same time on one handle of ringwall_open are RINGWALL_BUSY. No panic leaves the library; memory that runs out ends the process. */

#ifndef RINGWALL_H
#define RINGWALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif
";
const CLOSING: &str = "
#ifdef __cplusplus
}
#endif

#endif
";

/// The header of these sources, or what in them has no spelling in C.
pub(crate) fn made(sources: &[String]) -> Result<String, String> {
    let mut header = OPENING.to_owned();
    for item in sources.iter().flat_map(|source| items(source)) {
        if let Some(text) = spelled(&item)? {
            header.push('\n');
            header.push_str(&comment(&item.words, ""));
            header.push_str(&text);
        }
    }
    header.push_str(CLOSING);
    Ok(header)
}

/// An item with its words and attributes.
struct Item {
    words: Vec<String>,
    attributes: String,
    text: String,
}

/// Public items at the left margin, each with the `///` and `#[...]` before it: functions up to their body, everything else to its end.
fn items(source: &str) -> Vec<Item> {
    let mut found = Vec::new();
    let mut lines = source.lines();
    let (mut words, mut attributes) = (Vec::new(), String::new());
    while let Some(line) = lines.next() {
        if let Some(said) = line.strip_prefix("///") {
            words.push(said.strip_prefix(' ').unwrap_or(said).to_owned());
            continue;
        }
        if line.starts_with("#[") {
            attributes.push_str(line);
            continue;
        }
        if line.starts_with("pub ") {
            let mut text = line.to_owned();
            let is_function = line.contains(" fn ");
            let ends = |line: &str| if is_function { line.ends_with('{') } else { line.ends_with(';') || line == "}" };
            let mut last = line;
            while !ends(last) {
                let Some(next) = lines.next() else { break };
                text.push('\n');
                text.push_str(next);
                last = next;
            }
            found.push(Item { words: std::mem::take(&mut words), attributes: std::mem::take(&mut attributes), text });
        }
        words.clear();
        attributes.clear();
    }
    found
}

/// An item in C; `None` for one that does not cross the boundary.
fn spelled(item: &Item) -> Result<Option<String>, String> {
    let text = item.text.as_str();
    if let Some(constant) = text.strip_prefix("pub const ").filter(|_| !text.contains(" fn ")) {
        return constant_of(constant).map(Some);
    }
    if item.attributes.contains("no_mangle") {
        return function(text).map(Some);
    }
    if item.attributes.contains("#[repr(i32)]") {
        return enumeration(text).map(Some);
    }
    if item.attributes.contains("#[repr(C)]") {
        return structure(text).map(Some);
    }
    Ok(None)
}

fn constant_of(text: &str) -> Result<String, String> {
    let (name, rest) = text.split_once(": ").ok_or_else(|| format!("no type: {text}"))?;
    let (_, value) = rest.split_once(" = ").ok_or_else(|| format!("no value: {text}"))?;
    let value = value.trim_end_matches(';').replace('_', "");
    Ok(format!("#define RINGWALL_{name} ({value})\n"))
}

fn enumeration(text: &str) -> Result<String, String> {
    let name = word_after(text, "enum ").ok_or_else(|| format!("no name: {text}"))?;
    let prefix = if name == "Status" { "RINGWALL".to_owned() } else { format!("RINGWALL_{}", name.to_uppercase()) };
    let mut spelled = format!("enum ringwall_{} {{\n", name.to_lowercase());
    for (words, line) in members(text) {
        let (variant, number) = line.trim_end_matches(',').split_once(" = ").ok_or_else(|| format!("no number: {line}"))?;
        spelled.push_str(&comment(&words, "    "));
        spelled.push_str(&format!("    {prefix}_{} = {number},\n", upper(variant)));
    }
    Ok(spelled + "};\n")
}

fn structure(text: &str) -> Result<String, String> {
    let name = snake(word_after(text, "struct ").ok_or_else(|| format!("no name: {text}"))?);
    let mut spelled = format!("typedef struct {name} {{\n");
    for (words, line) in members(text) {
        let field = line.trim_start_matches("pub ").trim_end_matches(',');
        let (named, kind) = field.split_once(": ").ok_or_else(|| format!("no type: {field}"))?;
        spelled.push_str(&comment(&words, "    "));
        let declared = match kind.trim().strip_prefix("Option<") {
            Some(pointer) => function_pointer(named, pointer.trim_end_matches('>'))?,
            None => declared(kind, named)?,
        };
        spelled.push_str(&format!("    {declared};\n"));
    }
    Ok(format!("{spelled}}} {name};\n"))
}

/// Members of an enum or a struct, each on one line, with their words.
fn members(text: &str) -> Vec<(Vec<String>, String)> {
    let (mut found, mut words, mut member) = (Vec::new(), Vec::new(), String::new());
    for line in text.lines().skip(1).map(str::trim).filter(|line| *line != "}") {
        match line.strip_prefix("///") {
            Some(said) => words.push(said.trim().to_owned()),
            None => {
                member.push_str(line);
                let open = member.matches(['(', '<']).count();
                let closed = member.matches([')', '>']).count() - member.matches("->").count();
                if open == closed && member.ends_with(',') {
                    found.push((std::mem::take(&mut words), std::mem::take(&mut member)));
                } else if !member.ends_with(['(', '<']) {
                    member.push(' ');
                }
            }
        }
    }
    found
}

fn function(text: &str) -> Result<String, String> {
    let (_, rest) = text.split_once(" fn ").ok_or_else(|| format!("no function: {text}"))?;
    let (name, rest) = rest.split_once('(').ok_or_else(|| format!("no parameters: {text}"))?;
    let (parameters, result) = rest.rsplit_once(')').ok_or_else(|| format!("no end of parameters: {text}"))?;
    let (result, parameters) = (declared(result_of(result), name)?, parameters_of(parameters)?);
    let short = format!("{result}({parameters});\n");
    Ok(if short.len() <= LINE { short } else { format!("{result}(\n    {});\n", parameters.replace(", ", ",\n    ")) })
}

fn function_pointer(name: &str, text: &str) -> Result<String, String> {
    let (_, rest) = text.split_once("fn(").ok_or_else(|| format!("no function: {text}"))?;
    let (parameters, result) = rest.rsplit_once(')').ok_or_else(|| format!("no end of parameters: {text}"))?;
    let (result, parameters) = (declared(result_of(result), &format!("(*{name})"))?, parameters_of(parameters)?);
    let short = format!("{result}({parameters})");
    Ok(if short.len() <= LINE { short } else { format!("{result}(\n        {})", parameters.replace(", ", ",\n        ")) })
}

fn result_of(text: &str) -> &str {
    text.trim().trim_end_matches(['{', ',']).trim().strip_prefix("-> ").unwrap_or("()").trim()
}

fn parameters_of(text: &str) -> Result<String, String> {
    let parameters: Vec<&str> = text.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()).collect();
    if parameters.is_empty() {
        return Ok("void".to_owned());
    }
    let spelled = parameters.iter().map(|parameter| {
        let (name, kind) = parameter.split_once(": ").ok_or_else(|| format!("no type: {parameter}"))?;
        declared(kind, name)
    });
    Ok(spelled.collect::<Result<Vec<_>, _>>()?.join(", "))
}

/// A name with its type, as C has it.
fn declared(kind: &str, name: &str) -> Result<String, String> {
    let plain = BTreeMap::from([
        ("()", "void"),
        ("u8", "uint8_t"),
        ("u32", "uint32_t"),
        ("u64", "uint64_t"),
        ("i32", "int32_t"),
        ("i64", "int64_t"),
        ("usize", "size_t"),
        ("c_void", "void"),
        ("c_char", "char"),
        ("RingwallHost", "ringwall_host"),
    ]);
    let (mut inner, mut stars, mut constant) = (kind.trim(), String::new(), "");
    while let Some(rest) = inner.strip_prefix("*mut ").or_else(|| inner.strip_prefix("*const ")) {
        if inner.starts_with("*const ") {
            constant = "const ";
        }
        stars.push('*');
        inner = rest;
    }
    let spelled = plain.get(inner).ok_or_else(|| format!("{kind} has no spelling in C"))?;
    Ok(format!("{constant}{spelled} {stars}{name}"))
}

fn word_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split(|letter: char| !letter.is_alphanumeric()).next()
}

/// `RingwallHost` as `ringwall_host`.
fn snake(name: &str) -> String {
    let mut spelled = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !spelled.is_empty() {
            spelled.push('_');
        }
        spelled.extend(letter.to_lowercase());
    }
    spelled
}

/// `TooLarge` as `TOO_LARGE`; `WebSocket` is one word.
fn upper(name: &str) -> String {
    snake(&name.replace("WebTransport", "Webtransport").replace("WebSocket", "Websocket")).to_uppercase()
}

/// Words as a comment of C. A name of a status or limit in Rust's spelling is left as it is.
fn comment(words: &[String], margin: &str) -> String {
    let lines: Vec<&str> = words.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
    let told = lines.iter().map(|line| if *line == "# Safety" { "The caller promises:" } else { line });
    if lines.is_empty() { String::new() } else { format!("{margin}/* {} */\n", told.collect::<Vec<_>>().join(&format!("\n{margin}   "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_spelled_in_c() {
        let source = "/// Bytes.\npub const SOME_BYTES: usize = 64 * 1_024;\n\
            /// Does.\n///\n/// # Safety\n/// It is.\n#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn ringwall_do(\n    at: *const u8,\n    out: *mut *mut u8,\n) -> i32 {\n    0\n}\n\
            /// One.\n#[unsafe(no_mangle)]\npub extern \"C\" fn ringwall_one() -> *const c_char {\n    x\n}\n\
            /// Kinds.\n#[repr(i32)]\n#[derive(Debug)]\npub enum Over {\n    /// A.\n    WebSocket = 1,\n}\n\
            /// Host.\n#[repr(C)]\npub struct RingwallHost {\n    /// Size.\n    pub size: usize,\n    /// Two\n    /// lines.\n    pub dial: Option<\n        extern \"C\" fn(\n            context: *mut c_void,\n            shown: *mut u8,\n        ) -> i32,\n    >,\n    /// Ends.\n    pub end: Option<extern \"C\" fn(context: *mut c_void)>,\n}\n\
            /// Ours alone.\npub fn other() {}\n";
        let made = made(&[source.to_owned()]).expect("all of it has a spelling");
        for line in [
            "/* Bytes. */\n#define RINGWALL_SOME_BYTES (64 * 1024)",
            "/* Does.\n   The caller promises:\n   It is. */\nint32_t ringwall_do(const uint8_t *at, uint8_t **out);",
            "/* One. */\nconst char *ringwall_one(void);",
            "enum ringwall_over {\n    /* A. */\n    RINGWALL_OVER_WEBSOCKET = 1,\n};",
            "typedef struct ringwall_host {\n    /* Size. */\n    size_t size;\n    /* Two\n       lines. */\n    int32_t (*dial)(void *context, uint8_t *shown);",
            "    void (*end)(void *context);\n} ringwall_host;",
        ] {
            assert!(made.contains(line), "{line}\nis not in\n{made}");
        }
        assert!(!made.contains("other("));
    }

    #[test]
    fn a_type_nobody_knows_is_no_guess() {
        let source = "#[unsafe(no_mangle)]\npub extern \"C\" fn ringwall_x(a: Vec<u8>) -> i32 {\n}\n";
        assert!(made(&[source.to_owned()]).is_err_and(|why| why.contains("Vec<u8>")));
    }
}
