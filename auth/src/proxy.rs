//! Proxy users: who may act for whom (`doas=`), and from where. The rules are those of Hadoop's `hadoop.proxyuser.<name>.*`
//! (`org.apache.hadoop.security.authorize.DefaultImpersonationProvider`), by short user name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::{Failure, Groups, LoginError};

/// What one proxy user may. Empty lists allow nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRule {
    /// Users that it may act for; `*`: any.
    pub users: Vec<String>,
    /// Groups whose members it may act for; `*`: any.
    pub groups: Vec<String>,
    /// Addresses (`10.0.0.7`) and networks (`10.0.0.0/8`) it may call from; `*`: any.
    pub hosts: Vec<String>,
}

/// All proxy users, by short name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyUsers {
    rules: BTreeMap<String, ProxyRule>,
}

impl ProxyUsers {
    /// Of these rules.
    pub const fn new(rules: BTreeMap<String, ProxyRule>) -> Self {
        Self { rules }
    }

    /// Whether `real` may act for `user`, whose groups are these, from this address.
    ///
    /// # Errors
    /// [`Failure::Impersonation`], in the words of Hadoop, with the setting that is missing.
    pub fn check(
        &self,
        real: &str,
        user: &str,
        groups: &Groups,
        from: IpAddr,
    ) -> Result<(), LoginError> {
        let refused = |why: &str| {
            let text = format!("User: {real} is not allowed to impersonate {user}{why}");
            Err(LoginError::new(Failure::Impersonation, text))
        };
        let Some(rule) = self.rules.get(real) else {
            return refused("");
        };
        if !rule.covers(user, groups) {
            return refused(&format!(
                ": neither auth.proxy_user.{real}.users nor .groups names them"
            ));
        }
        if !rule.hosts.iter().any(|host| is_within(host, from)) {
            return refused(&format!(
                " from {from}: auth.proxy_user.{real}.hosts does not name it"
            ));
        }
        Ok(())
    }
}

impl ProxyRule {
    fn covers(&self, user: &str, groups: &Groups) -> bool {
        let named = |list: &[String], name: &str| list.iter().any(|one| one == "*" || one == name);
        // Groups that are not known are no reason to allow anything; `*` asks for none.
        named(&self.users, user)
            || self.groups.iter().any(|group| group == "*")
            || groups
                .names()
                .iter()
                .any(|group| named(&self.groups, group))
    }
}

/// Whether `pattern` is an address or a network that can be understood: `*`, `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`.
pub fn is_host_pattern(pattern: &str) -> bool {
    pattern == "*" || network(pattern).is_some()
}

fn network(pattern: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match pattern.split_once('/') {
        Some((address, prefix)) => (address.parse().ok()?, prefix.parse().ok()?),
        None => {
            let address: IpAddr = pattern.parse().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= most).then_some((address, prefix))
}

fn is_within(pattern: &str, address: IpAddr) -> bool {
    if pattern == "*" {
        return true;
    }
    match (network(pattern), address.to_canonical()) {
        (Some((IpAddr::V4(net), prefix)), IpAddr::V4(address)) => {
            let shift = 32 - u32::from(prefix);
            let cut = |address: u32| address.checked_shr(shift).unwrap_or(0);
            cut(net.to_bits()) == cut(address.to_bits())
        }
        (Some((IpAddr::V6(net), prefix)), IpAddr::V6(address)) => {
            let shift = 128 - u32::from(prefix);
            let cut = |address: u128| address.checked_shr(shift).unwrap_or(0);
            cut(net.to_bits()) == cut(address.to_bits())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> ProxyUsers {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let rule = |users: &[&str], groups: &[&str], hosts: &[&str]| ProxyRule {
            users: list(users),
            groups: list(groups),
            hosts: list(hosts),
        };
        ProxyUsers::new(BTreeMap::from([
            ("hue".into(), rule(&["*"], &[], &["*"])),
            (
                "knox".into(),
                rule(&["al"], &["etl"], &["10.0.0.0/8", "::1"]),
            ),
            ("away".into(), rule(&["*"], &[], &[])),
        ]))
    }

    #[test]
    fn who_for_whom_from_where() {
        let etl = Groups::known(["etl"]);
        let none = Groups::known::<&str>([]);
        for (real, user, groups, from, allowed) in [
            ("hue", "bob", &none, "192.168.1.1", true),
            ("knox", "al", &none, "10.2.3.4", true),
            ("knox", "al", &none, "::ffff:10.2.3.4", true),
            ("knox", "al", &Groups::Unknown, "::1", true),
            ("knox", "al", &none, "11.2.3.4", false),
            ("knox", "bob", &etl, "10.2.3.4", true),
            ("knox", "bob", &none, "10.2.3.4", false),
            ("knox", "bob", &Groups::Unknown, "10.2.3.4", false),
            ("away", "bob", &none, "127.0.0.1", false),
            ("bob", "al", &etl, "127.0.0.1", false),
        ] {
            let checked = rules().check(real, user, groups, from.parse().unwrap());
            assert_eq!(checked.is_ok(), allowed, "{real} {user} {from} {checked:?}");
        }
        let refused = rules().check("bob", "al", &none, "::1".parse().unwrap());
        let text = "User: bob is not allowed to impersonate al";
        assert_eq!(refused.unwrap_err().text, text);
    }

    #[test]
    fn networks() {
        for good in ["*", "1.2.3.4", "0.0.0.0/0", "::/0", "fd00::/8"] {
            assert!(is_host_pattern(good), "{good}");
        }
        for bad in ["", "host", "1.2.3.4/33", "::1/129", "1.2.3.4/x"] {
            assert!(!is_host_pattern(bad), "{bad}");
        }
        assert!(is_within("0.0.0.0/0", "9.9.9.9".parse().unwrap()));
        assert!(is_within("::/0", "fe80::1".parse().unwrap()));
    }
}
