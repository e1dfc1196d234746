//! One report from the kernel: an entry of our own, the question, the answer, and that nobody else asked meanwhile.
//!
//! Decides: the order of writes and reads, when an answer counts (the generation moved by exactly our writes), how often a busy platform is
//! asked again, and how much is read. Our own entry keeps others out; the generation shows it when they come in nevertheless, and also when
//! the kernel lost a write, which it reports to nobody.
//! Trusts: the kernel for the generation, nobody for the bytes. Out of scope: what the bytes are (`attester`).
//! Source: Linux `Documentation/ABI/testing/configfs-tsm-report`, `drivers/virt/coco` and `fs/configfs/file.c`. Protocol section 2.2.

use super::tsm_fault::{Doing, TsmError};
use super::tsm_fs::TsmFs;
use ringwall_attest::cert_table::CERT_TABLE_BYTES;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of `outblob` that are read: older kernels allow 32 KiB, real evidence has 1 to 8 KiB.
pub const OUTBLOB_BYTES: usize = 64 * 1024;
/// Bytes of `auxblob` that are read.
pub const AUXBLOB_BYTES: usize = CERT_TABLE_BYTES;
/// Bytes of an attribute that holds a number or a name.
const TEXT_BYTES: usize = 64;
/// Bytes of one read.
const CHUNK_BYTES: usize = 4096;
/// How often one report is asked for before it is given up.
pub const TRIES: u32 = 5;
/// Wait between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// How often one read may be interrupted by signals.
const INTERRUPTIONS: u32 = 16;
/// How many names are tried for an entry.
const NAMES: u32 = 16;

/// Which driver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// AMD SEV-SNP.
    SevGuest,
    /// Intel TDX.
    TdxGuest,
}

impl Provider {
    /// As the kernel spells it.
    pub fn name(self) -> &'static str {
        match self {
            Provider::SevGuest => "sev_guest",
            Provider::TdxGuest => "tdx_guest",
        }
    }
}

/// What the kernel gave, not yet looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answered.
    pub provider: Provider,
    /// Generation the answer belongs to.
    pub generation: u64,
    /// Privilege level it was asked for; only AMD has them.
    pub privlevel: Option<u32>,
    /// Report or quote, perhaps padded.
    pub outblob: Vec<u8>,
    /// Certificate table (AMD), often empty.
    pub auxblob: Vec<u8>,
    /// Tries it took.
    pub tries: u32,
}

/// An entry of the report folder; removed again when dropped, unless it was there before.
pub struct Entry<'a> {
    fs: &'a dyn TsmFs,
    name: String,
    own: bool,
}

impl core::fmt::Debug for Entry<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Entry({}, own: {})", self.name, self.own)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.own {
            // An entry that stays behind costs the kernel a few bytes until the next boot.
            let _ = self.fs.remove(&self.name);
        }
    }
}

impl<'a> Entry<'a> {
    /// Makes an entry nobody else has.
    pub fn make(fs: &'a dyn TsmFs) -> Result<Self, TsmError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut tried: u32 = 0;
        loop {
            let name = format!("ringwall-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            match fs.make(&name) {
                Ok(()) => return Ok(Entry { fs, name, own: true }),
                // Left behind by a process that died and whose number came again.
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists && tried < NAMES => tried = tried.saturating_add(1),
                Err(fault) => return Err(TsmError::of(Doing::Make, fs.place(&name, ""), &fault)),
            }
        }
    }

    /// Uses an entry somebody made for this program, for programs that may not make one.
    pub fn adopt(fs: &'a dyn TsmFs, name: &str) -> Self {
        Entry { fs, name: name.to_owned(), own: false }
    }

    /// Who answers here.
    pub fn provider(&self) -> Result<Provider, TsmError> {
        let text = self.text("provider")?;
        let known = [Provider::SevGuest, Provider::TdxGuest].into_iter().find(|provider| provider.name() == text);
        known.ok_or_else(|| self.unreadable("provider", text, "sev_guest or tdx_guest"))
    }

    /// The least privilege level reports may be asked for.
    pub fn privlevel_floor(&self) -> Result<u32, TsmError> {
        self.number("privlevel_floor").and_then(|level| {
            let known = u32::try_from(level).ok().filter(|level| *level <= 3);
            known.ok_or_else(|| self.unreadable("privlevel_floor", level.to_string(), "a level from 0 to 3"))
        })
    }

    /// How often anything was written here.
    pub fn generation(&self) -> Result<u64, TsmError> {
        self.number("generation")
    }

    /// Asks for a report over `report_data`. Takes milliseconds to a minute: drivers wait for a throttling host by themselves.
    pub fn report(&self, report_data: &[u8; 64]) -> Result<Answer, TsmError> {
        let mut tries: u32 = 1;
        loop {
            match self.report_once(report_data, tries) {
                Err(fault) if fault.may_pass() && tries < TRIES => {
                    tries = tries.saturating_add(1);
                    self.fs.pause(PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    fn report_once(&self, report_data: &[u8; 64], tries: u32) -> Result<Answer, TsmError> {
        let before = self.generation()?;
        let provider = self.provider()?;
        let mut expected = before.wrapping_add(1);
        let privlevel = match provider {
            Provider::TdxGuest => None,
            Provider::SevGuest => {
                // The level this kernel runs at: less is refused by the firmware, more would speak for somebody else.
                let floor = self.privlevel_floor()?;
                self.write("privlevel", floor.to_string().as_bytes())?;
                expected = expected.wrapping_add(1);
                Some(floor)
            }
        };
        self.write("inblob", report_data)?;
        let outblob = self.read("outblob", OUTBLOB_BYTES)?;
        let auxblob = match provider {
            Provider::SevGuest => self.read("auxblob", AUXBLOB_BYTES)?,
            Provider::TdxGuest => Vec::new(),
        };
        let found = self.generation()?;
        if found != expected {
            return Err(TsmError::Disturbed { place: self.place(""), tries, expected, found });
        }
        match outblob.is_empty() {
            true => Err(TsmError::Empty { place: self.place("outblob") }),
            false => Ok(Answer { provider, generation: found, privlevel, outblob, auxblob, tries }),
        }
    }

    fn place(&self, attribute: &str) -> String {
        self.fs.place(&self.name, attribute)
    }

    fn unreadable(&self, attribute: &str, text: String, expected: &'static str) -> TsmError {
        TsmError::Unreadable { place: self.place(attribute), text, expected }
    }

    fn number(&self, attribute: &str) -> Result<u64, TsmError> {
        let text = self.text(attribute)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| self.unreadable(attribute, text, "a number"))
    }

    fn text(&self, attribute: &str) -> Result<String, TsmError> {
        let bytes = self.read(attribute, TEXT_BYTES)?;
        let text = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
        match text.chars().all(|letter| letter.is_ascii_graphic()) {
            true => Ok(text),
            false => Err(self.unreadable(attribute, text.escape_default().to_string(), "one printable word")),
        }
    }

    fn write(&self, attribute: &str, bytes: &[u8]) -> Result<(), TsmError> {
        let written = self.fs.write(&self.name, attribute, bytes);
        match written.map_err(|fault| TsmError::of(Doing::Write, self.place(attribute), &fault))? {
            taken if taken == bytes.len() => Ok(()),
            taken => Err(TsmError::Short { place: self.place(attribute), taken, len: bytes.len() }),
        }
    }

    /// Everything an attribute holds, at most `limit` bytes.
    fn read(&self, attribute: &str, limit: usize) -> Result<Vec<u8>, TsmError> {
        let failed = |fault: &io::Error| TsmError::of(Doing::Read, self.place(attribute), fault);
        let mut file = self.fs.open(&self.name, attribute).map_err(|fault| failed(&fault))?;
        let (mut bytes, mut chunk, mut interruptions) = (Vec::new(), [0; CHUNK_BYTES], 0);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(bytes),
                Ok(count) => bytes.extend(chunk.iter().take(count)),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted && interruptions < INTERRUPTIONS => interruptions += 1,
                Err(fault) => return Err(failed(&fault)),
            }
            if bytes.len() > limit {
                return Err(TsmError::TooLong { place: self.place(attribute), limit });
            }
        }
    }
}
