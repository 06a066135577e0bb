//! Folders on a real disk: sound ones, and ones with one thing wrong each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_disk::RealDisk;

use super::*;
use crate::id::{Cookie, NeedleKey};
use crate::needle::Draft;
use crate::placement::ReplicaPlacement;
use crate::sequence::Sequence;
use crate::ttl::Ttl;
use crate::volume::files::VolumeFiles;
use crate::volume::writer::Op;
use crate::volume::{Durability, open};

pub const COOKIE: u32 = 0xc0ff_ee00;
pub const NEEDLES: u64 = 12;
const COMMITS_OF: usize = 4;

/// Keeps every report.
#[derive(Default)]
pub struct Seen(pub Vec<VolumeReport>);

impl Watcher for Seen {
    fn volume(&mut self, report: &VolumeReport) {
        self.0.push(report.clone());
    }
}

/// A folder with one volume as the gateway leaves it: keys 1 to 12 put, 3 overwritten, 4 deleted.
pub struct Folder {
    pub dir: tempfile::TempDir,
}

pub fn files(dir: &Path) -> VolumeFiles {
    VolumeFiles::from_dat_name(dir, "pics_7.dat").unwrap()
}

pub fn put(key: u64, text: &str) -> Op {
    let draft = Draft {
        data: format!("{text} of {key}").repeat(20).into(),
        name: format!("{key}.jpg").into(),
        mime: "image/jpeg".into(),
        last_modified_secs: Some(1_700_000_000),
        ..Draft::default()
    };
    Op::Put {
        key: NeedleKey(key),
        cookie: Cookie(COOKIE),
        draft: draft.with_checksum(),
        precondition: None,
        must_exist: false,
    }
}

pub fn hot(dir: &Path) -> Arc<HotIndex> {
    let rocks = RocksIndex::open(&dir.join(INDEX_DIR)).unwrap();
    Arc::new(HotIndex::new(Arc::new(rocks), 0))
}

impl Folder {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new();
        let mut sequence = Sequence::open(&disk, &[dir.path().into()], 0, 6).unwrap();
        assert_eq!(sequence.volume(&disk).unwrap(), VolumeId(7));
        assert_eq!(sequence.keys(&disk, NEEDLES).unwrap(), NeedleKey(1));
        let none = (ReplicaPlacement::from_byte(0), Ttl::NONE);
        open::create(&disk, &files(dir.path()), none.0, none.1).unwrap();
        let folder = Self { dir };
        let mut ops: Vec<Op> = (1..=NEEDLES).map(|key| put(key, "image")).collect();
        ops.push(put(3, "newer image"));
        ops.push(Op::Delete {
            key: NeedleKey(4),
            cookie: Cookie(COOKIE),
            precondition: None,
        });
        folder.write(&ops);
        folder
    }

    /// Commits ops, a few at a time, and closes the volume.
    pub fn write(&self, ops: &[Op]) {
        let index = hot(self.path());
        let mut opened = open::open(&RealDisk::new(), &index, self.files()).unwrap();
        for some in ops.chunks(COMMITS_OF) {
            let outcomes = opened
                .writer
                .commit(some, Durability::Fsync, 1_700_000_000_000_000_000);
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
        opened.writer.close().unwrap();
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn files(&self) -> VolumeFiles {
        files(self.path())
    }

    /// Checks or mends; the only volume's report.
    pub fn fsck(&self, repair: bool) -> (VolumeReport, FolderReport) {
        let mut seen = Seen::default();
        let total = run(&RealDisk::new(), self.path(), repair, &mut seen).unwrap();
        assert_eq!(seen.0.len(), 1);
        (seen.0.remove(0), total)
    }

    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    /// Where the record of a key starts, by a plain look at the bytes.
    pub fn offset_of(&self, key: u64) -> usize {
        let bytes = std::fs::read(self.files().dat()).unwrap();
        let header = [&COOKIE.to_be_bytes()[..], &key.to_be_bytes()].concat();
        let at = bytes.windows(header.len()).rposition(|w| w == header);
        at.unwrap()
    }

    pub fn flip(&self, at: usize) {
        self.edit(&self.files().dat(), |bytes| bytes[at] ^= 4);
    }

    /// What clients get for each key, from the volume opened as the gateway does.
    pub fn answers(&self) -> Vec<Result<usize, String>> {
        let index = hot(self.path());
        let opened = open::open(&RealDisk::new(), &index, self.files()).unwrap();
        let read = |key| {
            let needle = opened.volume.read_for(NeedleKey(key), Cookie(COOKIE), 0);
            needle.map(|n| n.data().len()).map_err(|e| e.to_string())
        };
        (1..=NEEDLES).map(read).collect()
    }
}

/// Every file in a folder and below, with its bytes.
pub fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(snapshot(&path));
        } else {
            all.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    all
}

pub fn codes(report: &VolumeReport) -> Vec<&'static str> {
    report.problems.iter().map(Problem::code).collect()
}

fn fids(report: &VolumeReport) -> Vec<String> {
    let damaged = report.problems.iter().filter_map(|p| match p {
        Problem::DamagedNeedle { needle, .. } => Some(needle.to_string()),
        _ => None,
    });
    damaged.collect()
}

#[test]
fn a_sound_folder_is_counted_and_not_touched() {
    let folder = Folder::new();
    let before = snapshot(folder.path());
    let (report, total) = folder.fsck(false);
    assert_eq!(report.problems, []);
    assert!(report.is_sound() && total.is_sound());
    assert_eq!(
        (report.needles, report.live, report.deleted),
        (NEEDLES + 1, NEEDLES - 1, 1)
    );
    let dat_bytes = std::fs::metadata(folder.files().dat()).unwrap().len();
    assert_eq!((report.bytes, total.bytes), (dat_bytes, dat_bytes));
    assert!(report.garbage_bytes > 0 && report.written_by_moongate);
    assert_eq!(report.key_max, NEEDLES);
    assert_eq!(snapshot(folder.path()), before, "a check writes nothing");
    assert_eq!(folder.fsck(true).0.repaired, [""; 0]);
}

#[test]
fn a_flipped_byte_names_the_image_it_hurts() {
    // Of key 5's record: cookie, key, Size, data, and behind the data flags, name, checksum.
    let folder = Folder::new();
    let at = folder.offset_of(5);
    let size = 4 + "image of 5".len() * 20 + 1 + 6 + 11 + 5;
    for (byte, what) in [
        (2, "cookie"),
        (11, "key"),
        (15, "size"),
        (40, "data"),
        (16 + 4 + 200 + 3, "name"),
        (16 + size, "checksum"),
        (16 + size + 6, "time"),
    ] {
        folder.flip(at + byte);
        let before = snapshot(folder.path());
        let (report, total) = folder.fsck(false);
        assert_eq!(snapshot(folder.path()), before, "{what}");
        let named = fids(&report);
        assert_eq!(named.len(), 1, "{what}: {:#?}", report.problems);
        assert!(named[0].starts_with("7,05"), "{what}: {named:?}");
        assert_eq!((total.damaged_needles, total.is_sound()), (1, false));
        assert_eq!(report.live, NEEDLES - 1, "{what}");
        folder.flip(at + byte);
    }
    assert!(folder.fsck(false).1.is_sound());
}

#[test]
fn damaged_garbage_hurts_nobody() {
    let folder = Folder::new();
    let bytes = std::fs::read(folder.files().dat()).unwrap();
    let old = bytes.windows(10).position(|w| w == b"image of 3").unwrap();
    folder.flip(old);
    let (report, _) = folder.fsck(false);
    assert_eq!(codes(&report), ["damaged_garbage"]);
}

#[test]
fn a_flipped_byte_of_a_commit_record_is_found() {
    let folder = Folder::new();
    let end = std::fs::metadata(folder.files().dat()).unwrap().len() as usize;
    folder.flip(end - 32 + 1);
    let (report, total) = folder.fsck(false);
    assert!(!total.is_sound(), "{report:?}");
    assert_eq!(fids(&report), [""; 0]);
}

#[test]
fn every_kind_of_wrong_idx_is_found() {
    for (want, change) in [
        ("idx_cut", cut as fn(&mut Vec<u8>)),
        ("idx_lacks", |b| drop(b.drain(0..16))),
        ("idx_stray", |b| b[11] ^= 1),
        ("idx_stray", |b| b[7] ^= 1),
        ("idx_stray", |b| b[15] ^= 1),
        ("idx_short", |b| b.truncate(b.len() - 16)),
    ] {
        let folder = Folder::new();
        folder.edit(&folder.files().idx(), change);
        let (report, total) = folder.fsck(false);
        assert!(codes(&report).contains(&want), "{want}: {report:#?}");
        assert!(!total.is_sound());
    }
    fn cut(bytes: &mut Vec<u8>) {
        bytes.truncate(bytes.len() - 5);
    }
    let folder = Folder::new();
    std::fs::remove_file(folder.files().idx()).unwrap();
    assert_eq!(codes(&folder.fsck(false).0), ["idx_missing"]);
}

#[test]
fn a_wrong_row_of_the_index_is_found() {
    use crate::index::{Entry, IndexStore};
    let folder = Folder::new();
    let elsewhere = Entry {
        offset: 8,
        size: 5,
        deleted: false,
    };
    for (key, want) in [(2, "index_lacks"), (4, "index_stray"), (99, "index_stray")] {
        let index = RocksIndex::open(&folder.path().join(INDEX_DIR)).unwrap();
        let table = index.tables().unwrap()[0];
        let progress = index.progress(table).unwrap().unwrap();
        let changes = [(NeedleKey(key), elsewhere)];
        index.apply(table, &changes, &progress).unwrap();
        drop(index);
        let (report, _) = folder.fsck(false);
        assert!(codes(&report).contains(&want), "{key}: {report:#?}");
    }
}

#[test]
fn an_index_of_another_time_is_found() {
    let folder = Folder::new();
    folder.edit(&folder.files().dat(), |bytes| bytes.truncate(1000));
    let (report, _) = folder.fsck(false);
    assert!(codes(&report).contains(&"index_other"), "{report:#?}");
}

#[test]
fn what_was_not_closed_is_a_note() {
    let folder = Folder::new();
    let index = hot(folder.path());
    let mut opened = open::open(&RealDisk::new(), &index, folder.files()).unwrap();
    let outcomes = opened
        .writer
        .commit(&[put(12, "later")], Durability::Fsync, 1);
    assert!(outcomes[0].is_ok());
    drop((opened, index));
    let (report, total) = folder.fsck(false);
    assert_eq!(codes(&report), ["not_closed"]);
    assert!(report.is_sound() && total.is_sound());
}

#[test]
fn a_folder_in_use_is_refused() {
    // The lock is the process's: another one has to hold it.
    let folder = Folder::new();
    let lock = folder.path().join(INDEX_DIR).join("LOCK");
    let script = "import fcntl,sys\nf=open(sys.argv[1],'r+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('held',flush=True)\nsys.stdin.read()";
    let Ok(mut holder) = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(&lock)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
    else {
        panic!("python3 is needed to hold a lock")
    };
    let mut held = [0; 4];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut held).unwrap();
    for repair in [false, true] {
        let refused = run(
            &RealDisk::new(),
            folder.path(),
            repair,
            &mut Seen::default(),
        );
        let error = refused.unwrap_err();
        assert!(matches!(error, FsckError::InUse(_)), "{error}");
        assert!(error.to_string().contains("stop the gateway first"));
    }
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(folder.fsck(false).1.is_sound());
}

/// The volumes that SeaweedFS made.
fn samples() -> PathBuf {
    PathBuf::from("../tests/samples")
}

pub fn sample_folder(base: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for extension in ["dat", "idx", "vif"] {
        let name = format!("{base}.{extension}");
        let from = samples().join(&name);
        if from.exists() {
            std::fs::copy(from, dir.path().join(name)).unwrap();
        }
    }
    dir
}

#[test]
fn volumes_of_seaweedfs_are_sound_before_and_after_they_are_taken_over() {
    for base in ["plain_1", "rust5_1", "oldv2_2"] {
        let dir = sample_folder(base);
        let before = snapshot(dir.path());
        let mut seen = Seen::default();
        let total = run(&RealDisk::new(), dir.path(), false, &mut seen).unwrap();
        assert!(total.is_sound(), "{base}: {:#?} {total:#?}", seen.0);
        assert_eq!(codes(&seen.0[0]), ["not_taken_over"], "{base}");
        assert!(seen.0[0].live > 0);
        assert_eq!(
            snapshot(dir.path()),
            before,
            "{base}: a check writes nothing"
        );

        let index = hot(dir.path());
        let files = VolumeFiles::from_dat_name(dir.path(), &format!("{base}.dat")).unwrap();
        let mut opened = open::open(&RealDisk::new(), &index, files).unwrap();
        let counters = opened.volume.counters();
        opened.writer.close().unwrap();
        drop((opened, index));
        let mut again = Seen::default();
        let total = run(&RealDisk::new(), dir.path(), false, &mut again).unwrap();
        assert!(total.is_sound(), "{base}: {:#?}", again.0);
        assert_eq!(again.0[0].problems, [], "{base}");
        assert_eq!(again.0[0].needles, counters.puts, "{base}");
    }
}

#[test]
fn a_flipped_byte_of_a_sample_is_found() {
    let dir = sample_folder("plain_1");
    let path = dir.path().join("plain_1.dat");
    let mut bytes = std::fs::read(&path).unwrap();
    // The first needle is one byte of data, behind super block, header and DataSize.
    bytes[8 + 16 + 4] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut seen = Seen::default();
    run(&RealDisk::new(), dir.path(), false, &mut seen).unwrap();
    assert_eq!(fids(&seen.0[0]), ["1,0100000001"]);
}
