//! `[tls]`: certificates of all ports. Doc comments here become `docs/config.md`.

use std::path::PathBuf;
use std::sync::Arc;

use moongate_auth::tls::{NameFrom, Tls, TlsFiles};
use moongate_auth::watched::FileError;
use serde::{Deserialize, Serialize};

/// TLS on every port, by rustls. The files are read again when they change (looked at once a second); connections that are open stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct TlsConfig {
    /// Certificate and those that it is signed by (PEM). Empty: no TLS. With it, no port speaks plain HTTP any more.
    pub cert: PathBuf,
    /// Key of the certificate (PEM).
    pub key: PathBuf,
    /// Authorities of client certificates (PEM); clients are asked for one. Empty: they are not.
    pub client_ca: PathBuf,
    /// Refuse the handshake of clients that show no certificate.
    pub client_required: bool,
    /// What in a client's certificate is the user, where `auth.methods` has `"certificate"`.
    pub client_name: ClientName,
}

/// What in a certificate is a user's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ClientName {
    /// The common name of the subject.
    #[default]
    CommonName,
    /// The first URI among the alternative names.
    Uri,
    /// The first DNS name among the alternative names.
    Dns,
}

impl From<ClientName> for NameFrom {
    fn from(name: ClientName) -> Self {
        match name {
            ClientName::CommonName => Self::CommonName,
            ClientName::Uri => Self::Uri,
            ClientName::Dns => Self::Dns,
        }
    }
}

impl TlsConfig {
    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        !self.cert.as_os_str().is_empty()
    }

    /// Reads the certificates; `None`: no TLS.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn open(&self) -> Result<Option<Arc<Tls>>, FileError> {
        if !self.is_on() {
            return Ok(None);
        }
        let client_ca = &self.client_ca;
        let files = TlsFiles {
            cert: self.cert.clone(),
            key: self.key.clone(),
            client_ca: (!client_ca.as_os_str().is_empty()).then(|| client_ca.clone()),
            client_required: self.client_required,
        };
        Tls::open(files).map(|tls| Some(Arc::new(tls)))
    }
}
