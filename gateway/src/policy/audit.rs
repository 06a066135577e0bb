//! What is written down of an operation.

use std::path::PathBuf;
use std::sync::Arc;

use moongate_auth::audit::{Ids, Info, Record, Spool, SpoolConfig};
use moongate_auth::policy::{FsAction, PolicyRef};
use moongate_cache::Caller;

use crate::config::AuditConfig;
use crate::namespace::now_ms;

/// Most lines are shorter.
const LINE_BYTES: usize = 768;

/// Writes records, where the configuration wants them.
#[derive(Debug)]
pub struct Audit {
    spool: Option<Spool>,
    strict: bool,
    service: String,
    host: String,
    cluster: String,
    ids: Ids,
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
    pub zone: Option<&'a str>,
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
            ids: Ids::new(host, now_ms()),
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
        self.take_line(&self.begun(event), None);
    }

    /// The line of what is written down later, or again and again, by [`Self::take_line`].
    pub fn line_of(&self, event: &Event<'_>) -> Arc<[u8]> {
        self.begun(event).into()
    }

    /// Writes down that it has happened; of a read, whether its first bytes came from the cache.
    pub fn take_line(&self, line: &[u8], hit: Option<bool>) {
        let Some(spool) = &self.spool else {
            return;
        };
        let now_ms = i64::try_from(now_ms()).unwrap_or(0);
        let put = |lines: &mut Vec<u8>| {
            lines.extend_from_slice(line);
            self.ids.push(now_ms, hit, lines);
        };
        if self.strict && spool.is_full() {
            // It waits for the disk.
            tokio::task::block_in_place(|| spool.take(put));
        } else {
            spool.take(put);
        }
    }

    fn begun(&self, event: &Event<'_>) -> Vec<u8> {
        let mut line = Vec::with_capacity(LINE_BYTES);
        self.record(event).push_open(&info(event), &mut line);
        line
    }

    fn record<'a>(&'a self, event: &Event<'a>) -> Record<'a> {
        let caller = event.caller;
        Record {
            repo_type: 1,
            repo: (&*self.service).into(),
            user: (&*caller.user).into(),
            access: caller.operation.into(),
            resource: event.path.into(),
            resource_type: "path",
            action: event.action.audit_type(),
            result: u8::from(event.allowed),
            agent: "hdfs",
            policy: event.policy.map_or(-1, |policy| policy.id),
            policy_version: event.policy.map(|policy| policy.version),
            reason: event.checked.into(),
            enforcer: if event.policy.is_some() {
                "ranger-acl"
            } else {
                "hadoop-acl"
            },
            client_ip: caller.address,
            client_type: Some(caller.method).filter(|method| !method.is_empty()),
            agent_host: (&*self.host).into(),
            log_type: "RangerAudit",
            event_count: 1,
            event_dur_ms: event.took_ms,
            cluster_name: (&*self.cluster).into(),
            zone_name: event.zone.map(Into::into),
        }
    }
}

fn info<'a>(event: &'a Event<'_>) -> Info<'a> {
    let caller = event.caller;
    Info {
        access_types: event.action.types_text(),
        cached: event.cached,
        real_user: caller.real_user.as_deref(),
        tenant: caller.tenant.as_deref(),
    }
}
