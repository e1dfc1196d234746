//! HTTP/1.1 as far as the key broker protocol needs it: one request, one answer, on a connection that may carry several. The simulated log and its
//! witnesses answer through it too: there is one reader of requests.
//!
//! Decides: which bytes are a request. Head and body are bounded before they are kept, a body comes with its length, lines end in CR LF, and whatever
//! two readers could take for different things is refused: two lengths, chunks, folded lines, spaces before a colon, escapes in a path.
//! Trusts: nothing. Out of scope: TLS, what requests mean (`serve.rs`).

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of a request's head: a cookie or a token, and what clients add.
const HEAD_BYTES: usize = 16 * 1024;
/// Lines of a head.
const HEAD_LINES: usize = 64;
/// Bytes of a path: a name of the full size, and the prefix.
const PATH_BYTES: usize = 256;
/// Bytes of a body: a TDX event log and a quote in base64, or a report and its certificates as lists of numbers.
pub const BODY_BYTES: usize = 512 * 1024;
/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Something is read.
    Get,
    /// Something is handed in.
    Post,
    /// Anything else, which nobody answers.
    Other,
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Of what, without a query.
    pub path: String,
    /// The session of a cookie.
    pub cookie: Option<String>,
    /// The token of an authorization.
    pub bearer: Option<String>,
    /// What came with it, at most [`BODY_BYTES`].
    pub body: Vec<u8>,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// The lines of its head, names in lower case.
    fields: Vec<(String, String)>,
}

impl Request {
    /// What a line of the head says; nothing where it is missing, or there more than once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|(found, _)| found == name);
        named.next().filter(|_| named.next().is_none()).map(|(_, value)| value.as_str())
    }
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Nobody is there any more.
    #[error("the client left")]
    Left,
    /// In the middle of a request.
    #[error("the connection broke")]
    Broken,
    /// A limit was passed.
    #[error("head or body is longer than any of this protocol")]
    TooLarge,
    /// Something two readers could read differently.
    #[error("not HTTP/1.1 as this protocol uses it: {0}")]
    Malformed(&'static str),
}

/// Requests of one connection.
#[derive(Debug, Default)]
pub struct Reader {
    kept: Vec<u8>,
}

impl Reader {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Reader::default()
    }

    /// The next request.
    pub async fn next(&mut self, input: &mut (impl AsyncRead + Unpin)) -> Result<Request, Bad> {
        let end = loop {
            if let Some(end) = self.kept.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if self.kept.len() > HEAD_BYTES {
                return Err(Bad::TooLarge);
            }
            let empty = self.kept.is_empty();
            self.more(input).await.map_err(|bad| if empty && bad == Bad::Broken { Bad::Left } else { bad })?;
        };
        if end > HEAD_BYTES {
            return Err(Bad::TooLarge);
        }
        let head = Head::parse(self.kept.get(..end).unwrap_or_default())?;
        let start = end.saturating_add(4);
        let whole = start.saturating_add(head.length);
        while self.kept.len() < whole {
            self.more(input).await?;
        }
        let rest = self.kept.split_off(whole);
        let body = self.kept.split_off(start);
        self.kept = rest;
        let Head { method, path, cookie, bearer, keep_alive, fields, .. } = head;
        Ok(Request { method, path, cookie, bearer, body, keep_alive, fields })
    }

    async fn more(&mut self, input: &mut (impl AsyncRead + Unpin)) -> Result<(), Bad> {
        let mut chunk = [0; CHUNK_BYTES];
        match input.read(&mut chunk).await {
            Ok(0) | Err(_) => Err(Bad::Broken),
            Ok(count) => {
                self.kept.extend(chunk.iter().take(count));
                Ok(())
            }
        }
    }
}

struct Head {
    method: Method,
    path: String,
    cookie: Option<String>,
    bearer: Option<String>,
    length: usize,
    keep_alive: bool,
    fields: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, Bad> {
        let text = std::str::from_utf8(bytes).map_err(|_| Bad::Malformed("bytes that are no text"))?;
        if text.replace("\r\n", "").contains(|letter: char| letter.is_control() && letter != '\t') {
            return Err(Bad::Malformed("control characters"));
        }
        let mut lines = text.split("\r\n");
        let (method, path) = opening(lines.next().unwrap_or_default())?;
        let mut head = Head { method, path, cookie: None, bearer: None, length: 0, keep_alive: true, fields: Vec::new() };
        let mut length = None;
        for (at, line) in lines.enumerate() {
            if at >= HEAD_LINES {
                return Err(Bad::TooLarge);
            }
            let (name, value) = line.split_once(':').ok_or(Bad::Malformed("a header without a colon"))?;
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(token) {
                return Err(Bad::Malformed("the name of a header"));
            }
            let value = value.trim_matches([' ', '\t']);
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "transfer-encoding" => return Err(Bad::Malformed("a transfer encoding: send a length")),
                "content-length" if length.is_some() => return Err(Bad::Malformed("two lengths")),
                "content-length" => length = Some(number(value)?),
                "cookie" => head.cookie = head.cookie.or(session_of(value)),
                "authorization" => head.bearer = value.strip_prefix("Bearer ").map(|token| token.trim().to_owned()),
                "connection" if value.eq_ignore_ascii_case("close") => head.keep_alive = false,
                _ => {}
            }
            head.fields.push((name, value.to_owned()));
        }
        head.length = length.unwrap_or(0);
        match head.length > BODY_BYTES {
            true => Err(Bad::TooLarge),
            false => Ok(head),
        }
    }
}

fn opening(line: &str) -> Result<(Method, String), Bad> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(Bad::Malformed("the first line"));
    };
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        _ if !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()) => Method::Other,
        _ => return Err(Bad::Malformed("the method")),
    };
    // A query changes nothing here.
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-%".contains(&byte);
    match path.len() <= PATH_BYTES && path.starts_with('/') && path.bytes().all(legal) {
        true => Ok((method, path.to_owned())),
        false => Err(Bad::Malformed("the path")),
    }
}

fn number(text: &str) -> Result<usize, Bad> {
    match !text.is_empty() && text.len() <= 7 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| Bad::Malformed("a length")),
        false => Err(Bad::Malformed("a length")),
    }
}

/// The session a cookie header names.
fn session_of(value: &str) -> Option<String> {
    let named = value.split(';').find_map(|pair| pair.trim().strip_prefix("kbs-session-id="));
    named.map(|id| id.trim_matches('"').to_owned())
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Type of its body.
    pub kind: &'static str,
    /// A session, set as a cookie.
    pub session: Option<String>,
    /// What is told.
    pub body: zeroize::Zeroizing<Vec<u8>>,
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        _ => "Service Unavailable",
    }
}

impl Response {
    /// The bytes that are sent.
    pub fn to_bytes(&self, keep_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        head.push_str(&format!("content-type: {}\r\ncontent-length: {}\r\ncache-control: no-store\r\n", self.kind, self.body.len()));
        if let Some(session) = &self.session {
            head.push_str(&format!("set-cookie: kbs-session-id={session}; Path=/kbs; Secure; HttpOnly\r\n"));
        }
        head.push_str(if keep_alive { "\r\n" } else { "connection: close\r\n\r\n" });
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends it.
    pub async fn send(&self, output: &mut (impl AsyncWrite + Unpin), keep_alive: bool) -> Result<(), Bad> {
        let sent = output.write_all(&self.to_bytes(keep_alive)).await;
        sent.map_err(|_| Bad::Broken)?;
        output.flush().await.map_err(|_| Bad::Broken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Request, Bad> {
        Reader::new().next(&mut &*bytes).await
    }

    #[tokio::test]
    async fn requests_are_read_one_after_the_other() {
        let both = b"POST /kbs/v0/auth HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\ncookie: x=1; kbs-session-id=abc; y=2\r\n\r\n{}\
            GET /kbs/v0/resource/a/b/c?x=1 HTTP/1.1\r\nAuthorization: Bearer t.o.k\r\nConnection: close\r\n\r\n";
        let (mut reader, mut input) = (Reader::new(), &both[..]);
        let first = reader.next(&mut input).await.unwrap();
        assert_eq!((first.method, first.path.as_str(), first.cookie.as_deref()), (Method::Post, "/kbs/v0/auth", Some("abc")));
        assert_eq!((first.body.as_slice(), first.keep_alive), (&b"{}"[..], true));
        let second = reader.next(&mut input).await.unwrap();
        assert_eq!((second.method, second.path.as_str()), (Method::Get, "/kbs/v0/resource/a/b/c"));
        assert_eq!((second.bearer.as_deref(), second.keep_alive), (Some("t.o.k"), false));
        assert_eq!((first.field("host"), second.field("connection"), second.field("host")), (Some("a"), Some("close"), None));
        assert_eq!(reader.next(&mut input).await, Err(Bad::Left));
        let twice = read(b"GET / HTTP/1.1\r\nOrigin: a\r\norigin: b\r\n\r\n").await.unwrap();
        assert_eq!(twice.field("origin"), None, "one of two is nobody's word");
    }

    #[tokio::test]
    async fn what_two_readers_could_read_differently_is_refused() {
        let line = "POST / HTTP/1.1\r\n";
        for head in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +1",
            "Content-Length: 1, 1",
            "Content-Length: 0x1",
            "Transfer-Encoding: chunked",
            "transfer-encoding: identity",
            "A : b",
            " folded: x",
            "no colon",
            "a: b\nc: d",
            "a: b\rc: d",
            "a: \0",
            ": x",
        ] {
            let request = format!("{line}{head}\r\n\r\n");
            assert!(matches!(read(request.as_bytes()).await, Err(Bad::Malformed(_))), "{head:?}");
        }
        for line in
            ["GET / HTTP/1.0", "GET /", "get / HTTP/1.1", "GET  / HTTP/1.1", "GET a HTTP/1.1", "GET /a b HTTP/1.1", "GET /\\x HTTP/1.1"]
        {
            assert!(matches!(read(format!("{line}\r\n\r\n").as_bytes()).await, Err(Bad::Malformed(_))), "{line:?}");
        }
        assert_eq!(read(b"GET / HTTP/1.1\r\n").await, Err(Bad::Broken));
        assert_eq!(read(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc").await, Err(Bad::Broken));
    }

    #[tokio::test]
    async fn nothing_is_kept_beyond_the_limits() {
        let long = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(HEAD_BYTES));
        assert_eq!(read(long.as_bytes()).await, Err(Bad::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEAD_LINES + 1));
        assert_eq!(read(many.as_bytes()).await, Err(Bad::TooLarge));
        let body = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", BODY_BYTES + 1);
        assert_eq!(read(body.as_bytes()).await, Err(Bad::TooLarge));
        let path = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(PATH_BYTES));
        assert!(matches!(read(path.as_bytes()).await, Err(Bad::Malformed(_))));
    }

    #[test]
    fn an_answer_has_its_length_and_its_cookie() {
        let answer = Response { status: 200, kind: "application/json", session: Some("abc".into()), body: b"{}".to_vec().into() };
        let text = String::from_utf8(answer.to_bytes(true)).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\ncache-control: no-store\r\n\
             set-cookie: kbs-session-id=abc; Path=/kbs; Secure; HttpOnly\r\n\r\n{}"
        );
    }
}
