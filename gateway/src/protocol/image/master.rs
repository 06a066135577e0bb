//! The master's part of the API: assigning, lookup, growth, vacuum, collections.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::placement::ReplicaPlacement;
use moongate_haystack::sequence::COUNT_MAX;
use moongate_haystack::store::layout::{AssignError, Assigned, Layout, Wish};
use moongate_haystack::ttl::Ttl;
use moongate_haystack::volume::files::collection_is_valid;
use serde::Serialize;
use serde_json::json;

use super::error::ImageError;
use super::status;
use crate::http::json::json as answer;
use crate::http::query::Query;
use crate::http::{Body, Response};
use crate::state::{Gateway, Urls};

/// Name of the one kind of disk that there is.
pub const DISK_TYPE: &str = "hdd";

/// What a client wishes of its keys.
pub fn wish(query: &Query<'_>) -> Result<Wish, ImageError> {
    let collection = query.get("collection").unwrap_or_default().to_owned();
    if !collection_is_valid(&collection) {
        return Err(ImageError::NotAcceptable(format!(
            "collection {collection:?} cannot be a name: use letters, digits, - _ . and at most 128 bytes"
        )));
    }
    let not_acceptable = |e: &dyn std::fmt::Display| ImageError::NotAcceptable(e.to_string());
    let placement = ReplicaPlacement::parse(query.get("replication").unwrap_or_default())
        .map_err(|e| not_acceptable(&e))?;
    let ttl = Ttl::parse(query.get("ttl").unwrap_or_default()).map_err(|e| not_acceptable(&e))?;
    if let Some(disk) = query.get_set("disk").filter(|disk| *disk != DISK_TYPE) {
        return Err(ImageError::NotAcceptable(format!(
            "No writable volumes and no free volumes left for disk type {disk:?}: here is only {DISK_TYPE}"
        )));
    }
    let count = query.get("count").and_then(|n| n.parse().ok());
    let count = count.filter(|n| *n > 0).unwrap_or(1);
    if count > COUNT_MAX {
        return Err(ImageError::NotAcceptable(format!(
            "count {count} is too much: one call hands out at most {COUNT_MAX} ids"
        )));
    }
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    Ok(Wish {
        layout: Layout {
            collection,
            placement,
            ttl,
        },
        data_center: text("dataCenter"),
        rack: text("rack"),
        count,
    })
}

/// Hands out keys, on this thread if memory is enough.
pub async fn assign(gateway: &Arc<Gateway>, wish: Wish) -> Result<Assigned, ImageError> {
    if let Some(assigned) = gateway.store.assign_now(&wish)? {
        return Ok(assigned);
    }
    let store = Arc::clone(&gateway.store);
    let assigned = tokio::task::spawn_blocking(move || store.assign(&wish)).await;
    Ok(assigned.map_err(|e| HaystackError::Storage(e.to_string().into()))??)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Assignment<'a> {
    fid: String,
    url: &'a str,
    public_url: &'a str,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<&'a str>,
}

/// `/dir/assign`
pub async fn dir_assign(
    gateway: &Arc<Gateway>,
    urls: Urls<'_>,
    query: &Query<'_>,
) -> Result<Response, ImageError> {
    if let Some(node) = query.get_set("dataNode").filter(|node| *node != urls.url) {
        return Err(AssignError::UnknownRack(format!("{node} (dataNode)")).into());
    }
    let assigned = assign(gateway, wish(query)?).await?;
    let token = gateway.fid_tokens.make(&assigned.fid, false);
    let assignment = Assignment {
        fid: assigned.fid.to_string(),
        url: urls.url,
        public_url: urls.public_url,
        count: assigned.count,
        auth: token.as_deref(),
    };
    let pretty = query.get_set("pretty").is_some();
    let mut response = answer(StatusCode::OK, &assignment, pretty);
    hand_out(token.as_deref(), &mut response);
    Ok(response)
}

/// A token goes where SeaweedFS's clients look for it.
fn hand_out(token: Option<&str>, response: &mut Response) {
    let value = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    if let Some(value) = value {
        response.headers_mut().insert(header::AUTHORIZATION, value);
    }
}

/// `/dir/lookup`
pub fn dir_lookup(gateway: &Gateway, urls: Urls<'_>, query: &Query<'_>) -> Response {
    let wanted = query
        .get_set("volumeId")
        .or_else(|| query.get_set("fileId"))
        .unwrap_or_default();
    let volume = wanted.split(',').next().unwrap_or_default();
    let pretty = query.get_set("pretty").is_some();
    let missing = |error: String| {
        let mut body = json!({ "error": error });
        if !wanted.is_empty() {
            body["volumeOrFileId"] = wanted.into();
        }
        answer(StatusCode::NOT_FOUND, &body, pretty)
    };
    let Ok(id) = FileId::parse_volume(volume) else {
        return missing(format!("Unknown volume id {volume}"));
    };
    let collection = query.get_set("collection");
    let found = gateway
        .store
        .volume(id)
        .filter(|v| collection.is_none_or(|c| c == v.files.collection));
    if found.is_none() {
        return missing(format!("volume id {volume} not found"));
    }
    let location = json!({ "url": urls.url, "publicUrl": urls.public_url, "dataCenter": gateway.store.config.data_center });
    let mut response = answer(
        StatusCode::OK,
        &json!({ "volumeOrFileId": wanted, "locations": [location] }),
        pretty,
    );
    let fid: Option<FileId> = query.get_set("fileId").and_then(|fid| fid.parse().ok());
    let to_read = query.get_set("read") == Some("yes");
    let token = fid.and_then(|fid| gateway.fid_tokens.make(&fid, to_read));
    hand_out(token.as_deref(), &mut response);
    response
}

/// `/vol/grow`
pub async fn vol_grow(gateway: &Arc<Gateway>, query: &Query<'_>) -> Result<Response, ImageError> {
    let text = query.get("count").unwrap_or_default();
    let count: u64 = text
        .parse()
        .map_err(|_| ImageError::NotAcceptable(format!("can not parse parameter count {text}")))?;
    let wish = Wish {
        count,
        ..wish(query)?
    };
    let store = Arc::clone(&gateway.store);
    let grown = tokio::task::spawn_blocking(move || store.grow(&wish)).await;
    let grown = grown.map_err(|e| HaystackError::Storage(e.to_string().into()))?;
    let count = grown.map_err(|error| match error {
        AssignError::UnknownDataCenter(_)
        | AssignError::UnknownRack(_)
        | AssignError::TooFewServers { .. } => {
            ImageError::NotAcceptable("Not enough data nodes found!".to_owned())
        }
        AssignError::NoRoom
        | AssignError::DisksFull
        | AssignError::TooMany { .. }
        | AssignError::Failed(_) => error.into(),
    })?;
    Ok(answer(
        StatusCode::OK,
        &json!({ "count": count }),
        query.get_set("pretty").is_some(),
    ))
}

/// `/vol/vacuum`: starts it and answers at once; its progress is in the answer and in `/vol/status`.
pub fn vol_vacuum(gateway: &Gateway, query: &Query<'_>) -> Result<Response, ImageError> {
    let ratio = match query.get_set("garbageThreshold") {
        None => gateway.store.config.vacuum_garbage_ratio,
        Some(text) => text
            .parse()
            .ok()
            .filter(|ratio: &f64| (0.0..=1.0).contains(ratio))
            .ok_or_else(|| {
                ImageError::NotAcceptable(format!(
                    "garbageThreshold {text} is not a valid float number"
                ))
            })?,
    };
    gateway.store.request_vacuum(ratio);
    Ok(answer(
        StatusCode::OK,
        &status::dir_status(gateway),
        query.get_set("pretty").is_some(),
    ))
}

/// `/col/delete`
pub async fn col_delete(gateway: &Arc<Gateway>, query: &Query<'_>) -> Result<Response, ImageError> {
    let name = query.get("collection").unwrap_or_default().to_owned();
    let store = Arc::clone(&gateway.store);
    let wanted = name.clone();
    let deleted = tokio::task::spawn_blocking(move || store.delete_collection(&wanted)).await;
    if !deleted.map_err(|e| HaystackError::Storage(e.to_string().into()))?? {
        return Err(ImageError::BadRequest(format!(
            "collection {name} does not exist"
        )));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// `/collection/info`
pub fn collection_info(gateway: &Gateway, query: &Query<'_>) -> Result<Response, ImageError> {
    let name = query
        .get_set("collection")
        .ok_or_else(|| ImageError::BadRequest("collection is required".into()))?;
    let volumes = gateway.store.volumes();
    let of_collection: Vec<_> = volumes
        .values()
        .filter(|m| m.volume.files.collection == name)
        .collect();
    if of_collection.is_empty() {
        return Err(ImageError::BadRequest(format!(
            "collection {name} does not exist"
        )));
    }
    let sum = |figure: &dyn Fn(&moongate_haystack::store::Mounted) -> u64| {
        of_collection.iter().map(|m| figure(m)).sum::<u64>()
    };
    let mut info = json!({
        "Collection": name,
        "FileCount": sum(&|m| m.volume.counters().puts.saturating_sub(m.volume.counters().deletes)),
        "TotalSize": sum(&|m| m.volume.dat_bytes()),
        "UsedSize": sum(&|m| m.volume.dat_bytes().saturating_sub(m.volume.counters().deleted_bytes)),
        "Version": status::version(),
    });
    let pretty = query.get_set("pretty").is_some();
    if query.is_true("detail") {
        return Ok(answer(StatusCode::OK, &json!([info]), pretty));
    }
    info["VolumeCount"] = of_collection.len().into();
    Ok(answer(StatusCode::OK, &info, pretty))
}

/// `Retry-After` and the like are no business of these; answers of the master have no `Server` header of their own.
pub fn cluster_status(gateway: &Gateway, urls: Urls<'_>, query: &Query<'_>) -> Response {
    let status =
        json!({ "IsLeader": true, "Leader": urls.url, "MaxVolumeId": gateway.store.volume_max() });
    answer(StatusCode::OK, &status, query.get_set("pretty").is_some())
}

/// An empty 200.
pub fn healthy() -> Response {
    Response::new(Body::empty())
}
