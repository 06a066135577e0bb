//! Requests whose head or framing lies: nothing false is stored, nothing is smuggled.

use crate::hostile_connections::assert_bounded;
use std::net::SocketAddr;

use moongate_tests::Gateway;
use moongate_tests::http::{Connection, Request, Response};

/// Sends bytes, says that nothing more will come, and reads what comes back, if it is an answer.
pub fn blast(address: SocketAddr, bytes: &[u8]) -> Option<Response> {
    let mut connection = Connection::open(address).expect("the port takes connections");
    // The peer may close before it has read all of it: no error of ours.
    let _ = connection.write(bytes);
    let _ = connection.finish_writing();
    connection.receive("GET").ok()
}

#[test]
fn header_bombs_are_refused() {
    let mut gateway = Gateway::fresh("");
    let long = "a".repeat(4 << 20);
    let many: String = (0..200_000).map(|n| format!("X-{n}: y\r\n")).collect();
    for bomb in [
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{long}: y\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("{long} / HTTP/1.1\r\nHost: x\r\n\r\n"),
        long.clone(),
    ] {
        for address in [gateway.image(), gateway.admin()] {
            let response = blast(address, bomb.as_bytes());
            assert!(
                response.is_none_or(|response| (400..500).contains(&response.status)),
                "{}",
                &bomb[..40]
            );
        }
        gateway.assert_serving();
        assert_bounded(&gateway);
    }
}

#[test]
fn a_head_over_header_bytes_max_is_refused_and_one_below_is_not() {
    let gateway = Gateway::fresh("[limits]\nheader_bytes_max = '16KiB'");
    let fid = gateway.store("image/jpeg", b"x");
    let with_header =
        |len_bytes: usize| Request::get(&fid.path()).header("X-Long", &"a".repeat(len_bytes));
    gateway.send(&with_header(8 << 10)).status(200);
    let refused = blast(gateway.image(), &with_header(64 << 10).to_bytes());
    assert!(refused.is_none_or(|response| (400..500).contains(&response.status)));
}

#[test]
fn a_length_that_lies_stores_nothing_false() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let put = |headers: &str, body: &str| {
        format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}",
            fid.path()
        )
    };
    for (headers, body) in [
        ("Content-Length: 1000\r\n", "only this"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "123456"),
        ("Content-Length: -1\r\n", "x"),
        ("Content-Length: 18446744073709551615\r\n", "x"),
        ("Content-Length: 99999999999999999999999\r\n", "x"),
        ("Content-Length: 9223372036854775807\r\n", "x"),
        ("Content-Length: 0x10\r\n", "0123456789abcdef"),
        ("Content-Length: 5, 5\r\n", "12345"),
        ("Content-Length: \r\n", "x"),
        ("Content-Length: 200000000\r\n", "x"),
    ] {
        let response = blast(gateway.image(), put(headers, body).as_bytes());
        // Equal lengths may be merged into one (RFC 9112 6.3): then the body is right.
        if response
            .as_ref()
            .is_some_and(|response| response.status == 201)
        {
            assert_eq!(headers, "Content-Length: 5, 5\r\n");
            gateway.delete(&fid.path()).status(202);
        }
        gateway.get(&fid.path()).status(404);
        assert_bounded(&gateway);
    }
    gateway.assert_serving();
}

#[test]
fn bytes_beyond_the_length_are_not_part_of_the_body() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let wire = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345and more of it",
        fid.path()
    );
    let mut connection = Connection::open(gateway.image()).unwrap();
    connection.write(wire.as_bytes()).unwrap();
    connection.receive("PUT").unwrap().status(201);
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"12345");
    gateway.assert_serving();
}

#[test]
fn chunked_garbage_stores_nothing() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(2 << 20));
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello",
        "fffffffffffffffffffff\r\nhello",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhel",
        "5\r\nhello\r\n",
        "\r\n\r\n",
        "5",
        &long_extension,
    ] {
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            fid.path()
        );
        let response = blast(gateway.image(), (head + body).as_bytes());
        assert!(
            response.is_none_or(|response| response.status >= 400),
            "{:?}",
            &body[..body.len().min(40)]
        );
        gateway.get(&fid.path()).status(404);
    }
    gateway.assert_serving();
    assert_bounded(&gateway);
}

#[test]
fn a_request_with_two_framings_smuggles_nothing() {
    let mut gateway = Gateway::fresh("");
    let victim = gateway.store("image/jpeg", b"kept");
    let fid = gateway.assign("");
    let smuggled = format!(
        "0\r\n\r\nDELETE {} HTTP/1.1\r\nHost: x\r\n\r\n",
        victim.path()
    );
    for coding in [
        "chunked",
        "xchunked",
        "chunked, identity",
        " chunked",
        "chunked\r\nTransfer-Encoding: x",
    ] {
        let length = smuggled.len();
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nTransfer-Encoding: {coding}\r\n\r\n",
            fid.path()
        );
        let mut connection = Connection::open(gateway.image()).unwrap();
        let _ = connection.write((head + &smuggled).as_bytes());
        let _ = connection.finish_writing();
        let answers = String::from_utf8_lossy(&connection.receive_rest()).into_owned();
        assert!(
            !answers.contains(" 202 "),
            "{coding}: a hidden DELETE was obeyed: {answers}"
        );
        assert_eq!(
            gateway.get(&victim.path()).status(200).body,
            b"kept",
            "{coding}"
        );
    }
    gateway.assert_serving();
}
