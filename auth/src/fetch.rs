//! Getting a small document by HTTP(S): an issuer's keys. Behind a trait, so that tests and others bring their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::watched::{self, FileError};

/// The largest document that is taken, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gets documents.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The body of a 200 answer.
    ///
    /// # Errors
    /// Why there is none, in words.
    async fn get(&self, url: &str) -> Result<Bytes, String>;
}

/// By HTTP/1.1, with TLS for `https://`.
#[derive(Debug)]
pub struct HttpFetch {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// A token that is shown, read anew for every document: Kubernetes replaces it every hour.
    bearer_file: Option<PathBuf>,
}

impl HttpFetch {
    /// Trusts the authorities in the file `ca` (PEM), or those of the system.
    ///
    /// # Errors
    /// The file, or no authority at all.
    pub fn new(ca: Option<&Path>, bearer_file: Option<PathBuf>) -> Result<Self, FileError> {
        let connector = HttpsConnectorBuilder::new().with_tls_config(client_config(ca)?);
        let client = Client::builder(TokioExecutor::new())
            .build(connector.https_or_http().enable_http1().build());
        Ok(Self {
            client,
            bearer_file,
        })
    }

    async fn document(&self, url: &str) -> Result<Bytes, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
        let mut request = Request::get(uri).header(header::ACCEPT, "application/json");
        if let Some(path) = &self.bearer_file {
            request = request.header(header::AUTHORIZATION, bearer(path)?);
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request);
        let answer = answer.await.map_err(|error| root_of(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answers {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes())
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        match tokio::time::timeout(TIMEOUT, self.document(url)).await {
            Ok(document) => document,
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }
}

fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let token = watched::read(path).map_err(|error| error.to_string())?;
    let token = String::from_utf8_lossy(&token).trim().to_owned();
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| format!("{}: holds no token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// TLS as a client, by ring: the authorities of a PEM file, or those of the system.
///
/// # Errors
/// The file, or no authority at all.
pub fn client_config(ca: Option<&Path>) -> Result<ClientConfig, FileError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FileError::new(Path::new("TLS"), error))?;
    let config = match ca {
        Some(path) => versions.with_root_certificates(authorities(path)?),
        None => {
            use hyper_rustls::ConfigBuilderExt as _;
            let system = versions.with_native_roots();
            system.map_err(|error| {
                let reason = format!("{error}: name a file of authorities");
                FileError::new(Path::new("the system's certificate authorities"), reason)
            })?
        }
    };
    Ok(config.with_no_client_auth())
}

/// TLS that trusts nobody: for clients of `http://` alone, where there may be no authorities at all.
///
/// # Errors
/// None that can be told of here: ring has the safe versions of TLS.
pub fn trusting_nobody() -> Result<ClientConfig, FileError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FileError::new(Path::new("TLS"), error))?;
    let config = versions.with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}

/// The authorities in a PEM file.
///
/// # Errors
/// It cannot be read, or has no certificate that can be one.
pub fn authorities(path: &Path) -> Result<RootCertStore, FileError> {
    authorities_of(&watched::read(path)?).map_err(|reason| FileError::new(path, reason))
}

/// The authorities in PEM text.
pub(crate) fn authorities_of(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("no certificate (PEM): {error}"))?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    match store.is_empty() {
        true => Err("has no certificate (PEM: -----BEGIN CERTIFICATE-----)".to_owned()),
        false => Ok(store),
    }
}

/// The innermost cause, which says most.
fn root_of(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}
