//! gluster's FUSE daemon, one a mount: its arguments, and whether it lives. It is known by the mount point that ends its command line, so
//! that a number that the kernel gave to another process is not taken for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::record::Record;
use crate::command::run;
use crate::error::{Error, Result};

const START_LIMIT: Duration = Duration::from_secs(40);
const PROGRAM: &str = "glusterfs";
/// Flags of mount.glusterfs without a value, and what the daemon calls them.
const SWITCHES: [(&str, &str); 5] = [
    ("acl", "--acl"),
    ("ro", "--read-only"),
    ("selinux", "--selinux"),
    ("worm", "--worm"),
    ("resolve-gids", "--resolve-gids"),
];
/// Flags with a value, the same for both.
const VALUES: [&str; 15] = [
    "attribute-timeout",
    "background-qlen",
    "congestion-threshold",
    "direct-io-mode",
    "entry-timeout",
    "event-history",
    "fopen-keep-cache",
    "gid-timeout",
    "invalidate-limit",
    "kernel-writeback-cache",
    "log-level",
    "lru-limit",
    "negative-timeout",
    "reader-thread-count",
    "use-readdirp",
];
/// The kernel's own.
const KERNEL: [&str; 8] = [
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nosuid",
    "relatime",
    "strictatime",
    "sync",
];

/// What the daemon of a record is started with.
///
/// # Errors
/// `Invalid` for a mount option that is not known, with those that are.
pub fn arguments(record: &Record, home: &Path, log: &Path) -> Result<Vec<String>> {
    let mut words = vec!["--process-name".to_owned(), "fuse".to_owned()];
    let mut servers = record.servers.clone();
    let mut kernel = Vec::new();
    for flag in &record.flags {
        match flag.split_once('=').unwrap_or((flag, "")) {
            ("backup-volfile-servers", others) => {
                servers.extend(others.split(':').map(str::to_owned));
            }
            (name, "") if name == "rw" || name == "_netdev" => {}
            (name, "") if KERNEL.contains(&name) => kernel.push(name),
            (name, "") => words.push(switch(name)?.to_owned()),
            (name, value) if VALUES.contains(&name) => words.push(format!("--{name}={value}")),
            (name, _) => return Err(unknown(name)),
        }
    }
    if servers.is_empty() {
        return Err(Error::Invalid("volume_context: no servers".to_owned()));
    }
    if !kernel.is_empty() {
        words.push(format!("--fuse-mountopts={}", kernel.join(",")));
    }
    words.extend(
        servers
            .iter()
            .map(|server| format!("--volfile-server={server}")),
    );
    let (volume, folder) = record
        .volume
        .split_once('/')
        .unwrap_or((&record.volume, ""));
    words.push(format!("--volfile-id=/{volume}"));
    if !folder.is_empty() {
        words.push(format!("--subdir-mount=/{folder}"));
    }
    words.push(format!("--log-file={}", log.display()));
    if record.tls {
        words.extend(tls(home));
    }
    words.push(home.join("mnt").display().to_string());
    Ok(words)
}

/// The tenant's certificate in place of what the volume's options name: each daemon has its own, whoever else mounts on this node.
fn tls(home: &Path) -> impl Iterator<Item = String> {
    let folder = home.join("tls");
    let files = [
        ("own-cert", "cert.pem"),
        ("private-key", "key.pem"),
        ("ca-list", "ca.pem"),
    ];
    files.into_iter().map(move |(option, file)| {
        let file = folder.join(file);
        format!(
            "--xlator-option=*-client-*.transport.socket.ssl-{option}={}",
            file.display()
        )
    })
}

fn switch(name: &str) -> Result<&'static str> {
    let found = SWITCHES.iter().find(|(flag, _)| *flag == name);
    found.map(|(_, word)| *word).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    let switches = SWITCHES.iter().map(|(flag, _)| *flag);
    let known: Vec<&str> = switches
        .chain(KERNEL)
        .chain(VALUES)
        .chain(["backup-volfile-servers"])
        .collect();
    Error::Invalid(format!(
        "mountOptions: {name} is not known: there are {}",
        known.join(", ")
    ))
}

/// Starts it; it returns when the daemon has mounted, or has given up.
///
/// # Errors
/// `Unavailable` with the end of its log.
pub async fn start(record: &Record, home: &Path, log: &Path) -> Result<()> {
    let words = arguments(record, home, log)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let logged = std::fs::metadata(log).map_or(0, |file| file.len());
    let ended = run(PROGRAM, &words, START_LIMIT).await;
    match ended {
        Ok(ended) if ended.ok => Ok(()),
        Err(error @ Error::Internal(_)) => Err(error),
        _ => Err(complaint(record, log, logged)),
    }
}

/// Why it cannot be mounted, by what the daemon has logged since.
pub fn complaint(record: &Record, log: &Path, since: u64) -> Error {
    let text = std::fs::read(log).unwrap_or_default();
    let new = text
        .get(usize::try_from(since).unwrap_or(0)..)
        .unwrap_or_default();
    let new = String::from_utf8_lossy(new);
    let told = if new.contains("Authentication failed") || new.contains("AUTH_FAILED") {
        REFUSED.to_owned()
    } else {
        let mut errors = new.lines().filter(|line| line.contains("] E ["));
        errors.next_back().unwrap_or("it says nothing").to_owned()
    };
    Error::Unavailable(format!(
        "volume {} cannot be mounted: {told}; its log is {}",
        record.volume,
        log.display()
    ))
}

/// In an error: the servers have turned this client away.
pub const REFUSED: &str = "the servers refuse this client (auth.allow, or TLS and auth.ssl-allow): see the secret and the volume's options";

/// The daemons' numbers, so that not all processes of the node are gone through whenever one is looked for.
#[derive(Debug, Clone, Default)]
pub struct Known(Arc<Mutex<HashMap<PathBuf, u32>>>);

impl Known {
    /// Whether the daemon of a mount point lives.
    #[must_use]
    pub fn lives(&self, point: &Path) -> bool {
        let known = self.pids().get(point).copied();
        if known.is_some_and(|pid| is(pid, point)) {
            return true;
        }
        let found = all(point).first().copied();
        let mut pids = self.pids();
        match found {
            Some(pid) => pids.insert(point.to_owned(), pid),
            None => pids.remove(point),
        };
        found.is_some()
    }

    fn pids(&self) -> MutexGuard<'_, HashMap<PathBuf, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All processes that are the daemon of a mount point: while it starts there are two.
#[must_use]
pub fn all(point: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is(*pid, point)).collect()
}

/// Whether a process is the daemon of a mount point. One that has ended and was not waited for has no command line.
#[must_use]
pub fn is(pid: u32, point: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty());
    let program = words
        .next()
        .map(|word| PathBuf::from(std::ffi::OsStr::from_bytes(word)));
    program.is_some_and(|program| program.ends_with(PROGRAM))
        && words.next_back() == Some(point.as_os_str().as_bytes())
}

/// Ends it.
pub fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn record(flags: &[&str]) -> Record {
        Record {
            id: "v".to_owned(),
            volume: "v".to_owned(),
            servers: vec!["a".to_owned(), "b".to_owned()],
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            target: PathBuf::from("/t"),
            tls: false,
            dead: Vec::new(),
        }
    }

    fn line(record: &Record) -> Result<String> {
        Ok(arguments(record, Path::new("/home"), Path::new("/log"))?.join(" "))
    }

    #[test]
    fn mount_options_mean_what_they_mean_to_mount_glusterfs() {
        let told = line(&record(&[
            "acl",
            "nosuid",
            "nodev",
            "log-level=WARNING",
            "rw",
        ]))
        .unwrap();
        assert_eq!(
            told,
            "--process-name fuse --acl --log-level=WARNING --fuse-mountopts=nosuid,nodev --volfile-server=a \
             --volfile-server=b --volfile-id=/v --log-file=/log /home/mnt"
        );
    }

    #[test]
    fn an_option_that_names_a_file_of_the_node_is_not_taken() {
        for flag in [
            "log-file=/etc/passwd",
            "dump-fuse=/x",
            "volfile=/x",
            "acl=yes",
            "suid",
        ] {
            let error = line(&record(&[flag])).unwrap_err().to_string();
            assert!(error.contains("there are acl"), "{error}");
        }
    }

    #[test]
    fn each_daemon_has_its_tenants_certificate() {
        let mut record = record(&[]);
        record.tls = true;
        let told = line(&record).unwrap();
        assert!(
            told.contains("*-client-*.transport.socket.ssl-own-cert=/home/tls/cert.pem"),
            "{told}"
        );
    }

    #[test]
    fn a_folder_of_a_volume_is_mounted_alone() {
        let mut record = record(&[]);
        record.volume = "shared/tenant/a".to_owned();
        let told = line(&record).unwrap();
        assert!(
            told.contains("--volfile-id=/shared --subdir-mount=/tenant/a"),
            "{told}"
        );
    }

    #[test]
    fn another_process_is_not_the_daemon() {
        assert!(!is(std::process::id(), Path::new("/home/mnt")));
        assert!(!Known::default().lives(Path::new("/no/such/point")));
    }
}
