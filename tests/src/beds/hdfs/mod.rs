//! A real HDFS: NameNodes, DataNodes and FsShell of Apache Hadoop, from the jars that `scripts/hadoop.sh` fetches.
//!
//! [`Hdfs::shared`] is one NameNode with three DataNodes for all tests of a program that do it no harm; [`Hdfs::start`] is one of a test's
//! own, and [`Hdfs::start_ha`] has two NameNodes under one name. Everything listens on free loopback ports, keeps its files in a folder of
//! its own, and ends with the test program, however that ends.
//!
//! ```no_run
//! use moongate_tests::beds::hdfs::Hdfs;
//!
//! let hdfs = Hdfs::start(3);                          // NameNode 0 and DataNodes 0 to 2
//! hdfs.url();                                         // hdfs://localhost:PORT
//! hdfs.http(0);                                       // localhost:PORT, the NameNode's own WebHDFS below /webhdfs/v1
//! hdfs.config_dir();                                  // HADOOP_CONF_DIR
//! hdfs.dfs(&["-ls", "-R", "/"]);                      // `hdfs dfs -ls -R /`, as the superuser
//! hdfs.kill_datanode(0);                              // kill -9
//! hdfs.freeze_datanode(1);                            // SIGSTOP
//! hdfs.mend();                                        // all run again, and the NameNode has heard of them
//! ```
//!
//! Authentication is simple: who says that he is alice is. [`Hdfs::superuser`] may do everything; others write where he lets them.

mod config;
mod java;
mod kerberos;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use self::config::{Nodes, write};
use super::daemon::Daemon;
use super::folder::Folder;
use super::kdc::Kdc;
use crate::http::{Request, send};
use crate::wait;
use serde_json::Value;

/// Three seconds on a quiet machine.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// The name of an HA pair: `hdfs://beds`.
pub const NAMESERVICE: &str = "beds";
const LOCALHOST: &str = "localhost";
const NAMENODE: &str = "org.apache.hadoop.hdfs.server.namenode.NameNode";
const DATANODE: &str = "org.apache.hadoop.hdfs.server.datanode.DataNode";
const FS_SHELL: &str = "org.apache.hadoop.fs.FsShell";
const FETCHDT: &str = "org.apache.hadoop.hdfs.tools.DelegationTokenFetcher";
const DFS_ADMIN: &str = "org.apache.hadoop.hdfs.tools.DFSAdmin";
const HA_ADMIN: &str = "org.apache.hadoop.hdfs.tools.DFSHAAdmin";

/// A running cluster.
#[derive(Debug)]
pub struct Hdfs {
    nodes: Nodes,
    namenodes: Vec<Mutex<Option<Daemon>>>,
    datanodes: Vec<Mutex<Option<Daemon>>>,
    folder: Folder,
    /// With which its web servers are asked, where they want tickets.
    web_tickets: Option<Vec<(String, String)>>,
}

impl Hdfs {
    /// One NameNode and three DataNodes, for all tests of this program. What a test writes goes into a folder of its own name.
    pub fn shared() -> &'static Hdfs {
        static SHARED: OnceLock<Hdfs> = OnceLock::new();
        SHARED.get_or_init(|| Hdfs::start(3))
    }

    /// One NameNode and so many DataNodes.
    pub fn start(datanodes: usize) -> Hdfs {
        Hdfs::start_at(LOCALHOST, datanodes)
    }

    /// As [`Hdfs::start`], with configuration beside the usual.
    pub fn start_with(datanodes: usize, more: &[(&str, &str)]) -> Hdfs {
        let more = more
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let more: Vec<_> = more.collect();
        let nodes = Nodes::new(LOCALHOST, 1, datanodes);
        let hdfs = Hdfs::prepare_in(Folder::new("moongate-hdfs-"), nodes, &more);
        hdfs.start_all();
        hdfs.wait_until_ready(0);
        hdfs
    }

    /// As [`Hdfs::start`], on another address of this machine.
    pub fn start_at(host: &str, datanodes: usize) -> Hdfs {
        let hdfs = Hdfs::prepare(Nodes::new(host, 1, datanodes));
        hdfs.start_all();
        hdfs.wait_until_ready(0);
        hdfs
    }

    /// One NameNode and one DataNode that take nobody without a ticket of this realm. `more` is configuration beside that.
    pub fn start_kerberos(kdc: &Kdc, more: &[(&str, &str)]) -> Hdfs {
        let folder = Folder::new("moongate-hdfs-");
        let mut settings = kerberos::settings(kdc, folder.path());
        let more = more
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        settings.extend(more);
        let mut hdfs = Hdfs::prepare_in(folder, Nodes::new(LOCALHOST, 1, 1), &settings);
        hdfs.web_tickets = Some(kdc.envs(&kdc.tickets("hdfs")));
        hdfs.start_all();
        hdfs.wait_until_ready(0);
        hdfs
    }

    /// Runs `hdfs dfs` with these arguments and variables: with somebody's tickets.
    pub fn shell_with(&self, envs: &[(String, String)], arguments: &[&str]) -> Output {
        fs_shell(self.folder.path(), envs, arguments)
    }

    /// Two NameNodes under one name, of which the first is active, and so many DataNodes.
    pub fn start_ha(datanodes: usize) -> Hdfs {
        let hdfs = Hdfs::prepare(Nodes::new(LOCALHOST, 2, datanodes));
        hdfs.start_all();
        for namenode in 0..2 {
            wait::until_true("the NameNode answers", READY_LIMIT, || {
                hdfs.state(namenode).is_some()
            });
        }
        hdfs.admin(&["-transitionToActive", "nn1"]);
        hdfs.wait_until_ready(0);
        hdfs
    }

    fn prepare(nodes: Nodes) -> Hdfs {
        Hdfs::prepare_in(Folder::new("moongate-hdfs-"), nodes, &[])
    }

    fn prepare_in(folder: Folder, nodes: Nodes, more: &[(String, String)]) -> Hdfs {
        write(folder.path(), &nodes, more);
        java::format(folder.path(), nodes.namenodes.len());
        let none = |len: usize| (0..len).map(|_| Mutex::new(None)).collect();
        Hdfs {
            namenodes: none(nodes.namenodes.len()),
            datanodes: none(nodes.datanodes.len()),
            nodes,
            folder,
            web_tickets: None,
        }
    }

    fn start_all(&self) {
        (0..self.namenodes.len()).for_each(|n| self.start_namenode(n));
        (0..self.datanodes.len()).for_each(|n| self.start_datanode(n));
    }

    /// `hdfs://localhost:PORT`, or `hdfs://beds` of an HA pair.
    pub fn url(&self) -> String {
        self.nodes.url()
    }

    /// The user who runs the tests, who may do everything.
    pub fn superuser() -> String {
        config::whoami()
    }

    /// `host:port` of the HTTP server of a NameNode: its WebHDFS, its pages.
    pub fn http(&self, namenode: usize) -> String {
        format!(
            "{}:{}",
            self.nodes.host, self.nodes.namenodes[namenode].http
        )
    }

    /// Folder with `core-site.xml` and `hdfs-site.xml`, as `HADOOP_CONF_DIR` wants it.
    pub fn config_dir(&self) -> PathBuf {
        self.folder.path().join("conf")
    }

    /// Runs `hdfs dfs` with these arguments, as the user who runs the tests.
    pub fn shell(&self, arguments: &[&str]) -> Output {
        java::run(self.folder.path(), FS_SHELL, arguments, &[])
    }

    /// As [`Hdfs::shell`], in another user's name.
    pub fn shell_as(&self, user: &str, arguments: &[&str]) -> Output {
        java::run(
            self.folder.path(),
            FS_SHELL,
            arguments,
            &[("HADOOP_USER_NAME", user)],
        )
    }

    /// As [`Hdfs::shell`], which must succeed; its output as text.
    #[track_caller]
    pub fn dfs(&self, arguments: &[&str]) -> String {
        let output = self.shell(arguments);
        assert!(
            output.status.success(),
            "hdfs dfs {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `hdfs dfsadmin` with these arguments, which must succeed.
    #[track_caller]
    pub fn dfsadmin(&self, arguments: &[&str]) {
        let output = java::run(self.folder.path(), DFS_ADMIN, arguments, &[]);
        assert!(
            output.status.success(),
            "hdfs dfsadmin {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Makes the other NameNode of an HA pair the active one.
    pub fn fail_over(&self, from: usize, to: usize) {
        let name = |n: usize| format!("nn{}", n + 1);
        self.admin(&["-failover", &name(from), &name(to)]);
    }

    /// Makes a NameNode active whose peer is gone.
    pub fn make_active(&self, namenode: usize) {
        let name = format!("nn{}", namenode + 1);
        self.admin(&["-transitionToActive", "--forceactive", &name]);
    }

    fn admin(&self, arguments: &[&str]) {
        let output = java::run(self.folder.path(), HA_ADMIN, arguments, &[]);
        assert!(
            output.status.success(),
            "hdfs haadmin {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts a NameNode that was killed; [`Hdfs::wait_until_ready`] waits for it.
    pub fn start_namenode(&self, n: usize) {
        let mut command = java::server(self.folder.path(), NAMENODE);
        if self.namenodes.len() > 1 {
            command.args(["-D", &format!("dfs.ha.namenode.id=nn{}", n + 1)]);
        }
        let log = self.folder.path().join(format!("namenode{n}.log"));
        *self.namenode(n) = Some(Daemon::start(&command, &log));
    }

    /// Starts a DataNode that was killed, on the ports that it had.
    pub fn start_datanode(&self, n: usize) {
        let mut command = java::server(self.folder.path(), DATANODE);
        for (key, value) in self.nodes.datanode_settings(self.folder.path(), n) {
            command.args(["-D", &format!("{key}={value}")]);
        }
        let log = self.folder.path().join(format!("datanode{n}.log"));
        *self.datanode(n) = Some(Daemon::start(&command, &log));
    }

    /// `kill -9` of a NameNode.
    pub fn kill_namenode(&self, n: usize) {
        *self.namenode(n) = None;
    }

    /// `kill -9` of a DataNode.
    pub fn kill_datanode(&self, n: usize) {
        *self.datanode(n) = None;
    }

    /// `SIGSTOP` of a DataNode: its connections stay open, and nothing comes any more.
    pub fn freeze_datanode(&self, n: usize) {
        if let Some(daemon) = self.datanode(n).as_ref() {
            daemon.freeze();
        }
    }

    /// `SIGSTOP` of a NameNode: it takes connections, and answers nothing.
    pub fn freeze_namenode(&self, n: usize) {
        if let Some(daemon) = self.namenode(n).as_ref() {
            daemon.freeze();
        }
    }

    /// Lets go on what is frozen, starts what was killed, and waits until a NameNode has heard of all DataNodes since: what a test that broke
    /// something ends with.
    pub fn mend(&self) {
        for n in 0..self.namenodes.len() {
            if let Some(daemon) = self.namenode(n).as_ref() {
                daemon.thaw();
            }
            if self.namenode(n).is_none() {
                self.start_namenode(n);
            }
        }
        for n in 0..self.datanodes.len() {
            if let Some(daemon) = self.datanode(n).as_ref() {
                daemon.thaw();
            }
            if self.datanode(n).is_none() {
                self.start_datanode(n);
            }
        }
        self.wait_until_heard();
    }

    /// Waits until each block of a file is on so many DataNodes: one may have been slow when the file was written, and then has none of it.
    #[track_caller]
    pub fn wait_until_replicated(&self, path: &str, copies: usize) {
        wait::until_true("every block has its copies", READY_LIMIT, || {
            self.copies(path).is_some_and(|found| found >= copies)
        });
    }

    /// Of the block that has the fewest.
    fn copies(&self, path: &str) -> Option<usize> {
        let user = Hdfs::superuser();
        let target = format!("/webhdfs/v1{path}?op=GETFILEBLOCKLOCATIONS&user.name={user}");
        let answer = self.get(0, &target)?;
        let blocks = answer["BlockLocations"]["BlockLocation"].as_array()?;
        let copies = |block: &Value| block["names"].as_array().map(Vec::len);
        blocks.iter().map(copies).min()?
    }

    /// A DataNode that was killed counts as alive for a while: what tells is when each was last heard of.
    #[track_caller]
    fn wait_until_heard(&self) {
        self.wait_until_ready(0);
        wait::until_true("all DataNodes are heard of", READY_LIMIT, || {
            (0..self.datanodes.len()).all(|n| self.nodes.datanode_listens(n))
                && self.seconds_since_heard().is_some_and(|secs| secs <= 2)
        });
    }

    /// Of the DataNode that was not heard of for the longest.
    fn seconds_since_heard(&self) -> Option<u64> {
        let info = self.bean(0, "NameNodeInfo")?;
        let live: Value = serde_json::from_str(info["LiveNodes"].as_str()?).ok()?;
        let nodes = live.as_object()?;
        let last = nodes.values().map(|node| node["lastContact"].as_u64());
        last.max().flatten()
    }

    /// A NameNode's process.
    pub fn namenode(&self, n: usize) -> MutexGuard<'_, Option<Daemon>> {
        let lock = self.namenodes[n].lock();
        lock.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A DataNode's process.
    pub fn datanode(&self, n: usize) -> MutexGuard<'_, Option<Daemon>> {
        let lock = self.datanodes[n].lock();
        lock.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits until a NameNode is out of safe mode and knows all DataNodes that were configured.
    #[track_caller]
    pub fn wait_until_ready(&self, namenode: usize) {
        let wanted = self.datanodes.len() as u64;
        let deadline = std::time::Instant::now() + READY_LIMIT;
        while !self.is_ready(namenode, wanted) {
            assert!(
                std::time::Instant::now() < deadline,
                "HDFS is not ready after {READY_LIMIT:?}; the NameNode says:\n{}",
                self.namenode(namenode)
                    .as_ref()
                    .map(Daemon::log)
                    .unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self, namenode: usize, datanodes: u64) -> bool {
        self.state(namenode).is_some_and(|state| {
            state["FSState"] == "Operational"
                && state["NumLiveDataNodes"].as_u64() >= Some(datanodes)
        })
    }

    /// What a NameNode says of itself, if it answers.
    fn state(&self, namenode: usize) -> Option<Value> {
        self.bean(namenode, "FSNamesystemState")
    }

    fn bean(&self, namenode: usize, name: &str) -> Option<Value> {
        let target = format!("/jmx?qry=Hadoop:service=NameNode,name={name}");
        self.get(namenode, &target)?["beans"].get(0).cloned()
    }

    /// What a NameNode answers, if it is JSON.
    fn get(&self, namenode: usize, target: &str) -> Option<Value> {
        if let Some(envs) = &self.web_tickets {
            let url = format!("{}{target}", self.http(namenode));
            let mut curl = Command::new("curl");
            curl.args(["-sS", "-f", "-g", "--negotiate", "-u", ":", &url]);
            let said = curl.envs(envs.iter().cloned()).output().ok()?;
            return serde_json::from_slice(&said.stdout).ok();
        }
        let host = self.nodes.host.replace(LOCALHOST, "127.0.0.1");
        let address = format!("{host}:{}", self.nodes.namenodes[namenode].http);
        let answer = send(address.parse().ok()?, &Request::get(target)).ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// The class path of Hadoop's own clients, with this cluster's configuration.
    pub fn class_path(&self) -> String {
        java::class_path(self.folder.path())
    }

    /// Where everything is kept, with the logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Runs `hdfs dfs` where `folder` holds `conf/core-site.xml`, and perhaps `krb5.conf`.
pub fn fs_shell(folder: &Path, envs: &[(String, String)], arguments: &[&str]) -> Output {
    program(folder, FS_SHELL, envs, arguments)
}

/// Runs `hdfs fetchdt` there, which gets, renews and cancels delegation tokens.
pub fn fetchdt(folder: &Path, envs: &[(String, String)], arguments: &[&str]) -> Output {
    program(folder, FETCHDT, envs, arguments)
}

fn program(folder: &Path, class: &str, envs: &[(String, String)], arguments: &[&str]) -> Output {
    let envs: Vec<_> = envs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    java::run(folder, class, arguments, &envs)
}

/// Makes such a folder of a client in this realm.
pub fn client_folder(folder: &Path, kdc: &Kdc) {
    kerberos::client(kdc, folder);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cluster_keeps_what_it_is_given_while_a_datanode_is_gone() {
        let hdfs = Hdfs::start(2);
        let file = hdfs.folder().join("file");
        std::fs::write(&file, b"some bytes").unwrap();
        hdfs.dfs(&["-put", file.to_str().unwrap(), "/file"]);
        hdfs.kill_datanode(0);
        assert_eq!(hdfs.dfs(&["-cat", "/file"]), "some bytes");
        hdfs.mend();
        hdfs.kill_datanode(1);
        assert_eq!(hdfs.dfs(&["-cat", "/file"]), "some bytes");
    }

    #[test]
    fn a_pair_of_namenodes_fails_over() {
        let hdfs = Hdfs::start_ha(1);
        hdfs.dfs(&["-mkdir", "/before"]);
        hdfs.fail_over(0, 1);
        assert!(hdfs.dfs(&["-ls", "/"]).contains("/before"));
    }
}
