//! One process of the driver inside the bed, to be killed for real.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use moongate_tests::beds::gluster::Gluster;
use moongate_tests::wait;
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::{Channel, Endpoint};

use crate::driver::binary;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A role of `moongate-csi`. Dropped, it is killed.
pub struct Process {
    entered: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a role on a node, or with 0 where the clients are.
    pub fn start(gluster: &Gluster, node: usize, role: &str, endpoint: &str, config: &str) -> Self {
        let name = format!("{role}-{node}-{}", endpoint.replace(['/', ':'], "-"));
        let (file, log) = (
            gluster.path().join(format!("{name}.toml")),
            gluster.path().join(format!("{name}.log")),
        );
        fs::write(&file, config).unwrap();
        let out = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut command = gluster.command(node, binary().to_str().unwrap());
        command
            .args([role, "--endpoint", endpoint, "--config"])
            .arg(&file)
            .stdout(out.try_clone().unwrap())
            .stderr(Stdio::from(out));
        let entered = command.spawn().unwrap();
        Self { entered, log }
    }

    /// As [`Process::start`], on a socket file; it listens when this returns.
    pub fn listening(gluster: &Gluster, role: &str, socket: &Path, config: &str) -> Self {
        let _ = fs::remove_file(socket);
        let endpoint = format!("unix://{}", socket.display());
        let process = Self::start(gluster, 0, role, &endpoint, config);
        wait::until_true("it listens", START_LIMIT, || socket.exists());
        process
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`, and waits for its end.
    pub fn kill(&mut self) {
        self.strike();
        let _ = self.entered.wait();
    }

    /// `kill -9`: of the process itself, which the one that entered the namespace waits for.
    pub fn strike(&self) {
        let entered = self.entered.id();
        let children = fs::read_to_string(format!("/proc/{entered}/task/{entered}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            let pid = Pid::from_raw(child.parse().unwrap()).unwrap();
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A channel to a socket file, connected when it is first used.
pub fn channel(socket: &Path) -> Channel {
    let address = format!("unix://{}", socket.display());
    Endpoint::from_shared(address).unwrap().connect_lazy()
}

/// Asks until the answer is yes.
pub async fn until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + limit;
    while !condition().await {
        assert!(
            std::time::Instant::now() < deadline,
            "waited {limit:?} in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
