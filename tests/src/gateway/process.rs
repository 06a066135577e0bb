//! A child process that becomes ready, or says why it did not.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{STOP_LIMIT, binary};
use crate::wait;

/// A start on a small folder that takes longer than this has failed.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// What a process that did not become ready left behind.
#[derive(Debug)]
pub struct Refusal {
    /// How it ended; `None` when it neither became ready nor ended and was killed.
    pub status: Option<ExitStatus>,
    /// Its log.
    pub stderr: String,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) image: SocketAddr,
    pub(super) file: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) ready_line: Value,
    pub(super) stderr: Captured,
}

type Captured = Arc<Mutex<Vec<u8>>>;

impl Process {
    pub(super) fn start(
        arguments: &[OsString],
        envs: &[(String, String)],
    ) -> Result<Process, Refusal> {
        let mut child = Command::new(binary())
            .args(arguments)
            .envs(envs.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be executed");
        let stderr = capture(child.stderr.take().expect("piped"));
        let first_line = first_line(child.stdout.take().expect("piped"));
        match first_line.recv_timeout(READY_LIMIT) {
            Ok(line) if !line.is_empty() => Ok(Process::ready(child, &line, stderr)),
            Ok(_) => Err(Refusal::of(child, &stderr)),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Refusal {
                    status: None,
                    stderr: text(&stderr),
                })
            }
        }
    }

    fn ready(child: Child, line: &str, stderr: Captured) -> Process {
        let ready_line: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("the ready line is not JSON: {error}: {line:?}"));
        assert_eq!(
            ready_line["ready"], true,
            "the ready line should say so: {line}"
        );
        let address = |name: &str| -> SocketAddr {
            let text = ready_line[name]
                .as_str()
                .unwrap_or_else(|| panic!("no {name} address in {line}"));
            text.parse()
                .unwrap_or_else(|error| panic!("{name} address {text:?}: {error}"))
        };
        Process {
            image: address("image"),
            file: address("file"),
            admin: address("admin"),
            child,
            ready_line,
            stderr,
        }
    }

    pub(super) fn log(&self) -> String {
        text(&self.stderr)
    }
}

impl Refusal {
    fn of(mut child: Child, stderr: &Captured) -> Refusal {
        let status = child.wait().expect("a child can be waited for");
        // The other end of the pipe is closed now: only the capturing thread has to catch up.
        let captured = stderr.clone();
        wait::until_true("the log is read", STOP_LIMIT, || {
            Arc::strong_count(&captured) == 2
        });
        Refusal {
            status: Some(status),
            stderr: text(stderr),
        }
    }
}

/// Collects a stream in the background; the thread lets go of its handle when the stream ends.
fn capture(mut stream: impl Read + Send + 'static) -> Captured {
    let captured = Captured::default();
    let writer = captured.clone();
    std::thread::spawn(move || {
        let mut chunk = [0; 8 << 10];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&chunk[..read]);
        }
    });
    captured
}

/// Sends the first line (empty when the stream ended without one), then drains the rest.
fn first_line(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let _ = sender.send(line);
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    receiver
}

fn text(captured: &Captured) -> String {
    String::from_utf8_lossy(&captured.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
