//! How a person gives a secret: typed on the terminal without echo, or on a file descriptor a script opened.
//!
//! Decides: never an argument, never the environment, which other users of the machine, shells and their histories see. A new passphrase that is
//! typed is typed twice. The terminal is put back as it was whichever way the question ends; Ctrl-C ends it.
//! Trusts: the terminal and whoever opened the descriptor. Out of scope: what the passphrase opens (`custodian/locked.rs`).

use super::exit::Trouble;
use crate::custodian::{PASSPHRASE_BYTES, Passphrase};
use std::fs::File;
use std::io::{Read as _, Write as _};
use zeroize::Zeroizing;

/// Where secrets of this run come from.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// The descriptor, and what was read of it already and not used.
    given: Option<File>,
}

impl Secrets {
    /// From descriptor `number`, one secret a line in the order they are asked for; or from the terminal.
    pub(crate) fn new(number: Option<u32>) -> Result<Self, Trouble> {
        let open = |number| {
            let path = format!("/dev/fd/{number}");
            File::open(&path).map_err(|fault| unusable(&format!("file descriptor {number} is not open for reading: {fault}")))
        };
        Ok(Secrets { given: number.map(open).transpose()? })
    }

    /// A passphrase that opens something.
    pub(crate) fn ask(&mut self, question: &str) -> Result<Passphrase, Trouble> {
        match &mut self.given {
            Some(file) => line(file, false).map(Passphrase::new),
            None => typed(question).map(Passphrase::new),
        }
    }

    /// A question to be answered with yes, and nothing else will do. Where nobody can be asked, the answer is no answer.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<bool, Trouble> {
        let words = "there is no terminal to ask on: whoever runs this without one says --yes after asking somebody";
        let answer = asked(question).map_err(|_| Trouble::new("RW-C-NOT-CONFIRMED", words))?;
        Ok(answer.trim() == YES)
    }

    /// A passphrase for something new: long enough, and typed twice where it is typed.
    pub(crate) fn ask_new(&mut self, question: &str) -> Result<Passphrase, Trouble> {
        let passphrase = self.ask(question)?;
        if let Some(weak) = passphrase.weakness() {
            return Err(Trouble::new(weak.code(), weak.to_string()));
        }
        if self.given.is_none() && !typed("the same once more: ").map(Passphrase::new)?.is(&passphrase) {
            return Err(unusable("the two passphrases differ; nothing was written"));
        }
        Ok(passphrase)
    }
}

/// The word that says yes.
const YES: &str = "yes";

fn unusable(words: &str) -> Trouble {
    Trouble::new("RW-C-CUSTODIAN-PASSPHRASE", words.to_owned())
}

/// One line, byte by byte, so that nothing behind it is taken.
fn line(file: &mut File, hidden: bool) -> Result<Zeroizing<String>, Trouble> {
    // Room for all of it: a buffer that grew would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES + 1));
    let mut byte = Zeroizing::new([0_u8]);
    loop {
        match file.read(&mut *byte) {
            Ok(0) if bytes.is_empty() => return Err(unusable("the passphrase ended before it began")),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if hidden && byte[0] == CTRL_C => return Err(unusable("given up; nothing was written")),
            Ok(_) if bytes.len() >= PASSPHRASE_BYTES => {
                return Err(unusable(&format!("the passphrase is longer than {PASSPHRASE_BYTES} bytes")));
            }
            Ok(_) => bytes.push(byte[0]),
            Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(unusable(&format!("the passphrase cannot be read: {fault}"))),
        }
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable("the passphrase is no UTF-8 text"))?;
    if text.chars().any(char::is_control) {
        return Err(unusable("the passphrase holds a control character"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// What Ctrl-C sends while it is not turned into a signal.
const CTRL_C: u8 = 3;

/// One line from the terminal, without echo.
#[cfg(unix)]
fn typed(question: &str) -> Result<Zeroizing<String>, Trouble> {
    let open = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
    let no_terminal = |_| unusable("there is no terminal to ask for the passphrase: give it with --passphrase-fd");
    let mut terminal = open.map_err(no_terminal)?;
    // Nobody may be there to read it; then nobody types either.
    let _ = terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush());
    let silence = Silence::begin(&terminal)?;
    let read = line(&mut terminal, true);
    drop(silence);
    let _ = terminal.write_all(b"\n");
    read
}

/// One line from the terminal, with echo.
fn asked(question: &str) -> Result<String, Trouble> {
    let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|fault| unusable(&fault.to_string()))?;
    let _ = terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush());
    line(&mut terminal, false).map(|answer| answer.to_string())
}

#[cfg(not(unix))]
fn typed(_: &str) -> Result<Zeroizing<String>, Trouble> {
    Err(unusable("passphrases cannot be typed without echo on this system: give it with --passphrase-fd"))
}

/// The terminal without echo; as it was before when this is dropped.
#[cfg(unix)]
struct Silence {
    terminal: File,
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl Silence {
    fn begin(terminal: &File) -> Result<Self, Trouble> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let failed = |what: std::io::Error| unusable(&format!("the terminal does not let its echo be switched off: {what}"));
        let terminal = terminal.try_clone().map_err(failed)?;
        let before = tcgetattr(&terminal).map_err(|fault| failed(fault.into()))?;
        let mut silent = before.clone();
        // Without signals, too: one that ended the process here would leave the terminal without echo.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|fault| failed(fault.into()))?;
        Ok(Silence { terminal, before })
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = rustix::termios::tcsetattr(&self.terminal, rustix::termios::OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Seek as _;

    fn secrets(text: &[u8]) -> Secrets {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        Secrets { given: Some(file) }
    }

    #[test]
    fn each_question_takes_one_line() {
        let mut secrets = secrets("correct horse battery\r\nzweite Passphrase, länger\nthird without an end".as_bytes());
        assert!(secrets.ask("").unwrap().is(&Passphrase::new(Zeroizing::new("correct horse battery".into()))));
        assert!(secrets.ask_new("").unwrap().is(&Passphrase::new(Zeroizing::new("zweite Passphrase, länger".into()))));
        assert!(secrets.ask("").unwrap().is(&Passphrase::new(Zeroizing::new("third without an end".into()))));
        assert!(secrets.ask("").unwrap_err().message.contains("ended before it began"));
    }

    #[test]
    fn what_is_no_passphrase_is_refused() {
        assert!(secrets(&[b'x'; PASSPHRASE_BYTES + 1]).ask("").unwrap_err().message.contains("longer than"));
        assert!(secrets(&[0xff, b'\n']).ask("").unwrap_err().message.contains("UTF-8"));
        assert!(secrets(b"a\tb\n").ask("").unwrap_err().message.contains("control character"));
        assert!(secrets(b"short\n").ask_new("").unwrap_err().message.contains("dice"));
        assert!(Secrets::new(Some(9_999)).unwrap_err().message.contains("not open"));
    }
}
