//! Pages of docs/runbooks, followed to the letter: every command that stands there is run, and prints what stands there.
//!
//! Decides: how a page is read. A fenced block marked `sh` holds commands: a line that begins with `$` is run by a shell, in order; lines below it that begin
//! with `>` belong to it; every other line has to be in what was printed. Words behind `sh` say how the block's commands are run: `in=FOLDER` (a folder of
//! the page's), `exit=CODE`, `background` (until the page is over), `until` (again, until it prints that). A comment alone on a line (`<!-- ... -->`)
//! names what others do. A block marked `toml` is a file's text and is not run; there is no other block. What was exported stays exported.
//! Trusts: `sh`. Out of scope: what others do (`tests/tests/runbooks.rs`), whether the words of a page are good ones.
#![allow(clippy::panic)]

use crate::local::PATIENCE;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A command of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its line.
    pub line: usize,
    /// What stands behind `sh`.
    pub words: Vec<String>,
    /// What is run.
    pub command: String,
    /// What has to be printed.
    pub prints: Vec<String>,
}

impl Run {
    /// The value of a word `name=value`.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn has(&self, name: &str) -> bool {
        self.words.iter().any(|word| word == name)
    }

    /// What is missing in what was printed.
    fn missing<'a>(&'a self, printed: &str) -> Option<&'a str> {
        let printed = squeezed(printed);
        self.prints.iter().map(String::as_str).find(|wanted| !printed.contains(&squeezed(wanted)))
    }
}

/// One thing on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A command.
    Run(Run),
    /// What others do.
    Then {
        /// Its line.
        line: usize,
        /// What.
        what: String,
    },
}

/// Everything that is done on a page, in order; what the page cannot mean is said with its line.
pub fn read(page: &str) -> Result<Vec<Step>, String> {
    let (mut found, mut block): (Vec<Step>, Option<Vec<String>>) = (Vec::new(), None);
    for (line, text) in (1..).zip(page.lines()) {
        if let Some(fence) = text.strip_prefix("```") {
            block = match block {
                Some(_) if fence.is_empty() => None,
                Some(_) => return Err(format!("line {line}: a block begins inside another one")),
                None => Some(fence.split_whitespace().map(str::to_owned).collect()),
            };
            if let Some(words) = &block
                && !words.first().is_some_and(|word| ["sh", "toml"].contains(&word.as_str()))
            {
                return Err(format!("line {line}: a block is marked sh (its commands are run) or toml (a file's text)"));
            }
            continue;
        }
        if text.trim_start().starts_with("```") || text.starts_with("~~~") {
            return Err(format!("line {line}: a block begins where a line does, with three backticks"));
        }
        match &block {
            None => {
                let what = text.strip_prefix("<!-- ").and_then(|text| text.strip_suffix(" -->"));
                found.extend(what.map(|what| Step::Then { line, what: what.into() }));
            }
            Some(words) if words[0] == "toml" => {}
            Some(words) => add(&mut found, words, line, text)?,
        }
    }
    match block {
        None => Ok(found),
        Some(_) => Err("a block does not end".into()),
    }
}

/// A line inside a block of commands.
fn add(found: &mut Vec<Step>, words: &[String], line: usize, text: &str) -> Result<(), String> {
    if let Some(command) = text.strip_prefix("$ ") {
        found.push(Step::Run(Run { line, words: words[1..].to_vec(), command: command.into(), prints: Vec::new() }));
        return Ok(());
    }
    let Some(Step::Run(run)) = found.last_mut() else { return Err(format!("line {line}: nothing was run that prints this")) };
    match text.strip_prefix("> ") {
        Some(more) if run.prints.is_empty() => {
            let _ = write!(run.command, "\n{more}");
        }
        _ => run.prints.push(text.into()),
    }
    Ok(())
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whoever follows a page: a folder, the programs under their names, and what was exported.
pub struct Reader {
    folder: tempfile::TempDir,
    path: OsString,
    exported: String,
    replaced: Vec<(String, String)>,
    running: Vec<Child>,
}

impl Reader {
    /// With `ringwall` and, in a folder that [`Reader::machine`] made, `ringwalld`. A custodian's program is given `passphrase` and the yes, as a script would.
    pub fn new(ringwall: &Path, node: &Path, passphrase: &str) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder can be made");
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).expect("an empty folder takes one");
        symlink(ringwall, bin.join("ringwall")).expect("an empty folder takes a link");
        // A node ends with whoever started it; a question about one does not wait for anybody.
        let daemon = format!(
            "#!/bin/sh\ncase \"$1 ${{2-}}\" in\n  'recover status') exec {node} --chip \"$(cat chip)\" -- \"$@\";;\n  *) exec {node} --chip \"$(cat \
             chip)\" --exit-with-parent -- \"$@\";;\nesac\n",
            node = node.display()
        );
        std::fs::write(bin.join("ringwalld"), daemon).expect("an empty folder takes a file");
        std::fs::set_permissions(bin.join("ringwalld"), std::fs::Permissions::from_mode(0o755)).expect("one's own file");
        std::fs::write(folder.path().join("secrets"), format!("{passphrase}\n").repeat(3)).expect("an empty folder takes a file");
        let mut path = OsString::from(&bin);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Reader { folder, path, exported: String::new(), replaced: Vec::new(), running: Vec::new() }
    }

    /// The folder the page is followed in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the page mean another place by these words.
    pub fn replace(&mut self, words: &str, place: &Path) {
        self.replaced.push((words.into(), place.display().to_string()));
    }

    /// A folder that stands for the machine with this chip.
    pub fn machine(&self, name: &str, chip: &str) -> PathBuf {
        let place = self.path(name);
        std::fs::create_dir_all(&place).expect("one's own folder takes one");
        std::fs::write(place.join("chip"), chip).expect("one's own folder takes a file");
        place
    }

    /// What is run: secrets and the yes are given to custodians, and what was exported before still is.
    fn script(&self, command: &str) -> String {
        let secrets = self.path("secrets").display().to_string();
        let command = self.replaced.iter().fold(command.to_owned(), |text, (words, place)| text.replace(words, place));
        format!(
            "set -eu\nringwall() {{ case \"$1 ${{2-}} ${{3-}}\" in\n  'custodian submit '*|'custodian drill '?*) command ringwall \"$@\" --yes \
             --passphrase-fd 3 3< {secrets};;\n  'custodian '*) command ringwall \"$@\" --passphrase-fd 3 3< {secrets};;\n  *) command ringwall \
             \"$@\";;\nesac; }}\n{}{command}\n",
            self.exported
        )
    }

    fn shell(&self, run: &Run, script: &str, extra: &[(&str, &str)]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(run.word("in").map_or_else(|| self.folder.path().to_owned(), |name| self.path(name)));
        command.env("PATH", &self.path).envs(extra.iter().copied());
        for name in ["RINGWALL_CARD", "RINGWALL_CREDENTIAL", "RINGWALL_CUSTODIAN"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command as the page wants it. `logs` is asked what else there is to say when it fails.
    pub fn run(&mut self, run: &Run, extra: &[(&str, &str)], logs: &dyn Fn() -> String) -> String {
        if run.has("background") {
            return self.begin(run, extra);
        }
        let until = Instant::now() + PATIENCE;
        // What a variable is, is found out once.
        let variable = run.command.strip_prefix("export ").and_then(|rest| rest.split_once('=')).map(|(name, _)| name);
        let asked = variable.map_or_else(|| run.command.clone(), |name| format!("{}\nprintf %s \"${name}\"", run.command));
        let wanted = run.word("exit").map_or(0, |code| code.parse().expect("a page names an exit code by its number"));
        loop {
            let output = self.shell(run, &self.script(&asked), extra).stdin(Stdio::null()).output().expect("there is a shell");
            let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let missing = run.missing(&printed);
            if output.status.code() == Some(wanted) && missing.is_none() {
                if let Some(name) = variable {
                    let value = String::from_utf8_lossy(&output.stdout).replace('\'', "'\\''");
                    let _ = writeln!(self.exported, "export {name}='{value}'");
                }
                return printed;
            }
            let why = format!("line {}: {}\nended with {}, wanted {wanted}", run.line, run.command, output.status);
            if !run.has("until") || Instant::now() > until {
                panic!("{why}; does not print {missing:?} but\n{printed}\n{}", logs());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Begins what goes on until the page is over. Its output is a file, so that it never waits for a reader.
    fn begin(&mut self, run: &Run, extra: &[(&str, &str)]) -> String {
        let log = self.path(&format!("line-{}-{}.log", run.line, self.running.len()));
        let out = std::fs::File::create(&log).expect("one's own folder takes a file");
        let copy = out.try_clone().expect("a file can be had twice");
        // The shell becomes the program: whoever holds its standard input holds the node.
        let script = self.script(&format!("exec {}", run.command));
        let child = self.shell(run, &script, extra).stdin(Stdio::piped()).stdout(copy).stderr(out).spawn().expect("there is a shell");
        self.running.push(child);
        let until = Instant::now() + PATIENCE;
        loop {
            // First, so that what an ended one printed last is read.
            let ended = self.running.last_mut().and_then(|child| child.try_wait().ok().flatten());
            let printed = std::fs::read_to_string(&log).unwrap_or_default();
            let missing = run.missing(&printed);
            if missing.is_none() {
                return printed;
            }
            let over = ended.is_some() || Instant::now() > until;
            assert!(!over, "line {}: {} ({ended:?}) does not print {missing:?} but\n{printed}", run.line, run.command);
            std::thread::sleep(LOOK);
        }
    }

    /// Runs something that is on no page: what others do.
    pub fn others(&mut self, command: &str) -> String {
        self.run(&Run { command: command.into(), ..Run::default() }, &[], &String::new)
    }

    /// Ends what was begun.
    pub fn end(&mut self) {
        for mut child in self.running.drain(..) {
            // One that ended by itself is waited for all the same.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(line: usize, words: &[&str], command: &str, prints: &[&str]) -> Step {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Step::Run(Run { line, words: owned(words), command: command.into(), prints: owned(prints) })
    }

    #[test]
    fn a_page_is_read_as_it_stands() {
        let page = "# T\n```sh in=a exit=3\n$ one\n> more\nprints\n$ two\n```\n<!-- others -->\ntext\n$ not run\n```toml\nx = 1\n```\n";
        let wanted = [
            run(3, &["in=a", "exit=3"], "one\nmore", &["prints"]),
            run(6, &["in=a", "exit=3"], "two", &[]),
            Step::Then { line: 8, what: "others".into() },
        ];
        assert_eq!(read(page).unwrap(), wanted);
        let Step::Run(first) = &wanted[0] else { panic!("a command") };
        assert_eq!((first.word("in"), first.word("exit"), first.word("guest")), (Some("a"), Some("3"), None));
    }

    #[test]
    fn what_a_page_cannot_mean_is_said() {
        for (page, why) in [
            ("```\n$ one\n```\n", "line 1"),
            ("```bash\n$ one\n```\n", "line 1"),
            ("```sh\nprints\n```\n", "line 2"),
            ("```sh\n$ one\n```sh\n", "line 3"),
            ("```sh\n$ one\n", "does not end"),
            ("- text\n  ```sh\n  $ one\n  ```\n", "line 2"),
            ("~~~\n$ one\n~~~\n", "line 1"),
        ] {
            assert!(read(page).unwrap_err().contains(why), "{page}: {:?}", read(page));
        }
    }

    #[test]
    fn commands_are_run_and_held_to_what_the_page_says() {
        let mut reader = Reader::new(Path::new("/bin/echo"), Path::new("/bin/echo"), "words");
        let step = |command: &str, words: &[&str], prints: &[&str]| match run(1, words, command, prints) {
            Step::Run(run) => run,
            Step::Then { .. } => panic!("a command"),
        };
        let logs = || String::from("the logs");
        reader.run(&step("export NAME=a/b", &[], &[]), &[], &logs);
        assert_eq!(reader.run(&step("ringwall $NAME", &[], &["a/b"]), &[], &logs), "a/b\n");
        // Custodians are given secrets and the yes.
        assert!(reader.others("ringwall custodian submit offer").contains("--yes --passphrase-fd 3"));
        reader.replace("/var/lib/ringwall", Path::new("/elsewhere"));
        reader.run(&step("echo /var/lib/ringwall/x", &[], &["/elsewhere/x"]), &[], &logs);
        reader.run(&step("exit 4", &["exit=4"], &[]), &[], &logs);
        reader.run(&step("echo here; sleep 60", &["background"], &["here"]), &[], &logs);
        reader.end();
        for bad in [step("echo one", &[], &["two"]), step("false", &[], &[]), step("true", &["exit=4"], &[]), step("echo $UNSET", &[], &[])]
        {
            let mut other = Reader::new(Path::new("/bin/echo"), Path::new("/bin/echo"), "words");
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.run(&bad, &[], &String::new)));
            assert!(failed.is_err(), "{}", bad.command);
        }
    }
}
