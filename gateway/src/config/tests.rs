use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn wrong(text: &str) -> Vec<Problem> {
    let config = match Config::parse(text, "m.toml") {
        Ok(config) => config,
        Err(error) => return error.problems().to_vec(),
    };
    config.validate().unwrap_err().problems().to_vec()
}

/// The one thing wrong with `text`, as it is printed.
fn told(text: &str) -> String {
    let problems = wrong(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn an_empty_file_is_the_defaults_and_good() {
    let config = Config::parse("", "m.toml").unwrap();
    config.validate().unwrap();
    assert_eq!(config.image, ImageConfig::default());
    assert_eq!(config.haystack.volume_bytes_max.bytes(), 30_000_000_000);
    assert_eq!(config.log.access, AccessLog::Errors);
}

#[test]
fn every_kind_of_value_is_read() {
    let config = Config::parse(
        r#"
            allow_anonymous = true
            [image]
            listen = "[::]:80"
            public_url = "img.example.com:80"
            cors = false
            [haystack]
            data = "/one"
            durability = "os"
            io_engine = "io_uring"
            scrub_bytes_per_sec = 0
            vacuum_interval = "1h 30m"
            [haystack.collections.faces]
            durability = "fsync"
            [haystack.collections.plain]
            [log]
            format = "json"
            access = "all"
        "#,
        "m.toml",
    )
    .unwrap();
    config.validate().unwrap();
    assert_eq!(config.haystack.data, [PathBuf::from("/one")]);
    assert_eq!(config.haystack.io_engine, IoEngine::IoUring);
    assert_eq!(config.haystack.scrub_bytes_per_sec.bytes(), 0);
    assert_eq!(config.haystack.vacuum_interval, Span::from_secs(5400));
    let durability = |name| config.haystack.durability_of(name);
    assert_eq!(
        [durability("faces"), durability("plain"), durability("x")],
        [Durability::Fsync, Durability::Os, Durability::Os]
    );
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest() {
    assert_eq!(
        told("[file]\n\n[image]\nlisen = \"127.0.0.1:1\"\n"),
        "m.toml:4:1: unknown key `lisen`\n \
         4 | lisen = \"127.0.0.1:1\"\n   \
           | ^^^^^\n  \
         = help: did you mean `listen`? keys here: listen, public_url, upload_bytes_max, batch_list_bytes_max, transform_pixels_max, \
         transform_memory_max, transform_concurrency, transform_queue_max, cors, jwt"
    );
    assert!(
        told("colour = 1").contains("help: keys here: allow_anonymous, image, file"),
        "{}",
        told("colour = 1")
    );
}

#[test]
fn bad_values_say_where_and_what_is_accepted() {
    for (text, place, parts) in [
        (
            "[image]\nlisten = \"9333\"",
            "m.toml:2:10: ",
            &["127.0.0.1:9333"][..],
        ),
        (
            "[image]\nlisten = 9333",
            "m.toml:2:10: ",
            &["text in quotes"],
        ),
        (
            "[image]\nupload_bytes_max = \"1 gig\"",
            "m.toml:2:20: ",
            &["\"1 gig\" is not a size", "1.5GiB"],
        ),
        (
            "[image]\nupload_bytes_max = -1",
            "m.toml:2:20: ",
            &["write a size"],
        ),
        (
            "[image]\ntransform_pixels_max = -1",
            "m.toml:2:24: ",
            &["a whole number, 0 or more"],
        ),
        (
            "[limits]\nheader_timeout = 30",
            "m.toml:2:18: ",
            &["with its unit, in quotes", "30s"],
        ),
        (
            "[limits]\nheader_timeout = \"30\"",
            "m.toml:2:18: ",
            &["\"30\" is not a duration"],
        ),
        (
            "[haystack]\ndurability = \"fync\"",
            "m.toml:2:14: ",
            &["did you mean `fsync`?", "fsync, os"],
        ),
        (
            "[haystack]\ndata = 5",
            "m.toml:2:8: ",
            &["write a folder in quotes, or a list"],
        ),
        ("image = 5", "m.toml:1:9: ", &["write a section of keys"]),
        (
            "allow_anonymous = \"yes\"",
            "m.toml:1:19: ",
            &["true or false, without quotes"],
        ),
        (
            "[log]\nlevel = \"warning\"",
            "m.toml:2:9: ",
            &["did you mean `warn`?", "error, warn, info, debug, trace"],
        ),
        ("[image\n", "m.toml:1:", &[]),
        (
            "[image]\ncors = true\ncors = true",
            "m.toml:3:1: ",
            &["duplicate key"],
        ),
    ] {
        let told = told(text);
        assert!(told.starts_with(place), "{told}");
        for part in parts {
            assert!(told.contains(part), "no {part:?} in:\n{told}");
        }
    }
}

#[test]
fn values_out_of_range_are_shown_in_their_line() {
    for (text, place, part) in [
        (
            "[haystack]\nvacuum_garbage_ratio = 1.5",
            "m.toml:2:24: ",
            "more than 0, at most 1",
        ),
        (
            "[haystack]\nvacuum_garbage_ratio = nan",
            "m.toml:2:24: ",
            "more than 0, at most 1",
        ),
        (
            "[haystack]\nvacuum_garbage_ratio = 0.0",
            "m.toml:2:24: ",
            "more than 0, at most 1",
        ),
        (
            "[haystack]\nvolume_bytes_max = \"40GiB\"",
            "m.toml:2:20: ",
            "from 1MiB to 32GiB",
        ),
        (
            "[haystack]\nvolume_bytes_max = \"32GiB\"",
            "m.toml:2:20: ",
            "ends beyond 32GiB",
        ),
        (
            "[haystack]\nvolumes_per_growth = 0",
            "m.toml:2:22: ",
            "from 1 to 1000",
        ),
        ("[haystack]\ndata = []", "m.toml:2:8: ", "names no folder"),
        (
            "[haystack]\nrack = \"a b\"",
            "m.toml:2:8: ",
            "is not a name",
        ),
        (
            "[haystack.collections.\"a/b\"]\n",
            "m.toml:1:",
            "is not a collection's name",
        ),
        (
            "haystack.collections.\"..\".durability = 'os'",
            "m.toml:1:",
            "is not a collection's name",
        ),
        (
            "[limits]\nheader_timeout = \"0s\"",
            "m.toml:2:18: ",
            "from 1s to 1day",
        ),
        (
            "[limits]\nheader_bytes_max = \"1KiB\"",
            "m.toml:2:20: ",
            "from 8KiB to 1MiB",
        ),
        (
            "[limits]\nbuffers_bytes_max = \"1MiB\"",
            "m.toml:2:21: ",
            "less than image.upload_bytes_max = 256MiB",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:9333\"",
            "m.toml:2:10: ",
            "admin.listen and image.listen both want",
        ),
        (
            "[image]\npublic_url = \"http://a:80\"",
            "m.toml:2:14: ",
            "without http://",
        ),
        (
            "[image]\npublic_url = \"a:0\"",
            "m.toml:2:14: ",
            "is not a host with or without a port",
        ),
    ] {
        let told = told(text);
        assert!(
            told.starts_with(place) && told.contains(part),
            "no {place:?} and {part:?} in:\n{told}"
        );
    }
}

#[test]
fn one_folder_in_another_is_refused() {
    let text = "haystack.data = [\"/a\", \"/ab\", \"/a/b\"]";
    assert!(told(text).contains("/a/b lies in /a"));
    assert_eq!(wrong("haystack.data = [\"/a\", \"/a/\"]").len(), 2);
}

#[test]
fn beyond_loopback_needs_to_be_allowed() {
    let open = "[image]\nlisten = \"10.0.0.1:9333\"";
    let told = told(open);
    assert!(told.starts_with(
        "m.toml:2:10: image.listen = \"10.0.0.1:9333\" can be reached from other machines"
    ));
    assert!(told.contains("allow_anonymous = true"));
    Config::parse(&format!("allow_anonymous = true\n{open}"), "m.toml")
        .unwrap()
        .validate()
        .unwrap();
    Config::parse("[image]\nlisten = \"[::ffff:127.0.0.2]:1\"", "m.toml")
        .unwrap()
        .validate()
        .unwrap();
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let problems = wrong(
        "[image]\nlisten = \"1.2.3.4:1\"\n[admin]\nlisten = \"1.2.3.4:2\"\n[limits]\nconnections_max = 0",
    );
    assert_eq!(problems.len(), 3);
}

#[test]
fn flags_go_over_the_file_and_are_named_when_wrong() {
    let mut config = Config::parse(
        "haystack.data = '/file'\nimage.listen = '127.0.0.1:1'",
        "m.toml",
    )
    .unwrap();
    let args = ServeArgs {
        data: vec!["/flag".into()],
        image_listen: Some("10.0.0.1:1".parse().unwrap()),
        public_url: Some("a:1".to_owned()),
        ..ServeArgs::default()
    };
    config.apply_overrides(&args);
    assert_eq!(
        (
            config.haystack.data[0].to_str(),
            config.image.public_url.as_str()
        ),
        (Some("/flag"), "a:1")
    );
    let told = config.validate().unwrap_err().to_string();
    assert!(
        told.starts_with("--image-listen: image.listen = \"10.0.0.1:1\" can be reached"),
        "{told}"
    );
    config.apply_overrides(&ServeArgs {
        allow_anonymous: true,
        ..ServeArgs::default()
    });
    config.validate().unwrap();
    assert_eq!(config.image.listen, "10.0.0.1:1".parse().unwrap());
}

#[test]
fn files_that_cannot_be_read_or_are_no_text_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    let error = Config::load(&path).unwrap_err();
    assert!(
        matches!(error, ConfigError::Unreadable { .. }) && error.to_string().contains("m.toml")
    );
    std::fs::write(&path, b"# ok\nx = \"\xff\"").unwrap();
    assert!(
        Config::load(&path)
            .unwrap_err()
            .to_string()
            .contains("m.toml:2:6: this byte is not UTF-8")
    );
    std::fs::write(&path, b"log.level = 'debug'").unwrap();
    let args = ServeArgs {
        config: Some(path),
        ..ServeArgs::default()
    };
    assert_eq!(Config::for_serve(&args).unwrap().log.level, LogLevel::Debug);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Config::parse(&text, "m.toml").map_err(|error| error.to_string());
    }

    #[test]
    fn random_values_never_panic(
        section in "image|haystack|limits|log|haystack.collections.é|nope",
        key in "listen|public_url|data|durability|io_engine|header_timeout|vacuum_garbage_ratio|cors|level|[a-zü]{1,9}",
        value in "\"[^\"\\\\]{0,12}\"|-?[0-9]{1,20}|[0-9]{1,3}\\.[0-9]{1,3}|\\[\\]|nan|inf|\\PC{0,8}",
    ) {
        let text = format!("[{section}]\n{key} = {value}\n");
        if let Err(error) = Config::parse(&text, "m.toml").and_then(|config| config.validate()) {
            prop_assert!(error.to_string().starts_with("m.toml:"), "{error}");
        }
    }
}
