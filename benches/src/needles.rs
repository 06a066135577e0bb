//! A folder of volumes with many small needles, every property of which follows from its key.
//!
//! Keys ascend and are spread over the volumes at random, as a server that assigns ids to many clients spreads them.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::connection::{Expect, Source};
use crate::fid::Fid;
use crate::volume_file::{Needle, VolumeFile};

/// Volumes in the folder.
const VOLUMES: u64 = 4;

/// Payloads are this long at least, and up to 63 bytes more: 200 on average.
const PAYLOAD_BYTES_MIN: u64 = 168;

/// `count` needles with the keys 1 to `count`.
#[derive(Clone, Copy, Debug)]
pub struct Needles {
    /// How many.
    pub count: u64,
}

impl Needles {
    /// Writes the volumes into `dir` and returns the bytes of all `.dat` files.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn write(self, dir: &Path) -> Result<u64> {
        let mut volumes: Vec<VolumeFile> = (1..=VOLUMES)
            .map(|number| VolumeFile::create(dir, number as u32))
            .collect::<Result<_>>()?;
        let mut payload = vec![b'n'; 256];
        for key in 1..=self.count {
            let Fid { volume, cookie, .. } = fid(key);
            payload[..8].copy_from_slice(&key.to_be_bytes());
            let data = &payload[..payload_bytes(key)];
            volumes[volume as usize - 1].append(Needle { key, cookie, data })?;
        }
        volumes.into_iter().map(VolumeFile::finish).sum()
    }
}

fn fid(key: u64) -> Fid {
    let hash = mix(key);
    Fid {
        volume: 1 + (hash % VOLUMES) as u32,
        key,
        cookie: (hash >> 32) as u32,
    }
}

fn payload_bytes(key: u64) -> usize {
    (PAYLOAD_BYTES_MIN + (mix(key) >> 8) % 64) as usize
}

/// The finaliser of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
fn mix(key: u64) -> u64 {
    let mut mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// GETs needles with random keys, for ever or `left` times.
pub struct NeedleGets {
    needles: Needles,
    random: SmallRng,
    left: Option<u64>,
}

impl NeedleGets {
    /// A source of random GETs; `left` of them, or without end.
    pub fn boxed(needles: Needles, seed: usize, left: Option<u64>) -> Box<dyn Source> {
        Box::new(Self {
            needles,
            random: SmallRng::seed_from_u64(seed as u64),
            left,
        })
    }
}

impl Source for NeedleGets {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<Expect> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let key = self.random.random_range(1..=self.needles.count);
        // A Vec takes every write.
        let _ = write!(request, "GET /{} HTTP/1.1\r\nHost: bench\r\n\r\n", fid(key));
        Some(Expect::body(payload_bytes(key), key.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_spread_over_all_volumes_and_sizes_average_200() {
        let count = 40_000;
        let mut each = [0u64; VOLUMES as usize];
        let mut total = 0;
        for key in 1..=count {
            each[fid(key).volume as usize - 1] += 1;
            total += payload_bytes(key) as u64;
        }
        assert!(
            each.iter()
                .all(|&keys| keys.abs_diff(count / VOLUMES) < count / 50),
            "{each:?}"
        );
        assert!((total / count).abs_diff(200) < 2, "{}", total / count);
    }

    #[test]
    fn a_folder_holds_every_needle_once() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = Needles { count: 1000 }.write(dir.path()).unwrap();
        let length = |name: String| std::fs::metadata(dir.path().join(name)).unwrap().len();
        assert_eq!(
            (1..=VOLUMES)
                .map(|volume| length(format!("{volume}.idx")))
                .sum::<u64>(),
            16_000
        );
        assert_eq!(
            (1..=VOLUMES)
                .map(|volume| length(format!("{volume}.dat")))
                .sum::<u64>(),
            bytes
        );
    }

    #[test]
    fn a_get_names_its_needle() {
        let mut request = Vec::new();
        let expect = NeedleGets::boxed(Needles { count: 1 }, 0, Some(1))
            .next(&mut request)
            .unwrap();
        assert_eq!(
            request,
            format!("GET /{} HTTP/1.1\r\nHost: bench\r\n\r\n", fid(1)).into_bytes()
        );
        assert_eq!(expect.prefix, Some(1u64.to_be_bytes()));
    }
}
