//! Suites of questions with their answers, in the format `ranger-oracle/1`: what `moongate policy test` runs.

use serde::Deserialize;

use super::decide::{Decision, Request};
use super::model::{self, Roles, ServicePolicies, ServiceTags};
use super::{Access, FsAction, Material, PluginConfig, Snapshot, delta};
use crate::identity::Groups;

/// A file of suites.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Suites {
    /// `ranger-oracle/1`
    pub format: String,
    /// Where the answers come from.
    pub origin: String,
    /// All suites.
    pub suites: Vec<Suite>,
}

/// Questions to one state of policies.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Suite {
    /// Its name.
    pub id: Option<String>,
    /// Its name, if it has no id.
    pub name: Option<String>,
    /// What Ranger Admin's download answers.
    pub service_policies: Option<ServicePolicies>,
    /// Who has which roles.
    pub roles: Option<Roles>,
    /// What has which tags.
    pub service_tags: Option<ServiceTags>,
    /// What the plugin's own configuration says.
    pub plugin_config: Option<SuiteConfig>,
    /// Features beyond what decides on paths.
    pub requires: Option<Vec<String>>,
    /// The suite whose policies are changed by this one's.
    pub deltas_from: Option<String>,
    /// The questions.
    pub cases: Vec<Case>,
}

/// What the plugin's own configuration says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SuiteConfig {
    /// Who is allowed everything.
    pub super_users: Option<Vec<String>>,
    /// Groups that are.
    pub super_groups: Option<Vec<String>>,
    /// Who leaves no audit.
    pub audit_excluded_users: Option<Vec<String>>,
    /// Groups that leave none.
    pub audit_excluded_groups: Option<Vec<String>>,
    /// Roles that leave none.
    pub audit_excluded_roles: Option<Vec<String>>,
}

/// A question and its answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The question.
    pub request: Asked,
    /// The answer.
    pub expected: Expected,
}

/// A question.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    /// `path`
    pub resource: std::collections::BTreeMap<String, serde_json::Value>,
    /// Who.
    pub user: Option<String>,
    /// Their groups.
    pub groups: Option<Vec<String>>,
    /// Owner of the path.
    pub owner: Option<String>,
    /// `2025-06-09T03:31:53Z`
    pub access_time: Option<String>,
    /// Name of the operation.
    pub action: Option<String>,
    /// Address of the client.
    #[serde(rename = "clientIP")]
    pub client_ip: Option<String>,
    /// Tags beyond those known of the path.
    pub tags: Option<Vec<NamedTag>>,
    /// As HDFS asks.
    pub fs_action: Option<String>,
    /// Or one kind; empty: any.
    pub access_type: Option<String>,
}

/// A tag, or only its name.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum NamedTag {
    /// Only its name.
    Name(String),
    /// All of it.
    Tag(model::Tag),
}

/// An answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Expected {
    /// `ALLOW`, `DENY` or `NOT_DETERMINED`
    pub decision: String,
    /// Whether it is allowed.
    pub allowed: bool,
    /// Whether it is audited; not compared if it is missing.
    pub audited: Option<bool>,
    /// The zone of the path.
    pub zone: Option<String>,
    /// The policy that decides, or -1; not compared if it is missing.
    pub policy_id: Option<i64>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Suite and case.
    pub case: String,
    /// What differs: `decision`, `audited`, `zone`, `policyId`, or why the case could not be run.
    pub field: &'static str,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

/// What became of all cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Cases without a difference.
    pub passed: usize,
    /// Cases with one.
    pub failed: usize,
    /// Cases whose only difference is which policy is named.
    pub only_policy: usize,
    /// Cases in which a policy is compared.
    pub policies_compared: usize,
    /// All differences.
    pub mismatches: Vec<Mismatch>,
    /// Suites that were not run, and the features that they need.
    pub skipped: Vec<(String, Vec<String>)>,
}

impl Suites {
    /// Runs all.
    pub fn run(&self) -> Report {
        let mut report = Report::default();
        for (number, suite) in self.suites.iter().enumerate() {
            let name = suite.label(number);
            let requires = suite.requires.clone().unwrap_or_default();
            if requires.is_empty() {
                self.run_suite(suite, &name, &mut report);
            } else {
                report.skipped.push((name, requires));
            }
        }
        report
    }

    fn run_suite(&self, suite: &Suite, name: &str, report: &mut Report) {
        let compiled = self.material(suite).and_then(|material| {
            Snapshot::compile(&material, &suite.plugin()).map_err(|error| error.to_string())
        });
        match compiled {
            Ok(snapshot) => {
                for case in &suite.cases {
                    report.take(name, case, case.run(&snapshot));
                }
            }
            Err(text) => {
                for case in &suite.cases {
                    report.take(name, case, Err(text.clone()));
                }
            }
        }
    }

    fn material(&self, suite: &Suite) -> Result<Material, String> {
        Ok(Material {
            policies: self.policies(suite)?,
            roles: suite.roles.clone(),
            tags: suite.service_tags.clone(),
            users: None,
        })
    }

    /// A suite's policies, or those of another one changed.
    fn policies(&self, suite: &Suite) -> Result<ServicePolicies, String> {
        let own = suite
            .service_policies
            .as_ref()
            .ok_or("no servicePolicies")?;
        if own.policy_deltas.is_none() {
            return Ok(own.clone());
        }
        let from = suite
            .deltas_from
            .as_deref()
            .ok_or("policyDeltas without deltasFrom")?;
        let mut all = self.suites.iter();
        let base = all.find(|other| other.id.as_deref() == Some(from));
        let base = base.and_then(|base| base.service_policies.as_ref());
        let base = base.ok_or_else(|| format!("deltasFrom: there is no suite {from}"))?;
        delta::apply(base, own).map_err(|error| error.to_string())
    }
}

/// A suite whose policies are compiled, to be asked again and again.
#[derive(Debug)]
pub struct Prepared<'a> {
    snapshot: Snapshot,
    cases: &'a [Case],
}

impl Prepared<'_> {
    /// Asks all questions; how many were answered.
    pub fn ask_all(&self) -> usize {
        let asked = self.cases.iter().map(|case| case.run(&self.snapshot));
        asked.filter(Result::is_ok).count()
    }
}

impl Suites {
    /// Compiles the policies of all suites that can be run.
    pub fn prepared(&self) -> Vec<Prepared<'_>> {
        let ready = |suite| {
            let material = self.material(suite).ok()?;
            let snapshot = Snapshot::compile(&material, &suite.plugin()).ok()?;
            let cases = &suite.cases;
            Some(Prepared { snapshot, cases })
        };
        self.suites.iter().filter_map(ready).collect()
    }
}

impl Suite {
    fn label(&self, number: usize) -> String {
        let named = self.id.as_ref().or(self.name.as_ref());
        named.cloned().unwrap_or_else(|| format!("suite {number}"))
    }

    fn plugin(&self) -> PluginConfig {
        let config = self.plugin_config.clone().unwrap_or_default();
        PluginConfig {
            super_users: config.super_users.unwrap_or_default(),
            super_groups: config.super_groups.unwrap_or_default(),
            audit_excluded_users: config.audit_excluded_users.unwrap_or_default(),
            audit_excluded_groups: config.audit_excluded_groups.unwrap_or_default(),
            audit_excluded_roles: config.audit_excluded_roles.unwrap_or_default(),
            time_zone: String::new(),
        }
    }
}

impl Case {
    /// Asks.
    ///
    /// # Errors
    /// The question cannot be read.
    fn run(&self, snapshot: &Snapshot) -> Result<Decision, String> {
        let asked = &self.request;
        let groups = Groups::known(asked.groups.iter().flatten().map(String::as_str));
        let tags: Vec<model::Tag> = asked.tags.iter().flatten().map(NamedTag::tag).collect();
        let request = Request {
            path: asked.path(),
            is_file: false,
            user: asked.user.as_deref().unwrap_or(""),
            groups: &groups,
            owner: asked.owner.as_deref(),
            access: asked.access()?,
            action: asked.action.as_deref().unwrap_or(""),
            client_ip: asked.client_ip.as_deref(),
            time_ms: asked.time_ms()?,
            tags: &tags,
        };
        Ok(snapshot.decide(&request))
    }
}

impl NamedTag {
    fn tag(&self) -> model::Tag {
        match self {
            Self::Tag(tag) => tag.clone(),
            Self::Name(name) => model::Tag {
                kind: name.clone(),
                ..model::Tag::default()
            },
        }
    }
}

impl Asked {
    fn path(&self) -> &str {
        let path = self.resource.get("path");
        path.and_then(serde_json::Value::as_str).unwrap_or("")
    }

    fn access(&self) -> Result<Access<'_>, String> {
        match (&self.fs_action, self.access_type.as_deref()) {
            (Some(name), _) => FsAction::named(name)
                .map(Access::Fs)
                .ok_or_else(|| format!("fsAction {name} is not known")),
            (None, None | Some("" | "_any")) => Ok(Access::Any),
            (None, Some(name)) => Ok(Access::Named(name)),
        }
    }

    fn time_ms(&self) -> Result<i64, String> {
        let Some(text) = &self.access_time else {
            return Ok(0);
        };
        let time: jiff::Timestamp = text
            .parse()
            .map_err(|error| format!("accessTime {text}: {error}"))?;
        Ok(time.as_millisecond())
    }
}

impl Report {
    fn take(&mut self, suite: &str, case: &Case, answer: Result<Decision, String>) {
        let before = self.mismatches.len();
        let label = if case.name.starts_with(suite) {
            case.name.clone()
        } else {
            format!("{suite}/{}", case.name)
        };
        let expected = &case.expected;
        self.policies_compared += usize::from(expected.policy_id.is_some());
        let mut wrong = |field, expected: String, found: String| {
            if expected != found {
                let case = label.clone();
                self.mismatches.push(Mismatch {
                    case,
                    field,
                    expected,
                    found,
                });
            }
        };
        match answer {
            Err(text) => wrong("run", "an answer".into(), text),
            Ok(found) => expected.compare(&found, &mut wrong),
        }
        let all = self.mismatches.get(before..).unwrap_or(&[]);
        self.only_policy +=
            usize::from(!all.is_empty() && all.iter().all(|one| one.field == "policyId"));
        if all.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

impl Expected {
    fn compare(&self, found: &Decision, wrong: &mut impl FnMut(&'static str, String, String)) {
        let name = found.outcome.name();
        wrong("decision", self.decision.clone(), name.to_owned());
        let allowed = name == "ALLOW";
        wrong("allowed", self.allowed.to_string(), allowed.to_string());
        if let Some(audited) = self.audited {
            wrong("audited", audited.to_string(), found.audited.to_string());
        }
        let zone = found.zone.as_deref().unwrap_or("");
        wrong(
            "zone",
            self.zone.clone().unwrap_or_default(),
            zone.to_owned(),
        );
        if let Some(id) = self.policy_id {
            let found = found.policy.map_or(-1, |policy| policy.id);
            wrong("policyId", id.to_string(), found.to_string());
        }
    }
}
