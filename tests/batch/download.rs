//! `POST /batch/get`: archives that other programs read, and that never lack anything in silence.

use std::fs;

use moongate_tests::http::{Request, Response};
use moongate_tests::{Gateway, payload, volume};
use serde_json::Value;

use moongate_tests::archives::{Lines, many, samples, stored, untar, upload};
use moongate_tests::tools;

fn get(query: &str, list: &[String]) -> Request {
    Request::new("POST", &format!("/batch/get{query}")).body(list.join("\n").as_bytes())
}

#[track_caller]
fn archive(gateway: &Gateway, query: &str, list: &[String]) -> Response {
    gateway.send(&get(query, list)).status(200)
}

#[test]
fn gnu_tar_bsdtar_and_python_read_the_tar() {
    let gateway = Gateway::fresh("");
    let files = samples();
    let list = stored(&gateway, &files);
    let folder = tempfile::tempdir().unwrap();
    let answer = archive(&gateway, "?format=tar", &list);
    assert_eq!(answer.expect_header("Content-Type"), "application/x-tar");
    assert!(untar(&answer.body) == files, "in the order asked");
    fs::write(folder.path().join("a.tar"), &answer.body).unwrap();
    let python = "import tarfile\nt=tarfile.open('a.tar')\nassert all(m.mtime==1700000000 and m.mode==0o644 for m in t)\nt.extractall('python')";
    for by in ["gnu", "bsd", "python"] {
        fs::create_dir(folder.path().join(by)).unwrap();
    }
    tools::run(
        folder.path(),
        "tar",
        &["-xf", "a.tar", "-C", "gnu", "--no-same-owner"],
    );
    tools::run(
        folder.path(),
        "bsdtar",
        &["-xf", "a.tar", "-C", "bsd", "--no-same-owner"],
    );
    tools::python(folder.path(), python, &[]);
    for by in ["gnu", "bsd", "python"] {
        tools::assert_laid_out(&folder.path().join(by), &files, by);
    }
}

#[test]
fn unzip_bsdtar_and_python_read_the_zip() {
    let gateway = Gateway::fresh("");
    let files = samples();
    let list = stored(&gateway, &files);
    let folder = tempfile::tempdir().unwrap();
    let answer = gateway
        .send(&get("", &list).header("Accept", "application/zip"))
        .status(200);
    assert_eq!(answer.expect_header("Content-Type"), "application/zip");
    fs::write(folder.path().join("a.zip"), &answer.body).unwrap();
    let python = "import zipfile\nz=zipfile.ZipFile('a.zip')\nassert z.testzip() is None\nassert all(i.date_time==(2023,11,14,22,13,20) for i in z.infolist()),z.infolist()\nz.extractall('python')";
    for by in ["unzip", "bsd", "stream", "python"] {
        fs::create_dir(folder.path().join(by)).unwrap();
    }
    tools::run(folder.path(), "unzip", &["-q", "a.zip", "-d", "unzip"]);
    tools::run(folder.path(), "bsdtar", &["-xf", "a.zip", "-C", "bsd"]);
    // From a pipe nobody sees the directory at the end: each entry's own header has to do.
    tools::run(
        folder.path(),
        "sh",
        &["-c", "cat a.zip | bsdtar -xf - -C stream"],
    );
    tools::python(folder.path(), python, &[]);
    for by in ["unzip", "bsd", "stream", "python"] {
        tools::assert_laid_out(&folder.path().join(by), &files, by);
    }
}

#[test]
fn python_reads_the_multipart() {
    let gateway = Gateway::fresh("");
    let files = samples();
    let list = stored(&gateway, &files);
    let answer = archive(&gateway, "?format=multipart", &list);
    let folder = tempfile::tempdir().unwrap();
    let head = format!(
        "Content-Type: {}\r\n\r\n",
        answer.expect_header("Content-Type")
    );
    fs::write(
        folder.path().join("a.eml"),
        [head.as_bytes(), &answer.body].concat(),
    )
    .unwrap();
    let script = "import email,email.policy,json,hashlib\nm=email.message_from_bytes(open('a.eml','rb').read(),policy=email.policy.HTTP)\nprint(json.dumps([[p.get_filename(),hashlib.sha256(p.get_payload(decode=True)).hexdigest()] for p in m.iter_parts()]))";
    let told: Value = serde_json::from_str(&tools::python(folder.path(), script, &[])).unwrap();
    let want: Vec<Value> = files
        .iter()
        .map(|(name, data)| serde_json::json!([name, payload::sha256(data)]))
        .collect();
    assert_eq!(told, Value::Array(want));
}

#[test]
fn the_order_is_the_clients_or_that_of_the_disk() {
    let gateway = Gateway::fresh("");
    let files = many(3000);
    let mut list = stored(&gateway, &files);
    list.reverse();
    let mut reversed = files.clone();
    reversed.reverse();
    assert!(untar(&archive(&gateway, "?order=asked", &list).body) == reversed);
    assert!(untar(&archive(&gateway, "?order=stored", &list).body) == files);
    gateway.send(&get("?order=random", &list)).status(400);
    gateway.send(&get("?format=rar", &list)).status(400);
}

#[test]
fn what_is_missing_is_named_at_the_end_and_counted_in_a_trailer() {
    let gateway = Gateway::fresh("");
    let files = many(10);
    let mut list = stored(&gateway, &files);
    let line: Value = serde_json::from_str(&list[3]).unwrap();
    let fid = line["fid"].as_str().unwrap();
    gateway.delete(&format!("/{fid}")).status(202);
    let other_cookie = format!("\"{}00000000\"", &fid[..fid.len() - 8]);
    list.extend(["\"999,01aabbccdd\"".to_owned(), other_cookie]);
    let got = untar(&archive(&gateway, "", &list).body);
    assert_eq!(got.len(), 10, "nine images, and what is missing");
    let (name, lines) = got.last().unwrap();
    assert_eq!(name, "MOONGATE-ERRORS.jsonl");
    let lines: Vec<Value> = lines
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[0]["fid"], &lines[0]["name"], &lines[0]["error"]),
        (&line["fid"], &line["name"], &"not found".into())
    );
    assert_eq!(lines[1]["error"], "volume 999 not found");
    let mut connection = moongate_tests::http::Connection::open(gateway.image()).unwrap();
    let request = get("", &list)
        .header("TE", "trailers")
        .header("Connection", "close, TE");
    connection.write(&request.to_bytes()).unwrap();
    let answer = connection.receive_rest();
    let (_, end) =
        moongate_tests::archives::dechunk(moongate_tests::archives::split_head(&answer).1);
    assert!(end.unwrap().to_lowercase().contains("moongate-errors: 3"));
}

#[test]
fn a_flipped_bit_is_named_and_hurts_no_neighbour() {
    let mut gateway =
        Gateway::fresh("[haystack]\nvolumes_per_growth = 1\nscrub_bytes_per_sec = '0 B'");
    let files = many(200);
    let list = stored(&gateway, &files);
    gateway.terminate();
    let base = volume::bases(gateway.data()).pop().unwrap();
    let path = volume::with_suffix(&base, "dat");
    let mut bytes = fs::read(&path).unwrap();
    let victim = &files[77].1;
    let at = bytes
        .windows(victim.len())
        .position(|it| it == victim)
        .unwrap();
    bytes[at + 5] ^= 4;
    fs::write(&path, bytes).unwrap();
    gateway.restart();
    for query in ["", "?order=stored", "?format=zip"] {
        let answer = archive(&gateway, query, &list);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            text.contains("MOONGATE-ERRORS.jsonl") && text.contains("is damaged"),
            "{query}"
        );
        if query != "?format=zip" {
            let got = untar(&answer.body);
            let mut want = files.clone();
            want.remove(77);
            assert!(got[..199] == want, "{query}");
        }
    }
}

#[test]
fn names_are_safe_and_each_comes_once() {
    let gateway = Gateway::fresh("");
    let fid = gateway.store("image/png", b"picture");
    let lines: Vec<String> = [
        format!("{{\"fid\":\"{fid}\",\"name\":\"a.png\"}}"),
        format!("{{\"fid\":\"{fid}\",\"name\":\"a.png\"}}"),
        format!("{{\"fid\":\"{fid}\",\"name\":\"MOONGATE-ERRORS.jsonl\"}}"),
        format!("\"{fid}\""),
    ]
    .into();
    let names: Vec<String> = untar(&archive(&gateway, "", &lines).body)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    // Put to its id alone, it has no name of its own: its id and type make one.
    assert_eq!(
        names,
        [
            "a.png",
            "a-2.png",
            "MOONGATE-ERRORS-2.jsonl",
            &format!("{fid}.png")
        ]
    );
    for name in ["../a", "/a", "a/../b", "a\\\\b", "a\\u0000"] {
        let line = format!("{{\"fid\":\"{fid}\",\"name\":\"{name}\"}}");
        let error = gateway.send(&get("", &[line])).status(400).error();
        assert!(error.contains("line 1"), "{error}");
    }
}

#[test]
fn what_is_stored_as_gzip_comes_unpacked() {
    let gateway = Gateway::fresh("");
    let text = payload::text(200_000);
    let list = stored(&gateway, &[("a.txt".into(), text.clone())]);
    assert!(untar(&archive(&gateway, "", &list).body) == [("a.txt".to_owned(), text)]);
}

#[test]
fn a_list_that_is_none_or_too_long_is_refused() {
    let gateway = Gateway::fresh("[image]\nbatch_list_bytes_max = '1 KiB'");
    let error = gateway
        .send(&get("", &["{\"fid\":3}".into()]))
        .status(400)
        .error();
    assert!(error.contains("line 1"), "{error}");
    let long = vec!["\"1,01aabbccdd\"".to_owned(); 100];
    let error = gateway.send(&get("", &long)).status(400).error();
    assert!(error.contains("batch_list_bytes_max"), "{error}");
    assert!(
        untar(&archive(&gateway, "", &[]).body).is_empty(),
        "an empty list, an empty archive"
    );
}

#[test]
fn a_zip_of_more_entries_than_16_bits_can_count() {
    let gateway = Gateway::fresh("");
    let files = many(66_000);
    let response = gateway
        .send(&upload("", &moongate_tests::archives::tar(&files)))
        .status(200);
    let lines = Lines::of(&response);
    assert_eq!(lines.last["stored"], 66_000);
    let list: Vec<String> = lines
        .entries
        .iter()
        .map(|line| line["fid"].to_string())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let answer = archive(&gateway, "?format=zip&order=stored", &list);
    fs::write(folder.path().join("a.zip"), &answer.body).unwrap();
    let python = "import zipfile\nz=zipfile.ZipFile('a.zip')\nn=z.namelist()\nassert z.testzip() is None\nprint(len(n),len(set(n)),n[65999],len(z.read(n[65999])))";
    assert_eq!(
        tools::python(folder.path(), python, &[]),
        format!("66000 66000 065999.jpg {}\n", files[65_999].1.len())
    );
    tools::run(folder.path(), "unzip", &["-tq", "a.zip"]);
    assert_eq!(
        tools::run(folder.path(), "bsdtar", &["-tf", "a.zip"])
            .lines()
            .count(),
        66_000
    );
}
