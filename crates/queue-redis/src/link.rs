//! Connections to Redis: how they are made, greeted and given up.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use model::position::Incarnation;
use queue::QueueError;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError,
    TlsCertificates,
};
use tokio::sync::Mutex;

use crate::answer::{explain, failed, unavailable};
use crate::config::RedisConfig;
use crate::inspect::{Server, inspect};
use crate::keys::Keys;
use crate::scripts;

/// After a failure nobody tries to connect for this long; all get the failure at once.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Of the keys' format; a queue of another one is not touched.
const VERSION: u32 = 1;

/// Why there is no connection.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Redis(RedisError),
    /// Redis answers, but is not fit for a queue; says what to change.
    Refused(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Redis(error) => failed(&error),
            Failure::Refused(reason) => unavailable(reason),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redis(error) => f.write_str(&explain(error)),
            Self::Refused(reason) => f.write_str(reason),
        }
    }
}

/// What a greeting told of the queue in Redis.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) incarnation: Incarnation,
    pub(crate) partitions: u32,
    pub(crate) server: Server,
}

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Connector {
    config: RedisConfig,
    keys: Keys,
}

impl Connector {
    pub(crate) fn new(config: RedisConfig, keys: Keys) -> Self {
        Self { config, keys }
    }

    /// A connection whose calls may take `response_timeout`. Certificates are read anew.
    pub(crate) async fn connect(&self, response_timeout: Duration) -> Result<MultiplexedConnection, Failure> {
        let client = self.client().await?;
        let options = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(response_timeout));
        Ok(client.get_multiplexed_async_connection_with_config(&options).await?)
    }

    /// Connects, makes sure that Redis is fit, and finds the queue in it or makes one. Nothing may be appended through
    /// a connection that was not greeted.
    pub(crate) async fn greet(&self) -> Result<(MultiplexedConnection, Greeting), Failure> {
        let config = &self.config;
        let mut connection = self.connect(config.response_timeout).await?;
        let server = inspect(&mut connection, config.durability).await?;
        try_join_all(scripts::all().map(|script| {
            let mut connection = connection.clone();
            async move { script.load_async(&mut connection).await }
        }))
        .await?;
        let mut greet = scripts::GREET.key(self.keys.meta());
        greet.arg(&server.run).arg(fresh()?.to_string()).arg(config.partitions).arg(VERSION);
        let (incarnation, partitions, version): (String, u32, u32) = greet.invoke_async(&mut connection).await?;
        if version != VERSION {
            return Err(Failure::Refused(format!(
                "the queue under `{}` has format {version}, this program reads {VERSION}: take another prefix",
                self.keys.meta()
            )));
        }
        let incarnation = incarnation
            .parse()
            .map_err(|_| Failure::Refused(format!("`{}` holds something else than a queue", self.keys.meta())))?;
        Ok((connection, Greeting { incarnation, partitions, server }))
    }

    pub(crate) async fn inspect(&self, connection: &mut MultiplexedConnection) -> Result<Server, Failure> {
        inspect(connection, self.config.durability).await
    }

    async fn client(&self) -> Result<Client, Failure> {
        let config = &self.config;
        let info = self.info()?;
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(Client::open(info)?);
        }
        let client_tls = match (&config.tls_certificate, &config.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(ClientTlsConfig { client_cert: read(certificate).await?, client_key: read(key).await? })
            }
            _ => None,
        };
        let root_cert = match &config.tls_ca {
            Some(ca) => Some(read(ca).await?),
            None => None,
        };
        Ok(Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })?)
    }

    fn info(&self) -> Result<ConnectionInfo, Failure> {
        // The error may quote the url, and the url a password.
        let wrong = |_| Failure::Refused("the url of Redis can't be read: it is like redis://HOST:6379/0".to_owned());
        let info = self.config.url.as_str().into_connection_info().map_err(wrong)?;
        let mut redis = info.redis_settings().clone();
        if let Some(user) = &self.config.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &self.config.password {
            redis = redis.set_password(password);
        }
        Ok(info.set_redis_settings(redis))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    tokio::fs::read(path).await.map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

fn fresh() -> Result<Incarnation, Failure> {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(Incarnation(u128::from_le_bytes(bytes))),
        Err(error) => Err(Failure::Refused(format!("the system gives no random numbers: {error}"))),
    }
}

/// The greeted connection that all calls share, made again when it was lost.
#[derive(Debug, Default)]
pub(crate) struct Link {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts connections, so that a late failure of an old one does not end the new one.
    number: u64,
    connection: Option<MultiplexedConnection>,
    failed: Option<(Instant, Failure)>,
}

/// A shared connection, to be told of when it fails.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    pub(crate) fn of(connection: MultiplexedConnection) -> Self {
        Self { state: Mutex::new(State { number: 0, connection: Some(connection), failed: None }) }
    }

    /// The connection, or a new one; `greeted` hears what Redis holds before anybody uses it.
    pub(crate) async fn get(&self, connector: &Connector, greeted: impl FnOnce(&Greeting)) -> Result<Line, Failure> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok(Line { connection: connection.clone(), number: state.number });
        }
        if let Some((at, failure)) = &state.failed
            && at.elapsed() < CONNECT_PAUSE
        {
            return Err(failure.clone());
        }
        match connector.greet().await {
            Ok((connection, greeting)) => {
                greeted(&greeting);
                state.number += 1;
                state.failed = None;
                state.connection = Some(connection.clone());
                Ok(Line { connection, number: state.number })
            }
            Err(failure) => {
                if state.failed.is_none() {
                    tracing::warn!(reason = %failure, "the connection to Redis is lost; it is tried again");
                }
                state.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// Gives the connection up, if it is still the one in use.
    pub(crate) async fn lost(&self, line: &Line) {
        let mut state = self.state.lock().await;
        if state.number == line.number {
            state.connection = None;
        }
    }
}
