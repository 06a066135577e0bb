//! What a token must say: for whom it is, and from when until when (RFC 7519, section 4.1).

use serde_json::{Map, Value};

use super::Refused;

/// The longest leeway that is of use, in seconds.
pub const LEEWAY_SECS_MAX: u64 = 300;

/// What tokens of an issuer must say.
#[derive(Clone, Debug)]
pub struct Required {
    /// One of these must be among a token's audiences.
    pub audiences: Vec<String>,
    /// How far clocks may differ, in seconds.
    pub leeway_secs: u64,
}

impl Required {
    /// Checks audience and times; tells until when the token is good, in seconds since 1970, without leeway.
    ///
    /// # Errors
    /// [`Refused::Expired`], [`Refused::NotYet`], [`Refused::Audience`], [`Refused::Claim`].
    pub fn check(&self, claims: &Map<String, Value>, now_secs: u64) -> Result<u64, Refused> {
        let missing = || Refused::Claim("exp".to_owned());
        let until = seconds(claims.get("exp")).ok_or_else(missing)?;
        check_expiry(until, self.leeway_secs, now_secs)?;
        if let Some(from) = claims.get("nbf") {
            let from = seconds(Some(from)).ok_or_else(|| Refused::Claim("nbf".to_owned()))?;
            let early = from.saturating_sub(now_secs);
            if early > self.leeway_secs {
                return Err(Refused::NotYet(early));
            }
        }
        self.check_audience(claims.get("aud"))?;
        Ok(until)
    }

    fn check_audience(&self, audience: Option<&Value>) -> Result<(), Refused> {
        let ours = |said: &Value| said.as_str().is_some_and(|said| self.is_ours(said));
        let good = match audience {
            Some(Value::Array(all)) => all.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        };
        let first = || self.audiences.first().cloned().unwrap_or_default();
        good.then_some(()).ok_or_else(|| Refused::Audience(first()))
    }

    fn is_ours(&self, audience: &str) -> bool {
        self.audiences.iter().any(|ours| ours == audience)
    }
}

/// # Errors
/// [`Refused::Expired`].
pub(super) fn check_expiry(until: u64, leeway_secs: u64, now_secs: u64) -> Result<(), Refused> {
    let late = now_secs.saturating_sub(until);
    match until.saturating_add(leeway_secs) <= now_secs {
        true => Err(Refused::Expired(late)),
        false => Ok(()),
    }
}

/// A NumericDate: seconds since 1970, with a fraction if the issuer likes.
pub(super) fn seconds(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    let whole = || value.as_u64();
    let fraction = || {
        let number = value.as_f64()?;
        (number.is_finite() && (0.0..1e15).contains(&number)).then_some(number as u64)
    };
    whole().or_else(fraction)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(claims: &Value) -> Result<u64, Refused> {
        let required = Required {
            audiences: vec!["moongate".to_owned(), "second".to_owned()],
            leeway_secs: 30,
        };
        required.check(claims.as_object().unwrap(), 1000)
    }

    #[test]
    fn times_are_kept_within_the_leeway() {
        let with = |exp: u64, nbf: u64| check(&json!({"aud": "moongate", "exp": exp, "nbf": nbf}));
        assert_eq!(with(1001, 999), Ok(1001));
        assert_eq!(with(971, 1030), Ok(971));
        assert_eq!(with(970, 0), Err(Refused::Expired(30)));
        assert_eq!(with(0, 0), Err(Refused::Expired(1000)));
        assert_eq!(with(1001, 1031), Err(Refused::NotYet(31)));
        assert_eq!(with(u64::MAX, 0), Ok(u64::MAX));
    }

    #[test]
    fn an_audience_is_one_of_ours_whole() {
        let with = |aud: Value| check(&json!({"aud": aud, "exp": 2000.5}));
        assert_eq!(with(json!("moongate")), Ok(2000));
        assert_eq!(with(json!(["other", "second"])), Ok(2000));
        for other in [
            json!("Moongate"),
            json!("moongate2"),
            json!([]),
            json!(7),
            json!({"a": "moongate"}),
            Value::Null,
        ] {
            let refused = Err(Refused::Audience("moongate".to_owned()));
            assert_eq!(with(other.clone()), refused, "{other}");
        }
    }

    #[test]
    fn a_token_without_an_end_is_refused() {
        for exp in [
            json!(null),
            json!("2000"),
            json!(-1),
            json!(1e300),
            json!([2000]),
        ] {
            let refused = check(&json!({"aud": "moongate", "exp": exp}));
            assert_eq!(refused, Err(Refused::Claim("exp".to_owned())));
        }
        let refused = check(&json!({"aud": "moongate", "exp": 2000, "nbf": "1"}));
        assert_eq!(refused, Err(Refused::Claim("nbf".to_owned())));
    }

    proptest! {
        #[test]
        fn no_number_panics(exp in any::<f64>(), nbf in any::<i64>(), now in any::<u64>()) {
            let required = Required { audiences: vec![], leeway_secs: LEEWAY_SECS_MAX };
            let claims = json!({"exp": exp, "nbf": nbf});
            prop_assert!(required.check(claims.as_object().unwrap(), now).is_err());
        }
    }
}
