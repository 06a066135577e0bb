//! Names of users in parameters, held to the NameNode's pattern.

use moongate_auth::{Failure, LoginError};

use super::Known;
use crate::protocol::webhdfs::Params;

/// What a user's name may be: the NameNode's `dfs.webhdfs.user.provider.user.pattern`.
const PATTERN: &str = "^[A-Za-z_][A-Za-z0-9._-]*[$]?$";

/// The name that a parameter gives, if it is there.
pub(super) fn given<'q>(
    params: Params<'q>,
    parameter: &str,
) -> Result<Option<&'q str>, LoginError> {
    let Some(name) = params.text(parameter) else {
        return Ok(None);
    };
    if is_name(name) {
        return Ok(Some(name));
    }
    let text = format!(
        "Invalid value for webhdfs parameter \"{parameter}\": Invalid value: \"{name}\" does not belong to the domain {PATTERN}"
    );
    Err(LoginError::new(Failure::BadName, text))
}

/// Whoever proves to be one and says to be another is told so: as the NameNode has it.
pub(super) fn agrees(known: Known, params: Params<'_>) -> Result<Known, LoginError> {
    let user = &known.identity.user;
    let is_forwarded = params.text("doas").is_some();
    match given(params, "user.name")? {
        Some(said) if !is_forwarded && *said != **user => {
            let text = format!("Usernames not matched: name={said} != expected={user}");
            Err(LoginError::new(Failure::Impersonation, text))
        }
        _ => Ok(known),
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let bytes = text.strip_suffix('$').unwrap_or(text).as_bytes();
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let other = |byte: &u8| letter(byte) || byte.is_ascii_digit() || b".-".contains(byte);
    bytes.first().is_some_and(letter) && bytes.iter().all(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query::Query;

    #[test]
    fn names() {
        let of = |text: &str| {
            let query = Query::parse(Some(text));
            given(Params(&query), "user.name").map(|name| name.map(str::to_owned))
        };
        for (query, want) in [
            ("", None),
            ("user.name=", None),
            ("user.name=null", None),
            ("user.name=alice", Some("alice")),
            ("User.Name=svc-1$", Some("svc-1$")),
        ] {
            assert_eq!(of(query).unwrap().as_deref(), want);
        }
        for bad in [
            "user.name=9~!",
            "user.name=a/b",
            "user.name=$",
            "user.name=a%0ab",
        ] {
            assert_eq!(of(bad).unwrap_err().failure, Failure::BadName, "{bad}");
        }
    }
}
