//! PUT and POST of content to a mounted path, and folders made there.

use http::{Method, StatusCode, header};
use hyper::body::Incoming;
use moongate_cache::{Backend as _, CreateOptions, ErrorKind, Freshness, Status};
use serde_json::json;

use super::error::MountedError;
use super::{Ask, shape};
use crate::http::conditional::{self, Outcome};
use crate::http::json::json as answer;
use crate::http::{Response, multipart};
use crate::namespace::path as paths;
use crate::protocol::exchange::declared_len;
use crate::protocol::webhdfs::carry;

const FOLDER_PERMISSION: u16 = 0o755;

/// Answers PUT and POST.
pub async fn put(ask: &Ask<'_>, body: Incoming) -> Result<Response, MountedError> {
    let content_type = ask
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if multipart::boundary(content_type).is_ok() {
        return Err(MountedError::NotHere(
            "a mount takes the bytes themselves, no forms: curl -T file URL".into(),
        ));
    }
    let nothing = declared_len(ask.headers()).is_none_or(|len| len == 0)
        && !ask.headers().contains_key(header::TRANSFER_ENCODING);
    if ask.parts.method == Method::POST && nothing && content_type.is_none() {
        return make_folder(ask).await;
    }
    if ask.as_folder {
        return Err(MountedError::BadRequest(
            "name the file: PUT /folder/file".into(),
        ));
    }
    let may_replace = check(ask).await?;
    let options = CreateOptions {
        overwrite: may_replace,
        ..CreateOptions::default()
    };
    let begun = ask
        .namespace()
        .create(&ask.caller, &ask.path, &options)
        .await;
    let writer = begun.map_err(|error| match error.kind {
        ErrorKind::AlreadyExists if !may_replace => MountedError::PreconditionFailed,
        _ => error.into(),
    })?;
    carry(ask.gateway, body, writer).await?;
    let stored = ask
        .namespace()
        .status(&ask.caller, &ask.path, Freshness::Now)
        .await?;
    let said = json!({ "name": paths::name(&ask.path), "size": stored.len, "eTag": shape::tag(&stored).trim_matches('"') });
    Ok(answer(StatusCode::CREATED, &said, false))
}

async fn make_folder(ask: &Ask<'_>) -> Result<Response, MountedError> {
    match ask
        .namespace()
        .status(&ask.caller, &ask.path, Freshness::Now)
        .await
    {
        Ok(status) => {
            let kind = if status.is_dir() { "dir" } else { "file" };
            let text = format!("{kind} {} already exists", ask.path);
            return Ok(crate::http::json::error_json(StatusCode::CONFLICT, &text));
        }
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    ask.namespace()
        .make_dirs(&ask.caller, &ask.path, FOLDER_PERMISSION)
        .await?;
    let said = json!({ "name": paths::name(&ask.path) });
    Ok(answer(StatusCode::CREATED, &said, false))
}

/// Evaluates the request's conditions; whether what is there may be replaced. Between this and the write somebody else may come: no
/// store here can do both at once but for `If-None-Match: *`.
async fn check(ask: &Ask<'_>) -> Result<bool, MountedError> {
    let conditions = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    if !conditions
        .iter()
        .any(|name| ask.headers().contains_key(name))
    {
        return Ok(true);
    }
    let present: Option<Status> = match ask
        .namespace()
        .status(&ask.caller, &ask.path, Freshness::Now)
        .await
    {
        Ok(status) => Some(status),
        Err(error) if error.kind == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let tag = present.as_ref().map(shape::tag);
    let validators = present
        .as_ref()
        .zip(tag.as_deref())
        .map(|(status, tag)| shape::validators(status, tag));
    match conditional::evaluate(&ask.parts.method, ask.headers(), validators.as_ref()) {
        Outcome::Proceed => Ok(present.is_some()),
        Outcome::NotModified | Outcome::PreconditionFailed => Err(MountedError::PreconditionFailed),
    }
}
