//! Policies in a test's words.

use std::net::SocketAddr;

use moongate_tests::{Request, Response, http};
use serde_json::{Value, json};

/// What a policy download answers: these policies of service `hdfsdev`.
pub fn download(version: i64, policies: &[Value]) -> Value {
    json!({
        "serviceName": "hdfsdev", "serviceId": 1, "policyVersion": version, "policyUpdateTime": 1_749_600_000_000_i64,
        "auditMode": "audit-all", "policies": policies, "aFieldOfTheFuture": {"x": [1]},
        "serviceDef": {"name": "hdfs", "resources": [{"name": "path",
            "matcher": "org.apache.ranger.plugin.resourcematcher.RangerPathResourceMatcher",
            "matcherOptions": {"wildCard": true, "ignoreCase": false}}],
            "accessTypes": [{"name": "read"}, {"name": "write"}, {"name": "execute"}]},
    })
}

/// A policy by which a user may do everything below a path.
pub fn allow(id: i64, path: &str, user: &str) -> Value {
    json!({"id": id, "name": format!("p{id}"), "version": 1,
        "resources": {"path": {"values": [path], "isRecursive": true}}, "policyItems": [item(user)]})
}

/// A policy by which they may do nothing there.
pub fn deny(id: i64, path: &str, user: &str) -> Value {
    json!({"id": id, "name": format!("p{id}"), "version": 1,
        "resources": {"path": {"values": [path], "isRecursive": true}}, "denyPolicyItems": [item(user)]})
}

fn item(user: &str) -> Value {
    json!({"accesses": [{"type": "read"}, {"type": "write"}, {"type": "execute"}], "users": [user]})
}

/// One request.
#[track_caller]
pub fn ask(at: SocketAddr, method: &str, target: &str, body: &[u8]) -> Response {
    let mut request = Request::new(method, target);
    if !body.is_empty() || method == "PUT" {
        request = request.body(body);
    }
    http::send(at, &request).unwrap()
}
