//! Evidence of the guest a workload runs in, from its kernel's report folder (configfs-tsm), with endorsements it was given as files.
//!
//! Decides: one entry of its own for each report; an answer counts when the folder's generation moved by exactly our writes and the evidence carries
//! the 64 bytes that were asked for. Nothing is fetched: a workload's image brings its endorsements, or whoever starts it hands them in.
//! Trusts: the guest's kernel to pass on what the firmware said; the node judges it. Out of scope: fetching endorsements, waiting for a throttling
//! host longer than a few tries (`node` has both). Source: Linux `Documentation/ABI/testing/configfs-tsm-report`. Protocol sections 2.2 and 10.

use ringwall_attest::{Attester, CollectError, exact_quote};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEvidence, TdxEvidence};
use ringwall_wire::ids::Vendor;
use ringwall_wire::limits::{EVENT_LOG_BYTES, SNP_REPORT_BYTES};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where Linux keeps report entries.
pub const REPORTS: &str = "/sys/kernel/config/tsm/report";
/// Where Linux shows the firmware's event log of a TD.
pub const EVENT_LOG: &str = "/sys/firmware/acpi/tables/data/CCEL";
/// Bytes of a report or quote that are read.
const OUTBLOB_BYTES: usize = 64 * 1024;
/// Bytes of an attribute that holds a number or a name.
const TEXT_BYTES: usize = 64;
/// How often a report is asked for before it is given up.
const TRIES: u32 = 5;
/// Wait between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// Offset of REPORT_DATA in an SNP report.
const SNP_REPORT_DATA_AT: usize = 0x50;

/// The guest this program runs in.
pub struct KernelGuest {
    folder: Box<dyn Reports>,
    endorsements: Endorsements,
    event_log: Blob<EVENT_LOG_BYTES>,
}

impl core::fmt::Debug for KernelGuest {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "KernelGuest({})", self.vendor())
    }
}

impl KernelGuest {
    /// The guest whose kernel has the report folder at its usual place; `endorsements` are what the vendor says about this machine.
    pub fn new(endorsements: Endorsements) -> Self {
        let event_log = match endorsements {
            Endorsements::Snp(_) => None,
            // Without a log the registers stand for themselves; the policy decides whether that is enough.
            Endorsements::Tdx(_) => bounded(Path::new(EVENT_LOG), EVENT_LOG_BYTES).ok(),
        };
        let event_log = event_log.and_then(|log| Blob::new(log).ok()).unwrap_or_default();
        KernelGuest { folder: Box::new(Folder(REPORTS.into())), endorsements, event_log }
    }

    fn once(&self, report_data: &[u8; 64]) -> Result<Evidence, Fault> {
        let entry = Entry::make(&*self.folder)?;
        let before = entry.number("generation")?;
        let provider = entry.text("provider")?;
        let snp = match (provider.as_str(), &self.endorsements) {
            ("sev_guest", Endorsements::Snp(_)) => true,
            ("tdx_guest", Endorsements::Tdx(_)) => false,
            (other, _) => return Err(Fault::Wrong(format!("reports come from {other:?}, the endorsements are another vendor's"))),
        };
        let mut expected = before.wrapping_add(1);
        if snp {
            let floor = entry.number("privlevel_floor")?;
            entry.write("privlevel", floor.to_string().as_bytes())?;
            expected = expected.wrapping_add(1);
        }
        entry.write("inblob", report_data)?;
        let answer = entry.read("outblob", OUTBLOB_BYTES)?;
        if entry.number("generation")? != expected {
            return Err(Fault::Pass("another program asked meanwhile".into()));
        }
        self.evidence_of(snp, answer, report_data)
    }

    fn evidence_of(&self, snp: bool, answer: Vec<u8>, report_data: &[u8; 64]) -> Result<Evidence, Fault> {
        let wrong = |fault: &dyn core::fmt::Display| Fault::Wrong(fault.to_string());
        let (evidence, carried) = match snp {
            true => {
                if answer.len() != SNP_REPORT_BYTES {
                    return Err(Fault::Wrong(format!("a report of {} bytes, expected {SNP_REPORT_BYTES}", answer.len())));
                }
                let carried = answer.get(SNP_REPORT_DATA_AT..).and_then(|rest| rest.first_chunk::<64>().copied());
                (Evidence::Snp(SnpEvidence { report: Blob::new(answer).map_err(|fault| wrong(&fault))? }), carried)
            }
            false => {
                let quote = exact_quote(&answer).map_err(|fault| wrong(&fault))?;
                let carried = Some(*quote.report_data);
                let quote = Blob::new(quote.bytes).map_err(|fault| wrong(&fault))?;
                (Evidence::Tdx(TdxEvidence { quote, event_log: self.event_log.clone() }), carried)
            }
        };
        match carried.as_ref() == Some(report_data) {
            true => Ok(evidence),
            false => Err(Fault::Wrong("it was made for other 64 bytes than were asked for".into())),
        }
    }
}

impl Attester for KernelGuest {
    fn vendor(&self) -> Vendor {
        match self.endorsements {
            Endorsements::Snp(_) => Vendor::Amd,
            Endorsements::Tdx(_) => Vendor::Intel,
        }
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Evidence, CollectError> {
        let mut tries = 1;
        loop {
            match self.once(report_data) {
                Err(Fault::Pass(_)) if tries < TRIES => {
                    tries += 1;
                    self.folder.pause();
                }
                Err(Fault::Pass(reason)) => return Err(CollectError::Unavailable { reason }),
                Err(Fault::Wrong(reason)) => return Err(CollectError::Malformed { reason }),
                Err(Fault::Io(reason)) => return Err(CollectError::Unavailable { reason }),
                Ok(evidence) => return Ok(evidence),
            }
        }
    }

    fn endorsements(&self) -> Result<Endorsements, CollectError> {
        Ok(self.endorsements.clone())
    }
}

/// Intel's collateral in JSON (docs/explain.md) as endorsements of this machine.
pub fn intel_collateral(json: &[u8]) -> Result<Endorsements, String> {
    crate::cli::collateral(json).map(Endorsements::Tdx)
}

/// Why one try gave no evidence.
enum Fault {
    /// It may go well the next time.
    Pass(String),
    /// What came is not what was asked for.
    Wrong(String),
    /// The kernel refused.
    Io(String),
}

/// Entries with attributes.
trait Reports: Send + Sync {
    fn place(&self, entry: &str, attribute: &str) -> String;
    fn make(&self, entry: &str) -> io::Result<()>;
    fn remove(&self, entry: &str) -> io::Result<()>;
    fn read(&self, entry: &str, attribute: &str, limit: usize) -> io::Result<Vec<u8>>;
    fn write(&self, entry: &str, attribute: &str, bytes: &[u8]) -> io::Result<()>;
    fn pause(&self);
}

/// The kernel's folder.
struct Folder(PathBuf);

impl Folder {
    fn path(&self, entry: &str, attribute: &str) -> PathBuf {
        self.0.join(entry).join(attribute)
    }
}

impl Reports for Folder {
    fn place(&self, entry: &str, attribute: &str) -> String {
        self.path(entry, attribute).display().to_string()
    }
    fn make(&self, entry: &str) -> io::Result<()> {
        std::fs::create_dir(self.0.join(entry))
    }
    fn remove(&self, entry: &str) -> io::Result<()> {
        std::fs::remove_dir(self.0.join(entry))
    }
    fn read(&self, entry: &str, attribute: &str, limit: usize) -> io::Result<Vec<u8>> {
        bounded(&self.path(entry, attribute), limit)
    }
    fn write(&self, entry: &str, attribute: &str, bytes: &[u8]) -> io::Result<()> {
        // Configfs takes what one write brings.
        let taken = OpenOptions::new().write(true).open(self.path(entry, attribute))?.write(bytes)?;
        match taken == bytes.len() {
            true => Ok(()),
            false => Err(io::Error::other(format!("{taken} of {} bytes were taken", bytes.len()))),
        }
    }
    fn pause(&self) {
        std::thread::sleep(PAUSE);
    }
}

fn bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > limit {
        true => Err(io::Error::other(format!("longer than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// An entry of our own, removed when dropped.
struct Entry<'a> {
    folder: &'a dyn Reports,
    name: String,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        // One that stays behind costs the kernel a few bytes until the next boot.
        let _ = self.folder.remove(&self.name);
    }
}

impl<'a> Entry<'a> {
    fn make(folder: &'a dyn Reports) -> Result<Self, Fault> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("ringwall-workload-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        match folder.make(&name) {
            Ok(()) => Ok(Entry { folder, name }),
            // Left behind by a process that died and whose number came again: the next try has another name.
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Err(Fault::Pass(format!("{}: {fault}", folder.place(&name, "")))),
            Err(fault) => Err(Fault::Io(format!("{}: {fault}", folder.place(&name, "")))),
        }
    }

    fn failed(&self, attribute: &str, fault: &io::Error) -> Fault {
        let words = format!("{}: {fault}", self.folder.place(&self.name, attribute));
        match fault.kind() {
            io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::TimedOut => {
                Fault::Pass(words)
            }
            _ => Fault::Io(words),
        }
    }

    fn read(&self, attribute: &str, limit: usize) -> Result<Vec<u8>, Fault> {
        self.folder.read(&self.name, attribute, limit).map_err(|fault| self.failed(attribute, &fault))
    }

    fn write(&self, attribute: &str, bytes: &[u8]) -> Result<(), Fault> {
        self.folder.write(&self.name, attribute, bytes).map_err(|fault| self.failed(attribute, &fault))
    }

    fn text(&self, attribute: &str) -> Result<String, Fault> {
        let bytes = self.read(attribute, TEXT_BYTES)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }

    fn number(&self, attribute: &str) -> Result<u64, Fault> {
        let text = self.text(attribute)?;
        text.parse().map_err(|_| Fault::Wrong(format!("{}: no number: {:?}", self.folder.place(&self.name, attribute), text)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ringwall_sim::SimTee;
    use ringwall_wire::ids::{ClusterId, Slot};
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    /// A kernel in memory, as the driver behaves.
    #[derive(Default)]
    struct Kernel {
        entries: BTreeSet<String>,
        generation: u64,
        asked: Option<[u8; 64]>,
        privlevel: Option<Vec<u8>>,
        /// Writes of others that come between ours, one a report.
        strangers: u32,
        stale: bool,
    }

    #[derive(Clone)]
    struct Fake(Arc<Mutex<Kernel>>, SimTee);

    impl Reports for Fake {
        fn place(&self, entry: &str, attribute: &str) -> String {
            format!("{entry}/{attribute}")
        }
        fn make(&self, entry: &str) -> io::Result<()> {
            self.0.lock().unwrap().entries.insert(entry.to_owned());
            Ok(())
        }
        fn remove(&self, entry: &str) -> io::Result<()> {
            assert!(self.0.lock().unwrap().entries.remove(entry));
            Ok(())
        }
        fn read(&self, _: &str, attribute: &str, _: usize) -> io::Result<Vec<u8>> {
            let mut kernel = self.0.lock().unwrap();
            Ok(match attribute {
                "provider" if self.1.vendor() == Vendor::Amd => b"sev_guest\n".to_vec(),
                "provider" => b"tdx_guest\n".to_vec(),
                "generation" => format!("{}\n", kernel.generation).into_bytes(),
                "privlevel_floor" => b"0\n".to_vec(),
                "outblob" => {
                    if kernel.strangers > 0 {
                        kernel.strangers -= 1;
                        kernel.generation += 1;
                    }
                    let mut asked = kernel.asked.unwrap();
                    asked[0] ^= u8::from(kernel.stale);
                    match self.1.mint(&asked) {
                        Evidence::Snp(evidence) => evidence.report.to_vec(),
                        Evidence::Tdx(evidence) => evidence.quote.to_vec(),
                    }
                }
                _ => return Err(io::ErrorKind::NotFound.into()),
            })
        }
        fn write(&self, _: &str, attribute: &str, bytes: &[u8]) -> io::Result<()> {
            let mut kernel = self.0.lock().unwrap();
            kernel.generation += 1;
            match attribute {
                "inblob" => kernel.asked = Some(bytes.try_into().unwrap()),
                _ => kernel.privlevel = Some(bytes.to_vec()),
            }
            Ok(())
        }
        fn pause(&self) {}
    }

    fn guest(chip: &str) -> (KernelGuest, Fake) {
        let boot = ringwall_sim::world::joining_config(ClusterId([0; 32]), Slot(1));
        let tee = SimTee::new(ringwall_sim::world::machine(chip, boot).unwrap(), 1_790_000_000);
        let fake = Fake(Arc::default(), tee.clone());
        (KernelGuest { folder: Box::new(fake.clone()), endorsements: tee.endorse(), event_log: Blob::default() }, fake)
    }

    #[test]
    fn evidence_is_made_for_what_was_asked_by_either_vendor() {
        for chip in ["genoa-1", "tdx-1"] {
            let (guest, fake) = guest(chip);
            fake.0.lock().unwrap().strangers = 2;
            let evidence = guest.evidence(&[7; 64]).unwrap();
            let verified = ringwall_attest::verify(&evidence, &guest.endorsements().unwrap(), &ringwall_sim::anchors(), 1_790_000_000);
            assert_eq!(verified.unwrap().claims().report_data(), &[7; 64], "{chip}");
            let kernel = fake.0.lock().unwrap();
            assert!(kernel.entries.is_empty(), "entries stay behind");
            assert_eq!(kernel.privlevel.is_some(), chip == "genoa-1");
        }
    }

    #[test]
    fn what_was_made_for_others_or_by_others_is_refused() {
        let (guest, fake) = guest("genoa-1");
        fake.0.lock().unwrap().strangers = 100;
        assert!(matches!(guest.evidence(&[7; 64]), Err(CollectError::Unavailable { .. })));
        fake.0.lock().unwrap().strangers = 0;
        fake.0.lock().unwrap().stale = true;
        assert!(matches!(guest.evidence(&[7; 64]), Err(CollectError::Malformed { .. })));
        let (mut other, _) = self::guest("tdx-1");
        other.endorsements = guest.endorsements;
        assert!(matches!(other.evidence(&[7; 64]), Err(CollectError::Malformed { .. })));
        let nowhere = KernelGuest { folder: Box::new(Folder("/nonexistent".into())), ..other };
        assert!(matches!(nowhere.evidence(&[7; 64]), Err(CollectError::Unavailable { .. })));
    }
}
