//! The policies in force: read from files or polled from Ranger Admin, kept on disk, compiled, and swapped in whole.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moongate_auth::groups::Found as GroupsFound;
use moongate_auth::policy::model::{Roles, ServicePolicies, ServiceTags, UserStore};
use moongate_auth::policy::{Material, PluginConfig, Snapshot};
use moongate_auth::watched::{FileError, Stamp};
use moongate_disk::{RealDisk, replace_file};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::download::{Downloader, Found, Known, What};
use crate::config::PolicyConfig;
use crate::namespace::now_ms;

/// How long the start of the gateway waits for the first policies.
const START_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where policies come from, and those in force.
#[derive(Debug)]
pub struct Policies {
    config: PolicyConfig,
    dir: PathBuf,
    downloader: Option<Downloader>,
    current: ArcSwapOption<Snapshot>,
    /// Ranger's users and groups, whether or not the policies go by them.
    users: ArcSwapOption<UserStore>,
    held: AsyncMutex<Held>,
    shown: Mutex<Vec<Shown>>,
}

/// What a source holds, for people.
#[derive(Clone, Debug, Default)]
struct Shown {
    what: &'static str,
    version: i64,
    from: &'static str,
    /// When it was last known to be the newest.
    confirmed_ms: Option<u64>,
    last_error: String,
}

/// The material of the policies in force.
#[derive(Debug, Default)]
struct Held {
    material: Material,
    since_ms: [u64; What::ALL.len()],
    /// Of the files: a time alone would miss one that is replaced within the clock's step.
    seen: Vec<Option<Stamp>>,
}

impl Policies {
    /// None are held yet.
    ///
    /// # Errors
    /// The file of authorities that Ranger Admin is known by.
    pub fn new(config: &PolicyConfig, dir: PathBuf, host: &str) -> Result<Self, FileError> {
        let downloader = (!config.admin.is_empty()).then(|| Downloader::new(config, host));
        let downloader = downloader.transpose()?;
        let shown = What::ALL.map(|what| Shown {
            what: what.name(),
            version: -1,
            from: "nowhere",
            ..Shown::default()
        });
        Ok(Self {
            config: config.clone(),
            dir,
            downloader,
            current: ArcSwapOption::empty(),
            users: ArcSwapOption::empty(),
            held: AsyncMutex::default(),
            shown: Mutex::new(shown.into()),
        })
    }

    /// The groups that Ranger's user store has of somebody, as it was last downloaded.
    pub fn groups_of(&self, user: &str) -> GroupsFound {
        match &*self.users.load() {
            None => GroupsFound::Failed(
                "Ranger's user store has not been downloaded yet: moongate policy status says why"
                    .to_owned(),
            ),
            Some(users) => match users.user_group_mapping.get(user) {
                Some(groups) => GroupsFound::Groups(groups.clone()),
                None => GroupsFound::Nobody,
            },
        }
    }

    /// The policies in force, if there are any.
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// Whether these are they.
    pub fn is_current(&self, policies: Option<&Weak<Snapshot>>) -> bool {
        let current = self.current.load();
        match (current.as_ref(), policies) {
            (Some(current), Some(policies)) => {
                std::ptr::eq(Arc::as_ptr(current), policies.as_ptr())
            }
            (None, None) => true,
            _ => false,
        }
    }

    /// Reads what was kept, so that what is served first is already governed; then asks.
    pub async fn begin(&self) {
        if self.downloader.is_some() {
            self.read_kept().await;
        }
        // What was kept governs until Admin has answered, and one that hangs does not hold up the start.
        if self.current.load().is_none() && self.config.has_source() {
            let _ = tokio::time::timeout(START_WAIT_MAX, self.poll()).await;
        }
    }

    /// Polls until the gateway stops.
    pub async fn run(&self, mut stopped: watch::Receiver<bool>) {
        if !self.config.has_source() {
            return;
        }
        loop {
            tokio::select! {
                () = self.poll() => {}
                _ = stopped.changed() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(self.config.poll.duration()) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// Asks now.
    pub async fn poll(&self) {
        let mut held = self.held.lock().await;
        let changed = match &self.downloader {
            Some(downloader) => self.ask_admin(downloader, &mut held).await,
            None => self.read_files(&mut held),
        };
        if changed {
            self.put_in_force(&held.material, What::Policies);
        }
    }

    async fn ask_admin(&self, downloader: &Downloader, held: &mut Held) -> bool {
        let mut changed = false;
        for (place, what) in What::ALL.into_iter().enumerate() {
            let known = Known {
                version: version_of(&held.material, what),
                since_ms: held.since_ms.get(place).copied().unwrap_or(0),
            };
            match downloader.download(what, known).await {
                Ok(Found::Unchanged) => self.confirm(what, None),
                Ok(Found::New(body)) => changed |= self.take(what, place, &body, held),
                Ok(Found::Gone(text)) => {
                    tracing::error!(
                        service = self.config.service,
                        text,
                        "Ranger Admin says that the service is gone: its policies are dropped"
                    );
                    changed |= self.drop_all(what, held, &text);
                    if what == What::Policies {
                        return false;
                    }
                }
                Err(text) => {
                    self.fail(what, text);
                    // An Admin that is away would be waited for three times more.
                    if what == What::Policies {
                        break;
                    }
                }
            }
        }
        changed
    }

    /// Takes in a body, if it can be used, and keeps it on disk.
    fn take(&self, what: What, place: usize, body: &[u8], held: &mut Held) -> bool {
        let mut material = held.material.clone();
        if let Err(text) = self.read_into(what, body, &mut material) {
            self.fail(what, text);
            return false;
        }
        if let Err(error) = Snapshot::compile(&material, &self.plugin()) {
            self.fail(what, error.to_string());
            return false;
        }
        held.material = material;
        if what == What::UserStore {
            self.share_users(&held.material);
        }
        if let Some(since) = held.since_ms.get_mut(place) {
            *since = now_ms();
        }
        self.confirm(
            what,
            Some(("Ranger Admin", version_of(&held.material, what))),
        );
        let kept = std::fs::create_dir_all(&self.dir)
            .and_then(|()| replace_file(&RealDisk, &self.kept_file(what), body));
        if let Err(error) = kept {
            tracing::error!(%error, dir = %self.dir.display(), "policies cannot be kept on disk: a restart without Ranger Admin would have none");
        }
        true
    }

    fn read_into(&self, what: What, body: &[u8], material: &mut Material) -> Result<(), String> {
        match what {
            What::Policies => {
                let mut policies: ServicePolicies = parsed(body)?;
                let ours = &self.config.service;
                if policies.service_name != *ours && !ours.is_empty() {
                    tracing::warn!(
                        theirs = policies.service_name,
                        ours,
                        "the policies are of a service of another name"
                    );
                    policies.service_name.clone_from(ours);
                }
                material.policies = policies;
            }
            What::Tags => {
                let tags: ServiceTags = parsed(body)?;
                if tags.is_delta {
                    return Err(
                        "Ranger Admin answered with changes of tags, though none were asked for"
                            .to_owned(),
                    );
                }
                material.tags = Some(tags);
            }
            What::Roles => material.roles = Some(parsed::<Roles>(body)?),
            What::UserStore => material.users = Some(parsed::<UserStore>(body)?),
        }
        Ok(())
    }

    /// The service is not there any more: neither are its policies, nor what was kept of them.
    fn drop_all(&self, what: What, held: &mut Held, text: &str) -> bool {
        let _ = std::fs::remove_file(self.kept_file(what));
        match what {
            What::Policies => {
                *held = Held::default();
                for what in What::ALL {
                    let _ = std::fs::remove_file(self.kept_file(what));
                }
                self.current.store(None);
            }
            What::Tags => held.material.tags = None,
            What::Roles => held.material.roles = None,
            What::UserStore => held.material.users = None,
        }
        self.share_users(&held.material);
        self.confirm(what, Some(("nowhere", -1)));
        self.fail(what, text.to_owned());
        true
    }

    /// Lets logins go by the users and groups that are held.
    fn share_users(&self, material: &Material) {
        self.users.store(material.users.clone().map(Arc::new));
    }

    async fn read_kept(&self) {
        let mut held = self.held.lock().await;
        for what in What::ALL {
            let Ok(body) = std::fs::read(self.kept_file(what)) else {
                continue;
            };
            match self.read_into(what, &body, &mut held.material) {
                Ok(()) => self.hold(what, "disk", version_of(&held.material, what)),
                Err(text) => self.fail(what, format!("what was kept cannot be read: {text}")),
            }
        }
        self.share_users(&held.material);
        if version_of(&held.material, What::Policies) >= 0 {
            self.put_in_force(&held.material, What::Policies);
        }
    }

    fn read_files(&self, held: &mut Held) -> bool {
        let files = [
            (What::Policies, &self.config.file),
            (What::Tags, &self.config.tags_file),
            (What::Roles, &self.config.roles_file),
        ];
        let used = files
            .into_iter()
            .filter(|(_, file)| !file.as_os_str().is_empty());
        let used: Vec<_> = used.collect();
        let seen: Vec<_> = used.iter().map(|(_, file)| Stamp::of(file)).collect();
        if seen == held.seen && seen.iter().all(Option::is_some) && self.current.load().is_some() {
            used.iter().for_each(|(what, _)| self.confirm(*what, None));
            return false;
        }
        let mut material = Material::default();
        for (what, file) in &used {
            let read = std::fs::read(file).map_err(|error| error.to_string());
            let read = read.and_then(|body| self.read_into(*what, &body, &mut material));
            if let Err(text) = read {
                self.fail(*what, format!("{}: {text}", file.display()));
                return false;
            }
        }
        (held.material, held.seen) = (material, seen);
        for (what, _) in used {
            self.confirm(what, Some(("file", version_of(&held.material, what))));
        }
        true
    }

    fn put_in_force(&self, material: &Material, what: What) {
        match Snapshot::compile(material, &self.plugin()) {
            Ok(snapshot) => {
                for warning in snapshot.warnings() {
                    tracing::warn!(version = snapshot.version(), "policies: {warning}");
                }
                tracing::info!(service = %snapshot.service(), version = snapshot.version(), policies = snapshot.counts().policies, "policies are in force");
                self.current.store(Some(Arc::new(snapshot)));
            }
            Err(error) => self.fail(what, error.to_string()),
        }
    }

    fn plugin(&self) -> PluginConfig {
        PluginConfig {
            time_zone: self.config.time_zone.clone(),
            ..PluginConfig::default()
        }
    }

    fn kept_file(&self, what: What) -> PathBuf {
        let suffix = match what {
            What::Policies => "",
            What::Tags => "_tag",
            What::Roles => "_roles",
            What::UserStore => "_userstore",
        };
        let service = self.config.service.replace(['/', '\\', '\0'], "_");
        self.dir.join(format!("hdfs_{service}{suffix}.json"))
    }

    fn show(&self, what: What, change: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown.lock();
        if let Some(one) = shown.iter_mut().find(|one| one.what == what.name()) {
            change(one);
        }
    }

    fn hold(&self, what: What, from: &'static str, version: i64) {
        self.show(what, |one| (one.from, one.version) = (from, version));
    }

    fn confirm(&self, what: What, new: Option<(&'static str, i64)>) {
        self.show(what, |one| {
            one.confirmed_ms = Some(now_ms());
            one.last_error.clear();
            if let Some((from, version)) = new {
                (one.from, one.version) = (from, version);
            }
        });
    }

    fn fail(&self, what: What, text: String) {
        tracing::warn!(
            what = what.name(),
            error = text,
            "policies cannot be had: what is held stays in force"
        );
        self.show(what, |one| one.last_error = text);
    }

    /// For `GET /policies`.
    pub fn status(&self) -> Value {
        let snapshot = self.current();
        let counts = snapshot.as_ref().map(|snapshot| snapshot.counts());
        let now = now_ms();
        let shown = self.shown.lock();
        let has_source = self.config.has_source();
        let used = shown.iter().filter(|one| {
            has_source && (one.version >= 0 || !one.last_error.is_empty() || one.what == "policies")
        });
        let sources: Vec<Value> = used
            .map(|one| {
                json!({
                    "service": self.config.service, "what": one.what, "version": one.version, "from": one.from,
                    "policies": counts.map_or(0, |counts| counts.policies),
                    "age_secs": one.confirmed_ms.map(|at| now.saturating_sub(at) / 1000), "last_error": one.last_error,
                })
            })
            .collect();
        json!({
            "in_force": snapshot.is_some(), "version": snapshot.as_ref().map(|snapshot| snapshot.version()),
            "counts": counts, "warnings": snapshot.as_ref().map(|snapshot| snapshot.warnings().to_vec()).unwrap_or_default(),
            "sources": sources,
        })
    }

    /// Version in force, and how long ago it was known to be the newest.
    pub fn version_and_age(&self) -> (i64, Option<Duration>) {
        let shown = self.shown.lock();
        let confirmed = shown.first().and_then(|one| one.confirmed_ms);
        let age = confirmed.map(|at| Duration::from_millis(now_ms().saturating_sub(at)));
        (
            self.current
                .load()
                .as_ref()
                .map_or(-1, |snapshot| snapshot.version()),
            age,
        )
    }
}

fn version_of(material: &Material, what: What) -> i64 {
    let version = match what {
        What::Policies => material.policies.policy_version,
        What::Tags => material.tags.as_ref().and_then(|tags| tags.tag_version),
        What::Roles => material.roles.as_ref().and_then(|roles| roles.role_version),
        What::UserStore => material
            .users
            .as_ref()
            .and_then(|users| users.user_store_version),
    };
    version.unwrap_or(-1)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("this is not Ranger's JSON: {error}"))
}
