//! Just enough gRPC over HTTP/2 and mutual TLS to drive etcd's KV service: one call in, one message out.
//!
//! Decides: framing of unary calls and the three protobuf messages the benchmark needs (put, range, their answers).
//! Trusts: the benchmark's own certificate authority. Out of scope: every other etcd call; this is a load generator, not a client.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{Method, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// TCP or TLS.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// HTTP/2.
    #[error("HTTP/2: {0}")]
    H2(#[from] h2::Error),
    /// The request could not be built.
    #[error("request: {0}")]
    Http(#[from] http::Error),
    /// etcd answered with an error.
    #[error("gRPC status {0}")]
    Status(String),
    /// The answer does not hold what was asked.
    #[error("the answer does not hold the value that was written")]
    WrongAnswer,
}

/// One HTTP/2 connection; clones share it.
#[derive(Clone)]
pub struct Channel {
    send: SendRequest<Bytes>,
}

impl Channel {
    /// Connects with mutual TLS.
    pub async fn connect(to: SocketAddr, tls: Arc<rustls::ClientConfig>) -> Result<Self, CallError> {
        let tcp = TcpStream::connect(to).await?;
        tcp.set_nodelay(true)?;
        let name = rustls::pki_types::ServerName::IpAddress(to.ip().into());
        let stream = TlsConnector::from(tls).connect(name, tcp).await?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(8 * 1024 * 1024)
            .initial_connection_window_size(64 * 1024 * 1024)
            .handshake(stream)
            .await?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Channel { send })
    }

    /// One unary call.
    pub async fn call(&self, path: &'static str, message: Bytes) -> Result<Bytes, CallError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("https://127.0.0.1{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut send = self.send.clone().ready().await?;
        let (response, mut stream) = send.send_request(request, false)?;
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(0);
        frame.put_u32(message.len() as u32);
        frame.extend_from_slice(&message);
        stream.send_data(frame.freeze(), true)?;
        let response = response.await?;
        let early = response.headers().get("grpc-status").cloned();
        let mut body = response.into_body();
        let mut data = BytesMut::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            data.extend_from_slice(&chunk);
        }
        let trailers = body.trailers().await?;
        let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status").cloned()).or(early);
        match status {
            Some(code) if code == "0" => Ok(data.freeze().slice(5..)),
            other => Err(CallError::Status(format!("{other:?}"))),
        }
    }
}

/// `etcdserverpb.PutRequest`.
pub fn put_request(key: &[u8], value: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(key.len() + value.len() + 12);
    put_field(&mut out, 1, key);
    put_field(&mut out, 2, value);
    out.freeze()
}

/// `etcdserverpb.RangeRequest` for one key, linearizable.
pub fn range_request(key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(key.len() + 4);
    put_field(&mut out, 1, key);
    out.freeze()
}

fn put_field(out: &mut BytesMut, number: u8, bytes: &[u8]) {
    out.put_u8(number << 3 | 2);
    let mut len = bytes.len() as u64;
    while len >= 0x80 {
        out.put_u8(len as u8 | 0x80);
        len >>= 7;
    }
    out.put_u8(len as u8);
    out.extend_from_slice(bytes);
}

/// Size of the first value in an `etcdserverpb.RangeResponse`; none when it holds no key or is not one.
pub fn value_bytes(response: &[u8]) -> Option<usize> {
    let key_value = field(response, 2)?;
    field(key_value, 5).map(<[u8]>::len)
}

/// The first length-delimited field with this number.
fn field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => drop(varint(&mut message)?),
            2 => {
                let len = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(len)?;
                if tag >> 3 == wanted {
                    return Some(bytes);
                }
                message = rest;
            }
            _ => return None,
        }
    }
    None
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_size_of_the_value_it_wrote() {
        // KeyValue{key: "k", version 4: 9, value 5: 300 bytes} inside RangeResponse{header 1, kvs 2}.
        let mut inner = BytesMut::new();
        put_field(&mut inner, 1, b"k");
        inner.extend_from_slice(&[4 << 3, 9]);
        put_field(&mut inner, 5, &[7; 300]);
        let mut outer = BytesMut::new();
        put_field(&mut outer, 1, b"header");
        put_field(&mut outer, 2, &inner);
        assert_eq!(value_bytes(&outer), Some(300));
        assert_eq!(value_bytes(&outer[..outer.len() - 1]), None);
        assert_eq!(value_bytes(b""), None);
    }
}
