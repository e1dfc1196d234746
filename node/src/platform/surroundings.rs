//! What this machine shows of a TEE, before anything is asked of it.
//!
//! Decides: which paths are looked at, and the hints that follow when there is no way to evidence. All of it is for people: nothing a node
//! believes depends on it.
//! Trusts: nobody; a CPU flag is what the host lets the guest see. Out of scope: asking for evidence (`tsm`).
//! Source: Linux `Documentation/ABI/testing/configfs-tsm-report`, `drivers/virt/coco/*/Kconfig`, `arch/x86/include/asm/cpufeatures.h`.

use ringwall_wire::bounded::Blob;
use ringwall_wire::limits::EVENT_LOG_BYTES;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of a file of `/proc` or `/sys` that are read: the first CPU's flags are within 4 KiB.
const FILE_BYTES: u64 = 64 * 1024;
/// Letters of a name the firmware gives that are shown.
const NAME_LETTERS: usize = 64;
/// Devices of the guest drivers.
pub const DEVICES: [&str; 2] = ["/dev/sev-guest", "/dev/tdx_guest"];
/// Modules of the interface and of the drivers, by their older and newer names.
const MODULES: [&str; 4] = ["tsm_report", "tsm", "sev_guest", "tdx_guest"];
/// The firmware's log of boot events, as Linux shows the area its ACPI table CCEL names.
const EVENT_LOG: &str = "/sys/firmware/acpi/tables/data/CCEL";
/// CPU flags that speak of a TEE.
const FLAGS: [&str; 4] = ["sev", "sev_es", "sev_snp", "tdx_guest"];

/// Whether a path can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is not there.
    Absent,
    /// It is there, and this process may open it.
    There,
    /// It is there, and this process may not.
    Denied,
}

/// The places looked at; all of this machine's, or those below a folder that stands for it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    root: PathBuf,
    reports: PathBuf,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Release of the kernel; empty when it says none.
    pub kernel: String,
    /// Who built the machine, and what they call it; empty when it says nothing.
    pub machine: String,
    /// Flags of the CPU that speak of a TEE.
    pub flags: Vec<&'static str>,
    /// Whether configfs is mounted anywhere.
    pub configfs: bool,
    /// Loaded drivers; one that is built into the kernel may not be listed.
    pub modules: Vec<&'static str>,
    /// Devices of the guest drivers.
    pub devices: Vec<(&'static str, Presence)>,
    /// The report folder.
    pub reports: Presence,
}

impl Surroundings {
    /// Below `root`, with reports in `reports`.
    pub fn new(root: impl Into<PathBuf>, reports: impl Into<PathBuf>) -> Self {
        Surroundings { root: root.into(), reports: reports.into() }
    }

    /// Looks at all of it. Reads a few small files; what cannot be read counts as absent.
    pub fn look(&self) -> Findings {
        let flags = self.text("/proc/cpuinfo");
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
        let mounted = |line: &str| line.split(' ').nth(2) == Some("configfs");
        let dmi = ["sys_vendor", "product_name"].map(|name| self.name(&format!("/sys/class/dmi/id/{name}")));
        Findings {
            kernel: self.name("/proc/sys/kernel/osrelease"),
            machine: dmi.join(" ").trim().to_owned(),
            flags: FLAGS.into_iter().filter(|flag| flags.split_whitespace().any(|word| word == *flag)).collect(),
            configfs: self.text("/proc/self/mounts").lines().any(mounted),
            modules: MODULES.into_iter().filter(|name| self.at(&format!("/sys/module/{name}")).exists()).collect(),
            devices: DEVICES.into_iter().map(|device| (device, presence(File::open(self.at(device)).map(drop)))).collect(),
            reports: presence(std::fs::read_dir(&self.reports).map(drop)),
        }
    }

    /// The firmware's log of boot events (Intel); empty when the firmware leaves none, when this process may not read it, or when it is longer
    /// than any node sends.
    pub fn event_log(&self) -> Blob<EVENT_LOG_BYTES> {
        let mut bytes = Vec::new();
        let most = u64::try_from(EVENT_LOG_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        match File::open(self.at(EVENT_LOG)).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
            Ok(_) => Blob::new(bytes).unwrap_or_else(|_| {
                tracing::warn!(most = EVENT_LOG_BYTES, "the firmware's event log is too long and is left out");
                Blob::default()
            }),
            Err(fault) => {
                tracing::info!(%fault, "no event log of the firmware");
                Blob::default()
            }
        }
    }

    /// Where `path` of a machine is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The report folder.
    pub fn reports(&self) -> &Path {
        &self.reports
    }

    fn text(&self, path: &str) -> String {
        let mut bytes = Vec::new();
        let read = File::open(self.at(path)).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// A name the firmware or the kernel gave, made safe to show.
    fn name(&self, path: &str) -> String {
        let letters = self.text(path);
        letters.trim().chars().filter(|letter| letter.is_ascii_graphic() || *letter == ' ').take(NAME_LETTERS).collect()
    }
}

fn presence(opened: std::io::Result<()>) -> Presence {
    match opened.map_err(|fault| fault.kind()) {
        Ok(()) => Presence::There,
        Err(ErrorKind::PermissionDenied) => Presence::Denied,
        // Busy devices and the like are there.
        Err(kind) if kind != ErrorKind::NotFound && kind != ErrorKind::NotADirectory => Presence::There,
        Err(_) => Presence::Absent,
    }
}

impl Findings {
    /// Why there is no way to evidence, and what to do; empty when there is one.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        match self.reports {
            Presence::There => return hints,
            Presence::Denied => hints.push("this process may not read the report folder: run it as root".to_owned()),
            Presence::Absent if !self.configfs => hints.push(
                "configfs is not mounted: `mount -t configfs none /sys/kernel/config` (the kernel needs CONFIG_CONFIGFS_FS)".to_owned(),
            ),
            Presence::Absent => hints.push(
                "the kernel shows no report folder: it needs Linux 6.7 or newer with CONFIG_TSM_REPORTS, and CONFIG_SEV_GUEST (`modprobe \
                 sev-guest`) or CONFIG_TDX_GUEST_DRIVER (`modprobe tdx-guest`)"
                    .to_owned(),
            ),
        }
        let there: Vec<&str> = self.devices.iter().filter(|(_, found)| *found != Presence::Absent).map(|(device, _)| *device).collect();
        if !there.is_empty() {
            hints.push(format!("{} is there, so the guest driver is loaded and only the report folder is missing", there.join(" and ")));
        }
        match self.flags.as_slice() {
            [] => hints.push("the CPU shows neither `sev_snp` nor `tdx_guest`: this may be no confidential VM at all".to_owned()),
            flags if !flags.contains(&"sev_snp") && !flags.contains(&"tdx_guest") => hints.push(
                "the CPU shows SEV without SNP: memory is encrypted, and nothing can be attested; launch the guest with SNP".to_owned(),
            ),
            _ => {}
        }
        if self.machine.starts_with("Microsoft") {
            hints.push(
                "this looks like an Azure guest below a paravisor: its reports are made by the paravisor over the paravisor's own data, and \
                 Ringwall does not support them (deploy/HARDWARE.md)"
                    .to_owned(),
            );
        }
        hints
    }
}
