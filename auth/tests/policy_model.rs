//! Random policies and requests, decided by the engine and by a plain evaluator that reads the rules as they are written: no index, no
//! bits, no early end. Few names and few paths, so that collisions are common.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use moongate_auth::Groups;
use moongate_auth::policy::model::{Roles, ServiceTags};
use moongate_auth::policy::{Access, FsAction, Material, Outcome, PluginConfig, Request, Snapshot};
use proptest::prelude::*;
use serde_json::{Value, json};

const USERS: [&str; 3] = ["al", "bo", "cy"];
const GROUPS: [&str; 3] = ["g", "h", "public"];
const ROLES: [&str; 2] = ["r", "top"];
const TYPES: [&str; 3] = ["read", "write", "execute"];

fn roles() -> Value {
    json!({"rangerRoles": [
        {"name": "r", "users": [{"name": "al"}], "groups": [{"name": "h"}]},
        {"name": "top", "roles": [{"name": "r"}, {"name": "top"}]}]})
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(of.to_vec(), 0..=of.len().min(2))
}

fn item() -> impl Strategy<Value = Value> {
    let users = some(&["al", "bo", "{USER}", "{OWNER}"]);
    (
        users,
        some(&GROUPS),
        some(&ROLES),
        prop::sample::subsequence(TYPES.to_vec(), 1..=3),
    )
        .prop_map(|(users, groups, roles, types)| {
            let accesses: Vec<Value> = types.iter().map(|kind| json!({"type": kind})).collect();
            json!({"users": users, "groups": groups, "roles": roles, "accesses": accesses})
        })
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(item(), 0..2)
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/a",
        "/a/",
        "/a/b",
        "/a/*",
        "*",
        "/*/b",
        "*b",
        "/a*",
        "/?",
        "/u/{USER}",
        "/b/c",
    ])
}

fn policy() -> impl Strategy<Value = Value> {
    let path = (
        prop::collection::vec(value(), 1..3),
        any::<bool>(),
        prop::bool::weighted(0.1),
    );
    let flags = (
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.9),
        any::<bool>(),
    );
    (path, items(), items(), items(), items(), flags).prop_map(
        |((values, recursive, excludes), allow, deny, not_allow, not_deny, (over, rest, enabled, audit))| {
            json!({"resources": {"path": {"values": values, "isRecursive": recursive, "isExcludes": excludes}},
                "policyItems": allow, "denyPolicyItems": deny, "allowExceptions": not_allow, "denyExceptions": not_deny,
                "policyPriority": i32::from(over), "isDenyAllElse": rest, "isEnabled": enabled, "isAuditEnabled": audit})
        },
    )
}

#[derive(Clone, Debug)]
struct Asked {
    path: String,
    user: &'static str,
    groups: Vec<&'static str>,
    owner: Option<&'static str>,
}

/// `*` any run, `?` one.
fn glob(text: &str, pattern: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, first) => first.is_none(),
        (Some('*'), _) => {
            glob(text, &pattern[1..]) || (!text.is_empty() && glob(&text[1..], pattern))
        }
        (Some('?'), Some(_)) => glob(&text[1..], &pattern[1..]),
        (Some(a), Some(b)) => a == b && glob(&text[1..], &pattern[1..]),
        (Some(_), None) => false,
    }
}

fn wild(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Section 3 of the rules, for paths without empty parts.
fn means_value(value: &str, recursive: bool, asked: &Asked) -> bool {
    let mut value = value.replace("{USER}", asked.user);
    let path = &asked.path;
    if recursive && value.ends_with('/') {
        value.push('*');
    }
    if value == "*" {
        return true;
    }
    if !recursive {
        return glob(path, &value);
    }
    if !wild(&value) {
        return *path == value || path.starts_with(&format!("{value}/"));
    }
    let wanted: Vec<&str> = value.split('/').filter(|part| !part.is_empty()).collect();
    let mut prefix = String::new();
    let mut literal = true;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for (n, part) in parts.iter().enumerate() {
        prefix += &format!("/{part}");
        if literal {
            match wanted.get(n) {
                Some(want) if !wild(want) && want != part => return false,
                Some(want) if !wild(want) => continue,
                _ => literal = false,
            }
        }
        if glob(&prefix, &value) {
            return true;
        }
    }
    if parts.is_empty() {
        return glob("/", &value);
    }
    literal && parts.len() == wanted.len()
}

fn means_path(policy: &Value, asked: &Asked) -> bool {
    let of = &policy["resources"]["path"];
    let recursive = of["isRecursive"] == true;
    let values = of["values"].as_array().unwrap();
    let any = values
        .iter()
        .any(|value| means_value(value.as_str().unwrap(), recursive, asked));
    any != (of["isExcludes"] == true)
}

fn roles_of(asked: &Asked) -> BTreeSet<&'static str> {
    let has = asked.user == "al" || asked.groups.contains(&"h");
    if has { ROLES.into() } else { BTreeSet::new() }
}

fn any_item(items: &Value, kind: &str, asked: &Asked) -> bool {
    let has = |list: &Value, name: &str| list.as_array().unwrap().iter().any(|one| one == name);
    items.as_array().unwrap().iter().any(|item| {
        let who = has(&item["users"], asked.user)
            || has(&item["users"], "{USER}")
            || (has(&item["users"], "{OWNER}") && asked.owner == Some(asked.user))
            || has(&item["groups"], "public")
            || asked.groups.iter().any(|group| has(&item["groups"], group))
            || roles_of(asked).iter().any(|role| has(&item["roles"], role));
        who && item["accesses"]
            .as_array()
            .unwrap()
            .iter()
            .any(|access| access["type"] == kind)
    })
}

fn word(policy: &Value, kind: &str, asked: &Asked) -> Option<bool> {
    let says = |list: &str| any_item(&policy[list], kind, asked);
    if says("denyPolicyItems") && !says("denyExceptions") {
        return Some(false);
    }
    if says("policyItems") && !says("allowExceptions") {
        return Some(true);
    }
    (policy["isDenyAllElse"] == true).then_some(false)
}

/// Section 5: the higher priority wins, and at the same a deny.
fn verdict(policies: &[Value], kind: &str, asked: &Asked) -> Option<bool> {
    let mut best: Option<(i64, bool)> = None;
    for policy in policies
        .iter()
        .filter(|policy| policy["isEnabled"] == true && means_path(policy, asked))
    {
        let priority = policy["policyPriority"].as_i64().unwrap();
        if let Some(allowed) = word(policy, kind, asked) {
            let wins = best.is_none_or(|(other, other_allows)| {
                priority > other || (priority == other && other_allows && !allowed)
            });
            if wins {
                best = Some((priority, allowed));
            }
        }
    }
    best.map(|(_, allowed)| allowed)
}

/// Section 6: any denied denies; all allowed allow; execute may stay undecided beside others.
fn plainly(policies: &[Value], action: FsAction, asked: &Asked) -> Outcome {
    let kinds: Vec<&str> = action.types().collect();
    let said: Vec<_> = kinds
        .iter()
        .map(|kind| (*kind, verdict(policies, kind, asked)))
        .collect();
    if said.iter().any(|(_, word)| *word == Some(false)) {
        return Outcome::Deny;
    }
    let enough = |(kind, word): &(&str, Option<bool>)| {
        *word == Some(true) || (*kind == "execute" && kinds.len() > 1)
    };
    if said.iter().all(enough) {
        Outcome::Allow
    } else {
        Outcome::Undetermined
    }
}

fn compiled(policies: &[Value], tags: Option<ServiceTags>, more: Value) -> Snapshot {
    let numbered: Vec<Value> = policies
        .iter()
        .enumerate()
        .map(|(n, policy)| {
            let mut policy = policy.clone();
            policy["id"] = json!(n + 1);
            policy
        })
        .collect();
    let mut body = json!({"serviceName": "s", "policies": numbered});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let material = Material {
        policies: serde_json::from_value(body).unwrap(),
        roles: Some(serde_json::from_value::<Roles>(roles()).unwrap()),
        tags,
        users: None,
    };
    Snapshot::compile(&material, &PluginConfig::default()).unwrap()
}

fn request<'a>(asked: &'a Asked, groups: &'a Groups, action: FsAction) -> Request<'a> {
    Request {
        path: &asked.path,
        is_file: false,
        user: asked.user,
        groups,
        owner: asked.owner,
        access: Access::Fs(action),
        action: "",
        client_ip: None,
        time_ms: 1_749_600_000_000,
        tags: &[],
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let path = prop::sample::select(vec![
        "/", "/a", "/a/b", "/a/b/c", "/b", "/b/c", "/u/al", "/u/bo/x", "/ab", "/x/b",
    ]);
    let groups = prop::sample::subsequence(vec!["g", "h"], 0..=2);
    let owner = prop::option::of(prop::sample::select(USERS.to_vec()));
    (path, prop::sample::select(USERS.to_vec()), groups, owner).prop_map(
        |(path, user, groups, owner)| Asked {
            path: path.to_owned(),
            user,
            groups,
            owner,
        },
    )
}

fn action() -> impl Strategy<Value = FsAction> {
    prop::sample::select(vec![
        "READ",
        "WRITE",
        "EXECUTE",
        "READ_EXECUTE",
        "READ_WRITE",
        "WRITE_EXECUTE",
        "ALL",
    ])
    .prop_map(|name| FsAction::named(name).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decides_as_the_rules_say(policies in prop::collection::vec(policy(), 0..7), asked in asked(), action in action()) {
        let snapshot = compiled(&policies, None, json!({}));
        let groups = Groups::known(asked.groups.iter().copied());
        let decision = snapshot.decide(&request(&asked, &groups, action));
        prop_assert_eq!(decision.outcome, plainly(&policies, action, &asked));
        let audited = policies.is_empty() || policies.iter().any(|policy| policy["isEnabled"] == true
            && policy["isAuditEnabled"] == true && means_path(policy, &asked));
        prop_assert_eq!(decision.audited, audited);
        prop_assert_eq!(snapshot.explain(&request(&asked, &groups, action)).0, decision);
    }

    /// When groups cannot be looked up, nothing is allowed that any groups would forbid.
    #[test]
    fn unknown_groups_never_open(policies in prop::collection::vec(policy(), 0..5), asked in asked(), action in action()) {
        let snapshot = compiled(&policies, None, json!({}));
        let unknown = snapshot.decide(&request(&asked, &Groups::Unknown, action)).outcome;
        if unknown == Outcome::Allow {
            for groups in [&[][..], &["g"], &["h"], &["g", "h"]] {
                let groups = Groups::known(groups.iter().copied());
                let known = snapshot.decide(&request(&asked, &groups, action)).outcome;
                prop_assert_eq!(known, Outcome::Allow, "{:?}", groups);
            }
        }
    }

    /// A zone has its own policies, instead of the others.
    #[test]
    fn a_zone_stands_for_itself(outside in prop::collection::vec(policy(), 0..4), inside in prop::collection::vec(policy(), 0..4), asked in asked(), action in action()) {
        let zones = json!({"securityZones": {"z": {"zoneName": "z", "resources": [{"path": ["/a"]}], "policies": inside}}});
        let snapshot = compiled(&outside, None, zones);
        let groups = Groups::known(asked.groups.iter().copied());
        let decision = snapshot.decide(&request(&asked, &groups, action));
        let in_zone = asked.path == "/a" || asked.path.starts_with("/a/");
        let policies = if in_zone { &inside } else { &outside };
        prop_assert_eq!(decision.zone.as_deref(), in_zone.then_some("z"));
        prop_assert_eq!(decision.outcome, plainly(policies, action, &asked));
    }

    /// No JSON makes it panic.
    #[test]
    fn any_json_is_compiled_or_refused(text in "[\\[\\]{}:,\"a-z0-9*?/$ ]{0,60}", policies in prop::collection::vec(policy(), 0..2)) {
        let _ = serde_json::from_str::<moongate_auth::policy::model::ServicePolicies>(&text);
        let mut body = json!({"policies": policies, "serviceConfig": {"ranger.plugin.audit.filters": text.clone(), "ranger.plugin.super.users": text.clone()}});
        if let Some(first) = body["policies"].get_mut(0) {
            first["resources"]["path"]["values"] = json!([text.clone(), null]);
            first["validitySchedules"] = json!([{"startTime": text, "timeZone": text, "recurrences": null}]);
        }
        if let Ok(policies) = serde_json::from_value(body) {
            let material = Material { policies, ..Material::default() };
            let _ = Snapshot::compile(&material, &PluginConfig::default());
        }
    }
}
