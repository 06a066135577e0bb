//! Needles that were found damaged: counted, and logged once each.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::id::{NeedleKey, VolumeId};

/// How many are remembered; beyond that they are counted only.
const REMEMBERED_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub struct BadNeedles {
    known: Mutex<HashSet<(VolumeId, NeedleKey)>>,
    met: AtomicU64,
}

impl BadNeedles {
    /// Notes that a needle could not be read whole.
    pub fn report(&self, volume: VolumeId, key: NeedleKey, fault: &dyn std::fmt::Display) {
        self.met.fetch_add(1, Ordering::Relaxed);
        let mut known = self.known.lock();
        if known.len() < REMEMBERED_MAX && known.insert((volume, key)) {
            drop(known);
            tracing::error!(volume = volume.0, key = format!("{:x}", key.0), %fault, "damaged needle: store it again from where it came");
        }
    }

    /// How often a damaged needle was met, by readers or the scrubber.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    /// How many different ones are known.
    pub fn known(&self) -> usize {
        self.known.lock().len()
    }
}
