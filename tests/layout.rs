//! The arrows between the crates, held by a test: `haystack -> disk`, `cache -> {disk, hdfs-wire}`, `auth` alone, `volume-plugin -> proto`, `gateway -> {haystack, filer, cache, auth, disk, hdfs-wire}`, and nothing
//! depends on the gateway. The cores know no network.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use moongate_tests::tools::repository;
use toml::Table;

/// Crates that own no socket, and what would give them one.
const CORES: [&str; 4] = ["disk", "filer", "haystack", "hdfs-wire"];
const NETWORK: [&str; 14] = [
    "axum",
    "h2",
    "http",
    "http-body",
    "http-body-util",
    "hyper",
    "hyper-util",
    "mio",
    "multer",
    "reqwest",
    "rustls",
    "socket2",
    "tonic",
    "tower",
];
/// What each member may use of the others, in its product code.
const ARROWS: [(&str, &[&str]); 9] = [
    ("auth", &[]),
    ("cache", &["moongate-disk", "moongate-hdfs-wire"]),
    ("disk", &[]),
    ("filer", &[]),
    ("haystack", &["moongate-disk"]),
    ("hdfs-wire", &[]),
    ("proto", &[]),
    ("volume-plugin", &["moongate-proto"]),
    (
        "gateway",
        &[
            "moongate-auth",
            "moongate-cache",
            "moongate-disk",
            "moongate-filer",
            "moongate-haystack",
            "moongate-hdfs-wire",
        ],
    ),
];

fn manifest(folder: &Path) -> Table {
    let path = folder.join("Cargo.toml");
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .parse()
        .unwrap()
}

fn members() -> Vec<String> {
    let members = manifest(&repository())["workspace"]["members"]
        .as_array()
        .unwrap()
        .clone();
    members
        .iter()
        .map(|member| member.as_str().unwrap().to_owned())
        .collect()
}

/// Names of the packages in one kind of dependency table of a member, for every target.
fn dependencies(member: &str, kind: &str) -> BTreeSet<String> {
    let manifest = manifest(&repository().join(member));
    let mut tables = vec![manifest.get(kind).cloned()];
    if let Some(targets) = manifest
        .get("target")
        .and_then(|targets| targets.as_table())
    {
        tables.extend(targets.values().map(|target| target.get(kind).cloned()));
    }
    let names = tables
        .into_iter()
        .flatten()
        .flat_map(|table| package_names(table.as_table().unwrap()));
    names.collect()
}

fn package_names(table: &Table) -> Vec<String> {
    let renamed = |value: &toml::Value| Some(value.get("package")?.as_str()?.to_owned());
    table
        .iter()
        .map(|(key, value)| renamed(value).unwrap_or_else(|| key.clone()))
        .collect()
}

fn ours(names: &BTreeSet<String>) -> BTreeSet<&str> {
    names
        .iter()
        .map(String::as_str)
        .filter(|name| name.starts_with("moongate"))
        .collect()
}

#[test]
fn the_arrows_between_the_crates_are_as_designed() {
    for (member, allowed) in ARROWS {
        let used = dependencies(member, "dependencies");
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(
            ours(&used).is_subset(&allowed),
            "{member} may use {allowed:?} of ours, and uses {:?}",
            ours(&used)
        );
    }
}

#[test]
fn the_gateway_joins_the_crates() {
    let used = dependencies("gateway", "dependencies");
    assert_eq!(
        ours(&used),
        BTreeSet::from([
            "moongate-auth",
            "moongate-cache",
            "moongate-disk",
            "moongate-filer",
            "moongate-haystack",
            "moongate-hdfs-wire"
        ])
    );
}

#[test]
fn nothing_depends_on_the_gateway() {
    for member in members() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            assert!(
                !dependencies(&member, kind).contains("moongate"),
                "{member} depends on the gateway ({kind})"
            );
        }
    }
}

#[test]
fn the_end_to_end_tests_use_no_product_code() {
    assert!(
        ours(&dependencies("tests", "dependencies")).is_empty(),
        "they would share its mistakes"
    );
    // The contracts alone are stated once; csi-sanity, which brings its own, finds a mistake in them.
    let contracts = BTreeSet::from(["moongate-proto"]);
    assert!(ours(&dependencies("tests", "dev-dependencies")).is_subset(&contracts));
}

#[test]
fn the_cores_depend_on_no_network_crate() {
    for member in CORES {
        for kind in ["dependencies", "build-dependencies"] {
            let used = dependencies(member, kind);
            let network: Vec<&str> = NETWORK
                .into_iter()
                .filter(|name| used.contains(*name))
                .collect();
            assert!(network.is_empty(), "{member} depends on {network:?}");
        }
        let tokio = manifest(&repository().join(member));
        let features = tokio["dependencies"]
            .get("tokio")
            .and_then(|tokio| tokio.get("features"));
        let features = features.map(ToString::to_string).unwrap_or_default();
        assert!(
            !features.contains("net") && !features.contains("full"),
            "{member} asks tokio for {features}"
        );
    }
}

#[test]
fn the_cores_open_no_socket() {
    for member in CORES {
        for path in sources(&repository().join(member).join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            for forbidden in [
                "std::net",
                "tokio::net",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "UnixStream",
            ] {
                assert!(
                    !text.contains(forbidden),
                    "{} mentions {forbidden}",
                    path.display()
                );
            }
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_version_stands_in_the_one_table() {
    for member in members() {
        let manifest = manifest(&repository().join(&member));
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(kind).and_then(|table| table.as_table()) else {
                continue;
            };
            for (name, value) in table {
                let shared = value.get("workspace").and_then(|value| value.as_bool()) == Some(true);
                assert!(shared, "{member}: {name} should say `workspace = true`");
            }
        }
    }
}
