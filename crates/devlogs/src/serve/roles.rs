//! What may run where: refused with a reason before anything is opened.

use std::net::SocketAddr;

use crate::cli::Role;
use crate::config::Settings;

/// The command asks for what would lose logs or open doors; says what to do instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Holds roles and addresses against the rules.
///
/// # Errors
/// The first rule that is broken.
pub fn check(roles: &[Role], dev: bool, settings: &Settings) -> Result<(), Refused> {
    let missing: Vec<_> =
        [Role::Collector, Role::Processor, Role::Api].into_iter().filter(|role| !roles.contains(role)).collect();
    if !missing.is_empty() {
        return Err(Refused(format!(
            "the embedded queue, the embedded store and SQLite serve one process: without {missing:?} here, logs would \
             be accepted that nobody reads; leave `--roles` out"
        )));
    }
    if dev {
        for (key, address) in addresses(settings) {
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

fn addresses(settings: &Settings) -> [(&'static str, SocketAddr); 4] {
    [
        ("collector.listen", settings.collector.listen),
        ("collector.grpc_listen", settings.collector.grpc_listen),
        ("api.listen", settings.api.listen),
        ("ops.listen", settings.ops.listen),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Role; 3] = [Role::Collector, Role::Processor, Role::Api];

    #[test]
    fn a_collector_alone_is_refused() {
        assert_eq!(check(&ALL, false, &Settings::default()), Ok(()));
        assert!(
            check(&[Role::Collector], false, &Settings::default()).is_err_and(|refused| refused.0.contains("--roles"))
        );
    }

    #[test]
    fn development_mode_is_loopback_only() {
        let mut settings = Settings::default();
        settings.ops.listen = SocketAddr::from(([0, 0, 0, 0], 9464));
        assert_eq!(check(&ALL, false, &settings), Ok(()));
        assert!(check(&ALL, true, &settings).is_err_and(|refused| refused.0.contains("ops.listen")));
    }
}
