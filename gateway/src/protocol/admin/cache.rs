//! `/cache/…`: what the cache holds of a path and all below it, and changing that: load, free, pin, unpin, invalidate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response as HttpResponse, StatusCode, header};
use hyper::body::Incoming;
use moongate_cache::{
    BackendError, CachedBackend, Caller, ErrorKind, LoadOptions, LoadProgress, Residency,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::ByteSize;
use crate::http::body::FrameSender;
use crate::http::json::{error_json, json as answer};
use crate::http::query::Query;
use crate::http::{Body, Response};
use crate::namespace::{Namespace, path as paths};
use crate::protocol::file::mounted::status_of;
use crate::state::Gateway;

/// How often a load says how far it has come.
const TOLD_EVERY: Duration = Duration::from_millis(200);
/// Most files that one load brings in at once.
const STREAMS_MAX: usize = 64;

/// A part of the namespace that one cache serves.
struct Part {
    mount: String,
    cached: Arc<CachedBackend>,
    inner: String,
}

/// Answers a request below `/cache/`.
pub async fn serve(gateway: &Arc<Gateway>, request: Request<Incoming>, caller: Caller) -> Response {
    let query = Query::parse(request.uri().query());
    let verb = request.uri().path().trim_start_matches("/cache/");
    let reads = verb == "stat";
    let method = request.method();
    if reads != matches!(*method, Method::GET | Method::HEAD) || (!reads && *method != Method::POST)
    {
        return error_json(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /cache/stat; POST to the others",
        );
    }
    let done = carry_out(gateway, verb, &query, caller).await;
    done.unwrap_or_else(|error| error_json(status_of(error.kind), &error.message))
}

async fn carry_out(
    gateway: &Arc<Gateway>,
    verb: &str,
    query: &Query<'_>,
    caller: Caller,
) -> Result<Response, BackendError> {
    let path = paths::normal(query.get_set("path").unwrap_or("/"))?;
    let parts = parts(&gateway.namespace, &path)?;
    let said = match verb {
        "stat" => stat(gateway, &parts).await,
        "load" => return load(parts, query, caller),
        "free" => {
            let mut freed = 0;
            for part in &parts {
                freed += part.cached.free(&part.inner).await;
            }
            json!({ "freed_bytes": freed })
        }
        "invalidate" => {
            parts
                .iter()
                .for_each(|part| part.cached.invalidate(&part.inner));
            json!({ "invalidated": true })
        }
        "pin" | "unpin" => {
            for part in &parts {
                match verb {
                    "pin" => part.cached.pin(&part.inner).await?,
                    _ => part.cached.unpin(&part.inner).await?,
                }
            }
            json!({ "pinned": verb == "pin" })
        }
        _ => {
            let text = "there are /cache/stat, load, free, pin, unpin and invalidate";
            return Err(BackendError::new(ErrorKind::NotFound, text));
        }
    };
    Ok(answer(
        StatusCode::OK,
        &said,
        query.get_set("pretty").is_some(),
    ))
}

/// The mount of a path, and the mounts below it.
fn parts(namespace: &Namespace, path: &str) -> Result<Vec<Part>, BackendError> {
    let table = namespace.table();
    let at = table.resolve(path).into_iter();
    let below = table.below(path).map(|mount| (mount, "/"));
    let parts: Vec<Part> = at
        .chain(below)
        .filter_map(|(mount, inner)| {
            Some(Part {
                mount: mount.path().to_owned(),
                cached: Arc::clone(mount.cached.as_ref()?),
                inner: inner.to_owned(),
            })
        })
        .collect();
    if parts.is_empty() {
        let text = format!("{path}: no cached mount is there; moongate mount ls shows what is");
        return Err(BackendError::new(ErrorKind::NotFound, text));
    }
    Ok(parts)
}

async fn stat(gateway: &Gateway, parts: &[Part]) -> Value {
    let mut all = Vec::new();
    for part in parts {
        let held = part.cached.residency(&part.inner).await;
        all.push(resident(
            &paths::join(&part.mount, part.inner.trim_start_matches('/')),
            &held,
        ));
    }
    let stats = gateway.namespace.cache().stats();
    json!({ "paths": all, "cache": {
        "ram_bytes": stats.ram_bytes, "ram_bytes_max": gateway.config.cache.memory.bytes(), "disk_bytes": stats.disk_bytes,
        "pinned_bytes": stats.pinned_bytes, "served_bytes": stats.served_bytes(), "ram_hit_bytes": stats.ram_hit_bytes,
        "disk_hit_bytes": stats.disk_hit_bytes, "miss_bytes": stats.miss_bytes, "under_bytes": stats.under_bytes,
        "corrupt_pages": stats.corrupt_pages, "disks_off": stats.disks_off,
    }})
}

fn resident(path: &str, held: &Residency) -> Value {
    let path = path.trim_end_matches('/');
    json!({
        "path": if path.is_empty() { "/" } else { path }, "files": held.files, "bytes": held.bytes, "in_ram": held.in_ram,
        "on_disk": held.on_disk, "pinned": held.pinned,
    })
}

fn load(parts: Vec<Part>, query: &Query<'_>, caller: Caller) -> Result<Response, BackendError> {
    let rate = match query.get_set("rate") {
        None => 0,
        Some(rate) => rate
            .parse::<ByteSize>()
            .map_err(|error| invalid(&error.to_string()))?
            .bytes(),
    };
    let streams = match query.get_set("streams") {
        None => LoadOptions::default().streams,
        Some(streams) => streams
            .parse()
            .map_err(|_| invalid("streams is no number"))?,
    };
    let options = LoadOptions {
        rate_bytes_per_sec: rate,
        streams: streams.clamp(1, STREAMS_MAX),
    };
    let (sender, body) = Body::frames(1);
    tokio::spawn(async move {
        if load_all(&parts, &caller, options, &sender).await.is_some() {
            sender.finish(HeaderMap::new());
        }
    });
    let mut response = HttpResponse::new(body);
    let lines = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, lines);
    Ok(response)
}

fn invalid(text: &str) -> BackendError {
    BackendError::new(ErrorKind::Invalid, text)
}

/// Loads one part after the other; a client that leaves ends it. `None`: it has left.
async fn load_all(
    parts: &[Part],
    caller: &Caller,
    options: LoadOptions,
    sender: &FrameSender,
) -> Option<()> {
    let mut before = LoadProgress::default();
    for part in parts {
        let so_far = Mutex::new(LoadProgress::default());
        let loading = part.cached.load(caller, &part.inner, options, |progress| {
            *so_far.lock() = progress
        });
        let mut loading = std::pin::pin!(loading);
        let ended = loop {
            tokio::select! {
                ended = &mut loading => break ended,
                () = tokio::time::sleep(TOLD_EVERY) => {
                    let now = sum(&before, &so_far.lock().clone());
                    sender.send(line(&now, false)).await.ok()?;
                }
            }
        };
        match ended {
            Ok(progress) => before = sum(&before, &progress),
            Err(error) => {
                before.failed += 1;
                before.last_error = Some(error.message);
            }
        }
    }
    sender.send(line(&before, true)).await.ok()
}

fn sum(a: &LoadProgress, b: &LoadProgress) -> LoadProgress {
    LoadProgress {
        files: a.files + b.files,
        files_done: a.files_done + b.files_done,
        bytes: a.bytes + b.bytes,
        bytes_loaded: a.bytes_loaded + b.bytes_loaded,
        bytes_skipped: a.bytes_skipped + b.bytes_skipped,
        failed: a.failed + b.failed,
        last_error: b.last_error.clone().or_else(|| a.last_error.clone()),
        is_listed: b.is_listed,
    }
}

/// A line of how far it has come; the last one says so.
fn line(progress: &LoadProgress, is_last: bool) -> Bytes {
    let said = json!({
        "files": progress.files, "files_done": progress.files_done, "bytes": progress.bytes,
        "bytes_loaded": progress.bytes_loaded, "bytes_skipped": progress.bytes_skipped, "failed": progress.failed,
        "last_error": progress.last_error, "listed": progress.is_listed || is_last, "end": is_last,
    });
    format!("{said}\n").into()
}
