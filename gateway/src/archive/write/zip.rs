//! Zip, stored (PKWARE's APPNOTE 6.3.10), with ZIP64 where a size, an offset or the number of entries needs it.
//!
//! The crates that write zip to a stream put each checksum behind its data (a data descriptor), which readers that stream cannot skip
//! when nothing is compressed. Here it stands before the data wherever it is known, so that each entry can be read as it comes.

use super::super::{NAME_BYTES_MAX, names};
use super::Entry;

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const END64_LOCATOR: u32 = 0x0706_4b50;
/// Version needed to read: 2.0, and 4.5 for ZIP64. The upper byte of "made by" is 3, Unix.
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
const MADE_BY: u16 = (3 << 8) | VERSION_64;
const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_UTF8: u16 = 1 << 11;
const EXTRA_ZIP64: u16 = 1;
const EXTRA_TIME: u16 = 0x5455;
/// In a field of 32 bits: see the ZIP64 extra field.
const SEE_64: u32 = u32::MAX;
const REGULAR_FILE: u32 = 0o100_000;

/// See the module.
#[derive(Debug, Default)]
pub struct ZipEncoder {
    /// Offset of the next byte, from the start of the archive.
    offset: u64,
    entries: u64,
    /// The directory that will stand at the end.
    directory: Vec<u8>,
    /// The entry whose data comes.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    name: String,
    offset: u64,
    size_bytes: u64,
    mtime_secs: u64,
    mode: u32,
    /// Told before the data.
    told: Option<u32>,
    hasher: crc32fast::Hasher,
}

impl Current {
    fn flags(&self) -> u16 {
        let utf8 = if self.name.is_ascii() { 0 } else { FLAG_UTF8 };
        let descriptor = if self.told.is_none() {
            FLAG_DESCRIPTOR
        } else {
            0
        };
        utf8 | descriptor
    }

    fn is_large(&self) -> bool {
        self.size_bytes >= u64::from(SEE_64)
    }

    /// Fields that stand in both headers: version to checksum.
    fn shared(&self, crc32: u32, large: bool, out: &mut Vec<u8>) {
        push16(if large { VERSION_64 } else { VERSION }, out);
        push16(self.flags(), out);
        push16(0, out);
        push32(dos_time(self.mtime_secs), out);
        push32(crc32, out);
    }

    /// When it was changed, in UTC and to the second; DOS time has neither.
    fn time(&self, out: &mut Vec<u8>) {
        let Ok(secs) = i32::try_from(self.mtime_secs) else {
            return;
        };
        push16(EXTRA_TIME, out);
        push16(5, out);
        out.push(1);
        out.extend_from_slice(&secs.to_le_bytes());
    }

    fn local(&self, out: &mut Vec<u8>) {
        let large = self.is_large();
        let told_size = if self.told.is_some() {
            self.size_bytes
        } else {
            0
        };
        let mut extra = Vec::with_capacity(32);
        if large {
            push16(EXTRA_ZIP64, &mut extra);
            push16(16, &mut extra);
            push64(told_size, &mut extra);
            push64(told_size, &mut extra);
        }
        self.time(&mut extra);
        push32(LOCAL, out);
        self.shared(self.told.unwrap_or(0), large, out);
        let size = if large { SEE_64 } else { low32(told_size) };
        push32(size, out);
        push32(size, out);
        push16(len16(self.name.as_bytes()), out);
        push16(len16(&extra), out);
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&extra);
    }

    /// Its line in the directory.
    fn central(&self, crc32: u32, out: &mut Vec<u8>) {
        let (large, far) = (self.is_large(), self.offset >= u64::from(SEE_64));
        let mut extra = Vec::with_capacity(48);
        if large || far {
            push16(EXTRA_ZIP64, &mut extra);
            push16(16 * u16::from(large) + 8 * u16::from(far), &mut extra);
            if large {
                push64(self.size_bytes, &mut extra);
                push64(self.size_bytes, &mut extra);
            }
            if far {
                push64(self.offset, &mut extra);
            }
        }
        self.time(&mut extra);
        push32(CENTRAL, out);
        push16(MADE_BY, out);
        self.shared(crc32, large || far, out);
        push32(
            if large {
                SEE_64
            } else {
                low32(self.size_bytes)
            },
            out,
        );
        push32(
            if large {
                SEE_64
            } else {
                low32(self.size_bytes)
            },
            out,
        );
        push16(len16(self.name.as_bytes()), out);
        push16(len16(&extra), out);
        // No comment, the first disk, no internal attributes.
        out.extend_from_slice(&[0; 6]);
        push32((REGULAR_FILE | self.mode & 0o7777) << 16, out);
        push32(if far { SEE_64 } else { low32(self.offset) }, out);
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&extra);
    }
}

impl ZipEncoder {
    pub fn begin(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let current = Current {
            name: names::clip(entry.name, NAME_BYTES_MAX).to_owned(),
            offset: self.offset,
            size_bytes: entry.size_bytes,
            mtime_secs: entry.mtime_secs,
            mode: entry.mode,
            told: entry.crc32,
            hasher: crc32fast::Hasher::new(),
        };
        let at = out.len();
        current.local(out);
        self.offset += (out.len() - at) as u64;
        self.current = Some(current);
    }

    pub fn data(&mut self, piece: &[u8]) {
        if let Some(current) = self.current.as_mut().filter(|it| it.told.is_none()) {
            current.hasher.update(piece);
        }
        self.offset += piece.len() as u64;
    }

    pub fn end(&mut self, out: &mut Vec<u8>) {
        let Some(current) = self.current.take() else {
            return;
        };
        let crc32 = current
            .told
            .unwrap_or_else(|| current.hasher.clone().finalize());
        if current.told.is_none() {
            let at = out.len();
            push32(DESCRIPTOR, out);
            push32(crc32, out);
            for _ in 0..2 {
                if current.is_large() {
                    push64(current.size_bytes, out);
                } else {
                    push32(low32(current.size_bytes), out);
                }
            }
            self.offset += (out.len() - at) as u64;
        }
        current.central(crc32, &mut self.directory);
        self.entries += 1;
    }

    /// The data of an entry whose checksum was told went by.
    pub fn passed_over(&mut self, len_bytes: u64) {
        self.offset += len_bytes;
        self.end(&mut Vec::new());
    }

    pub fn held_bytes(&self) -> usize {
        self.directory.capacity()
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let (start, len) = (self.offset, self.directory.len() as u64);
        out.append(&mut self.directory);
        let many = self.entries >= u64::from(u16::MAX);
        let far = start >= u64::from(SEE_64) || len >= u64::from(SEE_64);
        if many || far {
            self.end64(start, len, out);
        }
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        push32(END, out);
        push32(0, out);
        push16(entries, out);
        push16(entries, out);
        push32(low32(len), out);
        push32(low32(start), out);
        push16(0, out);
    }

    fn end64(&self, start: u64, len: u64, out: &mut Vec<u8>) {
        push32(END64, out);
        push64(44, out);
        push16(MADE_BY, out);
        push16(VERSION_64, out);
        push64(0, out);
        push64(self.entries, out);
        push64(self.entries, out);
        push64(len, out);
        push64(start, out);
        push32(END64_LOCATOR, out);
        push32(0, out);
        push64(start + len, out);
        push32(1, out);
    }
}

fn push16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn push32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn push64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// The value, or "see the ZIP64 field".
fn low32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(SEE_64)
}

fn len16(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// Date and time as DOS has them, in UTC: from 1980 to 2107, in steps of two seconds.
fn dos_time(unix_secs: u64) -> u32 {
    const DAY_SECS: u64 = 86_400;
    const FIRST: u64 = 315_532_800;
    const LAST: u64 = 4_354_819_199;
    let secs = unix_secs.clamp(FIRST, LAST);
    let (year, month, day) = date(secs / DAY_SECS);
    let in_day = secs % DAY_SECS;
    let time = (in_day / 3600) << 11 | (in_day / 60 % 60) << 5 | (in_day % 60 / 2);
    let packed = ((year - 1980) << 9 | month << 5 | day) << 16 | time;
    u32::try_from(packed).unwrap_or(0)
}

/// Year, month and day of a count of days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_times() {
        let at = |y: u32, mo: u32, d: u32, h: u32, mi: u32, s: u32| {
            ((y - 1980) << 9 | mo << 5 | d) << 16 | h << 11 | mi << 5 | (s / 2)
        };
        assert_eq!(dos_time(0), at(1980, 1, 1, 0, 0, 0));
        assert_eq!(dos_time(951_827_696), at(2000, 2, 29, 12, 34, 56));
        assert_eq!(dos_time(1_767_225_599), at(2025, 12, 31, 23, 59, 58));
        assert_eq!(dos_time(u64::MAX), at(2107, 12, 31, 23, 59, 58));
    }
}
