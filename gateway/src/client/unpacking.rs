//! Small files out of a tar that comes in pieces.

use bytes::Bytes;

use super::error::ClientError;
use super::queue::SMALL_BYTES_MAX;
use crate::archive::{ArchiveError, ArchiveReader, Event, Packing};

/// The entry by which a server names what it could not put into an archive.
const ERRORS_NAME: &str = "MOONGATE-ERRORS.jsonl";
/// Most that one entry may be: a file that has been replaced by a larger one since it was listed, or the list of errors.
const ENTRY_BYTES_MAX: u64 = 16 * SMALL_BYTES_MAX;

/// A file out of an archive.
#[derive(Debug)]
pub struct Unpacked {
    /// Its name there.
    pub name: String,
    /// Its content.
    pub data: Vec<u8>,
}

impl Unpacked {
    /// Whether it is the list of what is missing.
    pub fn is_errors(&self) -> bool {
        self.name == ERRORS_NAME
    }
}

/// See the module.
#[derive(Debug)]
pub struct Unpacking {
    reader: ArchiveReader,
    current: Option<Unpacked>,
}

impl Default for Unpacking {
    fn default() -> Self {
        Self {
            reader: ArchiveReader::new(Some(Packing::Plain)),
            current: None,
        }
    }
}

impl Unpacking {
    /// Takes the next piece; all files of the one before must have been taken.
    pub fn feed(&mut self, piece: Bytes) {
        self.reader.feed(piece);
    }

    /// Says that the archive has ended.
    pub fn finish(&mut self) {
        self.reader.finish();
    }

    /// The next file that is whole; `None` if that takes more input.
    ///
    /// # Errors
    /// [`ClientError::Broken`] if the archive cannot be read.
    pub fn next_file(&mut self) -> Result<Option<Unpacked>, ClientError> {
        while let Some(event) = self.reader.next_event().map_err(|error| broken(&error))? {
            match event {
                Event::File(member) if member.size_bytes > ENTRY_BYTES_MAX => {
                    let text = "a file has become much larger since it was listed: get it again";
                    return Err(ClientError::Impossible(text.to_owned()));
                }
                Event::File(member) => {
                    let name = String::from_utf8_lossy(&member.name).into_owned();
                    let data = Vec::with_capacity(member.size_bytes as usize);
                    self.current = Some(Unpacked { name, data });
                }
                Event::Data(piece) => {
                    if let Some(current) = &mut self.current {
                        current.data.extend_from_slice(&piece);
                    }
                }
                Event::End => return Ok(self.current.take()),
                Event::Skipped(_) | Event::Working => {}
            }
        }
        Ok(None)
    }

    /// Whether the archive is whole.
    ///
    /// # Errors
    /// [`ClientError::Broken`] if it is cut off.
    pub fn check_end(&self) -> Result<(), ClientError> {
        self.reader.check_end().map_err(|error| broken(&error))
    }
}

fn broken(error: &ArchiveError) -> ClientError {
    ClientError::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Encoder, Entry, Format};

    fn archive() -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::new(Format::Tar, ""), Vec::new());
        for (name, data) in [("0", &b"abc"[..]), ("1", b""), (ERRORS_NAME, b"{}\n")] {
            encoder.whole(
                &Entry {
                    name,
                    ..Entry::default()
                },
                data,
                &mut out,
            );
        }
        encoder.finish(&mut out);
        out
    }

    fn unpacked(archive: &[u8], step: usize) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
        let mut unpacking = Unpacking::default();
        let mut files = Vec::new();
        for piece in archive.chunks(step) {
            unpacking.feed(Bytes::copy_from_slice(piece));
            while let Some(file) = unpacking.next_file()? {
                files.push((file.name, file.data));
            }
        }
        unpacking.finish();
        unpacking.check_end()?;
        Ok(files)
    }

    #[test]
    fn files_come_whole_however_the_pieces_are_cut() {
        for step in [1, 100, 512, 10_000] {
            let files = unpacked(&archive(), step).unwrap();
            let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["0", "1", ERRORS_NAME], "{step}");
            assert_eq!(files[0].1, b"abc");
        }
    }

    #[test]
    fn a_short_archive_is_noticed() {
        let archive = archive();
        for len in [0, 511, 600, 1024, archive.len() - 1024] {
            assert!(unpacked(&archive[..len], 512).is_err(), "{len}");
        }
    }
}
