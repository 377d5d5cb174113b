//! The names in a client certificate, and the rules that make a principal of them.

use std::fmt;
use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::auth::{Principal, Scopes};

/// Names of a certificate that are looked at; more are ignored, so that a request stays cheap.
const NAMES_MAX: usize = 64;

/// A name that a CA has vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    Uri(String),
    /// In lower case.
    Dns(String),
    Email(String),
    /// The subject's common name, which counts only where no other name is.
    Common(String),
}

impl Name {
    /// The URIs, DNS names and mail addresses of the subject alternative name, in its order; without any, the common
    /// name.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Vec<Self> {
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let mut names: Vec<_> = alternative
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some(Self::Uri((*uri).to_owned())),
                GeneralName::DNSName(name) => Some(Self::Dns(name.to_ascii_lowercase())),
                GeneralName::RFC822Name(address) => Some(Self::Email((*address).to_owned())),
                _ => None,
            })
            .take(NAMES_MAX)
            .collect();
        if names.is_empty() {
            let common = certificate.subject().iter_common_name().next();
            names.extend(common.and_then(|name| name.as_str().ok()).map(|name| Self::Common(name.to_owned())));
        }
        names
    }

    pub fn text(&self) -> &str {
        match self {
            Name::Uri(text) | Name::Dns(text) | Name::Email(text) | Name::Common(text) => text,
        }
    }

    /// Whether a rule means this name.
    fn matches(&self, pattern: &str) -> bool {
        match self {
            // DNS names have no case.
            Name::Dns(name) => glob(&pattern.to_ascii_lowercase(), name),
            other => glob(pattern, other.text()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What clients of a name may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRule {
    /// A name, or one with `*` for any characters, also none.
    pub pattern: String,
    pub project: Arc<str>,
    /// Of records that name no service themselves.
    pub service: Option<Arc<str>>,
    pub scopes: Scopes,
}

/// Rules in their order: the first that means one of a certificate's names decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities(Vec<IdentityRule>);

impl Identities {
    pub fn new(rules: Vec<IdentityRule>) -> Self {
        Self(rules)
    }

    /// Who a certificate with these names is; None when no rule means one of them: it is then no credential.
    pub fn principal(&self, names: &[Name]) -> Option<Principal> {
        self.0.iter().find_map(|rule| {
            let name = names.iter().find(|name| name.matches(&rule.pattern))?;
            Some(Principal {
                id: format!("certificate:{name}").into(),
                project: rule.project.clone(),
                scopes: rule.scopes,
                service: rule.service.clone(),
                confirmed: true,
            })
        })
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters. Time: the product of both lengths at most.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what followed the last star does not fit.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    p = *at + 1;
                    t = *from;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scope;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text, expected) in [
            ("web", "web", true),
            ("web", "web2", false),
            ("web*", "web", true),
            ("web*", "web-1", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("spiffe://prod/*/web", "spiffe://prod/shop/web", true),
            ("spiffe://prod/*/web", "spiffe://prod/shop/web/x", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("**", "", true),
            ("", "", true),
            ("", "x", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    fn rule(pattern: &str, project: &str) -> IdentityRule {
        let scopes = [Scope::Ingest].into_iter().collect();
        IdentityRule { pattern: pattern.to_owned(), project: project.into(), service: None, scopes }
    }

    #[test]
    fn the_first_rule_that_means_a_name_decides() {
        let rules = Identities::new(vec![rule("Web.Example.org", "one"), rule("spiffe://*", "two"), rule("*", "rest")]);
        let dns = Name::Dns("web.example.org".to_owned());
        let uri = Name::Uri("spiffe://prod/web".to_owned());
        let project = |names: &[Name]| rules.principal(names).map(|principal| principal.project.to_string());
        assert_eq!(project(&[uri.clone(), dns]).as_deref(), Some("one"), "rules before names");
        assert_eq!(project(&[uri]).as_deref(), Some("two"));
        assert_eq!(project(&[Name::Common("Web.Example.org ".to_owned())]).as_deref(), Some("rest"));
        assert_eq!(project(&[]), None);
        assert_eq!(Identities::default().principal(&[Name::Common("x".to_owned())]), None);
    }
}
