//! What a node serves over weeks, with services that lag, lie, vanish and return.
//! Decides: nothing fetched makes a node serve less than it has; an outage of weeks is survived and said; restarts need no service.
//! Time is simulated; documents are Intel's and AMD's real ones, or minted under simulated roots. Trusts: `attest` for verdicts.
//! Out of scope: sockets (`endorsements_http.rs`), files (`endorsements_cache.rs`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::vendors;

use ringwall_attest::{Anchors, CollectError, VerifyError, verify};
use ringwall_node::endorsements::cache::{Cache, Kept};
use ringwall_node::endorsements::document::Document;
use ringwall_node::endorsements::keeper::{Keeper, Tools};
use ringwall_node::endorsements::limits::{REFRESH_LEAST, RETRY_FIRST, RETRY_MOST};
use ringwall_node::endorsements::part::Part;
use ringwall_node::endorsements::shelf::{Adoption, Judge, Refusal, Shelf};
use ringwall_node::endorsements::source::FetchError;
use ringwall_node::endorsements::subject::Subject;
use ringwall_node::entropy;
use ringwall_node::platform::store::EndorsementStore as _;
use ringwall_sim::{Lie, SimTee, world};
use ringwall_wire::evidence::{Endorsements, Evidence, TdxEndorsements, TdxEvidence};
use ringwall_wire::ids::{ClusterId, Slot};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vendors::{Counter, TDX};

const DAY: u64 = 86_400;

/// A time that tests move.
#[derive(Clone, Default)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn at(now_s: u64) -> Self {
        let time = Time::default();
        time.set(now_s);
        time
    }
    fn set(&self, now_s: u64) {
        self.0.store(now_s * 1_000, Ordering::SeqCst);
    }
    fn now_s(&self) -> u64 {
        self.0.load(Ordering::SeqCst) / 1_000
    }
    fn pass(&self, wait: Duration) {
        self.set(self.now_s() + wait.as_secs() + 1);
    }
}

fn keeper(shop: &Counter, time: &Time, anchors: Anchors, cache: Option<&Path>) -> Keeper {
    let clock = time.clone();
    Keeper::new(Tools {
        source: Box::new(shop.clone()),
        cache: cache.map(|folder| Cache::open(folder.to_path_buf()).unwrap()),
        anchors,
        clock: Arc::new(move || clock.0.load(Ordering::SeqCst)),
        entropy: entropy::system().unwrap(),
        refresh: Duration::from_secs(DAY),
        amd_product: None,
    })
}

/// A real quote, what it needs, and Intel's documents of three dates.
struct Real {
    quote: TdxEvidence,
    subject: Subject,
    all: [TdxEndorsements; 3],
}

impl Real {
    fn load() -> Option<Self> {
        let folder = vendors::vectors()?;
        let quote = vendors::quote(&folder);
        let subject = Subject::of(&Evidence::Tdx(quote.clone()), None).unwrap();
        Some(Real { quote, subject, all: TDX.map(|(case, _)| vendors::collateral(&folder, case)) })
    }
    fn documents(&self, at: usize) -> Vec<(Part, Document)> {
        vendors::documents(self.subject.parts(), &Endorsements::Tdx(self.all[at].clone()))
    }
    fn kept(&self, at: usize) -> Vec<Kept> {
        self.documents(at).into_iter().map(|(part, document)| Kept { part, document, fetched_s: TDX[at].1 }).collect()
    }
    fn verdict(&self, served: &TdxEndorsements, now_s: u64) -> Result<(), VerifyError> {
        let evidence = Evidence::Tdx(self.quote.clone());
        verify(&evidence, &Endorsements::Tdx(served.clone()), &Anchors::production(), now_s).map(|_| ())
    }
}

fn judge(anchors: &Anchors, now_s: u64) -> Judge<'_> {
    Judge { anchors, now_s }
}

#[test]
fn an_outage_of_weeks_is_survived_said_and_healed() {
    let Some(real) = Real::load() else { return };
    let (shop, time) = (Counter::default(), Time::at(TDX[0].1));
    shop.0.stock(real.documents(0));
    let keeper = keeper(&shop, &time, Anchors::production(), None);
    assert_eq!(keeper.for_tdx(&real.quote).unwrap(), real.all[0]);
    assert_eq!(shop.0.asked(), 4);
    shop.0.close();
    let (mut rounds, mut outdated) = (0, 0);
    // Until the last of the three dates: six weeks without the service.
    while time.now_s() < TDX[2].1 {
        time.pass(keeper.due_in());
        let before = shop.0.asked();
        let round = keeper.once();
        rounds += 1;
        assert!(!round.is_good() && shop.0.asked() == before + 1, "a service that does not answer is asked once a round");
        let served = keeper.for_tdx(&real.quote).unwrap();
        assert_eq!(served, real.all[0], "what is held is served");
        match real.verdict(&served, time.now_s()) {
            Ok(()) => assert_eq!(outdated, 0),
            Err(VerifyError::IntelTime { .. }) => outdated += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(keeper.due_in() <= RETRY_MOST);
    }
    let most = (TDX[2].1 - TDX[0].1) / (RETRY_MOST.as_secs() / 2) + 20;
    assert!(rounds as u64 <= most, "{rounds} rounds in six weeks, at most {most}");
    assert!(outdated > 0);
    let status = keeper.status();
    assert_eq!(status.failures, rounds);
    assert!(status.to_string().contains("(ran out)") && status.to_string().contains("closed"), "{status}");
    // The service returns: one round later everything is fresh.
    shop.0.stock(real.documents(2));
    time.pass(keeper.due_in());
    assert!(keeper.once().is_good());
    let served = keeper.for_tdx(&real.quote).unwrap();
    assert_eq!((&served, real.verdict(&served, time.now_s())), (&real.all[2], Ok(())));
    assert_eq!(keeper.status().failures, 0);
    assert!(keeper.due_in() >= REFRESH_LEAST);
}

#[test]
fn weeks_of_a_working_service_cost_one_or_two_questions_a_day() {
    let time = Time::at(1_790_000_000);
    let clock = time.clone();
    let boot = world::joining_config(ClusterId([1; 32]), Slot(1));
    let tee = SimTee::new(world::machine("genoa-1", boot).unwrap(), 0).with_clock(move || clock.now_s());
    let evidence = tee.mint(&[7; 64]);
    let Evidence::Snp(report) = &evidence else { panic!("genoa makes reports") };
    let subject = Subject::of(&evidence, None).unwrap();
    let shop = Counter::default();
    let keeper = keeper(&shop, &time, ringwall_sim::anchors(), None);
    let (end, mut rounds) = (time.now_s() + 40 * DAY, 0);
    while time.now_s() < end {
        shop.0.stock(vendors::documents(subject.parts(), &tee.endorse()));
        let served = Endorsements::Snp(keeper.for_snp(report, None).unwrap());
        let verified = verify(&evidence, &served, &ringwall_sim::anchors(), time.now_s()).unwrap();
        let ringwall_attest::Claims::Snp(claims) = verified.claims() else { panic!("of AMD's") };
        assert!(matches!(claims.revocation, ringwall_attest::Revocation::Current { .. }));
        time.pass(keeper.due_in());
        keeper.once();
        rounds += 1;
    }
    // Between one a day and two; certificates are asked for once.
    assert!((40..=81).contains(&rounds), "{rounds} rounds");
    assert_eq!(shop.0.asked(), rounds + 3);
}

#[test]
fn older_editions_never_replace_newer_ones() {
    let Some(real) = Real::load() else { return };
    let (shop, time) = (Counter::default(), Time::at(TDX[2].1));
    shop.0.stock(real.documents(2));
    let keeper = keeper(&shop, &time, Anchors::production(), None);
    assert_eq!(keeper.for_tdx(&real.quote).unwrap(), real.all[2]);
    // A mirror that lags: everything it has is genuine and in force, and a month older.
    shop.0.stock(real.documents(1));
    assert_eq!(real.verdict(&real.all[1], time.now_s()), Ok(()));
    let round = keeper.once();
    assert!(!round.is_good() && round.news == 0 && round.faults().contains("is older than"), "{round:?}");
    assert_eq!(keeper.for_tdx(&real.quote).unwrap(), real.all[2]);
    let anchors = Anchors::production();
    let mut shelf = Shelf::default();
    shelf.adopt(&real.subject, real.kept(2), judge(&anchors, TDX[2].1));
    let outcomes = shelf.adopt(&real.subject, real.kept(1), judge(&anchors, TDX[2].1));
    assert_eq!(outcomes.len(), 4);
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Err(Refusal::Older { .. }))), "{outcomes:?}");
}

#[test]
fn a_document_that_is_not_genuine_is_refused_alone() {
    let Some(real) = Real::load() else { return };
    let anchors = Anchors::production();
    let spoiled = |part: &Part, document: &Document| -> Document {
        let (mut bytes, mut signature, mut chain) = (document.bytes().to_vec(), document.signature().to_vec(), document.chain().to_vec());
        match part {
            // An issuer of Intel's, and not of this document.
            Part::IntelTcbInfo { .. } => chain = real.all[2].pck_crl_issuer_chain.to_vec(),
            Part::IntelQeIdentity => signature[9] ^= 1,
            // The last byte of a list belongs to its signature.
            _ => *bytes.last_mut().unwrap() ^= 1,
        }
        Document::new(part, bytes, signature, chain).unwrap()
    };
    for bad in real.subject.parts() {
        let mut shelf = Shelf::default();
        let first = shelf.adopt(&real.subject, real.kept(1), judge(&anchors, TDX[1].1));
        assert!(first.iter().all(|(_, outcome)| *outcome == Ok(Adoption::News)));
        let mut offered = real.kept(2);
        let place = offered.iter_mut().find(|kept| kept.part == *bad).unwrap();
        place.document = spoiled(bad, &place.document);
        let outcomes = shelf.adopt(&real.subject, offered, judge(&anchors, TDX[2].1));
        for (part, outcome) in &outcomes {
            match outcome {
                Err(Refusal::NotGenuine(_)) => assert_eq!(part, bad),
                Ok(Adoption::News) => assert_ne!(part, bad),
                other => panic!("{part}: {other:?}"),
            }
        }
        // What is held is genuine still, with the news that could be believed.
        let Endorsements::Tdx(served) = shelf.assemble(&real.subject).unwrap() else { panic!("of Intel's") };
        assert_eq!(real.verdict(&served, TDX[2].1), Ok(()), "{bad}");
        // With nothing held, nothing is believed.
        let mut empty = Shelf::default();
        let mut offered = real.kept(2);
        let place = offered.iter_mut().find(|kept| kept.part == *bad).unwrap();
        place.document = spoiled(bad, &place.document);
        let outcomes = empty.adopt(&real.subject, offered, judge(&anchors, TDX[2].1));
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()) && empty.held().is_empty(), "{bad}: {outcomes:?}");
    }
}

#[test]
fn a_document_that_ran_out_does_not_replace_one_in_force() {
    let anchors = ringwall_sim::anchors();
    let boot = world::joining_config(ClusterId([1; 32]), Slot(1));
    let machine = |lies: &[Lie], now_s| SimTee::new(world::machine("genoa-1", boot.clone()).unwrap(), now_s).telling(lies);
    let now_s = 1_790_000_000;
    let evidence = machine(&[], now_s).mint(&[7; 64]);
    let subject = Subject::of(&evidence, None).unwrap();
    let kept = |tee: &SimTee| -> Vec<Kept> {
        let documents = vendors::documents(subject.parts(), &tee.endorse());
        documents.into_iter().map(|(part, document)| Kept { part, document, fetched_s: 1 }).collect()
    };
    let mut shelf = Shelf::default();
    shelf.adopt(&subject, kept(&machine(&[], now_s)), judge(&anchors, now_s));
    let held = shelf.assemble(&subject).unwrap();
    for lie in [Lie::SnpCrlExpired, Lie::SnpCrlForged, Lie::SnpOtherVek, Lie::SnpVekSelfSigned, Lie::SnpVekOtherTcb] {
        let outcomes = shelf.adopt(&subject, kept(&machine(&[lie], now_s)), judge(&anchors, now_s));
        assert!(outcomes.iter().any(|(_, outcome)| outcome.is_err()), "{lie:?}: {outcomes:?}");
        assert_eq!(shelf.assemble(&subject).unwrap(), held, "{lie:?}");
    }
    // AMD revoked the intermediate: that is news, and whoever asks shall know.
    let outcomes = shelf.adopt(&subject, kept(&machine(&[Lie::SnpAskRevoked], now_s + DAY)), judge(&anchors, now_s + DAY));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    let verdict = verify(&evidence, &shelf.assemble(&subject).unwrap(), &anchors, now_s + DAY);
    assert!(matches!(verdict, Err(VerifyError::CertRevoked { .. })), "{verdict:?}");
}

#[test]
fn what_intel_says_against_this_platform_is_taken_as_news() {
    let anchors = ringwall_sim::anchors();
    let boot = world::joining_config(ClusterId([1; 32]), Slot(1));
    let machine = |lies: &[Lie], now_s| SimTee::new(world::machine("tdx-1", boot.clone()).unwrap(), now_s).telling(lies);
    let now_s = 1_790_000_000;
    let evidence = machine(&[], now_s).mint(&[7; 64]);
    let subject = Subject::of(&evidence, None).unwrap();
    for lie in [Lie::TdxRevoked, Lie::TdxPckRevoked, Lie::TdxCaRevoked] {
        let kept = |tee: &SimTee| -> Vec<Kept> {
            let documents = vendors::documents(subject.parts(), &tee.endorse());
            documents.into_iter().map(|(part, document)| Kept { part, document, fetched_s: 1 }).collect()
        };
        let mut shelf = Shelf::default();
        shelf.adopt(&subject, kept(&machine(&[], now_s)), judge(&anchors, now_s));
        shelf.adopt(&subject, kept(&machine(&[lie], now_s + 2 * DAY)), judge(&anchors, now_s + 2 * DAY));
        let verdict = verify(&evidence, &shelf.assemble(&subject).unwrap(), &anchors, now_s + 2 * DAY);
        assert!(matches!(verdict, Err(VerifyError::TdxTcbRevoked | VerifyError::IntelRevocation { .. })), "{lie:?}: {verdict:?}");
    }
}

#[test]
fn nothing_to_serve_is_a_typed_refusal_and_quotes_do_not_hammer() {
    let Some(real) = Real::load() else { return };
    let (shop, time) = (Counter::default(), Time::at(TDX[1].1));
    let keeper = keeper(&shop, &time, Anchors::production(), None);
    for _ in 0..500 {
        let refused = keeper.for_tdx(&real.quote);
        assert!(matches!(&refused, Err(CollectError::NoEndorsements { reason }) if reason.contains("closed")), "{refused:?}");
    }
    assert_eq!(shop.0.asked(), 1, "500 quotes within one second ask once");
    // One document is missing: the others are asked for, nothing is served.
    shop.0.stock(real.documents(1));
    let absent = FetchError::Status { url: "shop".into(), status: 404, retry_after: None };
    shop.0.put(&Part::IntelQeIdentity, Err(absent));
    time.pass(RETRY_FIRST);
    let refused = keeper.for_tdx(&real.quote);
    assert!(
        matches!(&refused, Err(CollectError::NoEndorsements { reason }) if reason.contains("intel-tdx-qe: shop: HTTP status 404")),
        "{refused:?}"
    );
    assert_eq!(shop.0.asked(), 5);
    // A service that asks to wait is heard, also by quotes.
    let busy = |part: &Part| FetchError::Status { url: part.to_string(), status: 429, retry_after: Some(Duration::from_secs(600)) };
    for part in real.subject.parts() {
        shop.0.put(part, Err(busy(part)));
    }
    time.pass(RETRY_FIRST * 4);
    assert!(keeper.for_tdx(&real.quote).is_err());
    assert!(keeper.due_in() >= Duration::from_secs(599));
    shop.0.stock(real.documents(1));
    time.pass(Duration::from_secs(300));
    assert!(keeper.for_tdx(&real.quote).is_err());
    time.pass(Duration::from_secs(300));
    assert_eq!(keeper.for_tdx(&real.quote).unwrap(), real.all[1]);
}

#[test]
fn a_restart_serves_from_disk_and_asks_for_what_ran_out() {
    let Some(real) = Real::load() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (shop, time) = (Counter::default(), Time::at(TDX[0].1));
    shop.0.stock(real.documents(0));
    keeper(&shop, &time, Anchors::production(), Some(folder.path())).for_tdx(&real.quote).unwrap();
    shop.0.close();
    let asked = shop.0.asked();
    // A process that is restarted again and again asks nobody.
    for _ in 0..50 {
        let again = keeper(&shop, &time, Anchors::production(), Some(folder.path()));
        assert_eq!(again.for_tdx(&real.quote).unwrap(), real.all[0]);
        assert!(again.due_in() >= REFRESH_LEAST - Duration::from_secs(1));
    }
    assert_eq!(shop.0.asked(), asked);
    // Weeks later everything ran out: it is served, and the service is asked at once.
    time.set(TDX[2].1);
    let later = keeper(&shop, &time, Anchors::production(), Some(folder.path()));
    assert_eq!(later.for_tdx(&real.quote).unwrap(), real.all[0]);
    assert_eq!(later.due_in(), Duration::ZERO);
    shop.0.stock(real.documents(2));
    assert!(later.once().is_good());
    assert_eq!(later.for_tdx(&real.quote).unwrap(), real.all[2]);
    // A clock that jumps back leaves nobody waiting for ever.
    time.set(TDX[0].1 - 400 * DAY);
    assert_eq!(later.due_in(), Duration::ZERO);
}

#[test]
fn what_lies_on_the_disk_is_judged_like_anything_else() {
    let Some(real) = Real::load() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path().to_path_buf()).unwrap();
    // Somebody with the disk writes a list of the far future with a forged signature: it would shut out every later one.
    for mut kept in real.kept(1) {
        if kept.part == Part::IntelRootCrl {
            let mut bytes = kept.document.bytes().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            kept.document = Document::der(&kept.part, bytes).unwrap();
        }
        cache.save(&kept).unwrap();
    }
    let (shop, time) = (Counter::default(), Time::at(TDX[2].1));
    shop.0.stock(real.documents(2));
    let keeper = keeper(&shop, &time, Anchors::production(), Some(folder.path()));
    assert_eq!(keeper.for_tdx(&real.quote).unwrap(), real.all[2]);
    assert_eq!(shop.0.asked(), 4, "nothing of the forged set was believed");
}

#[test]
fn an_operator_can_carry_documents_to_a_node_that_reaches_nobody() {
    let Some(real) = Real::load() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (shop, time) = (Counter::default(), Time::at(TDX[1].1));
    let keeper = keeper(&shop, &time, Anchors::production(), Some(folder.path()));
    assert!(keeper.for_tdx(&real.quote).is_err());
    let cache = Cache::open(folder.path().to_path_buf()).unwrap();
    for kept in real.kept(1) {
        cache.save(&kept).unwrap();
    }
    time.pass(keeper.due_in());
    assert_eq!(keeper.for_tdx(&real.quote).unwrap(), real.all[1]);
}

#[test]
fn the_hosts_certificates_spare_amds_service_and_prove_nothing() {
    let Some(folder) = vendors::vectors() else { return };
    let real = vendors::genoa(&folder);
    let subject = Subject::of(&vendors::snp(&real.report), None).unwrap();
    let table = |vek: &[u8]| {
        use ringwall_attest::cert_table::{Guid, parse};
        let entries = [(Guid::VCEK, vek), (Guid::ASK, real.ask.as_slice())];
        let mut offset = 24 * 3;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        for (guid, bytes) in entries {
            head.extend_from_slice(&guid.0);
            head.extend_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
            head.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
            tail.extend_from_slice(bytes);
            offset += bytes.len();
        }
        head.extend_from_slice(&[0; 24]);
        parse(&[head, tail].concat()).unwrap()
    };
    let (shop, time) = (Counter::default(), Time::at(real.now_s));
    let ours = keeper(&shop, &time, Anchors::production(), None);
    let served = ours.for_snp(&real.report, Some(&table(&real.vek))).unwrap();
    assert_eq!((&served.vek[..], &served.ask[..], served.crl.len()), (&real.vek[..], &real.ask[..], 0));
    assert_eq!(shop.0.asked(), 0);
    // The round after it asks for AMD's list alone.
    shop.0.put(&subject.parts()[2], Ok(Document::der(&subject.parts()[2], real.crl.clone()).unwrap()));
    assert!(ours.once().is_good());
    assert_eq!(shop.0.asked(), 1);
    assert_eq!(&ours.for_snp(&real.report, None).unwrap().crl[..], &real.crl[..]);
    // A host that staples another certificate is not believed; the service is asked.
    let other = std::fs::read(folder.join("snp/genoa-v5-oak-genoa-oc/vek.der")).unwrap();
    let shop = Counter::default();
    let lied_to = keeper(&shop, &time, Anchors::production(), None);
    assert!(lied_to.for_snp(&real.report, Some(&table(&other))).is_err());
    assert_eq!(shop.0.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refreshing_task_heals_a_node_nobody_asks() {
    let clock = ringwall_node::clock::system();
    let (shop, time) = (Counter::default(), Time::at(clock() / 1_000));
    let now = time.clone();
    let boot = world::joining_config(ClusterId([1; 32]), Slot(1));
    let tee = SimTee::new(world::machine("turin-1", boot).unwrap(), 0).with_clock(move || now.now_s());
    let evidence = tee.mint(&[7; 64]);
    let Evidence::Snp(report) = &evidence else { panic!("turin makes reports") };
    let keeper = Arc::new(keeper(&shop, &time, ringwall_sim::anchors(), None));
    let task = tokio::spawn(ringwall_node::endorsements::keeper::refresh(Arc::clone(&keeper)));
    let (asking, ours) = (Arc::clone(&keeper), report.clone());
    assert!(tokio::task::spawn_blocking(move || asking.for_snp(&ours, None)).await.unwrap().is_err());
    shop.0.stock(vendors::documents(Subject::of(&evidence, None).unwrap().parts(), &tee.endorse()));
    // The first waits are seconds; what is looked at is only that the task asks by itself.
    for _ in 0..600 {
        if keeper.status().last.is_some_and(|round| round.is_good()) {
            break;
        }
        time.pass(Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    task.abort();
    assert!(keeper.status().parts.iter().all(|part| part.edition.is_some()), "{}", keeper.status());
}
