//! The running process: where it listens, what it refuses, how it stops.

use crate::command_line::check_config;
use std::fs;
use std::time::Duration;

use moongate_tests::http::{self, Connection, Request};
use moongate_tests::{Gateway, payload, wait};

#[test]
fn the_ready_line_tells_where_each_port_is() {
    let gateway = Gateway::fresh("");
    assert_eq!(gateway.ready_line()["ready"], true);
    gateway.get("/healthz").status(200);
    gateway.get_admin("/healthz").status(200);
}

#[test]
fn it_refuses_to_listen_beyond_loopback_without_being_told() {
    for section in ["image", "admin"] {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("[{section}]\nlisten = '0.0.0.0:0'");
        let refusal =
            Gateway::try_start(&[folder.path()], &config).expect_err("it listens for everybody");
        assert!(
            refusal.status.is_some_and(|status| !status.success()),
            "{refusal:?}"
        );
        assert!(
            refusal.stderr.contains("allow_anonymous"),
            "it says what to do: {}",
            refusal.stderr
        );
    }
    let told = "allow_anonymous = true\n[image]\nlisten = '0.0.0.0:9333'\n";
    assert!(check_config(told).status.success());
}

#[test]
fn a_port_in_use_is_named() {
    let gateway = Gateway::fresh("");
    let folder = tempfile::tempdir().unwrap();
    for (section, address) in [("image", gateway.image()), ("admin", gateway.admin())] {
        let config = format!("[{section}]\nlisten = '{address}'");
        let refusal = Gateway::try_start(&[folder.path()], &config).expect_err("two on one port");
        assert!(
            refusal.status.is_some_and(|status| !status.success()),
            "{refusal:?}"
        );
        let said = refusal.stderr.to_lowercase();
        assert!(
            said.contains(&address.to_string()) && said.contains("in use"),
            "{}",
            refusal.stderr
        );
    }
}

#[test]
fn a_second_gateway_on_one_folder_is_refused() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", b"kept");
    let refusal = Gateway::try_start(&[gateway.data()], "").expect_err("two on one folder");
    assert!(
        refusal.status.is_some_and(|status| !status.success()),
        "{refusal:?}"
    );
    assert!(
        refusal.stderr.contains(gateway.data().to_str().unwrap()),
        "it names the folder: {}",
        refusal.stderr
    );
    let said = refusal.stderr.to_lowercase();
    assert!(
        ["in use", "lock", "another"]
            .iter()
            .any(|word| said.contains(word)),
        "{}",
        refusal.stderr
    );
    gateway.assert_serving();
    gateway.kill9();
    gateway.restart();
    assert_eq!(
        gateway.get(&fid.path()).status(200).body,
        b"kept",
        "a kill leaves no lock behind"
    );
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, "not a folder").unwrap();
    let refusal = Gateway::try_start(&[&file], "").expect_err("a file is no folder");
    assert!(
        refusal.stderr.contains(file.to_str().unwrap()),
        "{}",
        refusal.stderr
    );
    assert!(!refusal.stderr.contains("panicked"), "{}", refusal.stderr);
}

#[test]
fn sigterm_lets_a_slow_upload_finish_and_ends_with_0() {
    let mut gateway = Gateway::fresh("");
    let fid = gateway.assign("");
    let body = payload::bytes(1, 50_000);
    let request = Request::put(&fid.path(), "image/jpeg", &body).header("Expect", "100-continue");
    let mut upload = Connection::open(gateway.image()).unwrap();
    upload.write(&request.head_bytes()).unwrap();
    // The interim answer proves that the request is in flight.
    assert_eq!(upload.receive_any("PUT").unwrap().status, 100);
    upload.write(&body[..20_000]).unwrap();
    let (image, admin) = (gateway.image(), gateway.admin());
    gateway.signal_terminate();
    wait::until_true("the gateway drains", Duration::from_secs(10), || {
        let is_refused = |address, target| {
            !http::send(address, &Request::get(target)).is_ok_and(|it| it.status == 200)
        };
        is_refused(admin, "/readyz") || is_refused(image, "/readyz")
    });
    assert!(gateway.is_running(), "it left an upload in flight");
    upload.write(&body[20_000..]).unwrap();
    upload.receive("PUT").unwrap().status(201);
    gateway.wait_for_clean_exit();
    gateway.restart();
    assert!(gateway.get(&fid.path()).status(200).body == body);
}

#[test]
fn sigterm_waits_no_longer_than_drain_timeout() {
    let mut gateway = Gateway::fresh(
        "[limits]\ndrain_timeout = '1s'\nbody_stall_timeout = '300s'\nheader_timeout = '300s'",
    );
    let fid = gateway.assign("");
    let request =
        Request::put(&fid.path(), "image/jpeg", &[0; 1000]).header("Expect", "100-continue");
    let mut upload = Connection::open(gateway.image()).unwrap();
    upload.write(&request.head_bytes()).unwrap();
    assert_eq!(upload.receive_any("PUT").unwrap().status, 100);
    gateway.terminate();
    gateway.restart();
    gateway.get(&fid.path()).status(404);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let mut gateway = Gateway::fresh("");
    let mut idle = Connection::open(gateway.image()).unwrap();
    idle.send(&Request::get("/status")).unwrap().status(200);
    let started = std::time::Instant::now();
    gateway.terminate();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
