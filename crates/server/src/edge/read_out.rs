//! Reads what a handler left of a body before it is answered.
//!
//! Over HTTP/1.1 an answer that comes while the client still sends ends the connection, and many clients then see a
//! broken pipe instead of the 401 or 413 that would tell them what to do. A client that waits for `100 Continue` sends
//! nothing before it is asked, and gets its answer at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;

/// Of a larger rest the connection is closed all the same.
const BYTES_MAX: u64 = 128 << 20;
const TIME_MAX: Duration = Duration::from_secs(10);
/// A client that sends nothing has nothing to finish.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// What a handler did not read of a body.
type Rest = Arc<Mutex<Option<Body>>>;

/// A body that is put back when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    rest: Rest,
}

/// Answers a request, and reads what the handler left of its body.
pub(super) async fn run(request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11
        || request.headers().contains_key(header::EXPECT)
        || request.body().is_end_stream()
    {
        return next.run(request).await;
    }
    let rest = Rest::default();
    let lend = |body| Body::new(Lent { body: Some(body), rest: rest.clone() });
    let response = next.run(request.map(lend)).await;
    let left = rest.lock().take();
    if let Some(left) = left {
        // What the client made of it is its own affair.
        let _ = timeout(TIME_MAX, read_out(left)).await;
    }
    response
}

async fn read_out(mut body: Body) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout(SILENCE_MAX, body.frame()).await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > BYTES_MAX {
            return;
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.rest.lock() = Some(body);
        }
    }
}
