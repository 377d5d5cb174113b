//! Clients that connect and do not go on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn a_handshake_that_stalls_is_ended() {
    let config = EdgeConfig { handshake_time_max: Duration::from_millis(200), ..EdgeConfig::default() };
    let bench = Bench::with(ClientAuth::Off, config, router).await;
    // Nothing, and the head of a handshake record whose rest does not come.
    for sent in [&[][..], &[0x16, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{sent:?} kept the connection open");
    }
    assert_eq!(bench.metric("tls_handshakes_total{outcome=\"timed_out\"}"), 2);
}

#[tokio::test]
async fn silent_connections_make_room_for_those_that_speak() {
    let config = EdgeConfig {
        handshakes_max: 32,
        handshake_time_max: Duration::from_secs(600),
        // Half-open connections take none of these.
        connections_max: 4,
        ..EdgeConfig::default()
    };
    let bench = Bench::with(ClientAuth::Off, config, router).await;
    let mut silent = Vec::new();
    for round in 0..10 {
        for index in 0..40 {
            let mut stream = TcpStream::connect(bench.address).await.unwrap();
            if index % 2 == 0 {
                stream.write_all(&[0x16, 3, 1]).await.unwrap();
            }
            silent.push(stream);
        }
        let answer = tokio::time::timeout(Duration::from_secs(5), bench.get(None, "/open", &[])).await;
        assert_eq!(answer.expect("not starved").unwrap().0, OK, "round {round}");
    }
    bench.metric_reaches("tls_handshakes_total{outcome=\"displaced\"}", 400 - 32).await;
    // The oldest were closed, the latest still wait.
    let mut byte = [0];
    let closed = tokio::time::timeout(PATIENCE, silent[0].read(&mut byte)).await.expect("closed");
    assert!(closed.is_err() || closed.is_ok_and(|read| read == 0));
}

#[tokio::test]
async fn plain_http_is_told_to_use_tls() {
    let bench = Bench::new(ClientAuth::Off).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(b"GET /open HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("https://"), "{answer}");
}
