//! `cargo xtask CHORE`: the chores of the tree that are scripts, under one name.
//!
//! Decides: which script a chore is; one, `header`, is not a script, as a test has it, too. Trusts: the scripts, and `python3`. Out of scope: what they do (each says so itself;
//! `--help` is handed on).

mod header;

use std::path::Path;
use std::process::{Command, ExitCode};

/// Chores: the word, its script and the script's first arguments, what it does.
const CHORES: [(&str, &str, &[&str], &str); 7] = [
    ("repro", ".ci/repro.py", &[], "builds the shipped programs twice and compares them bit for bit; --write records it"),
    ("sbom", ".ci/sbom.py", &[], "bill of materials and licences of the shipped programs: --check, --write, --texts FILE"),
    ("image", "deploy/image/build.py", &[], "makes the guest image; --help names what it needs"),
    ("image-test", "deploy/image/test.py", &[], "makes the guest image twice, boots it in an emulator, uses and attacks it"),
    (
        "wasm",
        ".ci/wasm.py",
        &[],
        "judges published evidence natively, under node and in a browser, and compares: target, tree, module, all",
    ),
    ("web", ".ci/web.py", &[], "uses the page of `cargo demo --web` in a headless browser: list, prove, or names of scenarios"),
    ("flake", "nix/evaluate.py", &[], "evaluates flake.nix against a stub of its inputs"),
];

#[expect(clippy::print_stderr, reason = "a command line that is wrong")]
fn explain() -> ExitCode {
    for (chore, script, _, does) in CHORES {
        eprintln!("cargo xtask {chore:<11} {does} ({script})");
    }
    eprintln!("cargo xtask {:<11} the header of the C interface, made of its source: --check, --write ({})", "header", header::HEADER);
    ExitCode::from(2)
}

/// Compares the header with what the source makes, or writes it.
#[expect(clippy::print_stderr, reason = "a header that is stale, or cannot be made")]
fn header(root: &Path, writes: bool) -> ExitCode {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).map_err(|fault| format!("{path}: {fault}"));
    let made = header::SOURCES.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>().and_then(|sources| header::made(&sources));
    let done = made.and_then(|made| match writes {
        true => std::fs::write(root.join(header::HEADER), made).map_err(|fault| format!("{}: {fault}", header::HEADER)),
        false if read(header::HEADER)? == made => Ok(()),
        false => Err(format!("{} is not what its source makes: cargo xtask header --write", header::HEADER)),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a chore that could not be started")]
fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(wanted) = arguments.next() else { return explain() };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if wanted == "header" {
        let how = arguments.next().filter(|how| ["--check", "--write"].iter().any(|known| how == known));
        return how.map_or_else(explain, |how| header(&root, how == "--write"));
    }
    let Some((_, script, first, _)) = CHORES.iter().find(|(chore, ..)| wanted == **chore) else { return explain() };
    let status = Command::new("python3").arg(root.join(script)).args(*first).args(arguments).status();
    match status.map(|status| status.code().map(u8::try_from)) {
        Ok(Some(Ok(code))) => ExitCode::from(code),
        Ok(_) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("python3 cannot be started: {fault}; install Python 3.11 or newer");
            ExitCode::FAILURE
        }
    }
}
