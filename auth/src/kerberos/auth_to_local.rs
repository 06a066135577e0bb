//! From a principal to a short name: `hadoop.security.auth_to_local`, rule by rule as
//! `org.apache.hadoop.security.authentication.util.KerberosName` has it.

use regex::Regex;

use super::substitution::Substitution;
use crate::{Failure, LoginError};

/// What a name may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// A result with `/` or `@` is refused, and so is a principal that no rule is for.
    Hadoop,
    /// Any result will do; a principal that no rule is for keeps its full name.
    Mit,
}

/// Rules that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth_to_local: {0}")]
pub struct RuleError(String);

/// All rules, in their order.
#[derive(Clone, Debug)]
pub struct NameRules {
    rules: Vec<Rule>,
    mechanism: Mechanism,
    default_realm: String,
}

#[derive(Clone, Debug)]
struct Rule {
    form: Form,
    lower: bool,
}

#[derive(Clone, Debug)]
enum Form {
    /// The first component, if the realm is the default one.
    Default,
    /// `RULE:[components:format](filter)s/from/to/g`
    Made {
        components: usize,
        format: Vec<Piece>,
        filter: Option<Regex>,
        substitution: Option<Substitution>,
    },
}

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// 0: the realm.
    Component(usize),
}

/// A principal, taken apart.
struct Parts<'a> {
    first: &'a str,
    second: Option<&'a str>,
    realm: Option<&'a str>,
}

impl NameRules {
    /// Reads rules, which white space parts: `RULE:[1:$1@$0](.*@A\\.B)s/@.*// DEFAULT`.
    ///
    /// # Errors
    /// What is no rule, or a pattern that Java knows and this program does not (look-around, back references).
    pub fn parse(
        text: &str,
        mechanism: Mechanism,
        default_realm: impl Into<String>,
    ) -> Result<Self, RuleError> {
        let syntax = Regex::new(SYNTAX).map_err(|error| RuleError(error.to_string()))?;
        let mut rules = Vec::new();
        let mut rest = text;
        while !rest.trim().is_empty() {
            let found = syntax.captures(rest);
            let found = found.ok_or_else(|| RuleError(format!("invalid rule: {}", rest.trim())))?;
            rules.push(rule(&found)?);
            let end = found.get(0).map_or(rest.len(), |all| all.end());
            rest = rest.get(end..).unwrap_or_default();
        }
        let default_realm = default_realm.into();
        Ok(Self {
            rules,
            mechanism,
            default_realm,
        })
    }

    /// The short name of a principal.
    ///
    /// # Errors
    /// [`Failure::BadName`] for what is no principal; [`Failure::NotForUs`] if no rule is for it.
    pub fn short(&self, principal: &str) -> Result<String, LoginError> {
        let parts = Parts::of(principal)?;
        let Some(realm) = parts.realm else {
            if parts.second.is_none() {
                return Ok(parts.first.to_owned());
            }
            return Err(self.no_rule(principal));
        };
        let mut values = vec![realm, parts.first];
        values.extend(parts.second);
        for rule in &self.rules {
            if let Some(short) = self.apply(rule, &values, principal)? {
                return Ok(short);
            }
        }
        match self.mechanism {
            Mechanism::Hadoop => Err(self.no_rule(principal)),
            Mechanism::Mit => Ok(principal.to_owned()),
        }
    }

    fn apply(
        &self,
        rule: &Rule,
        values: &[&str],
        principal: &str,
    ) -> Result<Option<String>, LoginError> {
        let made = match &rule.form {
            Form::Default => self.by_default(values),
            Form::Made {
                components,
                format,
                filter,
                substitution,
            } => {
                if values.len() != components + 1 {
                    return Ok(None);
                }
                let base: String = format.iter().map(|piece| piece.of(values)).collect();
                let fits = filter.as_ref().is_none_or(|filter| filter.is_match(&base));
                let replaced = |base: String| match substitution {
                    Some(substitution) => substitution.apply(&base),
                    None => base,
                };
                fits.then(|| replaced(base))
            }
        };
        let Some(made) = made else { return Ok(None) };
        if self.mechanism == Mechanism::Hadoop && made.contains(['/', '@']) {
            let text =
                format!("{principal}: auth_to_local makes {made} of it, which is no short name");
            return Err(LoginError::new(Failure::NotForUs, text));
        }
        Ok(Some(if rule.lower {
            made.to_lowercase()
        } else {
            made
        }))
    }

    fn by_default(&self, values: &[&str]) -> Option<String> {
        let is_ours = values
            .first()
            .is_some_and(|realm| *realm == self.default_realm);
        values
            .get(1)
            .filter(|_| is_ours)
            .map(|&first| first.to_owned())
    }

    fn no_rule(&self, principal: &str) -> LoginError {
        let text = format!(
            "no rule of auth.kerberos.auth_to_local is for {principal} (the default realm is {})",
            self.default_realm
        );
        LoginError::new(Failure::NotForUs, text)
    }
}

/// Hadoop's `ruleParser`, at the start of what is left. Groups: 1 DEFAULT, 2 components, 3 format, 4 filter, 5 from, 6 to, 7 g, 8 L.
const SYNTAX: &str = r"^\s*(?:(DEFAULT)|(?:RULE:\[(\d*):([^\]]*)\](?:\(([^)]*)\))?(?:s/([^/]*)/([^/]*)/(g)?)?))/?(L)?";

fn rule(found: &regex::Captures<'_>) -> Result<Rule, RuleError> {
    let group = |at| found.get(at).map(|group| group.as_str());
    let lower = group(8).is_some();
    if group(1).is_some() {
        let form = Form::Default;
        return Ok(Rule { form, lower });
    }
    let components = group(2).unwrap_or_default();
    let components = components
        .parse()
        .map_err(|_| RuleError(format!("[{components}: is no number of components")))?;
    let filter = group(4).map(whole).transpose()?;
    let substitution = match (group(5), group(6)) {
        (Some(from), Some(to)) => Some(Substitution::new(regex(from)?, to, group(7).is_some())),
        _ => None,
    };
    let form = Form::Made {
        components,
        format: pieces(group(3).unwrap_or_default(), components)?,
        filter,
        substitution,
    };
    Ok(Rule { form, lower })
}

fn regex(text: &str) -> Result<Regex, RuleError> {
    Regex::new(text).map_err(|error| RuleError(format!("{text}: {error}")))
}

/// A pattern that must match from end to end, as Java's `matches` does.
fn whole(text: &str) -> Result<Regex, RuleError> {
    regex(text)?;
    regex(&format!(r"\A(?:{text})\z"))
}

/// `$1@$0` in pieces.
fn pieces(format: &str, components: usize) -> Result<Vec<Piece>, RuleError> {
    let mut texts = format.split('$');
    let mut pieces = vec![Piece::Text(texts.next().unwrap_or_default().to_owned())];
    for text in texts {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = text.split_at(digits);
        let number: usize = number
            .parse()
            .ok()
            .filter(|number| *number <= components)
            .ok_or_else(|| RuleError(format!("[{format}]: ${number} is no component")))?;
        pieces.push(Piece::Component(number));
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

impl Piece {
    fn of<'a>(&'a self, values: &[&'a str]) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Component(at) => values.get(*at).copied().unwrap_or_default(),
        }
    }
}

impl<'a> Parts<'a> {
    /// `service/host@realm`, of which the last two may be missing. What is neither that nor holds an `@` is a name as it stands.
    fn of(principal: &'a str) -> Result<Self, LoginError> {
        let (name, realm) = match principal.split_once('@') {
            Some((name, realm)) => (name, Some(realm)),
            None => (principal, None),
        };
        let (first, second) = match name.split_once('/') {
            Some((first, second)) => (first, Some(second)),
            None => (name, None),
        };
        let parts = [Some(first), second, realm];
        let good = |part: &str| !part.is_empty() && !part.contains(['/', '@']);
        if parts.into_iter().flatten().all(good) {
            return Ok(Self {
                first,
                second,
                realm,
            });
        }
        if realm.is_some() || principal.is_empty() {
            let text = format!("Malformed Kerberos name: {principal}");
            return Err(LoginError::new(Failure::BadName, text));
        }
        Ok(Self {
            first: principal,
            second: None,
            realm: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../../tests/samples/auth/hadoop-auth-vectors.json");

    /// What Hadoop itself answers.
    #[test]
    fn as_hadoop() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let cases = vectors["authToLocal"].as_array().unwrap();
        assert!(cases.len() > 90);
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap_or_default();
            let mechanism = match text("mechanism") {
                "hadoop" => Mechanism::Hadoop,
                _ => Mechanism::Mit,
            };
            let rules = NameRules::parse(text("rules"), mechanism, "LAB.TEST").unwrap();
            let short = rules.short(text("principal"));
            match (&short, case["error"].as_str()) {
                (Ok(short), None) => assert_eq!(short, text("short"), "{case}"),
                (Err(error), Some("NoMatchingRule")) => {
                    assert_eq!(error.failure, Failure::NotForUs, "{case}");
                }
                (Err(error), Some(_)) => assert_eq!(error.failure, Failure::BadName, "{case}"),
                _ => panic!("{case}: {short:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for bad in [
            "NONSENSE",
            "DEFAULT RULE:[x:$1]",
            "RULE:[1:$2]",
            "RULE:[1:$]",
            "RULE:[1:$1](((.)",
            "RULE:[1:$1](?=a)",
        ] {
            let parsed = NameRules::parse(bad, Mechanism::Hadoop, "A");
            assert!(parsed.is_err(), "{bad}: {parsed:?}");
        }
        assert!(NameRules::parse(" \n", Mechanism::Hadoop, "A").is_ok());
    }

    proptest! {
        #[test]
        fn any_name_is_survived(name in ".{0,40}", rules in "[DEFAULTRULE:$0-9()\\[\\]/.* s@-]{0,40}") {
            if let Ok(rules) = NameRules::parse(&rules, Mechanism::Mit, "A") {
                let _ = rules.short(&name);
            }
            let rules = NameRules::parse("RULE:[2:$1@$0](.*)s/(.)/$1$1/g DEFAULT", Mechanism::Hadoop, "A").unwrap();
            let _ = rules.short(&name);
        }
    }
}
