//! Many files into a folder in one body: `POST /folder/?batch`.

use std::fs;

use moongate_tests::archives::{
    Files as Entries, Lines, dechunk, gzip, samples, split_head, tar, zstd_of,
};
use moongate_tests::files::Files;
use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload, tools};
use tempfile::tempdir;

/// A path as it stands in a URL.
pub fn url(path: &str) -> String {
    let escape = |byte: u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(escape).collect()
}

#[track_caller]
fn assert_all(files: Files<'_>, folder: &str, entries: &[(String, Vec<u8>)]) {
    for (name, data) in entries {
        files.assert_has(&url(&format!("{folder}/{name}")), data);
    }
    assert_eq!(files.usage(folder).0, entries.len() as u64);
}

fn named(names: &[&str]) -> Entries {
    let entry = |name: &&str| ((*name).to_owned(), name.as_bytes().to_vec());
    names.iter().map(entry).collect()
}

#[test]
fn every_kind_of_archive_is_taken() {
    let gateway = Gateway::fresh("[file]\nchunk_bytes = '1 MiB'");
    let files = gateway.files();
    let entries = samples();
    let plain = tar(&entries);
    for (folder, archive) in [
        ("/plain/", plain.clone()),
        ("/gz/x/", gzip(&plain)),
        ("/zst", zstd_of(&plain)),
    ] {
        let lines = files.store_all(folder, &archive);
        let bytes: usize = entries.iter().map(|(_, data)| data.len()).sum();
        assert_eq!(lines.last["stored"], entries.len());
        assert_eq!(lines.last["bytes"], bytes);
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(lines.names(), names, "in order");
        for (line, (name, data)) in lines.entries.iter().zip(&entries) {
            assert_eq!(line["size"], data.len(), "{name}");
            let crc = format!("{:08x}", crc32c::crc32c(data));
            assert_eq!(line["crc32c"], crc, "{name}");
            let path = url(&format!("{}/{name}", folder.trim_end_matches('/')));
            let head = files.head(&path).status(200);
            let tag = format!("\"{}\"", line["eTag"].as_str().unwrap());
            assert_eq!(head.expect_header("Etag"), tag, "{name}");
        }
        assert_all(files, folder.trim_end_matches('/'), &entries);
    }
    // The time of the tar is kept, and the type is told by the name.
    let head = files.head("/plain/train/5000.jpg");
    assert_eq!(
        head.expect_header("Last-Modified"),
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
    assert_eq!(head.expect_header("Content-Type"), "image/jpeg");
}

#[test]
fn archives_of_other_programs_are_taken() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let folder = tempdir().unwrap();
    let entries = samples();
    tools::lay_out(&folder.path().join("in"), &entries);
    for (how, program, arguments) in [
        ("gnu", "tar", vec!["-cf", "out", "-C", "in", "."]),
        (
            "pax",
            "tar",
            vec!["--format=pax", "-cf", "out", "-C", "in", "."],
        ),
        ("gnuz", "tar", vec!["-czf", "out", "-C", "in", "."]),
        ("bsd", "bsdtar", vec!["-cf", "out", "-C", "in", "."]),
    ] {
        tools::run(folder.path(), program, &arguments);
        let archive = fs::read(folder.path().join("out")).unwrap();
        let lines = files.store_all(&format!("/{how}/"), &archive);
        assert_eq!(lines.last["stored"], entries.len(), "{how}");
        assert_all(files, &format!("/{how}"), &entries);
    }
}

#[test]
fn a_form_with_many_files_is_taken() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let parts: Vec<Part> = (0..300u64)
        .map(|n| {
            let data = payload::bytes(n, n as usize);
            Part::file(&format!("{n}.jpg"), "image/x-own", &data)
        })
        .collect();
    let response = files.send(&Request::post_multipart("/d/?batch", &parts));
    let lines = Lines::of(&response.status(200));
    assert_eq!(lines.last["stored"], 300);
    for (n, part) in parts.iter().enumerate().step_by(29) {
        let got = files.get(&format!("/d/{n}.jpg")).status(200);
        assert_eq!(got.body, part.body);
        assert_eq!(got.expect_header("Content-Type"), "image/x-own");
    }
}

#[test]
fn names_that_cannot_be_fail_alone() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/d/file", b"a file");
    let long = "n".repeat(256);
    let entries = named(&["a", "file/below", "b", &long, "x/y", "x", "c"]);
    let mut archive = tar(&entries);
    // What a tar builder refuses to write: a way out of the folder.
    let at = archive.len() - 1024;
    let mut evil = tar(&named(&["evil"]));
    evil[..12].copy_from_slice(b"../../evil\0\0");
    let mut header = tar::Header::from_byte_slice(&evil[..512]).clone();
    header.set_cksum();
    evil[..512].copy_from_slice(header.as_bytes());
    archive.splice(at.., evil);
    let lines = Lines::of(&files.batch("/d/", "", &archive).status(207));
    let failed: Vec<&str> = lines
        .entries
        .iter()
        .filter(|line| line["error"].is_string())
        .map(|line| line["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["file/below", &long, "x", "../../evil"]);
    assert_eq!(lines.last["stored"], 4);
    assert_eq!(lines.last["failed"], 4);
    assert_eq!(files.names("/"), ["d"]);
    assert_eq!(files.names("/d/"), ["a", "b", "c", "file", "x"]);
    files.assert_has("/d/file", b"a file");
    files.assert_has("/d/x/y", b"x/y");
}

#[test]
fn of_names_that_come_twice_the_last_stays() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    for (folder, more) in [("/each/", ""), ("/atomic/", "&atomic=true")] {
        let entries: Entries = (0..1200u32)
            .map(|n| (format!("{}.jpg", n % 7), n.to_be_bytes().to_vec()))
            .collect();
        let lines = Lines::of(&files.batch(folder, more, &tar(&entries)).status(200));
        assert_eq!(lines.last["stored"], 1200);
        for (name, data) in entries.iter().rev().take(7) {
            files.assert_has(&format!("{folder}{name}"), data);
        }
        assert_eq!(files.usage(folder).0, 7);
    }
    crate::space::assert_only_what_is_named_lives(&gateway);
}

#[test]
fn parameters_hold_for_all() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let archive = tar(&named(&["a.txt", "b/c.txt"]));
    let target = "/d/?batch&mode=0600&ttl=5d&collection=pics";
    let request = Request::new("POST", target)
        .header("Seaweed-Label", "cat")
        .body(&archive);
    files.send(&request).status(200);
    for path in ["/d/a.txt", "/d/b/c.txt"] {
        let said = files.metadata(path);
        assert_eq!(said["Mode"], 0o600);
        assert_eq!(said["TtlSec"], 5 * 24 * 3600);
        let got = files.get(path).status(200);
        assert_eq!(got.expect_header("Seaweed-Label"), "cat");
        assert_eq!(got.expect_header("Content-Type"), "text/plain");
    }
    let bases = moongate_tests::volume::bases(gateway.data());
    assert!(
        bases
            .iter()
            .any(|base| base.to_string_lossy().contains("pics_"))
    );
    for wrong in ["&mode=x", "&ttl=x", "&maxMB=x"] {
        let refused = files.batch("/w/", wrong, &archive);
        assert!(
            matches!(refused.status, 400 | 406),
            "{wrong}: {}",
            refused.summary()
        );
    }
    files.get("/w/").status(404);
}

#[test]
fn into_a_file_nothing_goes() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/f", b"file");
    for more in ["", "&atomic=true"] {
        let refused = files.batch("/f", more, &tar(&named(&["a"])));
        assert!(
            matches!(refused.status, 207 | 400 | 409),
            "{}",
            refused.summary()
        );
        assert!(refused.text().contains("error"));
    }
    files.assert_has("/f", b"file");
}

/// Nothing of the folder is there, and its contents were given back.
#[track_caller]
fn assert_nothing_came(gateway: &Gateway, before: &Entries) {
    let files = gateway.files();
    assert_all(files, "/d", before);
    crate::space::assert_only_what_is_named_lives(gateway);
}

#[test]
fn an_atomic_batch_is_all_or_nothing() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let before = named(&["file", "over"]);
    files.store_all("/d/", &tar(&before));
    let good: Entries = (0..700)
        .map(|n| (format!("{n}.jpg"), payload::bytes(n, 2000)))
        .chain([("over".to_owned(), b"new".to_vec())])
        .collect();
    // A conflict in the middle, a bad name at the end, a cut.
    let mut conflict = good.clone();
    conflict.insert(300, ("file/below".to_owned(), b"x".to_vec()));
    let mut bad = good.clone();
    bad.push(("n".repeat(256), b"x".to_vec()));
    let mut cut = tar(&good);
    cut.truncate(cut.len() / 2);
    for (what, archive) in [
        ("conflict", tar(&conflict)),
        ("bad name", tar(&bad)),
        ("cut", cut),
        ("gzip cut", gzip(&tar(&good))[..200_000].to_vec()),
        ("no archive", b"junk".repeat(1000)),
    ] {
        let refused = files.batch("/d/", "&atomic=true", &archive);
        assert!(
            matches!(refused.status, 400 | 409),
            "{what}: {}",
            refused.summary()
        );
        let text = refused.text();
        assert!(text.contains("\"error\""), "{what}: {text:.200}");
        assert!(
            !text.contains("\"stored\":7"),
            "{what}: nothing is said to be stored"
        );
        assert_nothing_came(&gateway, &before);
    }
    let lines = Lines::of(&files.batch("/d/", "&atomic=true", &tar(&good)).status(200));
    assert_eq!(lines.last["stored"], 701);
    assert_eq!(files.usage("/d").0, 702);
    files.assert_has("/d/over", b"new");
    crate::space::assert_only_what_is_named_lives(&gateway);
}

#[test]
fn an_atomic_batch_whose_body_ends_early_leaves_nothing() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let before = named(&["file"]);
    files.store_all("/d/", &tar(&before));
    let entries: Entries = (0..500)
        .map(|n| (format!("{n}.jpg"), payload::bytes(n, 3000)))
        .collect();
    let request = Request::new("POST", "/d/?batch&atomic=true").body(&tar(&entries));
    let wire = request.to_bytes();
    for part in [0.3, 0.9, 0.999] {
        let mut connection = files.connect();
        let len = (wire.len() as f64 * part) as usize;
        connection.write(&wire[..len]).unwrap();
        connection.finish_writing().unwrap();
        drop(connection.receive_rest());
        assert_nothing_came(&gateway, &before);
    }
}

#[test]
fn what_came_before_a_cut_is_kept_and_told() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    let entries: Entries = (0..50)
        .map(|n| (format!("{n}.jpg"), payload::bytes(n, 1000)))
        .collect();
    let archive = tar(&entries);
    let cut = &archive[..archive.len() / 2];
    let lines = Lines::of(&files.batch("/d/", "", cut).status(400));
    let stored = lines.entries.len();
    assert!(stored > 20, "{stored}");
    assert_eq!(lines.last["stored"], stored);
    assert_eq!(lines.last["offset"], cut.len());
    assert_all(files, "/d", &entries[..stored]);
}

#[test]
fn every_line_that_was_received_is_there_after_a_kill() {
    use rand::Rng;
    let mut rng = payload::seeded("kill -9 during a batch of files");
    let entries: Entries = (0..20_000u64)
        .map(|n| {
            (
                format!("{}/{n}.jpg", n % 10),
                payload::bytes(n, 40 + n as usize % 500),
            )
        })
        .collect();
    let archive = tar(&entries);
    let mut told = 0;
    for (round, more) in ["", "&atomic=true", "", "&atomic=true"]
        .into_iter()
        .enumerate()
    {
        let mut gateway = Gateway::fresh("");
        let request = Request::new("POST", &format!("/d/?batch{more}")).body(&archive);
        let mut writer = std::net::TcpStream::connect(gateway.file()).unwrap();
        let mut reader = writer.try_clone().unwrap();
        let wire = request.to_bytes();
        let sending = std::thread::spawn(move || {
            let _ = std::io::Write::write_all(&mut writer, &wire);
        });
        let reading = std::thread::spawn(move || {
            let mut raw = Vec::new();
            let _ = std::io::Read::read_to_end(&mut reader, &mut raw);
            raw
        });
        std::thread::sleep(std::time::Duration::from_millis(
            rng.random_range(100..1500),
        ));
        gateway.kill9();
        sending.join().unwrap();
        let raw = reading.join().unwrap();
        gateway.restart();
        let files = gateway.files();
        let there = match files.get("/d/?usage=true").status {
            404 => 0,
            _ => files.usage("/d").0 as usize,
        };
        if !more.is_empty() {
            assert!(
                there == 0 || there == entries.len(),
                "{there} of an atomic batch"
            );
        }
        if raw.is_empty() {
            continue;
        }
        let (text, _) = dechunk(split_head(&raw).1);
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
        let stored = lines.filter(|line| line["eTag"].is_string()).count();
        assert!(
            there >= stored,
            "round {round}: {there} of {stored} that were told"
        );
        told += stored;
        let fresh = stored.saturating_sub(50);
        for at in (0..stored).step_by(97).chain(fresh..stored) {
            let (name, data) = &entries[at];
            files.assert_has(&format!("/d/{name}"), data);
        }
    }
    eprintln!("{told} lines were told before a kill");
}
