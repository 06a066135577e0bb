//! Plain GETs and PUTs go a short way of their own through the server (docs/decisions/0012): whichever way is taken, the answer is the same.

use std::time::Duration;

use moongate_tests::http::{Connection, Part, Request, Response};
use moongate_tests::{Gateway, payload};

/// A header that has no meaning: it makes a GET take the long way.
const NOT_PLAIN: (&str, &str) = ("X-Unknown", "1");

fn stored(gateway: &Gateway, form: &Part, pairs: &[(&str, &str)]) -> String {
    let fid = gateway.assign("");
    let mut request = Request::post_multipart(&fid.path(), std::slice::from_ref(form));
    for (name, value) in pairs {
        request = request.header(name, value);
    }
    gateway.send(&request).status(201);
    fid.path()
}

/// Paths of every kind of object, and of some that are not there.
fn paths(gateway: &Gateway) -> Vec<String> {
    let image = payload::bytes(1, 5120);
    let text = payload::text(30_000);
    let named = stored(gateway, &Part::file("t.png", "image/png", &image), &[]);
    let (volume, rest) = named[1..].split_once(',').unwrap();
    let mut paths = vec![
        format!("{named}.jpg"),
        format!("/{volume}/{rest}/other%20name.png"),
        format!("/{volume}/{rest}/%E5%9B%BE.gif"),
        format!("{named}_7"),
        format!("/{volume},{}", "01ffffffff"),
        "/9999,0112345678".into(),
        "/1,xyz".into(),
        "/status".into(),
    ];
    for (name, media_type, body) in [
        ("a \"b\".jpg", "image/jpeg", &image[..]),
        ("图.jpg", "", &image),
        ("no-extension", "", &image),
        ("empty.jpg", "", b""),
        ("note.txt", "text/plain", &text),
        (
            "large.bin",
            "application/octet-stream",
            &payload::bytes(2, 300_000),
        ),
    ] {
        paths.push(stored(gateway, &Part::file(name, media_type, body), &[]));
    }
    let part = Part::file("p.jpg", "image/jpeg", &image);
    paths.push(stored(gateway, &part, &[("Seaweed-Label", "cat")]));
    paths.push(gateway.store("image/jpeg", &image).path());
    paths.push(gateway.store("", &image).path());
    paths.push(named);
    paths
}

/// What must not differ: all but the date and the request's id.
fn contract(response: &Response) -> (u16, Vec<(String, String)>, &[u8]) {
    let own = |name: &str| ["date", "x-amz-request-id"].contains(&&*name.to_ascii_lowercase());
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| !own(name));
    headers.sort();
    (response.status, headers, &response.body)
}

#[test]
fn both_ways_give_the_same_answer() {
    let gateway = Gateway::fresh("");
    for path in paths(&gateway) {
        for encoding in ["", "gzip", "gzip;q=0", "identity"] {
            let mut plain = Request::get(&path);
            if !encoding.is_empty() {
                plain = plain.header("Accept-Encoding", encoding);
            }
            let long = gateway.send(&plain.clone().header(NOT_PLAIN.0, NOT_PLAIN.1));
            let short = gateway.send(&plain);
            assert_eq!(contract(&short), contract(&long), "{path} {encoding}");
            for name in ["Date", "X-Amz-Request-Id"] {
                let spelled = |response: &Response| {
                    let mut headers = response.headers.iter();
                    headers
                        .find(|(known, _)| known == name)
                        .map(|(_, value)| value.len())
                };
                assert_eq!(spelled(&short), spelled(&long), "{path} {name}");
            }
        }
    }
}

/// Bodies, media types and ends of paths that are stored.
fn puts() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("", "image/jpeg", payload::bytes(7, 5120)),
        (".jpg", "", payload::bytes(7, 5120)),
        ("", "", payload::bytes(7, 5120)),
        ("/other%20name.png", "", payload::bytes(7, 100)),
        (
            "/%E5%9B%BE.gif",
            "application/octet-stream",
            vec![0; 16 << 10],
        ),
        (".txt", "text/plain; charset=utf-8", payload::text(9_000)),
        ("", "image/jpeg", Vec::new()),
        ("", "image/jpeg", payload::bytes(8, 20_000)),
    ]
}

#[test]
fn both_ways_store_the_same() {
    let gateway = Gateway::fresh("");
    for (end, media_type, body) in puts() {
        let stored = |is_short: bool| {
            let fid = gateway.assign("");
            let path = match end.strip_prefix('/') {
                Some(name) => format!("{}/{name}", fid.path().replace(',', "/")),
                None => format!("{}{end}", fid.path()),
            };
            let mut put = Request::put(&path, media_type, &body);
            if !is_short {
                put = put.header(NOT_PLAIN.0, NOT_PLAIN.1);
            }
            let answer = gateway.send(&put);
            let got = gateway.get(&path);
            let unchanged = gateway.send(&put);
            let name = fid.path()[1..].to_owned();
            let anonymous = |response: &Response| {
                let (status, headers, body) = contract(response);
                let text = format!("{headers:?} {:?}", String::from_utf8_lossy(body));
                // What is stored under an id alone is called as the id.
                (status, text.replace(&name, "FID"))
            };
            [&answer, &got, &unchanged].map(anonymous)
        };
        let (short, long) = (stored(true), stored(false));
        assert_eq!(short[0].0, 201, "{end} {media_type}");
        let undated =
            |all: [(u16, String); 3]| all.map(|(status, text)| (status, without_date(&text)));
        assert_eq!(undated(short), undated(long), "{end} {media_type}");
    }
}

/// Without the time at which an image was stored, which is another second now and then.
fn without_date(text: &str) -> String {
    let Some((before, after)) = text.split_once("(\"Last-Modified\", ") else {
        return text.to_owned();
    };
    let end = after.find(')').unwrap();
    format!("{before}{}", &after[end..])
}

#[test]
fn what_cannot_be_stored_is_refused_as_on_the_long_way() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", &payload::bytes(9, 5120));
    let other_cookie = format!("{}0", &fid.path()[..fid.path().len() - 1]);
    let never_assigned = format!("{}_99999", fid.path());
    for path in [
        &*other_cookie,
        &never_assigned,
        "/9999,0112345678",
        "/1,xyz",
    ] {
        let put = Request::put(path, "image/jpeg", &payload::bytes(10, 5120));
        let long = gateway.send(&put.clone().header(NOT_PLAIN.0, NOT_PLAIN.1));
        let short = gateway.send(&put);
        assert!(long.status >= 400, "{path}");
        assert_eq!(contract(&short), contract(&long), "{path}");
    }
    assert_eq!(
        gateway.get(&fid.path()).status(200).body,
        payload::bytes(9, 5120)
    );
}

#[test]
fn a_body_in_pieces_is_stored_whole_and_the_next_request_is_answered() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(11, 9_000);
    for pause in [
        Duration::ZERO,
        Duration::from_millis(20),
        Duration::from_millis(400),
    ] {
        let fid = gateway.assign("");
        let mut message = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            fid.path(),
            body.len()
        )
        .into_bytes();
        message.extend_from_slice(&body);
        message.extend_from_slice(
            format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", fid.path()).as_bytes(),
        );
        let mut connection = Connection::open(gateway.image()).unwrap();
        for piece in message.chunks(2_500) {
            connection.write(piece).unwrap();
            std::thread::sleep(pause);
        }
        connection.receive("PUT").unwrap().status(201);
        let got = connection.receive("GET").unwrap();
        assert_eq!(got.status(200).body, body, "{pause:?}");
    }
}

#[test]
fn a_connection_serves_anything_in_any_order() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(3, 5120);
    let mut connection = Connection::open(gateway.image()).unwrap();
    let mut kept = gateway.store("image/jpeg", &body);
    for round in 0..3 {
        for _ in 0..3 {
            let got = connection.send(&Request::get(&kept.path())).unwrap();
            assert_eq!(got.status(200).body, body, "round {round}");
        }
        kept = gateway.assign("");
        let put = Request::put(&kept.path(), "image/jpeg", &body);
        connection.send(&put).unwrap().status(201);
        let head = connection
            .send(&Request::new("HEAD", &kept.path()))
            .unwrap();
        head.status(200).empty();
    }
    let delete = Request::new("DELETE", &kept.path());
    connection.send(&delete).unwrap().status(202);
    connection
        .send(&Request::get(&kept.path()))
        .unwrap()
        .status(404);
}

#[test]
fn what_is_deleted_or_damaged_is_not_served_on_a_connection_that_read_it() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", &payload::bytes(4, 5120));
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection
        .send(&Request::get(&fid.path()))
        .unwrap()
        .status(200);
    gateway.delete(&fid.path()).status(202);
    connection
        .send(&Request::get(&fid.path()))
        .unwrap()
        .status(404);
}

#[test]
fn every_read_is_counted_once() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", &payload::bytes(5, 5120));
    let reads = || {
        let metrics = gateway.get_admin("/metrics").status(200).text();
        let line = metrics.lines().find(|line| {
            line.starts_with("moongate_requests_total{operation=\"Read\",class=\"2\"}")
        });
        let count = line.and_then(|line| line.rsplit(' ').next()).unwrap();
        count.parse::<u64>().unwrap()
    };
    let before = reads();
    for _ in 0..5 {
        gateway.get(&fid.path()).status(200);
    }
    let long = Request::get(&fid.path()).header(NOT_PLAIN.0, NOT_PLAIN.1);
    gateway.send(&long).status(200);
    assert_eq!(reads() - before, 6);
}

#[test]
fn an_access_log_of_all_has_plain_gets_as_well() {
    let gateway = Gateway::fresh("[log]\naccess = \"all\"\n");
    let fid = gateway.store("image/jpeg", &payload::bytes(6, 5120));
    gateway.get(&fid.path()).status(200);
    let wanted = format!("path={}", fid.path());
    moongate_tests::wait::until_true("a line of the access log", Duration::from_secs(10), || {
        gateway
            .log()
            .lines()
            .any(|line| line.contains("method=GET") && line.replace('"', "").contains(&wanted))
    });
}
