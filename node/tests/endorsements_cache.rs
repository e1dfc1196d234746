//! Endorsements on disk: whole or absent, whatever happened to the file; and what operators do with the files.
//! Decides: no damage of a file is taken for a document or stops a node; the folder stays small; order is kept when files are carried.
//! Trusts: the vectors' documents. Out of scope: whether documents are genuine (`endorsements_keeper.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::vendors;

use ringwall_attest::Anchors;
use ringwall_node::clock::Clock;
use ringwall_node::endorsements::cache::{Cache, FileError, Folder, Kept, decode, encode};
use ringwall_node::endorsements::cli::{Action, CliError, ServiceFlags, run};
use ringwall_node::endorsements::document::Document;
use ringwall_node::endorsements::limits::{CACHE_FILE_BYTES, CACHE_FILES};
use ringwall_node::endorsements::part::Part;
use ringwall_node::endorsements::settings::{Origin, Settings};
use ringwall_node::endorsements::source::{FetchError, Source as _};
use ringwall_node::endorsements::subject::Subject;
use ringwall_node::platform::store::EndorsementStore as _;
use ringwall_node::{endorsements, entropy};
use ringwall_wire::evidence::{Endorsements, Evidence};
use ringwall_wire::policy::{SnpProduct, SnpTcb};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vendors::{Act, Service, TDX, answer};

/// Intel's real documents of one date.
fn intel(folder: &Path, at: usize) -> Vec<Kept> {
    let subject = Subject::of(&Evidence::Tdx(vendors::quote(folder)), None).unwrap();
    let all = Endorsements::Tdx(vendors::collateral(folder, TDX[at].0));
    let documents = vendors::documents(subject.parts(), &all);
    documents.into_iter().map(|(part, document)| Kept { part, document, fetched_s: TDX[at].1 }).collect()
}

fn clock(now_s: u64) -> Clock {
    Arc::new(move || now_s * 1_000)
}

#[test]
fn a_file_is_whole_or_absent() {
    let Some(folder) = vendors::vectors() else { return };
    for kept in intel(&folder, 0) {
        let file = encode(&kept);
        assert_eq!(decode(&file), Ok(kept.clone()));
        for len in (0..file.len()).step_by(37).chain([file.len() - 1]) {
            assert!(matches!(decode(&file[..len]), Err(FileError::Damaged { .. })), "{len} bytes of {}", kept.part);
        }
        for at in (0..file.len()).step_by(29) {
            let mut damaged = file.clone();
            damaged[at] ^= 0x40;
            assert!(matches!(decode(&damaged), Err(FileError::Damaged { .. })), "byte {at} of {}", kept.part);
        }
        assert!(matches!(decode(&[file.as_slice(), b"x"].concat()), Err(FileError::Damaged { .. })));
    }
    assert!(matches!(decode(&vec![0; CACHE_FILE_BYTES + 1]), Err(FileError::TooLarge { .. })));
}

/// A frame with a right checksum around these fields.
fn frame(fields: &[&[u8]]) -> Vec<u8> {
    use sha2::Digest as _;
    let mut body = vec![0; 8];
    for field in fields {
        body.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
        body.extend_from_slice(field);
    }
    [b"RWE1".as_slice(), &sha2::Sha256::digest(&body), &body].concat()
}

#[test]
fn a_right_checksum_makes_no_document() {
    for (fields, damaged) in [
        (vec![b"intel-root-crl".as_slice(), b"", b""], true),
        (vec![b"intel-root-crl".as_slice(), b"", b"", b"", b""], true),
        (vec![b"../../etc/passwd".as_slice(), b"0", b"", b""], true),
        (vec![b"\xff\xfe".as_slice(), b"0", b"", b""], true),
        (vec![b"intel-root-crl".as_slice(), b"0\x80", b"", b""], false),
        (vec![b"intel-root-crl".as_slice(), b"0\x80", b"signature", b""], false),
    ] {
        match decode(&frame(&fields)) {
            Err(FileError::Damaged { .. }) => assert!(damaged, "{fields:?}"),
            Err(FileError::Document(_)) => assert!(!damaged, "{fields:?}"),
            other => panic!("{fields:?}: {other:?}"),
        }
    }
    let mut long = frame(&[b"intel-root-crl", b"", b"", b""]);
    long.truncate(4 + 32);
    assert!(decode(&long).is_err());
}

#[test]
fn files_are_replaced_as_a_whole_and_damage_counts_as_absent() {
    let Some(vectors) = vendors::vectors() else { return };
    let data = tempfile::tempdir().unwrap();
    let folder = endorsements::folder(data.path());
    let cache = Cache::open(folder.clone()).unwrap();
    assert!(!folder.exists(), "nothing is made before there is something to keep");
    assert!(cache.list().unwrap().is_empty());
    let (old, new) = (intel(&vectors, 0), intel(&vectors, 1));
    for kept in old.iter().chain(&new) {
        cache.save(kept).unwrap();
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let path = folder.join("intel-tdx-qe.rwe");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(cache.list().unwrap().len(), 4);
    for kept in &new {
        assert_eq!(cache.load(&kept.part).as_ref(), Ok(kept));
    }
    // What an interrupted write left is removed; the file it was for is untouched.
    std::fs::write(folder.join("intel-tdx-qe.rwe.new"), b"half").unwrap();
    let cache = Cache::open(folder.clone()).unwrap();
    assert!(!folder.join("intel-tdx-qe.rwe.new").exists());
    assert!(cache.load(&Part::IntelQeIdentity).is_ok());
    // Damage of every kind: absent, and named.
    std::fs::write(&path, &std::fs::read(&path).unwrap()[..100]).unwrap();
    assert!(matches!(cache.load(&Part::IntelQeIdentity), Err(FileError::Damaged { .. })));
    std::fs::copy(folder.join("intel-root-crl.rwe"), &path).unwrap();
    assert!(matches!(cache.load(&Part::IntelQeIdentity), Err(FileError::Damaged { what: "it has the name of another document" })));
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(cache.load(&Part::IntelQeIdentity), Err(FileError::TooLarge { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(cache.load(&Part::IntelQeIdentity), Err(FileError::Unreadable { .. })));
    // A node starts over such a folder, asks for what is missing, and says what it cannot keep.
    let all = vendors::collateral(&vectors, TDX[1].0);
    let served = all.clone();
    let service = Service::start(move |path, _| vec![Act::Send(vendors::pcs_answer(&served, path, true))]);
    let origin = Origin::Services {
        amd: service.url.clone(),
        intel: service.url.clone(),
        intel_root_crl: format!("{}/sgx/certification/v4/rootcacrl", service.url),
    };
    let settings = Settings { origin, ..Settings::default() };
    let keeper = endorsements::open(&settings, data.path(), Anchors::production(), clock(TDX[1].1), entropy::system().unwrap()).unwrap();
    assert_eq!(keeper.for_tdx(&vendors::quote(&vectors)).unwrap(), all);
}

#[test]
fn a_service_that_misbehaves_first_heals_later() {
    let Some(vectors) = vendors::vectors() else { return };
    let all = vendors::collateral(&vectors, TDX[1].0);
    let served = all.clone();
    let service = Service::start(move |path, number| match number {
        0 => vec![Act::Send(answer("429 Too Many Requests", &[("Retry-After", "9")], b""))],
        1 => vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec())],
        2 | 3 => vec![Act::Send(answer("200 OK", &[("Content-Type", "text/html")], b"<html>"))],
        _ => vec![Act::Send(vendors::pcs_answer(&served, path, false))],
    });
    let origin = Origin::Services {
        amd: service.url.clone(),
        intel: service.url.clone(),
        intel_root_crl: format!("{}/IntelSGXRootCA.der", service.url),
    };
    let now_ms = Arc::new(std::sync::atomic::AtomicU64::new(TDX[1].1 * 1_000));
    let read = now_ms.clone();
    let clock: Clock = Arc::new(move || read.load(std::sync::atomic::Ordering::SeqCst));
    let settings = Settings { origin, cache: false, ..Settings::default() };
    let data = tempfile::tempdir().unwrap();
    let keeper = endorsements::open(&settings, data.path(), Anchors::production(), clock, entropy::system().unwrap()).unwrap();
    let quote = vendors::quote(&vectors);
    let mut failures = Vec::new();
    let served = loop {
        match keeper.for_tdx(&quote) {
            Ok(served) => break served,
            Err(fault) => failures.push(fault.to_string()),
        }
        assert!(failures.len() < 10, "{failures:?}");
        let wait = keeper.due_in().as_secs();
        now_ms.fetch_add((wait + 1) * 1_000, std::sync::atomic::Ordering::SeqCst);
    };
    assert_eq!(served, all);
    assert!(failures[0].contains("HTTP status 429, asks to wait 9 s"), "{failures:?}");
    assert!(failures.last().unwrap().contains("longer than"), "{failures:?}");
    assert!(!endorsements::folder(data.path()).exists(), "the cache is off");
}

#[test]
fn the_folder_stays_small_and_spares_what_is_needed() {
    let Some(vectors) = vendors::vectors() else { return };
    let data = tempfile::tempdir().unwrap();
    let cache = Cache::open(data.path().join("kept")).unwrap();
    let vek = vendors::genoa(&vectors).vek;
    let part = |microcode| Part::AmdVlek { product: SnpProduct::Genoa, tcb: SnpTcb { fmc: 0, boot_loader: 0, tee: 0, snp: 0, microcode } };
    let wanted = [part(0), part(1)];
    for number in 0..(CACHE_FILES as u8 + 20) {
        let document = Document::der(&part(number), vek.clone()).unwrap();
        cache.save(&Kept { part: part(number), document, fetched_s: 0 }).unwrap();
    }
    std::fs::write(cache.folder().join("notes.txt"), b"the operator's").unwrap();
    cache.prune(&wanted).unwrap();
    let left = cache.list().unwrap();
    assert_eq!(left.len(), CACHE_FILES);
    assert!(wanted.iter().all(|part| cache.load(part).is_ok()));
    assert!(cache.folder().join("notes.txt").exists());
}

#[test]
fn a_folder_somebody_fills_is_a_source() {
    let Some(vectors) = vendors::vectors() else { return };
    let filled = tempfile::tempdir().unwrap();
    let source = Folder::new(filled.path().to_path_buf());
    let absent = source.fetch(&Part::IntelRootCrl).unwrap_err();
    assert!(matches!(&absent, FetchError::NotServed { part, .. } if part == "intel-root-crl"), "{absent}");
    assert!(!absent.is_service(), "other documents may be there");
    let kept = intel(&vectors, 1);
    for kept in &kept {
        std::fs::write(filled.path().join(format!("{}.rwe", kept.part)), encode(kept)).unwrap();
    }
    for kept in &kept {
        assert_eq!(source.fetch(&kept.part).as_ref(), Ok(&kept.document));
    }
    // Plain DER where a document is nothing else.
    let real = vendors::genoa(&vectors);
    std::fs::write(filled.path().join("amd-genoa-crl.der"), &real.crl).unwrap();
    let list = Part::AmdCrl { product: SnpProduct::Genoa };
    assert_eq!(source.fetch(&list).unwrap().bytes(), real.crl);
    std::fs::write(filled.path().join("amd-genoa-crl.rwe"), b"RWE1 and nothing").unwrap();
    assert!(matches!(source.fetch(&list), Err(FetchError::Protocol { .. })));
    // A node over it reaches nobody and serves.
    let settings = Settings { origin: Origin::Folder(filled.path().to_path_buf()), ..Settings::default() };
    let data = tempfile::tempdir().unwrap();
    let keeper = endorsements::open(&settings, data.path(), Anchors::production(), clock(TDX[1].1), entropy::system().unwrap()).unwrap();
    let served = keeper.for_tdx(&vendors::quote(&vectors)).unwrap();
    assert_eq!(served, vendors::collateral(&vectors, TDX[1].0));
}

fn told(action: Action) -> (Result<(), CliError>, String) {
    let mut out = Vec::new();
    let outcome = run(&action, &clock(TDX[1].1), &mut out);
    (outcome, String::from_utf8(out).unwrap())
}

#[test]
fn operators_fetch_carry_import_and_look() {
    let Some(vectors) = vendors::vectors() else { return };
    let (carried, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (outcome, text) = told(Action::Show { data: data.path().to_path_buf() });
    assert!(outcome.is_ok() && text.contains("no documents"), "{text}");
    let all = vendors::collateral(&vectors, TDX[1].0);
    let service = Service::start(move |path, _| vec![Act::Send(vendors::pcs_answer(&all, path, true))]);
    let names: Vec<Part> = intel(&vectors, 1).into_iter().map(|kept| kept.part).collect();
    let fetch = |names: Vec<Part>| Action::Fetch {
        out: carried.path().to_path_buf(),
        services: ServiceFlags { amd: Some(service.url.clone()), intel: Some(service.url.clone()), intel_root_crl: None },
        names,
    };
    let (outcome, text) = told(fetch(names.clone()));
    outcome.unwrap();
    assert!(text.contains("intel-tdx-tcb-90c06f000000: edition 18 of 2026-02-18T10:58:51Z, in force until 2026-03-20T10:58:51Z"), "{text}");
    assert!(matches!(told(fetch(vec![Part::AmdCrl { product: SnpProduct::Milan }])).0, Err(CliError::Fetch(FetchError::Status { .. }))));
    let files: Vec<PathBuf> = names.iter().map(|part| carried.path().join(format!("{part}.rwe"))).collect();
    let import = |files: &[PathBuf]| told(Action::Import { data: data.path().to_path_buf(), files: files.to_vec() }).0;
    import(&files).unwrap();
    let (_, text) = told(Action::Show { data: data.path().to_path_buf() });
    assert_eq!(text.lines().count(), 4, "{text}");
    // An older edition is not put over a newer one, and what is no document is refused.
    let old = carried.path().join("old.rwe");
    std::fs::write(&old, encode(&intel(&vectors, 0)[0])).unwrap();
    assert!(matches!(import(&[old]), Err(CliError::Older { .. })));
    let none = carried.path().join("none.rwe");
    std::fs::write(&none, b"none").unwrap();
    assert!(matches!(import(&[none]), Err(CliError::File { .. })));
    std::fs::write(endorsements::folder(data.path()).join("intel-tdx-qe.rwe"), b"damaged").unwrap();
    let (outcome, text) = told(Action::Show { data: data.path().to_path_buf() });
    assert!(outcome.is_ok() && text.contains("intel-tdx-qe.rwe: it is no file of endorsements"), "{text}");
}
