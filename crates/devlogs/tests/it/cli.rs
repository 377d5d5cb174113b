//! The client commands against a running server.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::harness::{Options, PATIENCE, Server, client, devlogs, folder, serve};

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_sent_searched_and_counted_from_the_command_line() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let file = dir.path().join("app.log");
    std::fs::write(&file, "plain line\n{\"msg\":\"a record\",\"level\":\"warn\",\"code\":7}\n").expect("written");
    let state = dir.path().join("state");
    let send = || async {
        let sent = devlogs()
            .args(["send", "--service", "cli", "--url", &server.collector])
            .arg(&file)
            .env("XDG_STATE_HOME", &state)
            .output()
            .await
            .expect("runs");
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    };
    send().await;
    server.search_until("service:cli", 2).await;
    // It goes on where it stopped.
    let mut lines = std::fs::read_to_string(&file).expect("readable");
    lines.push_str("one more\n");
    std::fs::write(&file, lines).expect("written");
    send().await;
    assert_eq!(server.search_until("service:cli", 3).await.len(), 3);

    let (code, out, err) = client(&server, &["search", "code:7", "--output", "json"]).await;
    assert_eq!(code, Some(0), "{err}");
    let record: Value = serde_json::from_str(out.lines().next().expect("a line")).expect("JSON");
    assert_eq!(record["message"], "a record");
    let (code, out, _) = client(&server, &["search", "service:cli"]).await;
    assert!(code == Some(0) && out.contains("plain line"), "{out}");
    let (code, out, err) = client(&server, &["sql", "SELECT count(*) AS n FROM logs", "--output", "json"]).await;
    assert!(code == Some(0) && out.contains('3'), "{out}{err}");
    let (code, _, err) = client(&server, &["search", "status>=abc"]).await;
    assert!(code != Some(0) && err.contains('^'), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_run_passed_through_and_shipped() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let mut child = devlogs()
        .args(["run", "--service", "job", "--url", &server.collector, "--", "sh", "-c"])
        .arg("read line; echo got $line; echo oops >&2; exit 3")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("piped").write_all(b"input\n").await.expect("written");
    let output = child.wait_with_output().await.expect("ends");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got input\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("oops"));
    server.search_until("service:job log.iostream:stderr oops", 1).await;
    server.search_until("service:job log.iostream:stdout \"got input\"", 1).await;
    server.search_until("service:job process.exit_code:3", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_wrong_configuration_are_told_apart_from_failure() {
    let dir = folder();
    let file = dir.path().join("devlogs.toml");
    std::fs::write(&file, "[store]\nbackendd = \"embedded\"\n").expect("written");
    let checked = devlogs().args(["config", "check"]).arg(&file).output().await.expect("runs");
    let text = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{text}");
    assert!(text.contains(":2:") && text.contains("store.backend"), "{text}");
    let wrong = devlogs().args(["serve", "--rolls", "api"]).output().await.expect("runs");
    assert_eq!(wrong.status.code(), Some(2));
    let apart = devlogs().args(["serve", "--roles", "collector", "--data-dir"]).arg(dir.path()).output().await;
    let apart = apart.expect("runs");
    assert_eq!(apart.status.code(), Some(2), "{}", String::from_utf8_lossy(&apart.stderr));
    let unreachable = devlogs().args(["search", "x", "--url", "http://127.0.0.1:9"]).output().await.expect("runs");
    assert_eq!(unreachable.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_configuration_are_valid() {
    let examples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/config")).expect("examples");
    let mut checked = 0;
    for example in examples {
        let file = example.expect("readable").path();
        let output = devlogs().args(["config", "check"]).arg(&file).output().await.expect("runs");
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        checked += 1;
    }
    assert!(checked >= 4, "laptop, one server, Kafka and ClickHouse, Redis and TimescaleDB");
}

/// What people copy first must work.
#[tokio::test(flavor = "multi_thread")]
async fn the_lines_to_paste_work() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("the README");
    let from_readme = readme.lines().find(|line| line.starts_with("curl http")).expect("a curl line");
    let dir = folder();
    let mut child = serve(&Options::dev(dir.path()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let printed = loop {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("readable");
        let line = line.expect("a line to paste").trim().to_owned();
        if line.starts_with("curl ") {
            break line;
        }
    };
    let collector = printed.split_whitespace().nth(1).and_then(|url| url.strip_suffix("/v1/ingest")).expect("an URL");
    for line in [&printed, &from_readme.replace("http://127.0.0.1:4318", collector)] {
        let output = Command::new("sh").args(["-c", line]).output().await.expect("runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, r#"{"accepted":1,"rejected":0,"errors":[]}"#, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_directory_is_administered_without_a_server() {
    let dir = folder();
    let path = dir.path().display().to_string();
    let on_directory = async |arguments: &[&str]| {
        let output = devlogs().args(arguments).args(["--data-dir", &path]).output().await.expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let server = Server::start(Options { dir: dir.path(), arguments: &[], environment: &[] }).await;
    let (code, _, err) = on_directory(&["keys", "list"]).await;
    assert!(code == Some(1) && err.contains("in use"), "{code:?} {err}");
    assert_eq!(server.stop().await.1, Some(0));

    // Who has lost the admin key makes another.
    let create = ["keys", "create", "--name", "spare", "--scope", "admin,ingest,query", "--output", "json"];
    let (code, out, err) = on_directory(&create).await;
    assert_eq!(code, Some(0), "{err}");
    let made: Value = serde_json::from_str(&out).expect("JSON");
    let key = made["key"].as_str().expect("a key");
    let (code, out, err) = on_directory(&["dead-letters", "list", "--output", "json"]).await;
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let (code, _, err) = on_directory(&["queue", "skip", "--partition", "0"]).await;
    assert!(code == Some(0) && err.contains("nothing to go on behind"), "{err}");
    let (code, out, err) = on_directory(&["replay", "--from", "-1h"]).await;
    assert!(code == Some(0) && out.contains("messages"), "{out}{err}");
    let (code, _, err) = on_directory(&["verify"]).await;
    assert_eq!(code, Some(0), "{err}");

    let server = Server::start(Options { dir: dir.path(), arguments: &[], environment: &[] }).await;
    let listed = devlogs().args(["keys", "list", "--url", &server.api, "--key", key]).output().await.expect("runs");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("spare"), "{listed:?}");
}
