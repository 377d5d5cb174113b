//! The simulated shop fills a dashboard.

use std::time::{Duration, Instant};

use crate::harness::{Options, PATIENCE, Server, folder};

#[tokio::test(flavor = "multi_thread")]
async fn three_applications_log_and_the_last_hour_is_filled() {
    let dir = folder();
    let server = Server::start(Options { dir: dir.path(), arguments: &["--dev", "--demo"], environment: &[] }).await;
    let since = Instant::now();
    loop {
        let (status, body) = server.get("/api/v1/aggregate?group_by=service&metrics=count").await;
        assert_eq!(status, 200, "{body}");
        let rows = body["rows"].as_array().expect("rows");
        let total: u64 = rows.iter().filter_map(|row| row["metrics"]["count"].as_u64()).sum();
        if rows.len() == 3 && total > 20_000 {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let payment = server.search_until("service:payments captured trace_id:* order.id:ORD-*", 1).await;
    assert_eq!(payment[0]["level"], "info");
    // A plain text line's level is guessed from its front.
    let failed = server.search_until("service:auth-api \"login failed\"", 1).await;
    assert_eq!(failed[0]["level"], "warn");
}
