//! Tickets by SPNEGO, and the cookie that follows: who is let in, who is not, and what they are told.

use moongate_tests::{Request, Response, http};

use crate::desk::Desk;

fn home(said: &str) -> bool {
    said.contains("{\"Path\":\"/user/alice\"}")
}

/// The text of a 401, which says how to log in and makes the client forget its cookie.
#[track_caller]
fn refused(response: Response) -> String {
    let response = response.status(401);
    assert_eq!(response.expect_header("www-authenticate"), "Negotiate");
    assert!(
        response
            .expect_header("set-cookie")
            .starts_with("hadoop.auth=;")
    );
    let text = response.text();
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn curl_with_a_ticket_is_known_and_without_one_is_asked() {
    let desk = Desk::open();
    let url = desk.url("/?op=GETHOMEDIRECTORY");
    let said = desk.negotiate("alice", &["-i", &url]);
    assert!(said.status == 200 && home(&said.body), "{said:?}");
    // The answer proves who the gateway is.
    assert!(
        said.body.contains("Www-Authenticate: Negotiate "),
        "{said:?}"
    );
    let none = desk.kdc.path("nobody");
    let said = desk.curl(&none, &["--negotiate", "-u", ":", &url]);
    assert_eq!(said.status, 401, "{said:?}");
    let text = refused(desk.ask(&Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY")));
    assert!(
        text.contains("AuthenticationException") && text.contains("Authentication required"),
        "{text}"
    );
    let text = refused(desk.ask(&Request::get(
        "/webhdfs/v1/?op=GETHOMEDIRECTORY&user.name=alice",
    )));
    assert!(text.contains("user.name= is not believed here"), "{text}");
    let other = desk.negotiate("alice", &[&desk.url("/?op=GETHOMEDIRECTORY&user.name=bob")]);
    assert!(
        other.status == 403 && other.body.contains("Usernames not matched"),
        "{other:?}"
    );
}

#[test]
fn nothing_but_health_is_told_to_strangers_on_any_port() {
    let desk = Desk::open();
    let (image, file, admin) = (
        desk.gateway.image(),
        desk.gateway.file(),
        desk.gateway.admin(),
    );
    for (address, path) in [
        (image, "/dir/assign"),
        (image, "/3,0144b1d7d1"),
        (image, "/status"),
        (file, "/"),
        (file, "/m/x"),
        (file, "/any?cp.from=/m/x"),
        (admin, "/status"),
        (admin, "/metrics"),
        (admin, "/mounts"),
        (admin, "/cache/stat"),
    ] {
        for method in ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD"] {
            let answer = http::send(address, &Request::new(method, path)).unwrap();
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.summary());
        }
    }
    for (address, path) in [
        (image, "/healthz"),
        (image, "/cluster/healthz"),
        (file, "/readyz"),
        (admin, "/healthz"),
        (admin, "/readyz"),
    ] {
        http::send(address, &Request::get(path))
            .unwrap()
            .status(200);
    }
    for port in [image, admin] {
        let url = format!("http://localhost:{}/status", port.port());
        assert_eq!(desk.negotiate("alice", &[&url]).status, 200);
    }
    let url = format!("http://localhost:{}/metrics", admin.port());
    let metrics = desk.negotiate("alice", &[&url]).body;
    for line in [
        "moongate_logins_total{method=\"kerberos\"}",
        "moongate_login_failures_total{failure=\"missing\"}",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[test]
fn an_image_is_not_shown_to_strangers() {
    let desk = Desk::open();
    let image = desk.gateway.image();
    let url = |path: &str| format!("http://localhost:{}{path}", image.port());
    let assigned = desk.negotiate("alice", &[&url("/dir/assign")]);
    let assigned: serde_json::Value = serde_json::from_str(&assigned.body).unwrap();
    let path = format!("/{}", assigned["fid"].as_str().unwrap());
    let put = desk.negotiate(
        "alice",
        &["-X", "PUT", "--data-binary", "an image", &url(&path)],
    );
    assert_eq!(put.status, 201, "{put:?}");
    assert!(
        desk.negotiate("alice", &[&url(&path)])
            .body
            .contains("an image")
    );
    // The plainest GET there is, which may be answered before its headers are looked at.
    let answer = http::send(image, &Request::get(&path)).unwrap().status(401);
    assert!(!answer.text().contains("an image"));
}

#[test]
fn a_file_called_healthz_is_not_shown_to_strangers() {
    let desk = Desk::open();
    let url = format!("http://localhost:{}/healthz", desk.gateway.file().port());
    let put = desk.negotiate("alice", &["-X", "PUT", "--data-binary", "secret", &url]);
    assert!(put.status < 300, "{put:?}");
    assert_eq!(desk.negotiate("alice", &[&url]).body, "secret");
    assert_eq!(desk.ask(&Request::get("/healthz")).status(200).text(), "");
}

#[test]
fn a_cookie_spares_the_next_ticket_and_cannot_be_made() {
    let desk = Desk::open();
    let cookie = desk.cookie("alice");
    let ask = |cookie: &str| {
        let request = Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY");
        desk.ask(&request.header("cookie", cookie))
    };
    assert!(home(&ask(&cookie).status(200).text()));
    assert!(home(&ask(&cookie.replace('"', "")).status(200).text()));
    let text = refused(ask(&cookie.replace("u=alice", "u=hdfs")));
    assert!(
        text.contains("is not signed with a secret of this gateway"),
        "{text}"
    );
    for bad in [
        "hadoop.auth=x".to_owned(),
        cookie[..cookie.len() - 20].to_owned(),
        cookie.replace("&e=1", "&e=9"),
        format!("hadoop.auth={}", "x".repeat(20_000)),
        "hadoop.auth=u=alice&p=alice@MOON.TEST&t=kerberos&e=9999999999999&s=".to_owned(),
    ] {
        refused(ask(&bad));
    }
    let other = Desk::open();
    let request = Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("cookie", &cookie);
    refused(other.ask(&request));
    // Whoever shows both a bad cookie and a good ticket is let in.
    let header = "Cookie: hadoop.auth=x";
    let said = desk.negotiate("alice", &["-H", header, &desk.url("/?op=GETHOMEDIRECTORY")]);
    assert!(said.status == 200 && home(&said.body), "{said:?}");
}

#[test]
fn a_cookie_expires() {
    let desk = Desk::with("auth.kerberos.cookie_validity = '1s'");
    let cookie = desk.cookie("alice");
    let request = Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("cookie", &cookie);
    let mut last = desk.ask(&request);
    while last.status == 200 {
        last = desk.ask(&request);
    }
    let text = refused(last);
    assert!(text.contains("has expired"), "{text}");
}

#[test]
fn a_token_is_good_once() {
    let desk = Desk::open();
    let token = desk.used_token("alice");
    let again = Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("authorization", &token);
    let text = refused(desk.ask(&again));
    assert!(text.contains("is a replay"), "{text}");
}

#[test]
fn tokens_that_are_none_are_refused() {
    let desk = Desk::open();
    let good = desk.used_token("alice");
    let cut = &good[..good.len() / 2 / 4 * 4 + 2];
    for bad in [
        "Negotiate",
        "Negotiate !!!",
        "Negotiate YIIabcd=",
        "Negotiate TlRMTVNTUAABAAAA",
        "negotiate YII=",
        "Basic YTpi",
        "Bearer x",
        "\u{e9}",
        cut,
        &format!("Negotiate {}", "A".repeat(60_000)),
    ] {
        let request = Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("authorization", bad);
        let text = refused(desk.ask(&request));
        assert!(!text.contains(".rs:"), "{text}");
    }
    // A flipped byte in the ticket or in what proves that it is the client's own.
    for at in [good.len() / 3, good.len() / 2, good.len() - 40] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(bytes).unwrap();
        let request =
            Request::get("/webhdfs/v1/?op=GETHOMEDIRECTORY").header("authorization", &flipped);
        refused(desk.ask(&request));
    }
}

#[test]
fn clocks_that_are_too_far_apart_are_told_by_how_much() {
    let desk = Desk::open();
    let url = desk.url("/?op=GETHOMEDIRECTORY");
    let tickets = desk.kdc.tickets("alice");
    // A ticket for the gateway is had while the clock is right.
    assert_eq!(
        desk.curl(&tickets, &["--negotiate", "-u", ":", &url])
            .status,
        200
    );
    let mut late = std::process::Command::new("faketime");
    late.args(["-f", "+20m", "curl", "-sS", "--negotiate", "-u", ":", &url]);
    let output = late.envs(desk.kdc.envs(&tickets)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("Clock skew too great") && text.contains("NTP"),
        "{text}"
    );
    let told = text
        .split("clock is ")
        .nth(1)
        .and_then(|rest| rest.split(" s ahead").next());
    let seconds: u64 = told
        .and_then(|told| told.parse().ok())
        .unwrap_or_else(|| panic!("{text}"));
    assert!((1190..1260).contains(&seconds), "{seconds}");
}
