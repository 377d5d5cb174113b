//! The client commands against a running server.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::harness::{Options, Server, client, devlogs, folder};

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
    for command in
        ["serve", "send", "run", "search", "tail", "sql", "keys", "certs", "dead-letters", "replay", "verify", "config"]
    {
        let help = devlogs().args([command, "--help"]).output().await.expect("runs");
        assert!(help.status.success(), "{command}");
    }
}
