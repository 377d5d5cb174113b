//! What readiness says of parts that work, that fail and that hang.

use super::*;
use crate::query::tests::bench::Bench;

fn parts(bench: &Bench) -> Health {
    let state = &bench.state;
    Health::new(vec![
        Box::new(QueueCheck(Arc::clone(&state.queue))),
        Box::new(StoreCheck(Arc::clone(&state.store))),
        Box::new(MetadataCheck(state.metadata.clone())),
    ])
}

#[tokio::test]
async fn each_part_is_named_with_what_is_wrong() {
    let bench = Bench::new().await;
    let health = parts(&bench);
    let (ready, report) = health.ready().await;
    assert!(ready, "{report:?}");
    assert_eq!(Value::from(report), json!({"queue": "ok", "store": "ok", "metadata": "ok"}));

    bench.state.metadata.close().await;
    let (ready, report) = health.ready().await;
    assert!(!ready, "{report:?}");
    assert_eq!((&report["queue"], &report["store"]), (&json!("ok"), &json!("ok")));
    assert!(report["metadata"].as_str().unwrap().starts_with("the metadata database:"), "{report:?}");
    bench.close().await;
}

#[derive(Debug)]
struct Hangs;

#[async_trait]
impl ReadyCheck for Hangs {
    fn name(&self) -> &'static str {
        "hangs"
    }

    async fn check(&self) -> Result<(), String> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_check_that_hangs_has_failed() {
    let (ready, report) = Health::new(vec![Box::new(Hangs)]).ready().await;
    assert!(!ready);
    assert_eq!(Value::from(report), json!({"hangs": "no answer in time"}));
}

#[tokio::test]
async fn a_server_that_drains_is_not_ready() {
    let health = Health::default();
    assert_eq!(health.ready().await, (true, Map::new()));
    health.drain();
    health.drained().await;
    let (ready, report) = health.ready().await;
    assert!(!ready);
    assert_eq!(Value::from(report), json!({"server": "draining"}));
}
