//! Walks over volumes, sound and damaged.

use moongate_disk::{Disk, OpenMode, SimDisk};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::id::Cookie;
use crate::id::NeedleKey;
use crate::needle::{Draft, KEY_AT, Stamp};

const START: u64 = 8;

fn draft(fill: u8, len: usize) -> Draft {
    Draft {
        data: vec![fill; len].into(),
        ..Draft::default()
    }
    .with_checksum()
}

/// Commits of needles with these lengths, as a `.dat` has them, and where each record starts.
fn dat_of(commits: &[&[usize]]) -> (Vec<u8>, Vec<u64>) {
    let (mut dat, mut offsets) = (vec![3, 0, 0, 0, 0, 0, 0, 0], Vec::new());
    let mut key = 0;
    for lens in commits {
        let start = dat.len() as u64;
        let mut commit = Vec::new();
        for len in *lens {
            key += 1;
            let offset = start + commit.len() as u64;
            let stamp = Stamp {
                key: NeedleKey(key),
                cookie: Cookie(9),
                appended_at_ns: 5,
                offset,
            };
            draft(key as u8, *len).encode(&stamp, Version::V3, &mut commit);
            offsets.push(offset);
        }
        commit::seal_commit(&mut commit, start, Before::Durable, 6, Version::V3);
        dat.extend_from_slice(&commit);
    }
    (dat, offsets)
}

fn file_of(dat: &[u8]) -> Arc<dyn DiskFile> {
    let disk = SimDisk::new(0);
    let file = disk.open(Path::new("/1.dat"), OpenMode::CreateNew).unwrap();
    file.write_all_at(dat, 0).unwrap();
    file
}

fn walk(dat: &[u8]) -> Vec<Event> {
    let (file, mut events) = (file_of(dat), Vec::new());
    let scan = Scan::new(&*file, Version::V3, START, dat.len() as u64, &[]);
    scan.each(|event| {
        events.push(event);
        ControlFlow::Continue(())
    })
    .unwrap();
    events
}

fn sound_keys(events: &[Event]) -> Vec<u64> {
    let records = events.iter().flat_map(|event| match event {
        Event::Commit { records, .. } | Event::Loose(records) => &records[..],
        Event::Damage { .. } => &[],
    });
    let sound = records.filter(|r| r.sealed && r.fault.is_none());
    sound.map(|r| r.header.key.0).collect()
}

#[test]
fn whole_commits_are_sound() {
    let (dat, _) = dat_of(&[&[1, 600], &[5000], &[]]);
    let events = walk(&dat);
    assert_eq!(events.len(), 3);
    let sound = |e: &Event| {
        matches!(
            e,
            Event::Commit {
                verdict: Verdict::Sound(Before::Durable),
                ..
            }
        )
    };
    assert!(events.iter().all(sound));
    assert_eq!(sound_keys(&events), [1, 2, 3]);
}

#[test]
fn a_key_with_one_flipped_bit_is_known_again() {
    let (mut dat, offsets) = dat_of(&[&[10, 20, 30]]);
    dat[offsets[1] as usize + KEY_AT + 7] ^= 1;
    let events = walk(&dat);
    let [
        Event::Commit {
            records,
            verdict: Verdict::Decayed(Before::Durable),
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(records[1].header.key, NeedleKey(2));
    assert_eq!(records[1].fault, Some(NeedleError::Seal));
}

/// All records of the walk as (key, offset, whether sound), and whether it came by anything else.
fn told(events: &[Event]) -> (Vec<(u64, u64, bool)>, bool) {
    let (mut records, mut else_found) = (Vec::new(), false);
    for event in events {
        match event {
            Event::Commit {
                records: of_commit,
                verdict,
                ..
            } if verdict.whole().is_some() => {
                let told = |r: &Found| (r.header.key.0, r.offset, r.sealed && r.fault.is_none());
                records.extend(of_commit.iter().map(told));
            }
            _ => else_found = true,
        }
    }
    (records, else_found)
}

const LENS: [&[usize]; 3] = [&[10, 600], &[30, 3, 700], &[8]];

proptest! {
    #[test]
    fn of_one_flipped_bit_all_is_told(at: usize, bit in 0u8..8) {
        let (mut dat, offsets) = dat_of(&LENS);
        let at = START as usize + at % (dat.len() - START as usize);
        dat[at] ^= 1 << bit;
        let (records, else_found) = told(&walk(&dat));
        prop_assert!(!else_found && records.len() == offsets.len(), "{records:?}");
        for (n, (record, offset)) in records.iter().zip(&offsets).enumerate() {
            prop_assert_eq!((record.0, record.1), (n as u64 + 1, *offset));
            let end = offset + record_bytes(dat_size(n), Version::V3);
            let hit = (*offset..end).contains(&(at as u64));
            prop_assert!(hit || record.2, "{n} is hurt by {at}");
        }
    }

    #[test]
    fn a_flipped_bit_in_the_commit_record_too_hides_nothing(at in 0usize..650, in_commit in 0usize..64) {
        let (mut dat, offsets) = dat_of(&LENS);
        let commit_at = offsets[2] as usize - 32;
        let at = START as usize + at % (commit_at - START as usize);
        dat[at] ^= 0x10;
        dat[commit_at + in_commit % 32] ^= 1 << (in_commit / 32);
        let (records, else_found) = told(&walk(&dat));
        let places: Vec<u64> = records.iter().map(|r| r.1).collect();
        prop_assert!(!else_found, "{at} {in_commit}");
        prop_assert_eq!(places, offsets);
    }

    #[test]
    fn damage_costs_no_neighbour(at: usize, noise: [u8; 12]) {
        let (mut dat, offsets) = dat_of(&LENS);
        let at = START as usize + at % (dat.len() - START as usize - noise.len());
        dat[at..at + noise.len()].copy_from_slice(&noise);
        let keys = sound_keys(&walk(&dat));
        for (n, offset) in offsets.iter().enumerate() {
            let end = offset + record_bytes(dat_size(n), Version::V3);
            let hit = (*offset..end).any(|o| (at as u64..(at + noise.len()) as u64).contains(&o));
            prop_assert!(hit || keys.contains(&(n as u64 + 1)), "{} lost by {at}", n + 1);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 8..600)) {
        walk(&bytes);
    }
}

fn dat_size(n: usize) -> u32 {
    draft(0, [10, 600, 30, 3, 700, 8][n]).size(Version::V3)
}
