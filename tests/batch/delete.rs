//! `POST /batch/delete`.

use moongate_tests::Gateway;
use moongate_tests::http::Request;
use serde_json::Value;

use moongate_tests::archives::{Lines, many, stored};

fn delete(list: &[String]) -> Request {
    Request::new("POST", "/batch/delete").body(list.join("\n").as_bytes())
}

#[test]
fn each_is_told_in_order_and_stays_deleted() {
    let mut gateway = Gateway::fresh("");
    let list = stored(&gateway, &many(1200));
    let fids: Vec<Value> = list
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["fid"].clone())
        .collect();
    let response = gateway.send(&delete(&list[..1100])).status(200);
    let lines = Lines::of(&response);
    let told: Vec<&Value> = lines.entries.iter().map(|line| &line["fid"]).collect();
    assert_eq!(told, fids[..1100].iter().collect::<Vec<_>>());
    assert!(
        lines
            .entries
            .iter()
            .all(|line| line["size"].as_u64() > Some(0))
    );
    assert_eq!(
        (&lines.last["deleted"], &lines.last["failed"]),
        (&1100.into(), &0.into())
    );
    gateway.kill9();
    gateway.restart();
    for (n, fid) in fids.iter().enumerate().step_by(50) {
        let status = if n < 1100 { 404 } else { 200 };
        gateway
            .get(&format!("/{}", fid.as_str().unwrap()))
            .status(status);
    }
}

#[test]
fn what_cannot_be_deleted_is_told_and_the_rest_is_gone() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/png", b"picture");
    let other = gateway.store("image/png", b"another");
    let wrong = format!(
        "{},{}",
        other.volume,
        &other.to_string()[2..other.to_string().len() - 8]
    ) + "00000000";
    let list: Vec<String> = [
        fid.to_string(),
        wrong,
        fid.to_string(),
        "77,01aabbccdd".into(),
    ]
    .map(|fid| format!("\"{fid}\""))
    .into();
    let lines = Lines::of(&gateway.send(&delete(&list)).status(207));
    let errors: Vec<&str> = lines
        .entries
        .iter()
        .map(|line| line["error"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(
        errors,
        [
            "",
            "mismatching cookie 0",
            "not found",
            "volume 77 not found"
        ]
    );
    assert_eq!(
        (&lines.last["deleted"], &lines.last["failed"]),
        (&1.into(), &3.into())
    );
    gateway.get(&fid.path()).status(404);
    gateway.get(&other.path()).status(200);
    gateway.send(&delete(&["nonsense".into()])).status(400);
}

#[test]
fn the_chunks_of_a_large_object_go_with_it_and_come_with_it() {
    let gateway = Gateway::fresh("");
    let chunks = [gateway.store("", &[1; 1000]), gateway.store("", &[2; 500])];
    let manifest = serde_json::json!({"name": "large", "size": 1500, "chunks": [
        {"fid": chunks[0].to_string(), "offset": 0, "size": 1000},
        {"fid": chunks[1].to_string(), "offset": 1000, "size": 500},
    ]});
    let large = gateway.assign("");
    gateway
        .put(
            &format!("{}?cm=true", large.path()),
            "application/json",
            manifest.to_string().as_bytes(),
        )
        .status(201);
    let list = [format!("{{\"fid\":\"{large}\",\"name\":\"large\"}}")];
    let request = Request::new("POST", "/batch/get").body(list[0].as_bytes());
    let archive = gateway.send(&request).status(200).body;
    let mut reader = tar::Archive::new(archive.as_slice());
    let mut entry = reader.entries().unwrap().next().unwrap().unwrap();
    let mut data = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
    assert!(data == [vec![1; 1000], vec![2; 500]].concat());
    let lines = Lines::of(&gateway.send(&delete(&list)).status(200));
    assert_eq!(lines.entries[0]["size"], 1500);
    for fid in chunks.into_iter().chain([large]) {
        gateway.get(&fid.path()).status(404);
    }
}
