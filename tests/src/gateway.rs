//! The gateway as its operator sees it: a process with a config file, a ready line, signals and an exit status.

mod process;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use toml::{Table, Value as Toml};

use self::process::Process;
pub use self::process::Refusal;
use crate::wait;

/// A gateway without requests in flight stops well within this.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// Lines of the gateway's log that a failed test shows.
const LOG_LINES_SHOWN: usize = 60;

/// Free ports, a place with a name, and few volumes, which start faster.
const DEFAULTS: &str = "\
[image]
listen = '127.0.0.1:0'
[file]
listen = '127.0.0.1:0'
[admin]
listen = '127.0.0.1:0'
[haystack]
data_center = 'dc1'
rack = 'r1'
volumes_per_growth = 2
";

/// The binary under test: `MOONGATE_BIN`, or the one that was built beside this test program.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MOONGATE_BIN") {
        return PathBuf::from(path);
    }
    let test_program = std::env::current_exe().expect("a running program has a path");
    let built = test_program
        .ancestors()
        .nth(2)
        .expect("cargo puts tests into target/PROFILE/deps")
        .join("moongate");
    assert!(
        built.is_file(),
        "{} is missing: build it with `cargo build --release -p moongate`, or name one in MOONGATE_BIN",
        built.display()
    );
    built
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    command.output().expect("the binary can be executed")
}

/// A running (or just stopped) gateway. Dropping it kills it; a failed test prints the end of its log.
#[derive(Debug)]
pub struct Gateway {
    process: Option<Process>,
    settings: Settings,
    /// Own folder, when the test did not bring one.
    folder: Option<TempDir>,
}

/// What a gateway is started with; kept for restarts.
#[derive(Debug)]
struct Settings {
    arguments: Vec<OsString>,
    /// Variables of its environment, over those of the test.
    envs: Vec<(String, String)>,
    data: Vec<PathBuf>,
    /// Holds the config file, where there is one.
    _config_folder: Option<TempDir>,
}

impl Gateway {
    /// Starts a gateway on an empty folder of its own. `config` is TOML that is merged over the test's defaults.
    #[track_caller]
    pub fn fresh(config: &str) -> Gateway {
        let folder = TempDir::with_prefix("moongate-data-").expect("a temporary folder");
        let mut gateway = Gateway::start(&[folder.path()], config);
        gateway.folder = Some(folder);
        gateway
    }

    /// As [`Gateway::fresh`], with these variables in its environment; a start may be refused.
    pub fn try_fresh_with(config: &str, envs: Vec<(String, String)>) -> Result<Gateway, Refusal> {
        let folder = TempDir::with_prefix("moongate-data-").expect("a temporary folder");
        let mut settings = Settings::from_config(&[folder.path()], config);
        settings.envs = envs;
        let mut gateway = Gateway::with_settings(settings)?;
        gateway.folder = Some(folder);
        Ok(gateway)
    }

    /// Starts a gateway on folders that exist. `config` is TOML that is merged over the test's defaults.
    #[track_caller]
    pub fn start(data: &[&Path], config: &str) -> Gateway {
        match Gateway::try_start(data, config) {
            Ok(gateway) => gateway,
            Err(refusal) => panic!(
                "the gateway did not start ({:?}):\n{}",
                refusal.status, refusal.stderr
            ),
        }
    }

    /// As [`Gateway::start`], for a start that may be refused.
    pub fn try_start(data: &[&Path], config: &str) -> Result<Gateway, Refusal> {
        Gateway::with_settings(Settings::from_config(data, config))
    }

    /// Starts `moongate serve` on one folder with these arguments and no config file.
    pub fn try_start_with_arguments(data: &Path, arguments: &[&str]) -> Result<Gateway, Refusal> {
        let arguments = std::iter::once(&"serve")
            .chain(arguments)
            .map(OsString::from)
            .collect();
        Gateway::with_settings(Settings {
            arguments,
            envs: Vec::new(),
            data: vec![data.to_owned()],
            _config_folder: None,
        })
    }

    fn with_settings(settings: Settings) -> Result<Gateway, Refusal> {
        let process = Process::start(&settings.arguments, &settings.envs)?;
        Ok(Gateway {
            process: Some(process),
            settings,
            folder: None,
        })
    }

    /// Address of the image port.
    pub fn image(&self) -> SocketAddr {
        self.process().image
    }

    /// Address of the file port.
    pub fn file(&self) -> SocketAddr {
        self.process().file
    }

    /// Address of the admin port.
    pub fn admin(&self) -> SocketAddr {
        self.process().admin
    }

    /// The first line on stdout.
    pub fn ready_line(&self) -> &Value {
        &self.process().ready_line
    }

    /// The first data folder.
    pub fn data(&self) -> &Path {
        &self.settings.data[0]
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process().log()
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process().child.id());
        let status = std::fs::read_to_string(path).expect("a running process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("the kernel tells VmRSS");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number of KiB");
        kib << 10
    }

    /// File descriptors that it holds now: volumes, indexes, and one for each connection.
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process().child.id());
        std::fs::read_dir(folder)
            .expect("a running process")
            .count()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process().child.id()
    }

    /// True while the process has not ended.
    pub fn is_running(&mut self) -> bool {
        let process = self
            .process
            .as_mut()
            .expect("the gateway was stopped by the test");
        process
            .child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }

    /// `kill -9`, and waits for the end.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("a running gateway");
        process.child.kill().expect("an own child can be killed");
        process.child.wait().expect("a child can be waited for");
    }

    /// SIGTERM without waiting.
    pub fn signal_terminate(&self) {
        let pid = Pid::from_child(&self.process().child);
        kill_process(pid, Signal::TERM).expect("an own child can be signalled");
    }

    /// Waits for the end that a signal asked for, which must be exit status 0.
    #[track_caller]
    pub fn wait_for_clean_exit(&mut self) {
        let process = self.process.as_mut().expect("a running gateway");
        let status = wait::until("the gateway stops", STOP_LIMIT, || {
            process.child.try_wait().expect("a child can be waited for")
        });
        assert!(
            status.success(),
            "SIGTERM should end with status 0, not {status}:\n{}",
            process.log()
        );
        self.process = None;
    }

    /// SIGTERM, and waits for exit status 0.
    #[track_caller]
    pub fn terminate(&mut self) {
        self.signal_terminate();
        self.wait_for_clean_exit();
    }

    /// Starts again with the same config and folders, after `kill9` or `terminate`. The ports may be others.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "stop it first");
        match Process::start(&self.settings.arguments, &self.settings.envs) {
            Ok(process) => self.process = Some(process),
            Err(refusal) => panic!(
                "the gateway did not start again ({:?}):\n{}",
                refusal.status, refusal.stderr
            ),
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("a running gateway")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        let _ = process.child.kill();
        let _ = process.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- end of the gateway's log:\n{}\n---",
                last_lines(&process.log())
            );
        }
    }
}

impl Settings {
    fn from_config(data: &[&Path], config: &str) -> Settings {
        let folder = TempDir::with_prefix("moongate-config-").expect("a temporary folder");
        let path = folder.path().join("moongate.toml");
        let data: Vec<PathBuf> = data.iter().map(|path| path.to_path_buf()).collect();
        let overrides: Table = config.parse().expect("the test's config is TOML");
        let text = merged(defaults(&data), overrides).to_string();
        std::fs::write(&path, text).expect("the config can be written");
        Settings {
            arguments: vec!["serve".into(), "--config".into(), path.into()],
            envs: Vec::new(),
            data,
            _config_folder: Some(folder),
        }
    }
}

fn defaults(data: &[PathBuf]) -> Table {
    let mut table: Table = DEFAULTS.parse().expect("valid TOML");
    let folders = data
        .iter()
        .map(|path| Toml::String(path.display().to_string()))
        .collect();
    let haystack = table["haystack"].as_table_mut().expect("just written");
    haystack.insert("data".into(), Toml::Array(folders));
    table
}

fn merged(mut base: Table, overrides: Table) -> Table {
    for (key, value) in overrides {
        match (base.get_mut(&key), value) {
            (Some(Toml::Table(known)), Toml::Table(more)) => {
                *known = merged(std::mem::take(known), more)
            }
            (_, value) => drop(base.insert(key, value)),
        }
    }
    base
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
