//! `moongate mount`: what is mounted, and changing it, over the admin port.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;

use http::Method;
use serde_json::{Map, Value, json};

use super::args::{Admin, MountArgs, MountCommand};
use super::body::Outgoing;
use super::error::ClientError;
use super::http::{Call, Http};

const PATH: &str = "/mounts";
/// Keys that the server wants as a number.
const NUMBERS: [&str; 1] = ["calls_max"];

/// Carries the command out.
pub async fn run(args: &MountArgs) -> Result<(), ClientError> {
    let http = Http::open(args.admin.admin.clone(), &args.admin.access)?;
    match args.what.as_ref().unwrap_or(&MountCommand::Ls) {
        MountCommand::Ls => list(&http, &args.admin).await,
        MountCommand::Add {
            path,
            store,
            options,
        } => {
            let wanted = wanted(path, store, options)?.to_string();
            let call = Call::new(Method::POST, PATH);
            let call = call.body(
                "application/json",
                Outgoing::pieces(VecDeque::from([wanted.into_bytes().into()])),
            );
            done(&http, call, &args.admin, "mounted").await
        }
        MountCommand::Rm { path } => {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("path", path)
                .finish();
            let call = Call::new(Method::DELETE, PATH).query(query);
            done(&http, call, &args.admin, "removed").await
        }
    }
}

/// The mount that is wished, as the server takes it.
fn wanted(path: &str, store: &str, options: &[String]) -> Result<Value, ClientError> {
    let mut mount = Map::new();
    let mut hadoop = Map::new();
    mount.insert("path".into(), json!(path));
    mount.insert("store".into(), json!(store));
    for option in options {
        let Some((key, value)) = option.split_once('=') else {
            let text = format!("-o {option}: write KEY=VALUE, such as -o ttl=10s");
            return Err(ClientError::Usage(text));
        };
        match key.strip_prefix("hadoop.") {
            Some(key) => drop(hadoop.insert(key.to_owned(), json!(value))),
            None => drop(mount.insert(key.to_owned(), typed(key, value))),
        }
    }
    if !hadoop.is_empty() {
        mount.insert("hadoop".into(), Value::Object(hadoop));
    }
    Ok(Value::Object(mount))
}

fn typed(key: &str, value: &str) -> Value {
    match value {
        "true" => json!(true),
        "false" => json!(false),
        _ => match value.parse::<u64>() {
            Ok(number) if NUMBERS.contains(&key) => json!(number),
            _ => json!(value),
        },
    }
}

async fn list(http: &Http, admin: &Admin) -> Result<(), ClientError> {
    let (_, bytes) = http.send_and_read(Call::new(Method::GET, PATH)).await?;
    if admin.json {
        return print(&bytes);
    }
    let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mounts = said["mounts"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    print(table(mounts).as_bytes())
}

/// One line a mount, in columns.
fn table(mounts: &[Value]) -> String {
    let text = |mount: &Value, key: &str| mount[key].as_str().unwrap_or_default().to_owned();
    let wide = |key: &str| {
        mounts
            .iter()
            .map(|mount| text(mount, key).len())
            .max()
            .unwrap_or(0)
    };
    let (path_wide, store_wide) = (wide("path"), wide("store"));
    let mut lines = String::new();
    for mount in mounts {
        let cached = if mount["cached"] == true {
            "cached"
        } else {
            "direct"
        };
        let refused = text(mount, "refused");
        let state = if refused.is_empty() {
            String::new()
        } else {
            format!("  FAILED: {refused}")
        };
        lines += &format!(
            "{:path_wide$}  {:store_wide$}  {cached}  {}{state}\n",
            text(mount, "path"),
            text(mount, "store"),
            text(mount, "origin"),
        );
    }
    lines
}

async fn done(http: &Http, call: Call<'_>, admin: &Admin, verb: &str) -> Result<(), ClientError> {
    let (_, bytes) = http.send_and_read(call).await?;
    if admin.json {
        return print(&bytes);
    }
    let mount: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = |key: &str| mount[key].as_str().unwrap_or_default().to_owned();
    print(format!("{verb}: {} ({})\n", text("path"), text("store")).as_bytes())
}

/// To standard output.
pub(super) fn print(bytes: &[u8]) -> Result<(), ClientError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| ClientError::local(Path::new("standard output"), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_the_keys_of_a_mount() {
        let options = [
            "cache=false",
            "calls_max=3",
            "ttl=10s",
            "hadoop.dfs.nameservices=pair",
            "path_style=true",
        ];
        let options: Vec<String> = options.map(str::to_owned).into();
        let mount = wanted("/a", "hdfs://pair", &options).unwrap();
        let want = json!({
            "path": "/a", "store": "hdfs://pair", "cache": false, "calls_max": 3, "ttl": "10s", "path_style": true,
            "hadoop": { "dfs.nameservices": "pair" },
        });
        assert_eq!(mount, want);
        assert!(serde_json::from_value::<crate::config::MountConfig>(mount).is_ok());
        assert!(wanted("/a", "file:///", &["ttl".to_owned()]).is_err());
    }

    #[test]
    fn a_line_a_mount() {
        let mounts = [
            json!({ "path": "/a", "store": "file:///x", "cached": true, "origin": "config" }),
            json!({ "path": "/long", "store": "s3://b", "cached": false, "origin": "admin", "refused": "why" }),
        ];
        let want =
            "/a     file:///x  cached  config\n/long  s3://b     direct  admin  FAILED: why\n";
        assert_eq!(table(&mounts), want);
    }
}
