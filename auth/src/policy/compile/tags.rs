//! Policies on tags, and the resources that have some.

use std::collections::BTreeMap;

use super::super::context::Context;
use super::super::model::{self, PolicyResource, ServicePolicies, ServiceTags};
use super::super::pattern::{self, Options, Pattern};
use super::super::snapshot::{TagPolicy, TagUse};
use super::super::tagging::Tag;
use super::Compiler;

impl Compiler<'_> {
    pub(super) fn tag_names(
        &mut self,
        policy: &model::Policy,
        resources: &BTreeMap<String, PolicyResource>,
    ) -> Vec<Pattern> {
        let Some(of) = resources.get("tag") else {
            return Vec::new();
        };
        if of.is_excludes {
            let id = policy.id;
            self.warnings.push(format!(
                "policy {id} on tags excludes some, which in Ranger means every tag: it is left out"
            ));
            return Vec::new();
        }
        let options = Options {
            wildcards: true,
            fold: false,
        };
        pattern::of_resource(&of.values, false, false, options)
    }

    pub(super) fn tag_policies(&mut self, json: &ServicePolicies) -> Vec<TagPolicy> {
        let Some(tags) = &json.tag_policies else {
            return Vec::new();
        };
        let mut found: BTreeMap<u32, Vec<Pattern>> = BTreeMap::new();
        for (policy, pattern) in self.list(&tags.policies, true) {
            found.entry(policy).or_default().push(pattern);
        }
        let found = found.into_iter();
        found
            .map(|(policy, names)| TagPolicy { policy, names })
            .collect()
    }

    #[allow(clippy::type_complexity)]
    pub(super) fn tagged(
        &self,
        json: Option<&ServiceTags>,
        policies: &[TagPolicy],
    ) -> (Vec<Tag>, Vec<Vec<TagUse>>, Vec<(u32, Pattern)>) {
        let (mut tags, mut tagged, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let Some(json) = json else {
            return (tags, tagged, values);
        };
        let mut places = BTreeMap::new();
        for (id, tag) in &json.tags {
            places.insert(id.as_str(), tags.len());
            tags.push(Tag::new(tag, &self.clock_zone));
        }
        for resource in &json.service_resources {
            let Some(of) = resource.resource_elements.get(&self.resource) else {
                continue;
            };
            let ids = json.resource_to_tag_ids.get(&resource.id.to_string());
            let ids = ids.into_iter().flatten().map(ToString::to_string);
            let uses = ids.filter_map(|id| places.get(id.as_str()).copied());
            let uses = uses.filter_map(|tag| {
                let policies = naming(policies, &tags.get(tag)?.kind).collect();
                Some(TagUse { tag, policies })
            });
            let number = u32::try_from(tagged.len()).unwrap_or(u32::MAX);
            tagged.push(uses.collect());
            let patterns =
                pattern::of_resource(&of.values, of.is_recursive, of.is_excludes, self.options);
            values.extend(patterns.into_iter().map(|pattern| (number, pattern)));
        }
        (tags, tagged, values)
    }
}

/// Policies that name a tag.
pub(in super::super) fn naming(policies: &[TagPolicy], tag: &str) -> impl Iterator<Item = u32> {
    let context = Context {
        path: tag,
        ..Default::default()
    };
    let mean = move |policy: &&TagPolicy| policy.names.iter().any(|name| name.matches(&context));
    policies.iter().filter(mean).map(|policy| policy.policy)
}

/// `hdfs:read` is our `read`; what belongs to other components is dropped.
pub(super) fn ours(accesses: &[model::ItemAccess]) -> Vec<model::ItemAccess> {
    let ours = accesses.iter().filter_map(|access| {
        let (component, kind) = access.kind.split_once(':')?;
        component
            .eq_ignore_ascii_case("hdfs")
            .then(|| model::ItemAccess {
                kind: kind.to_owned(),
                is_allowed: access.is_allowed,
            })
    });
    ours.collect()
}
