//! `GET/POST/DELETE /mounts`: what is mounted, and changing it while the gateway runs.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::config::MountConfig;
use crate::http::Response;
use crate::http::intake::{self, IntakeLimits};
use crate::http::json::{error_json, json as answer};
use crate::http::query::Query;
use crate::namespace::table::{Mount, Origin};
use crate::protocol::exchange::declared_len;
use crate::protocol::file::mounted::status_of;
use crate::state::Gateway;

/// Longest description of a mount.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// Answers a request.
pub async fn serve(gateway: &Gateway, request: Request<Incoming>) -> Response {
    let query = Query::parse(request.uri().query());
    match *request.method() {
        Method::GET | Method::HEAD => list(gateway, &query),
        Method::POST => {
            drop(query);
            add(gateway, request).await
        }
        Method::DELETE => match query.get_set("path") {
            Some(path) => remove(gateway, path).await,
            None => error_json(
                StatusCode::BAD_REQUEST,
                "say which: DELETE /mounts?path=/warehouse",
            ),
        },
        _ => error_json(StatusCode::METHOD_NOT_ALLOWED, "GET, POST or DELETE"),
    }
}

fn list(gateway: &Gateway, query: &Query<'_>) -> Response {
    let table = gateway.namespace.table();
    let mounts: Vec<Value> = table.all().iter().map(|mount| described(mount)).collect();
    let pretty = query.get_set("pretty").is_some();
    answer(StatusCode::OK, &json!({ "mounts": mounts }), pretty)
}

/// A mount, and how it is.
fn described(mount: &Mount) -> Value {
    json!({
        "path": mount.path(),
        "store": mount.config.store,
        "kind": mount.backend_kind(),
        "cached": mount.cached.is_some(),
        "read_only": mount.config.read_only,
        "origin": match mount.origin { Origin::Config => "config", Origin::Admin => "admin" },
        "since_ms": mount.since_ms,
        "refused": mount.refused,
        "config": mount.config,
    })
}

async fn add(gateway: &Gateway, request: Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    let limits = IntakeLimits {
        len_bytes_max: BODY_BYTES_MAX,
        ..gateway.intake.clone()
    };
    let collected =
        intake::collect(body, declared_len(&parts.headers), &limits, &gateway.budget).await;
    let collected = match collected {
        Ok(collected) => collected,
        Err(error) => return error_json(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let config: MountConfig = match serde_json::from_slice(&collected.bytes) {
        Ok(config) => config,
        Err(error) => {
            return error_json(
                StatusCode::BAD_REQUEST,
                &format!("this is no mount: {error}"),
            );
        }
    };
    match gateway.namespace.add(config).await {
        Ok(mount) => answer(StatusCode::CREATED, &described(&mount), false),
        Err(error) => error_json(status_of(error.kind), &error.message),
    }
}

async fn remove(gateway: &Gateway, path: &str) -> Response {
    match gateway.namespace.remove(path).await {
        Ok(mount) => answer(StatusCode::OK, &described(&mount), false),
        Err(error) => error_json(status_of(error.kind), &error.message),
    }
}
