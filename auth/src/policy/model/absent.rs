//! What Ranger's JSON leaves out: a missing field and a `null` are the same, and each has a default.

use serde::{Deserialize, Deserializer};

/// `null` is the default.
pub(super) fn or_default<'de, D, T>(json: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(json)?.unwrap_or_default())
}

/// `null` is true.
pub(super) fn or_true<'de, D: Deserializer<'de>>(json: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or(true))
}

/// For fields that are true when they are missing.
pub(super) const fn yes() -> bool {
    true
}
