//! TLS handshakes, away from the loop that accepts connections.
//!
//! Each has a task and a time limit, and there are at most so many at once. A client that opens connections and says
//! nothing fills them up; then the oldest makes room for the newest, so that a client that does speak, and is done
//! within milliseconds, comes through while the silent ones are pushed out.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::EdgeConfig;
use crate::metrics::{Handshake, Metrics};
use crate::tls::{Peer, TlsListener};

/// The first byte of every TLS connection: the content type of a handshake.
const TLS_FIRST_BYTE: u8 = 0x16;

const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\
    connection: close\r\ncontent-length: 91\r\n\r\n\
    {\"status\":400,\"code\":\"malformed\",\"title\":\"This port speaks TLS\",\"hint\":\"write https://\"   }";

/// A connection whose handshake is done.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) address: SocketAddr,
    /// The client, if it showed a certificate.
    pub(super) peer: Option<Arc<Peer>>,
}

/// The handshakes of a listener that are under way.
#[derive(Debug)]
pub(super) struct Handshakes {
    listener: TlsListener,
    pending_max: usize,
    time_max: Duration,
    pending: JoinSet<Option<Secured>>,
    /// Oldest first; some may be done already.
    order: VecDeque<AbortHandle>,
    metrics: Arc<Metrics>,
}

impl Handshakes {
    pub(super) fn new(listener: TlsListener, config: &EdgeConfig, metrics: Arc<Metrics>) -> Self {
        let pending_max = config.handshakes_max.max(1);
        let (pending, order) = (JoinSet::new(), VecDeque::new());
        Self { listener, pending_max, time_max: config.handshake_time_max, pending, order, metrics }
    }

    /// Starts a handshake.
    pub(super) fn begin(&mut self, stream: TcpStream, address: SocketAddr) {
        while self.order.front().is_some_and(AbortHandle::is_finished) {
            self.order.pop_front();
        }
        if self.order.len() >= self.pending_max {
            self.order.retain(|handshake| !handshake.is_finished());
        }
        if self.order.len() >= self.pending_max
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
            self.metrics.handshake(Handshake::Displaced);
        }
        let (listener, time_max, metrics) = (self.listener.clone(), self.time_max, self.metrics.clone());
        self.order.push_back(self.pending.spawn(async move {
            let outcome = tokio::time::timeout(time_max, secure(stream, address, &listener)).await;
            let (outcome, secured) = match outcome {
                Ok(Ok(secured)) => (Handshake::Done, Some(secured)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, %address, "TLS handshake failed");
                    (Handshake::Failed, None)
                }
                Err(_) => (Handshake::TimedOut, None),
            };
            metrics.handshake(outcome);
            secured
        }));
    }

    /// The next that ends well; None when none is under way. May be dropped at any time.
    pub(super) async fn next(&mut self) -> Option<Secured> {
        while let Some(ended) = self.pending.join_next().await {
            if let Ok(Some(secured)) = ended {
                return Some(secured);
            }
        }
        None
    }
}

async fn secure(stream: TcpStream, address: SocketAddr, listener: &TlsListener) -> io::Result<Secured> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first != [TLS_FIRST_BYTE] {
        return Err(tell_to_use_tls(stream).await);
    }
    let (config, version) = listener.config().ok_or_else(|| io::Error::other("no CA checks client certificates"))?;
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = listener.peer(chain, version).map_err(io::Error::other)?;
    Ok(Secured { stream, address, peer })
}

/// Somebody wrote `http://` instead of `https://`.
async fn tell_to_use_tls(mut stream: TcpStream) -> io::Error {
    // What was sent is read first: closing with unread bytes would reset the connection and take the answer back.
    let mut unread = [0; 4096];
    let told = async {
        stream.readable().await?;
        drop(stream.try_read(&mut unread));
        stream.write_all(PLAIN_ANSWER).await?;
        stream.shutdown().await
    };
    match told.await {
        Ok(()) => io::Error::new(io::ErrorKind::InvalidData, "not TLS"),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_whole() {
        let text = std::str::from_utf8(PLAIN_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
