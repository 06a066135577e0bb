//! Tars of images: made while they are sent, and checked while they arrive (ustar, POSIX.1-1988).

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use crate::bulk::Feed;

const BLOCK_BYTES: usize = 512;
const STAMP_BYTES: usize = 8;
/// Appended to a piece at once, about.
const PIECE_BYTES: usize = 256 << 10;

/// Images `0.jpg`, `1.jpg` and so on: random bytes that nothing can compress, each with a stamp of its own at the beginning.
pub struct TarImages {
    set: Set,
    next: u32,
    body: Vec<u8>,
    ended: bool,
}

/// Images that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// How many there are.
    pub count: u32,
    /// Length of each, at least 8.
    pub image_bytes: usize,
    /// Tells the sets of a run apart.
    pub seed: u32,
}

impl Set {
    /// The name of the `nth`.
    pub fn name(&self, nth: u32) -> String {
        format!("{nth:07}.jpg")
    }

    /// The first bytes of the `nth`.
    pub fn stamp(&self, nth: u32) -> [u8; STAMP_BYTES] {
        (u64::from(self.seed) << 32 | u64::from(nth)).to_be_bytes()
    }

    /// A tar of all of them.
    pub fn tar(self) -> TarImages {
        let mut body = vec![0; self.image_bytes];
        SmallRng::seed_from_u64(u64::from(self.seed)).fill_bytes(&mut body);
        TarImages {
            set: self,
            next: 0,
            body,
            ended: false,
        }
    }

    /// What an image takes in a tar.
    fn entry_bytes(&self) -> usize {
        BLOCK_BYTES + padded(self.image_bytes)
    }
}

impl Feed for TarImages {
    fn len_bytes(&self) -> u64 {
        u64::from(self.set.count) * self.set.entry_bytes() as u64 + 2 * BLOCK_BYTES as u64
    }

    fn next(&mut self, out: &mut Vec<u8>) {
        while self.next < self.set.count && out.len() < PIECE_BYTES {
            let end = out.len() + self.set.entry_bytes();
            out.extend_from_slice(&header(&self.set.name(self.next), self.body.len()));
            self.body[..STAMP_BYTES].copy_from_slice(&self.set.stamp(self.next));
            out.extend_from_slice(&self.body);
            out.resize(end, 0);
            self.next += 1;
        }
        if self.next == self.set.count && !self.ended {
            self.ended = true;
            out.resize(out.len() + 2 * BLOCK_BYTES, 0);
        }
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

fn header(name: &str, size_bytes: usize) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size_bytes:011o}\0").as_bytes());
    put(136, b"14000000000\0");
    put(148, b"        0ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Reads a tar of images of a [`Set`], in any order, and checks name, length and stamp of each.
pub struct TarCheck {
    set: Set,
    /// The beginning of an entry whose rest has not come.
    partial: Vec<u8>,
    skip: usize,
    ended: bool,
    /// Images so far.
    pub images: u32,
    /// Bytes so far, headers too.
    pub bytes: u64,
}

/// Looked at of each entry.
const LOOK_BYTES: usize = BLOCK_BYTES + STAMP_BYTES;

impl TarCheck {
    /// Nothing has come yet.
    pub fn new(set: Set) -> Self {
        Self {
            set,
            partial: Vec::new(),
            skip: 0,
            ended: false,
            images: 0,
            bytes: 0,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// An image is not what it should be, or something else is in the tar.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() && !self.ended {
            let skipped = self.skip.min(bytes.len());
            (self.skip, bytes) = (self.skip - skipped, &bytes[skipped..]);
            if self.skip > 0 {
                break;
            }
            if self.partial.is_empty() && bytes.len() >= LOOK_BYTES {
                self.look(&bytes[..LOOK_BYTES])?;
                bytes = &bytes[LOOK_BYTES..];
                continue;
            }
            let taken = (LOOK_BYTES - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.partial.len() == LOOK_BYTES {
                let entry = std::mem::take(&mut self.partial);
                self.look(&entry)?;
            }
        }
        Ok(())
    }

    fn look(&mut self, entry: &[u8]) -> Result<()> {
        if entry[0] == 0 {
            self.ended = true;
            return Ok(());
        }
        let name = entry[..100]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        let nth = number(&name).with_context(|| format!("{name:?} is none of our images"))?;
        let size = std::str::from_utf8(&entry[124..135])
            .ok()
            .and_then(|digits| usize::from_str_radix(digits, 8).ok());
        if size != Some(self.set.image_bytes) || entry[BLOCK_BYTES..] != self.set.stamp(nth) {
            bail!("{name:?} is not what was stored: {size:?} bytes");
        }
        self.images += 1;
        self.skip = self.set.entry_bytes() - LOOK_BYTES;
        Ok(())
    }

    /// Says how many images came.
    ///
    /// # Errors
    /// There were not so many, or the tar has no end.
    pub fn finish(&self, images: u32) -> Result<u64> {
        ensure!(self.ended, "the tar has no end");
        ensure!(
            self.images == images,
            "{} of {images} images came",
            self.images
        );
        Ok(u64::from(images))
    }
}

/// The number in `a/b/0000012.jpg`.
fn number(name: &str) -> Option<u32> {
    let stem = name.rsplit('/').next()?.strip_suffix(".jpg")?;
    stem.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const SET: Set = Set {
        count: 100,
        image_bytes: 700,
        seed: 3,
    };

    fn whole() -> Vec<u8> {
        let (mut tar, mut whole) = (SET.tar(), Vec::new());
        loop {
            let mut piece = Vec::new();
            tar.next(&mut piece);
            if piece.is_empty() {
                return whole;
            }
            whole.extend_from_slice(&piece);
        }
    }

    #[test]
    fn it_is_as_long_as_it_says() {
        assert_eq!(whole().len() as u64, SET.tar().len_bytes());
    }

    #[test]
    fn a_changed_name_stamp_or_end_is_noticed() {
        for at in [6, BLOCK_BYTES, BLOCK_BYTES + 7, 124] {
            let mut tar = whole();
            tar[at] ^= 1;
            assert!(TarCheck::new(SET).feed(&tar).is_err(), "{at}");
        }
        let mut check = TarCheck::new(SET);
        let tar = whole();
        check.feed(&tar[..tar.len() - 2 * BLOCK_BYTES]).unwrap();
        assert!(check.finish(SET.count).is_err());
    }

    proptest! {
        #[test]
        fn it_is_checked_in_any_pieces(cut in 1usize..2000) {
            let mut check = TarCheck::new(SET);
            for piece in whole().chunks(cut) {
                check.feed(piece).unwrap();
            }
            prop_assert_eq!(check.finish(SET.count).unwrap(), 100);
            prop_assert!(check.finish(SET.count + 1).is_err());
        }
    }
}
