//! What the port of calls does of security, as configured: the service that tickets are for, and how connections are protected.

use moongate_auth::sasl::Qop;

use crate::config::{HdfsConfig, Protection};
use crate::state::Gateway;

/// The services that Hadoop's clients have tickets for when they ask a NameNode.
const SERVICES: [&str; 2] = ["nn/", "hdfs/"];

/// See the module.
#[derive(Debug)]
pub struct Security {
    /// `nn` and its host, if there is a key.
    pub service: Option<(String, String)>,
    /// What may be agreed on the port of calls.
    pub calls: Vec<Qop>,
}

impl Security {
    /// As configured.
    ///
    /// # Errors
    /// The keytab cannot be read, or lacks the key that is configured.
    pub fn of(gateway: &Gateway) -> std::io::Result<Self> {
        let config = &gateway.config.hdfs;
        let service = match &gateway.login.kerberos {
            Some(kerberos) => {
                let keys = kerberos.acceptor.keys_of(&SERVICES);
                service(config, &keys.map_err(std::io::Error::other)?)?
            }
            None => None,
        };
        Ok(Self {
            service,
            calls: qops(&config.rpc_protection),
        })
    }
}

/// The principal that is configured, or the first that fits.
fn service(config: &HdfsConfig, keys: &[String]) -> std::io::Result<Option<(String, String)>> {
    let name = |key: &str| -> Option<(String, String)> {
        let (name, _realm) = key.split_once('@').unwrap_or((key, ""));
        let (service, host) = name.split_once('/')?;
        Some((service.to_owned(), host.to_owned()))
    };
    let wanted = &config.principal;
    if wanted.is_empty() {
        let found = keys.first().and_then(|key| name(key));
        if found.is_none() {
            tracing::warn!(
                "the keytab holds no key of nn/<host> or hdfs/<host>: hdfs:// takes delegation tokens, but no tickets"
            );
        }
        return Ok(found);
    }
    let is_it = |key: &&String| {
        *key == wanted || key.split_once('@').is_some_and(|(name, _)| name == wanted)
    };
    match keys.iter().find(is_it) {
        Some(key) => Ok(name(key)),
        None => Err(std::io::Error::other(format!(
            "hdfs.principal = {wanted:?}: auth.kerberos.keytab holds no such key of nn/<host> or hdfs/<host>, but {}",
            keys.join(", ")
        ))),
    }
}

fn qops(configured: &[Protection]) -> Vec<Qop> {
    let qop = |protection: &Protection| match protection {
        Protection::Authentication => Qop::Authentication,
        Protection::Integrity => Qop::Integrity,
        Protection::Privacy => Qop::Privacy,
    };
    let mut qops: Vec<Qop> = configured.iter().map(qop).collect();
    if qops.is_empty() {
        qops.push(Qop::Authentication);
    }
    qops.sort_unstable();
    qops.dedup();
    qops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_tickets_are_taken() {
        let keys = ["nn/a@R".to_owned(), "hdfs/b@R".to_owned()];
        let of = |principal: &str, keys: &[String]| {
            let config = HdfsConfig {
                principal: principal.to_owned(),
                ..HdfsConfig::default()
            };
            service(&config, keys).map(|found| found.map(|(name, host)| format!("{name} {host}")))
        };
        assert_eq!(of("", &keys).unwrap().unwrap(), "nn a");
        assert_eq!(of("hdfs/b", &keys).unwrap().unwrap(), "hdfs b");
        assert_eq!(of("hdfs/b@R", &keys).unwrap().unwrap(), "hdfs b");
        assert_eq!(of("", &[]).unwrap(), None);
        assert!(
            of("nn/c", &keys)
                .unwrap_err()
                .to_string()
                .contains("nn/a@R")
        );
    }

    #[test]
    fn nothing_configured_is_authentication() {
        assert_eq!(qops(&[]), [Qop::Authentication]);
        let both = [
            Protection::Privacy,
            Protection::Integrity,
            Protection::Privacy,
        ];
        assert_eq!(qops(&both), [Qop::Integrity, Qop::Privacy]);
    }
}
