//! The process that holds a node's mounts: FUSE daemons are its children and not the plugin's, so that the plugin can be upgraded or killed
//! while pods write. It keeps a record of each mount, watches the daemons, and covers the mounts of one that died by a new one's.

pub mod bind;
pub mod daemon;
pub mod health;
pub mod mend;
pub mod record;
pub mod replace;
pub mod service;

use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_proto::mounter::look_response::State;

use crate::busy::Busy;
use crate::command::must;
use crate::error::{Error, Result};
use crate::mountinfo;
use crate::node::guard;
use crate::node::mounts::{answers, is_volume, unmount};
use health::Health;
use mend::Source;
use record::{Keys, Record, Records};

/// A daemon ends by itself when its last mount goes; one that hangs is killed then.
const END_LIMIT: Duration = Duration::from_secs(10);
const END_INTERVAL: Duration = Duration::from_millis(50);
const REMOUNT_LIMIT: Duration = Duration::from_secs(20);

/// All mounts of a node.
#[derive(Debug, Clone)]
pub struct Mounts {
    records: Records,
    log_folder: PathBuf,
    busy: Busy,
    daemons: daemon::Known,
}

impl Mounts {
    /// Records go to one folder, the daemons' logs to another.
    #[must_use]
    pub fn new(state_folder: PathBuf, log_folder: PathBuf) -> Self {
        Self {
            records: Records::new(state_folder),
            log_folder,
            busy: Busy::default(),
            daemons: daemon::Known::default(),
        }
    }

    /// Mounts a volume; one that is mounted there already and answers is success. A dead one is mended in place.
    ///
    /// # Errors
    /// `Differs` where something else is mounted there, `Unavailable` where gluster does not answer, with the reason.
    pub async fn mount(&self, wanted: &Record, keys: Option<&Keys>) -> Result<()> {
        let target = wanted.target.as_path();
        let _held = self.busy.hold(&target.display().to_string())?;
        if let Some(there) = mountinfo::find(target)? {
            is_volume(&there, Some(&wanted.volume), target)?;
            let mut record = match self.records.read(target)? {
                Some(record) if record.volume == wanted.volume => record,
                // Mounted by hand, or by a version that kept no records: what answers is taken.
                _ => return answers(target).await.map(|_| ()),
            };
            if let Some(keys) = keys {
                self.records.write_keys(target, keys)?;
            }
            // What cannot be mended elsewhere does not keep this one from being used.
            let revived = self.revive(&mut record).await;
            let believed = self.believe(&record).await;
            return believed.map_err(|error| revived.err().unwrap_or(error));
        }
        if let Some(old) = self.records.read(target)? {
            self.clean(&old).await?;
        }
        let mounted = self.mount_anew(wanted, keys).await;
        if mounted.is_err() {
            self.take_away(wanted).await?;
        }
        mounted
    }

    async fn mount_anew(&self, wanted: &Record, keys: Option<&Keys>) -> Result<()> {
        // Said before anything is made, so that what is wrong leaves nothing behind.
        daemon::arguments(wanted, Path::new(""), Path::new(""))?;
        self.records.write(wanted)?;
        if let Some(keys) = keys {
            self.records.write_keys(&wanted.target, keys)?;
        }
        guard::make(&wanted.target)?;
        self.start(wanted).await?;
        replace::replace(&self.point(wanted), &wanted.target, None).await?;
        self.believe(wanted).await
    }

    /// Starts a daemon, and believes it only after mountinfo and statfs say that it has mounted.
    async fn start(&self, record: &Record) -> Result<()> {
        let (point, log) = (self.point(record), self.log(record));
        record::make(&point)?;
        record::make(&self.log_folder)?;
        let logged = std::fs::metadata(&log).map_or(0, |file| file.len());
        daemon::start(record, &self.records.home(&record.target), &log).await?;
        let seen = answers(&point).await;
        if mountinfo::find(&point)?.is_none() || seen.is_err() {
            return Err(daemon::complaint(record, &log, logged));
        }
        Ok(())
    }

    async fn believe(&self, record: &Record) -> Result<()> {
        let there = mountinfo::find(&record.target)?.ok_or_else(|| {
            Error::Internal(format!(
                "{} was mounted, and is not in mountinfo",
                record.target.display()
            ))
        })?;
        is_volume(&there, Some(&record.volume), &record.target)?;
        if answers(&record.target).await.is_ok() {
            return Ok(());
        }
        let health = health::of_living(record, &self.point(record)).await;
        Err(Error::Unavailable(format!(
            "volume {}: {}",
            record.volume, health.message
        )))
    }

    /// Takes away what is mounted at a path, its daemon and its record; nothing there is success.
    ///
    /// # Errors
    /// `Unavailable` where it does not let go.
    pub async fn unmount(&self, target: &Path) -> Result<()> {
        let _held = self.busy.hold(&target.display().to_string())?;
        match self.records.read(target)? {
            Some(record) => self.take_away(&record).await,
            None => {
                unmount(target).await?;
                guard::lift(target);
                Ok(())
            }
        }
    }

    async fn take_away(&self, record: &Record) -> Result<()> {
        unmount(&record.target).await?;
        guard::lift(&record.target);
        self.clean(record).await
    }

    /// What lies in the record's own folder, and the record last.
    async fn clean(&self, record: &Record) -> Result<()> {
        let home = self.records.home(&record.target);
        unmount(&home.join("ro")).await?;
        let point = home.join("mnt");
        let mounted = mountinfo::find(&point)?.is_some();
        unmount(&point).await?;
        for pid in daemon::all(&point) {
            if mounted {
                end(pid, &point).await;
            } else {
                // Its start was interrupted: it must not mount later.
                daemon::kill(pid);
            }
        }
        unmount(&point).await?;
        self.records.remove(&record.target)
    }

    /// Makes a dead daemon's mounts work again; does nothing where none is dead.
    async fn revive(&self, record: &mut Record) -> Result<()> {
        let point = self.point(record);
        if !self.daemons.lives(&point) {
            self.bury(record).await?;
            tracing::warn!(volume = record.volume, target = %record.target.display(), "its FUSE daemon has died: mounting again");
            self.start(record).await?;
        }
        if record.dead.is_empty() {
            return Ok(());
        }
        let source = self.source(record).await?;
        let left = mend::cover(&record.dead, &source).await?;
        if left > 0 {
            return Err(Error::Unavailable(format!(
                "{left} dead mounts of volume {} cannot be covered",
                record.volume
            )));
        }
        record.dead.clear();
        self.records.write(record)
    }

    /// Notes which device is dead, before its mount goes from the daemon's own place.
    async fn bury(&self, record: &mut Record) -> Result<()> {
        let home = self.records.home(&record.target);
        let (point, read_only) = (home.join("mnt"), home.join("ro"));
        for path in [&point, &record.target] {
            let device = mountinfo::find(path)?.map(|mount| mount.device);
            if let Some(device) = device.filter(|device| !record.dead.contains(device)) {
                record.dead.push(device);
            }
        }
        self.records.write(record)?;
        unmount(&read_only).await?;
        unmount(&point).await
    }

    /// The daemon's own mount, and the same read only: what is a copy of that was never to be written to, not for a moment.
    async fn source(&self, record: &Record) -> Result<Source> {
        let home = self.records.home(&record.target);
        let (writable, read_only) = (home.join("mnt"), home.join("ro"));
        let there = mountinfo::find(&read_only)?;
        if there.as_ref().is_none_or(|there| !there.read_only) {
            record::make(&read_only)?;
            if there.is_none() {
                replace::replace(&writable, &read_only, None).await?;
            }
            protect(&read_only).await?;
        }
        Ok(Source {
            writable,
            read_only,
        })
    }

    /// Before anything is mounted: nothing that is below the folder of records is to be seen elsewhere, and no two copies of it are peers.
    ///
    /// # Errors
    /// Without the right to mount.
    pub async fn prepare(&self) -> Result<()> {
        let folder = self.records.folder();
        record::make(folder)?;
        let path = folder.display().to_string();
        if mountinfo::find(folder)?.is_none() {
            must("mount", &["--bind", &path, &path], REMOUNT_LIMIT).await?;
        }
        let words = ["--make-private", &path];
        must("mount", &words, REMOUNT_LIMIT).await.map(|_| ())
    }

    /// How a volume is that is mounted here.
    ///
    /// # Errors
    /// `NotFound` where it is not.
    pub async fn look(&self, id: &str) -> Result<Health> {
        let records = self.records.all()?;
        let record = records.iter().find(|record| record.id == id);
        let record = record.ok_or_else(|| {
            Error::NotFound(format!("volume {id} is not mounted by this mounter"))
        })?;
        let point = self.point(record);
        if self.daemons.lives(&point) {
            return Ok(health::of_living(record, &point).await);
        }
        // A client that is let in no more ends by itself, and each new one too.
        let log = std::fs::read(self.log(record)).unwrap_or_default();
        let end = log.len().saturating_sub(LOG_END);
        let text = String::from_utf8_lossy(log.get(end..).unwrap_or_default()).into_owned();
        if text.contains("AUTH_FAILED") {
            return Ok(Health::new(State::Refused, daemon::REFUSED.to_owned()));
        }
        Ok(Health::new(
            State::Dead,
            "its FUSE daemon has died, and is started again".to_owned(),
        ))
    }

    /// Looks after one mount, if nobody else is at work on it.
    ///
    /// # Errors
    /// Where a dead one cannot be mended now.
    pub async fn look_after(&self, target: &Path) -> Result<()> {
        let Ok(_held) = self.busy.hold(&target.display().to_string()) else {
            return Ok(());
        };
        // One that was never finished is the caller's, who asks again.
        match (mountinfo::find(target)?, self.records.read(target)?) {
            (Some(_), Some(mut record)) => self.revive(&mut record).await,
            _ => Ok(()),
        }
    }

    /// Where something is to be mounted.
    #[must_use]
    pub fn targets(&self) -> Vec<PathBuf> {
        let records = self.records.all().unwrap_or_default();
        records.into_iter().map(|record| record.target).collect()
    }

    fn point(&self, record: &Record) -> PathBuf {
        self.records.home(&record.target).join("mnt")
    }

    fn log(&self, record: &Record) -> PathBuf {
        let name = record.volume.replace('/', "-");
        self.log_folder.join(format!("{name}.log"))
    }
}

async fn protect(point: &Path) -> Result<()> {
    let path = point.display().to_string();
    let words = ["-o", "remount,bind,ro", &path];
    must("mount", &words, REMOUNT_LIMIT).await.map(|_| ())
}

/// Bytes at the end of a log in which the daemon's last words are.
const LOG_END: usize = 4096;

async fn end(pid: u32, point: &Path) {
    let waiting = async {
        while daemon::is(pid, point) {
            tokio::time::sleep(END_INTERVAL).await;
        }
    };
    if tokio::time::timeout(END_LIMIT, waiting).await.is_err() {
        daemon::kill(pid);
    }
}
