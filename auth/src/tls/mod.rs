//! TLS of a listener, by rustls with ring: certificates that are read again when they change, and client certificates as a way of
//! showing who calls.
//!
//! A connection keeps the certificates that it began with; the next one gets those that are there then. A pair that does not fit (the
//! certificate is written, its key not yet) changes nothing until it does.

mod client;
mod subject;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::fetch::authorities_of;
use crate::watched::{FileError, Watched};

pub use client::{ClientCertificate, NameFrom, certificate_of};

/// What a listener's TLS is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that it is signed by (PEM).
    pub cert: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// The authorities of client certificates (PEM); `None`: no client is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Refuse clients without a certificate.
    pub client_required: bool,
}

/// TLS of a listener, as it is now.
#[derive(Debug)]
pub struct Tls {
    config: Watched<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn open(files: TlsFiles) -> Result<Self, FileError> {
        let mut paths = vec![files.cert.clone(), files.key.clone()];
        paths.extend(files.client_ca.clone());
        let config = Watched::open(paths, move |contents| {
            config(&files, contents).map(Arc::new)
        })?;
        Ok(Self { config })
    }

    /// What the next connection begins with.
    pub fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        Arc::clone(&*self.config.get()).into()
    }

    /// Looks at the files now.
    pub fn refresh(&self) {
        self.config.refresh();
    }
}

fn config(files: &TlsFiles, contents: &[Vec<u8>]) -> Result<ServerConfig, FileError> {
    let mut contents = contents.iter().map(Vec::as_slice);
    let chain = chain(&files.cert, contents.next().unwrap_or_default())?;
    let key = PrivateKeyDer::from_pem_slice(contents.next().unwrap_or_default());
    let key =
        key.map_err(|error| FileError::new(&files.key, format!("no private key (PEM): {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = |error| FileError::new(&files.cert, error);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = match (&files.client_ca, contents.next()) {
        (Some(path), Some(pem)) => {
            let roots = authorities_of(pem).map_err(|reason| FileError::new(path, reason))?;
            builder.with_client_cert_verifier(verifier(
                roots,
                provider,
                files.client_required,
                path,
            )?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        FileError::new(
            &files.cert,
            format!("does not fit {}: {error}", files.key.display()),
        )
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(FileError::new(
            path,
            "has no certificate (PEM: -----BEGIN CERTIFICATE-----)",
        )),
        Err(error) => Err(FileError::new(
            path,
            format!("no certificate (PEM): {error}"),
        )),
    }
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<rustls::crypto::CryptoProvider>,
    required: bool,
    path: &Path,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, FileError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    builder.build().map_err(|error| FileError::new(path, error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn write(folder: &Path, name: &str, common_name: &str) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let certificate = params.self_signed(&key).unwrap();
        let files = TlsFiles {
            cert: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
            ..TlsFiles::default()
        };
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_pair_is_taken_when_it_fits() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, next) = (
            write(folder.path(), "a", "a"),
            write(folder.path(), "b", "b"),
        );
        let tls = Tls::open(ours.clone()).unwrap();
        let before = tls.config.get();
        std::fs::copy(&next.cert, &ours.cert).unwrap();
        tls.refresh();
        assert!(
            Arc::ptr_eq(&before, &tls.config.get()),
            "its key is not there yet"
        );
        std::fs::copy(&next.key, &ours.key).unwrap();
        tls.refresh();
        assert!(!Arc::ptr_eq(&before, &tls.config.get()));
    }

    #[test]
    fn files_that_are_none_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            write(folder.path(), "a", "a"),
            write(folder.path(), "b", "b"),
        );
        let wrong = |cert: &Path, key: &Path, ca: Option<&Path>| {
            let files = TlsFiles {
                cert: cert.to_owned(),
                key: key.to_owned(),
                client_ca: ca.map(Path::to_owned),
                client_required: true,
            };
            Tls::open(files).unwrap_err().to_string()
        };
        assert!(wrong(&one.cert, &other.key, None).contains("does not fit"));
        assert!(wrong(&one.key, &one.key, None).contains("a.key: has no certificate"));
        assert!(wrong(&one.cert, &one.cert, None).contains("no private key"));
        assert!(wrong(&one.cert, &one.key, Some(&one.key)).contains("a.key: has no certificate"));
        assert!(wrong(&folder.path().join("x"), &one.key, None).contains("x: "));
    }
}
