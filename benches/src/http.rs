//! A lean HTTP/1.1 client: keep-alive, no pipelining, one request at a time per connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::net;

/// Idle connections are dropped before the server closes them under a request.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// Path and query.
    pub path: &'a str,
    /// JSON, if any.
    pub body: Option<&'a str>,
    /// The `Idempotency-Key`, if any.
    pub key: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A `GET`.
    pub const fn get(path: &'a str) -> Self {
        Self { method: "GET", path, body: None, key: None }
    }

    /// A `POST` of JSON.
    pub const fn post(path: &'a str, body: &'a str) -> Self {
        Self { method: "POST", path, body: Some(body), key: None }
    }

    /// A `PUT` of JSON.
    pub const fn put(path: &'a str, body: &'a str) -> Self {
        Self { method: "PUT", path, body: Some(body), key: None }
    }

    /// The same with an `Idempotency-Key`.
    #[must_use]
    pub const fn with_key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\nhost: muster\r\n");
        if let Some(key) = self.key {
            out.extend_from_slice(b"idempotency-key: ");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if let Some(body) = self.body {
            let head =
                format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
            out.extend_from_slice(head.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is 2xx.
    pub const fn ok(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is something else, with its beginning.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = String::from_utf8_lossy(&self.body);
            let start: String = text.chars().take(200).collect();
            anyhow::anyhow!("answer {} cannot be read: {error}: {start}", self.status)
        })
    }
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    length: usize,
    pub(crate) chunked: bool,
    close: bool,
}

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    used_at: Instant,
    closing: bool,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = net::connect(address).await?;
        let (input, output) = (Vec::with_capacity(4096), Vec::with_capacity(1024));
        Ok(Self { stream, input, output, used_at: Instant::now(), closing: false })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is not HTTP.
    pub async fn call(&mut self, request: &Request<'_>) -> io::Result<Response> {
        self.output.clear();
        request.write_head(&mut self.output);
        if let Some(body) = request.body {
            self.output.extend_from_slice(body.as_bytes());
        }
        self.stream.write_all(&self.output).await?;
        let head = read_head(&mut self.stream, &mut self.input).await?;
        let body = if head.chunked {
            let mut chunks = Chunks::default();
            let mut body = Vec::new();
            while !chunks.decode(&mut self.input, &mut body)? {
                read_more(&mut self.stream, &mut self.input).await?;
            }
            body
        } else {
            while self.input.len() < head.length {
                read_more(&mut self.stream, &mut self.input).await?;
            }
            self.input.drain(..head.length).collect()
        };
        self.used_at = Instant::now();
        self.closing = head.close;
        Ok(Response { status: head.status, body })
    }

    fn reusable(&self) -> bool {
        !self.closing && self.used_at.elapsed() < IDLE_MAX
    }
}

async fn read_more(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<()> {
    if stream.read_buf(input).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Reads and removes the head of an answer from `input`.
pub(crate) async fn read_head(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        if let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = parse_head(&input[..end])?;
            input.drain(..end + 4);
            return Ok(head);
        }
        if input.len() > HEAD_BYTES_MAX {
            return Err(broken("the head of an answer does not end"));
        }
        read_more(stream, input).await?;
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn parse_head(head: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(head).map_err(|_| broken("a head that is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| broken("a head without a status"))?;
    let mut parsed = Head { status, length: 0, chunked: false, close: false };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            parsed.length = value.parse().map_err(|_| broken("a bad content-length"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            parsed.chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            parsed.close = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(parsed)
}

/// Takes the chunked transfer coding apart, as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// Bytes of the chunk at hand, its line end included, that have not come yet.
    left: usize,
}

impl Chunks {
    /// Moves what is complete from `input` to `body`; returns whether that was the end.
    pub(crate) fn decode(&mut self, input: &mut Vec<u8>, body: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if self.left > 0 {
                let take = self.left.min(input.len());
                // The last two bytes of a chunk are its line end.
                let data = take.min(self.left.saturating_sub(2));
                body.extend_from_slice(&input[..data]);
                input.drain(..take);
                self.left -= take;
                if self.left > 0 {
                    return Ok(false);
                }
            }
            let Some(end) = input.windows(2).position(|two| two == b"\r\n") else {
                return Ok(false);
            };
            let size = std::str::from_utf8(&input[..end]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let size = size.ok_or_else(|| broken("a bad chunk size"))?;
            if size == 0 && input.len() < end + 4 {
                return Ok(false);
            }
            input.drain(..end + 2);
            if size == 0 {
                input.drain(..2);
                return Ok(true);
            }
            self.left = size + 2;
        }
    }
}

/// Keep-alive connections for many callers, at most so many at once.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    within: Duration,
}

impl Pool {
    /// A pool of at most `size` connections; a call that takes longer than `within` fails.
    pub fn new(address: SocketAddr, size: usize, within: Duration) -> Self {
        Self { address, idle: Mutex::default(), permits: Semaphore::new(size), within }
    }

    /// Where it connects to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Performs one request on a free connection, waiting for one if need be.
    ///
    /// # Errors
    /// When the connection breaks or time is up: the request may or may not have had its effect.
    pub async fn call(&self, request: &Request<'_>) -> io::Result<Response> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let once = async {
            let mut connection = match self.take() {
                Some(connection) => connection,
                None => Connection::open(self.address).await?,
            };
            let response = connection.call(request).await?;
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok(response)
        };
        match tokio::time::timeout(self.within, once).await {
            Ok(done) => done,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.reusable() {
                return Some(connection);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read() {
        let head = parse_head(b"HTTP/1.1 202 Accepted\r\nContent-Length: 12\r\nx: y").unwrap();
        assert_eq!(head, Head { status: 202, length: 12, chunked: false, close: false });
        let head = parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").unwrap();
        assert!(head.chunked);
        assert!(parse_head(b"nonsense").is_err());
    }

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        let whole = b"4\r\nMust\r\n2\r\ner\r\n0\r\n\r\n";
        for cut in 0..whole.len() {
            let (mut input, mut body) = (Vec::new(), Vec::new());
            let mut chunks = Chunks::default();
            let mut done = false;
            for part in [&whole[..cut], &whole[cut..]] {
                input.extend_from_slice(part);
                done = chunks.decode(&mut input, &mut body).unwrap();
            }
            assert_eq!((done, body.as_slice()), (true, b"Muster".as_slice()), "cut at {cut}");
        }
    }
}
