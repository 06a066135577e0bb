//! Readers that come all at once, stall, or leave in the middle; and a store that answers nobody.

use std::net::TcpListener;
use std::sync::Barrier;
use std::time::Duration;

use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::{Connection, Gateway, Request, payload, wait};
use rand::Rng;
use tempfile::TempDir;

use crate::door::{WebHdfs, mount, request};
use crate::mounted::{Mounted, metric};

const LIMIT: Duration = Duration::from_secs(120);
const READERS: usize = 1000;

/// HDFS at `/m`, with as little memory as the cache takes: what is fetched in vain is not there later.
fn on_hdfs(folder: &str) -> Mounted {
    let config = "[cache]\nmemory = '16MiB'\n";
    let more = "ttl = '1h'\nread_ahead = '4MiB'\n";
    Mounted::hdfs(Hdfs::shared(), folder, config, more)
}

#[test]
fn a_thousand_readers_of_a_cold_file_are_one_fetch() {
    let mounted = on_hdfs("thousand");
    let bytes = payload::bytes(1, 300_000);
    mounted.put_behind("cold", &bytes);
    let (address, barrier) = (mounted.gateway.file(), Barrier::new(READERS));
    let read = || {
        let mut connection = Connection::open(address).unwrap();
        barrier.wait();
        let answer = connection.send(&Request::get("/m/cold")).unwrap();
        assert!(answer.status(200).body == bytes);
    };
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(read);
        }
    });
    assert_eq!(mounted.metric("cache_under_bytes"), bytes.len() as u64);
}

/// Bytes that the store has sent, once nothing is asked of it and they are no more after a look.
fn settled(mounted: &Mounted) -> u64 {
    let mut last = u64::MAX;
    wait::until("nothing more is fetched", LIMIT, || {
        let now = mounted.metric("cache_under_bytes");
        std::thread::sleep(Duration::from_millis(700));
        let is_quiet = mounted.metric("cache_under_calls_now") == 0;
        (std::mem::replace(&mut last, now) == now && is_quiet).then_some(now)
    })
}

#[test]
fn a_client_that_stalls_holds_up_nobody_and_gets_the_rest_later() {
    let mounted = on_hdfs("stalls");
    let bytes = payload::bytes(2, 64 << 20);
    mounted.put_behind("long", &bytes);
    mounted.put_behind("other", b"other");
    let mut stalled = Connection::open(mounted.gateway.file()).unwrap();
    let open = request("GET", "/m/long", "op=OPEN");
    stalled.write(&open.to_bytes()).unwrap();
    stalled.wait_for(1 << 20).unwrap();
    let fetched = settled(&mounted);
    eprintln!("fetched {fetched} for a reader of 1 MiB");
    // What it took, what sockets hold, the window ahead of it, and pages that were under way.
    assert!(fetched < 40 << 20, "{fetched} bytes for a reader of 1 MiB");
    mounted.gateway.files().assert_has("/m/other", b"other");
    assert!(stalled.receive("GET").unwrap().status(200).body == bytes);
    let fetched = mounted.metric("cache_under_bytes");
    let most = bytes.len() as u64 + (8 << 20);
    assert!(fetched <= most, "{fetched} of {most}: it was fetched twice");
}

#[test]
fn ranges_that_are_opened_and_dropped_cost_little_more_than_what_is_sent() {
    let mounted = on_hdfs("dropped");
    let len = 64 << 20;
    mounted.put_behind("long", &payload::bytes(3, len));
    let mut random = payload::seeded("dropped ranges");
    let (mut taken, rounds) = (0, 60);
    for _ in 0..rounds {
        let mut connection = Connection::open(mounted.gateway.file()).unwrap();
        let start = random.random_range(0..len - (1 << 20));
        let range = format!("bytes={start}-");
        let ask = Request::get("/m/long").header("Range", &range);
        connection.write(&ask.to_bytes()).unwrap();
        let takes = random.random_range(1..400_000);
        connection.wait_for(takes).unwrap();
        taken += takes as u64;
    }
    let fetched = settled(&mounted);
    let served: u64 = ["ram_hit", "disk_hit", "miss"]
        .map(|kind| mounted.metric(&format!("cache_{kind}_bytes")))
        .iter()
        .sum();
    eprintln!("fetched {fetched}, served {served}, taken by clients {taken}, {rounds} ranges");
    // A page each that was begun and a window of four, beside what sockets swallowed.
    assert!(
        fetched <= served + rounds * (6 << 20),
        "{fetched} fetched, {served} served"
    );
    assert!(fetched <= 3 * served, "{fetched} fetched, {served} served");
}

/// A gateway with a folder at `/m`, and two stores that answer nobody: `/hdfs` and `/s3`.
fn beside_silent_stores(silent: &TcpListener, folder: &TempDir, timeout: &str) -> Gateway {
    let address = silent.local_addr().unwrap();
    std::fs::write(folder.path().join("f"), b"here").unwrap();
    let hung = format!("timeout = '{timeout}'\ncalls_max = 16\n");
    let keys = "path_style = true\nanonymous = true\n";
    Gateway::fresh(&format!(
        "{}[[mount]]\npath = '/hdfs'\nstore = 'hdfs://{address}'\n{hung}\
         [[mount]]\npath = '/s3'\nstore = 's3://b'\nendpoint = 'http://{address}'\n{keys}{hung}",
        mount("/m", folder.path())
    ))
}

#[test]
fn a_store_that_answers_nobody_holds_up_no_other() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    let gateway = beside_silent_stores(&silent, &folder, "1h");
    let hdfs = WebHdfs(gateway.file());
    let hung: Vec<_> = (0..40)
        .map(|n| {
            let path = format!("/{}/{n}", ["hdfs", "s3"][n % 2]);
            let mut connection = Connection::open(gateway.file()).unwrap();
            let open = request("GET", &path, "op=OPEN");
            connection.write(&open.to_bytes()).unwrap();
            connection
        })
        .collect();
    // Both stores are waited for, by as many as may.
    wait::until_true("all places are taken", LIMIT, || {
        metric(&gateway, "cache_under_calls_now") >= 32
    });
    for _ in 0..50 {
        assert_eq!(hdfs.get("/m/f", "op=OPEN").status(200).body, b"here");
    }
    let waiting = metric(&gateway, "cache_under_calls_now");
    assert!(waiting >= 32, "{waiting} still wait");
    drop(hung);
}

#[test]
fn a_store_that_answers_nobody_is_given_up_and_then_left_alone() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    let gateway = beside_silent_stores(&silent, &folder, "2s");
    let hdfs = WebHdfs(gateway.file());
    std::thread::scope(|scope| {
        let asks = |path: String| move || hdfs.get(&path, "op=OPEN").status;
        let hung: Vec<_> = (0..40)
            .map(|n| scope.spawn(asks(format!("/{}/{n}", ["hdfs", "s3"][n % 2]))))
            .collect();
        for answer in hung {
            let status = answer.join().unwrap();
            assert!(matches!(status, 503 | 504), "{status}");
        }
    });
    // Once in a while it is tried again: the others are refused without being asked.
    wait::until_true("it is left alone", LIMIT, || {
        let figures = || {
            let figure = |name| metric(&gateway, name);
            (figure("cache_refused_calls"), figure("cache_under_calls"))
        };
        let before = figures();
        let status = hdfs.get("/s3/f", "op=OPEN").status;
        assert!(matches!(status, 503 | 504), "{status}");
        let after = figures();
        status == 503 && after.0 > before.0 && after.1 == before.1
    });
}

/// What the NameNode was asked about a path so far, by its audit log: for statuses, for blocks.
fn asked(hdfs: &Hdfs, path: &str) -> (usize, usize) {
    let log = hdfs.namenode(0).as_ref().unwrap().log();
    let count = |command: &str| {
        let of = |line: &&str| {
            line.contains(&format!("cmd={command}\t")) && line.contains(&format!("src={path}\t"))
        };
        log.lines().filter(of).count()
    };
    (count("getfileinfo"), count("open"))
}

/// Over a slow link a small file costs what its round trips cost. Directly these are two, blocks and bytes: ours are its status before, so that
/// it is known of which version the blocks are, and the question at the end whether it still is that one.
#[test]
fn the_first_read_of_a_small_file_asks_the_namenode_no_more_than_it_must() {
    let hdfs = Hdfs::shared();
    let mounted = Mounted::hdfs(hdfs, "few", "", "ttl = '1h'\n");
    let trusting = Mounted::hdfs(hdfs, "few", "", "ttl = '1h'\ntruncates = false\n");
    let bytes = payload::bytes(4, 20 << 10);
    for name in ["cold", "known", "short"] {
        mounted.put_behind(&format!("one/{name}"), &bytes);
    }
    let costs = |mounted: &Mounted, name: &str| {
        let path = format!("/few/one/{name}");
        let before = asked(hdfs, &path);
        let answer = mounted.hdfs_api().get(&format!("/m/one/{name}"), "op=OPEN");
        assert!(answer.status(200).body == bytes);
        let after = asked(hdfs, &path);
        (after.0 - before.0, after.1 - before.1)
    };
    let list = |mounted: &Mounted| mounted.hdfs_api().json("/m/one", "op=LISTSTATUS");
    assert_eq!(costs(&mounted, "cold"), (2, 1));
    list(&mounted);
    assert_eq!(costs(&mounted, "known"), (1, 1));
    assert_eq!(costs(&mounted, "known"), (0, 0));
    list(&trusting);
    assert_eq!(costs(&trusting, "short"), (1, 1));
}
