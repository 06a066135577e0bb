//! Lists that name images by id and files by path, on either port.

use moongate_tests::archives::{Lines, untar};
use moongate_tests::http::{Request, Response};
use moongate_tests::{Gateway, payload};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug)]
enum Port {
    Image,
    File,
}

fn send(gateway: &Gateway, port: Port, target: &str, list: &[Value]) -> Response {
    let lines: Vec<String> = list.iter().map(Value::to_string).collect();
    let request = Request::new("POST", target).body(lines.join("\n").as_bytes());
    match port {
        Port::Image => gateway.send(&request),
        Port::File => gateway.files().send(&request),
    }
}

#[test]
fn either_port_sends_images_and_files_in_one_archive() {
    let gateway = Gateway::fresh("[file]\nchunk_bytes = '1 MiB'");
    let long = payload::bytes(3, 3 << 20);
    gateway.files().put("/d/a.jpg", b"a file");
    gateway.files().put("/d/long", &long);
    let (one, two) = (
        gateway.store("image/png", b"an image"),
        gateway.store("image/png", b"another"),
    );
    let list = [
        json!("/d/a.jpg"),
        json!({ "fid": one.to_string(), "name": "x/one.png" }),
        json!({ "path": "/d/long", "name": "y" }),
        json!(two.to_string()),
        json!("/d/missing"),
    ];
    for port in [Port::Image, Port::File] {
        for order in ["asked", "stored"] {
            let target = format!("/batch/get?order={order}");
            let answer = send(&gateway, port, &target, &list).status(200);
            let mut files = untar(&answer.body);
            let (name, errors) = files.pop().unwrap();
            assert_eq!(name, "MOONGATE-ERRORS.jsonl");
            let error: Value = serde_json::from_slice(&errors).unwrap();
            assert_eq!(error["path"], "/d/missing");
            if order == "stored" {
                files.sort();
            }
            let stored_as = format!("{two}.png");
            let mut want = vec![
                ("d/a.jpg".to_owned(), b"a file".to_vec()),
                ("x/one.png".to_owned(), b"an image".to_vec()),
                ("y".to_owned(), long.clone()),
                (stored_as, b"another".to_vec()),
            ];
            if order == "stored" {
                want.sort();
            }
            let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
                files.iter().map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&files), names(&want), "{port:?}, {order}");
            assert!(files == want, "{port:?}, {order}");
        }
    }
}

#[test]
fn either_port_deletes_images_and_files_in_one_call() {
    let gateway = Gateway::fresh("");
    for port in [Port::Image, Port::File] {
        gateway.files().put("/d/a.jpg", b"a file");
        gateway.files().put("/full/b", b"b");
        let fid = gateway.store("image/png", b"an image");
        let list = [
            json!("/d/a.jpg"),
            json!(fid.to_string()),
            json!("/full"),
            json!("/none"),
            json!(fid.to_string()),
        ];
        let answer = send(&gateway, port, "/batch/delete", &list).status(207);
        let lines = Lines::of(&answer);
        let told = |n: usize, key: &str| lines.entries[n][key].clone();
        assert_eq!(
            (told(0, "path"), told(0, "size")),
            (json!("/d/a.jpg"), json!(6))
        );
        assert_eq!(told(1, "fid"), json!(fid.to_string()));
        assert!(told(1, "error").is_null());
        for failed in 2..5 {
            assert!(told(failed, "error").is_string(), "{failed} of {port:?}");
        }
        assert_eq!(
            (&lines.last["deleted"], &lines.last["failed"]),
            (&json!(2), &json!(3))
        );
        gateway.get(&fid.path()).status(404);
        gateway.files().get("/d/a.jpg").status(404);
        let recursive = send(
            &gateway,
            port,
            "/batch/delete?recursive=true",
            &[json!("/full")],
        );
        assert_eq!(Lines::of(&recursive.status(200)).last["deleted"], 1);
        gateway.files().get("/full/b").status(404);
    }
}
