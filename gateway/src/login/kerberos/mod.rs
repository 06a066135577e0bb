//! Kerberos on the way in: a ticket after `Authorization: Negotiate`, the cookie that follows it, and delegation tokens.

mod cookie;
mod negotiate;
pub mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use moongate_auth::kerberos::{Acceptor, Kept, Lifetimes, Mechanism, NameRules};
use moongate_auth::{Failure, Identity, LoginError, Method};

pub(super) use self::cookie::{cleared, shown as cookie_shown, verify as by_cookie};
pub(super) use self::negotiate::accept as by_ticket;
pub(super) use self::tokens::verify as by_token;
use super::simple;
use crate::config::{AuthMethod, Config, NameMechanism, Span};

/// How often the keys of cookies and tokens are looked at, whether it is time for new ones.
const TEND_EVERY: Duration = Duration::from_secs(60);

/// What is needed to take tickets, cookies and tokens.
#[derive(Debug)]
pub struct Kerberos {
    /// Looks at tickets.
    pub acceptor: Arc<Acceptor>,
    rules: NameRules,
    kept: Kept,
    /// Cookies are for encrypted connections alone.
    secure: bool,
}

impl Kerberos {
    /// As configured; `None` if Kerberos is not switched on.
    ///
    /// # Errors
    /// The keytab, the rules or the file of secrets cannot be used.
    pub fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        if !config.auth.methods.contains(&AuthMethod::Kerberos) {
            return Ok(None);
        }
        let kerberos = &config.auth.kerberos;
        let acceptor = Acceptor::open(&kerberos.keytab)?;
        let keys = acceptor.keys()?;
        let realm = if kerberos.default_realm.is_empty() {
            let first = keys.first().and_then(|key| key.split_once('@'));
            first.map_or(String::new(), |(_, realm)| realm.to_owned())
        } else {
            kerberos.default_realm.clone()
        };
        let mechanism = match kerberos.mechanism {
            NameMechanism::Hadoop => Mechanism::Hadoop,
            NameMechanism::Mit => Mechanism::Mit,
        };
        tracing::info!(
            keys = keys.join(" "),
            default_realm = realm,
            "Kerberos tickets are taken"
        );
        let rules = NameRules::parse(&kerberos.auth_to_local, mechanism, realm)?;
        let kept = Kept::open(secrets_file(config)?, lifetimes(config), now_ms())
            .context("opening the secrets of cookies and tokens (auth.kerberos.secrets)")?;
        Ok(Some(Self {
            acceptor: Arc::new(acceptor),
            rules,
            kept,
            secure: config.tls.is_on(),
        }))
    }

    /// Who has this principal.
    pub(super) fn identity(&self, principal: &str) -> Result<Identity, LoginError> {
        let user = self.rules.short(principal)?;
        Ok(Identity {
            principal: principal.into(),
            ..simple::identity(&user, Method::Kerberos)
        })
    }

    /// Whether this is the principal, or the short name, of somebody: Hadoop's clients say either.
    pub(super) fn is_called(&self, identity: &Identity, said: &str) -> bool {
        *identity.user == *said
            || *identity.principal == *said
            || self
                .rules
                .short(said)
                .is_ok_and(|short| short == *identity.user && said.contains('@'))
    }

    /// Makes new keys when it is time, for as long as the gateway runs.
    pub async fn tend(&self) {
        loop {
            tokio::time::sleep(TEND_EVERY).await;
            let tended = tokio::task::block_in_place(|| self.kept.tend(now_ms()));
            if let Err(error) = tended {
                tracing::error!(%error, "no new key for cookies and tokens can be made: the old one stays in use");
            }
        }
    }
}

fn lifetimes(config: &Config) -> Lifetimes {
    let ms = |span: Span| i64::try_from(span.duration().as_millis()).unwrap_or(i64::MAX / 4);
    let kerberos = &config.auth.kerberos;
    Lifetimes {
        cookie_ms: ms(kerberos.cookie_validity),
        token_renew_ms: ms(kerberos.token_renew),
        token_max_ms: ms(kerberos.token_max),
        roll_ms: ms(kerberos.key_roll),
    }
}

fn secrets_file(config: &Config) -> anyhow::Result<PathBuf> {
    let configured = &config.auth.kerberos.secrets;
    if !configured.as_os_str().is_empty() {
        return Ok(configured.clone());
    }
    let first = config.haystack.data.first();
    let first = first.context("haystack.data names no folder")?;
    Ok(first.join("auth/secrets.json"))
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// What is shown belongs to Kerberos, which is not in use.
pub(super) fn not_in_use(what: &str) -> LoginError {
    let text = format!("{what} belongs to Kerberos, which is not in use here (auth.methods)");
    LoginError::new(Failure::NotAllowed, text)
}
