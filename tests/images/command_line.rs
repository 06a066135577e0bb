//! The command line and the config file, and how their mistakes are told.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use moongate_tests::{Gateway, gateway, payload};

pub fn output_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A config file in a folder of its own.
fn config_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moongate.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

pub fn check_config(text: &str) -> Output {
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
pub fn check_config_passes_a_good_file() {
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
pub fn check_config_names_the_line_of_each_mistake() {
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
pub fn check_config_names_a_file_that_is_not_there() {
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
