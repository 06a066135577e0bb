//! What a request of the image port touches: collections.

use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Method};
use moongate_haystack::id::VolumeId;

use super::Fenced;
use crate::http::query::Query;
use crate::metrics::Operation;
use crate::protocol::exchange::declared_len;
use crate::protocol::image::path::ObjectPath;
use crate::state::Gateway;

/// Pages that show all collections, or change what they share.
const OF_ALL: [&str; 8] = [
    "/dir/status",
    "/vol/status",
    "/vol/vacuum",
    "/status",
    "/cluster/status",
    "/ui/index.html",
    "/",
    "/vol/grow",
];

/// Whether a caller of `tenant` may make this request now. Pages' parameters may come in their body: [`page`] looks at these.
///
/// # Errors
/// [`Fenced`].
pub fn admit(
    gateway: &Gateway,
    tenant: Option<&str>,
    operation: Operation,
    parts: &Parts,
    query: &Query<'_>,
) -> Result<(), Fenced> {
    let tenants = &gateway.tenants;
    if tenants.is_empty() {
        return Ok(());
    }
    tenants.admit(tenant, Instant::now())?;
    let path = parts.uri.path();
    match operation {
        Operation::Read | Operation::Delete => object(gateway, tenant, path),
        Operation::Write if path == "/submit" => stored(gateway, tenant, query, &parts.headers),
        Operation::Write => {
            object(gateway, tenant, path)?;
            room(gateway, tenant, &parts.headers)
        }
        Operation::BatchPut => stored(gateway, tenant, query, &parts.headers),
        _ => Ok(()),
    }
}

/// Whether a caller of `tenant` may see a page, by all its parameters.
///
/// # Errors
/// [`Fenced`].
pub fn page(
    gateway: &Gateway,
    tenant: Option<&str>,
    path: &str,
    query: &Query<'_>,
) -> Result<(), Fenced> {
    let tenants = &gateway.tenants;
    if tenants.is_empty() {
        return Ok(());
    }
    match path {
        "/dir/assign" => {
            collection(gateway, tenant, query)?;
            room_for(gateway, tenant, 0)
        }
        "/col/delete" | "/collection/info" => collection(gateway, tenant, query),
        "/dir/lookup" => {
            let wanted = query
                .get_set("volumeId")
                .or_else(|| query.get_set("fileId"));
            let volume = wanted
                .unwrap_or_default()
                .split(',')
                .next()
                .unwrap_or_default();
            of_volume(gateway, tenant, volume.parse().unwrap_or(0))
        }
        path if OF_ALL.contains(&path) && tenant.is_some() => Ok(tenants.may_touch(tenant, "/")?),
        _ => Ok(()),
    }
}

/// Whether a caller of `tenant` may touch images of a volume.
///
/// # Errors
/// [`Fenced::NotYours`].
pub fn of_volume(gateway: &Gateway, tenant: Option<&str>, volume: u32) -> Result<(), Fenced> {
    // Of a volume that is not there the answer is that.
    let Some(volume) = gateway.store.volume(VolumeId(volume)) else {
        return Ok(());
    };
    Ok(gateway.tenants.may_use(tenant, &volume.files.collection)?)
}

fn object(gateway: &Gateway, tenant: Option<&str>, path: &str) -> Result<(), Fenced> {
    match ObjectPath::parse(path) {
        Ok(object) => of_volume(gateway, tenant, object.fid.volume.0),
        Err(_) => Ok(()),
    }
}

fn collection(gateway: &Gateway, tenant: Option<&str>, query: &Query<'_>) -> Result<(), Fenced> {
    let collection = query.get("collection").unwrap_or_default();
    Ok(gateway.tenants.may_use(tenant, collection)?)
}

fn stored(
    gateway: &Gateway,
    tenant: Option<&str>,
    query: &Query<'_>,
    headers: &HeaderMap,
) -> Result<(), Fenced> {
    collection(gateway, tenant, query)?;
    room(gateway, tenant, headers)
}

fn room(gateway: &Gateway, tenant: Option<&str>, headers: &HeaderMap) -> Result<(), Fenced> {
    room_for(gateway, tenant, declared_len(headers).unwrap_or(0))?;
    Ok(())
}

/// Whether there is room for one more image of so many bytes.
fn room_for(gateway: &Gateway, tenant: Option<&str>, bytes: u64) -> Result<(), Fenced> {
    let tenant = tenant.and_then(|name| gateway.tenants.named(name));
    match tenant {
        Some(tenant) => Ok(tenant.make_room(bytes, u64::from(bytes > 0))?),
        None => Ok(()),
    }
}

/// Whether a method changes something.
pub const fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
