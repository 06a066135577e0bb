//! Policies to which changes are applied. We ask Ranger Admin for whole policies; suites have changes, too.

use super::model::{Policy, PolicyDelta, ServicePolicies};

/// A change that needs a full download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a change of kind {0} cannot be applied: the policies must be downloaded in full")]
pub struct NeedsFull(pub i64);

/// The policies after a download of changes.
///
/// # Errors
/// [`NeedsFull`]: nothing was applied.
pub fn apply(
    base: &ServicePolicies,
    changes: &ServicePolicies,
) -> Result<ServicePolicies, NeedsFull> {
    let mut now = base.clone();
    now.policy_version = changes.policy_version.or(now.policy_version);
    now.policy_update_time = changes
        .policy_update_time
        .clone()
        .or(now.policy_update_time);
    if !changes.service_config.is_empty() {
        now.service_config.clone_from(&changes.service_config);
    }
    for delta in changes.policy_deltas.iter().flatten() {
        apply_one(&mut now, delta)?;
    }
    for (name, zone) in &changes.security_zones {
        let into = now.security_zones.entry(name.clone()).or_default();
        into.resources.clone_from(&zone.resources);
        for delta in zone.policy_deltas.iter().flatten() {
            change(&mut into.policies, delta)?;
        }
    }
    now.policy_deltas = None;
    Ok(now)
}

fn apply_one(now: &mut ServicePolicies, delta: &PolicyDelta) -> Result<(), NeedsFull> {
    let zone = delta
        .policy
        .as_ref()
        .map_or("", |policy| policy.zone_name.as_str());
    if delta.service_type == "tag" {
        return change(
            &mut now.tag_policies.get_or_insert_default().policies,
            delta,
        );
    }
    match now
        .security_zones
        .get_mut(zone)
        .filter(|_| !zone.is_empty())
    {
        Some(zone) => change(&mut zone.policies, delta),
        None => change(&mut now.policies, delta),
    }
}

fn change(policies: &mut Vec<Policy>, delta: &PolicyDelta) -> Result<(), NeedsFull> {
    let kind = delta.change_type.unwrap_or(-1);
    let Some(policy) = delta.policy.as_ref().filter(|_| (0..=2).contains(&kind)) else {
        return Err(NeedsFull(kind));
    };
    policies.retain(|other| other.id != policy.id);
    if kind != 2 {
        policies.push(policy.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: serde_json::Value) -> ServicePolicies {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn changes() {
        let base = body(serde_json::json!({"policies": [{"id": 1, "name": "a"}, {"id": 2}]}));
        let now = body(serde_json::json!({"policyVersion": 7, "policyDeltas": [
            {"changeType": 1, "policy": {"id": 1, "name": "b"}},
            {"changeType": 2, "policy": {"id": 2}},
            {"changeType": 0, "policy": {"id": 3}}]}));
        let after = apply(&base, &now).unwrap();
        let ids: Vec<_> = after.policies.iter().map(|policy| policy.id).collect();
        assert_eq!((ids, after.policy_version), (vec![1, 3], Some(7)));
        let strange = body(serde_json::json!({"policyDeltas": [{"changeType": 8}]}));
        assert_eq!(apply(&base, &strange).unwrap_err(), NeedsFull(8));
    }
}
