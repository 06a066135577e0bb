//! The admin port: health, readiness, metrics, status, mounts, cache.

mod cache;
mod mounts;
mod policies;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper::body::Incoming;
use moongate_cache::Caller;
use serde_json::json;

use super::image;
use crate::http::json::{error_json, json as answer};
use crate::http::query::Query;
use crate::http::server::PeerInfo;
use crate::http::{Body, Response};
use crate::login::{self, whoami};
use crate::metrics::tickets;
use crate::state::Gateway;
use crate::tenancy::Fenced;

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers one request of the admin port.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>, peer: PeerInfo) -> Response {
    let path = request.uri().path();
    if matches!(path, "/healthz" | "/readyz") {
        return read(&gateway, request.method(), request.uri()).await;
    }
    let (parts, body) = request.into_parts();
    match login::identify(&gateway, &parts, peer).await {
        Ok(known) => {
            if parts.uri.path() == whoami::PATH {
                return whoami::answered(&known);
            }
            // What is here concerns all tenants.
            let tenant = known
                .identity
                .tenant
                .as_deref()
                .filter(|_| !gateway.tenants.is_empty());
            if tenant.is_some()
                && let Err(refused) = gateway.tenants.may_touch(tenant, "/")
            {
                return Fenced::from(refused).answer();
            }
            let caller = login::caller::of(&known.identity, peer, "admin");
            let request = Request::from_parts(parts, body);
            let mut response = route(&gateway, request, caller).await;
            known.tell(&mut response);
            response
        }
        Err(refused) => login::answer::json(&gateway, &refused),
    }
}

async fn route(gateway: &Arc<Gateway>, request: Request<Incoming>, caller: Caller) -> Response {
    if request.uri().path() == "/mounts" {
        return mounts::serve(gateway, request).await;
    }
    if request.uri().path().starts_with("/policies") {
        return policies::serve(gateway, request).await;
    }
    if request.uri().path().starts_with("/cache/") {
        return cache::serve(gateway, request, caller).await;
    }
    read(gateway, request.method(), request.uri()).await
}

/// What is only read.
async fn read(gateway: &Gateway, method: &Method, uri: &Uri) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return error_json(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET");
    }
    let query = Query::parse(uri.query());
    let pretty = query.get_set("pretty").is_some();
    match uri.path() {
        "/healthz" => Response::new(Body::full("ok\n")),
        "/readyz" => ready(gateway),
        "/metrics" => metrics(gateway).await,
        "/status" => answer(StatusCode::OK, &status(gateway), pretty),
        _ => error_json(
            StatusCode::NOT_FOUND,
            "this port serves /healthz, /readyz, /metrics, /status, /whoami, /mounts, /policies and /cache/",
        ),
    }
}

/// What keeps the gateway from serving all it should.
fn hindrances(gateway: &Gateway) -> Vec<String> {
    let mut hindrances = Vec::new();
    if gateway.stopping.load(Ordering::Relaxed) {
        hindrances.push("shutting down".to_owned());
    }
    let dirs = gateway.store.dirs();
    if dirs.iter().all(|dir| dir.is_full()) {
        hindrances.push("every disk is full: writes are refused until images are deleted and vacuumed, or a disk is added".to_owned());
    }
    hindrances
}

fn ready(gateway: &Gateway) -> Response {
    let hindrances = hindrances(gateway);
    if hindrances.is_empty() {
        return Response::new(Body::full("ready\n"));
    }
    answer(
        StatusCode::SERVICE_UNAVAILABLE,
        &json!({ "ready": false, "why": hindrances }),
        false,
    )
}

async fn metrics(gateway: &Gateway) -> Response {
    let tickets = tickets::tickets(gateway).await;
    let text = gateway.metrics.render(gateway, &tickets);
    let mut response = Response::new(Body::full(text));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, OPENMETRICS);
    response
}

fn status(gateway: &Gateway) -> serde_json::Value {
    let volumes = gateway.store.volumes();
    let read_only: Vec<_> = volumes
        .values()
        .filter_map(|m| {
            m.volume
                .read_only()
                .map(|why| json!({ "volume": m.volume.id().0, "why": &*why }))
        })
        .collect();
    let needles: u64 = volumes
        .values()
        .map(|m| {
            m.volume
                .counters()
                .puts
                .saturating_sub(m.volume.counters().deletes)
        })
        .sum();
    let bytes: u64 = volumes.values().map(|m| m.volume.dat_bytes()).sum();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "image": gateway.url(),
        "io_engine": gateway.engine.name(),
        "volumes": { "count": volumes.len(), "needles": needles, "bytes": bytes, "read_only": read_only },
        "disks": image::disks(gateway),
        "vacuum": image::vacuum(gateway),
        "damaged_needles": gateway.store.bad_needles().known(),
        "index": gateway.store.dirs().iter().map(|d| json!({ "dir": d.path.display().to_string(), "hot_pages": d.index.pages(), "misses": d.index.misses() })).collect::<Vec<_>>(),
        "connections": { "open": gateway.image_connections.open.load(Ordering::Relaxed), "accepted": gateway.image_connections.accepted.load(Ordering::Relaxed),
            "refused": gateway.image_connections.refused.load(Ordering::Relaxed) },
        "not_ready": hindrances(gateway),
    })
}
