//! Request parameters, from the query string or from an urlencoded form.

use std::borrow::Cow;

/// More parameters than this in one request are ignored: no client of ours sends a hundred.
const PARAMETERS_MAX: usize = 10_000;

/// The parameters of one request. Without a query string it costs nothing; values without escapes are
/// borrowed from the request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Query<'r> {
    pairs: Vec<(Cow<'r, str>, Cow<'r, str>)>,
}

impl<'r> Query<'r> {
    /// Reads the query of a URI ([`http::Uri::query`]), by the rules of HTML forms
    /// (`application/x-www-form-urlencoded`, WHATWG URL). Any text is a query: nothing is refused.
    pub fn parse(query: Option<&'r str>) -> Self {
        let pairs = query
            .map(|query| pairs(query.as_bytes()).collect())
            .unwrap_or_default();
        Self { pairs }
    }

    /// Adds the parameters of an urlencoded form body. They win over those of the query, as they do for
    /// Go's `FormValue`, by which SeaweedFS reads its parameters.
    pub fn merge_form(&mut self, form: &'r [u8]) {
        let query = std::mem::take(&mut self.pairs);
        self.pairs = pairs(form).chain(query).take(PARAMETERS_MAX).collect();
    }

    /// The first value of `name`; an empty string for a name without a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value)
    }

    /// The first value of `name` unless it is empty: what SeaweedFS takes for a parameter that is set.
    pub fn get_set(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether `name` is given as `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// All parameters, in the order in which they win.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Whether there is no parameter at all.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(text).take(PARAMETERS_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_decoded_and_the_first_wins() {
        let query = Query::parse(Some("ttl=3d&name=a+b%2Fc&ttl=9y&dl&cm=true"));
        assert_eq!(query.get("ttl"), Some("3d"));
        assert_eq!(query.get("name"), Some("a b/c"));
        assert_eq!(query.get("dl"), Some(""));
        assert_eq!(query.get_set("dl"), None);
        assert!(query.is_true("cm"));
        assert_eq!(query.get("missing"), None);
    }

    #[test]
    fn no_query_allocates_nothing() {
        let query = Query::parse(None);
        assert!(query.is_empty());
        assert_eq!(query.pairs.capacity(), 0);
    }

    #[test]
    fn a_form_wins_over_the_query() {
        let mut query = Query::parse(Some("collection=url&count=2"));
        query.merge_form(b"collection=form&ttl=1m");
        let all: Vec<_> = query.iter().collect();
        let wanted = [
            ("collection", "form"),
            ("ttl", "1m"),
            ("collection", "url"),
            ("count", "2"),
        ];
        assert_eq!(all, wanted);
        assert_eq!(query.get("collection"), Some("form"));
    }

    #[test]
    fn parameters_are_bounded() {
        let many = "a=1&".repeat(PARAMETERS_MAX + 5);
        let mut query = Query::parse(Some(&many));
        query.merge_form(many.as_bytes());
        assert_eq!(query.iter().count(), PARAMETERS_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parameters(text in ".*", form in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut query = Query::parse(Some(&text));
            query.merge_form(&form);
            prop_assert!(query.iter().count() <= form.len() + text.len());
        }

        #[test]
        fn what_is_encoded_is_read_back(name in "[^\u{0}]{1,20}", value in ".{0,40}") {
            let text = form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
            let query = Query::parse(Some(&text));
            prop_assert_eq!(query.get(&name), Some(value.as_str()));
        }
    }
}
