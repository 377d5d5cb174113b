//! Whether a Redis can be trusted with acknowledged messages: its version, its role and its settings.

use std::collections::HashMap;

use redis::RedisError;
use redis::aio::MultiplexedConnection;

use crate::config::Durability;
use crate::link::Failure;

const MAJOR_MIN: u32 = 7;

/// What was found out about a Redis that may be used.
#[derive(Debug)]
pub(crate) struct Server {
    /// Changes with every start of the process.
    pub(crate) run: String,
    /// 0 if there is no limit.
    pub(crate) memory_bytes_max: u64,
    pub(crate) memory_bytes: u64,
}

/// Asks Redis and judges. [`Failure::Refused`] says what is to be changed.
pub(crate) async fn inspect(connection: &mut MultiplexedConnection, durability: Durability) -> Result<Server, Failure> {
    let mut info = redis::cmd("INFO");
    info.arg(&["server", "memory", "persistence", "replication", "cluster"]);
    let info: String = info.query_async(connection).await?;
    let info = parse_info(&info);
    let server = judge_info(&info).map_err(Failure::Refused)?;
    let mut config = redis::cmd("CONFIG");
    config.arg(&["GET", "appendfsync", "no-appendfsync-on-rewrite"]);
    let settings: Result<HashMap<String, String>, RedisError> = config.query_async(connection).await;
    let settings = match settings {
        Ok(settings) => Some(settings),
        // Forbidden to this user, or the command was renamed away.
        Err(error) if error.code().is_some() => None,
        Err(error) => return Err(error.into()),
    };
    judge_settings(settings.as_ref(), durability).map_err(Failure::Refused)?;
    Ok(server)
}

fn parse_info(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

fn judge_info(info: &HashMap<&str, &str>) -> Result<Server, String> {
    let field = |name: &str| info.get(name).copied().unwrap_or_default();
    let number = |name: &str| field(name).parse().unwrap_or(0);
    let version = field("redis_version");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < MAJOR_MIN {
        return Err(format!("Redis {version} is too old: version {MAJOR_MIN}.0 or newer is needed"));
    }
    if field("role") == "slave" {
        return Err("this Redis is a replica: give the address of its primary".to_owned());
    }
    if field("cluster_enabled") == "1" {
        return Err("this Redis is a cluster: the queue needs a Redis of its own without cluster mode".to_owned());
    }
    if field("aof_enabled") != "1" {
        return Err("this Redis keeps nothing over a crash: set `appendonly yes` and `appendfsync always`".to_owned());
    }
    let policy = field("maxmemory_policy");
    if policy != "noeviction" {
        return Err(format!(
            "this Redis may drop messages when its memory is full (maxmemory-policy {policy}): set `maxmemory-policy \
             noeviction`"
        ));
    }
    let run = field("run_id").to_owned();
    if run.is_empty() {
        return Err("Redis does not tell its run_id (INFO server)".to_owned());
    }
    Ok(Server { run, memory_bytes_max: number("maxmemory"), memory_bytes: number("used_memory") })
}

fn judge_settings(settings: Option<&HashMap<String, String>>, durability: Durability) -> Result<(), String> {
    let setting = |name: &str| settings.and_then(|settings| settings.get(name)).map(String::as_str);
    match (durability, setting("appendfsync")) {
        (Durability::Always, None) => Err("Redis does not let this user read its settings (CONFIG GET): allow \
             `+config|get`, or, if it has `appendonly yes` and `appendfsync always`, say so with durability = \
             \"always-stated\""
            .to_owned()),
        (Durability::AlwaysStated | Durability::Everysec, None) => Ok(()),
        (Durability::Always | Durability::AlwaysStated, Some("always")) => {
            if setting("no-appendfsync-on-rewrite") == Some("yes") {
                return Err("this Redis does not write to disk while it rewrites its file: set \
                     `no-appendfsync-on-rewrite no`"
                    .to_owned());
            }
            Ok(())
        }
        (Durability::Always | Durability::AlwaysStated, Some(other)) => Err(format!(
            "this Redis acknowledges before it has written to disk (appendfsync {other}): set `appendfsync always`, or \
             accept the loss of about two seconds in a crash with durability = \"everysec\""
        )),
        (Durability::Everysec, Some("always" | "everysec")) => Ok(()),
        (Durability::Everysec, Some(other)) => Err(format!(
            "this Redis never makes sure that it has written to disk (appendfsync {other}): set `everysec`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\ncluster_enabled:0\r\n\
                        aof_enabled:1\r\nmaxmemory:100\r\nused_memory:50\r\nmaxmemory_policy:noeviction\r\n";

    fn judged(from: &str, to: &str) -> Result<Server, String> {
        judge_info(&parse_info(&GOOD.replace(from, to)))
    }

    #[test]
    fn what_a_redis_says_of_itself_is_judged() {
        let server = judged("", "").unwrap();
        assert_eq!((server.run.as_str(), server.memory_bytes_max, server.memory_bytes), ("abc", 100, 50));
        for (from, to, says) in [
            ("7.0.15", "6.2.9", "too old"),
            ("7.0.15", "", "too old"),
            ("role:master", "role:slave", "replica"),
            ("cluster_enabled:0", "cluster_enabled:1", "cluster"),
            ("aof_enabled:1", "aof_enabled:0", "appendonly yes"),
            ("noeviction", "allkeys-lru", "noeviction"),
            ("run_id:abc", "", "run_id"),
        ] {
            let error = judged(from, to).unwrap_err();
            assert!(error.contains(says), "{to}: {error}");
        }
        assert!(judged("7.0.15", "8.2.1").is_ok());
    }

    #[test]
    fn only_what_the_operator_wrote_is_allowed() {
        let settings = |fsync: &str, on_rewrite: &str| {
            let pairs = [("appendfsync", fsync), ("no-appendfsync-on-rewrite", on_rewrite)];
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect::<HashMap<_, _>>()
        };
        let judge =
            |fsync: &str, on_rewrite: &str, durability| judge_settings(Some(&settings(fsync, on_rewrite)), durability);
        assert!(judge("always", "no", Durability::Always).is_ok());
        assert!(judge("always", "yes", Durability::Always).unwrap_err().contains("no-appendfsync-on-rewrite"));
        assert!(judge("everysec", "no", Durability::Always).unwrap_err().contains("durability = \"everysec\""));
        assert!(judge("everysec", "no", Durability::AlwaysStated).is_err(), "what is known to be false is refused");
        assert!(judge("everysec", "yes", Durability::Everysec).is_ok());
        assert!(judge("no", "no", Durability::Everysec).is_err());
        assert!(judge_settings(None, Durability::Always).unwrap_err().contains("always-stated"));
        assert!(judge_settings(None, Durability::AlwaysStated).is_ok());
    }
}
