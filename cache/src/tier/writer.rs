//! The writer of a cache disk: one thread, which alone changes what the disk holds.

use std::io;
use std::sync::Arc;

use super::bars::Bar;
use super::folder::Folder;
use super::live::{Live, PAGES_MAX, covers};
use super::queue::{Dropped, Job, Put};
use super::rows;
use super::table::{Bounds, Fit, Freed};
use crate::files::{FileId, PageKey};
use crate::share::Owner;

impl Folder {
    /// Works until the queue is closed.
    pub(super) fn write_jobs(&self) {
        while let Some(job) = self.queue.pop() {
            let Some(live) = self.live_or_reopened() else {
                self.skip(job);
                continue;
            };
            if let Err(error) = self.work(&live, job) {
                self.failed(&error);
            }
        }
    }

    /// The disk is off: nothing is there to be changed.
    fn skip(&self, job: Job) {
        match job {
            Job::Put(put) => self.unqueue(put),
            // Without an answer: who waits learns that it is not done yet.
            Job::DropPath(bar, _) => self.owe(bar),
            Job::DropFile(..) | Job::Corrupt(_) | Job::Pin(..) => {}
        }
    }

    fn unqueue(&self, put: Put) {
        self.counters.disk_queue_bytes.sub(put.bytes.len() as u64);
        let Put { charge, done, .. } = put;
        drop(charge);
        if let Some(done) = done {
            // Who asked may have gone.
            let _ = done.send(());
        }
    }

    fn work(&self, live: &Live, job: Job) -> io::Result<()> {
        match job {
            Job::Put(put) => {
                let result = self.put(live, &put);
                self.unqueue(put);
                result
            }
            Job::DropFile(id, pages) => self.drop_file(live, id, pages).map(drop),
            Job::DropPath(bar, done) => match self.drop_path(live, &bar) {
                Ok(dropped) => {
                    drop(bar);
                    // Who asked may have gone.
                    let _ = done.send(dropped);
                    Ok(())
                }
                Err(error) => {
                    self.turn_off(&error);
                    self.owe(bar);
                    Err(error)
                }
            },
            Job::Corrupt(key) => live.index.delete_pages(&[key]).map_err(io::Error::other),
            Job::Pin(mount, path, is_pinned, done) => {
                self.pin(live, &mount, &path, is_pinned)?;
                // Who asked may have gone.
                let _ = done.send(true);
                Ok(())
            }
        }
    }

    fn put(&self, live: &Live, put: &Put) -> io::Result<()> {
        let key = put.file.key(put.page);
        if put.file.is_dropped() || live.table.lock().get(key).is_some() {
            return Ok(());
        }
        let name = rows::name(&put.mount, &put.file.path);
        let len = u32::try_from(put.bytes.len()).map_err(io::Error::other)?;
        let place = {
            let mut table = live.table.lock();
            table.place(key, len, put.file.version.len, self.page_bytes)
        };
        let is_pinned = live.is_pinned(&name) && self.has_room_for_pin(live, place.room());
        let owner = put.file.owner;
        if !self.make_room(live, owner, place.room())? {
            self.counters.disk_writes_skipped.add(1);
            return Ok(());
        }
        if !live.table.lock().has_file(key.file) {
            self.displace(live, &name, key.file)?;
        }
        // The file's row with each page's: whether an earlier one still stands costs more to know than to write.
        live.write(key, &put.bytes, place, Some((&name, &put.file.version)))?;
        let mut table = live.table.lock();
        table.charge(key.file, self.pages_of(put), owner);
        table.insert(key, place, is_pinned);
        drop(table);
        self.counters.disk_writes.add(1);
        Ok(())
    }

    fn pages_of(&self, put: &Put) -> u64 {
        put.file.version.len.div_ceil(self.page_bytes)
    }

    /// A path has one version: the one that the disk holds of it goes.
    fn displace(&self, live: &Live, name: &[u8], id: FileId) -> io::Result<()> {
        let held = live.index.file(name).map_err(io::Error::other)?;
        match held {
            Some((old, version)) if old != id => {
                let pages = version.len.div_ceil(self.page_bytes);
                self.drop_file(live, old, pages).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn has_room_for_pin(&self, live: &Live, room: u64) -> bool {
        live.table.lock().pinned_bytes() + room <= self.pinned_bytes_max
    }

    /// Evicts until a page fits; `false` if it never will.
    fn make_room(&self, live: &Live, owner: Owner, room: u64) -> io::Result<bool> {
        let bounds = Bounds {
            bytes_max: self.bytes_max(),
            pages_max: PAGES_MAX,
            share_bytes: self.share_bytes(owner),
        };
        loop {
            let fit = live.table.lock().fit(owner, room, &bounds);
            let (key, freed) = match fit {
                Fit::Fits => return Ok(true),
                Fit::Never => return Ok(false),
                Fit::Evicted(key, freed) => (key, freed),
            };
            self.counters.disk_evictions.add(1);
            self.give_back(live, &[key], &[freed])?;
        }
    }

    /// Gives back pages that were taken off the table: their room first, which a full disk needs most; then their rows.
    pub(super) fn give_back(
        &self,
        live: &Live,
        keys: &[PageKey],
        freed: &[Freed],
    ) -> io::Result<()> {
        keys.iter().for_each(|key| live.forget_sums(*key));
        live.free(freed)?;
        let mut rest = keys;
        for freed in freed {
            if let Freed::File(id) | Freed::SmallFile(id, _) | Freed::Extent(id, _) = freed {
                live.index
                    .delete_file(*id, rest)
                    .map_err(io::Error::other)?;
                rest = &[];
            }
        }
        match rest {
            [] => Ok(()),
            rest => live.index.delete_pages(rest).map_err(io::Error::other),
        }
    }

    /// Forgets a file of so many pages; says how many bytes that were.
    fn drop_file(&self, live: &Live, id: FileId, pages: u64) -> io::Result<u64> {
        let (keys, freed, bytes) = {
            let mut table = live.table.lock();
            let before = table.bytes();
            let keys = table.pages_of(id, pages);
            let freed: Vec<Freed> = keys.iter().filter_map(|key| table.remove(*key)).collect();
            (keys, freed, before - table.bytes())
        };
        // A file that goes whole needs no holes.
        let freed: Vec<Freed> = match freed.last() {
            Some(last @ Freed::File(_)) => vec![*last],
            _ => freed,
        };
        self.give_back(live, &keys, &freed)?;
        // Also where it had no page any more.
        live.index.delete_file(id, &[]).map_err(io::Error::other)?;
        Ok(bytes)
    }

    pub(super) fn drop_path(&self, live: &Live, bar: &Bar) -> io::Result<Vec<Dropped>> {
        let files = match bar.is_tree {
            true => live
                .index
                .files_within(&bar.mount, &bar.path)
                .map_err(io::Error::other)?,
            false => self.file_at(live, bar)?,
        };
        let mut dropped = Vec::new();
        for (id, len) in files.iter().map(|row| (row.id, row.version.len)) {
            let pages = len.div_ceil(self.page_bytes);
            let bytes = self.drop_file(live, id, pages)?;
            dropped.push(Dropped {
                file: id,
                pages,
                bytes,
            });
        }
        Ok(dropped)
    }

    fn file_at(&self, live: &Live, bar: &Bar) -> io::Result<Vec<super::index::FileRow>> {
        let name = rows::name(&bar.mount, &bar.path);
        let row = live.index.file(&name).map_err(io::Error::other)?;
        let row = row.map(|(id, version)| super::index::FileRow { id, version, name });
        Ok(row.into_iter().collect())
    }

    fn pin(
        &self,
        live: &Live,
        mount: &Arc<str>,
        path: &Arc<str>,
        is_pinned: bool,
    ) -> io::Result<()> {
        let pin = rows::name(mount, path);
        live.index
            .set_pin(&pin, is_pinned)
            .map_err(io::Error::other)?;
        let mut pins = live.pins.lock();
        pins.retain(|held| *held != pin);
        if is_pinned {
            pins.push(pin);
        }
        let pins = pins.clone();
        for row in live
            .index
            .files_within(mount, path)
            .map_err(io::Error::other)?
        {
            let is_pinned = pins.iter().any(|pin| covers(pin, &row.name));
            let pages = row.version.len.div_ceil(self.page_bytes);
            let mut table = live.table.lock();
            for key in table.pages_of(row.id, pages) {
                let room = table.get(key).map_or(0, |slot| slot.place.room());
                let fits = table.pinned_bytes() + room <= self.pinned_bytes_max;
                table.set_pinned(key, is_pinned && fits);
            }
        }
        Ok(())
    }
}
