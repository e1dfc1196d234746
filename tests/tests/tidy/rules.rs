//! The rules one file can break: header, sizes, names, `unwrap`, clocks, generators, derivations, leftovers, machine paths.
//!
//! Decides: what is refused; every rule is a function from a path and its text to complaints, and is shown to bite below.
//! Trusts: source.rs to tell code from comments. An exception is a comment `// tidy: reason` on the line or above it.
//! Out of scope: what needs the whole workspace (graph.rs, documents.rs). Style rules 2, 8, 9, 10, 12, 13.

use super::source::Source;

/// Lines of `//!` a file opens with, at most.
const HEADER_LINES: usize = 15;
/// The same for the root of a crate, which is its manual.
const MANUAL_LINES: usize = 60;
/// Lines a file may have; one idea a file.
const FILE_LINES: usize = 500;
/// Lines no file has, whatever its excuse.
const FILE_LINES_HARD: usize = 800;
/// Lines a function may have: a screen.
const FUNCTION_LINES: usize = 70;
/// Words no name contains, with what to write instead.
const BANNED: [(&str, &str); 9] = [
    ("validate", "verify (signatures) or appraise (policy)"),
    ("check", "verify or appraise"),
    ("util", "the name of the idea"),
    ("utils", "the name of the idea"),
    ("helper", "the name of the idea"),
    ("helpers", "the name of the idea"),
    ("common", "the name of the idea"),
    ("misc", "the name of the idea"),
    ("manager", "the name of what it does"),
];
/// Words that are no name on their own.
const BANNED_ALONE: [&str; 3] = ["data", "info", "state"];
/// Terms of others that hold a banned word, spelled as they spell them.
const FOREIGN: [&str; 2] = ["common_name", "alias_check"];
/// What reads a clock.
pub(crate) const CLOCK: [&str; 2] = ["SystemTime::now", "Instant::now"];
/// What reads the operating system's generator.
pub(crate) const GENERATOR: [&str; 4] = ["getrandom::", "SysRng", "OsRng", "thread_rng"];
/// openraft's ways to a read that a clock vouches for. No lint of clippy names a variant of an enum, so this does.
const LEASES: [&str; 3] = ["LeaseRead", "LinearizerOption", "ensure_linearizable"];
/// The files with `unsafe` in them, one in each of three crates: the boundary to C; names of a module's exports; an ioctl the kernel offers no other way.
pub(crate) const UNSAFE_PLACES: [&str; 3] = ["client/ffi/src/exports.rs", "client/web/src/door.rs", "node/src/platform/sev_guest.rs"];

/// Everything wrong with one Rust file; `for_tests` when it is compiled for tests alone.
pub(crate) fn complaints(path: &str, text: &str, for_tests: bool) -> Vec<String> {
    if is_refused_program(path) {
        return Vec::new();
    }
    let source = Source::new(text);
    let mut found = Vec::new();
    found.extend(header(path, text));
    found.extend(size(text));
    found.extend(functions(&source));
    found.extend(names(path, &source, for_tests));
    found.extend(leases(&source));
    if !for_tests {
        found.extend(unwraps(&source));
    }
    if !for_tests && !may_derive(path) {
        found.extend(derivations(&source));
    }
    found.into_iter().map(|complaint| format!("{path}{complaint}")).collect()
}

/// Whether a file stands where cargo keeps tests.
pub(crate) fn in_test_folder(path: &str) -> bool {
    path.split('/').any(|part| ["tests", "benches"].contains(&part)) && !path.contains("/src/") || path.starts_with("tests/")
}

/// Paths (without their ending) of the modules a file declares for tests alone: `#[cfg(test)] mod name;`.
pub(crate) fn test_modules(path: &str, text: &str) -> Vec<String> {
    let code = Source::new(text).code;
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let base = if ["lib", "main", "mod"].contains(&stem) { folder.to_owned() } else { format!("{folder}/{stem}") };
    let declared = code.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().trim_start_matches("pub(crate) ").strip_prefix("mod ")?;
        let (name, end) = rest.split_at(rest.find([';', '{'])?);
        end.starts_with(';').then(|| format!("{base}/{}", name.trim()))
    });
    declared.collect()
}

/// Whether a file is a program that must not compile: the compiler's words about it are compared line by line.
fn is_refused_program(path: &str) -> bool {
    path.contains("/tests/ui/")
}

/// Derivation with HKDF happens in the key hierarchy's one file, in the channel (psk and stream keys), and in simulated hardware.
fn may_derive(path: &str) -> bool {
    const PLACES: [&str; 3] = ["keys/src/derive.rs", "channel/src/schedule.rs", "sim/src/"];
    PLACES.iter().any(|place| path.starts_with(place))
}

fn header(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().take_while(|line| line.starts_with("//!")).count();
    let most = if path.ends_with("src/lib.rs") { MANUAL_LINES } else { HEADER_LINES };
    (!(3..=most).contains(&lines)).then(|| format!(":1: opens with {lines} lines of `//!`, wanted 3 to {most}"))
}

fn size(text: &str) -> Option<String> {
    let lines = text.lines().count();
    if lines > FILE_LINES_HARD {
        return Some(format!(": {lines} lines, never more than {FILE_LINES_HARD}"));
    }
    (lines > FILE_LINES).then(|| format!(": {lines} lines, at most {FILE_LINES}: split it by idea"))
}

fn functions(source: &Source) -> Vec<String> {
    let long = source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES && !source.excused(function.line));
    long.map(|function| format!(":{}: fn {} has {} lines, at most {FUNCTION_LINES}", function.line, function.name, function.lines))
        .collect()
}

fn names(path: &str, source: &Source, for_tests: bool) -> Vec<String> {
    let file = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    let mut found: Vec<String> = name_complaint("file", file).map(|why| format!(": {why}")).into_iter().collect();
    // The functions of a test are named with sentences.
    let shipped = Source { text: source.text.clone(), code: source.shipped() };
    for (_, item) in shipped.items().into_iter().filter(|_| !for_tests) {
        if let Some(why) = name_complaint(item.kind, &item.name).filter(|_| !source.excused(item.line)) {
            found.push(format!(":{}: {why}", item.line));
        }
    }
    found
}

/// Why a name is not allowed.
fn name_complaint(kind: &str, name: &str) -> Option<String> {
    let foreign = FOREIGN.iter().fold(split_words(name).join("_"), |name, term| name.replace(term, "term"));
    let words = split_words(&foreign);
    for (banned, instead) in BANNED {
        if words.iter().any(|word| word == banned) {
            return Some(format!("{kind} {name}: `{banned}` is banned in names; write {instead}"));
        }
    }
    if let [only] = words.as_slice()
        && BANNED_ALONE.contains(&only.as_str())
    {
        return Some(format!("{kind} {name}: `{only}` alone says nothing"));
    }
    if words.iter().any(|word| word == "v2") {
        return Some(format!("{kind} {name}: the second version of what? name the difference"));
    }
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let numbered = matches!(kind, "mod" | "file") && name.len() - stem.len() == 1;
    numbered.then(|| format!("{kind} {name}: a numbered module; name the idea"))
}

/// `read_index`, `ReadIndex` and `READ_INDEX` as `["read", "index"]`.
fn split_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_lower = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && previous_lower) {
            words.push(String::new());
        }
        previous_lower = letter.is_lowercase() || letter.is_ascii_digit();
        if letter != '_' {
            words.last_mut().expect("starts with one word").extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn unwraps(source: &Source) -> Vec<String> {
    find_all(&source.shipped(), &[".unwrap()", ".unwrap_err()"])
        .into_iter()
        .filter(|(line, _)| !source.excused(*line))
        .map(|(line, what)| format!(":{line}: `{what}` outside tests; `expect` states the invariant"))
        .collect()
}

fn derivations(source: &Source) -> Vec<String> {
    find_all(&source.shipped(), &["hkdf::", "Hkdf::", "Hkdf<", "HkdfExtract"])
        .into_iter()
        .filter(|(line, _)| !source.excused(*line))
        .map(|(line, what)| format!(":{line}: `{what}` outside the label tables"))
        .collect()
}

fn leases(source: &Source) -> Vec<String> {
    find_all(&source.code, &LEASES)
        .into_iter()
        .filter(|(line, _)| !source.excused(*line))
        .map(|(line, what)| format!(":{line}: `{what}`: reads wait for a quorum, never for a clock (protocol 4.5)"))
        .collect()
}

/// Lines (from 1) on which one of the patterns stands.
pub(crate) fn find_all<'a>(code: &str, patterns: &[&'a str]) -> Vec<(usize, &'a str)> {
    let lines = code.lines().enumerate();
    lines
        .flat_map(|(at, line)| patterns.iter().filter(move |pattern| line.contains(**pattern)).map(move |pattern| (at + 1, *pattern)))
        .collect()
}

/// Whether a file's code speaks of `unsafe`, in a block, a function or a lint.
pub(crate) fn is_unsafe(text: &str) -> bool {
    Source::new(text).code.contains("unsafe")
}

/// What no tracked file of any kind holds: unfinished work and paths of one machine.
pub(crate) fn leftovers(path: &str, text: &str) -> Vec<String> {
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("unimple", "mented!"), concat!("to", "do!(")];
    let machine = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/"), concat!("/ho", "me/")];
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|_| !is_refused_program(path)) {
        for word in unfinished.iter().filter(|word| stands_alone(line, word)) {
            found.push(format!("{path}:{}: unfinished work ({word})", at + 1));
        }
        for start in machine.iter().filter(|start| starts_path(line, start)) {
            found.push(format!("{path}:{}: a path of one machine ({start})", at + 1));
        }
    }
    found
}

fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && (!word.ends_with(char::is_alphanumeric) || !after.is_some_and(char::is_alphanumeric))
    })
}

fn starts_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-}>)/".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "//! One.\n//! Two.\n//! Three.\n";

    fn complaints_of(body: &str) -> Vec<String> {
        complaints("node/src/sample.rs", &format!("{HEADER}{body}"), false)
    }

    #[track_caller]
    fn bites(body: &str, wanted: &str) {
        let found = complaints_of(body);
        assert!(found.iter().any(|complaint| complaint.contains(wanted)), "{body}: {found:?}");
    }

    #[test]
    fn a_good_file_passes() {
        let body = "/// Checks nothing.\nfn appraise_state(x: u8) -> u8 { x.checked_add(1).expect(\"small\") } // .unwrap()\n";
        assert_eq!(complaints_of(body), Vec::<String>::new());
    }

    #[test]
    fn headers_bite() {
        assert!(complaints("a.rs", "fn a() {}\n", false)[0].contains("0 lines of `//!`"));
        assert!(complaints("a.rs", "//! One.\n//! Two.\nfn a() {}\n", false)[0].contains("2 lines of `//!`"));
        assert!(complaints("a.rs", &"//! Line.\n".repeat(16), false)[0].contains("16 lines of `//!`"));
    }

    #[test]
    fn sizes_bite() {
        bites(&"// line\n".repeat(498), "501 lines, at most 500");
        bites(&"// line\n".repeat(798), "801 lines, never more");
        bites(&format!("fn long() {{\n{}}}\n", "    x();\n".repeat(69)), "fn long has 71 lines");
        assert_eq!(complaints_of(&format!("fn fits() {{\n{}}}\n", "    x();\n".repeat(68))), Vec::<String>::new());
        let excused = format!("// tidy: a table, clearer in one piece\nfn long() {{\n{}}}\n", "    x();\n".repeat(69));
        assert_eq!(complaints_of(&excused), Vec::<String>::new());
    }

    #[test]
    fn names_bite() {
        bites("fn validate_quote() {}", "`validate` is banned");
        bites("struct KeyManager;", "`manager` is banned");
        bites("mod helpers { }", "`helpers` is banned");
        bites("const CHECK_EVERY: u8 = 1;", "`check` is banned");
        bites("struct State;", "`state` alone");
        bites("type Data = u8;", "`data` alone");
        bites("fn append_v2() {}", "the second version");
        bites("mod part2 {}", "a numbered module");
        assert!(complaints("node/src/common.rs", HEADER, false)[0].contains("`common` is banned"));
        for good in [
            "fn checked_add() {}",
            "struct NodeState;",
            "mod ed25519 {}",
            "fn uncommon() {}",
            "const ALIAS_CHECK_COMPLETE: u8 = 0;",
            "struct LogState;",
        ] {
            assert_eq!(complaints_of(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn unwraps_bite_outside_tests_only() {
        bites("fn a() { x.unwrap(); }", "`.unwrap()` outside tests");
        assert_eq!(complaints_of("#[cfg(test)]\nmod tests {\n    fn a() { x.unwrap(); }\n}\n"), Vec::<String>::new());
        assert_eq!(complaints("node/tests/a.rs", &format!("{HEADER}fn a() {{ x.unwrap(); }}\n"), true), Vec::<String>::new());
    }

    #[test]
    fn test_modules_are_found_where_they_are_declared() {
        let text = "#[cfg(test)]\nmod failover;\nmod shipped;\n#[cfg(test)]\nmod inline { fn a() {} }\n// #[cfg(test)] mod no;\n";
        assert_eq!(test_modules("client/src/lib.rs", text), ["client/src/failover"]);
        assert_eq!(test_modules("channel/src/noise.rs", "#[cfg(test)]\nmod tests;"), ["channel/src/noise/tests"]);
        assert!(in_test_folder("node/tests/config.rs") && in_test_folder("tests/src/lib.rs"));
        assert!(!in_test_folder("node/src/tests/a.rs"), "a folder of this name inside src is shipped unless it is declared for tests");
    }

    #[test]
    fn derivations_bite_outside_their_places() {
        bites("use hkdf::Hkdf;", "outside the label tables");
        bites("fn a() { Hkdf::<Sha256>::new(None, b\"\"); }", "outside the label tables");
        assert_eq!(complaints("keys/src/derive.rs", &format!("{HEADER}use hkdf::Hkdf;\n"), false), Vec::<String>::new());
    }

    #[test]
    fn leases_bite_in_tests_too() {
        bites("fn a() { raft.get_read_log_id(ReadPolicy::LeaseRead); }", "never for a clock");
        assert!(!complaints("tests/tests/a.rs", &format!("{HEADER}use openraft::raft::LinearizerOption;\n"), true).is_empty());
        assert_eq!(complaints_of("fn a() { raft.get_read_log_id(ReadPolicy::ReadIndex); } // not LeaseRead\n"), Vec::<String>::new());
    }

    #[test]
    fn unsafe_is_found_in_code_alone() {
        assert!(
            is_unsafe("fn a() { unsafe { b() } }") && is_unsafe("#[allow(unsafe_code)] fn a() {}") && is_unsafe("unsafe impl A for B {}")
        );
        assert!(!is_unsafe("// unsafe\nfn a() { let b = \"unsafe\"; }"));
    }

    #[test]
    fn leftovers_bite() {
        for bad in
            [concat!("// TO", "DO: later"), concat!("a FIX", "ME here"), concat!("fn a() { to", "do!() }"), concat!("unimple", "mented!()")]
        {
            assert_eq!(leftovers("a.rs", bad).len(), 1, "{bad}");
        }
        for bad in [concat!("see /wo", "rk/main"), concat!("\"/tm", "p/x\""), concat!("=/ro", "ot/.cargo"), concat!("/ho", "me/me/x")] {
            assert_eq!(leftovers("a.md", bad).len(), 1, "{bad}");
        }
        for good in ["target/tmp/x", "attest/root/a.der", "${TMPDIR}/x", "mastodon", "/var/lib/ringwall", "https://x.org/home/y"] {
            assert_eq!(leftovers("a.md", good), Vec::<String>::new(), "{good}");
        }
    }
}
