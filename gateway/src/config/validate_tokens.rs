//! Checks of `[tls]`, `[[auth.jwt]]`, `[auth.keys]`, `[auth.groups]` and `[[tenant]]`.

use std::path::Path;

use moongate_auth::jwt::claims::LEEWAY_SECS_MAX;
use moongate_auth::jwt::issuer_url_problem;
use moongate_auth::jwt::jwk::Algorithm;
use moongate_auth::jwt::rules::check_rule;
use moongate_cache::SHARES_PERCENT_MAX;

use super::validate::Checks;
use super::{AuthMethod, Config, GroupSource, JwtConfig};
use crate::tenancy;

pub(super) fn check(checks: &mut Checks<'_>) {
    methods(checks);
    tls(checks);
    for issuer in &checks.config.auth.jwt {
        for (message, help) in issuer_problems(issuer) {
            checks.wrong(
                &["auth", "jwt"],
                format!("issuer {:?}: {message}", issuer.issuer),
                help.to_owned(),
            );
        }
    }
    groups(checks);
    if let Err(message) = tenancy::open(&checks.config.tenant) {
        checks.wrong(&["tenant"], message, String::new());
    }
    cache_shares(checks);
}

/// Parts of the cache that tenants have.
fn cache_shares(checks: &mut Checks<'_>) {
    let config: &Config = checks.config;
    let percent: u32 = config.tenant.iter().map(|t| u32::from(t.cache_share)).sum();
    if percent > SHARES_PERCENT_MAX {
        let message = format!("the tenants' cache_share are {percent} percent together");
        let help = format!("write {SHARES_PERCENT_MAX} or less: the rest is for everybody else");
        checks.wrong(&["tenant", "cache_share"], message, help);
    }
    for tenant in &config.tenant {
        if tenant.cache_share > 0 && tenant.paths.is_empty() {
            let message = format!("tenant {:?}: cache_share without paths", tenant.name);
            let help = "name the folders whose files the share is for: paths".to_owned();
            checks.wrong(&["tenant", "cache_share"], message, help);
        }
    }
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

/// What is switched on needs something to work with.
fn methods(checks: &mut Checks<'_>) {
    let config: &Config = checks.config;
    let auth = &config.auth;
    let needs = [
        (
            AuthMethod::Jwt,
            "jwt",
            !auth.jwt.is_empty(),
            "write whose tokens are taken: [[auth.jwt]]",
        ),
        (
            AuthMethod::AccessKey,
            "access-key",
            is_set(&auth.keys.file),
            "write the file with the keys: auth.keys.file",
        ),
        (
            AuthMethod::Certificate,
            "certificate",
            is_set(&config.tls.client_ca),
            "write whose client certificates are taken: tls.client_ca",
        ),
    ];
    for (method, name, is_there, help) in needs {
        checks.check(
            !auth.methods.contains(&method) || is_there,
            "auth.methods",
            || {
                (
                    format!("auth.methods names {name:?}, and nothing says which are good"),
                    help.to_owned(),
                )
            },
        );
    }
}

fn tls(checks: &mut Checks<'_>) {
    let tls = &checks.config.tls;
    let both = is_set(&tls.cert) == is_set(&tls.key);
    checks.check(both, "tls.cert", || {
        let help = "write both: the certificate and its key (PEM)";
        (
            "tls.cert and tls.key go together".to_owned(),
            help.to_owned(),
        )
    });
    let alone = !tls.is_on() && (is_set(&tls.client_ca) || tls.client_required);
    checks.check(!alone, "tls.client_ca", || {
        let help = "client certificates are shown by TLS: write tls.cert and tls.key";
        ("tls.client_ca without tls.cert".to_owned(), help.to_owned())
    });
    checks.check(
        !tls.client_required || is_set(&tls.client_ca),
        "tls.client_required",
        || {
            let help = "write whose client certificates are taken: tls.client_ca";
            (
                "tls.client_required without tls.client_ca".to_owned(),
                help.to_owned(),
            )
        },
    );
}

fn issuer_problems(issuer: &JwtConfig) -> Vec<(String, &'static str)> {
    let mut problems = Vec::new();
    let mut told = |is_wrong: bool, message: String, help| {
        if is_wrong {
            problems.push((message, help));
        }
    };
    told(
        issuer.issuer.is_empty(),
        "it has no name".to_owned(),
        "write what its tokens have as iss: issuer = \"https://…\"",
    );
    told(
        issuer.audiences.is_empty(),
        "it has no audiences".to_owned(),
        "write for whom its tokens are, such as audiences = [\"moongate\"]: tokens for others would be taken too",
    );
    let leeway = issuer.leeway.duration().as_secs();
    told(
        leeway > LEEWAY_SECS_MAX,
        format!("leeway = {leeway} s is too long"),
        "write at most 5m",
    );
    for name in &issuer.algorithms {
        told(
            Algorithm::named(name).is_none(),
            format!("algorithm {name:?} is not taken"),
            "write some of RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA",
        );
    }
    for rule in &issuer.rules {
        let wrong = check_rule(rule).err();
        told(wrong.is_some(), wrong.unwrap_or_default(), "");
    }
    if !is_set(&issuer.jwks_file) {
        let url = if issuer.jwks_url.is_empty() {
            &issuer.issuer
        } else {
            &issuer.jwks_url
        };
        let wrong = issuer_url_problem(url);
        told(
            wrong.is_some(),
            wrong.unwrap_or_default(),
            "write jwks_url = \"https://…\" or jwks_file",
        );
    }
    problems
}

fn groups(checks: &mut Checks<'_>) {
    let groups = &checks.config.auth.groups;
    let ldap = &groups.ldap;
    let file = groups.sources.contains(&GroupSource::File) && !is_set(&groups.file);
    checks.check(!file, "auth.groups.sources", || {
        (
            "auth.groups.sources names \"file\", and there is no auth.groups.file".to_owned(),
            "write the file".to_owned(),
        )
    });
    let by_ranger = groups.sources.contains(&GroupSource::Ranger);
    let no_admin = checks.config.policy.admin.is_empty();
    checks.check(!(by_ranger && no_admin), "auth.groups.sources", || {
        (
            "auth.groups.sources names \"ranger\", and no Ranger Admin is asked".to_owned(),
            "write policy.admin and policy.service".to_owned(),
        )
    });
    let is_url = ldap.url.starts_with("ldap://") || ldap.url.starts_with("ldaps://");
    let is_ready = is_url && !ldap.user_base.is_empty() && ldap.user_filter.contains("{user}");
    checks.check(!groups.sources.contains(&GroupSource::Ldap) || is_ready, "auth.groups.sources", || {
        let help = "write auth.groups.ldap.url = \"ldap://HOST\" (or ldaps://), user_base, and a user_filter with {user}";
        ("auth.groups.sources names \"ldap\", and it is not said how it is asked".to_owned(), help.to_owned())
    });
    let starttls = ldap.starttls && ldap.url.starts_with("ldaps:");
    checks.check(!starttls, "auth.groups.ldap.starttls", || {
        (
            "ldaps:// is TLS already".to_owned(),
            "leave starttls out, or write ldap://".to_owned(),
        )
    });
}
