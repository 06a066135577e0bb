//! Who shares the gateway: which paths and collections are whose, and how much of it each may use.
//!
//! Owns: from an identity to its tenant, from a path or a collection to its owner, request and byte rates, and whether there is room for
//! more. Refuses to own: what is stored (the gateway counts it) and what within its own paths a user may do (policies).
//!
//! The rule is one: what a tenant owns is reached by those who belong to it and by nobody else, and they reach nothing else. Without any
//! tenant there is no rule.

mod rate;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::Identity;

pub use rate::Rate;

/// When a write is to be tried again whose tenant is still being counted.
const COUNT_RETRY_SECS: u64 = 2;

/// What a tenant is and may use. 0 is no limit.
#[derive(Clone, Debug, Default)]
pub struct TenantSettings {
    /// Its name.
    pub name: String,
    /// Folders that are its own.
    pub paths: Vec<String>,
    /// Collections that are its own.
    pub collections: Vec<String>,
    /// Users who belong to it.
    pub users: Vec<String>,
    /// Groups whose members belong to it.
    pub groups: Vec<String>,
    /// Most bytes it may store.
    pub bytes_max: u64,
    /// Most objects it may store.
    pub objects_max: u64,
    /// Most requests a second.
    pub requests_per_sec: u64,
    /// Most bytes a second.
    pub bytes_per_sec: u64,
}

/// A tenant at work.
#[derive(Debug)]
pub struct Tenant {
    /// What it is and may use.
    pub settings: TenantSettings,
    requests: Rate,
    bytes: Rate,
    counted: Amount,
    is_counted: AtomicBool,
    /// What was let in since the count before the last one began.
    added: Amount,
    /// The part of it that was let in before the last count began.
    earlier: Amount,
    /// Requests refused for a rate or a quota, in all.
    pub refused: AtomicU64,
    /// Requests that were let in, in all.
    pub admitted: AtomicU64,
    /// Bytes sent and received, in all.
    pub moved_bytes: AtomicU64,
}

/// Bytes and objects.
#[derive(Debug, Default)]
struct Amount {
    bytes: AtomicU64,
    objects: AtomicU64,
}

impl Amount {
    fn get(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.bytes), load(&self.objects))
    }

    fn set(&self, bytes: u64, objects: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.objects.store(objects, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64, objects: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.objects.fetch_add(objects, Ordering::Relaxed);
    }

    fn take(&self, (bytes, objects): (u64, u64)) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.objects.fetch_sub(objects, Ordering::Relaxed);
    }
}

/// A count under way. What was let in shortly before or meanwhile may or may not be in it, as it may not have arrived yet: it is held against
/// the quota for one count more.
#[derive(Debug)]
pub struct Counting {
    added: (u64, u64),
}

/// It belongs to somebody else. The text does not say to whom, nor whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not for users of {whom}")]
pub struct NotYours {
    what: String,
    whom: String,
}

/// A limit is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// Too much in too little time: 429.
    #[error(
        "tenant {tenant} is over its limit of {limit} {unit} a second ({key}): try again in {retry_secs} s"
    )]
    Rate {
        /// Whose.
        tenant: String,
        /// What it may.
        limit: u64,
        /// Of what.
        unit: &'static str,
        /// The configuration key.
        key: &'static str,
        /// When to try again.
        retry_secs: u64,
    },
    /// What it has stored is still being counted, and it has a quota: 503.
    #[error(
        "what tenant {tenant} has stored is still being counted after a start, and it has a quota: try again in {retry_secs} s"
    )]
    NotCounted {
        /// Whose.
        tenant: String,
        /// When to try again.
        retry_secs: u64,
    },
    /// No room: 507.
    #[error(
        "tenant {tenant} has {used} {unit} stored and {wanted} more would be {over} over its quota of {limit} ({key}): delete some, or ask for a larger quota"
    )]
    Quota {
        /// Whose.
        tenant: String,
        /// What it has.
        used: u64,
        /// What was to come.
        wanted: u64,
        /// By how much that is too much.
        over: u64,
        /// What it may.
        limit: u64,
        /// Of what.
        unit: &'static str,
        /// The configuration key.
        key: &'static str,
    },
}

/// All tenants.
#[derive(Debug, Default)]
pub struct Tenants {
    all: Vec<Arc<Tenant>>,
    by_name: HashMap<String, usize>,
    by_user: HashMap<String, usize>,
    by_group: HashMap<String, usize>,
    by_collection: HashMap<String, usize>,
    /// Names of each owned folder from the root down, and its owner.
    folders: Vec<(Vec<String>, usize)>,
}

impl Tenants {
    /// These.
    ///
    /// # Errors
    /// What two of them both claim, or what is no path.
    pub fn new(settings: Vec<TenantSettings>) -> Result<Self, String> {
        let mut tenants = Self::default();
        for (index, settings) in settings.into_iter().enumerate() {
            tenants.add(index, &settings)?;
            tenants.all.push(Arc::new(Tenant {
                requests: Rate::new(settings.requests_per_sec),
                bytes: Rate::new(settings.bytes_per_sec),
                settings,
                counted: Amount::default(),
                is_counted: AtomicBool::new(false),
                added: Amount::default(),
                earlier: Amount::default(),
                refused: AtomicU64::new(0),
                admitted: AtomicU64::new(0),
                moved_bytes: AtomicU64::new(0),
            }));
        }
        Ok(tenants)
    }

    fn add(&mut self, index: usize, settings: &TenantSettings) -> Result<(), String> {
        let name = &settings.name;
        if name.is_empty() || name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(format!("tenant {name:?}: give it a name without spaces"));
        }
        claim(&mut self.by_name, "the name", name, index)?;
        for (map, kind, names) in [
            (&mut self.by_user, "the user", &settings.users),
            (&mut self.by_group, "the group", &settings.groups),
            (
                &mut self.by_collection,
                "the collection",
                &settings.collections,
            ),
        ] {
            for name in names {
                claim(map, kind, name, index)?;
            }
        }
        for path in &settings.paths {
            let names = names(path).filter(|names| path.starts_with('/') && !names.is_empty());
            let names = names.ok_or_else(|| {
                format!("tenant {name}: {path:?} is no folder such as \"/warehouse/a\"")
            })?;
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let taken = self
                .folders
                .iter()
                .find(|(other, _)| names.starts_with(other) || other.starts_with(&names));
            if taken.is_some() {
                return Err(format!(
                    "tenant {name}: {path} lies in a folder that is claimed already, or around one"
                ));
            }
            self.folders.push((names, index));
        }
        Ok(())
    }

    /// Whether there is none: then nothing is asked.
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Tenant>] {
        &self.all
    }

    /// The tenant with this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.all.get(*self.by_name.get(name)?)
    }

    /// The name of the tenant that somebody belongs to: what the login said, else by user, else by the first group that has one.
    pub fn of(&self, identity: &Identity) -> Option<Arc<str>> {
        if identity.tenant.is_some() || self.is_empty() {
            return identity.tenant.clone();
        }
        let by_user = self.by_user.get(&*identity.user);
        let mut groups = identity.groups.names().iter();
        let index = by_user.or_else(|| groups.find_map(|group| self.by_group.get(&**group)))?;
        Some(self.all.get(*index)?.settings.name.as_str().into())
    }

    /// The tenant that owns what is at a path.
    pub fn owner(&self, path: &str) -> Option<&Arc<Tenant>> {
        let names = names(path)?;
        self.all.get(self.owner_of(&names)?)
    }

    fn owner_of(&self, names: &[&str]) -> Option<usize> {
        let covers = |folder: &[String]| {
            folder.len() <= names.len() && folder.iter().zip(names).all(|(a, b)| a == b)
        };
        let found = self.folders.iter().find(|(folder, _)| covers(folder));
        found.map(|(_, index)| *index)
    }

    /// Whether somebody of `tenant` may touch what is at a decoded path, and only that: not what is below it. A path with `..` is nobody's.
    ///
    /// # Errors
    /// [`NotYours`].
    pub fn may_touch(&self, tenant: Option<&str>, path: &str) -> Result<(), NotYours> {
        if self.is_empty() {
            return Ok(());
        }
        let refused = || not_yours(path.to_owned(), tenant);
        let names = names(path).ok_or_else(refused)?;
        let owner = self.owner_of(&names).and_then(|index| self.all.get(index));
        let owner = owner.map(|owner| owner.settings.name.as_str());
        (owner == tenant).then_some(()).ok_or_else(refused)
    }

    /// Whether somebody of `tenant` may touch what is at a path and all below it: to delete, move, or send a whole folder.
    ///
    /// # Errors
    /// [`NotYours`].
    pub fn may_touch_all(&self, tenant: Option<&str>, path: &str) -> Result<(), NotYours> {
        self.may_touch(tenant, path)?;
        let Some(names) = names(path) else {
            return Ok(());
        };
        let below = |folder: &[String]| {
            folder.len() > names.len() && folder.iter().zip(&names).all(|(a, b)| a == b)
        };
        match self.folders.iter().any(|(folder, _)| below(folder)) {
            true => Err(not_yours(format!("all of {path}"), tenant)),
            false => Ok(()),
        }
    }

    /// Whether somebody of `tenant` may use a collection of images.
    ///
    /// # Errors
    /// [`NotYours`].
    pub fn may_use(&self, tenant: Option<&str>, collection: &str) -> Result<(), NotYours> {
        if self.is_empty() {
            return Ok(());
        }
        let owner = self
            .by_collection
            .get(collection)
            .and_then(|index| self.all.get(*index));
        let owner = owner.map(|owner| owner.settings.name.as_str());
        let refused = || not_yours(format!("the collection {collection:?}"), tenant);
        (owner == tenant).then_some(()).ok_or_else(refused)
    }

    /// Whether a tenant may make one more request now; it counts as made.
    ///
    /// # Errors
    /// [`Over::Rate`].
    pub fn admit(&self, tenant: Option<&str>, now: Instant) -> Result<(), Over> {
        let Some(tenant) = tenant.and_then(|name| self.named(name)) else {
            return Ok(());
        };
        let admitted = tenant.admit(now);
        let counter = match &admitted {
            Ok(()) => &tenant.admitted,
            Err(_) => &tenant.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        admitted
    }

    /// Charges bytes that were sent or received: what is too much is made up for by the next requests.
    pub fn charge(&self, tenant: Option<&str>, bytes: u64, now: Instant) {
        if let Some(tenant) = tenant.and_then(|name| self.named(name)) {
            tenant.charge(bytes, now);
        }
    }
}

impl Tenant {
    /// As [`Tenants::admit`], for who is asked again on another way if not: a refusal is not counted.
    pub fn may_pass(&self, now: Instant) -> bool {
        let may = self.admit(now).is_ok();
        if may {
            self.admitted.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// As [`Tenants::charge`].
    pub fn charge(&self, bytes: u64, now: Instant) {
        self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.charge(bytes, now);
    }

    /// Whether what it stores is bounded.
    pub const fn has_quota(&self) -> bool {
        self.settings.bytes_max > 0 || self.settings.objects_max > 0
    }

    fn admit(&self, now: Instant) -> Result<(), Over> {
        let over = |limit, unit, key| {
            move |retry_secs| Over::Rate {
                tenant: self.settings.name.clone(),
                limit,
                unit,
                key,
                retry_secs,
            }
        };
        let settings = &self.settings;
        self.bytes
            .check(now)
            .map_err(over(settings.bytes_per_sec, "bytes", "bytes_per_sec"))?;
        self.requests.take(now).map_err(over(
            settings.requests_per_sec,
            "requests",
            "requests_per_sec",
        ))
    }

    /// Begins to count what it has stored.
    pub fn begin_count(&self) -> Counting {
        Counting {
            added: self.added.get(),
        }
    }

    /// Says what it has stored, as it was counted.
    pub fn counted(&self, count: Counting, bytes: u64, objects: u64) {
        self.counted.set(bytes, objects);
        let earlier = self.earlier.get();
        self.added.take(earlier);
        let (bytes, objects) = count.added;
        self.earlier.set(
            bytes.saturating_sub(earlier.0),
            objects.saturating_sub(earlier.1),
        );
        self.is_counted.store(true, Ordering::Release);
    }

    /// What it has stored: bytes and objects.
    pub fn stored(&self) -> (u64, u64) {
        let (counted, added) = (self.counted.get(), self.added.get());
        (
            counted.0.saturating_add(added.0),
            counted.1.saturating_add(added.1),
        )
    }

    /// Whether there is room for so much more; it counts as stored until it is counted.
    ///
    /// # Errors
    /// [`Over::Quota`], [`Over::NotCounted`].
    pub fn make_room(&self, bytes: u64, objects: u64) -> Result<(), Over> {
        let settings = &self.settings;
        if self.has_quota() && !self.is_counted.load(Ordering::Acquire) {
            return Err(Over::NotCounted {
                tenant: settings.name.clone(),
                retry_secs: COUNT_RETRY_SECS,
            });
        }
        let (used_bytes, used_objects) = self.stored();
        let room = [
            (settings.bytes_max, used_bytes, bytes, "bytes", "bytes_max"),
            (
                settings.objects_max,
                used_objects,
                objects,
                "objects",
                "objects_max",
            ),
        ];
        for (limit, used, wanted, unit, key) in room {
            let after = used.saturating_add(wanted);
            if limit > 0 && after > limit {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err(Over::Quota {
                    tenant: settings.name.clone(),
                    used,
                    wanted,
                    over: after - limit,
                    limit,
                    unit,
                    key,
                });
            }
        }
        self.added.add(bytes, objects);
        Ok(())
    }
}

fn not_yours(what: String, tenant: Option<&str>) -> NotYours {
    let whom = tenant.map_or_else(|| "no tenant".to_owned(), |name| format!("tenant {name}"));
    NotYours { what, whom }
}

fn claim(
    map: &mut HashMap<String, usize>,
    kind: &str,
    name: &str,
    index: usize,
) -> Result<(), String> {
    match map.insert(name.to_owned(), index) {
        Some(_) => Err(format!("tenants: {kind} {name:?} is claimed twice")),
        None => Ok(()),
    }
}

/// The names of a path; `None` for one that goes up.
fn names(path: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = path
        .split('/')
        .filter(|name| !matches!(*name, "" | "."))
        .collect();
    (!names.contains(&"..")).then_some(names)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
