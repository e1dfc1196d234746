//! A kernel's report folder that follows `Documentation/ABI/testing/configfs-tsm-report` and `drivers/virt/coco`, and fails when told to.
//!
//! Decides: what the kernel does: generations count writes, a report is made when it is first read, a binary write that fails is lost in
//! silence, text values come in one write. Trusts: nothing. Out of scope: what is asserted; who mints what is read.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub, reason = "each test binary uses a part")]

use ringwall_node::platform::attester::TsmAttester;
use ringwall_node::platform::stapled::Stapled;
use ringwall_node::platform::store::EndorsementStore;
use ringwall_node::platform::tsm_fs::TsmFs;
use ringwall_sim::SimTee;
use ringwall_wire::evidence::{Endorsements, Evidence};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// 2026-11-24 12:00:00 UTC.
pub const NOW_S: u64 = 1_795_521_600;

pub const ENXIO: i32 = 6;
pub const ENOENT: i32 = 2;
pub const EINTR: i32 = 4;
pub const EIO: i32 = 5;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const EBUSY: i32 = 16;
pub const EEXIST: i32 = 17;
pub const EINVAL: i32 = 22;
pub const ENOTTY: i32 = 25;
pub const ETIMEDOUT: i32 = 110;

/// Gives outblob and auxblob for an inblob and a privilege level.
pub type Mint = Box<dyn Fn(&[u8; 64], u32) -> Result<(Vec<u8>, Vec<u8>), i32> + Send + Sync>;

/// An operation (an attribute's name, or `make`) that fails `times` times with this number.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub at: &'static str,
    pub errno: i32,
    pub times: u32,
}

#[derive(Default)]
struct ReportState {
    written: u64,
    read: u64,
    inblob: Option<Vec<u8>>,
    privlevel: u32,
    cached: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Default)]
pub struct Inner {
    entries: BTreeMap<String, ReportState>,
    pub faults: Vec<Fault>,
    /// How often somebody else writes between our write and our read.
    pub disturbances: u32,
    /// How many bytes of our next binary write are taken, when not all.
    pub short: Option<usize>,
    /// How many of our binary writes get lost.
    pub lost: u32,
    /// How many reads are interrupted by a signal.
    pub interrupted: u32,
    /// Names of all entries ever made.
    pub made: Vec<String>,
    pub pauses: u32,
    pub asked: u32,
    /// Bytes handed out.
    pub served: usize,
}

pub struct Kernel {
    pub provider: &'static str,
    pub floor: String,
    /// Bytes one read gives at most.
    pub chunk: usize,
    mint: Mint,
    inner: Mutex<Inner>,
}

impl Kernel {
    pub fn new(provider: &'static str, mint: Mint) -> Self {
        Kernel { provider, floor: "0".to_owned(), chunk: usize::MAX, mint, inner: Mutex::default() }
    }

    /// A machine of the simulated world; AMD's hands over its certificates.
    pub fn of(tee: SimTee) -> Self {
        let provider = if tee.profile().chip_id().is_some() { "sev_guest" } else { "tdx_guest" };
        Kernel::new(provider, Box::new(move |asked, _| Ok((outblob(&tee.mint(asked)), table_of(&tee.endorse())))))
    }

    pub fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        change(&mut self.inner());
        self
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Entries that are there now.
    pub fn entries(&self) -> usize {
        self.inner().entries.len()
    }

    /// An entry somebody made before.
    pub fn prepared(self, name: &str) -> Self {
        self.inner().entries.insert(name.to_owned(), ReportState::default());
        self
    }

    pub fn attester(self: &Arc<Self>, store: Arc<dyn EndorsementStore>) -> TsmAttester {
        TsmAttester::open(self.clone(), None, store).unwrap()
    }

    /// The attester of a machine whose endorsements are what its host hands over.
    pub fn stapled(self: &Arc<Self>) -> TsmAttester {
        self.attester(Arc::new(Stapled))
    }

    fn fail(inner: &mut Inner, at: &str) -> io::Result<()> {
        let Some(fault) = inner.faults.iter_mut().find(|fault| fault.at == at && fault.times > 0) else { return Ok(()) };
        fault.times -= 1;
        Err(io::Error::from_raw_os_error(fault.errno))
    }

    fn blob(&self, inner: &mut Inner, entry: &str, attribute: &str) -> io::Result<Vec<u8>> {
        let Inner { entries, disturbances, asked, .. } = inner;
        let report = entries.get_mut(entry).ok_or(io::Error::from_raw_os_error(ENOENT))?;
        if *disturbances > 0 && attribute == "outblob" {
            *disturbances -= 1;
            report.written += 1;
            report.inblob = Some(vec![0xee; 64]);
        }
        let Some(inblob) = &report.inblob else { return Err(io::Error::from_raw_os_error(EINVAL)) };
        if report.cached.is_none() || report.read != report.written {
            *asked += 1;
            let inblob: &[u8; 64] = inblob.as_slice().try_into().map_err(|_| io::Error::from_raw_os_error(EINVAL))?;
            report.cached = None;
            report.cached = Some((self.mint)(inblob, report.privlevel).map_err(io::Error::from_raw_os_error)?);
            report.read = report.written;
        }
        let (out, aux) = report.cached.clone().unwrap();
        Ok(if attribute == "outblob" { out } else { aux })
    }
}

/// Hands out what was opened, a chunk at a time, and counts it.
struct Opened<'a> {
    kernel: &'a Kernel,
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Opened<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.kernel.inner();
        if inner.interrupted > 0 {
            inner.interrupted -= 1;
            return Err(io::Error::from_raw_os_error(EINTR));
        }
        let count = into.len().min(self.kernel.chunk).min(self.bytes.len() - self.at);
        into[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        inner.served += count;
        Ok(count)
    }
}

impl TsmFs for Kernel {
    fn place(&self, entry: &str, attribute: &str) -> String {
        format!("tsm/{entry}/{attribute}")
    }

    fn make(&self, entry: &str) -> io::Result<()> {
        let mut inner = self.inner();
        Self::fail(&mut inner, "make")?;
        inner.made.push(entry.to_owned());
        match inner.entries.insert(entry.to_owned(), ReportState::default()) {
            None => Ok(()),
            Some(_) => Err(io::Error::from_raw_os_error(EEXIST)),
        }
    }

    fn remove(&self, entry: &str) -> io::Result<()> {
        self.inner().entries.remove(entry).map(drop).ok_or(io::Error::from_raw_os_error(ENOENT))
    }

    fn open<'a>(&'a self, entry: &str, attribute: &str) -> io::Result<Box<dyn Read + 'a>> {
        let mut inner = self.inner();
        Self::fail(&mut inner, attribute)?;
        let report = inner.entries.get(entry).ok_or(io::Error::from_raw_os_error(ENOENT))?;
        let bytes = match attribute {
            "generation" => format!("{}\n", report.written).into_bytes(),
            "provider" => format!("{}\n", self.provider).into_bytes(),
            "privlevel_floor" if self.provider == "sev_guest" => format!("{}\n", self.floor).into_bytes(),
            "outblob" => self.blob(&mut inner, entry, attribute)?,
            "auxblob" if self.provider == "sev_guest" => self.blob(&mut inner, entry, attribute)?,
            _ => return Err(io::Error::from_raw_os_error(ENOENT)),
        };
        Ok(Box::new(Opened { kernel: self, bytes, at: 0 }))
    }

    fn write(&self, entry: &str, attribute: &str, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.inner();
        Self::fail(&mut inner, attribute)?;
        if attribute == "inblob" && inner.lost > 0 {
            inner.lost -= 1;
            return Ok(bytes.len());
        }
        if let Some(taken) = inner.short.take_if(|_| attribute == "inblob") {
            return Ok(taken);
        }
        let report = inner.entries.get_mut(entry).ok_or(io::Error::from_raw_os_error(ENOENT))?;
        match attribute {
            "inblob" => report.inblob = Some(bytes.to_vec()),
            "privlevel" if self.provider == "sev_guest" => {
                let level: u32 = String::from_utf8(bytes.to_vec()).unwrap().parse().unwrap();
                let floor: u32 = self.floor.parse().unwrap();
                if !(floor..=3).contains(&level) {
                    return Err(io::Error::from_raw_os_error(EINVAL));
                }
                report.privlevel = level;
            }
            _ => return Err(io::Error::from_raw_os_error(EACCES)),
        }
        report.written += 1;
        Ok(bytes.len())
    }

    fn pause(&self, _wait: Duration) {
        self.inner().pauses += 1;
    }
}

/// Evidence as the kernel hands it out.
pub fn outblob(evidence: &Evidence) -> Vec<u8> {
    match evidence {
        Evidence::Snp(report) => report.report.to_vec(),
        Evidence::Tdx(quote) => {
            let mut padded = quote.quote.to_vec();
            padded.resize(padded.len().max(8_000), 0);
            padded
        }
    }
}

/// A certificate table of these entries, as a host writes it.
pub fn table(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut offset = (entries.len() + 1) * 24;
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for (guid, bytes) in entries {
        let digits = guid.replace('-', "");
        head.extend((0..32).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()));
        head.extend_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
        head.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        tail.extend_from_slice(bytes);
        offset += bytes.len();
    }
    head.extend_from_slice(&[0; 24]);
    head.extend_from_slice(&tail);
    head
}

pub const VCEK: &str = "63da758d-e664-4564-adc5-f4b93be8accd";
pub const VLEK: &str = "a8074bc2-a25a-483e-aae6-39c045a0b8a1";
pub const ASK: &str = "4ab7b379-bbac-4fe4-a02f-05aef327c782";
pub const ARK: &str = "c0b406a4-a803-4952-9743-3fb6014cd0ae";
pub const CRL: &str = "92f81bc3-5811-4d3d-97ff-d19f88dc67ea";

fn table_of(endorsements: &Endorsements) -> Vec<u8> {
    match endorsements {
        Endorsements::Snp(chain) => table(&[(VCEK, &chain.vek), (ASK, &chain.ask), (CRL, &chain.crl)]),
        Endorsements::Tdx(_) => Vec::new(),
    }
}
