//! `moongate policy status|refresh|explain`, over the admin port.

use http::Method;
use serde_json::Value;

use super::error::ClientError;
use super::http::{Call, Http};
use super::mounts::print;
use crate::policy::args::{ExplainArgs, PolicyArgs, PolicyCommand, StatusArgs};
use crate::policy::explained;

/// Carries the command out.
pub async fn run(args: &PolicyArgs) -> Result<(), ClientError> {
    match &args.what {
        PolicyCommand::Status(args) => said(args, Method::GET, "/policies").await,
        PolicyCommand::Refresh(args) => said(args, Method::POST, "/policies/refresh").await,
        PolicyCommand::Explain(args) => explain(args).await,
        PolicyCommand::Test(_) => Ok(()),
    }
}

async fn said(args: &StatusArgs, method: Method, path: &str) -> Result<(), ClientError> {
    let http = Http::open(args.admin.admin.clone(), &args.admin.access)?;
    let (_, bytes) = http.send_and_read(Call::new(method, path)).await?;
    if args.admin.json {
        return print(&bytes);
    }
    print(table(&serde_json::from_slice(&bytes).unwrap_or_default()).as_bytes())
}

/// One line a source.
fn table(said: &Value) -> String {
    let Some(sources) = said["sources"].as_array().filter(|all| !all.is_empty()) else {
        return "no policies are configured ([policy])\n".to_owned();
    };
    let mut lines = String::new();
    for one in sources {
        let text = |key: &str| one[key].as_str().unwrap_or_default();
        let age = one["age_secs"]
            .as_u64()
            .map_or("never".to_owned(), |age| format!("{age}s ago"));
        let error = match text("last_error") {
            "" => String::new(),
            error => format!("  FAILED: {error}"),
        };
        lines += &format!(
            "{}  {}  version {}  {} policies  confirmed {age}  from {}{error}\n",
            text("service"),
            text("what"),
            one["version"],
            one["policies"],
            text("from"),
        );
    }
    lines
}

async fn explain(args: &ExplainArgs) -> Result<(), ClientError> {
    let http = Http::open(args.admin.admin.clone(), &args.admin.access)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("user", &args.user)
        .append_pair("path", &args.path)
        .append_pair("access", &args.access)
        .append_pair("groups", &args.groups.join(","));
    let call = Call::new(Method::GET, "/policies/explain").query(query.finish());
    let (_, bytes) = http.send_and_read(call).await?;
    if args.admin.json {
        return print(&bytes);
    }
    print(explained(&serde_json::from_slice(&bytes).unwrap_or_default()).as_bytes())
}
