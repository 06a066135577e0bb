//! Many files in one call, into mounts and out of them: the same lines and archives as of the gateway's own files.

use moongate_tests::archives::{Files as Entries, Lines, many, samples, tar, untar};
use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::beds::s3::S3;
use moongate_tests::files::Files;
use moongate_tests::http::Part;
use moongate_tests::{Gateway, Request, payload, tools};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::door::{Door, mount};
use crate::mounted::{Mounted, metric};

#[test]
fn a_folder_of_this_machine() {
    let door = Door::open();
    carries_many(door.gateway.files());
}

#[test]
fn hdfs() {
    let mounted = Mounted::hdfs(Hdfs::shared(), "many", "", "ttl = '1h'\n");
    carries_many(mounted.gateway.files());
}

#[test]
fn s3() {
    carries_many(Mounted::s3(S3::shared(), "many").gateway.files());
}

fn carries_many(files: Files<'_>) {
    let entries = entries();
    stored_in_one_body(files, &entries);
    sent_as_archives(files, &entries);
    named_in_a_list(files);
    posted_as_a_form(files);
    deleted_by_a_list(files);
    dealt_in_shards(files);
    all_or_nothing_is_not_for_mounts(files);
    one_body_for_several_stores(files);
}

/// Names and lengths where mistakes hide, and one that is longer than what is read at once.
fn entries() -> Entries {
    let mut entries = samples();
    entries.push(("six.bin".into(), payload::bytes(6, 6 << 20)));
    entries.extend(many(200));
    entries
}

/// Without the tags, which each store makes by itself.
fn without_tags(lines: &[Value]) -> Vec<Value> {
    let mut lines = lines.to_vec();
    for line in &mut lines {
        if let Some(line) = line.as_object_mut() {
            line.remove("eTag");
        }
    }
    lines
}

fn sorted(mut entries: Entries) -> Entries {
    entries.sort();
    entries
}

fn get(files: Files<'_>, target: &str) -> moongate_tests::Response {
    files.send(&Request::get(target).header("TE", "trailers"))
}

fn stored_in_one_body(files: Files<'_>, entries: &Entries) {
    let archive = tar(entries);
    let own = files.store_all("/own/b/", &archive);
    let there = files.store_all("/m/b/", &archive);
    assert_eq!(without_tags(&there.entries), without_tags(&own.entries));
    assert_eq!(there.last, own.last);
    for (name, bytes) in entries.iter().filter(|(name, _)| name.is_ascii()) {
        files.assert_has(&format!("/m/b/{name}"), bytes);
    }
    assert_eq!(files.usage("/m/b").0, entries.len() as u64);
}

fn sent_as_archives(files: Files<'_>, entries: &Entries) {
    let answer = get(files, "/m/b?archive=tar").status(200);
    assert_eq!(answer.expect_header("Content-Type"), "application/x-tar");
    let name = "attachment; filename=b.tar";
    assert_eq!(answer.expect_header("Content-Disposition"), name);
    assert_eq!(answer.trailer("Moongate-Errors"), Some("0"));
    assert!(sorted(untar(&answer.body)) == sorted(entries.clone()));
    let folder = tempdir().unwrap();
    let zip = get(files, "/m/b/?archive=zip").status(200);
    std::fs::write(folder.path().join("a.zip"), &zip.body).unwrap();
    let script = "import zipfile\nz=zipfile.ZipFile('a.zip')\nassert z.testzip() is None\nprint(len(z.namelist()))";
    let count = tools::python(folder.path(), script, &[]);
    assert_eq!(count.trim(), entries.len().to_string());
    // The mount is in it too.
    let both = untar(&get(files, "/?archive=tar").status(200).body);
    for (name, bytes) in entries {
        let has = |path: String| {
            both.iter()
                .any(|(name, data)| *name == path && data == bytes)
        };
        assert!(
            has(format!("m/b/{name}")) && has(format!("own/b/{name}")),
            "{name}"
        );
    }
    get(files, "/m/b?archive=rar").status(400).error();
    get(files, "/m/nothing?archive=tar").status(404);
    get(files, "/m/b/six.bin?archive=tar").status(409);
}

fn list(files: Files<'_>, path: &str, lines: &[Value]) -> moongate_tests::Response {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    let request = Request::new("POST", path).header("TE", "trailers");
    files.send(&request.body(text.join("\n").as_bytes()))
}

fn named_in_a_list(files: Files<'_>) {
    let wanted = [
        json!("/m/b/000007.jpg"),
        json!({ "path": "/m/b/six.bin", "name": "x/6" }),
        json!("/m/b/not-there"),
        json!("/own/b/000008.jpg"),
        json!("/m/b/train"),
        json!({ "path": "/m/b/train/0.jpg", "name": "zero" }),
    ];
    let answer = list(files, "/batch/get", &wanted).status(200);
    assert_eq!(answer.trailer("Moongate-Errors"), Some("2"));
    let sent = untar(&answer.body);
    let names: Vec<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "m/b/000007.jpg",
            "x/6",
            "own/b/000008.jpg",
            "zero",
            "MOONGATE-ERRORS.jsonl"
        ]
    );
    assert!(sent[0].1 == payload::bytes(7, 47) && sent[1].1 == payload::bytes(6, 6 << 20));
    let errors = String::from_utf8(sent[4].1.clone()).unwrap();
    let lines: Vec<Value> = errors
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["path"], &lines[1]["path"]),
        (&"/m/b/not-there".into(), &"/m/b/train".into())
    );
}

fn posted_as_a_form(files: Files<'_>) {
    let parts = [
        Part::file("one.txt", "text/plain", b"first"),
        Part::file("two.bin", "", b"the second"),
    ];
    let post = |folder: &str, parts: &[Part]| {
        let answer = files.send(&Request::post_multipart(folder, parts));
        answer.status(201).json()
    };
    let (own, there) = (post("/own/f/", &parts), post("/m/f/", &parts));
    let told = |said: &Value| -> Vec<(Value, Value)> {
        let all = said["files"].as_array().unwrap().iter();
        all.map(|file| (file["name"].clone(), file["size"].clone()))
            .collect()
    };
    assert_eq!(told(&there), told(&own));
    files.assert_has("/m/f/one.txt", b"first");
    files.assert_has("/m/f/two.bin", b"the second");
    let one = post("/m/f/renamed", &parts[..1]);
    assert_eq!((&one["name"], &one["size"]), (&"renamed".into(), &5.into()));
    files.assert_has("/m/f/renamed", b"first");
}

fn deleted_by_a_list(files: Files<'_>) {
    let wanted = [
        json!("/m/b/000001.jpg"),
        json!("/m/b/not-there"),
        json!("/own/b/000001.jpg"),
        json!("/m/b/000002.jpg"),
        json!("/m/b/train"),
        json!("/m"),
    ];
    let lines = Lines::of(&list(files, "/batch/delete", &wanted).status(207));
    let told = |line: &Value| (line["path"].clone(), line["size"].as_u64());
    let told: Vec<(Value, Option<u64>)> = lines.entries.iter().map(told).collect();
    let sizes = [Some(41), None, Some(41), Some(42), None, None];
    for ((path, size), (want, want_size)) in told.iter().zip(wanted.iter().zip(sizes)) {
        assert_eq!((path, *size), (want, want_size), "{told:?}");
    }
    assert_eq!(
        (
            &lines.last["deleted"],
            &lines.last["failed"],
            &lines.last["bytes"]
        ),
        (&3.into(), &3.into(), &124.into())
    );
    files.get("/m/b/000001.jpg").status(404);
    files.assert_has("/m/b/train/1.jpg", &payload::bytes(1, 1));
    let path = "/batch/delete?recursive=true";
    let lines = Lines::of(&list(files, path, &[json!("/m/b/train")]).status(200));
    assert_eq!(lines.last["deleted"], 1);
    files.get("/m/b/train/1.jpg").status(404);
}

/// The same samples in the same order as of the same folder of the gateway's own.
fn dealt_in_shards(files: Files<'_>) {
    let mut entries = Entries::new();
    for n in 0..40 {
        entries.push((format!("{}/{n:03}.jpg", n % 3), payload::bytes(n, 900)));
        entries.push((format!("{}/{n:03}.json", n % 3), payload::text(n as usize)));
    }
    for folder in ["/own/t/", "/m/t/"] {
        files.store_all(folder, &tar(&entries));
    }
    let mut all = Entries::new();
    for shard in 0..3 {
        let of = |folder: &str| {
            let answer = get(files, &format!("{folder}?shards=3&shard={shard}&seed=7")).status(200);
            assert_eq!(answer.expect_header("Moongate-Samples"), "40");
            assert_eq!(answer.trailer("Moongate-Errors"), Some("0"));
            let again = answer.expect_header("Moongate-At");
            let again = format!("{folder}?shards=3&shard={shard}&seed=7&at={again}");
            assert!(get(files, &again).status(200).body == answer.body);
            untar(&answer.body)
        };
        let (own, there) = (of("/own/t/"), of("/m/t/"));
        assert!(own == there && there.len() > 20);
        all.extend(there);
    }
    assert!(sorted(all) == sorted(entries));
    // Whatever is in one of the two, of a folder that has both.
    let both = get(files, "/?shards=1&shard=0").status(200);
    let names: Vec<String> = untar(&both.body)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for name in ["m/t/0/000.jpg", "own/t/0/000.jpg"] {
        assert!(names.iter().any(|it| it == name), "{name}");
    }
    get(files, "/m/nothing?shards=2").status(404);
}

fn all_or_nothing_is_not_for_mounts(files: Files<'_>) {
    let archive = tar(&many(3));
    let answer = files.batch("/m/atomic/", "&atomic=true", &archive);
    assert_eq!(answer.status, 400, "{}", answer.summary());
    files.get("/m/atomic/000000.jpg").status(404);
}

/// An archive whose paths lead into a mount and out of it.
fn one_body_for_several_stores(files: Files<'_>) {
    let entries: Entries = [("m/s/1", b"one"), ("own/s/2", b"two"), ("m/s/3", b"333")]
        .map(|(name, data)| (name.to_owned(), data.to_vec()))
        .into();
    let lines = files.store_all("/", &tar(&entries));
    assert_eq!(lines.names(), ["m/s/1", "own/s/2", "m/s/3"]);
    for (name, bytes) in &entries {
        files.assert_has(&format!("/{name}"), bytes);
    }
    assert_eq!(files.names("/m/s"), ["1", "3"]);
    assert_eq!(files.names("/own/s"), ["2"]);
}

#[test]
fn a_store_that_takes_no_more_ends_the_batch() {
    let config = "[[mount]]\npath = '/gone'\nstore = 'file:///nothing/here'\n";
    let door = Door::with(config);
    let answer = door.gateway.files().batch("/gone/", "", &tar(&many(5000)));
    assert_eq!(answer.status, 503, "{}", answer.summary());
    let lines = Lines::of(&answer);
    assert_eq!(lines.last["stored"], 0);
    assert!(
        lines.last["error"]
            .as_str()
            .unwrap()
            .contains("/nothing/here")
    );
}

/// The cache believes what it was told an hour ago, until it reads.
#[test]
fn what_was_replaced_since_it_was_seen_is_sent_as_it_is_now() {
    let folder = tempdir().unwrap();
    let put = |name: &str, len| std::fs::write(folder.path().join(name), vec![7; len]).unwrap();
    put("short", 1000);
    put("long", 6 << 20);
    let config = format!("{}ttl = '1h'\n", mount("/m", folder.path()));
    let gateway = Gateway::fresh(&config);
    assert_eq!(gateway.files().names("/m/"), ["long", "short"]);
    put("short", 2000);
    put("long", 7 << 20);
    let answer = get(gateway.files(), "/m/?archive=tar").status(200);
    assert_eq!(answer.trailer("Moongate-Errors"), Some("0"));
    let lens: Vec<usize> = untar(&answer.body)
        .iter()
        .map(|(_, data)| data.len())
        .collect();
    assert_eq!(lens, [7 << 20, 2000]);
}

/// A tree as large as several times what the cache and a batch may hold.
#[test]
fn what_is_carried_is_not_held() {
    let door = Door::with("[cache]\nmemory = '16MiB'\n");
    for number in 0..24 {
        door.file(&format!("t/{number}"), &vec![number; 12 << 20]);
    }
    let before = door.gateway.resident_bytes();
    let answer = door.gateway.files().get("/m/t?archive=tar").status(200);
    assert_eq!(untar(&answer.body).len(), 24);
    let after = door.gateway.resident_bytes();
    assert!(after < before + (96 << 20), "{before} {after}");
    assert!(metric(&door.gateway, "cache_ram_bytes") <= 16 << 20);
}
