//! `[auth]`: who is let in, and how they show who they are. Doc comments here become `docs/config.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::mount::names;

/// Who is let in, by every port. With nothing here everybody is, who can connect: on loopback only, unless `allow_anonymous` says more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
#[allow(
    missing_docs,
    reason = "a section is documented on its own type, from where the reference takes it"
)]
pub struct AuthConfig {
    /// Ways of logging in: `"anonymous"` (nobody need say who they are), `"simple"` (`user.name=` is believed). Any that is named here is
    /// enough; whoever shows none is refused with 401, but for `/healthz` and `/readyz`. `[]`: nobody is asked.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub methods: Vec<AuthMethod>,
    pub simple: SimpleConfig,
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
}

/// Hadoop's "simple" authentication: `user.name=` says who it is, and is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct SimpleConfig {
    /// Believe it from other machines too: whoever reaches the gateway can be anybody.
    pub beyond_loopback: bool,
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
