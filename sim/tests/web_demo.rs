//! `cargo demo --web` as a program: what it serves, and what its host does to a cluster and undoes, seen by native clients that remember and by such that do not.
//!
//! Decides: whether deeds of the host are what the page's scenarios (`.ci/web_scenarios.py`) take them for, where no browser is. Trusts: the clients.
//! Out of scope: the page, and its module: eight bytes stand in for it.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ringwall_client::anchor::AnchorFiles;
use ringwall_client::{Client, ConnectError, Credential, Options, Timeouts};
use ringwall_wire::codec::Message as _;
use ringwall_wire::genesis::ClusterCard;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time for the host to do what it is told.
const PATIENCE: Duration = Duration::from_secs(180);
/// What the demo ends after, whatever becomes of the test.
const STAY_S: &str = "560";
/// How long it may take to end.
const ENDING: Duration = Duration::from_secs(15);

struct Demo {
    child: Child,
    told: Value,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    fn start(folder: &Path) -> Self {
        let module = folder.join("module.wasm");
        std::fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwall-demo"));
        command.args(["--web", "--json", "--stay", STAY_S, "--module"]).arg(&module).arg("--folder").arg(folder.join("demo"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault}: {line:?}"));
        assert_eq!(told["ok"], true, "{told}");
        Demo { child, told }
    }

    fn host(&self) -> String {
        self.told["url"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    /// Status line and headers, and the body.
    fn asked(&self, request: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap(), body)
    }

    fn get(&self, path: &str) -> (String, Vec<u8>) {
        self.asked(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host()))
    }

    /// What came of an order, and the words.
    fn order(&self, name: &str, body: &Value) -> (bool, String) {
        let (host, body) = (self.host(), body.to_string());
        let head = format!("Host: {host}\r\nOrigin: http://{host}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
        let (_, answer) = self.asked(&format!("POST /demo/{name} HTTP/1.1\r\n{head}\r\n\r\n{body}"));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        (answer["done"].as_bool().unwrap(), answer["words"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn done(&self, name: &str, body: &Value) {
        let (done, words) = self.order(name, body);
        assert!(done, "{name}: {words}");
    }

    fn paper(&self, name: &str) -> PathBuf {
        Path::new(self.told["papers"].as_str().unwrap()).join(name)
    }

    fn card(&self) -> ClusterCard {
        ClusterCard::decode(&std::fs::read(self.paper("cluster.card")).unwrap()).unwrap()
    }

    async fn client(&self, user: &Credential, memory: Option<&AnchorFiles>) -> Result<Client, ConnectError> {
        let mut options = Options::from_card(&self.card(), ringwall_sim::anchors(), user.clone()).unwrap();
        options.timeouts = Timeouts { dial: Duration::from_secs(5), answer: Duration::from_secs(3), deadline: Duration::from_secs(60) };
        if let Some(memory) = memory {
            options.anchor = Arc::new(memory.clone());
        }
        Client::connect(options).await
    }
}

async fn put(client: &Client, value: &str) {
    client.namespace("notes").await.unwrap().put("note", value).await.unwrap();
}

async fn note(client: &Client) -> Option<String> {
    let found = client.namespace("notes").await.unwrap().get("note").await.unwrap();
    found.map(|found| String::from_utf8(found.value).unwrap())
}

fn what_is_served(demo: &Demo) {
    let (head, page) = demo.get("/app/");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/web/page");
    assert_eq!(page, std::fs::read(root.join("app/index.html")).unwrap(), "the page is the tree's file");
    let card = demo.card();
    assert_eq!(card.genesis.cluster_id().to_string(), demo.told["cluster"].as_str().unwrap());
    assert_eq!(card.web.len(), 3, "each node has a door for pages");
    for door in card.web.iter() {
        assert!(!door.certificates.is_empty(), "{door:?}");
        for origin in [format!("https://{}", &*door.address), door.socket.trim_end_matches("/ringwall").to_owned()] {
            assert!(head.contains(&origin), "the page may go to {origin}: {head}");
        }
    }
    assert_eq!(demo.get("/cluster.card").1, card.encode());
    let (_, published) = demo.get("/published.json");
    let published: Value = serde_json::from_slice(&published).unwrap();
    assert_eq!(published["module"]["sha256"], demo.told["module"]);
    assert_eq!(demo.get("/ringwall.wasm").1, b"\0asm\x01\0\0\0");
    let other = ClusterCard::decode(&std::fs::read(demo.paper("other.card")).unwrap()).unwrap();
    assert_ne!(other.genesis.cluster_id(), card.genesis.cluster_id());
    assert_eq!(other.web, card.web);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_of_the_web_demo_kills_unwitnesses_rewinds_and_restores() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path());
    what_is_served(&demo);
    let user = Credential::generate();
    let memory = AnchorFiles::beside(&folder.path().join("device"), &demo.card().genesis.cluster_id());
    let device = demo.client(&user, Some(&memory)).await.unwrap();
    put(&device, "first").await;

    // One node is killed by what a page calls it, and comes back.
    let door = demo.card().web[1].clone();
    assert!(!demo.order("kill", &json!({ "address": "127.0.0.1:1" })).0);
    demo.done("kill", &json!({ "address": &*door.address }));
    put(&device, "second").await;
    assert!(!demo.order("kill", &json!({})).0, "two of three have to stay");
    demo.done("restore", &json!({}));

    // A proof with one witness, which nobody who comes then believes.
    demo.done("unwitness", &json!({}));
    let fault = demo.client(&Credential::generate(), None).await.expect_err("a witness is missing");
    assert!(fault.to_string().contains("witness"), "{fault}");
    demo.done("restore", &json!({}));
    demo.client(&Credential::generate(), None).await.unwrap().close().await;

    // An older world: who remembers refuses it, who does not believes it and finds nothing of what was written since.
    put(&device, "third").await;
    device.close().await;
    demo.done("rewind", &json!({}));
    let (again, words) = demo.order("rewind", &json!({}));
    assert!(!again && words.contains("restore"), "{words}");
    let refused = match demo.client(&user, Some(&memory)).await {
        Ok(client) => client.namespace("notes").await.map(|_| ()).map_err(|fault| fault.to_string()),
        Err(fault) => Err(format!("{} {fault}", fault.code())),
    };
    let words = refused.expect_err("an older world was believed");
    assert!(words.contains("ROLLBACK") || words.contains("rolled back") || words.contains("older"), "{words}");
    let stranger = demo.client(&user, None).await.unwrap();
    assert_eq!(note(&stranger).await, None);
    stranger.close().await;

    // And back.
    demo.done("restore", &json!({}));
    let stranger = demo.client(&user, None).await.unwrap();
    assert_eq!(note(&stranger).await.as_deref(), Some("third"), "nothing that was confirmed is lost");
    stranger.close().await;

    let pid = rustix::process::Pid::from_child(&demo.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let until = Instant::now() + ENDING;
    let status = loop {
        match demo.child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => panic!("it does not end"),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert!(status.success(), "{status}");
}
