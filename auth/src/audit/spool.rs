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
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};

use super::record::{Record, push_time};

/// How long lines may wait to be written.
const WRITE_EVERY: Duration = Duration::from_millis(200);
/// So many bytes are written at once, without waiting for more.
const BATCH_BYTES: usize = 256 << 10;
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
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What those who take records and the thread that writes them have in common. Lines are put behind each other into one buffer, which the
/// thread exchanges for an empty one: a record costs a copy, not an allocation and the waking of a thread.
#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is enough to be written, or nothing more will come.
    due: Condvar,
    /// There is room again.
    room: Condvar,
    counts: SpoolCounts,
    len_max: usize,
    strict: bool,
}

/// Lines that wait.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    count: usize,
    /// Nothing more comes, or nobody writes any more.
    ended: bool,
}

impl Shared {
    fn is_due(&self, waiting: &Waiting) -> bool {
        waiting.ended
            || waiting.lines.len() >= BATCH_BYTES
            || waiting.count >= self.len_max.div_ceil(2)
    }

    fn end(&self) {
        self.waiting.lock().ended = true;
        self.due.notify_all();
        self.room.notify_all();
    }
}

impl Spool {
    /// Opens the file and starts the thread.
    ///
    /// # Errors
    /// The folder cannot be made, or the file not be opened.
    pub fn start(config: SpoolConfig) -> std::io::Result<Self> {
        std::fs::create_dir_all(&config.dir)?;
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            due: Condvar::new(),
            room: Condvar::new(),
            counts: SpoolCounts::default(),
            len_max: config.queue_len_max.max(1),
            strict: config.strict,
        });
        let writer = Writer::open(config, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Takes a line, which is written behind the others, its end included; `false` if it had to be dropped. Waits only where the spool is
    /// strict and full: then call it where waiting is allowed.
    pub fn take(&self, line: impl FnOnce(&mut Vec<u8>)) -> bool {
        let shared = &*self.shared;
        let mut waiting = shared.waiting.lock();
        while waiting.count >= shared.len_max && shared.strict && !waiting.ended {
            shared.room.wait(&mut waiting);
        }
        if waiting.count >= shared.len_max || waiting.ended {
            shared.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let was_due = shared.is_due(&waiting);
        line(&mut waiting.lines);
        waiting.count += 1;
        shared.counts.queued.fetch_add(1, Ordering::Relaxed);
        if !was_due && shared.is_due(&waiting) {
            shared.due.notify_one();
        }
        true
    }

    /// Whether the next line would have to wait, or be dropped.
    pub fn is_full(&self) -> bool {
        self.shared.waiting.lock().count >= self.shared.len_max
    }

    /// What became of records so far.
    pub fn counts(&self) -> &SpoolCounts {
        &self.shared.counts
    }
}

impl Drop for Spool {
    /// Writes what was taken.
    fn drop(&mut self) {
        self.shared.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Writer {
    config: SpoolConfig,
    shared: Arc<Shared>,
    file: File,
    file_bytes: u64,
    /// Losses that a line has told of.
    told: u64,
    /// Files that were begun.
    begun: u64,
}

impl Drop for Writer {
    /// However it ends, nobody waits for it any more.
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Writer {
    fn open(config: SpoolConfig, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (file, file_bytes) = open(&config.dir.join(CURRENT))?;
        Ok(Self {
            config,
            shared,
            file,
            file_bytes,
            told: 0,
            begun: 0,
        })
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let (count, ended) = self.gather(&mut batch);
            self.tell_losses(&mut batch);
            if !batch.is_empty() {
                self.write(&batch, count as u64);
            }
            batch.clear();
            // What one burst needed is not kept for ever.
            batch.shrink_to(2 * BATCH_BYTES);
            if ended {
                let _ = self.file.sync_all();
                return;
            }
        }
    }

    /// Takes what waits, for which it gives an empty buffer; how many lines that are, and whether nothing more will come.
    fn gather(&self, batch: &mut Vec<u8>) -> (usize, bool) {
        let shared = &*self.shared;
        let mut waiting = shared.waiting.lock();
        if !shared.is_due(&waiting) {
            let _ = shared.due.wait_for(&mut waiting, WRITE_EVERY);
        }
        std::mem::swap(&mut waiting.lines, batch);
        let count = std::mem::take(&mut waiting.count);
        let ended = waiting.ended;
        drop(waiting);
        shared.room.notify_all();
        (count, ended)
    }

    /// Appends a line if records were lost since the last one.
    fn tell_losses(&mut self, batch: &mut Vec<u8>) {
        let dropped = self.shared.counts.dropped.load(Ordering::Relaxed);
        if dropped > self.told {
            let lost = dropped - self.told;
            tracing::error!(
                lost,
                "audit records were lost: raise audit.queue_len_max, or set audit.strict"
            );
            Record::lost(lost).push_fields(batch);
            push_time(i64::try_from(now_ms()).unwrap_or(0), batch);
            batch.extend_from_slice(b"}\n");
            self.told = dropped;
        }
    }

    /// Writes; what the disk refuses is tried again in a strict spool, and counted as lost in another.
    fn write(&mut self, batch: &[u8], count: u64) {
        let mut rest = batch;
        let shared = Arc::clone(&self.shared);
        while let Err(error) = self.write_all(&mut rest) {
            shared.counts.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, dir = %self.config.dir.display(), "audit records cannot be written");
            if !self.config.strict {
                let lost = (rest.iter().filter(|byte| **byte == b'\n').count() as u64).min(count);
                shared.counts.queued.fetch_sub(count, Ordering::Relaxed);
                shared.counts.dropped.fetch_add(lost, Ordering::Relaxed);
                shared
                    .counts
                    .written
                    .fetch_add(count - lost, Ordering::Relaxed);
                return;
            }
            std::thread::sleep(WRITE_EVERY);
            if let Ok((file, bytes)) = open(&self.config.dir.join(CURRENT)) {
                (self.file, self.file_bytes) = (file, bytes);
            }
        }
        shared.counts.queued.fetch_sub(count, Ordering::Relaxed);
        shared.counts.written.fetch_add(count, Ordering::Relaxed);
    }

    /// Writes whole lines, and begins another file where one is full. What is left of `rest` is not written yet.
    fn write_all(&mut self, rest: &mut &[u8]) -> std::io::Result<()> {
        while !rest.is_empty() {
            let room = self.config.file_bytes_max.saturating_sub(self.file_bytes);
            let (now, later) = rest.split_at(whole_lines(rest, room));
            self.file.write_all(now)?;
            *rest = later;
            self.file_bytes += now.len() as u64;
            if self.file_bytes >= self.config.file_bytes_max || !later.is_empty() {
                self.rotate()?;
            }
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

/// How many bytes of some lines fit into so much room: whole lines only, and at least one.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    let is_end = |byte: &u8| *byte == b'\n';
    let fitting = lines.get(..room).unwrap_or(lines).iter().rposition(is_end);
    let end = fitting.or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
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

    fn line(lines: &mut Vec<u8>) {
        Record::default().push_fields(lines);
        lines.extend_from_slice(b"}\n");
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
            assert!(spool.take(line));
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
            taken += u64::from(spool.take(line));
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
            spool.take(line);
        }
        drop(spool);
        let bytes: u64 = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes < 6_000, "{bytes}");
    }
}
