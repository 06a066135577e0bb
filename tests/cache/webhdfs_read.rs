//! Reading over WebHDFS, as Hadoop's and Python's clients do it.

use moongate_tests::{Connection, Gateway, Request};

use crate::door::{Door, WebHdfs, mount, request};
use crate::mounted::metric;

#[test]
fn bytes_come_directly_from_an_offset_to_a_length() {
    let door = Door::open();
    door.file("f", b"hello moon");
    let hdfs = door.hdfs();
    let get = |query: &str| hdfs.once("GET", "/m/f", query, &[]).status(200).body;
    assert_eq!(get("op=OPEN"), b"hello moon");
    assert_eq!(get("op=OPEN&buffersize=65536&offset=6"), b"moon");
    assert_eq!(get("OP=open&Offset=2&LENGTH=3"), b"llo");
    assert_eq!(get("op=OPEN&length=0"), b"");
    assert_eq!(get("op=OPEN&length=9999"), b"hello moon");
    let answer = hdfs.once("GET", "/m/f", "op=OPEN&offset=6", &[]);
    assert_eq!(answer.header("content-length"), Some("4"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
}

#[test]
fn an_offset_at_the_end_is_out_of_range_but_of_an_empty_file() {
    let door = Door::open();
    door.file("f", b"hello\n");
    door.file("empty", b"");
    let (status, class, message) = door.hdfs().refusal("GET", "/m/f", "op=OPEN&offset=6");
    assert_eq!((status, class.as_str()), (403, "java.io.IOException"));
    assert_eq!(message, "Offset=6 out of the range [0, 6); OPEN, path=/m/f");
    assert_eq!(
        door.hdfs()
            .get("/m/empty", "op=OPEN&offset=0")
            .status(200)
            .body,
        b""
    );
}

#[test]
fn one_connection_carries_many_reads() {
    let door = Door::open();
    let large = vec![7u8; 5 << 20];
    door.file("large", &large);
    let mut connection = Connection::open(door.gateway.file()).unwrap();
    for _ in 0..3 {
        let mut send = |query: &str| {
            connection
                .write(&request("GET", "/m/large", query).to_bytes())
                .unwrap();
            connection.receive("GET").unwrap()
        };
        let answer = send("op=OPEN");
        assert!(answer.status == 200 && answer.body == large);
        let status = send("op=GETFILESTATUS");
        assert_eq!(status.status(200).json()["FileStatus"]["length"], 5 << 20);
    }
}

#[test]
fn a_reader_that_leaves_harms_nobody() {
    let door = Door::open();
    door.file("large", &vec![7u8; 32 << 20]);
    for _ in 0..50 {
        let mut connection = Connection::open(door.gateway.file()).unwrap();
        connection
            .write(&request("GET", "/m/large", "op=OPEN").to_bytes())
            .unwrap();
        drop(connection);
    }
    assert_eq!(
        door.hdfs()
            .get("/m/large", "op=OPEN&offset=33554431")
            .status(200)
            .body,
        [7]
    );
}

#[test]
fn names_are_raw_utf8_and_plus_is_a_plus() {
    let door = Door::open();
    let name = "é文a b+c%d#e;f~\"q\"|&=g@h,i";
    door.file(name, b"found");
    // As the Java client sends it: only space % # " | are encoded.
    let sent = "/m/é文a%20b+c%25d%23e;f~%22q%22%7C&=g@h,i";
    assert_eq!(
        door.hdfs()
            .get(sent, "op=OPEN&user.name=root")
            .status(200)
            .body,
        b"found"
    );
    assert_eq!(door.hdfs().names("/m"), [name]);
}

#[test]
fn a_folder_is_listed_in_the_order_of_signed_bytes() {
    let door = Door::open();
    for name in ["10", "a", "aé", "ab", "é", "文"] {
        door.file(name, b"");
    }
    let want = ["é", "文", "10", "a", "aé", "ab"];
    assert_eq!(door.hdfs().names("/m"), want);
    let batch = door.hdfs().json("/m", "op=LISTSTATUS_BATCH&startAfter=10");
    let entries = &batch["DirectoryListing"]["partialListing"]["FileStatuses"]["FileStatus"];
    let names: Vec<&str> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pathSuffix"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "aé", "ab"]);
}

#[test]
fn large_folders_come_in_batches_of_a_thousand() {
    let door = Door::open();
    for number in 0..1100 {
        door.file(&format!("many/{number:04}"), b"");
    }
    let batch = |after: &str| {
        door.hdfs()
            .json("/m/many", &format!("op=LISTSTATUS_BATCH{after}"))["DirectoryListing"]
            .clone()
    };
    let len = |batch: &serde_json::Value| {
        batch["partialListing"]["FileStatuses"]["FileStatus"]
            .as_array()
            .unwrap()
            .len()
    };
    let first = batch("");
    assert_eq!(
        (len(&first), &first["remainingEntries"]),
        (1000, &serde_json::json!(100))
    );
    let second = batch("&startAfter=0999");
    assert_eq!(
        (len(&second), &second["remainingEntries"]),
        (100, &serde_json::json!(0))
    );
    assert_eq!(door.hdfs().names("/m/many").len(), 1100);
}

/// Where no name is cached too.
#[test]
fn one_listing_serves_all_batches_of_a_folder() {
    let folder = tempfile::TempDir::new().unwrap();
    for number in 0..3500 {
        std::fs::write(folder.path().join(format!("{number:04}")), b"").unwrap();
    }
    let config = format!("{}ttl = '0s'\n", mount("/m", folder.path()));
    let gateway = Gateway::fresh(&config);
    let calls = || metric(&gateway, "cache_under_calls");
    let batch = |after: &str| {
        let query = format!("op=LISTSTATUS_BATCH&startAfter={after}");
        let said = WebHdfs(gateway.file()).json("/m", &query);
        said["DirectoryListing"]["remainingEntries"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(batch(""), 2500);
    let before = calls();
    assert_eq!(
        (batch("0999"), batch("1999"), batch("2999")),
        (1500, 500, 0)
    );
    assert_eq!(calls(), before);
    // Whoever begins anew sees what is there now.
    std::fs::write(folder.path().join("new"), b"").unwrap();
    assert_eq!(batch(""), 2501);
    assert!(calls() > before);
}

#[test]
fn ranges_are_an_extension() {
    let door = Door::open();
    door.file("f", b"hello moon");
    let range = |value: &str| {
        door.hdfs()
            .send(&request("GET", "/m/f", "op=OPEN").header("Range", value))
    };
    let part = range("bytes=6-7").status(206);
    assert_eq!(
        (part.body.as_slice(), part.header("content-range")),
        (&b"mo"[..], Some("bytes 6-7/10"))
    );
    range("bytes=99-").status(416);
    assert_eq!(range("lines=1").status(200).body, b"hello moon");
}

#[test]
fn noredirect_tells_where_to_go() {
    let door = Door::open();
    door.file("f", b"x");
    let said = door.hdfs().json("/m/f", "op=OPEN&noredirect=True");
    let location = said["Location"].as_str().unwrap();
    assert_eq!(
        location,
        "http://moongate.test/webhdfs/v1/m/f?op=OPEN&noredirect=True&data=true"
    );
    let target = location.strip_prefix("http://moongate.test").unwrap();
    assert_eq!(
        door.hdfs().send(&Request::get(target)).status(200).body,
        b"x"
    );
}

#[test]
fn blocks_are_at_this_gateway() {
    let door = Door::open();
    door.file("f", b"hello");
    let blocks = door
        .hdfs()
        .json("/m/f", "op=GETFILEBLOCKLOCATIONS&offset=0&length=100");
    let block = &blocks["BlockLocations"]["BlockLocation"][0];
    assert_eq!((&block["offset"], &block["length"]), (&0.into(), &5.into()));
    assert_eq!(
        (&block["hosts"][0], &block["names"][0]),
        (&"moongate.test".into(), &"moongate.test".into())
    );
    let old = door.hdfs().json("/m/f", "op=GET_BLOCK_LOCATIONS");
    assert_eq!(old["LocatedBlocks"]["fileLength"], 5);
    assert_eq!(
        old["LocatedBlocks"]["locatedBlocks"][0]["block"]["numBytes"],
        5
    );
    let named = Door::with("[webhdfs]\npublic_host = 'gate.example:80'\n");
    named.file("f", b"x");
    let blocks = named.hdfs().json("/m/f", "op=GETFILEBLOCKLOCATIONS");
    assert_eq!(
        blocks["BlockLocations"]["BlockLocation"][0]["hosts"][0],
        "gate.example"
    );
}

#[test]
fn java_clients_are_not_told_that_json_is_json() {
    let door = Door::open();
    let status = || request("GET", "/m", "op=GETFILESTATUS");
    let java = |door: &Door| {
        door.hdfs()
            .send(&status().header("User-Agent", "Java/17.0.15"))
            .status(200)
    };
    assert_eq!(java(&door).header("content-type"), None);
    assert_eq!(
        door.hdfs().send(&status()).header("content-type"),
        Some("application/json")
    );
    let always = Door::with("[webhdfs]\njson_content_type = 'always'\n");
    assert_eq!(
        java(&always).header("content-type"),
        Some("application/json")
    );
}

#[test]
fn what_was_read_before_is_asked_again_on_demand() {
    let door = Door::open();
    door.file("f", b"old");
    let read = |request: Request| door.hdfs().send(&request).status(200).body;
    let open = || request("GET", "/m/f", "op=OPEN");
    assert_eq!(read(open()), b"old");
    door.file("f", b"newer");
    assert_eq!(read(open().header("Cache-Control", "no-cache")), b"newer");
    assert_eq!(read(open()), b"newer");
}

#[test]
fn the_gateways_own_files_are_seen_too() {
    let door = Door::open();
    door.gateway.files().put("/photos/cat.jpg", b"meow");
    assert_eq!(door.hdfs().names("/"), ["m", "photos"]);
    assert_eq!(
        door.hdfs()
            .get("/photos/cat.jpg", "op=OPEN&offset=1")
            .status(200)
            .body,
        b"eow"
    );
    door.hdfs().create("/photos/dog", b"woof");
    let appended = door
        .hdfs()
        .ask("POST", "/photos/dog", "op=APPEND&user.name=root", b" woof");
    appended.status(200);
    door.gateway.files().assert_has("/photos/dog", b"woof woof");
}
