//! SeaweedFS's tokens of one file id, as its clients use them.

use moongate_tests::{Gateway, Request, http};

use crate::issuer::bearer;

const SECRET: &str = "0123456789abcdef0123";

fn gateway(folder: &std::path::Path, read: bool) -> Gateway {
    let file = folder.join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let key = |name: &str| format!("{name}_key_file = '{}'\n", file.display());
    let read = if read { key("read") } else { String::new() };
    Gateway::fresh(&format!("[image.jwt]\n{}{read}", key("write")))
}

#[test]
fn assign_gives_a_token_that_opens_its_file_id_only() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path(), false);
    let send = |request: &Request| http::send(gateway.image(), request).unwrap();
    let assigned = send(&Request::get("/dir/assign"));
    let (fid, token) = (
        assigned.json()["fid"].as_str().unwrap().to_owned(),
        assigned.json()["auth"].as_str().unwrap().to_owned(),
    );
    assert_eq!(
        assigned.header("authorization"),
        Some(format!("Bearer {token}").as_str())
    );
    let put = Request::put(&format!("/{fid}"), "image/png", b"picture");
    let refused = send(&put);
    assert_eq!(refused.status, 401, "without a token");
    for wrong in ["x.y.z", "", &token[..token.len() - 3]] {
        assert_eq!(send(&bearer(put.clone(), wrong)).status, 401, "{wrong}");
    }
    let other = send(&Request::get("/dir/assign")).json()["auth"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = send(&bearer(put.clone(), &other));
    assert_eq!(text.status, 401);
    assert!(
        text.json()["error"]
            .as_str()
            .unwrap()
            .contains("another file id")
    );
    assert_eq!(
        send(
            &put.clone()
                .header("Authorization", &format!("BEARER {token}"))
        )
        .status,
        201
    );
    assert_eq!(
        send(&Request::get(&format!("/{fid}"))).body,
        b"picture",
        "reads need none"
    );
    assert_eq!(
        send(&Request::put(
            &format!("/{fid}?jwt={token}"),
            "image/png",
            b"again"
        ))
        .status,
        201
    );
    assert_eq!(
        send(&Request::new("DELETE", &format!("/{fid}"))).status,
        401
    );
    let lookup = send(&Request::get(&format!("/dir/lookup?fileId={fid}")));
    let shown = lookup.header("authorization").unwrap().to_owned();
    let gone = send(&Request::new("DELETE", &format!("/{fid}")).header("Authorization", &shown));
    assert_eq!(gone.status, 202);
    let batch = Request::new("POST", "/batch/delete").body(format!("\"{fid}\"\n").as_bytes());
    assert_eq!(send(&batch).status, 401, "lists are no way around it");
}

#[test]
fn reads_want_a_token_where_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path(), true);
    let send = |request: &Request| http::send(gateway.image(), request).unwrap();
    let assigned = send(&Request::get("/dir/assign")).json();
    let fid = assigned["fid"].as_str().unwrap();
    let put = Request::put(&format!("/{fid}"), "image/png", b"picture");
    assert_eq!(
        send(&bearer(put, assigned["auth"].as_str().unwrap())).status,
        201
    );
    assert_eq!(send(&Request::get(&format!("/{fid}"))).status, 401);
    let lookup = send(&Request::get(&format!("/dir/lookup?fileId={fid}&read=yes")));
    let token = lookup.header("authorization").unwrap().to_owned();
    let read = send(&Request::get(&format!("/{fid}")).header("Authorization", &token));
    assert_eq!(read.body, b"picture");
    let made = moongate_tests::gateway::run(&[
        "token",
        "fid",
        fid,
        "--key-file",
        &folder.path().join("secret").display().to_string(),
    ]);
    let made = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert_eq!(
        send(&bearer(Request::get(&format!("/{fid}")), &made)).status,
        200
    );
}
