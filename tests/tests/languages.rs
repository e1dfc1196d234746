//! Other languages against a cluster of three: the Python examples and the C example, over the library with simulated roots, by WebSocket.
//!
//! Decides: that notes are written, read, listed and watched; that what was learned is kept, refused when it was altered, and held by one process; that a saved exchange is
//! judged without a network, and that the shipped library believes none of it. Trusts: the simulated roots; `python3` and `cc`. Out of scope: what only C can do wrong
//! (`client/ffi/tests/programs.rs`), sessions as such.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use super::three;

use ringwall_client::Client;
use ringwall_sim::cluster::{LocalCluster, LocalOptions, Machine};
use ringwall_tests::local;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was built beside this test: the library with simulated roots, and the shipped one.
const SIMULATED: &str = "examples/libringwall_simulated.so";
const SHIPPED: &str = "deps/libringwall_ffi.so";

/// A library beside this test's program; told loudly where it is not built, and in CI a failure.
fn library(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let library = test.parent().and_then(Path::parent).unwrap().join(name);
    let python = Command::new("python3").arg("--version").output().is_ok();
    if library.is_file() && python {
        return Some(library);
    }
    eprintln!("NOT TESTED: {} is not built, or python3 is missing: cargo test --workspace builds it", library.display());
    let needed = ["CI", "RINGWALL_NEEDS_PROGRAMS"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!needed, "{} and python3 are needed", library.display());
    None
}

/// A cluster that lets pages in, and a user's folder.
struct Town {
    cluster: LocalCluster,
    folder: tempfile::TempDir,
    library: PathBuf,
    _user: Client,
}

/// How a program ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Town {
    async fn start(library: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machines = ["genoa-1", "turin-1", "tdx-1"].map(Machine::honest);
        let options = LocalOptions { web: true, ..LocalOptions::default() };
        let cluster =
            LocalCluster::start_with(folder.path(), three::launch(), &machines, options).unwrap_or_else(|error| panic!("{error}"));
        let user = local::client(&cluster).await;
        local::voters(&user, &cluster, 3).await;
        Town { cluster, folder, library, _user: user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn python(&self, program: &str, library: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("python3");
        command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/ffi/examples/python").join(program));
        command.arg("--library").arg(library).arg("--card").arg(self.cluster.card_path()).arg("--folder").arg(self.path("python"));
        command.args(words);
        command
    }

    fn ends(mut command: Command) -> Ended {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Types `notes.py LINE`; what it prints.
    #[track_caller]
    fn notes(&self, words: &[&str]) -> String {
        let ended = Self::ends(self.python("notes.py", &self.library, words));
        assert_eq!(ended.code, Some(0), "{words:?}: {}{}\n{}", ended.out, ended.err, local::logs(&self.cluster));
        ended.out
    }

    #[track_caller]
    fn fails(&self, words: &[&str], code: &str) {
        let ended = Self::ends(self.python("notes.py", &self.library, words));
        assert!(ended.code == Some(1) && ended.err.contains(code), "{words:?}: {}{}", ended.out, ended.err);
    }

    /// The C example over this library, in a folder of the test.
    fn verifier(&self, library: &Path) -> PathBuf {
        let (ffi, program) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/ffi"), self.path("verify"));
        let mut command = Command::new("cc");
        command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"]).arg(ffi.join("include")).arg(ffi.join("examples/c/verify.c"));
        let ended = Self::ends({
            command.arg(library).arg("-o").arg(&program);
            command
        });
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        program
    }

    fn verifies(&self, library: &Path, exchange: &Path) -> Ended {
        let mut command = Command::new(self.verifier(library));
        command.arg(self.cluster.card_path()).arg(exchange);
        Self::ends(command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_kept_from_python() {
    let (Some(library), Some(shipped)) = (library(SIMULATED), library(SHIPPED)) else { return };
    let town = Town::start(library.clone()).await;
    assert_eq!(town.notes(&["list"]), "");
    town.notes(&["put", "one", "the first note"]);
    town.notes(&["put", "two", "z\u{fc}rich"]);
    assert_eq!(town.notes(&["get", "two"]), "z\u{fc}rich\n");
    assert_eq!(town.notes(&["list"]), "one: the first note\ntwo: z\u{fc}rich\n");
    town.fails(&["get", "nothing"], "there is no note nothing");

    // One process holds a memory at a time. A second one of the same device, with a memory of its own, writes what the first one watches.
    let mut watch = town.python("notes.py", &library, &["watch", "--count", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(told.next().unwrap().unwrap(), "2 notes");
    town.fails(&["list"], "RW-C-MEMORY-HELD");
    let other = town.path("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(town.path("python/device.seed"), other.join("device.seed")).unwrap();
    town.notes(&["--folder", other.to_str().unwrap(), "put", "three", "seen"]);
    assert_eq!(told.next().unwrap().unwrap(), "three: seen");
    assert!(watch.wait().unwrap().success());

    judged_without_a_network(&town, &library, &shipped);

    // What was learned is not lost silently: a memory that was altered is refused, and a process that begins anew is a fresh start only where the file is gone.
    let memory = town.path("python/memory");
    let mut kept = std::fs::read(&memory).unwrap();
    let middle = kept.len() / 2;
    kept[middle] ^= 1;
    std::fs::write(&memory, &kept).unwrap();
    town.fails(&["list"], "RW-C-MEMORY-DAMAGED");
    std::fs::remove_file(&memory).unwrap();
    assert_eq!(town.notes(&["get", "one"]), "the first note\n");
}

/// The exchange by which a node was believed, judged from a file by both examples, and by the library that trusts the vendors alone.
fn judged_without_a_network(town: &Town, simulated: &Path, shipped: &Path) {
    let exchange = town.path("python/believed.exchange");
    assert!(town.notes(&["verify"]).contains("accepted"));
    let ended = town.verifies(simulated, &exchange);
    assert!(ended.code == Some(0) && ended.out.contains("\"pinned_by\":\"card\""), "{}{}", ended.out, ended.err);
    let ended = town.verifies(shipped, &exchange);
    assert!(ended.code == Some(1) && ended.out.contains("\"verdict\":\"refused\""), "{}{}", ended.out, ended.err);
    let refused = Town::ends(town.python("notes.py", shipped, &["list"]));
    assert!(refused.code == Some(1) && refused.err.contains("RW-C-"), "the shipped library believes no simulated node: {}", refused.err);
    let mut altered = std::fs::read(&exchange).unwrap();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    let path = town.path("altered.exchange");
    std::fs::write(&path, altered).unwrap();
    assert_ne!(town.verifies(simulated, &path).code, Some(0), "an altered exchange");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_kept_over_callbacks() {
    let Some(library) = library(SIMULATED) else { return };
    let town = Town::start(library.clone()).await;
    let line = |words: &[&str]| {
        let ended = Town::ends(town.python("blocking.py", &library, words));
        assert_eq!(ended.code, Some(0), "{words:?}: {}{}\n{}", ended.out, ended.err, local::logs(&town.cluster));
        ended.out
    };
    assert_eq!(line(&["get", "k"]), "nothing\n");
    line(&["put", "k", "over callbacks"]);
    assert_eq!(line(&["get", "k"]), "over callbacks\n");
    assert!(town.path("python/believed.exchange").is_file(), "the node that was believed was shown");
}
