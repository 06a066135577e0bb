//! The bodies of tag and user store downloads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::absent::or_default;
use super::{PolicyResource, ValiditySchedule};

/// Which resources have which tags.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceTags {
    /// The service's name.
    #[serde(deserialize_with = "or_default")]
    pub service_name: String,
    /// Grows with each change.
    #[serde(deserialize_with = "or_default")]
    pub tag_version: Option<i64>,
    /// Whether these are only changes.
    #[serde(deserialize_with = "or_default")]
    pub is_delta: bool,
    /// By their numbers.
    #[serde(deserialize_with = "or_default")]
    pub tags: BTreeMap<String, Tag>,
    /// What has tags.
    #[serde(deserialize_with = "or_default")]
    pub service_resources: Vec<ServiceResource>,
    /// Numbers of a resource's tags, by the number of the resource.
    #[serde(deserialize_with = "or_default")]
    pub resource_to_tag_ids: BTreeMap<String, Vec<i64>>,
}

/// A tag.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tag {
    /// Its name, which policies have: `PII`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// What else is known: `expiry_date`.
    #[serde(deserialize_with = "or_default")]
    pub attributes: BTreeMap<String, String>,
    /// When it counts; always if empty.
    #[serde(deserialize_with = "or_default")]
    pub validity_periods: Vec<ValiditySchedule>,
}

/// What has tags.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceResource {
    /// Its number.
    #[serde(deserialize_with = "or_default")]
    pub id: i64,
    /// By kind of resource.
    #[serde(deserialize_with = "or_default")]
    pub resource_elements: BTreeMap<String, PolicyResource>,
}

/// What Ranger knows of users.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserStore {
    /// Grows with each change.
    #[serde(deserialize_with = "or_default")]
    pub user_store_version: Option<i64>,
    /// Groups by user.
    #[serde(deserialize_with = "or_default")]
    pub user_group_mapping: BTreeMap<String, Vec<String>>,
}
