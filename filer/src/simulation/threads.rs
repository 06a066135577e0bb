//! Many threads on one filer over RocksDB: no lost update, no orphan, no needle lost or released twice.

use moongate_disk::sim::Rng;

use super::check;
use crate::entry::{Attributes, Chunk, Content, Entry, Needle};
use crate::{FilePath, Filer, FilerError, PutOptions, RenameOptions, RocksRows};

const THREADS: u64 = 4;
const ROUNDS: u64 = 400;
const NOW: u64 = 1;

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn quick() -> PutOptions {
    PutOptions {
        durable: false,
        ..PutOptions::default()
    }
}

fn file(volume: u32, key: u64) -> Entry {
    let needle = Needle {
        volume,
        key,
        cookie: 1,
    };
    let chunk = Chunk {
        needle,
        offset: 0,
        bytes: 1,
        modified_ns: 0,
        md5: None,
        crc32c: None,
    };
    Entry::file(Attributes::default(), Content::chunks(vec![chunk]))
}

fn open() -> (tempfile::TempDir, Filer) {
    let dir = tempfile::tempdir().unwrap();
    let rows = RocksRows::open(dir.path()).unwrap();
    (dir, Filer::open(Box::new(rows), NOW).unwrap())
}

fn random_path(rng: &mut Rng) -> FilePath {
    let names = ["a", "b"];
    let text: String = (0..=rng.below(3))
        .map(|_| format!("/{}", rng.pick::<&str>(&names)))
        .collect();
    path(&text)
}

/// Puts, moves and deletes at random; returns the needles that were accepted.
fn disturb(filer: &Filer, thread: u64) -> Vec<Needle> {
    let mut rng = Rng::new(thread);
    let mut accepted = Vec::new();
    for round in 0..ROUNDS {
        let (one, two) = (random_path(&mut rng), random_path(&mut rng));
        let answer = match rng.below(8) {
            0..=3 => {
                let entry = file(thread as u32, round);
                let put = filer.put(&one, entry.clone(), quick(), NOW).map(drop);
                accepted.extend(entry.needles().filter(|_| put.is_ok()));
                put
            }
            4 => filer.rename(
                &one,
                &two,
                RenameOptions {
                    may_replace: true,
                    make_parents: true,
                },
                NOW,
            ),
            5 => filer.delete(&one, true, NOW).map(drop),
            6 => filer.make_folder(&one, Attributes::default(), true, NOW),
            _ => filer.sweep(5).map(drop),
        };
        if let Err(error @ (FilerError::Storage(_) | FilerError::Corrupt(_))) = answer {
            panic!("{error}");
        }
    }
    accepted
}

#[test]
fn nothing_is_lost_or_orphaned_between_threads() {
    let (_dir, filer) = open();
    let accepted: Vec<Needle> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let filer = &filer;
                    move || disturb(filer, thread)
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let model = super::model::Model {
        tree: check::tree(&filer, NOW).unwrap(),
        needles: accepted.into_iter().collect(),
    };
    check::equals(&filer, &model, NOW).unwrap();
    assert!(
        model.needles.len() > 50,
        "too little was put: {}",
        model.needles.len()
    );
}

#[test]
fn no_update_is_lost() {
    let (_dir, filer) = open();
    let target = path("/counter");
    filer.put(&target, file(1, 1), quick(), NOW).unwrap();
    let count = |entry: &mut Entry| {
        entry.attributes.uid += 1;
        Ok::<_, FilerError>(())
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..50).for_each(|_| drop(filer.update(&target, NOW, count).unwrap())));
        }
    });
    assert_eq!(
        u64::from(filer.find(&target, NOW).unwrap().attributes.uid),
        THREADS * 50
    );
}

/// One exclusive put of many wins.
#[test]
fn only_one_makes_a_name() {
    let (_dir, filer) = open();
    let options = PutOptions {
        may_replace: false,
        ..quick()
    };
    let wins: usize = std::thread::scope(|scope| {
        let put = |thread| {
            filer
                .put(&path("/a/b/c"), file(thread, 1), options, NOW)
                .is_ok()
        };
        let threads: Vec<_> = (0..THREADS as u32)
            .map(|t| scope.spawn(move || put(t)))
            .collect();
        threads
            .into_iter()
            .map(|t| usize::from(t.join().unwrap()))
            .sum()
    });
    assert_eq!(wins, 1);
    check::entries(&filer).unwrap();
}
