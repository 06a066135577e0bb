//! PUT, POST and DELETE of objects, and `/submit`.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::needle::Needle;
use moongate_haystack::store::layout::{Layout, Wish};
use moongate_haystack::volume::writer::{Done, Precondition};
use serde::Serialize;

use super::entity_tag::EntityTag;
use super::error::ImageError;
use super::load::load;
use super::manifest::Manifest;
use super::path::ObjectPath;
use super::prepare::{Stored, Terms, Upload, prepare};
use super::uploads::{collect, uploads};
use crate::http::conditional::{self, Outcome, Validators};
use crate::http::json::json;
use crate::http::query::Query;
use crate::http::{Body, Response};
use crate::state::{Gateway, Urls};

/// A request with a body that is to be stored.
pub struct WriteRequest<'a> {
    /// PUT or POST.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its parameters.
    pub query: &'a Query<'a>,
}

/// Stores the body under the fid of an object URL; further files of a form get fids of their own.
pub async fn put(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    object: &ObjectPath<'_>,
    body: Incoming,
) -> Result<Response, ImageError> {
    if gateway.store.volume(object.fid.volume).is_none() {
        return Err(HaystackError::VolumeNotFound(object.fid.volume).into());
    }
    let terms = Terms::of(&request)?;
    let collected = collect(gateway, request.headers, body).await?;
    let name = object.file_name.as_deref().unwrap_or(object.last_segment);
    let mut uploads = uploads(&request, &collected, name)?;
    let precondition = precondition(&request);
    let stored = match (uploads.pop(), uploads.is_empty()) {
        (Some(only), true) => vec![store(gateway, object.fid, only, &terms, precondition).await?],
        (last, _) => {
            uploads.extend(last);
            let stored = store_form(
                gateway,
                Fids::After(object.fid),
                uploads,
                terms,
                precondition,
            )
            .await?;
            stored
                .into_iter()
                .map(|(fid, stored)| stored.under(&fid))
                .collect()
        }
    };
    drop(collected);
    Ok(created(stored, request.query))
}

/// Where the fids of a form's files come from.
enum Fids {
    /// The first is given, the others are of its kind.
    After(FileId),
    /// All are handed out.
    Wish(Wish),
}

impl Fids {
    async fn get(&self, gateway: &Arc<Gateway>, n: usize) -> Result<FileId, ImageError> {
        match self {
            Self::After(first) if n == 0 => Ok(*first),
            Self::After(first) => another_fid(gateway, first).await,
            Self::Wish(wish) => Ok(super::master::assign(gateway, wish.clone()).await?.fid),
        }
    }
}

/// Stores the files of a form, all or none, in a task of its own: a client that leaves in the middle leaves nothing behind.
async fn store_form(
    gateway: &Arc<Gateway>,
    fids: Fids,
    uploads: Vec<Upload>,
    terms: Terms,
    precondition: Option<Precondition>,
) -> Result<Vec<(FileId, Stored)>, ImageError> {
    let gateway = Arc::clone(gateway);
    let task = async move { all_or_none(&gateway, &fids, uploads, &terms, precondition).await };
    let stored = tokio::spawn(task).await;
    stored.map_err(|error| HaystackError::Storage(error.to_string().into()))?
}

async fn all_or_none(
    gateway: &Arc<Gateway>,
    fids: &Fids,
    uploads: Vec<Upload>,
    terms: &Terms,
    mut precondition: Option<Precondition>,
) -> Result<Vec<(FileId, Stored)>, ImageError> {
    let mut all: Vec<(FileId, Stored)> = Vec::with_capacity(uploads.len());
    for (n, upload) in uploads.into_iter().enumerate() {
        let one = async {
            let fid = fids.get(gateway, n).await?;
            let stored = store(gateway, fid, upload, terms, precondition.take()).await?;
            Ok((fid, stored))
        };
        match one.await {
            Ok(one) => all.push(one),
            Err(error) => {
                let fids: Vec<FileId> = all.iter().map(|(fid, _)| *fid).collect();
                take_back(gateway, &fids).await;
                return Err(error);
            }
        }
    }
    Ok(all)
}

/// All files of a form or none: what was stored of one that failed is deleted again.
pub async fn take_back(gateway: &Arc<Gateway>, fids: &[FileId]) {
    for fid in fids {
        if let Err(error) = gateway.store.delete(*fid, None).await {
            tracing::warn!(%fid, %error, "a file of a failed upload stays behind");
        }
    }
}

/// A new fid for volumes of the same kind as another's.
async fn another_fid(gateway: &Arc<Gateway>, like: &FileId) -> Result<FileId, ImageError> {
    let volume = gateway
        .store
        .volume(like.volume)
        .ok_or(HaystackError::VolumeNotFound(like.volume))?;
    let block = volume.generation().block;
    let layout = Layout {
        collection: volume.files.collection.clone(),
        placement: block.placement,
        ttl: block.ttl,
    };
    Ok(super::master::assign(
        gateway,
        Wish {
            layout,
            count: 1,
            ..Wish::default()
        },
    )
    .await?
    .fid)
}

fn created(mut stored: Vec<Stored>, query: &Query<'_>) -> Response {
    let several = stored.len() > 1;
    let first = stored.first();
    let tag = first
        .map(|s| format!("\"{}\"", s.e_tag))
        .unwrap_or_default();
    let md5 = first
        .and_then(|s| s.content_md5.clone())
        .unwrap_or_default();
    let unchanged = !several && first.is_some_and(|s| s.unchanged);
    let answer = if several {
        let head = &stored[0];
        let (name, e_tag, mime) = (head.name.clone(), head.e_tag.clone(), head.mime.clone());
        Stored {
            name,
            e_tag,
            mime,
            size: head.size,
            files: stored,
            ..Stored::default()
        }
    } else {
        stored.pop().unwrap_or_default()
    };
    let mut response = if unchanged {
        Response::new(Body::empty())
    } else {
        json(
            StatusCode::CREATED,
            &answer,
            query.get_set("pretty").is_some(),
        )
    };
    if unchanged {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ETAG, tag),
        (header::HeaderName::from_static("content-md5"), md5),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// `/submit`: hands out a fid and stores the body under it in one call.
pub async fn submit(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    wish: Wish,
    body: Incoming,
) -> Result<Response, ImageError> {
    if *request.method != Method::POST {
        return Ok(crate::http::json::error_json(
            StatusCode::METHOD_NOT_ALLOWED,
            "Only submit via POST!",
        ));
    }
    let terms = Terms::of(&request)?;
    let collected = collect(gateway, request.headers, body).await?;
    let urls = gateway.urls(super::asked_host(request.headers));
    let uploads = uploads(&request, &collected, "submit")?;
    let stored = store_form(gateway, Fids::Wish(wish), uploads, terms, None).await?;
    let answers: Vec<Submitted> = stored
        .into_iter()
        .map(|(fid, stored)| Submitted::new(urls, fid, stored))
        .collect();
    let pretty = request.query.get_set("pretty").is_some();
    let Some(mut first) = answers.first().cloned() else {
        return Err(ImageError::BadRequest("the form has no file".into()));
    };
    if answers.len() > 1 {
        first.files = answers;
    }
    Ok(json(StatusCode::CREATED, &first, pretty))
}

/// Answer of `/submit`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    e_tag: String,
    fid: String,
    file_name: String,
    file_url: String,
    size: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<Submitted>,
}

impl Submitted {
    fn new(urls: Urls<'_>, fid: FileId, stored: Stored) -> Self {
        let file_url = format!("{}/{fid}", urls.public_url);
        Self {
            e_tag: stored.e_tag,
            fid: fid.to_string(),
            file_name: stored.name,
            file_url,
            size: stored.size,
            files: Vec::new(),
        }
    }
}

/// Stores one file.
async fn store(
    gateway: &Arc<Gateway>,
    fid: FileId,
    upload: Upload,
    terms: &Terms,
    precondition: Option<Precondition>,
) -> Result<Stored, ImageError> {
    let (draft, stored) = prepare(upload, terms, None).await?;
    let done = gateway
        .store
        .put(fid, draft, precondition, terms.fsync)
        .await?;
    Ok(Stored {
        unchanged: done == Done::Unchanged,
        ..stored
    })
}

/// `If-Match` and the like of a request, to be checked when it is its turn to write.
fn precondition(request: &WriteRequest<'_>) -> Option<Precondition> {
    let conditions = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    if !conditions
        .iter()
        .any(|name| request.headers.contains_key(name))
    {
        return None;
    }
    let (method, headers) = (request.method.clone(), request.headers.clone());
    Some(Box::new(move |present: Option<&Needle>| {
        let tag = EntityTag::of(present.map_or(0, |needle| needle.checksum));
        let current = present.map(|needle| Validators {
            etag: &tag,
            last_modified_secs: needle.last_modified_secs,
        });
        conditional::evaluate(&method, &headers, current.as_ref()) == Outcome::Proceed
    }))
}

/// Answer of a DELETE.
#[derive(Serialize)]
struct Deleted {
    size: u64,
}

/// Deletes an object; of a large one its chunks too.
pub async fn delete(
    gateway: &Arc<Gateway>,
    request: WriteRequest<'_>,
    object: &ObjectPath<'_>,
) -> Result<Response, ImageError> {
    let manifest = match load(gateway, object, false).await {
        Ok(needle) if needle.is_chunk_manifest() => Some(Manifest::of(&needle)?),
        _ => None,
    };
    let done = gateway
        .store
        .delete(object.fid, precondition(&request))
        .await?;
    let Done::Deleted { size } = done else {
        return Err(HaystackError::NotFound.into());
    };
    let mut size = u64::from(size);
    if let Some(manifest) = manifest {
        size = manifest.len_bytes();
        let chunks: Vec<FileId> = manifest
            .chunks
            .iter()
            .filter_map(|chunk| chunk.fid.parse().ok())
            .collect();
        take_back(gateway, &chunks).await;
    }
    Ok(json(
        StatusCode::ACCEPTED,
        &Deleted { size },
        request.query.get_set("pretty").is_some(),
    ))
}
