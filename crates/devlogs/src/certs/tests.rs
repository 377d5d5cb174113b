use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command as Top};

fn certs(dir: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let dir = dir.display().to_string();
    let all = [&["devlogs", "certs", "--dir", &*dir], arguments].concat();
    let Top::Certs(args) = Cli::try_parse_from(all)?.command else { panic!("not certs") };
    run(&args).map(drop)
}

#[test]
fn an_authority_issues_lists_and_revokes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new");
    certs(&dir, &["init"]).unwrap();
    certs(&dir, &["issue", "--server", "--name", "logs", "--san", "logs.test,10.0.0.5"]).unwrap();
    certs(&dir, &["issue", "--client", "--name", "web-1", "--san", "spiffe://test/web", "--days", "90"]).unwrap();
    for key in ["ca-key.pem", "logs-key.pem", "web-1-key.pem", "index.json"] {
        let mode = dir.join(key).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let index = || Folder::open(&dir).unwrap().index().unwrap();
    let serial = server::tls::certificate_serial(&std::fs::read(dir.join("web-1.pem")).unwrap()).unwrap();
    assert_eq!(index().certificates[1].serial, serial);

    certs(&dir, &["revoke", &dir.join("web-1.pem").display().to_string()]).unwrap();
    let first = index();
    assert!(first.certificates[1].revoked_at.is_some() && first.certificates[0].revoked_at.is_none());
    // By its number, as other programs print it; twice is no mistake.
    let colons: Vec<_> =
        serial.to_uppercase().as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two).into_owned()).collect();
    certs(&dir, &["revoke", &colons.join(":")]).unwrap();
    assert_eq!(index().certificates, first.certificates);
    assert!(index().crl_number > first.crl_number);
}

#[test]
fn what_would_do_harm_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], reason: &str| {
        let error = certs(dir.path(), arguments).expect_err(reason);
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    };
    refused(&["list"], "has no authority");
    certs(dir.path(), &["init", "--days", "30"]).unwrap();
    refused(&["init"], "is there already");
    refused(&["issue", "--name", "x"], "--server");
    refused(&["issue", "--server", "--name", "x"], "--san");
    refused(&["issue", "--client", "--name", "x"], "the authority itself is good until");
    let brief = ["issue", "--client", "--days", "10", "--name"];
    for name in ["ca", "crl", "../x", "x-key", ".x", "", "a/b"] {
        assert!(certs(dir.path(), &[&brief[..], &[name]].concat()).is_err(), "{name}");
    }
    certs(dir.path(), &[&brief[..], &["x"]].concat()).unwrap();
    refused(&[&brief[..], &["x"]].concat(), "--renew");
    certs(dir.path(), &[&brief[..], &["x", "--renew"]].concat()).unwrap();
    refused(&[&brief[..], &["y", "--san", "not a name"]].concat(), "no DNS name");
    refused(&["revoke", "abcd"], "abcd");
}
