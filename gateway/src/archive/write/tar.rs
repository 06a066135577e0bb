//! The tar format of POSIX.1-2001: a ustar header, before it an extended one where a name is long or not ASCII, or a size above 8 GiB.

use super::super::{NAME_BYTES_MAX, names, pax};
use super::Entry;

/// Everything in a tar comes in blocks of this size.
pub const BLOCK_BYTES: usize = 512;
/// Two empty blocks end an archive; readers expect a multiple of 20 blocks, but take fewer.
const END_BYTES: usize = 2 * BLOCK_BYTES;
const NAME: usize = 0;
const NAME_LEN: usize = 100;
const MODE: usize = 100;
const SIZE: usize = 124;
const MTIME: usize = 136;
const CHECKSUM: usize = 148;
const KIND: usize = 156;
/// The largest size and time that 11 octal digits can say.
const OCTAL_MAX: u64 = 0o777_7777_7777;
const REGULAR: u8 = b'0';
const EXTENDED: u8 = b'x';

/// Headers are copies of one that was made once.
#[derive(Debug)]
pub struct TarEncoder {
    template: [u8; BLOCK_BYTES],
    /// Sum of the template's bytes, with the checksum field as spaces.
    template_sum: u32,
}

impl TarEncoder {
    pub fn new() -> Self {
        let mut header = ::tar::Header::new_ustar();
        header.set_uid(0);
        header.set_gid(0);
        let mut template = *header.as_bytes();
        template[MODE..MODE + 8].fill(0);
        template[SIZE..SIZE + 12].fill(0);
        template[MTIME..MTIME + 12].fill(0);
        template[CHECKSUM..CHECKSUM + 8].fill(b' ');
        template[KIND] = 0;
        let template_sum = template.iter().map(|byte| u32::from(*byte)).sum();
        Self {
            template,
            template_sum,
        }
    }

    pub fn begin(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let name = names::clip(entry.name, NAME_BYTES_MAX);
        let mtime_secs = entry.mtime_secs.min(OCTAL_MAX);
        let plain = name.len() <= NAME_LEN && name.is_ascii() && entry.size_bytes <= OCTAL_MAX;
        if !plain {
            self.extended(name, entry.size_bytes, mtime_secs, out);
        }
        self.header(
            name,
            entry.mode,
            entry.size_bytes.min(OCTAL_MAX),
            mtime_secs,
            REGULAR,
            out,
        );
    }

    /// An entry before the entry, which says what its header cannot.
    fn extended(&self, name: &str, size_bytes: u64, mtime_secs: u64, out: &mut Vec<u8>) {
        let mut records = Vec::with_capacity(name.len() + 64);
        pax::push("path", name, &mut records);
        if size_bytes > OCTAL_MAX {
            pax::push("size", &size_bytes.to_string(), &mut records);
        }
        let len = records.len() as u64;
        self.header("PaxHeaders/entry", 0o644, len, mtime_secs, EXTENDED, out);
        out.extend_from_slice(&records);
        pad(len, out);
    }

    fn header(
        &self,
        name: &str,
        mode: u32,
        size_bytes: u64,
        mtime_secs: u64,
        kind: u8,
        out: &mut Vec<u8>,
    ) {
        let at = out.len();
        out.extend_from_slice(&self.template);
        let header = &mut out[at..];
        let name = names::clip(name, NAME_LEN).as_bytes();
        header[NAME..NAME + name.len()].copy_from_slice(name);
        octal(&mut header[MODE..MODE + 7], u64::from(mode & 0o7777));
        octal(&mut header[SIZE..SIZE + 11], size_bytes);
        octal(&mut header[MTIME..MTIME + 11], mtime_secs);
        header[KIND] = kind;
        let fields = [
            &header[NAME..NAME + name.len()],
            &header[MODE..MODE + 7],
            &header[SIZE..SIZE + 11],
            &header[MTIME..MTIME + 11],
        ];
        let added: u32 = fields
            .into_iter()
            .flatten()
            .map(|byte| u32::from(*byte))
            .sum();
        let sum = self.template_sum + added + u32::from(kind);
        octal(&mut header[CHECKSUM..CHECKSUM + 6], u64::from(sum));
        header[CHECKSUM + 6] = 0;
    }
}

/// Writes a number with leading zeros into the whole field.
fn octal(field: &mut [u8], mut number: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (number & 7) as u8;
        number >>= 3;
    }
}

/// Fills the last block of `len_bytes` of data.
pub fn pad(len_bytes: u64, out: &mut Vec<u8>) {
    let over = (len_bytes % BLOCK_BYTES as u64) as usize;
    if over > 0 {
        out.resize(out.len() + BLOCK_BYTES - over, 0);
    }
}

/// The end of an archive.
pub fn finish(out: &mut Vec<u8>) {
    out.resize(out.len() + END_BYTES, 0);
}
