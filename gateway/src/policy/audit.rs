//! What is written down of an operation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use moongate_auth::audit::{Record, Spool, SpoolConfig, time_text};
use moongate_auth::policy::{FsAction, PolicyRef};
use moongate_cache::Caller;

use crate::config::AuditConfig;
use crate::namespace::now_ms;

/// Writes records, where the configuration wants them.
#[derive(Debug)]
pub struct Audit {
    spool: Option<Spool>,
    strict: bool,
    service: String,
    host: String,
    cluster: String,
    started_ms: u64,
    sequence: AtomicU64,
}

/// What an operation came to.
#[derive(Debug)]
pub struct Event<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// The path that was asked for.
    pub path: &'a str,
    /// The path that was checked last.
    pub checked: &'a str,
    /// What was asked there.
    pub action: FsAction,
    /// Whether it was allowed.
    pub allowed: bool,
    /// The policy that decided; none: the file's own permissions.
    pub policy: Option<PolicyRef>,
    /// The zone of the path.
    pub zone: Option<String>,
    /// Milliseconds that the checks took.
    pub took_ms: u64,
    /// Whether the bytes are read through the cache; not said of what reads none.
    pub cached: Option<bool>,
}

impl Audit {
    /// Opens the files, if there are to be any.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn open(config: &AuditConfig, service: &str, host: &str) -> std::io::Result<Self> {
        let spool = match config.dir.as_os_str().is_empty() {
            true => None,
            false => Some(Spool::start(SpoolConfig {
                dir: PathBuf::from(&config.dir),
                queue_len_max: config.queue_len_max,
                file_bytes_max: config.file_bytes_max.bytes(),
                total_bytes_max: config.total_bytes_max.bytes(),
                strict: config.strict,
            })?),
        };
        Ok(Self {
            spool,
            strict: config.strict,
            service: service.to_owned(),
            host: host.to_owned(),
            cluster: config.cluster_name.clone(),
            started_ms: now_ms(),
            sequence: AtomicU64::new(0),
        })
    }

    /// Whether anything is written.
    pub const fn is_on(&self) -> bool {
        self.spool.is_some()
    }

    /// What became of records so far.
    pub fn counts(&self) -> Option<&moongate_auth::audit::SpoolCounts> {
        self.spool.as_ref().map(Spool::counts)
    }

    /// Writes one down.
    pub fn take(&self, event: &Event<'_>) {
        let Some(spool) = &self.spool else {
            return;
        };
        let record = self.record(event);
        if self.strict {
            // It may wait for the disk.
            tokio::task::block_in_place(|| spool.take(&record));
        } else {
            spool.take(&record);
        }
    }

    fn record(&self, event: &Event<'_>) -> Record {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let caller = event.caller;
        Record {
            repo_type: 1,
            repo: self.service.clone(),
            user: caller.user.to_string(),
            time: time_text(i64::try_from(now_ms()).unwrap_or(0)),
            access: caller.operation.to_owned(),
            resource: event.path.to_owned(),
            resource_type: "path",
            action: event.action.audit_type().to_owned(),
            result: u8::from(event.allowed),
            agent: "hdfs".to_owned(),
            policy: event.policy.map_or(-1, |policy| policy.id),
            policy_version: event.policy.map(|policy| policy.version),
            reason: event.checked.to_owned(),
            enforcer: if event.policy.is_some() {
                "ranger-acl"
            } else {
                "hadoop-acl"
            },
            client_ip: caller.address.map(|address| address.to_string()),
            client_type: (!caller.method.is_empty()).then(|| caller.method.to_owned()),
            agent_host: self.host.clone(),
            log_type: "RangerAudit",
            id: format!("{}-{:x}-{sequence}", self.host, self.started_ms),
            seq_num: sequence,
            event_count: 1,
            event_dur_ms: event.took_ms,
            additional_info: Record::info(&info(event)),
            cluster_name: self.cluster.clone(),
            zone_name: event.zone.clone(),
        }
    }
}

fn info<'k>(event: &Event<'_>) -> BTreeMap<&'k str, String> {
    let types: Vec<&str> = event.action.types().collect();
    let mut info = BTreeMap::from([("accessTypes", format!("[{}]", types.join(", ")))]);
    if let Some(tenant) = &event.caller.tenant {
        info.insert("tenant", tenant.to_string());
    }
    if let Some(real) = &event.caller.real_user {
        info.insert("realUser", real.to_string());
    }
    if let Some(cached) = event.cached {
        info.insert("cached", cached.to_string());
    }
    info
}
