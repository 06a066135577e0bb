//! Everything a simulated disk holds, behind its one lock.

use super::content::Content;
use super::names::{FileId, Names, normal};
use super::rng::Rng;
use super::{CAPACITY_BYTES_DEFAULT, Crash, FILE_BYTES_MAX};
use crate::{OpenMode, Space};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// errno values (asm-generic/errno-base.h), as callers of a real disk see them.
const EIO: i32 = 5;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;

pub(super) fn eio() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

fn is_down() -> io::Error {
    io::Error::other("the simulated machine is down")
}

/// Whether a mutating step is taken as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Whole,
    /// The machine dies in the middle of it.
    Cut,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    rng: Rng,
    names: Names,
    files: BTreeMap<FileId, Content>,
    next_id: u64,
    steps: u64,
    kill_at: Option<u64>,
    down: bool,
    pub(super) failing_syncs: u32,
    pub(super) failing_writes: u32,
    pub(super) capacity_bytes: u64,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            names: Names::default(),
            files: BTreeMap::new(),
            next_id: 0,
            steps: 0,
            kill_at: None,
            down: false,
            failing_syncs: 0,
            failing_writes: 0,
            capacity_bytes: CAPACITY_BYTES_DEFAULT,
        }
    }

    // Going down and coming back.

    pub(super) fn go_down(&mut self) {
        self.down = true;
    }

    pub(super) fn is_down(&self) -> bool {
        self.down || self.kill_at == Some(self.steps)
    }

    pub(super) fn kill_after(&mut self, steps: u64) {
        self.kill_at = Some(self.steps.saturating_add(steps));
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The state that the next life begins with.
    pub(super) fn after(&mut self, crash: Crash) -> Self {
        let mut next = Self::new(self.rng.next());
        next.capacity_bytes = self.capacity_bytes;
        next.next_id = self.next_id;
        next.names = match crash {
            Crash::ProcessKill => self.names.clone(),
            Crash::PowerLoss => self.names.after_power_loss(&mut next.rng),
        };
        for id in next.names.referenced() {
            let Some(content) = self.files.get(&id) else {
                continue;
            };
            let content = match crash {
                Crash::ProcessKill => content.clone(),
                Crash::PowerLoss => content.after_power_loss(&mut next.rng),
            };
            next.files.insert(id, content);
        }
        next
    }

    /// To be called before anything that only looks.
    pub(super) fn check_up(&self) -> io::Result<()> {
        match self.is_down() {
            true => Err(is_down()),
            false => Ok(()),
        }
    }

    fn begin_step(&mut self) -> io::Result<Step> {
        if self.down {
            return Err(is_down());
        }
        if self.kill_at == Some(self.steps) {
            self.down = true;
            return Ok(Step::Cut);
        }
        self.steps += 1;
        Ok(Step::Whole)
    }

    /// Takes a mutating step that happens as a whole or not at all.
    pub(super) fn step<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.begin_step()? == Step::Whole {
            return act(self);
        }
        if self.rng.coin() {
            // It happened, but nobody is left to hear how it went.
            let _ = act(self);
        }
        Err(is_down())
    }

    // Files by path.

    fn find(&self, path: &Path) -> io::Result<FileId> {
        let found = self.names.find(&normal(path)?);
        Ok(found.ok_or(io::ErrorKind::NotFound)?)
    }

    pub(super) fn content_mut(&mut self, path: &Path) -> io::Result<&mut Content> {
        let id = self.find(path)?;
        self.file_mut(id)
    }

    pub(super) fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<FileId> {
        match mode {
            OpenMode::Read | OpenMode::ReadWrite => {
                self.check_up()?;
                self.find(path)
            }
            OpenMode::CreateNew => self.step(|state| match state.find(path) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => state.create(path),
            }),
            OpenMode::CreateOrTruncate => self.step(|state| match state.find(path) {
                Ok(id) => state
                    .file_mut(id)
                    .map(|content| content.set_len(0))
                    .map(|()| id),
                Err(_) => state.create(path),
            }),
        }
    }

    fn create(&mut self, path: &Path) -> io::Result<FileId> {
        if self.free_bytes() == 0 {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let id = FileId(self.next_id);
        self.names.create(normal(path)?, id)?;
        self.next_id += 1;
        self.files.insert(id, Content::default());
        Ok(id)
    }

    pub(super) fn names(&self) -> io::Result<&Names> {
        self.check_up()?;
        Ok(&self.names)
    }

    pub(super) fn change_names(
        &mut self,
        act: impl FnOnce(&mut Names) -> io::Result<()>,
    ) -> io::Result<()> {
        self.step(|state| act(&mut state.names))
    }

    // One file.

    /// For reads: steps look at `files` themselves, since a cut step happens while the machine goes down.
    pub(super) fn file(&self, id: FileId) -> io::Result<&Content> {
        self.check_up()?;
        self.files.get(&id).ok_or_else(is_down)
    }

    fn len(&self, id: FileId) -> u64 {
        self.files.get(&id).map_or(0, Content::len)
    }

    fn file_mut(&mut self, id: FileId) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(is_down)
    }

    pub(super) fn write(&mut self, id: FileId, data: &[u8], offset: u64) -> io::Result<()> {
        let step = self.begin_step()?;
        let outcome = self.outcome_of_write(id, data.len(), offset, step);
        // A write that fails has put down some prefix of what it could.
        let written = match outcome {
            Ok(()) => data.len(),
            Err((could, _)) => self.rng.up_to(could as u64) as usize,
        };
        // Lossless: `could` is 0 beyond FILE_BYTES_MAX.
        self.file_mut(id)?.write(offset as usize, &data[..written]);
        outcome.map_err(|(_, error)| error)
    }

    /// How a write will go; an error comes with how many bytes could be written before it.
    fn outcome_of_write(
        &mut self,
        id: FileId,
        len: usize,
        offset: u64,
        step: Step,
    ) -> Result<(), (usize, io::Error)> {
        let room = self.len(id).saturating_add(self.free_bytes());
        let fits = |end: u64| (end.saturating_sub(offset)).min(len as u64) as usize;
        if fits(FILE_BYTES_MAX) < len {
            return Err((0, io::Error::from_raw_os_error(EFBIG)));
        }
        if step == Step::Cut {
            return Err((fits(room), is_down()));
        }
        if self.failing_writes > 0 {
            self.failing_writes -= 1;
            return Err((fits(room), eio()));
        }
        match fits(room) {
            enough if enough == len => Ok(()),
            could => Err((could, io::Error::from_raw_os_error(ENOSPC))),
        }
    }

    pub(super) fn set_len(&mut self, id: FileId, len: u64) -> io::Result<()> {
        self.step(|state| {
            if len > FILE_BYTES_MAX {
                return Err(io::Error::from_raw_os_error(EFBIG));
            }
            let growth = len.saturating_sub(state.len(id));
            if growth > state.free_bytes() {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            state.file_mut(id)?.set_len(len as usize);
            Ok(())
        })
    }

    pub(super) fn sync(&mut self, id: FileId) -> io::Result<()> {
        self.step(|state| {
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                state.file_mut(id)?.fail_sync();
                return Err(eio());
            }
            state.file_mut(id)?.sync();
            Ok(())
        })
    }

    // The whole.

    fn free_bytes(&self) -> u64 {
        let named = self.names.visible().values();
        let used: u64 = named
            .filter_map(|id| self.files.get(id))
            .map(Content::len)
            .sum();
        self.capacity_bytes.saturating_sub(used)
    }

    pub(super) fn space(&self) -> Space {
        Space {
            total_bytes: self.capacity_bytes,
            free_bytes: self.free_bytes(),
        }
    }

    pub(super) fn durable_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.files_by_path(self.names.durable(), Content::durable)
    }

    pub(super) fn visible_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.files_by_path(self.names.visible(), Content::visible)
    }

    fn files_by_path(
        &self,
        names: &BTreeMap<PathBuf, FileId>,
        bytes: impl Fn(&Content) -> &[u8],
    ) -> BTreeMap<PathBuf, Vec<u8>> {
        let content = |id| self.files.get(id).map(|content| bytes(content).to_vec());
        let found = names
            .iter()
            .map(|(path, id)| (path.clone(), content(id).unwrap_or_default()));
        found.collect()
    }
}
