//! An S3 server of another make: versitygw over a folder, which `scripts/versitygw.sh` builds.
//!
//! ```no_run
//! use moongate_tests::beds::s3::S3;
//!
//! let s3 = S3::shared();                 // one for all tests of a program
//! s3.endpoint();                         // http://127.0.0.1:PORT, path style
//! S3::BUCKET;                            // there is one bucket
//! (S3::ACCESS_KEY, S3::SECRET_KEY);
//! s3.folder().join(S3::BUCKET);          // objects are files in it: what a test finds out behind the server's back
//! ```

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::daemon::Daemon;
use super::folder::Folder;
use super::ports;
use crate::wait;

const READY_LIMIT: Duration = Duration::from_secs(30);
/// As in `scripts/versitygw.sh`.
const VERSION: &str = "1.8.0";

/// A running server.
#[derive(Debug)]
pub struct S3 {
    port: u16,
    server: Mutex<Daemon>,
    folder: Folder,
}

impl S3 {
    /// The bucket that is there.
    pub const BUCKET: &str = "bucket";
    /// Of the one who may do everything.
    pub const ACCESS_KEY: &str = "moongate";
    /// Its secret.
    pub const SECRET_KEY: &str = "moongate-secret";
    /// Requests are to be signed for it.
    pub const REGION: &str = "us-east-1";

    /// One for all tests of this program. What a test writes goes below a name of its own.
    pub fn shared() -> &'static S3 {
        static SHARED: OnceLock<S3> = OnceLock::new();
        SHARED.get_or_init(S3::start)
    }

    /// One of a test's own.
    pub fn start() -> S3 {
        let folder = Folder::new("moongate-s3-");
        let (port, data) = (ports::free(), folder.path().join("data"));
        std::fs::create_dir_all(data.join(S3::BUCKET)).expect("an own folder");
        std::fs::create_dir_all(folder.path().join("meta")).expect("an own folder");
        let server = Mutex::new(start(folder.path(), port));
        let s3 = S3 {
            port,
            server,
            folder,
        };
        s3.wait_until_ready();
        s3
    }

    /// `http://127.0.0.1:PORT`; buckets are in the path.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where buckets are folders.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process, to be killed, frozen and thawed.
    pub fn server(&self) -> MutexGuard<'_, Daemon> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one again that was killed, on the same port.
    pub fn restart(&self) {
        let mut server = self.server();
        server.kill();
        *server = start(self.folder.path(), self.port);
        drop(server);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        wait::until_true("the S3 server listens", READY_LIMIT, || {
            assert!(self.server().is_running(), "{}", self.server().log());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }
}

fn start(folder: &Path, port: u16) -> Daemon {
    let mut command = Command::new(program());
    command.args(["--port", &format!("127.0.0.1:{port}")]);
    command.args(["--access", S3::ACCESS_KEY, "--secret", S3::SECRET_KEY]);
    command.args(["--region", S3::REGION, "--quiet", "posix"]);
    // Beside the files: not every file system takes attributes.
    command.arg("--sidecar").arg(folder.join("meta"));
    command.arg(folder.join("data"));
    Daemon::start(&command, &folder.join("versitygw.log"))
}

fn program() -> PathBuf {
    let program = super::cache().join(format!("versitygw-{VERSION}/versitygw"));
    assert!(
        program.is_file(),
        "{} is missing: run scripts/versitygw.sh",
        program.display()
    );
    program
}

#[cfg(test)]
mod tests {
    use super::S3;
    use crate::http::{Request, send};

    #[test]
    fn a_server_answers_and_comes_back() {
        let s3 = S3::start();
        let address = s3.endpoint().replace("http://", "");
        let address = address.parse().expect("an address");
        let unsigned = || send(address, &Request::get("/bucket/key"));
        assert_eq!(unsigned().expect("it answers").status, 403);
        s3.restart();
        assert_eq!(unsigned().expect("it answers again").status, 403);
    }
}
