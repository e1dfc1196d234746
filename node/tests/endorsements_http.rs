//! Services of vendors over real sockets: honest ones with real documents, and everything else one can meet instead.
//! Decides: an honest answer becomes the exact document; every other one becomes a typed error, within the size and time limits.
//! Trusts: the vectors' documents. Out of scope: what becomes of a document (`endorsements_keeper.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::vendors;

use ringwall_node::endorsements::document::DocumentError;
use ringwall_node::endorsements::http::Http;
use ringwall_node::endorsements::kds::Kds;
use ringwall_node::endorsements::limits::{REPLY_CRL_BYTES, REPLY_HEAD_BYTES, RETRY_AFTER_MOST};
use ringwall_node::endorsements::part::Part;
use ringwall_node::endorsements::pcs::Pcs;
use ringwall_node::endorsements::source::{FetchError, Source};
use ringwall_node::endorsements::subject::Subject;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEndorsements};
use ringwall_wire::policy::{Fmspc, SnpProduct};
use std::sync::atomic::Ordering;
use std::time::Duration;
use vendors::{Act, Service, answer};

const FAMILY: Part = Part::IntelTcbInfo { fmspc: Fmspc([0x90, 0xc0, 0x6f, 0, 0, 0]) };
const LIST: Part = Part::AmdCrl { product: SnpProduct::Genoa };

/// Short enough for tests that wait for it.
fn impatient() -> Http {
    Http::within(Duration::from_millis(700))
}

fn patient() -> Http {
    Http::within(Duration::from_secs(20))
}

/// Fetches a list from a service that does this.
fn list_from(http: Http, acts: Vec<Act>) -> (FetchError, Service) {
    let service = Service::start(move |_, _| acts.clone());
    let fault = Kds::new(http, service.url.clone()).fetch(&LIST).expect_err("no such answer is a list");
    (fault, service)
}

fn ok_head(more: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\n{more}\r\n").into_bytes()
}

#[test]
fn amds_service_gives_the_exact_documents() {
    let Some(folder) = vendors::vectors() else { return };
    let real = vendors::genoa(&folder);
    let subject = Subject::of(&vendors::snp(&real.report), None).unwrap();
    let served = vendors::genoa(&folder);
    let service = Service::start(move |path, _| vec![Act::Send(vendors::kds_answer(&served, path))]);
    // A mirror may live below a path.
    let kds = Kds::new(patient(), format!("{}/mirror/amd", service.url));
    let got: Vec<_> = subject.parts().iter().map(|part| kds.fetch(part).unwrap()).collect();
    assert_eq!(got.iter().map(|document| document.bytes()).collect::<Vec<_>>(), [&real.vek, &real.ask, &real.crl]);
    let (crl, vek) = (got[2].edition(), got[0].edition());
    assert_eq!((crl.number, crl.issued_s, crl.expires_s), (4, 1_729_658_184, 1_762_131_600));
    assert!(vek.issued_s < real.now_s && real.now_s < vek.expires_s);
    // Together they are what verifies the report.
    let endorsements = SnpEndorsements { vek: blob(got[0].bytes()), ask: blob(got[1].bytes()), crl: blob(got[2].bytes()) };
    let anchors = ringwall_attest::Anchors::production();
    let verified = ringwall_attest::verify(&vendors::snp(&real.report), &Endorsements::Snp(endorsements), &anchors, real.now_s);
    assert!(verified.is_ok(), "{verified:?}");
}

fn blob<const MAX: usize>(bytes: &[u8]) -> ringwall_wire::bounded::Blob<MAX> {
    ringwall_wire::bounded::Blob::new(bytes).unwrap()
}

#[test]
fn intels_service_and_a_caching_one_give_the_exact_documents() {
    let Some(folder) = vendors::vectors() else { return };
    let all = vendors::collateral(&folder, vendors::TDX[1].0);
    let subject = Subject::of(&Evidence::Tdx(vendors::quote(&folder)), None).unwrap();
    let wanted = vendors::documents(subject.parts(), &Endorsements::Tdx(all.clone()));
    for cached in [false, true] {
        let served = all.clone();
        let service = Service::start(move |path, _| vec![Act::Send(vendors::pcs_answer(&served, path, cached))]);
        let root = if cached { "/sgx/certification/v4/rootcacrl" } else { "/IntelSGXRootCA.der" };
        let pcs = Pcs::new(patient(), service.url.clone(), format!("{}{root}", service.url));
        let got: Vec<_> = subject.parts().iter().map(|part| (part.clone(), pcs.fetch(part).unwrap())).collect();
        assert_eq!(got, wanted, "cached: {cached}");
        assert_eq!(service.count(), 4);
    }
}

#[test]
fn signed_json_is_kept_byte_for_byte_whatever_stands_around_it() {
    let Some(folder) = vendors::vectors() else { return };
    let all = vendors::collateral(&folder, vendors::TDX[1].0);
    let text = String::from_utf8(all.tcb_info.to_vec()).unwrap();
    let signature = ringwall_wire::text::hex(&all.tcb_info_signature).to_uppercase();
    let body = format!(" {{\r\n\t\"signature\" : \"{signature}\" ,\n  \"tcbInfo\" :   {text}  \n}} \n");
    let chain = vendors::encoded(&all.tcb_info_issuer_chain);
    let service = Service::start(move |_, _| vec![Act::Send(answer("200 OK", &[("tcb-info-issuer-chain", &chain)], body.as_bytes()))]);
    let document = Pcs::new(patient(), service.url.clone(), "").fetch(&FAMILY).unwrap();
    assert_eq!(document.bytes(), &all.tcb_info[..]);
    assert_eq!(document.signature(), &all.tcb_info_signature[..]);
    assert_eq!(document.chain(), &all.tcb_info_issuer_chain[..]);
}

#[test]
fn answers_that_are_too_long_are_refused_before_they_are_held() {
    let chunk = |len: usize| [format!("{len:x}\r\n").into_bytes(), vec![b'0'; len], b"\r\n".to_vec()].concat();
    let cases: [(&str, Vec<Act>); 5] = [
        ("declared", vec![Act::Send(ok_head("Content-Length: 600000000\r\n")), Act::Endless(vec![0; 65_536])]),
        ("undeclared", vec![Act::Send(ok_head("Connection: close\r\n")), Act::Endless(vec![0; 65_536])]),
        ("chunks without end", vec![Act::Send(ok_head("Transfer-Encoding: chunked\r\n")), Act::Endless(chunk(65_536))]),
        ("one byte more", vec![Act::Send(answer("200 OK", &[], &vec![0; REPLY_CRL_BYTES + 1]))]),
        (
            "a head without end",
            vec![Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Act::Endless(b"X-Filler: aaaaaaaaaaaaaaaaaaaa\r\n".repeat(64))],
        ),
    ];
    for (name, acts) in cases {
        let (fault, service) = list_from(patient(), acts);
        match &fault {
            FetchError::TooLarge { max, .. } => assert!([REPLY_CRL_BYTES, REPLY_HEAD_BYTES].contains(max), "{name}: {fault}"),
            // More headers than the parser takes is another way to say it.
            FetchError::Protocol { .. } => assert_eq!(name, "a head without end", "{fault}"),
            other => panic!("{name}: {other}"),
        }
        // What was taken off the wire before giving up fits into buffers of the two kernels.
        let sent = service.sent.load(Ordering::SeqCst);
        assert!(sent < 32 * 1024 * 1024, "{name}: {sent} bytes were taken");
    }
}

#[test]
fn services_that_are_slow_end_at_the_limit() {
    let cases: [(&str, Vec<Act>); 5] = [
        ("silence", vec![Act::Silence]),
        ("a head, byte by byte", vec![Act::Drip(ok_head(&"X: y\r\n".repeat(200)), 20)]),
        ("a body, byte by byte", vec![Act::Send(ok_head("Content-Length: 9000\r\n")), Act::Drip(vec![0x30; 9_000], 20)]),
        (
            "a chunk that does not come",
            vec![Act::Send(ok_head("Transfer-Encoding: chunked\r\n")), Act::Send(b"ff\r\nab".to_vec()), Act::Silence],
        ),
        ("continue, continue, continue", vec![Act::Drip(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(400), 2)]),
    ];
    for (name, acts) in cases {
        let (fault, _service) = list_from(impatient(), acts);
        assert!(matches!(fault, FetchError::Slow { .. }), "{name}: {fault:?}");
        assert!(fault.is_service());
    }
}

#[test]
fn connections_that_break_are_typed() {
    let cases: [(&str, Vec<Act>); 5] = [
        ("reset", vec![Act::Reset]),
        ("closed at once", vec![]),
        ("closed inside the head", vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec())]),
        ("closed inside the body", vec![Act::Send(ok_head("Content-Length: 900\r\n")), Act::Send(vec![0x30; 100])]),
        ("closed inside a chunk", vec![Act::Send(ok_head("Transfer-Encoding: chunked\r\n")), Act::Send(b"ff\r\nab".to_vec())]),
    ];
    for (name, acts) in cases {
        let (fault, _service) = list_from(patient(), acts);
        assert!(matches!(fault, FetchError::Unreachable { .. } | FetchError::Protocol { .. }), "{name}: {fault:?}");
    }
    // Nobody listens where a listener has just gone.
    let gone = Service::start(|_, _| Vec::new()).url.clone();
    let fault = Kds::new(patient(), gone).fetch(&LIST).unwrap_err();
    assert!(matches!(fault, FetchError::Unreachable { .. }), "{fault:?}");
    let fault = Kds::new(patient(), "https://no-such-host.invalid").fetch(&LIST).unwrap_err();
    assert!(matches!(fault, FetchError::Unreachable { .. }), "{fault:?}");
    // TLS to something that speaks none.
    let plain = Service::start(|_, _| vec![Act::Send(answer("200 OK", &[], b""))]);
    let fault = Kds::new(impatient(), plain.url.replace("http:", "https:")).fetch(&LIST).unwrap_err();
    assert!(fault.is_service(), "{fault:?}");
}

#[test]
fn statuses_redirects_and_waits_are_typed_and_nothing_is_followed() {
    for (line, code, header, wait, service) in [
        ("404 Not Found", 404, "x", None, false),
        ("400 Bad Request", 400, "x", None, false),
        ("429 Too Many Requests", 429, "7", Some(Duration::from_secs(7)), true),
        ("503 Service Unavailable", 503, "86400000", Some(RETRY_AFTER_MOST), true),
        ("500 Internal Server Error", 500, "-3", None, true),
        ("204 No Content", 204, "x", None, false),
    ] {
        let body: &[u8] = if code == 204 { b"" } else { b"try again" };
        let reply = answer(line, &[("Retry-After", header)], body);
        let (fault, _service) = list_from(patient(), vec![Act::Send(reply)]);
        assert!(matches!(&fault, FetchError::Status { status, retry_after, .. } if *status == code && *retry_after == wait), "{fault:?}");
        assert_eq!(fault.is_service(), service, "{fault}");
    }
    let target = Service::start(|_, _| vec![Act::Send(answer("200 OK", &[], b"0"))]);
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let reply = answer(status, &[("Location", &target.url)], b"");
        let (fault, _service) = list_from(patient(), vec![Act::Send(reply)]);
        assert!(matches!(fault, FetchError::Redirect { .. }), "{fault:?}");
    }
    assert_eq!(target.count(), 0);
}

#[test]
fn answers_of_another_kind_are_typed() {
    let html = answer("200 OK", &[("Content-Type", "text/html; charset=utf-8")], b"<html>sign in</html>");
    let packed = answer("200 OK", &[("Content-Encoding", "gzip")], &[0x1f, 0x8b, 8, 0]);
    for (name, bytes) in [
        ("a sign-in page", html),
        ("packed", packed),
        ("not HTTP", b"SSH-2.0-OpenSSH_9.9\r\n\r\n\r\n".to_vec()),
        ("a status that is none", b"HTTP/1.1 2x0 OK\r\n\r\n".to_vec()),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n012345".to_vec()),
        ("a negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n012345".to_vec()),
        ("a chunk of a length that is none", [ok_head("Transfer-Encoding: chunked\r\n"), b"zz\r\n00\r\n0\r\n\r\n".to_vec()].concat()),
        (
            "a chunk longer than memory",
            [ok_head("Transfer-Encoding: chunked\r\n"), b"fffffffffffffffff\r\n00\r\n0\r\n\r\n".to_vec()].concat(),
        ),
    ] {
        let (fault, _service) = list_from(impatient(), vec![Act::Send(bytes)]);
        assert!(matches!(fault, FetchError::Protocol { .. } | FetchError::Document { .. }), "{name}: {fault:?}");
    }
}

#[test]
fn bodies_that_are_no_document_are_typed() {
    let Some(folder) = vendors::vectors() else { return };
    let all = vendors::collateral(&folder, vendors::TDX[1].0);
    let (json, chain) = (String::from_utf8(all.tcb_info.to_vec()).unwrap(), vendors::encoded(&all.tcb_info_issuer_chain));
    let signature = ringwall_wire::text::hex(&all.tcb_info_signature);
    let good = format!("{{\"tcbInfo\":{json},\"signature\":\"{signature}\"}}");
    let header = "TCB-Info-Issuer-Chain";
    let fetch = |headers: Vec<(&str, String)>, body: String| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = answer("200 OK", &headers, body.as_bytes());
        let service = Service::start(move |_, _| vec![Act::Send(reply.clone())]);
        Pcs::new(patient(), service.url.clone(), "").fetch(&FAMILY)
    };
    assert!(fetch(vec![(header, chain.clone())], good.clone()).is_ok());
    let deep = "[".repeat(100_000);
    for (name, body) in [
        ("garbage", "}{".to_owned()),
        ("empty", String::new()),
        ("cut short", good[..good.len() - 2].to_owned()),
        ("something behind it", format!("{good}{good}")),
        ("the document twice", format!("{{\"tcbInfo\":{json},\"tcbInfo\":{json},\"signature\":\"{signature}\"}}")),
        ("the signature twice", format!("{{\"tcbInfo\":{json},\"signature\":\"{signature}\",\"signature\":\"{signature}\"}}")),
        ("a field nobody knows", format!("{{\"tcbInfo\":{json},\"signature\":\"{signature}\",\"more\":1}}")),
        ("no signature", format!("{{\"tcbInfo\":{json}}}")),
        ("a signature that is no hex", good.replace(&signature, &"zz".repeat(64))),
        ("a signature cut short", good.replace(&signature, &signature[2..])),
        ("a document that is a text", format!("{{\"tcbInfo\":\"x\",\"signature\":\"{signature}\"}}")),
        ("deep", deep),
        ("another family", good.replace("90C06F000000", "00806f050000")),
        ("of SGX", good.replace("\"id\":\"TDX\"", "\"id\":\"SGX\"")),
        ("a number twice", good.replace("\"version\":3", "\"version\":3,\"version\":3")),
        ("a date that is none", good.replace("\"issueDate\":\"2026-", "\"issueDate\":\"9026-99-")),
    ] {
        assert_ne!(body, good, "{name}");
        let fault = fetch(vec![(header, chain.clone())], body).expect_err(name);
        assert!(matches!(fault, FetchError::Document { .. }), "{name}: {fault:?}");
        assert!(!fault.is_service());
    }
    for (name, headers) in [
        ("no chain", vec![]),
        ("two chains", vec![(header, chain.clone()), (header, chain.clone())]),
        ("a chain that is no PEM", vec![(header, "nothing".to_owned())]),
        ("an empty chain", vec![(header, String::new())]),
        ("a chain of many", vec![(header, vendors::encoded(vendors::pem(&[0x30, 0]).repeat(5).as_bytes()))]),
        ("a chain far too long", vec![(header, "A".repeat(17 * 1024))]),
    ] {
        let fault = fetch(headers, good.clone()).expect_err(name);
        assert!(matches!(fault, FetchError::Document { .. }), "{name}: {fault:?}");
    }
}

#[test]
fn a_service_has_its_own_vendors_documents_only() {
    let other = Kds::new(patient(), "http://127.0.0.1:1").fetch(&Part::IntelQeIdentity).unwrap_err();
    assert!(matches!(other, FetchError::NotServed { .. }));
    let other = Pcs::new(patient(), "http://127.0.0.1:1", "").fetch(&LIST).unwrap_err();
    assert!(matches!(other, FetchError::NotServed { .. }));
    let garbage = Service::start(|_, _| vec![Act::Send(answer("200 OK", &[], b"0\x80garbage"))]);
    for part in ["amd-genoa-crl", "amd-genoa-ask"] {
        let fault = Kds::new(patient(), garbage.url.clone()).fetch(&part.parse().unwrap()).unwrap_err();
        assert!(matches!(fault, FetchError::Document { cause: DocumentError::Malformed { .. }, .. }), "{fault:?}");
    }
}
