//! GETDELEGATIONTOKEN, RENEWDELEGATIONTOKEN, CANCELDELEGATIONTOKEN.

use http::StatusCode;
use http::request::Parts;
use moongate_auth::kerberos::Token;
use moongate_auth::{Failure, LoginError, Method};
use serde_json::json;

use super::error::Refusal;
use super::json::named;
use super::{Asked, Params, done, status};
use crate::http::Response;
use crate::http::query::Query;
use crate::login::kerberos::Kerberos;

/// GETDELEGATIONTOKEN
pub fn get(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let Some(kerberos) = &asked.gateway.login.kerberos else {
        return Ok(status::no_token());
    };
    match asked.identity.method {
        // What is only said needs no token to be said again.
        Method::Anonymous | Method::Simple => return Ok(status::no_token()),
        _ => only_in_person(asked, "issued")?,
    }
    let renewer = asked.params.text("renewer");
    let host = asked.host();
    let service = asked.params.text("service").unwrap_or(&host);
    let token = kerberos.issue(asked.identity, renewer, service);
    let url = token.map_err(Refusal::Token)?.to_url();
    Ok(named("Token", &json!({ "urlString": url })))
}

/// RENEWDELEGATIONTOKEN: until when the token is good then.
pub async fn renew(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let token = asked.params.required("token", "RENEWDELEGATIONTOKEN")?;
    let kerberos = in_use(asked)?;
    only_in_person(asked, "renewed")?;
    let token = Token::from_url(token).map_err(Refusal::Token)?;
    let until_ms = kerberos.renew(&token, &asked.caller.user).await;
    Ok(named("long", &until_ms.map_err(Refusal::Token)?))
}

/// CANCELDELEGATIONTOKEN
pub async fn cancel(asked: &Asked<'_>) -> Result<Response, Refusal> {
    let Some(kerberos) = &asked.gateway.login.kerberos else {
        return Ok(done(StatusCode::OK));
    };
    let token = asked.params.required("token", "CANCELDELEGATIONTOKEN")?;
    let token = Token::from_url(token).map_err(Refusal::Token)?;
    let cancelled = kerberos.cancel(&token, &asked.caller.user).await;
    cancelled.map_err(Refusal::Token)?;
    Ok(done(StatusCode::OK))
}

fn in_use<'a>(asked: &'a Asked<'_>) -> Result<&'a Kerberos, Refusal> {
    let kerberos = asked.gateway.login.kerberos.as_ref();
    kerberos.ok_or_else(|| {
        Refusal::Unsupported(
            "delegation tokens belong to Kerberos, which is not in use here".into(),
        )
    })
}

/// A token is not enough to get or renew one: a stolen one would never end.
fn only_in_person(asked: &Asked<'_>, what: &str) -> Result<(), Refusal> {
    if asked.identity.method != Method::DelegationToken {
        return Ok(());
    }
    let text = format!("Delegation Token can be {what} only with kerberos or web authentication");
    Err(Refusal::Io(text))
}

/// What a failed login is told as. Hadoop's clients get themselves a new token when theirs is over, but only if they are told so with
/// 403, as NameNodes do; a 401 they take as final.
pub fn refusal(parts: &Parts, refused: LoginError) -> Refusal {
    let query = Query::parse(parts.uri.query());
    let has_token = Params(&query).text("delegation").is_some();
    let agent = parts.headers.get(http::header::USER_AGENT);
    let is_java = agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Java/"));
    if has_token && is_java && refused.failure == Failure::Expired {
        return Refusal::Token(refused);
    }
    Refusal::Login(refused)
}
