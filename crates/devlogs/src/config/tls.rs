//! `[tls]`: the certificates of the listeners and of their clients.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use server::auth::{Scope, Scopes};
use server::tls::identity::{Identities, IdentityRule};
use server::tls::{self, TlsFiles};

use super::Settings;

/// TLS of every listener. The files are read again when they change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate and those that lead from it to its CA, in PEM form. Unset: plain HTTP, on loopback
    /// addresses only.
    pub cert: Option<PathBuf>,
    /// The certificate's private key, in PEM form.
    pub key: Option<PathBuf>,
    /// The CAs whose client certificates are good, in PEM form.
    pub client_ca: Option<PathBuf>,
    /// What these CAs have revoked, in PEM form (or one list in DER form): a list for each CA that signs client
    /// certificates.
    pub crl: Option<PathBuf>,
    /// Whether clients are asked for a certificate. `collector.client_auth`, `api.client_auth` and `ops.client_auth` say
    /// it for one listener.
    pub client_auth: ClientAuth,
    /// What the names in client certificates may do: `{ match = "*.web.example.org", project = "shop", service = "web",
    /// scopes = ["ingest"] }`. The first that matches decides.
    pub identities: Vec<Identity>,
    /// Says that a proxy in front of this server ends TLS: plain HTTP is then served on every address.
    pub behind_proxy: bool,
}

/// Whether a listener asks for client certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    #[default]
    Off,
    Optional,
    Required,
}

/// What one name, or the names of one form, may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// A URI, DNS name or mail address of the subject alternative name, or the common name where there is none. `*`
    /// stands for any characters.
    #[serde(rename = "match")]
    pub pattern: String,
    pub project: String,
    /// Of records that name no service themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub scopes: Vec<IdentityScope>,
}

/// What a certificate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdentityScope {
    Ingest,
    Query,
    Admin,
}

impl Tls {
    /// Whether the listeners speak TLS.
    pub fn is_on(&self) -> bool {
        self.cert.is_some()
    }

    /// None: plain HTTP.
    pub fn files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            cert: self.cert.clone()?,
            key: self.key.clone()?,
            client_ca: self.client_ca.clone(),
            crl: self.crl.clone(),
        })
    }

    pub fn rules(&self) -> Identities {
        let rule = |identity: &Identity| IdentityRule {
            pattern: identity.pattern.clone(),
            project: identity.project.as_str().into(),
            service: identity.service.as_deref().map(Into::into),
            scopes: identity.scopes.iter().map(|scope| Scope::from(*scope)).collect::<Scopes>(),
        };
        Identities::new(self.identities.iter().map(rule).collect())
    }
}

impl From<IdentityScope> for Scope {
    fn from(scope: IdentityScope) -> Self {
        match scope {
            IdentityScope::Ingest => Scope::Ingest,
            IdentityScope::Query => Scope::Query,
            IdentityScope::Admin => Scope::Admin,
        }
    }
}

impl From<ClientAuth> for tls::ClientAuth {
    fn from(client_auth: ClientAuth) -> Self {
        match client_auth {
            ClientAuth::Off => tls::ClientAuth::Off,
            ClientAuth::Optional => tls::ClientAuth::Optional,
            ClientAuth::Required => tls::ClientAuth::Required,
        }
    }
}

/// What is wrong with these keys together.
pub fn mistakes(settings: &Settings) -> Vec<String> {
    let tls = &settings.tls;
    let mut mistakes = Vec::new();
    let mut hold = |good: bool, mistake: &str| {
        if !good {
            mistakes.push(mistake.to_owned());
        }
    };
    hold(tls.cert.is_some() == tls.key.is_some(), "`tls.cert` and `tls.key` go together: one of them is not set");
    hold(tls.client_ca.is_none() || tls.is_on(), "`tls.client_ca` needs `tls.cert`");
    hold(tls.crl.is_none() || tls.client_ca.is_some(), "`tls.crl` needs `tls.client_ca`");
    hold(tls.identities.is_empty() || tls.client_ca.is_some(), "`tls.identities` needs `tls.client_ca`");
    let asking = [
        ("tls.client_auth", Some(tls.client_auth)),
        ("collector.client_auth", settings.collector.client_auth),
        ("api.client_auth", settings.api.client_auth),
        ("ops.client_auth", settings.ops.client_auth),
    ];
    for (key, client_auth) in asking {
        let asks = client_auth.is_some_and(|client_auth| client_auth != ClientAuth::Off);
        hold(
            !asks || tls.client_ca.is_some(),
            &format!("`{key}` asks for client certificates: that needs `tls.client_ca`"),
        );
    }
    for (index, identity) in tls.identities.iter().enumerate() {
        let place = format!("`tls.identities`, number {}", index + 1);
        hold(!identity.pattern.is_empty(), &format!("{place}: `match` is empty"));
        hold(!identity.project.is_empty(), &format!("{place}: `project` is empty"));
        hold(identity.service.as_deref() != Some(""), &format!("{place}: `service` is empty; leave it out"));
        hold(!identity.scopes.is_empty(), &format!("{place}: `scopes` is empty: name `ingest`, `query` or `admin`"));
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, Vec<String>> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        super::super::load(Some(file.path()), []).map(|(settings, _)| settings).map_err(|error| error.mistakes)
    }

    #[test]
    fn a_whole_section_is_read() {
        let settings = read(
            "[tls]\ncert = 'c.pem'\nkey = 'k.pem'\nclient_ca = 'ca.pem'\ncrl = 'crl.pem'\nclient_auth = 'optional'\n\
             [[tls.identities]]\nmatch = '*.web.test'\nproject = 'shop'\nservice = 'web'\nscopes = ['ingest']\n\
             [[tls.identities]]\nmatch = 'x'\nproject = 'bank'\nscopes = ['ingest', 'query']\n\
             [collector]\nclient_auth = 'required'\n[ops]\nclient_auth = 'off'\n",
        )
        .expect("good");
        assert_eq!(settings.tls.client_auth, ClientAuth::Optional);
        assert_eq!(settings.collector.client_auth, Some(ClientAuth::Required));
        assert_eq!(settings.api.client_auth, None);
        assert_eq!(settings.tls.identities.len(), 2);
        let printed = toml::to_string(&settings).expect("printed");
        assert_eq!(read(&printed).expect("read back"), settings);
    }

    #[test]
    fn keys_that_need_each_other_are_named() {
        let mistakes = |text: &str| read(text).expect_err("a mistake").join("\n");
        assert!(mistakes("[tls]\ncert = 'c.pem'\n").contains("tls.key"));
        assert!(mistakes("[tls]\nclient_ca = 'c.pem'\n").contains("tls.cert"));
        assert!(mistakes("[api]\nclient_auth = 'required'\n").contains("`api.client_auth`"));
        let rule = "[[tls.identities]]\nmatch = ''\nproject = 'p'\nscopes = []\n";
        let text = mistakes(rule);
        for part in ["tls.client_ca", "number 1: `match`", "number 1: `scopes`"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(mistakes("[[tls.identities]]\nmatch = 'x'\nproject = 'p'\nscope = ['ingest']\n").contains("scope"));
    }
}
