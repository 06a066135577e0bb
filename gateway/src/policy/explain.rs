//! `moongate policy explain`: why somebody may or may not.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use moongate_auth::Groups;
use moongate_auth::policy::{
    Access, Explanation, FsAction, Material, PluginConfig, Request, Snapshot,
};

use super::args::ExplainArgs;

/// Asks the policies of a file.
#[allow(clippy::print_stdout)]
pub(super) fn run(file: &Path, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let name = file.display();
    let text = std::fs::read(file).with_context(|| format!("{name}: cannot be read"))?;
    let policies = serde_json::from_slice(&text)
        .with_context(|| format!("{name}: this is not what Ranger Admin's download answers"))?;
    let material = Material {
        policies,
        ..Material::default()
    };
    let snapshot = Snapshot::compile(&material, &PluginConfig::default())?;
    let action = FsAction::named(&args.access).with_context(|| {
        format!(
            "--access {}: READ, WRITE, EXECUTE, READ_EXECUTE, READ_WRITE, WRITE_EXECUTE or ALL",
            args.access
        )
    })?;
    let request = Request {
        path: &args.path,
        is_file: false,
        user: &args.user,
        groups: &Groups::known(args.groups.iter().map(String::as_str)),
        owner: args.owner.as_deref(),
        access: Access::Fs(action),
        action: "",
        client_ip: None,
        time_ms: i64::try_from(crate::namespace::now_ms()).unwrap_or(i64::MAX),
        tags: &[],
    };
    let (_, explanation) = snapshot.explain(&request);
    for warning in snapshot.warnings() {
        eprintln!("moongate: {warning}");
    }
    if args.admin.json {
        println!("{}", serde_json::to_string(&explanation)?);
    } else {
        print!("{}", text_of(&explanation));
    }
    Ok(ExitCode::SUCCESS)
}

fn text_of(explanation: &Explanation) -> String {
    text(&serde_json::to_value(explanation).unwrap_or_default())
}

/// An explanation for people, from its JSON.
pub fn text(said: &serde_json::Value) -> String {
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let list = |value: &serde_json::Value| {
        let all: Vec<String> = value.as_array().into_iter().flatten().map(word).collect();
        if all.is_empty() {
            "nothing".to_owned()
        } else {
            all.join(", ")
        }
    };
    let mut lines = format!(
        "zone: {}\ntags: {}\n",
        word(&said["zone"]),
        list(&said["tags"])
    );
    for one in said["candidates"].as_array().into_iter().flatten() {
        let on = match &one["tag"] {
            serde_json::Value::String(tag) => format!(" on tag {tag}"),
            _ => String::new(),
        };
        let unsure = if one["unsure"] == true {
            ", not all of it can be decided"
        } else {
            ""
        };
        lines += &format!(
            "policy {} {:?}{on} (priority {}): allows {}, denies {}{unsure}\n",
            one["id"],
            word(&one["name"]),
            one["priority"],
            list(&one["allows"]),
            list(&one["denies"]),
        );
    }
    let decided = match &said["policy"] {
        serde_json::Value::Null => String::new(),
        id => format!(" by policy {id}"),
    };
    lines += &format!(
        "policies say: {}{decided} (version {})\n",
        word(&said["outcome"]),
        said["version"]
    );
    for (key, label) in [
        ("native", "the file's own permissions"),
        ("answer", "answer"),
    ] {
        if let Some(text) = said[key].as_str() {
            lines += &format!("{label}: {text}\n");
        }
    }
    lines += &format!("audited: {}\n", said["audited"]);
    lines
}
