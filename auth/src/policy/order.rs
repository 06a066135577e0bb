//! In which order Ranger's engine asks policies: it decides which of those that say the same is named in the audit.
//! Source: `RangerOptimizedPolicyEvaluator.computeEvalOrder` and `RangerPolicyEvaluator.PolicyEvalOrderComparator`.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::glob;
use super::model::{Policy, PolicyItem};

/// Ascending in the order in which policies are asked.
pub(super) type Key = (Reverse<i32>, bool, i64, String);

/// The place of a policy; `types` is how many kinds of access its service has.
pub(super) fn key(policy: &Policy, types: usize) -> Key {
    (
        Reverse(policy.policy_priority),
        !can_deny(policy),
        score(policy, types),
        policy.name.clone(),
    )
}

/// Whether it may ever deny.
pub(super) fn can_deny(policy: &Policy) -> bool {
    policy.is_deny_all_else || !policy.deny_policy_items.is_empty()
}

fn score(policy: &Policy, types: usize) -> i64 {
    let mut score = 10_000 - resource_discount(policy).min(100);
    let values = policy.resources.values().flat_map(|of| &of.values);
    if values
        .clone()
        .any(|value| value.contains('\\') || (value.contains('{') && value.contains('}')))
    {
        score += 20;
    }
    score -= who_discount(policy);
    let named = items(policy)
        .flat_map(|item| &item.accesses)
        .filter(|access| access.is_allowed)
        .map(|access| access.kind.as_str());
    let named = count(named.collect::<BTreeSet<_>>().len());
    let types = count(types.max(1));
    // Rounded as Java rounds: half goes up.
    score -= (50 * named + types) / (2 * types);
    score - (25 - 5 * count(conditions(policy))).max(0)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX >> 8)
}

fn items(policy: &Policy) -> impl Iterator<Item = &PolicyItem> {
    let lists = [
        &policy.policy_items,
        &policy.deny_policy_items,
        &policy.allow_exceptions,
        &policy.deny_exceptions,
    ];
    lists.into_iter().flatten()
}

fn resource_discount(policy: &Policy) -> i64 {
    let resources = policy.resources.values();
    let one = |of: &super::model::PolicyResource| {
        if of
            .values
            .iter()
            .any(|value| value.is_empty() || value == "*")
        {
            return 25;
        }
        let has = |c: char| of.values.iter().any(|value| value.contains(c));
        let wild = if has('*') {
            10
        } else if of.values.iter().any(|value| glob::is_pattern(value)) {
            5
        } else {
            0
        };
        wild + 5 * i64::from(of.is_excludes) + 5 * i64::from(of.is_recursive)
    };
    resources.filter(|of| !of.values.is_empty()).map(one).sum()
}

fn who_discount(policy: &Policy) -> i64 {
    let groups: BTreeSet<_> = items(policy).flat_map(|item| &item.groups).collect();
    let users: BTreeSet<_> = items(policy).flat_map(|item| &item.users).collect();
    let is_for_all = policy.is_deny_all_else
        || groups
            .iter()
            .any(|group| group.eq_ignore_ascii_case("public"))
        || users.iter().any(|user| user.eq_ignore_ascii_case("{USER}"));
    if is_for_all {
        return 25;
    }
    count(groups.len() + users.len()).min(25)
}

/// Conditions that may have to be asked: those of the policy or of items of it.
fn conditions(policy: &Policy) -> usize {
    items(policy)
        .map(|item| item.conditions.len())
        .sum::<usize>()
        + policy.conditions.len()
}
