//! One read of a file: page after page, from wherever each is.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::{BackendError, ErrorKind};
use crate::budget::Charge;
use crate::fetch::fill::{Fill, Piece};
use crate::fetch::flights::{Claim, Flights, RunId};
use crate::fetch::from_disk::FromDisk;
use crate::fetch::open_file::OpenFile;
use crate::fetch::run::{Purpose, Run};
use crate::policy::plan::{BLOCK_BYTES, Want, plan};
use crate::policy::read_ahead::Window;
use crate::stats::Found;

/// A run covers at most so many bytes, on borders of them: what is read ahead beyond a border comes by a second stream beside the first.
const SEGMENT_BYTES: u64 = 16 << 20;
/// How often in a row a read is tried again that failed for want of an answer. One that has waited in vain has waited long enough.
const RETRIES_MAX: u8 = 2;

/// A read under way.
#[derive(Debug)]
pub struct Reader {
    open: Arc<OpenFile>,
    position: u64,
    end: u64,
    window: Window,
    /// The first page that has not been looked for yet, for reading ahead.
    looked: u64,
    /// The page that its bytes come from now.
    filling: Option<(u64, Arc<Fill>, Found)>,
    /// Of a load: what the last bytes came from, if not from memory.
    came_from: Option<Arc<Fill>>,
    /// Pages that are brought in ahead of it, kept for it until it comes to them.
    ahead: VecDeque<Ahead>,
    runs: Vec<RunId>,
    retries: u8,
    /// A small read that does not go on from an earlier one.
    is_small: bool,
    purpose: Purpose,
}

/// A page that a reader will come to.
#[derive(Debug)]
struct Ahead {
    page: u64,
    claim: Claim,
    _charge: Charge,
}

impl Reader {
    /// Reads from `position` to `end`, which is within the file.
    pub(crate) fn new(open: Arc<OpenFile>, position: u64, end: u64) -> Self {
        let page_bytes = open.mount.cache.config.page_bytes;
        let fresh = Window::new(page_bytes, open.mount.terms.read_ahead_bytes);
        let window = open.file.recent.lock().begin(position, fresh);
        Self {
            is_small: end - position < page_bytes / 2 && !window.continues(),
            looked: position / page_bytes,
            open,
            position,
            end,
            window,
            filling: None,
            came_from: None,
            ahead: VecDeque::new(),
            runs: Vec::new(),
            retries: 0,
            purpose: Purpose::Read,
        }
    }

    /// Likewise, to fill the disk tier.
    pub(crate) fn to_load(open: Arc<OpenFile>, position: u64, end: u64) -> Self {
        let mut reader = Self::new(open, position, end);
        reader.is_small = false;
        reader.purpose = Purpose::Load;
        reader
    }

    /// The bytes that follow; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BackendError>> {
        while self.position < self.end {
            match self.step().await {
                Ok(None) => {}
                Ok(Some(bytes)) => return Some(Ok(bytes)),
                Err(error)
                    if error.kind == ErrorKind::Unavailable && self.retries < RETRIES_MAX =>
                {
                    self.retries += 1;
                    self.filling = None;
                    self.ahead.clear();
                }
                Err(error) => {
                    self.position = self.end;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn step(&mut self) -> Result<Option<Bytes>, BackendError> {
        if let Some((page, fill, found)) = self.filling.clone() {
            return self.follow(page, &fill, found).await;
        }
        let page = self.position / self.page_bytes();
        if let Some(bytes) = self.in_ram(page) {
            return Ok(Some(bytes));
        }
        if self.is_small && self.fetches_blocks(page) {
            return self.by_blocks(page).await;
        }
        let ahead = self.take_ahead(page);
        if let Some(claim) = ahead.or_else(|| self.want(page, true)) {
            let found = match claim.run {
                Some(_) => Found::Under,
                None => Found::Disk,
            };
            self.counters_looked(found);
            self.filling = Some((page, claim.fill, found));
            self.look_ahead(page);
        }
        Ok(None)
    }

    fn in_ram(&mut self, page: u64) -> Option<Bytes> {
        let held = self.open.ram().get(self.open.file.key(page))?;
        // It came in ahead, and was kept: no need to hold it twice.
        self.take_ahead(page);
        self.look_ahead(page);
        let from = (self.position % self.page_bytes()) as usize;
        let to = held
            .bytes
            .len()
            .min(from + (self.end - self.position) as usize);
        self.counters_looked(Found::Ram);
        self.came_from = None;
        // A page is as long as its version says; one that is not would be a mistake of ours, not a reason to panic.
        let bytes = (from < to).then(|| held.bytes.slice(from..to))?;
        self.took(&bytes, Found::Ram);
        Some(bytes)
    }

    async fn follow(
        &mut self,
        page: u64,
        fill: &Arc<Fill>,
        found: Found,
    ) -> Result<Option<Bytes>, BackendError> {
        let at = self.position - page * self.page_bytes();
        match fill.piece(at as usize).await? {
            Piece::GivenUp => {
                self.filling = None;
                Ok(None)
            }
            Piece::Bytes(mut bytes) => {
                let left = self.end - self.position;
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
                self.took(&bytes, found);
                self.came_from = (self.purpose == Purpose::Load).then(|| Arc::clone(fill));
                Ok(Some(bytes))
            }
        }
    }

    /// Waits until the page that has come whole is where it is kept: on disk too, if it was brought in for that.
    pub(crate) async fn settled(&self) {
        if let Some(fill) = &self.came_from {
            fill.ended().await;
        }
    }

    fn took(&mut self, bytes: &Bytes, found: Found) {
        let len = bytes.len() as u64;
        self.position += len;
        self.retries = 0;
        self.window.grow(len);
        self.open.mount.cache.counters.served(found, len);
        if self.position.is_multiple_of(self.page_bytes()) {
            self.filling = None;
        }
    }

    /// Whether the bytes of this page are to come as a part of it.
    fn fetches_blocks(&self, page: u64) -> bool {
        self.open.file.flights.lock().claim(page).is_none()
    }

    async fn by_blocks(&mut self, page: u64) -> Result<Option<Bytes>, BackendError> {
        let cache = Arc::clone(&self.open.mount.cache);
        let key = self.open.file.key(page);
        let start = page * self.page_bytes();
        let len = cache.page_len(&self.open.file.version, page);
        let wanted = self.position - start..(self.end - start).min(len);
        if let Some(bytes) = self.open.ram().part(key, &wanted) {
            self.counters_looked(Found::Ram);
            self.took(&bytes, Found::Ram);
            return Ok(Some(bytes));
        }
        let want = plan(&wanted, len, self.open.ram().parts_held(key));
        if let Some(folder) = &self.open.file.folder
            && (matches!(want, Want::Blocks(_))
                || (len > BLOCK_BYTES && !self.open.ram().has_room()))
            && folder.has(key)
        {
            let Some(bytes) = folder.read(key, wanted.clone()).await else {
                return Ok(None);
            };
            self.counters_looked(Found::Disk);
            self.open.ram().put_part(key, wanted.start, bytes.clone());
            self.took(&bytes, Found::Disk);
            return Ok(Some(bytes));
        }
        match want {
            Want::Page => {
                self.is_small = false;
                self.purpose = Purpose::WholePage;
                Ok(None)
            }
            Want::Blocks(part) => {
                self.counters_looked(Found::Under);
                let blocks = self.open.bring_blocks(page, part.clone()).await?;
                let from = (wanted.start - part.start) as usize;
                let bytes = blocks.slice(from..from + (wanted.end - wanted.start) as usize);
                self.took(&bytes, Found::Under);
                Ok(Some(bytes))
            }
        }
    }

    /// The page, if it was brought in ahead.
    fn take_ahead(&mut self, page: u64) -> Option<Claim> {
        while self.ahead.front().is_some_and(|ahead| ahead.page < page) {
            self.ahead.pop_front();
        }
        let is_it = self.ahead.front().is_some_and(|ahead| ahead.page == page);
        is_it
            .then(|| self.ahead.pop_front())?
            .map(|ahead| ahead.claim)
    }

    /// Looks for the pages that the window covers beyond `page`, and has them brought in, as far as the budget allows.
    fn look_ahead(&mut self, page: u64) {
        let len = self.open.file.version.len;
        let reach = self.window.reach(self.position, self.end, len);
        let last = reach.div_ceil(self.page_bytes());
        self.looked = self.looked.max(page + 1);
        while self.looked < last {
            let cache = Arc::clone(&self.open.mount.cache);
            if !self.open.ram().contains(self.open.file.key(self.looked)) {
                let Some(charge) = cache.read_ahead.try_take(cache.config.page_bytes) else {
                    return;
                };
                let Some(claim) = self.want(self.looked, false) else {
                    return;
                };
                self.ahead.push_back(Ahead {
                    page: self.looked,
                    claim,
                    _charge: charge,
                });
            }
            self.looked += 1;
        }
    }

    /// Has a page brought in, if it is not here. `None`: it is here by now, or has to wait for a free stream.
    fn want(&mut self, page: u64, is_urgent: bool) -> Option<Claim> {
        let open = Arc::clone(&self.open);
        let mut flights = open.file.flights.lock();
        if let Some(claim) = flights.claim(page).cloned() {
            self.join(&mut flights, &claim);
            return Some(claim);
        }
        // Under the lock: a page is kept before it is taken off the list.
        if open.ram().contains(open.file.key(page)) {
            return None;
        }
        if let Some(folder) = &open.file.folder
            && folder.has(open.file.key(page))
        {
            return Some(self.start_from_disk(&mut flights, page));
        }
        if let Some(claim) = flights.extend(page) {
            self.join(&mut flights, &claim);
            return Some(claim);
        }
        if !is_urgent && flights.runs() >= open.mount.terms.streams_max {
            return None;
        }
        Some(self.start_run(&mut flights, page))
    }

    fn join(&mut self, flights: &mut Flights, claim: &Claim) {
        if let Some(run) = claim.run
            && !self.runs.contains(&run)
        {
            flights.join(run);
            self.runs.push(run);
        }
    }

    fn start_from_disk(&self, flights: &mut Flights, page: u64) -> Claim {
        let claim = flights.start_from_disk(page);
        let from_disk = FromDisk {
            open: Arc::clone(&self.open),
            page,
            fill: Arc::clone(&claim.fill),
        };
        from_disk.spawn();
        claim
    }

    fn start_run(&mut self, flights: &mut Flights, page: u64) -> Claim {
        let limit = self.limit(page);
        let (id, wake, claim) = flights.start(page, limit, self.window.continues());
        self.runs.push(id);
        let run = Run {
            open: Arc::clone(&self.open),
            id,
            wake,
            first: page,
            limit: limit.max(page + 1),
            purpose: self.purpose,
        };
        run.spawn();
        claim
    }

    /// The first page that a run from `page` on does not bring.
    fn limit(&self, page: u64) -> u64 {
        let segment = (SEGMENT_BYTES / self.page_bytes()).max(1);
        let border = (page / segment + 1) * segment;
        let last = if self.window.continues() {
            self.open.file.version.len
        } else {
            self.end
        };
        border.min(last.div_ceil(self.page_bytes()))
    }

    fn counters_looked(&self, found: Found) {
        self.open.looked(found);
    }

    fn page_bytes(&self) -> u64 {
        self.open.mount.cache.config.page_bytes
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.open.file.recent.lock().end(self.position, self.window);
        let mut flights = self.open.file.flights.lock();
        for run in self.runs.drain(..) {
            flights.leave(run);
        }
    }
}
