//! What is audited, who may do everything, and groups of Ranger's user store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::audit_rules::{self, Filter, Mode};
use super::super::model::{ServicePolicies, UserStore};
use super::super::principals::Who;
use super::super::snapshot::{AuditRules, GroupsOf};
use super::{CompileError, Compiler, PluginConfig};

impl Compiler<'_> {
    pub(super) fn audit(
        &mut self,
        json: &ServicePolicies,
        plugin: &PluginConfig,
    ) -> Result<AuditRules, CompileError> {
        let mut rules = AuditRules {
            mode: Mode::of(json.audit_mode.as_deref()),
            ..AuditRules::default()
        };
        let of = |key: &str, more: &[String]| names(&json.service_config, key, more);
        rules.excluded = self.principals.who_of(
            &of(
                "ranger.plugin.audit.exclude.users",
                &plugin.audit_excluded_users,
            ),
            &of(
                "ranger.plugin.audit.exclude.groups",
                &plugin.audit_excluded_groups,
            ),
            &of(
                "ranger.plugin.audit.exclude.roles",
                &plugin.audit_excluded_roles,
            ),
        );
        if let Some(tags) = &json.tag_policies {
            rules.filters = self.filters(&tags.service_config, &tags.service_name)?;
        }
        let ours = self.filters(&json.service_config, &json.service_name)?;
        rules.filters.extend(ours);
        let tag_policies = json
            .tag_policies
            .as_ref()
            .map_or(0, |tags| tags.policies.len());
        rules.nothing_said = json.policies.is_empty() && tag_policies == 0;
        Ok(rules)
    }

    pub(super) fn filters(
        &mut self,
        config: &BTreeMap<String, Value>,
        service: &str,
    ) -> Result<Vec<Filter>, CompileError> {
        let Some(text) = config.get("ranger.plugin.audit.filters") else {
            return Ok(Vec::new());
        };
        audit_rules::filters(text, &mut self.principals, self.options, &self.resource).map_err(
            |text| CompileError::Filters {
                service: service.to_owned(),
                text,
            },
        )
    }

    pub(super) fn super_users(&mut self, json: &ServicePolicies, plugin: &PluginConfig) -> Who {
        let of = |key: &str, more: &[String]| names(&json.service_config, key, more);
        self.principals.who_of(
            &of("ranger.plugin.super.users", &plugin.super_users),
            &of("ranger.plugin.super.groups", &plugin.super_groups),
            &[],
        )
    }
}

/// Names of a comma list of the service's configuration, and some more.
fn names(config: &BTreeMap<String, Value>, key: &str, more: &[String]) -> Vec<String> {
    let text = config.get(key).and_then(Value::as_str).unwrap_or("");
    let listed = text.split(',').map(str::trim).map(str::to_owned);
    let more = more.iter().cloned();
    listed.chain(more).filter(|name| !name.is_empty()).collect()
}

pub(super) fn groups_of(json: &ServicePolicies, users: Option<&UserStore>) -> GroupsOf {
    let flag = |key: &str| {
        let value = json.service_config.get(key);
        value.is_some_and(|value| match value {
            Value::Bool(yes) => *yes,
            Value::String(text) => text.trim().eq_ignore_ascii_case("true"),
            _ => false,
        })
    };
    let only = flag("ranger.plugin.hdfs.use.only.rangerGroups");
    if !only && !flag("ranger.plugin.hdfs.use.rangerGroups") {
        return GroupsOf::default();
    }
    let mapping = users.map(|users| &users.user_group_mapping);
    let by_user = mapping.into_iter().flatten().map(|(user, groups)| {
        let groups = groups.iter().map(|group| Arc::from(group.as_str()));
        (user.clone(), groups.collect())
    });
    GroupsOf {
        by_user: by_user.collect(),
        only,
    }
}
