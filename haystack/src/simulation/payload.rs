//! What is stored: few sizes, around the borders of sectors and pages, and payloads that look like the volume itself.

use bytes::Bytes;
use moongate_disk::sim::Rng;

use crate::commit;
use crate::id::{Cookie, NeedleKey};
use crate::needle::{Draft, HEADER_BYTES, Stamp, Version, encode_marker};
use crate::ttl::Ttl;

const SIZES: [usize; 16] = [
    0, 1, 5, 7, 8, 100, 440, 511, 512, 513, 1000, 1024, 4050, 4095, 4096, 4097,
];
/// Bytes of a record before its data.
const DATA_AT: u64 = HEADER_BYTES as u64 + 4;

/// What an evil payload is made with.
pub struct Place<'a> {
    /// The volume's bytes.
    pub dat: &'a [u8],
    /// Where the record will stand, if nothing comes before it.
    pub offset: u64,
    /// A key that is (or may be) in use.
    pub victim: u64,
    pub cookie: Cookie,
}

/// A needle to be stored.
pub fn draft(rng: &mut Rng, place: &Place<'_>, now_secs: u64) -> Draft {
    let data = match rng.below(8) {
        0 => evil(rng, place),
        1 => prefix(rng, place),
        // Of one length, so that what is written anew can be as long as what failed.
        2 => rng.bytes(440),
        _ => {
            let len = *rng.pick(&SIZES);
            rng.bytes(len)
        }
    };
    let plain = rng.one_in(3);
    let mut text = |one_in: u64, len: u64| {
        let len = if plain || !rng.one_in(one_in) {
            0
        } else {
            rng.below(len)
        };
        Bytes::from(vec![b'a' + rng.below(26) as u8; len as usize])
    };
    let (name, mime, pairs) = (text(2, 40), text(2, 20), text(4, 600));
    let ttl = if rng.one_in(6) {
        Ttl::parse("1m").unwrap_or_default()
    } else {
        Ttl::NONE
    };
    Draft {
        data: data.into(),
        name,
        mime,
        pairs,
        last_modified_secs: (!plain || !ttl.is_none()).then_some(now_secs),
        ttl,
        gzip: rng.one_in(8),
        chunk_manifest: rng.one_in(16),
        checksum: 0,
    }
    .with_checksum()
}

/// A copy of the volume so far.
fn prefix(rng: &mut Rng, place: &Place<'_>) -> Vec<u8> {
    let len = place.dat.len().min(8192);
    let from = if rng.one_in(2) {
        0
    } else {
        (place.dat.len() - len) / 8 * 8
    };
    let mut data = vec![0; 4];
    data.extend_from_slice(&place.dat[from..from + len]);
    data
}

/// Records and commit records, sealed for the very place where they will stand if the guess at the offset is right.
fn evil(rng: &mut Rng, place: &Place<'_>) -> Vec<u8> {
    let mut data = vec![0; 4];
    if rng.one_in(2) {
        data.resize(4 + 512, 0xee);
    }
    let at = |data: &Vec<u8>| place.offset + DATA_AT + data.len() as u64;
    if rng.one_in(2) {
        let start = *rng.pick(&[at(&data), place.offset, 8]);
        let mut record = vec![0; (at(&data) - start) as usize];
        commit::seal_commit(&mut record, start, commit::Before::Durable, 7, Version::V3);
        data.extend_from_slice(&record[(at(&data) - start) as usize..]);
    }
    let start = at(&data);
    let mut inner = Vec::new();
    for _ in 0..1 + rng.below(3) {
        let stamp = Stamp {
            key: NeedleKey(place.victim),
            cookie: place.cookie,
            appended_at_ns: 7,
            offset: start + inner.len() as u64,
        };
        if rng.one_in(3) {
            encode_marker(&stamp, 7, Version::V3, &mut inner);
        } else {
            let draft = Draft {
                data: Bytes::from_static(b"forged"),
                ..Draft::default()
            };
            draft
                .with_checksum()
                .encode(&stamp, Version::V3, &mut inner);
        }
    }
    commit::seal_commit(&mut inner, start, commit::Before::Durable, 8, Version::V3);
    data.extend_from_slice(&inner);
    data
}
