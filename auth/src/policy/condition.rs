//! Conditions of policies and items. What needs a script is not answered: see [`Truth::Unknown`].

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::context::{Context, Truth};
use super::model::{self, ConditionDef};

/// One condition, ready.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// The client's address is one of these, or there is none.
    IpRange {
        exact: Box<[String]>,
        starts: Box<[String]>,
    },
    /// The tag's `expiry_date` has passed; or, reversed, has not.
    AfterExpiry { reversed: bool },
    /// Cannot be decided here.
    Unsupported,
}

impl Condition {
    /// From its JSON and what the service says of its kind.
    pub(super) fn new(json: &model::Condition, defs: &[ConditionDef]) -> Self {
        let def = defs.iter().find(|def| def.name == json.kind);
        let evaluator = def.map_or("", |def| def.evaluator.as_str());
        let class = evaluator.rsplit('.').next().unwrap_or("");
        match (json.kind.as_str(), class) {
            (_, "RangerIpMatcher") | ("ip-range", "") => Self::ip_range(&json.values),
            ("accessed-after-expiry", _) => {
                let first = json.values.first().map_or("", |value| value.trim());
                let reversed = matches!(first, "no" | "false");
                Self::AfterExpiry { reversed }
            }
            _ => Self::Unsupported,
        }
    }

    fn ip_range(values: &[String]) -> Self {
        let (mut exact, mut starts) = (Vec::new(), Vec::new());
        for value in values {
            let value = value.trim();
            if is_all_stars(value) {
                starts.push(String::new());
            } else if let Some(start) = without_stars(value, ".*") {
                starts.push(format!("{start}."));
            } else if let Some(start) = without_stars(value, ":*") {
                starts.push(format!("{start}:").to_lowercase());
            } else {
                exact.push(value.to_lowercase());
            }
        }
        Self::IpRange {
            exact: exact.into(),
            starts: starts.into(),
        }
    }

    /// Whether it holds.
    pub(super) fn holds(&self, context: &Context<'_>) -> Truth {
        match self {
            Self::IpRange { exact, starts } => Truth::of(
                context
                    .client_ip
                    .is_none_or(|ip| in_range(ip, exact, starts)),
            ),
            Self::AfterExpiry { reversed } => after_expiry(context, *reversed),
            Self::Unsupported => Truth::Unknown,
        }
    }

    /// Whether it needs what we have not.
    pub(super) const fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported)
    }
}

/// Whether all hold.
pub(super) fn all(conditions: &[Condition], context: &Context<'_>) -> Truth {
    let each = conditions.iter().map(|condition| condition.holds(context));
    each.fold(Truth::Yes, Truth::and)
}

/// `*`, `*.*`, `*:*`
fn is_all_stars(value: &str) -> bool {
    let separator = if value.contains('.') { '.' } else { ':' };
    value.split(separator).all(|part| part == "*")
}

fn without_stars<'v>(value: &'v str, star: &str) -> Option<&'v str> {
    let start = value.trim_end_matches(star);
    (start.len() < value.len()).then_some(start)
}

fn in_range(ip: &str, exact: &[String], starts: &[String]) -> bool {
    let begins = |start: &String| {
        ip.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    exact.iter().any(|one| one.eq_ignore_ascii_case(ip)) || starts.iter().any(begins)
}

/// Without a date nothing has expired; a date that cannot be read is not known.
fn after_expiry(context: &Context<'_>, reversed: bool) -> Truth {
    let date = context
        .tag
        .and_then(|tag| tag.attributes.get("expiry_date"));
    let Some(date) = date.filter(|date| !date.trim().is_empty()) else {
        return Truth::of(reversed);
    };
    match expiry_ms(date.trim()) {
        Some(expiry) => Truth::of((context.time_ms >= expiry) != reversed),
        None => Truth::Unknown,
    }
}

/// `2025/06/30`, `2025-06-30`, or with a time, in UTC.
fn expiry_ms(text: &str) -> Option<i64> {
    let text = text.trim_end_matches('Z').replace('/', "-");
    let at: DateTime = text.parse().ok().or_else(|| {
        let date: Date = text.parse().ok()?;
        Some(date.to_datetime(jiff::civil::Time::midnight()))
    })?;
    let at = at.to_zoned(TimeZone::UTC).ok()?;
    Some(at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(values: &[&str], client: Option<&str>) -> bool {
        let json = model::Condition {
            kind: "ip-range".into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let context = Context {
            client_ip: client,
            ..Context::default()
        };
        Condition::new(&json, &[]).holds(&context).is_certain()
    }

    #[test]
    fn addresses() {
        assert!(ip(&["10.1.*"], Some("10.1.2.3")));
        assert!(!ip(&["10.1.*"], Some("10.10.2.3")));
        assert!(!ip(&["10.1.*"], Some("110.1.2.3")));
        assert!(ip(&["2001:DB8:*"], Some("2001:db8::1")));
        assert!(ip(&["10.1.2.3"], Some("10.1.2.3")));
        assert!(ip(&["*"], Some("::1")) && ip(&["*.*"], Some("1.2.3.4")));
        assert!(ip(&["10.1.2.3"], None), "no address is every address");
        assert!(!ip(&[], Some("10.1.2.3")));
    }

    #[test]
    fn expiry() {
        assert_eq!(expiry_ms("1970/01/02"), Some(86_400_000));
        assert_eq!(expiry_ms("1970-01-01T00:00:01.000Z"), Some(1000));
        assert_eq!(expiry_ms("soon"), None);
    }
}
