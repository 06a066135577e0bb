//! `GET /whoami`, on every port: who the gateway takes the caller for.

use http::StatusCode;
use moongate_auth::Groups;
use serde_json::json;

use super::Known;
use super::caller::method_name;
use crate::http::Response;
use crate::http::json::json as answer;

/// Where it is asked.
pub const PATH: &str = "/whoami";

/// Who it is.
pub fn answered(known: &Known) -> Response {
    let identity = &known.identity;
    let groups = match &identity.groups {
        Groups::Known(groups) => json!(groups.iter().map(|group| &**group).collect::<Vec<_>>()),
        Groups::Unknown => json!(null),
    };
    let value = json!({
        "user": &*identity.user,
        "principal": &*identity.principal,
        "groups": groups,
        "realUser": identity.real_user.as_deref(),
        "tenant": identity.tenant.as_deref(),
        "method": method_name(identity.method),
    });
    answer(StatusCode::OK, &value, false)
}
