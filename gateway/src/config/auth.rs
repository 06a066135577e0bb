//! `[auth]`: who is let in, and how they show who they are. Doc comments here become `docs/config.md`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::mount::names;
use super::units::Span;

/// Who is let in, by every port. With nothing here everybody is, who can connect: on loopback only, unless `allow_anonymous` says more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
#[allow(
    missing_docs,
    reason = "a section is documented on its own type, from where the reference takes it"
)]
pub struct AuthConfig {
    /// Ways of logging in: `"anonymous"` (nobody need say who they are), `"simple"` (`user.name=` is believed), `"kerberos"`
    /// (tickets by SPNEGO, the cookie that follows one, and Hadoop's delegation tokens). Any that is named here is
    /// enough; whoever shows none is refused with 401, but for `/healthz` and `/readyz`. `[]`: nobody is asked.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub methods: Vec<AuthMethod>,
    pub simple: SimpleConfig,
    pub kerberos: KerberosConfig,
    /// Users that may act for others (`doas=`).
    pub proxy_user: BTreeMap<String, ProxyUserConfig>,
}

impl AuthConfig {
    /// Whether everybody must show who they are.
    pub fn asks(&self) -> bool {
        !self.methods.is_empty() && !self.methods.contains(&AuthMethod::Anonymous)
    }
}

/// A way of logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AuthMethod {
    /// Nobody need say who they are.
    Anonymous,
    /// `user.name=` is believed.
    Simple,
    /// Kerberos tickets by SPNEGO, the cookie that follows one, and delegation tokens.
    Kerberos,
}

/// Hadoop's "simple" authentication: `user.name=` says who it is, and is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct SimpleConfig {
    /// Believe it from other machines too: whoever reaches the gateway can be anybody.
    pub beyond_loopback: bool,
}

/// Kerberos: tickets by SPNEGO (`curl --negotiate`), the `hadoop.auth` cookie that spares the next one, and delegation tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct KerberosConfig {
    /// File with the keys of `HTTP/<host>`, for each name that clients call the gateway by. It is read again when it changes.
    pub keytab: PathBuf,
    /// How a principal becomes a short name: `hadoop.security.auth_to_local`'s rules, such as `RULE:[2:$1@$0](nn@.*)s/.*/hdfs/ DEFAULT`.
    pub auth_to_local: String,
    /// What those rules may make.
    pub mechanism: NameMechanism,
    /// The realm that the rule `DEFAULT` takes away. Empty: that of the keytab's first key for HTTP.
    pub default_realm: String,
    /// File with the secrets that sign cookies and tokens, made when it is missing. Gateways that share it take each other's cookies and
    /// tokens. Empty: `auth/secrets.json` in the first folder of `haystack.data`.
    pub secrets: PathBuf,
    /// How long a cookie is good.
    pub cookie_validity: Span,
    /// How long a delegation token is good that is not renewed.
    pub token_renew: Span,
    /// How long a delegation token is good at most.
    pub token_max: Span,
    /// How often a new key is made for cookies and tokens. Old ones are good for as long as what they signed.
    pub key_roll: Span,
}

impl Default for KerberosConfig {
    fn default() -> Self {
        const HOUR_SECS: u64 = 3600;
        Self {
            keytab: PathBuf::new(),
            auth_to_local: "DEFAULT".to_owned(),
            mechanism: NameMechanism::default(),
            default_realm: String::new(),
            secrets: PathBuf::new(),
            cookie_validity: Span::from_secs(10 * HOUR_SECS),
            token_renew: Span::from_secs(24 * HOUR_SECS),
            token_max: Span::from_secs(7 * 24 * HOUR_SECS),
            key_roll: Span::from_secs(24 * HOUR_SECS),
        }
    }
}

/// What `auth_to_local` may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NameMechanism {
    /// Short names only; a principal that no rule is for is refused.
    #[default]
    Hadoop,
    /// Any name; a principal that no rule is for keeps its full name.
    Mit,
}

/// A user who may act for others (`doas=`), as Hadoop's `hadoop.proxyuser.NAME.users`, `.groups` and `.hosts` have it. Users or groups
/// must cover the other, and hosts the address that is called from; what is left out allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct ProxyUserConfig {
    /// Users it may act for; `"*"`: any.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub users: Vec<String>,
    /// Groups whose members it may act for; `"*"`: any.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub groups: Vec<String>,
    /// Addresses (`"10.0.0.7"`) and networks (`"10.0.0.0/8"`) it may call from; `"*"`: any.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub hosts: Vec<String>,
}
