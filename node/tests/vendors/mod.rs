//! A vendor's service on this machine, honest or as bad as a test wants it, and real documents for it to hand out.
//! Decides: the services' real form of an answer (status, headers, body), from the shared vectors or from simulated vendors.
//! Trusts: the vectors' own verdicts. Out of scope: what is asserted. Vectors: `$RINGWALL_VECTORS` or `../shared/vectors` beside the workspace.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::indexing_slicing, dead_code)]

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use ringwall_node::endorsements::document::Document;
use ringwall_node::endorsements::part::Part;
use ringwall_node::endorsements::source::{FetchError, Source};
#[allow(unused_imports, reason = "each test binary uses a part")]
pub(crate) use ringwall_sim::published::vectors;
use ringwall_sim::published::{Case, Offered};
use ringwall_wire::bounded::Blob;
use ringwall_wire::evidence::{Endorsements, Evidence, SnpEvidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::text::hex;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One real quote, and Intel's real collateral for it at three times.
pub(crate) const TDX: [(&str, u64); 3] = [
    ("tdx-v5-v5-google-90c06f@2026-02-05", 1_770_249_600),
    ("tdx-v5-v5-google-90c06f@2026-03-01", 1_772_323_200),
    ("tdx-v5-v5-google-90c06f@2026-03-20", 1_773_964_800),
];

pub(crate) fn quote(folder: &Path) -> TdxEvidence {
    TdxEvidence {
        quote: Blob::new(std::fs::read(folder.join("tdx").join(TDX[0].0).join("quote.bin")).unwrap()).unwrap(),
        event_log: Blob::default(),
    }
}

/// Intel's collateral, as a node sends it.
pub(crate) fn collateral(folder: &Path, case: &str) -> TdxEndorsements {
    let Offered::Whole(offer) = Case::read(&folder.join("tdx").join(case)).unwrap().offer().unwrap() else {
        panic!("{case} lacks something")
    };
    let Endorsements::Tdx(endorsements) = offer.endorsements else { panic!("{case} is not Intel's") };
    endorsements
}

/// A real report with its VCEK, AMD's intermediate and AMD's list, all in force at the time given.
pub(crate) struct RealSnp {
    pub(crate) report: SnpEvidence,
    pub(crate) vek: Vec<u8>,
    pub(crate) ask: Vec<u8>,
    pub(crate) ark: Vec<u8>,
    pub(crate) crl: Vec<u8>,
    pub(crate) now_s: u64,
}

pub(crate) fn genoa(folder: &Path) -> RealSnp {
    let read = |name: &str| std::fs::read(folder.join("snp").join(name)).unwrap();
    RealSnp {
        report: SnpEvidence { report: Blob::new(read("genoa-v3-azure-openpcc/report.bin")).unwrap() },
        vek: read("genoa-v3-azure-openpcc/vek.der"),
        ask: read("roots/genoa/ask.der"),
        ark: read("roots/genoa/ark.der"),
        crl: read("crl/genoa.crl.der"),
        now_s: 1_751_328_000,
    }
}

/// The documents inside what a node would send, by part.
pub(crate) fn documents(parts: &[Part], endorsements: &Endorsements) -> Vec<(Part, Document)> {
    let document = |part: &Part| match (part, endorsements) {
        (Part::AmdVcek { .. } | Part::AmdVlek { .. }, Endorsements::Snp(all)) => Document::der(part, all.vek.to_vec()),
        (Part::AmdIntermediate { .. }, Endorsements::Snp(all)) => Document::der(part, all.ask.to_vec()),
        (Part::AmdCrl { .. }, Endorsements::Snp(all)) => Document::der(part, all.crl.to_vec()),
        (Part::IntelTcbInfo { .. }, Endorsements::Tdx(all)) => {
            Document::new(part, all.tcb_info.to_vec(), all.tcb_info_signature.to_vec(), all.tcb_info_issuer_chain.to_vec())
        }
        (Part::IntelQeIdentity, Endorsements::Tdx(all)) => {
            Document::new(part, all.qe_identity.to_vec(), all.qe_identity_signature.to_vec(), all.qe_identity_issuer_chain.to_vec())
        }
        (Part::IntelPckCrl { .. }, Endorsements::Tdx(all)) => {
            Document::new(part, all.pck_crl.to_vec(), Vec::new(), all.pck_crl_issuer_chain.to_vec())
        }
        (Part::IntelRootCrl, Endorsements::Tdx(all)) => Document::der(part, all.root_ca_crl.to_vec()),
        (part, _) => panic!("{part} is the other vendor's"),
    };
    parts.iter().map(|part| (part.clone(), document(part).unwrap())).collect()
}

/// A source that gives what a test put there, and counts.
#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) goods: Mutex<BTreeMap<String, Result<Document, FetchError>>>,
    pub(crate) asked: AtomicUsize,
}

impl Shop {
    pub(crate) fn stock(&self, documents: Vec<(Part, Document)>) {
        let mut goods = self.goods.lock().unwrap();
        goods.extend(documents.into_iter().map(|(part, document)| (part.to_string(), Ok(document))));
    }
    pub(crate) fn put(&self, part: &Part, answer: Result<Document, FetchError>) {
        self.goods.lock().unwrap().insert(part.to_string(), answer);
    }
    /// Nobody answers any more.
    pub(crate) fn close(&self) {
        self.goods.lock().unwrap().clear();
    }
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A handle on a shop.
#[derive(Clone, Default)]
pub(crate) struct Counter(pub(crate) Arc<Shop>);

impl Source for Counter {
    fn fetch(&self, part: &Part) -> Result<Document, FetchError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let closed = FetchError::Unreachable { url: "shop".into(), reason: "closed".into() };
        self.0.goods.lock().unwrap().get(&part.to_string()).cloned().unwrap_or(Err(closed))
    }
    fn name(&self) -> String {
        "shop".into()
    }
}

/// What a service does with one connection, after it read the request (or not).
#[derive(Clone)]
pub(crate) enum Act {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes again and again, until nobody reads.
    Endless(Vec<u8>),
    /// Sends these bytes one by one, some milliseconds apart.
    Drip(Vec<u8>, u64),
    /// Closes without having read the request: the other side sees a reset.
    Reset,
    /// Says nothing and keeps the connection.
    Silence,
}

/// Answers the request with this path and query; the number counts requests from 0.
type Handler = Box<dyn Fn(&str, usize) -> Vec<Act> + Send + Sync>;

/// The service.
pub(crate) struct Service {
    pub(crate) url: String,
    stop: Arc<AtomicBool>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// Bytes of bodies that were sent.
    pub(crate) sent: Arc<AtomicUsize>,
    accepting: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    pub(crate) fn start(handler: impl Fn(&str, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, requests, sent) =
            (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicUsize::new(0)));
        let (stopped, seen, counted, handler) = (stop.clone(), requests.clone(), sent.clone(), Arc::<Handler>::new(Box::new(handler)));
        let accepting = std::thread::spawn(move || {
            let mut serving = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { break };
                let (stopped, seen, counted, handler) = (stopped.clone(), seen.clone(), counted.clone(), handler.clone());
                serving.push(std::thread::spawn(move || serve(stream, &handler, &seen, &counted, &stopped)));
            }
            for thread in serving {
                thread.join().unwrap();
            }
        });
        Service { url, stop, requests, sent, accepting: Some(accepting) }
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; when that fails it has ended already.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, seen: &Mutex<Vec<String>>, sent: &AtomicUsize, stop: &AtomicBool) {
    // A client that went away ends whatever is being sent.
    let pause = Duration::from_millis(20);
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut head = [0; 4_096];
    let mut len = 0;
    let acts = loop {
        let path = String::from_utf8_lossy(&head[..len]).into_owned();
        let path = path.split_once("\r\n").and_then(|(line, _)| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        if matches!(handler(&path, usize::MAX).first(), Some(Act::Reset)) {
            std::thread::sleep(pause);
            seen.lock().unwrap().push(path);
            return;
        }
        if head[..len].windows(4).any(|window| window == b"\r\n\r\n") {
            let mut seen = seen.lock().unwrap();
            let number = seen.len();
            seen.push(path.clone());
            drop(seen);
            break handler(&path, number);
        }
        match stream.read(&mut head[len..]) {
            Ok(read) if read > 0 => len += read,
            _ => return,
        }
    };
    for act in acts {
        let done = match act {
            Act::Send(bytes) => write(&mut stream, &bytes, sent),
            Act::Endless(bytes) => loop {
                if stop.load(Ordering::SeqCst) || !write(&mut stream, &bytes, sent) {
                    break false;
                }
            },
            Act::Drip(bytes, gap_ms) => bytes.iter().all(|byte| {
                std::thread::sleep(Duration::from_millis(gap_ms));
                !stop.load(Ordering::SeqCst) && write(&mut stream, &[*byte], sent)
            }),
            Act::Reset => false,
            Act::Silence => {
                stream.set_read_timeout(Some(pause)).unwrap();
                // Until the other side closes, or the test ends.
                while !stop.load(Ordering::SeqCst) {
                    match stream.read(&mut [0; 64]) {
                        Ok(0) => break,
                        Err(fault) if ![std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut].contains(&fault.kind()) => break,
                        _ => {}
                    }
                }
                false
            }
        };
        if !done {
            break;
        }
    }
    // The other side may have closed first.
    let _ = stream.shutdown(Shutdown::Both);
}

fn write(stream: &mut TcpStream, bytes: &[u8], sent: &AtomicUsize) -> bool {
    let done = stream.write_all(bytes).is_ok();
    sent.fetch_add(bytes.len(), Ordering::SeqCst);
    done
}

/// A complete answer.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

pub(crate) fn encoded(chain: &[u8]) -> String {
    percent_encode(chain, NON_ALPHANUMERIC).to_string()
}

/// What AMD's service answers.
pub(crate) fn kds_answer(real: &RealSnp, path: &str) -> Vec<u8> {
    if path.ends_with("/vcek/v1/Genoa/crl") {
        return answer("200 OK", &[("Content-Type", "application/pkix-crl")], &real.crl);
    }
    if path.ends_with("/vcek/v1/Genoa/cert_chain") {
        return answer("200 OK", &[("Content-Type", "application/x-pem-file")], (pem(&real.ask) + &pem(&real.ark)).as_bytes());
    }
    let chip = hex(&real.report.report[0x1a0..0x1e0]);
    if path.ends_with(&format!("/vcek/v1/Genoa/{chip}?blSPL=10&teeSPL=00&snpSPL=23&ucodeSPL=84")) {
        return answer("200 OK", &[("Content-Type", "application/pkix-cert")], &real.vek);
    }
    answer("404 Not Found", &[], b"")
}

pub(crate) fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, chunk) in der.chunks(3).enumerate() {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let used = digit <= chunk.len();
            text.push(if used { char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]) } else { '=' });
        }
        if at % 16 == 15 {
            text.push('\n');
        }
    }
    text + "\n-----END CERTIFICATE-----\n"
}

/// What Intel's service answers; `cached`: as a caching service does.
pub(crate) fn pcs_answer(all: &TdxEndorsements, path: &str, cached: bool) -> Vec<u8> {
    let json = |name: &str, document: &[u8], signature: &[u8], header: &str, chain: &[u8]| {
        let body = [b"{\"", name.as_bytes(), b"\":", document, b",\"signature\":\"", hex(signature).as_bytes(), b"\"}"].concat();
        answer("200 OK", &[("Content-Type", "application/json"), (header, &encoded(chain))], &body)
    };
    let list = |der: &[u8]| if cached { hex(der).into_bytes() } else { der.to_vec() };
    let kind = ("Content-Type", "application/pkix-crl");
    match path.split('?').next().unwrap() {
        "/tdx/certification/v4/tcb" if path.ends_with("?fmspc=90c06f000000") => {
            let header = if cached { "SGX-TCB-Info-Issuer-Chain" } else { "TCB-Info-Issuer-Chain" };
            json("tcbInfo", &all.tcb_info, &all.tcb_info_signature, header, &all.tcb_info_issuer_chain)
        }
        "/tdx/certification/v4/qe/identity" => {
            let header = "SGX-Enclave-Identity-Issuer-Chain";
            json("enclaveIdentity", &all.qe_identity, &all.qe_identity_signature, header, &all.qe_identity_issuer_chain)
        }
        "/sgx/certification/v4/pckcrl" if path.ends_with("?ca=platform&encoding=der") => {
            answer("200 OK", &[kind, ("SGX-PCK-CRL-Issuer-Chain", &encoded(&all.pck_crl_issuer_chain))], &list(&all.pck_crl))
        }
        "/IntelSGXRootCA.der" if !cached => answer("200 OK", &[kind], &all.root_ca_crl),
        "/sgx/certification/v4/rootcacrl" if cached => answer("200 OK", &[kind], &list(&all.root_ca_crl)),
        _ => answer("404 Not Found", &[], b""),
    }
}

/// The same evidence as one value.
pub(crate) fn snp(report: &SnpEvidence) -> Evidence {
    Evidence::Snp(report.clone())
}
