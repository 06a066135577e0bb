//! What the `Authorization` header and a client's certificate show: tokens of issuers, access keys, certificates; and the groups of whoever
//! logged in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use moongate_auth::fetch::HttpFetch;
use moongate_auth::groups::{CachedGroups, GroupFile, Ldap, LdapConfig, Lifetimes, Source};
use moongate_auth::jwt::claims::Required;
use moongate_auth::jwt::jwk::Algorithm;
use moongate_auth::jwt::rules::Mapping;
use moongate_auth::jwt::{Issuer, IssuerConfig, KeysFrom, Verified, Verifier};
use moongate_auth::keys::Keys;
use moongate_auth::tls::{ClientCertificate, NameFrom};
use moongate_auth::watched::FileError;
use moongate_auth::{Failure, Groups};

use super::{Known, Refusal};
use crate::config::{AuthMethod, Config, GroupSource, JwtConfig, LdapSection};
use crate::policy::source::Policies;

/// The longest credentials of HTTP Basic that are looked at, in bytes.
const BASIC_BYTES_MAX: usize = 1024;

/// What checks tokens, keys and certificates, and knows groups.
#[derive(Debug)]
pub struct Tokens {
    methods: Vec<AuthMethod>,
    jwt: Verifier,
    keys: Option<Keys>,
    certificates: NameFrom,
    groups: Arc<CachedGroups>,
}

impl Tokens {
    /// As configured. Issuers and directory servers are not asked before somebody comes.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn open(config: &Config, policies: &Arc<Policies>) -> Result<Self, FileError> {
        let auth = &config.auth;
        let issuers = auth.jwt.iter().map(issuer).collect::<Result<_, _>>()?;
        let keys = some(&auth.keys.file).map(Keys::open).transpose()?;
        let lifetimes = Lifetimes {
            known: auth.groups.ttl.duration(),
            negative: auth.groups.negative_ttl.duration(),
        };
        Ok(Self {
            methods: auth.methods.clone(),
            jwt: Verifier::new(issuers),
            keys,
            certificates: config.tls.client_name.into(),
            groups: CachedGroups::new(sources(config, policies)?, lifetimes),
        })
    }

    /// Whether there is anything to be shown as `Authorization: Bearer`.
    pub fn takes_bearer(&self) -> bool {
        let bearers = [AuthMethod::Jwt, AuthMethod::AccessKey];
        bearers.iter().any(|method| self.methods.contains(method))
    }

    /// The groups of a user.
    pub async fn groups_of(&self, user: &str) -> Groups {
        self.groups.of(user).await
    }

    /// Who has this token, or this `ID:SECRET`.
    pub(super) async fn bearer(&self, text: &str) -> Result<Known, Refusal> {
        if text.contains(':') {
            return Ok(known(self.keys()?.verify_pair(text)?));
        }
        if !self.methods.contains(&AuthMethod::Jwt) {
            return Err(switched_off("jwt"));
        }
        Ok(known(self.jwt.verify(text).await?))
    }

    /// Who has this access key, by HTTP Basic.
    pub(super) fn basic(&self, text: &str) -> Result<Known, Refusal> {
        let keys = self.keys()?;
        let malformed =
            || Refusal::new(Failure::Malformed, "HTTP Basic is the base64 of ID:SECRET");
        if text.len() > BASIC_BYTES_MAX {
            return Err(malformed());
        }
        let pair = STANDARD.decode(text).map_err(|_| malformed())?;
        let pair = String::from_utf8(pair).map_err(|_| malformed())?;
        Ok(known(keys.verify_pair(&pair)?))
    }

    fn keys(&self) -> Result<&Keys, Refusal> {
        let keys = self.keys.as_ref();
        keys.filter(|_| self.methods.contains(&AuthMethod::AccessKey))
            .ok_or_else(|| switched_off("access-key"))
    }

    /// Who the connection's client certificate shows.
    pub(super) fn certified(&self, parts: &Parts) -> Option<Result<Known, Refusal>> {
        if !self.methods.contains(&AuthMethod::Certificate) {
            return None;
        }
        let certificate = parts.extensions.get::<Arc<ClientCertificate>>()?;
        let text = "the client certificate has no name that can be a user (tls.client_name)";
        let identity = certificate.identity(self.certificates).map(Known::new);
        Some(identity.ok_or_else(|| Refusal::new(Failure::BadName, text)))
    }
}

fn known(verified: Verified) -> Known {
    Known {
        groups_told: verified.groups_told,
        ..Known::new(verified.identity)
    }
}

fn switched_off(method: &str) -> Refusal {
    let text = format!(
        "Authentication required: this way of logging in is not switched on here (auth.methods does not name \"{method}\")"
    );
    Refusal::new(Failure::NotAllowed, text)
}

fn some(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

fn issuer(config: &JwtConfig) -> Result<Arc<Issuer>, FileError> {
    let fetch = HttpFetch::new(some(&config.ca).as_deref(), some(&config.bearer_file))?;
    let keys = match (some(&config.jwks_file), config.jwks_url.as_str()) {
        (Some(file), _) => KeysFrom::File(file),
        (None, "") => KeysFrom::Discovery,
        (None, url) => KeysFrom::Url(url.to_owned()),
    };
    let algorithms = config.algorithms.iter();
    let made = IssuerConfig {
        name: config.issuer.clone(),
        keys,
        required: Required {
            audiences: config.audiences.clone(),
            leeway_secs: config.leeway.duration().as_secs(),
        },
        algorithms: algorithms
            .filter_map(|name| Algorithm::named(name))
            .collect(),
        mapping: Mapping {
            rules: config.rules.clone(),
            user_claim: config.user_claim.clone(),
            groups_claim: config.groups_claim.clone(),
            tenant_claim: config.tenant_claim.clone(),
            kubernetes: config.kubernetes,
        },
    };
    Issuer::new(made, Arc::new(fetch))
}

fn sources(config: &Config, policies: &Arc<Policies>) -> Result<Vec<Source>, FileError> {
    let groups = &config.auth.groups;
    let source = |source: &GroupSource| {
        Ok(match source {
            GroupSource::File => Source::File(GroupFile::open(groups.file.clone())?),
            GroupSource::Ldap => Source::Ldap(Box::new(Ldap::new(ldap(&groups.ldap))?)),
            GroupSource::Os => Source::Os,
            GroupSource::Ranger => {
                let policies = Arc::clone(policies);
                Source::Map(Arc::new(move |user| policies.groups_of(user)))
            }
        })
    };
    groups.sources.iter().map(source).collect()
}

fn ldap(section: &LdapSection) -> LdapConfig {
    LdapConfig {
        url: section.url.clone(),
        starttls: section.starttls,
        ca: some(&section.ca),
        bind_dn: section.bind_dn.clone(),
        bind_password_file: some(&section.bind_password_file),
        user_base: section.user_base.clone(),
        user_filter: section.user_filter.clone(),
        member_of: section.member_of.clone(),
        group_base: section.group_base.clone(),
        group_filter: section.group_filter.clone(),
        group_name: section.group_name.clone(),
        timeout: section.timeout.duration(),
    }
}
