//! A WebSocket on the connection's own HTTP client, so that certificates and key are those of every other request.

use reqwest::{StatusCode, Upgraded, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Connection;
use super::http::Problem;

pub(super) type Socket = WebSocketStream<Upgraded>;

/// Why there is no WebSocket.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The server does not want this request.
    Refused(Box<Problem>),
    /// It may work another time.
    Unreachable(anyhow::Error),
}

/// # Errors
/// The server refuses, or can't be reached.
pub(super) async fn open(connection: &Connection, path: &str, config: WebSocketConfig) -> Result<Socket, OpenError> {
    let key = generate_key();
    let request = connection
        .upgrade(path, "websocket")
        .map_err(OpenError::Unreachable)?
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key);
    let response = request.send().await.map_err(|error| OpenError::Unreachable(error.into()))?;
    let status = response.status();
    if status.is_client_error() {
        return Err(OpenError::Refused(Box::new(Problem::read(response).await)));
    }
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(header::HeaderValue::as_bytes);
    if status != StatusCode::SWITCHING_PROTOCOLS || accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        let error = anyhow::anyhow!("the server answered {status} instead of opening a WebSocket");
        return Err(OpenError::Unreachable(error));
    }
    let stream = response.upgrade().await.map_err(|error| OpenError::Unreachable(error.into()))?;
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await)
}
