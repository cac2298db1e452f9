//! One connection of the generator: a non-blocking socket, and what its kernel buffers did not take or
//! give in one piece.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::load::frames::Car;
use crate::net;
use crate::ws::raw_frame;

/// A server that does not answer a handshake by then has failed.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(20);
/// What a connection may owe the kernel; a server that takes nothing any more has failed.
const UNSENT_BYTES_MAX: usize = 4 << 20;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a server said on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The payload of a ping came back.
    Pong(u64),
    /// A fix was not applied, or a frame not understood.
    Refusal,
    /// The end.
    Closed,
}

/// A connection.
pub(super) struct Line {
    stream: TcpStream,
    /// Where its driver is.
    pub(super) car: Car,
    unsent: Vec<u8>,
    unread: Vec<u8>,
}

impl Line {
    /// Connects as a driver, goes to work, and is watched from here on under `token`.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the upgrade.
    pub(super) fn open(
        address: SocketAddr,
        driver: &str,
        car: Car,
        registry: &Registry,
        token: usize,
    ) -> io::Result<Self> {
        let mut stream = net::connect_blocking(address)?;
        stream.set_read_timeout(Some(HANDSHAKE_WITHIN))?;
        let request = format!(
            "GET /v1/drivers/{driver}/stream HTTP/1.1\r\nhost: muster\r\nupgrade: websocket\r\n\
             connection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-version: 13\r\nsec-websocket-protocol: muster.bin.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let unread = behind_handshake(&mut stream)?;
        let status = br#"{"type":"status","status":"online"}"#;
        let mut frame = vec![0x80 | TEXT, 0x80 | status.len() as u8, 0, 0, 0, 0];
        frame.extend(status);
        stream.write_all(&frame)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, car, unsent: Vec::new(), unread })
    }

    /// Sends bytes, behind those that are still to be sent. Tells whether the kernel took them.
    ///
    /// # Errors
    /// When the connection is over, or the server takes nothing any more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let taken = if self.unsent.is_empty() { taken(self.stream.write(bytes))? } else { 0 };
        if taken < bytes.len() {
            self.unsent.extend_from_slice(&bytes[taken..]);
            if self.unsent.len() > UNSENT_BYTES_MAX {
                return Err(io::Error::other("the server takes nothing any more"));
            }
        }
        Ok(self.unsent.is_empty())
    }

    /// Sends what the kernel did not take before.
    ///
    /// # Errors
    /// When the connection is over.
    pub(super) fn send_rest(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let taken = taken(self.stream.write(&self.unsent))?;
            if taken == 0 {
                return Ok(());
            }
            self.unsent.drain(..taken);
        }
        self.unsent = Vec::new();
        Ok(())
    }

    /// Reads what has arrived, answers pings, and hands the rest to `hear`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(super) fn hear(
        &mut self,
        buffer: &mut [u8],
        mut hear: impl FnMut(Heard),
    ) -> io::Result<()> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => {
                    hear(Heard::Closed);
                    return Ok(());
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.unread.extend_from_slice(&buffer[..read]);
            self.take_frames(&mut hear)?;
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    fn take_frames(&mut self, hear: &mut impl FnMut(Heard)) -> io::Result<()> {
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        while let Some((opcode, payload, length)) = raw_frame(rest) {
            match opcode {
                PONG => {
                    if let Ok(payload) = payload.try_into() {
                        hear(Heard::Pong(u64::from_le_bytes(payload)));
                    }
                }
                PING => {
                    let mut pong = vec![0x80 | PONG, 0x80 | payload.len() as u8, 0, 0, 0, 0];
                    pong.extend_from_slice(payload);
                    self.send(&pong)?;
                }
                TEXT if is_refusal(payload) => hear(Heard::Refusal),
                CLOSE => hear(Heard::Closed),
                _ => {}
            }
            rest = &rest[length..];
        }
        if !rest.is_empty() {
            self.unread = rest.to_vec();
        }
        Ok(())
    }
}

fn is_refusal(text: &[u8]) -> bool {
    text.starts_with(br#"{"type":"rejected""#) || text.starts_with(br#"{"type":"error""#)
}

/// How many bytes a write took: none of a full buffer.
fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(0)
        }
        written => written,
    }
}

/// Reads the answer to a handshake; returns what came behind it.
fn behind_handshake(stream: &mut std::net::TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer[..read]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            if !head.starts_with(b"HTTP/1.1 101 ") {
                let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
                let line = String::from_utf8_lossy(line);
                return Err(io::Error::other(format!("the upgrade was answered {line}")));
            }
            return Ok(rest);
        }
    }
}
