//! docs/runbooks/custody.md, command by command: what stands there is run, and prints what stands there.
//!
//! Decides: a line that begins with `$` is run in a shell, in order, with the program as `ringwall`; each line below it has to be in what was printed. What other
//! people do in between is done where the page has a comment for it. Passphrases and the yes are given by a wrapper, as a script would.
//! Trusts: simulated roots. Out of scope: whether the words of the page are good ones.
#![allow(clippy::unwrap_used, clippy::panic)]

mod ceremony;

use ceremony::{CHIP, PASSPHRASE, custodian, now_s};
use ringwall_client::policy::to_toml;
use ringwall_sim::custody::{Custody, Dealing, policy};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::GenesisTemplate;
use ringwall_wire::ids::Digest;
use ringwall_wire::recovery::RecoveryPurpose;
use std::path::Path;
use std::process::Command;

/// One thing on the page.
#[derive(Debug, PartialEq)]
enum Step {
    /// A command, and what it prints.
    Run { line: usize, command: String, prints: Vec<String> },
    /// What others do.
    Then { line: usize, what: String },
}

/// Everything that is done on a page, in order.
fn steps(page: &str) -> Vec<Step> {
    let (mut found, mut inside) = (Vec::new(), false);
    for (line, text) in (1..).zip(page.lines()) {
        if text.starts_with("```") {
            inside = !inside;
        } else if let Some(command) = text.strip_prefix("$ ").filter(|_| inside) {
            found.push(Step::Run { line, command: command.into(), prints: Vec::new() });
        } else if inside {
            let Some(Step::Run { prints, .. }) = found.last_mut() else { panic!("line {line}: nothing was run that prints this") };
            prints.push(text.into());
        } else if let Some(what) = text.strip_prefix("<!-- ").and_then(|text| text.strip_suffix(" -->")) {
            found.push(Step::Then { line, what: what.into() });
        }
    }
    assert!(!inside, "a block that does not end");
    found
}

/// The folder in which the page is followed.
struct Page {
    folder: tempfile::TempDir,
    cluster: Option<(Custody, Dealing)>,
}

impl Page {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Others' cards, a policy, and the program under its name, which is given secrets and the yes.
    fn new() -> Self {
        let page = Page { folder: tempfile::tempdir().unwrap(), cluster: None };
        for name in ["ben", "cleo"] {
            let made = custodian(page.path(), name, &format!("init --name {name} --json"), &[PASSPHRASE]);
            std::fs::write(page.path().join(format!("{name}.toml")), made.json()["card"].as_str().unwrap()).unwrap();
        }
        std::fs::write(page.path().join("policy.toml"), to_toml(&policy(CHIP))).unwrap();
        std::fs::write(page.path().join("secrets"), format!("{PASSPHRASE}\n").repeat(3)).unwrap();
        let prelude = format!(
            "ringwall() {{ case \"$1 $2 ${{3-}}\" in\n  'custodian submit '*|'custodian drill '?*) \"{program}\" \"$@\" --yes --passphrase-fd 3 3< secrets;;\n  'custodian '*) \"{program}\" \"$@\" --passphrase-fd 3 3< \
             secrets;;\n  *) \"{program}\" \"$@\";;\nesac; }}\n",
            program = env!("CARGO_BIN_EXE_ringwall-sim")
        );
        std::fs::write(page.path().join("prelude"), prelude).unwrap();
        page
    }

    /// Runs a command in a shell that remembers what was exported before.
    fn run(&self, exported: &mut String, command: &str) -> String {
        let script = format!("set -e; . ./prelude; {exported}\n{command}");
        let output = Command::new("sh").arg("-c").arg(&script).current_dir(self.path()).env_remove("RINGWALL_CARD").output().unwrap();
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}: {printed}");
        if command.starts_with("export ") {
            exported.push_str(&format!("{command}; "));
        }
        printed
    }

    fn then(&mut self, exported: &mut String, what: &str) {
        match what {
            "the cluster is founded and deals" => {
                let template = GenesisTemplate::decode(&std::fs::read(self.path().join("founding")).unwrap()).unwrap();
                let cluster = Custody::found(template, policy(CHIP), CHIP, 1, now_s());
                let dealing = cluster.deal(1, Digest([0; 32]));
                std::fs::write(self.path().join("cluster.card"), cluster.card.encode()).unwrap();
                std::fs::write(self.path().join("dealing"), dealing.dealt[0].encode()).unwrap();
                self.cluster = Some((cluster, dealing));
            }
            "all nodes are dead and one of them asks" => {
                let (cluster, dealing) = self.cluster.as_ref().unwrap();
                let offer = cluster.offer(dealing, RecoveryPurpose::Outage, 9, 899);
                std::fs::write(self.path().join("offer"), offer.signed.encode()).unwrap();
            }
            "the cluster begins a drill" => {
                let (cluster, dealing) = self.cluster.as_ref().unwrap();
                std::fs::write(self.path().join("rehearsal"), cluster.drill(dealing, 4, 500).asked.encode()).unwrap();
            }
            "the drill is over" => {
                let (cluster, dealing) = self.cluster.as_ref().unwrap();
                let paper = cluster.receipt(&cluster.drill(dealing, 4, 500), 2, |_| {});
                std::fs::write(self.path().join("receipt"), paper.encode()).unwrap();
            }
            "the machine is gone" => {
                self.run(exported, "ringwall custodian export --keys --words --out paper.keys");
                self.run(exported, "ringwall custodian export --words --out paper.share");
                std::fs::remove_dir_all(self.path().join("custody")).unwrap();
            }
            other => panic!("nobody knows how to do this: {other}"),
        }
    }
}

#[test]
fn the_runbook_is_followed_to_the_letter() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks/custody.md");
    let page = std::fs::read_to_string(file).unwrap();
    let (mut at, mut exported) = (Page::new(), String::new());
    let steps = steps(&page);
    assert!(steps.len() > 15, "the page was not read: {steps:?}");
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for step in steps {
        match step {
            Step::Run { line, command, prints } => {
                let printed = squeezed(&at.run(&mut exported, &command));
                for wanted in prints {
                    assert!(printed.contains(&squeezed(&wanted)), "line {line}: {command} does not print {wanted:?} but {printed}");
                }
            }
            Step::Then { what, .. } => at.then(&mut exported, &what),
        }
    }
}

#[test]
fn a_page_is_read_as_it_stands() {
    let page = "# T\n```\n$ one\nprints\n$ two\n```\n<!-- others -->\ntext\n$ not run\n";
    let run = |line, command: &str, prints: &[&str]| Step::Run {
        line,
        command: command.into(),
        prints: prints.iter().map(|text| (*text).into()).collect(),
    };
    assert_eq!(steps(page), [run(3, "one", &["prints"]), run(5, "two", &[]), Step::Then { line: 7, what: "others".into() }]);
}
