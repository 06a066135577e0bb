//! Where and on what a run was made.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::procfs::field_bytes;

/// Facts that the figures depend on, in the words of the system.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Model of the CPU.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Installed memory.
    pub memory: String,
    /// Kernel release.
    pub kernel: String,
    /// File system under the data.
    pub filesystem: String,
    /// Load averages when the run began: anything above 0.5 is somebody else at work.
    pub load: String,
    /// When the run began, in UTC.
    pub date: String,
    /// The commit measured; says when there were changes on top.
    pub commit: String,
}

impl Machine {
    /// Looks around; what cannot be found out is "unknown".
    pub fn observe(data: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let known = |found: Option<String>| found.unwrap_or_else(|| "unknown".to_owned());
        Self {
            cpu: known(cpu_model(&read("/proc/cpuinfo"))),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: known(
                field_bytes(&read("/proc/meminfo"), "MemTotal:")
                    .map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))),
            ),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            filesystem: known(
                data.canonicalize()
                    .ok()
                    .and_then(|data| filesystem(&read("/proc/self/mounts"), &data)),
            ),
            load: read("/proc/loadavg")
                .split_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            commit: known(commit()),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Type of the file system that `path` is on: of the longest mount point that is its prefix, the last mounted.
fn filesystem(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1).map(str::to_owned);
        Some((fields.next()?, fields.next()?))
    };
    let on_path = mounts
        .lines()
        .filter_map(mount)
        .filter(|(point, _)| path.starts_with(point));
    on_path
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind)
}

/// The report itself does not count as a change.
fn commit() -> Option<String> {
    let hash = git(&["rev-parse", "HEAD"])?;
    let changes = git(&[
        "status",
        "--porcelain",
        "--",
        ":/",
        ":!:/docs/benchmarks.md",
    ])
    .or_else(|| git(&["status", "--porcelain"]))?;
    Some(if changes.is_empty() {
        hash
    } else {
        format!("{hash} with changes on top")
    })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_wins() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\n";
        let kind = |path: &str| filesystem(mounts, Path::new(path));
        assert_eq!(kind("/tmp/x/data").as_deref(), Some("xfs"));
        assert_eq!(kind("/tmp/xy").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/home").as_deref(), Some("ext4"));
    }

    #[test]
    fn the_cpu_has_a_name() {
        assert_eq!(
            cpu_model("processor : 0\nmodel name\t: Fast 9000\n").as_deref(),
            Some("Fast 9000")
        );
        assert_eq!(cpu_model(""), None);
    }
}
