//! A full disk, a read-only directory, a torn or damaged queue.

use std::path::{Path, PathBuf};

use crate::harness::{Options, Server, devlogs, folder, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_back_pressure_and_loses_nothing() {
    let dir = folder();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"])
        .arg(dir.path())
        .status()
        .is_ok_and(|status| status.success());
    // Without the right to mount, the queue's own mark for free space shows the same from the outside.
    let mark = if mounted { "1MiB" } else { "1000TiB" };
    let environment = [
        ("DEVLOGS_QUEUE__EMBEDDED__DISK_FREE_MIN", mark),
        ("DEVLOGS_QUEUE__EMBEDDED__SEGMENT", "4MiB"),
        ("DEVLOGS_QUEUE__EMBEDDED__PARTITIONS", "1"),
    ];
    let server = Server::start(Options { dir: dir.path(), arguments: &["--dev"], environment: &environment }).await;
    let mut acknowledged = 0;
    let mut refused = None;
    let mut rng = fastrand::Rng::with_seed(1);
    for n in 0..200 {
        // Text that does not compress.
        let noise: String = std::iter::repeat_with(|| rng.alphanumeric()).take(700_000).collect();
        let request = server.http.post(format!("{}/v1/ingest", server.collector));
        let answer = request.body(format!("{{\"msg\":\"{noise}\",\"n\":{n}}}")).send().await.expect("an answer");
        if answer.status() == 200 {
            acknowledged += 1;
        } else {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("the disk is full at last");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let body: serde_json::Value = refused.json().await.expect("problem+json");
    assert!(body["code"].is_string(), "{body}");
    assert!(!mounted || acknowledged > 5, "{acknowledged} accepted before the disk was full");
    assert_eq!(server.search_until("", acknowledged).await.len(), acknowledged);
    server.kill().await;
    if mounted {
        let server = Server::start(Options { dir: dir.path(), arguments: &["--dev"], environment: &environment }).await;
        assert_eq!(server.search_until("", acknowledged).await.len(), acknowledged);
        server.kill().await;
        let unmounted = std::process::Command::new("umount").arg(dir.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "can't unmount");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_taken_or_is_no_directory_is_refused_with_the_reason() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let second = serve(&Options::dev(dir.path())).output().await.expect("runs");
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    server.kill().await;

    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("written");
    let refused = serve(&Options::dev(&file)).output().await.expect("runs");
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_directory_is_refused_with_the_reason() {
    let dir = folder();
    // Root writes anywhere: only a read-only mount stops it.
    let bound = |arguments: &[&str]| {
        std::process::Command::new("mount")
            .args(arguments)
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success())
    };
    let mounted = bound(&["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs"]);
    if !mounted {
        let mut permissions = std::fs::metadata(dir.path()).expect("there").permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o500);
        std::fs::set_permissions(dir.path(), permissions).expect("set");
    }
    let refused = serve(&Options::dev(dir.path())).output().await.expect("runs");
    if mounted {
        let unmounted = std::process::Command::new("umount").arg(dir.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "can't unmount");
    }
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_of_the_queue_is_cut_and_damage_before_it_is_reported() {
    let dir = folder();
    // Nothing is flushed, so that all records are in the queue only.
    let environment = [("DEVLOGS_STORE__EMBEDDED__FLUSH_AGE", "1h"), ("DEVLOGS_QUEUE__EMBEDDED__PARTITIONS", "1")];
    let start = || Server::start(Options { dir: dir.path(), arguments: &["--dev"], environment: &environment });
    let server = start().await;
    for n in 0..20 {
        assert_eq!(server.ingest(format!("{{\"msg\":\"line {n}\"}}")).await.0, 200);
    }
    server.search_until("", 20).await;
    server.kill().await;

    let segment = newest_segment(&dir.path().join("queue"));
    // The end of the last frame never reached the disk; the space was reserved.
    let mut bytes = std::fs::read(&segment).expect("readable");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("not empty") + 1;
    bytes[end - 3..end].fill(0);
    std::fs::write(&segment, &bytes).expect("torn");
    let server = start().await;
    assert_eq!(server.search_until("", 19).await.len(), 19);
    assert_eq!(server.ingest("{\"msg\":\"after the cut\"}").await.0, 200);
    assert_eq!(server.search_until("", 20).await.len(), 20);
    server.kill().await;

    let mut bytes = std::fs::read(&segment).expect("readable");
    bytes[end / 2] ^= 0x10;
    std::fs::write(&segment, &bytes).expect("damaged");
    let verified = devlogs().args(["verify", "--data-dir"]).arg(dir.path()).output().await.expect("runs");
    let text = format!("{}{}", String::from_utf8_lossy(&verified.stdout), String::from_utf8_lossy(&verified.stderr));
    assert_eq!(verified.status.code(), Some(1), "{text}");
    assert!(text.contains(segment.file_name().and_then(|name| name.to_str()).expect("a name")), "{text}");
}

/// The segment file of the queue with the highest name.
fn newest_segment(queue: &Path) -> PathBuf {
    let mut folders = vec![queue.to_path_buf()];
    let mut segments = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "seg") {
                segments.push(path);
            }
        }
    }
    segments.sort();
    segments.pop().expect("a segment")
}
