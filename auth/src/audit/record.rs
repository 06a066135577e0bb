//! One record. Source: `AuthzAuditEvent` of Apache Ranger; fields without a value are left out.

use std::collections::BTreeMap;

use serde::Serialize;

/// What somebody did, or was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// 1: HDFS, and what looks like it.
    #[serde(rename = "repoType")]
    pub repo_type: u8,
    /// The service's name.
    pub repo: String,
    /// Who.
    #[serde(rename = "reqUser")]
    pub user: String,
    /// `2026-11-22 14:25:03.991`, in UTC: see [`time_text`].
    #[serde(rename = "evtTime")]
    pub time: String,
    /// Name of the operation: `open`.
    pub access: String,
    /// The path that the client gave.
    pub resource: String,
    /// `path`
    #[serde(rename = "resType")]
    pub resource_type: &'static str,
    /// `read`, `write` or `execute`.
    pub action: String,
    /// 1 allowed, 0 refused.
    pub result: u8,
    /// `hdfs`
    pub agent: String,
    /// The policy that decided, or -1.
    pub policy: i64,
    /// The path that was checked last.
    pub reason: String,
    /// `ranger-acl` or `hadoop-acl`.
    pub enforcer: &'static str,
    /// Address of the client.
    #[serde(rename = "cliIP", skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// By which protocol or login it came.
    #[serde(rename = "cliType", skip_serializing_if = "Option::is_none")]
    pub client_type: Option<String>,
    /// The gateway's host.
    #[serde(rename = "agentHost")]
    pub agent_host: String,
    /// `RangerAudit`
    #[serde(rename = "logType")]
    pub log_type: &'static str,
    /// Unique.
    pub id: String,
    /// Counts up.
    pub seq_num: u64,
    /// 1
    pub event_count: u64,
    /// Milliseconds that it took.
    pub event_dur_ms: u64,
    /// What of ours has no other place: a JSON object as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub additional_info: String,
    /// The cluster's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    /// The zone of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
    /// The version of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<i64>,
}

impl Record {
    /// The line, with its end.
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// `additional_info` of these keys and values.
    pub fn info(of: &BTreeMap<&str, String>) -> String {
        serde_json::to_string(of).unwrap_or_default()
    }

    /// A line that says that records were lost.
    pub fn lost(count: u64, time_ms: i64) -> Self {
        Self {
            repo_type: 1,
            time: time_text(time_ms),
            access: "audit-lost".to_owned(),
            resource_type: "path",
            policy: -1,
            reason: format!(
                "{count} audit records before this one were lost: the queue was full or the disk refused them"
            ),
            enforcer: "hadoop-acl",
            log_type: "RangerAudit",
            event_count: count,
            ..Self::default()
        }
    }
}

/// Milliseconds since 1970 as Ranger writes time, in UTC.
pub fn time_text(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of the genuine plugin.
    const GENUINE: &str = include_str!("../../../tests/samples/ranger/audit-sample.jsonl");

    #[test]
    fn every_name_is_rangers() {
        let line = GENUINE.lines().next().unwrap();
        let genuine: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let record = Record {
            repo_type: 1,
            repo: "hdfsdev".into(),
            user: "alice".into(),
            time: time_text(1_795_357_503_991),
            access: "open".into(),
            resource: "/data/a.csv".into(),
            resource_type: "path",
            action: "read".into(),
            result: 1,
            agent: "hdfs".into(),
            policy: 7,
            policy_version: Some(3),
            reason: "/data/a.csv".into(),
            enforcer: "ranger-acl",
            client_ip: Some("10.0.0.1".into()),
            agent_host: "gw1".into(),
            log_type: "RangerAudit",
            id: "x-0".into(),
            seq_num: 1,
            event_count: 1,
            additional_info: Record::info(&BTreeMap::from([("accessTypes", "[read]".to_owned())])),
            cluster_name: "cl1".into(),
            ..Record::default()
        };
        let ours: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&record.line()).unwrap();
        for (name, value) in &ours {
            let theirs = genuine
                .get(name)
                .unwrap_or_else(|| panic!("{name} is not Ranger's"));
            assert_eq!(value, theirs, "{name}");
        }
        for (name, value) in genuine.iter().filter(|(_, value)| !value.is_null()) {
            assert!(
                ours.contains_key(name) || name == "tags",
                "{name} = {value} is missing"
            );
        }
    }
}
