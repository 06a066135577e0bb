//! What one login with a Kerberos ticket costs the gateway: connections and requests by curl with a ticket, less the same with the cookie.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use moongate_tests::beds::kdc::Kdc;

use crate::bench::{Bench, progress};
use crate::figures::{Section, Verdict};
use crate::process::Server;
use crate::procfs;

/// The most that a login may cost, in microseconds of CPU.
const LIMIT_US: f64 = 300.0;
/// Debian keeps the KDC's programs there.
const KDC: &str = "/usr/sbin/krb5kdc";

/// Measures, and adds to the section; where there is no KDC, says how to get one.
pub fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    if !Path::new(KDC).is_file() {
        progress(&format!(
            "{KDC} is not there: what a login costs is not measured (scripts/test.sh installs krb5-kdc)"
        ));
        return Ok(());
    }
    let kdc = Kdc::start();
    for principal in ["alice", "HTTP/localhost"] {
        kdc.add(principal);
    }
    let keytab = kdc.keytab("gateway", &["HTTP/localhost"]);
    let config = bench.path("kerberos.toml");
    let text = format!(
        "auth.methods = ['kerberos']\nauth.kerberos.keytab = '{}'\n",
        keytab.display()
    );
    std::fs::write(&config, text)?;
    let server = bench.serve_in(&bench.folder("kerberos")?, &config, &kdc.settings())?;
    let tickets = kdc.tickets("alice");
    let caller = Caller {
        url: format!(
            "http://localhost:{}/webhdfs/v1/?op=GETHOMEDIRECTORY",
            server.file_target()?.addr.port()
        ),
        envs: kdc.envs(&tickets),
        logins: if bench.quick { 20 } else { 200 },
    };
    let cookie = caller.cookie()?;
    let ticket = ["--negotiate", "-u", ":"];
    let cookie = ["-H", &format!("Cookie: {cookie}")];
    let mut rounds = Vec::new();
    for _ in 0..bench.rounds {
        let by_ticket = caller.cost_us(&server, &ticket, caller.logins)?;
        rounds.push((by_ticket, caller.cost_us(&server, &cookie, 0)?));
    }
    rounds.sort_by(|(a, b), (c, d)| (a - b).total_cmp(&(c - d)));
    let (by_ticket, by_cookie) = rounds[rounds.len() / 2];
    let login = by_ticket - by_cookie;
    section.table.row([
        "a login with a ticket (SPNEGO), on a connection of its own".to_owned(),
        format!("{login:.0} us, beside {by_cookie:.0} us of the connection and its request"),
    ]);
    let verdict = Verdict::absolute("one SPNEGO login", login, LIMIT_US, "us");
    section.verdicts.push(verdict);
    server.stop()?;
    Ok(())
}

/// curl, in alice's name.
struct Caller {
    url: String,
    envs: Vec<(String, String)>,
    logins: u32,
}

impl Caller {
    fn curl(&self, arguments: &[&str], url: &str) -> Result<String> {
        let said = Command::new("curl")
            .args(["-sS", "-f", "-i", "--max-time", "60"])
            .args(arguments)
            .arg(url)
            .envs(self.envs.iter().cloned())
            .output()
            .context("curl cannot be run")?;
        let told = String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success(), "curl: {told}");
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// The cookie that the first login brings.
    fn cookie(&self) -> Result<String> {
        let said = self.curl(&["--negotiate", "-u", ":"], &self.url)?;
        let cookies = said
            .lines()
            .filter_map(|line| line.strip_prefix("Set-Cookie: hadoop.auth="));
        let mut values = cookies.filter_map(|rest| rest.split(';').next());
        let value = values.next_back().filter(|value| !value.is_empty());
        Ok(format!("hadoop.auth={}", value.context("no cookie came")?))
    }

    /// CPU of the server for each of many, which one curl makes one after the other.
    fn cost_us(&self, server: &Server, arguments: &[&str], cookies: u32) -> Result<f64> {
        let pid = server.target().pid;
        let url = format!("{}&number=[1-{}]", self.url, self.logins);
        let arguments = [&["-H", "Connection: close"], arguments].concat();
        let before = procfs::cpu_time(pid)?;
        let said = self.curl(&arguments, &url)?;
        let took: Duration = procfs::cpu_time(pid)?.saturating_sub(before);
        let count = |what: &str| said.matches(what).count();
        ensure!(
            (count("HTTP/1.1 200"), count("hadoop.auth=\"u=alice"))
                == (self.logins as usize, cookies as usize),
            "not what was asked for: {said:.1000}"
        );
        Ok(took.as_secs_f64() * 1e6 / f64::from(self.logins))
    }
}
