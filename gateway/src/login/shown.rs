//! What a request shows to prove who it comes from.

use http::header;
use http::request::Parts;
use moongate_auth::{Failure, LoginError};

use super::{Known, Login, Refusal, kerberos};
use crate::protocol::webhdfs::Params;

/// The first of them that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown<'r> {
    /// `Authorization: Negotiate …`
    Ticket(&'r str),
    /// `Authorization:` of another kind, which is named.
    Other(&'r str),
    /// The `hadoop.auth` cookie.
    Cookie(&'r str),
    /// `delegation=`
    Token(&'r str),
}

impl<'r> Shown<'r> {
    pub(super) fn of(parts: &'r Parts, params: Params<'r>) -> Option<Self> {
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            return Some(Self::authorization(value.to_str().unwrap_or_default()));
        }
        if let Some(value) = kerberos::cookie_shown(parts) {
            return Some(Self::Cookie(value));
        }
        params.text("delegation").map(Self::Token)
    }

    fn authorization(value: &'r str) -> Self {
        let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        if scheme.eq_ignore_ascii_case("negotiate") {
            Self::Ticket(rest.trim())
        } else {
            Self::Other(scheme)
        }
    }
}

impl Login {
    /// Who proves to be who by this.
    pub(super) async fn believe(&self, shown: Shown<'_>) -> Result<Known, Refusal> {
        let kerberos = |what| {
            let kerberos = self.kerberos.as_ref();
            kerberos.ok_or_else(|| kerberos::not_in_use(what))
        };
        match shown {
            Shown::Ticket(token) => {
                kerberos::by_ticket(kerberos("Authorization: Negotiate")?, token).await
            }
            Shown::Cookie(value) => kerberos::by_cookie(kerberos("the cookie hadoop.auth")?, value),
            Shown::Token(url) => kerberos::by_token(kerberos("delegation=")?, url),
            Shown::Other(_) => {
                let text = "the kind of Authorization that was sent is not taken here";
                Err(LoginError::new(Failure::NotAllowed, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query::Query;

    #[test]
    fn the_first_that_is_there() {
        let shown = |uri: &str, headers: &[(&str, &str)]| {
            let mut request = http::Request::builder().uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let query = Query::parse(parts.uri.query());
            format!("{:?}", Shown::of(&parts, Params(&query)))
        };
        let cookie = ("cookie", "hadoop.auth=c");
        assert_eq!(shown("/", &[]), "None");
        assert_eq!(shown("/?Delegation=t", &[]), "Some(Token(\"t\"))");
        assert_eq!(shown("/?delegation=t", &[cookie]), "Some(Cookie(\"c\"))");
        let negotiate = ("authorization", "negotiate  abc ");
        assert_eq!(
            shown("/?delegation=t", &[cookie, negotiate]),
            "Some(Ticket(\"abc\"))"
        );
        assert_eq!(
            shown("/", &[("authorization", "Negotiate")]),
            "Some(Ticket(\"\"))"
        );
        assert_eq!(
            shown("/", &[("authorization", "Digest x")]),
            "Some(Other(\"Digest\"))"
        );
    }
}
