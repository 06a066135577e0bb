//! PUT and POST of content to a mounted path, and folders made there.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use hyper::body::Incoming;
use moongate_cache::{
    Backend as _, BackendError, Caller, CreateOptions, ErrorKind, Freshness, Status,
};
use serde_json::json;

use super::super::upload::{self, Form, Said, created};
use super::error::MountedError;
use super::{Ask, FOLDER_PERMISSION, shape};
use crate::http::conditional::{self, Outcome};
use crate::http::json::json as answer;
use crate::http::{Response, disposition, multipart};
use crate::namespace::path as paths;
use crate::protocol::exchange::declared_len;
use crate::protocol::webhdfs::carry;
use crate::state::Gateway;

/// Answers PUT and POST.
pub async fn put(ask: &Ask<'_>, body: Incoming) -> Result<Response, MountedError> {
    let content_type = ask
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if multipart::boundary(content_type).is_ok() {
        return form(ask, body).await;
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
    Ok(created(vec![said(&ask.path, &stored)]))
}

fn said(path: &str, stored: &Status) -> Said {
    let tag = shape::tag(stored);
    Said::of(paths::name(path), stored.len, tag.trim_matches('"'))
}

/// Every file of a form; those before one that fails stay, and are named in the error.
async fn form(ask: &Ask<'_>, body: Incoming) -> Result<Response, MountedError> {
    let form = Form::read(ask.gateway, ask.headers(), body).await?;
    let into = ask.as_folder || form.files.len() > 1 || is_folder(ask).await?;
    let mut all = Vec::with_capacity(form.files.len());
    for file in &form.files {
        let name = file.file_name.as_deref().and_then(disposition::strip_path);
        let path = match (name, into) {
            (Some(name), true) => paths::normal(&paths::join(&ask.path, &name))?,
            (None, true) => {
                return Err(MountedError::BadRequest(upload::NAMELESS.into()));
            }
            (_, false) => ask.path.clone(),
        };
        let stored = store(ask.gateway, &ask.caller, &path, file.data.clone()).await?;
        all.push(said(&path, &stored));
    }
    Ok(created(all))
}

async fn is_folder(ask: &Ask<'_>) -> Result<bool, MountedError> {
    let found = ask
        .namespace()
        .status(&ask.caller, &ask.path, Freshness::Now);
    match found.await {
        Ok(status) => Ok(status.is_dir()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Stores a file whole, over one that is there; what the store says of it then.
///
/// # Errors
/// Those of the store.
pub async fn store(
    gateway: &Gateway,
    caller: &Caller,
    path: &str,
    bytes: Bytes,
) -> Result<Status, BackendError> {
    let options = CreateOptions {
        overwrite: true,
        ..CreateOptions::default()
    };
    let namespace = &gateway.namespace;
    let mut writer = namespace.create(caller, path, &options).await?;
    if let Err(error) = writer.write(bytes).await {
        writer.abort().await;
        return Err(error);
    }
    writer.finish().await?;
    namespace.status(caller, path, Freshness::Now).await
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
