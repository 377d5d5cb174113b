//! Files that change under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

#[tokio::test]
async fn a_revoked_certificate_loses_its_open_connection() {
    let bench = Bench::new(ClientAuth::Optional).await;
    let (web, other) = (bench.authority.dns("a.web.shop.test"), bench.authority.dns("b.web.shop.test"));
    let mut revoked = bench.http1(Some(&web)).await.unwrap();
    let mut good = bench.http1(Some(&other)).await.unwrap();
    assert_eq!(revoked.get("/send", &[]).await.unwrap().0, OK);
    std::fs::write(bench.file("crl.pem"), bench.authority.crl(&[&web])).unwrap();
    bench.metric_reaches("tls_reloads_total{outcome=\"ok\"}", 1).await;
    // Also with a good key, and where no credentials are needed.
    let (status, body) = revoked.get("/open", &[("x-api-key", "shop")]).await.unwrap();
    assert_eq!((status, &body["detail"]), (401, &json!("the client certificate is revoked")));
    assert!(revoked.get("/open", &[]).await.is_err(), "the connection was closed");
    assert!(bench.get(Some(&web), "/open", &[]).await.is_err(), "a new one does not come up");
    assert_eq!(good.get("/send", &[]).await.unwrap().0, OK);
}

#[tokio::test]
async fn a_ca_that_is_replaced_takes_its_clients_along() {
    let bench = Bench::new(ClientAuth::Required).await;
    let web = bench.authority.dns("a.web.shop.test");
    let mut old = bench.http1(Some(&web)).await.unwrap();
    assert_eq!(old.get("/send", &[]).await.unwrap().0, OK);
    let next = Authority::new("next CA");
    std::fs::write(bench.file("crl.pem"), format!("{}{}", bench.authority.crl(&[]), next.crl(&[]))).unwrap();
    // Both for a while, then only the next.
    std::fs::write(bench.file("ca.pem"), format!("{}{}", bench.authority.pem(), next.pem())).unwrap();
    bench.tls.reload().unwrap();
    assert_eq!(old.get("/send", &[]).await.unwrap().0, OK);
    assert_eq!(bench.get(Some(&next.dns("a.web.shop.test")), "/send", &[]).await.unwrap().0, OK);
    std::fs::write(bench.file("ca.pem"), next.pem()).unwrap();
    bench.tls.reload().unwrap();
    let (status, body) = old.get("/send", &[]).await.unwrap();
    assert_eq!((status, &body["detail"]), (401, &json!("the client certificate's CA is not trusted")));
    assert!(bench.get(Some(&web), "/send", &[]).await.is_err());
}

#[tokio::test]
async fn a_ca_without_a_revocation_list_vouches_for_nobody() {
    let bench = Bench::new(ClientAuth::Required).await;
    let forgotten = Authority::new("forgotten CA");
    std::fs::write(bench.file("ca.pem"), format!("{}{}", bench.authority.pem(), forgotten.pem())).unwrap();
    bench.tls.reload().unwrap();
    assert!(bench.get(Some(&forgotten.dns("a.web.shop.test")), "/send", &[]).await.is_err());
    assert_eq!(bench.get(Some(&bench.authority.dns("a.web.shop.test")), "/send", &[]).await.unwrap().0, OK);
}

#[tokio::test]
async fn garbage_changes_nothing_and_is_counted_once() {
    let bench = Bench::new(ClientAuth::Optional).await;
    let expiry = bench.metric("tls_certificate_expiry_timestamp_seconds");
    assert!(expiry > jiff::Timestamp::now().as_second(), "{expiry}");
    let before = bench.http1(None).await.unwrap().serial;
    for (round, file) in ["server.pem", "server-key.pem", "ca.pem", "crl.pem"].iter().enumerate() {
        let good = std::fs::read(bench.file(file)).unwrap();
        std::fs::write(bench.file(file), "garbage").unwrap();
        bench.metric_reaches("tls_reloads_total{outcome=\"failed\"}", 1 + round as i64).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(bench.metric("tls_reloads_total{outcome=\"failed\"}"), 1 + round as i64, "{file}");
        assert_eq!(bench.http1(None).await.unwrap().serial, before);
        std::fs::write(bench.file(file), good).unwrap();
        bench.metric_reaches("tls_reloads_total{outcome=\"ok\"}", 1 + round as i64).await;
    }
    std::fs::remove_file(bench.file("server.pem")).unwrap();
    bench.metric_reaches("tls_reloads_total{outcome=\"failed\"}", 5).await;
    assert_eq!(bench.http1(None).await.unwrap().serial, before);
    assert_eq!(bench.metric("tls_certificate_expiry_timestamp_seconds"), expiry);
}

/// Requests without a pause, on one connection or on a new one each; ends at the first that fails.
async fn load(bench: &Bench, keep: bool, stop: &AtomicBool, count: &AtomicU64) -> Result<(), String> {
    let web = bench.authority.dns("a.web.shop.test");
    let mut kept = bench.http1(Some(&web)).await?;
    while !stop.load(Ordering::Relaxed) {
        let (status, body) =
            if keep { kept.get("/send", &[]).await? } else { bench.get(Some(&web), "/send", &[]).await? };
        if status != OK {
            return Err(format!("{status}: {body}"));
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_under_load_without_a_lost_request() {
    const ROUNDS: i64 = 10;
    let bench = Bench::new(ClientAuth::Required).await;
    let (stop, kept, fresh) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let swap = async {
        let mut serials = Vec::new();
        for round in 1..=ROUNDS {
            // Not at once, as no two files are: in between they do not fit.
            let next = bench.authority.server();
            std::fs::write(bench.file("server.pem"), &next.certificate).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            std::fs::write(bench.file("server-key.pem"), &next.key).unwrap();
            std::fs::write(bench.file("crl.pem"), bench.authority.crl(&[&next])).unwrap();
            bench.metric_reaches("tls_reloads_total{outcome=\"ok\"}", round).await;
            let web = bench.authority.dns("a.web.shop.test");
            serials.push(bench.http1(Some(&web)).await.unwrap().serial);
            let (done_kept, done_fresh) = (kept.load(Ordering::Relaxed), fresh.load(Ordering::Relaxed));
            let moved = async {
                while kept.load(Ordering::Relaxed) < done_kept + 5 || fresh.load(Ordering::Relaxed) < done_fresh + 2 {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(PATIENCE, moved).await.expect("requests go on");
        }
        stop.store(true, Ordering::Relaxed);
        serials
    };
    let watched = |load| async {
        let ended: Result<(), String> = load;
        stop.store(true, Ordering::Relaxed);
        ended
    };
    let (mut serials, a, b, c) = tokio::join!(
        swap,
        async { watched(load(&bench, true, &stop, &kept).await).await },
        async { watched(load(&bench, false, &stop, &fresh).await).await },
        async { watched(load(&bench, true, &stop, &kept).await).await },
    );
    assert_eq!((a, b, c), (Ok(()), Ok(()), Ok(())));
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), ROUNDS as usize, "each certificate was in force");
}
