//! A server as a child process: its output in a file, killed, stopped and continued by signals, gone with the test program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// A stop takes as long as the busiest system call.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

type Start = (Command, Sender<std::io::Result<Child>>);

/// Children are started by one thread that never ends: `setpriv --pdeathsig` ends them with the thread that started them, and a test's own
/// thread ends with the test.
fn spawner() -> &'static Mutex<Sender<Start>> {
    static SPAWNER: OnceLock<Mutex<Sender<Start>>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (sender, starts) = channel::<Start>();
        std::thread::spawn(move || {
            for (mut command, reply) in starts {
                // Nobody waits any more: then the child is dropped, and ends with this program.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    })
}

impl Daemon {
    /// Starts a program with these arguments; what it says goes to `log`.
    pub fn start(command: &Command, log: &Path) -> Daemon {
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "KILL", "--"]);
        guarded.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(name, value),
                None => guarded.env_remove(name),
            };
        }
        let out = File::options().create(true).append(true).open(log);
        let out = out.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let err = out.try_clone().expect("a file can be duplicated");
        guarded.stdin(Stdio::null()).stdout(out).stderr(err);
        let (reply, started) = channel();
        let sender = spawner().lock().expect("no panic while it is held");
        sender
            .send((guarded, reply))
            .expect("the spawner never ends");
        drop(sender);
        let child = started.recv().expect("the spawner answers");
        Daemon {
            child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")),
            log: log.to_owned(),
        }
    }

    /// What it has said so far; its end, if that is long.
    pub fn log(&self) -> String {
        const SHOWN: usize = 6000;
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(SHOWN)..]).into_owned()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// `SIGSTOP`: it lives, and answers nothing. Returns when it has stopped.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        wait::until_true("all its threads have stopped", STOP_LIMIT, || {
            self.has_stopped()
        });
    }

    /// Each thread by itself: the signal goes to one of them, which tells the others.
    fn has_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        threads.into_iter().flatten().flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state stands after the name, which is in brackets and may hold anything.
            stat.rsplit_once(") ")
                .is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// `SIGCONT`.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("an own child can be signalled");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
