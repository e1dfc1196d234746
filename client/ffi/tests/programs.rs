//! C programs against the header and the shared library, as a C program has them; with `RINGWALL_MEMORY` set, under a memory checker.
//!
//! Decides: that the header is C (and C++) without a warning, that the library answers every mistake with its status, that nothing is leaked or overrun, and that the checker
//! would notice. Trusts: `cc`, which building the workspace needs anyway; valgrind, where it is asked for. Out of scope: sessions (`tests/tests/languages.rs`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the memory checker ends with when it found something.
const FOUND: i32 = 99;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The shared library that was built with this test: it lies beside it.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.with_file_name("libringwall_ffi.so");
    assert!(library.is_file(), "{} is not built", library.display());
    library
}

fn compiler(program: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-pthread"]).args(flags).arg("-I").arg(here("include"));
    command
}

/// A program of this source over the library.
fn built(source: &str, folder: &Path) -> PathBuf {
    let program = folder.join(Path::new(source).file_stem().unwrap());
    let made =
        compiler("cc", &["-std=c11", "-D_DEFAULT_SOURCE"]).arg(here(source)).arg(library()).arg("-o").arg(&program).output().unwrap();
    assert!(made.status.success(), "{source}: {}", String::from_utf8_lossy(&made.stderr));
    program
}

fn in_memory_checker(program: &Path, words: &[&str]) -> Output {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,possible", "--fair-sched=yes"]);
    command.arg(format!("--suppressions={}", here("tests/c/memory.supp").display()));
    command.arg(format!("--error-exitcode={FOUND}")).arg(program).args(words);
    command.output().expect("valgrind can be started (Debian: apt-get install valgrind)")
}

/// Runs it, under the memory checker where that is asked for.
fn run(program: &Path, words: &[&str]) -> (Option<i32>, String) {
    let ended = match std::env::var_os("RINGWALL_MEMORY") {
        Some(_) => in_memory_checker(program, words),
        None => Command::new(program).args(words).output().unwrap(),
    };
    (ended.status.code(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
}

#[test]
fn the_header_is_c_and_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "#include \"ringwall.h\"\n#include \"ringwall.h\"\nint main(void) { return 0; }\n").unwrap();
    for (program, flags) in [("cc", ["-std=c99", "-xc"]), ("c++", ["-std=c++11", "-xc++"])] {
        let mut command = compiler(program, &flags);
        let Ok(made) = command.arg("-c").arg(&source).arg("-o").arg(folder.path().join("empty.o")).output() else {
            assert!(program != "cc", "a C compiler is missing");
            eprintln!("NOT COMPILED as C++: no c++ here");
            continue;
        };
        assert!(made.status.success(), "{program}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

#[test]
fn every_mistake_at_the_boundary_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = run(&built("tests/c/boundary.c", folder.path()), &[]);
    assert!(code == Some(0) && said.contains("every mistake was told"), "{code:?} {said}");
}

#[test]
fn the_example_says_what_it_cannot_judge() {
    let folder = tempfile::tempdir().unwrap();
    let verify = built("examples/c/verify.c", folder.path());
    let path = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let card = path("card", format!("ringwall:{}", "1".repeat(64)).as_bytes());
    let (garbage, empty) = (path("garbage", &[0xa5; 100_000]), path("empty", b""));
    let (code, said) = run(&verify, &[&card, &garbage]);
    assert!(code == Some(2) && said.contains("RW-C-CALL-REFUSED") && said.contains("\"is\":\"card\""), "{code:?} {said}");
    for words in [&[&*garbage, &*card][..], &[&empty, &empty], &[&card, &empty], &[&card, "nowhere"], &[]] {
        let (code, said) = run(&verify, words);
        assert_eq!(code, Some(2), "{words:?} {said}");
    }
}

#[test]
#[ignore = "needs valgrind: .ci/run memory"]
fn the_memory_checker_notices() {
    let folder = tempfile::tempdir().unwrap();
    let careless = built("tests/c/careless.c", folder.path());
    for (words, found) in [("leak", "definitely lost"), ("overrun", "Invalid read"), ("late", "Invalid read"), ("not", "")] {
        let ended = in_memory_checker(&careless, &[words]);
        let said = String::from_utf8_lossy(&ended.stderr);
        let wanted = if found.is_empty() { 0 } else { FOUND };
        assert!(ended.status.code() == Some(wanted) && said.contains(found), "{words}: {said}");
    }
}
