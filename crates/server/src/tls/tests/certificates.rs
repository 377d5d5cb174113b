//! Which certificates come in, and as whom.

use rcgen::SanType;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;

use super::*;

const DAY: i64 = 86_400;
const FAILED: &str = "tls_handshakes_total{outcome=\"failed\"}";

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[tokio::test]
async fn a_certificate_is_its_project_scopes_and_service() {
    for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
        let bench = Bench::new(client_auth).await;
        let web = bench.authority.dns("a1.Web.shop.test");
        let (status, body) = bench.get(Some(&web), "/send", &[]).await.unwrap();
        let expected = json!({"project": "shop", "service": "web", "id": "certificate:a1.web.shop.test"});
        assert_eq!((status, body), (OK, expected));
        let (status, body) = bench.get(Some(&web), "/read", &[]).await.unwrap();
        assert_eq!((status, &body["code"]), (403, &json!("forbidden")));

        let bank = bench.authority.issue("", &[uri("spiffe://test/bank/ledger")], (-DAY, DAY));
        let (status, body) = bench.get(Some(&bank), "/read", &[]).await.unwrap();
        assert_eq!((status, &body["project"]), (OK, &json!("bank")));
    }
}

#[tokio::test]
async fn a_common_name_counts_only_without_other_names() {
    let bench = Bench::new(ClientAuth::Required).await;
    let common = bench.authority.issue("bank-batch", &[], (-DAY, DAY));
    let (status, body) = bench.get(Some(&common), "/send", &[]).await.unwrap();
    assert_eq!((status, &body["project"]), (OK, &json!("bank")));
    let other = bench.authority.issue("bank-batch", &[uri("spiffe://elsewhere/x")], (-DAY, DAY));
    assert_eq!(bench.get(Some(&other), "/send", &[]).await.unwrap().0, 401);
}

#[tokio::test]
async fn a_certificate_without_a_rule_is_no_credential() {
    let bench = Bench::new(ClientAuth::Required).await;
    let stranger = bench.authority.dns("stranger.test");
    let (status, body) = bench.get(Some(&stranger), "/send", &[]).await.unwrap();
    assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")));
    assert!(body["hint"].as_str().unwrap().contains("`stranger.test`"), "{body}");
    // Beside a key it is no obstacle.
    let (status, body) = bench.get(Some(&stranger), "/send", &[("x-api-key", "shop")]).await.unwrap();
    assert_eq!((status, &body["project"]), (OK, &json!("shop")));
}

#[tokio::test]
async fn a_certificate_and_a_key_must_agree() {
    let bench = Bench::new(ClientAuth::Optional).await;
    let web = bench.authority.dns("a.web.shop.test");
    for path in ["/send", "/read"] {
        let (status, body) = bench.get(Some(&web), path, &[("x-api-key", "bank")]).await.unwrap();
        assert_eq!((status, &body["code"]), (403, &json!("credentials_disagree")), "{path}");
    }
    let (status, body) = bench.get(Some(&web), "/send", &[("x-api-key", "shop")]).await.unwrap();
    assert_eq!((status, body), (OK, json!({"project": "shop", "service": "web", "id": "shop"})));
    // The key may read, the certificate may not: both must.
    assert_eq!(bench.get(Some(&web), "/read", &[("x-api-key", "shop")]).await.unwrap().0, 403);
    // A bad key is not forgiven because the certificate is good.
    assert_eq!(bench.get(Some(&web), "/send", &[("x-api-key", "wrong")]).await.unwrap().0, 401);
}

#[tokio::test]
async fn foreign_pages_can_not_use_a_browsers_certificate() {
    let bench = Bench::new(ClientAuth::Optional).await;
    let web = bench.authority.dns("a.web.shop.test");
    let foreign = bench.get(Some(&web), "/send", &[("origin", "https://evil.test")]).await.unwrap();
    assert_eq!(foreign.0, 403);
    let own = bench.get(Some(&web), "/send", &[("origin", "https://localhost")]).await.unwrap();
    assert_eq!(own.0, OK);
}

#[tokio::test]
async fn bad_certificates_end_the_handshake() {
    let bench = Bench::new(ClientAuth::Optional).await;
    let names = [SanType::DnsName("a.web.shop.test".try_into().unwrap())];
    let revoked = bench.authority.dns("a.web.shop.test");
    std::fs::write(bench.file("crl.pem"), bench.authority.crl(&[&revoked])).unwrap();
    bench.tls.reload().unwrap();
    for (reason, own) in [
        ("UnknownIssuer", Authority::new("other CA").dns("a.web.shop.test")),
        ("BadSignature", Authority::new("test CA").dns("a.web.shop.test")),
        ("Expired", bench.authority.issue("", &names, (-2 * DAY, -DAY))),
        ("NotValidYet", bench.authority.issue("", &names, (DAY, 2 * DAY))),
        ("Revoked", revoked),
    ] {
        // What the client sees can be the alert or a connection that is gone: what the server says is sure.
        let der = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
        let loaded = bench.tls.loaded.load();
        let refused = loaded.verifier().unwrap().verify_client_cert(&der, &[], UnixTime::now()).unwrap_err();
        assert!(format!("{refused:?}").contains(reason), "{reason}: {refused:?}");
        let failures = bench.metric(FAILED);
        assert!(bench.get(Some(&own), "/open", &[]).await.is_err(), "{reason}");
        assert!(bench.get(Some(&own), "/send", &[("x-api-key", "shop")]).await.is_err(), "{reason}, beside a good key");
        bench.metric_reaches(FAILED, failures + 2).await;
    }
    let good = bench.authority.dns("a.web.shop.test");
    assert_eq!(bench.get(Some(&good), "/send", &[]).await.unwrap().0, OK);
}

#[tokio::test]
async fn optional_asks_required_insists_and_off_is_silent() {
    let key = [("x-api-key", "shop")];
    let bench = Bench::new(ClientAuth::Optional).await;
    assert_eq!(bench.get(None, "/send", &key).await.unwrap().0, OK);
    assert_eq!(bench.get(None, "/send", &[]).await.unwrap().0, 401);
    let bench = Bench::new(ClientAuth::Required).await;
    assert!(bench.get(None, "/open", &[]).await.is_err());
    assert!(bench.get(None, "/send", &key).await.is_err());
    let bench = Bench::new(ClientAuth::Off).await;
    let web = bench.authority.dns("a.web.shop.test");
    assert_eq!(bench.get(Some(&web), "/send", &key).await.unwrap().0, OK);
    assert_eq!(bench.get(Some(&web), "/send", &[]).await.unwrap().0, 401, "nobody asked for it");
}

#[tokio::test]
async fn clients_notice_a_server_that_is_not_the_one() {
    let bench = Bench::new(ClientAuth::Off).await;
    let wrong_name = bench.connect(&bench.authority, None, "logs.test", b"http/1.1").await.unwrap_err();
    assert!(wrong_name.to_string().contains("not valid for name"), "{wrong_name}");
    let unknown = bench.connect(&Authority::new("other CA"), None, "localhost", b"http/1.1").await.unwrap_err();
    assert!(unknown.to_string().contains("UnknownIssuer"), "{unknown}");
}

#[tokio::test]
async fn a_certificate_that_expires_ends_its_open_connection() {
    let bench = Bench::new(ClientAuth::Required).await;
    let names = [SanType::DnsName("a.web.shop.test".try_into().unwrap())];
    let brief = bench.authority.issue("", &names, (-DAY, 3));
    let mut client = bench.http1(Some(&brief)).await.unwrap();
    assert_eq!(client.get("/send", &[]).await.unwrap().0, OK);
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let (status, body) = client.get("/open", &[]).await.unwrap();
    assert_eq!((status, &body["detail"]), (401, &json!("the client certificate has expired")));
}

#[test]
fn files_that_can_not_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("test CA");
    let load = || Tls::load(files(dir.path()), Arc::new(Metrics::register(&mut Registry::default())));
    let failed = |file: &str, reason: &str| {
        let error = load().err().unwrap_or_else(|| panic!("{file} was taken"));
        assert!(error.path.ends_with(file), "{error}");
        assert!(error.reason.contains(reason), "{error}");
    };
    failed("server.pem", "can't be read");
    authority.server().write(dir.path(), "server");
    failed("ca.pem", "can't be read");
    std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(dir.path().join("crl.pem"), "nothing").unwrap();
    failed("crl.pem", "no revocation list");
    std::fs::write(dir.path().join("crl.pem"), authority.crl(&[])).unwrap();
    load().unwrap();
    std::fs::write(dir.path().join("server-key.pem"), authority.server().key).unwrap();
    failed("server-key.pem", "not the key of the certificate");
    std::fs::write(dir.path().join("server-key.pem"), "").unwrap();
    failed("server-key.pem", "no private key");
    std::fs::write(dir.path().join("server.pem"), "-----BEGIN CERTIFICATE-----\n!\n").unwrap();
    failed("server.pem", "");
    authority.server().write(dir.path(), "server");
    std::fs::write(dir.path().join("ca.pem"), vec![b'x'; (16 << 20) + 1]).unwrap();
    failed("ca.pem", "larger than");
}

#[test]
fn client_certificates_need_a_ca() {
    let dir = tempfile::tempdir().unwrap();
    Authority::new("test CA").server().write(dir.path(), "server");
    let files = TlsFiles { client_ca: None, crl: None, ..files(dir.path()) };
    let tls = Tls::load(files, Arc::new(Metrics::register(&mut Registry::default()))).unwrap();
    assert!(tls.listener(ClientAuth::Off).is_ok());
    assert!(tls.listener(ClientAuth::Optional).is_err());
    assert!(tls.listener(ClientAuth::Required).is_err());
}
