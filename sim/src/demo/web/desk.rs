//! What is at each path: the page's own files as they are in the tree, the module, papers, and orders to the host of the demo.
//!
//! Decides: that only files the page names in `app/pins.json` are given, each read when it is asked for; that one order waits at most while another is carried out; that a
//! module can be given with one bit changed, to show that the page sees it. Trusts: the tree. Out of scope: who may order (`serve.rs`), carrying
//! orders out (`host.rs`), papers (`papers.rs`). client/web/page/README.md, "What a server has to serve".

use super::serve::{Answer, Desk};
use ringwall_wire::ids::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Bytes of a file of the page.
const FILE_BYTES: u64 = 4 << 20;
/// Where the page names its files.
const PINS: &str = "app/pins.json";
/// What keeps a copy of the page.
const WORKER: &str = "app/worker.js";

/// What the host of the demo can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Kill the node at this address, or the one that leads.
    Kill(Option<String>),
    /// Put an older world in place.
    Rewind,
    /// Everything as it was.
    Restore,
}

/// A deed, and who waits for it.
pub(super) struct Order {
    pub deed: Deed,
    /// What came of it, in words.
    pub tell: oneshot::Sender<Result<String, String>>,
}

/// The desk of the demo.
pub(super) struct WebDesk {
    page: PathBuf,
    files: BTreeSet<String>,
    module: Vec<u8>,
    papers: PathBuf,
    orders: mpsc::Sender<Order>,
    bent: AtomicBool,
}

impl WebDesk {
    /// For the page in this folder, a module, and papers in that folder.
    pub(super) fn new(page: &Path, module: Vec<u8>, papers: &Path, orders: mpsc::Sender<Order>) -> std::io::Result<Self> {
        let files = pinned(&std::fs::read(page.join(PINS))?)
            .map_err(|words| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{}: {words}", page.join(PINS).display())))?;
        Ok(WebDesk { page: page.to_owned(), files, module, papers: papers.to_owned(), orders, bent: AtomicBool::new(false) })
    }

    /// SHA-256 of the module.
    pub(super) fn module_digest(&self) -> Digest {
        Digest(Sha256::digest(&self.module).into())
    }

    fn file(&self, name: &str) -> Answer {
        let path = self.page.join(name);
        let size = std::fs::metadata(&path).map_or(0, |about| about.len());
        match (kind(name), std::fs::read(&path)) {
            (Some(kind), Ok(bytes)) if size <= FILE_BYTES => Answer::bytes(kind, bytes),
            _ => nothing(),
        }
    }

    fn module(&self) -> Answer {
        let mut bytes = self.module.clone();
        if self.bent.load(Ordering::Relaxed)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        Answer::bytes("application/wasm", bytes)
    }

    fn paper(&self, name: &str) -> Answer {
        // A name, not a path; the reader of requests lets no escape through, and a name that begins with a dot is none.
        match !name.starts_with('.') && !name.contains('/') {
            true => {
                std::fs::read(self.papers.join(name)).map_or_else(|_| nothing(), |bytes| Answer::bytes("application/octet-stream", bytes))
            }
            false => nothing(),
        }
    }

    async fn ordered(&self, deed: Deed) -> Answer {
        let (tell, told) = oneshot::channel();
        if self.orders.try_send(Order { deed, tell }).is_err() {
            return done(Err("the host is at work; wait until it has done what it was told before".into()));
        }
        done(told.await.unwrap_or_else(|_| Err("the demo is ending".into())))
    }
}

fn done(outcome: Result<String, String>) -> Answer {
    let (done, words) = match outcome {
        Ok(words) => (true, words),
        Err(words) => (false, words),
    };
    Answer::json(200, &json!({ "done": done, "words": words }))
}

fn nothing() -> Answer {
    Answer::text(404, "nothing is served here\n")
}

fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "mjs" | "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        _ => return None,
    })
}

/// The names a server may give: those in a list of pins, and the script that keeps a copy, which has the list's own number. Of the list: those keys of its objects whose values are SHA-256 digests, and that lead nowhere but down.
fn pinned(text: &[u8]) -> Result<BTreeSet<String>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|fault| fault.to_string())?;
    let pins = value.get("files").unwrap_or(&value).as_object().ok_or("no object of files")?;
    let is_digest =
        |value: &Value| value.as_str().is_some_and(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_name = |name: &str| name.split('/').all(|part| !part.is_empty() && !part.starts_with('.')) && !name.contains('\\');
    let files: BTreeSet<String> = pins
        .iter()
        .filter(|(name, value)| is_digest(value) && is_name(name))
        .map(|(name, _)| name.clone())
        .chain([WORKER.into()])
        .collect();
    match files.contains("app/index.html") {
        true => Ok(files),
        false => Err("it does not name app/index.html".into()),
    }
}

/// Which deed a path orders; none where it is none, words where what came with it cannot be read.
fn deed(path: &str, body: &[u8]) -> Result<Option<Deed>, String> {
    let told: Value = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(body).map_err(|fault| format!("not JSON: {fault}"))?,
    };
    Ok(match path {
        "/demo/kill" => Some(Deed::Kill(told["address"].as_str().map(str::to_owned))),
        "/demo/rewind" => Some(Deed::Rewind),
        "/demo/restore" => Some(Deed::Restore),
        _ => None,
    })
}

impl Desk for WebDesk {
    fn give(&self, path: &str) -> Answer {
        let Some(name) = path.strip_prefix('/') else { return nothing() };
        match name {
            "" | "app" => Answer::moved("/app/"),
            "app/" => self.file("app/index.html"),
            "ringwall.wasm" => self.module(),
            "published.json" => {
                let module = json!({ "file": "ringwall.wasm", "sha256": self.module_digest().to_string(), "bytes": self.module.len() });
                Answer::json(200, &json!({ "module": module }))
            }
            "demo.json" => Answer::json(200, &json!({ "card": "cluster.card", "rewind": true })),
            "cluster.card" => self.paper(name),
            PINS => self.file(name),
            _ if self.files.contains(name) => self.file(name),
            _ => name.strip_prefix("demo/papers/").map_or_else(nothing, |paper| self.paper(paper)),
        }
    }

    async fn order(&self, path: &str, body: &[u8]) -> Answer {
        if let "/demo/bend" | "/demo/straighten" = path {
            self.bent.store(path == "/demo/bend", Ordering::Relaxed);
            return done(Ok("the module is served with one bit changed, or as it was published".into()));
        }
        match deed(path, body) {
            Ok(Some(deed)) => self.ordered(deed).await,
            Ok(None) => nothing(),
            Err(words) => Answer::text(400, format!("{words}\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn desk() -> (tempfile::TempDir, WebDesk, mpsc::Receiver<Order>) {
        let folder = tempfile::tempdir().unwrap();
        let (page, papers) = (folder.path().join("page"), folder.path().join("papers"));
        std::fs::create_dir_all(page.join("app")).unwrap();
        std::fs::create_dir_all(&papers).unwrap();
        let digest = "0".repeat(64);
        let pins = json!({ "files": { "app/index.html": digest, "a.mjs": digest, "../secret.mjs": digest, "x.bin": digest } });
        std::fs::write(page.join(PINS), pins.to_string()).unwrap();
        for (name, text) in [("app/index.html", "page"), (WORKER, "copy"), ("a.mjs", "code"), ("b.mjs", "not pinned"), ("x.bin", "no type")]
        {
            std::fs::write(page.join(name), text).unwrap();
        }
        std::fs::write(folder.path().join("secret.mjs"), "secret").unwrap();
        std::fs::write(papers.join("cluster.card"), "card").unwrap();
        let (orders, taken) = mpsc::channel(1);
        let desk = WebDesk::new(&page, b"module".to_vec(), &papers, orders).unwrap();
        (folder, desk, taken)
    }

    #[test]
    fn the_page_is_what_it_names_and_nothing_else() {
        let (_folder, desk, _taken) = desk();
        let given = |path: &str| desk.give(path);
        assert_eq!(given("/").location, Some("/app/"));
        for (path, body) in
            [("/app/", "page"), ("/app/index.html", "page"), ("/app/worker.js", "copy"), ("/a.mjs", "code"), ("/cluster.card", "card")]
        {
            assert_eq!((given(path).status, given(path).body), (200, body.as_bytes().to_vec()), "{path}");
        }
        assert_eq!(given("/a.mjs").kind, "text/javascript; charset=utf-8");
        for path in
            ["/b.mjs", "/../secret.mjs", "/x.bin", "/demo/papers/../cluster.card", "/demo/papers/.", "/demo/papers/none", "//a.mjs", "a"]
        {
            assert_eq!(given(path).status, 404, "{path}");
        }
        // What is in the tree counts at every moment.
        std::fs::write(desk.page.join("a.mjs"), "changed").unwrap();
        assert_eq!(given("/a.mjs").body, b"changed");
    }

    #[tokio::test]
    async fn one_order_at_a_time_and_a_bit_that_is_changed() {
        let (_folder, desk, mut taken) = desk();
        let published: Value = serde_json::from_slice(&desk.give("/published.json").body).unwrap();
        let digest = |desk: &WebDesk| Digest(Sha256::digest(desk.give("/ringwall.wasm").body).into()).to_string();
        assert_eq!(published["module"]["sha256"], digest(&desk));
        desk.order("/demo/bend", b"{}").await;
        assert_ne!(published["module"]["sha256"], digest(&desk));
        assert_eq!(serde_json::from_slice::<Value>(&desk.give("/published.json").body).unwrap(), published);
        desk.order("/demo/straighten", b"{}").await;
        assert_eq!(published["module"]["sha256"], digest(&desk));

        assert_eq!(deed("/demo/kill", br#"{"address":"a"}"#), Ok(Some(Deed::Kill(Some("a".into())))));
        assert_eq!(deed("/demo/kill", b"{}"), Ok(Some(Deed::Kill(None))));
        assert!(deed("/demo/kill", b"{").is_err());
        assert_eq!(desk.order("/demo/other", b"{}").await.status, 404);
        let desk = std::sync::Arc::new(desk);
        let first = tokio::spawn({
            let desk = std::sync::Arc::clone(&desk);
            async move { desk.order("/demo/rewind", b"{}").await }
        });
        let order = taken.recv().await.unwrap();
        assert_eq!(order.deed, Deed::Rewind);
        let second = tokio::spawn({
            let desk = std::sync::Arc::clone(&desk);
            async move { desk.order("/demo/restore", b"{}").await }
        });
        let waiting = taken.recv().await.unwrap();
        order.tell.send(Ok("it is older now".into())).unwrap();
        assert_eq!(first.await.unwrap().body, br#"{"done":true,"words":"it is older now"}"#);
        drop(waiting);
        let second = String::from_utf8(second.await.unwrap().body).unwrap();
        assert!(second.starts_with(r#"{"done":false"#), "whoever is not told hears that it was not done: {second}");
    }
}
