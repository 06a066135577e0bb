//! Uploads that end before their name is given: what was stored of them is deleted again, and nothing else is.

use std::time::Duration;

use moongate_tests::archives::tar;
use moongate_tests::http::{Connection, Request};
use moongate_tests::{Gateway, payload, wait};

use crate::space::{assert_only_what_is_named_lives_but, living, named};

const LIMIT: Duration = Duration::from_secs(120);

/// Sends a request but for its last bytes, and waits until `needles` more needles live than before.
fn stuck(gateway: &Gateway, request: &Request, needles: u64) -> Connection {
    let before = living(gateway);
    let bytes = request.to_bytes();
    let mut connection = gateway.files().connect();
    connection.write(&bytes[..bytes.len() - 10]).unwrap();
    wait::until_true("the first chunks are stored", LIMIT, || {
        living(gateway) >= before + needles
    });
    connection
}

#[test]
fn a_kill_in_the_midst_of_uploads_leaves_no_bytes_without_a_name() {
    let mut gateway = Gateway::fresh("");
    // Of the image port: no name by path refers to these, and they are nobody's leftovers.
    let images: Vec<_> = (0..20u64)
        .map(|n| (gateway.store("image/jpeg", &payload::bytes(n, 3000)), n))
        .collect();
    let kept = payload::bytes(1, 3 << 20);
    gateway.files().put("/kept?maxMB=1", &kept);
    gateway.files().put("/replaced?maxMB=1", &kept);
    let long = payload::bytes(2, 8 << 20);
    let entries: Vec<_> = (0..500u64)
        .map(|n| (format!("{n:03}.jpg"), payload::bytes(n, 10_000)))
        .collect();
    for round in 0..3 {
        let new = Request::put("/new/file?maxMB=1", "", &long);
        let over = Request::put("/replaced?maxMB=1", "", &long);
        let atomic = Request::new("POST", "/new/?batch&atomic=true").body(&tar(&entries));
        let _connections = [
            stuck(&gateway, &new, 5),
            stuck(&gateway, &over, 5),
            stuck(&gateway, &atomic, 100),
        ];
        let named = named(gateway.files(), "/").len() as u64;
        assert!(living(&gateway) >= named + 110 + images.len() as u64);
        gateway.kill9();
        gateway.restart();
        assert_only_what_is_named_lives_but(&gateway, images.len() as u64);
        gateway.files().assert_has("/kept", &kept);
        gateway.files().assert_has("/replaced", &kept);
        gateway.files().get("/new/file").status(404);
        gateway
            .files()
            .put(&format!("/after/{round}"), &long[..100_000]);
    }
    // Nothing is left to be looked for, and nothing that is named goes.
    gateway.terminate();
    gateway.restart();
    for (image, n) in images {
        let answer = gateway.get(&image.path()).status(200);
        assert_eq!(answer.body, payload::bytes(n, 3000));
    }
    assert_only_what_is_named_lives_but(&gateway, 20);
    for round in 0..3 {
        gateway
            .files()
            .assert_has(&format!("/after/{round}"), &long[..100_000]);
    }
}

#[test]
fn a_client_that_leaves_at_the_end_leaves_all_or_nothing() {
    let gateway = Gateway::fresh("");
    let bodies = [payload::bytes(1, 30_000), payload::bytes(2, 40_000)];
    for n in 0..300 {
        let path = format!("/d/{}", n % 3);
        let request = Request::put(&path, "", &bodies[n % 2]).to_bytes();
        let mut connection = gateway.files().connect();
        connection.write(&request).unwrap();
        // It leaves while its file is being stored, or named.
        std::thread::sleep(Duration::from_micros(n as u64 * 37 % 4000));
        drop(connection);
    }
    assert_only_what_is_named_lives_but(&gateway, 0);
    for n in 0..3 {
        let answer = gateway.files().get(&format!("/d/{n}"));
        match answer.status {
            404 => {}
            _ => assert!(bodies.contains(&answer.status(200).body), "{n}"),
        }
    }
}
