//! Deletes, moves and copies where a mount is on at least one side.

use std::sync::Arc;

use http::{Method, StatusCode};
use moongate_cache::{Backend as _, BackendError, ErrorKind, Freshness, RenameMode};

use super::across::Across;
use super::copy::Copying;
use super::error::MountedError;
use super::{Ask, FOLDER_PERMISSION, empty};
use crate::http::Response;
use crate::namespace::path as paths;

/// DELETE of a file, or of a folder: with what is in it only if the request says so.
pub async fn delete(ask: &Ask<'_>) -> Result<Response, MountedError> {
    let recursive = ask.query.is_true("recursive");
    let deleted = ask
        .namespace()
        .delete(&ask.caller, &ask.path, recursive)
        .await?;
    match deleted {
        true => Ok(empty(StatusCode::NO_CONTENT)),
        false => Err(BackendError::not_found(&ask.path).into()),
    }
}

/// `mv.from` and `cp.from`.
pub async fn transfer(ask: &Ask<'_>) -> Result<Response, MountedError> {
    if ask.parts.method == Method::DELETE {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    if let Some(from) = ask.query.get("mv.from") {
        let from = paths::normal(from)?;
        let to = target(ask, &from).await?;
        make_way(ask, &to).await?;
        if ask.query.is_true("across") {
            let across = Across {
                gateway: Arc::clone(ask.gateway),
                caller: ask.caller.clone(),
                overwrite: ask.query.is_true("overwrite"),
            };
            across.run(from, to).await?;
            return Ok(empty(StatusCode::NO_CONTENT));
        }
        let moved = ask
            .namespace()
            .rename(&ask.caller, &from, &to, RenameMode::Replace);
        moved.await?;
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let from = ask.query.get("cp.from").unwrap_or_default();
    let from = paths::normal(from)?;
    let to = target(ask, &from).await?;
    let copying = Copying {
        gateway: Arc::clone(ask.gateway),
        caller: ask.caller.clone(),
        freshness: ask.freshness(),
        overwrite: ask.query.is_true("overwrite"),
    };
    copying.run(from, to).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Where something goes: into a folder if the target is one, else to the target itself.
async fn target(ask: &Ask<'_>, from: &str) -> Result<String, MountedError> {
    let found = ask
        .namespace()
        .status(&ask.caller, &ask.path, Freshness::Now)
        .await;
    let is_folder = match found {
        Ok(status) => status.is_dir(),
        Err(error) if error.kind == ErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    if ask.as_folder || (is_folder && ask.query.get("cp.from").is_some()) {
        return Ok(paths::join(&ask.path, paths::name(from)));
    }
    Ok(ask.path.clone())
}

async fn make_way(ask: &Ask<'_>, to: &str) -> Result<(), MountedError> {
    let made = ask
        .namespace()
        .make_dirs(&ask.caller, paths::parent(to), FOLDER_PERMISSION);
    Ok(made.await?)
}
