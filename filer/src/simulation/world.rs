//! A filer and its lives: opening, crashing, and comparing with what it may be.

use std::collections::{BTreeMap, BTreeSet};

use moongate_disk::sim::{Rng, Trace};
use moongate_disk::{Crash, SimDisk};

use super::check;
use super::log_rows::LogRows;
use super::model::Model;
use crate::entry::Needle;
use crate::rows::{Rows, Table};
use crate::{Filer, FilerError, RocksRows};

const LIVES_MAX: u64 = 4;
const OPS_MAX: u64 = 40;
const START_NS: u64 = 1_700_000_000_000_000_000;
/// Openings that may be interrupted before one is let through.
const INTERRUPTIONS_MAX: u32 = 3;

pub type Told<T> = Result<T, String>;

/// Where the rows are.
pub enum Home {
    Sim(SimDisk),
    Rocks(tempfile::TempDir),
}

impl Home {
    fn open(&self) -> Result<Box<dyn Rows>, FilerError> {
        Ok(match self {
            Self::Sim(disk) => Box::new(LogRows::open(disk)?),
            Self::Rocks(dir) => Box::new(RocksRows::open(dir.path())?),
        })
    }
}

/// What a hold promises.
pub struct Pin {
    pub ends_ns: u64,
    pub needles: BTreeSet<Needle>,
}

pub struct World {
    pub rng: Rng,
    pub trace: Trace,
    pub home: Home,
    pub open: Option<Filer>,
    pub now_ns: u64,
    /// What there may be after a loss of power: the last state that is sure to be durable, and each one since. The last is what is
    /// seen now.
    pub history: Vec<Model>,
    /// The last life ended well, and nothing has happened since: what was seen must be there.
    pub ended_well: bool,
    /// A write or sync failed: nothing can be changed in this life any more.
    pub broken: bool,
    pub pins: BTreeMap<String, Pin>,
    /// Needles that were handed out, and so are deleted.
    pub deleted: BTreeSet<Needle>,
    /// Rows that were handed out in this life.
    pub to_forget: Vec<u64>,
    pub next_key: u64,
}

impl World {
    pub fn new(seed: u64, home: Home, aloud: bool) -> Self {
        Self {
            rng: Rng::new(seed),
            trace: Trace::new(aloud),
            home,
            open: None,
            now_ns: START_NS,
            history: vec![Model::default()],
            ended_well: false,
            broken: false,
            pins: BTreeMap::new(),
            deleted: BTreeSet::new(),
            to_forget: Vec::new(),
            next_key: 1,
        }
    }

    pub fn filer(&self) -> Told<&Filer> {
        self.open.as_ref().ok_or_else(|| "it is not open".into())
    }

    pub fn model(&self) -> Model {
        self.history.last().cloned().unwrap_or_default()
    }

    /// All lives, and the end of everything.
    pub fn live(&mut self) -> Told<()> {
        for _ in 0..=self.rng.below(LIVES_MAX) {
            self.open()?;
            self.arm();
            for _ in 0..self.rng.below(OPS_MAX) {
                if self.broken {
                    break;
                }
                self.trouble();
                self.step()?;
                self.compare()?;
            }
            self.end_life();
        }
        self.open()?;
        self.end_of_everything()
    }

    fn compare(&mut self) -> Told<()> {
        if self.broken {
            return Ok(());
        }
        check::equals(self.filer()?, &self.model(), self.now_ns)
    }

    fn open(&mut self) -> Told<()> {
        for attempt in 0.. {
            if let Home::Sim(disk) = &self.home
                && attempt < INTERRUPTIONS_MAX
                && self.rng.one_in(4)
            {
                disk.kill_after(self.rng.below(8));
            }
            let opened = self.home.open();
            match opened.and_then(|rows| Filer::open(rows, self.now_ns)) {
                Ok(filer) => {
                    self.open = Some(filer);
                    break;
                }
                Err(FilerError::Storage(_)) if attempt < INTERRUPTIONS_MAX => self.crash(),
                Err(other) => return Err(format!("opening: {other}")),
            }
        }
        if let Home::Sim(disk) = &self.home {
            disk.kill_after(u64::MAX);
        }
        (self.broken, self.to_forget) = (false, Vec::new());
        self.recognise()
    }

    /// Which of the states that may be there it is.
    fn recognise(&mut self) -> Told<()> {
        let filer = self.filer()?;
        let may_be = if self.ended_well { 1 } else { usize::MAX };
        let verdicts = self.history.iter().rev().take(may_be).map(|state| {
            let verdict = check::equals(filer, state, self.now_ns);
            verdict.map(|()| state.clone())
        });
        let verdicts: Vec<_> = verdicts.collect();
        let what = match verdicts.first() {
            Some(Err(what)) => what.clone(),
            _ => String::new(),
        };
        let Some(state) = verdicts.into_iter().find_map(Result::ok) else {
            return Err(format!(
                "after opening it is none of what it may be: {what}"
            ));
        };
        let referred = state.tree.values().flat_map(|entry| entry.needles());
        if let Some(lost) = referred.into_iter().find(|n| self.deleted.contains(n)) {
            return Err(format!("{lost:?} was handed out and is referred to again"));
        }
        self.trace
            .note(format_args!("opened: {}", state.tree.len()));
        self.history = vec![state];
        Ok(())
    }

    fn arm(&mut self) {
        if let Home::Sim(disk) = &self.home
            && self.rng.one_in(2)
        {
            let steps = self.rng.below(60);
            disk.kill_after(steps);
            self.trace.note(format_args!("kill after {steps}"));
        }
    }

    fn trouble(&mut self) {
        let Home::Sim(disk) = &self.home else {
            return;
        };
        match self.rng.below(120) {
            0 => disk.fail_next_syncs(1),
            1 => disk.fail_next_writes(1),
            _ => {}
        }
    }

    fn end_life(&mut self) {
        self.open = None;
        let is_down = matches!(&self.home, Home::Sim(disk) if disk.is_down());
        if is_down || self.broken || self.rng.one_in(2) {
            self.crash();
        } else {
            self.ended_well = true;
        }
    }

    fn crash(&mut self) {
        self.ended_well = false;
        let Home::Sim(disk) = &self.home else {
            self.history = vec![self.model()];
            return;
        };
        let crash = match self.rng.one_in(3) {
            true => Crash::ProcessKill,
            false => Crash::PowerLoss,
        };
        self.trace.note(format_args!("{crash:?}"));
        let disk = disk.crash(crash);
        self.home = Home::Sim(disk);
    }

    /// Deletes all, and looks whether anything is left.
    fn end_of_everything(&mut self) -> Told<()> {
        let told = |error: FilerError| error.to_string();
        self.now_ns += 1_000_000_000_000_000;
        let now = self.now_ns;
        self.filer()?.sweep_expired(usize::MAX, now).map_err(told)?;
        let filer = self.filer()?;
        let mut rows = check::entries(filer)?.into_values();
        if rows.any(|rows| rows.values().any(|row| row.entry.is_expired(now))) {
            return Err("an expired file is not swept".into());
        }
        for path in check::tree(filer, now)?.into_keys() {
            if path.names().count() == 1 {
                filer.delete(&path, true, now).map_err(told)?;
            }
        }
        while filer.sweep(3).map_err(told)?.more {}
        let mut needles = BTreeSet::new();
        loop {
            let released = filer.released(2, now).map_err(told)?;
            let sequences: Vec<u64> = released.iter().map(|row| row.sequence).collect();
            if sequences.is_empty() {
                break;
            }
            filer.forget(&sequences).map_err(told)?;
            needles.extend(released.into_iter().flat_map(|row| row.needles));
        }
        let model = self.model();
        if needles != model.needles {
            return Err(format!(
                "released in the end: {needles:?}, not {:?}",
                model.needles
            ));
        }
        self.nothing_is_left()
    }

    fn nothing_is_left(&self) -> Told<()> {
        for (table, count) in [
            (Table::Entries, 1),
            (Table::Trash, 0),
            (Table::Released, 0),
            (Table::Expiry, 0),
        ] {
            let rows = check::rows_of(self.filer()?, table)?;
            if rows.len() != count {
                return Err(format!("left in {table:?}: {rows:?}"));
            }
        }
        Ok(())
    }
}
