//! `[[auth.jwt]]`, `[auth.keys]`, `[auth.groups]` and `[image.jwt]`: tokens, access keys, and the groups of users. Doc comments here become
//! `docs/config.md`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::mount::names;
use super::units::Span;

/// An issuer of JSON web tokens (OIDC; a Kubernetes cluster is one for its service accounts). Tokens come as `Authorization: Bearer TOKEN`.
/// Needs `"jwt"` in `auth.methods`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct JwtConfig {
    /// What tokens have as `iss`, byte for byte, such as `"https://kubernetes.default.svc"`. Its keys are found by
    /// `ISSUER/.well-known/openid-configuration`, unless `jwks_url` or `jwks_file` is set.
    pub issuer: String,
    /// Who tokens must be for: one of these must be in `aud`.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub audiences: Vec<String>,
    /// Where the issuer's keys are (JSON Web Key Set). `https://`; `http://` from loopback only.
    pub jwks_url: String,
    /// File with the issuer's keys, read again when it changes.
    pub jwks_file: PathBuf,
    /// Authorities that the issuer's certificate is signed by (PEM), such as
    /// `"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"`. Empty: those of the system.
    pub ca: PathBuf,
    /// File with a token that is shown to the issuer, such as `"/var/run/secrets/kubernetes.io/serviceaccount/token"`.
    pub bearer_file: PathBuf,
    /// How far the clocks may differ.
    pub leeway: Span,
    /// Algorithms that are taken, of those that the keys are for: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`,
    /// `EdDSA`. Empty: all of these.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub algorithms: Vec<String>,
    /// The claim that is the user's name, where no rule gives one. Empty: a token that no rule fits is refused.
    pub user_claim: String,
    /// The claim with the user's groups. A token without it says nothing of groups: they are looked up (`[auth.groups]`). Empty: always.
    pub groups_claim: String,
    /// The claim with the user's tenant. Empty: no claim has it.
    pub tenant_claim: String,
    /// This is a Kubernetes cluster's issuer: its service accounts are users by their full names (`system:serviceaccount:NAMESPACE:NAME`),
    /// in the groups `system:serviceaccounts` and `system:serviceaccounts:NAMESPACE`. Other issuers' names may not begin so.
    pub kubernetes: bool,
    /// Rules, of which the first that fits decides: `{ matches = "system:serviceaccount:team-*:*", user = "{1}-{2}", groups = ["team-{1}"],
    /// tenant = "{1}" }`. `matches` is held against all of `claim` (`"sub"`); `*` is any text without `:`, and `{1}`, `{2}` are what the
    /// stars took. What a rule leaves out is as without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(schema_with = "rules"))]
    pub rules: Vec<moongate_auth::jwt::rules::Rule>,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audiences: Vec::new(),
            jwks_url: String::new(),
            jwks_file: PathBuf::new(),
            ca: PathBuf::new(),
            bearer_file: PathBuf::new(),
            leeway: Span::from_secs(30),
            algorithms: Vec::new(),
            user_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            tenant_claim: String::new(),
            kubernetes: false,
            rules: Vec::new(),
        }
    }
}

#[cfg(test)]
fn rules(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "array", "format": "rules"})
}

/// Access keys: an id and a secret, by HTTP Basic or as `Authorization: Bearer ID:SECRET`. Needs `"access-key"` in `auth.methods`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct KeysConfig {
    /// File with the keys (docs/tokens-and-tenants.md), read again when it changes. `moongate token key` makes its entries. Empty: there are
    /// none.
    pub file: PathBuf,
}

/// Where the groups of users come from, whose login does not tell them. A lookup that fails makes them unknown, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
#[allow(
    missing_docs,
    reason = "a section is documented on its own type, from where the reference takes it"
)]
pub struct GroupsConfig {
    /// Who is asked, in this order; the first that knows the user tells: `"file"`, `"ldap"`, `"os"` (this machine's `/etc/group`),
    /// `"ranger"` (the user store of `policy.admin`). They are asked only where `auth.methods` asks people who they are.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub sources: Vec<GroupSource>,
    /// File of lines `USER: GROUP, GROUP`, read again when it changes.
    pub file: PathBuf,
    /// How long an answer is kept; it is asked for again behind a request when three quarters of it have passed.
    pub ttl: Span,
    /// How long a failure is kept, and that nobody knows a user.
    pub negative_ttl: Span,
    pub ldap: LdapSection,
}

impl Default for GroupsConfig {
    fn default() -> Self {
        Self {
            sources: vec![GroupSource::Os],
            file: PathBuf::new(),
            ttl: Span::from_secs(300),
            negative_ttl: Span::from_secs(30),
            ldap: LdapSection::default(),
        }
    }
}

/// Who tells groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupSource {
    /// A file.
    File,
    /// A directory server.
    Ldap,
    /// The operating system.
    Os,
    /// Ranger's user store.
    Ranger,
}

/// A directory server that knows groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct LdapSection {
    /// `"ldap://HOST:PORT"` or `"ldaps://HOST:PORT"`.
    pub url: String,
    /// Begin TLS on `ldap://`.
    pub starttls: bool,
    /// Authorities of its certificate (PEM). Empty: those of the system.
    pub ca: PathBuf,
    /// Who asks. Empty: anonymous.
    pub bind_dn: String,
    /// File with the password of `bind_dn`.
    pub bind_password_file: PathBuf,
    /// Where users are, such as `"ou=people,dc=example,dc=com"`.
    pub user_base: String,
    /// Which entry is a user's; `{user}` is the name.
    pub user_filter: String,
    /// Attribute of the user's entry that names groups by their DN. Empty: none does.
    pub member_of: String,
    /// Where groups are. Empty: only `member_of` tells.
    pub group_base: String,
    /// Which groups' entries are a user's; `{user}` is the name, `{dn}` the user's entry, `{gid}` its `gidNumber`.
    pub group_filter: String,
    /// Attribute of a group's entry that is its name.
    pub group_name: String,
    /// How long one question may take.
    pub timeout: Span,
}

impl Default for LdapSection {
    fn default() -> Self {
        let default = moongate_auth::groups::LdapConfig::default();
        Self {
            url: String::new(),
            starttls: false,
            ca: PathBuf::new(),
            bind_dn: String::new(),
            bind_password_file: PathBuf::new(),
            user_base: String::new(),
            user_filter: default.user_filter,
            member_of: default.member_of,
            group_base: String::new(),
            group_filter: default.group_filter,
            group_name: default.group_name,
            timeout: Span::from_secs(default.timeout.as_secs()),
        }
    }
}

/// SeaweedFS's tokens for one file id (`security.toml`'s `[jwt.signing]`): with them SeaweedFS's clients write, and read, where nothing else
/// says who they are. `/dir/assign` and `/dir/lookup` give them out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct FidJwtConfig {
    /// File with the secret of tokens to write and delete. Empty: writes need none.
    pub write_key_file: PathBuf,
    /// How long tokens to write live.
    pub write_expires: Span,
    /// File with the secret of tokens to read. Empty: reads need none.
    pub read_key_file: PathBuf,
    /// How long tokens to read live.
    pub read_expires: Span,
}

impl Default for FidJwtConfig {
    fn default() -> Self {
        Self {
            write_key_file: PathBuf::new(),
            write_expires: Span::from_secs(10),
            read_key_file: PathBuf::new(),
            read_expires: Span::from_secs(60),
        }
    }
}
