//! Certificates, keys and revocation lists.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::{Timestamp, ToSpan as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use serde::{Deserialize, Serialize};

use super::folder::Index;

/// Clocks differ: a certificate is good from a little before it was made.
const SKEW: Duration = Duration::from_secs(3600);
const SERIAL_BYTES: usize = 16;

// A time in the type of the library that writes certificates, which is not ours to name.
macro_rules! time {
    ($at:expr) => {{
        let since = u64::try_from($at.as_second()).context("the clock is before 1970")?;
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since)
    }};
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Purpose {
    Server,
    Client,
}

impl Purpose {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Purpose::Server => "server",
            Purpose::Client => "client",
        }
    }
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Span {
    /// From now on.
    pub(super) fn days(days: u32) -> anyhow::Result<Self> {
        let now = Timestamp::from_second(Timestamp::now().as_second())?;
        let to = now.checked_add((i64::from(days) * 24).hours()).context("--days is too long")?;
        Ok(Self { from: now.checked_sub(SKEW).context("the clock is wrong")?, to })
    }
}

/// Whom a certificate is for.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) names: &'a [String],
    pub(super) uses: &'a [Purpose],
}

/// A certificate and its key, in PEM form.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
    /// In hexadecimal.
    pub(super) serial: String,
}

/// A new authority, signed by itself.
pub(super) fn authority(name: &str, span: Span) -> anyhow::Result<Made> {
    let (mut params, serial) = params(name, span)?;
    // It signs certificates of servers and clients, no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    Ok(Made { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem(), serial })
}

/// An authority that is there, ready to sign.
pub(super) fn signer(certificate: &str, key: &str) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(key).context("ca-key.pem is no private key")?;
    Issuer::from_ca_cert_pem(certificate, key).context("ca.pem is no certificate of an authority")
}

/// A new certificate.
pub(super) fn certificate(
    signer: &Issuer<'static, KeyPair>,
    subject: &Subject<'_>,
    span: Span,
) -> anyhow::Result<Made> {
    let (mut params, serial) = params(subject.name, span)?;
    params.subject_alt_names = subject.names.iter().map(|name| alternative(name)).collect::<anyhow::Result<_>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = subject
        .uses
        .iter()
        .map(|purpose| match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        })
        .collect();
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok(Made { certificate: params.signed_by(&key, signer)?.pem(), key: key.serialize_pem(), serial })
}

/// What the authority has revoked, in PEM form.
pub(super) fn revocation_list(signer: &Issuer<'static, KeyPair>, index: &Index) -> anyhow::Result<String> {
    let mut revoked_certs = Vec::new();
    for entry in &index.certificates {
        let Some(at) = entry.revoked_at else { continue };
        let serial =
            hex::decode(&entry.serial).with_context(|| format!("the index has a bad serial {}", entry.serial))?;
        revoked_certs.push(RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial),
            revocation_time: time!(at),
            reason_code: Some(RevocationReason::Unspecified),
            invalidity_date: None,
        });
    }
    // There is one list, written anew with each revocation: it holds until the authority ends.
    let params = CertificateRevocationListParams {
        this_update: time!(Timestamp::now().checked_sub(SKEW)?),
        next_update: time!(index.authority.not_after),
        crl_number: SerialNumber::from(index.crl_number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(params.signed_by(signer).context("the authority has expired; make a new one")?.pem()?)
}

fn params(name: &str, span: Span) -> anyhow::Result<(CertificateParams, String)> {
    let mut serial = [0; SERIAL_BYTES];
    getrandom::fill(&mut serial).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    // Positive, and never with a leading zero: every program then prints the same.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = time!(span.from);
    params.not_after = time!(span.to);
    Ok((params, hex::encode(serial)))
}

/// A name by its looks: an IP address, a URI, a mail address, else a DNS name.
fn alternative(name: &str) -> anyhow::Result<SanType> {
    let text = || name.try_into().with_context(|| format!("`{name}` has characters that no name has"));
    Ok(if let Ok(address) = name.parse::<IpAddr>() {
        SanType::IpAddress(address)
    } else if name.contains("://") {
        SanType::URI(text()?)
    } else if name.contains('@') {
        SanType::Rfc822Name(text()?)
    } else {
        let fits = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let labels = name.strip_prefix("*.").unwrap_or(name);
        ensure!(labels.split('.').all(fits), "`{name}` is no DNS name, IP address, URI or mail address");
        SanType::DnsName(text()?)
    })
}
