//! hdfs-native's clients: one for each name in which the NameNode is asked, because a connection to it belongs to one user.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdfs_native::{Client, ClientBuilder};
use moka::sync::Cache;
use tokio::runtime::Handle;

use super::HdfsOptions;
use super::error::of_hdfs;
use crate::backend::{BackendError, Caller, ErrorKind};

/// Clients that are kept: two for each user who reads and writes.
const CLIENTS_MAX: u64 = 512;
/// How long those of a user are kept who does not come back. NameNodes close idle connections after 10 s anyway.
const IDLE: Duration = Duration::from_secs(600);
/// How often NameNodes are tried by one call: with the pauses between, about 4 s for one, 7 s for a pair that changes roles.
const ATTEMPTS_ALONE: u32 = 4;
const ATTEMPTS_OF_A_PAIR: u32 = 12;

/// What a client is for: hdfs-native has one patience for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum For {
    /// A DataNode that says nothing is left for another one soon.
    Reading,
    /// A chain of DataNodes is as slow as its slowest one, and starts anew at a cost.
    Writing,
}

/// Whose it is (empty: the process's user, or the principal's) and what for.
type Key = (Arc<str>, For);

/// The pool.
#[derive(Debug)]
pub(super) struct Clients {
    options: HdfsOptions,
    runtime: Handle,
    by_user: Cache<Key, Client>,
    /// Set when a NameNode has not answered in time: the next client may try another one first.
    shuffles: AtomicBool,
}

impl Clients {
    pub(super) fn new(options: HdfsOptions, runtime: Handle) -> Result<Self, BackendError> {
        if !options.url.starts_with("hdfs://") {
            let text = format!("{}: the URL of an HDFS begins with hdfs://", options.url);
            return Err(BackendError::new(ErrorKind::Invalid, text));
        }
        let clients = Self {
            options,
            runtime,
            by_user: Cache::builder()
                .max_capacity(CLIENTS_MAX)
                .time_to_idle(IDLE)
                .build(),
            shuffles: AtomicBool::new(false),
        };
        clients.build("nobody", For::Reading)?;
        Ok(clients)
    }

    pub(super) const fn options(&self) -> &HdfsOptions {
        &self.options
    }

    pub(super) fn of(&self, caller: &Caller, purpose: For) -> Result<Client, BackendError> {
        let key = (self.effective(caller), purpose);
        if let Some(client) = self.by_user.get(&key) {
            return Ok(client);
        }
        let client = self.build(&key.0, purpose)?;
        self.by_user.insert(key, client.clone());
        Ok(client)
    }

    /// In the gateway's own name.
    pub(super) fn own(&self) -> Result<Client, BackendError> {
        let key = (Arc::<str>::default(), For::Reading);
        if let Some(client) = self.by_user.get(&key) {
            return Ok(client);
        }
        let client = self.build("", For::Reading)?;
        self.by_user.insert(key, client.clone());
        Ok(client)
    }

    /// Short name of the gateway, as the NameNode's default rules make it of a principal.
    pub(super) fn own_name(&self) -> String {
        let principal = self.options.principal.clone();
        let system = || {
            let set = |name| std::env::var(name).ok();
            set("HADOOP_USER_NAME").or_else(|| set("USER"))
        };
        let name = principal.or_else(system);
        let name = name.unwrap_or_else(|| "<gateway>".to_owned());
        let end = name.find(['/', '@']).unwrap_or(name.len());
        name.get(..end).unwrap_or(&name).to_owned()
    }

    /// Leaves a connection that did not answer: a NameNode that is gone without a word is otherwise waited for until the kernel gives up.
    pub(super) fn forget(&self, caller: &Caller) {
        self.shuffles.store(true, Ordering::Relaxed);
        for purpose in [For::Reading, For::Writing] {
            self.by_user.invalidate(&(self.effective(caller), purpose));
        }
    }

    /// In whose name is asked for a caller; empty: in the process's.
    pub(super) fn effective(&self, caller: &Caller) -> Arc<str> {
        if self.options.impersonate {
            return caller.user.clone();
        }
        self.options.user.as_deref().unwrap_or_default().into()
    }

    fn build(&self, user: &str, purpose: For) -> Result<Client, BackendError> {
        let options = &self.options;
        let mut builder = ClientBuilder::new()
            .with_url(&options.url)
            .with_config(self.config(purpose))
            .with_io_runtime(self.runtime.clone());
        if let Some(folder) = &options.config_dir {
            builder = builder.with_config_dir(folder.to_string_lossy());
        }
        if !user.is_empty() {
            builder = builder.with_user(user);
        }
        if let Some(principal) = &options.principal {
            builder = builder.with_kerberos_principal(principal);
        }
        if let Some(keytab) = &options.keytab {
            builder = builder.with_kerberos_keytab(keytab.to_string_lossy());
        }
        if let Some(tickets) = &options.tickets {
            builder = builder.with_kerberos_cache(tickets);
        }
        builder
            .build()
            .map_err(|error| of_hdfs(error, &options.url))
    }

    /// What bounds hdfs-native's own waiting; whoever sets these keys knows better.
    fn config(&self, purpose: For) -> BTreeMap<String, String> {
        let options = &self.options;
        let attempts = if names_a_port(&options.url) {
            ATTEMPTS_ALONE
        } else {
            ATTEMPTS_OF_A_PAIR
        };
        let silence = match purpose {
            For::Reading => options.datanode_timeout,
            For::Writing => options.request_timeout / 2,
        };
        let silence_ms = silence.as_millis();
        let mut config = BTreeMap::from([
            (
                "dfs.client.failover.max.attempts".to_owned(),
                attempts.to_string(),
            ),
            (
                "dfs.client.failover.sleep.base.millis".to_owned(),
                "150".to_owned(),
            ),
            (
                "dfs.client.failover.sleep.max.millis".to_owned(),
                "1500".to_owned(),
            ),
            (
                "dfs.client.socket-timeout".to_owned(),
                silence_ms.to_string(),
            ),
        ]);
        if self.shuffles.load(Ordering::Relaxed) {
            let key = "dfs.client.failover.random.order";
            config.insert(key.to_owned(), "true".to_owned());
        }
        config.extend(options.config.clone());
        config
    }
}

fn names_a_port(url: &str) -> bool {
    let host = url.trim_start_matches("hdfs://").split('/').next();
    let port = host.and_then(|host| host.rsplit_once(':'));
    port.is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::names_a_port;

    #[test]
    fn a_nameservice_has_no_port() {
        assert!(names_a_port("hdfs://host:8020"));
        assert!(names_a_port("hdfs://host:8020/a/b"));
        assert!(names_a_port("hdfs://[::1]:8020"));
        assert!(!names_a_port("hdfs://cluster"));
        assert!(!names_a_port("hdfs://cluster/a:1"));
        assert!(!names_a_port("hdfs://[::1]"));
    }
}
