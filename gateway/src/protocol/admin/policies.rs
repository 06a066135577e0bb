//! `GET /policies`, `POST /policies/refresh` and `GET /policies/explain`: what is in force, and why somebody may or may not.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use moongate_auth::Groups;
use moongate_auth::policy::{Access, FsAction, Request as Asked};
use moongate_cache::{Caller, Who};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::http::Response;
use crate::http::json::{error_json, json as answer};
use crate::http::query::Query;
use crate::namespace::{Namespace, now_ms, path as paths};
use crate::policy::gatekeeper::{Deed, Tree as _};
use crate::state::Gateway;

/// Answers a request.
pub async fn serve(gateway: &Gateway, request: Request<Incoming>) -> Response {
    let query = Query::parse(request.uri().query());
    let pretty = query.get_set("pretty").is_some();
    let policies = gateway.namespace.gatekeeper().policies();
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/policies") => {
            answer(StatusCode::OK, &policies.status(), pretty)
        }
        (&Method::POST, "/policies/refresh") => {
            policies.poll().await;
            answer(StatusCode::OK, &policies.status(), pretty)
        }
        (&Method::GET | &Method::HEAD, "/policies/explain") => {
            match explain(gateway, &query).await {
                Ok(said) => answer(StatusCode::OK, &said, pretty),
                Err(text) => error_json(StatusCode::BAD_REQUEST, &text),
            }
        }
        _ => error_json(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET /policies, POST /policies/refresh, GET /policies/explain?user=U&path=P&access=READ",
        ),
    }
}

async fn explain(gateway: &Gateway, query: &Query<'_>) -> Result<Value, String> {
    let user = query.get_set("user").ok_or("say who: user=NAME")?;
    let path = query.get_set("path").ok_or("say which: path=/PATH")?;
    let path = paths::normal(path).map_err(|error| error.to_string())?;
    let access = query.get_set("access").unwrap_or("READ");
    let action = FsAction::named(access)
        .ok_or("access: READ, WRITE, EXECUTE, READ_EXECUTE, READ_WRITE, WRITE_EXECUTE or ALL")?;
    let names = query.get_set("groups").unwrap_or("");
    let groups: Arc<[Arc<str>]> = names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(Arc::from)
        .collect();
    let caller: Caller = Who {
        groups: Some(Arc::clone(&groups)),
        operation: "explain",
        ..Who::new(user)
    }
    .into();
    let namespace = &gateway.namespace;
    let status = namespace.status(&caller, &path).await.ok().flatten();
    let mut said = match namespace.gatekeeper().policies().current() {
        Some(snapshot) => {
            let request = Asked {
                path: &namespace.policy_path(&path),
                is_file: status.as_ref().is_some_and(|status| !status.is_dir()),
                user,
                groups: &Groups::Known(groups),
                owner: status.as_ref().map(|status| &*status.owner),
                access: Access::Fs(action),
                action: "explain",
                client_ip: None,
                time_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
                tags: &[],
            };
            json!(snapshot.explain(&request).1)
        }
        None => {
            json!({ "outcome": "no policies are in force", "candidates": [], "tags": [], "audited": false, "version": -1 })
        }
    };
    said["native"] = json!(match &status {
        Some(status) => format!("{}:{} {:o}", status.owner, status.group, status.permission),
        None => "nothing is there".to_owned(),
    });
    let deed = match action {
        FsAction::READ => Deed::Read,
        FsAction::READ_EXECUTE => Deed::List,
        FsAction::EXECUTE => Deed::Look,
        _ => Deed::Create,
    };
    said["answer"] = json!(outcome(namespace, &caller, deed, &path).await);
    Ok(said)
}

/// What the gateway would answer; where the NameNode decides and can be asked without changing anything, it is.
async fn outcome(namespace: &Namespace, caller: &Caller, deed: Deed<'_>, path: &str) -> String {
    let pass = match namespace.may(caller, deed, path).await {
        Ok(pass) => pass,
        Err(error) => return error.to_string(),
    };
    if !namespace.leaves_to_store(path) {
        return "allowed".to_owned();
    }
    let is_dir = match deed {
        Deed::Read => false,
        Deed::List => true,
        _ => return "as the NameNode says, which is asked in the caller's name".to_owned(),
    };
    let asked = namespace.ask_store(caller, path, is_dir).await;
    pass.used(&asked);
    asked.map_or_else(
        |error| format!("the NameNode says: {error}"),
        |()| "allowed".to_owned(),
    )
}
