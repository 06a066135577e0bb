//! From what a token says to a user, groups and a tenant.
//!
//! A rule looks at one claim: `*` in its pattern stands for any text without `:`, and `{1}`, `{2}` … in what it gives for what the stars
//! took. The first rule whose pattern fits the whole claim decides.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Refused;

/// Names with this in front are Kubernetes' own: only its issuer can give them.
const KUBERNETES: &str = "system:";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// The longest name of a user, a group or a tenant, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The most groups of one token.
const GROUPS_MAX: usize = 1000;

/// What is given to those whose claim fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The claim that is looked at; `sub` if empty.
    pub claim: String,
    /// The pattern that all of it must fit.
    pub matches: String,
    /// The user; empty: as without a rule.
    pub user: String,
    /// Groups besides those that the token names.
    pub groups: Vec<String>,
    /// The tenant; empty: as without a rule.
    pub tenant: String,
}

/// How tokens of an issuer become users.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// Rules, of which the first that fits decides.
    pub rules: Vec<Rule>,
    /// The claim that is the user's name where no rule gives one; empty: such a token is refused.
    pub user_claim: String,
    /// The claim with the user's groups: a list, or one name. Empty: tokens say nothing of groups.
    pub groups_claim: String,
    /// The claim with the user's tenant; empty: tokens say nothing of tenants.
    pub tenant_claim: String,
    /// This is a Kubernetes cluster's issuer: its service accounts keep their full names, and get their groups.
    pub kubernetes: bool,
}

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub user: String,
    /// The user's groups; `None` where nothing told of any, so that they have to be looked up.
    pub groups: Option<Vec<String>>,
    /// The tenant.
    pub tenant: Option<String>,
}

impl Mapping {
    /// Whom the claims stand for.
    ///
    /// # Errors
    /// [`Refused::NoUser`], [`Refused::Claim`] for a claim that is no fit name.
    pub fn subject(&self, claims: &Map<String, Value>) -> Result<Subject, Refused> {
        let found = self.rules.iter().find_map(|rule| {
            let claim = if rule.claim.is_empty() {
                "sub"
            } else {
                &rule.claim
            };
            Some((rule, captures(&rule.matches, claims.get(claim)?.as_str()?)?))
        });
        let fill = |template: &str| {
            let taken = found.as_ref().map(|(_, taken)| taken.as_slice());
            filled(template, taken.unwrap_or_default())
        };
        let rule = found.as_ref().map(|(rule, _)| *rule);
        Ok(Subject {
            user: match rule.filter(|rule| !rule.user.is_empty()) {
                Some(rule) => fit_name(fill(&rule.user), &rule.matches)?,
                None => self.claimed_user(claims)?,
            },
            groups: self.groups(claims, rule, fill)?,
            tenant: match rule.filter(|rule| !rule.tenant.is_empty()) {
                Some(rule) => Some(fit_name(fill(&rule.tenant), &rule.matches)?),
                None => self.claimed_tenant(claims)?,
            },
        })
    }

    fn claimed_user(&self, claims: &Map<String, Value>) -> Result<String, Refused> {
        if self.user_claim.is_empty() {
            return Err(Refused::NoUser);
        }
        let user = claims.get(&self.user_claim).and_then(Value::as_str);
        let user = user.ok_or_else(|| Refused::Claim(self.user_claim.clone()))?;
        self.named(user, &self.user_claim)
    }

    fn claimed_tenant(&self, claims: &Map<String, Value>) -> Result<Option<String>, Refused> {
        if self.tenant_claim.is_empty() {
            return Ok(None);
        }
        match claims.get(&self.tenant_claim) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(tenant)) => fit_name(tenant.clone(), &self.tenant_claim).map(Some),
            Some(_) => Err(Refused::Claim(self.tenant_claim.clone())),
        }
    }

    fn groups(
        &self,
        claims: &Map<String, Value>,
        rule: Option<&Rule>,
        fill: impl Fn(&str) -> String,
    ) -> Result<Option<Vec<String>>, Refused> {
        let mut groups = self.claimed_groups(claims)?;
        if let Some(rule) = rule.filter(|rule| !rule.groups.is_empty()) {
            let given = rule
                .groups
                .iter()
                .map(|group| fit_name(fill(group), &rule.matches));
            let given: Vec<String> = given.collect::<Result<_, _>>()?;
            groups.get_or_insert_default().extend(given);
        }
        let account = claims.get("sub").and_then(Value::as_str);
        let account = account.and_then(|sub| sub.strip_prefix(SERVICE_ACCOUNT));
        if let Some((space, _)) = account
            .filter(|_| self.kubernetes)
            .and_then(|of| of.split_once(':'))
        {
            let own = [
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{space}"),
            ];
            groups.get_or_insert_default().extend(own);
        }
        Ok(groups)
    }

    fn claimed_groups(&self, claims: &Map<String, Value>) -> Result<Option<Vec<String>>, Refused> {
        let wrong = || Refused::Claim(self.groups_claim.clone());
        let names: &[Value] = match claims.get(&self.groups_claim) {
            _ if self.groups_claim.is_empty() => return Ok(None),
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(names)) => names,
            Some(one) => std::slice::from_ref(one),
        };
        if names.len() > GROUPS_MAX {
            return Err(wrong());
        }
        let name = |name: &Value| self.named(name.as_str().ok_or_else(wrong)?, &self.groups_claim);
        names.iter().map(name).collect::<Result<_, _>>().map(Some)
    }

    /// A name that the token itself gives.
    fn named(&self, name: &str, claim: &str) -> Result<String, Refused> {
        if name.starts_with(KUBERNETES) && !self.kubernetes {
            return Err(Refused::Claim(claim.to_owned()));
        }
        fit_name(name.to_owned(), claim)
    }
}

fn fit_name(name: String, claim: &str) -> Result<String, Refused> {
    let fit = (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    fit.then_some(name)
        .ok_or_else(|| Refused::Claim(claim.to_owned()))
}

/// What the stars of `pattern` take of `text`, if all of it fits.
fn captures<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let Some((before, after)) = pattern.split_once('*') else {
        return (pattern == text).then(Vec::new);
    };
    let rest = text.strip_prefix(before)?;
    let longest = rest.find(':').unwrap_or(rest.len());
    // The shortest that fits; a name is a few dozen bytes and a rule has a few stars, so that trying is cheap.
    for (end, _) in rest.char_indices().chain([(rest.len(), ' ')]) {
        if end > longest {
            break;
        }
        let (taken, rest) = rest.split_at(end);
        if let Some(more) = captures(after, rest) {
            return Some([vec![taken], more].concat());
        }
    }
    None
}

fn filled(template: &str, taken: &[&str]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, hole) = rest.split_at(at);
        filled.push_str(before);
        let number = hole.get(1..2).and_then(|digit| digit.parse::<usize>().ok());
        let number = number.filter(|_| hole.get(2..3) == Some("}"));
        match number.and_then(|number| taken.get(number.checked_sub(1)?)) {
            Some(taken) => {
                filled.push_str(taken);
                rest = hole.get(3..).unwrap_or_default();
            }
            None => {
                filled.push('{');
                rest = hole.get(1..).unwrap_or_default();
            }
        }
    }
    filled + rest
}

/// What is wrong with a rule, to be told when the configuration is read.
///
/// # Errors
/// In words.
pub fn check_rule(rule: &Rule) -> Result<(), String> {
    let stars = rule.matches.matches('*').count();
    if rule.matches.is_empty() {
        return Err("a rule needs `matches`: a pattern for the claim".to_owned());
    }
    if stars > 5 {
        return Err(format!("{}: at most five stars", rule.matches));
    }
    let given = rule.groups.iter().chain([&rule.user, &rule.tenant]);
    for hole in (1..=9).map(|n| (n, format!("{{{n}}}"))) {
        let used = given.clone().any(|template| template.contains(&hole.1));
        if used && hole.0 > stars {
            return Err(format!("{}: {} has no star", rule.matches, hole.1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rule(matches: &str, user: &str, group: &str, tenant: &str) -> Rule {
        Rule {
            claim: String::new(),
            matches: matches.to_owned(),
            user: user.to_owned(),
            groups: vec![group.to_owned()],
            tenant: tenant.to_owned(),
        }
    }

    fn kubernetes(rules: Vec<Rule>) -> Mapping {
        Mapping {
            rules,
            user_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            tenant_claim: "tenant".to_owned(),
            kubernetes: true,
        }
    }

    fn subject(mapping: &Mapping, claims: &Value) -> Result<Subject, Refused> {
        mapping.subject(claims.as_object().unwrap())
    }

    #[test]
    fn a_service_account_is_itself_or_what_a_rule_makes_of_it() {
        let mapping = kubernetes(vec![rule(
            "system:serviceaccount:team-*:*",
            "{1}-{2}",
            "team-{1}",
            "{1}",
        )]);
        let ruled = subject(
            &mapping,
            &json!({"sub": "system:serviceaccount:team-a:spark"}),
        )
        .unwrap();
        assert_eq!(ruled.user, "a-spark");
        assert_eq!(ruled.tenant.as_deref(), Some("a"));
        let groups = [
            "team-a",
            "system:serviceaccounts",
            "system:serviceaccounts:team-a",
        ];
        assert_eq!(ruled.groups.unwrap(), groups);
        let plain = subject(&mapping, &json!({"sub": "system:serviceaccount:other:x"})).unwrap();
        assert_eq!(plain.user, "system:serviceaccount:other:x");
        assert_eq!(plain.tenant, None);
    }

    #[test]
    fn only_kubernetes_names_its_own() {
        let mapping = Mapping {
            kubernetes: false,
            ..kubernetes(vec![])
        };
        for claims in [
            json!({"sub": "system:serviceaccount:a:b"}),
            json!({"sub": "ann", "groups": ["system:masters"]}),
        ] {
            assert!(
                matches!(subject(&mapping, &claims), Err(Refused::Claim(_))),
                "{claims}"
            );
        }
    }

    #[test]
    fn groups_that_nobody_told_of_are_not_an_empty_set() {
        let mapping = Mapping {
            kubernetes: false,
            ..kubernetes(vec![])
        };
        let of = |claims: Value| subject(&mapping, &claims).map(|subject| subject.groups);
        assert_eq!(of(json!({"sub": "ann"})), Ok(None));
        assert_eq!(of(json!({"sub": "ann", "groups": []})), Ok(Some(vec![])));
        assert_eq!(
            of(json!({"sub": "ann", "groups": "a"})),
            Ok(Some(vec!["a".to_owned()]))
        );
        assert!(of(json!({"sub": "ann", "groups": [1]})).is_err());
        assert!(of(json!({"sub": "ann", "groups": {"a": 1}})).is_err());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let mapping = kubernetes(vec![]);
        for user in ["", "a b", "a\nb", "a\0", &"x".repeat(257)] {
            assert!(
                subject(&mapping, &json!({"sub": user})).is_err(),
                "{user:?}"
            );
        }
        assert!(subject(&mapping, &json!({"sub": 7})).is_err());
        assert!(subject(&mapping, &json!({"sub": "a", "tenant": 7})).is_err());
        let strict = Mapping {
            user_claim: String::new(),
            ..kubernetes(vec![])
        };
        assert_eq!(subject(&strict, &json!({"sub": "a"})), Err(Refused::NoUser));
    }

    #[test]
    fn stars_take_no_colon() {
        for (pattern, text, taken) in [
            ("a:*", "a:b", Some(vec!["b"])),
            ("a:*", "a:b:c", None),
            ("a:*", "xa:b", None),
            ("*@example.com", "ann@example.com", Some(vec!["ann"])),
            ("*@example.com", "ann@example.com.evil", None),
            ("*-*", "a-b-c", Some(vec!["a", "b-c"])),
            ("*", "", Some(vec![""])),
            ("exact", "exact", Some(vec![])),
            ("exact", "exactly", None),
            ("ü*ü", "üßü", Some(vec!["ß"])),
        ] {
            assert_eq!(captures(pattern, text), taken, "{pattern} {text}");
        }
        assert_eq!(filled("{1}/{2}{3}{x", &["a", "b"]), "a/b{3}{x");
    }

    #[test]
    fn a_rule_without_sense_is_told() {
        assert!(check_rule(&rule("a:*", "{1}", "g", "t")).is_ok());
        assert!(check_rule(&rule("a:*", "{2}", "g", "t")).is_err());
        assert!(check_rule(&rule("", "u", "g", "t")).is_err());
        assert!(check_rule(&rule("******", "u", "g", "t")).is_err());
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[a:*üx]{0,10}", text in "[a:üx]{0,20}", template in "[{}0-9ü]{0,12}") {
            if let Some(taken) = captures(&pattern, &text) {
                prop_assert!(taken.iter().all(|taken| !taken.contains(':')));
                filled(&template, &taken);
            }
        }
    }
}
