//! A real directory server: OpenLDAP's `slapd`, with entries of a test's own.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::daemon::Daemon;
use super::folder::Folder;
use super::ports;
use crate::wait;

const READY_LIMIT: Duration = Duration::from_secs(30);
/// Debian keeps the server's programs there, where not everybody looks.
const SERVERS: &str = "/usr/sbin";

/// A running server. Everybody may read; who binds is `cn=admin,dc=moon,dc=test`.
#[derive(Debug)]
pub struct Ldap {
    port: u16,
    server: Mutex<Daemon>,
    folder: Folder,
}

impl Ldap {
    /// Who may bind.
    pub const ADMIN: &str = "cn=admin,dc=moon,dc=test";
    /// With this password.
    pub const PASSWORD: &str = "moon-secret";

    /// A server with these entries (LDIF) below `dc=moon,dc=test`.
    pub fn start(entries: &str) -> Ldap {
        let folder = Folder::new("moongate-ldap-");
        std::fs::create_dir(folder.path().join("db")).expect("an own folder");
        std::fs::write(folder.path().join("slapd.conf"), settings(folder.path()))
            .expect("an own file");
        let ldif = format!("{ROOT}\n{entries}");
        std::fs::write(folder.path().join("entries.ldif"), ldif).expect("an own file");
        let added = Command::new(format!("{SERVERS}/slapadd"))
            .arg("-f")
            .arg(folder.path().join("slapd.conf"))
            .arg("-l")
            .arg(folder.path().join("entries.ldif"))
            .output()
            .expect("slapadd is there: scripts/install.sh slapd");
        assert!(
            added.status.success(),
            "{}",
            String::from_utf8_lossy(&added.stderr)
        );
        let port = ports::free();
        let server = Mutex::new(run(folder.path(), port));
        let ldap = Ldap {
            port,
            server,
            folder,
        };
        ldap.wait_until_ready();
        ldap
    }

    /// `ldap://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Its process, to be killed, frozen and thawed.
    pub fn server(&self) -> MutexGuard<'_, Daemon> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it again, after it was killed.
    pub fn restart(&self) {
        *self.server() = run(self.folder.path(), self.port);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        wait::until_true("the directory server listens", READY_LIMIT, || {
            assert!(self.server().is_running(), "{}", self.server().log());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }
}

const ROOT: &str = "\
dn: dc=moon,dc=test
objectClass: top
objectClass: dcObject
objectClass: organization
o: Moon
dc: moon
";

fn settings(folder: &Path) -> String {
    let at = folder.display();
    let (admin, password) = (Ldap::ADMIN, Ldap::PASSWORD);
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {at}/slapd.pid
argsfile {at}/slapd.args
database mdb
maxsize 10485760
suffix dc=moon,dc=test
rootdn {admin}
rootpw {password}
directory {at}/db
access to * by * read
"
    )
}

fn run(folder: &Path, port: u16) -> Daemon {
    let mut command = Command::new(format!("{SERVERS}/slapd"));
    // In the foreground, saying nothing.
    command.args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port}/")]);
    command.arg("-f").arg(folder.join("slapd.conf"));
    Daemon::start(&command, &folder.join("slapd.log"))
}
