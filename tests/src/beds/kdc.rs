//! A real key distribution center: MIT's `krb5kdc`, with a realm, a database and a port of its own.
//!
//! ```no_run
//! use moongate_tests::beds::kdc::Kdc;
//!
//! let kdc = Kdc::start();
//! kdc.add("alice");
//! let keytab = kdc.keytab("gateway", &["HTTP/localhost"]);
//! let tickets = kdc.tickets("alice");                 // a cache for KRB5CCNAME
//! std::process::Command::new("klist").envs(kdc.envs(&tickets));
//! kdc.freeze();                                       // SIGSTOP
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::daemon::Daemon;
use super::folder::Folder;
use super::ports;
use crate::wait;

/// The realm of every bed.
pub const REALM: &str = "MOON.TEST";
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Debian keeps the server's programs there, where not everybody looks.
const SERVERS: &str = "/usr/sbin";

/// A running KDC. Its principals have random keys.
#[derive(Debug)]
pub struct Kdc {
    port: u16,
    server: Mutex<Option<Daemon>>,
    folder: Folder,
}

impl Kdc {
    /// A realm without users.
    pub fn start() -> Kdc {
        let kdc = Kdc {
            port: ports::free(),
            server: Mutex::new(None),
            folder: Folder::new("moongate-kdc-"),
        };
        kdc.write_settings();
        kdc.must(
            "kdb5_util",
            &["-r", REALM, "-P", "master", "create", "-s"],
            "",
        );
        kdc.restart();
        kdc
    }

    /// Starts the server again, after [`Kdc::kill`].
    pub fn restart(&self) {
        let mut command = Command::new(format!("{SERVERS}/krb5kdc"));
        command.args(["-n", "-r", REALM]).envs(self.settings());
        *self.lock() = Some(Daemon::start(&command, &self.path("krb5kdc.out")));
        wait::until_true("the KDC listens", READY_LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// `kill -9`
    pub fn kill(&self) {
        *self.lock() = None;
    }

    /// `SIGSTOP`: it takes connections, and answers nothing.
    pub fn freeze(&self) {
        self.lock().as_ref().expect("a running KDC").freeze();
    }

    /// `SIGCONT`
    pub fn thaw(&self) {
        self.lock().as_ref().expect("a running KDC").thaw();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a principal of the realm: `alice`, `HTTP/localhost`.
    #[track_caller]
    pub fn add(&self, principal: &str) {
        self.admin(&format!("addprinc -randkey {principal}"));
    }

    /// As [`Kdc::add`], whose tickets live so many seconds at most.
    #[track_caller]
    pub fn add_short_lived(&self, principal: &str, secs: u32) {
        self.admin(&format!(
            "addprinc -randkey -maxlife \"{secs} seconds\" {principal}"
        ));
    }

    /// Makes a new key, which no keytab has yet.
    #[track_caller]
    pub fn change_key(&self, principal: &str) {
        self.admin(&format!("cpw -randkey -keepold {principal}"));
    }

    /// Adds the keys as they are to a keytab of this name.
    #[track_caller]
    pub fn keytab(&self, name: &str, principals: &[&str]) -> PathBuf {
        let path = self.path(&format!("{name}.keytab"));
        for principal in principals {
            self.admin(&format!(
                "ktadd -norandkey -k {} {principal}",
                path.display()
            ));
        }
        path
    }

    /// A cache with a ticket of this user.
    #[track_caller]
    pub fn tickets(&self, user: &str) -> PathBuf {
        let name = user.replace('/', "-");
        let keytab = self.path(&format!("{name}.user.keytab"));
        if !keytab.exists() {
            self.keytab(&format!("{name}.user"), &[user]);
        }
        let cache = self.path(&format!("{name}.{}.cache", ports::free()));
        let keytab = keytab.display().to_string();
        let to = format!("FILE:{}", cache.display());
        self.must("kinit", &["-c", &to, "-k", "-t", &keytab, user], "");
        cache
    }

    /// What a program needs in its environment to be in this realm, with these tickets.
    pub fn envs(&self, cache: &Path) -> Vec<(String, String)> {
        let mut envs = self.settings();
        envs.push(("KRB5CCNAME".into(), format!("FILE:{}", cache.display())));
        envs
    }

    /// As [`Kdc::envs`], without any tickets.
    pub fn settings(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        vec![
            ("KRB5_CONFIG".into(), path("krb5.conf")),
            ("KRB5_KDC_PROFILE".into(), path("kdc.conf")),
            ("KRB5RCACHEDIR".into(), path("")),
            ("KRB5CCNAME".into(), format!("FILE:{}", path("none.cache"))),
        ]
    }

    /// `krb5.conf`
    pub fn config(&self) -> PathBuf {
        self.path("krb5.conf")
    }

    /// A path in the bed's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn admin(&self, query: &str) {
        let output = self.run("kadmin.local", &["-r", REALM, "-q", query]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let done = output.status.success()
            && !said.contains("kadmin.local:")
            && !said.contains("add_principal:");
        assert!(done, "kadmin.local {query}: {said}");
    }

    #[track_caller]
    fn must(&self, program: &str, arguments: &[&str], _: &str) {
        let output = self.run(program, arguments);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let in_servers = Path::new(SERVERS).join(program);
        let program = if in_servers.exists() {
            in_servers
        } else {
            program.into()
        };
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .envs(self.settings())
            .stdin(Stdio::null());
        command.output().unwrap_or_else(|error| {
            panic!(
                "{}: {error}: scripts/install.sh krb5-kdc krb5-admin-server krb5-user installs what is missing",
                program.display()
            )
        })
    }

    fn write_settings(&self) {
        let port = self.port;
        let folder = self.folder.path().display();
        let client = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
             dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n kdc_timesync = 0\n forwardable = true\n \
             [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {REALM}\n \
             gateway.test = {REALM}\n foreign.test = {REALM}\n"
        );
        let server = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n {REALM} = {{\n  \
             database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n  max_life = 24h\n  max_renewable_life = 7d\n  \
             supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal\n }}\n[logging]\n \
             kdc = FILE:{folder}/krb5kdc.log\n"
        );
        std::fs::write(self.path("krb5.conf"), client).expect("an own folder");
        std::fs::write(self.path("kdc.conf"), server).expect("an own folder");
    }
}
