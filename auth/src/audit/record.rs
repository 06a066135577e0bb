//! One record. Source: `AuthzAuditEvent` of Apache Ranger; fields without a value are left out.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What somebody did, or was refused: all of a line that may be the same in many. [`Ids`] gives it the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Record<'a> {
    /// 1: HDFS, and what looks like it.
    #[serde(rename = "repoType")]
    pub repo_type: u8,
    /// The service's name.
    pub repo: Cow<'a, str>,
    /// Who.
    #[serde(rename = "reqUser")]
    pub user: Cow<'a, str>,
    /// Name of the operation: `open`.
    pub access: Cow<'a, str>,
    /// The path that the client gave.
    pub resource: Cow<'a, str>,
    /// `path`
    #[serde(rename = "resType")]
    pub resource_type: &'static str,
    /// `read`, `write` or `execute`.
    pub action: &'a str,
    /// 1 allowed, 0 refused.
    pub result: u8,
    /// `hdfs`
    pub agent: &'a str,
    /// The policy that decided, or -1.
    pub policy: i64,
    /// The path that was checked last.
    pub reason: Cow<'a, str>,
    /// `ranger-acl` or `hadoop-acl`.
    pub enforcer: &'static str,
    /// Address of the client.
    #[serde(rename = "cliIP", skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<IpAddr>,
    /// By which protocol or login it came.
    #[serde(rename = "cliType", skip_serializing_if = "Option::is_none")]
    pub client_type: Option<&'a str>,
    /// The gateway's host.
    #[serde(rename = "agentHost")]
    pub agent_host: Cow<'a, str>,
    /// `RangerAudit`
    #[serde(rename = "logType")]
    pub log_type: &'static str,
    /// 1
    pub event_count: u64,
    /// Milliseconds that it took.
    pub event_dur_ms: u64,
    /// The cluster's name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cluster_name: Cow<'a, str>,
    /// The zone of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<Cow<'a, str>>,
    /// The version of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<i64>,
}

/// What of ours has no other place in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info<'a> {
    /// All kinds of access that were asked for: `[read, execute]`.
    pub access_types: &'a str,
    /// Whether the bytes are read through the cache.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub cached: Option<bool>,
    /// Who acts for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real_user: Option<&'a str>,
    /// The tenant that the user belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
}

/// Ranger's own values are texts, all of them.
#[allow(clippy::ref_option, reason = "serde's signature")]
fn as_text<S: serde::Serializer>(value: &Option<bool>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match value {
        Some(true) => "true",
        _ => "false",
    })
}

impl Info<'_> {
    /// A JSON object as text.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Record<'_> {
    /// Appends the line but for its end, which [`Ids::push`] appends. The info is its last field, and open too.
    pub fn push_open(&self, info: &Info<'_>, line: &mut Vec<u8>) {
        self.push_fields(line);
        line.extend_from_slice(b",\"additional_info\":");
        if serde_json::to_writer(&mut *line, &info.text()).is_err() {
            line.extend_from_slice(b"\"{}\"");
        }
        // Brace and quote.
        line.truncate(line.len() - INFO_END.len());
    }

    /// Appends the line but for its brace.
    pub(super) fn push_fields(&self, line: &mut Vec<u8>) {
        let begun = line.len();
        if serde_json::to_writer(&mut *line, self).is_err() {
            line.truncate(begun);
            line.push(b'{');
            return;
        }
        // The brace.
        line.pop();
    }

    /// What says that records were lost.
    pub fn lost(count: u64) -> Self {
        Self {
            repo_type: 1,
            access: "audit-lost".into(),
            resource_type: "path",
            policy: -1,
            reason: format!(
                "{count} audit records before this one were lost: the queue was full or the disk refused them"
            )
            .into(),
            enforcer: "hadoop-acl",
            log_type: "RangerAudit",
            event_count: count,
            ..Self::default()
        }
    }
}

/// How an info ends.
const INFO_END: &[u8] = b"}\"";

/// What makes each line the only one of its kind: its time, id and number.
#[derive(Debug)]
pub struct Ids {
    /// As JSON has it.
    prefix: String,
    taken: AtomicU64,
}

impl Ids {
    /// Those of a process, by its host and the time when it was started.
    pub fn new(host: &str, started_ms: u64) -> Self {
        let quoted = serde_json::to_string(host).unwrap_or_default();
        let host = quoted.trim_matches('"');
        Self {
            prefix: format!("{host}-{started_ms:x}"),
            taken: AtomicU64::new(0),
        }
    }

    /// Ends a line that [`Record::push_open`] began, at a time in milliseconds since 1970. Of what was read through the cache it is told
    /// whether the first bytes came from it, as far as any were read.
    pub fn push(&self, time_ms: i64, hit: Option<bool>, line: &mut Vec<u8>) {
        line.extend_from_slice(match hit {
            Some(true) => br#",\"hit\":\"true\""#,
            Some(false) => br#",\"hit\":\"false\""#,
            None => b"",
        });
        line.extend_from_slice(INFO_END);
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let mut digits = itoa::Buffer::new();
        push_time(time_ms, line);
        line.extend_from_slice(b",\"id\":\"");
        line.extend_from_slice(self.prefix.as_bytes());
        line.push(b'-');
        line.extend_from_slice(digits.format(taken).as_bytes());
        line.extend_from_slice(b"\",\"seq_num\":");
        line.extend_from_slice(digits.format(taken + 1).as_bytes());
        line.extend_from_slice(b"}\n");
    }
}

/// Appends the field `evtTime`. What is the same for a whole second is made once a second, on each thread.
pub(super) fn push_time(time_ms: i64, line: &mut Vec<u8>) {
    thread_local! {
        static SECOND: RefCell<(i64, Vec<u8>)> = const { RefCell::new((i64::MIN, Vec::new())) };
    }
    let (second, ms) = (time_ms.div_euclid(1000), time_ms.rem_euclid(1000));
    SECOND.with_borrow_mut(|(made, text)| {
        if *made != second || text.is_empty() {
            let whole = time_text(second * 1000);
            *text = whole.into_bytes();
            text.truncate(text.len() - 3);
            *made = second;
        }
        line.extend_from_slice(b",\"evtTime\":\"");
        line.extend_from_slice(text);
        let digit = |of: i64| b'0' + u8::try_from(of % 10).unwrap_or(0);
        line.extend_from_slice(&[digit(ms / 100), digit(ms / 10), digit(ms), b'"']);
    });
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
    use std::collections::BTreeMap;

    use super::*;

    fn info(access_types: &str) -> String {
        Info {
            access_types,
            ..Info::default()
        }
        .text()
    }

    #[test]
    fn times_and_ids_are_each_lines_own() {
        let ids = Ids::new("a\"b", 255);
        for (ms, want) in [
            (0, "1970-01-01 00:00:00.000"),
            (7, "1970-01-01 00:00:00.007"),
            (1_795_357_503_991, "2026-11-22 14:25:03.991"),
            (1_795_357_504_010, "2026-11-22 14:25:04.010"),
            (-1, "1969-12-31 23:59:59.999"),
        ] {
            let mut line = Vec::new();
            Record::default().push_open(&Info::default(), &mut line);
            ids.push(ms, None, &mut line);
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(
                (line["evtTime"].as_str(), &*time_text(ms)),
                (Some(want), want)
            );
            let number = line["seq_num"].as_u64().unwrap();
            assert_eq!(line["id"], format!("a\"b-ff-{}", number - 1));
        }
    }

    #[test]
    fn the_end_tells_of_a_hit() {
        let (ids, info) = (
            Ids::new("h", 1),
            Info {
                access_types: "[read]",
                ..Info::default()
            },
        );
        for (hit, want) in [
            (None, r#"{"accessTypes":"[read]"}"#),
            (Some(true), r#"{"accessTypes":"[read]","hit":"true"}"#),
            (Some(false), r#"{"accessTypes":"[read]","hit":"false"}"#),
        ] {
            let mut line = Vec::new();
            Record::default().push_open(&info, &mut line);
            ids.push(0, hit, &mut line);
            let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(line["additional_info"], want);
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(info("[read]"), r#"{"accessTypes":"[read]"}"#);
        let all = Info {
            access_types: "[]",
            cached: Some(true),
            real_user: Some("hue"),
            tenant: Some("a"),
        };
        let want = r#"{"accessTypes":"[]","cached":"true","realUser":"hue","tenant":"a"}"#;
        assert_eq!(all.text(), want);
    }

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
            access: "open".into(),
            resource: "/data/a.csv".into(),
            resource_type: "path",
            action: "read",
            result: 1,
            agent: "hdfs",
            policy: 7,
            policy_version: Some(3),
            reason: "/data/a.csv".into(),
            enforcer: "ranger-acl",
            client_ip: Some([10, 0, 0, 1].into()),
            agent_host: "gw1".into(),
            log_type: "RangerAudit",
            event_count: 1,
            cluster_name: "cl1".into(),
            ..Record::default()
        };
        let ids = Ids {
            prefix: "x".to_owned(),
            taken: AtomicU64::new(0),
        };
        let mut line = Vec::new();
        let info = Info {
            access_types: "[read]",
            ..Info::default()
        };
        record.push_open(&info, &mut line);
        ids.push(1_795_357_503_991, None, &mut line);
        assert!(line.ends_with(b"}\n"));
        let ours: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&line).unwrap();
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
