//! Assign: file ids, counts, places, refusals.

use moongate_tests::api::assigned;
use moongate_tests::http::Request;
use moongate_tests::{Fid, Gateway, payload};
use std::collections::HashSet;

#[test]
fn assign_answers_a_file_id_and_where_to_put_it() {
    let gateway = Gateway::fresh("");
    for method in ["GET", "POST", "PUT"] {
        let json = gateway
            .send(&Request::new(method, "/dir/assign"))
            .status(200)
            .json();
        json["fid"].as_str().unwrap().parse::<Fid>().unwrap();
        assert_eq!(json["url"], gateway.image().to_string(), "{method}: {json}");
        assert_eq!(
            json["publicUrl"],
            gateway.image().to_string(),
            "{method}: {json}"
        );
        assert_eq!(json["count"], 1, "{method}: {json}");
    }
}

#[test]
fn assign_answers_the_public_url_of_the_config() {
    let gateway = Gateway::fresh("[image]\npublic_url = 'images.example.org:8080'");
    let json = gateway.get("/dir/assign").status(200).json();
    assert_eq!(json["publicUrl"], "images.example.org:8080", "{json}");
}

#[test]
fn every_assigned_key_is_new_and_its_cookie_random() {
    let gateway = Gateway::fresh("");
    let fids: Vec<Fid> = (0..200).map(|_| gateway.assign("")).collect();
    let keys: HashSet<u64> = fids.iter().map(|fid| fid.key).collect();
    let cookies: HashSet<u32> = fids.iter().map(|fid| fid.cookie).collect();
    assert_eq!(
        keys.len(),
        fids.len(),
        "a key was handed out twice: {fids:?}"
    );
    assert!(
        cookies.len() > fids.len() - 3,
        "cookies are guessable: {fids:?}"
    );
    assert!(
        fids.iter().all(|fid| fid.key > 0),
        "key 0 is not a key: {fids:?}"
    );
}

#[test]
fn a_counted_assign_reserves_that_many_keys_under_one_cookie() {
    let gateway = Gateway::fresh("");
    let response = gateway.get("/dir/assign?count=5").status(200);
    assert_eq!(response.json()["count"], 5);
    let first = assigned(&response);
    let next = gateway.assign("");
    assert!(
        next.key >= first.key + 5 || next.key < first.key,
        "{next} is inside of the five from {first}"
    );
    for n in 0..5 {
        let path = if n == 0 {
            first.path()
        } else {
            format!("{}_{n}", first.path())
        };
        gateway
            .put(&path, "image/jpeg", &payload::bytes(n, 700))
            .status(201);
    }
    for n in 0..5 {
        assert_eq!(
            gateway.get(&first.plus(n).path()).status(200).body,
            payload::bytes(n, 700),
            "key {n}"
        );
        let suffixed = format!("{}_{n}", first.path());
        assert_eq!(
            gateway.get(&suffixed).status(200).body,
            payload::bytes(n, 700),
            "{suffixed}"
        );
    }
    gateway.delete(&format!("{}_4", first.path())).status(202);
    gateway.get(&first.plus(4).path()).status(404);
}

#[test]
fn a_count_of_nothing_or_nonsense_is_one() {
    let gateway = Gateway::fresh("");
    for count in ["0", "abc", "", "-7", "99999999999999999999999"] {
        let json = gateway
            .get(&format!("/dir/assign?count={count}"))
            .status(200)
            .json();
        assert_eq!(json["count"], 1, "count={count}: {json}");
    }
}

#[test]
fn parameters_may_come_in_an_urlencoded_body() {
    let gateway = Gateway::fresh("");
    let form = Request::new("POST", "/dir/assign")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(b"collection=forms&count=3");
    let response = gateway.send(&form).status(200);
    assert_eq!(response.json()["count"], 3);
    assert_eq!(
        gateway.volume(assigned(&response).volume)["Collection"],
        "forms"
    );
}

#[test]
fn without_a_config_a_first_assign_grows_seven_volumes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let ports = [
        "--image-listen",
        "127.0.0.1:0",
        "--file-listen",
        "127.0.0.1:0",
    ];
    let arguments = [
        &["--data", data, "--admin-listen", "127.0.0.1:0"],
        &ports[..],
    ]
    .concat();
    let gateway = Gateway::try_start_with_arguments(folder.path(), &arguments).unwrap();
    gateway.assign("");
    assert_eq!(gateway.volumes().len(), 7);
}

#[test]
fn a_first_assign_grows_volumes_of_its_own_kind() {
    let gateway = Gateway::fresh("");
    let plain = gateway.assign("");
    let pics = gateway.assign("?collection=pics");
    let short_lived = gateway.assign("?collection=pics&ttl=3d");
    assert_eq!(gateway.volume(plain.volume)["Collection"], "");
    assert_eq!(gateway.volume(pics.volume)["Collection"], "pics");
    assert_eq!(gateway.volume(pics.volume)["Ttl"]["Count"], 0);
    let volume = gateway.volume(short_lived.volume);
    assert_eq!(
        (&volume["Collection"], &volume["Ttl"]["Count"]),
        (&"pics".into(), &3.into()),
        "{volume}"
    );
    let ids: HashSet<u32> = [plain, pics, short_lived]
        .iter()
        .map(|fid| fid.volume)
        .collect();
    assert_eq!(ids.len(), 3, "volumes of several kinds are apart");
}

#[test]
fn assign_honours_volumes_per_growth() {
    let gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 2");
    gateway.assign("");
    assert_eq!(gateway.volumes().len(), 2);
}

#[test]
fn assign_takes_the_known_data_center_rack_and_node_and_a_size_hint() {
    let gateway = Gateway::fresh("");
    gateway.assign("?dataCenter=dc1");
    gateway.assign("?dataCenter=dc1&rack=r1");
    gateway.assign(&format!(
        "?dataCenter=dc1&rack=r1&dataNode={}",
        gateway.image()
    ));
    gateway.assign("?dataSize=5120");
    gateway.assign("?replication=000&disk=hdd&writableVolumeCount=2");
}

#[test]
fn assign_refuses_a_place_that_does_not_exist() {
    let gateway = Gateway::fresh("");
    gateway.assign("");
    let rack = gateway.get("/dir/assign?dataCenter=dc1&rack=nope");
    assert!(matches!(rack.status, 400 | 503), "{}", rack.summary());
    assert!(!rack.error().is_empty());
}

#[test]
fn assign_says_503_and_when_to_retry_where_copies_cannot_be_made() {
    let gateway = Gateway::fresh("");
    for replication in ["001", "010", "200"] {
        let response = gateway
            .get(&format!("/dir/assign?replication={replication}"))
            .status(503);
        assert_eq!(response.expect_header("Retry-After"), "1");
        assert!(
            response.error().starts_with("no writable volumes for "),
            "{}",
            response.summary()
        );
    }
}

#[test]
fn assign_refuses_what_it_cannot_parse_with_406() {
    let gateway = Gateway::fresh("");
    for (query, error) in [
        ("replication=abc", "unexpected replication type: abc"),
        ("replication=999", "unexpected replication type: 999"),
        ("ttl=abc", "strconv.Atoi: parsing \"ab\": invalid syntax"),
    ] {
        let response = gateway.get(&format!("/dir/assign?{query}")).status(406);
        assert_eq!(response.error(), error, "{query}");
    }
}
