//! Reading many needles at once: neighbours on the disk by one read, and what is not in memory by several reads side by side.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use moongate_haystack::HaystackError;
use moongate_haystack::id::FileId;
use moongate_haystack::index::Entry;
use moongate_haystack::needle::Needle;
use moongate_haystack::store::{Store, now_ns};
use moongate_haystack::volume::{Generation, Located};
use tokio::task::JoinSet;

use crate::protocol::image::load::read_bytes;
use crate::state::Gateway;

/// Records that stand no further apart are read together with what is between them.
const GAP_BYTES_MAX: u64 = 16 << 10;
/// Most that one read takes of several records.
const RUN_BYTES_MAX: u64 = 1 << 20;
/// Reads that wait for a disk side by side.
const READS_AT_ONCE: usize = 16;

/// Where a record is.
pub type Place = Result<(Arc<Generation>, Entry), HaystackError>;

/// Finds the records of these images; those that memory does not know on a thread that may wait.
pub async fn locate_all(gateway: &Arc<Gateway>, fids: &[FileId]) -> Vec<Place> {
    let mut unknown = Vec::new();
    let mut places: Vec<Place> = Vec::with_capacity(fids.len());
    for (at, fid) in fids.iter().enumerate() {
        places.push(match gateway.store.volume(fid.volume) {
            None => Err(HaystackError::VolumeNotFound(fid.volume)),
            Some(volume) => match volume.locate(fid.key) {
                Located::Here(generation, entry) => Ok((generation, entry)),
                Located::Absent => Err(HaystackError::NotFound),
                Located::Unknown => {
                    unknown.push((at, *fid));
                    Err(HaystackError::NotFound)
                }
            },
        });
    }
    if unknown.is_empty() {
        return places;
    }
    let store = Arc::clone(&gateway.store);
    let found = tokio::task::spawn_blocking(move || -> Vec<(usize, Place)> {
        unknown
            .iter()
            .map(|(at, fid)| (*at, locate_slow(&store, fid)))
            .collect()
    });
    match found.await {
        Ok(found) => found.into_iter().for_each(|(at, place)| places[at] = place),
        // It panicked: nothing is known of any of them, and nothing may be said to be absent.
        Err(error) => places.fill_with(|| Err(HaystackError::Storage(error.to_string().into()))),
    }
    places
}

/// Finds a record; may read a disk.
pub fn locate_slow(store: &Store, fid: &FileId) -> Place {
    let volume = store
        .volume(fid.volume)
        .ok_or(HaystackError::VolumeNotFound(fid.volume))?;
    match volume.locate(fid.key) {
        Located::Here(generation, entry) => Ok((generation, entry)),
        Located::Absent => Err(HaystackError::NotFound),
        Located::Unknown => volume
            .locate_slow(fid.key, false)?
            .ok_or(HaystackError::NotFound),
    }
}

/// Reads and verifies the needles of these images, each by itself: `fids` and `places` go together.
pub async fn read_all(
    gateway: &Arc<Gateway>,
    fids: &[FileId],
    places: &[Place],
) -> Vec<Result<Needle, HaystackError>> {
    let mut order: Vec<usize> = (0..places.len()).filter(|at| places[*at].is_ok()).collect();
    order.sort_unstable_by_key(|at| sort_key(&places[*at]));
    let unread = |place: &Place| {
        Err(place
            .as_ref()
            .err()
            .cloned()
            .unwrap_or(HaystackError::NotFound))
    };
    let reading = Reading {
        gateway,
        fids,
        places,
        order: &order,
        needles: places.iter().map(unread).collect(),
        now_secs: now_ns() / 1_000_000_000,
    };
    reading.read(&runs(places, &order)).await
}

/// Needles that are being read.
struct Reading<'a> {
    gateway: &'a Arc<Gateway>,
    fids: &'a [FileId],
    places: &'a [Place],
    /// The images by their places on the disks.
    order: &'a [usize],
    needles: Vec<Result<Needle, HaystackError>>,
    now_secs: u64,
}

/// A read that had to wait for a disk, and its number.
type Cold = (usize, io::Result<Vec<u8>>);

impl Reading<'_> {
    async fn read(mut self, runs: &[Run]) -> Vec<Result<Needle, HaystackError>> {
        let mut waiting: BTreeSet<usize> = BTreeSet::new();
        let mut cold: JoinSet<Cold> = JoinSet::new();
        for (n, run) in runs.iter().enumerate() {
            match run.generation.dat.try_read_now(run.offset, run.len()) {
                // Verified at once, while the processor has it at hand.
                Ok(Some(bytes)) => self.verify_run(run, Ok(bytes.into())).await,
                Err(error) => self.verify_run(run, Err(error)).await,
                Ok(None) => {
                    if cold.len() >= READS_AT_ONCE {
                        self.take_cold(&mut cold, runs, &mut waiting).await;
                    }
                    waiting.insert(n);
                    let (gateway, dat) =
                        (Arc::clone(self.gateway), Arc::clone(&run.generation.dat));
                    let (offset, len) = (run.offset, run.len());
                    cold.spawn(async move { (n, gateway.engine.read(dat, offset, len).await) });
                }
            }
        }
        while !cold.is_empty() {
            self.take_cold(&mut cold, runs, &mut waiting).await;
        }
        // Of a read that panicked, each record is read by itself.
        for run in waiting.into_iter().filter_map(|n| runs.get(n)) {
            let interrupted = Err(io::ErrorKind::Interrupted.into());
            self.verify_run(run, interrupted).await;
        }
        self.needles
    }

    async fn take_cold(
        &mut self,
        cold: &mut JoinSet<Cold>,
        runs: &[Run],
        waiting: &mut BTreeSet<usize>,
    ) {
        if let Some(Ok((n, bytes))) = cold.join_next().await
            && let Some(run) = runs.get(n)
        {
            waiting.remove(&n);
            self.verify_run(run, bytes.map(Bytes::from)).await;
        }
    }

    /// Takes the needles out of what was read.
    async fn verify_run(&mut self, run: &Run, bytes: io::Result<Bytes>) {
        for at in &self.order[run.members.clone()] {
            let Ok((generation, entry)) = &self.places[*at] else {
                continue;
            };
            let record = match &bytes {
                Ok(bytes) => Ok(run.record(bytes, generation, entry)),
                // One bad sector must not take the neighbours with it.
                Err(_) => read_one(self.gateway, generation, entry).await,
            };
            self.needles[*at] = verify(
                &self.gateway.store,
                &self.fids[*at],
                generation,
                entry,
                record,
                self.now_secs,
            );
        }
    }
}

fn sort_key(place: &Place) -> (u32, usize, u64) {
    place.as_ref().map_or((0, 0, 0), |(generation, entry)| {
        let volume = generation.table.volume.0;
        (volume, Arc::as_ptr(generation) as usize, entry.offset)
    })
}

/// Records that are read together.
struct Run {
    generation: Arc<Generation>,
    offset: u64,
    end: u64,
    /// In the sorted order.
    members: Range<usize>,
}

impl Run {
    fn len(&self) -> usize {
        usize::try_from(self.end - self.offset).unwrap_or(usize::MAX)
    }

    /// The part of what was read that is this entry's; shorter where the file ends before it.
    fn record(&self, bytes: &Bytes, generation: &Generation, entry: &Entry) -> Bytes {
        let at = |offset: u64| {
            usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(bytes.len())
        };
        let from = entry.offset - self.offset;
        bytes.slice(at(from)..at(from + generation.record_bytes(entry)))
    }
}

fn runs(places: &[Place], order: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (n, at) in order.iter().enumerate() {
        let Ok((generation, entry)) = &places[*at] else {
            continue;
        };
        let end = entry.offset + generation.record_bytes(entry);
        if let Some(run) = runs.last_mut()
            && Arc::ptr_eq(&run.generation, generation)
            && entry.offset <= run.end + GAP_BYTES_MAX
            && end.max(run.end) - run.offset <= RUN_BYTES_MAX
        {
            run.end = run.end.max(end);
            run.members.end = n + 1;
            continue;
        }
        runs.push(Run {
            generation: Arc::clone(generation),
            offset: entry.offset,
            end,
            members: n..n + 1,
        });
    }
    runs
}

async fn read_one(
    gateway: &Gateway,
    generation: &Arc<Generation>,
    entry: &Entry,
) -> Result<Bytes, HaystackError> {
    let len = usize::try_from(generation.record_bytes(entry)).unwrap_or(usize::MAX);
    read_bytes(gateway, generation, entry.offset, len)
        .await
        .map(Bytes::from)
}

/// As for a single GET: every byte, the cookie, the time to live.
fn verify(
    store: &Store,
    fid: &FileId,
    generation: &Generation,
    entry: &Entry,
    record: Result<Bytes, HaystackError>,
    now_secs: u64,
) -> Result<Needle, HaystackError> {
    let needle = generation
        .decode(fid.key, entry, record?)
        .inspect_err(|error| store.bad_needles().report(fid.volume, fid.key, error))?;
    let expired = !needle.ttl.is_none() && needle.expired(now_secs);
    if expired || needle.header.cookie != fid.cookie {
        Err(HaystackError::NotFound)
    } else {
        Ok(needle)
    }
}
