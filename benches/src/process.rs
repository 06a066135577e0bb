//! A server as a child process: started, waited for, measured, stopped or killed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may drain after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(120);

/// Where to send load, and whose CPU time it costs.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Address of the HTTP port.
    pub addr: SocketAddr,
    /// The process behind it.
    pub pid: u32,
}

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
    target: Target,
    file_addr: Option<SocketAddr>,
    admin_addr: Option<SocketAddr>,
    hdfs_addr: Option<SocketAddr>,
    started_in: Duration,
    log: PathBuf,
}

impl Server {
    /// Starts `moongate serve` on free loopback ports over `data` and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, or is not ready within `patience`; the end of its log is part of the error.
    pub fn moongate(bin: &Path, data: &Path, log: &Path, patience: Duration) -> Result<Self> {
        Self::moongate_with(bin, data, None, log, patience)
    }

    /// As [`Server::moongate`], with a config file.
    ///
    /// # Errors
    /// As [`Server::moongate`].
    pub fn moongate_with(
        bin: &Path,
        data: &Path,
        config: Option<&Path>,
        log: &Path,
        patience: Duration,
    ) -> Result<Self> {
        Self::moongate_in(bin, data, config, &[], log, patience)
    }

    /// As [`Server::moongate_with`], with more in its environment.
    ///
    /// # Errors
    /// As [`Server::moongate`].
    pub fn moongate_in(
        bin: &Path,
        data: &Path,
        config: Option<&Path>,
        envs: &[(String, String)],
        log: &Path,
        patience: Duration,
    ) -> Result<Self> {
        let mut command = Command::new(bin);
        command.envs(envs.iter().cloned());
        command.arg("serve").arg("--data").arg(data);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        command.args([
            "--image-listen",
            "127.0.0.1:0",
            "--file-listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        Self::start(command, log, patience)
    }

    /// Starts the bare hyper server of this program.
    ///
    /// # Errors
    /// As [`Server::moongate`].
    pub fn floor_http(log: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor-http");
        Self::start(command, log, Duration::from_secs(10))
    }

    fn start(mut command: Command, log: &Path, patience: Duration) -> Result<Self> {
        let stderr = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let begun = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let ready = read_ready(&mut child, patience);
        let started_in = begun.elapsed();
        match ready {
            Ok(ready) => {
                let target = Target {
                    addr: ready.image,
                    pid: child.id(),
                };
                Ok(Self {
                    child,
                    target,
                    file_addr: ready.file,
                    admin_addr: ready.admin,
                    hdfs_addr: ready.hdfs,
                    started_in,
                    log: log.to_owned(),
                })
            }
            Err(reason) => {
                // It may have exited by itself already.
                let _ = child.kill();
                let _ = child.wait();
                Err(reason.context(format!(
                    "{command:?} did not start; its log ends:\n{}",
                    tail(log)
                )))
            }
        }
    }

    /// Where it listens and which process it is.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The file port of the same process.
    ///
    /// # Errors
    /// When it has none.
    pub fn file_target(&self) -> Result<Target> {
        let addr = self.file_addr.context("the server has no file port")?;
        Ok(Target {
            addr,
            ..self.target
        })
    }

    /// The admin port of the same process.
    ///
    /// # Errors
    /// When it has none.
    pub fn admin_addr(&self) -> Result<SocketAddr> {
        self.admin_addr.context("the server has no admin port")
    }

    /// `hdfs://` of the same process.
    ///
    /// # Errors
    /// When it is off.
    pub fn hdfs_url(&self) -> Result<String> {
        let addr = self.hdfs_addr.context("the server has no port of calls")?;
        Ok(format!("hdfs://{addr}"))
    }

    /// From the start of the process to its ready line.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Sends SIGTERM, waits for the drained server to exit with 0, and says how long that took.
    ///
    /// # Errors
    /// When it exits otherwise or not in time.
    pub fn stop(mut self) -> Result<Duration> {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = wait_until(&mut self.child, begun + STOP_PATIENCE)?;
        if !status.success() {
            bail!(
                "the server answered SIGTERM with {status}; its log ends:\n{}",
                tail(&self.log)
            );
        }
        Ok(begun.elapsed())
    }

    /// Kills it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the ready line on a thread of its own, which then empties the pipe so that the server never blocks on it.
fn read_ready(child: &mut Child, patience: Duration) -> Result<Ready> {
    let stdout = child.stdout.take().context("stdout is not a pipe")?;
    let (line_out, line_in) = mpsc::channel();
    thread::spawn(move || forward_first_line(stdout, &line_out));
    match line_in.recv_timeout(patience) {
        Ok(line) => parse_ready(&line),
        Err(mpsc::RecvTimeoutError::Timeout) => bail!("not ready after {patience:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => bail!("exited before it was ready"),
    }
}

fn forward_first_line(stdout: ChildStdout, line_out: &mpsc::Sender<String>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    if stdout.read_line(&mut line).is_ok_and(|len| len > 0) {
        // The receiver is gone when its patience has ended.
        let _ = line_out.send(line);
    }
    let _ = std::io::copy(&mut stdout, &mut std::io::sink());
}

/// What the ready line says.
#[derive(Debug, PartialEq)]
struct Ready {
    image: SocketAddr,
    /// The floors have none.
    file: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    /// Of calls, where it is on.
    hdfs: Option<SocketAddr>,
}

/// `{"ready":true,"image":"127.0.0.1:9333","file":"127.0.0.1:8888",...}` gives the ports' addresses.
fn parse_ready(line: &str) -> Result<Ready> {
    let ready: serde_json::Value =
        serde_json::from_str(line).with_context(|| format!("ready line {line:?}"))?;
    if ready["ready"] != true {
        bail!("the first line on stdout does not say ready: {line:?}");
    }
    let addr = ready["image"]
        .as_str()
        .with_context(|| format!("no image address in {line:?}"))?;
    let image = addr
        .parse()
        .with_context(|| format!("image address {addr:?}"))?;
    let other = |name: &str| ready[name].as_str().and_then(|addr| addr.parse().ok());
    Ok(Ready {
        image,
        file: other("file"),
        admin: other("admin"),
        hdfs: other("hdfs"),
    })
}

fn wait_until(child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            bail!("still running {STOP_PATIENCE:?} after SIGTERM");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The last lines of a log, for an error message.
fn tail(log: &Path) -> String {
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(log) {
        let _ = file.read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_ready_line_names_the_ports() {
        let line = "{\"ready\":true,\"image\":\"127.0.0.1:9333\",\"file\":\"127.0.0.1:8888\"}\n";
        let ready = parse_ready(line).unwrap();
        assert_eq!(ready.image, "127.0.0.1:9333".parse().unwrap());
        assert_eq!(ready.file, "127.0.0.1:8888".parse().ok());
        let floor = parse_ready("{\"ready\":true,\"image\":\"127.0.0.1:9333\"}").unwrap();
        assert_eq!(floor.file, None);
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "hello",
            "{}",
            "{\"ready\":false,\"image\":\"127.0.0.1:1\"}",
            "{\"ready\":true}",
        ] {
            assert!(parse_ready(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_server_that_exits_at_once_is_an_error_with_its_log() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo the reason >&2"]);
        let error = Server::start(command, log.path(), Duration::from_secs(10))
            .err()
            .unwrap();
        assert!(format!("{error:#}").contains("the reason"), "{error:#}");
    }

    #[test]
    fn stop_wants_a_clean_exit() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let ready = "echo '{\"ready\":true,\"image\":\"127.0.0.1:1\"}'";
        for (on_term, clean) in [("exit 0", true), ("exit 3", false)] {
            let mut command = Command::new("sh");
            command.args([
                "-c",
                &format!("trap '{on_term}' TERM; {ready}; while :; do sleep 0.01; done"),
            ]);
            let server = Server::start(command, log.path(), Duration::from_secs(10)).unwrap();
            assert_eq!(server.stop().is_ok(), clean, "{on_term}");
        }
    }
}
