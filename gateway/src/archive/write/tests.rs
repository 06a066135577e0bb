use proptest::prelude::*;

use super::*;

fn archive(format: Format, files: &[(&str, &[u8])], streamed: bool) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(format, "abcdefghijklmnop"), Vec::new());
    for (name, data) in files {
        let entry = Entry {
            name,
            size_bytes: data.len() as u64,
            mtime_secs: 1_700_000_001,
            mode: 0o640,
            mime: "image/jpeg",
            crc32: None,
        };
        if !streamed {
            encoder.whole(&entry, data, &mut out);
            continue;
        }
        encoder.begin(&entry, &mut out);
        for piece in data.chunks(100) {
            encoder.data(piece);
            out.extend_from_slice(piece);
        }
        encoder.end(&mut out).unwrap();
    }
    encoder.finish(&mut out);
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn a_tar_header_is_what_the_crate_makes() {
    let out = archive(Format::Tar, &[("dir/a.jpg", b"data")], false);
    let mut want = ::tar::Header::new_ustar();
    want.set_path("dir/a.jpg").unwrap();
    want.set_entry_type(::tar::EntryType::Regular);
    want.set_uid(0);
    want.set_gid(0);
    want.set_mode(0o640);
    want.set_size(4);
    want.set_mtime(1_700_000_001);
    want.set_cksum();
    let got = ::tar::Header::from_byte_slice(&out[..512]);
    assert_eq!(got.cksum().unwrap(), want.cksum().unwrap());
    assert_eq!(got.path_bytes(), want.path_bytes());
    assert_eq!(
        (
            got.size().unwrap(),
            got.mtime().unwrap(),
            got.mode().unwrap()
        ),
        (4, 1_700_000_001, 0o640)
    );
    assert_eq!(out.len(), 512 + 512 + 1024);
}

#[test]
fn a_size_above_8_gib_stands_in_an_extended_header() {
    let (mut encoder, mut out) = (Encoder::new(Format::Tar, ""), Vec::new());
    let entry = Entry {
        name: "large",
        size_bytes: 9 << 30,
        ..Entry::default()
    };
    encoder.begin(&entry, &mut out);
    let mut reader = crate::archive::ArchiveReader::new(None);
    reader.feed(out.into());
    let Some(crate::archive::Event::File(member)) = reader.next_event().unwrap() else {
        panic!("a file")
    };
    assert_eq!(member.size_bytes, 9 << 30);
}

#[test]
fn a_zip_tells_checksums_ahead_and_needs_no_descriptor() {
    let out = archive(Format::Zip, &[("a", b"hello"), ("猫", b"")], false);
    assert_eq!(u32_at(&out, 14), crc32fast::hash(b"hello"));
    assert_eq!(out[6], 0, "no descriptor, no UTF-8");
    let streamed = archive(Format::Zip, &[("a", b"hello")], true);
    assert_eq!((streamed[6], u32_at(&streamed, 14)), (8, 0));
}

#[test]
fn the_wrong_length_is_told() {
    let (mut encoder, mut out) = (Encoder::new(Format::Tar, ""), Vec::new());
    encoder.begin(
        &Entry {
            name: "a",
            size_bytes: 5,
            ..Entry::default()
        },
        &mut out,
    );
    encoder.data(b"1234");
    assert!(encoder.end(&mut out).is_err());
}

#[test]
fn formats_by_word_and_by_accept() {
    assert_eq!(Format::by_word("zip"), Some(Format::Zip));
    assert_eq!(Format::by_word("rar"), None);
    assert_eq!(
        Format::by_accept("text/html, application/zip;q=0.9, */*"),
        Some(Format::Zip)
    );
    assert_eq!(Format::by_accept("*/*"), None);
}

proptest! {
    /// The offset that the directory says is that of the entry, whichever way it was written.
    #[test]
    fn zip_offsets_hold(sizes in prop::collection::vec(0_usize..3000, 1..8), streamed: bool) {
        let data: Vec<Vec<u8>> = sizes.iter().map(|size| vec![7; *size]).collect();
        let files: Vec<(&str, &[u8])> = data.iter().map(|data| ("名", data.as_slice())).collect();
        let out = archive(Format::Zip, &files, streamed);
        let end = out.len() - 22;
        let mut at = u32_at(&out, end + 16) as usize;
        for data in &data {
            prop_assert_eq!(u32_at(&out, at), 0x0201_4b50);
            prop_assert_eq!(u32_at(&out, at + 16), crc32fast::hash(data));
            let local = u32_at(&out, at + 42) as usize;
            prop_assert_eq!(u32_at(&out, local), 0x0403_4b50);
            at += 46 + 3 + 9;
        }
        prop_assert_eq!(at, end);
    }
}
