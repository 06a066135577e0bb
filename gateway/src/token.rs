//! `moongate token`: access keys and tokens, made and looked at. Only for delegation tokens a server is asked ([`crate::client`]).

use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};

use crate::client::delegation::{Desk, Held};
use moongate_auth::jwt::fid::FidKey;
use moongate_auth::jwt::token::Token;
use moongate_auth::keys::secret;
use moongate_haystack::id::FileId;
use serde_json::{Value, json};

/// The longest secret or token that is read from standard input, in bytes.
const INPUT_BYTES_MAX: u64 = 64 << 10;

/// Help of `token`.
pub const EXAMPLES: &str = "\
Examples:
  moongate token key --user ann --group research >> /etc/moongate/keys.toml
  moongate token hash < secret.txt
  moongate token show < /var/run/secrets/tokens/moongate
  moongate token fid 3,01637037d6 --key-file /etc/moongate/fid.key
  kinit alice && moongate token get http://moon.example.com:8888 --renewer yarn > job.token
  moongate token cancel http://moon.example.com:8888 --file job.token

Exit codes:
  0  done
  1  failed, or the gateway refuses and says why
  2  the command line is wrong
  3  the gateway cannot be reached";

/// Arguments of `moongate token`.
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub what: TokenCommand,
}

/// What can be done with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an access key: its entry for the key file on standard output, its secret on standard error.
    ///
    /// The secret is told this once; the file has its hash.
    Key {
        /// Whom it stands for
        #[arg(long, value_name = "NAME")]
        user: String,
        /// A group of the user (may be repeated); without any they are looked up
        #[arg(long = "group", value_name = "NAME")]
        groups: Vec<String>,
        /// The user's tenant
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// When it ends, as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339)]
        expires: Option<SystemTime>,
    },
    /// Hash a secret from standard input, for the key file.
    Hash,
    /// Show what is in a token (JWT) from standard input. Its signature is not checked.
    Show,
    /// Get a delegation token of a gateway, on standard output.
    ///
    /// It stands for whoever shows a Kerberos ticket (kinit) or a token, as Hadoop's GETDELEGATIONTOKEN does, and goes with any request as delegation=TOKEN.
    Get {
        /// Who is asked.
        #[command(flatten)]
        desk: Desk,
        /// Who may make it good for longer; without one, its owner
        #[arg(long, value_name = "NAME")]
        renewer: Option<String>,
    },
    /// Make a delegation token good for longer, and tell until when. Only its renewer may.
    Renew {
        /// Who is asked.
        #[command(flatten)]
        desk: Desk,
        /// Which one.
        #[command(flatten)]
        held: Held,
    },
    /// End a delegation token. Its owner and its renewer may.
    Cancel {
        /// Who is asked.
        #[command(flatten)]
        desk: Desk,
        /// Which one.
        #[command(flatten)]
        held: Held,
    },
    /// Make a token of one file id, as /dir/assign gives them out (image.jwt).
    Fid {
        /// The file id, such as 3,01637037d6
        #[arg(value_name = "FID")]
        fid: FileId,
        /// The secret's file: image.jwt.write_key_file or image.jwt.read_key_file
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
        /// How long it lives
        #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
        expires: Duration,
    },
}

/// Carries the command out; `false` if a server is to be asked for it.
///
/// # Errors
/// A file or standard input cannot be read, or holds something else.
#[allow(clippy::print_stdout)]
pub fn run(args: &TokenArgs) -> anyhow::Result<bool> {
    let text = match &args.what {
        TokenCommand::Get { .. } | TokenCommand::Renew { .. } | TokenCommand::Cancel { .. } => {
            return Ok(false);
        }
        TokenCommand::Key {
            user,
            groups,
            tenant,
            expires,
        } => {
            let (id, secret) = secret::make().map_err(anyhow::Error::msg)?;
            eprintln!("{id}:{secret}");
            entry(&id, &secret, user, groups, tenant.as_deref(), *expires)?
        }
        TokenCommand::Hash => {
            secret::hash(input()?.trim_end_matches(['\r', '\n'])).map_err(anyhow::Error::msg)?
        }
        TokenCommand::Show => shown(input()?.trim())?,
        TokenCommand::Fid {
            fid,
            key_file,
            expires,
        } => {
            let secret = std::fs::read(key_file).with_context(|| key_file.display().to_string())?;
            FidKey::new(secret.trim_ascii(), expires.as_secs()).make(&fid.to_string(), now_secs())
        }
    };
    println!("{text}");
    Ok(true)
}

/// A time in milliseconds since 1970, for people.
pub fn time(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

fn input() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = std::io::stdin()
        .take(INPUT_BYTES_MAX)
        .read_to_string(&mut text);
    read.context("standard input")?;
    if text.trim().is_empty() {
        bail!("standard input is empty: send it what this is about");
    }
    Ok(text)
}

fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}

fn entry(
    id: &str,
    secret: &str,
    user: &str,
    groups: &[String],
    tenant: Option<&str>,
    expires: Option<SystemTime>,
) -> anyhow::Result<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let hash = secret::hash(secret).map_err(anyhow::Error::msg)?;
    let mut lines = vec![
        "[[key]]".to_owned(),
        format!("id = {}", quoted(id)),
        format!("secret_hash = {}", quoted(&hash)),
        format!("user = {}", quoted(user)),
    ];
    if !groups.is_empty() {
        lines.push(format!("groups = {}", toml::Value::from(groups.to_vec())));
    }
    lines.extend(tenant.map(|tenant| format!("tenant = {}", quoted(tenant))));
    let moment = |at| quoted(&humantime::format_rfc3339_seconds(at).to_string());
    lines.extend(expires.map(|at| format!("expires = {}", moment(at))));
    Ok(lines.join("\n"))
}

fn shown(text: &str) -> anyhow::Result<String> {
    let token = Token::parse(text).map_err(|refused| anyhow!("{refused}"))?;
    let until = token.claims.get("exp").and_then(Value::as_u64);
    let left = until.map(|until| i128::from(until) - i128::from(now_secs()));
    let told = json!({
        "alg": token.header.alg,
        "kid": token.header.kid,
        "claims": token.claims,
        "seconds_left": left.and_then(|left| i64::try_from(left).ok()),
        "signature": "not checked",
    });
    Ok(serde_json::to_string_pretty(&told)?)
}

#[cfg(test)]
mod tests {
    use moongate_auth::keys::KeyFile;

    use super::*;

    #[test]
    fn an_entry_is_one_of_the_key_file() {
        let (id, secret) = secret::make().unwrap();
        let groups = ["a \"b\"".to_owned()];
        let end = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        let text = entry(&id, &secret, "ann", &groups, Some("t"), Some(end)).unwrap();
        let file = KeyFile::parse(text.as_bytes()).unwrap();
        let key = file.key(&id).unwrap();
        assert!(key.secret.is(&secret) && &*key.user == "ann" && key.expires == Some(end));
        assert!(!text.contains(&secret));
    }

    #[test]
    fn a_token_is_shown_and_nothing_else_is() {
        let token = FidKey::new(b"0123456789abcdef", 10).make("3,01637037d6", now_secs());
        let told: Value = serde_json::from_str(&shown(&token).unwrap()).unwrap();
        assert_eq!(told["claims"]["fid"], "3,01637037d6");
        assert!(told["seconds_left"].as_i64().unwrap() <= 10);
        assert!(shown("no token").is_err());
    }
}
