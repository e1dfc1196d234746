//! The architecture as a test: arrows, `no_std`, budgets, headers, sizes, names, clocks, documents, shipped programs.
//!
//! Decides: whether the tree as it stands keeps the rules the documents state. Each rule lives in `tidy/` with a test that shows it
//! refuse a bad example. Trusts: `git ls-files` for what belongs to the tree (a plain walk where there is no git), `cargo metadata`
//! for the graph. Out of scope: what the compiler and clippy already refuse. CONTRIBUTING.md, "Rules".
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/graph.rs"]
mod graph;
#[path = "tidy/programs.rs"]
mod programs;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/shipped.rs"]
mod shipped;
#[path = "tidy/source.rs"]
mod source;

use source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tree to judge: this one, or the one `RINGWALL_TREE` names.
fn root() -> PathBuf {
    match std::env::var_os("RINGWALL_TREE") {
        Some(tree) => PathBuf::from(tree),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
    }
}

/// Files of the tree, relative to its root: tracked ones and new ones git does not ignore.
fn files() -> BTreeSet<String> {
    let listed = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()
        .filter(|output| output.status.success());
    let found: BTreeSet<String> = match listed {
        Some(output) => String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect(),
        None => walk(&root(), ""),
    };
    let found: BTreeSet<String> = found.into_iter().filter(|path| root().join(path).is_file()).collect();
    assert!(found.contains("Cargo.toml"), "no tree at {}", root().display());
    found
}

fn walk(folder: &Path, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        match entry.file_type().unwrap().is_dir() {
            true if [".git", "target"].contains(&name.as_str()) => {}
            true => found.extend(walk(&entry.path(), &format!("{path}/"))),
            false => drop(found.insert(path)),
        }
    }
    found
}

fn read(path: &str) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(path)).ok()?).ok()
}

/// Every Rust file with its text.
fn sources() -> BTreeMap<String, String> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.filter_map(|path| read(&path).map(|text| (path, text))).collect()
}

fn metadata() -> cargo_metadata::Metadata {
    let mut command = cargo_metadata::MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    command.other_options(["--offline", "--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned));
    command.exec().expect("cargo metadata works offline after a build")
}

#[track_caller]
fn none(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}: {} complaints\n  {}\n", complaints.len(), complaints.join("\n  "));
}

/// Whether a file is compiled for tests alone.
fn for_tests(path: &str, modules: &[String]) -> bool {
    let inside = |module: &String| path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
    rules::in_test_folder(path) || modules.iter().any(inside)
}

/// Modules some file declares for tests alone.
fn test_modules(sources: &BTreeMap<String, String>) -> Vec<String> {
    sources.iter().flat_map(|(path, text)| rules::test_modules(path, text)).collect()
}

#[test]
fn files_keep_the_style() {
    let sources = sources();
    let modules = test_modules(&sources);
    let complaints = sources.iter().flat_map(|(path, text)| rules::complaints(path, text, for_tests(path, &modules)));
    none("style", complaints.collect());
}

#[test]
fn nothing_is_left_over() {
    let complaints = files().iter().filter_map(|path| read(path).map(|text| rules::leftovers(path, &text))).flatten().collect();
    none("leftovers", complaints);
}

#[test]
fn unsafe_code_stands_in_three_files() {
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| !path.starts_with("tests/tests/tidy") && rules::is_unsafe(text))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(found, rules::UNSAFE_PLACES);
    // The crates of these files repeat the workspace's lints; every other crate inherits them.
    let workspace = read("Cargo.toml").unwrap();
    let (_, lints) = workspace.split_once("[workspace.lints.rust]").unwrap();
    let (lints, _) = lints.split_once("[workspace.dependencies]").unwrap();
    let repeated =
        lints.replace("unsafe_code = \"forbid\"", "unsafe_code = \"deny\"").replace("[workspace.lints.clippy]", "[lints.clippy]");
    assert!(lints.contains("unsafe_code = \"forbid\""));
    for (member, _, _) in graph::ARROWS {
        let folder = graph::place(member);
        let manifest = read(&format!("{folder}/Cargo.toml")).unwrap();
        match rules::UNSAFE_PLACES.iter().any(|path| path.starts_with(&format!("{folder}/src/"))) {
            true => assert!(manifest.contains(repeated.trim()), "the lints of {member} differ: {repeated}"),
            false => assert!(manifest.contains("[lints]\nworkspace = true"), "{member} inherits the lints"),
        }
    }
}

#[test]
fn arrows_and_budgets_hold() {
    let metadata = metadata();
    for (member, _, budget) in graph::ARROWS {
        let foreign = graph::reached(&metadata, member).iter().filter(|package| !package.starts_with("ringwall-")).count();
        eprintln!("{member}: {foreign} foreign packages, budget {budget}");
    }
    none("architecture", graph::complaints(&metadata));
}

#[test]
fn pure_crates_are_no_std() {
    let mut complaints = Vec::new();
    for member in graph::PURE {
        let path = format!("{member}/src/lib.rs");
        let text = read(&path).unwrap_or_default();
        complaints.extend(graph::std_complaint(&text).map(|why| format!("{path}: {why}")));
    }
    none("no_std", complaints);
}

/// Files of each shipped crate that read the clock, or the generator.
fn readers(patterns: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sources = sources();
    let modules = test_modules(&sources);
    for (path, text) in sources.iter().filter(|(path, _)| !for_tests(path, &modules)) {
        let member = path.split('/').next().unwrap_or_default().to_owned();
        let source = Source::new(text);
        let lines: Vec<_> = rules::find_all(&source.shipped(), patterns).into_iter().filter(|(line, _)| !source.excused(*line)).collect();
        if !lines.is_empty() && !["sim", "tests"].contains(&member.as_str()) {
            found.entry(member).or_default().push(format!("{path}:{}", lines[0].0));
        }
    }
    found
}

#[test]
fn clock_and_generator_have_one_reader_a_crate() {
    let mut complaints = Vec::new();
    for (what, patterns) in [("clock", rules::CLOCK.as_slice()), ("generator", rules::GENERATOR.as_slice())] {
        for (member, places) in readers(patterns) {
            let most = usize::from(!graph::PURE.contains(&member.as_str()));
            if places.len() > most {
                complaints.push(format!("{member} reads the {what} in {} files, at most {most}: {}", places.len(), places.join(", ")));
            }
        }
    }
    none("time and randomness are arguments", complaints);
}

#[test]
fn documents_name_what_exists() {
    let files = files();
    let tree = documents::Tree { files: &files, read: &read };
    let protocol = read("docs/protocol.md").unwrap_or_default();
    let mut complaints = Vec::new();
    for path in files.iter().filter(|path| path.ends_with(".md")) {
        complaints.extend(read(path).map(|text| documents::complaints(path, &text, &tree)).unwrap_or_default());
    }
    for (path, text) in sources().iter().filter(|(path, _)| !path.starts_with("tests/tests/tidy")) {
        complaints.extend(documents::source_complaints(path, text, &tree));
        complaints.extend(documents::section_complaints(path, text, &protocol));
    }
    none("documents", complaints);
}

#[test]
fn what_pages_promise_is_done_by_tests() {
    let files = files();
    let tree = documents::Tree { files: &files, read: &read };
    let (rows, mut complaints) = promises::losses(&read(promises::LOSSES).unwrap_or_default(), &tree);
    assert!(rows >= 30, "{} has {rows} rows that say what shows them", promises::LOSSES);
    let follower = read(promises::FOLLOWER).unwrap_or_default();
    let pages: Vec<&String> = files.iter().filter(|path| path.starts_with(promises::RUNBOOKS)).collect();
    assert!(pages.len() >= 6, "{pages:?}");
    complaints.extend(pages.into_iter().flat_map(|path| promises::runbook(path, &read(path).unwrap_or_default(), &follower)));
    none("promises", complaints);
}

#[test]
fn every_test_file_is_in_a_program() {
    let files = files();
    let manifests: Vec<&str> = files.iter().filter_map(|path| path.strip_suffix("/Cargo.toml")).collect();
    assert!(manifests.len() > 10, "{manifests:?}");
    let judge = |folder: &&str| programs::complaints(folder, &read(&format!("{folder}/Cargo.toml")).unwrap_or_default(), &files, &read);
    none("test programs", manifests.iter().flat_map(judge).collect());
}

#[test]
fn documents_keep_their_length() {
    let mut complaints = Vec::new();
    for (path, range) in [("README.md", 40..=150), ("ARCHITECTURE.md", 200..=400), ("SECURITY.md", 80..=400)] {
        let lines = read(path).unwrap_or_default().lines().count();
        if !range.contains(&lines) {
            complaints.push(format!("{path} has {lines} lines, wanted {range:?}"));
        }
    }
    none("documents", complaints);
}

#[test]
fn limits_are_documented() {
    let page = read("docs/limits.md").unwrap_or_default();
    let mut missing = Vec::new();
    for path in ["wire/src/limits.rs", "quic/src/limits.rs", "node/src/front/limits.rs", "node/src/endorsements/limits.rs"] {
        let limits = Source::new(&read(path).unwrap_or_else(|| panic!("no {path}")));
        let names: Vec<String> = limits.items().into_iter().filter(|(_, item)| item.kind == "const").map(|(_, item)| item.name).collect();
        assert!(names.len() > 10, "{path} declares its limits as constants");
        missing.extend(names.into_iter().filter(|name| !page.contains(&format!("`{name}`"))).map(|name| format!("{path}: {name}")));
    }
    none("limits that docs/limits.md does not explain", missing);
}

#[test]
fn nothing_simulated_is_shipped() {
    let keys = files().into_iter().filter(|path| path.starts_with("sim/keys/") && path.ends_with(".pk8.der"));
    let mut needles: Vec<_> = keys.filter_map(|path| shipped::needle(&path, &std::fs::read(root().join(&path)).unwrap())).collect();
    assert!(!needles.is_empty(), "no simulated keys found to look for");
    needles.push(shipped::crate_name());
    if let Some(demo) = shipped::built("ringwall-demo") {
        let found = shipped::found(&std::fs::read(&demo).unwrap(), &needles);
        assert!(found.len() >= 2, "the search finds only {found:?} even in {}", demo.display());
    }
    needles.push(shipped::mark());
    for name in shipped::SHIPPED {
        let Some(path) = shipped::built(name) else {
            eprintln!("NOT SEARCHED: {name} is not built beside this test");
            assert!(std::env::var_os("RINGWALL_NEEDS_PROGRAMS").is_none(), "{name} was to be built first");
            continue;
        };
        let found = shipped::found(&std::fs::read(&path).unwrap(), &needles);
        assert!(found.is_empty(), "{} holds {found:?}", path.display());
    }
}
