//! What one simulated file holds: what is visible, what is durable, and what lies between.

use super::SECTOR_BYTES;
use super::rng::Rng;
use std::io;
use std::ops::Range;

/// A change that has not been synced.
#[derive(Clone, Debug)]
enum Change {
    Bytes { offset: usize, data: Vec<u8> },
    Len(usize),
}

/// One file's bytes. Offsets fit in memory: [`super::FILE_BYTES_MAX`] is checked before.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    visible: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    unreadable: Vec<Range<u64>>,
}

/// What a power loss does to the writes of a file.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// Each sector, or each write, by itself.
    Mixed,
}

impl Fate {
    fn draw(rng: &mut Rng) -> Self {
        match rng.up_to(3) {
            0 => Self::Lost,
            1 => Self::Kept,
            _ => Self::Mixed,
        }
    }

    fn or_draw(self, rng: &mut Rng) -> Self {
        match self {
            Self::Mixed => Self::draw(rng),
            sure => sure,
        }
    }

    fn keeps_sector(self, rng: &mut Rng) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Mixed => rng.coin(),
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes { offset, data } => put(bytes, *offset, data),
            Self::Len(len) => bytes.resize(*len, 0),
        }
    }
}

/// Writes `data` at `offset`, with zeros before it where the file was shorter.
fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

impl Content {
    pub(super) fn visible(&self) -> &[u8] {
        &self.visible
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn len(&self) -> u64 {
        self.visible.len() as u64
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.visible.get(start..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        self.check_readable(offset..offset.saturating_add(count as u64))?;
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn check_readable(&self, asked: Range<u64>) -> io::Result<()> {
        let touches = |bad: &Range<u64>| bad.start < asked.end && asked.start < bad.end;
        match self.unreadable.iter().any(touches) {
            true => Err(super::state::eio()),
            false => Ok(()),
        }
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        if data.is_empty() {
            // The prefix of a write that failed; it must not extend the file up to `offset`.
            return;
        }
        let data = data.to_vec();
        self.change(Change::Bytes { offset, data });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.change(Change::Len(len));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A failed sync: the written pages are clean now, though they never reached the disk.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced
            .retain(|change| matches!(change, Change::Len(_)));
    }

    pub(super) fn fail_reads(&mut self, offsets: Range<u64>) {
        self.unreadable.push(offsets);
    }

    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let mask = 1_u8.checked_shl(bit.into()).unwrap_or(0);
        if mask == 0 || at >= self.visible.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.visible[at] ^= mask;
        if let Some(byte) = self.durable.get_mut(at) {
            *byte ^= mask;
        }
        // A later sync must not mend it.
        for change in &mut self.unsynced {
            if let Change::Bytes { offset, data } = change
                && let Some(byte) = at.checked_sub(*offset).and_then(|i| data.get_mut(i))
            {
                *byte ^= mask;
            }
        }
        Ok(())
    }

    /// The file as it is found after a power loss.
    pub(super) fn after_power_loss(&self, rng: &mut Rng) -> Self {
        let bytes = self.surviving_bytes(rng);
        Self {
            visible: bytes.clone(),
            durable: bytes,
            unsynced: Vec::new(),
            unreadable: self.unreadable.clone(),
        }
    }

    /// Replays what the page cache went through, and lets the fates decide which sectors were written back when.
    fn surviving_bytes(&self, rng: &mut Rng) -> Vec<u8> {
        let file_fate = Fate::draw(rng);
        let lengths_kept = rng.prefix(self.unsynced.len());
        let mut len = self.durable.len();
        let mut cache = self.durable.clone();
        let mut disk = self.durable.clone();
        for (number, change) in self.unsynced.iter().enumerate() {
            change.apply(&mut cache);
            let length_is_kept = number < lengths_kept;
            match change {
                Change::Bytes { offset, data } => {
                    let touched = *offset..offset + data.len();
                    write_back(&cache, &mut disk, touched, file_fate.or_draw(rng), rng);
                }
                Change::Len(shorter) if length_is_kept => disk.truncate(*shorter),
                Change::Len(_) => {}
            }
            if length_is_kept {
                len = cache.len();
            }
        }
        disk.resize(len, 0);
        disk
    }
}

/// Copies those sectors of `touched` that `fate` keeps from the page cache to the disk.
fn write_back(cache: &[u8], disk: &mut Vec<u8>, touched: Range<usize>, fate: Fate, rng: &mut Rng) {
    let first = touched.start / SECTOR_BYTES;
    let end = touched.end.div_ceil(SECTOR_BYTES);
    for sector in first..end {
        if fate.keeps_sector(rng) {
            let start = sector * SECTOR_BYTES;
            let stop = (start + SECTOR_BYTES).min(cache.len());
            put(disk, start, &cache[start..stop]);
        }
    }
}
