//! Dying between two steps, and in the middle of one.

use super::*;
use crate::replace_file;
use std::collections::BTreeSet;

#[test]
fn steps_are_counted_and_the_last_one_is_the_last() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, "a", b"abc");
    assert_eq!(disk.steps(), 4);
    file.read_at(&mut [0; 3], 0).unwrap();
    disk.list(Path::new("")).unwrap();
    assert_eq!(disk.steps(), 4);
    disk.kill_after(1);
    file.sync_data().unwrap();
    assert!(disk.is_down());
    assert!(file.read_at(&mut [0; 3], 0).is_err());
    assert!(file.sync_data().is_err());
    assert_eq!(disk.steps(), 5);
    assert_eq!(content(&disk.crash(Crash::ProcessKill), "a"), b"abc");
}

#[test]
fn the_write_at_the_kill_is_cut() {
    let mut lengths = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable(&disk, "a", b"");
        disk.kill_after(0);
        assert!(file.write_all_at(b"0123456789", 0).is_err());
        assert!(file.write_all_at(b"again", 0).is_err());
        let found = content(&disk.crash(Crash::ProcessKill), "a");
        assert!(b"0123456789".starts_with(&found));
        lengths.insert(found.len());
    }
    assert_eq!(lengths, (0..=10).collect());
}

#[test]
fn any_other_step_at_the_kill_happens_or_does_not() {
    type Act = fn(&SimDisk, &dyn DiskFile);
    let acts: [Act; 4] = [
        |disk, _| assert!(disk.rename(Path::new("a"), Path::new("b")).is_err()),
        |disk, _| assert!(disk.remove(Path::new("a")).is_err()),
        |_, file| assert!(file.set_len(9).is_err()),
        |disk, _| assert!(disk.open(Path::new("c"), OpenMode::CreateNew).is_err()),
    ];
    for act in acts {
        let happened = (0..SEEDS).filter(|seed| {
            let disk = SimDisk::new(*seed);
            let file = durable(&disk, "a", b"");
            disk.kill_after(0);
            let before = disk.visible_files();
            act(&disk, &*file);
            disk.crash(Crash::ProcessKill).visible_files() != before
        });
        assert!((20..SEEDS as usize - 20).contains(&happened.count()));
    }
}

#[test]
fn a_sync_at_the_kill_may_have_been_done() {
    let done = (0..SEEDS).filter(|seed| {
        let disk = SimDisk::new(*seed);
        let file = durable(&disk, "a", b"old");
        file.write_all_at(b"new", 0).unwrap();
        disk.kill_after(0);
        assert!(file.sync_data().is_err());
        disk.durable_files()[Path::new("a")] == b"new"
    });
    assert!((20..SEEDS as usize - 20).contains(&done.count()));
}

type Replace = fn(&SimDisk, &[u8]) -> io::Result<()>;

/// Whether a way to replace a file keeps its promise: the old content or the new one whenever it dies, and the new
/// one once it has returned.
fn replaces_safely(replace: Replace) -> bool {
    let (old, new) = ([1; 2000], [2; 3000]);
    for (seed, steps) in (0..SEEDS).flat_map(|seed| (0..6).map(move |steps| (seed, steps))) {
        for crash in [Crash::ProcessKill, Crash::PowerLoss] {
            let disk = SimDisk::new(seed);
            durable(&disk, "f", &old);
            disk.kill_after(steps);
            let finished = replace(&disk, &new).is_ok();
            let found = content(&disk.crash(crash), "f");
            if found != new && (finished || found != old) {
                return false;
            }
        }
    }
    true
}

#[test]
fn replace_file_survives_every_crash() {
    assert!(replaces_safely(|disk, bytes| replace_file(
        disk,
        Path::new("f"),
        bytes
    )));
}

/// The simulation catches each step that is left out.
#[test]
fn a_careless_replacement_is_caught() {
    let without_sync: Replace = |disk, bytes| {
        let file = disk.open(Path::new("t"), OpenMode::CreateOrTruncate)?;
        file.write_all_at(bytes, 0)?;
        disk.rename(Path::new("t"), Path::new("f"))?;
        disk.sync_dir(Path::new(""))
    };
    let without_directory_sync: Replace = |disk, bytes| {
        let file = disk.open(Path::new("t"), OpenMode::CreateOrTruncate)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
        disk.rename(Path::new("t"), Path::new("f"))
    };
    let in_place: Replace = |disk, bytes| {
        let file = disk.open(Path::new("f"), OpenMode::ReadWrite)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    for careless in [without_sync, without_directory_sync, in_place] {
        assert!(!replaces_safely(careless));
    }
}
