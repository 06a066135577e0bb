use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::archive::{Encoder, Entry, Format};

/// Name and data of each file, and what was passed over.
type Read = (Vec<(String, Vec<u8>)>, Vec<&'static str>);

fn read(archive: &[u8], piece_bytes: usize) -> (Read, Result<(), ArchiveError>) {
    let mut reader = ArchiveReader::new(None);
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    let mut current: Option<(String, Vec<u8>)> = None;
    let mut drive = |reader: &mut ArchiveReader| -> Result<(), ArchiveError> {
        while let Some(event) = reader.next_event()? {
            match event {
                Event::File(member) => {
                    current = Some((
                        String::from_utf8_lossy(&member.name).into_owned(),
                        Vec::new(),
                    ))
                }
                Event::Data(piece) => current.as_mut().unwrap().1.extend_from_slice(&piece),
                Event::End => files.push(current.take().unwrap()),
                Event::Skipped(it) => skipped.push(it.what),
                Event::Working => {}
            }
        }
        Ok(())
    };
    let mut outcome = Ok(());
    for piece in archive.chunks(piece_bytes.max(1)) {
        reader.feed(Bytes::copy_from_slice(piece));
        outcome = drive(&mut reader);
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        reader.finish();
        outcome = drive(&mut reader).and_then(|()| reader.check_end());
    }
    ((files, skipped), outcome)
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(Format::Tar, ""), Vec::new());
    for (name, data) in files {
        let entry = Entry {
            name,
            mode: 0o644,
            mtime_secs: 1_700_000_000,
            ..Entry::default()
        };
        encoder.whole(&entry, data, &mut out);
    }
    encoder.finish(&mut out);
    out
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of(data: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(data, 1).unwrap()
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let noise = |n: usize| (0..n).map(|i| (i * i % 251) as u8).collect::<Vec<u8>>();
    vec![
        ("a.jpg".into(), noise(5000)),
        ("empty".into(), Vec::new()),
        (format!("{}/long.png", "folder/".repeat(30)), noise(512)),
        ("図/猫.json".into(), noise(700)),
    ]
}

#[test]
fn plain_and_packed_in_pieces_of_any_size() {
    let files = samples();
    let plain = tar(&files);
    for archive in [plain.clone(), gzip(&plain), zstd_of(&plain)] {
        for piece_bytes in [1, 3, 511, 512, 513, 4096, usize::MAX >> 1] {
            let ((got, _), outcome) = read(&archive, piece_bytes);
            assert_eq!(outcome, Ok(()), "{piece_bytes}");
            assert!(got == files, "{piece_bytes}");
        }
    }
}

#[test]
fn several_members_in_a_row() {
    let plain = tar(&samples());
    let (a, b) = plain.split_at(3000);
    for archive in [
        [gzip(a), gzip(b)].concat(),
        [zstd_of(a), zstd_of(b)].concat(),
    ] {
        let ((got, _), outcome) = read(&archive, 100);
        assert_eq!(outcome, Ok(()));
        assert!(got == samples());
    }
}

#[test]
fn every_truncation_is_told_and_keeps_what_came_before() {
    let files = samples();
    let plain = tar(&files);
    for end in 0..plain.len() {
        let ((got, _), outcome) = read(&plain[..end], 64 << 10);
        let error = outcome.expect_err("truncated");
        assert_eq!(
            (error.fault, error.offset),
            (Fault::Truncated, end as u64),
            "{error}"
        );
        assert!(files.starts_with(&got));
    }
    for packed in [gzip(&plain), zstd_of(&plain)] {
        for end in 0..packed.len() {
            let ((got, _), outcome) = read(&packed[..end], 64 << 10);
            let fault = outcome.expect_err("truncated").fault;
            // Less than the magic is no packed stream yet, but a very short tar.
            assert_eq!(fault, Fault::Truncated, "{end} of {}", packed.len());
            assert!(files.starts_with(&got));
        }
    }
}

/// gzip's checksum stands behind the data, which is out by then. (A small zstd frame is checked before any of it comes out.)
#[test]
fn a_wrong_checksum_at_the_end_keeps_what_came_before() {
    let mut packed = gzip(&tar(&samples()));
    let at = packed.len() - 8;
    packed[at] ^= 1;
    let ((got, _), outcome) = read(&packed, 64 << 10);
    assert_eq!(outcome.expect_err("damaged").fault, Fault::Damaged);
    assert!(got == samples());
}

#[test]
fn a_flipped_header_is_told_with_its_place() {
    let files = samples();
    let plain = tar(&files);
    let second = 512 + 5120;
    for at in [0, 100, 124, 148, 156, 257, 345, 500] {
        let mut damaged = plain.clone();
        damaged[second + at] ^= 0x41;
        let ((got, _), outcome) = read(&damaged, 4096);
        let error = outcome.expect_err("damaged");
        assert_eq!(
            (error.fault, error.offset),
            (Fault::Damaged, second as u64),
            "{at}: {error}"
        );
        assert_eq!(got.len(), 1);
    }
    let mut behind = plain;
    behind.extend_from_slice(b"more");
    let error = read(&behind, 4096).1.expect_err("something behind the end");
    assert_eq!(error.offset, behind.len() as u64 - 4);
}

#[test]
fn what_is_no_file_is_passed_over() {
    let mut header = ::tar::Header::new_gnu();
    let mut archive = Vec::new();
    for (kind, what) in [
        (EntryKind::Directory, "directory"),
        (EntryKind::Link, "hard link"),
        (EntryKind::Symlink, "symbolic link"),
        (EntryKind::Char, "device"),
        (EntryKind::Fifo, "named pipe"),
        (EntryKind::GNUSparse, "sparse file"),
    ] {
        header.set_path(what).unwrap();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
    }
    archive.extend_from_slice(&tar(&samples()));
    let ((got, skipped), outcome) = read(&archive, 1000);
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        skipped,
        [
            "directory",
            "hard link",
            "symbolic link",
            "device",
            "named pipe",
            "sparse file"
        ]
    );
    assert!(got == samples());
}

use ::tar::EntryType as EntryKind;

#[test]
fn a_bomb_is_read_in_steps() {
    let mut header = ::tar::Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_entry_type(EntryKind::new(b'?'));
    header.set_size(64 << 20);
    header.set_cksum();
    let mut plain = header.as_bytes().to_vec();
    plain.resize(plain.len() + (64 << 20) + 1024, 0);
    let packed = zstd_of(&plain);
    assert!(packed.len() < 64 << 10);
    let mut reader = ArchiveReader::new(None);
    reader.feed(packed.into());
    let mut steps = 0;
    while let Some(event) = reader.next_event().unwrap() {
        steps += u32::from(event == Event::Working);
    }
    assert!(steps > 32, "{steps}");
    reader.finish();
    assert_eq!(reader.check_end(), Ok(()));
}

#[test]
fn a_window_that_is_too_large_is_refused_with_what_to_do() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder
        .set_parameter(zstd::zstd_safe::CParameter::WindowLog(26))
        .unwrap();
    encoder.write_all(&vec![7; 70 << 20]).unwrap();
    let packed = encoder.finish().unwrap();
    let error = read(&packed, 1 << 20).1.expect_err("64 MiB of window");
    assert!(error.reason.contains("zstd -19"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..3000), piece_bytes in 1..700_usize) {
        let (_, outcome) = read(&bytes, piece_bytes);
        prop_assert!(outcome.is_err());
    }

    /// Damage anywhere: it ends, and no file has another name and the same place.
    #[test]
    fn damage_never_hangs(at in 0_usize..9000, with: u8, packing in 0..3) {
        let plain = tar(&samples());
        let mut archive = match packing { 0 => plain, 1 => gzip(&plain), _ => zstd_of(&plain) };
        let at = at % archive.len();
        archive[at] = with;
        let _ = read(&archive, 100);
    }

    #[test]
    fn files_come_back(files in prop::collection::vec(("[a-z猫/]{1,130}[a-z]", prop::collection::vec(any::<u8>(), 0..1500)), 0..6), piece_bytes in 1..2000_usize) {
        let ((got, _), outcome) = read(&tar(&files), piece_bytes);
        prop_assert_eq!(outcome, Ok(()));
        prop_assert_eq!(got, files);
    }
}
