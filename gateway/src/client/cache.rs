//! `moongate load|free|pin|unpin|cache stat`: what the cache holds of a path, over the admin port.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use bytesize::ByteSize;
use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::args::{Admin, CacheArgs, CacheCommand, LoadArgs, PathArgs};
use super::error::ClientError;
use super::http::{Call, Http};

const BAR: &str = "{spinner} {wide_bar:.cyan/blue} {msg}";
/// How often the bar turns.
const TURN_EVERY: Duration = Duration::from_millis(100);

/// `moongate load`. `false`: some of it failed.
pub async fn load(args: &LoadArgs) -> Result<bool, ClientError> {
    let http = Http::open(args.admin.admin.clone(), &args.admin.access)?;
    let mut all = true;
    for path in &args.paths {
        all &= load_one(&http, args, path).await?;
    }
    Ok(all)
}

async fn load_one(http: &Http, args: &LoadArgs, path: &str) -> Result<bool, ClientError> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("path", path)
        .append_pair("streams", &args.jobs.to_string());
    if let Some(rate) = &args.rate {
        query.append_pair("rate", rate);
    }
    let call = Call::new(Method::POST, "/cache/load").query(query.finish());
    let mut answer = http.send(call).await?;
    let bar = bar(&args.admin);
    let (mut buffer, mut last) = (BytesMut::new(), Value::Null);
    while let Some(piece) = answer.piece().await? {
        buffer.extend_from_slice(&piece);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1);
            last = serde_json::from_slice(&line).unwrap_or_default();
            if args.admin.json {
                print(&line)?;
            }
            show(&bar, &last);
        }
    }
    bar.finish_and_clear();
    if last["end"] != true {
        return Err(ClientError::Broken(
            "the load was cut off: run the same command again to go on".into(),
        ));
    }
    let failed = number(&last, "failed");
    if !args.admin.json {
        print(format!("{path}: {}\n", summary(&last)).as_bytes())?;
    }
    if failed > 0 {
        let why = last["last_error"].as_str().unwrap_or_default();
        eprintln!("moongate: {path}: {failed} could not be loaded, the last: {why}");
    }
    Ok(failed == 0)
}

fn bar(admin: &Admin) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() && !admin.json {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TURN_EVERY);
    bar
}

fn number(said: &Value, key: &str) -> u64 {
    said[key].as_u64().unwrap_or(0)
}

fn show(bar: &ProgressBar, said: &Value) {
    let had = number(said, "bytes_loaded") + number(said, "bytes_skipped");
    bar.set_length(number(said, "bytes"));
    bar.set_position(had);
    let more = if said["listed"] == true { "" } else { "+" };
    bar.set_message(format!(
        "{} of {}{more} files, {} of {}{more}",
        number(said, "files_done"),
        number(said, "files"),
        ByteSize(had),
        ByteSize(number(said, "bytes"))
    ));
}

fn summary(said: &Value) -> String {
    format!(
        "{} files, {} loaded, {} were there already",
        number(said, "files_done"),
        ByteSize(number(said, "bytes_loaded")),
        ByteSize(number(said, "bytes_skipped"))
    )
}

/// `moongate free`, `pin` and `unpin`.
pub async fn change(verb: &str, args: &PathArgs) -> Result<(), ClientError> {
    let http = Http::open(args.admin.admin.clone(), &args.admin.access)?;
    for path in &args.paths {
        let url = format!("/cache/{verb}");
        let call = Call::new(Method::POST, &url).query(of_path(path));
        let (_, bytes) = http.send_and_read(call).await?;
        if args.admin.json {
            print(&bytes)?;
            continue;
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = match said["freed_bytes"].as_u64() {
            Some(freed) => format!("{path}: {} freed\n", ByteSize(freed)),
            None if verb == "pin" => format!("{path}: pinned\n"),
            None => format!("{path}: no longer pinned\n"),
        };
        print(text.as_bytes())?;
    }
    Ok(())
}

fn of_path(path: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("path", path)
        .finish()
}

/// `moongate cache stat`.
pub async fn stat(args: &CacheArgs) -> Result<(), ClientError> {
    let http = Http::open(args.admin.admin.clone(), &args.admin.access)?;
    let CacheCommand::Stat { path } = &args.what;
    let call = Call::new(Method::GET, "/cache/stat").query(of_path(path));
    let (_, bytes) = http.send_and_read(call).await?;
    if args.admin.json {
        return print(&bytes);
    }
    let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    print(table(&said).as_bytes())
}

fn table(said: &Value) -> String {
    let mut lines = format!(
        "{:>8} {:>10} {:>10} {:>10} {:>10}  path\n",
        "files", "bytes", "memory", "disk", "pinned"
    );
    let bytes = |said: &Value, key: &str| ByteSize(number(said, key)).to_string();
    for path in said["paths"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        lines += &format!(
            "{:>8} {:>10} {:>10} {:>10} {:>10}  {}\n",
            number(path, "files"),
            bytes(path, "bytes"),
            bytes(path, "in_ram"),
            bytes(path, "on_disk"),
            bytes(path, "pinned"),
            path["path"].as_str().unwrap_or_default()
        );
    }
    let cache = &said["cache"];
    lines += &format!(
        "whole cache: {} of {} in memory, {} on disk; served {} from memory, {} from disk, {} fetched\n",
        bytes(cache, "ram_bytes"),
        bytes(cache, "ram_bytes_max"),
        bytes(cache, "disk_bytes"),
        bytes(cache, "ram_hit_bytes"),
        bytes(cache, "disk_hit_bytes"),
        bytes(cache, "miss_bytes")
    );
    lines
}

fn print(bytes: &[u8]) -> Result<(), ClientError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| ClientError::local(Path::new("standard output"), error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_a_path_and_the_whole() {
        let said = json!({
            "paths": [{ "path": "/m", "files": 2, "bytes": 2048, "in_ram": 1024, "on_disk": 0, "pinned": 0 }],
            "cache": { "ram_bytes": 1024, "ram_bytes_max": 4096 },
        });
        let text = table(&said);
        assert!(text.lines().nth(1).unwrap().ends_with("/m"), "{text}");
        assert!(text.contains("1.0 KiB of 4.0 KiB in memory"), "{text}");
    }
}
