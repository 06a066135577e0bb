//! All policies of a service at one version, compiled. It never changes: another takes its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::access::AccessTypes;
use super::audit_rules::{Filter, Mode};
use super::index::Index;
use super::pattern::Options;
use super::policy::Policy;
use super::principals::{Principals, Who};
use super::tagging::Tag;

/// What decisions are made from. Made by [`Snapshot::compile`].
#[derive(Debug)]
pub struct Snapshot {
    pub(super) service: Arc<str>,
    pub(super) version: i64,
    pub(super) principals: Principals,
    pub(super) types: AccessTypes,
    pub(super) options: Options,
    /// The zone of recurrences.
    pub(super) clock_zone: TimeZone,
    pub(super) policies: Vec<Policy>,
    /// Policies on paths, without a zone.
    pub(super) unzoned: Index,
    pub(super) zones: Vec<Zone>,
    /// Zones by path.
    pub(super) zone_index: Index,
    /// Resources with tags, by path.
    pub(super) tagged_index: Index,
    pub(super) tagged: Vec<Vec<TagUse>>,
    pub(super) tags: Vec<Tag>,
    /// Policies on tags, with what they name.
    pub(super) tag_policies: Vec<TagPolicy>,
    pub(super) audit: AuditRules,
    pub(super) super_users: Who,
    pub(super) warnings: Vec<String>,
    pub(super) groups_of: GroupsOf,
}

/// A zone.
#[derive(Debug)]
pub(super) struct Zone {
    pub name: Arc<str>,
    pub policies: Index,
    /// Whether the tag service's policies of this zone count here.
    pub has_tags: bool,
}

/// A tag of a resource, and the policies that name it.
#[derive(Debug)]
pub(super) struct TagUse {
    pub tag: usize,
    pub policies: Box<[u32]>,
}

/// A policy on tags.
#[derive(Debug)]
pub(super) struct TagPolicy {
    pub policy: u32,
    pub names: Vec<super::pattern::Pattern>,
}

/// Whether decisions are audited.
#[derive(Debug, Default)]
pub(super) struct AuditRules {
    pub mode: Mode,
    pub excluded: Who,
    pub filters: Vec<Filter>,
    /// The service has no policy at all.
    pub nothing_said: bool,
}

/// Groups that come from Ranger's user store.
#[derive(Debug, Default)]
pub(super) struct GroupsOf {
    pub by_user: BTreeMap<String, Vec<Arc<str>>>,
    /// Instead of the caller's own.
    pub only: bool,
}

/// How many of what a snapshot has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Policies that are enabled, on paths, in zones and on tags.
    pub policies: usize,
    /// Zones.
    pub zones: usize,
    /// Resources with tags.
    pub tagged_resources: usize,
    /// Conditions that are not decided here: they fail closed.
    pub unsupported_conditions: usize,
}

impl Snapshot {
    /// The service's name.
    pub fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// The version of the policies.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Whether a decision may depend on the owner of the path (`{OWNER}`).
    pub fn names_owner(&self) -> bool {
        let mut indexes = [&self.unzoned, &self.zone_index, &self.tagged_index]
            .into_iter()
            .chain(self.zones.iter().map(|zone| &zone.policies));
        self.principals.names_owner || indexes.any(|index| index.names_owner)
    }

    /// What was odd about the policies, in words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How much is in it.
    pub fn counts(&self) -> Counts {
        Counts {
            policies: self.policies.len(),
            zones: self.zones.len(),
            tagged_resources: self.tagged.len(),
            unsupported_conditions: self.policies.iter().map(Policy::unsupported).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Material, PluginConfig};
    use super::*;

    #[test]
    fn what_depends_on_owners_is_known() {
        let is_named = |policies: Value, zones: Value| {
            let body = json!({"serviceName": "s", "policies": policies, "securityZones": zones});
            let material = Material {
                policies: serde_json::from_value(body).unwrap(),
                ..Material::default()
            };
            let snapshot = Snapshot::compile(&material, &PluginConfig::default());
            snapshot.unwrap().names_owner()
        };
        let policy = |path: &str, user: &str| {
            json!([{"id": 1, "resources": {"path": {"values": [path], "isRecursive": true}},
                "policyItems": [{"users": [user], "accesses": [{"type": "read"}]}]}])
        };
        let zone = |path: &str, policies: Value| json!({"z": {"resources": [{"path": [path]}], "policies": policies}});
        let none = || json!([]);
        assert!(!is_named(policy("/a/{USER}/*", "{USER}"), json!({})));
        assert!(is_named(policy("/a", "{OWNER}"), json!({})));
        assert!(is_named(policy("/a/{OWNER}", "ann"), json!({})));
        assert!(is_named(none(), zone("/a/{OWNER}", none())));
        assert!(is_named(none(), zone("/a", policy("/a/{OWNER}/b", "ann"))));
        assert!(!is_named(none(), zone("/a", policy("/a/b", "ann"))));
    }
}
