//! DELETE: what it answers, and that it lasts.

use moongate_tests::http::Request;
use moongate_tests::{Fid, Gateway, payload};

#[test]
fn a_delete_answers_the_needles_size() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", &payload::bytes(1, 5120));
    // DataSize 4, flags 1, name and MIME with a length byte each, last-modified 5, and 4 for empty pairs, without which the seal had one byte.
    let size = 4 + 5120 + 1 + (1 + fid.to_string().len()) + (1 + "image/jpeg".len()) + 5 + 4;
    let response = gateway.delete(&fid.path()).status(202);
    assert_eq!(response.json()["size"], size);
}

#[test]
fn what_was_deleted_is_404_and_stays_so_after_a_restart() {
    let mut gateway = Gateway::fresh("");
    let (fid, kept) = (
        gateway.store("image/jpeg", b"gone"),
        gateway.store("image/jpeg", b"kept"),
    );
    gateway.delete(&fid.path()).status(202);
    gateway.get(&fid.path()).status(404).empty();
    gateway.head(&fid.path()).status(404);
    gateway.terminate();
    gateway.restart();
    gateway.get(&fid.path()).status(404).empty();
    assert_eq!(gateway.get(&kept.path()).status(200).body, b"kept");
}

#[test]
fn deleting_what_is_not_there_is_404_with_size_0() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"gone");
    gateway.delete(&fid.path()).status(202);
    let never_written = gateway.assign("");
    for path in [
        fid.path(),
        never_written.path(),
        "/9999,0112345678".to_owned(),
    ] {
        let response = gateway.delete(&path).status(404);
        assert_eq!(response.json()["size"], 0, "{path}");
    }
}

#[test]
fn a_delete_with_the_wrong_cookie_is_refused() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"kept");
    let forged = Fid {
        cookie: fid.cookie ^ 1,
        ..fid
    };
    assert_eq!(
        gateway.delete(&forged.path()).status(400).error(),
        "File Random Cookie does not match."
    );
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"kept");
}

#[test]
fn a_delete_of_a_malformed_id_is_400() {
    let gateway = Gateway::fresh("");
    gateway.assign("");
    for path in ["/1,12", "/1,xyz", "/abc,0112345678", "/1,"] {
        gateway.delete(path).status(400);
    }
}

#[test]
fn a_deleted_id_can_be_written_again() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"first");
    gateway.delete(&fid.path()).status(202);
    gateway.put(&fid.path(), "image/jpeg", b"first").status(201);
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"first");
    gateway.terminate();
    gateway.restart();
    assert_eq!(gateway.get(&fid.path()).status(200).body, b"first");
}

#[test]
fn deleted_bytes_can_be_asked_for_until_the_vacuum() {
    let gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let body = payload::bytes(1, 3000);
    let fid = gateway.store("image/jpeg", &body);
    gateway.store("image/jpeg", b"another");
    gateway.delete(&fid.path()).status(202);
    let path = format!("{}?readDeleted=true", fid.path());
    assert_eq!(gateway.get(&path).status(200).body, body);
    gateway.vacuum(fid.volume);
    gateway.get(&path).status(404);
}

#[test]
fn a_manifests_delete_takes_its_chunks_along() {
    let gateway = Gateway::fresh("");
    let manifest = crate::chunk_manifests::store_in_chunks(
        &gateway,
        &[&payload::bytes(1, 2000), &payload::bytes(2, 1500)],
    );
    let response = gateway.delete(&manifest.fid.path()).status(202);
    assert!(
        response.json()["size"].as_u64().unwrap() >= 3500,
        "{}",
        response.summary()
    );
    for chunk in &manifest.chunks {
        gateway.get(&chunk.path()).status(404);
    }
    gateway.get(&manifest.fid.path()).status(404);
}

#[test]
fn deletes_on_one_connection_answer_in_order() {
    let gateway = Gateway::fresh("");
    let fids: Vec<Fid> = (0..30)
        .map(|seed| gateway.store("image/jpeg", &payload::bytes(seed, 100)))
        .collect();
    let mut connection = moongate_tests::Connection::open(gateway.image()).unwrap();
    for fid in &fids {
        connection
            .send(&Request::new("DELETE", &fid.path()))
            .unwrap()
            .status(202);
        connection
            .send(&Request::get(&fid.path()))
            .unwrap()
            .status(404);
    }
}
