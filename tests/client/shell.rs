//! The program as a script runs it, and folders to carry.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use moongate_tests::{Gateway, gateway, payload};
use tempfile::TempDir;

/// A gateway with a file port, and a folder to work in.
pub struct Shell {
    pub gateway: Gateway,
    pub folder: TempDir,
    /// HOST:PORT; stays the same when the gateway is started again.
    pub server: String,
}

impl Shell {
    pub fn new() -> Self {
        // A port of its own: what is killed must come back where it was.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = free.local_addr().unwrap().to_string();
        drop(free);
        Shell {
            gateway: Gateway::fresh(&format!("[file]\nlisten = '{server}'")),
            folder: TempDir::with_prefix("moongate-client-").unwrap(),
            server,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(gateway::binary());
        command.args(arguments).env("MOONGATE_URL", &self.server);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it, and expects this exit code; gives standard output.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            told(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it with these bytes on standard input.
    pub fn feed(&self, arguments: &[&str], bytes: &[u8]) -> Output {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended with an error before it has read all.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        child.wait_with_output().unwrap()
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Totals of a command with `--json`.
    #[track_caller]
    pub fn totals(&self, arguments: &[&str]) -> serde_json::Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let output = self.expect(0, &arguments);
        serde_json::from_str(output.lines().last().unwrap()).unwrap()
    }

    /// Writes `count` small files with folders, long and odd names, and two large ones.
    pub fn make(&self, name: &str, count: usize) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for n in 0..count {
            let len_bytes = n * 7919 % 3000;
            files.insert(
                format!("s{}/{n:05}.jpg", n % 11),
                payload::bytes(n as u64, len_bytes),
            );
        }
        files.insert("odd/ä b%20#?&+.bin".to_owned(), b"odd".to_vec());
        files.insert(format!("{0}/{0}", "l".repeat(200)), b"long".to_vec());
        for n in 0..2 {
            files.insert(format!("large{n}"), payload::bytes(n, 9 << 20));
        }
        for (file, data) in &files {
            let path = self.path(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, data).unwrap();
        }
        files
    }
}

pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All files below a folder here, by name.
pub fn read_tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}
