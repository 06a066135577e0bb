//! How a server is trusted, and what shows it who asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use http::HeaderValue;
use moongate_auth::fetch::client_config;
use moongate_auth::watched::FileError;
use rustls::{ClientConfig, RootCertStore};

use super::error::ClientError;

/// The variable with a token. Other users of a machine can read a command line, and not this.
const TOKEN_VARIABLE: &str = "MOONGATE_TOKEN";

/// What every command that talks to a server takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Access {
    /// Authorities that certificates of https:// servers must be signed by (PEM) [default: the system's]
    #[arg(
        long,
        value_name = "FILE",
        env = "MOONGATE_CA",
        hide_env_values = true,
        global = true
    )]
    pub ca: Option<PathBuf>,
    /// File with a token (JWT) or ID:SECRET of an access key, sent as Authorization: Bearer [default: $MOONGATE_TOKEN]
    #[arg(
        long,
        value_name = "FILE",
        env = "MOONGATE_TOKEN_FILE",
        hide_env_values = true,
        global = true
    )]
    pub token_file: Option<PathBuf>,
}

impl Access {
    /// What shows who asks.
    ///
    /// # Errors
    /// [`ClientError::Local`], [`ClientError::Usage`].
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let token = match &self.token_file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| ClientError::Local {
                path: path.clone(),
                error,
            })?,
            None => std::env::var(TOKEN_VARIABLE).unwrap_or_default(),
        };
        let token = token.trim();
        if token.is_empty() {
            return Ok(None);
        }
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| {
            ClientError::Usage(
                "the token is none: it has more than one line, or no text".to_owned(),
            )
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// How a server is trusted, where it speaks TLS.
    ///
    /// # Errors
    /// [`ClientError::Usage`]: which file is wrong, and how.
    pub(super) fn tls(&self, is_needed: bool) -> Result<ClientConfig, ClientError> {
        let config = match is_needed {
            true => client_config(self.ca.as_deref()),
            false => trusting_nobody(),
        };
        config.map_err(|error| ClientError::Usage(format!("--ca: {error}")))
    }
}

/// For servers without TLS.
fn trusting_nobody() -> Result<ClientConfig, FileError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FileError::new(Path::new("TLS"), error))?;
    let config = versions.with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}
