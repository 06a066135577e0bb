//! Ranger's JSON, as far as a path service needs it: what Ranger Admin's downloads answer.
//!
//! Fields that we do not know are ignored. Lists that are missing or `null` are empty; `isEnabled`, `isAuditEnabled` and `isAllowed` are
//! true when they are missing, other booleans are false. Source: the model classes of Apache Ranger's `agents-common`.

mod absent;
mod tags;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::absent::{or_default, or_true, yes};
pub use self::tags::{ServiceResource, ServiceTags, Tag, UserStore};

/// The body of a policy download: all that is known of one service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePolicies {
    /// The service's name.
    #[serde(deserialize_with = "or_default")]
    pub service_name: String,
    /// Grows with each change.
    #[serde(deserialize_with = "or_default")]
    pub policy_version: Option<i64>,
    /// Milliseconds since 1970 of the last change.
    pub policy_update_time: Option<Value>,
    /// Policies without a zone.
    #[serde(deserialize_with = "or_default")]
    pub policies: Vec<Policy>,
    /// Changes in place of policies, for who said to take them.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub policy_deltas: Option<Vec<PolicyDelta>>,
    /// Resources and kinds of access of the service.
    #[serde(deserialize_with = "or_default")]
    pub service_def: Option<ServiceDef>,
    /// `audit-default`, `audit-all` or `audit-none`.
    #[serde(deserialize_with = "or_default")]
    pub audit_mode: Option<String>,
    /// Policies on tags.
    #[serde(deserialize_with = "or_default")]
    pub tag_policies: Option<TagPolicies>,
    /// Zones by name.
    #[serde(deserialize_with = "or_default")]
    pub security_zones: BTreeMap<String, SecurityZone>,
    /// `ranger.plugin.…` keys.
    #[serde(deserialize_with = "or_default")]
    pub service_config: BTreeMap<String, Value>,
}

/// The tag service's part of a policy download.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TagPolicies {
    /// The tag service's name.
    #[serde(deserialize_with = "or_default")]
    pub service_name: String,
    /// Policies whose resource is a tag.
    #[serde(deserialize_with = "or_default")]
    pub policies: Vec<Policy>,
    /// Kinds of access are `component:kind` here.
    #[serde(deserialize_with = "or_default")]
    pub service_def: Option<ServiceDef>,
    /// As of [`ServicePolicies`].
    #[serde(deserialize_with = "or_default")]
    pub audit_mode: Option<String>,
    /// As of [`ServicePolicies`].
    #[serde(deserialize_with = "or_default")]
    pub service_config: BTreeMap<String, Value>,
}

/// A part of the paths that has policies of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityZone {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub zone_name: String,
    /// `{"path": ["/a", "/b"]}` each.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<BTreeMap<String, Vec<String>>>,
    /// Its policies.
    #[serde(deserialize_with = "or_default")]
    pub policies: Vec<Policy>,
    /// Changes in place of policies.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub policy_deltas: Option<Vec<PolicyDelta>>,
    /// Whether the tag service's policies of this zone count here, instead of those without a zone.
    #[serde(deserialize_with = "or_default")]
    pub contains_associated_tag_service: bool,
}

/// One change of a policy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyDelta {
    /// 0 created, 1 updated, 2 deleted; anything else wants a full download.
    #[serde(deserialize_with = "or_default")]
    pub change_type: Option<i64>,
    /// Whose policy: `tag`, or the service's type.
    #[serde(deserialize_with = "or_default")]
    pub service_type: String,
    /// The policy as it is now.
    #[serde(deserialize_with = "or_default")]
    pub policy: Option<Policy>,
}

/// What a service's resources and kinds of access are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceDef {
    /// `hdfs`
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Kinds of resources.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<ResourceDef>,
    /// Kinds of access.
    #[serde(deserialize_with = "or_default")]
    pub access_types: Vec<AccessTypeDef>,
    /// Kinds of conditions.
    #[serde(deserialize_with = "or_default")]
    pub policy_conditions: Vec<ConditionDef>,
}

/// A kind of resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceDef {
    /// `path`
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Java class that compares it.
    #[serde(deserialize_with = "or_default")]
    pub matcher: String,
    /// `wildCard`, `ignoreCase`, …: booleans, or words that say so.
    #[serde(deserialize_with = "or_default")]
    pub matcher_options: BTreeMap<String, Value>,
}

impl ResourceDef {
    /// A yes or no among the options.
    pub fn option(&self, name: &str, missing: bool) -> bool {
        match self.matcher_options.get(name) {
            Some(Value::Bool(value)) => *value,
            Some(Value::String(value)) => value.eq_ignore_ascii_case("true"),
            _ => missing,
        }
    }
}

/// A kind of access.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessTypeDef {
    /// `read`
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// What else it allows or denies, one level.
    #[serde(deserialize_with = "or_default")]
    pub implied_grants: Vec<String>,
}

/// A kind of condition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionDef {
    /// As conditions name it.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Java class that decides it.
    #[serde(deserialize_with = "or_default")]
    pub evaluator: String,
}

/// One policy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Its number.
    #[serde(deserialize_with = "or_default")]
    pub id: i64,
    /// Its name that lasts.
    #[serde(deserialize_with = "or_default")]
    pub guid: String,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Grows with each change of it.
    #[serde(deserialize_with = "or_default")]
    pub version: Option<i64>,
    /// Whether it counts.
    #[serde(default = "yes", deserialize_with = "or_true")]
    pub is_enabled: bool,
    /// 0 access; others are not for paths.
    #[serde(deserialize_with = "or_default")]
    pub policy_type: i64,
    /// 0 normal, 1 override.
    #[serde(deserialize_with = "or_default")]
    pub policy_priority: i32,
    /// By kind of resource: `path`, or `tag`.
    #[serde(deserialize_with = "or_default")]
    pub resources: BTreeMap<String, PolicyResource>,
    /// Further resources with the same items.
    #[serde(deserialize_with = "or_default")]
    pub additional_resources: Vec<BTreeMap<String, PolicyResource>>,
    /// All must hold.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Who is allowed what.
    #[serde(deserialize_with = "or_default")]
    pub policy_items: Vec<PolicyItem>,
    /// Who is denied what.
    #[serde(deserialize_with = "or_default")]
    pub deny_policy_items: Vec<PolicyItem>,
    /// Who is not allowed after all.
    #[serde(deserialize_with = "or_default")]
    pub allow_exceptions: Vec<PolicyItem>,
    /// Who is not denied after all.
    #[serde(deserialize_with = "or_default")]
    pub deny_exceptions: Vec<PolicyItem>,
    /// Denies what it does not allow.
    #[serde(deserialize_with = "or_default")]
    pub is_deny_all_else: bool,
    /// Whether what it matches is audited.
    #[serde(default = "yes", deserialize_with = "or_true")]
    pub is_audit_enabled: bool,
    /// When it counts; always if empty.
    #[serde(deserialize_with = "or_default")]
    pub validity_schedules: Vec<ValiditySchedule>,
    /// The zone that it belongs to.
    #[serde(deserialize_with = "or_default")]
    pub zone_name: String,
}

/// Values of one kind of resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyResource {
    /// Any of these; everything if empty.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<String>,
    /// What is below them, too.
    #[serde(deserialize_with = "or_default")]
    pub is_recursive: bool,
    /// Everything but these.
    #[serde(deserialize_with = "or_default")]
    pub is_excludes: bool,
}

/// Who, what, and under which conditions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyItem {
    /// Any of these.
    #[serde(deserialize_with = "or_default")]
    pub accesses: Vec<ItemAccess>,
    /// Names, `{USER}`, `{OWNER}`.
    #[serde(deserialize_with = "or_default")]
    pub users: Vec<String>,
    /// Names; `public` is everybody.
    #[serde(deserialize_with = "or_default")]
    pub groups: Vec<String>,
    /// Names.
    #[serde(deserialize_with = "or_default")]
    pub roles: Vec<String>,
    /// All must hold.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

/// A kind of access in an item.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemAccess {
    /// `read`
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// False is as if it were not there.
    #[serde(default = "yes", deserialize_with = "or_true")]
    pub is_allowed: bool,
}

/// A condition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `ip-range`
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// What it wants.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<String>,
}

/// When a policy or a tag counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValiditySchedule {
    /// `yyyy/MM/dd HH:mm:ss` by the clocks of `time_zone`, itself included; empty: since ever.
    #[serde(deserialize_with = "or_default")]
    pub start_time: String,
    /// Likewise; empty: for ever.
    #[serde(deserialize_with = "or_default")]
    pub end_time: String,
    /// As Java names them; empty or unknown: GMT.
    #[serde(deserialize_with = "or_default")]
    pub time_zone: String,
    /// Any of these; all the time if empty.
    #[serde(deserialize_with = "or_default")]
    pub recurrences: Vec<Recurrence>,
}

/// A schedule that returns.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Recurrence {
    /// When it begins.
    #[serde(deserialize_with = "or_default")]
    pub schedule: RecurrenceSchedule,
    /// How long it lasts.
    #[serde(deserialize_with = "or_default")]
    pub interval: RecurrenceInterval,
}

/// Lists of `n`, `a-b` or `*`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecurrenceSchedule {
    /// 0 to 59
    #[serde(deserialize_with = "or_default")]
    pub minute: String,
    /// 0 to 23
    #[serde(deserialize_with = "or_default")]
    pub hour: String,
    /// 1 to 31
    #[serde(deserialize_with = "or_default")]
    pub day_of_month: String,
    /// 1 (Sunday) to 7
    #[serde(deserialize_with = "or_default")]
    pub day_of_week: String,
    /// 1 to 12
    #[serde(deserialize_with = "or_default")]
    pub month: String,
    /// 2017 to 2100
    #[serde(deserialize_with = "or_default")]
    pub year: String,
}

/// How long a recurrence lasts; all zero: always.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecurrenceInterval {
    /// Days by the calendar.
    #[serde(deserialize_with = "or_default")]
    pub days: i32,
    /// Hours.
    #[serde(deserialize_with = "or_default")]
    pub hours: i32,
    /// Minutes.
    #[serde(deserialize_with = "or_default")]
    pub minutes: i32,
}

/// The body of a role download.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Roles {
    /// The service's name.
    #[serde(deserialize_with = "or_default")]
    pub service_name: String,
    /// Grows with each change.
    #[serde(deserialize_with = "or_default")]
    pub role_version: Option<i64>,
    /// All roles.
    #[serde(deserialize_with = "or_default")]
    pub ranger_roles: Vec<Role>,
}

/// One role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Who has it.
    #[serde(deserialize_with = "or_default")]
    pub users: Vec<RoleMember>,
    /// Whose members have it.
    #[serde(deserialize_with = "or_default")]
    pub groups: Vec<RoleMember>,
    /// Roles whose holders have this one too.
    #[serde(deserialize_with = "or_default")]
    pub roles: Vec<RoleMember>,
}

/// A name in a role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleMember {
    /// Of a user, a group or a role.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}
