//! A small HTTP server for the simulated log and its witnesses: this machine alone, few connections, everything bounded.
//!
//! Decides: how connections are taken and end. Requests are read by the reader of the key broker protocol (`ringwall_node::kbs::http`); what they mean is
//! the caller's, one at a time, on a thread that may wait.
//! Trusts: nothing that comes in. Out of scope: TLS; nobody but tests and demonstrations talks to it.

use ringwall_node::kbs::http::{Bad, Method, Reader, Request, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at once.
const CONNECTIONS: usize = 32;
/// Longest time for a request to arrive and for an answer to leave.
const STEP: Duration = Duration::from_secs(10);

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Type of its body.
    pub kind: &'static str,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Words.
    pub fn text(status: u16, words: impl Into<String>) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", body: words.into().into_bytes() }
    }

    /// Bytes.
    pub fn bytes(body: Vec<u8>) -> Self {
        Answer { status: 200, kind: "application/octet-stream", body }
    }
}

/// Whoever answers.
pub trait Desk: Send + 'static {
    /// Answers one request; may wait for others.
    fn answer(&mut self, method: Method, path: &str, body: &[u8]) -> Answer;
}

/// Serves on `listen` until the process ends; `ready` is told the address first.
pub fn serve(listen: SocketAddr, desk: impl Desk, ready: impl FnOnce(SocketAddr)) -> std::io::Result<()> {
    if !listen.ip().is_loopback() {
        let words = format!("{listen} is not of this machine: a simulated log protects nothing and is for nobody else");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, words));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        ready(listener.local_addr()?);
        let desk = Arc::new(Mutex::new(desk));
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
            let (stream, _) = listener.accept().await?;
            let desk = Arc::clone(&desk);
            tokio::spawn(async move {
                let _place = place;
                // Whoever left before the end knows it.
                let _ = connection(desk, stream).await;
            });
        }
    })
}

async fn connection<D: Desk>(desk: Arc<Mutex<D>>, mut stream: TcpStream) -> Result<(), Bad> {
    let read = timeout(STEP, Reader::new().next(&mut stream)).await.map_err(|_| Bad::Broken)?;
    let answer = match read {
        Ok(Request { method, path, body, .. }) => {
            let answering = tokio::task::spawn_blocking(move || {
                let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
                desk.answer(method, &path, &body)
            });
            answering.await.unwrap_or_else(|_| Answer::text(500, "the answer could not be made\n"))
        }
        Err(bad @ Bad::Malformed(_)) => Answer::text(400, format!("{bad}\n")),
        Err(bad @ Bad::TooLarge) => Answer::text(413, format!("{bad}\n")),
        Err(bad) => return Err(bad),
    };
    let response = Response { status: answer.status, kind: answer.kind, session: None, body: answer.body.into() };
    timeout(STEP, response.send(&mut stream, false)).await.map_err(|_| Bad::Broken)??;
    use tokio::io::AsyncWriteExt as _;
    // Whether the goodbye is heard changes nothing.
    let _ = timeout(STEP, stream.shutdown()).await;
    Ok(())
}
