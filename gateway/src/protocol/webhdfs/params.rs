//! Parameters, as the NameNode takes them: names and booleans in any case, numbers checked, mistakes told in its words.

use crate::http::query::Query;

use super::error::Refusal;

/// The highest permission: the sticky bit and all others.
const PERMISSION_MAX: u16 = 0o1777;

/// The parameters of one request.
#[derive(Clone, Copy, Debug)]
pub struct Params<'q>(pub &'q Query<'q>);

impl<'q> Params<'q> {
    /// A value that is given, be it empty.
    pub fn given(self, name: &str) -> Option<&'q str> {
        let Self(query) = self;
        let mut all = query.iter();
        all.find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A value that is set: `null` is how Java's clients say that it is not.
    pub fn text(self, name: &str) -> Option<&'q str> {
        self.given(name)
            .filter(|value| !value.is_empty() && *value != "null")
    }

    /// A value without which the operation means nothing.
    ///
    /// # Errors
    /// It is missing.
    pub fn required(self, name: &str, op: &str) -> Result<&'q str, Refusal> {
        self.text(name).ok_or_else(|| {
            Refusal::Illegal(format!(
                "Required param {name} for op: {op} is null or empty"
            ))
        })
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    /// It is neither.
    pub fn is_true(self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.text(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => {
                let text = format!("Failed to parse \"{value}\" to Boolean.");
                Err(Refusal::parameter(name, &text))
            }
        }
    }

    /// A number that is at least `min`.
    ///
    /// # Errors
    /// It is no number, or less.
    pub fn number(self, name: &str, min: i64) -> Result<Option<u64>, Refusal> {
        Ok(self
            .signed(name, min)?
            .and_then(|number| u64::try_from(number).ok()))
    }

    /// As [`Self::number`], where negative numbers may be allowed.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn signed(self, name: &str, min: i64) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.given(name).filter(|value| *value != "null") else {
            return Ok(None);
        };
        let number: i64 = value.parse().map_err(|_| {
            let text = format!("Failed to parse \"{value}\" as a radix-10 long integer.");
            Refusal::parameter(name, &text)
        })?;
        if number < min {
            let text = format!("Invalid parameter range: {name} = {number} < {min}");
            return Err(Refusal::parameter(name, &text));
        }
        Ok(Some(number))
    }

    /// A number of copies.
    ///
    /// # Errors
    /// It is no number from 1 on.
    pub fn replication(self) -> Result<Option<u16>, Refusal> {
        let number = self.number("replication", 1)?;
        number
            .map(|number| {
                u16::try_from(number).map_err(|_| {
                    let text = format!("Failed to parse \"{number}\" as a radix-10 short integer.");
                    Refusal::parameter("replication", &text)
                })
            })
            .transpose()
    }

    /// Permission bits in octal.
    ///
    /// # Errors
    /// It is no such number.
    pub fn permission(self, default: u16) -> Result<u16, Refusal> {
        let Some(value) = self.text("permission") else {
            return Ok(default);
        };
        let bits = u16::from_str_radix(value, 8).map_err(|_| {
            let text = format!("Failed to parse \"{value}\" as a radix-8 short integer.");
            Refusal::parameter("permission", &text)
        })?;
        if bits > PERMISSION_MAX {
            let text =
                format!("Invalid parameter range: permission = {bits:o} > {PERMISSION_MAX:o}");
            return Err(Refusal::parameter("permission", &text));
        }
        Ok(bits)
    }

    /// An absolute path.
    ///
    /// # Errors
    /// It is missing or relative.
    pub fn path(self, name: &str, op: &str) -> Result<&'q str, Refusal> {
        let path = self.required(name, op)?;
        if path.starts_with('/') {
            return Ok(path);
        }
        let text = format!("Invalid parameter value: {name} = \"{path}\" is not an absolute path.");
        Err(Refusal::parameter(name, &text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(
        query: &'static str,
        read: impl FnOnce(Params<'static>) -> Result<T, Refusal>,
    ) -> String {
        // A test may leak.
        let query: &'static Query<'static> = Box::leak(Box::new(Query::parse(Some(query))));
        match read(Params(query)) {
            Err(Refusal::Illegal(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_and_booleans_in_any_case() {
        let query = Query::parse(Some("OverWrite=True&Recursive=FALSE&user.name=null&x="));
        let params = Params(&query);
        assert!(params.is_true("overwrite", false).unwrap());
        assert!(!params.is_true("recursive", true).unwrap());
        assert!(params.is_true("missing", true).unwrap());
        assert_eq!(
            (
                params.text("user.name"),
                params.text("x"),
                params.given("x")
            ),
            (None, None, Some(""))
        );
    }

    #[test]
    fn numbers() {
        let query = Query::parse(Some("offset=7&length=null&permission=1755&replication=3"));
        let params = Params(&query);
        assert_eq!(params.number("offset", 0).unwrap(), Some(7));
        assert_eq!(params.number("length", 0).unwrap(), None);
        assert_eq!(params.permission(0o644).unwrap(), 0o1755);
        assert_eq!(params.replication().unwrap(), Some(3));
    }

    #[test]
    fn mistakes_in_the_namenodes_words() {
        let of = |name: &str, text: &str| {
            format!("Invalid value for webhdfs parameter \"{name}\": {text}")
        };
        for (query, want) in [
            ("offset=-1", "Invalid parameter range: offset = -1 < 0"),
            (
                "offset=abc",
                "Failed to parse \"abc\" as a radix-10 long integer.",
            ),
            (
                "offset=",
                "Failed to parse \"\" as a radix-10 long integer.",
            ),
        ] {
            assert_eq!(
                refused(query, |params| params.number("offset", 0)),
                of("offset", want)
            );
        }
        assert_eq!(
            refused("permission=888", |params| params.permission(0)),
            of(
                "permission",
                "Failed to parse \"888\" as a radix-8 short integer."
            )
        );
        assert_eq!(
            refused("recursive=zz", |params| params.is_true("recursive", false)),
            of("recursive", "Failed to parse \"zz\" to Boolean.")
        );
        assert_eq!(
            refused("replication=0", Params::replication),
            of(
                "replication",
                "Invalid parameter range: replication = 0 < 1"
            )
        );
        assert_eq!(
            refused("", |params| params.path("destination", "RENAME")),
            "Required param destination for op: RENAME is null or empty"
        );
        assert_eq!(
            refused("destination=rel", |params| params
                .path("destination", "RENAME")),
            of(
                "destination",
                "Invalid parameter value: destination = \"rel\" is not an absolute path."
            )
        );
    }
}
