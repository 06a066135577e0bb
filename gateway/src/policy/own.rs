//! Who may do what to the gateway's own files and images, which do not pass the namespace.
//!
//! The caller of a request is known to all that is done for it ([`as_caller`]). Where something is governed and nobody is known, it is
//! refused: a new way in that forgets to say who calls is shut, not open.

use std::sync::Arc;

use moongate_auth::policy::FsAction;
use moongate_cache::{BackendError, Caller, ErrorKind};
use moongate_haystack::id::FileId;

use super::gatekeeper::Deed;
use crate::namespace::path as paths;
use crate::protocol::batch::list::{Wanted, What};
use crate::state::Gateway;

tokio::task_local! {
    static CALLER: Caller;
}

/// The collection of images without one, as policies call it: `/collections/default`.
const DEFAULT_COLLECTION: &str = "default";

/// Does something in a caller's name.
pub async fn as_caller<T>(caller: Caller, work: impl Future<Output = T>) -> T {
    CALLER.scope(caller, work).await
}

/// Who calls, if that was said.
pub fn caller() -> Option<Caller> {
    CALLER.try_with(Clone::clone).ok()
}

/// Whether the gateway's own files and images are governed.
pub fn is_governed(gateway: &Gateway) -> bool {
    gateway.namespace.gatekeeper().governs_own()
}

/// Whether the caller may do this to a path of the gateway's own.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`].
pub async fn may(gateway: &Gateway, deed: Deed<'_>, path: &str) -> Result<(), BackendError> {
    if !gateway.namespace.is_governed(path) {
        return Ok(());
    }
    may_as(gateway, caller().as_ref(), deed, path).await
}

/// The same for a caller who was asked before: what is done in another task knows none.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`].
pub async fn may_as(
    gateway: &Gateway,
    caller: Option<&Caller>,
    deed: Deed<'_>,
    path: &str,
) -> Result<(), BackendError> {
    let path = paths::normal(path)?;
    if !gateway.namespace.is_governed(&path) {
        return Ok(());
    }
    let caller = caller.ok_or_else(nobody)?;
    gateway.namespace.may(caller, deed, &path).await?;
    Ok(())
}

fn nobody() -> BackendError {
    BackendError::new(
        ErrorKind::PermissionDenied,
        "Permission denied: nobody is known to ask for this",
    )
}

/// Whether the caller may read or write images of a collection.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`].
pub fn may_collection(gateway: &Gateway, name: &str, action: FsAction) -> Result<(), BackendError> {
    if !is_governed(gateway) {
        return Ok(());
    }
    let caller = caller().ok_or_else(nobody)?;
    let path = name_of(name);
    gateway
        .namespace
        .gatekeeper()
        .check_name(&caller, &path, action)
}

/// What a collection is called in policies.
pub fn name_of(collection: &str) -> String {
    let name = match collection {
        "" => DEFAULT_COLLECTION,
        name => name,
    };
    format!("/collections/{name}")
}

/// The same for the collection that an image is in. One that is in none is not found by whoever may look.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`].
pub fn may_image(gateway: &Gateway, fid: &FileId, action: FsAction) -> Result<(), BackendError> {
    if !is_governed(gateway) {
        return Ok(());
    }
    let volumes = gateway.store.volumes();
    match volumes.get(&fid.volume) {
        Some(mounted) => may_collection(gateway, &mounted.volume.files.collection, action),
        None => Ok(()),
    }
}

/// Whether the caller may do this to all that a list names.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`] for the first that they may not.
pub async fn may_all(
    gateway: &Arc<Gateway>,
    wanted: &[Wanted],
    deletes: bool,
) -> Result<(), BackendError> {
    let (deed, action) = if deletes {
        (Deed::Delete, FsAction::WRITE)
    } else {
        (Deed::Read, FsAction::READ)
    };
    for one in wanted {
        match &one.what {
            What::Fid(fid) => may_image(gateway, fid, action)?,
            What::Path(path) => may(gateway, deed, path.as_str()).await?,
        }
    }
    Ok(())
}
