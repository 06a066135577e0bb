//! `[[tenant]]`: who shares the gateway. Doc comments here become `docs/config.md`.

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::mount::names;
use super::units::ByteSize;

/// One of those who share the gateway. Once there is a tenant, its paths and collections are its own: others are refused there, and its
/// users elsewhere. What belongs to nobody is for those who belong to no tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a section of keys")]
pub struct TenantConfig {
    /// Its name: in metrics, in audit records, and in tokens that say it.
    pub name: String,
    /// Folders that are its own, such as `"/warehouse/a"`.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub paths: Vec<String>,
    /// Collections of images that are its own.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub collections: Vec<String>,
    /// Users who belong to it; a service account by its full name. Who belongs to it by a token's claim or a rule need not stand here.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub users: Vec<String>,
    /// Groups whose members belong to it.
    #[cfg_attr(test, schemars(schema_with = "names"))]
    pub groups: Vec<String>,
    /// Most bytes that it may store in its collections and folders of the gateway's own disks; beyond it writes get 507. 0: no limit.
    pub bytes_max: ByteSize,
    /// Most images and files that it may store; beyond it writes get 507. 0: no limit.
    pub objects_max: u64,
    /// Most requests a second; beyond it 429 with `Retry-After`. 0: no limit.
    pub requests_per_sec: u64,
    /// Most bytes a second, sent and received; beyond it 429 with `Retry-After`. 0: no limit.
    pub bytes_per_sec: ByteSize,
    /// Its own part of the read cache, in percent of the memory and of each cache disk, for what its `paths` hold: it has no more than that, and
    /// nobody else's files take the place of its own. All shares together are 90 at most. 0: none of its own, but what all others share.
    pub cache_share: u8,
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            paths: Vec::new(),
            collections: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
            bytes_max: ByteSize::from_bytes(0),
            objects_max: 0,
            requests_per_sec: 0,
            bytes_per_sec: ByteSize::from_bytes(0),
            cache_share: 0,
        }
    }
}
