//! Objects that are stored in pieces under a manifest.

use moongate_tests::http::Request;
use moongate_tests::{Fid, Gateway, payload};
use serde_json::json;

/// An object that is stored in pieces, under a manifest that lists them.
pub struct Chunked {
    pub fid: Fid,
    pub chunks: Vec<Fid>,
    pub manifest: serde_json::Value,
}

/// Stores each piece, and a chunk manifest over them.
pub fn store_in_chunks(gateway: &Gateway, pieces: &[&[u8]]) -> Chunked {
    let chunks: Vec<Fid> = pieces
        .iter()
        .map(|piece| gateway.store("application/octet-stream", piece))
        .collect();
    let mut offset = 0;
    let mut entries = Vec::new();
    for (fid, piece) in chunks.iter().zip(pieces) {
        entries.push(json!({"fid": fid.to_string(), "offset": offset, "size": piece.len()}));
        offset += piece.len();
    }
    let manifest =
        json!({"name": "big.jpg", "mime": "image/jpeg", "size": offset, "chunks": entries});
    let fid = gateway.assign("");
    let target = format!("{}?cm=true", fid.path());
    gateway
        .put(&target, "application/json", manifest.to_string().as_bytes())
        .status(201);
    Chunked {
        fid,
        chunks,
        manifest,
    }
}

#[test]
fn a_chunk_manifest_reads_as_the_whole() {
    let gateway = Gateway::fresh("");
    let pieces = [
        payload::bytes(1, 2000),
        payload::bytes(2, 1500),
        payload::bytes(3, 1),
    ];
    let chunked = store_in_chunks(&gateway, &[&pieces[0], &pieces[1], &pieces[2]]);
    let whole = pieces.concat();
    let response = gateway.get(&chunked.fid.path()).status(200);
    assert_eq!(response.body, whole);
    assert_eq!(response.expect_header("X-File-Store"), "chunked");
    assert_eq!(response.expect_header("Content-Type"), "image/jpeg");
    assert_eq!(
        response.expect_header("Content-Disposition"),
        "inline; filename=big.jpg"
    );
    let range = Request::get(&chunked.fid.path()).header("Range", "bytes=1990-2009");
    let part = gateway.send(&range).status(206);
    assert_eq!(
        (part.body.as_slice(), part.expect_header("Content-Range")),
        (&whole[1990..2010], "bytes 1990-2009/3501")
    );
    let raw = gateway
        .get(&format!("{}?cm=false", chunked.fid.path()))
        .status(200);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&raw.body).unwrap(),
        chunked.manifest
    );
}

#[test]
fn a_chunk_manifest_that_is_not_one_never_takes_the_server_down() {
    let mut gateway = Gateway::fresh("");
    let whole = gateway.store("image/jpeg", b"piece");
    for manifest in [
        "not json".to_owned(),
        "{}".into(),
        json!({"size": 1u64 << 62, "chunks": [{"fid": whole.to_string(), "offset": 0, "size": 1u64 << 62}]}).to_string(),
        json!({"size": 10, "chunks": [{"fid": "nonsense", "offset": 0, "size": 10}]}).to_string(),
        json!({"size": 10, "chunks": [{"fid": whole.to_string(), "offset": -5, "size": -10}]}).to_string(),
    ] {
        let fid = gateway.assign("");
        let written = gateway.put(&format!("{}?cm=true", fid.path()), "application/json", manifest.as_bytes());
        assert!(matches!(written.status, 201 | 400), "{manifest}: {}", written.summary());
        // A body that breaks off is as right an answer as an error: the headers may have gone before the chunk failed.
        let _ = moongate_tests::http::send(gateway.image(), &Request::get(&fid.path()));
        gateway.assert_serving();
    }
}

#[test]
fn a_manifest_that_names_itself_ends() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let entry = json!({"fid": fid.to_string(), "offset": 0, "size": 100});
    let manifest =
        json!({"name": "loop.jpg", "mime": "image/jpeg", "size": 100, "chunks": [entry]});
    gateway.put(
        &format!("{}?cm=true", fid.path()),
        "application/json",
        manifest.to_string().as_bytes(),
    );
    let _ = moongate_tests::http::send(gateway.image(), &Request::get(&fid.path()));
    let _ = moongate_tests::http::send(gateway.image(), &Request::new("DELETE", &fid.path()));
    gateway.assert_serving();
}
