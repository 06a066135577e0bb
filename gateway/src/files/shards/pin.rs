//! A pinned listing: the samples of a folder as they were at one moment, in a file.
//!
//! | part | bytes |
//! | --- | --- |
//! | magic and version | `MGPIN` 1 0 0 |
//! | samples | each: number of files (u32), then of each file: its length (u32) and its encoding |
//! | index | offset of each sample (u64) |
//! | foot | number of samples (u64), offset of the index (u64), CRC-32C of all before it (u32), `MGPE` |
//!
//! All numbers little-endian. A file's encoding: name, media type, inline content (each a u32 length and bytes), mtime seconds (u64),
//! mode (u32), size (u64), number of chunks (u32), and of each chunk volume (u32), key (u64), cookie (u32), offset (u64), length (u64),
//! modified (u64). The foot's CRC is checked when the file is opened; what a crash cut short has none.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use moongate_filer::{Attributes, Body, Chunk, Content, Entry, Needle};

const MAGIC: [u8; 8] = *b"MGPIN\x01\0\0";
const END: [u8; 4] = *b"MGPE";
const FOOT_BYTES: u64 = 8 + 8 + 4 + 4;
/// Files of one sample, and the length of one's encoding: bounds on what damage can make us allocate.
const FILES_MAX: u32 = 1 << 20;
const FILE_BYTES_MAX: u32 = 64 << 20;

/// A file of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path below the folder.
    pub name: String,
    /// What is needed of its entry to send it.
    pub entry: Entry,
}

/// A listing being written.
pub struct PinWriter {
    out: BufWriter<File>,
    crc: u32,
    at: u64,
    index: Vec<u64>,
}

impl PinWriter {
    /// Begins a listing in a new file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut writer = Self {
            out: BufWriter::with_capacity(1 << 20, File::create_new(path)?),
            crc: 0,
            at: 0,
            index: Vec::new(),
        };
        writer.put(&MAGIC)?;
        Ok(writer)
    }

    /// Adds a sample.
    pub fn sample(&mut self, files: &[Listed]) -> io::Result<()> {
        self.index.push(self.at);
        let mut bytes = Vec::with_capacity(128 * files.len());
        bytes.extend_from_slice(&(files.len() as u32).to_le_bytes());
        for file in files {
            let start = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            encode(file, &mut bytes);
            let len = (bytes.len() - start - 4) as u32;
            bytes[start..start + 4].copy_from_slice(&len.to_le_bytes());
        }
        self.put(&bytes)
    }

    /// Ends the listing and makes it durable; returns a checksum of what is in it.
    pub fn finish(mut self) -> io::Result<u32> {
        let index = std::mem::take(&mut self.index);
        let index_at = self.at;
        for offset in &index {
            self.put(&offset.to_le_bytes())?;
        }
        self.put(&(index.len() as u64).to_le_bytes())?;
        self.put(&index_at.to_le_bytes())?;
        let crc = self.crc;
        self.out.write_all(&crc.to_le_bytes())?;
        self.out.write_all(&END)?;
        let file = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(crc)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// A listing that is whole.
#[derive(Debug)]
pub struct Pin {
    file: File,
    samples: u64,
    index_at: u64,
}

impl Pin {
    /// Opens a listing and checks all of it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let foot_at = len.checked_sub(FOOT_BYTES).ok_or_else(damaged)?;
        let mut foot = [0; FOOT_BYTES as usize];
        file.read_exact_at(&mut foot, foot_at)?;
        let mut from = Reader(&foot);
        let (samples, index_at, crc) = (from.u64()?, from.u64()?, from.u32()?);
        let fits = samples
            .checked_mul(8)
            .and_then(|bytes| bytes.checked_add(index_at))
            == Some(foot_at);
        if foot[foot.len() - END.len()..] != END || !fits || checksum(&file, foot_at + 16)? != crc {
            return Err(damaged());
        }
        Ok(Self {
            file,
            samples,
            index_at,
        })
    }

    /// How many samples there are.
    pub const fn len(&self) -> u64 {
        self.samples
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The files of a sample.
    pub fn sample(&self, number: u64) -> io::Result<Vec<Listed>> {
        let entry_at = self.index_at + number.min(self.samples) * 8;
        // The offset of this sample and of the next; behind the last stands the index itself.
        let mut offsets = [0; 16];
        self.file.read_exact_at(&mut offsets, entry_at)?;
        let mut from = Reader(&offsets);
        let start = from.u64()?;
        let end = if number + 1 < self.samples {
            from.u64()?
        } else {
            self.index_at
        };
        let len = end
            .checked_sub(start)
            .and_then(|len| usize::try_from(len).ok())
            .ok_or_else(damaged)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, start)?;
        decode_sample(&bytes)
    }
}

fn checksum(file: &File, len: u64) -> io::Result<u32> {
    let (mut crc, mut at, mut buffer) = (0, 0, vec![0; 1 << 20]);
    while at < len {
        let wanted = usize::try_from(len - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let piece = &mut buffer[..wanted];
        file.read_exact_at(piece, at)?;
        crc = crc32c::crc32c_append(crc, piece);
        at += wanted as u64;
    }
    Ok(crc)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the pinned listing is damaged")
}

fn encode(file: &Listed, out: &mut Vec<u8>) {
    let (attributes, content) = (&file.entry.attributes, file.entry.content());
    let (inline, chunks): (&[u8], &[Chunk]) = match content.map(|content| &content.body) {
        Some(Body::Inline(bytes)) => (bytes, &[]),
        Some(Body::Chunks(chunks)) => (&[], chunks),
        None => (&[], &[]),
    };
    for bytes in [file.name.as_bytes(), attributes.mime.as_bytes(), inline] {
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&(attributes.mtime_ns / 1_000_000_000).to_le_bytes());
    out.extend_from_slice(&attributes.mode.to_le_bytes());
    out.extend_from_slice(&file.entry.size().to_le_bytes());
    out.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
    for chunk in chunks {
        out.extend_from_slice(&chunk.needle.volume.to_le_bytes());
        out.extend_from_slice(&chunk.needle.key.to_le_bytes());
        out.extend_from_slice(&chunk.needle.cookie.to_le_bytes());
        for number in [chunk.offset, chunk.bytes, chunk.modified_ns] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn decode_sample(bytes: &[u8]) -> io::Result<Vec<Listed>> {
    let mut from = Reader(bytes);
    let count = from.u32()?;
    if count > FILES_MAX {
        return Err(damaged());
    }
    let one = |_| {
        let len = from.u32()?;
        if len > FILE_BYTES_MAX {
            return Err(damaged());
        }
        decode(&mut Reader(from.take(len as usize)?))
    };
    (0..count).map(one).collect()
}

fn decode(from: &mut Reader<'_>) -> io::Result<Listed> {
    let (name, mime, inline) = (from.text()?, from.text()?, from.bytes()?.to_vec());
    let (mtime_secs, mode, size) = (from.u64()?, from.u32()?, from.u64()?);
    let count = from.u32()?;
    let chunk = |_| {
        Ok(Chunk {
            needle: Needle {
                volume: from.u32()?,
                key: from.u64()?,
                cookie: from.u32()?,
            },
            offset: from.u64()?,
            bytes: from.u64()?,
            modified_ns: from.u64()?,
            md5: None,
            crc32c: None,
        })
    };
    let chunks = (0..count).map(chunk).collect::<io::Result<Vec<Chunk>>>()?;
    let body = if inline.is_empty() {
        Body::Chunks(chunks)
    } else {
        Body::Inline(inline)
    };
    let attributes = Attributes {
        mode,
        mime,
        mtime_ns: mtime_secs.saturating_mul(1_000_000_000),
        ..Attributes::default()
    };
    let entry = Entry::file(attributes, Content { size, body });
    Ok(Listed { name, entry })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| damaged())
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, body: Body) -> Listed {
        let attributes = Attributes {
            mode: 0o640,
            mime: "image/jpeg".into(),
            mtime_ns: 7_000_000_000,
            ..Attributes::default()
        };
        let size = match &body {
            Body::Inline(bytes) => bytes.len() as u64,
            Body::Chunks(chunks) => chunks.iter().map(|chunk| chunk.bytes).sum(),
        };
        Listed {
            name: name.into(),
            entry: Entry::file(attributes, Content { size, body }),
        }
    }

    fn chunk(key: u64) -> Chunk {
        Chunk {
            needle: Needle {
                volume: 3,
                key,
                cookie: 9,
            },
            offset: key * 10,
            bytes: 10,
            modified_ns: 5,
            md5: None,
            crc32c: None,
        }
    }

    fn samples() -> Vec<Vec<Listed>> {
        vec![
            vec![
                listed("a.jpg", Body::Chunks(vec![chunk(0)])),
                listed("a.json", Body::Inline(b"{}".to_vec())),
            ],
            vec![listed("d/é.jpg", Body::Chunks(vec![chunk(0), chunk(1)]))],
            vec![],
        ]
    }

    fn written(dir: &tempfile::TempDir) -> std::path::PathBuf {
        let path = dir.path().join("pin");
        let mut writer = PinWriter::create(&path).unwrap();
        for sample in samples() {
            writer.sample(&sample).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn what_was_listed_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let pin = Pin::open(&written(&dir)).unwrap();
        let read: Vec<_> = (0..pin.len()).map(|n| pin.sample(n).unwrap()).collect();
        assert_eq!(read, samples());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(&dir);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, &flipped).unwrap();
            assert!(Pin::open(&path).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Pin::open(&path).is_err(), "cut at {at}");
        }
    }
}
