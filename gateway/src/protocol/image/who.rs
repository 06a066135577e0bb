//! Who calls the image port: somebody who is logged in, or somebody with a token of the very image.

use http::StatusCode;
use http::request::Parts;
use moongate_auth::Method;
use moongate_auth::jwt::fid::FidRefused;
use std::sync::Arc;

use super::error::ImageError;
use crate::http::Response;
use crate::http::json::error_json;
use crate::http::query::Query;
use crate::http::server::PeerInfo;
use crate::login::{self, Known};
use crate::metrics::Operation;
use crate::protocol::exchange::declared_len;
use crate::state::Gateway;
use crate::tenancy;

/// Somebody who may be served.
#[derive(Debug)]
pub(super) struct Caller {
    /// Who.
    pub(super) known: Known,
    /// A token of the image was shown, which says all that is to be said.
    pub(super) by_fid_token: bool,
    peer: PeerInfo,
}

/// Who calls; an answer for whoever is not let in.
pub(super) async fn calls(
    gateway: &Arc<Gateway>,
    operation: Operation,
    parts: &Parts,
    peer: PeerInfo,
) -> Result<Caller, Response> {
    let query = Query::parse(parts.uri.query());
    let shown = match operation {
        Operation::Read | Operation::Write | Operation::Delete => {
            gateway.fid_tokens.shown(parts, &query)
        }
        _ => None,
    };
    if matches!(shown, Some(Ok(()))) {
        return Ok(Caller {
            known: Known::new(gateway.login.anonymous().clone()),
            by_fid_token: true,
            peer,
        });
    }
    let known = login::identify(gateway, parts, peer).await;
    let known = known.map_err(|refused| login::answer::json(gateway, &refused))?;
    // A name that is only said is no proof.
    let is_logged_in = !matches!(known.identity.method, Method::Anonymous | Method::Simple);
    let refused = match (shown, operation) {
        _ if is_logged_in => None,
        (Some(Err(refused)), _) => Some(refused),
        (_, Operation::BatchGet) => gateway
            .fid_tokens
            .guards(false)
            .then_some(FidRefused::Missing),
        (_, Operation::BatchDelete) => gateway
            .fid_tokens
            .guards(true)
            .then_some(FidRefused::Missing),
        _ => None,
    };
    match refused {
        Some(refused) => Err(error_json(StatusCode::UNAUTHORIZED, &refused.to_string())),
        None => Ok(Caller {
            known,
            by_fid_token: false,
            peer,
        }),
    }
}

impl Caller {
    /// As who asks the namespace.
    pub(super) fn named(&self, operation: Operation) -> moongate_cache::Caller {
        login::caller::of(&self.known.identity, self.peer, operation.name())
    }

    /// The tenant that the caller belongs to.
    pub(super) fn tenant(&self) -> Option<&str> {
        self.known.identity.tenant.as_deref()
    }

    /// Whether the caller's tenant may make this request now.
    pub(super) fn admit(
        &self,
        gateway: &Gateway,
        operation: Operation,
        parts: &Parts,
        query: &Query<'_>,
    ) -> Result<(), ImageError> {
        if !self.by_fid_token {
            tenancy::images::admit(gateway, self.tenant(), operation, parts, query)?;
        }
        Ok(())
    }

    /// What is left to do with the answer.
    pub(super) fn finish(self, gateway: &Gateway, parts: &Parts, response: &mut Response) {
        let received = declared_len(&parts.headers).unwrap_or(0);
        tenancy::charge(gateway, self.tenant(), received, response);
        self.known.tell(response);
    }
}
