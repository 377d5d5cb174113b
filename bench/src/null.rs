//! A server that reads requests and does nothing, in a process of its own: what the load generator reaches against it
//! is the most that it could measure.

use std::convert::Infallible;
use std::process::Stdio;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::process::Process;

/// A running null server; killed when dropped.
#[derive(Debug)]
pub struct NullServer {
    pub process: Process,
    pub url: String,
    _child: Child,
}

impl NullServer {
    /// # Errors
    /// It does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("null-server").stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let url = lines.next_line().await?.context("the null server does not start")?;
        Ok(Self { process: Process(child.id().context("it ended")?), url, _child: child })
    }
}

/// Prints its address and serves until it is killed.
///
/// # Errors
/// It can't listen.
pub async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/\n", listener.local_addr()?);
    tokio::io::stdout().write_all(address.as_bytes()).await?;
    tokio::io::stdout().flush().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(drop_body)),
        );
    }
}

async fn drop_body(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    Ok(Response::new(Full::new(Bytes::from_static(b"{\"accepted\":1,\"rejected\":0,\"errors\":[]}"))))
}
