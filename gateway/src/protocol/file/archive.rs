//! `GET /folder/?archive=tar|zip|multipart`: a folder with its subtree in one answer.

use std::sync::Arc;

use moongate_cache::{BackendError, Caller};
use moongate_filer::{Filer, FilerError};
use moongate_haystack::store::now_ns;

use super::{Ask, mounts_in};
use crate::archive::Format;
use crate::files::FileError;
use crate::http::Response;
use crate::http::intake::IntakeError;
use crate::namespace::path as paths;
use crate::policy::gatekeeper::Deed;
use crate::protocol::batch::export::{Item, Named, Source};
use crate::protocol::batch::gather::{self, Order};
use crate::state::Gateway;

/// What `archive=` says.
///
/// # Errors
/// It says another word: which would be right.
pub fn format(word: &str) -> Result<Format, String> {
    let format = Format::by_word(word);
    format.ok_or_else(|| format!("archive={word:?} is none of tar, zip, multipart"))
}

/// Sends a folder of the namespace with its subtree, in whichever stores that is.
///
/// # Errors
/// Too much is in flight.
pub async fn tree(
    gateway: &Arc<Gateway>,
    format: Format,
    path: &str,
    caller: Caller,
) -> Result<Response, IntakeError> {
    let name = Some(paths::name(path)).filter(|name| !name.is_empty());
    let folder = Named {
        path: path.to_owned(),
        caller,
    };
    gather::send_tree(gateway, format, name.unwrap_or("files"), folder).await
}

/// Whether a caller may read all of the mounts below a folder: asked of all of them before anything is sent.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`](moongate_cache::ErrorKind) for the first that they may not; what a store says.
pub async fn may_read_mounts(
    gateway: &Gateway,
    caller: &Caller,
    folder: &str,
) -> Result<(), BackendError> {
    let namespace = &gateway.namespace;
    for mount in namespace.table().below(folder) {
        drop(namespace.may(caller, Deed::ReadTree, mount.path()).await?);
    }
    Ok(())
}

/// Sends a folder of the gateway's own with its subtree.
pub async fn folder(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    format: &str,
) -> Result<Response, FileError> {
    let format = self::format(format).map_err(FileError::BadRequest)?;
    let order = Order::of(ask.query)?;
    let folder = ask.target.path.clone();
    if mounts_in::are_below(&gateway.namespace, folder.as_str()) {
        let caller = ask.caller.clone();
        may_read_mounts(gateway, &caller, folder.as_str()).await?;
        return Ok(tree(gateway, format, folder.as_str(), caller).await?);
    }
    let name = folder
        .name()
        .map_or_else(|| "files".to_owned(), |name| name.to_string());
    let source =
        move |filer: &Filer, send: &mut dyn FnMut(Item) -> bool| -> Result<(), FilerError> {
            for item in filer.walk(&folder, now_ns())? {
                let (name, entry) = item?;
                if entry.is_folder() {
                    continue;
                }
                let item = Item {
                    name: Some(name),
                    source: Source::File(Box::new(entry)),
                };
                if !send(item) {
                    break;
                }
            }
            Ok(())
        };
    Ok(gather::send(gateway, format, &name, order, source).await?)
}
