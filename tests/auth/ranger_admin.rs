//! Policies of a Ranger Admin that wants a ticket, and of one that speaks TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use moongate_tests::beds::ranger::{Door, RangerAdmin};
use moongate_tests::{Gateway, Request, http};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::desk::{Desk, realm};
use crate::state::{allow, ask, download};

const ALICE: i64 = 7;

/// Lets in whom a gateway of this realm takes for `moongate`: whoever forges a ticket is nobody.
fn door(at: SocketAddr) -> Door {
    Arc::new(move |shown| {
        let request =
            Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("Authorization", shown);
        let said = http::send(at, &request).unwrap();
        said.status == 200 && said.text().contains("/user/moongate\"")
    })
}

fn config(admin: &str, more: &str, mounted: &Path) -> String {
    format!(
        "[auth]\nmethods = ['simple', 'anonymous']\n[policy]\nadmin = ['{admin}']\nservice = 'hdfsdev'\nauthz = 'ranger'\npoll = '1h'\nconnect_timeout = '5s'\n\
         {more}\n[[mount]]\npath = '/m'\nstore = 'file://{}'\n",
        mounted.display()
    )
}

fn mounted() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("f"), b"bytes").unwrap();
    folder
}

fn policies() -> Value {
    download(ALICE, &[allow(1, "/m", "alice")])
}

fn reads(gateway: &Gateway, user: &str) -> u16 {
    ask(
        gateway.file(),
        "GET",
        &format!("/m/f?user.name={user}"),
        b"",
    )
    .status
}

fn refreshed(gateway: &Gateway) -> Value {
    ask(gateway.admin(), "POST", "/policies/refresh", b"")
        .status(200)
        .json()
}

#[test]
fn a_ticket_is_shown_once_a_session() {
    let kdc = realm();
    kdc.add("moongate");
    let keytab = kdc.keytab("ranger-asker", &["moongate"]);
    let desk = Desk::open();
    let admin = RangerAdmin::start_secure(policies(), door(desk.gateway.file()));
    let folder = mounted();
    let url = admin.url().replace("127.0.0.1", "localhost");
    let more = format!(
        "principal = 'moongate@MOON.TEST'\nkeytab = '{}'",
        keytab.display()
    );
    let gateway = Gateway::try_fresh_with(&config(&url, &more, folder.path()), kdc.settings());
    let gateway = gateway.unwrap_or_else(|refusal| panic!("{}", refusal.stderr));
    assert_eq!(
        (reads(&gateway, "alice"), reads(&gateway, "bob")),
        (200, 403)
    );
    let asked = admin.asked();
    assert!(
        asked[0].contains("/service/plugins/secure/policies/download/hdfsdev"),
        "{asked:?}"
    );
    admin.hold(download(8, &[allow(2, "/m", "bob")]));
    admin.end_session();
    let status = refreshed(&gateway);
    assert_eq!(status["version"], 8, "{status}");
    assert_eq!(
        (reads(&gateway, "alice"), reads(&gateway, "bob")),
        (403, 200)
    );
}

#[test]
fn whoever_is_not_let_in_is_told_why() {
    let kdc = realm();
    kdc.add("stranger-to-ranger");
    let keytab = kdc.keytab("ranger-stranger", &["stranger-to-ranger"]);
    let desk = Desk::open();
    let admin = RangerAdmin::start_secure(policies(), door(desk.gateway.file()));
    let url = admin.url().replace("127.0.0.1", "localhost");
    let folder = mounted();
    for (principal, told) in [
        ("stranger-to-ranger@MOON.TEST", "401"),
        ("nobody@MOON.TEST", "nobody@MOON.TEST"),
    ] {
        let more = format!("principal = '{principal}'\nkeytab = '{}'", keytab.display());
        let gateway =
            Gateway::try_fresh_with(&config(&url, &more, folder.path()), kdc.settings()).unwrap();
        let status = refreshed(&gateway);
        let error = status["sources"][0]["last_error"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(error.contains(told), "{principal}: {status}");
        assert_eq!(reads(&gateway, "alice"), 403);
    }
}

#[test]
fn https_by_an_authority_that_is_named() {
    let admin = RangerAdmin::start(policies());
    let folder = mounted();
    let (url, ca) = tls_before(&admin, folder.path());
    let trusting = Gateway::fresh(&config(
        &url,
        &format!("ca = '{}'", ca.display()),
        folder.path(),
    ));
    assert_eq!(
        (reads(&trusting, "alice"), reads(&trusting, "bob")),
        (200, 403)
    );
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = folder.path().join("other.pem");
    std::fs::write(&file, other.cert.pem()).unwrap();
    let doubting = Gateway::fresh(&config(
        &url,
        &format!("ca = '{}'", file.display()),
        folder.path(),
    ));
    assert_eq!(
        reads(&doubting, "alice"),
        403,
        "its certificate is not known"
    );
}

/// Speaks TLS as `localhost` before a plain server; its address, and the file with its authority.
fn tls_before(admin: &RangerAdmin, dir: &Path) -> (String, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = dir.join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = Arc::new(
        config
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let behind = admin.url().trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, behind) = (Arc::clone(&config), behind.clone());
            thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                drop(relay(StreamOwned::new(connection, stream), &behind));
            });
        }
    });
    (url, ca)
}

/// One request without a body after another.
fn relay(mut front: StreamOwned<ServerConnection, TcpStream>, behind: &str) -> std::io::Result<()> {
    let mut behind = TcpStream::connect(behind)?;
    loop {
        let head = head_of(&mut front)?;
        behind.write_all(&head)?;
        let head = head_of(&mut behind)?;
        let text = String::from_utf8_lossy(&head).to_lowercase();
        let len = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; len.unwrap_or(0)];
        behind.read_exact(&mut body)?;
        front.write_all(&[head, body].concat())?;
        front.flush()?;
    }
}

fn head_of(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}
