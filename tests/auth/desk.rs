//! A gateway in a realm, and curl in somebody's name.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use moongate_tests::beds::kdc::Kdc;
use moongate_tests::{Gateway, Request, Response, http};
use tempfile::TempDir;

/// The realm of all tests that do it no harm, with alice, bob, and hue, who may act for others.
pub fn realm() -> &'static Kdc {
    static REALM: OnceLock<Kdc> = OnceLock::new();
    REALM.get_or_init(|| {
        let kdc = Kdc::start();
        for principal in [
            "alice",
            "bob",
            "hue",
            "HTTP/localhost",
            "HTTP/gateway.test",
            "HTTP/foreign.test",
            "nn/localhost",
            "gate/localhost",
        ] {
            kdc.add(principal);
        }
        kdc.keytab("gateway", &["HTTP/localhost", "HTTP/gateway.test"]);
        kdc.keytab("calls", &["HTTP/localhost", "nn/localhost"]);
        kdc
    })
}

/// A gateway that takes tickets, with a folder mounted at `/m`.
pub struct Desk<'k> {
    pub kdc: &'k Kdc,
    pub gateway: Gateway,
    pub folder: TempDir,
}

/// Says that `user.name=` is believed as well.
pub const SIMPLE: &str = "# simple";

impl Desk<'static> {
    pub fn open() -> Desk<'static> {
        Desk::with("")
    }

    /// With more TOML.
    pub fn with(more: &str) -> Desk<'static> {
        let kdc = realm();
        Desk::of(kdc, &kdc.path("gateway.keytab"), more)
    }
}

impl<'k> Desk<'k> {
    pub fn of(kdc: &'k Kdc, keytab: &Path, more: &str) -> Desk<'k> {
        let folder = TempDir::with_prefix("moongate-mounted-").unwrap();
        let config = format!(
            "auth.methods = ['kerberos'{}]\nauth.kerberos.keytab = '{}'\n\
             auth.proxy_user.hue = {{ users = ['alice'], hosts = ['127.0.0.0/8', '::1'] }}\n{more}\n\
             [[mount]]\npath = '/m'\nstore = 'file://{}'\n",
            if more == SIMPLE { ", 'simple'" } else { "" },
            keytab.display(),
            folder.path().display()
        );
        let gateway = Gateway::try_fresh_with(&config, kdc.settings());
        Desk {
            kdc,
            gateway: gateway.unwrap_or_else(|refusal| panic!("{}", refusal.stderr)),
            folder,
        }
    }

    /// `http://localhost:PORT/webhdfs/v1…`
    pub fn url(&self, rest: &str) -> String {
        format!(
            "http://localhost:{}/webhdfs/v1{rest}",
            self.gateway.file().port()
        )
    }

    /// curl with these tickets.
    pub fn curl(&self, tickets: &Path, arguments: &[&str]) -> Said {
        said(
            curl(&self.kdc.envs(tickets))
                .args(arguments)
                .output()
                .unwrap(),
        )
    }

    /// curl with tickets, by SPNEGO.
    pub fn negotiate(&self, user: &str, arguments: &[&str]) -> Said {
        let tickets = self.kdc.tickets(user);
        self.curl(&tickets, &[&["--negotiate", "-u", ":"], arguments].concat())
    }

    /// The token that curl sends for this user, which it sends first.
    pub fn used_token(&self, user: &str) -> String {
        let said = self.negotiate(user, &["-v", &self.url("/?op=GETHOMEDIRECTORY")]);
        assert_eq!(said.status, 200, "{said:?}");
        let line = said
            .notes
            .lines()
            .find_map(|line| line.strip_prefix("> Authorization: "));
        line.expect("curl shows what it sends").trim().to_owned()
    }

    /// The cookie that this user is given, as it is sent back.
    pub fn cookie(&self, user: &str) -> String {
        let said = self.negotiate(user, &["-i", &self.url("/?op=GETHOMEDIRECTORY")]);
        let line = said
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("Set-Cookie: "));
        let cookie = line
            .map(|line| line.split(';').next().unwrap())
            .find(|cookie| cookie.len() > 40);
        cookie.unwrap_or_else(|| panic!("{said:?}")).to_owned()
    }

    /// A plain request to the file port.
    pub fn ask(&self, request: &Request) -> Response {
        http::send(self.gateway.file(), request).unwrap()
    }
}

fn curl(envs: &[(String, String)]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "-w", "\n%{http_code}"]);
    command.envs(envs.iter().cloned());
    command
}

/// How curl ended.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub body: String,
    pub notes: String,
}

fn said(output: Output) -> Said {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    Said {
        status: status.trim().parse().unwrap_or(0),
        body: body.to_owned(),
        notes: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
