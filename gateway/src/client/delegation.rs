//! `moongate token get|renew|cancel`: Hadoop's delegation tokens of a gateway, by its WebHDFS.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use http::{HeaderValue, Method};
use moongate_auth::kerberos::Initiator;
use serde_json::Value;

use super::access::Access;
use super::address::Server;
use super::error::ClientError;
use super::http::{Call, Http};

/// Where the operations are asked for.
const PATH: &str = "/webhdfs/v1/";
/// The longest token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Which gateway, and who asks.
#[derive(Clone, Debug, Args)]
pub struct Desk {
    /// File port of the gateway
    #[arg(value_name = "URL", env = "MOONGATE_URL", hide_env_values = true, value_parser = Server::parse, default_value = "127.0.0.1:8888")]
    pub server: Server,
    /// How it is trusted, and what shows who asks. Without a token: the Kerberos ticket that kinit got.
    #[command(flatten)]
    pub access: Access,
}

/// Which token.
#[derive(Clone, Debug, Args)]
pub struct Held {
    /// File with the delegation token, as `moongate token get` wrote it [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl Desk {
    /// A new token, in its form for URLs.
    ///
    /// # Errors
    /// The gateway cannot be reached, or refuses; it gives none.
    pub(super) async fn get(&self, renewer: Option<&str>) -> Result<String, ClientError> {
        let mut query = query("GETDELEGATIONTOKEN");
        if let Some(renewer) = renewer {
            query.append_pair("renewer", renewer);
        }
        let told = self.ask(Method::GET, &query.finish()).await?;
        let token = told["Token"]["urlString"].as_str();
        let token = token.ok_or_else(|| {
            ClientError::Impossible(
                "the gateway gives no delegation tokens: it takes no Kerberos tickets (auth.methods)".to_owned(),
            )
        })?;
        Ok(token.to_owned())
    }

    /// Makes a token good for longer; until when, in milliseconds since 1970.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub(super) async fn renew(&self, held: &Held) -> Result<i64, ClientError> {
        let mut query = query("RENEWDELEGATIONTOKEN");
        query.append_pair("token", &held.token()?);
        let told = self.ask(Method::PUT, &query.finish()).await?;
        let until_ms = told["long"].as_i64();
        until_ms.ok_or_else(|| ClientError::Answer("no time was told".to_owned()))
    }

    /// Ends a token.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub(super) async fn cancel(&self, held: &Held) -> Result<(), ClientError> {
        let mut query = query("CANCELDELEGATIONTOKEN");
        query.append_pair("token", &held.token()?);
        self.ask(Method::PUT, &query.finish()).await.map(drop)
    }

    async fn ask(&self, method: Method, query: &str) -> Result<Value, ClientError> {
        let mut http = Http::open(self.server.clone(), &self.access)?;
        if !http.shows_somebody() {
            http = http.showing(self.ticket().await?);
        }
        let (_, told) = http
            .send_and_read(Call::new(method, PATH).query(query))
            .await?;
        if told.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&told)
            .map_err(|_| ClientError::Answer("what came is not JSON".to_owned()))
    }

    /// What shows the ticket of whoever runs this.
    async fn ticket(&self) -> Result<HeaderValue, ClientError> {
        let host = self.server.host().to_owned();
        // It may ask a KDC, and waits for it.
        let asked =
            tokio::task::spawn_blocking(move || Initiator::of_tickets().authorization(&host));
        let asked = asked.await.map_err(|error| error.to_string()).flatten();
        let shown = asked.map_err(|text| {
            ClientError::Usage(format!(
                "{text}; run kinit, or name a token that shows who asks: --token-file"
            ))
        })?;
        let mut shown = HeaderValue::from_str(&shown)
            .map_err(|error| ClientError::Impossible(error.to_string()))?;
        shown.set_sensitive(true);
        Ok(shown)
    }
}

impl Held {
    fn token(&self) -> Result<String, ClientError> {
        let (name, text) = match &self.file {
            Some(path) => (path.as_path(), std::fs::read_to_string(path)),
            None => {
                let mut text = String::new();
                let read = std::io::stdin()
                    .take(TOKEN_BYTES_MAX)
                    .read_to_string(&mut text);
                (Path::new("standard input"), read.map(|_| text))
            }
        };
        let text = text.map_err(|error| ClientError::Local {
            path: name.to_owned(),
            error,
        })?;
        match text.trim() {
            "" => Err(ClientError::Usage(format!(
                "{}: there is no token in it",
                name.display()
            ))),
            token => Ok(token.to_owned()),
        }
    }
}

fn query(op: &str) -> form_urlencoded::Serializer<'static, String> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("op", op);
    query
}

/// Writes a line to standard output.
pub(super) fn tell(text: &str) -> Result<(), ClientError> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| ClientError::Local {
        path: "standard output".into(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_without_what_is_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let held = Held {
            file: Some(path.clone()),
        };
        assert!(held.token().is_err(), "there is none");
        std::fs::write(&path, " \n").unwrap();
        assert!(held.token().is_err(), "it is empty");
        std::fs::write(&path, "IAAFYWxpY2U\n").unwrap();
        assert_eq!(held.token().unwrap(), "IAAFYWxpY2U");
    }
}
