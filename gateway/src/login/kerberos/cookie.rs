//! The `hadoop.auth` cookie in requests and answers.

use http::request::Parts;
use http::{HeaderValue, header};
use moongate_auth::kerberos::cookie::{KERBEROS, NAME, Ticket};
use moongate_auth::{Identity, LoginError, Method};

use super::{Kerberos, now_ms};
use crate::login::{Known, simple};

/// The cookie's value, if the request has one.
pub fn shown(parts: &Parts) -> Option<&str> {
    let headers = parts.headers.get_all(header::COOKIE).iter();
    let pairs = headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == NAME)
        .map(|(_, value)| value)
        // As the answer to who is not let in leaves it.
        .filter(|value| !value.trim_matches('"').is_empty())
}

/// Who was given this cookie.
///
/// # Errors
/// It is not ours, or no longer good.
pub fn verify(kerberos: &Kerberos, value: &str) -> Result<Known, LoginError> {
    let (kept, now_ms) = (kerberos.kept.secrets(), now_ms());
    let secrets = kept.cookie_secrets(now_ms, kerberos.kept.lifetimes());
    let ticket = Ticket::verify(value, &secrets, now_ms)?;
    Ok(Known::new(Identity {
        principal: ticket.principal.into(),
        ..simple::identity(&ticket.user, Method::Kerberos)
    }))
}

/// A new cookie; none for names that a cookie cannot hold.
pub fn made(kerberos: &Kerberos, identity: &Identity) -> Option<HeaderValue> {
    let (kept, now_ms) = (kerberos.kept.secrets(), now_ms());
    let lifetimes = kerberos.kept.lifetimes();
    let ticket = Ticket {
        user: identity.user.to_string(),
        principal: identity.principal.to_string(),
        kind: KERBEROS.to_owned(),
        expires_ms: now_ms.saturating_add(lifetimes.cookie_ms),
    };
    let secrets = kept.cookie_secrets(now_ms, lifetimes);
    let signed = ticket.signed(secrets.first()?)?;
    let seconds = lifetimes.cookie_ms / 1000;
    let secure = if kerberos.secure { "; Secure" } else { "" };
    let cookie = format!("{NAME}=\"{signed}\"; Max-Age={seconds}; Path=/; HttpOnly{secure}");
    HeaderValue::from_str(&cookie).ok()
}

/// Makes a client forget its cookie.
pub const fn cleared() -> HeaderValue {
    HeaderValue::from_static("hadoop.auth=; Max-Age=0; Path=/; HttpOnly")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many_cookies() {
        let of = |cookies: &[&str]| {
            let mut request = http::Request::builder();
            for cookie in cookies {
                request = request.header(header::COOKIE, *cookie);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            shown(&parts).map(str::to_owned)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&["a=b; hadoop.auth=\"u=x&s=y=\"; c=d"]).as_deref(),
            Some("\"u=x&s=y=\"")
        );
        assert_eq!(of(&["a=b", "hadoop.auth=x"]).as_deref(), Some("x"));
        assert_eq!(of(&["hadoop.auth=; xhadoop.auth=y"]), None);
        assert_eq!(of(&["hadoop.auth=\"\""]), None);
    }
}
