//! A lean WebSocket client for the driver stream.
//!
//! Frames are masked with zeros: valid, and free, so that the generator leaves the machine to the
//! server.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::read_head;
use crate::net;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// The end, with its code.
    Close(Option<u16>),
    /// Anything else.
    Other,
}

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Socket {
    /// Connects and shakes hands; positions go as binary frames.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the upgrade.
    pub async fn open(address: SocketAddr, path: &str) -> io::Result<Self> {
        let mut stream = net::connect(address).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: muster\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
             sec-websocket-protocol: muster.bin.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut input = Vec::new();
        let head = read_head(&mut stream, &mut input).await?;
        if head.status != 101 {
            return Err(io::Error::other(format!("the upgrade was answered {}", head.status)));
        }
        Ok(Self { stream, input })
    }

    /// The next frame. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = take_frame(&mut self.input) {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Sends text.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn text(&mut self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes()).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn binary(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(BINARY, bytes).await
    }

    /// Answers a ping.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        self.send(PONG, payload).await
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 8);
        frame.push(0x80 | opcode);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length), _) if length < 126 => frame.push(0x80 | length),
            (_, Ok(length)) => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            (_, Err(_)) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await
    }
}

/// The opcode and the payload of the frame that `input` begins with, and the length of the whole, once it
/// has all arrived. Servers do not mask.
pub(crate) fn raw_frame(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let [first, second, rest @ ..] = input else { return None };
    let (length, header) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (usize::try_from(length).ok()?, 10)
        }
        (126 | 127, _) => return None,
        (length, _) => (usize::from(length), 2),
    };
    let payload = input.get(header..header + length)?;
    Some((first & 0x0f, payload, header + length))
}

/// Takes one whole frame off `input`.
fn take_frame(input: &mut Vec<u8>) -> Option<Message> {
    let (opcode, payload, length) = raw_frame(input)?;
    let payload = payload.to_vec();
    input.drain(..length);
    if input.is_empty() {
        // Ten thousand sockets hold ten thousand buffers.
        *input = Vec::new();
    }
    Some(match opcode {
        TEXT => Message::Text(String::from_utf8_lossy(&payload).into_owned()),
        PING => Message::Ping(payload),
        CLOSE => Message::Close(match payload.as_slice() {
            [high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        }),
        _ => Message::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_or_not_at_all() {
        let mut input = vec![0x81, 2, b'h', b'i', 0x89, 0, 0x88, 2, 0x0f, 0xa1, 0x81];
        assert_eq!(take_frame(&mut input), Some(Message::Text("hi".to_owned())));
        assert_eq!(take_frame(&mut input), Some(Message::Ping(Vec::new())));
        assert_eq!(take_frame(&mut input), Some(Message::Close(Some(4001))));
        assert_eq!(take_frame(&mut input), None);
        assert_eq!(input, [0x81]);
    }

    #[test]
    fn long_frames_have_long_lengths() {
        let mut input = vec![0x81, 126, 1, 0];
        assert_eq!(take_frame(&mut input), None);
        input.extend([b'x'; 256]);
        assert_eq!(take_frame(&mut input), Some(Message::Text("x".repeat(256))));
        assert!(input.is_empty());
    }
}
