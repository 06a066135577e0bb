//! A bit that rots on the disk is never served: the image is exact, or it is an error.

use std::fs;
use std::path::Path;
use std::time::Duration;

use moongate_tests::api::copy_folder;
use moongate_tests::http::{Part, Request, Response};
use moongate_tests::volume::{self, Dat};
use moongate_tests::{Fid, Gateway, payload, wait};
use rand::Rng;

const ROUNDS: usize = 6;
const FLIPS_PER_ROUND: usize = 30;
const HEADERS: [&str; 6] = [
    "Content-Type",
    "Content-Disposition",
    "Etag",
    "Last-Modified",
    "Label",
    "Content-Length",
];

type Answer = (Fid, Vec<Option<String>>, Vec<u8>);

fn answer(fid: Fid, response: Response) -> Answer {
    let headers = HEADERS.map(|name| response.header(name).map(str::to_owned));
    (fid, headers.to_vec(), response.body)
}

fn store(folder: &Path) -> Vec<Answer> {
    let mut gateway = Gateway::start(&[folder], "[haystack]\nvolumes_per_growth = 1");
    let fids: Vec<Fid> = (0..150).map(|seed| store_one(&gateway, seed)).collect();
    let answers = fids
        .iter()
        .map(|fid| answer(*fid, gateway.get(&fid.path()).status(200)))
        .collect();
    gateway.terminate();
    answers
}

fn store_one(gateway: &Gateway, seed: u64) -> Fid {
    let fid = gateway.assign("");
    // Small images with much metadata: the needle's own CRC covers the data only.
    let part = Part::file(
        &format!("image {seed}.png"),
        "image/png",
        &payload::bytes(seed, 40 + seed as usize),
    );
    let request = Request::post_multipart(&format!("{}?ttl=10y", fid.path()), &[part]);
    gateway
        .send(&request.header("Seaweed-Label", &format!("label-{seed}")))
        .status(201);
    fid
}

/// Flips random bits behind the super block and gives the needles whose records were hit.
fn flip(base: &Path, dat: &Dat, rng: &mut impl Rng) -> Vec<u64> {
    let path = volume::with_suffix(base, "dat");
    let mut bytes = fs::read(&path).unwrap();
    let mut hit: Vec<usize> = Vec::new();
    for _ in 0..FLIPS_PER_ROUND {
        let at = rng.random_range(8..bytes.len());
        let record = dat.records.partition_point(|r| r.offset <= at as u64) - 1;
        bytes[at] ^= 1 << rng.random_range(0..8);
        hit.push(record);
    }
    fs::write(path, bytes).unwrap();
    hit.iter().map(|record| dat.records[*record].key).collect()
}

#[test]
fn a_flipped_bit_is_never_served_and_hurts_no_other_image() {
    flip_and_read("flipped bits", |_| {});
}

#[test]
fn a_flipped_bit_hurts_no_other_image_when_the_index_is_lost_as_well() {
    flip_and_read("flipped bits without an index", remove_what_can_be_rebuilt);
}

/// Stores images, then flips bits in copies of the folder and reads every image, after `more_damage` was done too.
fn flip_and_read(what: &str, more_damage: fn(&Path)) {
    let original = tempfile::tempdir().unwrap();
    let answers = store(original.path());
    let base = volume::bases(original.path()).pop().unwrap();
    let (dat, _) = volume::assert_sound(&base);
    let mut rng = payload::seeded(what);
    for round in 0..ROUNDS {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(original.path(), copy.path());
        let volume = copy.path().join(base.file_name().unwrap());
        let hit = flip(&volume, &dat, &mut rng);
        more_damage(copy.path());
        let gateway = Gateway::start(&[copy.path()], "");
        answers
            .iter()
            .for_each(|known| assert_exact_or_error(&gateway, known, &hit, round));
    }
}

#[track_caller]
fn assert_exact_or_error(gateway: &Gateway, known: &Answer, hit: &[u64], round: usize) {
    let fid = known.0;
    let response = gateway.get(&fid.path());
    match response.status {
        200 => assert_eq!(
            answer(fid, response),
            *known,
            "round {round}: {fid} was served with a flipped bit"
        ),
        404 | 500 => assert!(
            hit.contains(&fid.key),
            "round {round}: {fid} was not hit: {}",
            response.summary()
        ),
        _ => panic!("round {round}: {fid}: {}", response.summary()),
    }
}

fn remove_what_can_be_rebuilt(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else if path.extension().is_some_and(|extension| extension == "idx") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_bad_needle_is_500_with_its_reason_counted_and_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let answers = store(folder.path());
    let base = volume::bases(folder.path()).pop().unwrap();
    let (dat, live) = volume::assert_sound(&base);
    let fid = answers[40].0;
    let record = dat
        .records
        .iter()
        .find(|record| record.offset == live[&fid.key].offset)
        .unwrap();
    let path = volume::with_suffix(&base, "dat");
    let mut bytes = fs::read(&path).unwrap();
    bytes[record.offset as usize + 30] ^= 1;
    fs::write(path, bytes).unwrap();
    let mut gateway = Gateway::start(&[folder.path()], "");
    for _ in 0..5 {
        gateway.get(&fid.path()).status(500);
        gateway.head(&fid.path()).status(500);
        gateway
            .send(&Request::get(&fid.path()).header("Range", "bytes=0-3"))
            .status(500);
    }
    let metrics = gateway.get_admin("/metrics").status(200).text();
    let is_count = |line: &&str| {
        ["corrupt", "crc", "checksum", "bad_needle"]
            .iter()
            .any(|word| line.contains(word))
    };
    let counted = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter(is_count);
    assert!(
        counted.clone().any(|line| !line.ends_with(" 0")),
        "not counted: {:?}",
        counted.collect::<Vec<_>>()
    );
    gateway.assert_serving();
    let errors = gateway
        .log()
        .lines()
        .filter(|line| line.contains("ERROR"))
        .count();
    assert_eq!(errors, 1, "logged once:\n{}", gateway.log());
}

#[test]
fn the_scrubber_finds_a_bad_needle_that_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path());
    let base = volume::bases(folder.path()).pop().unwrap();
    let (dat, _) = volume::assert_sound(&base);
    let path = volume::with_suffix(&base, "dat");
    let mut bytes = fs::read(&path).unwrap();
    let record = dat
        .records
        .iter()
        .rfind(|record| record.data.len() > 60)
        .unwrap();
    bytes[record.offset as usize + 50] ^= 0x10;
    fs::write(path, bytes).unwrap();
    let gateway = Gateway::start(&[folder.path()], "[haystack]\nscrub_bytes_per_sec = '1GiB'");
    wait::until_true("the scrubber reports it", Duration::from_secs(60), || {
        gateway.log().contains("ERROR")
    });
}
