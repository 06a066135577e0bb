//! `docs/config.md`, made from the doc comments (through their JSON schema) and from the defaults (as TOML).

use std::fmt::Write as _;
use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{Config, JwtConfig, MountConfig, TenantConfig};

const HEAD: &str = "\
<!-- Made from gateway/src/config by its tests; change the doc comments there, then run
     UPDATE_DOCS=1 cargo test --release -p moongate reference -->
# Configuration

One TOML file, named by `moongate serve --config FILE` or the variable `MOONGATE_CONFIG`. Every key has a default, so no
file is needed; the flags of `moongate serve` go over the file. An unknown key is an error, and `moongate check-config
FILE` explains each mistake with its line.

- **size**: a number and a unit in quotes, `\"64KiB\"` (1024), `\"30GB\"` (1000), `\"1.5GiB\"`; a bare number is bytes.
- **duration**: a number and a unit in quotes, `\"500ms\"`, `\"30s\"`, `\"15m\"`, `\"1h 30m\"`.
- **address**: an IP address and a port in quotes, `\"127.0.0.1:9333\"`, `\"[::1]:9333\"`, `\"0.0.0.0:9333\"`. Port 0 takes a
  free one. Addresses beyond loopback need `allow_anonymous = true`.
";

#[test]
fn reference_is_up_to_date() {
    let path = Path::new("../docs/config.md");
    let fresh = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == fresh,
        "docs/config.md is out of date: UPDATE_DOCS=1 cargo test --release -p moongate reference"
    );
}

#[test]
fn the_printed_defaults_are_a_good_configuration() {
    Config::parse(&defaults(), "defaults.toml")
        .unwrap()
        .validate()
        .unwrap();
}

fn defaults() -> String {
    toml::to_string(&Config::default()).unwrap()
}

fn reference() -> String {
    let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    let schema = settings
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value();
    let mut page = HEAD.to_owned();
    section(&mut page, &schema, "", &defaults());
    write!(
        page,
        "\n## The whole file, with its defaults\n\n```toml\n{}```\n",
        defaults()
    )
    .unwrap();
    page
}

/// A section, then those inside it. Keys come in the order of the serialized defaults, which is the source's.
fn section(page: &mut String, schema: &Value, name: &str, defaults: &str) {
    let title = if name.is_empty() {
        "Top level".to_owned()
    } else {
        format!("`[{name}]`")
    };
    let about = if name.is_empty() {
        "These stand before any section."
    } else {
        text(schema)
    };
    write!(page, "\n## {title}\n\n{}\n\n", joined(about)).unwrap();
    page.push_str("| key | accepted | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, default) in keys(defaults, name) {
        row(page, key, &schema["properties"][key], default);
    }
    let inner = schema["properties"].as_object().unwrap();
    let printed = defaults
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let prefix = if name.is_empty() {
        String::new()
    } else {
        format!("{name}.")
    };
    for full_name in printed {
        let inner_name = full_name.strip_prefix(&prefix).unwrap_or_default();
        let found = inner.get(inner_name);
        if let Some(schema) = found.filter(|schema| schema["properties"].is_object()) {
            section(page, schema, full_name, defaults);
        }
    }
    for (key, map) in inner
        .iter()
        .filter(|(_, schema)| schema["additionalProperties"].is_object())
    {
        by_name(
            page,
            &map["additionalProperties"],
            &format!("{name}.{key}.NAME"),
        );
    }
    for (key, list) in inner
        .iter()
        .filter(|(_, schema)| schema["items"]["properties"].is_object())
    {
        one_of_many(page, &list["items"], &format!("{prefix}{key}"));
    }
}

/// A section that may stand there many times: `[[mount]]`.
fn one_of_many(page: &mut String, schema: &Value, name: &str) {
    let defaults = match name {
        "mount" => toml::to_string(&MountConfig::default()),
        "tenant" => toml::to_string(&TenantConfig::default()),
        "auth.jwt" => toml::to_string(&JwtConfig::default()),
        other => panic!("say what the defaults of [[{other}]] are"),
    };
    let defaults = defaults.unwrap();
    let defaults = keys(&defaults, "");
    write!(page, "\n## `[[{name}]]`\n\n{}\n\n", joined(text(schema))).unwrap();
    page.push_str("| key | accepted | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, schema) in schema["properties"].as_object().unwrap() {
        let default = defaults.iter().find(|(known, _)| known == key);
        row(
            page,
            key,
            schema,
            default.map_or("", |(_, default)| default),
        );
    }
}

/// A section that may stand there many times, under names that the user gives; it prints no defaults.
fn by_name(page: &mut String, schema: &Value, name: &str) {
    write!(page, "\n## `[{name}]`\n\n{}\n\n", joined(text(schema))).unwrap();
    page.push_str("| key | accepted | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, schema) in schema["properties"].as_object().unwrap() {
        row(page, key, schema, "");
    }
}

fn row(page: &mut String, key: &str, schema: &Value, default: &str) {
    let meaning = joined(text(schema));
    assert!(!meaning.is_empty(), "{key} has no doc comment");
    let default = if default.is_empty() {
        "none".to_owned()
    } else {
        format!("`{default}`")
    };
    writeln!(
        page,
        "| `{key}` | {} | {default} | {meaning} |",
        accepted(schema)
    )
    .unwrap();
}

/// The `key = value` lines of a section in the serialized defaults.
fn keys<'a>(defaults: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let header = format!("[{name}]");
    let mut inside = name.is_empty();
    let mut keys = Vec::new();
    for line in defaults.lines() {
        if line.starts_with('[') {
            inside = line == header;
        } else if let Some(pair) = line.split_once(" = ").filter(|_| inside) {
            keys.push(pair);
        }
    }
    keys
}

fn accepted(schema: &Value) -> String {
    let choices = choices(schema);
    match (schema["format"].as_str(), schema["type"].as_str()) {
        _ if !choices.is_empty() => choices.join(", "),
        (Some(named @ ("size" | "duration" | "address")), _) => named.to_owned(),
        (Some("names"), _) => "list of texts".to_owned(),
        (Some("rules"), _) => "list of rules".to_owned(),
        (_, Some("object")) => "keys and texts".to_owned(),
        (_, Some("boolean")) => "`true`, `false`".to_owned(),
        (_, Some("integer")) => "whole number".to_owned(),
        (_, Some("number")) => "number".to_owned(),
        (_, Some("array")) => "folder, or list of folders".to_owned(),
        (_, Some("string")) => "text".to_owned(),
        other => panic!("the reference has no word for {other:?}: {schema}"),
    }
}

/// The values of an enumeration; a variant without a doc comment of its own would be told by `enum`, not `const`.
fn choices(schema: &Value) -> Vec<String> {
    let several = ["oneOf", "anyOf"]
        .into_iter()
        .filter_map(|of| schema[of].as_array())
        .flatten();
    several
        .flat_map(|one| {
            choices(one)
                .into_iter()
                .chain(one["const"].as_str().map(|value| format!("`\"{value}\"`")))
        })
        .collect()
}

fn text(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn joined(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
