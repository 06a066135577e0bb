//! Who asks, as simple authentication has it: `user.name` says so, and `doas` may name another.

use moongate_cache::Caller;

use super::error::Refusal;
use super::params::Params;
use crate::config::WebHdfsConfig;

/// What a user's name may be: the NameNode's `dfs.webhdfs.user.provider.user.pattern`.
const PATTERN: &str = "^[A-Za-z_][A-Za-z0-9._-]*[$]?$";

/// The caller of a request.
///
/// # Errors
/// A name that is none, or somebody who may not act as somebody else.
pub fn of(params: Params<'_>, config: &WebHdfsConfig) -> Result<Caller, Refusal> {
    let user = name(params, "user.name")?.unwrap_or(&config.anonymous_user);
    match name(params, "doas")? {
        None => Ok(Caller::new(user)),
        Some(other) if config.proxy_users.iter().any(|proxy| proxy == user) => {
            Ok(Caller::new(other))
        }
        Some(other) => Err(Refusal::Impersonation(format!(
            "User: {user} is not allowed to impersonate {other}"
        ))),
    }
}

fn name<'q>(params: Params<'q>, parameter: &str) -> Result<Option<&'q str>, Refusal> {
    let Some(name) = params.text(parameter) else {
        return Ok(None);
    };
    if is_name(name) {
        return Ok(Some(name));
    }
    let text = format!("Invalid value: \"{name}\" does not belong to the domain {PATTERN}");
    Err(Refusal::parameter(parameter, &text))
}

fn is_name(text: &str) -> bool {
    let bytes = text.strip_suffix('$').unwrap_or(text).as_bytes();
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let other = |byte: &u8| letter(byte) || byte.is_ascii_digit() || b".-".contains(byte);
    bytes.first().is_some_and(letter) && bytes.iter().all(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query::Query;

    fn caller(query: &str) -> Result<String, Refusal> {
        let config = WebHdfsConfig {
            proxy_users: vec!["hue".into()],
            ..WebHdfsConfig::default()
        };
        let query = Query::parse(Some(query));
        of(Params(&query), &config).map(|caller| caller.user.to_string())
    }

    #[test]
    fn callers() {
        for (query, want) in [
            ("", "dr.who"),
            ("user.name=alice", "alice"),
            ("User.Name=svc-1$", "svc-1$"),
            ("user.name=hue&doas=bob", "bob"),
            ("doas=&user.name=bob", "bob"),
        ] {
            assert_eq!(caller(query).unwrap(), want);
        }
        let refused = Refusal::Impersonation("User: bob is not allowed to impersonate al".into());
        assert_eq!(caller("user.name=bob&doas=al").unwrap_err(), refused);
        assert!(matches!(
            caller("user.name=9~!").unwrap_err(),
            Refusal::Illegal(_)
        ));
    }
}
