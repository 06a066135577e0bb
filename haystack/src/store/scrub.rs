//! The scrubber: reads all volumes again and again, slowly, reports what does not match its checksums, and counts what has expired.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::{Store, now_ns};
use crate::needle::NeedleError;
use crate::scan::{Event, Found, Scan};
use crate::volume::{Located, Volume};

/// Between two rounds, so that small stores are not read all the time.
const REST: Duration = Duration::from_secs(60);
/// How soon it notices that the store is being closed.
const NAP: Duration = Duration::from_millis(50);
/// What a record counts for at least in the rate: of small ones the checks cost more than the reading.
const RECORD_BYTES_MIN: u64 = 4 << 10;

/// Starts the thread, unless scrubbing is off.
pub fn start(store: &Arc<Store>) {
    if store.config.scrub_bytes_per_sec == 0 {
        return;
    }
    let weak = Arc::downgrade(store);
    let run = move || while round(&weak) {};
    match std::thread::Builder::new()
        .name("scrubber".into())
        .spawn(run)
    {
        Ok(thread) => store.background.lock().push(thread),
        Err(error) => tracing::error!(%error, "no scrubber"),
    }
}

/// Reads every volume once; false when the store is gone.
fn round(store: &Weak<Store>) -> bool {
    let Some(volumes) = store.upgrade().map(|s| s.volumes()) else {
        return false;
    };
    for mounted in volumes.values() {
        let Some(store) = store.upgrade().filter(|s| !s.is_stopping()) else {
            return false;
        };
        if let Err(error) = scrub(&store, &mounted.volume) {
            tracing::warn!(volume = mounted.volume.id().0, %error, "scrubbing stopped");
        }
    }
    drop(volumes);
    let rested = Instant::now();
    while rested.elapsed() < REST {
        if store.upgrade().is_none_or(|s| s.is_stopping()) {
            return false;
        }
        std::thread::sleep(NAP);
    }
    true
}

pub(super) fn scrub(store: &Store, volume: &Arc<Volume>) -> std::io::Result<()> {
    let generation = volume.generation();
    let end = volume.durable_bytes();
    let mut pace = Pace::new(store.config.scrub_bytes_per_sec);
    let mut scan = Scan::new(
        &*generation.dat,
        generation.version(),
        generation.block.first_record(),
        end,
        &[],
    );
    let (mut at, mut expired_bytes) = (scan.position(), 0);
    while let Some(event) = scan.next_event()? {
        let count = match event {
            Event::Commit { records, .. } | Event::Loose(records) => {
                for found in &records {
                    check(store, volume, found, generation.sealed_from);
                    expired_bytes += expired_bytes_of(volume, found);
                }
                records.len() as u64
            }
            Event::Damage { start, end } => {
                tracing::error!(
                    volume = volume.id().0,
                    start,
                    end,
                    "bytes that cannot be read: run moongate fsck"
                );
                0
            }
        };
        let passed = (scan.position() - at).max(count * RECORD_BYTES_MIN);
        pace.wait(passed, || store.is_stopping());
        at = scan.position();
        if store.is_stopping() {
            return Ok(());
        }
    }
    // A vacuum meanwhile has dropped them.
    if Arc::ptr_eq(&generation, &volume.generation()) {
        volume.set_expired_bytes(expired_bytes);
    }
    Ok(())
}

/// What vacuum would free by a record that has outlived its TTL and is still what its key stands for.
fn expired_bytes_of(volume: &Volume, found: &Found) -> u64 {
    let now_secs = now_ns() / 1_000_000_000;
    let expired = found.expires_secs.is_some_and(|end| now_secs >= end);
    if expired && is_live(volume, found).is_some_and(|live| live) {
        u64::from(found.header.size)
    } else {
        0
    }
}

/// Whether a record is what its key stands for; `None` if memory does not know.
fn is_live(volume: &Volume, found: &Found) -> Option<bool> {
    match volume.locate(found.header.key) {
        Located::Here(_, entry) => Some(entry.offset == found.offset),
        Located::Absent => Some(false),
        Located::Unknown => None,
    }
}

/// Reports a record that is damaged, if it is still what its key stands for.
fn check(store: &Store, volume: &Volume, found: &Found, sealed_from: u64) {
    let broken_seal = (!found.sealed && found.offset >= sealed_from).then_some(NeedleError::Seal);
    let Some(fault) = found.fault.or(broken_seal) else {
        return;
    };
    if is_live(volume, found) != Some(false) {
        store
            .bad_needles()
            .report(volume.id(), found.header.key, &fault);
    }
}
