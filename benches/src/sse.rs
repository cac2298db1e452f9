//! Following one ride by server-sent events.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{Chunks, Request, read_head};
use crate::net;

/// An open stream of events.
#[derive(Debug)]
pub struct EventStream {
    stream: TcpStream,
    input: Vec<u8>,
    text: Vec<u8>,
    chunks: Option<Chunks>,
    ended: bool,
}

impl EventStream {
    /// Opens the stream at `path`.
    ///
    /// # Errors
    /// When it cannot be reached or does not answer 200.
    pub async fn open(address: SocketAddr, path: &str) -> io::Result<Self> {
        let mut stream = net::connect(address).await?;
        let mut head = Vec::new();
        Request::get(path).write_head(&mut head);
        stream.write_all(&head).await?;
        let mut input = Vec::new();
        let head = read_head(&mut stream, &mut input).await?;
        if head.status != 200 {
            return Err(io::Error::other(format!("{path} answered {}", head.status)));
        }
        let chunks = head.chunked.then(Chunks::default);
        Ok(Self { stream, input, text: Vec::new(), chunks, ended: false })
    }

    /// The data of the next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(data) = self.take_event() {
                return Ok(Some(data));
            }
            if self.ended || self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
            match &mut self.chunks {
                Some(chunks) => self.ended = chunks.decode(&mut self.input, &mut self.text)?,
                None => self.text.append(&mut self.input),
            }
        }
    }

    fn take_event(&mut self) -> Option<String> {
        loop {
            let end = self.text.windows(2).position(|two| two == b"\n\n")?;
            let event: Vec<u8> = self.text.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            let data: Vec<&str> = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(|data| data.strip_prefix(' ').unwrap_or(data))
                .collect();
            if !data.is_empty() {
                return Some(data.join("\n"));
            }
        }
    }
}
