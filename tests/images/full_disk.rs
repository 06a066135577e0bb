//! A disk that fills up: a clear refusal, nothing lost, and space that comes back.

use std::time::Duration;

use moongate_tests::api::assigned;
use moongate_tests::http::{Connection, Request, Response};
use moongate_tests::small_disk::SmallDisk;
use moongate_tests::{Fid, Gateway, payload, wait};

const DISK_MIB: u32 = 96;
const CONFIG: &str = "[haystack]\nvolume_bytes_max = '8MiB'\nvolumes_per_growth = 2";
const IMAGE_BYTES: usize = 50_000;
/// More images than the disk has room for: a gateway that still takes them is lying.
const IMAGES_MAX: u64 = (DISK_MIB as u64 * 1_048_576) / IMAGE_BYTES as u64;

fn image(seed: u64) -> Vec<u8> {
    payload::bytes(seed, IMAGE_BYTES)
}

/// Assigns and stores one image, or gives the refusal.
fn try_store(connection: &mut Connection, body: &[u8]) -> Result<Fid, Response> {
    let response = connection.send(&Request::get("/dir/assign")).unwrap();
    if response.status != 200 {
        return Err(response);
    }
    let fid = assigned(&response);
    let response = connection
        .send(&Request::put(&fid.path(), "image/jpeg", body))
        .unwrap();
    if response.status == 201 {
        Ok(fid)
    } else {
        Err(response)
    }
}

/// Fills the disk; gives what was stored and the refusal that ended it.
fn fill(gateway: &Gateway) -> (Vec<Fid>, Response) {
    let mut connection = Connection::open(gateway.image()).unwrap();
    let mut stored = Vec::new();
    loop {
        assert!(
            (stored.len() as u64) < IMAGES_MAX,
            "{} images do not fit on {DISK_MIB} MiB",
            stored.len()
        );
        match try_store(&mut connection, &image(stored.len() as u64)) {
            Ok(fid) => stored.push(fid),
            Err(refusal) => return (stored, refusal),
        }
    }
}

#[track_caller]
fn assert_readable(gateway: &Gateway, stored: &[Fid], is_deleted: impl Fn(usize) -> bool) {
    let mut connection = Connection::open(gateway.image()).unwrap();
    for (n, fid) in stored.iter().enumerate() {
        let response = connection.send(&Request::get(&fid.path())).unwrap();
        if is_deleted(n) {
            response.status(404);
        } else {
            assert!(
                response.status(200).body == image(n as u64),
                "{fid} has other bytes"
            );
        }
    }
}

#[track_caller]
fn assert_clear_refusal(refusal: Response) {
    let text = refusal.status(507).error().to_lowercase();
    assert!(
        text.contains("disk") || text.contains("space"),
        "unclear to a person: {text}"
    );
}

#[test]
fn a_full_disk_is_507_and_reads_deletes_and_vacuum_go_on_until_writes_resume() {
    let disk = SmallDisk::mount(DISK_MIB);
    let mut gateway = Gateway::start(&[disk.path()], CONFIG);
    let (stored, refusal) = fill(&gateway);
    assert_clear_refusal(refusal);
    let stored_mib = (stored.len() * IMAGE_BYTES) >> 20;
    assert!(
        stored_mib >= DISK_MIB as usize / 3,
        "full with only {stored_mib} of {DISK_MIB} MiB of images"
    );
    assert_readable(&gateway, &stored, |_| false);
    for fid in stored.iter().step_by(2) {
        gateway.delete(&fid.path()).status(202);
    }
    assert_readable(&gateway, &stored, |n| n % 2 == 0);
    let resumed = resume(&gateway, stored.len() / 4);
    assert_readable(&gateway, &stored, |n| n % 2 == 0);
    for fid in &resumed {
        assert!(
            gateway.get(&fid.path()).status(200).body == image(7),
            "{fid} has other bytes"
        );
    }
    gateway.terminate();
    moongate_tests::volume::bases(disk.path())
        .iter()
        .for_each(|base| drop(moongate_tests::volume::assert_sound(base)));
    gateway.restart();
    assert_readable(&gateway, &stored, |n| n % 2 == 0);
}

/// Vacuums until `count` more images could be stored.
fn resume(gateway: &Gateway, count: usize) -> Vec<Fid> {
    let mut connection = Connection::open(gateway.image()).unwrap();
    let mut resumed = Vec::new();
    wait::until_true(
        "vacuum has brought back space for a quarter of the images",
        Duration::from_secs(60),
        || {
            gateway.get("/vol/vacuum?garbageThreshold=0.01").status(200);
            while resumed.len() < count {
                match try_store(&mut connection, &image(7)) {
                    Ok(fid) => resumed.push(fid),
                    Err(refusal) => {
                        assert!(matches!(refusal.status, 507 | 503), "{}", refusal.summary());
                        break;
                    }
                }
            }
            resumed.len() >= count
        },
    );
    resumed
}

#[test]
fn a_kill_on_a_full_disk_loses_nothing_and_it_starts_again() {
    let disk = SmallDisk::mount(64);
    let mut gateway = Gateway::start(&[disk.path()], CONFIG);
    let (stored, refusal) = fill(&gateway);
    assert_clear_refusal(refusal);
    for round in 0..3 {
        gateway.kill9();
        gateway.restart();
        assert_readable(&gateway, &stored, |n| n < round * 10);
        gateway.get_admin("/healthz").status(200);
        for fid in &stored[round * 10..(round + 1) * 10] {
            gateway.delete(&fid.path()).status(202);
        }
    }
    gateway.kill9();
    gateway.restart();
    assert_readable(&gateway, &stored, |n| n < 30);
}

#[test]
fn a_disk_filled_by_others_is_507_and_recovers_when_they_leave() {
    let disk = SmallDisk::mount(64);
    let gateway = Gateway::start(&[disk.path()], CONFIG);
    let first = gateway.store("image/jpeg", &image(0));
    let ballast = disk.path().join("ballast");
    // Writes until nothing fits any more; the error is the point.
    let chunk = vec![1; 1 << 20];
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    let mut stored = vec![first];
    let mut connection = Connection::open(gateway.image()).unwrap();
    let refusal = loop {
        assert!(
            (stored.len() as u64) < IMAGES_MAX,
            "the disk is full of ballast"
        );
        match try_store(&mut connection, &image(stored.len() as u64)) {
            Ok(fid) => stored.push(fid),
            Err(refusal) => break refusal,
        }
    };
    assert_clear_refusal(refusal);
    assert_readable(&gateway, &stored, |_| false);
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    let after = wait::until("writes resume", Duration::from_secs(30), || {
        try_store(&mut connection, &image(7)).ok()
    });
    assert!(gateway.get(&after.path()).status(200).body == image(7));
    assert_readable(&gateway, &stored, |_| false);
}
