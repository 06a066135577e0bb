//! Groups of a directory server: what the user's entry says (`memberOf`, Active Directory and OpenLDAP's overlay), and entries of groups
//! that name the user (`posixGroup`, RFC 2307, or `groupOfNames`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{LdapConnAsync, LdapConnSettings, Scope, SearchEntry, ldap_escape};
use tokio::sync::Mutex;

use super::Found;
use crate::fetch::client_config;
use crate::watched::{self, FileError};

/// The most groups of one user that are read.
const GROUPS_MAX: usize = 10_000;

/// How a directory server is asked.
#[derive(Clone, Debug)]
pub struct LdapConfig {
    /// `ldap://HOST:PORT` or `ldaps://HOST:PORT`.
    pub url: String,
    /// Begin TLS on `ldap://`.
    pub starttls: bool,
    /// Authorities for TLS (PEM); none: the system's.
    pub ca: Option<PathBuf>,
    /// Who asks; empty: nobody (anonymous).
    pub bind_dn: String,
    /// Its password, read anew for each connection.
    pub bind_password_file: Option<PathBuf>,
    /// Where users are.
    pub user_base: String,
    /// Which entry is the user's: `{user}` is the name, escaped.
    pub user_filter: String,
    /// The attribute of the user's entry that names groups by their DN; empty: none does.
    pub member_of: String,
    /// Where groups are; empty: groups' entries are not asked for.
    pub group_base: String,
    /// Which groups' entries are the user's: `{user}`, `{dn}` (the DN of the entry) and `{gid}` (its `gidNumber`).
    pub group_filter: String,
    /// The attribute that is a group's name.
    pub group_name: String,
    /// How long one lookup may take.
    pub timeout: Duration,
}

impl Default for LdapConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            starttls: false,
            ca: None,
            bind_dn: String::new(),
            bind_password_file: None,
            user_base: String::new(),
            user_filter: "(uid={user})".to_owned(),
            member_of: "memberOf".to_owned(),
            group_base: String::new(),
            group_filter: "(|(&(objectClass=posixGroup)(|(memberUid={user})(gidNumber={gid})))(&(objectClass=groupOfNames)(member={dn})))".to_owned(),
            group_name: "cn".to_owned(),
            timeout: Duration::from_secs(5),
        }
    }
}

/// A directory server.
pub struct Ldap {
    config: LdapConfig,
    settings: LdapConnSettings,
    /// One connection for all, made when it is needed.
    connection: Mutex<Option<ldap3::Ldap>>,
}

/// A user's entry.
struct Entry {
    dn: String,
    gid: String,
    member_of: Vec<String>,
}

impl Ldap {
    /// A server that is asked when it is needed.
    ///
    /// # Errors
    /// The file of authorities.
    pub fn new(config: LdapConfig) -> Result<Self, FileError> {
        let mut settings = LdapConnSettings::new()
            .set_conn_timeout(config.timeout)
            .set_starttls(config.starttls);
        if config.starttls || config.url.starts_with("ldaps:") {
            let tls = client_config(config.ca.as_deref())?;
            settings = settings.set_config(Arc::new(tls));
        }
        Ok(Self {
            config,
            settings,
            connection: Mutex::default(),
        })
    }

    pub(super) async fn find(&self, user: &str) -> Found {
        let asked = tokio::time::timeout(self.config.timeout * 2, self.ask_twice(user));
        match asked.await {
            Ok(Ok(Some(groups))) => Found::Groups(groups),
            Ok(Ok(None)) => Found::Nobody,
            Ok(Err(reason)) => Found::Failed(format!("{}: {reason}", self.config.url)),
            Err(_) => {
                *self.connection.lock().await = None;
                Found::Failed(format!("{}: no answer in time", self.config.url))
            }
        }
    }

    /// A connection that has grown old fails at its next use: then once more by a new one.
    async fn ask_twice(&self, user: &str) -> Result<Option<Vec<String>>, String> {
        let (ldap, old) = self.connected().await?;
        match self.ask(ldap, user).await {
            Err(_) if old => {
                *self.connection.lock().await = None;
                let (ldap, _) = self.connected().await?;
                self.ask(ldap, user).await
            }
            Err(reason) => {
                *self.connection.lock().await = None;
                Err(reason)
            }
            told => told,
        }
    }

    /// A handle of the connection, and whether it was there.
    async fn connected(&self) -> Result<(ldap3::Ldap, bool), String> {
        let mut held = self.connection.lock().await;
        if let Some(ldap) = held.as_mut()
            && !ldap.is_closed()
        {
            return Ok((ldap.clone(), true));
        }
        let ldap = self.connect().await?;
        *held = Some(ldap.clone());
        Ok((ldap, false))
    }

    async fn connect(&self) -> Result<ldap3::Ldap, String> {
        let connected = LdapConnAsync::with_settings(self.settings.clone(), &self.config.url);
        let (connection, mut ldap) = connected.await.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to a directory server ended");
            }
        });
        if !self.config.bind_dn.is_empty() {
            let password = self.password()?;
            ldap.with_timeout(self.config.timeout);
            let bound = ldap.simple_bind(&self.config.bind_dn, &password).await;
            let bound = bound.and_then(ldap3::LdapResult::success);
            bound
                .map_err(|error| format!("it does not let {} in: {error}", self.config.bind_dn))?;
        }
        Ok(ldap)
    }

    fn password(&self) -> Result<String, String> {
        let Some(path) = &self.config.bind_password_file else {
            return Ok(String::new());
        };
        let bytes = watched::read(path).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&bytes)
            .trim_end_matches(['\r', '\n'])
            .to_owned())
    }

    async fn ask(&self, mut ldap: ldap3::Ldap, user: &str) -> Result<Option<Vec<String>>, String> {
        let Some(entry) = self.entry(&mut ldap, user).await? else {
            return Ok(None);
        };
        let mut groups: Vec<String> = entry
            .member_of
            .iter()
            .filter_map(|dn| first_name(dn))
            .collect();
        if !self.config.group_base.is_empty() {
            groups.extend(self.naming(&mut ldap, user, &entry).await?);
        }
        groups.sort();
        groups.dedup();
        groups.truncate(GROUPS_MAX);
        Ok(Some(groups))
    }

    /// The user's entry. More than one is a mistake that would give somebody another's groups.
    async fn entry(&self, ldap: &mut ldap3::Ldap, user: &str) -> Result<Option<Entry>, String> {
        let filter = self
            .config
            .user_filter
            .replace("{user}", &ldap_escape(user));
        let wanted = vec![self.config.member_of.as_str(), "gidNumber"];
        let wanted = wanted.into_iter().filter(|name| !name.is_empty()).collect();
        let mut found = self
            .search(ldap, &self.config.user_base, &filter, wanted)
            .await?;
        if found.len() > 1 {
            return Err(format!(
                "{filter} finds {} entries: make user_filter narrower",
                found.len()
            ));
        }
        Ok(found.pop().map(|mut entry| Entry {
            member_of: values(&mut entry, &self.config.member_of),
            gid: values(&mut entry, "gidNumber").pop().unwrap_or_default(),
            dn: entry.dn,
        }))
    }

    /// The groups whose entries name the user.
    async fn naming(
        &self,
        ldap: &mut ldap3::Ldap,
        user: &str,
        entry: &Entry,
    ) -> Result<Vec<String>, String> {
        // No group has this number: an entry without a number is in none by it.
        let gid = if entry.gid.is_empty() {
            "-1"
        } else {
            &entry.gid
        };
        let filter = self
            .config
            .group_filter
            .replace("{user}", &ldap_escape(user));
        let filter = filter
            .replace("{gid}", &ldap_escape(gid))
            .replace("{dn}", &ldap_escape(entry.dn.as_str()));
        let name = self.config.group_name.as_str();
        let found = self
            .search(ldap, &self.config.group_base, &filter, vec![name])
            .await?;
        Ok(found
            .into_iter()
            .flat_map(|mut group| values(&mut group, name).into_iter().take(1))
            .collect())
    }

    async fn search(
        &self,
        ldap: &mut ldap3::Ldap,
        base: &str,
        filter: &str,
        wanted: Vec<&str>,
    ) -> Result<Vec<SearchEntry>, String> {
        ldap.with_timeout(self.config.timeout);
        let found = ldap.search(base, Scope::Subtree, filter, wanted).await;
        let found = found.and_then(ldap3::SearchResult::success);
        let (entries, _) = found.map_err(|error| error.to_string())?;
        // References to other servers are not followed.
        let entries = entries.into_iter().filter(|entry| !entry.is_ref());
        Ok(entries.map(SearchEntry::construct).collect())
    }
}

/// The values of an attribute, whose name servers write as they like.
fn values(entry: &mut SearchEntry, name: &str) -> Vec<String> {
    let key = entry
        .attrs
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))
        .cloned();
    key.and_then(|key| entry.attrs.remove(&key))
        .unwrap_or_default()
}

/// The value of the first name in a DN: `cn=a\, b,ou=groups` is `a, b`.
fn first_name(dn: &str) -> Option<String> {
    let (_, value) = dn.split_once('=')?;
    let mut name = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'+' => break,
            b'\\' => {
                let next = bytes.next()?;
                let hex = |digit: u8| (digit as char).to_digit(16);
                match (hex(next), bytes.clone().next().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        bytes.next();
                        name.push(u8::try_from(high * 16 + low).ok()?);
                    }
                    _ => name.push(next),
                }
            }
            byte => name.push(byte),
        }
    }
    let name = String::from_utf8(name).ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_name_of_a_dn_is_the_group() {
        for (dn, name) in [
            ("cn=research,ou=groups,dc=x", Some("research")),
            ("CN=a\\, b,DC=x", Some("a, b")),
            ("cn=\\c3\\bc,dc=x", Some("ü")),
            ("cn=a+uid=b,dc=x", Some("a")),
            ("cn=,dc=x", None),
            ("", None),
        ] {
            assert_eq!(first_name(dn).as_deref(), name, "{dn}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_a_failure() {
        let config = LdapConfig {
            url: "ldap://127.0.0.1:1".to_owned(),
            ..LdapConfig::default()
        };
        let Found::Failed(reason) = Ldap::new(config).unwrap().find("ann").await else {
            panic!("nobody answers there");
        };
        assert!(reason.contains("127.0.0.1:1"), "{reason}");
    }

    proptest! {
        #[test]
        fn no_dn_panics(dn in "\\PC{0,40}") {
            let _ = first_name(&dn);
        }
    }
}
