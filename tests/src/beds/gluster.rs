//! A real GlusterFS of three nodes on one machine. Root only.
//!
//! Everything is inside one mount, PID and network namespace of the bed's own, whose first process reads from a pipe that the test holds: when
//! the test ends, however it ends, the pipe closes, that process ends, and with it go all processes, mounts, loop devices and networks. Each node
//! is the same again inside: an address, a `/run`, a `/var/lib/glusterd`, and an xfs disk by loop device.
//!
//! ```text
//! bed ── br0 ── client (the bed's own network, 192.0.2.100)
//!         ├──── node 1 (192.0.2.11), node 2 (.12), node 3 (.13)
//! ```
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait;

/// Nodes of the bed.
pub const NODES: usize = 3;
const DISK: &str = "2G";
const START_LIMIT: Duration = Duration::from_secs(60);
const NETWORK: &str = "set -e; mount --make-rprivate /; ip link set lo up; ip link add br0 type bridge; ip addr add 192.0.2.100/24 dev br0; ip link set br0 up";

/// The first process of a namespace: it ends with the pipe that it reads, and until then it takes in what has ended, so that gluster does not
/// find the number of a dead brick in use.
const FIRST: &str = "echo ready; exec 3<&0; cat <&3 >/dev/null & wait $!";

/// A namespace, held by its first process.
#[derive(Debug)]
struct Space {
    holder: Child,
    /// Its first process, as the machine sees it.
    pid: u32,
    _pipe: ChildStdin,
}

/// The cluster. Dropped, it is gone.
#[derive(Debug)]
pub struct Gluster {
    nodes: Vec<Space>,
    bed: Space,
    folder: TempDir,
}

impl Gluster {
    /// Starts all nodes and joins them.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("moongate-gluster-")
            .tempdir()
            .unwrap();
        let bed = Space::new(None);
        bed.must("sh", &["-c", NETWORK]);
        let mut cluster = Self {
            nodes: Vec::new(),
            bed,
            folder,
        };
        for node in 1..=NODES {
            let space = cluster.boot(node);
            cluster.nodes.push(space);
        }
        for node in 2..=NODES {
            cluster.node(
                1,
                "gluster",
                &["--mode=script", "peer", "probe", &host(node)],
            );
        }
        wait::until_true("all nodes are connected", START_LIMIT, || {
            let pool = cluster.node(1, "gluster", &["pool", "list"]);
            pool.matches("Connected").count() == NODES
        });
        cluster
    }

    fn boot(&self, node: usize) -> Space {
        let space = Space::new(Some(&self.bed));
        let (folder, pid) = (self.folder(node), space.pid);
        fs::create_dir_all(folder.join("lib")).unwrap();
        self.bed.must("sh", &["-c", &format!(
            "set -e; ip link add v{node} type veth peer name eth0 netns {}; ip link set v{node} master br0 up",
            self.bed.inner_pid(pid)
        )]);
        space.must("sh", &["-c", &boot_script(node, &folder)]);
        space.must("glusterd", &["-p", "/run/glusterd.pid"]);
        wait::until_true("glusterd answers", START_LIMIT, || {
            space.run("gluster", &["pool", "list"]).status.success()
        });
        space
    }

    /// A folder of a node, the same path inside and outside.
    #[must_use]
    pub fn folder(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("n{node}"))
    }

    /// The bed's own folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program on a node; it must succeed.
    #[track_caller]
    pub fn node(&self, node: usize, program: &str, arguments: &[&str]) -> String {
        self.nodes[node - 1].must(program, arguments)
    }

    /// Runs a program where the clients are; it must succeed.
    #[track_caller]
    pub fn client(&self, program: &str, arguments: &[&str]) -> String {
        self.bed.must(program, arguments)
    }

    /// Runs a program where the clients are, however it ends.
    #[must_use]
    pub fn client_output(&self, program: &str, arguments: &[&str]) -> Output {
        self.bed.run(program, arguments)
    }

    /// A program to be started on a node, or with 0 where the clients are. It ends with the bed.
    #[must_use]
    pub fn command(&self, node: usize, program: &str) -> Command {
        match node.checked_sub(1) {
            None => self.bed.command(program),
            Some(node) => self.nodes[node].command(program),
        }
    }
}

/// What a node of this number is called in the pool.
#[must_use]
pub fn host(node: usize) -> String {
    format!("192.0.2.{}", 10 + node)
}

fn boot_script(node: usize, folder: &Path) -> String {
    let (folder, address) = (folder.display(), host(node));
    format!(
        "set -e; mount --make-rprivate /; ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up
        mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/gluster/snaps /run/lock
        cp -a /var/lib/glusterd/groups /var/lib/glusterd/hooks {folder}/lib/ 2>/dev/null || true
        mount --bind {folder}/lib /var/lib/glusterd; mount -t tmpfs tmpfs /var/log/glusterfs; mkdir /var/log/glusterfs/bricks
        truncate -s {DISK} {folder}/disk.img; mkfs.xfs -q -f -m reflink=1 {folder}/disk.img
        mkdir -p {folder}/disk; mount -o loop,noatime {folder}/disk.img {folder}/disk"
    )
}

impl Space {
    fn new(inside: Option<&Space>) -> Self {
        let mut command =
            inside.map_or_else(|| Command::new("unshare"), |space| space.command("unshare"));
        command.args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child=KILL",
            "--",
        ]);
        let mut holder = command
            .args(["sh", "-c", FIRST])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{error}: scripts/install.sh util-linux, and root, are needed")
            });
        let pipe = holder.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n", "root is needed to make namespaces");
        let pid = youngest(holder.id());
        Self {
            holder,
            pid,
            _pipe: pipe,
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-m", "-n", "-p", "--", program]);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn must(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {stdout} {stderr}"
        );
        stdout.into_owned()
    }

    /// The number that a process of the machine has in this namespace.
    fn inner_pid(&self, pid: u32) -> u32 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let numbers = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .unwrap();
        numbers.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Down from nsenter and unshare to the first process of the namespace: each has one child.
fn youngest(pid: u32) -> u32 {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    match children.split_whitespace().next() {
        Some(child) => youngest(child.parse().unwrap()),
        None => pid,
    }
}
