//! The runbook about workload keys, run as it stands: every block of commands, in order, by a shell, against real nodes.
//!
//! Decides: a block marked `sh` is run in one folder with one environment; `guest=` names the simulated guest it runs in, `exit=` the code it must end with.
//! What an operator fills into the grant policy is filled in between, as the page says. Trusts: `sh`, `sed`, `cmp`.
//! Out of scope: whether the words are good.
#![allow(clippy::unwrap_used, clippy::panic)]

mod three;
mod workload;

use ringwall_sim::cluster::LocalOptions;
use ringwall_tests::local;
use std::os::unix::fs::PermissionsExt as _;
use workload::{AMD, Governed, INTEL, NAME, policy};

/// One block: its words behind `sh`, and its commands.
struct Block {
    words: String,
    commands: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    for part in page.split("```sh").skip(1) {
        let (words, rest) = part.split_once('\n').unwrap();
        let (commands, _) = rest.split_once("```").unwrap();
        found.push(Block { words: words.trim().to_owned(), commands: commands.to_owned() });
    }
    found
}

fn word(block: &Block, name: &str) -> Option<String> {
    block.words.split(' ').find_map(|word| word.strip_prefix(&format!("{name}="))).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_works_as_it_stands() {
    let endorsements = tempfile::tempdir().unwrap();
    let options = LocalOptions { kbs: Some(endorsements.path().to_owned()), ..LocalOptions::default() };
    let governed = Governed::start_with(options).await;
    let folder = governed.folder.path();
    // The command, as it would be installed.
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sim-ringwall"), bin.join("ringwall")).unwrap();
    // A folder for what the page puts into memory: the page names a place every guest has, the suite one of its own.
    let memory = folder.join("shm");
    std::fs::create_dir(&memory).unwrap();
    std::fs::set_permissions(&memory, std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let page = include_str!("../../docs/runbooks/workloads.md").replace("/dev/shm", &memory.display().to_string());
    let all = blocks(&page);
    assert!(all.len() >= 9, "the page has {} blocks of commands", all.len());
    for (at, block) in all.iter().enumerate() {
        let mut command = std::process::Command::new("sh");
        command.args(["-eu", "-c", &block.commands]).current_dir(folder).env("PATH", &path).env("RINGWALL_CARD", "cluster.card");
        let line = match word(block, "guest").as_deref() {
            None => None,
            Some("amd") => Some(AMD.to_owned()),
            Some("intel") => Some(INTEL.to_owned()),
            Some("debug") => Some(format!("{AMD},lie=SnpDebug")),
            Some(other) => panic!("the suite has no guest {other}"),
        };
        command.env_remove(ringwall_sim::guest::GUEST);
        if let Some(line) = line {
            command.env(ringwall_sim::guest::GUEST, line);
        }
        let output = command.output().unwrap();
        let wanted = word(block, "exit").map_or(0, |code| code.parse().unwrap());
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(wanted), "block {at}:\n{}\n{out}\n{err}\n{}", block.commands, local::logs(&governed.cluster));
        if at == 0 {
            // What the page calls FILL.
            let text = std::fs::read_to_string(folder.join("payments.toml")).unwrap();
            assert!(ringwall_client::policy::grant_from_toml(&text).is_ok() && text.contains("FILL"));
            std::fs::write(folder.join("payments.toml"), ringwall_client::policy::grant_to_toml(&policy(NAME, 1, 60))).unwrap();
        }
    }
    let audit = std::fs::read_to_string(folder.join("audit.txt")).unwrap();
    for words in ["created", "granted", "refused DEBUG", "chain verified"] {
        assert!(audit.contains(words), "{words} is not in\n{audit}");
    }
}
