//! Names changed without content sent: folders made, moves, copies, tags, deletes.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use moongate_cache::RenameMode;
use moongate_filer::{Attributes, Entry, FilePath, Filer, FilerError, PutOptions, RenameOptions};
use moongate_haystack::store::now_ns;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::upload::{Wish, check_extended, extended, title_case};
use super::{Ask, empty};
use crate::files::{FileError, copy};
use crate::http::Response;
use crate::http::json::{error_json, json as answer};
use crate::policy::gatekeeper::Deed;
use crate::policy::own;
use crate::state::Gateway;

const TAG_PREFIX: &str = "Seaweed-";
const FOLDER_MODE: u32 = 0o771;

/// `POST /folder/` without a body.
pub async fn make_folder(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    let path = ask.target.path.clone();
    own::may(gateway, Deed::MakeDirs, path.as_str()).await?;
    let now_ns = now_ns();
    let attributes = Attributes {
        mode: FOLDER_MODE,
        mtime_ns: now_ns,
        crtime_ns: now_ns,
        extended: extended(ask.headers),
        ..Attributes::default()
    };
    let made = gateway
        .files
        .run(move |filer| filer.make_folder(&path, attributes, true, now_ns))
        .await;
    match made {
        Ok(_) => {
            let name = ask.target.path.name();
            let name = name.as_ref().map_or("/", |name| name.as_str());
            Ok(answer(StatusCode::CREATED, &json!({ "name": name }), false))
        }
        Err(FileError::Filer(FilerError::Exists(path))) => Ok(error_json(
            StatusCode::CONFLICT,
            &format!("dir {path} already exists"),
        )),
        Err(error) => Err(error),
    }
}

/// `mv.from`, `cp.from`, `tagging`.
pub async fn change(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    if let Some(from) = ask.query.get("mv.from") {
        if ask.query.is_true("across") {
            let text = "both are the gateway's own files: ask without across=true";
            return Ok(error_json(StatusCode::BAD_REQUEST, text));
        }
        return rename(gateway, ask, from).await;
    }
    if let Some(from) = ask.query.get("cp.from") {
        return copy_to(gateway, ask, from).await;
    }
    own::may(gateway, Deed::Write, ask.target.path.as_str()).await?;
    if *ask.method == Method::DELETE {
        untag(gateway, ask).await
    } else {
        tag(gateway, ask).await
    }
}

/// The path that a parameter names: decoded once already as a parameter, and once more where a client encoded the path by itself.
fn source(given: &str) -> Result<FilePath, FilerError> {
    match FilePath::parse(given) {
        Ok(path) => Ok(path),
        Err(error) => {
            let bytes: Vec<u8> = percent_decode_str(given).collect();
            FilePath::parse_bytes(&bytes).map_err(|_| error)
        }
    }
}

/// Where something from elsewhere goes: into a folder if the target is one, else to the target itself.
fn destination(filer: &Filer, target: &FilePath, from: &FilePath) -> Result<FilePath, FilerError> {
    let into = target.is_root()
        || target.is_folder_form()
        || match filer.find(target, now_ns()) {
            Ok(entry) => entry.is_folder(),
            Err(FilerError::NotFound(_)) => false,
            Err(error) => return Err(error),
        };
    match from.name() {
        Some(name) if into => target.join(&name),
        _ => Ok(target.clone()),
    }
}

async fn rename(gateway: &Arc<Gateway>, ask: Ask<'_>, from: &str) -> Result<Response, FileError> {
    let (from, target) = (source(from)?, ask.target.path.clone());
    let mode = if target.is_folder_form() {
        RenameMode::Into
    } else {
        RenameMode::Replace
    };
    own::may(gateway, Deed::Rename(target.as_str(), mode), from.as_str()).await?;
    gateway
        .files
        .change(move |filer| {
            let to = if target.is_folder_form() {
                destination(filer, &target, &from)?
            } else {
                target
            };
            let options = RenameOptions {
                may_replace: true,
                make_parents: true,
            };
            filer
                .rename(&from, &to, options, now_ns())
                .map_err(|error| no_source(error, &from))
        })
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// SeaweedFS answers 400 for a source that is not there, so that it is not taken for a missing target.
fn no_source(error: FilerError, from: &FilePath) -> FileError {
    match error {
        FilerError::NotFound(path) if path == *from => FileError::BadRequest(format!(
            "failed to get src entry '{from}', err: filer: no entry is found in filer store"
        )),
        error => error.into(),
    }
}

async fn copy_to(gateway: &Arc<Gateway>, ask: Ask<'_>, from: &str) -> Result<Response, FileError> {
    let (from, target) = (source(from)?, ask.target.path.clone());
    let wish = Wish::of(gateway, &ask)?;
    let overwrite = ask.query.is_true("overwrite");
    let found = {
        let from = from.clone();
        let found = gateway.files.run(move |filer| {
            let entry = filer
                .find(&from, now_ns())
                .map_err(|error| no_source(error, &from))?;
            Ok::<_, FileError>((destination(filer, &target, &from)?, entry))
        });
        found.await?
    };
    let (to, entry) = found;
    own::may(gateway, Deed::ReadTree, from.as_str()).await?;
    own::may(gateway, Deed::Create, to.as_str()).await?;
    if to == from || to.is_inside(&from) {
        return Err(FileError::BadRequest(format!(
            "{from} cannot be copied to {to}, which is in it or the same"
        )));
    }
    if entry.is_folder() {
        copy_folder(gateway, &wish, &from, &to, overwrite).await?;
    } else {
        copy_file(gateway, &wish, entry, to, overwrite).await?;
    }
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(
        "x-seaweedfs-copy-committed",
        HeaderValue::from_static("true"),
    );
    Ok(response)
}

async fn copy_file(
    gateway: &Arc<Gateway>,
    wish: &Wish,
    entry: Entry,
    to: FilePath,
    may_replace: bool,
) -> Result<(), FileError> {
    let copied = copy::content(gateway, &wish.terms, &entry).await?;
    let copy = Entry::file(entry.attributes, copied.content());
    let options = PutOptions {
        may_replace,
        ..PutOptions::default()
    };
    let shown = to.clone();
    let put = gateway
        .files
        .change(move |filer| {
            let named = filer.put(&to, copy, options, now_ns());
            let named = named.map_err(FileError::from);
            copied.after(&named);
            named
        })
        .await;
    match put {
        Ok(_) => Ok(()),
        Err(FileError::Filer(FilerError::Exists(_))) => Err(FileError::Conflict(format!(
            "destination file {shown} already exists"
        ))),
        Err(error) => Err(error),
    }
}

/// Copies a folder with its subtree, file by file. It is not atomic: what was copied before a failure stays.
async fn copy_folder(
    gateway: &Arc<Gateway>,
    wish: &Wish,
    from: &FilePath,
    to: &FilePath,
    overwrite: bool,
) -> Result<(), FileError> {
    let (sender, mut entries) = tokio::sync::mpsc::channel(64);
    let (filer, folder) = (Arc::clone(gateway.files.filer()), from.clone());
    tokio::task::spawn_blocking(move || {
        let walk = match filer.walk(&folder, now_ns()) {
            Ok(walk) => walk,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        };
        for item in walk {
            if sender.blocking_send(item).is_err() {
                return;
            }
        }
    });
    make(gateway, to.clone()).await?;
    while let Some(item) = entries.recv().await {
        let (relative, entry) = item?;
        let path = FilePath::parse(&format!("{}/{relative}", to.as_str().trim_end_matches('/')))?;
        if entry.is_folder() {
            make(gateway, path).await?;
        } else {
            copy_file(gateway, wish, entry, path, overwrite).await?;
        }
    }
    Ok(())
}

/// Makes a folder unless it is there.
async fn make(gateway: &Arc<Gateway>, path: FilePath) -> Result<(), FileError> {
    let now_ns = now_ns();
    let attributes = Attributes {
        mode: FOLDER_MODE,
        mtime_ns: now_ns,
        crtime_ns: now_ns,
        ..Attributes::default()
    };
    match gateway
        .files
        .run(move |filer| filer.make_folder(&path, attributes, true, now_ns))
        .await
    {
        Ok(_) => Ok(()),
        Err(FileError::Filer(FilerError::Exists(_) | FilerError::Root)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn tag(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    let mut tags = extended(ask.headers);
    tags.retain(|name, _| name.starts_with(TAG_PREFIX));
    let path = ask.target.path.clone();
    let tagged = gateway.files.change(move |filer| {
        filer.update(&path, now_ns(), |entry| {
            entry.attributes.extended.append(&mut tags);
            check_extended(&entry.attributes.extended)
        })
    });
    tagged.await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Takes tags away: those named, else all.
async fn untag(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    let named: Vec<String> = ask
        .query
        .get_set("tagging")
        .map(|names| {
            names
                .split(',')
                .map(|name| format!("{TAG_PREFIX}{}", title_case(name.trim())))
                .collect()
        })
        .unwrap_or_default();
    let path = ask.target.path.clone();
    let removed = gateway.files.change(move |filer| {
        let mut removed = false;
        filer.update(&path, now_ns(), |entry| {
            entry.attributes.extended.retain(|name, _| {
                let goes =
                    name.starts_with(TAG_PREFIX) && (named.is_empty() || named.contains(name));
                removed |= goes;
                !goes
            });
            Ok::<_, FilerError>(())
        })?;
        Ok::<_, FilerError>(removed)
    });
    let status = if removed.await? {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok(empty(status))
}

/// DELETE of a file, or of a folder: with what is in it only if the request says so.
pub async fn delete(gateway: &Arc<Gateway>, ask: Ask<'_>) -> Result<Response, FileError> {
    let recursive = ask.query.is_true("recursive");
    let path = ask.target.path.clone();
    gateway
        .files
        .change(move |filer| filer.delete(&path, recursive, now_ns()))
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
