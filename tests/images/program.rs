//! The program: its command line, its config, its signals, its admin port.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use moongate_tests::http::{self, Connection, Request};
use moongate_tests::{Gateway, gateway, payload, wait};

fn output_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A config file in a folder of its own.
fn config_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moongate.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn check_config(text: &str) -> Output {
    let (_folder, path) = config_file(text);
    gateway::run(&["check-config", path.to_str().unwrap()])
}

#[test]
fn help_explains_each_command_and_option() {
    for (arguments, words) in [
        (
            &["--help"][..],
            &["serve", "check-config", "fsck", "version"][..],
        ),
        (
            &["serve", "--help"],
            &[
                "--config",
                "--data",
                "--image-listen",
                "--file-listen",
                "--admin-listen",
                "127.0.0.1:9333",
                "127.0.0.1:9320",
            ],
        ),
        (&["check-config", "--help"], &["FILE"]),
        (&["fsck", "--help"], &["--repair", "DIR"]),
        (&["version", "--help"], &["version"]),
    ] {
        let output = gateway::run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        for word in words {
            assert!(
                text.contains(word),
                "{arguments:?} does not tell of {word}:\n{text}"
            );
        }
    }
}

#[test]
fn version_tells_the_version() {
    let output = gateway::run(&["version"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let is_version = |word: &str| {
        word.split('.')
            .filter(|part| part.parse::<u32>().is_ok())
            .count()
            >= 3
    };
    assert!(
        text.contains("moongate") && text.split_whitespace().any(is_version),
        "{text}"
    );
}

#[test]
fn a_wrong_command_line_is_refused_with_a_hint() {
    for arguments in [
        &["srve"][..],
        &["serve", "--no-such-option"],
        &["check-config"],
        &["fsck"],
        &[],
    ] {
        let output = gateway::run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        assert!(
            output_text(&output).contains("Usage"),
            "{arguments:?}: {output:?}"
        );
    }
}

const GOOD: &str = "\
allow_anonymous = false

[image]
listen = '127.0.0.1:0'
public_url = 'images.example.org'
upload_bytes_max = '256MiB'
transform_pixels_max = 50000000

[admin]
listen = '127.0.0.1:0'

[haystack]
data = ['/var/lib/moongate']
volume_bytes_max = '30GiB'
volumes_per_growth = 7
durability = 'fsync'
data_center = 'dc1'
rack = 'r1'
io_engine = 'auto'
vacuum_garbage_ratio = 0.3
vacuum_bytes_per_sec = '50MiB'
scrub_bytes_per_sec = '10MiB'

[haystack.collections.scratch]
durability = 'os'

[limits]
connections_max = 10000
header_bytes_max = '64KiB'
header_timeout = '10s'
body_stall_timeout = '30s'
write_stall_timeout = '30s'
buffers_bytes_max = '256MiB'
drain_timeout = '30s'

[log]
level = 'info'
";

#[test]
fn check_config_passes_a_good_file() {
    let output = check_config(GOOD);
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(
        check_config("").status.success(),
        "an empty file is all defaults"
    );
}

/// `good` with one of its lines replaced, and the number of that line.
fn with_mistake(line: &str, mistake: &str) -> (String, usize) {
    let number = GOOD
        .lines()
        .position(|known| known == line)
        .unwrap_or_else(|| panic!("no line {line}"))
        + 1;
    (GOOD.replacen(line, mistake, 1), number)
}

#[test]
fn check_config_names_the_line_of_each_mistake() {
    for (line, mistake) in [
        ("volumes_per_growth = 7", "volumes_per_grwth = 7"),
        ("volume_bytes_max = '30GiB'", "volume_bytes_max = 'lots'"),
        ("volumes_per_growth = 7", "volumes_per_growth = 'seven'"),
        ("volumes_per_growth = 7", "volumes_per_growth = -7"),
        ("durability = 'fsync'", "durability = 'maybe'"),
        ("durability = 'os'", "durability = 'never'"),
        ("io_engine = 'auto'", "io_engine = 'magic'"),
        ("listen = '127.0.0.1:0'", "listen = 'nonsense'"),
        ("header_timeout = '10s'", "header_timeout = '10 parsecs'"),
        ("[limits]", "[limitz]"),
        ("allow_anonymous = false", "allow_anonymos = false"),
        ("rack = 'r1'", "rack = 'r1"),
        ("vacuum_garbage_ratio = 0.3", "vacuum_garbage_ratio = 1.5"),
        ("level = 'info'", "level = 'shout'"),
    ] {
        let (text, number) = with_mistake(line, mistake);
        let output = check_config(&text);
        assert!(!output.status.success(), "{mistake} passes");
        let said = output_text(&output);
        let names_line =
            said.contains(&format!("line {number}")) || said.contains(&format!(":{number}"));
        assert!(
            names_line,
            "{mistake} is on line {number}, which is not named:\n{said}"
        );
    }
}

#[test]
fn check_config_names_a_file_that_is_not_there() {
    let output = gateway::run(&["check-config", "/nonexistent/moongate.toml"]);
    assert!(!output.status.success());
    assert!(
        output_text(&output).contains("/nonexistent/moongate.toml"),
        "{output:?}"
    );
}

#[test]
fn random_bytes_as_a_config_are_refused_without_a_panic() {
    for seed in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.toml");
        fs::write(&path, payload::bytes(seed, 300)).unwrap();
        let output = gateway::run(&["check-config", path.to_str().unwrap()]);
        assert!(!output.status.success(), "seed {seed}");
        assert!(
            !output_text(&output).contains("panicked"),
            "seed {seed}: {}",
            output_text(&output)
        );
    }
}

#[test]
fn serve_refuses_an_unknown_key_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (text, number) = with_mistake("volumes_per_growth = 7", "no_such_key = 7");
    let (_config_folder, path) = config_file(&text);
    let arguments = [
        "--config",
        path.to_str().unwrap(),
        "--data",
        folder.path().to_str().unwrap(),
    ];
    let refusal = Gateway::try_start_with_arguments(folder.path(), &arguments).unwrap_err();
    assert!(
        refusal.status.is_some_and(|status| !status.success()),
        "{refusal:?}"
    );
    assert!(refusal.stderr.contains("no_such_key"), "{}", refusal.stderr);
    let names_line = refusal.stderr.contains(&format!("line {number}"))
        || refusal.stderr.contains(&format!(":{number}"));
    assert!(names_line, "line {number}: {}", refusal.stderr);
}

#[test]
fn serve_needs_no_config_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("made/by/serve");
    let arguments = [
        "--data",
        data.to_str().unwrap(),
        "--image-listen",
        "127.0.0.1:0",
        "--file-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let mut gateway = Gateway::try_start_with_arguments(&data, &arguments).unwrap();
    assert_ne!(gateway.image().port(), 0);
    assert_ne!(gateway.admin().port(), 0);
    gateway.assert_serving();
    gateway.terminate();
    assert!(
        !moongate_tests::volume::bases(&data).is_empty(),
        "images are in --data"
    );
}

#[test]
fn the_command_line_outranks_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (_config_folder, path) =
        config_file("[image]\nlisten = '127.0.0.1:1'\n[haystack]\ndata = ['/nonexistent/data']\n");
    let arguments = [
        "--config",
        path.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
        "--image-listen",
        "127.0.0.1:0",
        "--file-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    Gateway::try_start_with_arguments(&data, &arguments)
        .unwrap()
        .assert_serving();
}

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
