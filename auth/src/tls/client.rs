//! Who shows a client certificate. That it is signed by an authority of ours is checked by then.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::subject::common_name;
use crate::{Groups, Identity, Method};

/// The longest name that is taken, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What names the one who has a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameFrom {
    /// The common name of the subject.
    #[default]
    CommonName,
    /// The first URI among the alternative names (`spiffe://…`).
    Uri,
    /// The first DNS name among the alternative names.
    Dns,
}

/// A client's certificate, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Common name of the subject.
    pub common_name: Option<Arc<str>>,
    /// The first URI among the alternative names.
    pub uri: Option<Arc<str>>,
    /// The first DNS name among the alternative names.
    pub dns: Option<Arc<str>>,
}

impl ClientCertificate {
    /// Who it stands for, with groups yet to be looked up; `None` if it has no such name.
    pub fn identity(&self, by: NameFrom) -> Option<Identity> {
        let name = match by {
            NameFrom::CommonName => &self.common_name,
            NameFrom::Uri => &self.uri,
            NameFrom::Dns => &self.dns,
        };
        let name = name.clone()?;
        Some(Identity {
            principal: Arc::clone(&name),
            user: name,
            groups: Groups::Unknown,
            real_user: None,
            tenant: None,
            method: Method::Certificate,
        })
    }
}

/// The names in a certificate; `None` if it cannot be read.
pub fn certificate_of(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let name = common_name(certificate.subject());
    Some(ClientCertificate {
        common_name: name.and_then(|name| fit(&name)),
        uri: certificate.valid_uri_names().next().and_then(fit),
        dns: certificate.valid_dns_names().next().and_then(fit),
    })
}

fn fit(name: &str) -> Option<Arc<str>> {
    let fit = (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    fit.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common_name: Option<&str>) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Org");
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let uri = "spiffe://moongate/gateway".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        certificate_of(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn a_certificate_has_three_kinds_of_names() {
        let certificate = certificate(Some("ann"));
        let user = |by| certificate.identity(by).unwrap().user.to_string();
        assert_eq!(user(NameFrom::CommonName), "ann");
        assert_eq!(user(NameFrom::Uri), "spiffe://moongate/gateway");
        assert_eq!(user(NameFrom::Dns), "host.example");
    }

    #[test]
    fn one_without_a_fit_name_is_nobodys() {
        for name in [None, Some("Ann Lee"), Some("")] {
            assert_eq!(
                certificate(name).identity(NameFrom::CommonName),
                None,
                "{name:?}"
            );
        }
        assert_eq!(
            certificate_of(&CertificateDer::from_slice(b"no certificate")),
            None
        );
    }
}
