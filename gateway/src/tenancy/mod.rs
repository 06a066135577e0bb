//! Tenants at the gateway's ports: each request is held against its caller's tenant before it is routed, charged for, and refused where
//! something is not the tenant's or there is too much of it.
//!
//! What the rules are is in [`moongate_auth::tenants`]; here is what a request touches ([`images`], [`files`]), and what is stored
//! ([`count`]). Without `[[tenant]]` in the configuration all of it is one comparison.

pub mod count;
pub mod files;
pub mod images;

use std::time::Instant;

use http::{HeaderValue, StatusCode, header};
use moongate_auth::tenants::{NotYours, Over, TenantSettings, Tenants};

use crate::config::TenantConfig;
use crate::http::Response;
use crate::http::json::error_json;
use crate::state::Gateway;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub enum Fenced {
    /// It touches what is somebody else's.
    #[error(transparent)]
    NotYours(#[from] NotYours),
    /// There is too much of it.
    #[error(transparent)]
    Over(#[from] Over),
}

impl Fenced {
    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotYours(_) => StatusCode::FORBIDDEN,
            Self::Over(Over::Rate { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::Over(Over::NotCounted { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Over(Over::Quota { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// When to try again, in seconds, where that helps.
    pub const fn retry_secs(&self) -> Option<u64> {
        match self {
            Self::Over(Over::Rate { retry_secs, .. } | Over::NotCounted { retry_secs, .. }) => {
                Some(*retry_secs)
            }
            _ => None,
        }
    }

    /// As JSON.
    pub fn answer(&self) -> Response {
        let mut response = error_json(self.status(), &self.to_string());
        self.when(&mut response);
        response
    }

    /// Says when to try again.
    pub fn when(&self, response: &mut Response) {
        if let Some(secs) = self.retry_secs() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
    }
}

/// Tenants as they are configured.
///
/// # Errors
/// What two of them claim, or what is no path.
pub fn open(configs: &[TenantConfig]) -> Result<Tenants, String> {
    Tenants::new(configs.iter().map(settings).collect())
}

fn settings(config: &TenantConfig) -> TenantSettings {
    TenantSettings {
        name: config.name.clone(),
        paths: config.paths.clone(),
        collections: config.collections.clone(),
        users: config.users.clone(),
        groups: config.groups.clone(),
        bytes_max: config.bytes_max.bytes(),
        objects_max: config.objects_max,
        requests_per_sec: config.requests_per_sec,
        bytes_per_sec: config.bytes_per_sec.bytes(),
    }
}

/// Charges what an answer and its request weigh, as far as it is known before they have moved.
pub fn charge(gateway: &Gateway, tenant: Option<&str>, received_bytes: u64, response: &Response) {
    if tenant.is_some() {
        let sent_bytes = response.body().len_bytes().unwrap_or(0);
        let bytes = received_bytes.saturating_add(sent_bytes);
        gateway.tenants.charge(tenant, bytes, Instant::now());
    }
}
