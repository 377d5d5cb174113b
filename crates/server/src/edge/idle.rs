//! A stream that fails when nothing moves on it for too long.
//!
//! HTTP/1's own header timeout starts only when the protocol's version is known, and bodies and answers have none at
//! all; this one bound holds for every phase.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Until this many bytes came, no request can have begun: the shortest request line is about as long.
const FIRST_BYTES: u64 = 16;

/// Reads and writes of `S`, ended by [`io::ErrorKind::TimedOut`] when nothing moves.
#[derive(Debug)]
pub struct IdleIo<S> {
    stream: S,
    idle: Duration,
    received: u64,
    last: Instant,
    /// When to look next whether something moved; moved on lazily, as resetting a timer at each read costs.
    timer: Pin<Box<Sleep>>,
}

impl<S> IdleIo<S> {
    /// The first bytes must come within `first`, everything later within `idle` of what came before.
    pub fn new(stream: S, first: Duration, idle: Duration) -> Self {
        let now = Instant::now();
        Self { stream, idle, received: 0, last: now, timer: Box::pin(tokio::time::sleep_until(now + first)) }
    }

    /// Ready when time is up.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let deadline = self.last + self.idle;
            if self.received < FIRST_BYTES || deadline <= Instant::now() {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "nothing moved on the connection"));
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    fn moved<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.last = Instant::now();
            return result;
        }
        self.poll_idle(context).map(Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.received += (buffer.filled().len() - before) as u64;
        self.moved(context, result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.moved(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.moved(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
