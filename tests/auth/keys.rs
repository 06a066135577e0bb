//! Keys of the gateway: more than one, other people's, rolled while it runs; and a KDC that is gone.

use moongate_tests::beds::kdc::Kdc;
use moongate_tests::{Gateway, Request};

use crate::desk::{Desk, realm};

fn realm_of_its_own() -> (Kdc, std::path::PathBuf) {
    let kdc = Kdc::start();
    for principal in ["alice", "HTTP/localhost"] {
        kdc.add(principal);
    }
    let keytab = kdc.keytab("gateway", &["HTTP/localhost"]);
    (kdc, keytab)
}

#[test]
fn any_key_of_the_keytab_will_do_and_no_other() {
    let desk = Desk::open();
    let port = desk.gateway.file().port();
    let ask = |host: &str| {
        let to = format!("{host}:80:127.0.0.1:{port}");
        let url = format!("http://{host}/webhdfs/v1/?op=GETHOMEDIRECTORY");
        desk.negotiate("alice", &["--connect-to", &to, &url])
    };
    assert_eq!(ask("gateway.test").status, 200);
    let said = ask("foreign.test");
    assert_eq!(said.status, 401, "{said:?}");
    for part in [
        "HTTP/foreign.test@MOON.TEST",
        "the keytab here holds HTTP/localhost@MOON.TEST, HTTP/gateway.test@MOON.TEST",
    ] {
        assert!(said.body.contains(part), "{part}: {said:?}");
    }
}

#[test]
fn a_key_is_rolled_while_the_gateway_runs() {
    let (kdc, keytab) = realm_of_its_own();
    let desk = Desk::of(&kdc, &keytab, "");
    let url = desk.url("/?op=GETHOMEDIRECTORY");
    let old = kdc.tickets("alice");
    let ask = |tickets| desk.curl(tickets, &["--negotiate", "-u", ":", &url]);
    assert_eq!(ask(&old).status, 200);
    kdc.change_key("HTTP/localhost");
    let new = kdc.tickets("alice");
    let said = ask(&new);
    assert!(
        said.status == 401 && said.body.contains("keytab"),
        "{said:?}"
    );
    assert_eq!(ask(&old).status, 200, "tickets of the old key stay good");
    kdc.keytab("gateway", &["HTTP/localhost"]);
    assert_eq!(ask(&new).status, 200);
    assert_eq!(ask(&old).status, 200, "both keys are there");
    // As a secret is replaced in Kubernetes: another file takes the place.
    let beside = keytab.with_extension("beside");
    std::fs::copy(&keytab, &beside).unwrap();
    std::fs::rename(&beside, &keytab).unwrap();
    assert_eq!(ask(&new).status, 200);
    std::fs::remove_file(&keytab).unwrap();
    let said = ask(&new);
    assert!(
        said.status == 503 && said.body.contains("auth.kerberos.keytab"),
        "{said:?}"
    );
}

#[test]
fn without_the_kdc_tickets_cookies_and_tokens_go_on() {
    let (kdc, keytab) = realm_of_its_own();
    let desk = Desk::of(&kdc, &keytab, "");
    let url = desk.url("/?op=GETHOMEDIRECTORY");
    let tickets = kdc.tickets("alice");
    let negotiate = ["--negotiate", "-u", ":", &url];
    assert_eq!(desk.curl(&tickets, &negotiate).status, 200);
    let cookie = desk.cookie("alice");
    kdc.freeze();
    assert_eq!(desk.curl(&tickets, &negotiate).status, 200);
    kdc.thaw();
    kdc.kill();
    assert_eq!(desk.curl(&tickets, &negotiate).status, 200);
    let request = Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("cookie", &cookie);
    desk.ask(&request).status(200);
    kdc.restart();
    assert_eq!(desk.curl(&kdc.tickets("alice"), &negotiate).status, 200);
}

#[test]
fn a_start_without_a_keytab_says_what_is_missing() {
    let refused = |config: &str| match Gateway::try_fresh_with(config, realm().settings()) {
        Ok(_) => panic!("it started with {config}"),
        Err(refusal) => refusal.stderr,
    };
    let text = refused("auth.methods = ['kerberos']");
    assert!(text.contains("there is no auth.kerberos.keytab"), "{text}");
    let text = refused("auth.methods = ['kerberos']\nauth.kerberos.keytab = '/nowhere'");
    assert!(
        text.contains("/nowhere cannot be used: No such file"),
        "{text}"
    );
    let users = realm().keytab("only-users", &["bob"]);
    let text = refused(&format!(
        "auth.methods = ['kerberos']\nauth.kerberos.keytab = '{}'",
        users.display()
    ));
    assert!(text.contains("no key of HTTP/"), "{text}");
    let text = refused("auth.kerberos.auth_to_local = 'RULE:[1:$2]'");
    assert!(text.contains("auth_to_local"), "{text}");
}
