//! The little HTTP server of the page: this machine alone, few connections, everything bounded.
//!
//! Decides: how connections are taken and end, the headers of every answer (client/web/page/README.md), and that nobody but the page itself may order
//! anything: another page in the same browser can reach this server too, under this name or one of its own. Requests are read by the one reader of requests
//! (`ringwall_node::kbs::http`). Trusts: nothing that comes in. Out of scope: what a path means (`desk.rs`), TLS: a browser takes loopback for secure.

use ringwall_node::kbs::http::{Bad, Method, Reader, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at once; a browser opens six for each tab.
const CONNECTIONS: usize = 64;
/// Longest time for a request to arrive and for a piece of an answer to leave.
const STEP: Duration = Duration::from_secs(10);
/// Bytes that leave in one [`STEP`].
const PIECE_BYTES: usize = 64 * 1024;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status.
    pub status: u16,
    /// Type of its body.
    pub kind: &'static str,
    /// Where else to look, with a status that says so.
    pub location: Option<&'static str>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Words.
    pub(super) fn text(status: u16, words: impl Into<String>) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", location: None, body: words.into().into_bytes() }
    }

    /// Bytes of a type.
    pub(super) fn bytes(kind: &'static str, body: Vec<u8>) -> Self {
        Answer { status: 200, kind, location: None, body }
    }

    /// An object.
    pub(super) fn json(status: u16, value: &serde_json::Value) -> Self {
        Answer { status, kind: "application/json", location: None, body: value.to_string().into_bytes() }
    }

    /// It is elsewhere.
    pub(super) fn moved(location: &'static str) -> Self {
        Answer { location: Some(location), ..Answer::text(302, "") }
    }

    fn head(&self, policy: &str) -> String {
        let mut head = format!("HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n", line(self.status), self.kind, self.body.len());
        if let Some(location) = self.location {
            head.push_str(&format!("location: {location}\r\n"));
        }
        head.push_str(&format!("content-security-policy: {policy}\r\n"));
        HEADERS.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str("connection: close\r\n\r\n");
        head
    }
}

/// Headers of every answer, besides the policy of its content.
const HEADERS: [(&str, &str); 7] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(self), publickey-credentials-get=(self), publickey-credentials-create=(self)"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-cache"),
];

fn line(status: u16) -> String {
    let phrase = match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        _ => "Internal Server Error",
    };
    format!("{status} {phrase}")
}

/// The policy of the page's content: itself, and these origins of nodes.
pub(super) fn content_policy(nodes: &[String]) -> String {
    let nodes: String = nodes.iter().map(|origin| format!(" {origin}")).collect();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; manifest-src 'self'; worker-src 'self'; \
         connect-src 'self'{nodes}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types ringwall-worker"
    )
}

/// Whoever answers.
pub(super) trait Desk: Send + Sync + 'static {
    /// Gives what is at a path.
    fn give(&self, path: &str) -> Answer;
    /// Does what is ordered.
    fn order(&self, path: &str, body: &[u8]) -> impl Future<Output = Answer> + Send;
}

/// A server that was not started yet.
pub(super) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes a port of this machine: this one, or any free one for 0.
    pub(super) async fn bind(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let address = listener.local_addr()?;
        Ok(Server { listener, address })
    }

    /// The address of what it serves.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves until it is dropped; `policy` is that of the content.
    pub(super) async fn serve(self, desk: Arc<impl Desk>, policy: String) -> std::io::Result<()> {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let own = Arc::new(Own { port: self.address.port(), policy });
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
            let (stream, _) = self.listener.accept().await?;
            let (desk, own) = (Arc::clone(&desk), Arc::clone(&own));
            tokio::spawn(async move {
                let _place = place;
                // Whoever left before the end knows it.
                let _ = connection(&*desk, &own, stream).await;
            });
        }
    }
}

/// What this server knows of itself.
struct Own {
    port: u16,
    policy: String,
}

impl Own {
    /// Whether a request names this server: a name that somebody else owns may lead here as well.
    fn is_named(&self, host: Option<&str>) -> bool {
        ["127.0.0.1", "localhost"].iter().any(|name| host == Some(&format!("{name}:{}", self.port)))
    }

    /// Whether the page itself asks, and not another one.
    fn is_origin(&self, origin: Option<&str>) -> bool {
        origin.and_then(|origin| origin.strip_prefix("http://")).is_some_and(|host| self.is_named(Some(host)))
    }
}

async fn connection(desk: &impl Desk, own: &Own, mut stream: TcpStream) -> Result<(), Bad> {
    let read = timeout(STEP, Reader::new().next(&mut stream)).await.map_err(|_| Bad::Broken)?;
    let answer = match read {
        Ok(request) => answer(desk, own, &request).await,
        Err(bad @ Bad::Malformed(_)) => Answer::text(400, format!("{bad}\n")),
        Err(bad @ Bad::TooLarge) => Answer::text(413, format!("{bad}\n")),
        Err(bad) => return Err(bad),
    };
    send(&answer, own, &mut stream).await
}

async fn answer(desk: &impl Desk, own: &Own, request: &Request) -> Answer {
    if !own.is_named(request.field("host")) {
        return Answer::text(403, "this server has another name\n");
    }
    match request.method {
        Method::Get => desk.give(&request.path),
        Method::Post if !own.is_origin(request.field("origin")) || request.field("content-type") != Some("application/json") => {
            Answer::text(403, "only the page itself may order this, as application/json\n")
        }
        Method::Post => desk.order(&request.path, &request.body).await,
        Method::Other => Answer::text(405, "GET and POST alone\n"),
    }
}

async fn send(answer: &Answer, own: &Own, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), Bad> {
    let head = answer.head(&own.policy);
    for piece in std::iter::once(head.as_bytes()).chain(answer.body.chunks(PIECE_BYTES)) {
        let sent = timeout(STEP, stream.write_all(piece)).await;
        sent.map_err(|_| Bad::Broken)?.map_err(|_| Bad::Broken)?;
    }
    // Whether the goodbye is heard changes nothing.
    let _ = timeout(STEP, stream.shutdown()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::AsyncReadExt as _;

    struct Echo;

    impl Desk for Echo {
        fn give(&self, path: &str) -> Answer {
            Answer::text(200, format!("given {path}"))
        }

        async fn order(&self, path: &str, body: &[u8]) -> Answer {
            Answer::text(200, format!("ordered {path} {}", body.len()))
        }
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn nobody_but_the_page_orders_anything() {
        let server = Server::bind(0).await.unwrap();
        let address = server.address;
        assert!(address.ip().is_loopback());
        let serving =
            tokio::spawn(server.serve(Arc::new(Echo), content_policy(&["https://127.0.0.1:7".into(), "ws://127.0.0.1:8".into()])));
        let own = format!("127.0.0.1:{}", address.port());
        let order = |host: &str, more: &str| format!("POST /demo/kill HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: 2\r\n\r\n{{}}");
        let (json, origin) = ("Content-Type: application/json\r\n", format!("Origin: http://{own}\r\n"));
        let good = ask(address, &order(&own, &format!("{json}{origin}"))).await;
        assert!(good.starts_with("HTTP/1.1 200 OK\r\n") && good.ends_with("ordered /demo/kill 2"), "{good}");
        for (host, more) in [
            (own.as_str(), json.to_owned()),
            (&own, origin.clone()),
            (&own, format!("{json}Origin: http://evil.example\r\n")),
            (&own, format!("{json}Origin: http://127.0.0.1:1\r\n")),
            (&own, format!("{json}Origin: null\r\n")),
            (&own, format!("{json}{origin}{origin}")),
            (&own, format!("Content-Type: text/plain\r\n{origin}")),
            ("evil.example", format!("{json}{origin}")),
            ("evil.example", format!("{json}Origin: http://evil.example\r\n")),
        ] {
            let answer = ask(address, &order(host, &more)).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{host} {more}: {answer}");
        }
        let read = ask(address, "GET /app/ HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
        assert!(read.starts_with("HTTP/1.1 403 "), "{read}");
        let put = ask(address, &format!("PUT / HTTP/1.1\r\nHost: {own}\r\n\r\n")).await;
        assert!(put.starts_with("HTTP/1.1 405 "), "{put}");
        let long = ask(address, &format!("POST / HTTP/1.1\r\nHost: {own}\r\nContent-Length: 600000\r\n\r\n")).await;
        assert!(long.starts_with("HTTP/1.1 413 "), "{long}");
        serving.abort();
    }

    #[test]
    fn every_answer_says_what_its_content_may_do() {
        let head = Answer::moved("/app/").head(&content_policy(&["https://127.0.0.1:7".into(), "ws://127.0.0.1:8".into()]));
        assert!(head.starts_with("HTTP/1.1 302 Found\r\n") && head.contains("\r\nlocation: /app/\r\n"), "{head}");
        assert!(head.contains("connect-src 'self' https://127.0.0.1:7 ws://127.0.0.1:8;"), "{head}");
        for name in ["content-security-policy", "cross-origin-opener-policy", "x-content-type-options", "cache-control"] {
            assert!(head.contains(&format!("\r\n{name}: ")), "{name}: {head}");
        }
        assert!(head.ends_with("\r\n\r\n") && !head.contains("unsafe-inline"));
    }
}
