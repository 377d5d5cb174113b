//! The certificate of a connection's client.
//!
//! The handshake has checked it against the CAs and the revocation lists of that moment. A connection can outlive
//! both, so each request asks again: when the files were replaced since, or the certificate's time is over, the
//! chain is verified anew, and a certificate that is no longer good ends what its connection may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Version, header};
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::identity::Name;
use super::{Tls, TlsError};
use crate::collect::grpc;
use crate::error::{ApiError, Code};

/// A client that has shown a certificate. Requests have it as the extension `Arc<Peer>`.
#[derive(Debug)]
pub struct Peer {
    tls: Arc<Tls>,
    /// The client's own first.
    chain: Vec<CertificateDer<'static>>,
    names: Vec<Name>,
    serial: String,
    /// When the first certificate of the chain ends, in seconds since the Unix epoch.
    not_after: i64,
    /// The state of the files that the chain was last good under.
    good_under: AtomicU64,
}

impl Peer {
    pub(super) fn new(tls: Arc<Tls>, chain: &[CertificateDer<'_>], version: u64) -> Result<Self, TlsError> {
        let unreadable = |reason: String| TlsError { path: "client certificate".into(), reason };
        let own = chain.first().ok_or_else(|| unreadable("absent".to_owned()))?;
        let own = parse(own).map_err(unreadable)?;
        let names = Name::of(&own);
        let serial = own.raw_serial_as_string();
        let mut not_after = i64::MAX;
        for certificate in chain {
            not_after = not_after.min(parse(certificate).map_err(unreadable)?.validity().not_after.timestamp());
        }
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Ok(Self { tls, chain, names, serial, not_after, good_under: AtomicU64::new(version) })
    }

    /// Who the certificate says that the client is.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Whether the certificate is good now.
    ///
    /// # Errors
    /// 401 with the reason: revoked, expired, or its CA is no longer trusted.
    pub fn check(&self) -> Result<(), ApiError> {
        let loaded = self.tls.loaded.load();
        let now = UnixTime::now();
        let in_time = i64::try_from(now.as_secs()).is_ok_and(|now| now <= self.not_after);
        if in_time && self.good_under.load(Ordering::Acquire) == loaded.version {
            return Ok(());
        }
        let verified = match (loaded.verifier(), self.chain.split_first()) {
            (Some(verifier), Some((own, others))) => verifier.verify_client_cert(own, others, now).map(drop),
            _ => Err(rustls::Error::NoCertificatesPresented),
        };
        match verified {
            Ok(()) => {
                self.good_under.store(loaded.version, Ordering::Release);
                Ok(())
            }
            Err(error) => Err(ApiError::new(Code::Unauthenticated, reason(&error))
                .with_hint("connect again with a certificate that is good now")
                .with_internal(format!("serial {}: {error}", self.serial))),
        }
    }
}

fn reason(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(error) = error else { return "the client certificate is not accepted" };
    match error {
        CertificateError::Revoked => "the client certificate is revoked",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the client certificate has expired",
        CertificateError::UnknownIssuer => "the client certificate's CA is not trusted",
        CertificateError::UnknownRevocationStatus => "no revocation list covers the client certificate",
        _ => "the client certificate is not accepted",
    }
}

pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|error| format!("the certificate can't be read: {error}"))
}

/// Refuses every request of a connection whose certificate is no longer good, also where no credentials are needed.
pub(crate) fn refuse(request: &Request) -> Option<Response> {
    let error = request.extensions().get::<Arc<Peer>>()?.check().err()?;
    if grpc::is_grpc(request.headers()) {
        return Some(grpc::failure(error));
    }
    let mut response = error.into_response();
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Some(response)
}
