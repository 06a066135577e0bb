//! A tar reader that is fed: ustar, pax (POSIX.1-2001) and GNU's long names.

use bytes::{Buf as _, Bytes};
use tar::{EntryType, Header};

use super::super::{NAME_BYTES_MAX, pax};
use super::{ArchiveError, Event, Fault, Member, Skipped};

const BLOCK_BYTES: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// Most that an extended header may take, bytes.
pub const META_BYTES_MAX: u64 = 1 << 20;
/// Most that may follow the end marker, bytes; it must be zero. Blocking factors are far below it.
const PADDING_BYTES_MAX: u64 = 16 << 20;
/// In GNU's sparse headers: another one follows.
const SPARSE_MORE: usize = 482;
const SPARSE_MORE_AFTER: usize = 504;

type Block = [u8; BLOCK_BYTES];

/// What the next bytes are.
#[derive(Debug, Default)]
enum State {
    /// A header, or the first block of the end.
    #[default]
    Header,
    /// An extended header's data.
    Meta {
        kind: EntryType,
        left: u64,
        pad: u64,
        text: Vec<u8>,
    },
    /// A file's data.
    Data { left: u64, pad: u64 },
    /// Of no interest.
    Skip { left: u64 },
    /// More headers of a sparse file, then its data.
    Sparse { data: u64 },
    /// The second block of the end.
    HalfEnd,
    /// Zeros until the input ends.
    Ended { padding: u64 },
}

/// What extended headers say of the next entry.
#[derive(Debug, Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size_bytes: Option<u64>,
    mtime_secs: Option<u64>,
    sparse: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct TarDecoder {
    input: Bytes,
    /// The beginning of a block whose rest has not come.
    partial: Vec<u8>,
    state: State,
    offset: u64,
    extended: Extended,
    /// Where the present entry's header stands.
    entry_at: u64,
}

impl TarDecoder {
    /// Takes the next piece; the one before is used up when [`Self::next_event`] gives `None`.
    pub fn feed(&mut self, piece: Bytes) {
        debug_assert!(self.input.is_empty());
        self.input = piece;
    }

    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next event; `None` if that takes more input.
    pub fn next_event(&mut self) -> Result<Option<Event>, ArchiveError> {
        loop {
            let event = match std::mem::take(&mut self.state) {
                State::Data { left: 0, pad } => {
                    self.state = State::Skip { left: pad };
                    return Ok(Some(Event::End));
                }
                State::Skip { left: 0 } => None,
                State::Meta {
                    kind,
                    left: 0,
                    pad,
                    text,
                } => {
                    self.extend(kind, &text)?;
                    self.state = State::Skip { left: pad };
                    None
                }
                state if self.input.is_empty() => {
                    self.state = state;
                    return Ok(None);
                }
                state => self.step(state)?,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Goes on with input at hand.
    fn step(&mut self, state: State) -> Result<Option<Event>, ArchiveError> {
        match state {
            State::Data { left, pad } => {
                let piece = self.take(left);
                let left = left - piece.len() as u64;
                self.state = State::Data { left, pad };
                return Ok(Some(Event::Data(piece)));
            }
            State::Meta {
                kind,
                left,
                pad,
                mut text,
            } => {
                let piece = self.take(left);
                text.extend_from_slice(&piece);
                let left = left - piece.len() as u64;
                self.state = State::Meta {
                    kind,
                    left,
                    pad,
                    text,
                };
            }
            State::Skip { left } => {
                let left = left - self.take(left).len() as u64;
                self.state = State::Skip { left };
            }
            State::Ended { padding } => {
                self.state = State::Ended {
                    padding: padding + self.zeros(padding)?,
                }
            }
            block @ (State::Header | State::HalfEnd | State::Sparse { .. }) => {
                let at = self.offset;
                match self.block() {
                    None => self.state = block,
                    Some(bytes) => return self.of_block(&block, &bytes, at),
                }
            }
        }
        Ok(None)
    }

    fn of_block(
        &mut self,
        state: &State,
        block: &Block,
        at: u64,
    ) -> Result<Option<Event>, ArchiveError> {
        let is_zero = block.iter().all(|byte| *byte == 0);
        match state {
            State::Sparse { data } => {
                self.state = if block[SPARSE_MORE_AFTER] == 0 {
                    State::Skip { left: *data }
                } else {
                    State::Sparse { data: *data }
                };
                Ok(None)
            }
            State::HalfEnd if is_zero => {
                self.state = State::Ended { padding: 0 };
                Ok(None)
            }
            State::HalfEnd => Err(error(
                Fault::Damaged,
                at,
                "an empty block stands between entries",
            )),
            _ if is_zero => {
                self.state = State::HalfEnd;
                Ok(None)
            }
            _ => {
                self.entry_at = at;
                self.header(Header::from_byte_slice(block), at)
            }
        }
    }

    fn header(&mut self, header: &Header, at: u64) -> Result<Option<Event>, ArchiveError> {
        if !checksum_holds(header) {
            let text = if at == 0 {
                "this is no tar: its first header's checksum is wrong"
            } else {
                "a header's checksum is wrong"
            };
            return Err(error(Fault::Damaged, at, text));
        }
        let kind = header.entry_type();
        let size = header
            .entry_size()
            .map_err(|_| error(Fault::Damaged, at, "a header's size is no number"))?;
        if kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
        {
            return self.meta(kind, size, at);
        }
        let extended = std::mem::take(&mut self.extended);
        let name = extended
            .name
            .unwrap_or_else(|| header.path_bytes().into_owned());
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(&0) {
            return Err(error(
                Fault::Refused,
                at,
                &format!("a name is empty, holds NUL, or is longer than {NAME_BYTES_MAX} bytes"),
            ));
        }
        let size = extended.size_bytes.unwrap_or(size);
        if size > i64::MAX as u64 {
            return Err(error(
                Fault::Damaged,
                at,
                "a header's size is too large to be one",
            ));
        }
        if is_file(kind, &name) && !extended.sparse {
            self.state = State::Data {
                left: size,
                pad: padding(size),
            };
            return Ok(Some(Event::File(Member {
                name,
                size_bytes: size,
                mtime_secs: extended
                    .mtime_secs
                    .unwrap_or_else(|| header.mtime().unwrap_or(0)),
                mode: header.mode().unwrap_or(0o644) & 0o7777,
            })));
        }
        self.skip(header, &name, extended.sparse, size)
    }

    fn meta(&mut self, kind: EntryType, size: u64, at: u64) -> Result<Option<Event>, ArchiveError> {
        if size > META_BYTES_MAX {
            return Err(error(
                Fault::Refused,
                at,
                &format!(
                    "an extended header takes {size} bytes, at most {META_BYTES_MAX} are read"
                ),
            ));
        }
        self.state = State::Meta {
            kind,
            left: size,
            pad: padding(size),
            text: Vec::new(),
        };
        Ok(None)
    }

    /// Passes over what is no file. Only some of such entries have data behind them.
    fn skip(
        &mut self,
        header: &Header,
        name: &[u8],
        sparse: bool,
        size: u64,
    ) -> Result<Option<Event>, ArchiveError> {
        let kind = header.entry_type();
        let body = size + padding(size);
        let (what, left) = match kind {
            _ if sparse => ("sparse file", body),
            EntryType::GNUSparse => ("sparse file", body),
            EntryType::Directory => ("directory", 0),
            EntryType::Regular => ("directory", 0),
            EntryType::Link => ("hard link", 0),
            EntryType::Symlink => ("symbolic link", 0),
            EntryType::Char | EntryType::Block => ("device", 0),
            EntryType::Fifo => ("named pipe", 0),
            _ => ("entry of an unknown type", body),
        };
        let more = kind == EntryType::GNUSparse && header.as_bytes()[SPARSE_MORE] != 0;
        self.state = if more {
            State::Sparse { data: left }
        } else {
            State::Skip { left }
        };
        Ok(Some(Event::Skipped(Skipped {
            name: name.to_vec(),
            what,
            harmless: what == "directory",
        })))
    }

    /// An extended header is read: what it says holds for the next entry.
    fn extend(&mut self, kind: EntryType, text: &[u8]) -> Result<(), ArchiveError> {
        if kind.is_gnu_longname() {
            let end = text
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(text.len());
            self.extended.name = Some(text[..end].to_vec());
        }
        if !kind.is_pax_local_extensions() {
            // Links are not stored, and what holds for all entries is nothing that is kept.
            return Ok(());
        }
        for record in pax::records(text) {
            let (key, value) = record.ok_or_else(|| {
                error(
                    Fault::Damaged,
                    self.entry_at,
                    "an extended header cannot be read",
                )
            })?;
            self.record(key, value)?;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        let number = |value: &[u8]| {
            std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
        };
        match key {
            b"path" if !self.extended.sparse => self.extended.name = Some(value.to_vec()),
            b"GNU.sparse.name" => {
                self.extended.name = Some(value.to_vec());
                self.extended.sparse = true;
            }
            b"size" => {
                let size = number(value).ok_or_else(|| {
                    error(
                        Fault::Damaged,
                        self.entry_at,
                        "an extended header's size is no number",
                    )
                })?;
                self.extended.size_bytes = Some(size);
            }
            // With a fraction, or before 1970 with a minus.
            b"mtime" => {
                self.extended.mtime_secs = value.split(|byte| *byte == b'.').next().and_then(number)
            }
            key if key.starts_with(b"GNU.sparse.") => self.extended.sparse = true,
            _ => {}
        }
        Ok(())
    }

    /// Up to `len_bytes` of the input, as a slice of it.
    fn take(&mut self, len_bytes: u64) -> Bytes {
        let len = usize::try_from(len_bytes)
            .unwrap_or(usize::MAX)
            .min(self.input.len());
        self.offset += len as u64;
        self.input.split_to(len)
    }

    /// A whole block, or `None` until the rest of it comes.
    fn block(&mut self) -> Option<Block> {
        let wanted = (BLOCK_BYTES - self.partial.len()).min(self.input.len());
        self.partial.extend_from_slice(&self.input[..wanted]);
        self.input.advance(wanted);
        self.offset += wanted as u64;
        let block = Block::try_from(self.partial.as_slice()).ok()?;
        self.partial.clear();
        Some(block)
    }

    /// What stands behind the end must be nothing.
    fn zeros(&mut self, padding: u64) -> Result<u64, ArchiveError> {
        let piece = std::mem::take(&mut self.input);
        let len = piece.len() as u64;
        if let Some(at) = piece.iter().position(|byte| *byte != 0) {
            let at = self.offset + at as u64;
            return Err(error(
                Fault::Damaged,
                at,
                "something stands behind the end of the archive",
            ));
        }
        self.offset += len;
        if padding + len > PADDING_BYTES_MAX {
            return Err(error(
                Fault::Refused,
                self.offset,
                "more than 16 MiB of padding stand behind the end",
            ));
        }
        Ok(len)
    }

    /// Whether the input may end here.
    pub fn check_end(&self) -> Result<(), ArchiveError> {
        let text = match &self.state {
            State::Ended { .. } => return Ok(()),
            State::Header if self.offset == 0 => "it is empty",
            State::Header if !self.partial.is_empty() => "it ends inside a header",
            State::Header | State::HalfEnd => "its end marker (two empty blocks) is missing",
            State::Data { .. } => "it ends inside the data of a file",
            State::Meta { .. } | State::Sparse { .. } => "it ends inside an extended header",
            State::Skip { .. } => "it ends inside an entry",
        };
        Err(error(Fault::Truncated, self.offset, text))
    }
}

/// Old tars mark a folder by its name alone.
fn is_file(kind: EntryType, name: &[u8]) -> bool {
    matches!(kind, EntryType::Regular | EntryType::Continuous) && !name.ends_with(b"/")
}

const fn padding(size: u64) -> u64 {
    (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64
}

/// The sum of all bytes, those of the checksum itself as spaces. Some old programs summed signed bytes.
fn checksum_holds(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let Ok(stored) = header.cksum() else {
        return false;
    };
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = bytes[CHECKSUM].iter().map(|byte| u32::from(*byte)).sum();
    let spaces = u32::from(b' ') * CHECKSUM.len() as u32;
    let unsigned = sum - own + spaces;
    unsigned == stored || {
        let high = bytes
            .iter()
            .enumerate()
            .filter(|(at, byte)| **byte >= 0x80 && !CHECKSUM.contains(at))
            .count();
        i64::from(unsigned) - 256 * high as i64 == i64::from(stored)
    }
}

fn error(fault: Fault, offset: u64, reason: &str) -> ArchiveError {
    ArchiveError {
        fault,
        offset,
        layer: "the tar",
        reason: reason.to_owned(),
    }
}
