//! `moongate whoami`: who a gateway takes the caller for.

use std::io::Write as _;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::access::Access;
use super::address::Server;
use super::error::ClientError;
use super::http::{Call, Http};
use crate::login::whoami::PATH;

/// Help of `whoami`.
pub const EXAMPLES: &str = "\
Examples:
  moongate whoami
  moongate whoami https://gateway:9320 --ca ca.pem --token-file /var/run/secrets/tokens/moongate
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:9320/whoami

Exit codes:
  0  it is told
  1  the gateway refuses, and says why
  2  the command line is wrong
  3  the server cannot be reached";

/// Arguments of `moongate whoami`.
#[derive(Clone, Debug, Args)]
pub struct WhoamiArgs {
    /// Admin port or image port of the gateway [default: 127.0.0.1:9320]
    #[arg(value_name = "URL", env = "MOONGATE_ADMIN", hide_env_values = true, value_parser = Server::parse, default_value = "127.0.0.1:9320", hide_default_value = true)]
    pub server: Server,
    /// How it is trusted, and what shows who asks.
    #[command(flatten)]
    pub access: Access,
    /// JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Carries the command out.
///
/// # Errors
/// The gateway cannot be reached, or refuses.
pub async fn run(args: &WhoamiArgs) -> Result<(), ClientError> {
    let http = Http::open(args.server.clone(), &args.access)?;
    let (_, text) = http.send_and_read(Call::new(Method::GET, PATH)).await?;
    let told: Value = serde_json::from_slice(&text)
        .map_err(|_| ClientError::Answer("what came is not JSON: is this a gateway?".to_owned()))?;
    let text = if args.json {
        told.to_string()
    } else {
        in_words(&told)
    };
    writeln!(std::io::stdout(), "{text}").map_err(|error| ClientError::Local {
        path: "standard output".into(),
        error,
    })
}

fn in_words(told: &Value) -> String {
    let groups = match told["groups"].as_array() {
        None => "unknown: they could not be looked up".to_owned(),
        Some(groups) if groups.is_empty() => "none".to_owned(),
        Some(groups) => groups
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let said = |key: &str| told[key].as_str().map(str::to_owned);
    let lines = [
        ("user", said("user")),
        ("acting", said("realUser")),
        ("principal", said("principal")),
        ("method", said("method")),
        ("tenant", said("tenant")),
        ("groups", Some(groups)),
    ];
    let lines = lines
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<10} {}", value?)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_groups_are_not_told_as_none() {
        let told = |groups: Value| in_words(&json!({"user": "ann", "groups": groups}));
        assert!(told(json!(null)).contains("unknown"));
        assert!(told(json!([])).ends_with("groups     none"));
        assert!(told(json!(["a", "b"])).ends_with("groups     a, b"));
    }
}
