//! Readers that come all at once, stall, or leave in the middle; and a store that answers nobody.

use std::net::TcpListener;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use moongate_tests::beds::hdfs::Hdfs;
use moongate_tests::{Connection, Gateway, Request, payload, wait};
use rand::Rng;
use tempfile::TempDir;

use crate::door::{WebHdfs, mount, request};
use crate::mounted::{Mounted, metric};

const LIMIT: Duration = Duration::from_secs(30);
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

/// Bytes that the store has sent, once they are no more after a look.
fn settled(mounted: &Mounted) -> u64 {
    let mut last = u64::MAX;
    wait::until("nothing more is fetched", LIMIT, || {
        let now = mounted.metric("cache_under_bytes");
        std::thread::sleep(Duration::from_millis(700));
        (std::mem::replace(&mut last, now) == now).then_some(now)
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

#[test]
fn a_store_that_answers_nobody_holds_up_no_other() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("f"), b"here").unwrap();
    let hung = "timeout = '2s'\ncalls_max = 16\n";
    let keys = "path_style = true\nanonymous = true\n";
    let gateway = Gateway::fresh(&format!(
        "{}[[mount]]\npath = '/hdfs'\nstore = 'hdfs://{address}'\n{hung}\
         [[mount]]\npath = '/s3'\nstore = 's3://b'\nendpoint = 'http://{address}'\n{keys}{hung}",
        mount("/m", folder.path())
    ));
    let hdfs = WebHdfs(gateway.file());
    let asks = |path: String| move || hdfs.get(&path, "op=OPEN").status;
    std::thread::scope(|scope| {
        let hung: Vec<_> = (0..40)
            .map(|n| scope.spawn(asks(format!("/{}/{n}", ["hdfs", "s3"][n % 2]))))
            .collect();
        for _ in 0..50 {
            let began = Instant::now();
            assert_eq!(hdfs.get("/m/f", "op=OPEN").status(200).body, b"here");
            assert!(
                began.elapsed() < Duration::from_secs(1),
                "{:?}",
                began.elapsed()
            );
        }
        for answer in hung {
            let status = answer.join().unwrap();
            assert!(matches!(status, 503 | 504), "{status}");
        }
    });
    let began = Instant::now();
    assert_eq!(hdfs.get("/s3/f", "op=OPEN").status, 503);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert!(
        metric(&gateway, "cache_refused_calls") > 0,
        "the breaker is open"
    );
}
