//! The bytes of a WebSocket: frames in, frames out.
//!
//! A socket owns its connection and nothing more: what is read goes into a buffer that all sockets of a
//! thread share, because a frame is heard to its end before the next socket is read. So a phone that
//! says nothing costs no buffer, and a frame costs one `recv`, no copy and no second task.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use actix_codec::{Decoder, Encoder};
use actix_http::ws::{Codec, Frame, Message, ProtocolError};
use actix_web::rt::net::TcpStream;
use actix_web::web::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;

use super::FRAME_BYTES_MAX;

/// Bytes of one `recv` at most: two of the largest frames.
const READ_BYTES: usize = 2 * FRAME_BYTES_MAX;
/// The longest head of a frame from a phone.
const HEAD_BYTES_MAX: usize = 14;

thread_local! {
    /// What was read last on this thread. Empty whenever no socket is being read.
    static INPUT: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// A WebSocket whose handshake is done.
pub(super) struct Socket {
    stream: TcpStream,
    codec: Codec,
    /// The beginning of a frame whose end has not arrived.
    partial: Vec<u8>,
    /// Frames that the kernel has not taken yet.
    unsent: BytesMut,
}

/// The frames of one `recv`.
pub(super) struct Frames<'a> {
    codec: &'a mut Codec,
    input: &'a mut BytesMut,
}

impl Frames<'_> {
    /// The next whole frame.
    ///
    /// # Errors
    /// [`ProtocolError`] when the bytes are no frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, ProtocolError> {
        let frame = self.codec.decode(self.input)?;
        if frame.is_none() && self.input.len() > FRAME_BYTES_MAX + HEAD_BYTES_MAX {
            // The rest of a frame that is too large need not be waited for.
            return Err(ProtocolError::Overflow);
        }
        Ok(frame)
    }
}

impl Socket {
    /// The socket on a connection on which `heard` followed the handshake.
    pub(super) fn new(stream: TcpStream, heard: &[u8]) -> Self {
        Self {
            stream,
            codec: Codec::new().max_size(FRAME_BYTES_MAX),
            partial: heard.to_vec(),
            unsent: BytesMut::new(),
        }
    }

    /// Hands what came with the handshake to `hear`.
    pub(super) fn hear_first<T>(
        &mut self,
        hear: impl FnOnce(Frames<'_>, &mut Outgoing<'_>) -> T,
    ) -> T {
        let mut input = BytesMut::from(std::mem::take(&mut self.partial).as_slice());
        let frames = Frames { codec: &mut self.codec, input: &mut input };
        let heard = hear(frames, &mut Outgoing(&mut self.unsent));
        self.partial = input.to_vec();
        heard
    }

    /// Reads once, and hands the frames that are whole to `hear` with the socket to answer on.
    ///
    /// # Errors
    /// When the connection is over.
    pub(super) fn poll_hear<T>(
        &mut self,
        context: &mut Context<'_>,
        hear: impl FnOnce(Frames<'_>, &mut Outgoing<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        INPUT.with_borrow_mut(|input| {
            ready!(self.poll_read(context, input))?;
            let frames = Frames { codec: &mut self.codec, input };
            let heard = hear(frames, &mut Outgoing(&mut self.unsent));
            self.keep(input);
            Poll::Ready(Ok(heard))
        })
    }

    /// Reads behind the beginning of a frame that is kept, if there is one.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        input: &mut BytesMut,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            input.reserve(READ_BYTES);
            input.extend_from_slice(&std::mem::take(&mut self.partial));
            match self.stream.try_read_buf(input) {
                Ok(0) => {
                    input.clear();
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.keep(input),
                Err(error) => {
                    input.clear();
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Leaves the shared buffer empty.
    fn keep(&mut self, input: &mut BytesMut) {
        if !input.is_empty() {
            self.partial = input.to_vec();
            input.clear();
        }
    }

    /// Adds a frame to what is sent by [`poll_flush`](Self::poll_flush).
    pub(super) fn push(&mut self, message: Message) {
        Outgoing(&mut self.unsent).push(message);
    }

    /// Whether everything pushed was taken by the kernel.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends what was pushed.
    ///
    /// # Errors
    /// When the connection is over.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(sent) => self.unsent.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.unsent = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more is sent, and listens until the phone has taken note: what it was told
    /// last would be lost if the connection were closed over bytes that nobody has read.
    pub(super) async fn linger(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        // Errors and the end of the connection are the same here.
        while std::future::poll_fn(|context| self.poll_drop_input(context)).await.is_ok() {}
    }

    fn poll_drop_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        INPUT.with_borrow_mut(|input| {
            let read = ready!(self.poll_read(context, input));
            input.clear();
            Poll::Ready(read)
        })
    }
}

/// Frames on their way to the phone.
pub(super) struct Outgoing<'a>(&'a mut BytesMut);

impl Outgoing<'_> {
    /// Adds a frame.
    pub(super) fn push(&mut self, message: Message) {
        // Only a fragment out of order has no form, and none is sent.
        let _infallible = Codec::new().encode(message, self.0);
    }
}
