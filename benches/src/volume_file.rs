//! Writes SeaweedFS volumes (version 3: `.dat`, `.idx`, `.vif`) straight to disk, much faster than over HTTP.
//!
//! All integers are big-endian. A record starts at a multiple of 8; an index entry counts offsets in units of 8 bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Version 3, no replication, no TTL, never compacted, no extra bytes.
const SUPER_BLOCK: [u8; 8] = [3, 0, 0, 0, 0, 0, 0, 0];

/// The body carries its last-modified time.
const HAS_LAST_MODIFIED: u8 = 0x08;

/// 2026-01-01T00:00:00Z; the same in every run, so that volumes are too.
const EPOCH_SECS: u64 = 1_767_225_600;

const VIF: &str = r#"{"files":[],"version":3,"replication":"","bytesOffset":4,"datFileSize":"0","expireAtSec":"0","readOnly":false,"ecShardConfig":null,"readOnlyCanDelete":false}"#;

/// One needle to write.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    /// Its key.
    pub key: u64,
    /// Its cookie.
    pub cookie: u32,
    /// Its payload, not empty.
    pub data: &'a [u8],
}

/// A volume being written.
pub struct VolumeFile {
    dat: BufWriter<File>,
    idx: BufWriter<File>,
    end_bytes: u64,
    needles: u64,
    record: Vec<u8>,
}

impl VolumeFile {
    /// Makes the three files of volume `number` in `dir`.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn create(dir: &Path, number: u32) -> Result<Self> {
        let open = |extension: &str| -> Result<BufWriter<File>> {
            let path = dir.join(format!("{number}.{extension}"));
            let file =
                File::create(&path).with_context(|| format!("creating {}", path.display()))?;
            Ok(BufWriter::with_capacity(1 << 20, file))
        };
        let (mut dat, idx) = (open("dat")?, open("idx")?);
        dat.write_all(&SUPER_BLOCK)?;
        open("vif")?.write_all(VIF.as_bytes())?;
        Ok(Self {
            dat,
            idx,
            end_bytes: SUPER_BLOCK.len() as u64,
            needles: 0,
            record: Vec::new(),
        })
    }

    /// Appends a needle and its index entry.
    ///
    /// # Errors
    /// When the disk does not take it, or the volume would outgrow its index's offsets.
    pub fn append(&mut self, needle: Needle<'_>) -> Result<()> {
        let offset = u32::try_from(self.end_bytes / 8).context("a volume ends at 32 GiB")?;
        let size = encode(
            needle,
            EPOCH_SECS * 1_000_000_000 + self.needles,
            &mut self.record,
        );
        self.dat.write_all(&self.record)?;
        self.idx.write_all(&needle.key.to_be_bytes())?;
        self.idx.write_all(&offset.to_be_bytes())?;
        self.idx.write_all(&size.to_be_bytes())?;
        self.end_bytes += self.record.len() as u64;
        self.needles += 1;
        Ok(())
    }

    /// Writes out what is buffered and makes it durable; returns the length of `.dat` in bytes.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn finish(self) -> Result<u64> {
        for file in [self.dat, self.idx] {
            file.into_inner()
                .map_err(std::io::IntoInnerError::into_error)?
                .sync_all()?;
        }
        Ok(self.end_bytes)
    }
}

/// Puts the whole record into `record` and returns its size field.
fn encode(needle: Needle<'_>, append_at_ns: u64, record: &mut Vec<u8>) -> u32 {
    let size = (4 + needle.data.len() + 1 + 5) as u32;
    record.clear();
    record.extend_from_slice(&needle.cookie.to_be_bytes());
    record.extend_from_slice(&needle.key.to_be_bytes());
    record.extend_from_slice(&size.to_be_bytes());
    record.extend_from_slice(&(needle.data.len() as u32).to_be_bytes());
    record.extend_from_slice(needle.data);
    record.push(HAS_LAST_MODIFIED);
    record.extend_from_slice(&EPOCH_SECS.to_be_bytes()[3..]);
    record.extend_from_slice(&crc32c::crc32c(needle.data).to_be_bytes());
    record.extend_from_slice(&append_at_ns.to_be_bytes());
    // Padding is 1 to 8 bytes, never none.
    record.resize(record.len() + 8 - record.len() % 8, 0);
    size
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_as_the_format_says() {
        let mut record = Vec::new();
        let size = encode(
            Needle {
                key: 0x0102,
                cookie: 0xdead_beef,
                data: b"123456789",
            },
            5,
            &mut record,
        );
        let expected = [
            &[0xde, 0xad, 0xbe, 0xef][..],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[0, 0, 0, 19],
            &[0, 0, 0, 9],
            b"123456789",
            &[0x08],
            &[0, 0x69, 0x55, 0xb9, 0x00],
            // The check value of CRC-32C.
            &[0xe3, 0x06, 0x92, 0x83],
            &[0, 0, 0, 0, 0, 0, 0, 5],
            &[0],
        ]
        .concat();
        assert_eq!((size, record), (19, expected));
    }

    #[test]
    fn the_index_points_at_the_records() {
        let dir = tempfile::tempdir().unwrap();
        let mut volume = VolumeFile::create(dir.path(), 3).unwrap();
        for key in 1..=3 {
            volume
                .append(Needle {
                    key,
                    cookie: 9,
                    data: &[7; 20],
                })
                .unwrap();
        }
        let end_bytes = volume.finish().unwrap();
        let dat = std::fs::read(dir.path().join("3.dat")).unwrap();
        let idx = std::fs::read(dir.path().join("3.idx")).unwrap();
        assert_eq!((dat.len() as u64, idx.len()), (end_bytes, 48));
        for (entry, key) in idx.chunks(16).zip(1u64..) {
            let offset = u32::from_be_bytes(entry[8..12].try_into().unwrap()) as usize * 8;
            assert_eq!(dat[offset + 4..offset + 12], key.to_be_bytes());
            assert_eq!(dat[offset + 12..offset + 16], entry[12..16]);
        }
        let vif: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("3.vif")).unwrap()).unwrap();
        assert_eq!(
            (&vif["version"], &vif["bytesOffset"]),
            (&3.into(), &4.into())
        );
    }

    proptest! {
        #[test]
        fn every_record_is_padded_by_one_to_eight_bytes(len in 1usize..200) {
            let mut record = Vec::new();
            let size = encode(Needle { key: 1, cookie: 2, data: &vec![1; len] }, 3, &mut record) as usize;
            prop_assert_eq!(record.len() % 8, 0);
            prop_assert!((1..=8).contains(&(record.len() - 16 - size - 12)));
        }
    }
}
