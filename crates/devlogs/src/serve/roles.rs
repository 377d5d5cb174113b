//! What may run where: refused with a reason before anything is opened.

use std::net::SocketAddr;

use crate::cli::Role;
use crate::config::Settings;
use crate::config::settings::{QueueBackend, StoreBackend};

/// The command asks for what would lose logs or open doors; says what to do instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Holds roles and addresses against the rules.
///
/// # Errors
/// The first rule that is broken.
pub fn check(roles: &[Role], dev: bool, settings: &Settings) -> Result<(), Refused> {
    if !Role::ALL.iter().all(|role| roles.contains(role)) {
        check_shared(roles, settings)?;
    }
    if settings.store.backend == StoreBackend::Timescale && settings.store.timescale.url.is_none() {
        return Err(Refused("`store.backend` is `timescale`: say where with `store.timescale.url`".to_owned()));
    }
    if dev {
        for (key, address) in addresses(settings, roles) {
            if !address.ip().is_loopback() {
                return Err(Refused(format!(
                    "`{key}` is {address}: `--dev` asks nobody for a key and so listens on loopback only; use 127.0.0.1, \
                     or leave `--dev` out"
                )));
            }
        }
    }
    Ok(())
}

/// Roles apart meet in the queue, the store and the metadata only.
fn check_shared(roles: &[Role], settings: &Settings) -> Result<(), Refused> {
    let metadata = settings.metadata.url.as_ref().is_some_and(|url| url.reveal().starts_with("postgres"));
    let own = [
        (settings.queue.backend == QueueBackend::Embedded, "`queue.backend` is `embedded`: use `kafka` or `redis`"),
        (
            settings.store.backend == StoreBackend::Embedded,
            "`store.backend` is `embedded`: use `clickhouse` or `timescale`",
        ),
        (!metadata, "`metadata.url` is not `postgres://…`"),
    ];
    let own: Vec<_> = own.into_iter().filter_map(|(own, what)| own.then_some(what)).collect();
    if own.is_empty() {
        return Ok(());
    }
    Err(Refused(format!(
        "with only the roles {roles:?} here, the others could not see what this process holds, and logs would be \
         accepted that nobody reads: {}; or leave `--roles` out",
        own.join("; ")
    )))
}

/// Where a process with these roles listens, by key.
pub fn addresses(settings: &Settings, roles: &[Role]) -> Vec<(&'static str, SocketAddr)> {
    let mut addresses = vec![("ops.listen", settings.ops.listen)];
    if roles.contains(&Role::Collector) {
        addresses.push(("collector.listen", settings.collector.listen));
        addresses.push(("collector.grpc_listen", settings.collector.grpc_listen));
    }
    if roles.contains(&Role::Api) {
        addresses.push(("api.listen", settings.api.listen));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_alone_is_refused() {
        assert_eq!(check(&Role::ALL, false, &Settings::default()), Ok(()));
        assert!(
            check(&[Role::Collector], false, &Settings::default()).is_err_and(|refused| refused.0.contains("--roles"))
        );
    }

    #[test]
    fn roles_apart_need_everything_shared() {
        let mut settings = Settings::default();
        let refused = |settings: &Settings| check(&[Role::Processor], false, settings).err().map(|refused| refused.0);
        settings.queue.backend = QueueBackend::Kafka;
        settings.store.backend = StoreBackend::Clickhouse;
        assert!(refused(&settings).is_some_and(|reason| reason.contains("metadata.url") && !reason.contains("queue")));
        settings.metadata.url = Some("postgres://db/devlogs".into());
        assert_eq!(refused(&settings), None);
    }

    #[test]
    fn development_mode_is_loopback_only() {
        let mut settings = Settings::default();
        settings.ops.listen = SocketAddr::from(([0, 0, 0, 0], 9464));
        assert_eq!(check(&Role::ALL, false, &settings), Ok(()));
        assert!(check(&Role::ALL, true, &settings).is_err_and(|refused| refused.0.contains("ops.listen")));
    }
}
