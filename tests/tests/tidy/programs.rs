//! Test programs: every file of a crate's `tests` folder is built into one.
//!
//! Decides: where a crate names its test programs itself, each file there is the root of one, or a module of the one that holds the others; a file in none
//! would be a test nobody runs and nobody misses. Trusts: the manifest and the root as they are written, not what they compile to.

use std::collections::BTreeSet;

/// The root that holds the files without a program of their own.
const TOGETHER: &str = "together.rs";

/// What is wrong with the test programs of the crate in `folder`, whose manifest and tree these are.
pub(crate) fn complaints(folder: &str, manifest: &str, files: &BTreeSet<String>, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    if !manifest.lines().any(|line| line.starts_with("autotests = false")) {
        return Vec::new();
    }
    let tests = format!("{folder}/tests/");
    let named: BTreeSet<&str> = manifest.lines().filter_map(|line| line.strip_prefix("path = \"tests/")?.strip_suffix('"')).collect();
    let together = read(&format!("{tests}{TOGETHER}")).unwrap_or_default();
    let held: BTreeSet<&str> = together.lines().filter_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]")).collect();
    let roots = files.iter().filter_map(|path| path.strip_prefix(&tests)).filter(|name| {
        let depth = name.matches('/').count();
        name.ends_with(".rs") && (depth == 0 || depth == 1 && name.ends_with("/main.rs"))
    });
    roots.filter(|name| !named.contains(name) && !held.contains(name)).map(|name| format!("{tests}{name} is in no test program")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_no_program_is_told() {
        let files: BTreeSet<String> =
            ["a/tests/together.rs", "a/tests/in.rs", "a/tests/apart.rs", "a/tests/out.rs", "a/tests/far/main.rs", "a/tests/far/part.rs"]
                .map(String::from)
                .into();
        let read = |_: &str| Some("#[path = \"in.rs\"]\nmod within;\n".into());
        let manifest = "autotests = false\n[[test]]\npath = \"tests/together.rs\"\n[[test]]\npath = \"tests/apart.rs\"\n";
        let told = complaints("a", manifest, &files, &read);
        assert_eq!(told, ["a/tests/far/main.rs is in no test program", "a/tests/out.rs is in no test program"]);
        assert!(complaints("a", "[package]\n", &files, &read).is_empty(), "the build finds the programs itself");
    }
}
