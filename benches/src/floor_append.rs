//! The append floor: a bare group-commit loop, the least that a durable 5 KB append can cost on this file system.
//!
//! One thread keeps `depth` appends in flight; one writer takes what has queued up, copies it into one buffer, writes it
//! with one `pwrite`, makes it durable with one `fdatasync`, and only then acknowledges. The file is allocated ahead in
//! steps, so that most syncs need not commit a new size.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustix::fs::{FallocateFlags, fallocate};
use serde_json::{Value, json};

use crate::cli::AppendOptions;
use crate::floor_http::BODY_BYTES;
use crate::load::{Round, new_histogram};
use crate::procfs;

/// Appended in the loop before measuring.
const WARMUP: Duration = Duration::from_millis(300);

/// The file grows in steps of this.
const ALLOCATE_BYTES: u64 = 64 << 20;

/// One image on its way to the disk.
struct Append {
    begun: Instant,
    body: &'static [u8; BODY_BYTES],
}

static BODY: [u8; BODY_BYTES] = [0xa5; BODY_BYTES];

/// Runs the loop in a process of its own and takes its figures.
///
/// # Errors
/// When the child fails or says something else than its figures.
pub fn measure(options: &AppendOptions) -> Result<Round> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor-append").arg("--file").arg(&options.file);
    command.args([
        "--depth",
        &options.depth.to_string(),
        "--seconds",
        &options.seconds.to_string(),
    ]);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(
        output.status.success(),
        "the append floor ended with {}",
        output.status
    );
    from_json(&serde_json::from_slice(&output.stdout)?).context("the append floor's figures")
}

/// Appends for `options.seconds` and prints the figures as one JSON line.
///
/// # Errors
/// When the file cannot be made, written or synced.
pub fn run(options: &AppendOptions) -> Result<()> {
    let log = Log::create(&options.file)?;
    let round = append_for(log, options.depth, Duration::from_secs_f64(options.seconds))?;
    std::fs::remove_file(&options.file)?;
    writeln!(std::io::stdout(), "{}", to_json(&round))?;
    Ok(())
}

fn append_for(log: Log, depth: usize, window: Duration) -> Result<Round> {
    ensure!(depth > 0, "depth must be above 0");
    let (appends, queue) = sync_channel(depth);
    let (acks, acked) = sync_channel(depth);
    let writer = thread::spawn(move || write_batches(log, depth, &queue, &acks));
    let round = produce(&appends, &acked, depth, window);
    drop(appends);
    match writer.join() {
        Ok(outcome) => outcome?,
        Err(_) => bail!("the writer panicked"),
    }
    round
}

/// Keeps `depth` appends in flight; after the warm-up, counts for `window`.
fn produce(
    appends: &SyncSender<Append>,
    acked: &Receiver<Vec<Instant>>,
    depth: usize,
    window: Duration,
) -> Result<Round> {
    let mut flight = Flight {
        free: depth,
        ..Flight::new()?
    };
    flight.run_until(Instant::now() + WARMUP, appends, acked)?;
    flight.latency_us.reset();
    let (begun, cpu) = (Instant::now(), procfs::cpu_time(std::process::id())?);
    let operations = flight.run_until(begun + window, appends, acked)?;
    Ok(Round {
        operations,
        elapsed: begun.elapsed(),
        server_cpu: procfs::cpu_time(std::process::id())?.saturating_sub(cpu),
        p50: Duration::from_micros(flight.latency_us.value_at_quantile(0.50)),
        p99: Duration::from_micros(flight.latency_us.value_at_quantile(0.99)),
    })
}

struct Flight {
    free: usize,
    latency_us: Histogram<u64>,
}

impl Flight {
    fn new() -> Result<Self> {
        Ok(Self {
            free: 0,
            latency_us: new_histogram()?,
        })
    }

    /// Returns the appends acknowledged by then.
    fn run_until(
        &mut self,
        end: Instant,
        appends: &SyncSender<Append>,
        acked: &Receiver<Vec<Instant>>,
    ) -> Result<u64> {
        let mut operations = 0;
        while Instant::now() < end {
            for _ in 0..std::mem::take(&mut self.free) {
                appends
                    .send(Append {
                        begun: Instant::now(),
                        body: &BODY,
                    })
                    .context("the writer ended")?;
            }
            let batch = acked.recv().context("the writer ended")?;
            self.land(&batch);
            operations += batch.len() as u64;
        }
        Ok(operations)
    }

    fn land(&mut self, batch: &[Instant]) {
        let now = Instant::now();
        for begun in batch {
            self.latency_us
                .saturating_record((now - *begun).as_micros() as u64);
        }
        self.free += batch.len();
    }
}

/// The writer: batch, write, sync, acknowledge, until the producer is gone.
fn write_batches(
    mut log: Log,
    depth: usize,
    queue: &Receiver<Append>,
    acks: &SyncSender<Vec<Instant>>,
) -> Result<()> {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![log.stage(&first)];
        while batch.len() < depth
            && let Ok(next) = queue.try_recv()
        {
            batch.push(log.stage(&next));
        }
        log.commit()?;
        // The producer has left when its time is over; nothing waits for this acknowledgement then.
        let _ = acks.send(batch);
    }
    Ok(())
}

/// An append-only file with one buffer for the batch being formed.
struct Log {
    file: File,
    staged: Vec<u8>,
    end_bytes: u64,
    allocated_bytes: u64,
}

impl Log {
    fn create(path: &std::path::Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self {
            file,
            staged: Vec::new(),
            end_bytes: 0,
            allocated_bytes: 0,
        })
    }

    fn stage(&mut self, append: &Append) -> Instant {
        self.staged.extend_from_slice(append.body);
        append.begun
    }

    fn commit(&mut self) -> Result<()> {
        let end_bytes = self.end_bytes + self.staged.len() as u64;
        while end_bytes > self.allocated_bytes {
            self.allocate()?;
        }
        self.file.write_all_at(&self.staged, self.end_bytes)?;
        self.file.sync_data()?;
        self.staged.clear();
        self.end_bytes = end_bytes;
        Ok(())
    }

    fn allocate(&mut self) -> Result<()> {
        fallocate(
            &self.file,
            FallocateFlags::empty(),
            self.allocated_bytes,
            ALLOCATE_BYTES,
        )?;
        self.allocated_bytes += ALLOCATE_BYTES;
        Ok(())
    }
}

fn to_json(round: &Round) -> Value {
    json!({
        "appends": round.operations,
        "elapsed_us": round.elapsed.as_micros() as u64,
        "cpu_us": round.server_cpu.as_micros() as u64,
        "p50_us": round.p50.as_micros() as u64,
        "p99_us": round.p99.as_micros() as u64,
    })
}

fn from_json(value: &Value) -> Option<Round> {
    let micros = |name: &str| value[name].as_u64().map(Duration::from_micros);
    Some(Round {
        operations: value["appends"].as_u64()?,
        elapsed: micros("elapsed_us")?,
        server_cpu: micros("cpu_us")?,
        p50: micros("p50_us")?,
        p99: micros("p99_us")?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_figures_survive_the_pipe() {
        let round = Round {
            operations: 7,
            elapsed: Duration::from_micros(11),
            server_cpu: Duration::from_micros(5),
            p50: Duration::from_micros(2),
            p99: Duration::from_micros(3),
        };
        assert_eq!(from_json(&to_json(&round)), Some(round));
        assert_eq!(from_json(&json!({})), None);
    }

    #[test]
    fn what_is_acknowledged_is_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let round = append_for(Log::create(&path).unwrap(), 4, Duration::from_millis(50)).unwrap();
        assert!(round.operations > 0);
        let bytes = std::fs::read(&path).unwrap();
        let written = bytes.iter().filter(|&&byte| byte == 0xa5).count();
        assert!(written as u64 >= round.operations * BODY_BYTES as u64);
        assert_eq!(written % BODY_BYTES, 0);
    }
}
