//! Lookup, grow, vacuum, collections and submit, as SeaweedFS's master answers them.

use moongate_tests::api::assigned;
use moongate_tests::http::{Part, Request};
use moongate_tests::{Fid, Gateway, payload, wait};
use serde_json::Value;
use std::time::Duration;

#[test]
fn lookup_finds_a_volume_by_each_form_of_its_name() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("?collection=pics");
    let id = fid.volume.to_string();
    for query in [
        format!("volumeId={id}"),
        format!("volumeId={fid}"),
        format!("fileId={fid}"),
        format!("volumeId={id}&collection=pics"),
        format!("fileId={fid}&read=yes"),
    ] {
        let json = gateway
            .get(&format!("/dir/lookup?{query}"))
            .status(200)
            .json();
        let asked = json["volumeOrFileId"].as_str().unwrap();
        assert!(asked == id || asked == fid.to_string(), "{query}: {json}");
        let location = &json["locations"][0];
        assert_eq!(
            location["url"],
            gateway.image().to_string(),
            "{query}: {json}"
        );
        assert_eq!(
            location["publicUrl"],
            gateway.image().to_string(),
            "{query}: {json}"
        );
        assert_eq!(location["dataCenter"], "dc1", "{query}: {json}");
        assert_eq!(
            json["locations"].as_array().unwrap().len(),
            1,
            "{query}: {json}"
        );
    }
}

#[test]
fn lookup_of_what_is_not_there_is_404_with_its_reason() {
    let gateway = Gateway::fresh("");
    gateway.assign("");
    for (query, error) in [
        ("?volumeId=9999", "volume id 9999 not found"),
        ("?volumeId=abc", "Unknown volume id abc"),
        ("", "Unknown volume id "),
    ] {
        let response = gateway.get(&format!("/dir/lookup{query}")).status(404);
        assert_eq!(response.error(), error, "{query}");
    }
    assert_eq!(
        gateway.get("/dir/lookup?volumeId=9999").json()["volumeOrFileId"],
        "9999"
    );
}

#[test]
fn grow_makes_as_many_volumes_as_asked() {
    let gateway = Gateway::fresh("");
    assert_eq!(
        gateway
            .get("/vol/grow?count=2&collection=grown")
            .status(200)
            .json()["count"],
        2
    );
    let grown: Vec<Value> = gateway
        .volumes()
        .into_iter()
        .filter(|volume| volume["Collection"] == "grown")
        .collect();
    assert_eq!(grown.len(), 2, "{grown:?}");
    let fid = gateway.assign("?collection=grown");
    assert!(
        grown.iter().any(|volume| volume["Id"] == fid.volume),
        "an assign uses what was grown"
    );
    assert_eq!(gateway.volumes().len(), 2, "and grows no more");
}

#[test]
fn grow_refuses_what_it_cannot_do_with_406() {
    let gateway = Gateway::fresh("");
    let missing = gateway.get("/vol/grow").status(406).error();
    assert!(
        missing.starts_with("can not parse parameter count"),
        "{missing}"
    );
    gateway.get("/vol/grow?count=abc").status(406);
    let many = gateway.get("/vol/grow?count=100000").status(406).error();
    assert!(many.contains("not enough for 100000"), "{many}");
    assert_eq!(
        gateway
            .get("/vol/grow?count=1&dataCenter=nope")
            .status(406)
            .error(),
        "Not enough data nodes found!"
    );
    gateway.get("/vol/grow?count=1&replication=abc").status(406);
    assert!(
        gateway.volumes().is_empty(),
        "a refused growth leaves nothing behind"
    );
}

#[test]
fn vacuum_drops_what_was_deleted_and_keeps_the_rest() {
    let gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let fids: Vec<Fid> = (0..40)
        .map(|seed| gateway.store("image/jpeg", &payload::bytes(seed, 9000)))
        .collect();
    let overwritten = payload::bytes(99, 8000);
    gateway
        .put(&fids[1].path(), "image/jpeg", &overwritten)
        .status(201);
    for fid in fids.iter().step_by(2) {
        gateway.delete(&fid.path()).status(202);
    }
    let before = gateway.volume(fids[0].volume);
    assert!(
        before["DeletedByteCount"].as_u64().unwrap() > 20 * 9000,
        "{before}"
    );
    gateway.vacuum(fids[0].volume);
    let after = gateway.volume(fids[0].volume);
    assert_eq!(
        after["CompactRevision"],
        before["CompactRevision"].as_u64().unwrap() + 1
    );
    assert!(after["Size"].as_u64().unwrap() < 21 * 9200, "{after}");
    assert_eq!(after["DeletedByteCount"], 0, "{after}");
    for (seed, fid) in fids.iter().enumerate() {
        let response = gateway.get(&fid.path());
        match seed {
            1 => assert_eq!(response.status(200).body, overwritten),
            _ if seed % 2 == 0 => drop(response.status(404)),
            _ => assert_eq!(response.status(200).body, payload::bytes(seed as u64, 9000)),
        }
    }
}

#[test]
fn vacuum_leaves_a_volume_below_the_threshold_alone() {
    let gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let fids: Vec<Fid> = (0..10)
        .map(|seed| gateway.store("image/jpeg", &payload::bytes(seed, 9000)))
        .collect();
    gateway.delete(&fids[0].path()).status(202);
    gateway.get("/vol/vacuum?garbageThreshold=0.9").status(200);
    // A second collection's volume, above the threshold, shows when the round is over.
    let other = gateway.assign("?collection=other");
    gateway
        .put(&other.path(), "image/jpeg", &payload::bytes(50, 9000))
        .status(201);
    gateway.delete(&other.path()).status(202);
    wait::until_true(
        "the other volume has been vacuumed",
        Duration::from_secs(30),
        || {
            gateway.get("/vol/vacuum?garbageThreshold=0.9").status(200);
            gateway.volume(other.volume)["CompactRevision"] != 0
        },
    );
    assert_eq!(gateway.volume(fids[0].volume)["CompactRevision"], 0);
}

#[test]
fn vacuum_refuses_a_threshold_that_is_no_number() {
    let gateway = Gateway::fresh("");
    let response = gateway.get("/vol/vacuum?garbageThreshold=x").status(406);
    assert_eq!(
        response.error(),
        "garbageThreshold x is not a valid float number"
    );
}

#[test]
fn a_deleted_collection_is_gone_with_its_images_and_files() {
    let mut gateway = Gateway::fresh("");
    let kept = gateway.store("image/jpeg", b"kept");
    let fid = gateway.assign("?collection=pics");
    gateway.put(&fid.path(), "image/jpeg", b"gone").status(201);
    gateway
        .get("/col/delete?collection=pics")
        .status(204)
        .empty();
    gateway.get(&fid.path()).status(404);
    assert!(
        gateway
            .volumes()
            .iter()
            .all(|volume| volume["Collection"] != "pics")
    );
    assert_eq!(
        gateway
            .get("/col/delete?collection=pics")
            .status(400)
            .error(),
        "collection pics does not exist"
    );
    assert_eq!(
        gateway
            .get("/col/delete?collection=zzz")
            .status(400)
            .error(),
        "collection zzz does not exist"
    );
    gateway.terminate();
    let left = moongate_tests::volume::bases(gateway.data());
    assert!(
        left.iter()
            .all(|base| !base.to_string_lossy().contains("pics_")),
        "{left:?}"
    );
    gateway.restart();
    gateway.get(&fid.path()).status(404);
    assert_eq!(gateway.get(&kept.path()).status(200).body, b"kept");
}

#[test]
fn submit_stores_a_form_in_one_call() {
    let gateway = Gateway::fresh("");
    let body = payload::bytes(3, 5000);
    let parts = [Part::file("t.png", "image/png", &body)];
    let response = gateway
        .send(&Request::post_multipart("/submit?collection=sent", &parts))
        .status(201);
    let json = response.json();
    let fid = assigned(&response);
    assert_eq!(json["fileName"], "t.png", "{json}");
    assert_eq!(json["size"], 5000, "{json}");
    assert_eq!(
        json["fileUrl"],
        format!("{}/{fid}", gateway.image()),
        "{json}"
    );
    assert_eq!(
        format!("\"{}\"", json["eTag"].as_str().unwrap()),
        payload::etag(&body)
    );
    let stored = gateway.get(&fid.path()).status(200);
    assert_eq!(stored.body, body);
    assert_eq!(stored.expect_header("Content-Type"), "image/png");
    assert_eq!(gateway.volume(fid.volume)["Collection"], "sent");
}

#[test]
fn submit_stores_a_raw_body_too() {
    let gateway = Gateway::fresh("");
    let request = Request::new("POST", "/submit")
        .header("Content-Type", "image/jpeg")
        .body(b"raw image");
    let response = gateway.send(&request).status(201);
    assert_eq!(response.json()["fileName"], "submit");
    assert_eq!(
        gateway.get(&assigned(&response).path()).status(200).body,
        b"raw image"
    );
}

#[test]
fn submit_takes_post_only() {
    let gateway = Gateway::fresh("");
    for method in ["GET", "PUT", "DELETE"] {
        let response = gateway.send(&Request::new(method, "/submit")).status(405);
        assert_eq!(response.error(), "Only submit via POST!", "{method}");
    }
}

#[test]
fn collection_info_counts_its_volumes_and_files() {
    let gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 3");
    for seed in 0..4 {
        let fid = gateway.assign("?collection=grown");
        gateway
            .put(&fid.path(), "image/jpeg", &payload::bytes(seed, 5000))
            .status(201);
    }
    let info = gateway
        .get("/collection/info?collection=grown")
        .status(200)
        .json();
    assert_eq!(info["Collection"], "grown", "{info}");
    assert_eq!(info["FileCount"], 4, "{info}");
    assert_eq!(info["VolumeCount"], 3, "{info}");
    assert!(info["UsedSize"].as_u64().unwrap() >= 20_000, "{info}");
    assert!(
        info["TotalSize"].as_u64().unwrap() >= info["UsedSize"].as_u64().unwrap(),
        "{info}"
    );
    assert!(info["Version"].is_string(), "{info}");
    let detail = gateway
        .get("/collection/info?collection=grown&detail=true")
        .status(200)
        .json();
    assert!(
        detail.as_array().is_some_and(|entries| !entries.is_empty()),
        "{detail}"
    );
    assert_eq!(
        gateway.get("/collection/info").status(400).error(),
        "collection is required"
    );
    gateway
        .get("/collection/info?collection=missing")
        .status(400);
}
