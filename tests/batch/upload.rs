//! `POST /batch`: what is taken, how it is told, what is kept.

use moongate_tests::http::{Part, Request};
use moongate_tests::{Gateway, payload};

use moongate_tests::archives::{self, Lines, assert_stored, gzip, samples, tar, zstd_of};
use moongate_tests::tools;

#[test]
fn every_entry_is_told_in_order_and_is_there() {
    let gateway = Gateway::fresh("");
    let files = samples();
    let response = gateway
        .send(&archives::upload("", &tar(&files)))
        .status(200);
    let lines = Lines::of(&response);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(lines.names(), names);
    let bytes: usize = files.iter().map(|(_, data)| data.len()).sum();
    assert_eq!(
        lines.last,
        serde_json::json!({"stored": files.len(), "failed": 0, "bytes": bytes})
    );
    for (line, (_, data)) in lines.entries.iter().zip(&files) {
        assert_eq!(line["size"], data.len());
    }
    let (jpeg, data) = (&lines.entries[5], &files[5].1);
    let quoted = format!("\"{}\"", jpeg["eTag"].as_str().unwrap());
    assert_eq!(quoted, payload::etag(data));
    assert_stored(&gateway, &lines, &files);
}

#[test]
fn packed_archives_are_told_by_their_first_bytes_or_by_their_encoding() {
    let gateway = Gateway::fresh("");
    let files = samples();
    let plain = tar(&files);
    let two_members = [gzip(&plain[..9000]), gzip(&plain[9000..])].concat();
    for (packed, encoding) in [
        (gzip(&plain), ""),
        (zstd_of(&plain), ""),
        (two_members, ""),
        (gzip(&plain), "gzip"),
        (zstd_of(&plain), "zstd"),
    ] {
        let mut request = archives::upload("", &packed).header("Content-Type", "application/x-tar");
        if !encoding.is_empty() {
            request = request.header("Content-Encoding", encoding);
        }
        let lines = Lines::of(&gateway.send(&request).status(200));
        assert_stored(&gateway, &lines, &files);
    }
    let wrong = archives::upload("", &plain).header("Content-Encoding", "gzip");
    gateway.send(&wrong).status(400);
    let unknown = archives::upload("", &plain).header("Content-Encoding", "br");
    assert!(
        gateway
            .send(&unknown)
            .status(400)
            .error()
            .contains("gzip, zstd or none")
    );
}

#[test]
fn what_other_programs_make_is_taken() {
    let gateway = Gateway::fresh("");
    let folder = tempfile::tempdir().unwrap();
    let files = samples();
    tools::lay_out(&folder.path().join("in"), &files);
    tools::run(
        folder.path(),
        "tar",
        &["--format=gnu", "-cf", "gnu.tar", "-C", "in", "."],
    );
    tools::run(
        folder.path(),
        "tar",
        &["--format=posix", "-czf", "posix.tar", "-C", "in", "."],
    );
    tools::run(
        folder.path(),
        "bsdtar",
        &["--format=pax", "-cf", "bsd.tar", "-C", "in", "."],
    );
    let script = "import sys,tarfile\nfor f,n in ((tarfile.PAX_FORMAT,'p'),(tarfile.GNU_FORMAT,'g')):\n t=tarfile.open('py-'+n,'w',format=f); t.add('in','.'); t.close()";
    tools::python(folder.path(), script, &[]);
    for name in ["gnu.tar", "posix.tar", "bsd.tar", "py-p", "py-g"] {
        let archive = std::fs::read(folder.path().join(name)).unwrap();
        let lines = Lines::of(&gateway.send(&archives::upload("", &archive)).status(200));
        let skipped = lines
            .entries
            .iter()
            .filter(|line| line["skipped"].is_string())
            .count();
        assert!(skipped > 20, "{name}: folders are told and lose nothing");
        assert_eq!(lines.last["stored"], files.len(), "{name}");
        let fids = lines.fids();
        for (path, data) in &files {
            let fid = fids.get(path).or_else(|| fids.get(&format!("./{path}")));
            let fid = fid.unwrap_or_else(|| panic!("{name}: {path}"));
            assert!(
                gateway.get(&format!("/{fid}")).status(200).body == *data,
                "{name}: {path}"
            );
        }
    }
}

#[test]
fn a_form_with_many_files_is_a_batch() {
    let gateway = Gateway::fresh("");
    let files = samples();
    let mut parts = vec![Part::field("comment", b"not a file")];
    let of_file = |(name, data): &(String, Vec<u8>)| Part::file(name, "image/jpeg", data);
    parts.extend(files.iter().map(of_file));
    let response = gateway
        .send(&Request::post_multipart("/batch", &parts))
        .status(200);
    let lines = Lines::of(&response);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(lines.names(), names);
    assert_stored(&gateway, &lines, &files);
    let first = lines.entries[0]["fid"].as_str().unwrap();
    let got = gateway.get(&format!("/{first}")).status(200);
    assert_eq!(got.expect_header("Content-Type"), "image/jpeg");
}

#[test]
fn name_time_and_parameters_are_kept_as_of_a_single_put() {
    let gateway = Gateway::fresh("");
    let archive = tar(&[("cats/tom.png".into(), payload::bytes(1, 100))]);
    let request =
        archives::upload("?collection=pets&ttl=3d", &archive).header("Seaweed-Label", "cat");
    let lines = Lines::of(&gateway.send(&request).status(200));
    let fid = lines.entries[0]["fid"].as_str().unwrap();
    let got = gateway.get(&format!("/{fid}")).status(200);
    assert_eq!(got.expect_header("Content-Type"), "image/png");
    assert_eq!(
        got.expect_header("Content-Disposition"),
        "inline; filename=\"cats/tom.png\""
    );
    assert_eq!(
        got.expect_header("Last-Modified"),
        "Tue, 14 Nov 2023 22:13:20 GMT"
    );
    assert_eq!(got.expect_header("Label"), "cat");
    let volume: u32 = fid.split(',').next().unwrap().parse().unwrap();
    let status = gateway.volume(volume);
    assert_eq!(status["Collection"], "pets");
    let dated = archives::upload("?ts=1000000000", &archive);
    let lines = Lines::of(&gateway.send(&dated).status(200));
    let got = gateway.get(&format!("/{}", lines.entries[0]["fid"].as_str().unwrap()));
    assert_eq!(
        got.expect_header("Last-Modified"),
        "Sun, 09 Sep 2001 01:46:40 GMT"
    );
    gateway
        .send(&archives::upload("?ttl=soon", &archive))
        .status(400);
    gateway
        .send(&archives::upload("?collection=a/b", &archive))
        .status(406);
    gateway
        .send(&archives::upload("?cm=true", &archive))
        .status(400);
    gateway
        .send(&archives::upload("?replication=001", &archive))
        .status(503);
}

#[test]
fn what_is_no_file_or_too_long_is_told_and_the_rest_is_stored() {
    let gateway = Gateway::fresh("[image]\nupload_bytes_max = '64 KiB'");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "link", "a.jpg").unwrap();
    let mut archive = builder.into_inner().unwrap();
    archive.truncate(512);
    let files = vec![
        ("a.jpg".to_owned(), payload::bytes(1, 64 << 10)),
        ("b.jpg".to_owned(), payload::bytes(2, (64 << 10) + 1)),
        ("c.jpg".to_owned(), payload::bytes(3, 10)),
    ];
    archive.extend_from_slice(&tar(&files));
    let lines = Lines::of(&gateway.send(&archives::upload("", &archive)).status(207));
    assert_eq!(lines.names(), ["link", "a.jpg", "b.jpg", "c.jpg"]);
    assert!(
        lines.entries[0]["error"]
            .as_str()
            .unwrap()
            .contains("symbolic link")
    );
    assert!(
        lines.entries[2]["error"]
            .as_str()
            .unwrap()
            .contains("65536 bytes")
    );
    assert_eq!(
        (&lines.last["stored"], &lines.last["failed"]),
        (&2.into(), &2.into())
    );
    assert_stored(&gateway, &lines, &[files[0].clone(), files[2].clone()]);
    let parts: Vec<Part> = files
        .iter()
        .map(|(name, data)| Part::file(name, "", data))
        .collect();
    let lines = Lines::of(
        &gateway
            .send(&Request::post_multipart("/batch", &parts))
            .status(207),
    );
    assert_eq!(lines.last["failed"], 1);
    assert_stored(&gateway, &lines, &[files[0].clone(), files[2].clone()]);
}

#[test]
fn ids_of_one_batch_do_not_tell_each_other() {
    let gateway = Gateway::fresh("");
    let lines = Lines::of(
        &gateway
            .send(&archives::upload("", &tar(&archives::many(50))))
            .status(200),
    );
    let cookies: std::collections::BTreeSet<String> = lines
        .fids()
        .values()
        .map(|fid| fid[fid.len() - 8..].to_owned())
        .collect();
    assert_eq!(cookies.len(), 50);
}
