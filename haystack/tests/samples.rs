//! Volumes that genuine SeaweedFS servers wrote, with what those servers answered for each fid: opened as they are, without their
//! index, and with the index that we rebuilt.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use moongate_disk::RealDisk;
use moongate_haystack::error::HaystackError;
use moongate_haystack::id::{Cookie, NeedleKey};
use moongate_haystack::index::IndexStore;
use moongate_haystack::index::hot::HotIndex;
use moongate_haystack::index::mem::MemIndex;
use moongate_haystack::index::rocks::RocksIndex;
use moongate_haystack::needle::Needle;
use moongate_haystack::volume::files::VolumeFiles;
use moongate_haystack::volume::open::{self, Opened};
use serde_json::Value;
use sha2::{Digest, Sha256};

const SAMPLES: [&str; 3] = ["plain_1", "rust5_1", "oldv2_2"];
/// Some minutes after the samples were made: what lives for one minute has expired, what lives for days has not.
const NOW_SECS: u64 = 1795322954;

fn samples_dir() -> PathBuf {
    PathBuf::from("../tests/samples")
}

/// A copy of a sample, and how it is opened.
struct Sample {
    dir: tempfile::TempDir,
    files: VolumeFiles,
    manifest: Value,
}

impl Sample {
    fn copy(base: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for extension in ["dat", "idx", "vif"] {
            let name = format!("{base}.{extension}");
            let from = samples_dir().join(&name);
            if from.exists() {
                std::fs::copy(from, dir.path().join(name)).unwrap();
            }
        }
        let manifest = std::fs::read(samples_dir().join(format!("{base}.json"))).unwrap();
        Self {
            files: VolumeFiles::from_dat_name(dir.path(), &format!("{base}.dat")).unwrap(),
            manifest: serde_json::from_slice(&manifest).unwrap(),
            dir,
        }
    }

    fn open(&self, index: &Arc<HotIndex>) -> Opened {
        open::open(&RealDisk, index, self.files.clone()).unwrap()
    }

    fn mem_index() -> Arc<HotIndex> {
        Arc::new(HotIndex::new(Arc::new(MemIndex::new()), 0))
    }

    fn rocks_index(&self) -> Arc<HotIndex> {
        let rocks = RocksIndex::open(&self.dir.path().join("index")).unwrap();
        Arc::new(HotIndex::new(Arc::new(rocks) as Arc<dyn IndexStore>, 0))
    }

    fn idx(&self) -> Vec<u8> {
        std::fs::read(self.files.idx()).unwrap()
    }

    /// Every fid answers as the server did that wrote it.
    fn check(&self, opened: &Opened) {
        let needles = self.manifest["needles"].as_array().unwrap();
        assert!(needles.len() > 3);
        for expected in needles {
            check_needle(opened, expected);
        }
    }
}

fn check_needle(opened: &Opened, expected: &Value) {
    let fid = &expected["fid"];
    let key = NeedleKey(expected["key"].as_u64().unwrap());
    let cookie = Cookie(u32::try_from(expected["cookie"].as_u64().unwrap()).unwrap());
    let answer = opened.volume.read_for(key, cookie, NOW_SECS);
    if expected["http_status"] == 404 {
        assert!(matches!(answer, Err(HaystackError::NotFound)), "{fid}");
        return;
    }
    let needle = answer.unwrap_or_else(|e| panic!("{fid}: {e}"));
    assert_eq!(
        expected["etag"],
        format!("\"{:08x}\"", needle.checksum),
        "{fid}"
    );
    let gzip = expected["stored_gzip"].as_bool().unwrap_or(false);
    assert_eq!(gzip, needle.is_gzip(), "{fid}");
    let data = plain(&needle);
    if needle.is_chunk_manifest() {
        // The server answered with what its chunks are put together to.
        let manifest: Value = serde_json::from_slice(&data).unwrap();
        assert_eq!(manifest["size"], expected["size"], "{fid}");
        return;
    }
    assert_eq!(expected["size"], data.len(), "{fid}");
    let digest = Sha256::digest(&data);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(expected["sha256"], hex, "{fid}");
}

/// The data as the server answered it.
fn plain(needle: &Needle) -> Vec<u8> {
    let mut data = needle.data().to_vec();
    if needle.is_gzip() {
        let stored = std::mem::take(&mut data);
        flate2::read::GzDecoder::new(&stored[..])
            .read_to_end(&mut data)
            .unwrap();
    }
    data
}

#[test]
fn samples_answer_as_they_are() {
    for base in SAMPLES {
        let sample = Sample::copy(base);
        let (idx, dat) = (sample.idx(), std::fs::read(sample.files.dat()).unwrap());
        for index in [Sample::mem_index(), sample.rocks_index()] {
            let opened = sample.open(&index);
            assert_eq!(opened.recovery.damaged_bytes, 0, "{base}");
            sample.check(&opened);
        }
        assert_eq!(sample.idx(), idx, "{base}: taking over changes no .idx");
        assert_eq!(std::fs::read(sample.files.dat()).unwrap(), dat, "{base}");
    }
}

#[test]
fn samples_answer_without_their_idx() {
    for base in SAMPLES {
        let sample = Sample::copy(base);
        let idx = sample.idx();
        for index in [Sample::mem_index(), sample.rocks_index()] {
            std::fs::remove_file(sample.files.idx()).unwrap();
            let opened = sample.open(&index);
            assert!(opened.recovery.rebuilt);
            assert_eq!(opened.recovery.cut_bytes, 0, "{base}");
            sample.check(&opened);
            assert_eq!(
                sample.idx(),
                idx,
                "{base}: the .idx is as SeaweedFS wrote it"
            );
        }
    }
}

#[test]
fn samples_answer_after_a_clean_stop_and_a_rebuilt_index() {
    for base in SAMPLES {
        let sample = Sample::copy(base);
        let index = sample.rocks_index();
        let mut opened = sample.open(&index);
        opened.writer.close().unwrap();
        drop(opened);
        let again = sample.open(&index);
        assert!(!again.recovery.rebuilt);
        assert_eq!(again.recovery.walked_bytes, 0, "{base}");
        sample.check(&again);
        index
            .store()
            .drop_table(again.volume.generation().table)
            .unwrap();
        drop(again);
        let rebuilt = sample.open(&Sample::mem_index());
        assert!(rebuilt.recovery.rebuilt);
        sample.check(&rebuilt);
    }
}
