//! HDFS, S3 and an HA pair as mounts: the same reads and writes through the gateway, over WebHDFS and by plain paths.

use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::beds::s3::S3;
use moongate_tests::{Connection, Request, payload};

use crate::door::request;
use crate::mounted::Mounted;

/// Four pages and a bit.
const LEN: usize = (4 << 20) + 12_345;

#[test]
fn hdfs_is_read_and_written_through_its_mount() {
    let more = "ttl = '1h'\n";
    reads_and_writes(&Mounted::hdfs(Hdfs::shared(), "stores", "", more));
}

#[test]
fn s3_is_read_and_written_through_its_mount() {
    reads_and_writes(&Mounted::s3(S3::shared(), "stores"));
}

fn reads_and_writes(mounted: &Mounted) {
    webhdfs(mounted);
    plain_paths(mounted);
    ranges(mounted);
    folders(mounted);
    changed_behind_the_gateways_back(mounted);
}

fn webhdfs(mounted: &Mounted) {
    let hdfs = mounted.hdfs_api();
    hdfs.create("/m/w/a%20b/é", b"hello moon");
    assert_eq!(hdfs.names("/m/w"), ["a b"]);
    assert_eq!(
        hdfs.get("/m/w/a%20b/é", "op=OPEN&offset=6").body,
        b"moon".to_vec()
    );
    hdfs.put("/m/w/a%20b/é", "op=CREATE&overwrite=true", b"other")
        .status(201);
    assert_eq!(hdfs.get("/m/w/a%20b/é", "op=OPEN").body, b"other");
    let (status, class, _) = hdfs.refusal("PUT", "/m/w/a%20b/é", "op=CREATE&overwrite=false");
    assert_eq!(
        (status, class.as_str()),
        (403, "org.apache.hadoop.fs.FileAlreadyExistsException")
    );
    hdfs.put("/m/w/new", "op=MKDIRS", &[]).status(200);
    let moved = hdfs.put("/m/w/a%20b/é", "op=RENAME&destination=/m/w/new/f", &[]);
    assert_eq!(moved.status(200).json()["boolean"], true);
    let status = hdfs.json("/m/w/new/f", "op=GETFILESTATUS");
    assert_eq!(
        (
            &status["FileStatus"]["length"],
            &status["FileStatus"]["type"]
        ),
        (&5.into(), &"FILE".into())
    );
    let sum = hdfs.json("/m/w", "op=GETCONTENTSUMMARY");
    assert_eq!(sum["ContentSummary"]["length"], 5);
    let gone = hdfs.ask("DELETE", "/m/w", "op=DELETE&recursive=true", &[]);
    assert_eq!(gone.status(200).json()["boolean"], true);
    assert_eq!(hdfs.refusal("GET", "/m/w/new/f", "op=OPEN").0, 404);
}

fn plain_paths(mounted: &Mounted) {
    let files = mounted.gateway.files();
    files.put("/m/p/one", b"first");
    files.put("/m/p/one", b"again");
    files.assert_has("/m/p/one", b"again");
    let once = Request::put("/m/p/one", "", b"x").header("If-None-Match", "*");
    files.send(&once).status(412);
    files.post("/m/p/two?mv.from=/m/p/one").status(204);
    files.get("/m/p/one").status(404);
    files.put("/own", b"of the gateway's own");
    files.post("/m/p/copied?cp.from=/own").status(204);
    files.assert_has("/m/p/copied", b"of the gateway's own");
    assert_eq!(files.names("/m/p/"), ["copied", "two"]);
    assert_eq!(files.usage("/m/p"), (2, 0, 25));
    files.delete("/m/p").status(409);
    files.delete("/m/p?recursive=true").status(204);
    files.get("/m/p/two").status(404);
}

fn ranges(mounted: &Mounted) {
    let (files, bytes) = (mounted.gateway.files(), payload::bytes(5, LEN));
    files.put("/m/r/large", &bytes);
    for (first, last) in [
        (0, 0),
        (1 << 20, (1 << 20) + 4095),
        ((2 << 20) - 7, (3 << 20) + 7),
        (LEN - 10, LEN - 1),
        (0, LEN - 1),
    ] {
        let range = format!("bytes={first}-{last}");
        let part = files.send(&Request::get("/m/r/large").header("Range", &range));
        assert!(part.status(206).body == bytes[first..=last], "{range}");
    }
    let fetched = mounted.metric("cache_under_bytes");
    let whole = files.get("/m/r/large").status(200);
    let tag = whole.expect_header("etag").to_owned();
    assert!(whole.body == bytes);
    assert_eq!(mounted.metric("cache_under_bytes"), fetched, "it was here");
    files
        .send(&Request::get("/m/r/large").header("If-None-Match", &tag))
        .status(304);
}

fn folders(mounted: &Mounted) {
    let files = mounted.gateway.files();
    for number in 0..30 {
        files.put(&format!("/m/l/{:02}/f", number % 10), b"x");
        files.put(&format!("/m/l/{number:03}"), b"y");
    }
    let names = mounted.hdfs_api().names("/m/l");
    assert_eq!(names.len(), 40, "{names:?}");
    assert!(names.is_sorted());
    assert_eq!(files.names("/m/l?limit=2&lastFileName=001"), ["002", "003"]);
    assert_eq!(files.usage("/m/l"), (40, 10, 40));
}

fn changed_behind_the_gateways_back(mounted: &Mounted) {
    let files = mounted.gateway.files();
    mounted.put_behind("c/file", b"one");
    files.assert_has("/m/c/file", b"one");
    mounted.put_behind("c/file", b"three");
    files.assert_has("/m/c/file", b"one");
    mounted.admin("/cache/invalidate?path=/m/c");
    files.assert_has("/m/c/file", b"three");
    mounted.put_behind("c/file", b"fourth");
    let fresh = Request::get("/m/c/file").header("Cache-Control", "no-cache");
    assert_eq!(files.send(&fresh).status(200).body, b"fourth");
    files.assert_has("/m/c/file", b"fourth");
}

/// Far more than sockets, pages read ahead and the store's own buffers hold of it.
const LONG: usize = 64 << 20;

#[test]
fn a_pair_of_namenodes_fails_over_under_a_read_through_its_mount() {
    let hdfs = Hdfs::start_ha(2);
    let mounted = Mounted::hdfs(&hdfs, "pair", "", "read_ahead = '1MiB'\n");
    let (files, bytes) = (mounted.gateway.files(), payload::bytes(9, LONG));
    mounted.put_behind("long", &bytes);
    files.put("/m/short", b"before");
    let mut reading = Connection::open(mounted.gateway.file()).unwrap();
    let open = request("GET", "/m/long", "op=OPEN");
    reading.write(&open.to_bytes()).unwrap();
    reading.wait_for(1 << 20).unwrap();
    hdfs.fail_over(0, 1);
    assert!(mounted.metric("cache_under_bytes") < LONG as u64 / 2);
    assert!(reading.receive("GET").unwrap().status(200).body == bytes);
    files.assert_has("/m/short", b"before");
    files.put("/m/short", b"after");
    mounted
        .hdfs_api()
        .put("/m/short", "op=RENAME&destination=/m/moved", &[])
        .status(200);
    // The active one is killed, and its fellow made active by force.
    hdfs.kill_namenode(1);
    hdfs.make_active(0);
    mounted.admin("/cache/invalidate?path=/m");
    files.assert_has("/m/moved", b"after");
    files.put("/m/short", b"once more");
    assert_eq!(mounted.hdfs_api().names("/m"), ["long", "moved", "short"]);
}
