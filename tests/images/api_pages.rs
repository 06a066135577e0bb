//! Status pages and health.

use moongate_tests::{Gateway, payload};

#[test]
fn dir_status_shows_the_topology_and_the_layouts() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("?collection=pics");
    let json = gateway.get("/dir/status").status(200).json();
    let topology = &json["Topology"];
    let (max, free) = (
        topology["Max"].as_u64().unwrap(),
        topology["Free"].as_u64().unwrap(),
    );
    assert!(free < max, "{json}");
    let center = &topology["DataCenters"][0];
    assert_eq!(center["Id"], "dc1", "{json}");
    assert_eq!(center["Racks"][0]["Id"], "r1", "{json}");
    let node = &center["Racks"][0]["DataNodes"][0];
    assert_eq!(node["Url"], gateway.image().to_string(), "{json}");
    assert_eq!(node["PublicUrl"], gateway.image().to_string(), "{json}");
    assert_eq!(
        node["Volumes"].as_u64().unwrap() as usize,
        gateway.volumes().len(),
        "{json}"
    );
    let layouts = topology["Layouts"].as_array().unwrap();
    let pics = layouts
        .iter()
        .find(|layout| layout["collection"] == "pics")
        .unwrap();
    assert_eq!(pics["replication"], "000", "{json}");
    assert!(
        pics["writables"]
            .as_array()
            .unwrap()
            .contains(&fid.volume.into()),
        "{json}"
    );
    assert!(json["Version"].is_string(), "{json}");
}

#[test]
fn vol_status_lists_each_volume_under_its_node() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("?collection=pics");
    gateway
        .put(&fid.path(), "image/jpeg", &payload::bytes(1, 5000))
        .status(201);
    let json = gateway.get("/vol/status").status(200).json();
    let node = &json["Volumes"]["DataCenters"]["dc1"]["r1"][gateway.image().to_string()];
    let volume = node
        .as_array()
        .unwrap()
        .iter()
        .find(|volume| volume["Id"] == fid.volume)
        .unwrap();
    assert_eq!(volume["Collection"], "pics", "{volume}");
    assert_eq!(volume["FileCount"], 1, "{volume}");
    assert_eq!(volume["Version"], 3, "{volume}");
    assert_eq!(volume["ReadOnly"], false, "{volume}");
    assert_eq!(volume["Ttl"]["Count"], 0, "{volume}");
    assert!(volume["Size"].as_u64().unwrap() > 5000, "{volume}");
    for field in [
        "ReplicaPlacement",
        "DeletedByteCount",
        "ModifiedAtSecond",
        "CompactRevision",
        "DeleteCount",
        "DiskType",
    ] {
        assert!(!volume[field].is_null(), "no {field} in {volume}");
    }
}

#[test]
fn volume_status_shows_disks_and_counts_what_happens() {
    let gateway = Gateway::fresh("[haystack]\nvolumes_per_growth = 1");
    let fids = [0, 1, 2].map(|seed| gateway.store("image/jpeg", &payload::bytes(seed, 5000)));
    gateway.delete(&fids[0].path()).status(202);
    let json = gateway.get("/status").status(200).json();
    let disk = &json["DiskStatuses"][0];
    assert!(
        disk["dir"]
            .as_str()
            .unwrap()
            .contains(gateway.data().to_str().unwrap()),
        "{json}"
    );
    assert!(
        disk["all"].as_u64().unwrap() > disk["free"].as_u64().unwrap(),
        "{json}"
    );
    let volume = gateway.volume(fids[0].volume);
    assert_eq!(volume["DeleteCount"], 1, "{volume}");
    assert!(
        volume["DeletedByteCount"].as_u64().unwrap() >= 5000,
        "{volume}"
    );
    assert!(volume["Size"].as_u64().unwrap() >= 15_000, "{volume}");
}

#[test]
fn cluster_status_names_itself_the_leader() {
    let gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let json = gateway.get("/cluster/status").status(200).json();
    assert_eq!(json["IsLeader"], true, "{json}");
    assert!(
        json["Leader"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{json}"
    );
    assert!(
        json["MaxVolumeId"].as_u64().unwrap() >= fid.volume.into(),
        "{json}"
    );
}

#[test]
fn health_pages_are_empty_and_200() {
    let gateway = Gateway::fresh("");
    for target in ["/cluster/healthz", "/healthz", "/readyz"] {
        gateway.get(target).status(200).empty();
    }
}

#[test]
fn a_person_sees_a_page_at_the_root() {
    let gateway = Gateway::fresh("");
    for target in ["/", "/ui/index.html"] {
        let response = gateway.get(target).status(200);
        assert!(
            response
                .expect_header("Content-Type")
                .starts_with("text/html"),
            "{target}"
        );
        assert!(response.text().contains("<html"), "{target}");
    }
}

#[test]
fn an_unknown_page_is_a_client_error() {
    let gateway = Gateway::fresh("");
    for target in [
        "/stats/health",
        "/stats/counter",
        "/nonsense",
        "/dir/nonsense",
        "/vol/",
        "/favicon.ico",
    ] {
        let response = gateway.get(target);
        assert!(
            matches!(response.status, 400 | 404),
            "{target}: {}",
            response.summary()
        );
    }
}
