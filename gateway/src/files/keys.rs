//! Keys for contents. They come from blocks that the database of names knows of before any is used, and are the file port's alone: what a
//! crash leaves under them without a name is found by them ([`super::unnamed`]), and an image is never taken for it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moongate_filer::Filer;
use moongate_haystack::HaystackError;
use moongate_haystack::id::{NeedleKey, VolumeId};
use moongate_haystack::store::layout::Wish;
use moongate_haystack::store::{OPS_PER_ENTRY_MAX, Store};
use parking_lot::Mutex;

use super::FileError;
use crate::state::Gateway;

/// Keys in a block. Each block costs one sync of the names; after a crash those are looked at that were in use, one or a few.
const BLOCK_KEYS: u64 = 8192;
const _: () = assert!(BLOCK_KEYS >= OPS_PER_ENTRY_MAX as u64);

/// Hands out keys.
#[derive(Debug, Default)]
pub struct Keys {
    open: Mutex<Option<Open>>,
    /// Held while a block is begun.
    beginning: tokio::sync::Mutex<()>,
    ended: Ended,
    before: Vec<Range<u64>>,
}

/// First keys of blocks under whose keys everything is named, or gone.
type Ended = Arc<Mutex<Vec<u64>>>;

/// The block that keys are taken from.
#[derive(Debug)]
struct Open {
    block: Arc<Block>,
    left: Range<u64>,
}

/// A block, for as long as keys of it are in use.
#[derive(Debug)]
struct Block {
    from: u64,
    /// What became of some content is not known: the next start is to look.
    doubtful: AtomicBool,
    ended: Ended,
}

impl Drop for Block {
    fn drop(&mut self) {
        if !*self.doubtful.get_mut() {
            self.ended.lock().push(self.from);
        }
    }
}

/// Says that keys are in use. Unless it is settled, the next start looks what is under them.
#[derive(Debug)]
pub struct InUse {
    block: Arc<Block>,
    settled: bool,
}

impl InUse {
    /// What was stored under the keys is named, or deleted again.
    pub fn settle(mut self) {
        self.settled = true;
    }
}

impl Clone for InUse {
    fn clone(&self) -> Self {
        Self::of(&self.block)
    }
}

impl InUse {
    fn of(block: &Arc<Block>) -> Self {
        Self {
            block: Arc::clone(block),
            settled: false,
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if !self.settled {
            self.block.doubtful.store(true, Ordering::Release);
        }
    }
}

/// Keys in a row, and where to store what.
#[derive(Debug)]
pub struct Taken {
    /// The volume.
    pub volume: VolumeId,
    /// The first key.
    pub first: NeedleKey,
    /// To be kept until all is named.
    pub in_use: InUse,
}

impl Keys {
    /// `before` is what earlier runs have left leased.
    pub fn new(before: Vec<Range<u64>>) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Keys that earlier runs took, under which there may be content without a name.
    pub fn before(&self) -> &[Range<u64>] {
        &self.before
    }

    /// Takes so many keys, at most [`OPS_PER_ENTRY_MAX`], for one volume of those that are wished for.
    ///
    /// # Errors
    /// There is no room; a disk fails.
    pub async fn take(
        &self,
        gateway: &Arc<Gateway>,
        wish: &Wish,
        count: usize,
    ) -> Result<Taken, FileError> {
        let volume = volume_for(gateway, wish).await?;
        let count = count as u64;
        let (first, in_use) = match self.take_now(count) {
            Some(taken) => taken,
            None => self.begin(gateway, count).await?,
        };
        Ok(Taken {
            volume,
            first: NeedleKey(first),
            in_use,
        })
    }

    fn take_now(&self, count: u64) -> Option<(u64, InUse)> {
        let mut open = self.open.lock();
        let open = open.as_mut()?;
        let first = open.left.start;
        let next = first
            .checked_add(count)
            .filter(|next| *next <= open.left.end)?;
        open.left.start = next;
        Some((first, InUse::of(&open.block)))
    }

    /// Begins a block, unless somebody else just did, and takes keys of it.
    async fn begin(&self, gateway: &Arc<Gateway>, count: u64) -> Result<(u64, InUse), FileError> {
        let _one_at_a_time = self.beginning.lock().await;
        if let Some(taken) = self.take_now(count) {
            return Ok(taken);
        }
        let ended = std::mem::take(&mut *self.ended.lock());
        let store = Arc::clone(&gateway.store);
        let begun = gateway
            .files
            .run(move |filer| new_block(&store, filer, &ended));
        let keys = begun.await?;
        let block = Block {
            from: keys.start,
            doubtful: AtomicBool::new(false),
            ended: Arc::clone(&self.ended),
        };
        *self.open.lock() = Some(Open {
            block: Arc::new(block),
            left: keys,
        });
        self.take_now(count)
            .ok_or_else(|| FileError::BadRequest(format!("{count} files at once are too many")))
    }

    /// Forgets the blocks that nothing is left to be looked for in, before the gateway stops.
    ///
    /// # Errors
    /// The database of names fails.
    pub fn close(&self, filer: &Filer) -> Result<(), moongate_filer::FilerError> {
        drop(self.open.lock().take());
        filer.end_leases(&std::mem::take(&mut *self.ended.lock()))
    }
}

fn new_block(store: &Store, filer: &Filer, ended: &[u64]) -> Result<Range<u64>, FileError> {
    let first = store.keys(BLOCK_KEYS)?.0;
    let keys = first..first + BLOCK_KEYS;
    filer.lease(&keys, ended)?;
    Ok(keys)
}

/// The volume that keys go to; found on this thread if memory is enough.
async fn volume_for(gateway: &Arc<Gateway>, wish: &Wish) -> Result<VolumeId, FileError> {
    if let Some(volume) = gateway.store.volume_for_now(wish)? {
        return Ok(volume);
    }
    let (store, wish) = (Arc::clone(&gateway.store), wish.clone());
    let found = tokio::task::spawn_blocking(move || store.volume_for(&wish)).await;
    Ok(found.map_err(|error| HaystackError::Storage(error.to_string().into()))??)
}
