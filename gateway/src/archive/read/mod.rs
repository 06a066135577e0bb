//! Archives on their way in: bytes are fed as they arrive, and come out as events.

mod packing;
mod tar;

use bytes::{Bytes, BytesMut};

pub use self::packing::Packing;
use self::packing::Unpacker;
use self::tar::TarDecoder;

/// What stands in an archive, in the order in which it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A file begins. Its data follows, then [`Event::End`].
    File(Member),
    /// A piece of its data: a slice of what was fed, or of a buffer of 128 KiB into which that was unpacked.
    Data(Bytes),
    /// All data of the file has come.
    End,
    /// Something that is no file.
    Skipped(Skipped),
    /// Much has been read without an event (padding, or something skipped): let others run, then go on.
    Working,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path as it stands there: not checked, and not always UTF-8.
    pub name: Vec<u8>,
    /// Length of its data.
    pub size_bytes: u64,
    /// Unix seconds; 0 for times before 1970.
    pub mtime_secs: u64,
    /// Permissions.
    pub mode: u32,
}

/// An entry that is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub name: Vec<u8>,
    /// What it is: "directory", "symbolic link", "sparse file" and so on.
    pub what: &'static str,
    /// Whether nothing is lost by it: a folder appears with the files in it.
    pub harmless: bool,
}

/// Why an archive cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the archive is {fault} at byte {offset} of {layer}: {reason}")]
pub struct ArchiveError {
    /// What kind of mistake.
    pub fault: Fault,
    /// Where, in bytes from the start of `layer`.
    pub offset: u64,
    /// In what the offset counts: "the tar", "the gzip stream", "the zstd stream".
    pub layer: &'static str,
    /// What was found.
    pub reason: String,
}

/// Kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ends too early: send the whole.
    Truncated,
    /// Its bytes are not what they were: make it again.
    Damaged,
    /// It is more than a limit allows, or uses what is not read here: make it in another way.
    Refused,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::Refused => "refused",
        })
    }
}

/// Pieces that are read without an event before [`Event::Working`] comes.
const PIECES_PER_STEP: u32 = 8;
/// As many bytes as tell how an archive is packed.
const MAGIC_BYTES: usize = 4;

/// Reads one tar, plain or packed.
///
/// [`feed`](Self::feed) a piece, take events until [`next_event`](Self::next_event) has none, and so on; at the end of the input
/// [`finish`](Self::finish), take what events are left, and [`check_end`](Self::check_end). After an error nothing more is read.
#[derive(Debug)]
pub struct ArchiveReader {
    declared: Option<Packing>,
    /// What came before it was known how the archive is packed.
    head: BytesMut,
    unpacker: Option<Unpacker>,
    input: Bytes,
    tar: TarDecoder,
}

impl ArchiveReader {
    /// A reader of an archive that is said to be packed so; `None`: its first bytes tell.
    pub fn new(declared: Option<Packing>) -> Self {
        Self {
            declared,
            head: BytesMut::new(),
            unpacker: None,
            input: Bytes::new(),
            tar: TarDecoder::default(),
        }
    }

    /// Takes the next piece. All events of the one before must have been taken.
    pub fn feed(&mut self, piece: Bytes) {
        debug_assert!(self.input.is_empty());
        if self.unpacker.is_some() {
            self.input = piece;
            return;
        }
        self.head.extend_from_slice(&piece);
        if self.head.len() >= MAGIC_BYTES {
            self.begin();
        }
    }

    /// Says that the input has ended.
    pub fn finish(&mut self) {
        if self.unpacker.is_none() {
            self.begin();
        }
    }

    fn begin(&mut self) {
        let head = self.head.split().freeze();
        let packing = self.declared.unwrap_or_else(|| Packing::by_magic(&head));
        self.unpacker = Some(Unpacker::new(packing));
        self.input = head;
    }

    /// The next event, or `None` if that takes more input.
    pub fn next_event(&mut self) -> Result<Option<Event>, ArchiveError> {
        for _ in 0..PIECES_PER_STEP {
            if let Some(event) = self.tar.next_event()? {
                return Ok(Some(event));
            }
            let Some(unpacker) = &mut self.unpacker else {
                return Ok(None);
            };
            match unpacker.unpack(&mut self.input)? {
                Some(piece) => self.tar.feed(piece),
                None => return Ok(None),
            }
        }
        Ok(Some(Event::Working))
    }

    /// Whether the archive ended as it should, once its input has.
    pub fn check_end(&self) -> Result<(), ArchiveError> {
        self.unpacker.as_ref().map_or(Ok(()), Unpacker::check_end)?;
        self.tar.check_end()
    }

    /// Bytes of the tar that have been read.
    pub const fn offset(&self) -> u64 {
        self.tar.offset()
    }

    /// Memory that the reader itself may hold, in bytes.
    pub const HELD_BYTES_MAX: u64 = packing::HELD_BYTES_MAX + tar::META_BYTES_MAX;
}

#[cfg(test)]
mod tests;
