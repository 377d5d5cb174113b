//! A TCP proxy before the server that breaks connections around a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy does at the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Plan {
    Pass,
    /// The commit does not reach the server.
    CutBefore,
    /// The commit reaches the server, the answer does not come back.
    CutAfter,
    /// As `CutAfter`, and new connections are refused from then on.
    CutAfterAndRefuse,
    Refuse,
}

const PLANS: [Plan; 5] = [Plan::Pass, Plan::CutBefore, Plan::CutAfter, Plan::CutAfterAndRefuse, Plan::Refuse];

/// The query message of a commit.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) port: u16,
    plan: Arc<AtomicU8>,
}

impl Proxy {
    /// Listens on a free port and passes on to `server`.
    pub(super) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let plan = Arc::new(AtomicU8::new(Plan::Pass as u8));
        let shared = plan.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if now(&shared) != Plan::Refuse {
                    tokio::spawn(carry(client, server, shared.clone()));
                }
            }
        });
        Self { port, plan }
    }

    pub(super) fn set(&self, plan: Plan) {
        self.plan.store(plan as u8, Ordering::SeqCst);
    }
}

fn now(plan: &AtomicU8) -> Plan {
    PLANS[usize::from(plan.load(Ordering::SeqCst))]
}

async fn carry(mut client: TcpStream, port: u16, plan: Arc<AtomicU8>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut up, mut down) = ([0; 64 << 10], [0; 64 << 10]);
    loop {
        tokio::select! {
            sent = client.read(&mut up) => {
                let sent = &up[..sent?];
                let is_commit = sent.windows(COMMIT.len()).any(|window| window == COMMIT);
                match now(&plan) {
                    Plan::CutBefore if is_commit => {
                        plan.store(Plan::Pass as u8, Ordering::SeqCst);
                        return Ok(());
                    }
                    cut @ (Plan::CutAfter | Plan::CutAfterAndRefuse) if is_commit => {
                        let next = if cut == Plan::CutAfter { Plan::Pass } else { Plan::Refuse };
                        plan.store(next as u8, Ordering::SeqCst);
                        drop(client);
                        server.write_all(sent).await?;
                        // The server must have read it before the connection ends.
                        server.read_u8().await?;
                        return Ok(());
                    }
                    _ if sent.is_empty() => return Ok(()),
                    _ => server.write_all(sent).await?,
                }
            }
            answered = server.read(&mut down) => {
                let answered = answered?;
                if answered == 0 {
                    return Ok(());
                }
                client.write_all(&down[..answered]).await?;
            }
        }
    }
}
