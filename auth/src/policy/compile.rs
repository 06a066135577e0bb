//! From Ranger's JSON to a [`Snapshot`].

mod audit;
mod tags;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::access::AccessTypes;
use super::condition::Condition;
use super::index::Index;
use super::model::{
    self, ConditionDef, PolicyItem, PolicyResource, Roles, ServiceDef, ServicePolicies,
    ServiceTags, UserStore,
};
use super::order;
use super::pattern::{self, Options, Pattern};
use super::policy::{Item, Policy};
use super::principals::{Principals, Reach};
use super::schedule::Schedule;
use super::snapshot::{Snapshot, Zone};

pub(super) use self::tags::naming;

/// Everything that a snapshot is made of.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// Policies, zones, tag policies.
    pub policies: ServicePolicies,
    /// Who has which roles.
    pub roles: Option<Roles>,
    /// What has which tags.
    pub tags: Option<ServiceTags>,
    /// Ranger's users and groups.
    pub users: Option<UserStore>,
}

/// What the plugin's own configuration adds to the service's.
#[derive(Clone, Debug, Default)]
pub struct PluginConfig {
    /// Who is allowed everything.
    pub super_users: Vec<String>,
    /// Groups that are.
    pub super_groups: Vec<String>,
    /// Who leaves no audit.
    pub audit_excluded_users: Vec<String>,
    /// Groups that leave none.
    pub audit_excluded_groups: Vec<String>,
    /// Roles that leave none.
    pub audit_excluded_roles: Vec<String>,
    /// The zone of the NameNode's Java machine, by which recurrences go; empty: UTC.
    pub time_zone: String,
}

/// Why policies cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The definition of the service is not one that we can serve.
    #[error(
        "service {0}: there are more than 62 kinds of access: this is not the definition of a path service"
    )]
    TooManyAccessTypes(String),
    /// A download of changes only, which we do not ask for.
    #[error(
        "service {0}: Ranger Admin answered with changes (policyDeltas) in place of policies, though none were asked for"
    )]
    Deltas(String),
    /// A filter that cannot be read would lose audits.
    #[error("service {service}: ranger.plugin.audit.filters: {text}")]
    Filters {
        /// The service that has it.
        service: String,
        /// What is wrong.
        text: String,
    },
}

/// What is at work while one list of policies is compiled.
struct Compiler<'a> {
    principals: Principals,
    types: AccessTypes,
    options: Options,
    resource: String,
    clock_zone: TimeZone,
    conditions: &'a [ConditionDef],
    tag_conditions: &'a [ConditionDef],
    policies: Vec<Policy>,
    warnings: Vec<String>,
}

impl Snapshot {
    /// Compiles.
    ///
    /// # Errors
    /// [`CompileError`]: keep what is in force.
    pub fn compile(material: &Material, plugin: &PluginConfig) -> Result<Self, CompileError> {
        let json = &material.policies;
        if json.policy_deltas.is_some()
            || json
                .security_zones
                .values()
                .any(|zone| zone.policy_deltas.is_some())
        {
            return Err(CompileError::Deltas(json.service_name.clone()));
        }
        let mut compiler = Compiler::new(json, plugin);
        if let Some(roles) = &material.roles {
            compiler.principals.take_roles(roles);
        }
        let unzoned = compiler.list(&json.policies, false);
        let unzoned = Index::new(unzoned);
        let mut zone_values = Vec::new();
        let mut zones = Vec::new();
        for (number, (name, zone)) in json.security_zones.iter().enumerate() {
            zones.push(compiler.zone(name, zone));
            zone_values.extend(compiler.zone_paths(number, zone));
        }
        let tag_policies = compiler.tag_policies(json);
        let (tags, tagged, tagged_values) = compiler.tagged(material.tags.as_ref(), &tag_policies);
        let audit = compiler.audit(json, plugin)?;
        let super_users = compiler.super_users(json, plugin);
        compiler.finish(json, |compiler| Self {
            service: json.service_name.as_str().into(),
            version: json.policy_version.unwrap_or(-1),
            principals: compiler.principals,
            types: compiler.types,
            options: compiler.options,
            clock_zone: compiler.clock_zone,
            policies: compiler.policies,
            unzoned,
            zones,
            zone_index: Index::new(zone_values),
            tagged_index: Index::new(tagged_values),
            tagged,
            tags,
            tag_policies,
            audit,
            super_users,
            warnings: compiler.warnings,
            groups_of: audit::groups_of(json, material.users.as_ref()),
        })
    }
}

impl<'a> Compiler<'a> {
    fn new(json: &'a ServicePolicies, plugin: &PluginConfig) -> Self {
        let def = json.service_def.as_ref();
        let tag_def = json
            .tag_policies
            .as_ref()
            .and_then(|tags| tags.service_def.as_ref());
        let conditions =
            |def: Option<&'a ServiceDef>| def.map_or(&[][..], |def| &def.policy_conditions);
        let (resource, options) = path_resource(def);
        Self {
            principals: Principals::default(),
            types: AccessTypes::new(def),
            options,
            resource,
            clock_zone: super::schedule::zone_named(&plugin.time_zone),
            conditions: conditions(def),
            tag_conditions: conditions(tag_def),
            policies: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn finish(
        mut self,
        json: &ServicePolicies,
        build: impl FnOnce(Self) -> Snapshot,
    ) -> Result<Snapshot, CompileError> {
        if self.types.is_full() {
            return Err(CompileError::TooManyAccessTypes(json.service_name.clone()));
        }
        let unsupported: usize = self.policies.iter().map(Policy::unsupported).sum();
        if unsupported > 0 {
            self.warnings.push(format!(
                "{unsupported} conditions need a script and are not decided here: what they allow is not allowed, what they deny is denied"
            ));
        }
        Ok(build(self))
    }

    /// Compiles a list in the order in which it is asked, and tells the patterns of each policy.
    fn list(&mut self, policies: &[model::Policy], on_tags: bool) -> Vec<(u32, Pattern)> {
        let types = self.types.defined();
        let mut enabled: Vec<&model::Policy> = policies
            .iter()
            .filter(|policy| policy.is_enabled && policy.policy_type == 0)
            .collect();
        enabled.sort_by_cached_key(|policy| order::key(policy, types));
        let mut patterns = Vec::new();
        for (rank, policy) in enabled.into_iter().enumerate() {
            let number = u32::try_from(self.policies.len()).unwrap_or(u32::MAX);
            let all = std::iter::once(&policy.resources).chain(&policy.additional_resources);
            for resources in all {
                let of = if on_tags {
                    self.tag_names(policy, resources)
                } else {
                    self.paths(policy, resources)
                };
                patterns.extend(of.into_iter().map(|pattern| (number, pattern)));
            }
            let compiled = self.policy(policy, rank, on_tags);
            self.policies.push(compiled);
        }
        patterns
    }

    fn paths(
        &mut self,
        policy: &model::Policy,
        resources: &BTreeMap<String, PolicyResource>,
    ) -> Vec<Pattern> {
        let Some(of) = resources.get(&self.resource) else {
            let (id, resource) = (policy.id, &self.resource);
            self.warnings.push(format!(
                "policy {id} names no {resource}: it means nothing here"
            ));
            return Vec::new();
        };
        if of.values.iter().any(|value| value.contains("${{")) {
            let id = policy.id;
            self.warnings.push(format!(
                "policy {id} has an expression (${{{{…}}}}) in a path, which is not supported: it is taken as it stands"
            ));
        }
        pattern::of_resource(&of.values, of.is_recursive, of.is_excludes, self.options)
    }

    fn policy(&mut self, json: &model::Policy, rank: usize, on_tags: bool) -> Policy {
        let mut items = |of: &[PolicyItem]| -> Box<[Item]> {
            of.iter().map(|item| self.item(item, on_tags)).collect()
        };
        let allow = items(&json.policy_items);
        let allow_except = items(&json.allow_exceptions);
        let deny = items(&json.deny_policy_items);
        let deny_except = items(&json.deny_exceptions);
        let speaking = allow.iter().chain(&deny);
        let (reach, bits) = if json.is_deny_all_else {
            (Reach::ALL, u64::MAX)
        } else {
            speaking.fold((Reach::default(), 0), |(reach, bits), item| {
                (reach.with(item.who.reach()), bits | item.bits)
            })
        };
        let schedules = json.validity_schedules.iter();
        Policy {
            id: json.id,
            version: json.version.unwrap_or(0),
            name: json.name.as_str().into(),
            zone: json.zone_name.as_str().into(),
            priority: json.policy_priority,
            rank: u32::try_from(rank).unwrap_or(u32::MAX),
            audited: json.is_audit_enabled,
            deny_all_else: json.is_deny_all_else,
            schedules: schedules
                .map(|schedule| Schedule::new(schedule, &self.clock_zone))
                .collect(),
            conditions: self.conditions_of(&json.conditions, on_tags),
            allow,
            allow_except,
            deny,
            deny_except,
            reach,
            bits,
        }
    }

    fn conditions_of(&self, of: &[model::Condition], on_tags: bool) -> Box<[Condition]> {
        let defs = if on_tags {
            self.tag_conditions
        } else {
            self.conditions
        };
        of.iter().map(|json| Condition::new(json, defs)).collect()
    }

    fn item(&mut self, json: &PolicyItem, on_tags: bool) -> Item {
        let bits = if on_tags {
            self.types.of_item(&tags::ours(&json.accesses))
        } else {
            self.types.of_item(&json.accesses)
        };
        Item {
            who: self.principals.who(json),
            bits,
            conditions: self.conditions_of(&json.conditions, on_tags),
        }
    }

    fn zone(&mut self, name: &str, zone: &model::SecurityZone) -> Zone {
        let patterns = self.list(&zone.policies, false);
        Zone {
            name: name.into(),
            policies: Index::new(patterns),
            has_tags: zone.contains_associated_tag_service,
        }
    }

    fn zone_paths(&self, number: usize, zone: &model::SecurityZone) -> Vec<(u32, Pattern)> {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let resources = zone.resources.iter();
        let values = resources.filter_map(|of| of.get(&self.resource));
        let patterns = values
            .filter(|values| !values.is_empty())
            .flat_map(|values| pattern::of_resource(values, true, false, self.options));
        patterns.map(|pattern| (number, pattern)).collect()
    }
}

/// The resource that is a path, and how its values are read.
fn path_resource(def: Option<&ServiceDef>) -> (String, Options) {
    let Some(def) = def else {
        let options = Options {
            wildcards: true,
            fold: false,
        };
        return ("path".to_owned(), options);
    };
    let by_class = |of: &&model::ResourceDef| of.matcher.ends_with("RangerPathResourceMatcher");
    let found = def.resources.iter().find(by_class);
    let found = found.or_else(|| def.resources.iter().find(|of| of.name == "path"));
    let options = Options {
        wildcards: found.is_none_or(|of| of.option("wildCard", true)),
        fold: found.is_some_and(|of| of.option("ignoreCase", true)),
    };
    let name = found.map_or("path", |of| of.name.as_str());
    (name.to_owned(), options)
}
