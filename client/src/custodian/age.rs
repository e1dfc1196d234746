//! People's own keys: the `age` program of this machine, with its recipients, identities and plugins (hardware tokens).
//!
//! Decides: secrets go to it and come from it through pipes, never in arguments, environment or files; what it says to a person goes straight to their
//! terminal; what comes back is bounded. Recipients are public and are arguments.
//! Trusts: that program and its plugins with the secret, as whoever names a recipient does. Out of scope: the format of age. Decision 0033.

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// The program.
#[derive(Clone, Debug)]
pub struct Age {
    program: OsString,
}

/// Why it did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// It cannot be started.
    #[error("{program} cannot be started: {source}; install age (or rage), or name it with --age")]
    NotStarted {
        /// Its name.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended with a failure; its own words are on the terminal.
    #[error("{program} did not {what} ({how}); what it says about it is above")]
    Failed {
        /// Its name.
        program: String,
        /// What it was to do.
        what: &'static str,
        /// How it ended.
        how: String,
    },
    /// It gave back something else than a secret of this program.
    #[error("{program} gave back more than {most} bytes")]
    TooMuch {
        /// Its name.
        program: String,
        /// Most bytes.
        most: usize,
    },
    /// A recipient that would be an option.
    #[error("{recipient} is no recipient of age: they begin with age1 or ssh-")]
    NoRecipient {
        /// What was given.
        recipient: String,
    },
}

impl Age {
    /// The program of this name or path.
    pub fn new(program: impl Into<OsString>) -> Self {
        Age { program: program.into() }
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// Locks `secret` for all of `recipients`, each of whom can open it alone.
    pub fn encrypt(&self, secret: &[u8], recipients: &[String]) -> Result<Vec<u8>, AgeError> {
        let mut arguments: Vec<&OsStr> = vec!["--encrypt".as_ref()];
        for recipient in recipients {
            if !recipient.starts_with("age1") && !recipient.starts_with("ssh-") {
                return Err(AgeError::NoRecipient { recipient: recipient.clone() });
            }
            arguments.extend([OsStr::new("--recipient"), recipient.as_ref()]);
        }
        let most = ringwall_wire::limits::LOCKED_SECRET_BYTES;
        self.run(&arguments, secret, most, "lock the secret").map(|locked| locked.to_vec())
    }

    /// Opens what was locked for the holder of this identity.
    pub fn decrypt(&self, locked: &[u8], identity: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        let arguments: [&OsStr; 3] = ["--decrypt".as_ref(), "--identity".as_ref(), identity.as_os_str()];
        self.run(&arguments, locked, most, "open the file")
    }

    fn run(&self, arguments: &[&OsStr], input: &[u8], most: usize, what: &'static str) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        let not_started = |source| AgeError::NotStarted { program: self.name(), source };
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(not_started)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut output = Zeroizing::new(Vec::with_capacity(most.saturating_add(1)));
        std::thread::scope(|scope| {
            if let Some(mut stdin) = stdin {
                // One that ends without reading says why by its exit code.
                scope.spawn(move || stdin.write_all(input));
            }
            if let Some(stdout) = stdout {
                // One that closed its output early ends with a failure, too.
                let _ = stdout.take(most as u64 + 1).read_to_end(&mut output);
            }
        });
        let status = child.wait().map_err(not_started)?;
        if output.len() > most {
            return Err(AgeError::TooMuch { program: self.name(), most });
        }
        match status.success() {
            true => Ok(output),
            false => Err(AgeError::Failed { program: self.name(), what, how: status.to_string() }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A program that does as `script` says.
    fn program(folder: &Path, script: &str) -> Age {
        let path = folder.join("age");
        // Another process writes it: a file this one holds open for writing while another test starts a program cannot be started.
        let text = format!("#!/bin/sh\n{script}\n");
        let written = Command::new("sh").args(["-c", "printf %s \"$1\" > \"$2\" && chmod 700 \"$2\"", "sh", &text]).arg(&path).status();
        assert!(written.unwrap().success());
        Age::new(path)
    }

    #[test]
    fn secrets_pass_through_pipes_and_never_stand_in_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let age = program(folder.path(), &format!("echo \"$@\" > {}; tr a-z n-za-m", seen.display()));
        let locked = age.encrypt(b"secret", &["age1one".to_owned(), "ssh-ed25519 AAAA".to_owned()]).unwrap();
        assert_eq!(locked, b"frperg");
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), "--encrypt --recipient age1one --recipient ssh-ed25519 AAAA\n");
        assert_eq!(**age.decrypt(&locked, Path::new("mine"), 64).unwrap(), *b"secret");
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), "--decrypt --identity mine\n");
    }

    #[test]
    fn its_failures_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let none = Age::new(folder.path().join("none"));
        assert!(matches!(none.encrypt(b"x", &["age1one".to_owned()]), Err(AgeError::NotStarted { .. })));
        let refuses = program(folder.path(), "exit 1");
        assert!(matches!(refuses.decrypt(b"x", Path::new("i"), 64), Err(AgeError::Failed { .. })));
        assert!(matches!(refuses.encrypt(b"x", &["--output".to_owned()]), Err(AgeError::NoRecipient { .. })));
        let floods = program(folder.path(), "exec cat /dev/zero");
        assert!(matches!(floods.decrypt(b"x", Path::new("i"), 64), Err(AgeError::TooMuch { most: 64, .. })));
    }
}
