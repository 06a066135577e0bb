//! Whether a decision is audited: the service's mode, who is left out, and filters. Source: specs of Ranger's `auditMode`,
//! `ranger.plugin.audit.exclude.*` and `ranger.plugin.audit.filters`.

use serde::Deserialize;
use serde_json::Value;

use super::context::Context;
use super::model::PolicyResource;
use super::pattern::{self, Options, Pattern};
use super::principals::{Principals, Who};
use super::{Access, Outcome};

/// What a service audits unless a filter says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// As policies say.
    #[default]
    Policies,
    All,
    Nothing,
}

impl Mode {
    /// Of `auditMode`.
    pub(super) fn of(text: Option<&str>) -> Self {
        match text {
            Some("audit-all") => Self::All,
            Some("audit-none") => Self::Nothing,
            _ => Self::Policies,
        }
    }
}

/// A filter's JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FilterJson {
    access_result: Option<String>,
    resources: Option<std::collections::BTreeMap<String, PolicyResource>>,
    users: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    roles: Option<Vec<String>>,
    actions: Option<Vec<String>>,
    access_types: Option<Vec<String>>,
    is_audited: Option<bool>,
}

/// A filter.
#[derive(Debug)]
pub(super) struct Filter {
    outcome: Option<Outcome>,
    paths: Option<Box<[Pattern]>>,
    who: Who,
    actions: Box<[String]>,
    access_types: Box<[String]>,
    audited: bool,
}

/// What is asked of filters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    pub context: Context<'a>,
    pub outcome: Outcome,
    pub access: Access<'a>,
    pub action: &'a str,
}

/// Reads the filters of one service.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn filters(
    text: &Value,
    principals: &mut Principals,
    options: Options,
    resource: &str,
) -> Result<Vec<Filter>, String> {
    let parsed: Vec<FilterJson> = match text {
        Value::String(text) if text.trim().is_empty() => Vec::new(),
        Value::String(text) => {
            serde_json::from_str(&double_quotes(text)).map_err(|error| error.to_string())?
        }
        other => serde_json::from_value(other.clone()).map_err(|error| error.to_string())?,
    };
    let filters = parsed.into_iter();
    Ok(filters
        .map(|json| filter(json, principals, options, resource))
        .collect())
}

fn filter(json: FilterJson, principals: &mut Principals, options: Options, name: &str) -> Filter {
    let (users, groups, roles) = (json.users, json.groups, json.roles);
    let paths = json.resources.filter(|all| !all.is_empty()).map(|all| {
        all.get(name).map_or_else(Box::default, |of| {
            let patterns =
                pattern::of_resource(&of.values, of.is_recursive, of.is_excludes, options);
            patterns.into()
        })
    });
    Filter {
        outcome: json.access_result.as_deref().and_then(outcome),
        paths,
        who: principals.who_of(
            &users.unwrap_or_default(),
            &groups.unwrap_or_default(),
            &roles.unwrap_or_default(),
        ),
        actions: json.actions.unwrap_or_default().into(),
        access_types: json.access_types.unwrap_or_default().into(),
        audited: json.is_audited.unwrap_or(true),
    }
}

fn outcome(text: &str) -> Option<Outcome> {
    match text {
        "ALLOWED" => Some(Outcome::Allow),
        "DENIED" => Some(Outcome::Deny),
        "NOT_DETERMINED" => Some(Outcome::Undetermined),
        _ => None,
    }
}

/// What the first filter says that means the event.
pub(super) fn decide(filters: &[Filter], event: &Event<'_>) -> Option<bool> {
    let found = filters.iter().find(|filter| filter.means(event));
    found.map(|filter| filter.audited)
}

impl Filter {
    fn means(&self, event: &Event<'_>) -> bool {
        self.outcome.is_none_or(|outcome| outcome == event.outcome)
            && self.means_what(event)
            && self.means_who(&event.context)
            && self
                .paths
                .as_ref()
                .is_none_or(|paths| paths.iter().any(|path| path.matches(&event.context)))
    }

    fn means_who(&self, context: &Context<'_>) -> bool {
        let truth = |subject| self.who.includes(subject, context.user, context.owner);
        self.who.is_empty()
            || context.subject.is_some_and(|subject| {
                let truth = truth(subject);
                // Rather one line too many.
                if self.audited {
                    truth.is_possible()
                } else {
                    truth.is_certain()
                }
            })
    }

    fn means_what(&self, event: &Event<'_>) -> bool {
        if self.actions.is_empty() && self.access_types.is_empty() {
            return true;
        }
        let named = |name: &str| self.access_types.iter().any(|kind| kind == name);
        self.actions.iter().any(|action| action == event.action)
            || match event.access {
                Access::Fs(action) => action.types().any(named),
                Access::Named(name) => named(name),
                Access::Any => false,
            }
    }
}

/// JSON in which texts stand in single quotes, as people write it into a form: with double quotes.
fn double_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (within, c) {
            (_, '\\') => match chars.next() {
                Some('\'') => out.push('\''),
                next => {
                    out.push('\\');
                    out.extend(next);
                }
            },
            (None, '\'' | '"') => {
                within = Some(c);
                out.push('"');
            }
            (Some(quote), c) if c == quote => {
                within = None;
                out.push('"');
            }
            (Some('\''), '"') => out.push_str("\\\""),
            (_, c) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        let text = r#"[{'a': 'it\'s "b"', "c": "d'e"}]"#;
        let value: Value = serde_json::from_str(&double_quotes(text)).unwrap();
        assert_eq!(value, serde_json::json!([{"a": "it's \"b\"", "c": "d'e"}]));
    }
}
