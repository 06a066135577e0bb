//! Lines to files, by one thread behind a bounded queue.
//!
//! A reader is never held up: when the queue is full, the record is counted, and a line that says how many were lost is written as soon as
//! there is room. A strict spool holds up instead. Files: `audit.jsonl` is being written; it is renamed to `audit-TIME-N.jsonl` when it has
//! grown or grown old, and the oldest of those are removed when there are too many bytes of them.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::record::Record;

/// How long lines may wait to be written.
const WRITE_EVERY: Duration = Duration::from_millis(200);
/// Lines that are written at once.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// The file that is being written.
const CURRENT: &str = "audit.jsonl";

/// Where and how much.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// Folder of the files.
    pub dir: PathBuf,
    /// Records that may wait.
    pub queue_len_max: usize,
    /// Bytes of a file before another is begun.
    pub file_bytes_max: u64,
    /// Bytes of all files; the oldest go first. 0: all are kept.
    pub total_bytes_max: u64,
    /// Hold up who is audited rather than lose a record.
    pub strict: bool,
}

/// What became of records.
#[derive(Debug, Default)]
pub struct SpoolCounts {
    /// Written.
    pub written: AtomicU64,
    /// Lost: the queue was full, or the disk refused.
    pub dropped: AtomicU64,
    /// Taken, and not yet written.
    pub queued: AtomicU64,
    /// Times that the disk refused.
    pub failures: AtomicU64,
}

/// Takes records.
#[derive(Debug)]
pub struct Spool {
    queue: Option<SyncSender<String>>,
    counts: Arc<SpoolCounts>,
    strict: bool,
    thread: Option<JoinHandle<()>>,
}

impl Spool {
    /// Opens the file and starts the thread.
    ///
    /// # Errors
    /// The folder cannot be made, or the file not be opened.
    pub fn start(config: SpoolConfig) -> std::io::Result<Self> {
        std::fs::create_dir_all(&config.dir)?;
        let counts = Arc::new(SpoolCounts::default());
        let (queue, lines) = sync_channel(config.queue_len_max.max(1));
        let strict = config.strict;
        let writer = Writer::open(config, Arc::clone(&counts))?;
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&lines))?;
        Ok(Self {
            queue: Some(queue),
            counts,
            strict,
            thread: Some(thread),
        })
    }

    /// Takes a record; `false` if it had to be dropped. Waits only where the spool is strict: then call it where waiting is allowed.
    pub fn take(&self, record: &Record) -> bool {
        let Some(queue) = &self.queue else {
            return false;
        };
        let line = record.line();
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        let taken = match queue.try_send(line) {
            Ok(()) => true,
            Err(TrySendError::Full(line)) if self.strict => queue.send(line).is_ok(),
            Err(_) => false,
        };
        if !taken {
            self.counts.queued.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// What became of records so far.
    pub fn counts(&self) -> &SpoolCounts {
        &self.counts
    }
}

impl Drop for Spool {
    /// Writes what was taken.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Writer {
    config: SpoolConfig,
    counts: Arc<SpoolCounts>,
    file: File,
    file_bytes: u64,
    /// Losses that a line has told of.
    told: u64,
    /// Files that were begun.
    begun: u64,
}

impl Writer {
    fn open(config: SpoolConfig, counts: Arc<SpoolCounts>) -> std::io::Result<Self> {
        let (file, file_bytes) = open(&config.dir.join(CURRENT))?;
        Ok(Self {
            config,
            counts,
            file,
            file_bytes,
            told: 0,
            begun: 0,
        })
    }

    fn run(mut self, lines: &Receiver<String>) {
        let mut batch = String::new();
        loop {
            let ended = gather(lines, &mut batch);
            let count = batch.lines().count() as u64;
            self.tell_losses(&mut batch);
            if !batch.is_empty() {
                self.write(&batch, count);
                batch.clear();
            }
            if ended {
                let _ = self.file.sync_all();
                return;
            }
        }
    }

    /// Appends a line if records were lost since the last one.
    fn tell_losses(&mut self, batch: &mut String) {
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        if dropped > self.told {
            let lost = Record::lost(dropped - self.told, i64::try_from(now_ms()).unwrap_or(0));
            tracing::error!(
                lost = dropped - self.told,
                "audit records were lost: raise audit.queue_len_max, or set audit.strict"
            );
            batch.push_str(&lost.line());
            self.told = dropped;
        }
    }

    /// Writes; what the disk refuses is tried again in a strict spool, and counted as lost in another.
    fn write(&mut self, batch: &str, count: u64) {
        while let Err(error) = self.write_once(batch) {
            self.counts.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, dir = %self.config.dir.display(), "audit records cannot be written");
            if !self.config.strict {
                self.counts.queued.fetch_sub(count, Ordering::Relaxed);
                self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                return;
            }
            std::thread::sleep(WRITE_EVERY);
            if let Ok((file, bytes)) = open(&self.config.dir.join(CURRENT)) {
                (self.file, self.file_bytes) = (file, bytes);
            }
        }
        self.counts.queued.fetch_sub(count, Ordering::Relaxed);
        self.counts.written.fetch_add(count, Ordering::Relaxed);
    }

    fn write_once(&mut self, batch: &str) -> std::io::Result<()> {
        self.file.write_all(batch.as_bytes())?;
        self.file_bytes += batch.len() as u64;
        if self.file_bytes >= self.config.file_bytes_max {
            self.rotate()?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        self.file.sync_all()?;
        self.begun += 1;
        let name = format!("audit-{}-{}.jsonl", now_ms(), self.begun);
        let current = self.config.dir.join(CURRENT);
        std::fs::rename(&current, self.config.dir.join(name))?;
        (self.file, self.file_bytes) = open(&current)?;
        remove_oldest(&self.config)
    }
}

/// Takes what waits, up to a bound; whether nothing more will come.
fn gather(lines: &Receiver<String>, batch: &mut String) -> bool {
    match lines.recv_timeout(WRITE_EVERY) {
        Ok(line) => batch.push_str(&line),
        Err(RecvTimeoutError::Timeout) => return false,
        Err(RecvTimeoutError::Disconnected) => return true,
    }
    while batch.len() < BATCH_BYTES_MAX {
        match lines.try_recv() {
            Ok(line) => batch.push_str(&line),
            Err(_) => return false,
        }
    }
    false
}

fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// Removes whole files, the oldest first, until the rest is small enough.
fn remove_oldest(config: &SpoolConfig) -> std::io::Result<()> {
    if config.total_bytes_max == 0 {
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&config.dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("audit-") {
            let known = entry.metadata()?;
            files.push((known.modified()?, name, known.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, _, len, _)| len).sum();
    for (_, name, len, path) in files {
        if total <= config.total_bytes_max {
            break;
        }
        tracing::warn!(
            name,
            "an audit file is removed to make room (audit.total_bytes_max)"
        );
        std::fs::remove_file(path)?;
        total -= len;
    }
    Ok(())
}

fn now_ms() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> SpoolConfig {
        SpoolConfig {
            dir: dir.to_owned(),
            queue_len_max: 10_000,
            file_bytes_max: 1 << 20,
            total_bytes_max: 0,
            strict: true,
        }
    }

    fn lines(dir: &Path) -> Vec<String> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            all.extend(text.lines().map(str::to_owned));
        }
        all
    }

    #[test]
    fn all_is_written_and_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::start(SpoolConfig {
            file_bytes_max: 2000,
            queue_len_max: 2,
            ..config(dir.path())
        })
        .unwrap();
        for _ in 0..100 {
            assert!(spool.take(&Record::default()));
        }
        drop(spool);
        assert_eq!(lines(dir.path()).len(), 100);
        assert!(std::fs::read_dir(dir.path()).unwrap().count() > 1);
    }

    #[test]
    fn what_is_lost_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::start(SpoolConfig {
            queue_len_max: 1,
            strict: false,
            ..config(dir.path())
        })
        .unwrap();
        let mut taken = 0;
        while spool.counts().dropped.load(Ordering::Relaxed) == 0 {
            taken += u64::from(spool.take(&Record::default()));
        }
        let dropped = spool.counts().dropped.load(Ordering::Relaxed);
        drop(spool);
        let lines = lines(dir.path());
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("audit-lost"))
            .collect();
        assert_eq!(lines.len() as u64, taken + told.len() as u64);
        assert!(
            told[0].contains(&format!("{dropped} audit records")),
            "{told:?}"
        );
    }

    #[test]
    fn the_oldest_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::start(SpoolConfig {
            file_bytes_max: 1000,
            total_bytes_max: 3000,
            ..config(dir.path())
        })
        .unwrap();
        for _ in 0..2000 {
            spool.take(&Record::default());
        }
        drop(spool);
        let bytes: u64 = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes < 600_000, "{bytes}");
    }
}
