//! From the artefacts of a build to what every shape of guest will report.
//!
//! Decides: what is read how often, which shapes there are, and for each register of a TD whether it is predicted or recorded: an event log stands in
//! only for what the artefacts leave open, and has to agree with them in everything else.
//! Trusts: nothing it reads. Out of scope: the arithmetic (`ringwall_attest::launch`); whether the log is that of a genuine machine: whoever recorded
//! it compared its replay with a verified quote.

use super::artefact::{Artefact, Role, Streamed, streamed, whole};
use super::build_file::{Boot, BuildFile, BuiltImage, Handover, Order, ShapeFile, SnpImage, TdxImage, VmmName};
use super::error::MeasureError;
use super::{MeasurementSet, SnpMeasurement, TdxMeasurement};
use ringwall_attest::EventLog;
use ringwall_attest::launch::td::{
    AcpiFiles, HeaderFill, PageOrder, TdError, TdFirmware, first_events, kernel_as_handed_over, kernel_digest, kernel_events,
    machine_events, payload_events, register,
};
use ringwall_attest::launch::{BootHashes, Firmware, Guest, Vmm, digest, vcpu_signature};
use ringwall_wire::policy::{MeasurementRegister, Rtmr};
use sha2::{Digest as _, Sha384};
use std::path::Path;

/// Told how far reading has come: which artefact, bytes read, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(Role, u64, u64);

const MIB: u64 = 1024 * 1024;

/// What a build will measure to, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Every shape of which all is known.
    pub set: MeasurementSet,
    /// What was read, in order.
    pub artefacts: Vec<Artefact>,
    /// Where the registers of each of the set's TDs come from, in its order.
    pub origins: Vec<Origins>,
    /// Shapes of which RTMR0 is not known.
    pub incomplete: Vec<Incomplete>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the artefacts alone.
    Predicted,
    /// From the event log of a boot.
    Recorded,
    /// The build file says so.
    Stated,
}

impl Origin {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Predicted => "predicted",
            Origin::Recorded => "recorded",
            Origin::Stated => "stated",
        }
    }
}

/// Where the registers of one TD come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origins {
    /// MRTD.
    pub mrtd: Origin,
    /// RTMR0 to RTMR2.
    pub rtmrs: [Origin; 3],
}

/// A shape of a TD of which the artefacts do not determine RTMR0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// Its name.
    pub shape: String,
    /// MRTD.
    pub mrtd: MeasurementRegister,
    /// RTMR1.
    pub rtmr1: MeasurementRegister,
    /// RTMR2.
    pub rtmr2: MeasurementRegister,
}

/// Predicts what the build in the build file at `path` will measure to. Reads every artefact once; the time is that of hashing them.
pub fn predict(path: &Path, progress: Progress<'_>) -> Result<Prediction, MeasureError> {
    let image = BuildFile::read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = Reader { folder, progress, artefacts: Vec::new() };
    let booted = booted(&mut reader, &image)?;
    let mut prediction = Prediction {
        set: MeasurementSet { build_id: image.build_id.clone(), svn: image.svn, snp: Vec::new(), tdx: Vec::new() },
        artefacts: Vec::new(),
        origins: Vec::new(),
        incomplete: Vec::new(),
    };
    if let Some(snp) = &image.snp {
        prediction.set.snp = launch_digests(&mut reader, snp, &booted)?;
    }
    if let Some(tdx) = &image.tdx {
        registers(&mut reader, tdx, &booted, &mut prediction)?;
    }
    prediction.artefacts = reader.artefacts;
    Ok(prediction)
}

/// Reads artefacts and remembers which.
struct Reader<'a> {
    folder: &'a Path,
    progress: Progress<'a>,
    artefacts: Vec<Artefact>,
}

impl Reader<'_> {
    fn whole(&mut self, role: Role, path: &Path) -> Result<Vec<u8>, MeasureError> {
        let (artefact, contents) = whole(role, self.folder, path, &mut |done, all| (self.progress)(role, done, all))?;
        self.artefacts.push(artefact);
        Ok(contents)
    }

    fn streamed(&mut self, role: Role, path: &Path) -> Result<Streamed, MeasureError> {
        let streamed = streamed(role, self.folder, path, &mut |done, all| (self.progress)(role, done, all))?;
        self.artefacts.push(streamed.artefact.clone());
        Ok(streamed)
    }

    fn sha384(&mut self, role: Role, path: &Path) -> Result<MeasurementRegister, MeasureError> {
        Ok(MeasurementRegister(Sha384::digest(self.whole(role, path)?).into()))
    }
}

/// What is started directly.
struct Booted {
    kernel: Option<Vec<u8>>,
    initrd: Option<Streamed>,
    cmdline: String,
    payload: Vec<MeasurementRegister>,
}

/// Reads kernel and initrd; those of a built image have to be the ones that were built.
fn booted(reader: &mut Reader<'_>, image: &BuildFile) -> Result<Booted, MeasureError> {
    let (kernel, initrd, cmdline) = match &image.image {
        Some(path) => {
            let built = BuiltImage::read(&reader.folder.join(path))?;
            let beside = |file: &Path| path.parent().unwrap_or(Path::new("")).join(file);
            let kernel = reader.whole(Role::Kernel, &beside(&built.kernel.file))?;
            reader.artefacts.last().map_or(Ok(()), |artefact| built.kernel.is(artefact))?;
            let initrd = reader.streamed(Role::Initrd, &beside(&built.initrd.file))?;
            built.initrd.is(&initrd.artefact)?;
            (Some(kernel), Some(initrd), built.command_line)
        }
        None => {
            let kernel = image.kernel.as_deref().map(|path| reader.whole(Role::Kernel, path)).transpose()?;
            let initrd = image.initrd.as_deref().map(|path| reader.streamed(Role::Initrd, path)).transpose()?;
            (kernel, initrd, image.cmdline.clone())
        }
    };
    // Refuses command lines that programs read differently, on either platform.
    let payload = payload_events(&cmdline, initrd.as_ref().map(|initrd| initrd.sha384))?;
    Ok(Booted { kernel, initrd, cmdline, payload })
}

fn launch_digests(reader: &mut Reader<'_>, snp: &SnpImage, booted: &Booted) -> Result<Vec<SnpMeasurement>, MeasureError> {
    let firmware = Firmware::parse(&reader.whole(Role::SnpFirmware, &snp.firmware)?)?;
    let mut boot = BootHashes::new(booted.kernel.as_deref().unwrap_or_default(), &[], &booted.cmdline);
    if let Some(initrd) = &booted.initrd {
        boot.initrd = initrd.artefact.sha256.0;
    }
    let vmm = match snp.vmm {
        VmmName::Qemu => Vmm::Qemu,
        VmmName::Ec2 => Vmm::Ec2,
        VmmName::Ec2Until2026 => Vmm::Ec2Until2026,
    };
    let mut shapes = Vec::new();
    for model in &snp.models {
        let vcpu_signature = vcpu_signature(model).ok_or_else(|| MeasureError::Model { name: model.clone() })?;
        for vcpus in &snp.vcpus {
            let guest = Guest { vmm, vcpus: *vcpus, vcpu_signature, guest_features: snp.guest_features, boot: Some(boot.clone()) };
            shapes.push(SnpMeasurement { vcpus: *vcpus, model: model.clone(), digest: digest(&firmware, &guest)? });
        }
    }
    Ok(shapes)
}

/// What the artefacts say of a register: its first events, or all of them.
struct Known {
    events: Vec<MeasurementRegister>,
    whole: bool,
}

impl Known {
    const NOTHING: Known = Known { events: Vec::new(), whole: false };

    /// The register's value: predicted where all events are, recorded where a log has the rest; none where neither is there.
    fn settle(&self, shape: &str, log: Option<&EventLog>, of: Rtmr) -> Result<Option<(MeasurementRegister, Origin)>, MeasureError> {
        if let Some(log) = log {
            let logged: Vec<MeasurementRegister> = log.of(of).map(|event| event.digest).collect();
            let compared = if self.whole { self.events.len().max(logged.len()) } else { self.events.len() };
            for at in 0..compared {
                let (predicted, logged) = (self.events.get(at).copied(), logged.get(at).copied());
                if predicted != logged {
                    let register = register_name(of);
                    return Err(MeasureError::LogContradicts { shape: shape.to_owned(), register, at, predicted, logged });
                }
            }
        }
        Ok(match (self.whole, log) {
            (true, _) => Some((register(&self.events), Origin::Predicted)),
            (false, Some(log)) => Some((log.replay(of), Origin::Recorded)),
            (false, None) => None,
        })
    }
}

fn register_name(register: Rtmr) -> &'static str {
    match register {
        Rtmr::Rtmr0 => "RTMR0",
        Rtmr::Rtmr1 => "RTMR1",
        Rtmr::Rtmr2 => "RTMR2",
        Rtmr::Rtmr3 => "RTMR3",
    }
}

fn registers(reader: &mut Reader<'_>, tdx: &TdxImage, booted: &Booted, to: &mut Prediction) -> Result<(), MeasureError> {
    let image = tdx.firmware.as_deref().map(|path| reader.whole(Role::TdxFirmware, path)).transpose()?;
    let firmware = image.as_deref().map(TdFirmware::parse).transpose()?;
    let order = match tdx.page_order {
        Order::Interleaved => PageOrder::Interleaved,
        Order::AddedFirst => PageOrder::AddedFirst,
    };
    let (mrtd, of_mrtd) = match (&firmware, &tdx.mrtd) {
        (Some(firmware), _) => (firmware.mrtd(order), Origin::Predicted),
        (None, text) => (text.as_deref().and_then(|text| text.parse().ok()).ok_or(MeasureError::Mrtd)?, Origin::Stated),
    };
    for shape in &tdx.shapes {
        let log = shape.event_log.as_deref().map(|path| read_log(reader, &shape.name, path)).transpose()?;
        let machine = machine(reader, firmware.as_ref(), shape, log.is_some())?;
        let kernel = kernel(tdx, shape, booted)?;
        let payload = match tdx.boot {
            Boot::Kernel => Known { events: booted.payload.clone(), whole: true },
            Boot::Recorded => Known::NOTHING,
        };
        let settle = |known: &Known, of| known.settle(&shape.name, log.as_ref(), of);
        let (rtmr0, rtmr1, rtmr2) = (settle(&machine, Rtmr::Rtmr0)?, settle(&kernel, Rtmr::Rtmr1)?, settle(&payload, Rtmr::Rtmr2)?);
        let missing = MeasureError::Contradiction { reason: "a shape that records its boot needs an `event_log`" };
        let ((rtmr1, of_rtmr1), (rtmr2, of_rtmr2)) = rtmr1.zip(rtmr2).ok_or(missing)?;
        match rtmr0 {
            Some((rtmr0, of_rtmr0)) => {
                to.set.tdx.push(TdxMeasurement { shape: shape.name.clone(), mrtd, rtmr0, rtmr1, rtmr2 });
                to.origins.push(Origins { mrtd: of_mrtd, rtmrs: [of_rtmr0, of_rtmr1, of_rtmr2] });
            }
            None => to.incomplete.push(Incomplete { shape: shape.name.clone(), mrtd, rtmr1, rtmr2 }),
        }
    }
    Ok(())
}

fn read_log(reader: &mut Reader<'_>, shape: &str, path: &Path) -> Result<EventLog, MeasureError> {
    let bytes = reader.whole(Role::EventLog, path)?;
    EventLog::parse(&bytes).map_err(|source| MeasureError::Log { shape: shape.to_owned(), source })
}

/// What is known of RTMR0.
fn machine(reader: &mut Reader<'_>, firmware: Option<&TdFirmware<'_>>, shape: &ShapeFile, recorded: bool) -> Result<Known, MeasureError> {
    let Some(firmware) = firmware else { return Ok(Known::NOTHING) };
    let memory = shape.memory_mib.saturating_mul(MIB);
    if let Some(paths) = &shape.acpi {
        let acpi = AcpiFiles {
            loader: reader.sha384(Role::AcpiFile, &paths.loader)?,
            rsdp: reader.sha384(Role::AcpiFile, &paths.rsdp)?,
            tables: reader.sha384(Role::AcpiFile, &paths.tables)?,
        };
        return Ok(Known { events: machine_events(firmware, memory, &acpi)?, whole: true });
    }
    match first_events(firmware, memory) {
        Ok(events) => Ok(Known { events: events.to_vec(), whole: false }),
        // Variables that are set are in the log, if there is one.
        Err(TdError::Variables { .. }) if recorded => Ok(Known::NOTHING),
        Err(fault) => Err(fault.into()),
    }
}

/// What is known of RTMR1.
fn kernel(tdx: &TdxImage, shape: &ShapeFile, booted: &Booted) -> Result<Known, MeasureError> {
    let (Boot::Kernel, Some(kernel)) = (tdx.boot, &booted.kernel) else { return Ok(Known::NOTHING) };
    let digest = match tdx.kernel_handover {
        Handover::AsIs => kernel_digest(kernel)?,
        Handover::FilledIn => {
            let initrd_bytes = booted.initrd.as_ref().map_or(0, |initrd| initrd.artefact.bytes);
            let fill = HeaderFill { memory: shape.memory_mib.saturating_mul(MIB), initrd_bytes, cmdline: &booted.cmdline };
            kernel_digest(&kernel_as_handed_over(kernel, &fill)?)?
        }
    };
    Ok(Known { events: kernel_events(digest).to_vec(), whole: true })
}
