//! Folders and lists sent as archives: other programs read them, and what is missing is named.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use moongate_tests::archives::{Files as Entries, samples, tar};
use moongate_tests::files::Files;
use moongate_tests::http::Request;
use moongate_tests::{Fid, Gateway, Response, payload, tools, volume};
use serde_json::Value;
use tempfile::tempdir;

/// The files of a tar, in order.
pub fn untar(archive: &[u8]) -> Entries {
    let mut reader = tar::Archive::new(archive);
    let entries = reader.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        (name, data)
    });
    entries.collect()
}

/// GET that takes trailers.
#[track_caller]
pub fn get(files: Files<'_>, target: &str) -> Response {
    files.send(&Request::get(target).header("TE", "trailers"))
}

fn list(files: Files<'_>, query: &str, lines: &[String]) -> Response {
    let request = Request::new("POST", &format!("/batch/get{query}")).header("TE", "trailers");
    files.send(&request.body(lines.join("\n").as_bytes()))
}

/// A gateway with the samples in `/d`, several of them in chunks and one in its row.
fn with_samples() -> (Gateway, Entries) {
    let gateway = Gateway::fresh("[file]\nchunk_bytes = '1 MiB'");
    let mut entries = samples();
    entries.push(("six.bin".into(), payload::bytes(6, 6 << 20)));
    gateway.files().store_all("/d/", &tar(&entries));
    gateway.files().put("/d/holes?offset=100000", b"end");
    let mut holes = vec![0; 100_000];
    holes.extend_from_slice(b"end");
    entries.push(("holes".into(), holes));
    (gateway, entries)
}

fn sorted(mut entries: Entries) -> Entries {
    entries.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    entries
}

#[test]
fn a_folder_as_tar_is_read_by_everybody() {
    let (gateway, entries) = with_samples();
    let answer = get(gateway.files(), "/d/?archive=tar").status(200);
    assert_eq!(answer.expect_header("Content-Type"), "application/x-tar");
    assert_eq!(
        answer.expect_header("Content-Disposition"),
        "attachment; filename=d.tar"
    );
    assert_eq!(answer.trailer("Moongate-Errors"), Some("0"));
    assert!(sorted(untar(&answer.body)) == sorted(entries.clone()));
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.tar"), &answer.body).unwrap();
    for by in ["gnu", "bsd", "python"] {
        fs::create_dir(folder.path().join(by)).unwrap();
    }
    let into = |by| ["-xf", "a.tar", "-C", by, "--no-same-owner"];
    tools::run(folder.path(), "tar", &into("gnu"));
    tools::run(folder.path(), "bsdtar", &into("bsd"));
    let script = "import tarfile\ntarfile.open('a.tar').extractall('python')";
    tools::python(folder.path(), script, &[]);
    for by in ["gnu", "bsd", "python"] {
        tools::assert_laid_out(&folder.path().join(by), &entries, by);
    }
}

#[test]
fn a_folder_as_zip_is_read_by_everybody() {
    let (gateway, entries) = with_samples();
    let answer = get(gateway.files(), "/d/?archive=zip").status(200);
    assert_eq!(answer.expect_header("Content-Type"), "application/zip");
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.zip"), &answer.body).unwrap();
    let script = "import zipfile\nz=zipfile.ZipFile('a.zip')\nassert z.testzip() is None\nz.extractall('python')";
    tools::python(folder.path(), script, &[]);
    fs::create_dir(folder.path().join("bsd")).unwrap();
    tools::run(folder.path(), "bsdtar", &["-xf", "a.zip", "-C", "bsd"]);
    for by in ["bsd", "python"] {
        tools::assert_laid_out(&folder.path().join(by), &entries, by);
    }
}

#[test]
fn a_folder_as_multipart_is_read_by_pythons_email_package() {
    let (gateway, entries) = with_samples();
    let answer = get(gateway.files(), "/d/?archive=multipart").status(200);
    let kind = answer.expect_header("Content-Type").to_owned();
    assert!(kind.starts_with("multipart/mixed; boundary="), "{kind}");
    let folder = tempdir().unwrap();
    let mut message = format!("Content-Type: {kind}\r\n\r\n").into_bytes();
    message.extend_from_slice(&answer.body);
    fs::write(folder.path().join("a.eml"), &message).unwrap();
    let script = "\
import email, email.policy, os
m = email.message_from_binary_file(open('a.eml', 'rb'), policy=email.policy.HTTP)
for p in m.iter_parts():
    name = os.path.join('python', p.get_filename())
    os.makedirs(os.path.dirname(name), exist_ok=True)
    open(name, 'wb').write(p.get_payload(decode=True))
print(len(list(m.iter_parts())))";
    let count = tools::python(folder.path(), script, &[]);
    assert_eq!(count.trim(), entries.len().to_string());
}

#[test]
fn sub_folders_empty_folders_and_other_words() {
    let (gateway, entries) = with_samples();
    let files = gateway.files();
    let answer = get(files, "/d/train?archive=tar").status(200);
    let inside = untar(&answer.body);
    assert_eq!(
        inside.len(),
        entries
            .iter()
            .filter(|(name, _)| name.starts_with("train/"))
            .count()
    );
    assert!(
        inside.iter().all(|(name, _)| !name.contains('/')),
        "names begin in the folder"
    );
    files.post("/empty/").status(201);
    assert!(untar(&get(files, "/empty/?archive=tar").status(200).body).is_empty());
    get(files, "/d/?archive=rar").status(400).error();
    get(files, "/d/?archive=tar&order=none").status(400).error();
    get(files, "/missing/?archive=tar").status(404);
    let stored = untar(&get(files, "/d/?archive=tar&order=stored").status(200).body);
    assert!(sorted(stored) == sorted(entries.clone()));
    // All of it, from the root.
    let all = untar(&get(files, "/?archive=tar").status(200).body);
    assert_eq!(all.len(), entries.len());
    assert!(all.iter().all(|(name, _)| name.starts_with("d/")));
}

#[test]
fn a_list_is_sent_in_its_order_under_its_names() {
    let (gateway, entries) = with_samples();
    let files = gateway.files();
    let lines: Vec<String> = entries
        .iter()
        .rev()
        .enumerate()
        .map(|(n, (name, _))| match n % 2 {
            0 => serde_json::json!(format!("/d/{name}")).to_string(),
            _ => serde_json::json!({"path": format!("/d/{name}"), "name": format!("own/{n}")})
                .to_string(),
        })
        .collect();
    let got = untar(&list(files, "", &lines).status(200).body);
    assert_eq!(got.len(), entries.len());
    for (n, ((name, data), (was, want))) in got.iter().zip(entries.iter().rev()).enumerate() {
        let called = if n % 2 == 0 {
            format!("d/{was}")
        } else {
            format!("own/{n}")
        };
        assert_eq!(*name, called);
        assert!(data == want, "{name}");
    }
    // The same twice is there twice.
    let twice = vec!["\"/d/holes\"".to_owned(); 2];
    let names: Vec<String> = untar(&list(files, "", &twice).status(200).body)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["d/holes", "d/holes-2"]);
    assert!(untar(&list(files, "", &[]).status(200).body).is_empty());
    for query in ["?format=rar", "?order=up"] {
        list(files, query, &twice).status(400).error();
    }
}

/// The lines of the last entry.
#[track_caller]
fn errors(answer: &Response, entries: &Entries) -> Vec<Value> {
    let (name, text) = entries.last().unwrap();
    assert_eq!(name, "MOONGATE-ERRORS.jsonl");
    let lines: Vec<Value> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(
        answer.trailer("Moongate-Errors"),
        Some(lines.len().to_string().as_str())
    );
    lines
}

/// The needle of a file's nth chunk.
fn chunk(files: Files<'_>, path: &str, n: usize) -> Fid {
    let said = files.metadata(path);
    said["chunks"][n]["file_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Flips a bit in the middle of each needle's data, on the disk of a stopped gateway.
fn flip(gateway: &Gateway, fids: &[Fid]) {
    // All are found first: what is damaged cannot be read any more.
    let places: Vec<(std::path::PathBuf, u64)> =
        fids.iter().map(|fid| place(gateway, *fid)).collect();
    for (path, at) in places {
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ 1]).unwrap();
    }
}

/// The file of a needle's volume, and where the middle of its data is.
fn place(gateway: &Gateway, fid: Fid) -> (std::path::PathBuf, u64) {
    let path = volume::with_suffix(&gateway.volume_base(fid.volume), "dat");
    let dat = volume::read_dat(&path, None).unwrap();
    let mut records = dat.records.iter().rev();
    let record = records.find(|record| record.key == fid.key && !record.is_bare());
    let record = record.unwrap_or_else(|| panic!("{fid} is not in {}", path.display()));
    (path, record.offset + 20 + record.data.len() as u64 / 2)
}

#[test]
fn what_is_missing_or_damaged_is_named_and_nothing_else_is_touched() {
    let (mut gateway, entries) = with_samples();
    let files = gateway.files();
    // One needle is gone, one is damaged; of a file of several chunks a later one is.
    gateway
        .delete(&chunk(files, "/d/train/511.jpg", 0).path())
        .status(202);
    let damaged = [
        chunk(files, "/d/train/5000.jpg", 0),
        chunk(files, "/d/six.bin", 4),
    ];
    gateway.terminate();
    flip(&gateway, &damaged);
    gateway.restart();
    let files = gateway.files();
    let lost = ["six.bin", "train/5000.jpg", "train/511.jpg"];
    let want: Entries = entries
        .iter()
        .filter(|(name, _)| !lost.contains(&name.as_str()))
        .cloned()
        .collect();
    for query in ["", "&order=stored"] {
        let answer = get(files, &format!("/d/?archive=tar{query}")).status(200);
        let mut got = untar(&answer.body);
        let mut named: Vec<String> = errors(&answer, &got)
            .iter()
            .map(|line| {
                assert!(line["error"].is_string(), "{line}");
                line["name"].as_str().unwrap().to_owned()
            })
            .collect();
        named.sort();
        assert_eq!(named, lost);
        got.pop();
        assert!(sorted(got) == sorted(want.clone()), "{query}");
    }
    let lines: Vec<String> = [
        "/d/train/5000.jpg",
        "/d/no such file",
        "/d",
        "/d/train/0.jpg",
    ]
    .iter()
    .map(|path| format!("{path:?}"))
    .collect();
    let answer = list(files, "", &lines).status(200);
    let got = untar(&answer.body);
    assert_eq!(got.len(), 2);
    let named: Vec<String> = errors(&answer, &got)
        .iter()
        .map(|line| line["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, ["d/train/5000.jpg", "d/no such file", "d"]);
    let answer = list(files, "?format=zip", &lines).status(200);
    assert_eq!(answer.trailer("Moongate-Errors"), Some("3"));
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.zip"), &answer.body).unwrap();
    let script = "import zipfile\nz=zipfile.ZipFile('a.zip')\nassert z.testzip() is None\nprint(z.namelist()[-1])";
    assert_eq!(
        tools::python(folder.path(), script, &[]).trim(),
        "MOONGATE-ERRORS.jsonl"
    );
    // By themselves they are an error, never other bytes; a range of what is sound is served.
    files.get("/d/train/5000.jpg").status(500);
    files.get("/d/train/511.jpg").status(500);
    let sound = files.send(&Request::get("/d/six.bin").header("Range", "bytes=0-99"));
    let (_, six) = entries.iter().find(|(name, _)| name == "six.bin").unwrap();
    assert_eq!(sound.status(206).body, six[..100]);
    let mut connection = files.connect();
    let cut = connection.send(&Request::get("/d/six.bin"));
    assert!(
        cut.is_err() || cut.is_ok_and(|answer| answer.status == 500),
        "a body that cannot be whole is cut"
    );
    // Stored again, all is well.
    files.put("/d/train/5000.jpg", b"new");
    files.delete("/d/train/511.jpg").status(204);
    files.delete("/d/six.bin").status(204);
    let answer = get(files, "/d/?archive=tar").status(200);
    assert_eq!(answer.trailer("Moongate-Errors"), Some("0"));
}

#[test]
fn a_file_called_as_the_list_of_errors_is_not_taken_for_it() {
    let gateway = Gateway::fresh("");
    let files = gateway.files();
    files.put("/d/MOONGATE-ERRORS.jsonl", b"mine");
    let got = untar(&get(files, "/d/?archive=tar").status(200).body);
    assert_eq!(
        got,
        [("MOONGATE-ERRORS-2.jsonl".to_owned(), b"mine".to_vec())]
    );
}

#[test]
fn an_archive_put_back_is_the_folder_again() {
    let (gateway, entries) = with_samples();
    let files = gateway.files();
    let answer = get(files, "/d/?archive=tar").status(200);
    files.store_all("/again/", &answer.body);
    let again = get(files, "/again/?archive=tar").status(200);
    assert!(sorted(untar(&again.body)) == sorted(entries));
    assert!(again.body == answer.body, "times and modes too");
}

#[test]
fn lists_delete_what_they_name() {
    let (gateway, entries) = with_samples();
    let files = gateway.files();
    let lines = [
        "\"/d/train/0.jpg\"",
        "\"/d/none\"",
        "{\"path\":\"/d/train\"}",
        "\"/d/holes\"",
    ]
    .join("\n");
    let request = Request::new("POST", "/batch/delete").body(lines.as_bytes());
    let answer = files.send(&request).status(207);
    let lines = moongate_tests::archives::Lines::of(&answer);
    assert_eq!(lines.entries[0]["path"], "/d/train/0.jpg");
    assert_eq!(lines.entries[3]["size"], 100_003);
    for failed in [1, 2] {
        assert!(lines.entries[failed]["error"].is_string());
    }
    assert_eq!(lines.last["deleted"], 2);
    assert_eq!(lines.last["failed"], 2);
    assert_eq!(files.usage("/d").0 as usize, entries.len() - 2);
    let request = Request::new("POST", "/batch/delete?recursive=true").body(b"\"/d/train\"");
    files.send(&request).status(200);
    files.get("/d/train/").status(404);
    crate::space::assert_only_what_is_named_lives(&gateway);
}
