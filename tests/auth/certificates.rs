//! TLS on every port, as curl and the gateway's own clients see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use moongate_tests::{Gateway, Request, gateway, http, wait};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority, and what it has signed, as files.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { folder, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign(&self, file: &str, common_name: &str) {
        let mut params =
            CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
    }

    fn config(&self, more: &str) -> String {
        let path = |name| self.path(name).display().to_string();
        format!(
            "[tls]\ncert = '{}'\nkey = '{}'\n{more}\n",
            path("server.pem"),
            path("server.key")
        )
    }
}

fn curl(ca: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-m", "20", "--cacert"])
        .arg(ca)
        .args(arguments);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn every_port_speaks_tls_and_nothing_else() {
    let authority = Authority::new();
    authority.sign("server", "server");
    let gateway = Gateway::fresh(&authority.config(""));
    let ca = authority.path("ca.pem");
    for (port, path) in [
        (gateway.image(), "dir/status"),
        (gateway.file(), ""),
        (gateway.admin(), "healthz"),
    ] {
        let told = curl(
            &ca,
            &["-w", "%{http_code}", &format!("https://{port}/{path}")],
        );
        assert!(text(&told).ends_with("200"), "{port}: {}", text(&told));
        assert!(
            http::send(port, &Request::get("/healthz")).is_err(),
            "{port} speaks HTTP in the clear"
        );
    }
    let other = Authority::new();
    let stranger = curl(
        &other.path("ca.pem"),
        &[&format!("https://{}/", gateway.admin())],
    );
    assert!(
        !stranger.status.success(),
        "a client of another authority must not trust it"
    );
}

#[test]
fn the_own_clients_speak_it_too() {
    let authority = Authority::new();
    authority.sign("server", "server");
    let gateway = Gateway::fresh(&authority.config(""));
    let (ca, file) = (authority.path("ca.pem"), authority.path("picture"));
    let ca = ca.display().to_string();
    std::fs::write(&file, vec![7; 3_000_000]).unwrap();
    let server = format!("https://{}", gateway.file());
    let run = |arguments: &[&str]| gateway::run(&[arguments, &["--ca", &ca]].concat());
    let put = run(&[
        "put",
        &file.display().to_string(),
        &format!("{server}/a/picture"),
    ]);
    assert!(put.status.success(), "{}", text(&put));
    let back = authority.path("back").display().to_string();
    let got = run(&["get", &format!("{server}/a/picture"), &back]);
    assert!(got.status.success(), "{}", text(&got));
    assert_eq!(std::fs::read(&back).unwrap(), vec![7; 3_000_000]);
    let who = run(&["whoami", &format!("https://{}", gateway.admin())]);
    assert!(text(&who).contains("anonymous"), "{}", text(&who));
    let untrusted = gateway::run(&["ls", &format!("{server}/")]);
    assert!(!untrusted.status.success(), "without --ca it is a stranger");
}

#[test]
fn a_new_certificate_is_taken_and_open_connections_stay() {
    let authority = Authority::new();
    authority.sign("server", "first");
    let gateway = Gateway::fresh(&authority.config(""));
    let (ca, url) = (
        authority.path("ca.pem"),
        format!("https://{}/healthz", gateway.admin()),
    );
    let name = || text(&curl(&ca, &["-v", &url]));
    assert!(name().contains("CN=first"), "{}", name());
    // A connection that is open all the while: curl sends its second request only after the change.
    let mut open = Command::new("curl")
        .args([
            "-sS",
            "-m",
            "60",
            "--limit-rate",
            "1k",
            "-w",
            "%{num_connects} ",
            "--cacert",
        ])
        .arg(&ca)
        .args([&url, &url])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    authority.sign("server", "second");
    wait::until_true(
        "the new certificate is shown",
        Duration::from_secs(20),
        || name().contains("CN=second"),
    );
    assert!(open.wait().unwrap().success());
    std::fs::write(authority.path("server.pem"), "no certificate").unwrap();
    wait::until_true("the mistake is noticed", Duration::from_secs(20), || {
        assert!(name().contains("CN=second"));
        gateway.log().contains("cannot be used")
    });
}

#[test]
fn a_client_certificate_is_its_user() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign("server", "server");
    authority.sign("ann", "ann");
    other.sign("eve", "ann");
    let ca = authority.path("ca.pem");
    let more = format!(
        "client_ca = '{}'\n[auth]\nmethods = ['certificate']",
        ca.display()
    );
    let gateway = Gateway::fresh(&authority.config(&more));
    let url = format!("https://{}/whoami", gateway.admin());
    let shown = |from: &Authority, name: &str| {
        let path = |end| from.path(&format!("{name}.{end}")).display().to_string();
        text(&curl(
            &ca,
            &["--cert", &path("pem"), "--key", &path("key"), &url],
        ))
    };
    let ann = shown(&authority, "ann");
    assert!(
        ann.contains("\"user\":\"ann\"") && ann.contains("certificate"),
        "{ann}"
    );
    let nobody = text(&curl(&ca, &["-w", "%{http_code}", &url]));
    assert!(nobody.ends_with("401"), "{nobody}");
    let forged = shown(&other, "eve");
    assert!(!forged.contains("\"user\""), "{forged}");
}

#[test]
fn garbage_instead_of_a_handshake_harms_nobody() {
    use std::io::Write as _;
    let authority = Authority::new();
    authority.sign("server", "server");
    let mut gateway = Gateway::fresh(&authority.config(""));
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 1, 255, 255],
        &[0; 100],
        &[0xff; 20_000],
    ] {
        let mut stream = std::net::TcpStream::connect(gateway.file()).unwrap();
        let _ = stream.write_all(bytes);
    }
    let url = format!("https://{}/", gateway.file());
    assert!(curl(&authority.path("ca.pem"), &[&url]).status.success());
    assert!(gateway.is_running() && !gateway.log().contains("panicked"));
}
