//! Reading pages from a cache disk. Every block is checked against its sum before a byte of it is handed out.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use moongate_disk::{BLOCK_BYTES, DiskFile};

use super::folder::Folder;
use super::live::{Live, holder};
use super::queue::Job;
use super::rows;
use super::table::Slot;
use crate::files::PageKey;
use crate::mutant::{self, Mutant};

const BLOCK: u64 = BLOCK_BYTES as u64;

impl Folder {
    /// Whether it holds a page.
    pub(crate) fn has(&self, key: PageKey) -> bool {
        self.live()
            .is_some_and(|live| live.table.lock().get(key).is_some())
    }

    /// Bytes `wanted` of a page, which it is said to hold. `None`: it does not, or not rightly; then it holds it no more.
    pub(crate) async fn read(&self, key: PageKey, wanted: Range<u64>) -> Option<Bytes> {
        let live = self.live()?;
        let slot = {
            let mut table = live.table.lock();
            table.touch(key, 1);
            table.get(key)?
        };
        if wanted.is_empty() || wanted.end > u64::from(slot.place.len) {
            self.is_corrupt(&live, key, &slot);
            return None;
        }
        match self.read_blocks(&live, key, &slot, &wanted).await {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => {
                self.is_corrupt(&live, key, &slot);
                None
            }
            Err(error) => {
                self.unreadable(&live, key, &slot, &error);
                None
            }
        }
    }

    /// The blocks that hold `wanted`, cut to it, if all are right.
    async fn read_blocks(
        &self,
        live: &Arc<Live>,
        key: PageKey,
        slot: &Slot,
        wanted: &Range<u64>,
    ) -> io::Result<Option<Bytes>> {
        let place = slot.place;
        let (file, sums) = open(live, key, slot).await?;
        let Some(sums) = sums else {
            return Ok(None);
        };
        let start = wanted.start / BLOCK * BLOCK;
        let end = wanted.end.next_multiple_of(BLOCK);
        let read = self
            .engine
            .read_aligned(file, place.offset + start, (end - start) as usize);
        let bytes = Bytes::from_owner(read.await?);
        let held = u64::from(place.len).min(end) - start;
        let bytes = bytes.slice(..(held as usize).min(bytes.len()));
        let blocks = bytes.chunks(BLOCK_BYTES).zip(start / BLOCK..);
        let mut right = blocks
            .map(|(bytes, block)| sums.get(block as usize) == Some(&rows::sum(key, block, bytes)));
        let is_right = right.all(|is_right| is_right) || mutant::is(Mutant::SkipSums);
        let from = (wanted.start - start) as usize;
        Ok(is_right.then(|| bytes.slice(from..from + (wanted.end - wanted.start) as usize)))
    }

    fn is_corrupt(&self, live: &Live, key: PageKey, slot: &Slot) {
        // One that was evicted while it was read reads as zeros: that is no damage.
        let Some(freed) = live.table.lock().remove_slot(key, slot) else {
            return;
        };
        self.counters.corrupt_pages.add(1);
        tracing::warn!(dir = %self.root.display(), ?key, ?freed, "a cached page is damaged; it is fetched again");
        live.forget_sums(key);
        self.queue.push(Job::Corrupt(key));
    }

    fn unreadable(&self, live: &Live, key: PageKey, slot: &Slot, error: &io::Error) {
        if live.table.lock().remove_slot(key, slot).is_some() {
            self.read_failed(error);
            self.queue.push(Job::Corrupt(key));
        }
    }
}

type Opened = (Arc<dyn DiskFile>, Option<Arc<[u32]>>);

/// The file that holds a page and the page's sums: from memory, else on a thread that may block.
async fn open(live: &Arc<Live>, key: PageKey, slot: &Slot) -> io::Result<Opened> {
    let place = slot.place;
    let holder = holder(key, place);
    if let (Some(file), Some(sums)) = (live.handle_now(holder), live.sums_now(key)) {
        return Ok((file, Some(sums)));
    }
    let live = Arc::clone(live);
    let work = move || Ok((live.handle(holder)?, live.sums(key, place)));
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
