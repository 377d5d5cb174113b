//! A TCP proxy before a server, which cuts and disturbs the connections that go through it.

use std::future;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How late each piece comes through a slow network.
const DELAY: Duration = Duration::from_millis(300);

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Passes,
    /// Connections stay and can be made; nothing comes through until it passes again.
    Stalls,
    /// Connections are closed, new ones at once.
    Closes,
    /// As `Closes`, by a reset.
    Resets,
    Delays,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
}

impl Proxy {
    /// Listens on a free port for the server at `port`, which may start later.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let network = watch::Sender::new(Network::Passes);
        let state = network.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, state.clone()));
            }
        });
        Self { port: address.port(), network }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of a server, `…127.0.0.1:PORT…`, as it is reached through this.
    pub(crate) fn address(&self, of_server: &str) -> String {
        let (before, rest) = of_server.split_once("127.0.0.1:").expect("a loopback address with a port");
        format!("{before}127.0.0.1:{}{}", self.port, rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn carry(mut client: TcpStream, port: u16, network: watch::Receiver<Network>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pump(from_client, to_server, network.clone());
        let down = pump(from_server, to_client, network.clone());
        tokio::select! {
            cut = cut(network) => cut,
            ended = async { tokio::try_join!(up, down) } => return ended.map(drop),
        }
    };
    if cut == Network::Resets {
        for stream in [&client, &server] {
            SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
        }
    }
    Ok(())
}

/// Until the network cuts connections.
async fn cut(mut network: watch::Receiver<Network>) -> Network {
    let cut = network.wait_for(|now| matches!(now, Network::Closes | Network::Resets)).await.map(|now| *now);
    match cut {
        Ok(cut) => cut,
        Err(_) => future::pending().await,
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut network: watch::Receiver<Network>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        let now = match network.wait_for(|now| *now != Network::Stalls).await {
            Ok(now) => *now,
            Err(_) => return Ok(()),
        };
        if now == Network::Delays {
            tokio::time::sleep(DELAY).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
