//! The admin port and the log.

use std::time::Duration;

use moongate_tests::{Gateway, payload, wait};

#[test]
fn the_admin_port_tells_health_readiness_metrics_and_status() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/jpeg", &payload::bytes(1, 5000));
    gateway.get(&fid.path()).status(200);
    gateway.get_admin("/healthz").status(200);
    gateway.get_admin("/readyz").status(200);
    let metrics = gateway.get_admin("/metrics").status(200);
    let kind = metrics.expect_header("Content-Type");
    assert!(
        kind.starts_with("text/plain") || kind.starts_with("application/openmetrics-text"),
        "{kind}"
    );
    assert_prometheus(&metrics.text());
    let status = gateway.get_admin("/status").status(200);
    let text = status.json().to_string();
    for expected in [gateway.data().to_str().unwrap(), "\"version\""] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
    assert!(
        text.contains("io_uring") || text.contains("threads"),
        "no I/O engine in {text}"
    );
    gateway.get_admin("/nonsense").status(404);
}

#[track_caller]
fn assert_prometheus(text: &str) {
    assert!(
        text.contains("# TYPE ") && text.contains("# HELP "),
        "{text}"
    );
    let samples: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    assert!(
        samples.iter().any(|line| line.starts_with("moongate_")),
        "{text}"
    );
    for sample in samples {
        let value = sample.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "not a sample: {sample}");
    }
}

#[test]
fn the_admin_pages_are_not_on_the_image_port() {
    let gateway = Gateway::fresh("");
    assert_ne!(gateway.get("/metrics").status, 200);
    gateway.get_admin("/dir/assign").status(404);
}

#[test]
fn each_io_engine_serves_the_same() {
    for engine in ["auto", "threads"] {
        let mut gateway = Gateway::fresh(&format!("[haystack]\nio_engine = '{engine}'"));
        gateway.assert_serving();
        let body = payload::bytes(1, 3 << 20);
        let fid = gateway.store("image/jpeg", &body);
        gateway.kill9();
        gateway.restart();
        assert!(
            gateway.get(&fid.path()).status(200).body == body,
            "{engine}"
        );
        if engine == "threads" {
            assert!(
                gateway
                    .get_admin("/status")
                    .json()
                    .to_string()
                    .contains("threads")
            );
        }
    }
}

#[test]
fn logs_go_to_stderr_and_json_is_one_object_a_line() {
    let gateway = Gateway::fresh("[log]\nformat = 'json'\nlevel = 'info'");
    gateway.get("/status").status(200);
    wait::until_true("something is logged", Duration::from_secs(10), || {
        gateway.log().contains('\n')
    });
    let log = gateway.log();
    let whole = &log[..log.rfind('\n').unwrap()];
    for line in whole.lines() {
        let json: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(json.is_object(), "{line}");
    }
}
