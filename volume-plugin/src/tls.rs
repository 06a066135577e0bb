//! Mutual TLS between the controller and the agents. Both prove who they are by one authority, and what they are by a name in their
//! certificate: another's certificate of the same authority is not enough. Files that change are read again for the next connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::Tls;

/// A DNS name in the certificate of each controller.
pub const CONTROLLER: &str = "controller.csi.moongate.io";
/// A DNS name in the certificate of each agent, beside the name of its host.
pub const AGENT: &str = "agent.csi.moongate.io";
const PROTOCOL: &[u8] = b"h2";

/// A side of the connection, made of files and made anew when they change.
#[derive(Debug)]
pub struct Reread<C> {
    files: Tls,
    build: fn(&Tls) -> anyhow::Result<C>,
    last: Mutex<(Stamp, Arc<C>)>,
}

/// When each file was changed last, and its length.
type Stamp = [Option<(SystemTime, u64)>; 3];

impl Reread<ServerConfig> {
    /// The agent's side.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn server(files: Tls) -> anyhow::Result<Self> {
        Self::new(files, server)
    }
}

impl Reread<ClientConfig> {
    /// The controller's side.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn client(files: Tls) -> anyhow::Result<Self> {
        Self::new(files, client)
    }
}

impl<C> Reread<C> {
    fn new(files: Tls, build: fn(&Tls) -> anyhow::Result<C>) -> anyhow::Result<Self> {
        let last = Mutex::new((stamp(&files), Arc::new(build(&files)?)));
        Ok(Self { files, build, last })
    }

    /// What the next connection uses. Files that are half written leave the last good ones in use: the next connection tries again.
    pub fn now(&self) -> Arc<C> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.files);
        if stamp != last.0 {
            match (self.build)(&self.files) {
                Ok(config) => *last = (stamp, Arc::new(config)),
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "tls: the old files stay in use"
                    )
                }
            }
        }
        last.1.clone()
    }
}

/// Whether the other side is what it must be.
///
/// # Errors
/// Says which name its certificate lacks.
pub fn check_role(certificates: Option<&[CertificateDer<'_>]>, role: &str) -> anyhow::Result<()> {
    let Some([certificate, ..]) = certificates else {
        bail!("the other side showed no certificate");
    };
    let name = ServerName::try_from(role).context("a role is a DNS name")?;
    webpki::EndEntityCert::try_from(certificate)
        .and_then(|certificate| certificate.verify_is_valid_for_subject_name(&name))
        .with_context(|| {
            format!("its certificate lacks the DNS name {role}, which tells what it may be")
        })
}

fn server(files: &Tls) -> anyhow::Result<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder(Arc::new(authority(&files.ca)?)).build()?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&files.certificate)?, key(&files.key)?)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // A resumed session would bring an old certificate's word.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(files: &Tls) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(authority(&files.ca)?)
        .with_client_auth_cert(chain(&files.certificate)?, key(&files.key)?)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn authority(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).with_context(|| named(path))?;
    }
    Ok(roots)
}

fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).with_context(|| named(path))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .with_context(|| named(path))?;
    if found.is_empty() {
        bail!("{}: no certificate (PEM) is in it", path.display());
    }
    Ok(found)
}

fn key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| named(path))
}

fn named(path: &Path) -> String {
    path.display().to_string()
}

fn stamp(files: &Tls) -> Stamp {
    let of = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    [of(&files.ca), of(&files.certificate), of(&files.key)]
}
