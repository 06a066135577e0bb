//! The benchmarks, one file each, and the run of those that are wanted.

mod batch;
mod cache;
mod files;
mod get;
mod hdfs;
mod index;
mod policy;
mod put;
mod resize;
mod start;
mod ten_million;

use std::cell::OnceCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

pub use cache::near::{NearOptions, run as near};

use crate::cli::{Name, Options};
use crate::figures::Section;
use crate::machine::Machine;
use crate::process::Server;
use crate::report::{self, Setting};
use ten_million::TenMillion;

/// How long a server with little in it may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// Where a whole run's report goes.
const REPORT: &str = "docs/benchmarks.md";

/// What became of one benchmark.
pub struct Outcome {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its figures, or why there are none.
    pub section: Result<Section>,
}

/// What every benchmark needs.
pub struct Bench {
    bin: PathBuf,
    work: TempDir,
    rounds: usize,
    window: Duration,
    quick: bool,
    ten_million: OnceCell<TenMillion>,
}

/// Runs what is wanted and writes the report.
///
/// # Errors
/// When a benchmark could not be measured or a response was wrong, after the report of the others has been written.
pub fn run(options: &Options) -> Result<()> {
    let bench = Bench::new(options)?;
    let machine = Machine::observe(&options.dir);
    let outcomes = bench.run_wanted(options);
    let setting = Setting {
        rounds: bench.rounds,
        window_secs: bench.window.as_secs_f64(),
        quick: bench.quick,
    };
    publish(options, &report::markdown(&machine, &setting, &outcomes))?;
    sum_up(&outcomes)
}

impl Bench {
    fn new(options: &Options) -> Result<Self> {
        let bin = match &options.bin {
            Some(bin) => bin.clone(),
            None => std::env::current_exe()?.with_file_name("moongate"),
        };
        ensure!(
            bin.is_file(),
            "{} is not there; build it or name it with --bin",
            bin.display()
        );
        fs::create_dir_all(&options.dir)?;
        Ok(Self {
            bin,
            work: TempDir::with_prefix_in("moongate-bench-", &options.dir)?,
            rounds: options.rounds(),
            window: options.window(),
            quick: options.quick,
            ten_million: OnceCell::new(),
        })
    }

    fn run_wanted(&self, options: &Options) -> Vec<Outcome> {
        type Run = fn(&Bench) -> Result<Section>;
        let all: [(Name, &'static str, Run); 13] = [
            (Name::Get, "get", get::run),
            (Name::Put, "put", put::run),
            (Name::Batch, "batch", batch::run),
            (Name::Files, "files", files::run),
            (Name::Cache, "cache", cache::run),
            (Name::CacheLink, "cache-link", cache::link::run),
            (Name::CacheDisk, "cache-disk", cache::disk::run),
            (Name::CacheSoak, "cache-soak", cache::soak::run),
            (Name::Hdfs, "hdfs", hdfs::run),
            (Name::Index, "index", index::run),
            (Name::Policy, "policy", policy::run),
            (Name::Start, "start", start::run),
            (Name::Resize, "resize", resize::run),
        ];
        let wanted = all.into_iter().filter(|(name, ..)| options.wants(*name));
        wanted
            .map(|(_, name, run)| self.run_one(name, run))
            .collect()
    }

    fn run_one(&self, name: &'static str, run: fn(&Bench) -> Result<Section>) -> Outcome {
        progress(&format!("{name} ..."));
        let section = run(self);
        if let Err(error) = &section {
            progress(&format!("{name} failed: {error:#}"));
        }
        Outcome { name, section }
    }

    /// A path in the folder of this run.
    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// An empty folder of this name, on the disk that is measured.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path(name);
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// Starts moongate over `data`.
    fn serve(&self, data: &Path) -> Result<Server> {
        Server::moongate(&self.bin, data, &self.path("moongate.log"), READY_PATIENCE)
    }

    /// As [`Bench::serve`], with a config file.
    fn serve_with(&self, data: &Path, config: &Path) -> Result<Server> {
        let (bin, log) = (&self.bin, self.path("moongate.log"));
        Server::moongate_with(bin, data, Some(config), &log, READY_PATIENCE)
    }

    /// As [`Bench::serve_with`], with more in its environment.
    fn serve_in(&self, data: &Path, config: &Path, envs: &[(String, String)]) -> Result<Server> {
        let log = self.path("moongate.log");
        Server::moongate_in(&self.bin, data, Some(config), envs, &log, READY_PATIENCE)
    }

    /// Starts the bare hyper server.
    fn floor(&self) -> Result<Server> {
        Server::floor_http(&self.path("floor.log"))
    }

    /// The folder with ten million needles (a million in a quick run), made when it is first asked for.
    fn ten_million(&self) -> Result<&TenMillion> {
        if let Some(made) = self.ten_million.get() {
            return Ok(made);
        }
        let made = TenMillion::make(self)?;
        Ok(self.ten_million.get_or_init(|| made))
    }
}

fn publish(options: &Options, text: &str) -> Result<()> {
    let out = match &options.out {
        Some(out) => out.clone(),
        None if options.is_quotable() => PathBuf::from(REPORT),
        None => PathBuf::from("-"),
    };
    if out == Path::new("-") {
        return Ok(std::io::stdout().write_all(text.as_bytes())?);
    }
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&out, text).with_context(|| format!("writing {}", out.display()))?;
    progress(&format!("wrote {}", out.display()));
    Ok(())
}

fn sum_up(outcomes: &[Outcome]) -> Result<()> {
    let verdicts: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.section.as_ref().ok())
        .flat_map(|section| &section.verdicts)
        .collect();
    let reached = verdicts
        .iter()
        .filter(|verdict| verdict.is_reached())
        .count();
    progress(&format!("{reached} of {} targets reached", verdicts.len()));
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome.section.is_err())
        .map(|outcome| outcome.name)
        .collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Tells whoever waits what is going on.
fn progress(text: &str) {
    eprintln!("bench: {text}");
}
