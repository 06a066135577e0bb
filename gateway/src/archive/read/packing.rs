//! gzip and zstd, unpacked in steps of bounded size: a bomb costs no memory, and its time can be shared out.

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::{ArchiveError, Fault};

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952), several members in a row included.
    Gzip,
    /// Zstandard (RFC 8878), several frames in a row included.
    Zstd,
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What one step unpacks at most.
const STEP_BYTES: usize = 128 << 10;
/// Window of a zstd frame, as a power of two: 8 MiB is what RFC 8878 asks of every decoder, and what `zstd -19` uses.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const GZIP_WINDOW_BITS: u8 = 15;
/// What an unpacker holds: zstd's window and its buffers.
pub const HELD_BYTES_MAX: u64 = (1 << ZSTD_WINDOW_LOG_MAX) + (1 << 20);

impl Packing {
    /// By the first four bytes.
    pub fn by_magic(head: &[u8]) -> Self {
        if head.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else if head.starts_with(&ZSTD_MAGIC) {
            Self::Zstd
        } else {
            Self::Plain
        }
    }

    /// By a Content-Encoding; `None` for one that is not known.
    pub fn by_encoding(encoding: &str) -> Option<Self> {
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Plain),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    const fn layer(self) -> &'static str {
        match self {
            Self::Plain => "the tar",
            Self::Gzip => "the gzip stream",
            Self::Zstd => "the zstd stream",
        }
    }
}

/// Turns packed pieces into plain ones.
pub struct Unpacker {
    packing: Packing,
    engine: Engine,
    /// Bytes of the input that were used.
    used_bytes: u64,
    /// The last step filled its buffer: there may be more without more input.
    more: bool,
    /// Between two members or frames: the input may end here.
    whole: bool,
    /// What ended the last step, told once what came out before it is taken.
    failed: Option<String>,
}

enum Engine {
    Plain,
    Gzip(Box<Decompress>),
    /// `None` where the library had no memory for it.
    Zstd(Option<Decoder<'static>>),
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Unpacker")
            .field("packing", &self.packing)
            .field("used_bytes", &self.used_bytes)
            .finish()
    }
}

impl Unpacker {
    pub fn new(packing: Packing) -> Self {
        let engine = match packing {
            Packing::Plain => Engine::Plain,
            Packing::Gzip => Engine::Gzip(Box::new(Decompress::new_gzip(GZIP_WINDOW_BITS))),
            Packing::Zstd => Engine::Zstd(zstd_decoder()),
        };
        Self {
            packing,
            engine,
            used_bytes: 0,
            more: false,
            whole: packing == Packing::Plain,
            failed: None,
        }
    }

    /// The next plain piece; `None` if that takes more input.
    pub fn unpack(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ArchiveError> {
        if let Some(reason) = self.failed.take() {
            return Err(self.error(Fault::Damaged, reason));
        }
        if input.is_empty() && !self.more {
            return Ok(None);
        }
        let mut out = Vec::new();
        let used = match &mut self.engine {
            Engine::Plain => {
                let piece = std::mem::take(input);
                self.used_bytes += piece.len() as u64;
                return Ok(Some(piece));
            }
            Engine::Gzip(inflate) => {
                out.reserve_exact(STEP_BYTES);
                gzip_step(inflate, &mut self.whole, input, &mut out)
            }
            Engine::Zstd(decoder) => {
                out.reserve_exact(STEP_BYTES);
                zstd_step(decoder.as_mut(), &mut self.whole, input, &mut out)
            }
        };
        let used = match used {
            Ok(used) => used,
            Err(reason) if out.is_empty() => return Err(self.error(Fault::Damaged, reason)),
            Err(reason) => {
                self.failed = Some(reason);
                return Ok(Some(out.into()));
            }
        };
        if used == 0 && out.is_empty() && !input.is_empty() {
            return Err(self.error(Fault::Damaged, "it cannot be unpacked further".to_owned()));
        }
        input.advance(used);
        self.used_bytes += used as u64;
        self.more = out.len() == out.capacity();
        if out.is_empty() && input.is_empty() {
            return Ok(None);
        }
        Ok(Some(out.into()))
    }

    /// Whether the input may end here.
    pub fn check_end(&self) -> Result<(), ArchiveError> {
        if self.whole {
            return Ok(());
        }
        Err(self.error(Fault::Truncated, "it ends before its own end".to_owned()))
    }

    fn error(&self, fault: Fault, reason: String) -> ArchiveError {
        ArchiveError {
            fault,
            offset: self.used_bytes,
            layer: self.packing.layer(),
            reason,
        }
    }
}

/// Unpacks as much as fits into `out`; returns how much of the input that took.
fn gzip_step(
    inflate: &mut Decompress,
    whole: &mut bool,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, String> {
    if *whole {
        if input.is_empty() {
            return Ok(0);
        }
        // Another member; what is no gzip header is told by the inflater itself.
        *inflate = Decompress::new_gzip(GZIP_WINDOW_BITS);
        *whole = false;
    }
    let before = inflate.total_in();
    let status = inflate.decompress_vec(input, out, FlushDecompress::None);
    match status {
        Ok(Status::StreamEnd) => *whole = true,
        Ok(Status::Ok | Status::BufError) => {}
        Err(error) => return Err(error.to_string()),
    }
    usize::try_from(inflate.total_in() - before).map_err(|error| error.to_string())
}

fn zstd_step(
    decoder: Option<&mut Decoder<'static>>,
    whole: &mut bool,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, String> {
    let decoder = decoder.ok_or("there is no memory for unpacking it")?;
    let mut from = InBuffer::around(input);
    let mut to = OutBuffer::around(out);
    let hint = decoder
        .run(&mut from, &mut to)
        .map_err(|error| zstd_reason(&error))?;
    if !input.is_empty() || to.pos() > 0 {
        *whole = hint == 0;
    }
    Ok(from.pos())
}

fn zstd_decoder() -> Option<Decoder<'static>> {
    let mut decoder = Decoder::new().ok()?;
    decoder
        .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
        .ok()?;
    Some(decoder)
}

fn zstd_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    if text.contains("too much memory") {
        "its window is larger than 8 MiB: pack it with at most `zstd -19`, without --long"
            .to_owned()
    } else {
        text
    }
}
