//! Whether a file is already where it is to go, so that it need not be carried again.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::entry::Entry;

/// Read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// What is known of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its length.
    pub bytes: u64,
    /// Its CRC-32C, where it is known.
    pub crc32c: Option<u32>,
    /// When it was changed, Unix seconds.
    pub mtime_secs: u64,
}

impl From<&Entry> for Known {
    fn from(entry: &Entry) -> Self {
        Self {
            bytes: entry.file_size,
            crc32c: entry.crc32c(),
            mtime_secs: entry.mtime_secs(),
        }
    }
}

/// How sure one wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// The checksum must be the same (the default).
    Checksum,
    /// What is there must not be older (`--fast`).
    Time,
    /// Nothing is the same (`--again`).
    Never,
}

/// What can be said without reading the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Same,
    /// It is to be carried.
    Other,
    /// It is there if its CRC-32C is this.
    IfCrc32c(u32),
}

impl Care {
    /// Of the two flags.
    pub const fn of(fast: bool, again: bool) -> Self {
        match (fast, again) {
            (_, true) => Self::Never,
            (true, false) => Self::Time,
            (false, false) => Self::Checksum,
        }
    }

    /// Compares what is to be carried with what is there.
    pub fn compare(self, source: Known, there: Option<Known>) -> Verdict {
        let Some(there) = there.filter(|there| there.bytes == source.bytes) else {
            return Verdict::Other;
        };
        match self {
            Self::Never => Verdict::Other,
            Self::Time if there.mtime_secs >= source.mtime_secs => Verdict::Same,
            Self::Time => Verdict::Other,
            // One side is a file here, whose checksum takes reading it.
            Self::Checksum => match source.crc32c.or(there.crc32c) {
                Some(crc32c) => Verdict::IfCrc32c(crc32c),
                None => Verdict::Other,
            },
        }
    }
}

/// CRC-32C of a file, read from end to end.
///
/// # Errors
/// Those of reading it.
pub fn crc32c_of(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut crc32c = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(crc32c);
        }
        crc32c = crc32c::crc32c_append(crc32c, chunk.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn known(bytes: u64, crc32c: Option<u32>, mtime_secs: u64) -> Known {
        Known {
            bytes,
            crc32c,
            mtime_secs,
        }
    }

    #[test]
    fn the_decision_to_send() {
        let here = known(5, None, 100);
        for (care, there, verdict) in [
            (Care::Checksum, None, Verdict::Other),
            (Care::Checksum, Some(known(6, Some(1), 100)), Verdict::Other),
            (
                Care::Checksum,
                Some(known(5, Some(1), 0)),
                Verdict::IfCrc32c(1),
            ),
            // Without a checksum nothing is sure: send it again.
            (Care::Checksum, Some(known(5, None, 200)), Verdict::Other),
            (Care::Time, Some(known(5, None, 100)), Verdict::Same),
            (Care::Time, Some(known(5, None, 99)), Verdict::Other),
            (Care::Time, Some(known(4, None, 100)), Verdict::Other),
            (Care::Never, Some(known(5, Some(1), 200)), Verdict::Other),
        ] {
            assert_eq!(care.compare(here, there), verdict, "{care:?} {there:?}");
        }
        let fetched = Care::Checksum.compare(known(5, Some(9), 0), Some(known(5, None, 0)));
        assert_eq!(fetched, Verdict::IfCrc32c(9));
    }

    #[test]
    fn a_file_is_summed_in_chunks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 7).map(|n| n as u8).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        assert_eq!(crc32c_of(file.path()).unwrap(), crc32c::crc32c(&bytes));
        std::fs::write(file.path(), b"123456789").unwrap();
        // The check value of CRC-32C (RFC 3720).
        assert_eq!(crc32c_of(file.path()).unwrap(), 0xe306_9283);
    }
}
