//! Delegation tokens over WebHDFS: got with a ticket, used without one, renewed, cancelled.

use moongate_tests::{Request, Response};

use crate::desk::Desk;

fn token(desk: &Desk<'_>, user: &str, query: &str) -> String {
    let said = desk.negotiate(
        user,
        &[&desk.url(&format!("/?op=GETDELEGATIONTOKEN{query}"))],
    );
    let value: serde_json::Value =
        serde_json::from_str(&said.body).unwrap_or_else(|_| panic!("{said:?}"));
    value["Token"]["urlString"]
        .as_str()
        .unwrap_or_else(|| panic!("{said:?}"))
        .to_owned()
}

fn with(desk: &Desk<'_>, token: &str, rest: &str) -> Response {
    desk.ask(&Request::get(&format!(
        "/webhdfs/v1{rest}&delegation={token}"
    )))
}

#[test]
fn a_token_stands_for_its_user_until_it_is_cancelled() {
    let desk = Desk::open();
    std::fs::write(desk.folder.path().join("f"), b"bytes").unwrap();
    let token = token(&desk, "alice", "");
    let home = with(&desk, &token, "/?op=GETHOMEDIRECTORY").status(200);
    assert!(home.text().contains("/user/alice"));
    assert_eq!(
        with(&desk, &token, "/m/f?op=OPEN").status(200).text(),
        "bytes"
    );
    // A plain path as well.
    let plain = desk
        .ask(&Request::get(&format!("/m/f?delegation={token}")))
        .status(200);
    assert_eq!(plain.text(), "bytes");
    let more = with(&desk, &token, "/?op=GETDELEGATIONTOKEN").status(403);
    assert!(more.text().contains("can be issued only with kerberos"));
    let other = with(&desk, &token, "/?op=GETHOMEDIRECTORY&doas=bob").status(403);
    assert!(other.text().contains("stands for its own user only"));
    let url = desk.url(&format!("/?op=CANCELDELEGATIONTOKEN&token={token}"));
    let not = desk.negotiate("bob", &["-X", "PUT", &url]);
    assert!(
        not.status == 403 && not.body.contains("AccessControlException"),
        "{not:?}"
    );
    let done = desk.negotiate("alice", &["-X", "PUT", &url]);
    assert_eq!(done.status, 200, "{done:?}");
    let over = with(&desk, &token, "/?op=GETHOMEDIRECTORY").status(401);
    assert!(over.text().contains("was cancelled"), "{}", over.text());
    // Java's client gets itself another one, if it is told so in a NameNode's words.
    let java = Request::get(&format!(
        "/webhdfs/v1/?op=GETHOMEDIRECTORY&delegation={token}"
    ));
    let over = desk
        .ask(&java.header("user-agent", "Java/17.0.1"))
        .status(403);
    assert!(
        over.text().contains("SecretManager$InvalidToken"),
        "{}",
        over.text()
    );
}

#[test]
fn only_the_renewer_renews_and_only_in_time() {
    let desk = Desk::with("auth.kerberos.token_renew = '4s'\nauth.kerberos.token_max = '1h'");
    let mine = token(&desk, "alice", "&renewer=bob");
    let renew = |user: &str| {
        let url = desk.url(&format!("/?op=RENEWDELEGATIONTOKEN&token={mine}"));
        desk.negotiate(user, &["-X", "PUT", &url])
    };
    let not = renew("alice");
    assert!(
        not.status == 403 && not.body.contains("only the renewer may"),
        "{not:?}"
    );
    let until = renew("bob");
    assert!(
        until.status == 200 && until.body.starts_with("{\"long\":"),
        "{until:?}"
    );
    let mut last = with(&desk, &mine, "/?op=GETHOMEDIRECTORY");
    while last.status == 200 {
        last = with(&desk, &mine, "/?op=GETHOMEDIRECTORY");
    }
    assert!(
        last.status(401)
            .text()
            .contains("the delegation token has expired")
    );
    let late = renew("bob");
    assert!(
        late.status == 403 && late.body.contains("InvalidToken"),
        "{late:?}"
    );
}

#[test]
fn tokens_that_are_none_are_refused() {
    let desk = Desk::open();
    let good = token(&desk, "alice", "");
    let other = token(&Desk::open(), "alice", "");
    let mut flipped = good.clone().into_bytes();
    flipped[8] = if flipped[8] == b'x' { b'y' } else { b'x' };
    for bad in [
        "x",
        &good[..good.len() - 9],
        &good[9..],
        &other,
        &format!("{good}AAAA"),
        &"A".repeat(9000),
        "%00%ff",
        std::str::from_utf8(&flipped).unwrap(),
    ] {
        let answer = with(&desk, bad, "/?op=GETHOMEDIRECTORY").status(401);
        assert!(
            answer.text().contains("delegation token"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn a_token_outlives_a_restart() {
    let mut desk = Desk::open();
    let token = token(&desk, "alice", "");
    let cookie = desk.cookie("alice");
    desk.gateway.kill9();
    desk.gateway.restart();
    with(&desk, &token, "/?op=GETHOMEDIRECTORY").status(200);
    let request = Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("cookie", &cookie);
    desk.ask(&request).status(200);
}

/// `moongate token`, in somebody's name or with no ticket at all.
fn command(desk: &Desk<'_>, tickets: &std::path::Path, arguments: &[&str]) -> (i32, String) {
    let server = format!("http://localhost:{}", desk.gateway.file().port());
    let (verb, rest) = arguments.split_first().unwrap();
    let said = std::process::Command::new(moongate_tests::gateway::binary())
        .args(["token", verb, &server])
        .args(rest)
        .envs(desk.kdc.envs(tickets))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let told = if said.status.success() {
        said.stdout
    } else {
        said.stderr
    };
    let text = String::from_utf8_lossy(&told).trim().to_owned();
    (said.status.code().unwrap(), text)
}

#[test]
fn the_command_line_gets_renews_and_cancels() {
    let desk = Desk::open();
    let (alice, bob) = (desk.kdc.tickets("alice"), desk.kdc.tickets("bob"));
    let file = desk.folder.path().join("token");
    let (code, token) = command(&desk, &alice, &["get", "--renewer", "bob"]);
    assert_eq!(code, 0, "{token}");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let home = with(&desk, &token, "/?op=GETHOMEDIRECTORY").status(200);
    assert!(home.text().contains("/user/alice"));
    let named = ["--file", file.to_str().unwrap()];
    let (code, until) = command(&desk, &bob, &[&["renew"][..], &named].concat());
    assert!(
        code == 0 && until.starts_with("20") && until.ends_with('Z'),
        "{until}"
    );
    let (code, text) = command(&desk, &alice, &[&["renew"][..], &named].concat());
    assert!(
        code == 1 && text.contains("only the renewer may"),
        "{code} {text}"
    );
    let nobody = desk.kdc.path("no-tickets");
    let (code, text) = command(&desk, &nobody, &["get"]);
    assert!(code == 2 && text.contains("kinit"), "{code} {text}");
    let (code, text) = command(&desk, &alice, &[&["cancel"][..], &named].concat());
    assert_eq!(code, 0, "{text}");
    with(&desk, &token, "/?op=GETHOMEDIRECTORY").status(401);
}
