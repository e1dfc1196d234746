//! Cases of measurements: what a guest was started with and the launch digest that gives, or an event log and the registers it replays to.
//!
//! Decides: how the three published forms are told apart (by what is in them, never by their names) and read: lists of launch digests, one
//! guest's measured inputs, event logs beside a quote. Trusts: the stated digest, and the quote for its registers, which `tdx` cases verify.
//! Out of scope: measuring and replaying (`ringwall-attest`). docs/conformance.md, "Measurements".

use super::case::{self, CaseError, number};
use super::judge::variant;
use super::place::{Place, below};
use ringwall_attest::EventLog;
use ringwall_attest::launch::{self, BootHashes, Firmware, Guest, LaunchError, Section, SectionKind, Vmm, vcpu_signature};
use ringwall_wire::policy::{MeasurementRegister, Rtmr};
use ringwall_wire::text::{read_hex, read_hex_vec};
use serde_json::Value;
use std::path::Path;

/// RTMR0 in a TD report; the other three follow it. Source: Intel TDX DCAP quoting library API, "TD quote body".
const RTMR0_AT: usize = 328;
const REGISTER_BYTES: usize = 48;
/// Types dstack gives its events begin with this one; the number does not matter to a replay.
const EVENT_TAG: u32 = 6;

/// EV_NO_ACTION: notes that extend nothing.
const NO_ACTION: u64 = 3;

/// A case of a measurement.
#[derive(Clone, Debug)]
pub struct MeasurementCase {
    /// File or folder, and the entry in it.
    pub(super) id: String,
    /// What the case itself says, for people.
    pub(super) stated: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// One guest, as JSON, and the folder its files are in.
    Launch { inputs: Value, folder: Place },
    /// A log, a quote, and whether they should fit.
    Replay { log: Vec<u8>, quote: Vec<u8>, fits: bool },
}

/// How a measurement came out.
pub(super) struct Measured {
    pub(super) expected: String,
    pub(super) got: String,
    pub(super) agrees: bool,
    pub(super) refusal: String,
    pub(super) reason: String,
}

/// The cases in one JSON file of a measurement folder.
pub(super) fn of_file(place: &Place) -> Result<Vec<MeasurementCase>, CaseError> {
    let bytes = place.read()?;
    let path = place.path();
    let not_json = |reason: String| CaseError::NotJson { path: path.to_owned(), reason };
    let json: Value = serde_json::from_slice(&bytes).map_err(|error| not_json(error.to_string()))?;
    let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = place.above().unwrap_or_else(|| place.clone());
    let launch = |name: &str, inputs: &Value| MeasurementCase {
        id: if name.is_empty() { file.clone() } else { format!("{file}#{name}") },
        stated: text(&json, "what").to_owned(),
        what: What::Launch { inputs: inputs.clone(), folder: folder.clone() },
    };
    if let Some(list) = json.get("cases").and_then(Value::as_array) {
        let name = |at: usize, inputs: &Value| inputs.get("name").and_then(Value::as_str).map_or_else(|| at.to_string(), str::to_owned);
        return Ok(list.iter().enumerate().map(|(at, inputs)| launch(&name(at, inputs), inputs)).collect());
    }
    if let Some(inputs) = json.get("inputs").filter(|inputs| inputs.is_object()) {
        return Ok(vec![launch("", inputs)]);
    }
    if let Some(data) = json.get("data").filter(|data| data.get("event_log").is_some()) {
        let unusable = || CaseError::UnknownKind { path: path.to_owned(), kind: "an event log or quote that cannot be read".to_owned() };
        let quote = read_hex_vec(&text(data, "quote").trim().to_ascii_lowercase()).ok_or_else(unusable)?;
        let log = log_of_json(data.get("event_log").unwrap_or(&Value::Null)).ok_or_else(unusable)?;
        let what = What::Replay { log, quote, fits: fits(&json).ok_or_else(|| unknown_expect(path, &json))? };
        return Ok(vec![MeasurementCase { id: file, stated: text(&json, "what").to_owned(), what }]);
    }
    Err(CaseError::UnknownKind { path: path.to_owned(), kind: "a JSON file without cases, inputs or an event log".to_owned() })
}

/// A folder with a firmware's event log and a quote.
pub(super) fn of_folder(folder: &Place) -> Result<MeasurementCase, CaseError> {
    let facts = case::facts(folder)?;
    let file = |name: &str| {
        let missing = || CaseError::Missing { path: folder.path().to_owned(), name: name.to_owned() };
        folder.first(&[name])?.ok_or_else(missing)
    };
    let name = folder.name();
    let id = facts.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).unwrap_or(&name).to_owned();
    let fits = fits(&facts).ok_or_else(|| unknown_expect(folder.path(), &facts))?;
    let what = What::Replay { log: file("ccel.bin")?, quote: file("quote.bin")?, fits };
    Ok(MeasurementCase { id, stated: text(&facts, "notes").to_owned(), what })
}

/// Measures or replays.
pub(super) fn judge(case: &MeasurementCase) -> Result<Measured, String> {
    match &case.what {
        What::Launch { inputs, folder } => judge_launch(inputs, folder),
        What::Replay { log, quote, fits } => Ok(judge_replay(log, quote, *fits)),
    }
}

fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether registers should fit: words such as "all four RTMRs match"; a file without the word says what was published, which fits.
fn fits(json: &Value) -> Option<bool> {
    let words = match json.get("expect") {
        None => return Some(true),
        Some(words) => words.as_str()?.to_ascii_lowercase(),
    };
    if ["mismatch", "reject", "differ", "not match", "no match"].iter().any(|word| words.contains(word)) {
        return Some(false);
    }
    ["match", "accept", "equal"].iter().any(|word| words.contains(word)).then_some(true)
}

fn unknown_expect(path: &Path, json: &Value) -> CaseError {
    CaseError::UnknownExpect { path: path.to_owned(), expect: text(json, "expect").chars().take(80).collect() }
}

fn judge_launch(inputs: &Value, folder: &Place) -> Result<Measured, String> {
    let expected = [text(inputs, "expected"), text(inputs, "expected_measurement")].concat().trim().to_ascii_lowercase();
    let wanted = match expected.as_str() {
        "error" | "fail" | "reject" => None,
        digest => Some(MeasurementRegister(read_hex(digest).ok_or("the expected digest is not 48 bytes in hex, nor \"error\"")?)),
    };
    let mut results = Vec::new();
    for vmm in vmms(text(inputs, "vmm"))? {
        results.push(measure(inputs, folder, vmm)?);
    }
    // Amazon has launched guests in two ways: a digest of either is one of EC2's
    let fitting = results.iter().position(|result| result.as_ref().ok() == wanted.as_ref() && wanted.is_some());
    let result = results.swap_remove(fitting.unwrap_or(0));
    let agrees = match (&result, wanted) {
        (Ok(digest), Some(wanted)) => *digest == wanted,
        (Err(_), None) => true,
        _ => false,
    };
    Ok(Measured {
        expected: wanted.map_or_else(|| "error".to_owned(), |digest| brief(&digest)),
        got: result.as_ref().map_or_else(|_| "error".to_owned(), brief),
        agrees,
        refusal: result.as_ref().err().map(variant).unwrap_or_default(),
        reason: result.map_or_else(|error| error.to_string(), |digest| format!("launch digest {digest}")),
    })
}

fn brief(digest: &MeasurementRegister) -> String {
    digest.to_string().chars().take(16).collect()
}

fn vmms(name: &str) -> Result<Vec<Vmm>, String> {
    match name.to_ascii_lowercase().as_str() {
        "" | "qemu" | "kvm" => Ok(vec![Vmm::Qemu]),
        "ec2" => Ok(vec![Vmm::Ec2Until2026, Vmm::Ec2]),
        other => Err(format!("hypervisor {other:?} is not one this version can measure for (QEMU, EC2)")),
    }
}

/// The launch digest, or why there is none. The outer error is the case's: facts that are missing or cannot be read.
fn measure(inputs: &Value, folder: &Place, vmm: Vmm) -> Result<Result<MeasurementRegister, LaunchError>, String> {
    let unreadable = |key: &str| format!("{key} is missing or cannot be read");
    let vcpus = inputs.get("vcpus").and_then(number).and_then(|vcpus| u32::try_from(vcpus).ok()).ok_or_else(|| unreadable("vcpus"))?;
    let features = inputs.get("guest_features").and_then(number).ok_or_else(|| unreadable("guest_features"))?;
    let signature = vcpu(inputs).ok_or_else(|| unreadable("vcpu_type"))?;
    let boot = boot(inputs, folder)?;
    let guest = Guest { vmm, vcpus, vcpu_signature: signature, guest_features: features, boot };
    Ok(firmware(inputs, folder)?.and_then(|firmware| launch::digest(&firmware, &guest)))
}

fn vcpu(inputs: &Value) -> Option<u32> {
    if let Some(given) = inputs.get("vcpu_sig").and_then(number) {
        return u32::try_from(given).ok();
    }
    let name = text(inputs, "vcpu_type");
    vcpu_signature(name).or_else(|| vcpu_signature(&qemu_name(name.rsplit("::").next()?)))
}

/// QEMU's name for a type as Rust crates write it: `EpycMilanV1` is `EPYC-Milan-v1`.
fn qemu_name(variant: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for letter in variant.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_ascii_uppercase() => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    let spelled = words.iter().map(|word| match word.as_str() {
        "Epyc" => "EPYC".to_owned(),
        "Ibpb" => "IBPB".to_owned(),
        version if version.starts_with('V') => version.to_ascii_lowercase(),
        name => name.to_owned(),
    });
    spelled.collect::<Vec<_>>().join("-")
}

/// Hashes of what is booted: given as such, as a file's, or as those of an empty file; none without a kernel.
fn boot(inputs: &Value, folder: &Place) -> Result<Option<BootHashes>, String> {
    let cmdline = text(inputs, "cmdline");
    let Some(kernel) = blob_hash(inputs, "kernel", folder)? else { return Ok(None) };
    let nothing = BootHashes::new(&[], &[], cmdline);
    let initrd = blob_hash(inputs, "initrd", folder)?.unwrap_or(nothing.initrd);
    Ok(Some(BootHashes { kernel, initrd, cmdline: nothing.cmdline }))
}

fn blob_hash(inputs: &Value, key: &str, folder: &Place) -> Result<Option<[u8; 32]>, String> {
    let given = text(inputs, &format!("{key}_hash"));
    if !given.is_empty() {
        return read_hex(&given.to_ascii_lowercase()).map(Some).ok_or_else(|| format!("{key}_hash is not 32 bytes in hex"));
    }
    let words = text(inputs, key);
    let of = |bytes: &[u8]| Some(BootHashes::new(bytes, &[], "").kernel);
    match words {
        "" => Ok(None),
        words if words.contains("empty") => Ok(of(&[])),
        words => match read_hex(&words.to_ascii_lowercase()) {
            Some(hash) => Ok(Some(hash)),
            None => image(folder, words, key).map(|bytes| of(&bytes)),
        },
    }
}

fn image(folder: &Place, name: &str, key: &str) -> Result<Vec<u8>, String> {
    let inside = below(name).ok_or_else(|| format!("{key} {name:?} is no file beside the case"))?;
    folder.join(inside).read().map_err(|error| error.to_string())
}

/// The firmware: an image, an image whose pages are known by a digest, or the parts of one that is not at hand.
fn firmware(inputs: &Value, folder: &Place) -> Result<Result<Firmware, LaunchError>, String> {
    let image_digest = match text(inputs, "ovmf_hash") {
        "" => None,
        hex => Some(MeasurementRegister(read_hex(&hex.to_ascii_lowercase()).ok_or("ovmf_hash is not 48 bytes in hex")?)),
    };
    if !text(inputs, "ovmf").is_empty() {
        let whole = Firmware::parse(&image(folder, text(inputs, "ovmf"), "ovmf")?);
        return Ok(whole.and_then(|whole| match image_digest {
            None => Ok(whole),
            Some(digest) => Firmware::from_parts(digest, whole.sections().to_vec(), whole.hashes_table(), whole.ap_entry()),
        }));
    }
    let digest = image_digest.ok_or("neither ovmf nor ovmf_hash is given")?;
    let place = |key: &str| inputs.get(key).and_then(number).and_then(|place| u32::try_from(place).ok());
    let listed = inputs.get("ovmf_sections").and_then(Value::as_array).ok_or("ovmf_sections is missing")?;
    let mut sections = Vec::new();
    for (index, section) in listed.iter().enumerate() {
        let part = |key: &str| section.get(key).and_then(number).and_then(|part| u32::try_from(part).ok());
        let (Some(gpa), Some(bytes), Some(code)) = (part("gpa"), part("size"), part("type")) else {
            return Err(format!("section {index} of ovmf_sections cannot be read"));
        };
        match SectionKind::of_code(code) {
            Some(kind) => sections.push(Section { gpa, bytes, kind }),
            None => return Ok(Err(LaunchError::SectionType { index, got: code })),
        }
    }
    Ok(Firmware::from_parts(digest, sections, place("hashes_table_gpa"), place("reset_eip")))
}

fn judge_replay(log: &[u8], quote: &[u8], fits: bool) -> Measured {
    let words = |fits: bool| if fits { "registers match" } else { "registers differ" }.to_owned();
    let outcome = replay(log, quote);
    let (refusal, reason) = match &outcome {
        Ok(()) => (String::new(), "the log replays to RTMR0, RTMR1, RTMR2 and RTMR3 of the quote".to_owned()),
        Err((refusal, reason)) => (refusal.clone(), reason.clone()),
    };
    Measured { expected: words(fits), got: words(outcome.is_ok()), agrees: outcome.is_ok() == fits, refusal, reason }
}

fn replay(log: &[u8], quote: &[u8]) -> Result<(), (String, String)> {
    let log = EventLog::parse(log).map_err(|error| (variant(&error), error.to_string()))?;
    let body_at = if quote.first() == Some(&5) { 54 } else { 48 };
    for (register, index) in [(Rtmr::Rtmr0, 0), (Rtmr::Rtmr1, 1), (Rtmr::Rtmr2, 2), (Rtmr::Rtmr3, 3)] {
        let at = body_at + RTMR0_AT + index * REGISTER_BYTES;
        let signed = quote.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| MeasurementRegister(*bytes));
        let replayed = log.replay(register);
        if signed != Some(replayed) {
            let signed = signed.map_or_else(|| "missing".to_owned(), |signed| signed.to_string());
            return Err(("Mismatch".to_owned(), format!("{register} is {signed} in the quote, the log replays to {replayed}")));
        }
    }
    Ok(())
}

/// A list of `{ imr, digest }`, or text that is one, as the bytes of a log: what reads a firmware's log then reads this one too.
fn log_of_json(json: &Value) -> Option<Vec<u8>> {
    let parsed: Value;
    let list = match json {
        Value::String(text) => {
            parsed = serde_json::from_str(text).ok()?;
            parsed.as_array()?
        }
        json => json.as_array()?,
    };
    let spec_id = [b"Spec ID Event03\0".as_slice(), &[0; 4], &[0, 2, 0, 2], &1u32.to_le_bytes(), &[0x0c, 0, 48, 0], &[0]].concat();
    let mut log =
        [&1u32.to_le_bytes()[..], &3u32.to_le_bytes(), &[0; 20], &u32::try_from(spec_id.len()).ok()?.to_le_bytes(), &spec_id].concat();
    for event in list.iter().filter(|event| event.get("event_type").and_then(number) != Some(NO_ACTION)) {
        let index = event.get("imr").and_then(number).and_then(|imr| u32::try_from(imr).ok())?.checked_add(1)?;
        let digest: [u8; REGISTER_BYTES] = read_hex(&text(event, "digest").to_ascii_lowercase())?;
        for part in [&index.to_le_bytes()[..], &EVENT_TAG.to_le_bytes(), &1u32.to_le_bytes(), &[0x0c, 0], &digest, &0u32.to_le_bytes()] {
            log.extend_from_slice(part);
        }
    }
    Some(log)
}
